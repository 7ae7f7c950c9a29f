/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often, and for how long, the machine takes its CPUs away from a program that has them for
 * itself: what a virtual machine's host does to it, and what no latency measured in it can be
 * without. A thread on each CPU named reads the clock without pause; a gap of more than 10 µs is a
 * stall. Prints JSON: stalls in a second, of all CPUs together, and per cent of time.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define SECONDS 1
#define STALL_NS 10000
#define CPUS_MAX 2

struct watch {
	pthread_t thread;
	int cpu;
	int error;
	uint64_t stalls;
	uint64_t stalled_ns;
};

static void *watch_run(void *arg)
{
	struct watch *watch = arg;
	uint64_t end, last, now;

	watch->error = -thread_pin(watch->cpu);
	if (watch->error)
		return NULL;
	last = clock_now_ns();
	end = last + SECONDS * UINT64_C(1000000000);
	while (last < end) {
		now = clock_now_ns();
		if (now - last > STALL_NS) {
			watch->stalls++;
			watch->stalled_ns += now - last;
		}
		last = now;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct watch watches[CPUS_MAX] = {0};
	double stalled = 0;
	uint64_t stalls = 0;
	int count = argc - 1;

	if (count < 1 || count > CPUS_MAX) {
		fprintf(stderr, "usage: bench-stall CPU [CPU]\n");
		return 2;
	}
	for (int i = 0; i < count; i++) {
		watches[i].cpu = atoi(argv[i + 1]);
		if (pthread_create(&watches[i].thread, NULL, watch_run, &watches[i])) {
			fprintf(stderr, "bench-stall: cannot start a thread\n");
			return 1;
		}
	}
	for (int i = 0; i < count; i++) {
		pthread_join(watches[i].thread, NULL);
		if (watches[i].error) {
			fprintf(stderr, "bench-stall: CPU %s: %s\n", argv[i + 1],
			        strerror(watches[i].error));
			return 1;
		}
		stalls += watches[i].stalls;
		stalled += (double)watches[i].stalled_ns;
	}
	printf("{\"per_s\": %.0f, \"percent\": %.3f}\n", (double)stalls / SECONDS,
	       stalled / (SECONDS * 1e7 * count));
	return 0;
}
