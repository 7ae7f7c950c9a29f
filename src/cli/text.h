/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people: aligned tables, figures with units. Without memory the program ends.
 */
#ifndef VC_CLI_TEXT_H
#define VC_CLI_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* ---- figures, each as a new string or in a buffer of the caller */

#define TEXT_FIGURE 40

/* 1234567 as "1,234,567". */
const char *text_count(json_int_t count, char buffer[TEXT_FIGURE]);
/* 1536 as "1.5 KiB". */
const char *text_bytes(json_int_t bytes, char buffer[TEXT_FIGURE]);
/* 11520 as "3 h 12 min". */
const char *text_duration(json_int_t seconds, char buffer[TEXT_FIGURE]);

/* ---- fields of a daemon's answer; what is missing is 0, "" or "-" */

json_int_t field_number(const json_t *object, const char *key);
const char *field_text(const json_t *object, const char *key);

/* ---- tables: cells are given row by row, control characters in them are replaced */

struct table;

#define TABLE_MAX_COLUMNS 16

/* headings end with NULL; one that starts with '>' is of a column of figures, set to the right. */
struct table *table_create(unsigned int indent, const char *const *headings);
void table_text(struct table *table, const char *text);
void table_count(struct table *table, json_int_t count);
void table_bytes(struct table *table, json_int_t bytes);
/* Print it, and free it. Nothing is printed of a table without rows. */
void table_print(struct table *table);

/* Print text with control characters replaced: names in it may be strangers'. */
void print_clean(const char *text);

/* Any JSON, as key and value lines and tables: for answers of which no more is known. */
void print_any(const json_t *value, unsigned int indent);

#endif
