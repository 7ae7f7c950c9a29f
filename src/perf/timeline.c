/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See timeline.h. Main thread.
 */
#include "perf/timeline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PER_SECOND 1000u

struct timeline *timeline_new(double seconds)
{
	uint32_t count = (uint32_t)(seconds * PER_SECOND) + 1;
	struct timeline *timeline =
		calloc(1, sizeof(*timeline) + count * sizeof(timeline->bucket[0]));

	if (!timeline)
		return NULL;
	timeline->count = count;
	timeline->ticks = clock_ticks_per_us() * (1000000u / PER_SECOND);
	timeline->start_ns = clock_now_ns();
	timeline->start_ticks = clock_ticks();
	return timeline;
}

void timeline_merge(struct timeline *into, const struct timeline *from)
{
	/* The threads' buckets begin some microseconds apart. */
	int64_t shift = (int64_t)(from->start_ticks - into->start_ticks);

	shift = (shift + (int64_t)into->ticks / 2) / (int64_t)into->ticks;
	for (int64_t i = 0; i < from->count; i++) {
		if (i + shift < 0 || i + shift >= into->count)
			continue;
		into->bucket[i + shift].done += from->bucket[i].done;
		into->bucket[i + shift].failed += from->bucket[i].failed;
	}
}

int timeline_write(const struct timeline *timeline, FILE *file)
{
	uint32_t last = timeline->count;

	while (last && !timeline->bucket[last - 1].done)
		last--;
	fprintf(file,
	        "# milliseconds, operations done in that one, of which failed; 0 is "
	        "CLOCK_MONOTONIC "
	        "%" PRIu64 " ns\n",
	        timeline->start_ns);
	for (uint32_t i = 0; i < last; i++)
		fprintf(file, "%u %u %u\n", i, timeline->bucket[i].done,
		        timeline->bucket[i].failed);
	return fflush(file) || ferror(file) ? -EIO : 0;
}
