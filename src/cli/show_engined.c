/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of vcrypto-engined as text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/show.h"

static const struct column queue_columns[] = {
	{"queue", "index", cell_id},
	{">submitted", "submitted", cell_count},
	{">completed", "completed", cell_count},
	{">failed", "failed", cell_count},
	{">kicks", "kicks", cell_count},
	{">calls", "calls", cell_count},
	{0},
};

static const struct column client_columns[] = {
	{"client", "name", cell_text},
	{">pid", "pid", cell_id},
	{">uid", "uid", cell_id},
	{">channels", "channels", cell_count},
	{">sessions", "sessions", cell_count},
	{">in flight", "in_flight", cell_count},
	{">requests", "requests", cell_count},
	{">data", "bytes", cell_bytes},
	{">small", "small", cell_count},
	{">errors", "errors", cell_count},
	{"offloaded", "offloaded", cell_nonzero},
	{"fallback", "fallback", cell_nonzero},
	{0},
};

static void show_device(const json_t *device)
{
	const char *error = json_string_value(json_object_get(device, "error"));
	char figure[TEXT_FIGURE];

	printf("  device at ");
	print_clean(field_text(device, "transport"));
	printf(" ");
	print_clean(field_text(device, json_object_get(device, "address") ? "address" : "socket"));
	printf(": ");
	print_clean(field_text(device, "state"));
	if (error) {
		printf(" (");
		print_clean(error);
		printf(")");
	}
	printf(", reconnects %s\n", text_count(field_number(device, "reconnects"), figure));
	show_rows(json_object_get(device, "queues"), 4, queue_columns);
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
	show_rows(clients, 2, client_columns);
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
