/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy size: requests with less data than the threshold go to the first of the group (the CPU),
 * others to the ones behind it (a device), in their order. The worker's thread.
 */
#include "host/sched/sched.h"

static unsigned int choose(struct sched *sched, struct sched_group *state,
                           const struct group *group, uint32_t candidates,
                           const struct vc_request *req)
{
	uint32_t suited = req->length < group->size_threshold ? 1 : ~UINT32_C(1);

	return (unsigned int)__builtin_ctz(candidates & suited ? candidates & suited : candidates);
}

const struct sched_policy sched_size = {"size", false, choose};
