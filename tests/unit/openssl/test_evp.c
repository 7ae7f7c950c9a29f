/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider on a client that needs no daemon: all cases with everything offloaded, with
 * operations that fail, and without a daemon; and what is offloaded at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include "loaded.h"
#include "soft_core.h"

static void run(const struct test_case *cases, struct loaded *l, bool in_job)
{
	struct env env = {.libctx = l->libctx, .large = 1 << 21};

	for (; cases->name; cases++) {
		ERR_clear_error();
		if (in_job ? run_in_job(cases->run, &env, NULL) : cases->run(&env))
			continue;
		ERR_print_errors_fp(stderr);
		fail_msg("%s", cases->name);
	}
}

static void run_all(struct loaded *l, bool in_job)
{
	run(cipher_cases, l, in_job);
	run(ctr_cases, l, in_job);
	run(xts_cases, l, in_job);
	run(stitched_cases, l, in_job);
	run(gcm_cases, l, in_job);
	run(ccm_cases, l, in_job);
	run(chacha_cases, l, in_job);
	run(aead_tls_cases, l, in_job);
	run(pipeline_cases, l, in_job);
	run(rsa_cases, l, in_job);
	run(ecdsa_cases, l, in_job);
	run(agreement_cases, l, in_job);
}

static void test_everything_offloaded(void **state)
{
	struct loaded l;

	assert_true(load(&l, "always", "off"));
	run_all(&l, false);
	run_all(&l, true);
	assert_int_equal(soft_core.failures, 0);
	assert_true(soft_core.operations > 5000);
	unload(&l);
}

/* Only where that was said, and then for whoever asks. */
static void test_keys_of_the_device(void **state)
{
	struct loaded l;

	for (int on = 0; on < 2; on++) {
		loaded_generate = on;
		assert_true(load(&l, "always", "off"));
		loaded_generate = false;
		run(ecdsa_cases, &l, on);
		run(agreement_cases, &l, false);
		run(agreement_cases, &l, true);
		assert_int_equal(soft_core.failures, 0);
		assert_int_equal(soft_core.generated > 20, on);
		assert_true(on || !soft_core.generated);
		unload(&l);
	}
}

/* Software makes it then; the device is not believed that a point is one. */
static void test_keys_that_the_device_does_not_make(void **state)
{
	struct loaded l;

	for (int wrong = 0; wrong < 2; wrong++) {
		EVP_PKEY *key;

		loaded_generate = true;
		assert_true(load(&l, "always", "on"));
		loaded_generate = false;
		soft_core.wrong = wrong;
		soft_core.fail_every = !wrong;
		soft_core.error = -EIO;
		key = EVP_PKEY_Q_keygen(l.libctx, OURS, "EC", "P-384");
		assert_non_null(key);
		assert_int_equal(soft_core.operations, 1);
		soft_core.wrong = false;
		EVP_PKEY_free(key);
		unload(&l);
	}
}

static void test_some_operations_fail(void **state)
{
	static const int errors[] = {-EIO, -ETIMEDOUT, -ENOTSUP};
	struct loaded l;

	for (size_t i = 0; i < 3; i++) {
		assert_true(load(&l, "always", "on"));
		soft_core.fail_every = 2 + (unsigned int)i;
		soft_core.error = errors[i];
		run_all(&l, true);
		assert_true(soft_core.failures > 100);
		unload(&l);
	}
}

static void test_all_operations_fail(void **state)
{
	struct loaded l;

	assert_true(load(&l, "always", "on"));
	soft_core.fail_every = 1;
	soft_core.error = -EPIPE;
	run_all(&l, true);
	assert_int_equal(soft_core.operations, soft_core.failures);
	unload(&l);
}

static void test_no_daemon(void **state)
{
	struct loaded l;

	assert_true(load(&l, "always", "on"));
	soft_core.available = false;
	run_all(&l, true);
	assert_int_equal(soft_core.operations, 0);
	unload(&l);
}

/* Small pieces of large operations: one at a time must be enough. */
static void test_small_operations_only(void **state)
{
	struct loaded l;

	assert_true(load(&l, "always", "off"));
	soft_core.max_size = 1024;
	run(cipher_cases, &l, false);
	run(ctr_cases, &l, false);
	unload(&l);
	assert_true(load(&l, "always", "on"));
	soft_core.max_size = 1024;
	run(gcm_cases, &l, false);
	run(ccm_cases, &l, false);
	run(chacha_cases, &l, false);
	run(aead_tls_cases, &l, false);
	run(xts_cases, &l, false);
	run(stitched_cases, &l, false);
	unload(&l);
}

static void test_policy_never(void **state)
{
	struct loaded l;

	assert_true(load(&l, "never", "off"));
	run_all(&l, false);
	assert_int_equal(soft_core.operations, 0);
	unload(&l);
}

/* What libssl asks of GCM is all offloaded: of 60 records, half written and read by us. */
static void test_tls_records_are_offloaded(void **state)
{
	struct loaded l;
	struct env env;

	assert_true(load(&l, "always", "off"));
	env = (struct env){.libctx = l.libctx};
	for (const struct test_case *one = gcm_cases; one->name; one++) {
		if (!strstr(one->name, "TLS 1"))
			continue;
		soft_core_reset();
		assert_true(one->run(&env));
		assert_in_range(soft_core.operations, 55, 60);
	}
	/* Of four suites 30 records written by us and by OpenSSL's own, half of them read by us. */
	soft_core_reset();
	assert_true(aead_tls_cases[0].run(&env));
	assert_in_range(soft_core.operations, 176, 180);
	unload(&l);
}

#if OPENSSL_VERSION_PREREQ(3, 5)
/* All messages go together, unless something comes apart: ends of CBC messages do. */
static void test_pipelines_go_together(void **state)
{
	unsigned int together;
	struct loaded l;
	struct env env;

	assert_true(load(&l, "always", "off"));
	env = (struct env){.libctx = l.libctx};
	assert_true(pipeline_cases[0].run(&env));
	together = soft_core.together;
	assert_true(together > 300);
	assert_in_range(soft_core.most, 16, 32);
	unload(&l);
	/* By the default policy: eight and more, where CBC encryption is worth it. */
	assert_true(load(&l, "auto", "off"));
	env.libctx = l.libctx;
	assert_true(pipeline_cases[1].run(&env));
	assert_true(soft_core.operations > 20 && soft_core.together == soft_core.operations);
	unload(&l);
}
#endif

/* Of the records that are written all that have a block of data. */
static void test_stitched_records_are_offloaded(void **state)
{
	const struct test_case *one = stitched_cases;
	struct loaded l;
	struct env env;

	assert_true(load(&l, "always", "off"));
	env = (struct env){.libctx = l.libctx};
	while (strcmp(one->name, "stitched: TLS records") != 0)
		one++;
	soft_core_reset();
	assert_true(one->run(&env));
	assert_in_range(soft_core.operations, 440, 480);
	unload(&l);
}

/* Whole blocks of each message in pieces of at most 16,896 bytes, and nothing beside. */
static void test_counter_mode_is_offloaded(void **state)
{
	struct loaded l;
	struct env env;

	assert_true(load(&l, "always", "off"));
	env = (struct env){.libctx = l.libctx, .large = 1 << 20};
	assert_true(ctr_cases[0].run(&env));
	assert_int_equal(soft_core.operations, 606);
	unload(&l);
}

/*
 * OpenSSL's random number generator uses our AES-256-CTR, and nothing of it may leave the process.
 * It holds a lock meanwhile that a job must not be paused with.
 */
static void test_random_numbers_stay_here(void **state)
{
	struct env env;
	struct loaded l;
	int status = 1;
	pid_t child;

	assert_true(load(&l, "always", "off"));
	assert_true(EVP_set_default_properties(l.libctx, "?provider=vcrypto"));
	env = (struct env){.libctx = l.libctx};
	for (const struct test_case *one = ctr_cases; one->name; one++) {
		if (strcmp(one->name, "ctr: random numbers") != 0 &&
		    strcmp(one->name, "ctr: key apart from IV") != 0)
			continue;
		assert_true(one->run(&env));
		assert_true(run_in_job(one->run, &env, NULL));
		child = fork();
		if (!child)
			_exit(one->run(&env) && !soft_core.operations ? 0 : 1);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	assert_int_equal(soft_core.operations, 0);
	assert_int_equal(soft_core.small, 0);
	assert_int_equal(soft_core.keys, 0);
	unload(&l);
}

static int encrypt(struct loaded *l, const char *name, int size)
{
	static uint8_t in[20000] = {1}, out[20032];
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(l->libctx, name, OURS);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, rc;

	rc = EVP_EncryptInit_ex2(ctx, cipher, in, in, NULL) == 1 &&
	     EVP_EncryptUpdate(ctx, out, &n, in, size) == 1 &&
	     EVP_EncryptFinal_ex(ctx, out + n, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return rc;
}

static void test_fallback_off(void **state)
{
	struct loaded l;

	assert_true(load(&l, "always", "off"));
	assert_true(encrypt(&l, "AES-128-CBC", 4096));
	assert_true(encrypt(&l, "AES-128-GCM", 4096));
	assert_true(encrypt(&l, "AES-256-CTR", 4096));
	assert_true(encrypt(&l, "AES-256-XTS", 4096));
	assert_true(encrypt(&l, "AES-128-CCM", 4096));
	assert_true(encrypt(&l, "ChaCha20-Poly1305", 4096));
	soft_core.available = false;
	assert_false(encrypt(&l, "AES-128-CBC", 4096));
	assert_false(encrypt(&l, "AES-128-GCM", 4096));
	assert_false(encrypt(&l, "AES-256-CTR", 4096));
	assert_false(encrypt(&l, "AES-256-XTS", 4096));
	assert_false(encrypt(&l, "AES-128-CCM", 4096));
	assert_false(encrypt(&l, "ChaCha20-Poly1305", 4096));
	soft_core.available = true;
	soft_core.fail_every = 1;
	soft_core.error = -EIO;
	assert_false(encrypt(&l, "AES-256-CBC", 4096));
	assert_false(encrypt(&l, "AES-256-GCM", 4096));
	assert_false(encrypt(&l, "AES-128-CTR", 4096));
	assert_false(encrypt(&l, "AES-128-XTS", 4096));
	assert_false(encrypt(&l, "AES-256-CCM", 4096));
	assert_false(encrypt(&l, "ChaCha20-Poly1305", 4096));
	unload(&l);
}

static struct loaded *for_job;

static bool job_encrypt(const struct env *env)
{
	return encrypt(for_job, "AES-128-CBC", 8191) && encrypt(for_job, "AES-128-CBC", 8192) &&
	       encrypt(for_job, "AES-128-GCM", 8191) && encrypt(for_job, "AES-128-GCM", 8192);
}

static void test_auto_is_by_size_and_job(void **state)
{
	struct env env = {0};
	struct loaded l;

	for (int set = 0; set < 2; set++) {
		loaded_min_size = set ? "8192" : NULL;
		assert_true(load(&l, "auto", "on"));
		loaded_min_size = NULL;
		for_job = &l;
		assert_true(job_encrypt(NULL));
		assert_int_equal(soft_core.operations, 0);
		soft_core.small = 0;
		assert_true(run_in_job(job_encrypt, &env, NULL));
		/* By default GCM is not. */
		assert_int_equal(soft_core.operations, set ? 2 : 1);
		/* What is smaller, and the last blocks of CBC. */
		assert_int_equal(soft_core.small, set ? 4 : 5);
		unload(&l);
	}
}

static const char *const quick[] = {"AES-128-CTR", "AES-256-XTS", "AES-192-CCM",
                                    "ChaCha20-Poly1305"};

static bool job_encrypt_quick(const struct env *env)
{
	for (size_t i = 0; i < 4; i++)
		CHECK(encrypt(for_job, quick[i], 8191) && encrypt(for_job, quick[i], 8192));
	return true;
}

/* What is as quick in software waits for min-size. */
static void test_auto_leaves_quick_ciphers_alone(void **state)
{
	struct env env = {0};
	struct loaded l;

	for (int set = 0; set < 2; set++) {
		loaded_min_size = set ? "8192" : NULL;
		assert_true(load(&l, "auto", "on"));
		loaded_min_size = NULL;
		for_job = &l;
		assert_true(run_in_job(job_encrypt_quick, &env, NULL));
		assert_int_equal(soft_core.operations, set ? 4 : 0);
		assert_int_equal(soft_core.small, set ? 4 : 8);
		unload(&l);
	}
}

static void test_says_who_it_is(void **state)
{
	struct loaded l;
	char *name = NULL, *version = NULL;
	uint64_t offloaded = 0;
	int status = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_NAME, &name, 0),
		OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_VERSION, &version, 0),
		OSSL_PARAM_construct_int(OSSL_PROV_PARAM_STATUS, &status),
		OSSL_PARAM_construct_uint64("vcrypto-offloaded", &offloaded),
		OSSL_PARAM_construct_end(),
	};

	assert_true(load(&l, "always", "on"));
	assert_true(encrypt(&l, "AES-128-CBC", 4096));
	assert_int_equal(OSSL_PROVIDER_get_params(l.ours, params), 1);
	assert_string_equal(name, "vcrypto");
	assert_string_equal(version, VCRYPTO_VERSION);
	assert_int_equal(status, 1);
	assert_int_equal(offloaded, 2);
	unload(&l);
}

static void test_bad_setting_is_refused(void **state)
{
	struct loaded l;

	assert_false(load(&l, "sometimes", "on"));
	OSSL_PROVIDER_unload(l.theirs);
	OSSL_LIB_CTX_free(l.libctx);
	ERR_clear_error();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says_who_it_is),
		cmocka_unit_test(test_bad_setting_is_refused),
		cmocka_unit_test(test_everything_offloaded),
		cmocka_unit_test(test_keys_of_the_device),
		cmocka_unit_test(test_keys_that_the_device_does_not_make),
		cmocka_unit_test(test_some_operations_fail),
		cmocka_unit_test(test_all_operations_fail),
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_small_operations_only),
		cmocka_unit_test(test_policy_never),
		cmocka_unit_test(test_tls_records_are_offloaded),
#if OPENSSL_VERSION_PREREQ(3, 5)
		cmocka_unit_test(test_pipelines_go_together),
#endif
		cmocka_unit_test(test_stitched_records_are_offloaded),
		cmocka_unit_test(test_counter_mode_is_offloaded),
		cmocka_unit_test(test_random_numbers_stay_here),
		cmocka_unit_test(test_fallback_off),
		cmocka_unit_test(test_auto_is_by_size_and_job),
		cmocka_unit_test(test_auto_leaves_quick_ciphers_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
