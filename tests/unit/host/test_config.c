/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.yaml: good files, and for each kind of bad one the sentence that a person gets.
 */
#include "config_fixture.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "host/device.h"

/* One that a worker may run on. */
static int first_cpu(void)
{
	cpu_set_t set;
	int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

#define RESOURCES                                                                                  \
	"resources:\n"                                                                             \
	"  - {name: mb, type: ipsec-mb}\n"                                                         \
	"  - {name: sw, type: libcrypto, threads: 2}\n"
#define GROUPS                                                                                     \
	"groups:\n"                                                                                \
	"  - {name: default, policy: failover, primary: [mb], secondary: [sw]}\n"
#define DEVICES                                                                                    \
	"devices:\n"                                                                               \
	"  - {name: vm1, socket: /tmp/vm1.sock, group: default}\n"

static void builtin_is_good_and_complete(void **state)
{
	struct host_config *config = NULL;
	char socket[108], expected[108];
	struct device_limits limits;
	char *error = NULL;

	assert_int_equal(host_config_load(NULL, &config, &error), 0);
	assert_int_equal(config->workers_count, 0);
	assert_int_equal(config->resources_count, 2);
	assert_int_equal(config->groups_count, 1);
	assert_string_equal(config->groups[0].name, "default");
	assert_int_equal(config->groups[0].primary_count, 2);
	assert_string_equal(config->groups[0].primary[0], "mb");
	assert_string_equal(config->groups[0].primary[1], "sw");
	assert_int_equal(config->devices_count, 1);
	assert_string_equal(config->devices[0].name, "vcrypto");
	assert_string_equal(config->devices[0].group, "default");
	assert_int_equal(host_config_queues(&config->devices[0]), 1);
	assert_int_equal(host_config_limits(&config->devices[0], &limits), 0);
	assert_int_equal(limits.sessions, 4096);
	assert_true(limits.inflight_bytes == (uint64_t)16 << 20);
	assert_true(limits.memory == (uint64_t)1 << 40);
	assert_int_equal(limits.qos.ops, 0);
	assert_int_equal(limits.qos.bytes, 0);
	assert_int_equal(limits.qos.weight, 1);
	assert_int_equal(host_config_socket(&config->devices[0], socket, sizeof(socket)), 0);
	assert_int_equal(runtime_path("vcrypto.sock", expected, sizeof(expected)), 0);
	assert_string_equal(socket, expected);
	assert_string_equal(config->name, "built-in configuration");
	host_config_free(config);
}

static void reads_what_a_full_file_says(void **state)
{
	struct host_config *config =
		load_good("polling: {spin-us: 0, idle-us: 500}\n" RESOURCES "groups:\n"
	                  "  - name: g2\n"
	                  "    policy: failover\n"
	                  "    primary: [sw, mb]\n"
	                  "devices:\n"
	                  "  - name: a\n"
	                  "    socket: /tmp/a.sock\n"
	                  "    mode: server\n"
	                  "    group: g2\n"
	                  "    queues: 64\n"
	                  "    limit: {sessions: 10, inflight-bytes: 64KiB, memory: 2G,\n"
	                  "            ops: 200000, ops-burst: 100, bytes: 4GiB, bytes-burst: 1M}\n"
	                  "    weight: 7\n");
	struct device_limits limits;

	assert_int_equal(host_config_spin_us(config), 0);
	assert_int_equal(host_config_idle_us(config), 500);
	assert_int_equal(*config->resources[1].threads, 2);
	assert_null(config->resources[0].threads);
	assert_int_equal(config->groups[0].primary_count, 2);
	assert_string_equal(config->groups[0].primary[0], "sw");
	assert_int_equal(config->groups[0].secondary_count, 0);
	assert_int_equal(host_config_queues(&config->devices[0]), 64);
	assert_int_equal(host_config_limits(&config->devices[0], &limits), 0);
	assert_int_equal(limits.sessions, 10);
	assert_int_equal(limits.inflight_bytes, 65536);
	assert_int_equal(limits.memory, 2000000000);
	assert_int_equal(limits.qos.ops, 200000);
	assert_int_equal(limits.qos.ops_burst, 100);
	assert_true(limits.qos.bytes == (uint64_t)4 << 30);
	assert_int_equal(limits.qos.bytes_burst, 1000000);
	assert_int_equal(limits.qos.weight, 7);
	assert_string_equal(config->devices[0].group, "g2");
	host_config_free(config);
}

static void default_resources_for_the_groups_given(void **state)
{
	struct host_config *config =
		load_good("groups:\n  - {name: default, primary: [sw], secondary: [mb]}\n" DEVICES);

	assert_int_equal(config->resources_count, 2);
	assert_string_equal(config->resources[0].name, "mb");
	assert_string_equal(config->resources[0].type, "ipsec-mb");
	assert_string_equal(config->resources[1].name, "sw");
	assert_string_equal(config->resources[1].type, "libcrypto");
	assert_string_equal(config->groups[0].primary[0], "sw");
	assert_int_equal(config->devices_count, 1);
	host_config_free(config);
}

static void default_group_has_all_resources(void **state)
{
	struct host_config *config = load_good("resources:\n"
	                                       "  - {name: b, type: libcrypto}\n"
	                                       "  - {name: a, type: ipsec-mb}\n"
	                                       "  - {name: c, type: libcrypto}\n" DEVICES);

	assert_int_equal(config->groups_count, 1);
	assert_string_equal(config->groups[0].name, "default");
	assert_int_equal(config->groups[0].policy, SCHED_FAILOVER);
	assert_int_equal(config->groups[0].primary_count, 3);
	assert_string_equal(config->groups[0].primary[0], "b");
	assert_string_equal(config->groups[0].primary[1], "a");
	assert_string_equal(config->groups[0].primary[2], "c");
	assert_int_equal(config->groups[0].secondary_count, 0);
	host_config_free(config);
}

static void default_device_in_the_groups_given(void **state)
{
	struct host_config *config = load_good(RESOURCES GROUPS);

	assert_int_equal(config->devices_count, 1);
	assert_string_equal(config->devices[0].name, "vcrypto");
	assert_string_equal(config->devices[0].group, "default");
	host_config_free(config);
}

static void device_without_a_group_has_default_or_the_first(void **state)
{
	struct host_config *config = load_good("groups:\n"
	                                       "  - {name: gold, primary: [mb]}\n"
	                                       "  - {name: default, primary: [sw]}\n"
	                                       "devices:\n  - {name: vm1}\n");

	assert_string_equal(config->devices[0].group, "default");
	host_config_free(config);

	config = load_good("groups:\n"
	                   "  - {name: gold, primary: [mb]}\n"
	                   "  - {name: silver, primary: [sw]}\n");
	assert_string_equal(config->devices[0].group, "gold");
	host_config_free(config);
}

static void workers_alone_will_do(void **state)
{
	struct host_config *config;
	char text[64];
	int cpu = first_cpu();

	snprintf(text, sizeof(text), "workers: [%d]\n", cpu);
	config = load_good(text);
	assert_int_equal(config->workers[0], cpu);
	assert_int_equal(config->resources_count, 2);
	assert_int_equal(config->groups_count, 1);
	assert_int_equal(config->devices_count, 1);
	host_config_free(config);
}

static void refuses_an_empty_section(void **state)
{
	assert_bad("polling: {idle-us: 100}\nworkers: []\n", 2, "workers: the list must not be");
	assert_bad("polling: {idle-us: 100}\nresources:\n", 2, "expected a list, found nothing");
	assert_bad("polling: {idle-us: 100}\ngroups: {}\n", 2, "expected a list, found keys");
	assert_bad("groups:\n  - {name: g, primary: [qat]}\n", 2, "no resource \"qat\"");
	assert_bad("devices:\n  - {name: vm1, group: gold}\n", 2, "no group \"gold\"");
}

static void takes_a_cpu_that_is_there(void **state)
{
	struct host_config *config;
	char text[1024];
	int cpu = first_cpu();

	snprintf(text, sizeof(text), "workers: [%d]\n" RESOURCES GROUPS DEVICES, cpu);
	config = load_good(text);
	assert_int_equal(config->workers_count, 1);
	assert_int_equal(config->workers[0], cpu);
	host_config_free(config);
}

static void says_that_a_file_is_missing(void **state)
{
	struct host_config *config = NULL;
	char *error = NULL;

	assert_int_equal(host_config_load("/nonexistent/host.yaml", &config, &error), -ENOENT);
	assert_non_null(strstr(error, "/nonexistent/host.yaml"));
	free(error);
}

static void refuses_bad_workers(void **state)
{
	assert_bad("workers:\n  - -1\n" RESOURCES GROUPS DEVICES, 2, "no CPU -1");
	assert_bad("workers: [99999]\n" RESOURCES GROUPS DEVICES, 1, "no CPU 99999");
	assert_bad("workers: [first]\n" RESOURCES GROUPS DEVICES, 1, "workers[0]");
}

static void refuses_one_cpu_twice(void **state)
{
	char text[1024];
	int cpu = first_cpu();

	snprintf(text, sizeof(text), "workers:\n  - %d\n  - %d\n" RESOURCES GROUPS DEVICES, cpu,
	         cpu);
	assert_bad(text, 3, "has a worker already");
}

static void refuses_bad_resources(void **state)
{
	assert_bad("resources: []\n" GROUPS DEVICES, 1, "resources: the list must not be empty");
	assert_bad(RESOURCES "  - {name: mb, type: libcrypto}\n" GROUPS DEVICES, 4,
	           "two resources have the name \"mb\"");
	assert_bad("resources:\n  - {name: qat, type: quick-assist}\n" GROUPS DEVICES, 2,
	           "no type \"quick-assist\"");
	assert_bad("resources:\n  - {name: sw, type: libcrypto, threads: 0}\n" GROUPS DEVICES, 2,
	           "threads is 0");
	assert_bad("resources:\n  - {name: \"a b\", type: libcrypto}\n" GROUPS DEVICES, 2,
	           "\"a b\"");
	assert_bad(
		"resources:\n  - {name: a234567890123456789012345678901x, type: libcrypto}\n" GROUPS
			DEVICES,
		2, "1 to 31");
}

static void refuses_bad_groups(void **state)
{
	assert_bad(RESOURCES "groups: []\n" DEVICES, 4, "groups: the list must not be empty");
	assert_bad(RESOURCES "groups:\n"
	                     "  - name: default\n"
	                     "    primary: [mb, gone]\n" DEVICES,
	           6, "no resource \"gone\"");
	assert_bad(RESOURCES "groups:\n"
	                     "  - name: default\n"
	                     "    primary: [mb]\n"
	                     "    secondary: [sw, mb]\n" DEVICES,
	           6, "\"mb\" twice");
	assert_bad(RESOURCES "groups:\n  - {name: default, primary: []}\n" DEVICES, 5,
	           "primary: the list must not be empty");
	assert_bad(RESOURCES GROUPS "  - {name: default, primary: [mb]}\n" DEVICES, 6,
	           "two groups have the name \"default\"");
	assert_bad(RESOURCES
	           "groups:\n  - {name: default, policy: fastest, primary: [mb]}\n" DEVICES,
	           5, "fastest");
}

#define POOL "resources: [{name: a, type: ipsec-mb}, {name: b, type: libcrypto}]\n"
#define GROUP POOL "groups:\n  - name: g\n"

static void reads_policies_with_what_belongs_to_them(void **state)
{
	struct host_config *config = load_good(
		POOL
		"groups:\n"
		"  - {name: f, primary: [a]}\n"
		"  - {name: r, policy: round-robin, primary: [a, b], deadline-ms: 20}\n"
		"  - {name: l, policy: least-inflight, primary: [a, b]}\n"
		"  - {name: s, policy: size, size-threshold: 16KiB, primary: [a, b]}\n"
		"  - {name: t, policy: size, primary: [a, b],\n"
		"     pins: [{algorithm: rsa, resource: b}, {algorithm: aes-gcm, resource: a}]}\n");
	uint32_t bytes;

	for (unsigned int i = 0; i < SCHED_POLICIES; i++) {
		static const char *const names[] = {"failover", "round-robin", "least-inflight",
		                                    "size"};

		assert_int_equal(config->groups[i].policy, i);
		assert_string_equal(sched_policies[i]->name, names[i]);
	}
	assert_null(config->groups[0].deadline_ms);
	assert_int_equal(*config->groups[1].deadline_ms, 20);
	assert_int_equal(host_config_size_threshold(&config->groups[3], &bytes), 0);
	assert_int_equal(bytes, 16384);
	assert_int_equal(host_config_size_threshold(&config->groups[4], &bytes), 0);
	assert_int_equal(bytes, 4096);
	assert_int_equal(config->groups[4].pins_count, 2);
	assert_string_equal(config->groups[4].pins[0].algorithm, "rsa");
	assert_string_equal(config->groups[4].pins[0].resource, "b");
	host_config_free(config);
}

static void reads_what_opens_a_circuit(void **state)
{
	struct host_config *config = load_good(
		"resources:\n"
		"  - {name: a, type: libcrypto}\n"
		"  - {name: b, type: libcrypto, circuit: {failures: 3, backoff-ms: 20000}}\n"
		"  - {name: c, type: libcrypto, circuit: {failures: 0, backoff-max-ms: 700}}\n");
	struct circuit_options circuit = host_config_circuit(&config->resources[0]);

	assert_int_equal(circuit.failures, 8);
	assert_int_equal(circuit.backoff_ms, 100);
	assert_int_equal(circuit.backoff_max_ms, 10000);
	circuit = host_config_circuit(&config->resources[1]);
	assert_int_equal(circuit.failures, 3);
	assert_int_equal(circuit.backoff_ms, 20000);
	assert_int_equal(circuit.backoff_max_ms, 20000);
	circuit = host_config_circuit(&config->resources[2]);
	assert_int_equal(circuit.failures, 0);
	assert_int_equal(circuit.backoff_max_ms, 700);
	host_config_free(config);
}

static void refuses_a_circuit_that_makes_no_sense(void **state)
{
	assert_bad(
		"resources:\n  - name: a\n    type: libcrypto\n    circuit: {failures: 9999999}\n",
		4, "circuit: failures is 9999999; it must be from 0 to");
	assert_bad("resources:\n  - name: a\n    type: libcrypto\n    circuit: {backoff-ms: 0}\n",
	           4, "circuit: backoff-ms is 0");
	assert_bad("resources:\n  - name: a\n    type: libcrypto\n"
	           "    circuit: {backoff-ms: 50, backoff-max-ms: 49}\n",
	           4, "backoff-max-ms is 49; it must be from 50 to");
	assert_bad("resources:\n  - name: a\n    type: libcrypto\n    circuit: {retries: 1}\n", 4,
	           "retries");
}

static void refuses_what_does_not_belong_to_the_policy(void **state)
{
	char text[64 * 40] = POOL "groups:\n";

	assert_bad(GROUP "    policy: failover\n    size-threshold: 4KiB\n    primary: [a, b]\n", 5,
	           "size-threshold is for policy: size");
	assert_bad(GROUP "    policy: size\n    size-threshold: large\n    primary: [a, b]\n", 5,
	           "size-threshold is \"large\"");
	assert_bad(GROUP "    policy: size\n    size-threshold: 8GiB\n    primary: [a, b]\n", 5,
	           "from 1 to 4294967295");
	assert_bad(GROUP "    policy: size\n    primary: [a]\n    secondary: [b]\n", 5,
	           "needs two primary resources");
	assert_bad(GROUP "    primary: [a]\n    deadline-ms: 0\n", 5, "deadline-ms is 0");
	assert_bad(GROUP "    primary: [a]\n    deadline-ms: 10001\n", 5, "from 1 to 10000");
	for (unsigned int i = 0; i <= HOST_MAX_GROUPS; i++)
		sprintf(text + strlen(text), "  - {name: g%u, primary: [a]}\n", i);
	assert_bad(text, 3 + HOST_MAX_GROUPS, "more than 64 groups");
}

static void refuses_pins_that_mean_nothing(void **state)
{
	char text[4096] = GROUP "    primary: [a]\n    pins:\n";

	assert_bad(GROUP "    primary: [a]\n    secondary: [b]\n    pins:\n"
	                 "      - {algorithm: rsa, resource: b}\n"
	                 "      - {algorithm: rot13, resource: b}\n",
	           8, "no algorithm is called \"rot13\"");
	assert_bad(GROUP "    primary: [a]\n    pins: [{algorithm: rsa, resource: b}]\n", 5,
	           "\"rsa\" is pinned to \"b\", which is no resource of the group");
	assert_bad(GROUP "    primary: [a]\n    pins: [{algorithm: rsa}]\n", 5, "resource");
	assert_bad(GROUP "    primary: [a]\n    pins: []\n", 5, "pins");
	for (unsigned int i = 0; i <= GROUP_MAX_PINS; i++)
		strcat(text, "      - {algorithm: rsa, resource: a}\n");
	assert_bad(text, 6 + GROUP_MAX_PINS, "more than 32 pins");
}

static void refuses_bad_devices(void **state)
{
	char text[1024];

	assert_bad(RESOURCES GROUPS "devices: []\n", 6, "devices: the list must not be empty");
	assert_bad(RESOURCES GROUPS DEVICES "  - {name: vm1, socket: /tmp/x.sock}\n", 8,
	           "two devices have the name \"vm1\"");
	assert_bad(RESOURCES GROUPS DEVICES "  - {name: vm2, socket: /tmp/vm1.sock}\n", 8,
	           "\"vm1\" and \"vm2\" have the same socket");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, group: gold}\n", 7,
	           "no group \"gold\"");
	assert_bad(RESOURCES GROUPS "devices:\n  - name: vm1\n    queues: 65\n", 8, "queues is 65");
	assert_bad(RESOURCES GROUPS "devices:\n  - name: vm1\n    queues: 0\n", 8, "queues is 0");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, queues: many}\n", 7, "queues");
	assert_bad(RESOURCES GROUPS "devices:\n  - name: vm1\n    mode: clyent\n", 8, "mode");
	assert_bad(RESOURCES GROUPS "devices:\n  - name: vm1\n    socket: vm1.sock\n", 8,
	           "not an absolute path");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, limit: {sessions: 0}}\n", 7,
	           "sessions is 0");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, limit: {inflight-bytes: lots}}\n", 7,
	           "inflight-bytes is \"lots\"");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, limit: {inflight-bytes: 4095}}\n", 7,
	           "from 4096 on");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, limit: {memory: 16EiB}}\n", 7,
	           "memory is");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, limit: {nonsense: 5}}\n", 7,
	           "nonsense");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, limit: {ops: 0}}\n", 7,
	           "limit: ops is 0; it must be from 1 to 1000000000");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, limit: {bytes: 1023}}\n", 7,
	           "limit: bytes is \"1023\"");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, limit: {ops-burst: 5}}\n", 7,
	           "limit: ops-burst is given, and no ops");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, limit: {bytes-burst: 1M}}\n", 7,
	           "limit: bytes-burst is given, and no bytes");
	assert_bad(RESOURCES GROUPS "devices:\n  - name: vm1\n    weight: 0\n", 8, "weight is 0");
	assert_bad(RESOURCES GROUPS "devices:\n  - name: vm1\n    weight: 1001\n", 8,
	           "weight is 1001; it must be from 1 to 1000");
	assert_bad(RESOURCES GROUPS "devices:\n  - {socket: /tmp/a.sock}\n", 7, "name");
	snprintf(text, sizeof(text),
	         RESOURCES GROUPS "devices:\n  - name: vm1\n    socket: /%0120d.sock\n", 0);
	assert_bad(text, 8, "longer than 107 bytes");
}

static void refuses_unknown_keys_and_bad_yaml(void **state)
{
	assert_bad(RESOURCES GROUPS DEVICES "speed: high\n", 8, "speed");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1, sokcet: /tmp/a}\n", 7, "sokcet");
	assert_bad(RESOURCES GROUPS DEVICES "polling: {spin-us: 99999999}\n", 8, "spin-us is");
	assert_bad(RESOURCES GROUPS "devices:\n  - {name: vm1\n", 8, "");
	assert_bad("", 1, "empty");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builtin_is_good_and_complete),
		cmocka_unit_test(reads_what_a_full_file_says),
		cmocka_unit_test(default_resources_for_the_groups_given),
		cmocka_unit_test(default_group_has_all_resources),
		cmocka_unit_test(default_device_in_the_groups_given),
		cmocka_unit_test(device_without_a_group_has_default_or_the_first),
		cmocka_unit_test(workers_alone_will_do),
		cmocka_unit_test(refuses_an_empty_section),
		cmocka_unit_test(takes_a_cpu_that_is_there),
		cmocka_unit_test(says_that_a_file_is_missing),
		cmocka_unit_test(refuses_bad_workers),
		cmocka_unit_test(refuses_one_cpu_twice),
		cmocka_unit_test(refuses_bad_resources),
		cmocka_unit_test(refuses_bad_groups),
		cmocka_unit_test(reads_policies_with_what_belongs_to_them),
		cmocka_unit_test(reads_what_opens_a_circuit),
		cmocka_unit_test(refuses_a_circuit_that_makes_no_sense),
		cmocka_unit_test(refuses_what_does_not_belong_to_the_policy),
		cmocka_unit_test(refuses_pins_that_mean_nothing),
		cmocka_unit_test(refuses_bad_devices),
		cmocka_unit_test(refuses_unknown_keys_and_bad_yaml),
	};

	return cmocka_run_group_tests_name("config", tests, config_setup, config_teardown);
}
