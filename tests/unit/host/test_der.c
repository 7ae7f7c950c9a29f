/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys in DER, as strangers send them: what libcrypto writes is read, what is cut short, mangled or
 * not strict is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "guest.h"
#include "host/der.h"
#include "keys.h"
#include "wire/virtio_crypto.h"

/* ---- RSA keys ---- */

static void test_rsa_keys_and_their_size(void **state)
{
	const unsigned int sizes[] = {512, 1024, 1033, 1034, 2048};

	for (size_t i = 0; i < vc_array_size(sizes); i++) {
		struct test_key private = test_rsa_private(sizes[i]);
		struct test_key public = test_rsa_public(sizes[i]);
		unsigned int bits = 0;

		assert_int_equal(der_rsa_private(private.der, (size_t) private.len, &bits), 0);
		assert_int_equal(bits, sizes[i]);
		bits = 0;
		assert_int_equal(der_rsa_public(public.der, (size_t) public.len, &bits), 0);
		assert_int_equal(bits, sizes[i]);
		/* One is not the other. */
		assert_int_equal(der_rsa_public(private.der, (size_t) private.len, &bits), -EINVAL);
		assert_int_equal(der_rsa_private(public.der, (size_t) public.len, &bits), -EINVAL);
	}
}

static void test_rsa_numbers_are_those_of_the_key(void **state)
{
	static const char *const names[DER_RSA_NUMBERS] = {
		[DER_RSA_MODULUS] = OSSL_PKEY_PARAM_RSA_N,
		[DER_RSA_PUBLIC_EXPONENT] = OSSL_PKEY_PARAM_RSA_E,
		[DER_RSA_PRIVATE_EXPONENT] = OSSL_PKEY_PARAM_RSA_D,
		[DER_RSA_PRIME1] = OSSL_PKEY_PARAM_RSA_FACTOR1,
		[DER_RSA_PRIME2] = OSSL_PKEY_PARAM_RSA_FACTOR2,
		[DER_RSA_EXPONENT1] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
		[DER_RSA_EXPONENT2] = OSSL_PKEY_PARAM_RSA_EXPONENT2,
		[DER_RSA_COEFFICIENT] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
	};
	struct test_key key = test_rsa_private(1024);
	const unsigned char *der = key.der;
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &der, key.len);
	struct der_rsa_private numbers;

	assert_non_null(pkey);
	assert_int_equal(der_rsa_private_numbers(key.der, (size_t)key.len, &numbers), 0);
	for (int i = 0; i < DER_RSA_NUMBERS; i++) {
		BIGNUM *expected = NULL;
		uint8_t bytes[128];

		assert_int_equal(EVP_PKEY_get_bn_param(pkey, names[i], &expected), 1);
		assert_int_equal(BN_num_bytes(expected), numbers.len[i]);
		BN_bn2bin(expected, bytes);
		assert_memory_equal(bytes, numbers.number[i], numbers.len[i]);
		BN_free(expected);
	}
	EVP_PKEY_free(pkey);
	assert_int_equal(der_rsa_private_numbers(key.der, (size_t)key.len - 1, &numbers), -EINVAL);
}

static void test_rsa_key_cut_short_or_with_more(void **state)
{
	struct test_key key = test_rsa_private(1024);
	unsigned int bits;

	for (size_t n = 0; n < (size_t)key.len; n++) {
		/* An allocation of just that size, for ASan. */
		uint8_t *part = malloc(n + 1);

		memcpy(part + 1, key.der, n);
		assert_int_equal(der_rsa_private(part + 1, n, &bits), -EINVAL);
		assert_int_equal(der_rsa_public(part + 1, n, &bits), -EINVAL);
		free(part);
	}
	uint8_t *more = calloc(1, (size_t)key.len + 1);

	memcpy(more, key.der, (size_t)key.len);
	assert_int_equal(der_rsa_private(more, (size_t)key.len + 1, &bits), -EINVAL);
	free(more);
}

static void test_der_that_is_not_strict(void **state)
{
	static const struct {
		const char *why;
		uint8_t len;
		const char *der;
	} bad[] = {
		{"even modulus", 11, "\x30\x09\x02\x02\x40\x02\x02\x03\x01\x00\x01"},
		{"even exponent", 9, "\x30\x07\x02\x02\x40\x03\x02\x01\x04"},
		{"exponent 1", 9, "\x30\x07\x02\x02\x40\x03\x02\x01\x01"},
		{"exponent longer than modulus", 10, "\x30\x08\x02\x01\x4b\x02\x03\x01\x00\x01"},
		{"negative exponent", 9, "\x30\x07\x02\x02\x40\x03\x02\x01\x83"},
		{"zero in front", 10, "\x30\x08\x02\x03\x00\x40\x03\x02\x01\x03"},
		{"empty integer", 8, "\x30\x06\x02\x00\x02\x02\x00\x83"},
		{"zero modulus", 8, "\x30\x06\x02\x01\x00\x02\x01\x03"},
		{"no exponent", 6, "\x30\x04\x02\x02\x40\x03"},
		{"a third integer", 12, "\x30\x0a\x02\x02\x40\x03\x02\x01\x03\x02\x01\x03"},
		{"long form of a short length", 10, "\x30\x81\x07\x02\x02\x40\x03\x02\x01\x03"},
		{"zero in the length", 11, "\x30\x82\x00\x07\x02\x02\x40\x03\x02\x01\x03"},
		{"indefinite length", 11, "\x30\x80\x02\x02\x40\x03\x02\x01\x03\x00\x00"},
		{"length of lengths 4", 13, "\x30\x84\x00\x00\x00\x07\x02\x02\x40\x03\x02\x01\x03"},
		{"bit string", 9, "\x30\x07\x03\x02\x40\x03\x02\x01\x03"},
		{"set", 9, "\x31\x07\x02\x02\x40\x03\x02\x01\x03"},
		{"inner length beyond outer", 9, "\x30\x07\x02\x02\x40\x03\x02\x02\x03"},
	};
	const char *good = "\x30\x07\x02\x02\x40\x03\x02\x01\x03";
	unsigned int bits;

	assert_int_equal(der_rsa_public((const uint8_t *)good, 9, &bits), 0);
	assert_int_equal(bits, 15);
	for (size_t i = 0; i < vc_array_size(bad); i++) {
		int rc = der_rsa_public((const uint8_t *)bad[i].der, bad[i].len, &bits);

		if (rc != -EINVAL)
			fail_msg("taken: %s", bad[i].why);
	}
}

/* What Linux tests its drivers with. */
static void test_a_public_modulus_may_lack_its_sign(void **state)
{
	const uint8_t *signless = (const uint8_t *)"\x30\x07\x02\x02\xc0\x03\x02\x01\x03";
	const uint8_t *with = (const uint8_t *)"\x30\x08\x02\x03\x00\xc0\x03\x02\x01\x03";
	struct der_rsa key;
	unsigned int bits = 0;

	assert_int_equal(der_rsa_public(signless, 9, &bits), 0);
	assert_int_equal(bits, 16);
	for (unsigned int i = 0; i < 2; i++) {
		const uint8_t *der = i ? with : signless;

		assert_int_equal(der_rsa_public_numbers(der, i ? 10 : 9, &key), 0);
		assert_int_equal(key.modulus_len, 2);
		assert_memory_equal(key.modulus, "\xc0\x03", 2);
		assert_int_equal(key.exponent_len, 1);
		assert_int_equal(key.exponent[0], 3);
	}
	assert_int_equal(der_rsa_public_numbers(signless, 8, &key), -EINVAL);
}

/* Real keys with a longer form of the outer length, and with one number more inside. */
static void test_keys_in_another_form(void **state)
{
	struct test_key public = test_rsa_public(1024), private = test_rsa_private(1024);
	const uint8_t longer[] = {0x30, 0x82, 0}, three[] = {2, 1, 3};
	uint8_t form[1024];
	unsigned int bits;

	/* 30 81 xx becomes 30 82 00 xx. */
	assert_int_equal(public.der[1], 0x81);
	memcpy(form, longer, sizeof(longer));
	memcpy(form + 3, public.der + 2, (size_t) public.len - 2);
	assert_int_equal(der_rsa_public(form, (size_t) public.len + 1, &bits), -EINVAL);

	assert_int_equal(private.der[1], 0x82);
	memcpy(form, private.der, (size_t) private.len);
	memcpy(form + private.len, three, sizeof(three));
	form[3] += 3;
	assert_true(form[3] >= 3);
	assert_int_equal(der_rsa_private(form, (size_t) private.len + 3, &bits), -EINVAL);
}

static void test_mangled_keys_are_no_keys_or_sane(void **state)
{
	struct test_key key = test_rsa_private(1024);
	uint8_t *copy = malloc((size_t)key.len);
	uint64_t seed = 1;
	unsigned int refused = 0;

	for (int i = 0; i < 20000; i++) {
		unsigned int bits = 0;

		memcpy(copy, key.der, (size_t)key.len);
		for (int k = 0; k < 3; k++)
			copy[guest_random(&seed) % (k ? (unsigned int)key.len : 12)] ^=
				(uint8_t)guest_random(&seed);
		if (der_rsa_private(copy, (size_t)key.len, &bits) < 0)
			refused++;
		else
			assert_true(bits > 0 && bits <= 8 * (unsigned int)key.len);
	}
	assert_true(refused > 10000);
	free(copy);
}

/* ---- EC keys ---- */

#define EACH_CURVE(c)                                                                              \
	for (unsigned int c = VIRTIO_CRYPTO_CURVE_NIST_P192; c <= VIRTIO_CRYPTO_CURVE_NIST_P521;   \
	     c++)

static void test_ec_keys_of_every_curve(void **state)
{
	const unsigned int bits[] = {0, 192, 224, 256, 384, 521};

	EACH_CURVE(c)
	{
		struct test_key private = test_ec_private(c), public = test_ec_public(c);
		struct der_ec key;

		assert_int_equal(der_ec_bits(c), bits[c]);
		assert_int_equal(der_ec_private(private.der, (size_t) private.len, c, &key), 0);
		assert_int_equal(key.scalar_len, (bits[c] + 7) / 8);
		assert_int_equal(key.point_len, public.len);
		assert_memory_equal(key.point, public.der, (size_t) public.len);
		assert_int_equal(der_ec_public(public.der, (size_t) public.len, c, &key), 0);
		assert_null(key.scalar);
		/* Of another curve, neither is right. */
		EACH_CURVE(other)
		{
			int wanted = other == c ? 0 : -EINVAL;

			assert_int_equal(
				der_ec_private(private.der, (size_t) private.len, other, &key),
				wanted);
			assert_int_equal(
				der_ec_public(public.der, (size_t) public.len, other, &key),
				wanted);
		}
	}
	assert_int_equal(der_ec_bits(0), 0);
	assert_int_equal(der_ec_bits(6), 0);
}

static void test_ec_key_cut_short_or_with_more(void **state)
{
	struct test_key private = test_ec_private(VIRTIO_CRYPTO_CURVE_NIST_P256);
	struct test_key public = test_ec_public(VIRTIO_CRYPTO_CURVE_NIST_P256);
	struct der_ec key;

	for (size_t n = 0; n <= (size_t) private.len + 1; n++) {
		uint8_t *part = calloc(1, n + 1);

		memcpy(part + 1, private.der, vc_min(n, (size_t) private.len));
		assert_int_equal(der_ec_private(part + 1, n, VIRTIO_CRYPTO_CURVE_NIST_P256, &key),
		                 n == (size_t) private.len ? 0 : -EINVAL);
		memcpy(part + 1, public.der, vc_min(n, (size_t) public.len));
		assert_int_equal(der_ec_public(part + 1, n, VIRTIO_CRYPTO_CURVE_NIST_P256, &key),
		                 n == (size_t) public.len ? 0 : -EINVAL);
		free(part);
	}
}

/* SEQUENCE { 1, scalar } of P-256 with a scalar of so many bytes; returns its length. */
static size_t bare_ec_key(uint8_t *der, const uint8_t *scalar, size_t len)
{
	const uint8_t head[] = {0x30, (uint8_t)(5 + len), 2, 1, 1, 4, (uint8_t)len};

	memcpy(der, head, sizeof(head));
	memcpy(der + sizeof(head), scalar, len);
	return sizeof(head) + len;
}

static void test_ec_scalars_lie_below_the_order(void **state)
{
	static const uint8_t order[] = {0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,
	                                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	                                0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
	                                0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
	uint8_t scalar[34] = {0}, der[64];
	struct der_ec key;
	const struct {
		uint8_t len;
		int add; /* to the order; or a value of its own when `of` is 0 */
		uint8_t of;
		int wanted;
	} cases[] = {
		{32, -1, 1, 0},      {32, 0, 1, -EINVAL}, {32, 1, 1, -EINVAL},
		{32, 0, 0, -EINVAL}, {32, 1, 0, 0},       {1, 1, 0, 0},
		{1, 0, 0, -EINVAL},  {33, 1, 0, -EINVAL}, {0, 0, 0, -EINVAL},
	};

	for (size_t i = 0; i < vc_array_size(cases); i++) {
		memset(scalar, 0, sizeof(scalar));
		if (cases[i].of)
			memcpy(scalar, order, 32);
		if (cases[i].len)
			scalar[cases[i].len - 1] =
				(uint8_t)(scalar[cases[i].len - 1] + cases[i].add);
		size_t n = bare_ec_key(der, scalar, cases[i].len);

		assert_int_equal(der_ec_private(der, n, VIRTIO_CRYPTO_CURVE_NIST_P256, &key),
		                 cases[i].wanted);
		if (!cases[i].wanted) {
			assert_int_equal(key.scalar_len, cases[i].len);
			assert_null(key.point);
		}
	}
}

/* The name of P-256 with bytes missing or added; a name in a longer wrapping. */
static void test_ec_keys_name_their_curve_in_full(void **state)
{
	static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 0};
	const uint8_t scalar[32] = {1};
	struct der_ec key;

	for (unsigned int len = 0; len <= sizeof(oid); len++) {
		for (unsigned int more = 0; more < 2; more++) {
			uint8_t der[64] = {0};
			size_t n = bare_ec_key(der, scalar, sizeof(scalar));

			der[1] = (uint8_t)(der[1] + 4 + len + more);
			der[n] = 0xa0;
			der[n + 1] = (uint8_t)(2 + len + more);
			der[n + 2] = 6;
			der[n + 3] = (uint8_t)len;
			memcpy(der + n + 4, oid, len);
			assert_int_equal(der_ec_private(der, n + 4 + len + more,
			                                VIRTIO_CRYPTO_CURVE_NIST_P256, &key),
			                 len == 8 && !more ? 0 : -EINVAL);
		}
	}
}

static void test_ec_points_have_their_form(void **state)
{
	const struct {
		uint8_t form;
		size_t len;
		int wanted;
	} cases[] = {
		{4, 65, 0},       {2, 33, 0},       {3, 33, 0},       {4, 33, -EINVAL},
		{2, 65, -EINVAL}, {6, 65, -EINVAL}, {0, 1, -EINVAL},  {4, 64, -EINVAL},
		{5, 33, -EINVAL}, {3, 32, -EINVAL}, {4, 97, -EINVAL},
	};
	uint8_t point[97] = {0};
	struct der_ec key;

	for (size_t i = 0; i < vc_array_size(cases); i++) {
		point[0] = cases[i].form;
		assert_int_equal(
			der_ec_public(point, cases[i].len, VIRTIO_CRYPTO_CURVE_NIST_P256, &key),
			cases[i].wanted);
	}
}

/* A key of 121 bytes with every byte changed in every way: refused, or with sane pointers. */
static void test_mangled_ec_keys_are_no_keys_or_sane(void **state)
{
	struct test_key good = test_ec_private(VIRTIO_CRYPTO_CURVE_NIST_P256);
	uint8_t *copy = malloc((size_t)good.len);
	unsigned int refused = 0;
	struct der_ec key;

	for (int at = 0; at < good.len; at++) {
		for (unsigned int value = 0; value < 256; value++) {
			memcpy(copy, good.der, (size_t)good.len);
			copy[at] = (uint8_t)value;
			if (der_ec_private(copy, (size_t)good.len, VIRTIO_CRYPTO_CURVE_NIST_P256,
			                   &key) < 0) {
				refused++;
				continue;
			}
			assert_true(key.scalar > copy && key.scalar_len == 32);
			assert_true(key.scalar + 32 <= copy + good.len);
			assert_true(!key.point || key.point + key.point_len == copy + good.len);
		}
	}
	/* Tags, lengths, version and the curve's name: 255 wrong values for each of their bytes. */
	assert_true(refused > 20 * 255);
	free(copy);
}

/* ---- ECDSA signatures ---- */

static const struct {
	unsigned int curve, size;
} orders[] = {
	{VIRTIO_CRYPTO_CURVE_NIST_P192, 24}, {VIRTIO_CRYPTO_CURVE_NIST_P224, 28},
	{VIRTIO_CRYPTO_CURVE_NIST_P256, 32}, {VIRTIO_CRYPTO_CURVE_NIST_P384, 48},
	{VIRTIO_CRYPTO_CURVE_NIST_P521, 66},
};

/* A number of any length up to size, right-aligned; not 0. */
static void any_number(uint64_t *seed, uint8_t *number, size_t size)
{
	size_t len = 1 + guest_random(seed) % size;

	memset(number, 0, size);
	for (size_t i = size - len; i < size; i++)
		number[i] = (uint8_t)guest_random(seed);
	number[size - 1] |= 1;
}

/* What libcrypto makes of the same two numbers. */
static size_t reference_signature(const uint8_t *r, const uint8_t *s, size_t size, uint8_t *der)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	uint8_t *at = der;
	int len;

	assert_int_equal(
		ECDSA_SIG_set0(sig, BN_bin2bn(r, (int)size, NULL), BN_bin2bn(s, (int)size, NULL)),
		1);
	len = i2d_ECDSA_SIG(sig, &at);
	assert_in_range(len, 8, DER_ECDSA_MAX);
	ECDSA_SIG_free(sig);
	return (size_t)len;
}

static void test_signatures_are_written_and_read_as_libcrypto_does(void **state)
{
	uint8_t r[66], s[66], r2[66], s2[66], der[DER_ECDSA_MAX], expected[DER_ECDSA_MAX];
	uint64_t seed = 11;

	for (size_t i = 0; i < 2000 * vc_array_size(orders); i++) {
		unsigned int curve = orders[i % vc_array_size(orders)].curve;
		size_t size = orders[i % vc_array_size(orders)].size, len;

		any_number(&seed, r, size);
		any_number(&seed, s, size);
		len = der_ecdsa_write(der, curve, r, s);
		assert_int_equal(len, reference_signature(r, s, size, expected));
		assert_memory_equal(der, expected, len);
		assert_int_equal(der_ecdsa_read(der, len, curve, r2, s2), 0);
		assert_memory_equal(r, r2, size);
		assert_memory_equal(s, s2, size);
		assert_int_equal(der_ecdsa_read(der, len - 1, curve, r2, s2), -EINVAL);
	}
	assert_int_equal(der_ecdsa_write(der, 99, r, s), 0);
	assert_int_equal(der_ecdsa_read(der, 8, 99, r, s), -EINVAL);
}

/* What we read, libcrypto reads and writes the same way: there is one form of a signature. */
static void test_mangled_signatures_are_refused_or_in_one_form(void **state)
{
	uint8_t r[66], s[66], der[DER_ECDSA_MAX], again[DER_ECDSA_MAX + 64];
	unsigned int read = 0;
	uint64_t seed = 12;

	for (int i = 0; i < 200000; i++) {
		const unsigned char *at = der;
		unsigned char *to = again;
		ECDSA_SIG *sig;
		size_t len;

		any_number(&seed, r, 32);
		any_number(&seed, s, 32);
		len = der_ecdsa_write(der, VIRTIO_CRYPTO_CURVE_NIST_P256, r, s);
		der[guest_random(&seed) % len] ^= (uint8_t)(1u << guest_random(&seed) % 8);
		if (der_ecdsa_read(der, len, VIRTIO_CRYPTO_CURVE_NIST_P256, r, s) < 0)
			continue;
		read++;
		sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
		assert_non_null(sig);
		assert_int_equal(i2d_ECDSA_SIG(sig, &to), len);
		assert_memory_equal(again, der, len);
		ECDSA_SIG_free(sig);
	}
	/* Most flips hit the numbers. */
	assert_true(read > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rsa_keys_and_their_size),
		cmocka_unit_test(test_rsa_numbers_are_those_of_the_key),
		cmocka_unit_test(test_rsa_key_cut_short_or_with_more),
		cmocka_unit_test(test_der_that_is_not_strict),
		cmocka_unit_test(test_a_public_modulus_may_lack_its_sign),
		cmocka_unit_test(test_keys_in_another_form),
		cmocka_unit_test(test_mangled_keys_are_no_keys_or_sane),
		cmocka_unit_test(test_ec_keys_of_every_curve),
		cmocka_unit_test(test_ec_key_cut_short_or_with_more),
		cmocka_unit_test(test_ec_scalars_lie_below_the_order),
		cmocka_unit_test(test_ec_keys_name_their_curve_in_full),
		cmocka_unit_test(test_ec_points_have_their_form),
		cmocka_unit_test(test_mangled_ec_keys_are_no_keys_or_sane),
		cmocka_unit_test(test_signatures_are_written_and_read_as_libcrypto_does),
		cmocka_unit_test(test_mangled_signatures_are_refused_or_in_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
