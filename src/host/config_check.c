/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the schema of host.yaml cannot say: names that must be known or unique, CPUs that must be
 * there, limits. Each complaint is one sentence with file and line. Main thread.
 */
#include "host/config_check_private.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"
#include "host/device.h"
#include "host/device_limits.h"

#define MAX_NAME 31
#define MAX_THREADS 32
#define MAX_WAIT_US 10000
#define MAX_POLLING_US 10000000
#define MAX_DEADLINE_MS 10000
#define MAX_FAILURES 1000000
#define MAX_BACKOFF_MS 3600000

/* The index in the file or text that is being checked. */
static int place_index(const struct check *check, const struct config_place *place)
{
	const struct host_config_counts *first = &check->first;

	if (!strcmp(place->section, "resources"))
		return place->index - (int)first->resources;
	if (!strcmp(place->section, "groups"))
		return place->index - (int)first->groups;
	if (!strcmp(place->section, "devices"))
		return place->index - (int)first->devices;
	return place->index;
}

static unsigned int item_line(const struct check *check, const char *item)
{
	return check->text ? config_line_text(check->text->text, check->text->length, item)
	                   : config_line(check->config->name, item);
}

/* The line of that, or of as much of it as is there; 0: not a file (the built-in configuration). */
static unsigned int place_line(const struct check *check, const struct config_place *place)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%s", place->section);
	int ends[3] = {0}; /* where each shorter name of the place ends */

	if (place->index >= 0) {
		ends[0] = n;
		n += snprintf(text + n, sizeof(text) - n, "[%d]", place_index(check, place));
	}
	if (place->key) {
		ends[1] = n;
		n += snprintf(text + n, sizeof(text) - n, ".%s", place->key);
		if (place->item >= 0) {
			ends[2] = n;
			snprintf(text + n, sizeof(text) - n, "[%d]", place->item);
		}
	}

	unsigned int line = item_line(check, text);

	for (int i = 2; i >= 0 && !line; i--) {
		if (!ends[i])
			continue;
		text[ends[i]] = '\0';
		line = item_line(check, text);
	}
	return line;
}

int config_check_fail(struct check *check, const struct config_place *place, const char *format,
                      ...)
{
	const char *name = check->text ? check->text->name : check->config->name;
	unsigned int line = place_line(check, place);
	char sentence[512];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	if (line)
		*check->error = str_format("%s:%u: %s", name, line, sentence);
	else
		*check->error = str_format("%s: %s", name, sentence);
	return -EINVAL;
}

/* Names go into file names, logs and JSON. */
static bool name_good(const char *name)
{
	size_t length = strlen(name);

	return length >= 1 && length <= MAX_NAME && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
	               length;
}

static int name_check(struct check *check, const char *section, unsigned int i, const char *name)
{
	struct config_place place = {section, (int)i, "name", -1};

	if (name_good(name))
		return 0;
	return fail(
		check, &place,
		"the name \"%s\" is not 1 to %d letters, digits, '_', '-' or '.' (not in front)",
		name, MAX_NAME);
}

/* A number that may have been given, and its limits. */
static int number_check(struct check *check, const struct config_place *place,
                        const unsigned int *value, unsigned int least, unsigned int most)
{
	if (!value || (*value >= least && *value <= most))
		return 0;
	return fail(check, place, "%s is %u; it must be from %u to %u", place->key, *value, least,
	            most);
}

static int workers_check(struct check *check)
{
	const struct host_config *config = check->config;
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return 0; /* more CPUs than a cpu_set_t has: worker_start() will tell */
	for (unsigned int i = 0; i < config->workers_count; i++) {
		struct config_place place = {"workers", (int)i, NULL, -1};
		int cpu = config->workers[i];
		char path[64];

		if (i >= HOST_MAX_WORKERS)
			return fail(check, &place, "more than %d workers", HOST_MAX_WORKERS);
		for (unsigned int j = 0; j < i; j++) {
			if (config->workers[j] == cpu)
				return fail(check, &place, "CPU %d has a worker already", cpu);
		}
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d", cpu);
		if (cpu < 0 || (access(path, F_OK) < 0 && errno == ENOENT))
			return fail(check, &place, "there is no CPU %d in this machine", cpu);
		if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed))
			return fail(check, &place,
			            "CPU %d may not be used by this process (it is offline, or not "
			            "in its affinity or cpuset)",
			            cpu);
	}
	return 0;
}

static void types_list(char *buffer, size_t size)
{
	size_t at = 0;

	buffer[0] = '\0';
	for (unsigned int i = 0; resource_types[i] && at < size; i++)
		at += (size_t)snprintf(buffer + at, size - at, "%s%s", i ? ", " : "",
		                       resource_types[i]->type);
}

static int circuit_check(struct check *check, unsigned int i)
{
	const struct host_config_circuit *circuit = check->config->resources[i].circuit;
	struct config_place place = {"resources", (int)i, "circuit", -1};
	const struct {
		const char *key;
		const unsigned int *value;
		unsigned int least, most;
	} numbers[] = {
		{"failures", circuit ? circuit->failures : NULL, 0, MAX_FAILURES},
		{"backoff-ms", circuit ? circuit->backoff_ms : NULL, 1, MAX_BACKOFF_MS},
		{"backoff-max-ms", circuit ? circuit->backoff_max_ms : NULL,
	         host_config_circuit(&check->config->resources[i]).backoff_ms, MAX_BACKOFF_MS},
	};

	for (unsigned int n = 0; n < vc_array_size(numbers); n++) {
		const unsigned int *value = numbers[n].value;

		if (value && (*value < numbers[n].least || *value > numbers[n].most))
			return fail(check, &place, "circuit: %s is %u; it must be from %u to %u",
			            numbers[n].key, *value, numbers[n].least, numbers[n].most);
	}
	return 0;
}

static int type_check(struct check *check, unsigned int i)
{
	const struct host_config_resource *resource = &check->config->resources[i];
	const struct resource_ops *type = resource_type_find(resource->type);
	struct config_place place = {"resources", (int)i, "type", -1};
	char known[128];

	if (type && !(check->text && type->at_start))
		return 0;
	if (type)
		return fail(check, &place,
		            "resource \"%s\": the type %s is made at the start of the daemon only: "
		            "put it into its file, and restart it",
		            resource->name, resource->type);
	types_list(known, sizeof(known));
	return fail(check, &place, "resource \"%s\": no type \"%s\"; this build has: %s",
	            resource->name, resource->type, known);
}

static int resources_check(struct check *check)
{
	const struct host_config *config = check->config;

	for (unsigned int i = check->first.resources; i < config->resources_count; i++) {
		const struct host_config_resource *resource = &config->resources[i];
		struct config_place place = {"resources", (int)i, NULL, -1};
		int err;

		if (i >= HOST_MAX_RESOURCES)
			return fail(check, &place, "more than %d resources", HOST_MAX_RESOURCES);
		err = name_check(check, "resources", i, resource->name);
		if (err)
			return err;
		if (host_config_resource_find(config, resource->name) != (int)i) {
			place.key = "name";
			return fail(check, &place, "two resources have the name \"%s\"",
			            resource->name);
		}
		err = type_check(check, i);
		place.key = "threads";
		if (!err)
			err = number_check(check, &place, resource->threads, 1, MAX_THREADS);
		if (err)
			return err;
		place.key = "wait-us";
		err = number_check(check, &place, resource->wait_us, 0, MAX_WAIT_US);
		if (!err)
			err = circuit_check(check, i);
		if (!err)
			err = config_check_fault(check, i);
		if (!err)
			err = config_check_dpdk(check, i);
		if (err)
			return err;
	}
	return 0;
}

/* One of the two lists of a group. */
static int members_check(struct check *check, unsigned int group, const char *key,
                         char *const *names, unsigned int count)
{
	const struct host_config_group *g = &check->config->groups[group];

	for (unsigned int i = 0; i < count; i++) {
		struct config_place place = {"groups", (int)group, key, (int)i};
		unsigned int times = 0;

		if (host_config_resource_find(check->config, names[i]) < 0)
			return fail(check, &place, "group \"%s\": there is no resource \"%s\"",
			            g->name, names[i]);
		for (unsigned int j = 0; j < g->primary_count; j++)
			times += !strcmp(g->primary[j], names[i]);
		for (unsigned int j = 0; j < g->secondary_count; j++)
			times += !strcmp(g->secondary[j], names[i]);
		if (times > 1)
			return fail(check, &place, "group \"%s\" names the resource \"%s\" twice",
			            g->name, names[i]);
	}
	return 0;
}

/* What belongs to a policy, and the deadline. */
static int policy_check(struct check *check, unsigned int group)
{
	const struct host_config_group *g = &check->config->groups[group];
	struct config_place place = {"groups", (int)group, "size-threshold", -1};
	uint32_t bytes;

	if (g->size_threshold && g->policy != SCHED_SIZE)
		return fail(check, &place, "group \"%s\": size-threshold is for policy: size",
		            g->name);
	if (host_config_size_threshold(g, &bytes) || !bytes)
		return fail(check, &place,
		            "group \"%s\": size-threshold is \"%s\"; it must be a size, as 4KiB, "
		            "from 1 to 4294967295",
		            g->name, g->size_threshold);
	if (g->policy == SCHED_SIZE && g->primary_count < 2) {
		place.key = "primary";
		return fail(check, &place,
		            "group \"%s\": policy: size needs two primary resources, the one for "
		            "small requests first",
		            g->name);
	}
	place.key = "deadline-ms";
	return number_check(check, &place, g->deadline_ms, 1, MAX_DEADLINE_MS);
}

bool config_check_member(const struct host_config_group *g, const char *resource)
{
	for (unsigned int i = 0; i < g->primary_count; i++)
		if (!strcmp(g->primary[i], resource))
			return true;
	for (unsigned int i = 0; i < g->secondary_count; i++)
		if (!strcmp(g->secondary[i], resource))
			return true;
	return false;
}

static int pins_check(struct check *check, unsigned int group)
{
	const struct host_config_group *g = &check->config->groups[group];

	for (unsigned int i = 0; i < g->pins_count; i++) {
		const struct host_config_pin *pin = &g->pins[i];
		struct config_place place = {"groups", (int)group, "pins", (int)i};

		if (i >= GROUP_MAX_PINS)
			return fail(check, &place, "group \"%s\": more than %d pins", g->name,
			            GROUP_MAX_PINS);
		if (!pin_known(pin->algorithm))
			return fail(
				check, &place,
				"group \"%s\": no algorithm is called \"%.64s\" (as aes-128-cbc, "
				"aes-gcm, rsa, aes-cbc+hmac-sha1)",
				g->name, pin->algorithm);
		if (!config_check_member(g, pin->resource))
			return fail(check, &place,
			            "group \"%s\": \"%s\" is pinned to \"%.64s\", which is no "
			            "resource of the group",
			            g->name, pin->algorithm, pin->resource);
	}
	return 0;
}

static int group_check(struct check *check, unsigned int i)
{
	const struct host_config *config = check->config;
	const struct host_config_group *group = &config->groups[i];
	struct config_place place = {"groups", (int)i, "name", -1};
	int err = name_check(check, "groups", i, group->name);

	if (err)
		return err;
	if (i >= HOST_MAX_GROUPS)
		return fail(check, &place, "more than %d groups", HOST_MAX_GROUPS);
	if (host_config_group_find(config, group->name) != (int)i)
		return fail(check, &place, "two groups have the name \"%s\"", group->name);
	err = members_check(check, i, "primary", group->primary, group->primary_count);
	if (!err)
		err = members_check(check, i, "secondary", group->secondary,
		                    group->secondary_count);
	if (!err)
		err = policy_check(check, i);
	return err ? err : pins_check(check, i);
}

static int groups_check(struct check *check)
{
	int err = 0;

	for (unsigned int i = check->first.groups; i < check->config->groups_count && !err; i++)
		err = group_check(check, i);
	return err;
}

static int socket_check(struct check *check, unsigned int i)
{
	const struct host_config *config = check->config;
	const struct host_config_device *device = &config->devices[i];
	struct config_place place = {"devices", (int)i, device->socket ? "socket" : "name", -1};
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char other[sizeof(path)];

	if (device->socket && device->socket[0] != '/')
		return fail(check, &place,
		            "device \"%s\": the socket \"%s\" is not an absolute path",
		            device->name, device->socket);
	if (host_config_socket(device, path, sizeof(path)))
		return fail(check, &place,
		            "device \"%s\": the path of its socket is longer than %zu bytes",
		            device->name, sizeof(path) - 1);
	for (unsigned int j = 0; j < i; j++) {
		if (!host_config_socket(&config->devices[j], other, sizeof(other)) &&
		    !strcmp(path, other))
			return fail(check, &place, "devices \"%s\" and \"%s\" have the same socket",
			            config->devices[j].name, device->name);
	}
	return 0;
}

static int device_numbers_check(struct check *check, unsigned int i)
{
	const struct host_config_device *device = &check->config->devices[i];
	struct config_place place = {"devices", (int)i, "queues", -1};
	int err = number_check(check, &place, device->queues, 1, DEVICE_MAX_DATA_QUEUES);

	place.key = "weight";
	return err ? err : number_check(check, &place, device->weight, 1, QOS_WEIGHT_MAX);
}

/* A limit that may have been given, as a number or as a text. */
static int field_check(struct check *check, const struct config_place *place, const char *name,
                       const unsigned int *number, const char *text)
{
	const struct limit_field *field = limit_field_find(name);
	uint64_t value = number ? *number : 0;
	char *complaint = NULL;
	int err = 0;

	if (!number && !text)
		return 0;
	if (text &&
	    (config_size_parse(text, &value) || value < field->least || value > field->most))
		complaint =
			str_format("%s is \"%s\"; it must be a size, as 64MiB, from %" PRIu64 " on",
		                   name, text, field->least);
	else if (number && (*number < field->least || *number > field->most))
		complaint = limit_complaint(field, *number);
	if (complaint)
		err = fail(check, place, "limit: %s", complaint);
	free(complaint);
	return err;
}

static int limit_check(struct check *check, unsigned int i)
{
	const struct host_config_device *device = &check->config->devices[i];
	const struct host_config_limit *limit = device->limit;
	struct config_place place = {"devices", (int)i, "limit", -1};
	struct device_limits limits;
	char *complaint;
	int err = 0;

	if (!limit)
		return 0;
	err = field_check(check, &place, "sessions", limit->sessions, NULL);
	if (!err)
		err = field_check(check, &place, "inflight-bytes", NULL, limit->inflight_bytes);
	if (!err)
		err = field_check(check, &place, "memory", NULL, limit->memory);
	if (!err)
		err = field_check(check, &place, "ops", limit->ops, NULL);
	if (!err)
		err = field_check(check, &place, "ops-burst", limit->ops_burst, NULL);
	if (!err)
		err = field_check(check, &place, "bytes", NULL, limit->bytes);
	if (!err)
		err = field_check(check, &place, "bytes-burst", NULL, limit->bytes_burst);
	if (err || host_config_limits(device, &limits))
		return err ? err : -EINVAL;
	complaint = limits_complaint(&limits);
	if (complaint)
		err = fail(check, &place, "limit: %s", complaint);
	free(complaint);
	return err;
}

static int device_check(struct check *check, unsigned int i)
{
	const struct host_config *config = check->config;
	const struct host_config_device *device = &config->devices[i];
	struct config_place place = {"devices", (int)i, "name", -1};
	int err = name_check(check, "devices", i, device->name);

	if (err)
		return err;
	for (unsigned int j = 0; j < i; j++) {
		if (!strcmp(config->devices[j].name, device->name))
			return fail(check, &place, "two devices have the name \"%s\"",
			            device->name);
	}
	place.key = "group";
	if (host_config_group_find(config, device->group) < 0)
		return fail(check, &place, "device \"%s\": there is no group \"%s\"", device->name,
		            device->group);
	err = device_numbers_check(check, i);
	if (!err)
		err = limit_check(check, i);
	return err ? err : socket_check(check, i);
}

static int devices_check(struct check *check)
{
	const struct host_config *config = check->config;

	for (unsigned int i = check->first.devices; i < config->devices_count; i++) {
		struct config_place place = {"devices", (int)i, NULL, -1};
		int err;

		if (i >= HOST_MAX_DEVICES)
			return fail(check, &place, "more than %d devices", HOST_MAX_DEVICES);
		err = device_check(check, i);
		if (err)
			return err;
	}
	return 0;
}

static int polling_check(struct check *check)
{
	const struct host_config_polling *polling = check->config->polling;
	struct config_place place = {"polling", -1, "spin-us", -1};
	int err;

	if (!polling)
		return 0;
	err = number_check(check, &place, polling->spin_us, 0, MAX_POLLING_US);
	place.key = "idle-us";
	return err ? err : number_check(check, &place, polling->idle_us, 0, MAX_POLLING_US);
}

static int pool_check(struct check *check)
{
	int err = resources_check(check);

	if (!err)
		err = groups_check(check);
	if (!err)
		err = config_check_shares(check);
	return err ? err : devices_check(check);
}

int host_config_check(const struct host_config *config, char **error)
{
	struct check check = {.config = config, .error = error};
	int err = workers_check(&check);

	if (!err)
		err = polling_check(&check);
	if (!err)
		err = config_check_dpdk_section(&check);
	return err ? err : pool_check(&check);
}

int host_config_check_added(const struct host_config *config,
                            const struct host_config_counts *before,
                            const struct host_config_text *text, char **error)
{
	struct check check = {.config = config, .first = *before, .text = text, .error = error};

	return pool_check(&check);
}

int host_config_check_group(const struct host_config *config, unsigned int group,
                            const struct host_config_text *text, char **error)
{
	struct check check = {
		.config = config, .first.groups = group, .text = text, .error = error};

	return group_check(&check, group);
}
