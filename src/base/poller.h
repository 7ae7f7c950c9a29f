/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a poll loop that finds nothing should spin, yield or sleep.
 *
 * Under load it never sleeps. With nothing to do it spins for a moment, then gives the CPU to
 * whoever else wants it between looks (two daemons may share one CPU), and after its idle budget
 * tells the caller to sleep: notifications on, one more look, then block on descriptors.
 */
#ifndef VC_BASE_POLLER_H
#define VC_BASE_POLLER_H

#include <stdbool.h>
#include <stdint.h>

struct poller {
	uint64_t spin_ticks;              /* spin so long before the first yield */
	uint64_t idle_ticks;              /* then yield until so long after the last work */
	uint64_t idle_since;              /* 0: was busy */
	uint64_t yields, sleeps, wakeups; /* for status; written by the owner only */
};

void poller_init(struct poller *poller, unsigned int spin_us, unsigned int idle_us);

/* Call each round. True: the caller is to sleep now. */
bool poller_idle(struct poller *poller, bool worked);

#endif
