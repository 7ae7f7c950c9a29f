/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemons' answers as text for people.
 */
#ifndef VC_CLI_SHOW_H
#define VC_CLI_SHOW_H

#include <jansson.h>

#include "cli/text.h"

typedef void show_fn(const json_t *result);

show_fn show_version, show_log_level; /* of both daemons */
show_fn show_host_ready, show_host_status, show_host_devices, show_host_sessions;
show_fn show_host_fault, show_host_limit;
show_fn show_host_added, show_host_change, show_host_config;
show_fn show_engined_status, show_engined_devices, show_engined_clients, show_engined_sessions;

/* First line of a status: name, version, process, how long it runs. */
void show_daemon(const json_t *status);

/* A column of a table: its heading (see table_create), the field of each row, what makes a cell of
 * it. The last one has no heading. */
typedef void cell_fn(struct table *table, const json_t *row, const char *key);

struct column {
	const char *heading;
	const char *key;
	cell_fn *cell;
};

cell_fn cell_text, cell_count, cell_bytes;
/* A number without commas. */
cell_fn cell_id;
/* The named counters of an object that are not 0, as "badmsg 3, nospc 1"; "-" if all are. */
cell_fn cell_nonzero;

/* An array of objects. Nothing is printed of an empty one. */
void show_rows(const json_t *rows, unsigned int indent, const struct column *columns);

#endif
