/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is added to the configuration and removed from it while the daemon runs. Main thread. The
 * text is the administrator's: it is checked as a file is.
 *
 * libcyaml made every entry, and frees it: what goes is put into a configuration of its own, which
 * is then freed as a whole.
 */
#include <errno.h>
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

int host_config_print(const struct host_config *config, char **text)
{
	const cyaml_config_t options = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_STYLE_BLOCK};
	size_t length;
	char *yaml;

	if (cyaml_save_data(&yaml, &length, &options, &host_config_schema, config, 0) != CYAML_OK)
		return -ENOMEM;
	*text = strndup(yaml, length);
	free(yaml);
	return *text ? 0 : -ENOMEM;
}
