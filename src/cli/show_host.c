/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of vcrypto-host as text.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "cli/show.h"

/* A worker that is not pinned has no CPU. */
static void cell_cpu(struct table *table, const json_t *row, const char *key)
{
	if (json_is_integer(json_object_get(row, key)))
		cell_id(table, row, key);
	else
		table_text(table, "any");
}

/* Names with commas between; "-" for none. */
static void cell_names(struct table *table, const json_t *row, const char *key)
{
	const json_t *names = json_object_get(row, key);
	char *text = NULL;
	json_t *name;
	size_t i;

	json_array_foreach (names, i, name) {
		char *more = str_format("%s%s%s", text ? text : "", text ? ", " : "",
		                        json_is_string(name) ? json_string_value(name) : "?");

		if (!more)
			err(EXIT_FAILURE, NULL);
		free(text);
		text = more;
	}
	table_text(table, text ? text : "-");
	free(text);
}

static void cell_state(struct table *table, const json_t *row, const char *key)
{
	const char *broken = json_string_value(json_object_get(row, "broken"));
	char *text;

	if (!broken) {
		table_text(table, json_is_true(json_object_get(row, key)) ? "started" : "stopped");
		return;
	}
	text = str_format("broken: %s", broken);
	if (!text)
		err(EXIT_FAILURE, NULL);
	table_text(table, text);
	free(text);
}

/* Not every resource has some. */
static void cell_threads(struct table *table, const json_t *row, const char *key)
{
	if (json_is_integer(json_object_get(row, key)))
		cell_count(table, row, key);
	else
		table_text(table, "-");
}

/* What the circuit before a resource lets through. */
static void cell_health(struct table *table, const json_t *row, const char *key)
{
	const char *state = field_text(json_object_get(row, key), "state");

	if (!strcmp(state, "closed"))
		table_text(table, "ok");
	else
		table_text(table, *state ? state : "-");
}

static const struct column worker_columns[] = {
	{"worker", "index", cell_id},          {">cpu", "cpu", cell_cpu},
	{">requests", "requests", cell_count}, {">rounds", "rounds", cell_count},
	{">sleeps", "sleeps", cell_count},     {0},
};

static const struct column resource_columns[] = {
	{"resource", "name", cell_text},
	{"type", "type", cell_text},
	{"state", "state", cell_text},
	{"circuit", "health", cell_health},
	{">threads", "threads", cell_threads},
	{">completed", "completed", cell_count},
	{">failed", "failed", cell_count},
	{">data", "bytes", cell_bytes},
	{">bursts", "bursts", cell_count},
	{">in flight", "in_flight", cell_count},
	{0},
};

static const struct column group_columns[] = {
	{"group", "name", cell_text},
	{"policy", "policy", cell_text},
	{"primary", "primary", cell_names},
	{"secondary", "secondary", cell_names},
	{0},
};

static const struct column queue_columns[] = {
	{"queue", "index", cell_id},        {"kind", "kind", cell_text},
	{"state", "started", cell_state},   {">requests", "requests", cell_count},
	{">data", "bytes", cell_bytes},     {">kicks", "kicks", cell_count},
	{">calls", "calls", cell_count},    {">bad chains", "bad_chains", cell_count},
	{"errors", "errors", cell_nonzero}, {0},
};

static void print_line(char *line)
{
	if (!line)
		err(EXIT_FAILURE, NULL);
	print_clean(line);
	putchar('\n');
	free(line);
}

/* A line for what most devices never meet: keys that come with requests, and what a process that
 * was killed had left. */
static void show_rare(const json_t *device)
{
	const json_t *stateless = json_object_get(device, "stateless");
	char keys[TEXT_FIGURE], hits[TEXT_FIGURE], misses[TEXT_FIGURE];
	char evicted[TEXT_FIGURE], waits[TEXT_FIGURE];
	json_int_t resubmitted = 0;
	json_t *queue;
	size_t i;

	if (field_number(stateless, "hits") || field_number(stateless, "misses"))
		print_line(str_format(
			"    stateless: keys %s, hits %s, misses %s, pushed out %s, waits %s",
			text_count(field_number(stateless, "keys"), keys),
			text_count(field_number(stateless, "hits"), hits),
			text_count(field_number(stateless, "misses"), misses),
			text_count(field_number(stateless, "evicted"), evicted),
			text_count(field_number(stateless, "waits"), waits)));
	json_array_foreach (json_object_get(device, "queues"), i, queue)
		resubmitted += field_number(queue, "resubmitted");
	if (resubmitted)
		print_line(str_format("    requests taken over from a host that was killed: %s",
		                      text_count(resubmitted, keys)));
}

static void show_front_end(const json_t *device)
{
	const json_t *limits = json_object_get(device, "limits");
	const json_t *iommu = json_object_get(device, "iommu");
	char entries[TEXT_FIGURE], asked[TEXT_FIGURE];
	char sessions[TEXT_FIGURE], most_sessions[TEXT_FIGURE];
	char memory[TEXT_FIGURE], most_memory[TEXT_FIGURE];

	print_line(str_format("    sessions %s of %s, memory %s of %s, features %s",
	                      text_count(field_number(device, "sessions"), sessions),
	                      text_count(field_number(limits, "sessions"), most_sessions),
	                      text_bytes(field_number(device, "memory"), memory),
	                      text_bytes(field_number(limits, "memory"), most_memory),
	                      field_text(device, "features")));
	if (json_is_object(iommu))
		print_line(str_format("    IOMMU: %s entries known, %s addresses asked for",
		                      text_count(field_number(iommu, "entries"), entries),
		                      text_count(field_number(iommu, "asked"), asked)));
}

/* What the limits of operations and bytes hold back, where there are some or have been. */
static void show_held_back(const json_t *device)
{
	const json_t *limits = json_object_get(device, "limits");
	const json_t *held = json_object_get(device, "held_back");
	char ops[TEXT_FIGURE], bytes[TEXT_FIGURE], times[TEXT_FIGURE];
	bool has_ops = json_is_integer(json_object_get(limits, "ops"));
	bool has_bytes = json_is_integer(json_object_get(limits, "bytes"));

	if (!has_ops && !has_bytes && !field_number(held, "throttles"))
		return;
	print_line(str_format("    limit %s ops/s, %s/s%s; held back %s times, %.3f s in all",
	                      has_ops ? text_count(field_number(limits, "ops"), ops) : "any",
	                      has_bytes ? text_bytes(field_number(limits, "bytes"), bytes) : "any",
	                      json_is_true(json_object_get(held, "throttled")) ? " (throttled now)"
	                                                                       : "",
	                      text_count(field_number(held, "throttles"), times),
	                      (double)field_number(held, "throttled_us") / 1e6));
}

static void show_device(const json_t *device)
{
	int64_t weight = (int64_t)field_number(json_object_get(device, "limits"), "weight");
	char weighs[32] = "";
	const json_t *peer = json_object_get(device, "front_end");
	const char *state = field_text(device, "state");
	bool connected = json_is_true(json_object_get(device, "connected"));
	char *whose = connected ? str_format("front end is process %" PRId64 " of user %" PRId64,
	                                     (int64_t)field_number(peer, "pid"),
	                                     (int64_t)field_number(peer, "uid"))
	                        : str_format("no front end");

	if (!whose)
		err(EXIT_FAILURE, NULL);
	if (weight > 1)
		snprintf(weighs, sizeof(weighs), ", weight %" PRId64, weight);
	print_line(str_format("  device %s at %s, group %s%s%s%s%s: %s", field_text(device, "name"),
	                      field_text(device, "socket"), field_text(device, "group"),
	                      strcmp(field_text(device, "order"), "strict") ? "" : ", strict order",
	                      weighs, strcmp(state, "running") ? ", " : "",
	                      strcmp(state, "running") ? state : "", whose));
	free(whose);
	if (connected)
		show_front_end(device);
	show_held_back(device);
	show_rare(device);
	show_rows(json_object_get(device, "queues"), 4, queue_columns);
}

void show_host_devices(const json_t *devices)
{
	json_t *device;
	size_t i;

	json_array_foreach (devices, i, device) {
		if (i)
			putchar('\n');
		show_device(device);
	}
}

/* A line for each resource that is not as it should be, by the administrator's will. */
static void show_faults(const json_t *resources)
{
	json_t *resource, *value;
	const char *key;
	size_t i;

	json_array_foreach (resources, i, resource) {
		const json_t *faults = json_object_get(resource, "faults");

		if (!json_object_size(faults))
			continue;
		printf("  faults of ");
		print_clean(field_text(resource, "name"));
		printf(":");
		json_object_foreach ((json_t *)(uintptr_t)faults, key, value) {
			printf(" ");
			print_clean(key);
			printf("=");
			print_clean(json_is_string(value) ? json_string_value(value) : "?");
		}
		putchar('\n');
	}
}

/* A line for each resource that is not well: which, why and for how long. */
static void show_health(const json_t *resources)
{
	json_t *resource;
	size_t i;

	json_array_foreach (resources, i, resource) {
		const json_t *health = json_object_get(resource, "health");
		json_int_t unanswered = field_number(health, "unanswered");
		char since[TEXT_FIGURE], times[TEXT_FIGURE], late[TEXT_FIGURE];

		if (field_number(health, "workers"))
			print_line(str_format("  %s is avoided: %s, for %s, in %" PRId64
			                      " of the workers; opened %s times",
			                      field_text(resource, "name"),
			                      field_text(health, "reason"),
			                      text_duration(field_number(health, "since_s"), since),
			                      (int64_t)field_number(health, "workers"),
			                      text_count(field_number(health, "opened"), times)));
		if (unanswered)
			print_line(str_format("  %s has %s requests that nobody waits for any more",
			                      field_text(resource, "name"),
			                      text_count(unanswered, late)));
	}
}

void show_host_status(const json_t *status)
{
	show_daemon(status);
	show_rows(json_object_get(status, "workers"), 2, worker_columns);
	putchar('\n');
	show_rows(json_object_get(status, "resources"), 2, resource_columns);
	show_health(json_object_get(status, "resources"));
	show_faults(json_object_get(status, "resources"));
	putchar('\n');
	show_rows(json_object_get(status, "groups"), 2, group_columns);
	putchar('\n');
	show_host_devices(json_object_get(status, "devices"));
}

void show_host_sessions(const json_t *devices)
{
	json_t *device;
	size_t i;

	json_array_foreach (devices, i, device) {
		const json_t *sessions = json_object_get(device, "sessions");
		json_int_t count = field_number(device, "count");
		char figure[TEXT_FIGURE];

		printf("  device ");
		print_clean(field_text(device, "device"));
		printf(": sessions %s\n", text_count(count, figure));
		print_any(sessions, 4);
		if (count > (json_int_t)json_array_size(sessions) && json_array_size(sessions))
			printf("    ... and more\n");
	}
}

void show_host_ready(const json_t *result)
{
	printf("  device ");
	print_clean(field_text(result, "device"));
	printf(" is %s now\n",
	       json_is_true(json_object_get(result, "offline")) ? "offline" : "online");
}

/* Lists of names, each below the kind of what is in it. */
void show_host_added(const json_t *result)
{
	static const struct {
		const char *list, *kind;
	} lists[] = {{"resources", "resource"}, {"groups", "group"}, {"devices", "device"}};

	for (size_t l = 0; l < vc_array_size(lists); l++) {
		json_t *name;
		size_t i;

		json_array_foreach (json_object_get(result, lists[l].list), i, name) {
			printf("  %s ", lists[l].kind);
			print_clean(json_is_string(name) ? json_string_value(name) : "?");
			printf(" is there now\n");
		}
	}
}

void show_host_change(const json_t *result)
{
	static const char *const kinds[] = {"resource", "group", "device"};
	const char *state = field_text(result, "state");
	json_int_t in_flight = field_number(result, "in_flight");
	char figure[TEXT_FIGURE];

	for (size_t i = 0; i < vc_array_size(kinds); i++) {
		if (!json_object_get(result, kinds[i]))
			continue;
		printf("  %s ", kinds[i]);
		print_clean(field_text(result, kinds[i]));
	}
	printf(" is ");
	print_clean(strcmp(state, "absent") ? state : "removed");
	if (in_flight)
		printf(", requests in flight: %s", text_count(in_flight, figure));
	putchar('\n');
}

void show_host_config(const json_t *result)
{
	fputs(field_text(result, "yaml"), stdout);
}
