/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fault_command.h.
 */
#include "host/fault_command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "host/host.h"
#include "host/resource/fault.h"

static struct resource *resource_of(const struct pool *pool, const json_t *request, char **error)
{
	const char *name = json_string_value(json_object_get(request, "resource"));

	for (unsigned int i = 0; name && i < pool->resource_count; i++) {
		if (strcmp(pool->resource[i]->name, name) != 0)
			continue;
		if (fault_is(pool->resource[i]))
			return pool->resource[i];
		*error = str_format("resource \"%s\" is of type %s, not fault", name,
		                    pool->resource[i]->ops->type);
		return NULL;
	}
	*error = name ? str_format("there is no resource \"%s\"", name)
	              : str_format("\"resource\" must be the name of a resource of type fault");
	return NULL;
}

/* All of them, or none. 0, -EINVAL with *error. */
static int settings_change(struct fault_settings *settings, const json_t *set, char **error)
{
	struct fault_settings changed = *settings;
	const char *key;
	json_t *value;

	if (!json_is_object(set)) {
		*error = str_format("\"set\" must be an object of settings");
		return -EINVAL;
	}
	json_object_foreach ((json_t *)(uintptr_t)set, key, value) {
		if (!json_is_string(value)) {
			*error = str_format("%s: its value must be a text", key);
			return -EINVAL;
		}
		if (fault_settings_set(&changed, key, json_string_value(value), error))
			return -EINVAL;
	}
	*settings = changed;
	return 0;
}

/* "delay=fixed:100 hang=yes", or "none". */
static void settings_text(const struct fault_settings *settings, char *text, size_t size)
{
	size_t at = 0;

	snprintf(text, size, "none");
	for (const char *const *key = fault_keys; *key && at < size; key++) {
		char value[64];

		if (fault_settings_get(settings, *key, value, sizeof(value)))
			at += (size_t)snprintf(text + at, size - at, "%s%s=%s", at ? " " : "", *key,
			                       value);
	}
}

json_t *fault_json(const struct resource *resource)
{
	struct fault_settings settings;
	json_t *texts = json_object();

	fault_get(resource, &settings);
	for (const char *const *key = fault_keys; *key; key++) {
		char value[64];

		if (fault_settings_get(&settings, *key, value, sizeof(value)))
			json_object_set_new(texts, *key, json_string(value));
	}
	return texts;
}

static json_t *answer(struct resource *resource, uint64_t changed_ns)
{
	struct fault_state state;
	const struct fault_counters *c = &state.counters;
	json_t *counters;

	fault_look(resource, &state);
	counters = json_pack("{s:I, s:I, s:I, s:I, s:I}", "delayed", (json_int_t)c->delayed,
	                     "errors", (json_int_t)c->errors, "refused", (json_int_t)c->refused,
	                     "sessions_refused", (json_int_t)c->sessions_refused, "killed",
	                     (json_int_t)c->killed);
	return json_pack("{s:s, s:s, s:o, s:i, s:i, s:o, s:I}", "resource", resource->name, "of",
	                 fault_inner(resource)->name, "faults", fault_json(resource), "workers",
	                 (int)state.workers, "active", (int)state.active, "counters", counters,
	                 "changed_ns", (json_int_t)changed_ns);
}

json_t *fault_command(void *context, const json_t *request, char **error)
{
	const struct host *host = context;
	struct resource *resource = resource_of(host->pool, request, error);
	const json_t *set = json_object_get(request, "set");
	bool clear = json_is_true(json_object_get(request, "clear"));
	struct fault_settings settings;
	uint64_t changed_ns = 0;
	char text[256];

	if (!resource)
		return NULL;
	fault_get(resource, &settings);
	if (clear)
		settings = fault_settings_none;
	if (set && settings_change(&settings, set, error))
		return NULL;
	if (set || clear) {
		changed_ns = clock_now_ns();
		fault_set(resource, &settings);
		settings_text(&settings, text, sizeof(text));
		log_notice("resource %s: faults, by the administrator: %s", resource->name, text);
	}
	return answer(resource, changed_ns);
}

void fault_clear_all(struct pool *pool)
{
	for (unsigned int i = 0; pool && i < pool->resource_count; i++)
		if (fault_is(pool->resource[i]))
			fault_set(pool->resource[i], &fault_settings_none);
}
