/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the answers of both daemons have in common.
 */
#include "cli/show.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

/* ---- tables */

void cell_text(struct table *table, const json_t *row, const char *key)
{
	table_text(table, field_text(row, key));
}

void cell_count(struct table *table, const json_t *row, const char *key)
{
	table_count(table, field_number(row, key));
}

void cell_bytes(struct table *table, const json_t *row, const char *key)
{
	table_bytes(table, field_number(row, key));
}

void cell_id(struct table *table, const json_t *row, const char *key)
{
	char text[TEXT_FIGURE];

	snprintf(text, sizeof(text), "%" PRId64, (int64_t)field_number(row, key));
	table_text(table, text);
}

void cell_nonzero(struct table *table, const json_t *row, const char *key)
{
	const char *name;
	char *text = NULL;
	json_t *value;

	json_object_foreach (json_object_get(row, key), name, value) {
		char figure[TEXT_FIGURE];
		char *more;

		if (!json_integer_value(value))
			continue;
		more = str_format("%s%s%s %s", text ? text : "", text ? ", " : "", name,
		                  text_count(json_integer_value(value), figure));
		if (!more)
			err(EXIT_FAILURE, NULL);
		free(text);
		text = more;
	}
	for (char *p = text; p && *p; p++) {
		if (*p == '_')
			*p = ' ';
	}
	table_text(table, text ? text : "-");
	free(text);
}

void show_rows(const json_t *rows, unsigned int indent, const struct column *columns)
{
	const char *headings[TABLE_MAX_COLUMNS + 1] = {NULL};
	struct table *table;
	json_t *row;
	size_t i;

	for (i = 0; i < TABLE_MAX_COLUMNS && columns[i].heading; i++)
		headings[i] = columns[i].heading;
	table = table_create(indent, headings);
	json_array_foreach (rows, i, row) {
		for (unsigned int c = 0; headings[c]; c++)
			columns[c].cell(table, row, columns[c].key);
	}
	table_print(table);
}

/* ---- answers */

void show_daemon(const json_t *status)
{
	char uptime[TEXT_FIGURE];

	print_clean(field_text(status, "daemon"));
	printf(" ");
	print_clean(field_text(status, "version"));
	printf(": process %" PRId64 ", up %s, sandbox: ", (int64_t)field_number(status, "pid"),
	       text_duration(field_number(status, "uptime_s"), uptime));
	print_clean(field_text(status, "sandbox"));
	putchar('\n');
}

void show_version(const json_t *result)
{
	print_clean(field_text(result, "daemon"));
	printf(" ");
	print_clean(field_text(result, "version"));
	printf("\n");
}

void show_log_level(const json_t *result)
{
	printf("  log level is now ");
	print_clean(field_text(result, "level"));
	printf("\n");
}
