/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcryptoctl fault: the words, and the answer as text. Keys and values are vcrypto-host's to judge.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "cli/change.h"
#include "cli/show.h"

int change_fault(json_t *request, unsigned int count, char *const *words, char **error)
{
	json_t *settings;
	int err;

	if (!count) {
		*error = str_format("the name of a resource is missing");
		return -1;
	}
	err = json_object_set_new(request, "resource", json_string(words[0]));
	if (err || count == 1)
		return err;
	if (count == 2 && !strcmp(words[1], "clear"))
		return json_object_set_new(request, "clear", json_true());
	settings = json_object();
	for (unsigned int i = 1; i < count && !err; i++)
		err = change_pair(settings, words[i], error);
	return json_object_set_new(request, "set", settings) || err ? -1 : 0;
}

/* The counters that mean something, by what they count. */
static const struct {
	const char *key, *text;
} counters[] = {
	{"delayed", "delayed"},
	{"errors", "given back undone by error-rate"},
	{"killed", "given back undone by the dead"},
	{"refused", "bursts refused"},
	{"sessions_refused", "sessions refused"},
};

static void line(char *text)
{
	if (!text)
		err(EXIT_FAILURE, NULL);
	print_clean(text);
	putchar('\n');
	free(text);
}

void show_host_fault(const json_t *result)
{
	const json_t *settings = json_object_get(result, "faults");
	json_t *value;
	const char *key;

	if (field_number(result, "changed_ns"))
		line(str_format("  resource %s over %s, from now on:%s",
		                field_text(result, "resource"), field_text(result, "of"),
		                json_object_size(settings) ? "" : " no faults"));
	else
		line(str_format("  resource %s over %s: faults in %d of %d workers",
		                field_text(result, "resource"), field_text(result, "of"),
		                (int)field_number(result, "active"),
		                (int)field_number(result, "workers")));
	json_object_foreach ((json_t *)(uintptr_t)settings, key, value)
		line(str_format("    %s=%s", key,
		                json_is_string(value) ? json_string_value(value) : "?"));
	for (size_t i = 0; i < vc_array_size(counters); i++) {
		json_int_t n = field_number(json_object_get(result, "counters"), counters[i].key);
		char figure[TEXT_FIGURE];

		if (n)
			line(str_format("    %s: %s", counters[i].text, text_count(n, figure)));
	}
}
