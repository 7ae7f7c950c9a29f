/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads behind an instance of a resource, for what is too slow for a worker, and the rings
 * between them and the worker.
 *
 * helpers_*() are for the worker that has the instance, helper_*() for the helpers' own threads.
 */
#ifndef VC_HOST_RESOURCE_HELPERS_H
#define VC_HOST_RESOURCE_HELPERS_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "host/request.h"

/* Requests that the helpers have, waiting or being worked on, at the most; a power of two. */
#define HELPERS_RING 256
/* Time of work that each has before it, so that it need not wait for the worker, and who comes next
 * waits for little. */
#define HELPERS_AHEAD_NS UINT64_C(100000)
#define HELPERS_WEIGHT_SHIFT 10 /* so that weights up to 1000 divide times well */
#define HELPERS_FLOWS 256       /* as many as vc_request.flow has values */
/* A helper steps back behind the pollers if it has to share a CPU with one: it gets a tenth. */
#define HELPERS_NICE 10
#define HELPERS_MAX 32

struct helper;

/* What helpers do. */
struct helper_work {
	const char *name;   /* of the threads; at most 15 bytes */
	unsigned int burst; /* requests that a helper takes at once, up to HELPERS_RING */
	unsigned int ahead; /* requests that each has before it, even if they take longer */
	/* Do them, or keep them: each is given back by helper_done() sooner or later. */
	void (*run)(struct helper *helper, struct vc_request *const *reqs, unsigned int n);
	/* There is no more: do what was kept, or say (ns) how long more may be waited for. NULL:
	 * nothing is ever kept. HELPER_IDLE: nothing is. */
	uint64_t (*idle)(struct helper *helper);
	/* The thread ends; nothing is kept. May be NULL. */
	void (*end)(struct helper *helper);
};
#define HELPER_IDLE UINT64_MAX

/* Requests that a helper has done; it produces, the worker consumes. */
struct helper_ring {
	vc_cache_aligned _Atomic(uint32_t) tail; /* helper */
	vc_cache_aligned uint32_t head;          /* worker */
	vc_cache_aligned struct {
		struct vc_request *req;
		uint64_t ns; /* that it took */
	} entry[HELPERS_RING];
};

struct helpers;
struct helper {
	struct helpers *helpers;
	unsigned int index;
	pthread_t id;
	struct helper_ring *done;
	void *own; /* what the work needs in this thread; set before the start */
};

/* Requests in order, linked by their private members. */
struct request_list {
	struct vc_request *first, *last;
};

/* What one device has here and no helper has yet, and the time that was spent on it. The worker's
 * alone. */
struct helper_flow {
	struct request_list list;
	uint64_t
		used; /* weighed(); of a flow that comes back, no less than those that never left */
	uint16_t weight;
	uint64_t each; /* ns of one request, on average */
};

/*
 * The worker puts requests into one ring; every helper takes from it. Indices run freely. An entry
 * is atomic because a slow helper may read one that is being written again; its exchange of head
 * then fails, so what it read does not matter.
 */
struct helpers {
	const struct helper_work *work;
	unsigned int count, started;
	int done_fd;
	/* The worker's. */
	unsigned int fed;            /* requests that the helpers have */
	unsigned int busy_count;     /* flows with a list, */
	uint8_t busy[HELPERS_FLOWS]; /* which are these */
	uint64_t used;               /* of the flow that was fed last */
	struct helper_flow flow[HELPERS_FLOWS];
	vc_cache_aligned _Atomic(uint32_t) tail; /* worker */
	_Atomic(int) worker_cpu;                 /* on which it last fed; a hint */
	vc_cache_aligned _Atomic(uint32_t) head; /* helpers */
	vc_cache_aligned _Atomic(uint32_t) wake; /* futex; counts wake-ups */
	_Atomic(uint32_t) sleepers;
	_Atomic(bool) stop;
	vc_cache_aligned _Atomic(bool) armed; /* the worker sleeps: signal done_fd */
	vc_cache_aligned _Atomic(struct vc_request *) entry[HELPERS_RING];
	struct helper helper[HELPERS_MAX];
};

/* Start `count` helpers (work, count and each helper's own are set, all else is 0), on these CPUs
 * if there are any. 0; -errno, and then there is nothing to stop. */
int helpers_start(struct helpers *helpers, const cpu_set_t *cpus);
/* Nothing is in flight. */
void helpers_stop(struct helpers *helpers);

/* One more for its flow; the helpers get it in helpers_feed() or later. */
void helpers_add(struct helpers *helpers, struct vc_request *req);
/* Give the helpers what they need of what waits. */
void helpers_feed(struct helpers *helpers);
/* What is done, up to n. What a helper did to a request and its session can be seen from here on,
 * so that the worker may reuse the one and drop the other. */
unsigned int helpers_poll(struct helpers *helpers, struct vc_request **reqs, unsigned int n);
/* As resource_ops has them. */
bool helpers_arm(struct helpers *helpers);
void helpers_disarm(struct helpers *helpers);

/* The request is done, and took so long. */
void helper_done(struct helper *helper, struct vc_request *req, uint64_t ns);
/* CPU time of this thread: what somebody else does on its CPU is not charged to a device. */
uint64_t helper_cpu_ns(void);

static inline void request_list_add(struct request_list *list, struct vc_request *req)
{
	req->private = NULL;
	if (list->first)
		list->last->private = req;
	else
		list->first = req;
	list->last = req;
}

/* The list is not empty. */
static inline struct vc_request *request_list_take(struct request_list *list)
{
	struct vc_request *req = list->first;

	list->first = req->private;
	return req;
}

#endif
