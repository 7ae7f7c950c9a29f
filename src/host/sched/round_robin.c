/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy round-robin: one after the other, a burst each, so that lanes stay full. The worker's
 * thread.
 *
 * A burst is what comes in one round of the worker, WORKER_BURST at the most. Resources are unlike,
 * and drivers keep so many requests in flight and no more: if each simply had its turn, all of them
 * would soon be with the slowest, and the others idle. So who is full, or still has two bursts to
 * do, is passed over for one who does not.
 */
#include "host/sched/sched.h"

#define BEHIND (2 * WORKER_BURST)

static bool is_behind(const struct sched *sched, unsigned int r)
{
	return sched->full >> r & 1 || sched_load(sched, r) >= BEHIND;
}

static unsigned int next_of(uint32_t candidates, unsigned int at)
{
	uint32_t above = candidates & ~((2u << at) - 1);

	return (unsigned int)__builtin_ctz(above ? above : candidates);
}

static unsigned int choose(struct sched *sched, struct sched_group *state,
                           const struct group *group, uint32_t candidates,
                           const struct vc_request *req)
{
	unsigned int at = next_of(candidates, state->at);
	unsigned int n = (unsigned int)__builtin_popcount(candidates);

	/* If all of them are, it is its turn after all. */
	while (n-- && is_behind(sched, state->resource[at]))
		at = next_of(candidates, at);
	state->at = (uint8_t)at;
	state->left = WORKER_BURST - 1;
	state->round = sched->round;
	return at;
}

const struct sched_policy sched_round_robin = {"round-robin", false, choose};
