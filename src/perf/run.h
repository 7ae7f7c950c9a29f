/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One measurement of vcrypto-perf: each device with its load, on every queue.
 */
#ifndef VC_PERF_RUN_H
#define VC_PERF_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <vcrypto/vcrypto.h>

#include "perf/workload.h"

enum run_verify { VERIFY_SAMPLE, VERIFY_ALL, VERIFY_NONE };

/* What a device is to do. */
struct run_load {
	struct vcrypto_device *device;
	const struct workload *workload;
	uint32_t size;      /* bytes of an operation */
	unsigned int depth; /* operations in flight in each queue */
	bool paced;         /* not as fast as it can, but so many a second in each queue: */
	unsigned int rate;
};

struct run_options {
	unsigned int burst; /* at most, in one submit */
	double seconds;
	int cpu; /* of the first queue's thread, the next ones follow; -1: not pinned */
	enum run_verify verify;
	bool sleep;
	bool in_place;
	FILE *timeline;  /* for completions over time; NULL: none */
	FILE *latencies; /* for how many operations of each device took how long; NULL */
};

struct run_result {
	double ops_per_s, gbit_per_s; /* gbit: of data */
	double p50_us, p99_us;
	double kicks_per_op, calls_per_op;
	double bytes;
	uint64_t operations, verified;
	uint64_t completed;  /* of all phases */
	uint64_t errors;     /* operations that came back with a status, */
	uint64_t mismatches; /* and with a result that is not libcrypto's */
	int first_error;     /* status of the first of them */
};

/* Bytes of device memory that a queue needs. */
size_t run_memory(const struct workload *workload, uint32_t size, unsigned int depth);

/* All devices have the same number of queues. result: of all; each: of every device, or NULL. 0;
 * -errno with a sentence in error (static). */
int run(const struct run_load *loads, unsigned int count, const struct run_options *options,
        struct run_result *result, struct run_result *each, const char **error);

#endif
