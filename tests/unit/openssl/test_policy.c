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
#include <string.h>

#include "openssl/provider/policy.h"
#include "soft_core.h"

static struct policy parsed(struct policy_texts texts)
{
	struct policy policy;
	const char *bad;

	assert_int_equal(policy_parse(&policy, &texts, &bad), 0);
	assert_null(bad);
	return policy;
}

static void test_defaults(void **state)
{
	struct policy policy = parsed((struct policy_texts){0});

	assert_int_equal(policy.mode, POLICY_AUTO);
	assert_true(policy.fallback);
	assert_int_equal(policy.min_size[POLICY_CBC_ENCRYPT], 8192);
	assert_true(policy.min_size[POLICY_CBC_DECRYPT] == SIZE_MAX);
	assert_true(policy.min_size[POLICY_CTR] == SIZE_MAX);
	assert_true(policy.min_size[POLICY_XTS] == SIZE_MAX);
	assert_true(policy.min_size[POLICY_GCM] == SIZE_MAX);
	assert_true(policy.min_size[POLICY_CCM] == SIZE_MAX);
	assert_true(policy.min_size[POLICY_CHACHA] == SIZE_MAX);
	assert_int_equal(policy.deadline_ms, 0);
	assert_string_equal(policy.socket, "");
}

static void test_every_setting(void **state)
{
	struct policy policy = parsed((struct policy_texts){.mode = "always",
	                                                    .fallback = "off",
	                                                    .min_size = "0",
	                                                    .socket = "/x/y.sock",
	                                                    .deadline_ms = "250"});

	assert_int_equal(policy.mode, POLICY_ALWAYS);
	assert_false(policy.fallback);
	for (int i = 0; i < POLICY_WORKS; i++)
		assert_int_equal(policy.min_size[i], 0);
	assert_int_equal(policy.deadline_ms, 250);
	assert_string_equal(policy.socket, "/x/y.sock");
}

static void refused(struct policy_texts texts, const char *name)
{
	struct policy policy;
	const char *bad = NULL;

	assert_int_equal(policy_parse(&policy, &texts, &bad), -EINVAL);
	assert_string_equal(bad, name);
}

static void test_wrong_settings_are_named(void **state)
{
	char path[120];

	memset(path, 'x', sizeof(path));
	path[108] = '\0';
	refused((struct policy_texts){.mode = "Always"}, "policy");
	refused((struct policy_texts){.mode = ""}, "policy");
	refused((struct policy_texts){.fallback = "yes"}, "fallback");
	refused((struct policy_texts){.min_size = "2k"}, "min-size");
	refused((struct policy_texts){.min_size = "-1"}, "min-size");
	refused((struct policy_texts){.min_size = ""}, "min-size");
	refused((struct policy_texts){.min_size = "99999999999999999999"}, "min-size");
	refused((struct policy_texts){.deadline_ms = "1.5"}, "deadline-ms");
	refused((struct policy_texts){.socket = path}, "socket");
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
	assert_int_equal(soft_core.small, 0);
	policy = parsed((struct policy_texts){.mode = "always"});
	assert_int_equal(policy_private(&policy, POLICY_P256), POLICY_OFFLOAD);
	policy = parsed((struct policy_texts){.mode = "never"});
	assert_int_equal(policy_private(&policy, POLICY_P521), POLICY_SOFTWARE);
}

static void test_modes(void **state)
{
	struct policy policy = parsed((struct policy_texts){.mode = "never"});

	soft_core_reset();
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 1 << 20), POLICY_SOFTWARE);
	assert_int_equal(policy_private(&policy, POLICY_RSA), POLICY_SOFTWARE);
	policy = parsed((struct policy_texts){.mode = "always"});
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 1), POLICY_OFFLOAD);
	assert_int_equal(policy_cipher(&policy, POLICY_GCM, 0), POLICY_SOFTWARE);
	assert_int_equal(policy_private(&policy, POLICY_RSA), POLICY_OFFLOAD);
}

static void test_without_a_daemon(void **state)
{
	struct policy policy = parsed((struct policy_texts){.mode = "always"});

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
	struct policy policy = parsed((struct policy_texts){.min_size = "100"});

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
		cmocka_unit_test(test_wrong_settings_are_named),
		cmocka_unit_test(test_private_keys),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_without_a_daemon),
		cmocka_unit_test(test_small_ones_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
