/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to spin, yield, sleep. Runs in the poll loop of a worker; a round with work costs one store.
 */
#include "base/poller.h"

#include <sched.h>

#include "base/util.h"

/* idle_since after a sleep: tells a wake-up for work from one for nothing. No time is so early. */
#define SLEPT 1u
/* A yield that comes back at once takes a fraction of this; one of another poller's rounds is over
 * before the second (anything longer is a program that computes: waiting for it brings nothing). */
#define GONE_NS 1000u
#define GONE_MOST_US 1000u
/* So many yields for nothing until one is alone again. */
#define COMPANY 64u
/* Looks in vain that are enough; and where a yield was a whole time slice of somebody who computes,
 * none at all for so many times. */
#define LOOKS 16u
#define CROWDED 16u

void poller_init(struct poller *poller, unsigned int spin_us, unsigned int idle_us)
{
	uint64_t per_us = clock_ticks_per_us();

	*poller = (struct poller){
		.spin_ticks = spin_us * per_us,
		.idle_ticks = vc_max(idle_us, spin_us) * per_us,
		.gone_ticks = GONE_NS * per_us / 1000,
		.gone_most = GONE_MOST_US * per_us,
	};
}

static void yield(struct poller *poller, uint64_t now)
{
	uint64_t gone;

	poller->yields++;
	sched_yield();
	gone = clock_ticks() - now;
	poller->looks++;
	if (gone >= poller->gone_most) {
		poller->company = 0;
		poller->crowded = CROWDED;
	} else if (gone >= poller->gone_ticks) {
		poller->company = COMPANY;
	} else if (poller->company) {
		poller->company--;
	}
}

bool poller_idle(struct poller *poller, bool worked)
{
	uint64_t now;
	uint64_t idle;

	if (worked) {
		if (vc_unlikely(poller->idle_since == SLEPT))
			poller->wakeups++;
		poller->idle_since = 0;
		poller->looks = 0;
		return false;
	}
	now = clock_ticks();
	if (poller->idle_since <= SLEPT)
		poller->idle_since = now;
	idle = now - poller->idle_since;
	if (idle < poller->spin_ticks && !poller->company) {
		cpu_relax();
		return false;
	}
	if (idle < poller->idle_ticks) {
		yield(poller, now);
		return false;
	}
	poller->sleeps++;
	poller->idle_since = SLEPT;
	return true;
}

bool poller_enough(struct poller *poller)
{
	if (poller->crowded)
		poller->crowded--;
	else if (!poller->company || poller->looks < LOOKS)
		return false;
	poller->sleeps++;
	poller->idle_since = SLEPT;
	return true;
}
