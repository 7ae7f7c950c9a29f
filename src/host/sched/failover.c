/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy failover: the first in the group's order. The others are there for what it cannot do,
 * refuses, fails or does not answer. The worker's thread.
 */
#include "host/sched/sched.h"

static unsigned int choose(struct sched *sched, struct sched_group *state,
                           const struct group *group, uint32_t candidates,
                           const struct vc_request *req)
{
	return (unsigned int)__builtin_ctz(candidates);
}

const struct sched_policy sched_failover = {"failover", true, choose};
