/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group as one: it offers what any of its resources does. Any thread.
 */
#include "host/sched/sched.h"

void group_offer(const struct group *group, struct virtio_crypto_config *config)
{
	for (unsigned int i = 0; i < group->count; i++)
		group->resource[i]->ops->offer(group->resource[i], config);
}

bool group_can(void *context, const struct session_params *params)
{
	const struct group *group = context;

	for (unsigned int i = 0; i < group->count; i++)
		if (group->resource[i]->ops->can(group->resource[i], params))
			return true;
	return false;
}
