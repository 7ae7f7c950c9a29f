/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail-over: the first resource of the group, primary ones first, that can do the session.
 *
 * The worker's thread. What a session was refused once is remembered in the worker's view of it, so
 * that the choice is one look for all requests but the first.
 */
#include <errno.h>

#include "base/util.h"
#include "host/sched/sched.h"

/* Can this resource take the session's requests? Realises the session there if need be. */
static bool candidate(struct resource *resource, struct resource_instance *instance,
                      struct session *session, struct session_local *local)
{
	unsigned int r = resource->index;
	int err;

	if (!instance || (local->refused >> r & 1))
		return false;
	if (local->handle[r])
		return true;
	if (resource->ops->can(resource, &session->params)) {
		err = resource->ops->realise(instance, &session->params, &local->handle[r]);
		if (!err)
			return true;
		/* Without memory now: it may be asked again. */
		if (err == -ENOMEM)
			return false;
	}
	local->refused |= (uint16_t)(1u << r);
	return false;
}

int sched_pick(const struct group *group, struct resource_instance *const *instances,
               struct session *session, struct session_local *local, uint32_t tried)
{
	if (vc_likely(!tried && local->resource >= 0))
		return local->resource;
	for (unsigned int i = 0; i < group->count; i++) {
		struct resource *resource = group->resource[i];
		unsigned int r = resource->index;

		if ((tried >> r & 1) || !candidate(resource, instances[r], session, local))
			continue;
		/* What one request needs elsewhere (tried) does not change the choice for all. */
		if (!tried)
			local->resource = (int8_t)r;
		return (int)r;
	}
	return -ENOTSUP;
}
