/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See crossing.h. One thread writes some lines, the other then takes them: one after the other
 * (each address is in the line before), all at once, and to write them.
 */
#include "perf/crossing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/util.h"
#include "perf/interrupt.h"

#define LINES 256u
/* Of each way in a window: a median of fewer would show a CPU that is taken away. */
#define ROUNDS 101u

enum way { CHAIN, TOGETHER, WRITE, WAYS };

struct line {
	vc_cache_aligned volatile uint32_t value;
	uint32_t next;
};

/* Median of each window, by way. */
struct windows {
	double *time[WAYS];
	size_t count;
	size_t size;
};

static struct line lines[LINES];
/* Odd: the writer's turn. */
static vc_cache_aligned atomic_uint turn;
static vc_cache_aligned atomic_bool stop;

static void *writer_main(void *unused)
{
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
static double take(enum way way)
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
	return (double)(clock_ticks() - begin);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int window(struct windows *w)
{
	double ticks[ROUNDS], line = LINES * (double)clock_ticks_per_us() / 1000;

	for (int way = 0; way < WAYS; way++) {
		if (w->count == w->size) {
			size_t size = w->size ? w->size * 2 : 512;
			double *more = realloc(w->time[way], size * sizeof(*more));

			if (!more)
				return -ENOMEM;
			w->time[way] = more;
			if (way == WAYS - 1)
				w->size = size;
		}
		for (unsigned int r = 0; r < ROUNDS; r++)
			ticks[r] = take((enum way)way);
		qsort(ticks, ROUNDS, sizeof(ticks[0]), by_value);
		w->time[way][w->count] = ticks[ROUNDS / 2] / line;
	}
	w->count++;
	return 0;
}

static struct crossing_time summary(double *time, size_t count)
{
	qsort(time, count, sizeof(*time), by_value);
	return (struct crossing_time){
		.median = time[count / 2],
		.least = time[0],
		.most = time[count - 1],
	};
}

/* Pinned from the start, so that it is known whether it may run there. */
static int writer_start(pthread_t *thread, int cpu)
{
	int error = thread_pin(cpu);

	return error ? error : -pthread_create(thread, NULL, writer_main, NULL);
}

int crossing_run(int writer, int reader, double seconds, struct crossing_result *result)
{
	struct windows w = {.count = 0};
	struct interrupt interrupt;
	pthread_t thread;
	uint64_t end_ns;
	int error;

	/* All lines in one circle, of which no prefetcher makes sense. */
	for (uint32_t i = 0; i < LINES; i++)
		lines[i].next = (i * 5 + 77) % LINES;
	atomic_store(&turn, 0);
	atomic_store(&stop, false);
	interrupt_begin(&interrupt);
	result->cpu = writer;
	error = writer_start(&thread, writer);
	if (error)
		goto out;
	result->cpu = reader;
	error = thread_pin(reader);
	end_ns = clock_now_ns() + (uint64_t)(seconds * 1e9);
	while (!error) {
		error = window(&w);
		if (clock_now_ns() >= end_ns || interrupt_wait(&interrupt, 0))
			break;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	if (!error) {
		result->wait = summary(w.time[CHAIN], w.count);
		result->together = summary(w.time[TOGETHER], w.count);
		result->write = summary(w.time[WRITE], w.count);
	}
out:
	interrupt_end(&interrupt);
	for (int way = 0; way < WAYS; way++)
		free(w.time[way]);
	return error;
}
