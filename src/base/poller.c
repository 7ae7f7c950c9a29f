/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to spin, yield, sleep. Runs in the poll loop of a worker; a round with work costs one store.
 */
#include "base/poller.h"

#include <sched.h>

#include "base/util.h"

/* idle_since after a sleep: tells a wake-up for work from one for nothing. No time is so early. */
#define SLEPT 1u

void poller_init(struct poller *poller, unsigned int spin_us, unsigned int idle_us)
{
	uint64_t per_us = clock_ticks_per_us();

	*poller = (struct poller){
		.spin_ticks = spin_us * per_us,
		.idle_ticks = vc_max(idle_us, spin_us) * per_us,
	};
}

bool poller_idle(struct poller *poller, bool worked)
{
	uint64_t now;
	uint64_t idle;

	if (worked) {
		if (vc_unlikely(poller->idle_since == SLEPT))
			poller->wakeups++;
		poller->idle_since = 0;
		return false;
	}
	now = clock_ticks();
	if (poller->idle_since <= SLEPT)
		poller->idle_since = now;
	idle = now - poller->idle_since;
	if (idle < poller->spin_ticks) {
		cpu_relax();
		return false;
	}
	if (idle < poller->idle_ticks) {
		poller->yields++;
		sched_yield();
		return false;
	}
	poller->sleeps++;
	poller->idle_since = SLEPT;
	return true;
}
