/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources and groups, made from a configuration that has been checked, at the start or later.
 * Main thread.
 */
#include "host/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/util.h"

static struct resource *find(const struct pool *pool, const char *name)
{
	for (unsigned int i = 0; name && i < pool->resource_count; i++)
		if (!strcmp(pool->resource[i]->name, name))
			return pool->resource[i];
	return NULL;
}

static bool index_used(const struct pool *pool, unsigned int index)
{
	for (unsigned int i = 0; i < pool->resource_count; i++)
		if (pool->resource[i]->index == index)
			return true;
	return false;
}

static unsigned int index_free(const struct pool *pool)
{
	unsigned int index = 0;

	while (index_used(pool, index))
		index++;
	return index;
}

/* Who opens it in each worker: the worker, and what wraps it. */
static unsigned int openers(const struct host_config *config, const char *resource)
{
	unsigned int n = 1;

	for (unsigned int i = 0; i < config->resources_count; i++)
		n += config->resources[i].of && !strcmp(config->resources[i].of, resource);
	return n;
}

/* One of the pool, of which parts (resource_ops) are as many as told; 0: the type's default. */
static int resource_add(struct pool *pool, const struct host_config *config,
                        const struct host_config_resource *from, const char *name,
                        unsigned int parts, char **error)
{
	unsigned int index = index_free(pool);
	struct resource *resource;
	struct resource_dpdk dpdk;
	struct resource_config options = {
		.name = name,
		.type = from->type,
		.threads = parts,
		.wait_us = from->wait_us,
		.of = find(pool, from->of),
		.device = from->device,
		.vdev = from->vdev,
		.sessions = from->sessions,
		.dpdk = &dpdk,
		.workers = vc_max(config->workers_count, 1u),
		.instances = vc_max(config->workers_count, 1u) * openers(config, from->name),
	};
	struct fault_settings faults;
	const char *key;
	char *why = NULL;
	int err = host_config_faults(from, &faults, &key, &why);

	host_config_dpdk(config, &dpdk);
	options.faults = &faults;
	if (!err)
		err = resource_create(&options, &resource, &why);
	if (err) {
		*error = str_format("resource \"%s\": %s", name, why ? why : "it cannot be made");
		free(why);
		return err;
	}
	resource->index = index;
	resource->circuit = host_config_circuit(from);
	pool->resource[pool->resource_count++] = resource;
	return 0;
}

/* The name of a group's part of a resource. */
static void share_name(char *name, size_t size, const char *resource, const char *group)
{
	snprintf(name, size, "%s/%s", resource, group);
}

/* A resource of what is left, if anything is, and one for each group that has a share. */
static int shares_create(struct pool *pool, const struct host_config *config,
                         const struct host_config_resource *from, char **error)
{
	unsigned int rest = host_config_parts(from) - host_config_shared(config, from->name);
	int err = rest ? resource_add(pool, config, from, from->name, rest, error) : 0;

	for (unsigned int g = 0; g < config->groups_count; g++) {
		const struct host_config_group *group = &config->groups[g];
		char name[sizeof(pool->resource[0]->name)];

		share_name(name, sizeof(name), from->name, group->name);
		for (unsigned int i = 0; i < group->share_count && !err; i++)
			if (!strcmp(group->share[i].resource, from->name))
				err = resource_add(pool, config, from, name,
				                   group->share[i].threads, error);
	}
	return err;
}

/* *at: which one it was, if it fails. */
static int resources_add(struct pool *pool, const struct host_config *config, unsigned int first,
                         unsigned int *at, char **error)
{
	unsigned int had = pool->resource_count;
	int err = 0;

	for (unsigned int i = first; i < config->resources_count && !err; i++) {
		const struct host_config_resource *from = &config->resources[i];

		*at = i;
		if (host_config_shared(config, from->name))
			err = shares_create(pool, config, from, error);
		else
			err = resource_add(pool, config, from, from->name,
			                   from->threads ? *from->threads : 0, error);
	}
	while (err && pool->resource_count > had)
		pool_resource_remove(pool, pool->resource_count - 1);
	return err;
}

int pool_resources_add(struct pool *pool, const struct host_config *config, unsigned int first,
                       char **error)
{
	unsigned int at;

	return resources_add(pool, config, first, &at, error);
}

void pool_resource_remove(struct pool *pool, unsigned int place)
{
	resource_destroy(pool->resource[place]);
	memmove(&pool->resource[place], &pool->resource[place + 1],
	        (--pool->resource_count - place) * sizeof(struct resource *));
}

bool pool_resource_is(const struct resource *resource, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(resource->name, name, length) &&
	       (!resource->name[length] || resource->name[length] == '/');
}

/* Of that name for this group: its share, where it has one. NULL: it is out of service. */
static struct resource *member(const struct group *group, const struct pool *pool, const char *name)
{
	char share[sizeof(pool->resource[0]->name)];
	struct resource *found;

	share_name(share, sizeof(share), name, group->name);
	found = find(pool, share);
	if (!found)
		found = find(pool, name);
	return found && !found->out ? found : NULL;
}

static void members_add(struct group *group, const struct pool *pool, char *const *names,
                        unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct resource *resource = member(group, pool, names[i]);

		if (resource)
			group->resource[group->count++] = resource;
	}
}

static void group_pin(struct group *group, const struct pool *pool,
                      const struct host_config_pin *pin)
{
	struct resource *resource = member(group, pool, pin->resource);
	struct group_pin *to = &group->pin[group->pins];

	if (!resource)
		return;
	snprintf(to->algorithm, sizeof(to->algorithm), "%s", pin->algorithm);
	while (group->resource[to->at] != resource)
		to->at++;
	group->pins++;
}

static void group_fill(struct group *group, const struct pool *pool,
                       const struct host_config_group *from)
{
	snprintf(group->name, sizeof(group->name), "%s", from->name);
	group->policy = from->policy;
	group->deadline_ms = from->deadline_ms ? *from->deadline_ms : 0;
	host_config_size_threshold(from, &group->size_threshold);
	members_add(group, pool, from->primary, from->primary_count);
	group->primary = group->count;
	members_add(group, pool, from->secondary, from->secondary_count);
	for (unsigned int i = 0; i < from->pins_count; i++)
		group_pin(group, pool, &from->pins[i]);
}

static unsigned int group_index_free(const struct pool *pool)
{
	uint64_t used = 0;

	static_assert(HOST_MAX_GROUPS == 64, "a bit each");
	for (unsigned int i = 0; i < pool->group_count; i++)
		used |= UINT64_C(1) << pool->group[i]->index;
	return (unsigned int)__builtin_ctzll(~used);
}

int pool_group_new(const struct pool *pool, const struct host_config_group *from,
                   struct group **group, char **error)
{
	struct virtio_crypto_config offer = {0};
	struct group *made = calloc(1, sizeof(*made));

	if (!made)
		return -ENOMEM;
	made->index = group_index_free(pool);
	group_fill(made, pool, from);
	group_offer(made, &offer);
	if (!offer.crypto_services) {
		*error = str_format("group \"%s\": no resource of it can do anything", made->name);
		free(made);
		return -EINVAL;
	}
	*group = made;
	return 0;
}

int pool_groups_add(struct pool *pool, const struct host_config *config, unsigned int first,
                    char **error)
{
	int err = 0;

	for (unsigned int i = first; i < config->groups_count && !err; i++) {
		err = pool_group_new(pool, &config->groups[i], &pool->group[pool->group_count],
		                     error);
		if (!err)
			pool->group_count++;
	}
	while (err && pool->group_count > first)
		pool_group_remove(pool, pool->group_count - 1);
	return err;
}

void pool_group_remove(struct pool *pool, unsigned int place)
{
	free(pool->group[place]);
	memmove(&pool->group[place], &pool->group[place + 1],
	        (--pool->group_count - place) * sizeof(struct group *));
}

/* "FILE:LINE: ", where the resource is, or just "FILE: ". */
static char *at_resource(const struct host_config *config, unsigned int resource, const char *why)
{
	char item[32];
	unsigned int line;

	snprintf(item, sizeof(item), "resources[%u]", resource);
	line = config_line(config->name, item);
	return line ? str_format("%s:%u: %s", config->name, line, why)
	            : str_format("%s: %s", config->name, why);
}

int pool_create(const struct host_config *config, struct pool **pool, char **error)
{
	struct pool *made = calloc(1, sizeof(*made));
	unsigned int at = 0;
	char *why = NULL;
	int err;

	if (!made)
		return -ENOMEM;
	err = resources_add(made, config, 0, &at, &why);
	if (err && why)
		*error = at_resource(config, at, why);
	if (!err)
		err = pool_groups_add(made, config, 0, &why);
	if (why && !*error)
		*error = str_format("%s: %s", config->name, why);
	free(why);
	if (err)
		pool_destroy(made);
	else
		*pool = made;
	return err;
}

static void memory_remove(struct pool *pool, unsigned int from, void *base, size_t length)
{
	for (unsigned int i = 0; i < from; i++)
		if (pool->resource[i]->ops->memory_remove)
			pool->resource[i]->ops->memory_remove(pool->resource[i], base, length);
}

int pool_memory_add(struct pool *pool, void *base, size_t length)
{
	for (unsigned int i = 0; i < pool->resource_count; i++) {
		struct resource *resource = pool->resource[i];
		int err = resource->ops->memory_add
		                  ? resource->ops->memory_add(resource, base, length)
		                  : 0;

		if (err) {
			memory_remove(pool, i, base, length);
			return err;
		}
	}
	return 0;
}

void pool_memory_remove(struct pool *pool, void *base, size_t length)
{
	memory_remove(pool, pool->resource_count, base, length);
}

bool pool_maps_memory(const struct pool *pool)
{
	for (unsigned int i = 0; i < pool->resource_count; i++)
		if (pool->resource[i]->may_hang && pool->resource[i]->ops->memory_add)
			return true;
	return false;
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	while (pool->group_count)
		pool_group_remove(pool, pool->group_count - 1);
	/* What wraps another stands behind it. */
	while (pool->resource_count)
		pool_resource_remove(pool, pool->resource_count - 1);
	free(pool);
}
