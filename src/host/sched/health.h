/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The health of a resource as one worker sees it, and the circuit before it.
 *
 * Closed: it is a candidate as any other. So many failures or time-outs one after the other open
 * the circuit: then it gets only what nothing else can do. After a while one request is tried
 * there: if it is done, the circuit is closed; if not, it stays open twice as long. Each worker
 * learns for itself: its instance may be sick alone (a queue pair, a thread).
 *
 * The worker's thread; reports are read by anyone. No clock of its own.
 */
#ifndef VC_HOST_HEALTH_H
#define VC_HOST_HEALTH_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/log.h"
#include "host/resource/resource.h"

enum health_state {
	HEALTH_CLOSED,
	HEALTH_OPEN,
	HEALTH_DUE,     /* open long enough: the next request that it would have got is tried */
	HEALTH_PROBING, /* that one is there */
};

/* For others to read; each figure is right by itself. */
struct health_report {
	_Atomic(uint32_t) state;
	_Atomic(const char *) reason; /* of the last change; static text; NULL: none yet */
	_Atomic(uint64_t) since;      /* ns; of that */
	uint64_t failures, timeouts;  /* in all */
	uint64_t opened;              /* times */
	uint64_t unanswered;          /* requests that it has now, and nobody waits for any more */
};

struct health {
	struct circuit_options options;
	enum health_state state;
	unsigned int in_row; /* failures */
	unsigned int backoff_ms;
	uint64_t due;       /* ns */
	uint32_t most_late; /* unanswered requests with which it is not tried */
	struct health_report report;
	struct log_limit log;
};

enum health_failure {
	HEALTH_FAILED,  /* it said so */
	HEALTH_TIMEOUT, /* it has said nothing in time */
	HEALTH_FULL,    /* it has taken nothing for too long: opens the circuit at once */
};

/* What changes is which resources are to be avoided: the scheduler's. All return true if it did,
 * and report->state and reason say how. now: ns. */
void health_init(struct health *health, const struct circuit_options *options);
bool health_failed(struct health *health, enum health_failure how, uint64_t now);
bool health_done(struct health *health, uint64_t now);
/* Time passes. */
bool health_wait(struct health *health, uint64_t now);
/* A request is tried. */
bool health_probe(struct health *health, uint64_t now);
/* One more, or less, that it has not answered. */
bool health_unanswered(struct health *health, int change, uint64_t now);

/* "closed", "open", "probing". */
const char *health_state_name(uint32_t state);

/* Whether it is a candidate as any other. */
static inline bool health_good(const struct health *health)
{
	return health->state == HEALTH_CLOSED || health->state == HEALTH_DUE;
}

#endif
