/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources and groups, made from a configuration that has been checked. Main thread.
 */
#include "host/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static struct resource *find(const struct pool *pool, const char *name)
{
	for (unsigned int i = 0; name && i < pool->resource_count; i++)
		if (!strcmp(pool->resource[i]->name, name))
			return pool->resource[i];
	return NULL;
}

/* One of the pool, of which parts (resource_ops) are as many as told; 0: the type's default. */
static int resource_add(struct pool *pool, const struct host_config *config,
                        const struct host_config_resource *from, const char *name,
                        unsigned int parts, char **error)
{
	struct resource **resource = &pool->resource[pool->resource_count];
	struct resource_config options = {
		.name = name,
		.type = from->type,
		.threads = parts,
		.wait_us = from->wait_us,
		.of = find(pool, from->of),
	};
	struct fault_settings faults;
	const char *key;
	char *why = NULL;
	int err = host_config_faults(from, &faults, &key, &why);

	options.faults = &faults;
	if (!err)
		err = resource_create(&options, resource, &why);
	if (err) {
		*error = str_format("%s: resource \"%s\": %s", config->name, name,
		                    why ? why : "it cannot be made");
		free(why);
		return err;
	}
	(*resource)->index = pool->resource_count++;
	(*resource)->circuit = host_config_circuit(from);
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

static int resources_create(struct pool *pool, const struct host_config *config, char **error)
{
	int err = 0;

	for (unsigned int i = 0; i < config->resources_count && !err; i++) {
		const struct host_config_resource *from = &config->resources[i];

		if (host_config_shared(config, from->name))
			err = shares_create(pool, config, from, error);
		else
			err = resource_add(pool, config, from, from->name,
			                   from->threads ? *from->threads : 0, error);
	}
	return err;
}

/* Its share, where the group has one. */
static void member_add(struct group *group, const struct pool *pool, const char *name)
{
	char share[sizeof(pool->resource[0]->name)];
	struct resource *own;

	share_name(share, sizeof(share), name, group->name);
	own = find(pool, share);
	group->resource[group->count++] = own ? own : find(pool, name);
}

static void group_pin(struct group *group, const struct host_config_group *from,
                      const struct host_config_pin *pin)
{
	struct group_pin *to = &group->pin[group->pins++];

	/* As the lists have it: its share stands at the same place. */
	snprintf(to->algorithm, sizeof(to->algorithm), "%s", pin->algorithm);
	while (strcmp(to->at < from->primary_count ? from->primary[to->at]
	                                           : from->secondary[to->at - from->primary_count],
	              pin->resource) != 0)
		to->at++;
}

static void group_fill(struct group *group, const struct pool *pool,
                       const struct host_config_group *from)
{
	snprintf(group->name, sizeof(group->name), "%s", from->name);
	group->policy = from->policy;
	group->deadline_ms = from->deadline_ms ? *from->deadline_ms : 0;
	host_config_size_threshold(from, &group->size_threshold);
	for (unsigned int i = 0; i < from->primary_count; i++)
		member_add(group, pool, from->primary[i]);
	group->primary = group->count;
	for (unsigned int i = 0; i < from->secondary_count; i++)
		member_add(group, pool, from->secondary[i]);
	for (unsigned int i = 0; i < from->pins_count; i++)
		group_pin(group, from, &from->pins[i]);
}

static int groups_create(struct pool *pool, const struct host_config *config, char **error)
{
	pool->group = calloc(config->groups_count, sizeof(*pool->group));
	if (!pool->group)
		return -ENOMEM;
	pool->group_count = config->groups_count;
	for (unsigned int i = 0; i < config->groups_count; i++) {
		struct virtio_crypto_config offer = {0};

		pool->group[i].index = i;
		group_fill(&pool->group[i], pool, &config->groups[i]);
		group_offer(&pool->group[i], &offer);
		if (!offer.crypto_services) {
			*error = str_format("%s: group \"%s\": no resource of it can do anything",
			                    config->name, pool->group[i].name);
			return -EINVAL;
		}
	}
	return 0;
}

int pool_create(const struct host_config *config, struct pool **pool, char **error)
{
	struct pool *made = calloc(1, sizeof(*made));
	int err;

	if (!made)
		return -ENOMEM;
	err = resources_create(made, config, error);
	if (!err)
		err = groups_create(made, config, error);
	if (err)
		pool_destroy(made);
	else
		*pool = made;
	return err;
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned int i = 0; i < pool->resource_count; i++)
		resource_destroy(pool->resource[i]);
	free(pool->group);
	free(pool);
}
