/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcrypto: the threads, and the rings between them and the worker.
 *
 * One submit ring for all threads of an instance, so that a long operation in one does not hold up
 * what another could take; one done ring for each thread. No locks. A thread without work spins for
 * some microseconds, then sleeps on a futex; the worker makes a system call only if one sleeps.
 * Small symmetric requests do not go this way at all: the worker does them in submit.
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

static void *run(void *argument)
{
	struct lc_thread *thread = argument;
	struct lc_instance *in = thread->instance;

	thread_name("vc-libcrypto");
	do {
		struct vc_request *req;

		while ((req = ring_take(in))) {
			lc_execute(thread, req);
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

unsigned int lc_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                       unsigned int n)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	uint32_t first = atomic_load_explicit(&in->tail, memory_order_relaxed), tail = first;
	uint32_t here = in->here_tail;
	uint64_t spent = 0;

	n = vc_min(n, LC_RING - instance->in_flight);
	instance->in_flight += n;
	for (unsigned int i = 0; i < n; i++) {
		if (stays_here(reqs[i], &spent))
			in->here[in->here_tail++ % LC_RING] = reqs[i];
		else
			atomic_store_explicit(&in->entry[tail++ % LC_RING], reqs[i],
			                      memory_order_relaxed);
	}
	if (tail != first) {
		/* Pairs with ring_take() and, sequentially consistent, with wait_for_work(). */
		atomic_store(&in->tail, tail);
		wake_threads(in, tail - first);
	}
	/* The threads have theirs, and work while we do. */
	for (; here != in->here_tail; here++)
		lc_execute(&in->thread[in->threads], in->here[here % LC_RING]);
	return n;
}

/* The acquire makes all that a thread did to a request and its session visible here, so that the
 * worker may reuse the one and drop the other. */
unsigned int lc_poll(struct resource_instance *instance, struct vc_request **reqs, unsigned int n,
                     bool flush)
{
	struct lc_instance *in = (struct lc_instance *)instance;
	unsigned int taken = 0;

	while (in->here_head != in->here_tail && taken < n)
		reqs[taken++] = in->here[in->here_head++ % LC_RING];
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
	if (in->here_head != in->here_tail)
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
