/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of openssl.cnf, and what follows from them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "openssl/provider/policy.h"
#include "soft_core.h"

#define SETTING(which, value) ((struct policy_texts){.text = {[which] = (value)}})

static struct policy parsed(struct policy_texts texts)
{
	struct policy_error error;
	struct policy policy;

	if (policy_parse(&policy, &texts, &error))
		fail_msg("%s: %s", policy_names[error.setting], error.part);
	return policy;
}

static void test_defaults(void **state)
{
	struct policy policy = parsed((struct policy_texts){0});

	for (int i = 0; i < POLICY_WORKS; i++) {
		bool encryption = i == POLICY_CBC_ENCRYPT || i == POLICY_CBC_HMAC;

		assert_int_equal(policy.work[i].mode, POLICY_AUTO);
		assert_true(policy.work[i].min_size == (encryption ? 8192 : SIZE_MAX));
	}
	for (int i = 0; i < POLICY_KEYS; i++)
		assert_int_equal(policy.key[i], POLICY_AUTO);
	for (int i = 0; i < POLICY_OPERATIONS; i++)
		assert_false(policy.blocked[i]);
	assert_true(policy.fallback);
	assert_false(policy.generate);
	assert_int_equal(policy.deadline_ms, 0);
	assert_int_equal(policy.spin_us, 0);
	assert_string_equal(policy.socket, "");
}

static void test_every_setting(void **state)
{
	struct policy policy =
		parsed((struct policy_texts){.text = {[POLICY_SET_MODE] = "always",
	                                              [POLICY_SET_FALLBACK] = "off",
	                                              [POLICY_SET_GENERATE] = "on",
	                                              [POLICY_SET_MIN_SIZE] = "0",
	                                              [POLICY_SET_SOCKET] = "/x/y.sock",
	                                              [POLICY_SET_DEADLINE] = "250",
	                                              [POLICY_SET_SPIN] = "300",
	                                              [POLICY_SET_BLOCK] = "cipher",
	                                              [POLICY_SET_OFFLOAD] = "ctr=never"}});

	for (int i = 0; i < POLICY_WORKS; i++) {
		assert_int_equal(policy.work[i].mode,
		                 i == POLICY_CTR ? POLICY_NEVER : POLICY_ALWAYS);
		assert_int_equal(policy.work[i].min_size, 0);
	}
	for (int i = 0; i < POLICY_KEYS; i++)
		assert_int_equal(policy.key[i], POLICY_ALWAYS);
	assert_false(policy.fallback);
	assert_true(policy.generate);
	assert_true(policy.blocked[POLICY_OP_CIPHER]);
	assert_int_equal(policy.deadline_ms, 250);
	assert_int_equal(policy.spin_us, 300);
	assert_string_equal(policy.socket, "/x/y.sock");
}

/* What is said of one kind of work counts more than what is said of all. */
static void test_work_by_work(void **state)
{
	struct policy policy = parsed((struct policy_texts){
		.text = {[POLICY_SET_MODE] = "never",
	                 [POLICY_SET_MIN_SIZE] = "1000",
	                 [POLICY_SET_OFFLOAD] = " cbc-encrypt=always,gcm=4096\tp256=always, "
	                                        "chacha20-poly1305=auto rsa=auto p521=never"}});

	assert_int_equal(policy.work[POLICY_CBC_ENCRYPT].mode, POLICY_ALWAYS);
	assert_int_equal(policy.work[POLICY_CBC_DECRYPT].mode, POLICY_NEVER);
	assert_int_equal(policy.work[POLICY_GCM].mode, POLICY_AUTO);
	assert_int_equal(policy.work[POLICY_GCM].min_size, 4096);
	assert_int_equal(policy.work[POLICY_CHACHA].mode, POLICY_AUTO);
	assert_int_equal(policy.work[POLICY_CHACHA].min_size, 1000);
	assert_int_equal(policy.key[POLICY_P256], POLICY_ALWAYS);
	assert_int_equal(policy.key[POLICY_RSA], POLICY_AUTO);
	assert_int_equal(policy.key[POLICY_P384], POLICY_NEVER);
	soft_core_reset();
	assert_int_equal(policy_cipher(&policy, POLICY_CBC_ENCRYPT, 16), POLICY_OFFLOAD);
	assert_int_equal(policy_cipher(&policy, POLICY_CBC_DECRYPT, 16), POLICY_SOFTWARE);
	assert_int_equal(policy_private(&policy, POLICY_P256), POLICY_OFFLOAD);
	assert_int_equal(policy_private(&policy, POLICY_P384), POLICY_SOFTWARE);
}

static void test_keys_take_with_them_what_needs_them(void **state)
{
	struct policy policy = parsed(SETTING(POLICY_SET_BLOCK, "signature"));

	for (int i = 0; i < POLICY_OPERATIONS; i++)
		assert_int_equal(policy.blocked[i], i == POLICY_OP_SIGNATURE);
	policy = parsed(SETTING(POLICY_SET_BLOCK, "keymgmt"));
	for (int i = 0; i < POLICY_OPERATIONS; i++)
		assert_int_equal(policy.blocked[i], i != POLICY_OP_CIPHER);
	policy = parsed(SETTING(POLICY_SET_BLOCK, "keyexch,asym-cipher, cipher"));
	for (int i = 0; i < POLICY_OPERATIONS; i++)
		assert_int_equal(policy.blocked[i],
		                 i != POLICY_OP_KEYMGMT && i != POLICY_OP_SIGNATURE);
}

static void test_the_environment_comes_before_the_file(void **state)
{
	struct policy_texts texts = {
		.text = {[POLICY_SET_MODE] = "never", [POLICY_SET_FALLBACK] = "off"}};
	struct policy policy;

	assert_int_equal(setenv("VCRYPTO_POLICY", "always", 1), 0);
	assert_int_equal(setenv("VCRYPTO_MIN_SIZE", "77", 1), 0);
	assert_int_equal(setenv("VCRYPTO_BLOCK_OPERATIONS", "keyexch", 1), 0);
	assert_int_equal(setenv("VCRYPTO_DEADLINE_MS", "5", 1), 0);
	policy_environment(&texts);
	policy = parsed(texts);
	assert_int_equal(policy.key[POLICY_RSA], POLICY_ALWAYS);
	assert_int_equal(policy.work[POLICY_GCM].min_size, 77);
	assert_true(policy.blocked[POLICY_OP_KEYEXCH]);
	assert_int_equal(policy.deadline_ms, 5);
	assert_false(policy.fallback);
	assert_true(texts.from_environment[POLICY_SET_MODE]);
	assert_false(texts.from_environment[POLICY_SET_FALLBACK]);
	unsetenv("VCRYPTO_POLICY");
	unsetenv("VCRYPTO_MIN_SIZE");
	unsetenv("VCRYPTO_BLOCK_OPERATIONS");
	unsetenv("VCRYPTO_DEADLINE_MS");
}

static void refused(enum policy_setting setting, const char *text, const char *part)
{
	struct policy_texts texts = {0};
	struct policy_error error;
	struct policy policy;

	texts.text[setting] = text;
	assert_int_equal(policy_parse(&policy, &texts, &error), -EINVAL);
	assert_int_equal(error.setting, setting);
	assert_string_equal(error.part, part);
}

static void test_wrong_settings_are_named(void **state)
{
	char path[120];

	memset(path, 'x', sizeof(path));
	path[108] = '\0';
	refused(POLICY_SET_MODE, "Always", "Always");
	refused(POLICY_SET_MODE, "", "");
	refused(POLICY_SET_FALLBACK, "yes", "yes");
	refused(POLICY_SET_GENERATE, "maybe", "maybe");
	refused(POLICY_SET_MIN_SIZE, "2k", "2k");
	refused(POLICY_SET_MIN_SIZE, "-1", "-1");
	refused(POLICY_SET_MIN_SIZE, "", "");
	refused(POLICY_SET_MIN_SIZE, "99999999999999999999", "99999999999999999999");
	refused(POLICY_SET_DEADLINE, "1.5", "1.5");
	refused(POLICY_SET_SPIN, "100001", "100001");
	refused(POLICY_SET_OFFLOAD, "rsa=always, p257=always", "p257=always");
	refused(POLICY_SET_OFFLOAD, "rsa=2048", "rsa=2048");
	refused(POLICY_SET_OFFLOAD, "gcm=often gcm=1", "gcm=often");
	refused(POLICY_SET_OFFLOAD, "gcm", "gcm");
	refused(POLICY_SET_OFFLOAD, "=always", "=always");
	refused(POLICY_SET_OFFLOAD, "gc=always", "gc=always");
	refused(POLICY_SET_BLOCK, "cipher digest", "digest");
	path[63] = '\0';
	refused(POLICY_SET_BLOCK, path, path);
	memset(path, 'x', 63);
	path[63] = 'x';
	refused(POLICY_SET_SOCKET, path,
	        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

/* Not in a job: that is test_evp.c's. */
static void test_private_keys(void **state)
{
	struct policy policy = parsed((struct policy_texts){0});

	soft_core_reset();
	assert_int_equal(policy_private(&policy, POLICY_RSA), POLICY_OFFLOAD);
	assert_int_equal(policy_private(&policy, POLICY_P256), POLICY_SOFTWARE);
	assert_int_equal(policy_private(&policy, POLICY_P384), POLICY_OFFLOAD);
	assert_int_equal(policy_private(&policy, POLICY_P521), POLICY_OFFLOAD);
	assert_int_equal(policy_private(&policy, POLICY_X25519_DERIVE), POLICY_SOFTWARE);
	assert_int_equal(policy_private(&policy, POLICY_P256_DERIVE), POLICY_SOFTWARE);
	assert_int_equal(policy_private(&policy, POLICY_P384_DERIVE), POLICY_OFFLOAD);
	assert_int_equal(policy_private(&policy, POLICY_P521_DERIVE), POLICY_SOFTWARE);
	assert_int_equal(soft_core.small, 0);
	policy = parsed(SETTING(POLICY_SET_MODE, "always"));
	assert_int_equal(policy_private(&policy, POLICY_P256), POLICY_OFFLOAD);
	assert_int_equal(policy_private(&policy, POLICY_X25519_DERIVE), POLICY_OFFLOAD);
	policy = parsed(SETTING(POLICY_SET_MODE, "never"));
	assert_int_equal(policy_private(&policy, POLICY_P521), POLICY_SOFTWARE);
}

static void test_modes(void **state)
{
	struct policy policy = parsed(SETTING(POLICY_SET_MODE, "never"));

	soft_core_reset();
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 1 << 20), POLICY_SOFTWARE);
	assert_int_equal(policy_private(&policy, POLICY_RSA), POLICY_SOFTWARE);
	policy = parsed(SETTING(POLICY_SET_MODE, "always"));
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 1), POLICY_OFFLOAD);
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 0), POLICY_SOFTWARE);
	assert_int_equal(policy_private(&policy, POLICY_RSA), POLICY_OFFLOAD);
}

static void test_without_a_daemon(void **state)
{
	struct policy policy = parsed(SETTING(POLICY_SET_MODE, "always"));

	soft_core_reset();
	soft_core.available = false;
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 4096), POLICY_SOFTWARE);
	assert_int_equal(policy_private(&policy, POLICY_RSA), POLICY_SOFTWARE);
	policy.fallback = false;
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 4096), POLICY_FAIL);
	assert_int_equal(policy_private(&policy, POLICY_RSA), POLICY_FAIL);
}

static void test_small_ones_are_counted(void **state)
{
	struct policy policy = parsed(SETTING(POLICY_SET_MIN_SIZE, "100"));

	soft_core_reset();
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 99), POLICY_SOFTWARE);
	assert_int_equal(soft_core.small, 1);
	/* Large enough, but not in a job. */
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 100), POLICY_SOFTWARE);
	assert_int_equal(soft_core.small, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_setting),
		cmocka_unit_test(test_work_by_work),
		cmocka_unit_test(test_keys_take_with_them_what_needs_them),
		cmocka_unit_test(test_the_environment_comes_before_the_file),
		cmocka_unit_test(test_wrong_settings_are_named),
		cmocka_unit_test(test_private_keys),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_without_a_daemon),
		cmocka_unit_test(test_small_ones_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
