/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cache line costs that has to come from another core, which has written it: the floor of
 * every ring between two cores. One thread writes some lines, the other then takes them: one after
 * the other (each address is in the line before: the latency), all at once (as many under way as
 * the core can have: what prefetching comes down to), and to write them.
 *
 * Usage: bench-crossing [WRITER-CPU READER-CPU]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

#define LINES 256u
#define ROUNDS 4000u

enum way { CHAIN, TOGETHER, WRITE, WAYS };
static const char *const ways[] = {"one after the other", "together", "to write"};

struct line {
	vc_cache_aligned volatile uint32_t value;
	uint32_t next;
};

static struct line lines[LINES];
/* Odd: the writer's turn. */
static vc_cache_aligned atomic_uint turn;
static vc_cache_aligned atomic_bool stop;

static void *writer(void *cpu)
{
	thread_pin(*(int *)cpu);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		/* Acquire and release: pairs with take(), so that each finds the lines as the other
		 * has left them. */
		unsigned int now = atomic_load_explicit(&turn, memory_order_acquire);

		if (now % 2 == 0)
			continue;
		for (unsigned int i = 0; i < LINES; i++)
			lines[i].value = now;
		atomic_store_explicit(&turn, now + 1, memory_order_release);
	}
	return NULL;
}

static uint32_t touch(enum way way)
{
	uint32_t seen = 0, at = 0;

	for (unsigned int i = 0; i < LINES; i++) {
		if (way == CHAIN)
			at = lines[at].next;
		else if (way == TOGETHER)
			seen += lines[i].value;
		else
			lines[i].value = i;
	}
	return seen + at;
}

/* Ticks for all lines, once the other has written them. */
static uint64_t take(enum way way)
{
	unsigned int now = atomic_load_explicit(&turn, memory_order_relaxed) + 1;
	uint64_t begin;
	uint32_t seen;

	atomic_store_explicit(&turn, now, memory_order_release);
	while (atomic_load_explicit(&turn, memory_order_acquire) == now)
		;
	begin = clock_ticks();
	seen = touch(way);
	/* All of it is done, stores too. */
	__asm__ volatile("mfence" : : "r"(seen) : "memory");
	return clock_ticks() - begin;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static uint64_t ticks[ROUNDS];
	int writer_cpu = argc > 2 ? atoi(argv[1]) : 0, reader_cpu = argc > 2 ? atoi(argv[2]) : 1;
	pthread_t thread;

	/* All lines in one circle, of which no prefetcher makes sense. */
	for (uint32_t i = 0; i < LINES; i++)
		lines[i].next = (i * 5 + 77) % LINES;
	thread_pin(reader_cpu);
	if (pthread_create(&thread, NULL, writer, &writer_cpu))
		return 1;
	for (int way = 0; way < WAYS; way++) {
		for (unsigned int r = 0; r < ROUNDS; r++)
			ticks[r] = take((enum way)way);
		qsort(ticks, ROUNDS, sizeof(ticks[0]), by_value);
		uint64_t median = ticks[ROUNDS / 2];

		printf("%-20s %6.1f ns a line\n", ways[way],
		       (double)median / LINES / (double)clock_ticks_per_us() * 1000);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	return 0;
}
