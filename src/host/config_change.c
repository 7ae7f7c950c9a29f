/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is added to the configuration and removed from it while the daemon runs. Main thread. The
 * text is the administrator's: it is checked as a file is.
 *
 * libcyaml made every entry, and frees it: what goes is put into a configuration of its own, which
 * is then freed as a whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "host/config_private.h"

/* Entries of one section, wherever it is: libcyaml's arrays are malloc's. */
struct list {
	void **array;
	unsigned int *count;
	size_t size; /* of an entry */
};

enum { RESOURCES, GROUPS, DEVICES, LISTS };

static void lists_of(struct host_config *config, struct list list[LISTS])
{
	list[RESOURCES] = (struct list){(void **)&config->resources, &config->resources_count,
	                                sizeof(*config->resources)};
	list[GROUPS] = (struct list){(void **)&config->groups, &config->groups_count,
	                             sizeof(*config->groups)};
	list[DEVICES] = (struct list){(void **)&config->devices, &config->devices_count,
	                              sizeof(*config->devices)};
}

/* Move all entries of another list to the end of this one. 0; -ENOMEM, and nothing is moved. */
static int list_append(const struct list *list, const struct list *from)
{
	size_t more = *from->count * list->size;
	size_t had = *list->count * list->size;
	char *array;

	if (!*from->count)
		return 0;
	array = realloc(*list->array, had + more);
	if (!array)
		return -ENOMEM;
	*list->array = array;
	memcpy(array + had, *from->array, more);
	*list->count += *from->count;
	free(*from->array);
	*from->array = NULL;
	*from->count = 0;
	return 0;
}

/* Take n entries out, and free them. */
static void list_cut(struct host_config *config, unsigned int which, unsigned int first,
                     unsigned int n)
{
	struct list list[LISTS], out[LISTS];
	struct host_config *gone;
	size_t size;
	char *at;

	if (!n)
		return;
	gone = calloc(1, sizeof(*gone));
	lists_of(config, list);
	size = list[which].size;
	at = (char *)*list[which].array + first * size;
	if (gone) {
		lists_of(gone, out);
		*out[which].array = malloc(n * size);
		if (*out[which].array) {
			memcpy(*out[which].array, at, n * size);
			*out[which].count = n;
		}
	}
	/* Without memory for that, what they point to stays. */
	config_free(&host_config_schema, gone);
	*list[which].count -= n;
	memmove(at, at + n * size, (*list[which].count - first) * size);
}

void host_config_truncate(struct host_config *config, const struct host_config_counts *counts)
{
	list_cut(config, RESOURCES, counts->resources, config->resources_count - counts->resources);
	list_cut(config, GROUPS, counts->groups, config->groups_count - counts->groups);
	list_cut(config, DEVICES, counts->devices, config->devices_count - counts->devices);
}

void host_config_device_remove(struct host_config *config, unsigned int index)
{
	list_cut(config, DEVICES, index, 1);
}

void host_config_resource_remove(struct host_config *config, unsigned int index)
{
	list_cut(config, RESOURCES, index, 1);
}

void host_config_group_remove(struct host_config *config, unsigned int index)
{
	list_cut(config, GROUPS, index, 1);
}

int host_config_add(struct host_config *config, const struct host_config_text *text,
                    struct host_config_counts *before, char **error)
{
	struct list list[LISTS], from[LISTS];
	void *added;
	int err = config_load_text(text->name, text->text, text->length, &host_config_pool_schema,
	                           &added, error);

	*before = (struct host_config_counts){
		.resources = config->resources_count,
		.groups = config->groups_count,
		.devices = config->devices_count,
	};
	if (err)
		return err;
	lists_of(config, list);
	lists_of(added, from);
	if (!*from[RESOURCES].count && !*from[GROUPS].count && !*from[DEVICES].count) {
		*error = str_format("%s: there is nothing in it to be added", text->name);
		err = -EINVAL;
	}
	for (unsigned int i = 0; i < LISTS && !err; i++)
		err = list_append(&list[i], &from[i]);
	config_free(&host_config_pool_schema, added);
	if (!err)
		err = host_config_default_group(config);
	if (!err)
		err = host_config_check_added(config, before, text, error);
	if (err)
		host_config_truncate(config, before);
	return err;
}

/* ---- groups ---- */

static void names_forget(char **names, unsigned int *count, const char *name)
{
	for (unsigned int i = 0; i < *count; i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		free(names[i]);
		memmove(&names[i], &names[i + 1], (--*count - i) * sizeof(char *));
		return;
	}
}

static void pins_forget(struct host_config_group *group, const char *name)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < group->pins_count; i++) {
		if (strcmp(group->pins[i].resource, name) != 0) {
			group->pins[kept++] = group->pins[i];
			continue;
		}
		free(group->pins[i].algorithm);
		free(group->pins[i].resource);
	}
	group->pins_count = kept;
}

static void share_forget(struct host_config_group *group, const char *name)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < group->share_count; i++) {
		if (strcmp(group->share[i].resource, name) != 0)
			group->share[kept++] = group->share[i];
		else
			free(group->share[i].resource);
	}
	group->share_count = kept;
}

bool host_config_group_names(const struct host_config_group *group, const char *resource,
                             bool primary)
{
	char *const *names = primary ? group->primary : group->secondary;
	unsigned int count = primary ? group->primary_count : group->secondary_count;

	for (unsigned int i = 0; i < count; i++)
		if (!strcmp(names[i], resource))
			return true;
	return false;
}

/* A list without entries is one that was left out. */
#define FORGET_EMPTY(list, count)                                                                  \
	do {                                                                                       \
		if (!(count)) {                                                                    \
			free(list);                                                                \
			(list) = NULL;                                                             \
		}                                                                                  \
	} while (0)

void host_config_resource_forget(struct host_config *config, const char *name)
{
	for (unsigned int g = 0; g < config->groups_count; g++) {
		struct host_config_group *group = &config->groups[g];

		names_forget(group->primary, &group->primary_count, name);
		names_forget(group->secondary, &group->secondary_count, name);
		pins_forget(group, name);
		share_forget(group, name);
		if (!group->primary_count) {
			free(group->primary);
			group->primary = group->secondary;
			group->primary_count = group->secondary_count;
			group->secondary = NULL;
			group->secondary_count = 0;
		}
		FORGET_EMPTY(group->secondary, group->secondary_count);
		FORGET_EMPTY(group->pins, group->pins_count);
		FORGET_EMPTY(group->share, group->share_count);
	}
}

void host_config_group_put_back(struct host_config *config, unsigned int index,
                                struct host_config *was)
{
	struct host_config_group group = config->groups[index];

	config->groups[index] = was->groups[0];
	was->groups[0] = group;
	host_config_free(was);
}

static bool shares_same(const struct host_config_group *a, const struct host_config_group *b)
{
	if (a->share_count != b->share_count)
		return false;
	for (unsigned int i = 0; i < a->share_count; i++)
		if (strcmp(a->share[i].resource, b->share[i].resource) != 0 ||
		    a->share[i].threads != b->share[i].threads)
			return false;
	return true;
}

/* Which one it is. -1, with *error: none. */
static int group_meant(const struct host_config *config, const struct host_config *set,
                       const struct host_config_text *text, char **error)
{
	const struct host_config_group *group = set->groups;
	int index;

	if (set->groups_count != 1 || set->resources_count || set->devices_count) {
		*error = str_format("%s: it must have one group, and nothing else", text->name);
		return -1;
	}
	index = host_config_group_find(config, group->name);
	if (index < 0)
		*error = str_format("%s: there is no group \"%s\"", text->name, group->name);
	else if (!shares_same(&config->groups[index], group))
		*error = str_format("%s: group \"%s\": its shares are dealt out when a resource is "
		                    "made: they must be as they are",
		                    text->name, group->name);
	return *error ? -1 : index;
}

int host_config_group_set(struct host_config *config, const struct host_config_text *text,
                          unsigned int *index, struct host_config **was, char **error)
{
	struct host_config_group group;
	struct host_config *set;
	void *data;
	int found, err = config_load_text(text->name, text->text, text->length,
	                                  &host_config_pool_schema, &data, error);

	if (err)
		return err;
	set = data;
	found = group_meant(config, set, text, error);
	if (found < 0) {
		host_config_free(set);
		return -EINVAL;
	}
	group = config->groups[found];
	config->groups[found] = set->groups[0];
	set->groups[0] = group;
	err = host_config_check_group(config, (unsigned int)found, text, error);
	if (err) {
		host_config_group_put_back(config, (unsigned int)found, set);
		return err;
	}
	*index = (unsigned int)found;
	*was = set;
	return 0;
}

int host_config_print(const struct host_config *config, char **text)
{
	const cyaml_config_t options = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_STYLE_BLOCK};
	size_t length;
	char *yaml;

	if (cyaml_save_data(&yaml, &length, &options, &host_config_schema, config, 0) != CYAML_OK)
		return -ENOMEM;
	*text = malloc(length + 1);
	if (*text) {
		memcpy(*text, yaml, length);
		(*text)[length] = '\0';
	}
	free(yaml);
	return *text ? 0 : -ENOMEM;
}

/* ---- limits ---- */

/* What libcyaml frees: a number or a text of our own. */
static int number_put(unsigned int **place, uint64_t value)
{
	unsigned int *number = NULL;

	if (value) {
		number = malloc(sizeof(*number));
		if (!number)
			return -ENOMEM;
		*number = (unsigned int)value;
	}
	free(*place);
	*place = number;
	return 0;
}

static int size_put(char **place, uint64_t value)
{
	char *text = NULL;

	if (value) {
		text = str_format("%" PRIu64, value);
		if (!text)
			return -ENOMEM;
	}
	free(*place);
	*place = text;
	return 0;
}

int host_config_limit(struct host_config_device *device, const char *name, uint64_t value)
{
	struct host_config_limit *limit = device->limit;

	if (!strcmp(name, "weight"))
		return number_put(&device->weight, value);
	if (!limit)
		limit = device->limit = calloc(1, sizeof(*limit));
	if (!limit)
		return -ENOMEM;
	if (!strcmp(name, "ops"))
		return number_put(&limit->ops, value);
	if (!strcmp(name, "ops-burst"))
		return number_put(&limit->ops_burst, value);
	if (!strcmp(name, "bytes"))
		return size_put(&limit->bytes, value);
	if (!strcmp(name, "bytes-burst"))
		return size_put(&limit->bytes_burst, value);
	if (!strcmp(name, "inflight-bytes"))
		return size_put(&limit->inflight_bytes, value);
	return !strcmp(name, "memory") ? size_put(&limit->memory, value) : -EINVAL;
}
