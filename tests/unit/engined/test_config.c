/* SPDX-License-Identifier: Apache-2.0 */
/* engined.yaml: defaults, values, and sentences for what is wrong. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "engined/config.h"

static void defaults_name_the_runtime_directory(void **state)
{
	struct engined_config config;

	assert_int_equal(engined_config_default(&config), 0);
	assert_string_equal(config.device_socket, "/run/test/vcrypto.sock");
	assert_string_equal(config.listen, "/run/test/engined.sock");
	assert_int_equal(config.cpu, -1);
	engined_config_free(&config);
}

static void values_are_taken(void **state)
{
	static const char text[] = "device:\n"
				   "  transport: vhost-user\n"
				   "  socket: /tmp/x.sock\n"
				   "  queues: 2\n"
				   "  depth: 256\n"
				   "  resubmit-ms: 0\n"
				   "cpu: 0\n"
				   "listen: /tmp/y.sock\n"
				   "limits: {clients: 7, slots: 64}\n"
				   "polling: {spin-us: 0, idle-us: 100}\n"
				   "session-cache: {idle-seconds: 5, max: 0}\n"
				   "allow-users: [root, 1234]\n"
				   "allow-groups: [77]\n";
	struct engined_config config;
	char *error = NULL;

	assert_int_equal(engined_config_load_text("t", text, strlen(text), &config, &error), 0);
	assert_string_equal(config.device_socket, "/tmp/x.sock");
	assert_string_equal(config.listen, "/tmp/y.sock");
	assert_int_equal(config.queues, 2);
	assert_int_equal(config.depth, 256);
	assert_int_equal(config.resubmit_ms, 0);
	assert_int_equal(config.cpu, 0);
	assert_int_equal(config.limits.clients, 7);
	assert_int_equal(config.limits.slots, 64);
	assert_int_equal(config.limits.channels, 32);
	assert_int_equal(config.polling.spin_us, 0);
	assert_int_equal(config.polling.idle_us, 100);
	assert_int_equal(config.session_cache.idle_seconds, 5);
	assert_int_equal(config.session_cache.max, 0);
	assert_true(engined_config_allows(&config, 0, 0));
	assert_true(engined_config_allows(&config, geteuid(), 99));
	assert_true(engined_config_allows(&config, 1234, 99));
	assert_true(engined_config_allows(&config, 4321, 77));
	assert_false(engined_config_allows(&config, 4321, 99));
	engined_config_free(&config);
}

static void what_is_left_out_has_its_default(void **state)
{
	static const char *const texts[] = {"{}", "device: {queues: 3}\n", "limits: {slots: 64}\n",
	                                    "listen: /tmp/x.sock\n", "session-cache: {max: 0}\n"};

	for (size_t i = 0; i < vc_array_size(texts); i++) {
		struct engined_config config, defaults;
		char *error = NULL;

		assert_int_equal(engined_config_default(&defaults), 0);
		if (engined_config_load_text("a.yaml", texts[i], strlen(texts[i]), &config, &error))
			fail_msg("%s", error);
		assert_int_equal(config.queues, i == 1 ? 3 : defaults.queues);
		assert_int_equal(config.limits.slots, i == 2 ? 64 : defaults.limits.slots);
		assert_string_equal(config.listen, i == 3 ? "/tmp/x.sock" : defaults.listen);
		assert_int_equal(config.session_cache.max, i == 4 ? 0 : defaults.session_cache.max);
		assert_int_equal(config.cpu, defaults.cpu);
		assert_int_equal(config.depth, defaults.depth);
		assert_string_equal(config.device_socket, defaults.device_socket);
		engined_config_free(&config);
	}
}

static void nobody_is_listed_so_all_may(void **state)
{
	struct engined_config config;

	assert_int_equal(engined_config_default(&config), 0);
	assert_true(engined_config_allows(&config, 4321, 99));
}

static void wrong(const char *text, const char *expected)
{
	struct engined_config config;
	char path[] = "/tmp/vcrypto-test-XXXXXX", *error = NULL;
	int fd = mkstemp(path);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(engined_config_load(path, &config, &error), -EINVAL);
	assert_non_null(error);
	if (strncmp(error, path, strlen(path)) != 0 || !strstr(error, expected))
		fail_msg("\"%s\" is not about \"%s\"", error, expected);
	free(error);
	unlink(path);
}

static void mistakes_are_explained(void **state)
{
	wrong("device:\n  transport: pci\n", ":2: device.transport: pci needs");
	wrong("device:\n  queues: 1\n  address: 0000:00:04.0\n", ":3: device.address: is for");
	wrong("device:\n  transport: pci\n  address: 4\n", ":3: device.address: \"4\" is not");
	wrong("device:\n  transport: pci\n  address: 00:04.0\n  socket: /s\n",
	      ":4: device.socket: is for");
	wrong("device: {queues: 65}\n", ":1: device.queues: 65");
	wrong("cpu: 0\ndevice: {queues: 0}\n", ":2: device.queues: 0");
	wrong("device: {resubmit-ms: 60001}\n", "resubmit-ms");
	wrong("device: {depth: 100}\n", "power of two");
	wrong("limits:\n  clients: 501\n", ":2: limits.clients: 501");
	wrong("limits: {sessions: 0}\n", ":1: limits.sessions: 0");
	wrong("limits: {slots: 100}\n", "power of two");
	wrong("polling: {idle-us: 10000001}\n", "polling.idle-us");
	wrong("cpu: 1023\n", "no CPU 1023");
	wrong("allow-users: [no-such-user-here]\n", "no-such-user-here");
	wrong("allow-groups: [no-such-group]\n", "no-such-group");
	wrong("cpu: 0\nallow-users: []\n", ":2: allow-users: the list must not be empty");
	wrong("allow-groups:\n", ":1: allow-groups: expected a list, found nothing");
	wrong("limits:\n", ":1: limits: expected keys and values, found nothing");
	wrong("devices: {}\n", "devices");
	wrong("cpu: many\n", "cpu");
	wrong("device: {transport: carrier-pigeon}\n", "transport");
	wrong("listen: /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
	      "longer than 107");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_name_the_runtime_directory),
		cmocka_unit_test(values_are_taken),
		cmocka_unit_test(what_is_left_out_has_its_default),
		cmocka_unit_test(nobody_is_listed_so_all_may),
		cmocka_unit_test(mistakes_are_explained),
	};

	setenv("VCRYPTO_RUNTIME_DIR", "/run/test", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
