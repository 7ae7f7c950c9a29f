/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of vcrypto-engined as text.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "cli/show.h"
#include "cli/text.h"

/* Of the applications' own counters: any number may be there. */
static json_int_t sum(const json_t *counters)
{
	uint64_t total = 0;
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)counters, key, value)
		total += (uint64_t)json_integer_value(value);
	return (json_int_t)total;
}

static void show_device(const json_t *device)
{
	static const char *const headings[] = {"queue",  ">submitted", ">completed", ">failed",
	                                       ">kicks", ">calls",     NULL};
	const char *error = json_string_value(json_object_get(device, "error"));
	struct table *table;
	char figure[TEXT_FIGURE];
	json_t *queue;
	size_t i;

	printf("  device at ");
	print_clean(field_text(device, "transport"));
	printf(" ");
	print_clean(field_text(device, "socket"));
	printf(": ");
	print_clean(field_text(device, "state"));
	if (error) {
		printf(" (");
		print_clean(error);
		printf(")");
	}
	printf(", reconnects %s\n", text_count(field_number(device, "reconnects"), figure));
	table = table_create(4, headings);
	json_array_foreach (json_object_get(device, "queues"), i, queue) {
		table_text(table, text_count(field_number(queue, "index"), figure));
		table_count(table, field_number(queue, "submitted"));
		table_count(table, field_number(queue, "completed"));
		table_count(table, field_number(queue, "failed"));
		table_count(table, field_number(queue, "kicks"));
		table_count(table, field_number(queue, "calls"));
	}
	table_print(table);
}

/* "  name   key 1, key 2" for all keys, zero or not. */
static void show_counters(const char *name, const json_t *counters)
{
	const char *separator = "";
	const char *key;
	json_t *value;

	printf("  %-12s", name);
	json_object_foreach ((json_t *)(uintptr_t)counters, key, value) {
		char figure[TEXT_FIGURE];

		if (!json_is_integer(value))
			continue;
		printf("%s", separator);
		for (const char *p = key; *p; p++)
			putchar(*p == '_' ? ' ' : *p);
		printf(" %s", text_count(json_integer_value(value), figure));
		separator = ", ";
	}
	putchar('\n');
}

void show_engined_clients(const json_t *clients)
{
	static const char *const headings[] = {
		"client",     ">pid",      ">uid",  ">channels",  ">sessions",
		">in flight", ">requests", ">data", ">offloaded", ">small",
		">errors",    "fallback",  NULL,
	};
	struct table *table = table_create(2, headings);
	json_t *client;
	size_t i;

	json_array_foreach (clients, i, client) {
		char *fallback = nonzero_text(json_object_get(client, "fallback"));
		char *pid = str_format("%" PRId64, (int64_t)field_number(client, "pid"));
		char *uid = str_format("%" PRId64, (int64_t)field_number(client, "uid"));

		table_text(table, field_text(client, "name"));
		table_text(table, pid ? pid : "?");
		table_text(table, uid ? uid : "?");
		table_count(table, field_number(client, "channels"));
		table_count(table, field_number(client, "sessions"));
		table_count(table, field_number(client, "in_flight"));
		table_count(table, field_number(client, "requests"));
		table_bytes(table, field_number(client, "bytes"));
		table_count(table, sum(json_object_get(client, "offloaded")));
		table_count(table, field_number(client, "small"));
		table_count(table, field_number(client, "errors"));
		table_text(table, fallback);
		free(fallback);
		free(pid);
		free(uid);
	}
	table_print(table);
	if (!json_array_size(clients))
		printf("  no clients\n");
}

static void show_totals(const json_t *totals)
{
	char requests[TEXT_FIGURE], bytes[TEXT_FIGURE], errors[TEXT_FIGURE], small[TEXT_FIGURE];
	char clients[TEXT_FIGURE];

	printf("  %-12srequests %s, data %s, errors %s, too small %s, clients ever %s\n", "total",
	       text_count(field_number(totals, "requests"), requests),
	       text_bytes(field_number(totals, "bytes"), bytes),
	       text_count(field_number(totals, "errors"), errors),
	       text_count(field_number(totals, "small"), small),
	       text_count(field_number(totals, "clients_ever"), clients));
	show_counters("offloaded", json_object_get(totals, "offloaded"));
	show_counters("fallback", json_object_get(totals, "fallback"));
}

void show_engined_status(const json_t *status)
{
	show_daemon(status);
	show_device(json_object_get(status, "device"));
	show_counters("polling", json_object_get(status, "polling"));
	show_counters("sessions", json_object_get(status, "sessions"));
	show_totals(json_object_get(status, "totals"));
	putchar('\n');
	show_engined_clients(json_object_get(status, "clients"));
}

void show_engined_devices(const json_t *devices)
{
	json_t *device;
	size_t i;

	json_array_foreach (devices, i, device) {
		show_device(device);
	}
}

void show_engined_sessions(const json_t *sessions)
{
	print_any(sessions, 2);
}
