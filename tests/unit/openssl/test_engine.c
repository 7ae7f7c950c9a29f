/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ENGINE on a client that needs no daemon: all cases with everything offloaded, with operations
 * that fail, and without a daemon; what becomes of results that are wrong; how keys end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include "functional/openssl_engine/cases_engine.h"
#include "soft_core.h"

int bind_engine(ENGINE *e, const char *id, const dynamic_fns *functions);

static ENGINE *open_engine(const char *policy, const char *fallback)
{
	dynamic_fns functions = {.static_state = ENGINE_get_static_state()};
	ENGINE *e = ENGINE_new();

	soft_core_reset();
	assert_non_null(e);
	assert_int_equal(bind_engine(e, "vcrypto", &functions), 1);
	assert_int_equal(ENGINE_ctrl_cmd_string(e, "POLICY", policy, 0), 1);
	assert_int_equal(ENGINE_ctrl_cmd_string(e, "FALLBACK", fallback, 0), 1);
	assert_int_equal(ENGINE_init(e), 1);
	return e;
}

static void close_engine(ENGINE *e)
{
	/* With its objects, a key has gone from the daemon. */
	assert_int_equal(soft_core.keys, 0);
	assert_int_equal(ENGINE_finish(e), 1);
	assert_int_equal(ENGINE_free(e), 1);
}

/* What the older interface does not have, or we do not. */
static bool is_here(const struct test_case *one)
{
	return strcmp(one->name, "cbc: TLS records") != 0 &&
	       strcmp(one->name, "stitched: several records at once") != 0 &&
	       strcmp(one->name, "ciphers: other names") != 0;
}

static void run(const struct test_case *cases, ENGINE *e, bool in_job)
{
	struct env env = {.engine = e, .large = 1 << 20};

	for (; cases->name; cases++) {
		ERR_clear_error();
		if (!is_here(cases) ||
		    (in_job ? run_in_job(cases->run, &env, NULL) : cases->run(&env)))
			continue;
		ERR_print_errors_fp(stderr);
		fail_msg("%s", cases->name);
	}
}

static void run_all(ENGINE *e, bool in_job)
{
	run(engine_rsa_cases, e, in_job);
	run(engine_ec_cases, e, in_job);
	run(engine_pipe_cases, e, in_job);
	run(cipher_cases, e, in_job);
	run(stitched_cases, e, in_job);
	run(gcm_cases, e, in_job);
}

static void test_everything_offloaded(void **state)
{
	ENGINE *e = open_engine("always", "off");

	run_all(e, false);
	run_all(e, true);
	assert_int_equal(soft_core.failures, 0);
	assert_true(soft_core.operations > 5000);
	close_engine(e);
}

static void test_some_operations_fail(void **state)
{
	static const int errors[] = {-EIO, -ETIMEDOUT, -ENOTSUP};

	for (size_t i = 0; i < 3; i++) {
		ENGINE *e = open_engine("always", "on");

		soft_core.fail_every = 2 + (unsigned int)i;
		soft_core.error = errors[i];
		run_all(e, true);
		assert_true(soft_core.failures > 100);
		close_engine(e);
	}
}

static void test_all_operations_fail(void **state)
{
	ENGINE *e = open_engine("always", "on");

	soft_core.fail_every = 1;
	soft_core.error = -EPIPE;
	run_all(e, true);
	assert_int_equal(soft_core.operations, soft_core.failures);
	close_engine(e);
}

static void test_no_daemon(void **state)
{
	ENGINE *e = open_engine("always", "on");

	soft_core.available = false;
	run_all(e, true);
	assert_int_equal(soft_core.operations, 0);
	close_engine(e);
}

static void test_small_operations_only(void **state)
{
	ENGINE *e = open_engine("always", "on");

	soft_core.max_size = 1024;
	run(cipher_cases, e, false);
	run(stitched_cases, e, false);
	run(gcm_cases, e, false);
	run(engine_pipe_cases, e, false);
	close_engine(e);
}

static void test_never(void **state)
{
	ENGINE *e = open_engine("never", "off");

	run_all(e, false);
	assert_int_equal(soft_core.operations, 0);
	close_engine(e);
}

/* ----------------------------------------------------------------------------- private keys */

#define TEXT 32

static RSA *make_rsa(ENGINE *e)
{
	RSA *rsa = RSA_new_method(e);
	BIGNUM *exponent = BN_new();

	assert_true(rsa && exponent && BN_set_word(exponent, RSA_F4));
	assert_int_equal(RSA_generate_key_ex(rsa, 2048, exponent, NULL), 1);
	BN_free(exponent);
	return rsa;
}

static EC_KEY *make_ec(ENGINE *e)
{
	EC_KEY *ec = EC_KEY_new_method(e);
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);

	assert_true(ec && group && EC_KEY_set_group(ec, group) && EC_KEY_generate_key(ec));
	EC_GROUP_free(group);
	return ec;
}

/* What the device does wrong is done in software instead, and nobody sees it. */
static void test_wrong_results_are_not_used(void **state)
{
	static const uint8_t text[TEXT] = {1};
	ENGINE *e = open_engine("always", "on");
	EC_KEY *ec = make_ec(e);
	RSA *rsa = make_rsa(e);
	uint8_t sig[256];
	unsigned int n = 0;

	soft_core.wrong = true;
	assert_int_equal(RSA_sign(NID_sha256, text, TEXT, sig, &n, rsa), 1);
	assert_int_equal(RSA_verify(NID_sha256, text, TEXT, sig, n, rsa), 1);
	assert_int_equal(soft_core.operations, 1);
	assert_int_equal(ECDSA_sign(0, text, TEXT, sig, &n, ec), 1);
	assert_int_equal(ECDSA_verify(0, text, TEXT, sig, (int)n, ec), 1);
	assert_int_equal(soft_core.operations, 2);
	/* The device is not asked again for what it cannot. */
	assert_int_equal(ECDSA_sign(0, text, TEXT, sig, &n, ec), 1);
	assert_int_equal(soft_core.operations, 2);
	EC_KEY_free(ec);
	RSA_free(rsa);
	close_engine(e);
}

static void test_wrong_results_without_fall_back(void **state)
{
	static const uint8_t text[TEXT] = {1};
	ENGINE *e = open_engine("always", "off");
	EC_KEY *ec = make_ec(e), *other = make_ec(e);
	RSA *rsa = make_rsa(e);
	uint8_t sig[256] = {0}, cipher[256];
	unsigned int n = 0;

	assert_int_equal(RSA_public_encrypt(TEXT, text, cipher, rsa, RSA_PKCS1_PADDING), 256);
	soft_core.wrong = true;
	assert_int_equal(RSA_private_encrypt(TEXT, text, sig, rsa, RSA_PKCS1_PADDING), -1);
	assert_int_equal(RSA_private_decrypt(256, cipher, sig, rsa, RSA_PKCS1_PADDING), -1);
	assert_int_equal(ECDSA_sign(0, text, TEXT, sig, &n, ec), 0);
	assert_int_equal(n, 0);
	assert_null(ECDSA_do_sign(text, TEXT, other));
	for (size_t i = 0; i < sizeof(sig); i++)
		assert_int_equal(sig[i], 0);
	assert_string_equal(ERR_reason_error_string(ERR_peek_last_error()), "not offloaded");
	ERR_clear_error();
	EC_KEY_free(ec);
	EC_KEY_free(other);
	RSA_free(rsa);
	close_engine(e);
}

/* All records of a call are one operation each, and one call of the client. */
static void test_records_of_a_pipeline_are_offloaded(void **state)
{
	uint8_t key[32] = {1}, iv[16] = {2}, data[8][64], *buffers[8];
	ENGINE *e = open_engine("always", "off");
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	size_t sizes[8];

	for (int i = 0; i < 8; i++) {
		buffers[i] = data[i];
		sizes[i] = sizeof(data[i]);
	}
	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_cbc(), e, key, iv), 1);
	assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_SET_PIPELINE_OUTPUT_BUFS, 8, buffers));
	assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_SET_PIPELINE_INPUT_BUFS, 8, buffers));
	assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_SET_PIPELINE_INPUT_LENS, 8, sizes));
	assert_int_equal(EVP_Cipher(ctx, data[0], data[0], 64), 1);
	assert_int_equal(soft_core.operations, 8);
	EVP_CIPHER_CTX_free(ctx);
	close_engine(e);
}

static void test_another_id_is_refused(void **state)
{
	dynamic_fns functions = {.static_state = ENGINE_get_static_state()};
	ENGINE *e = ENGINE_new();

	assert_int_equal(bind_engine(e, "another", &functions), 0);
	ENGINE_free(e);
}

static int forget_keys(void **state)
{
	engine_rsa_cases_forget_keys();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_id_is_refused),
		cmocka_unit_test(test_everything_offloaded),
		cmocka_unit_test(test_some_operations_fail),
		cmocka_unit_test(test_all_operations_fail),
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_small_operations_only),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_wrong_results_are_not_used),
		cmocka_unit_test(test_wrong_results_without_fall_back),
		cmocka_unit_test(test_records_of_a_pipeline_are_offloaded),
	};

	return cmocka_run_group_tests(tests, NULL, forget_keys);
}
