/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which resource takes a request. Capability decides first; then the group's policy.
 * No sockets, no cryptography: resources are only asked through their tables.
 */
#ifndef VC_HOST_SCHED_H
#define VC_HOST_SCHED_H

#include "host/resource/resource.h"

#define GROUP_MAX_RESOURCES HOST_MAX_RESOURCES

enum sched_policy { SCHED_FAILOVER };

struct group {
	char name[32];
	enum sched_policy policy;
	/* Primary resources, then secondary ones. */
	struct resource *resource[GROUP_MAX_RESOURCES];
	unsigned int primary; /* how many of them are primary */
	unsigned int count;
};

/* The union of what the group's resources do, for a device's configuration space. */
void group_offer(const struct group *group, struct virtio_crypto_config *config);
/* session_can_fn: some resource of the group (context) can do it. */
bool group_can(void *group, const struct session_params *params);

/*
 * Choose for a session of this worker: index into instances (by resource->index) of the first that
 * can, has not refused the session and is not in `tried` (bits); realises the session there when
 * that was not done. -ENOTSUP: none is left.
 */
int sched_pick(const struct group *group, struct resource_instance *const *instances,
               struct session *session, struct session_local *local, uint32_t tried);

#endif
