/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.yaml: the schema, the defaults, the built-in configuration.
 *
 * Main thread, before anything else runs. The file is the administrator's: it is checked in order
 * to say what is wrong with it, not because it is hostile.
 */
#include "host/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/util.h"
#include "host/config_private.h"

#define DEFAULT_SPIN_US 2
#define DEFAULT_IDLE_US 200
#define DEFAULT_QUEUES 1
/* Below it a device that has to be asked over a bus gains nothing. */
#define DEFAULT_SIZE_THRESHOLD 4096
#define DEFAULT_FAILURES 8
#define DEFAULT_BACKOFF_MS 100
#define DEFAULT_BACKOFF_MAX_MS 10000
#define DEFAULT_SESSIONS 4096
#define DEFAULT_INFLIGHT_BYTES (UINT64_C(16) << 20)
#define DEFAULT_MEMORY (UINT64_C(1) << 40)

static const char builtin_name[] = "built-in configuration";
static const char nothing[] = "{}";
static const char default_group_name[] = "default";

/* Multi-buffer first; what it cannot do goes to libcrypto. Groups: see default_group(). */
static const char builtin[] = "resources:\n"
			      "  - {name: mb, type: ipsec-mb}\n"
			      "  - {name: sw, type: libcrypto}\n"
			      "devices:\n"
			      "  - {name: vcrypto, queues: 1}\n";

static const cyaml_schema_value_t cpu_entry = {
	CYAML_VALUE_INT(CYAML_FLAG_DEFAULT, int),
};

static const cyaml_schema_value_t name_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t circuit_fields[] = {
	CYAML_FIELD_UINT_PTR("failures", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_circuit, failures),
	CYAML_FIELD_UINT_PTR("backoff-ms", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_circuit, backoff_ms),
	CYAML_FIELD_UINT_PTR("backoff-max-ms", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_circuit, backoff_max_ms),
	CYAML_FIELD_END,
};

#define FAULT_FIELD(key, i)                                                                        \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,                      \
	                       struct host_config_faults, value[i], 1, CYAML_UNLIMITED)

/* As fault_keys has them. */
static const cyaml_schema_field_t fault_fields[] = {
	FAULT_FIELD("delay", 0),   FAULT_FIELD("error-rate", 1),
	FAULT_FIELD("refuse", 2),  FAULT_FIELD("refuse-sessions", 3),
	FAULT_FIELD("reorder", 4), FAULT_FIELD("hang", 5),
	FAULT_FIELD("dead", 6),    FAULT_FIELD("after", 7),
	FAULT_FIELD("for-ms", 8),  FAULT_FIELD("seed", 9),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t resource_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct host_config_resource, name, 1,
                               CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("type", CYAML_FLAG_POINTER, struct host_config_resource, type, 1,
                               CYAML_UNLIMITED),
	CYAML_FIELD_UINT_PTR("threads", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_resource, threads),
	CYAML_FIELD_UINT_PTR("wait-us", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_resource, wait_us),
	CYAML_FIELD_STRING_PTR("device", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_resource, device, 1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("vdev", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_resource, vdev, 1, CYAML_UNLIMITED),
	CYAML_FIELD_UINT_PTR("sessions", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_resource, sessions),
	CYAML_FIELD_MAPPING_PTR("circuit", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                                struct host_config_resource, circuit, circuit_fields),
	CYAML_FIELD_STRING_PTR("of", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_resource, of, 1, CYAML_UNLIMITED),
	CYAML_FIELD_MAPPING_PTR("faults", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                                struct host_config_resource, faults, fault_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t resource_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct host_config_resource, resource_fields),
};

static const cyaml_strval_t policies[] = {
	{"failover", SCHED_FAILOVER},
	{"round-robin", SCHED_ROUND_ROBIN},
	{"least-inflight", SCHED_LEAST_INFLIGHT},
	{"size", SCHED_SIZE},
};

static const cyaml_schema_field_t pin_fields[] = {
	CYAML_FIELD_STRING_PTR("algorithm", CYAML_FLAG_POINTER, struct host_config_pin, algorithm,
                               1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("resource", CYAML_FLAG_POINTER, struct host_config_pin, resource, 1,
                               CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t pin_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct host_config_pin, pin_fields),
};

static const cyaml_schema_field_t share_fields[] = {
	CYAML_FIELD_STRING_PTR("resource", CYAML_FLAG_POINTER, struct host_config_share, resource,
                               1, CYAML_UNLIMITED),
	CYAML_FIELD_UINT("threads", CYAML_FLAG_DEFAULT, struct host_config_share, threads),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t share_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct host_config_share, share_fields),
};

static const cyaml_schema_field_t group_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct host_config_group, name, 1,
                               CYAML_UNLIMITED),
	CYAML_FIELD_ENUM("policy", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
                         struct host_config_group, policy, policies, CYAML_ARRAY_LEN(policies)),
	CYAML_FIELD_SEQUENCE("primary", CYAML_FLAG_POINTER, struct host_config_group, primary,
                             &name_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("secondary", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_group, secondary, &name_entry, 0, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("size-threshold", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_group, size_threshold, 1, CYAML_UNLIMITED),
	CYAML_FIELD_UINT_PTR("deadline-ms", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_group, deadline_ms),
	CYAML_FIELD_SEQUENCE("pins", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_group, pins, &pin_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("share", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_group, share, &share_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t group_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct host_config_group, group_fields),
};

static const cyaml_strval_t modes[] = {
	{"server", HOST_MODE_SERVER},
	{"client", HOST_MODE_CLIENT},
};

static const cyaml_strval_t orders[] = {
	{"relaxed", HOST_ORDER_RELAXED},
	{"strict", HOST_ORDER_STRICT},
};

static const cyaml_schema_field_t limit_fields[] = {
	CYAML_FIELD_UINT_PTR("sessions", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_limit, sessions),
	CYAML_FIELD_STRING_PTR("inflight-bytes", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_limit, inflight_bytes, 1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("memory", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_limit, memory, 1, CYAML_UNLIMITED),
	CYAML_FIELD_UINT_PTR("ops", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_limit, ops),
	CYAML_FIELD_UINT_PTR("ops-burst", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_limit, ops_burst),
	CYAML_FIELD_STRING_PTR("bytes", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_limit, bytes, 1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("bytes-burst", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_limit, bytes_burst, 1, CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t device_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct host_config_device, name, 1,
                               CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("socket", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_device, socket, 1, CYAML_UNLIMITED),
	CYAML_FIELD_ENUM("mode", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct host_config_device,
                         mode, modes, CYAML_ARRAY_LEN(modes)),
	CYAML_FIELD_STRING_PTR("group", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_device, group, 1, CYAML_UNLIMITED),
	CYAML_FIELD_UINT_PTR("queues", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_device, queues),
	CYAML_FIELD_ENUM("order", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
                         struct host_config_device, order, orders, CYAML_ARRAY_LEN(orders)),
	CYAML_FIELD_MAPPING_PTR("limit", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                                struct host_config_device, limit, limit_fields),
	CYAML_FIELD_UINT_PTR("weight", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_device, weight),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t device_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct host_config_device, device_fields),
};

static const cyaml_schema_field_t polling_fields[] = {
	CYAML_FIELD_UINT_PTR("spin-us", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_polling, spin_us),
	CYAML_FIELD_UINT_PTR("idle-us", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_polling, idle_us),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t dpdk_fields[] = {
	CYAML_FIELD_SEQUENCE("eal", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_dpdk, eal, &name_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("memory", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct host_config_dpdk, memory, 1, CYAML_UNLIMITED),
	CYAML_FIELD_BOOL_PTR("huge-pages", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config_dpdk, huge_pages),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t top_fields[] = {
	CYAML_FIELD_SEQUENCE("workers", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config, workers, &cpu_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("resources", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config, resources, &resource_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("groups", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct host_config,
                             groups, &group_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("devices", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config, devices, &device_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_MAPPING_PTR("polling", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                                struct host_config, polling, polling_fields),
	CYAML_FIELD_MAPPING_PTR("dpdk", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                                struct host_config, dpdk, dpdk_fields),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t host_config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct host_config, top_fields),
};

/* What may come and go while the daemon runs. */
static const cyaml_schema_field_t pool_fields[] = {
	CYAML_FIELD_SEQUENCE("resources", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config, resources, &resource_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("groups", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct host_config,
                             groups, &group_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("devices", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                             struct host_config, devices, &device_entry, 1, CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t host_config_pool_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct host_config, pool_fields),
};

/* ---- what a file leaves out; libcyaml frees it as if it had been there: cyaml_mem() is free() */

/* One group of all resources, in their order. */
static int default_group(struct host_config *config)
{
	struct host_config_group *group = calloc(1, sizeof(*group));

	if (!group)
		return -ENOMEM;
	config->groups = group;
	config->groups_count = 1;
	group->policy = SCHED_FAILOVER;
	group->name = strdup(default_group_name);
	group->primary = calloc(config->resources_count, sizeof(*group->primary));
	if (!group->name || !group->primary)
		return -ENOMEM;
	for (unsigned int i = 0; i < config->resources_count; i++) {
		group->primary[i] = strdup(config->resources[i].name);
		if (!group->primary[i])
			return -ENOMEM;
		group->primary_count = i + 1;
	}
	return 0;
}

int host_config_default_group(struct host_config *config)
{
	int found = host_config_group_find(config, default_group_name);
	const char *name =
		found < 0 && config->groups_count ? config->groups[0].name : default_group_name;

	for (unsigned int i = 0; i < config->devices_count; i++) {
		struct host_config_device *device = &config->devices[i];

		if (!device->group)
			device->group = strdup(name);
		if (!device->group)
			return -ENOMEM;
	}
	return 0;
}

/* Take what is left out from the built-in configuration. */
static int defaults_fill(struct host_config *config, char **error)
{
	struct host_config *defaults;
	void *data;
	int err = config_load_text(builtin_name, builtin, sizeof(builtin) - 1, &host_config_schema,
	                           &data, error);

	if (err)
		return err;
	defaults = data;
	if (!config->resources) {
		config->resources = defaults->resources;
		config->resources_count = defaults->resources_count;
		defaults->resources = NULL;
	}
	if (!config->devices) {
		config->devices = defaults->devices;
		config->devices_count = defaults->devices_count;
		defaults->devices = NULL;
	}
	config_free(&host_config_schema, defaults);
	if (!config->groups)
		err = default_group(config);
	return err ? err : host_config_default_group(config);
}

int host_config_load(const char *path, struct host_config **config, char **error)
{
	struct host_config *loaded;
	void *data = NULL;
	int err;

	*error = NULL;
	err = path ? config_load(path, &host_config_schema, &data, error)
	           : config_load_text(builtin_name, nothing, strlen(nothing), &host_config_schema,
	                              &data, error);
	if (err)
		return err;
	loaded = data;
	loaded->name = strdup(path ? path : builtin_name);
	err = loaded->name ? defaults_fill(loaded, error) : -ENOMEM;
	if (!err)
		err = host_config_check(loaded, error);
	if (err)
		host_config_free(loaded);
	else
		*config = loaded;
	return err;
}

void host_config_free(struct host_config *config)
{
	if (!config)
		return;
	free(config->name);
	config_free(&host_config_schema, config);
}

static unsigned int given(const unsigned int *value, unsigned int otherwise)
{
	return value ? *value : otherwise;
}

unsigned int host_config_spin_us(const struct host_config *config)
{
	return given(config->polling ? config->polling->spin_us : NULL, DEFAULT_SPIN_US);
}

unsigned int host_config_idle_us(const struct host_config *config)
{
	return given(config->polling ? config->polling->idle_us : NULL, DEFAULT_IDLE_US);
}

struct circuit_options host_config_circuit(const struct host_config_resource *resource)
{
	static const struct host_config_circuit none;
	const struct host_config_circuit *circuit = resource->circuit ? resource->circuit : &none;
	unsigned int first = given(circuit->backoff_ms, DEFAULT_BACKOFF_MS);

	return (struct circuit_options){
		.failures = given(circuit->failures, DEFAULT_FAILURES),
		.backoff_ms = first,
		.backoff_max_ms =
			given(circuit->backoff_max_ms, vc_max(first, DEFAULT_BACKOFF_MAX_MS)),
	};
}

unsigned int host_config_parts(const struct host_config_resource *resource)
{
	return given(resource->threads, 1);
}

unsigned int host_config_shared(const struct host_config *config, const char *resource)
{
	unsigned int shared = 0;

	for (unsigned int g = 0; g < config->groups_count; g++) {
		const struct host_config_group *group = &config->groups[g];

		for (unsigned int i = 0; i < group->share_count; i++)
			if (!strcmp(group->share[i].resource, resource))
				shared += group->share[i].threads;
	}
	return shared;
}

int host_config_faults(const struct host_config_resource *resource, struct fault_settings *settings,
                       const char **key, char **error)
{
	int err = 0;

	*settings = fault_settings_none;
	for (unsigned int i = 0; resource->faults && i < FAULT_KEYS && !err; i++) {
		*key = fault_keys[i];
		if (resource->faults->value[i])
			err = fault_settings_set(settings, *key, resource->faults->value[i], error);
	}
	return err;
}

unsigned int host_config_queues(const struct host_config_device *device)
{
	return given(device->queues, DEFAULT_QUEUES);
}

/* 0, -EINVAL; otherwise if the file says nothing. */
static int size_given(const char *text, uint64_t otherwise, uint64_t *value)
{
	*value = otherwise;
	return text ? config_size_parse(text, value) : 0;
}

int host_config_size_threshold(const struct host_config_group *group, uint32_t *bytes)
{
	uint64_t value;
	int err = size_given(group->size_threshold, DEFAULT_SIZE_THRESHOLD, &value);

	*bytes = (uint32_t)value;
	return err || value > UINT32_MAX ? -EINVAL : 0;
}

int host_config_limits(const struct host_config_device *device, struct device_limits *limits)
{
	static const struct host_config_limit none;
	const struct host_config_limit *limit = device->limit ? device->limit : &none;
	int err;

	limits->sessions = given(limit->sessions, DEFAULT_SESSIONS);
	limits->qos.weight = given(device->weight, 1);
	limits->qos.ops = given(limit->ops, 0);
	limits->qos.ops_burst = given(limit->ops_burst, 0);
	err = size_given(limit->bytes, 0, &limits->qos.bytes);
	if (!err)
		err = size_given(limit->bytes_burst, 0, &limits->qos.bytes_burst);
	if (!err)
		err = size_given(limit->inflight_bytes, DEFAULT_INFLIGHT_BYTES,
		                 &limits->inflight_bytes);
	return err ? err : size_given(limit->memory, DEFAULT_MEMORY, &limits->memory);
}

int host_config_socket(const struct host_config_device *device, char *path, size_t size)
{
	char name[64];

	if (device->socket) {
		if (strlen(device->socket) >= size)
			return -ENAMETOOLONG;
		memcpy(path, device->socket, strlen(device->socket) + 1);
		return 0;
	}
	snprintf(name, sizeof(name), "%.48s.sock", device->name);
	return runtime_path(name, path, size);
}

int host_config_resource_find(const struct host_config *config, const char *name)
{
	for (unsigned int i = 0; i < config->resources_count; i++) {
		if (!strcmp(config->resources[i].name, name))
			return (int)i;
	}
	return -1;
}

int host_config_group_find(const struct host_config *config, const char *name)
{
	for (unsigned int i = 0; i < config->groups_count; i++) {
		if (!strcmp(config->groups[i].name, name))
			return (int)i;
	}
	return -1;
}

int host_config_device_find(const struct host_config *config, const char *name)
{
	for (unsigned int i = 0; i < config->devices_count; i++) {
		if (!strcmp(config->devices[i].name, name))
			return (int)i;
	}
	return -1;
}
