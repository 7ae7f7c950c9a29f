/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA and EC keys in DER, read strictly. The input is a stranger's; it is a private copy already.
 */
#include "host/der.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/util.h"
#include "wire/virtio_crypto.h"

#define TAG_INTEGER 0x02
#define TAG_BIT_STRING 0x03
#define TAG_OCTET_STRING 0x04
#define TAG_OID 0x06
#define TAG_SEQUENCE 0x30
#define TAG_CONTEXT(n) (0xa0 + (n)) /* [n] EXPLICIT */

/* What is still to be read. */
struct der {
	const uint8_t *at;
	size_t left;
};

/* One element: tag, definite length in its shortest form, contents. */
static bool der_element(struct der *in, uint8_t tag, struct der *contents)
{
	size_t len, head = 2;

	if (in->left < 2 || in->at[0] != tag)
		return false;
	len = in->at[1];
	if (len >= 0x80) {
		size_t bytes = len & 0x7f;

		if (bytes < 1 || bytes > 2 || in->left < 2 + bytes || !in->at[2])
			return false;
		len = 0;
		for (size_t i = 0; i < bytes; i++)
			len = len << 8 | in->at[2 + i];
		if (len < 0x80)
			return false;
		head += bytes;
	}
	if (len > in->left - head)
		return false;
	contents->at = in->at + head;
	contents->left = len;
	in->at += head + len;
	in->left -= head + len;
	return true;
}

/* A positive integer without its sign byte. Zero only where it is allowed. */
static bool der_integer(struct der *in, bool zero, struct der *value)
{
	if (!der_element(in, TAG_INTEGER, value) || !value->left)
		return false;
	if (value->at[0] & 0x80)
		return false;
	if (value->at[0])
		return true;
	if (value->left == 1)
		return zero;
	/* The zero byte is there for the sign, or it should not be there. */
	if (!(value->at[1] & 0x80))
		return false;
	value->at++;
	value->left--;
	return true;
}

static bool is_odd(const struct der *value)
{
	return value->at[value->left - 1] & 1;
}

/* The same, or the sign byte left out. */
static bool der_unsigned(struct der *in, struct der *value)
{
	struct der before = *in;

	if (der_integer(in, false, value))
		return true;
	*in = before;
	return der_element(in, TAG_INTEGER, value) && value->left && value->at[0] & 0x80;
}

/* Public exponent, and whether it goes with the modulus: both odd, the exponent not 1. */
static int rsa_exponent(struct der *in, const struct der *n, struct der *e)
{
	if (!der_integer(in, false, e))
		return -EINVAL;
	if (!is_odd(n) || !is_odd(e) || e->left > n->left || (e->left == 1 && e->at[0] == 1))
		return -EINVAL;
	return 0;
}

static unsigned int bits_of(const struct der *number)
{
	return (unsigned int)number->left * 8 - ((unsigned int)__builtin_clz(number->at[0]) - 24);
}

static int rsa_public(const uint8_t *der, size_t len, struct der *n, struct der *e)
{
	struct der in = {der, len}, key;

	if (!der_element(&in, TAG_SEQUENCE, &key) || in.left)
		return -EINVAL;
	if (!der_unsigned(&key, n) || rsa_exponent(&key, n, e) < 0 || key.left)
		return -EINVAL;
	return 0;
}

int der_rsa_public(const uint8_t *der, size_t len, unsigned int *bits)
{
	struct der n, e;
	int rc = rsa_public(der, len, &n, &e);

	if (!rc)
		*bits = bits_of(&n);
	return rc;
}

int der_rsa_public_numbers(const uint8_t *der, size_t len, struct der_rsa *key)
{
	struct der n, e;
	int rc = rsa_public(der, len, &n, &e);

	if (!rc)
		*key = (struct der_rsa){n.at, e.at, n.left, e.left};
	return rc;
}

static int rsa_private(const uint8_t *der, size_t len, struct der part[DER_RSA_NUMBERS])
{
	const struct der *n = &part[DER_RSA_MODULUS];
	struct der in = {der, len}, key, version;

	if (!der_element(&in, TAG_SEQUENCE, &key) || in.left)
		return -EINVAL;
	/* Version 0: two primes. */
	if (!der_integer(&key, true, &version) || version.left != 1 || version.at[0])
		return -EINVAL;
	if (!der_integer(&key, false, &part[DER_RSA_MODULUS]) ||
	    rsa_exponent(&key, n, &part[DER_RSA_PUBLIC_EXPONENT]) < 0)
		return -EINVAL;
	for (int i = DER_RSA_PRIVATE_EXPONENT; i < DER_RSA_NUMBERS; i++)
		if (!der_integer(&key, false, &part[i]) || part[i].left > n->left)
			return -EINVAL;
	return key.left ? -EINVAL : 0;
}

int der_rsa_private(const uint8_t *der, size_t len, unsigned int *bits)
{
	struct der part[DER_RSA_NUMBERS];
	int rc = rsa_private(der, len, part);

	if (!rc)
		*bits = bits_of(&part[DER_RSA_MODULUS]);
	return rc;
}

int der_rsa_private_numbers(const uint8_t *der, size_t len, struct der_rsa_private *key)
{
	struct der part[DER_RSA_NUMBERS];
	int rc = rsa_private(der, len, part);

	for (int i = 0; !rc && i < DER_RSA_NUMBERS; i++) {
		key->number[i] = part[i].at;
		key->len[i] = (uint16_t)part[i].left;
	}
	return rc;
}

/* ---- EC ---- */

/* NIST's curves: SP 800-186 has the orders, RFC 5480 the names. */
struct curve {
	uint16_t bits;
	uint8_t size; /* bytes of a coordinate, and of the order */
	uint8_t oid_len;
	const char *oid;
	const char *order; /* big-endian */
};

static const struct curve curves[] = {
	[VIRTIO_CRYPTO_CURVE_NIST_P192] =
		{192, 24, 8, "\x2a\x86\x48\xce\x3d\x03\x01\x01",
                 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x99\xde\xf8\x36"
                 "\x14\x6b\xc9\xb1\xb4\xd2\x28\x31"},
	[VIRTIO_CRYPTO_CURVE_NIST_P224] =
		{224, 28, 5, "\x2b\x81\x04\x00\x21",
                 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x16\xa2"
                 "\xe0\xb8\xf0\x3e\x13\xdd\x29\x45\x5c\x5c\x2a\x3d"},
	[VIRTIO_CRYPTO_CURVE_NIST_P256] =
		{256, 32, 8, "\x2a\x86\x48\xce\x3d\x03\x01\x07",
                 "\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"
                 "\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51"},
	[VIRTIO_CRYPTO_CURVE_NIST_P384] =
		{384, 48, 5, "\x2b\x81\x04\x00\x22",
                 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                 "\xff\xff\xff\xff\xff\xff\xff\xff\xc7\x63\x4d\x81\xf4\x37\x2d\xdf"
                 "\x58\x1a\x0d\xb2\x48\xb0\xa7\x7a\xec\xec\x19\x6a\xcc\xc5\x29\x73"},
	[VIRTIO_CRYPTO_CURVE_NIST_P521] =
		{521, 66, 5, "\x2b\x81\x04\x00\x23",
                 "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                 "\xff\xfa\x51\x86\x87\x83\xbf\x2f\x96\x6b\x7f\xcc\x01\x48\xf7\x09"
                 "\xa5\xd0\x3b\xb5\xc9\xb8\x89\x9c\x47\xae\xbb\x6f\xb7\x1e\x91\x38"
                 "\x64\x09"},
};

static const struct curve *curve_find(unsigned int number)
{
	return number < vc_array_size(curves) && curves[number].bits ? &curves[number] : NULL;
}

unsigned int der_ec_bits(unsigned int curve)
{
	const struct curve *c = curve_find(curve);

	return c ? c->bits : 0;
}

/* Not 0 and below the order. Takes the same time for every key of a length. */
static bool scalar_fits(const struct curve *curve, const uint8_t *scalar, size_t len)
{
	unsigned int any = 0, borrow = 0;

	if (!len || len > curve->size)
		return false;
	for (size_t i = 0; i < curve->size; i++) {
		unsigned int digit = i < len ? scalar[len - 1 - i] : 0;
		unsigned int limit = (uint8_t)curve->order[curve->size - 1 - i];

		any |= digit;
		/* scalar - order: below 0 is what it should be. */
		borrow = (digit - limit - borrow) >> 31;
	}
	return any && borrow;
}

static bool point_fits(const struct curve *curve, const uint8_t *point, size_t len)
{
	if (!len)
		return false;
	if (point[0] == 4)
		return len == 1u + 2u * curve->size;
	return (point[0] == 2 || point[0] == 3) && len == 1u + curve->size;
}

int der_ec_public(const uint8_t *point, size_t len, unsigned int curve, struct der_ec *key)
{
	const struct curve *c = curve_find(curve);

	if (!c || !point_fits(c, point, len))
		return -EINVAL;
	*key = (struct der_ec){.point = point, .point_len = (uint16_t)len};
	return 0;
}

/* parameters [0]: must name the curve. */
static bool ec_parameters(struct der *in, const struct curve *curve)
{
	struct der wrapped, oid;

	return der_element(in, TAG_CONTEXT(0), &wrapped) && der_element(&wrapped, TAG_OID, &oid) &&
	       !wrapped.left && oid.left == curve->oid_len &&
	       memcmp(oid.at, curve->oid, oid.left) == 0;
}

/* publicKey [1]: a bit string of whole bytes, and a point. */
static bool ec_point(struct der *in, const struct curve *curve, struct der_ec *key)
{
	struct der wrapped, bits;

	if (!der_element(in, TAG_CONTEXT(1), &wrapped) ||
	    !der_element(&wrapped, TAG_BIT_STRING, &bits) || wrapped.left || !bits.left ||
	    bits.at[0] || !point_fits(curve, bits.at + 1, bits.left - 1))
		return false;
	key->point = bits.at + 1;
	key->point_len = (uint16_t)(bits.left - 1);
	return true;
}

int der_ec_private(const uint8_t *der, size_t len, unsigned int curve, struct der_ec *key)
{
	const struct curve *c = curve_find(curve);
	struct der in = {der, len}, body, version, scalar;

	*key = (struct der_ec){0};
	if (!c || !der_element(&in, TAG_SEQUENCE, &body) || in.left)
		return -EINVAL;
	if (!der_integer(&body, false, &version) || version.left != 1 || version.at[0] != 1)
		return -EINVAL;
	if (!der_element(&body, TAG_OCTET_STRING, &scalar) ||
	    !scalar_fits(c, scalar.at, scalar.left))
		return -EINVAL;
	key->scalar = scalar.at;
	key->scalar_len = (uint16_t)scalar.left;
	if (body.left && body.at[0] == TAG_CONTEXT(0) && !ec_parameters(&body, c))
		return -EINVAL;
	if (body.left && !ec_point(&body, c, key))
		return -EINVAL;
	return body.left ? -EINVAL : 0;
}

bool der_ec_scalar_ok(unsigned int curve, const uint8_t *scalar, size_t len)
{
	const struct curve *c = curve_find(curve);

	return c && scalar_fits(c, scalar, len);
}

/* ---- ECDSA ---- */

static bool ecdsa_number(struct der *in, size_t size, uint8_t *number)
{
	struct der value;

	if (!der_integer(in, false, &value) || value.left > size)
		return false;
	memset(number, 0, size - value.left);
	memcpy(number + size - value.left, value.at, value.left);
	return true;
}

int der_ecdsa_read(const uint8_t *der, size_t len, unsigned int curve, uint8_t *r, uint8_t *s)
{
	const struct curve *c = curve_find(curve);
	struct der in = {der, len}, body;

	if (!c || !der_element(&in, TAG_SEQUENCE, &body) || in.left)
		return -EINVAL;
	if (!ecdsa_number(&body, c->size, r) || !ecdsa_number(&body, c->size, s) || body.left)
		return -EINVAL;
	return 0;
}

/* An INTEGER; its bytes. */
static size_t integer_write(uint8_t *der, const uint8_t *number, size_t size)
{
	size_t sign;

	for (; size > 1 && !*number; size--)
		number++;
	sign = *number >> 7;
	der[0] = TAG_INTEGER;
	der[1] = (uint8_t)(size + sign);
	der[2] = 0;
	memcpy(der + 2 + sign, number, size);
	return 2 + sign + size;
}

size_t der_ecdsa_write(uint8_t *der, unsigned int curve, const uint8_t *r, const uint8_t *s)
{
	const struct curve *c = curve_find(curve);
	uint8_t body[DER_ECDSA_MAX];
	size_t len, head = 2;

	if (!c)
		return 0;
	len = integer_write(body, r, c->size);
	len += integer_write(body + len, s, c->size);
	der[0] = TAG_SEQUENCE;
	/* P-521's can be longer than the short form of a length. */
	if (len >= 0x80)
		der[head++ - 1] = 0x81;
	der[head - 1] = (uint8_t)len;
	memcpy(der + head, body, len);
	return head + len;
}
