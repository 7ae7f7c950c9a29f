/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latencies by size, each bucket 1/32 of a power of two wide: an error of 3% at the most.
 */
#ifndef VC_PERF_HISTOGRAM_H
#define VC_PERF_HISTOGRAM_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_BITS 5
#define HISTOGRAM_STEPS (1u << HISTOGRAM_BITS)

struct histogram {
	uint64_t count;
	uint64_t bucket[64 * HISTOGRAM_STEPS];
};

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
	unsigned int index = (unsigned int)value;

	if (value >= HISTOGRAM_STEPS) {
		unsigned int shift = 63 - HISTOGRAM_BITS - (unsigned int)__builtin_clzll(value);

		index = (shift + 1) * HISTOGRAM_STEPS +
		        (unsigned int)(value >> shift & (HISTOGRAM_STEPS - 1));
	}
	histogram->bucket[index]++;
	histogram->count++;
}

static inline void histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (unsigned int i = 0; i < 64 * HISTOGRAM_STEPS; i++)
		to->bucket[i] += from->bucket[i];
	to->count += from->count;
}

/* The middle of a bucket. */
static inline double histogram_value(unsigned int index)
{
	unsigned int shift;

	if (index < HISTOGRAM_STEPS)
		return index;
	shift = index / HISTOGRAM_STEPS - 1;
	return ((double)(HISTOGRAM_STEPS + index % HISTOGRAM_STEPS) + 0.5) *
	       (double)(1ull << shift);
}

/* The value that share (0 to 1) of all are not above; 0 if there are none. */
static inline double histogram_quantile(const struct histogram *histogram, double share)
{
	double wanted = share * (double)histogram->count, seen = 0;

	for (unsigned int i = 0; i < 64 * HISTOGRAM_STEPS; i++) {
		seen += (double)histogram->bucket[i];
		if (histogram->bucket[i] && seen >= wanted)
			return histogram_value(i);
	}
	return 0;
}

/* A line for each bucket with something in it: number, value / unit, how many. 0 or -EIO. */
static inline int histogram_write(const struct histogram *histogram, unsigned int number,
                                  double unit, FILE *file)
{
	for (unsigned int i = 0; i < 64 * HISTOGRAM_STEPS; i++)
		if (histogram->bucket[i])
			fprintf(file, "%u %.3f %llu\n", number, histogram_value(i) / unit,
			        (unsigned long long)histogram->bucket[i]);
	return fflush(file) ? -EIO : 0;
}

#endif
