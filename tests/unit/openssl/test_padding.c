/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA padding around an operation that is done elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include "openssl/provider/rsa_padding.h"

#define SIZE 256

/* A premaster secret of this version in its padding. */
static void make_block(uint8_t block[SIZE], unsigned int version)
{
	memset(block, 0x5a, SIZE);
	block[0] = 0;
	block[1] = 2;
	block[SIZE - TLS_PREMASTER - 1] = 0;
	block[SIZE - TLS_PREMASTER] = (uint8_t)(version >> 8);
	block[SIZE - TLS_PREMASTER + 1] = (uint8_t)version;
	for (unsigned int i = 2; i < TLS_PREMASTER; i++)
		block[SIZE - TLS_PREMASTER + i] = (uint8_t)i;
}

static bool accepted(const uint8_t block[SIZE], unsigned int version, unsigned int other)
{
	uint8_t out[TLS_PREMASTER];

	assert_int_equal(rsa_padding_tls(block, SIZE, version, other, out), TLS_PREMASTER);
	return !memcmp(out, block + SIZE - TLS_PREMASTER, TLS_PREMASTER);
}

static void test_tls_accepts_what_is_right(void **state)
{
	uint8_t block[SIZE];

	make_block(block, 0x303);
	assert_true(accepted(block, 0x303, 0));
	assert_true(accepted(block, 0x303, 0x302));
	make_block(block, 0x302);
	assert_true(accepted(block, 0x303, 0x302));
}

static void test_tls_hides_what_is_wrong(void **state)
{
	uint8_t block[SIZE], first[TLS_PREMASTER], second[TLS_PREMASTER];

	make_block(block, 0x302);
	assert_false(accepted(block, 0x303, 0));
	make_block(block, 0x300);
	assert_false(accepted(block, 0x303, 0x302));
	for (unsigned int i = 0; i < SIZE - TLS_PREMASTER; i++) {
		make_block(block, 0x303);
		/* 0 in the padding, something else where 0 must be. */
		block[i] = block[i] && i != 1 ? 0 : 1;
		assert_false(accepted(block, 0x303, 0));
	}
	/* Random, so never the same. */
	rsa_padding_tls(block, SIZE, 0x303, 0, first);
	rsa_padding_tls(block, SIZE, 0x303, 0, second);
	assert_memory_not_equal(first, second, TLS_PREMASTER);
}

static void test_tls_wants_room_for_padding(void **state)
{
	uint8_t block[SIZE], out[TLS_PREMASTER];

	make_block(block, 0x303);
	assert_int_equal(rsa_padding_tls(block, 58, 0x303, 0, out), -1);
	assert_int_equal(rsa_padding_tls(block, 0, 0x303, 0, out), -1);
	assert_int_equal(rsa_padding_tls(block, 59, 0x303, 0, out), TLS_PREMASTER);
}

static void test_secret_numbers(void **state)
{
	static const size_t sizes[] = {1, 7, 8, 9, 256, 512};
	uint8_t in[512], out[512];
	BIGNUM *number = BN_new();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t zeros = 0; zeros <= sizes[i]; zeros++) {
			memset(in, 0xa5, sizeof(in));
			memset(in, 0, zeros);
			assert_true(rsa_padding_secret(number, in, sizes[i]));
			assert_int_equal(BN_bn2binpad(number, out, (int)sizes[i]), sizes[i]);
			assert_memory_equal(in, out, sizes[i]);
		}
	}
	assert_false(rsa_padding_secret(number, in, 1 << 20));
	BN_free(number);
}

/* The object of a key on which the private operation does nothing. */
static RSA *make_object(EVP_PKEY *key)
{
	static const char *const names[] = {"n",
	                                    "e",
	                                    "d",
	                                    "rsa-factor1",
	                                    "rsa-factor2",
	                                    "rsa-exponent1",
	                                    "rsa-exponent2",
	                                    "rsa-coefficient1"};
	BIGNUM *number[8] = {NULL};
	RSA *rsa = rsa_padding_object();

	assert_non_null(rsa);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(EVP_PKEY_get_bn_param(key, names[i], &number[i]), 1);
	RSA_set0_key(rsa, number[0], number[1], number[2]);
	RSA_set0_factors(rsa, number[3], number[4]);
	RSA_set0_crt_params(rsa, number[5], number[6], number[7]);
	return rsa;
}

static void test_object_only_pads(void **state)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	RSA *rsa = make_object(key);
	uint8_t digest[32], block[SIZE];
	unsigned int n = 0;

	memset(digest, 7, sizeof(digest));
	assert_int_equal(RSA_sign(NID_sha256, digest, sizeof(digest), block, &n, rsa), 1);
	assert_int_equal(n, SIZE);
	/* RFC 8017, 9.2: 00 01 ff.. 00 DigestInfo. */
	assert_int_equal(block[0], 0);
	assert_int_equal(block[1], 1);
	for (unsigned int i = 2; i < SIZE - 52; i++)
		assert_int_equal(block[i], 0xff);
	assert_int_equal(block[SIZE - 52], 0);
	assert_memory_equal(block + SIZE - 51, "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65", 11);
	assert_memory_equal(block + SIZE - 32, digest, 32);
	RSA_free(rsa);
	EVP_PKEY_free(key);
}

static void test_object_unpads_a_ready_block(void **state)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	RSA *rsa = make_object(key);
	uint8_t in[SIZE] = {0}, block[SIZE], out[SIZE];

	in[10] = 1; /* a ciphertext; what it is decrypted to comes from elsewhere */
	make_block(block, 0x303);
	assert_int_equal(rsa_padding_decrypt(NULL, rsa, RSA_PKCS1_PADDING, in, SIZE, block, out),
	                 48);
	assert_memory_equal(out, block + SIZE - 48, 48);
	RSA_free(rsa);
	EVP_PKEY_free(key);
}

static void test_negative(void **state)
{
	assert_int_equal(rsa_padding_negative(-1), UINT32_MAX);
	assert_int_equal(rsa_padding_negative(INT32_MIN), UINT32_MAX);
	assert_int_equal(rsa_padding_negative(0), 0);
	assert_int_equal(rsa_padding_negative(INT32_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls_accepts_what_is_right),
		cmocka_unit_test(test_tls_hides_what_is_wrong),
		cmocka_unit_test(test_tls_wants_room_for_padding),
		cmocka_unit_test(test_secret_numbers),
		cmocka_unit_test(test_object_only_pads),
		cmocka_unit_test(test_object_unpads_a_ready_block),
		cmocka_unit_test(test_negative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
