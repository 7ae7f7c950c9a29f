/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.yaml: resources of type dpdk, DPDK's environment, and the sentences for what is wrong.
 */
#include "config_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static void devices_and_arguments_reach_the_environment(void **state)
{
	struct host_config *config =
		load_good("resources:\n"
	                  "  - {name: a, type: dpdk, device: '0000:3d:01.0'}\n"
	                  "  - {name: b, type: dpdk, device: '0000:3d:01.1,qat_legacy_capa=1', "
	                  "sessions: 100}\n"
	                  "  - {name: c, type: dpdk, vdev: 'crypto_null0,max_nb_queue_pairs=2'}\n"
	                  "  - {name: sw, type: libcrypto}\n"
	                  "dpdk: {eal: [--log-level=8, --vfio-intr=msix], memory: 128MiB}\n");
	struct resource_dpdk options;

	(void)state;
	host_config_dpdk(config, &options);
	assert_int_equal(options.device_count, 2);
	assert_string_equal(options.devices[0], "0000:3d:01.0");
	assert_string_equal(options.devices[1], "0000:3d:01.1,qat_legacy_capa=1");
	assert_int_equal(options.eal_count, 2);
	assert_string_equal(options.eal[1], "--vfio-intr=msix");
	assert_int_equal(options.memory, 128u << 20);
	assert_true(options.huge_pages);
	assert_int_equal(*config->resources[1].sessions, 100);
	host_config_free(config);
}

static void software_wants_no_huge_pages(void **state)
{
	struct host_config *config =
		load_good("resources:\n  - {name: c, type: dpdk, vdev: crypto_null0}\n");
	struct resource_dpdk options;

	(void)state;
	host_config_dpdk(config, &options);
	assert_int_equal(options.device_count, 0);
	assert_false(options.huge_pages);
	assert_int_equal(options.memory, 96u << 20);
	host_config_free(config);

	config = load_good("resources:\n  - {name: c, type: dpdk, device: '0000:3d:01.0'}\n"
	                   "dpdk: {huge-pages: false}\n");
	host_config_dpdk(config, &options);
	assert_false(options.huge_pages);
	host_config_free(config);

	config = load_good("resources:\n  - {name: c, type: dpdk, vdev: crypto_null0}\n"
	                   "dpdk: {huge-pages: true}\n");
	host_config_dpdk(config, &options);
	assert_true(options.huge_pages);
	assert_int_equal(options.memory, 0);
	host_config_free(config);
}

#define ONE "resources:\n  - {name: a, type: dpdk, "

static void refuses_bad_devices(void **state)
{
	(void)state;
	assert_bad(ONE "sessions: 64}\n", 2, "needs one of device and vdev");
	assert_bad(ONE "vdev: crypto_null0, device: '0000:3d:01.0'}\n", 2, "needs one of");
	assert_bad(ONE "device: qat0}\n", 2, "\"qat0\" is no place on the PCI bus");
	assert_bad(ONE "device: '3d:01.0'}\n", 2, "is no place on the PCI bus");
	assert_bad(ONE "device: '0000:3d:01.0.5'}\n", 2, "is no place on the PCI bus");
	assert_bad(ONE "vdev: 'crypto null'}\n", 2, "the vdev \"crypto null\" is no name");
	assert_bad(ONE "vdev: ',a=b'}\n", 2, "is no name");
	assert_bad(ONE "vdev: crypto_null0, sessions: 63}\n", 2, "sessions is 63");
	assert_bad(ONE "vdev: crypto_null0, sessions: 1048577}\n", 2, "it must be from 64 to");
	assert_bad(ONE "vdev: crypto_null0}\n  - {name: b, type: dpdk, vdev: 'crypto_null0,x=1'}\n",
	           3, "resources \"a\" and \"b\" have the same vdev");
	assert_bad(ONE "device: '0000:3d:01.0'}\n"
	               "  - {name: b, type: dpdk, device: '0000:3d:01.0,x=1'}\n",
	           3, "have the same device");
}

static void refuses_what_is_not_for_other_types(void **state)
{
	(void)state;
	assert_bad("resources:\n  - {name: a, type: libcrypto, vdev: crypto_null0}\n", 2,
	           "vdev is for type dpdk, and not for libcrypto");
	assert_bad("resources:\n  - {name: a, type: ipsec-mb, device: '0000:3d:01.0'}\n", 2,
	           "device is for type dpdk");
	assert_bad("resources:\n  - {name: a, type: ipsec-mb, sessions: 100}\n", 2,
	           "sessions is for type dpdk");
}

static void refuses_a_bad_environment(void **state)
{
	(void)state;
	assert_bad("dpdk: {memory: 1MiB}\n", 1, "memory is \"1MiB\"; it must be a size");
	assert_bad("dpdk: {memory: much}\n", 1, "memory is \"much\"");
	assert_bad("dpdk: {eal: []}\n", 1, "must not be empty");
	assert_bad("dpdk: {hugepages: true}\n", 1, "unknown key \"hugepages\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_and_arguments_reach_the_environment),
		cmocka_unit_test(software_wants_no_huge_pages),
		cmocka_unit_test(refuses_bad_devices),
		cmocka_unit_test(refuses_what_is_not_for_other_types),
		cmocka_unit_test(refuses_a_bad_environment),
	};

	return cmocka_run_group_tests(tests, config_setup, config_teardown);
}
