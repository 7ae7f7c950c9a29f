/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resource pool: every resource and group of the configuration.
 */
#ifndef VC_HOST_POOL_H
#define VC_HOST_POOL_H

#include "host/config.h"

struct pool {
	struct resource *resource[HOST_MAX_RESOURCES];
	unsigned int resource_count;
	struct group *group; /* in the order of the configuration */
	unsigned int group_count;
};

/* Make them all. -EINVAL (also a group that can do nothing), -ENOMEM, -errno of a resource; *error
 * is a sentence (to be freed). */
int pool_create(const struct host_config *config, struct pool **pool, char **error);
/* No worker may have an instance any more. NULL is allowed. */
void pool_destroy(struct pool *pool);

#endif
