/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcrypto: the threads, and the rings between them and the worker.
 *
 * One submit ring for all threads of an instance, so that a long operation in one does not hold up
 * what another could take; one done ring for each thread. No locks. A thread without work spins for
 * some microseconds, then sleeps on a futex; the worker makes a system call only if one sleeps.
 * Small symmetric requests do not go this way at all: the worker does them in submit.
 *
 * Only so much is in the ring as keeps the threads busy; the rest waits in the worker, in a list
 * for each device (flow). The one for which the threads have worked the least time is next: a
 * device that asks for RSA-8192 all the time gets as much of the threads as its neighbour that asks
 * for P-256 all the time, and no more.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/resource/libcrypto.h"

#define LC_SPINS 200 /* some 10 us */

static void futex_wait(_Atomic(uint32_t) *word, uint32_t value)
{
	syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic(uint32_t) *word, unsigned int n)
{
	syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static bool ring_empty(struct lc_instance *in)
{
	return atomic_load(&in->tail) == atomic_load(&in->head);
}

/* Take a request: any thread of the instance. NULL: there is none. */
static struct vc_request *ring_take(struct lc_instance *in)
{
	uint32_t head = atomic_load_explicit(&in->head, memory_order_relaxed);

	for (;;) {
		/* Acquire pairs with the worker's store in lc_submit(): the entry is there. */
		if (atomic_load_explicit(&in->tail, memory_order_acquire) == head)
			return NULL;
		struct vc_request *req =
			atomic_load_explicit(&in->entry[head % LC_RING], memory_order_relaxed);

		if (atomic_compare_exchange_weak(&in->head, &head, head + 1))
			return req;
	}
}

/* Wait for work. False: the instance is being closed. */
static bool wait_for_work(struct lc_instance *in)
{
	for (int i = 0; i < LC_SPINS; i++) {
		if (!ring_empty(in))
			return true;
		cpu_relax();
	}
	uint32_t wake = atomic_load(&in->wake);

	/* Sequentially consistent with lc_submit(), which stores tail and then looks at sleepers:
	 * either we see its work here, or it sees us and changes wake. */
	atomic_fetch_add(&in->sleepers, 1);
	if (ring_empty(in) && !atomic_load(&in->stop))
		futex_wait(&in->wake, wake);
	atomic_fetch_sub(&in->sleepers, 1);
	return !atomic_load(&in->stop);
}

static void give_back(struct lc_thread *thread, struct vc_request *req, uint64_t ns)
{
	struct lc_instance *in = thread->instance;
	struct lc_done *done = thread->done;
	uint32_t tail = atomic_load_explicit(&done->tail, memory_order_relaxed);

	/* Never full: the threads have no more than LC_RING requests. */
	done->entry[tail % LC_RING].req = req;
	done->entry[tail % LC_RING].ns = ns;
	/* Sequentially consistent with lc_arm(), which sets armed and then looks at tail; as a
	 * release it pairs with the acquire in lc_poll(). */
	atomic_store(&done->tail, tail + 1);
	if (atomic_load(&in->armed) && atomic_exchange(&in->armed, false))
		event_signal(in->done_fd);
}

void lc_execute(struct lc_thread *thread, struct vc_request *req)
{
	const struct lc_session *session = req->handle;
	struct lc_local *local = &((struct lc_session *)req->handle)->local[thread->index];

	if (req->kind < VC_REQUEST_AK_ENCRYPT)
		req->status = lc_symmetric(thread, req, session, local);
	else if (session->params->akcipher == VIRTIO_CRYPTO_AKCIPHER_ECDSA)
		req->status = lc_ecdsa(thread, req, session, local);
	else
		req->status = lc_rsa(thread, req, session, local);
}

/* Of the thread: what somebody else does on its CPU is not charged to a device. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *run(void *argument)
{
	struct lc_thread *thread = argument;
	struct lc_instance *in = thread->instance;

	thread_name("vc-libcrypto");
	/* Of this thread alone, in Linux. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), LC_NICE);
	do {
		uint64_t begin = cpu_ns();
		struct vc_request *req;

		while ((req = ring_take(in))) {
			uint64_t end;

			lc_execute(thread, req);
			end = cpu_ns();
			give_back(thread, req, end - begin);
			begin = end;
		}
	} while (wait_for_work(in));
	OPENSSL_thread_stop_ex(in->library);
	return NULL;
}

static int start_one(struct lc_instance *in, const pthread_attr_t *attributes)
{
	struct lc_thread *thread = &in->thread[in->started];
	int r;

	thread->instance = in;
	thread->index = in->started;
	thread->done = aligned_alloc(VC_CACHE_LINE, sizeof(*thread->done));
	if (!thread->done)
		return -ENOMEM;
	memset(thread->done, 0, sizeof(*thread->done));
	r = pthread_create(&thread->id, attributes, run, thread);
	if (r) {
		free(thread->done);
		return -r;
	}
	in->started++;
	return 0;
}

static void digests_free(struct lc_thread *thread)
{
	for (unsigned int i = 0; i < ALGORITHM_HASHES; i++)
		EVP_MD_CTX_free(thread->digest[i]);
}

int lc_threads_start(struct lc_instance *in, const cpu_set_t *cpus)
{
	pthread_attr_t attributes;
	int r = 0;

	/* The worker's own, behind the threads'. */
	in->thread[in->threads].instance = in;
	in->thread[in->threads].index = in->threads;
	pthread_attr_init(&attributes);
	/* Not the one CPU of the worker, which polls there. */
	if (CPU_COUNT(cpus))
		pthread_attr_setaffinity_np(&attributes, sizeof(*cpus), cpus);
	while (r == 0 && in->started < in->threads)
		r = start_one(in, &attributes);
	pthread_attr_destroy(&attributes);
	if (r < 0)
		lc_threads_stop(in);
	return r;
}

void lc_threads_stop(struct lc_instance *in)
{
	atomic_store(&in->stop, true);
	atomic_fetch_add(&in->wake, 1);
	futex_wake(&in->wake, INT_MAX);
	for (unsigned int i = 0; i < in->started; i++) {
		pthread_join(in->thread[i].id, NULL);
		free(in->thread[i].done);
		digests_free(&in->thread[i]);
	}
	digests_free(&in->thread[in->threads]);
	in->started = 0;
}

/* What a request costs, in bytes of AES; the constant is about what any call of EVP costs. */
static uint64_t lc_cost(const struct vc_request *req, const struct lc_session *session)
{
	return 512 + ((uint64_t)req->length + req->aad_len) * session->weight;
}

/* Small requests are done here and now, as long as the burst does not get too long with them. */
static bool stays_here(const struct vc_request *req, uint64_t *spent)
{
	const struct lc_session *session = req->handle;
	uint64_t cost = lc_cost(req, session);

	if (!session->weight || cost > LC_INLINE_COST || *spent + cost > LC_INLINE_BURST)
		return false;
	*spent += cost;
	return true;
}

static void wake_threads(struct lc_instance *in, unsigned int n)
{
	unsigned int sleepers = atomic_load(&in->sleepers);

	if (sleepers) {
		atomic_fetch_add(&in->wake, 1);
		futex_wake(&in->wake, vc_min(n, sleepers));
	}
}

/* ---- flows ---- */

static void list_add(struct lc_list *list, struct vc_request *req)
{
	req->private = NULL;
	if (list->first)
		list->last->private = req;
	else
		list->first = req;
	list->last = req;
}

static struct vc_request *list_take(struct lc_list *list)
{
	struct vc_request *req = list->first;

	list->first = req->private;
	return req;
}

static void flow_add(struct lc_instance *in, struct vc_request *req)
{
	struct lc_flow *flow = &in->flow[req->flow];

	if (!flow->list.first) {
		in->busy[in->busy_count++] = req->flow;
		/* Time in which it asked for nothing is not saved up. */
		flow->used = vc_max(flow->used, in->used);
	}
	list_add(&flow->list, req);
}

/* Of the busy flows, the place of the one that has had the least. */
static unsigned int flow_next(const struct lc_instance *in)
{
	unsigned int least = 0;

	for (unsigned int i = 1; i < in->busy_count; i++)
		if (in->flow[in->busy[i]].used < in->flow[in->busy[least]].used)
			least = i;
	return least;
}

/* Whether the threads have work enough, if it is such as this flow's. */
static bool threads_have_enough(const struct lc_instance *in, const struct lc_flow *flow)
{
	uint64_t ahead = LC_AHEAD_NS / (flow->each + 1);

	return in->fed >= vc_min(vc_max(ahead, LC_AHEAD_MIN) * in->threads, (uint64_t)LC_RING);
}

/* Give the threads what they need of what waits. */
static void flows_feed(struct lc_instance *in)
{
	uint32_t first = atomic_load_explicit(&in->tail, memory_order_relaxed), tail = first;

	while (in->busy_count) {
		unsigned int i = flow_next(in);
		struct lc_flow *flow = &in->flow[in->busy[i]];

		if (threads_have_enough(in, flow))
			break;
		in->used = flow->used;
		/* An estimate, put right in lc_poll(). */
		flow->used += flow->each;
		atomic_store_explicit(&in->entry[tail++ % LC_RING], list_take(&flow->list),
		                      memory_order_relaxed);
		in->fed++;
		if (!flow->list.first)
			in->busy[i] = in->busy[--in->busy_count];
	}
	if (tail == first)
		return;
	/* Pairs with ring_take() and, sequentially consistent, with wait_for_work(). */
	atomic_store(&in->tail, tail);
	wake_threads(in, tail - first);
}

static void flow_account(struct lc_instance *in, const struct vc_request *req, uint64_t ns)
{
	struct lc_flow *flow = &in->flow[req->flow];

	/* What it was charged for, as nearly as is known: each has hardly changed since. */
	flow->used += ns;
	flow->used -= vc_min(flow->each, flow->used);
	flow->each = (7 * flow->each + ns) / 8;
	in->fed--;
}

/* ---- the worker ---- */

unsigned int lc_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                       unsigned int n)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	struct lc_list mine = {NULL, NULL};
	uint64_t spent = 0;

	instance->in_flight += n;
	for (unsigned int i = 0; i < n; i++)
		if (stays_here(reqs[i], &spent))
			list_add(&mine, reqs[i]);
		else
			flow_add(in, reqs[i]);
	flows_feed(in);
	/* The threads have theirs, and work while we do. */
	while (mine.first) {
		struct vc_request *req = list_take(&mine);

		lc_execute(&in->thread[in->threads], req);
		list_add(&in->here, req);
	}
	return n;
}

/* The acquire makes all that a thread did to a request and its session visible here, so that the
 * worker may reuse the one and drop the other. */
unsigned int lc_poll(struct resource_instance *instance, struct vc_request **reqs, unsigned int n,
                     bool flush)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	unsigned int taken = 0, here;

	while (in->here.first && taken < n)
		reqs[taken++] = list_take(&in->here);
	here = taken;
	for (unsigned int t = 0; t < in->threads && taken < n; t++) {
		struct lc_done *done = in->thread[t].done;
		uint32_t tail = atomic_load_explicit(&done->tail, memory_order_acquire);

		for (; done->head != tail && taken < n; done->head++) {
			reqs[taken] = done->entry[done->head % LC_RING].req;
			flow_account(in, reqs[taken++], done->entry[done->head % LC_RING].ns);
		}
	}
	if (taken != here)
		flows_feed(in);
	instance->in_flight -= taken;
	return taken;
}

int lc_fd(struct resource_instance *instance)
{
	return ((struct lc_instance *)instance)->done_fd;
}

bool lc_arm(struct resource_instance *instance)
{
	struct lc_instance *in = (struct lc_instance *)instance;

	/* Sequentially consistent with give_back(): see there. */
	atomic_store(&in->armed, true);
	if (in->here.first)
		return true;
	for (unsigned int t = 0; t < in->threads; t++)
		if (atomic_load(&in->thread[t].done->tail) != in->thread[t].done->head)
			return true;
	return false;
}

void lc_disarm(struct resource_instance *instance)
{
	struct lc_instance *in = (struct lc_instance *)instance;

	/* A thread that has taken the arming may signal after this: one empty wake-up more. */
	atomic_store(&in->armed, false);
	event_clear(in->done_fd);
}
