/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcryptoctl limit: the words, and the answer as text. Names and values are vcrypto-host's to
 * judge.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/util.h"
#include "cli/change.h"
#include "cli/show.h"

int change_limit(json_t *request, unsigned int count, char *const *words, char **error)
{
	json_t *settings;
	int err;

	if (!count) {
		*error = str_format("the name of a device is missing");
		return -1;
	}
	err = json_object_set_new(request, "device", json_string(words[0]));
	if (err || count == 1)
		return err;
	settings = json_object();
	for (unsigned int i = 1; i < count && !err; i++)
		err = change_pair(settings, words[i], error);
	return json_object_set_new(request, "set", settings) || err ? -1 : 0;
}

void show_host_limit(const json_t *result)
{
	const json_t *limits = json_object_get(result, "limits");
	const char *key;
	json_t *value;

	printf("  device ");
	print_clean(field_text(result, "device"));
	printf(":\n");
	json_object_foreach ((json_t *)(uintptr_t)limits, key, value) {
		char text[32] = "none";

		if (json_is_integer(value))
			snprintf(text, sizeof(text), "%" PRId64,
			         (int64_t)json_integer_value(value));
		printf("    ");
		/* As it is to be written. */
		for (const char *p = key; *p; p++)
			putchar(*p == '_' ? '-' : *p);
		printf("=%s\n", text);
	}
}
