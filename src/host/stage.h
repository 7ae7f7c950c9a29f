/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a worker's time goes, by stage of a request's way. Built in with -Dstage-timer=true only:
 * reading the time stamp counter twice a request takes a tenth of a small one's time.
 *
 * The worker's thread. A mark gives the time since the last mark to the stage that it names; a
 * round without work is idle as a whole.
 */
#ifndef VC_HOST_STAGE_H
#define VC_HOST_STAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"

enum stage {
	STAGE_IDLE,    /* rounds without work, sleep */
	STAGE_POP,     /* chains out of the rings: indices, descriptors, translation */
	STAGE_PARSE,   /* header, session, placement of buffers; scheduler */
	STAGE_SUBMIT,  /* resources: taking requests */
	STAGE_POLL,    /* resources: giving them back; where cryptography is synchronous, it is in
	                  these two */
	STAGE_FINISH,  /* status, result, used entry */
	STAGE_PUBLISH, /* used index, calls */
	STAGE_COUNT,
};

#ifdef VC_STAGE_TIMER
#define STAGE_TIMER 1

struct stage_timer {
	uint64_t last;
	uint64_t round[STAGE_COUNT];
};

static inline void stage_mark(struct stage_timer *timer, enum stage stage)
{
	uint64_t now = clock_ticks();

	timer->round[stage] += now - timer->last;
	timer->last = now;
}

/* The round is over: add it to the totals, ticks by stage, which others may read. */
static inline void stage_round(struct stage_timer *timer, uint64_t *totals, bool worked)
{
	for (unsigned int s = 0; s < STAGE_COUNT; s++) {
		uint64_t *total = &totals[worked ? s : STAGE_IDLE];

		__atomic_store_n(total, *total + timer->round[s], __ATOMIC_RELAXED);
	}
	memset(timer->round, 0, sizeof(timer->round));
}

#else
#define STAGE_TIMER 0

struct stage_timer {
	char nothing;
};

static inline void stage_mark(struct stage_timer *timer, enum stage stage)
{
}

static inline void stage_round(struct stage_timer *timer, uint64_t *totals, bool worked)
{
}

#endif
#endif
