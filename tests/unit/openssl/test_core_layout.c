/* SPDX-License-Identifier: Apache-2.0 */
/* Where an operation's data lies in a slot's buffer: no two parts overlap, nothing runs over. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "openssl/core/internal.h"

#define SIZE 16896u

static uint8_t bytes[1];

static const struct vce_session_params cbc = {.service = VCRYPTO_SERVICE_CIPHER};
static const struct vce_session_params chain = {
	.service = VCRYPTO_SERVICE_CIPHER, .chain = VCRYPTO_CHAIN_CIPHER_THEN_HASH, .tag_len = 20};
static const struct vce_session_params seal = {.service = VCRYPTO_SERVICE_AEAD,
                                               .direction = VCRYPTO_ENCRYPT};
static const struct vce_session_params open = {.service = VCRYPTO_SERVICE_AEAD,
                                               .direction = VCRYPTO_DECRYPT};
static const struct vce_session_params rsa = {.service = VCRYPTO_SERVICE_AKCIPHER};

static struct core_op good(uint32_t length)
{
	return (struct core_op){
		.src = bytes,
		.dst = bytes,
		.length = length,
		.dst_len = 512,
		.aad = bytes,
		.aad_len = 13,
		.tag = bytes,
		.tag_len = 16,
	};
}

static void tag_follows_data_and_aad_the_tag(void **state)
{
	struct core_op op = good(1000);
	struct layout l;

	assert_int_equal(layout_op(&seal, &op, SIZE, &l), 0);
	assert_int_equal(l.dst, 0);
	assert_int_equal(l.tag, 1000);
	assert_int_equal(l.aad, 1016);
	assert_true(l.tag_out && !l.tag_in);
	assert_int_equal(layout_op(&open, &op, SIZE, &l), 0);
	assert_true(l.tag_in && !l.tag_out);
}

static void lengths_of_tags_have_defaults(void **state)
{
	struct core_op op = good(64);
	struct layout l;

	op.tag_len = 0;
	op.cipher_len = 64;
	assert_int_equal(layout_op(&seal, &op, SIZE, &l), 0);
	assert_int_equal(l.tag_len, 16);
	assert_int_equal(layout_op(&chain, &op, SIZE, &l), 0);
	assert_int_equal(l.tag_len, 20);
}

static void additional_data_of_chains_comes_first(void **state)
{
	struct core_op op = good(100);
	struct layout l;

	op.cipher_len = 96;
	assert_int_equal(layout_op(&chain, &op, SIZE, &l), 0);
	assert_int_equal(l.src, 16);
	assert_int_equal(l.aad, 3);
	assert_int_equal(l.lead, 13);
	assert_int_equal(l.dst, 16);
	assert_int_equal(l.dst_len, 96);
	assert_int_equal(l.tag, 116);
	op.aad_len = 0;
	assert_int_equal(layout_op(&chain, &op, SIZE, &l), 0);
	assert_int_equal(l.src, 0);
	assert_int_equal(l.lead, 0);
}

static void results_of_rsa_lie_apart(void **state)
{
	struct core_op op = good(257);
	struct layout l;

	op.akcipher_op = VCRYPTO_AKCIPHER_SIGN;
	assert_int_equal(layout_op(&rsa, &op, SIZE, &l), 0);
	assert_int_equal(l.dst, 320);
	assert_int_equal(l.dst_len, 512);
	op.akcipher_op = VCRYPTO_AKCIPHER_VERIFY;
	assert_int_equal(layout_op(&rsa, &op, SIZE, &l), 0);
	assert_int_equal(l.tag, 257);
	assert_true(l.tag_in);
	assert_int_equal(l.dst_len, 0);
}

static void what_fills_the_buffer_fits_and_a_byte_more_does_not(void **state)
{
	struct core_op op = good(SIZE);
	struct layout l;

	assert_int_equal(layout_op(&cbc, &op, SIZE, &l), -EINVAL); /* additional data */
	op.aad_len = 0;
	assert_int_equal(layout_op(&cbc, &op, SIZE, &l), 0);
	op.length++;
	assert_int_equal(layout_op(&cbc, &op, SIZE, &l), -EINVAL);
	op = good(SIZE - 29);
	assert_int_equal(layout_op(&seal, &op, SIZE, &l), 0);
	op.aad_len++;
	assert_int_equal(layout_op(&seal, &op, SIZE, &l), -EINVAL);
	op.aad_len = UINT32_MAX; /* the sum wraps in 32 bits */
	assert_int_equal(layout_op(&seal, &op, SIZE, &l), -EINVAL);
	op = good(SIZE - 16 - 20); /* additional data takes a block */
	op.tag_len = 20;
	op.cipher_len = 16;
	assert_int_equal(layout_op(&chain, &op, SIZE, &l), 0);
	op.length++;
	assert_int_equal(layout_op(&chain, &op, SIZE, &l), -EINVAL);
	op.length = SIZE;
	assert_int_equal(layout_op(&chain, &op, SIZE, &l), -EINVAL);
	op = good(SIZE - 512);
	assert_int_equal(layout_op(&rsa, &op, SIZE, &l), 0);
	op.dst_len++;
	assert_int_equal(layout_op(&rsa, &op, SIZE, &l), -EINVAL);
	op.dst_len = UINT32_MAX;
	assert_int_equal(layout_op(&rsa, &op, SIZE, &l), -EINVAL);
}

static void what_is_missing_or_wrong_is_refused(void **state)
{
	struct core_op op = good(64);
	struct layout l;

	op.tag = NULL;
	assert_int_equal(layout_op(&seal, &op, SIZE, &l), -EINVAL);
	op = good(64);
	op.src = NULL;
	assert_int_equal(layout_op(&cbc, &op, SIZE, &l), -EINVAL);
	op = good(64);
	op.dst = NULL;
	assert_int_equal(layout_op(&cbc, &op, SIZE, &l), -EINVAL);
	assert_int_equal(layout_op(&rsa, &op, SIZE, &l), -EINVAL);
	op = good(64);
	op.iv_len = 17;
	assert_int_equal(layout_op(&cbc, &op, SIZE, &l), -EINVAL);
	op = good(64);
	op.tag_len = 17;
	assert_int_equal(layout_op(&seal, &op, SIZE, &l), -EINVAL);
	op = good(64);
	assert_int_equal(layout_op(&chain, &op, SIZE, &l), -EINVAL); /* nothing to encipher */
	op.cipher_len = 65;
	assert_int_equal(layout_op(&chain, &op, SIZE, &l), -EINVAL);
	op.cipher_len = 64;
	op.aad = NULL;
	assert_int_equal(layout_op(&chain, &op, SIZE, &l), -EINVAL);
	op = good(64);
	op.akcipher_op = VCRYPTO_AKCIPHER_GENERATE + 1;
	assert_int_equal(layout_op(&rsa, &op, SIZE, &l), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tag_follows_data_and_aad_the_tag),
		cmocka_unit_test(lengths_of_tags_have_defaults),
		cmocka_unit_test(additional_data_of_chains_comes_first),
		cmocka_unit_test(results_of_rsa_lie_apart),
		cmocka_unit_test(what_fills_the_buffer_fits_and_a_byte_more_does_not),
		cmocka_unit_test(what_is_missing_or_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
