/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of a resource, around the policies; see sched.h. The worker's thread.
 *
 * What a session may use is found out once in each epoch and kept in the worker's view of it:
 * where it went (choice), if all its requests go there, or else the candidates (able).
 */
#include "host/sched/sched.h"

#include <errno.h>

#include "base/util.h"

const struct sched_policy *const sched_policies[SCHED_POLICIES] = {
	[SCHED_FAILOVER] = &sched_failover,
	[SCHED_ROUND_ROBIN] = &sched_round_robin,
	[SCHED_LEAST_INFLIGHT] = &sched_least_inflight,
	[SCHED_SIZE] = &sched_size,
};

void sched_init(struct sched *sched, struct resource_instance *const *instance,
                struct waiting_list *const *waiting)
{
	*sched = (struct sched){
		/* A view that is new holds none. */
		.epoch = HOST_MAX_RESOURCES,
		.clock = clock_now_ns,
		.instance = instance,
		.waiting = waiting,
	};
	/* The first turn is the first one's. */
	for (unsigned int g = 0; g < HOST_MAX_GROUPS; g++)
		sched->group[g].at = 31;
}

/* Whether the resource says that it can do the session, and has not refused it. */
static bool capable(const struct sched *sched, struct resource *resource,
                    const struct session *session, struct session_local *local)
{
	uint16_t bit = (uint16_t)(1u << resource->index);

	if (!sched->instance[resource->index] || local->refused & bit)
		return false;
	if (local->capable & bit)
		return true;
	if (resource->ops->can(resource, &session->params))
		local->capable |= bit;
	else
		local->refused |= bit;
	return local->capable & bit;
}

/* The candidates of the best rank, but those that were tried; and *pin among them, or -1. */
static uint32_t candidates(const struct sched *sched, const struct group *group,
                           const struct vc_request *req, uint32_t tried, int *pin)
{
	uint32_t able = 0, avoid = 0, primary = (1u << group->primary) - 1, rank;

	for (unsigned int at = 0; at < group->count; at++) {
		struct resource *resource = group->resource[at];

		if (tried >> resource->index & 1 ||
		    !capable(sched, resource, req->session, req->local))
			continue;
		able |= 1u << at;
		avoid |= (uint32_t)(sched->avoid >> resource->index & 1) << at;
	}
	*pin = group->pins ? group_pinned(group, &req->session->params) : -1;
	if (*pin >= 0 && !((able & ~avoid) >> *pin & 1))
		*pin = -1;
	rank = able & ~avoid;
	if (!rank)
		rank = able;
	return rank & primary ? rank & primary : rank;
}

/* Realise the session there if need be. False: not now, or not at all. */
static bool realise(const struct sched *sched, struct resource *resource,
                    const struct vc_request *req)
{
	struct session_local *local = req->local;
	unsigned int r = resource->index;
	int err;

	if (vc_likely(local->handle[r] != NULL))
		return true;
	err = resource->ops->realise(sched->instance[r], &req->session->params, &local->handle[r]);
	/* Without memory now: it may be asked again. */
	if (err && err != -ENOMEM)
		local->refused |= (uint16_t)(1u << r);
	return !err;
}

/* For all requests of the session, until something changes. */
static void remember(struct sched *sched, struct session_local *local, uint32_t able,
                     unsigned int resource, bool holds)
{
	if (holds || !(able & (able - 1))) {
		local->choice = sched->epoch + resource;
		return;
	}
	local->able = (uint16_t)able;
	local->able_epoch = sched->epoch;
	sched->spreads = true;
}

/* Of all that can, in order of rank, until one takes the session. */
int sched_choose_anew(struct sched *sched, const struct group *group, const struct vc_request *req,
                      uint32_t tried)
{
	const struct sched_policy *policy = sched_policies[group->policy];
	struct sched_group *state = &sched->group[group->index];
	uint32_t able, gone = tried;
	unsigned int at, r;
	int pin;

	if (state->choose != policy->choose)
		state->left = 0;
	state->choose = policy->choose;
	for (at = 0; at < group->count; at++)
		state->resource[at] = (uint8_t)group->resource[at]->index;
	for (;;) {
		able = candidates(sched, group, req, gone, &pin);
		if (!able)
			return -ENOTSUP;
		at = pin >= 0 ? (unsigned int)pin
		              : sched_policy_choose(sched, state, group, able, req);
		r = group->resource[at]->index;
		if (realise(sched, group->resource[at], req))
			break;
		gone |= 1u << r;
	}
	/* What one request needs elsewhere (tried), or tries, does not change the choice for all.
	 */
	if (sched->due >> r & 1)
		sched_probe(sched, r);
	else if (!tried)
		remember(sched, req->local, able, r, pin >= 0 || policy->holds);
	return (int)r;
}

int sched_choose(struct sched *sched, const struct group *group, const struct vc_request *req,
                 unsigned int at)
{
	struct resource *resource = group->resource[at];

	return realise(sched, resource, req) ? (int)resource->index
	                                     : sched_choose_anew(sched, group, req, 0);
}

int sched_elsewhere(struct sched *sched, const struct group *group, const struct vc_request *req)
{
	struct sched_group *state = &sched->group[group->index];
	const struct session_local *local = req->local;
	struct resource *resource;
	uint32_t able = 0;

	if (local->able_epoch != sched->epoch)
		return -1;
	for (unsigned int at = 0; at < group->count; at++)
		if (local->able >> at & 1 &&
		    !((sched->full | req->tried) >> state->resource[at] & 1))
			able |= 1u << at;
	if (!able)
		return -1;
	resource = group->resource[sched_policy_choose(sched, state, group, able, req)];
	return realise(sched, resource, req) ? (int)resource->index : -1;
}
