/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy least-inflight: who has the fewest requests to do, waiting ones with them; of several, the
 * first. Quick resources get more by themselves. The worker's thread.
 */
#include "host/sched/sched.h"

static unsigned int choose(struct sched *sched, struct sched_group *state,
                           const struct group *group, uint32_t candidates,
                           const struct vc_request *req)
{
	unsigned int best = 0;
	uint32_t least = UINT32_MAX;

	for (; candidates; candidates &= candidates - 1) {
		unsigned int at = (unsigned int)__builtin_ctz(candidates);
		uint32_t load = sched_load(sched, state->resource[at]);

		if (load < least) {
			least = load;
			best = at;
		}
	}
	return best;
}

const struct sched_policy sched_least_inflight = {"least-inflight", false, choose};
