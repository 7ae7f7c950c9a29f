/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people. What it prints came from a daemon, and the names in it from strangers: nothing
 * of it reaches the terminal as a control sequence.
 */
#include "cli/text.h"

#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2

const char *text_count(json_int_t count, char buffer[TEXT_FIGURE])
{
	char plain[TEXT_FIGURE / 2 + 4];
	int length = snprintf(plain, sizeof(plain), "%" JSON_INTEGER_FORMAT, count);
	int digits = length - (plain[0] == '-');
	char *to = buffer;

	for (int i = 0; i < length; i++) {
		int left = length - i;

		if (left % 3 == 0 && left < digits)
			*to++ = ',';
		*to++ = plain[i];
	}
	*to = '\0';
	return buffer;
}

const char *text_bytes(json_int_t bytes, char buffer[TEXT_FIGURE])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	unsigned int unit = 0;

	while (value >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		value /= 1024;
		unit++;
	}
	snprintf(buffer, TEXT_FIGURE, unit && value < 100 ? "%.1f %s" : "%.0f %s", value,
	         units[unit]);
	return buffer;
}

const char *text_duration(json_int_t seconds, char buffer[TEXT_FIGURE])
{
	long long s = seconds;

	if (s < 60)
		snprintf(buffer, TEXT_FIGURE, "%lld s", s);
	else if (s < 3600)
		snprintf(buffer, TEXT_FIGURE, "%lld min %lld s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buffer, TEXT_FIGURE, "%lld h %lld min", s / 3600, s % 3600 / 60);
	else
		snprintf(buffer, TEXT_FIGURE, "%lld d %lld h", s / 86400, s % 86400 / 3600);
	return buffer;
}

json_int_t field_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

const char *field_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

/* A copy without C0 and C1 control characters. The text is UTF-8: JSON's. */
static char *clean(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		err(EXIT_FAILURE, NULL);
	for (unsigned char *p = (unsigned char *)copy; *p; p++) {
		if (*p < ' ' || *p == 0x7f)
			*p = '?';
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			p[0] = p[1] = '?';
	}
	return copy;
}

void print_clean(const char *text)
{
	char *copy = clean(text);

	fputs(copy, stdout);
	free(copy);
}

/* Columns on the screen that a text takes: UTF-8's continuation bytes take none. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

struct table {
	unsigned int indent;
	unsigned int columns;
	const char *headings[TABLE_MAX_COLUMNS];
	int width[TABLE_MAX_COLUMNS];
	char **cells; /* row by row */
	size_t count, room;
};

struct table *table_create(unsigned int indent, const char *const *headings)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		err(EXIT_FAILURE, NULL);
	table->indent = indent;
	for (; headings[table->columns] && table->columns < TABLE_MAX_COLUMNS; table->columns++) {
		const char *heading = headings[table->columns];

		table->headings[table->columns] = heading;
		table->width[table->columns] = width_of(heading) - (*heading == '>');
	}
	return table;
}

void table_text(struct table *table, const char *text)
{
	unsigned int column = (unsigned int)(table->count % table->columns);
	int width;

	if (table->count == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		char **cells = realloc(table->cells, table->room * sizeof(*cells));

		if (!cells)
			err(EXIT_FAILURE, NULL);
		table->cells = cells;
	}
	table->cells[table->count] = clean(text);
	width = width_of(table->cells[table->count++]);
	if (width > table->width[column])
		table->width[column] = width;
}

void table_count(struct table *table, json_int_t count)
{
	char figure[TEXT_FIGURE];

	table_text(table, text_count(count, figure));
}

void table_bytes(struct table *table, json_int_t bytes)
{
	char figure[TEXT_FIGURE];

	table_text(table, text_bytes(bytes, figure));
}

static void print_row(const struct table *table, const char *const *cells)
{
	printf("%*s", (int)table->indent, "");
	for (unsigned int i = 0; i < table->columns; i++) {
		const char *cell = cells[i] + (cells == table->headings && *cells[i] == '>');
		int padding = table->width[i] - width_of(cell);
		bool right = *table->headings[i] == '>';

		if (right)
			printf("%*s", padding, "");
		fputs(cell, stdout);
		if (i + 1 == table->columns)
			break;
		printf("%*s", GAP + (right ? 0 : padding), "");
	}
	putchar('\n');
}

void table_print(struct table *table)
{
	if (table->count >= table->columns)
		print_row(table, table->headings);
	for (size_t i = 0; i + table->columns <= table->count; i += table->columns)
		print_row(table, (const char *const *)table->cells + i);
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

/* A scalar as text in the caller's buffer, or the value's own. */
static const char *scalar_text(const json_t *value, char buffer[TEXT_FIGURE])
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return json_string_value(value);
	case JSON_INTEGER:
		return text_count(json_integer_value(value), buffer);
	case JSON_REAL:
		snprintf(buffer, TEXT_FIGURE, "%g", json_real_value(value));
		return buffer;
	case JSON_TRUE:
		return "yes";
	case JSON_FALSE:
		return "no";
	case JSON_ARRAY:
	case JSON_OBJECT:
		return "...";
	default:
		return "-";
	}
}

static bool is_scalar(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value);
}

/* An array of objects: the first one's keys head the columns. */
static void print_objects(const json_t *array, unsigned int indent)
{
	const char *headings[TABLE_MAX_COLUMNS + 1] = {NULL};
	const json_t *first = json_array_get(array, 0);
	struct table *table;
	unsigned int n = 0;
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach ((json_t *)(uintptr_t)first, key, value) {
		if (n < TABLE_MAX_COLUMNS)
			headings[n++] = key;
	}
	if (!n)
		return;
	table = table_create(indent, headings);
	json_array_foreach (array, i, value) {
		for (unsigned int column = 0; column < n; column++) {
			const json_t *cell = json_object_get(value, headings[column]);
			char figure[TEXT_FIGURE];

			table_text(table, cell ? scalar_text(cell, figure) : "-");
		}
	}
	table_print(table);
}

static void print_pairs(const json_t *object, unsigned int indent)
{
	const char *key;
	json_t *value;
	int width = 0;

	json_object_foreach ((json_t *)(uintptr_t)object, key, value)
		width = width_of(key) > width ? width_of(key) : width;
	json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
		char figure[TEXT_FIGURE];

		printf("%*s", (int)indent, "");
		print_clean(key);
		if (is_scalar(value)) {
			printf("%*s", width - width_of(key) + GAP, "");
			print_clean(scalar_text(value, figure));
		}
		putchar('\n');
		if (!is_scalar(value))
			print_any(value, indent + 2);
	}
}

void print_any(const json_t *value, unsigned int indent)
{
	json_t *entry;
	size_t i;

	if (json_is_object(value)) {
		print_pairs(value, indent);
	} else if (json_is_array(value) && json_is_object(json_array_get(value, 0))) {
		print_objects(value, indent);
	} else if (json_is_array(value)) {
		json_array_foreach (value, i, entry) {
			print_any(entry, indent);
		}
	} else {
		char figure[TEXT_FIGURE];

		printf("%*s", (int)indent, "");
		print_clean(scalar_text(value, figure));
		putchar('\n');
	}
}
