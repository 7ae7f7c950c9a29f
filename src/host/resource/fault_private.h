/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the resource type fault: fault.c (life, settings), fault_run.c (requests).
 */
#ifndef VC_HOST_RESOURCE_FAULT_PRIVATE_H
#define VC_HOST_RESOURCE_FAULT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/util.h"
#include "host/resource/fault.h"
#include "host/resource/fault_heap.h"

/* Requests that an instance has at the most, here and in the inner one; a power of two. As many as
 * a worker has. */
#define FAULT_MOST 2048u
#define FAULT_WORDS (sizeof(struct fault_settings) / sizeof(uint64_t))

struct fault_instance;

struct fault_resource {
	struct resource base;
	struct resource *inner;
	/* The main thread's. */
	struct fault_settings settings;
	/* What the workers see: a sequence lock without a lock. Odd: it is being written. */
	vc_cache_aligned _Atomic(uint64_t) version;
	_Atomic(uint64_t) word[FAULT_WORDS];
	/* Instances, for counters and to wake their workers; under the lock, which no worker takes
	 * but when it starts and ends. */
	pthread_mutex_t lock;
	struct fault_instance *first;
};

struct fault_instance {
	struct resource_instance base;
	struct resource_instance *inner;
	struct fault_instance *next;
	unsigned int worker;
	uint64_t version; /* of the settings here */
	struct fault_settings settings;
	struct fault_random random;
	bool pending; /* they begin after so many requests: */
	uint64_t left;
	bool active;              /* they have begun; also read by the main thread */
	uint64_t until;           /* ns: they end then; 0: they stay */
	uint64_t number;          /* of the next request in the heap */
	struct fault_heap heap;   /* not given to the inner one yet */
	struct vc_request **done; /* a ring: not yet polled, from here on */
	unsigned int done_first, done_count;
	int epoll; /* of the three that follow and the inner one's */
	int timer;
	int changed;       /* eventfd: there are new settings */
	uint64_t timer_at; /* ns; 0: it is not set */
	struct fault_counters counters;
};

/* fault_run.c. */
/* Take new settings over, and see whether it is time for those that there are to end. */
void fault_refresh(struct fault_instance *in);
unsigned int fault_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                          unsigned int n);
unsigned int fault_poll(struct resource_instance *instance, struct vc_request **reqs,
                        unsigned int n, bool flush);
int fault_fd(struct resource_instance *instance);
bool fault_arm(struct resource_instance *instance);
void fault_disarm(struct resource_instance *instance);

static inline void fault_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* The settings say so, and have begun. */
#define fault_acts(in, what) ((in)->active && (in)->settings.what)

#endif
