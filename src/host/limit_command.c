/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See limit_command.h. Who asks is root or our own user, and may still be wrong: each refusal is a
 * sentence that names the thing. Counters belong to the workers and are read while they write them.
 */
#include "host/limit_command.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/util.h"
#include "host/device_limits.h"
#include "host/host.h"

static json_int_t figure(const uint64_t *counter)
{
	return (json_int_t)__atomic_load_n(counter, __ATOMIC_RELAXED);
}

json_t *limits_json(const struct device *device)
{
	json_t *limits = json_object();

	for (const struct limit_field *field = limit_fields; field->name; field++) {
		uint64_t value = limit_get(&device->limits, field);
		char key[24];

		snprintf(key, sizeof(key), "%s", field->name);
		for (char *p = key; *p; p++)
			*p = *p == '-' ? '_' : *p;
		json_object_set_new(limits, key,
		                    value || !field->optional ? json_integer((json_int_t)value)
		                                              : json_null());
	}
	return limits;
}

static json_int_t ticks_us(uint64_t ticks)
{
	return (json_int_t)(ticks / clock_ticks_per_us());
}

json_t *held_back_json(const struct device *device)
{
	uint64_t now = clock_ticks(), ticks = 0, cost = 0;
	json_int_t throttles = 0;
	bool throttled = false;

	for (unsigned int w = 0; w < HOST_MAX_WORKERS; w++) {
		const struct qos_counters *c = &device->share[w].flow.counters;
		uint64_t since = __atomic_load_n(&c->since, __ATOMIC_RELAXED);

		throttles += figure(&c->throttles);
		ticks += (uint64_t)figure(&c->throttled);
		cost += (uint64_t)figure(&c->cost);
		if (since && since < now)
			ticks += now - since;
		throttled |= since != 0;
	}
	return json_pack("{s:b, s:I, s:I, s:I}", "throttled", throttled, "throttles", throttles,
	                 "throttled_us", ticks_us(ticks), "contended_us", ticks_us(cost));
}

json_t *limit_command(void *context, const json_t *request, char **error)
{
	const struct host *host = context;
	const char *name = json_string_value(json_object_get(request, "device"));
	int found = name ? host_device_find(host, name) : -1;
	json_t *set = json_object_get(request, "set"), *value;
	struct device_limits limits;
	struct device *device;
	const char *key;

	if (found < 0) {
		*error = str_format("\"device\" must be the name of a device");
		return NULL;
	}
	device = host->device[found];
	limits = device->limits;
	json_object_foreach (set, key, value)
		if (limit_set(&limits, key, json_string_value(value), error))
			return NULL;
	*error = limits_complaint(&limits);
	if (*error)
		return NULL;
	if (json_object_size(set))
		device_limit(device, &limits);
	json_object_foreach (set, key, value) {
		log_notice("device %s: %s is now %s, by the administrator", name, key,
		           json_string_value(value));
		/* Without memory for it, the configuration says what was before. */
		host_config_limit(&host->config->devices[found], key,
		                  limit_get(&limits, limit_field_find(key)));
	}
	return json_pack("{s:s, s:o}", "device", name, "limits", limits_json(device));
}
