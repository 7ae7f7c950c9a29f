/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engined.yaml. Main thread, at start. The file is the administrator's and is trusted to mean well,
 * not to be right.
 */
#include "engined/config.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/util.h"
#include "wire/engine.h"

enum transport { TRANSPORT_VHOST_USER, TRANSPORT_PCI };

/* The file as libcyaml reads it; NULL stands for "not given". */
struct file_device {
	enum transport transport;
	char *socket;
	char *address;
	unsigned int *queues, *depth, *resubmit_ms;
};

struct file_limits {
	unsigned int *clients, *clients_per_user, *channels, *slots, *sessions, *wakers;
};

struct file_polling {
	unsigned int *spin_us, *idle_us;
};

struct file_cache {
	unsigned int *idle_seconds, *max;
};

struct file {
	struct file_device device;
	int *cpu;
	char *listen;
	struct file_limits limits;
	struct file_polling polling;
	struct file_cache cache;
	char **users;
	unsigned int users_count;
	char **groups;
	unsigned int groups_count;
};

static const cyaml_strval_t transport_names[] = {
	{"vhost-user", TRANSPORT_VHOST_USER},
	{"pci", TRANSPORT_PCI},
};

#define OPTIONAL CYAML_FLAG_OPTIONAL
#define OPTIONAL_PTR CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL

static const cyaml_schema_field_t device_fields[] = {
	CYAML_FIELD_ENUM("transport", OPTIONAL, struct file_device, transport, transport_names,
                         CYAML_ARRAY_LEN(transport_names)),
	CYAML_FIELD_STRING_PTR("socket", OPTIONAL_PTR, struct file_device, socket, 1,
                               CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("address", OPTIONAL_PTR, struct file_device, address, 1,
                               CYAML_UNLIMITED),
	CYAML_FIELD_UINT_PTR("queues", OPTIONAL_PTR, struct file_device, queues),
	CYAML_FIELD_UINT_PTR("depth", OPTIONAL_PTR, struct file_device, depth),
	CYAML_FIELD_UINT_PTR("resubmit-ms", OPTIONAL_PTR, struct file_device, resubmit_ms),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
	CYAML_FIELD_UINT_PTR("clients", OPTIONAL_PTR, struct file_limits, clients),
	CYAML_FIELD_UINT_PTR("clients-per-user", OPTIONAL_PTR, struct file_limits,
                             clients_per_user),
	CYAML_FIELD_UINT_PTR("channels", OPTIONAL_PTR, struct file_limits, channels),
	CYAML_FIELD_UINT_PTR("slots", OPTIONAL_PTR, struct file_limits, slots),
	CYAML_FIELD_UINT_PTR("sessions", OPTIONAL_PTR, struct file_limits, sessions),
	CYAML_FIELD_UINT_PTR("wakers", OPTIONAL_PTR, struct file_limits, wakers),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t polling_fields[] = {
	CYAML_FIELD_UINT_PTR("spin-us", OPTIONAL_PTR, struct file_polling, spin_us),
	CYAML_FIELD_UINT_PTR("idle-us", OPTIONAL_PTR, struct file_polling, idle_us),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t cache_fields[] = {
	CYAML_FIELD_UINT_PTR("idle-seconds", OPTIONAL_PTR, struct file_cache, idle_seconds),
	CYAML_FIELD_UINT_PTR("max", OPTIONAL_PTR, struct file_cache, max),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t name_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t file_fields[] = {
	CYAML_FIELD_MAPPING("device", OPTIONAL, struct file, device, device_fields),
	CYAML_FIELD_INT_PTR("cpu", OPTIONAL_PTR, struct file, cpu),
	CYAML_FIELD_STRING_PTR("listen", OPTIONAL_PTR, struct file, listen, 1, CYAML_UNLIMITED),
	CYAML_FIELD_MAPPING("limits", OPTIONAL, struct file, limits, limits_fields),
	CYAML_FIELD_MAPPING("polling", OPTIONAL, struct file, polling, polling_fields),
	CYAML_FIELD_MAPPING("session-cache", OPTIONAL, struct file, cache, cache_fields),
	CYAML_FIELD_SEQUENCE_COUNT("allow-users", OPTIONAL_PTR, struct file, users, users_count,
                                   &name_entry, 1, 1024),
	CYAML_FIELD_SEQUENCE_COUNT("allow-groups", OPTIONAL_PTR, struct file, groups, groups_count,
                                   &name_entry, 1, 1024),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t file_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, file_fields),
};

int engined_config_default(struct engined_config *config)
{
	int ret;

	memset(config, 0, sizeof(*config));
	config->queues = 1;
	config->depth = 1024;
	config->resubmit_ms = 500;
	config->cpu = -1;
	/* The device takes 512 regions of memory; libvcrypto's own is one of them. */
	config->limits.clients = 500;
	config->limits.clients_per_user = 400;
	config->limits.channels = 32;
	config->limits.slots = 128;
	config->limits.sessions = 2048;
	config->limits.wakers = 1024;
	config->polling.spin_us = 2;
	config->polling.idle_us = 500;
	config->session_cache.idle_seconds = 60;
	config->session_cache.max = 1024;
	ret = runtime_path("vcrypto.sock", config->device_socket, sizeof(config->device_socket));
	return ret ? ret : runtime_path("engined.sock", config->listen, sizeof(config->listen));
}

void engined_config_free(struct engined_config *config)
{
	free(config->users);
	free(config->groups);
	config->users = NULL;
	config->groups = NULL;
}

/* ---- from what was read to what is used ---- */

/* item: the thing's path in the file ("limits.slots"), to find its line; name: the file. */
static int complain(char **error, const char *name, const char *item, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int complain(char **error, const char *name, const char *item, const char *format, ...)
{
	unsigned int line = config_line(name, item);
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	*error = line ? str_format("%s:%u: %s: %s", name, line, item, text)
	              : str_format("%s: %s: %s", name, item, text);
	return -EINVAL;
}

static int take_path(const char *name, const char *key, const char *given, char path[108],
                     char **error)
{
	size_t length = given ? strlen(given) : 0;

	if (!given)
		return 0;
	if (length >= 108)
		return complain(error, name, key, "the path is longer than 107 bytes");
	memcpy(path, given, length + 1);
	return 0;
}

static int take_device(const char *name, const struct file_device *file,
                       struct engined_config *config, char **error)
{
	bool pci = file->transport == TRANSPORT_PCI;

	if (pci && !file->address)
		return complain(error, name, "device.transport",
		                "pci needs the device's address; see vcryptoctl list");
	if (!pci && file->address)
		return complain(error, name, "device.address", "is for the transport pci");
	if (pci && file->socket)
		return complain(error, name, "device.socket", "is for the transport vhost-user");
	if (pci && pci_address_parse(file->address, config->device_address))
		return complain(error, name, "device.address",
		                "\"%s\" is not a PCI address such as 0000:00:04.0", file->address);
	return take_path(name, "device.socket", file->socket, config->device_socket, error);
}

static int take_numbers(const char *name, const struct file *file, struct engined_config *config,
                        char **error)
{
	const struct file_limits *limits = &file->limits;
	const struct {
		const char *key;
		const unsigned int *given;
		unsigned int min, max, *value;
	} number[] = {
		{"device.queues", file->device.queues, 1, 64, &config->queues},
		{"device.depth", file->device.depth, 2, 16384, &config->depth},
		{"device.resubmit-ms", file->device.resubmit_ms, 0, 60000, &config->resubmit_ms},
		{"limits.clients", limits->clients, 1, 500, &config->limits.clients},
		{"limits.clients-per-user", limits->clients_per_user, 1, 500,
	         &config->limits.clients_per_user},
		{"limits.channels", limits->channels, 1, VCE_MAX_CHANNELS,
	         &config->limits.channels},
		{"limits.slots", limits->slots, 2, VCE_MAX_SLOTS, &config->limits.slots},
		{"limits.sessions", limits->sessions, 1, 65534, &config->limits.sessions},
		{"limits.wakers", limits->wakers, 1, VCE_MAX_WAKERS, &config->limits.wakers},
		{"polling.spin-us", file->polling.spin_us, 0, 1000000, &config->polling.spin_us},
		{"polling.idle-us", file->polling.idle_us, 0, 10000000, &config->polling.idle_us},
		{"session-cache.idle-seconds", file->cache.idle_seconds, 0, 86400,
	         &config->session_cache.idle_seconds},
		{"session-cache.max", file->cache.max, 0, 1000000, &config->session_cache.max},
	};

	for (size_t i = 0; i < vc_array_size(number); i++) {
		if (!number[i].given)
			continue;
		if (*number[i].given < number[i].min || *number[i].given > number[i].max)
			return complain(error, name, number[i].key, "%u is out of range: %u to %u",
			                *number[i].given, number[i].min, number[i].max);
		*number[i].value = *number[i].given;
	}
	if (!vc_is_power_of_two(config->depth))
		return complain(error, name, "device.depth", "%u is not a power of two",
		                config->depth);
	if (!vc_is_power_of_two(config->limits.slots))
		return complain(error, name, "limits.slots", "%u is not a power of two",
		                config->limits.slots);
	return 0;
}

static int take_cpu(const char *name, const int *given, struct engined_config *config, char **error)
{
	cpu_set_t set;

	if (!given)
		return 0;
	if (*given < 0 || *given >= CPU_SETSIZE || sched_getaffinity(0, sizeof(set), &set) < 0 ||
	    !CPU_ISSET(*given, &set))
		return complain(error, name, "cpu", "there is no CPU %d for this process", *given);
	config->cpu = *given;
	return 0;
}

/* A number, or a name that one of the two databases knows. */
static bool id_find(const char *text, bool group, id_t *id)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && number < UINT32_MAX) {
		*id = (id_t)number;
		return true;
	}
	if (group) {
		const struct group *known = getgrnam(text);

		*id = known ? known->gr_gid : 0;
		return known != NULL;
	}

	const struct passwd *known = getpwnam(text);

	*id = known ? known->pw_uid : 0;
	return known != NULL;
}

/* allow-users or allow-groups. */
static int take_ids(const char *name, bool group, char *const *given, unsigned int count,
                    id_t **ids, size_t *ids_count, char **error)
{
	const char *key = group ? "allow-groups" : "allow-users";

	*ids = calloc(count + 1, sizeof(**ids));
	if (!*ids)
		return complain(error, name, key, "no memory");
	for (*ids_count = 0; *ids_count < count; (*ids_count)++) {
		const char *text = given[*ids_count];

		if (!id_find(text, group, &(*ids)[*ids_count]))
			return complain(error, name, key, "there is no %s \"%s\"",
			                group ? "group" : "user", text);
	}
	return 0;
}

static int take_file(const char *name, const struct file *file, struct engined_config *config,
                     char **error)
{
	int ret;

	if (engined_config_default(config))
		return complain(error, name, "device.socket",
		                "the runtime directory's path is too long");
	ret = take_device(name, &file->device, config, error);
	if (!ret)
		ret = take_path(name, "listen", file->listen, config->listen, error);
	if (!ret)
		ret = take_numbers(name, file, config, error);
	if (!ret)
		ret = take_cpu(name, file->cpu, config, error);
	if (!ret)
		ret = take_ids(name, false, file->users, file->users_count, &config->users,
		               &config->users_count, error);
	if (!ret)
		ret = take_ids(name, true, file->groups, file->groups_count, &config->groups,
		               &config->groups_count, error);
	if (ret)
		engined_config_free(config);
	return ret;
}

int engined_config_load(const char *path, struct engined_config *config, char **error)
{
	void *file;
	int ret;

	ret = config_load(path, &file_schema, &file, error);
	if (ret)
		return ret;
	ret = take_file(path, file, config, error);
	config_free(&file_schema, file);
	return ret;
}

int engined_config_load_text(const char *name, const char *text, size_t length,
                             struct engined_config *config, char **error)
{
	void *file;
	int ret;

	ret = config_load_text(name, text, length, &file_schema, &file, error);
	if (ret)
		return ret;
	ret = take_file(name, file, config, error);
	config_free(&file_schema, file);
	return ret;
}

bool engined_config_allows(const struct engined_config *config, uid_t uid, gid_t gid)
{
	size_t i;

	if ((!config->users_count && !config->groups_count) || uid == 0 || uid == geteuid())
		return true;
	for (i = 0; i < config->users_count; i++) {
		if (config->users[i] == uid)
			return true;
	}
	for (i = 0; i < config->groups_count; i++) {
		if (config->groups[i] == gid)
			return true;
	}
	return false;
}
