/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration that is added to and taken from while it runs: what is added is checked together
 * with what there is, and nothing is changed when it is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/config.h"

static struct host_config *builtin(void)
{
	struct host_config *config = NULL;
	char *error = NULL;

	assert_int_equal(host_config_load(NULL, &config, &error), 0);
	return config;
}

static int add(struct host_config *config, const char *yaml, struct host_config_counts *before,
               char **error)
{
	struct host_config_text text = {"more.yaml", yaml, strlen(yaml)};

	*error = NULL;
	return host_config_add(config, &text, before, error);
}

static struct host_config_counts add_good(struct host_config *config, const char *yaml)
{
	struct host_config_counts before;
	char *error;

	if (add(config, yaml, &before, &error))
		fail_msg("%s", error);
	return before;
}

static char *printed(const struct host_config *config)
{
	char *text = NULL;

	assert_int_equal(host_config_print(config, &text), 0);
	return text;
}

static void assert_refused(struct host_config *config, const char *yaml, const char *sentence)
{
	char *was = printed(config), *is, *error;
	struct host_config_counts before;

	assert_int_equal(add(config, yaml, &before, &error), -EINVAL);
	if (!strstr(error, sentence))
		fail_msg("got \"%s\", expected \"%s\"", error, sentence);
	is = printed(config);
	assert_string_equal(is, was);
	free(error);
	free(was);
	free(is);
}

static void what_is_added_stands_behind_what_there_is(void **state)
{
	struct host_config *config = builtin();
	struct host_config_counts before =
		add_good(config, "resources:\n  - {name: sw2, type: libcrypto}\n"
	                         "groups:\n  - {name: slow, primary: [sw2, mb]}\n"
	                         "devices:\n  - {name: vm1, group: slow}\n  - {name: vm2}\n");

	assert_int_equal(before.resources, 2);
	assert_int_equal(before.groups, 1);
	assert_int_equal(before.devices, 1);
	assert_int_equal(config->devices_count, 3);
	assert_string_equal(config->devices[0].name, "vcrypto");
	assert_string_equal(config->devices[1].group, "slow");
	assert_string_equal(config->devices[2].group, "default");
	assert_int_equal(host_config_resource_find(config, "sw2"), 2);
	assert_int_equal(host_config_group_find(config, "slow"), 1);
	assert_int_equal(host_config_device_find(config, "vm2"), 2);
	host_config_truncate(config, &before);
	assert_int_equal(config->resources_count, 2);
	assert_int_equal(host_config_group_find(config, "slow"), -1);
	assert_int_equal(host_config_device_find(config, "vm1"), -1);
	host_config_free(config);
}

static void what_goes_leaves_the_others(void **state)
{
	struct host_config *config = builtin();

	add_good(config, "devices: [{name: a}, {name: b, limit: {sessions: 9}}, {name: c}]");
	host_config_device_remove(config, 1);
	assert_int_equal(config->devices_count, 3);
	assert_string_equal(config->devices[1].name, "b");
	assert_int_equal(*config->devices[1].limit->sessions, 9);
	host_config_device_remove(config, 2);
	host_config_device_remove(config, 1);
	host_config_device_remove(config, 0);
	assert_int_equal(config->devices_count, 0);
	add_good(config, "devices: [{name: b}]");
	assert_string_equal(config->devices[0].group, "default");
	host_config_free(config);
}

static void it_fits_what_there_is_or_is_refused(void **state)
{
	struct host_config *config = builtin();

	assert_refused(config, "devices:\n  - {name: a}\n\n  - {name: vcrypto}\n",
	               "more.yaml:4: two devices have the name \"vcrypto\"");
	assert_refused(config, "devices:\n  - {name: a, group: x}\n",
	               "more.yaml:2: device \"a\": there is no group \"x\"");
	assert_refused(config, "groups:\n  - name: g\n    primary: [mb, nix]\n",
	               "more.yaml:3: group \"g\": there is no resource \"nix\"");
	assert_refused(config, "groups:\n  - {name: default, primary: [mb]}\n",
	               "more.yaml:2: two groups have the name \"default\"");
	assert_refused(config, "resources: [{name: mb, type: libcrypto}]\n",
	               "more.yaml:1: two resources have the name \"mb\"");
	assert_refused(config, "resources: [{name: x, type: magic}]\n", "no type \"magic\"");
	assert_refused(config, "workers: [0]\n", "unknown key \"workers\"");
	assert_refused(config, "devices: [{name: a, queues: 0}]\n", "queues is 0");
	assert_refused(config, "devices: {name: a}\n", "more.yaml:1: devices: expected a list");
	assert_refused(config, "{}", "more.yaml: there is nothing in it to be added");
	assert_refused(config, "devices: [", "not YAML");
	host_config_free(config);
}

static int set(struct host_config *config, const char *yaml, struct host_config **was, char **error)
{
	struct host_config_text text = {"set.yaml", yaml, strlen(yaml)};
	unsigned int index = 99;
	int err;

	*error = NULL;
	err = host_config_group_set(config, &text, &index, was, error);
	assert_true(err || index == 0);
	return err;
}

static void a_group_is_replaced_and_put_back(void **state)
{
	struct host_config *config = builtin(), *was;
	char *before = printed(config), *after, *error;

	assert_int_equal(set(config,
	                     "groups: [{name: default, primary: [sw], policy: round-robin}]", &was,
	                     &error),
	                 0);
	assert_int_equal(config->groups[0].primary_count, 1);
	assert_int_equal(config->groups[0].policy, SCHED_ROUND_ROBIN);
	host_config_group_put_back(config, 0, was);
	after = printed(config);
	assert_string_equal(after, before);
	free(after);
	assert_int_equal(set(config, "groups: [{name: default, primary: [sw]}]", &was, &error), 0);
	host_config_free(was);
	assert_int_equal(config->groups[0].primary_count, 1);
	free(before);
	host_config_free(config);
}

static void a_bad_group_replaces_nothing(void **state)
{
	static const struct {
		const char *yaml, *sentence;
	} bad[] = {
		{"groups:\n  - name: default\n    primary: [mb, nix]\n",
	         "set.yaml:3: group \"default\": there is no resource \"nix\""},
		{"groups: [{name: other, primary: [mb]}]", "there is no group \"other\""},
		{"groups: [{name: default, primary: [mb]}]\ndevices: [{name: a}]",
	         "one group, and nothing else"},
		{"groups: [{name: default, primary: [sw], share: [{resource: sw, threads: 1}]}]",
	         "its shares are dealt out"},
	};
	struct host_config *config = builtin(), *was;
	char *before = printed(config);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *after, *error;

		assert_int_equal(set(config, bad[i].yaml, &was, &error), -EINVAL);
		if (!strstr(error, bad[i].sentence))
			fail_msg("got \"%s\", expected \"%s\"", error, bad[i].sentence);
		free(error);
		after = printed(config);
		assert_string_equal(after, before);
		free(after);
	}
	free(before);
	host_config_free(config);
}

static void a_resource_is_forgotten_by_all_groups(void **state)
{
	struct host_config *config = builtin();
	const struct host_config_group *group;

	add_good(config, "resources: [{name: sw2, type: libcrypto, threads: 2}]\n"
	                 "groups:\n"
	                 "  - {name: a, primary: [sw2], secondary: [mb, sw], share: "
	                 "[{resource: sw2, threads: 1}], pins: [{algorithm: rsa, resource: sw2}, "
	                 "{algorithm: aes-gcm, resource: mb}]}\n"
	                 "  - {name: b, primary: [mb, sw2, sw]}\n");
	host_config_resource_forget(config, "sw2");
	group = &config->groups[1];
	assert_int_equal(group->primary_count, 2);
	assert_string_equal(group->primary[0], "mb");
	assert_null(group->secondary);
	assert_null(group->share);
	assert_int_equal(group->pins_count, 1);
	assert_string_equal(group->pins[0].resource, "mb");
	assert_int_equal(config->groups[2].primary_count, 2);
	assert_string_equal(config->groups[2].primary[1], "sw");
	host_config_resource_forget(config, "mb");
	assert_null(config->groups[1].pins);
	host_config_free(config);
}

static void what_runs_has_no_more_shares_to_give(void **state)
{
	struct host_config *config = builtin();

	assert_refused(config,
	               "groups:\n  - name: g\n    primary: [sw]\n"
	               "    share:\n      - {resource: sw, threads: 1}\n",
	               "more.yaml:5: group \"g\": a share of \"sw\", which is there already");
	host_config_free(config);
}

static void what_is_printed_can_be_loaded(void **state)
{
	struct host_config *config = builtin(), *again = NULL;
	char path[] = "/tmp/vcrypto-config-XXXXXX", *text, *text_again, *error = NULL;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	add_good(config,
	         "resources: [{name: sw2, type: libcrypto, threads: 3}]\n"
	         "groups: [{name: g, primary: [mb], secondary: [sw2, sw]}]\n"
	         "devices: [{name: a, group: g, mode: client, socket: /tmp/a, order: strict,"
	         " queues: 5, limit: {sessions: 1, inflight-bytes: 1MiB, memory: 1GiB}}]\n");
	text = printed(config);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	if (host_config_load(path, &again, &error))
		fail_msg("%s", error);
	text_again = printed(again);
	assert_string_equal(text_again, text);
	unlink(path);
	free(text);
	free(text_again);
	host_config_free(config);
	host_config_free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_added_stands_behind_what_there_is),
		cmocka_unit_test(what_goes_leaves_the_others),
		cmocka_unit_test(it_fits_what_there_is_or_is_refused),
		cmocka_unit_test(a_group_is_replaced_and_put_back),
		cmocka_unit_test(a_bad_group_replaces_nothing),
		cmocka_unit_test(a_resource_is_forgotten_by_all_groups),
		cmocka_unit_test(what_runs_has_no_more_shares_to_give),
		cmocka_unit_test(what_is_printed_can_be_loaded),
	};

	return cmocka_run_group_tests_name("config_change", tests, NULL, NULL);
}
