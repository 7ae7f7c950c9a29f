/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completions over time, in buckets of a millisecond. Each thread counts in one of its own, which
 * is made before it starts; they are put together and written when all have ended.
 */
#ifndef VC_PERF_TIMELINE_H
#define VC_PERF_TIMELINE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/util.h"

struct timeline_bucket {
	uint32_t done; /* operations, failed ones among them */
	uint32_t failed;
};

struct timeline {
	uint64_t start_ns; /* CLOCK_MONOTONIC, at the begin of the first bucket */
	uint64_t start_ticks;
	uint64_t ticks; /* of a bucket */
	uint32_t count;
	struct timeline_bucket bucket[];
};

/* From now on, for so long. NULL without memory. To be freed with free(). */
struct timeline *timeline_new(double seconds);

/* What comes later than the last bucket is not counted. */
static inline void timeline_add(struct timeline *timeline, unsigned int done, unsigned int failed)
{
	uint64_t at = (clock_ticks() - timeline->start_ticks) / timeline->ticks;

	if (at >= timeline->count)
		return;
	timeline->bucket[at].done += done;
	timeline->bucket[at].failed += failed;
}

/* Add what another one counted: the buckets are those of this one. */
void timeline_merge(struct timeline *into, const struct timeline *from);
/* A line a bucket, up to the last one with something in it. 0, -EIO. */
int timeline_write(const struct timeline *timeline, FILE *file);

#endif
