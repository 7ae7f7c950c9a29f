/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue that is measured. For run.c, which makes them, and runner.c, which is their thread.
 */
#ifndef VC_PERF_RUNNER_H
#define VC_PERF_RUNNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "perf/histogram.h"
#include "perf/run.h"
#include "perf/timeline.h"

enum phase { WARM_UP, MEASURE, STOP };

struct item {
	struct vcrypto_op op; /* first: poll gives it back */
	uint64_t stamp;       /* ticks when it was submitted; 0: not measured */
	uint8_t *copy;        /* of the source, when it is done in place and verified */
	uint8_t *memory[2];   /* source; destination, NULL when in place */
	bool verify;
};

struct runner {
	const struct run_load *load;
	const struct workload *workload; /* of it */
	const struct run_options *options;
	struct vcrypto_device *device;
	struct vcrypto_queue *queue;
	struct vcrypto_session *session;
	unsigned int index;  /* of the queue */
	struct runner *next; /* of the same thread: the same queue of the next device, */
	struct runner *first_paced, *next_paced; /* and of those that are paced */
	uint64_t interval, due;                  /* ticks; paced: the next operation */
	pthread_t thread;
	bool started;
	atomic_int *phase;
	struct item *items;
	struct vcrypto_op **ready; /* to be submitted */
	unsigned int given;        /* of them, in front, given out but not taken */
	unsigned int ready_count;
	uint8_t *scratch;
	EVP_CIPHER_CTX *context;
	uint64_t submits, given_out;
	uint64_t verify_in; /* the one that many from now */
	uint64_t completed, verified, errors, mismatches;
	uint64_t measured; /* completed while measuring */
	int first_error;
	atomic_int failed; /* -errno: a device of the thread is gone, or refuses */
	unsigned int poll_most;
	unsigned int idle_rounds, busy_rounds;
	uint64_t looked; /* ticks; at the device */
	uint64_t idle_since_ns;
	struct timeline *timeline; /* NULL: not wanted */
	struct histogram latency;
};

/* Operations taken at once, at the most. */
#define POLL_MOST 64
/* Nothing came back for so long: it never will. */
#define STALL_NS 10000000000ull

/* A thread, of a runner and those that are linked to it, until the phase is STOP and all is back.
 * The thread's result is in first->failed. */
void *runner_main(void *first);

#endif
