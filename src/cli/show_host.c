/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of vcrypto-host as text.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "cli/show.h"
#include "cli/text.h"

static void show_workers(const json_t *workers)
{
	static const char *const headings[] = {"worker",  ">cpu",    ">requests",
	                                       ">rounds", ">sleeps", NULL};
	struct table *table = table_create(2, headings);
	json_t *worker;
	size_t i;

	json_array_foreach (workers, i, worker) {
		char figure[TEXT_FIGURE];

		table_text(table, text_count(field_number(worker, "index"), figure));
		if (json_is_integer(json_object_get(worker, "cpu")))
			table_count(table, field_number(worker, "cpu"));
		else
			table_text(table, "any");
		table_count(table, field_number(worker, "requests"));
		table_count(table, field_number(worker, "rounds"));
		table_count(table, field_number(worker, "sleeps"));
	}
	table_print(table);
}

static void show_resources(const json_t *resources)
{
	static const char *const headings[] = {"resource", "type",    ">completed", ">failed",
	                                       ">data",    ">bursts", ">in flight", NULL};
	struct table *table = table_create(2, headings);
	json_t *resource;
	size_t i;

	json_array_foreach (resources, i, resource) {
		table_text(table, field_text(resource, "name"));
		table_text(table, field_text(resource, "type"));
		table_count(table, field_number(resource, "completed"));
		table_count(table, field_number(resource, "failed"));
		table_bytes(table, field_number(resource, "bytes"));
		table_count(table, field_number(resource, "bursts"));
		table_count(table, field_number(resource, "in_flight"));
	}
	table_print(table);
}

/* Names with commas between; "-" for none. To be freed. */
static char *names_text(const json_t *names)
{
	char *text = NULL;
	json_t *name;
	size_t i;

	json_array_foreach (names, i, name) {
		char *more = str_format("%s%s%s", text ? text : "", text ? ", " : "",
		                        json_is_string(name) ? json_string_value(name) : "?");

		free(text);
		text = more;
	}
	if (!text)
		text = str_format("-");
	if (!text)
		err(EXIT_FAILURE, NULL);
	return text;
}

static void show_groups(const json_t *groups)
{
	static const char *const headings[] = {"group", "policy", "primary", "secondary", NULL};
	struct table *table = table_create(2, headings);
	json_t *group;
	size_t i;

	json_array_foreach (groups, i, group) {
		char *primary = names_text(json_object_get(group, "primary"));
		char *secondary = names_text(json_object_get(group, "secondary"));

		table_text(table, field_text(group, "name"));
		table_text(table, field_text(group, "policy"));
		table_text(table, primary);
		table_text(table, secondary);
		free(primary);
		free(secondary);
	}
	table_print(table);
}

static void show_queues(const json_t *queues)
{
	static const char *const headings[] = {"queue",  "kind",   "state",  ">requests",
	                                       ">data",  ">kicks", ">calls", ">bad chains",
	                                       "errors", NULL};
	struct table *table = table_create(4, headings);
	json_t *queue;
	size_t i;

	json_array_foreach (queues, i, queue) {
		const char *broken = json_string_value(json_object_get(queue, "broken"));
		char *errors = nonzero_text(json_object_get(queue, "errors"));
		bool started = json_is_true(json_object_get(queue, "started"));
		char *state = broken ? str_format("broken: %s", broken)
		                     : str_format("%s", started ? "started" : "stopped");
		char figure[TEXT_FIGURE];

		table_text(table, text_count(field_number(queue, "index"), figure));
		table_text(table, field_text(queue, "kind"));
		table_text(table, state ? state : "-");
		table_count(table, field_number(queue, "requests"));
		table_bytes(table, field_number(queue, "bytes"));
		table_count(table, field_number(queue, "kicks"));
		table_count(table, field_number(queue, "calls"));
		table_count(table, field_number(queue, "bad_chains"));
		table_text(table, errors);
		free(errors);
		free(state);
	}
	table_print(table);
}

static void show_device(const json_t *device)
{
	const json_t *peer = json_object_get(device, "front_end");
	char sessions[TEXT_FIGURE];
	char *line;

	if (json_is_true(json_object_get(device, "connected")))
		line = str_format("  device %s at %s, group %s: front end is process %" PRId64
		                  " of user %" PRId64 ", features %s, sessions %s",
		                  field_text(device, "name"), field_text(device, "socket"),
		                  field_text(device, "group"), (int64_t)field_number(peer, "pid"),
		                  (int64_t)field_number(peer, "uid"),
		                  field_text(device, "features"),
		                  text_count(field_number(device, "sessions"), sessions));
	else
		line = str_format("  device %s at %s, group %s: no front end",
		                  field_text(device, "name"), field_text(device, "socket"),
		                  field_text(device, "group"));
	if (!line)
		err(EXIT_FAILURE, NULL);
	print_clean(line);
	putchar('\n');
	free(line);
	show_queues(json_object_get(device, "queues"));
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

void show_host_status(const json_t *status)
{
	show_daemon(status);
	show_workers(json_object_get(status, "workers"));
	putchar('\n');
	show_resources(json_object_get(status, "resources"));
	putchar('\n');
	show_groups(json_object_get(status, "groups"));
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
