/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resource pool: every resource and group of the configuration.
 */
#ifndef VC_HOST_POOL_H
#define VC_HOST_POOL_H

#include "host/config.h"

/* Both in the order of the configuration; their indexes are others once some have gone. */
struct pool {
	struct resource *resource[HOST_MAX_RESOURCES];
	unsigned int resource_count;
	struct group *group[HOST_MAX_GROUPS];
	unsigned int group_count;
};

/* Make them all. -EINVAL (also a group that can do nothing), -ENOMEM, -errno of a resource; *error
 * is a sentence (to be freed). */
int pool_create(const struct host_config *config, struct pool **pool, char **error);
/* Memory in which there will be data of requests, or is none any more: for resources that must be
 * told of it (memory_add, memory_remove of resource.h). 0; -errno of a resource: then none has it.
 */
int pool_memory_add(struct pool *pool, void *base, size_t length);
void pool_memory_remove(struct pool *pool, void *base, size_t length);
/* Whether some resource is told of memory while we run, and needs the kernel for that. */
bool pool_maps_memory(const struct pool *pool);

/* No worker may have an instance any more. NULL is allowed. */
void pool_destroy(struct pool *pool);

/* Those of the configuration from that place on. Errors as above, without the file's name; nothing
 * is added then. */
int pool_resources_add(struct pool *pool, const struct host_config *config, unsigned int first,
                       char **error);
int pool_groups_add(struct pool *pool, const struct host_config *config, unsigned int first,
                    char **error);
/* By their places here. No worker may have an instance of it; know it. */
void pool_resource_remove(struct pool *pool, unsigned int place);
void pool_group_remove(struct pool *pool, unsigned int place);
/* A group with what is in service now (to be freed), which is not of the pool yet. */
int pool_group_new(const struct pool *pool, const struct host_config_group *from,
                   struct group **group, char **error);
/* Whether it is the resource of that name in the configuration, or a group's share of it. */
bool pool_resource_is(const struct resource *resource, const char *name);

#endif
