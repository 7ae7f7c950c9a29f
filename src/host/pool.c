/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources and groups, made from a configuration that has been checked. Main thread.
 */
#include "host/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

static int resources_create(struct pool *pool, const struct host_config *config, char **error)
{
	for (unsigned int i = 0; i < config->resources_count; i++) {
		const struct host_config_resource *r = &config->resources[i];
		struct resource_config options = {
			.name = r->name,
			.type = r->type,
			.threads = r->threads ? *r->threads : 0,
			.wait_us = r->wait_us,
		};
		char *why = NULL;
		int err = resource_create(&options, &pool->resource[i], &why);

		if (err) {
			*error = str_format("%s: resource \"%s\": %s", config->name, r->name,
			                    why ? why : "it cannot be made");
			free(why);
			return err;
		}
		pool->resource[i]->index = i;
		pool->resource[i]->circuit = host_config_circuit(r);
		pool->resource_count = i + 1;
	}
	return 0;
}

static void group_pin(struct group *group, const struct host_config *config,
                      const struct host_config_pin *from)
{
	struct group_pin *pin = &group->pin[group->pins];
	int r = host_config_resource_find(config, from->resource);

	snprintf(pin->algorithm, sizeof(pin->algorithm), "%s", from->algorithm);
	while (group->resource[pin->at]->index != (unsigned int)r)
		pin->at++;
	group->pins++;
}

static void group_fill(struct group *group, const struct pool *pool,
                       const struct host_config *config, const struct host_config_group *from)
{
	snprintf(group->name, sizeof(group->name), "%s", from->name);
	group->policy = from->policy;
	group->deadline_ms = from->deadline_ms ? *from->deadline_ms : 0;
	host_config_size_threshold(from, &group->size_threshold);
	for (unsigned int i = 0; i < from->primary_count; i++) {
		int r = host_config_resource_find(config, from->primary[i]);

		group->resource[group->count++] = pool->resource[r];
	}
	group->primary = group->count;
	for (unsigned int i = 0; i < from->secondary_count; i++) {
		int r = host_config_resource_find(config, from->secondary[i]);

		group->resource[group->count++] = pool->resource[r];
	}
	for (unsigned int i = 0; i < from->pins_count; i++)
		group_pin(group, config, &from->pins[i]);
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
		group_fill(&pool->group[i], pool, config, &config->groups[i]);
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
