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
		cmocka_unit_test(what_is_printed_can_be_loaded),
	};

	return cmocka_run_group_tests_name("config_change", tests, NULL, NULL);
}
