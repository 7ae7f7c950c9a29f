/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration files of both daemons: the first byte says whose, the rest is YAML. The files
 * are the administrator's, not an attacker's; but a daemon that dies of a typing error is no good.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engined/config.h"
#include "fuzz.h"
#include "host/config.h"

/* A sentence that begins with file and line, and is one line. */
static void error_check(int rc, char *error)
{
	fuzz_check(rc < 0);
	fuzz_check(rc == -ENOMEM || (error && strchr(error, ':') && error[0] != ':'));
	free(error);
}

static void host(const uint8_t *data, size_t size)
{
	struct host_config *config = NULL;
	char *error = NULL, path[64], socket[108];
	int fd = memfd_create("yaml", MFD_CLOEXEC), rc;

	fuzz_check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = host_config_load(path, &config, &error);
	if (rc) {
		error_check(rc, error);
	} else {
		fuzz_check(!error && config->devices_count && config->groups_count);
		fuzz_check(config->resources_count);
		for (unsigned int i = 0; i < config->devices_count; i++) {
			const struct host_config_device *device = &config->devices[i];

			fuzz_check(host_config_group_find(config, device->group) >= 0);
			fuzz_check(host_config_queues(device));
			fuzz_check(!host_config_socket(device, socket, sizeof(socket)));
		}
		host_config_free(config);
	}
	close(fd);
}

static void engined(const uint8_t *data, size_t size)
{
	struct engined_config config;
	char *error = NULL;
	int rc = engined_config_load_text("yaml", (const char *)data, size, &config, &error);

	if (rc) {
		error_check(rc, error);
		return;
	}
	fuzz_check(!error && config.queues && config.depth);
	(void)engined_config_allows(&config, 1000, 1000);
	engined_config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		engined(data + 1, size - 1);
	else
		host(data + 1, size - 1);
	return 0;
}

static const char *const files[] = {
	/* The first byte of each: '0' for the host, '1' for engined. */
	"0resources:\n  - {name: mb, type: ipsec-mb}\n  - {name: sw, type: libcrypto, threads: 2}\n"
	"groups:\n  - {name: default, policy: failover, primary: [mb], secondary: [sw]}\n"
	"devices:\n  - {name: vm1, socket: /run/vcrypto/vm1.sock, mode: server, group: default,\n"
	"     queues: 1, max-sessions: 100}\n",
	"0workers: [0, 1]\npolling: {spin-us: 2, idle-us: 200}\n"
	"resources: [{name: a, type: libcrypto}]\ngroups: [{name: g, primary: [a]}]\n"
	"devices: [{name: d, group: g, queues: 64}, {name: e, group: g}]\n",
	"0resources:\n  - {name: sw, type: libcrypto, threads: 4}\n"
	"  - {name: f, type: fault, of: sw, faults: {delay: 'uniform:1-9', error-rate: 0.5}}\n"
	"groups:\n  - {name: g, primary: [sw], share: [{resource: sw, threads: 3}]}\n"
	"  - {name: h, primary: [f], secondary: [sw]}\n",
	"0resources: &r\n  - name: \"mb\"\n    type: 'ipsec-mb'\ngroups: *r\ndevices: ~\n",
	"0resources: []\ngroups: []\ndevices: []\n",
	"0# nothing\n---\n...\n",
	"1device: {transport: vhost-user, socket: /run/vcrypto/vm1.sock, queues: 1, depth: 256}\n",
	"1device:\n  socket: /tmp/s\ncpu: 1\nlisten: /run/vcrypto/engined.sock\n"
	"limits: {clients: 10, clients-per-user: 5, channels: 2, slots: 64, sessions: 100}\n"
	"polling: {spin-us: 2, idle-us: 10}\nsession-cache: {idle-seconds: 60, max: 100}\n"
	"allow-users: [root, nobody]\nallow-groups: [root]\n",
	"1device: [1, 2, {a: b}]\n",
};

void fuzz_seeds(void)
{
	char name[16];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(name, sizeof(name), "file-%zu", i);
		seed_save(name, files[i], strlen(files[i]));
	}
}
