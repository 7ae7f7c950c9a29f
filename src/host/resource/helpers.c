/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers: the threads, and the rings between them and the worker.
 *
 * One submit ring for all helpers of an instance, so that a long operation in one does not hold up
 * what another could take; one done ring for each. No locks. A helper without work spins for some
 * microseconds (unless it has the worker's CPU), then sleeps on a futex; the worker makes a system
 * call only if one sleeps.
 *
 * Only so much is in the ring as keeps the helpers busy; the rest waits in the worker, in a list
 * for each device (flow). The one for which the helpers have worked the least time by its weight is
 * next: a device that asks for RSA-8192 all the time gets as much of the helpers as its neighbour
 * that asks for P-256 all the time, and no more; one of weight 2 gets twice as much.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/resource/helpers.h"

#define HELPER_SPINS 200 /* some 10 us */

/* HELPER_IDLE: without end. */
static void futex_wait(_Atomic(uint32_t) *word, uint32_t value, uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
	                     .tv_nsec = (long)(ns % 1000000000u)};

	syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, value,
	        ns == HELPER_IDLE ? NULL : &t, NULL, 0);
}

static void futex_wake(_Atomic(uint32_t) *word, unsigned int n)
{
	syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static bool ring_empty(struct helpers *in)
{
	return atomic_load(&in->tail) == atomic_load(&in->head);
}

/* Take up to n requests: any helper. */
static unsigned int ring_take(struct helpers *in, struct vc_request **reqs, unsigned int n)
{
	uint32_t head = atomic_load_explicit(&in->head, memory_order_relaxed), count;

	do {
		/* Acquire pairs with the store in helpers_feed(): the entries are there. */
		uint32_t tail = atomic_load_explicit(&in->tail, memory_order_acquire);

		count = vc_min(tail - head, n);
		for (uint32_t i = 0; i < count; i++)
			reqs[i] = atomic_load_explicit(&in->entry[(head + i) % HELPERS_RING],
			                               memory_order_relaxed);
	} while (count && !atomic_compare_exchange_weak(&in->head, &head, head + count));
	return count;
}

/* Wait for work, so long at the most. */
static void wait_for_work(struct helpers *in, uint64_t ns)
{
	for (int i = 0; i < HELPER_SPINS; i++) {
		if (!ring_empty(in))
			return;
		/* Not on the CPU on which the worker would find more. */
		if (sched_getcpu() == atomic_load_explicit(&in->worker_cpu, memory_order_relaxed))
			break;
		cpu_relax();
	}
	uint32_t wake = atomic_load(&in->wake);

	/* Sequentially consistent with helpers_feed(), which stores tail and then looks at
	 * sleepers: either we see its work here, or it sees us and changes wake. */
	atomic_fetch_add(&in->sleepers, 1);
	if (ring_empty(in) && !atomic_load(&in->stop))
		futex_wait(&in->wake, wake, ns);
	atomic_fetch_sub(&in->sleepers, 1);
}

void helper_done(struct helper *helper, struct vc_request *req, uint64_t ns)
{
	struct helpers *in = helper->helpers;
	struct helper_ring *done = helper->done;
	uint32_t tail = atomic_load_explicit(&done->tail, memory_order_relaxed);

	/* Never full: the helpers have no more than HELPERS_RING requests. */
	done->entry[tail % HELPERS_RING].req = req;
	done->entry[tail % HELPERS_RING].ns = ns;
	/* Sequentially consistent with helpers_arm(), which sets armed and then looks at tail; as a
	 * release it pairs with the acquire in helpers_poll(). */
	atomic_store(&done->tail, tail + 1);
	if (atomic_load(&in->armed) && atomic_exchange(&in->armed, false))
		event_signal(in->done_fd);
}

uint64_t helper_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *run(void *argument)
{
	struct helper *helper = argument;
	struct helpers *in = helper->helpers;
	const struct helper_work *work = in->work;

	thread_name(work->name);
	/* Both of this thread alone, in Linux. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), HELPERS_NICE);
	prctl(PR_SET_TIMERSLACK, 1ul);
	while (!atomic_load(&in->stop)) {
		struct vc_request *reqs[HELPERS_RING];
		unsigned int n = ring_take(in, reqs, work->burst);
		uint64_t wait = HELPER_IDLE;

		if (n) {
			work->run(helper, reqs, n);
			continue;
		}
		if (work->idle)
			wait = work->idle(helper);
		if (wait)
			wait_for_work(in, wait);
	}
	if (work->end)
		work->end(helper);
	return NULL;
}

static int start_one(struct helpers *in, const pthread_attr_t *attributes)
{
	struct helper *helper = &in->helper[in->started];
	int r;

	helper->helpers = in;
	helper->index = in->started;
	helper->done = aligned_alloc(VC_CACHE_LINE, sizeof(*helper->done));
	if (!helper->done)
		return -ENOMEM;
	memset(helper->done, 0, sizeof(*helper->done));
	r = pthread_create(&helper->id, attributes, run, helper);
	if (r) {
		free(helper->done);
		return -r;
	}
	in->started++;
	return 0;
}

int helpers_start(struct helpers *in, const cpu_set_t *cpus)
{
	pthread_attr_t attributes;
	int r = event_create();

	if (r < 0)
		return r;
	in->done_fd = r;
	r = 0;
	/* Slow, until it is known. */
	for (unsigned int i = 0; i < HELPERS_FLOWS; i++)
		in->flow[i].each = HELPERS_AHEAD_NS;
	pthread_attr_init(&attributes);
	/* Not the one CPU of the worker, which polls there. */
	if (CPU_COUNT(cpus))
		pthread_attr_setaffinity_np(&attributes, sizeof(*cpus), cpus);
	while (r == 0 && in->started < in->count)
		r = start_one(in, &attributes);
	pthread_attr_destroy(&attributes);
	if (r < 0)
		helpers_stop(in);
	return r;
}

void helpers_stop(struct helpers *in)
{
	atomic_store(&in->stop, true);
	atomic_fetch_add(&in->wake, 1);
	futex_wake(&in->wake, INT_MAX);
	for (unsigned int i = 0; i < in->started; i++) {
		pthread_join(in->helper[i].id, NULL);
		free(in->helper[i].done);
	}
	in->started = 0;
	close(in->done_fd);
}

static void wake_helpers(struct helpers *in, unsigned int n)
{
	unsigned int sleepers = atomic_load(&in->sleepers);

	if (sleepers) {
		atomic_fetch_add(&in->wake, 1);
		futex_wake(&in->wake, vc_min(n, sleepers));
	}
}

/* ---- flows ---- */

/* Time as it counts for the flow. */
static uint64_t weighed(const struct helper_flow *flow, uint64_t ns)
{
	return (ns << HELPERS_WEIGHT_SHIFT) / flow->weight;
}

void helpers_add(struct helpers *in, struct vc_request *req)
{
	struct helper_flow *flow = &in->flow[req->flow];

	flow->weight = vc_max(req->weight, 1);
	if (!flow->list.first) {
		in->busy[in->busy_count++] = req->flow;
		/* Time in which it asked for nothing is not saved up. */
		flow->used = vc_max(flow->used, in->used);
	}
	request_list_add(&flow->list, req);
}

/* Of the busy flows, the place of the one that has had the least. */
static unsigned int flow_next(const struct helpers *in)
{
	unsigned int least = 0;

	for (unsigned int i = 1; i < in->busy_count; i++)
		if (in->flow[in->busy[i]].used < in->flow[in->busy[least]].used)
			least = i;
	return least;
}

/* Whether the helpers have work enough, if it is such as this flow's. */
static bool helpers_have_enough(const struct helpers *in, const struct helper_flow *flow)
{
	uint64_t ahead = HELPERS_AHEAD_NS / (flow->each + 1);

	return in->fed >=
	       vc_min(vc_max(ahead, (uint64_t)in->work->ahead) * in->count, (uint64_t)HELPERS_RING);
}

void helpers_feed(struct helpers *in)
{
	uint32_t first = atomic_load_explicit(&in->tail, memory_order_relaxed), tail = first;

	while (in->busy_count) {
		unsigned int i = flow_next(in);
		struct helper_flow *flow = &in->flow[in->busy[i]];

		if (helpers_have_enough(in, flow))
			break;
		in->used = flow->used;
		/* An estimate, put right in helpers_poll(). */
		flow->used += weighed(flow, flow->each);
		atomic_store_explicit(&in->entry[tail++ % HELPERS_RING],
		                      request_list_take(&flow->list), memory_order_relaxed);
		in->fed++;
		if (!flow->list.first)
			in->busy[i] = in->busy[--in->busy_count];
	}
	if (tail == first)
		return;
	atomic_store_explicit(&in->worker_cpu, sched_getcpu(), memory_order_relaxed);
	/* Pairs with ring_take() and, sequentially consistent, with wait_for_work(). */
	atomic_store(&in->tail, tail);
	wake_helpers(in, tail - first);
}

static void flow_account(struct helpers *in, const struct vc_request *req, uint64_t ns)
{
	struct helper_flow *flow = &in->flow[req->flow];

	/* What it was charged for, as nearly as is known: each has hardly changed since. */
	flow->used += weighed(flow, ns);
	flow->used -= vc_min(weighed(flow, flow->each), flow->used);
	flow->each = (7 * flow->each + ns) / 8;
	in->fed--;
}

unsigned int helpers_poll(struct helpers *in, struct vc_request **reqs, unsigned int n)
{
	unsigned int taken = 0;

	for (unsigned int t = 0; t < in->count && taken < n; t++) {
		struct helper_ring *done = in->helper[t].done;
		uint32_t tail = atomic_load_explicit(&done->tail, memory_order_acquire);

		for (; done->head != tail && taken < n; done->head++) {
			reqs[taken] = done->entry[done->head % HELPERS_RING].req;
			flow_account(in, reqs[taken++], done->entry[done->head % HELPERS_RING].ns);
		}
	}
	if (taken)
		helpers_feed(in);
	return taken;
}

bool helpers_arm(struct helpers *in)
{
	/* Sequentially consistent with helper_done(): see there. */
	atomic_store(&in->armed, true);
	for (unsigned int t = 0; t < in->count; t++)
		if (atomic_load(&in->helper[t].done->tail) != in->helper[t].done->head)
			return true;
	return false;
}

void helpers_disarm(struct helpers *in)
{
	/* A helper that has taken the arming may signal after this: one empty wake-up more. */
	atomic_store(&in->armed, false);
	event_clear(in->done_fd);
}
