/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys in DER, read strictly. The input is a stranger's; it is a private copy already.
 */
#include "host/der.h"

#include <errno.h>
#include <stdbool.h>

#define TAG_INTEGER 0x02
#define TAG_SEQUENCE 0x30

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

/* Modulus and public exponent: both odd, the exponent not 1. */
static int rsa_numbers(struct der *in, size_t *modulus, unsigned int *bits)
{
	struct der n, e;

	if (!der_integer(in, false, &n) || !der_integer(in, false, &e))
		return -EINVAL;
	if (!is_odd(&n) || !is_odd(&e) || e.left > n.left || (e.left == 1 && e.at[0] == 1))
		return -EINVAL;
	*modulus = n.left;
	*bits = (unsigned int)n.left * 8 - ((unsigned int)__builtin_clz(n.at[0]) - 24);
	return 0;
}

int der_rsa_public(const uint8_t *der, size_t len, unsigned int *bits)
{
	struct der in = {der, len}, key;
	size_t modulus;

	if (!der_element(&in, TAG_SEQUENCE, &key) || in.left)
		return -EINVAL;
	if (rsa_numbers(&key, &modulus, bits) < 0 || key.left)
		return -EINVAL;
	return 0;
}

int der_rsa_private(const uint8_t *der, size_t len, unsigned int *bits)
{
	struct der in = {der, len}, key, version, part;
	size_t modulus;

	if (!der_element(&in, TAG_SEQUENCE, &key) || in.left)
		return -EINVAL;
	/* Version 0: two primes. */
	if (!der_integer(&key, true, &version) || version.left != 1 || version.at[0])
		return -EINVAL;
	if (rsa_numbers(&key, &modulus, bits) < 0)
		return -EINVAL;
	/* d, p, q, d mod (p-1), d mod (q-1), 1/q mod p */
	for (int i = 0; i < 6; i++)
		if (!der_integer(&key, false, &part) || part.left > modulus)
			return -EINVAL;
	return key.left ? -EINVAL : 0;
}
