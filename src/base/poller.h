/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a poll loop that finds nothing should spin, yield or sleep.
 *
 * Under load it never sleeps. With nothing to do it spins for a moment, then gives the CPU to
 * whoever else wants it between looks, and after its idle budget tells the caller to sleep:
 * notifications on, one more look, then block on descriptors.
 *
 * Two daemons may share one CPU, and then each brings the other's next work: time spent on spinning
 * is taken from it. A poller notices this by what becomes of its yields, and while it is so gives
 * the CPU away at once.
 */
#ifndef VC_BASE_POLLER_H
#define VC_BASE_POLLER_H

#include <stdbool.h>
#include <stdint.h>

struct poller {
	uint64_t spin_ticks;              /* spin so long before the first yield */
	uint64_t idle_ticks;              /* then yield until so long after the last work */
	uint64_t gone_ticks, gone_most;   /* a yield of so long: another poller has run */
	uint64_t idle_since;              /* 0: was busy */
	uint64_t yields, sleeps, wakeups; /* for status; written by the owner only */
	unsigned int company;             /* 0: alone on this CPU, as far as one knows */
	unsigned int crowded;             /* somebody computes here: so many times enough at once */
	unsigned int looks;               /* in vain, since the last work */
};

void poller_init(struct poller *poller, unsigned int spin_us, unsigned int idle_us);

/* Call each round. True: the caller is to sleep now. */
bool poller_idle(struct poller *poller, bool worked);

/*
 * Whether this is the first round without work, and another poller has its turn on this CPU before
 * the next one: what can wait for company then does, for it comes with it.
 */
static inline bool poller_patient(const struct poller *poller)
{
	return poller->company && !poller->idle_since;
}

/*
 * Whether to sleep before the budget is used up, for one who waits for what takes long and will be
 * woken: on a CPU that others use a wake-up costs little, and looking on takes from them. Call it
 * when poller_idle() has said false.
 */
bool poller_enough(struct poller *poller);

/* From now on rounds are made without asking poller_idle(). */
static inline void poller_leave(struct poller *poller)
{
	poller->company = 0;
}

#endif
