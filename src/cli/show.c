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
#include "cli/text.h"

void show_daemon(const json_t *status)
{
	char uptime[TEXT_FIGURE];

	print_clean(field_text(status, "daemon"));
	printf(" ");
	print_clean(field_text(status, "version"));
	printf(": process %" PRId64 ", up %s\n", (int64_t)field_number(status, "pid"),
	       text_duration(field_number(status, "uptime_s"), uptime));
}

char *nonzero_text(const json_t *counters)
{
	char *text = NULL;
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)counters, key, value) {
		char figure[TEXT_FIGURE];
		char *more;

		if (!json_integer_value(value))
			continue;
		more = str_format("%s%s%s %s", text ? text : "", text ? ", " : "", key,
		                  text_count(json_integer_value(value), figure));
		free(text);
		text = more;
	}
	for (char *p = text; p && *p; p++) {
		if (*p == '_')
			*p = ' ';
	}
	if (!text)
		text = str_format("-");
	if (!text)
		err(EXIT_FAILURE, NULL);
	return text;
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
