/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcrypto: the threads, and the rings between them and the worker.
 *
 * One submit ring for all threads of an instance, so that a long operation in one does not hold up
 * what another could take; one done ring for each thread. No locks. A thread without work spins for
 * some microseconds, then sleeps on a futex; the worker makes a system call only if one sleeps.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
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

static void give_back(struct lc_thread *thread, struct vc_request *req)
{
	struct lc_instance *in = thread->instance;
	struct lc_done *done = thread->done;
	uint32_t tail = atomic_load_explicit(&done->tail, memory_order_relaxed);

	/* Never full: no more than LC_RING requests are in the instance. */
	done->entry[tail % LC_RING] = req;
	/* Sequentially consistent with lc_arm(), which sets armed and then looks at tail; as a
	 * release it pairs with the acquire in lc_poll(). */
	atomic_store(&done->tail, tail + 1);
	if (atomic_load(&in->armed) && atomic_exchange(&in->armed, false))
		event_signal(in->done_fd);
}

static void execute(struct lc_thread *thread, struct vc_request *req)
{
	struct lc_session *session = req->handle;
	struct lc_local *local = &session->local[thread->index];

	if (req->kind >= VC_REQUEST_AK_ENCRYPT)
		req->status = lc_rsa(thread, req, session, local);
	else
		req->status = lc_symmetric(thread, req, session, local);
}

static void *run(void *argument)
{
	struct lc_thread *thread = argument;
	struct lc_instance *in = thread->instance;

	thread_name("vc-libcrypto");
	do {
		struct vc_request *req;

		while ((req = ring_take(in))) {
			execute(thread, req);
			give_back(thread, req);
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
	thread->digest = EVP_MD_CTX_new();
	thread->done = aligned_alloc(VC_CACHE_LINE, sizeof(*thread->done));
	if (thread->done && thread->digest) {
		memset(thread->done, 0, sizeof(*thread->done));
		r = pthread_create(&thread->id, attributes, run, thread);
		if (r == 0) {
			in->started++;
			return 0;
		}
	} else {
		r = ENOMEM;
	}
	free(thread->done);
	EVP_MD_CTX_free(thread->digest);
	return -r;
}

int lc_threads_start(struct lc_instance *in, const cpu_set_t *cpus)
{
	pthread_attr_t attributes;
	int r = 0;

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
		EVP_MD_CTX_free(in->thread[i].digest);
	}
	in->started = 0;
}

unsigned int lc_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                       unsigned int n)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	uint32_t tail = atomic_load_explicit(&in->tail, memory_order_relaxed);
	unsigned int sleepers;

	n = vc_min(n, LC_RING - instance->in_flight);
	if (!n)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		atomic_store_explicit(&in->entry[(tail + i) % LC_RING], reqs[i],
		                      memory_order_relaxed);
	instance->in_flight += n;
	/* Pairs with ring_take() and, sequentially consistent, with wait_for_work(). */
	atomic_store(&in->tail, tail + n);
	sleepers = atomic_load(&in->sleepers);
	if (sleepers) {
		atomic_fetch_add(&in->wake, 1);
		futex_wake(&in->wake, vc_min(n, sleepers));
	}
	return n;
}

/* The acquire makes all that a thread did to a request and its session visible here, so that the
 * worker may reuse the one and drop the other. */
unsigned int lc_poll(struct resource_instance *instance, struct vc_request **reqs, unsigned int n,
                     bool flush)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	unsigned int taken = 0;

	for (unsigned int t = 0; t < in->threads && taken < n; t++) {
		struct lc_done *done = in->thread[t].done;
		uint32_t tail = atomic_load_explicit(&done->tail, memory_order_acquire);

		while (done->head != tail && taken < n)
			reqs[taken++] = done->entry[done->head++ % LC_RING];
	}
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
