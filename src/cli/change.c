/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See change.h. What is added goes to the daemon as YAML, with the name that errors are to begin
 * with: it is checked there.
 */
#include "cli/change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ctl.h"
#include "base/util.h"
#include "cli/text.h"

/* A line of the control socket has 64 KiB, and the text is escaped in it. */
#define MAX_TEXT 32768
#define TIMEOUT_MS 5000
#define STEP_US 50000

int change_pair(json_t *settings, const char *word, char **error)
{
	const char *equals = strchr(word, '=');
	char *key;
	int err;

	if (!equals || equals == word) {
		*error = str_format("\"%s\" is not KEY=VALUE", word);
		return -1;
	}
	key = strndup(word, (size_t)(equals - word));
	if (!key)
		return -1;
	err = json_object_set_new(settings, key, json_string(equals + 1));
	free(key);
	return err;
}

static const char argument_name[] = "argument";

/* 0; -1 with *error. */
static int yaml_set(json_t *request, const char *name, const char *yaml, char **error)
{
	json_t *text = json_string(yaml);

	if (!text) {
		*error = str_format("%s: it is not text (UTF-8)", name);
		return -1;
	}
	return json_object_set_new(request, "yaml", text) ||
	       json_object_set_new(request, "name", json_string(name));
}

/* "-" is standard input. */
static int add_file(json_t *request, const char *path, char **error)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	char *text = malloc(MAX_TEXT + 1);
	size_t size = 0;
	int err = -1;

	if (!file) {
		*error = str_format("%s: cannot read it: %s", path, strerror(errno));
		goto out;
	}
	if (!text)
		goto out;
	size = fread(text, 1, MAX_TEXT + 1, file);
	if (ferror(file))
		*error = str_format("%s: cannot read it: %s", path, strerror(errno));
	else if (size > MAX_TEXT)
		*error = str_format("%s: it is larger than %d bytes", path, MAX_TEXT);
	else if (memchr(text, '\0', size))
		*error = str_format("%s: the text contains a zero byte", path);
	if (*error)
		goto out;
	text[size] = '\0';
	err = yaml_set(request, file == stdin ? "standard input" : path, text, error);
out:
	if (file && file != stdin)
		fclose(file);
	free(text);
	return err;
}

/* One entry as it stands in the file; its braces may be left out. */
static int add_entry(json_t *request, const char *section, const char *entry, char **error)
{
	bool braces = entry[strspn(entry, " \t\n")] == '{';
	char *yaml =
		str_format("%s: [%s%s%s]", section, braces ? "" : "{", entry, braces ? "" : "}");
	int err = yaml ? yaml_set(request, argument_name, yaml, error) : -1;

	free(yaml);
	return err;
}

int change_add(json_t *request, unsigned int count, char *const *words, char **error)
{
	static const struct {
		const char *word, *section;
	} sections[] = {{"device", "devices"}, {"resource", "resources"}, {"group", "groups"}};

	if (count == 1)
		return add_file(request, words[0], error);
	for (size_t i = 0; i < vc_array_size(sections) && count == 2; i++) {
		if (!strcmp(words[0], sections[i].word))
			return add_entry(request, sections[i].section, words[1], error);
	}
	*error = str_format("what is added is FILE, or device, resource or group and its entry");
	return -1;
}

int change_set(json_t *request, unsigned int count, char *const *words, char **error)
{
	if (count == 2 && !strcmp(words[0], "group"))
		return add_entry(request, "groups", words[1], error);
	*error = str_format("what is set is group and its entry");
	return -1;
}

/* One of the kinds, and its name. 0; -1: it is no text; 1: it is none of them. */
static int name_one(json_t *request, unsigned int count, char *const *words,
                    const char *const *kinds)
{
	for (; count == 2 && *kinds; kinds++)
		if (!strcmp(words[0], *kinds))
			return json_object_set_new(request, words[0], json_string(words[1]));
	return 1;
}

int change_drain(json_t *request, unsigned int count, char *const *words, char **error)
{
	static const char *const kinds[] = {"device", "resource", NULL};
	int err = name_one(request, count, words, kinds);

	if (err > 0)
		*error = str_format("it takes two words: device or resource, and its name");
	return err ? -1 : 0;
}

int change_remove(json_t *request, unsigned int count, char *const *words, char **error)
{
	static const char *const kinds[] = {"device", "resource", "group", NULL};
	int err = name_one(request, count, words, kinds);

	if (err > 0)
		*error = str_format("it takes two words: device, resource or group, and its name");
	return err ? -1 : 0;
}

/* ---- waiting ---- */

static bool is_under_way(const json_t *result)
{
	const char *state = field_text(result, "state");

	return !strcmp(state, "draining") || !strcmp(state, "leaving");
}

int change_wait(const char *path, const json_t *request, uint64_t until_ns, json_t **result,
                char **error)
{
	json_t *question = json_deep_copy(request);
	int err = json_object_set_new(question, "command", json_string("state")) ? -ENOMEM : 0;

	while (!err && is_under_way(*result)) {
		if (clock_now_ns() >= until_ns) {
			err = -ETIME;
			*error = str_format("still %s, with %lld requests in flight",
			                    field_text(*result, "state"),
			                    (long long)field_number(*result, "in_flight"));
			break;
		}
		usleep(STEP_US);
		json_decref(*result);
		*result = NULL;
		err = ctl_call(path, question, TIMEOUT_MS, result, error);
	}
	json_decref(question);
	return err;
}
