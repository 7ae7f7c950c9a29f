/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting in ASYNC jobs: one descriptor in each wait context, as applications expect.
 *
 * The descriptor is an epoll instance over two things: the eventfd that the daemon signals, and a
 * timer (alarm.c), for when it does not. It stays the same for the life of the wait context. When
 * somebody notices that the daemon is dead, all eventfds are signalled; when nobody does, the
 * alarm has each job look for itself.
 *
 * It is put into the wait context only when a job is about to pause: haproxy learns of descriptors
 * when a job pauses, and aborts when a connection ends with one that it was never told of.
 *
 * A job that is paused across a fork must be resumed in the child too, where its descriptors are
 * the parent's: in the child others take their numbers, which stay readable.
 *
 * Any thread; a wait context is used by one job at a time.
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/async.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Registered in batches, as each needs an exchange over the socket. */
#define BATCH 8u
#define UNUSED_MAX 256u
/* How often a job that waits looks whether the daemon is alive. */
#define TICK_NS 250000000u

/* Its address names our descriptor in a wait context. */
static const char wait_key;

/* ---- making and ending ---- */

/* Close what is still ours, and keep the rest for another. Under process->lock. */
static void waker_hollow(struct waker *waker)
{
	struct process *process = waker->process;

	rest_claim(waker);
	descriptor_close(&waker->epoll);
	descriptor_close(&waker->event);
	if (waker->alarm)
		alarm_put(process, waker->alarm);
	if (waker->connection)
		connection_unref(waker->connection);
	waker->alarm = NULL;
	waker->connection = NULL;
	waker->next = process->hollow;
	process->hollow = waker;
}

static void waker_free(struct waker *waker)
{
	struct process *process = waker->process;

	pthread_mutex_lock(&process->lock);
	waker_hollow(waker);
	pthread_mutex_unlock(&process->lock);
}

static int epoll_add(const struct waker *waker, const struct descriptor *what)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(waker->epoll.fd, EPOLL_CTL_ADD, what->fd, &event) < 0 ? -errno : 0;
}

static int waker_open(struct waker *waker)
{
	int ret = descriptor_keep(&waker->event, event_create());

	if (!ret)
		ret = descriptor_keep(&waker->epoll, epoll_create1(EPOLL_CLOEXEC));
	if (ret)
		return ret;
	waker->alarm = alarm_get(waker->process);
	if (!waker->alarm)
		return -ENOMEM;
	ret = epoll_add(waker, &waker->event);
	return ret ? ret : epoll_add(waker, &waker->alarm->timer);
}

/* Under process->lock. They are never freed, so that a child can look at them after a fork. */
static struct waker *waker_hollow_get(struct process *process)
{
	struct waker *waker = process->hollow;

	if (waker) {
		process->hollow = waker->next;
		return waker;
	}
	waker = calloc(1, sizeof(*waker));
	if (!waker)
		return NULL;
	waker->process = process;
	waker->event.fd = waker->epoll.fd = -1;
	waker->every = atomic_load(&process->every_waker);
	atomic_store(&process->every_waker, waker);
	return waker;
}

static struct waker *waker_make(struct process *process)
{
	struct waker *waker;

	pthread_mutex_lock(&process->lock);
	waker = waker_hollow_get(process);
	if (waker && waker_open(waker)) {
		waker_hollow(waker);
		waker = NULL;
	}
	pthread_mutex_unlock(&process->lock);
	return waker;
}

/* Applications may have closed it. */
static bool waker_is_ours(const struct waker *waker)
{
	return descriptor_is_ours(&waker->epoll) && descriptor_is_ours(&waker->event);
}

bool waker_clear(struct waker *waker)
{
	return descriptor_is_ours(&waker->event) && event_clear(waker->event.fd);
}

/* From what connection it may have had to this one, where it is registered as number. */
static void waker_attach(struct waker *waker, struct connection *connection, uint32_t number)
{
	if (waker->connection) {
		if (rest_claim(waker))
			waker_clear(waker);
		connection_unref(waker->connection);
	}
	waker->connection = connection_ref(connection);
	waker->number = number;
}

static int waker_move(struct waker *waker, struct connection *connection)
{
	uint32_t number;

	if (waker->connection == connection)
		return 0;
	if (atomic_load(&waker->busy) ||
	    connection_wakers(connection, &waker->event.fd, 1, &number) != 1)
		return -EBUSY;
	waker_attach(waker, connection, number);
	return 0;
}

void wakers_signal(struct process *process)
{
	struct waker *waker;

	pthread_mutex_lock(&process->lock);
	for (waker = atomic_load(&process->every_waker); waker; waker = waker->every) {
		if (atomic_load(&waker->busy) && descriptor_is_ours(&waker->event))
			event_signal(waker->event.fd);
	}
	pthread_mutex_unlock(&process->lock);
}

/* In a child, after a fork: no lock, and nothing but system calls. */
void wakers_forked(struct process *process)
{
	struct waker *waker;
	int readable = -1;

	for (waker = atomic_load(&process->every_waker); waker; waker = waker->every) {
		if (!atomic_load(&waker->waiting) || !descriptor_is_ours(&waker->epoll))
			continue;
		if (readable < 0)
			readable = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		if (readable >= 0)
			(void)dup3(readable, waker->epoll.fd, O_CLOEXEC);
	}
	if (readable >= 0)
		close(readable);
}

/* ---- unused ones ---- */

/* Whether it is still ours is asked when it is taken out again. */
static void unused_push(struct process *process, struct waker *waker)
{
	pthread_mutex_lock(&process->lock);
	if (process->wakers_unused >= UNUSED_MAX) {
		waker_hollow(waker);
	} else {
		waker->next = process->wakers;
		process->wakers = waker;
		process->wakers_unused++;
	}
	pthread_mutex_unlock(&process->lock);
}

static struct waker *unused_pop(struct process *process)
{
	struct waker *waker;

	pthread_mutex_lock(&process->lock);
	while ((waker = process->wakers)) {
		process->wakers = waker->next;
		process->wakers_unused--;
		if (waker_is_ours(waker))
			break;
		waker_hollow(waker);
	}
	pthread_mutex_unlock(&process->lock);
	return waker;
}

/* Under process->lock. */
void waker_teardown(struct process *process)
{
	struct waker *waker;

	while ((waker = process->wakers)) {
		process->wakers = waker->next;
		process->wakers_unused--;
		waker_hollow(waker);
	}
}

/* Make and register a batch; one is for the caller. */
static struct waker *waker_batch(struct process *process, struct connection *connection)
{
	struct waker *made[BATCH];
	unsigned int i, n = 0, taken = 0;
	int fds[BATCH], ret;
	uint32_t first;

	while (n < BATCH && (made[n] = waker_make(process))) {
		fds[n] = made[n]->event.fd;
		n++;
	}
	ret = n ? connection_wakers(connection, fds, n, &first) : -ENOMEM;
	if (ret > 0)
		taken = (unsigned int)ret;
	for (i = 0; i < n; i++) {
		if (i >= taken) {
			waker_free(made[i]);
			continue;
		}
		waker_attach(made[i], connection, first + i);
		if (i)
			unused_push(process, made[i]);
	}
	return taken ? made[0] : NULL;
}

static struct waker *waker_new(struct process *process, struct connection *connection)
{
	struct waker *waker = unused_pop(process);

	if (!waker)
		return waker_batch(process, connection);
	if (!waker_move(waker, connection)) {
		/* A signal for whoever had it before, and did not wait for it. It was just looked
		 * at. */
		rest_claim(waker);
		event_clear(waker->event.fd);
		return waker;
	}
	waker_free(waker);
	return NULL;
}

/* ---- wait contexts ---- */

/* The wait context goes. A job that is still paused on it will never run again: what it waits for
 * is left to itself. */
static void wait_context_freed(ASYNC_WAIT_CTX *context, const void *key, OSSL_ASYNC_FD fd,
                               void *custom)
{
	struct waker *waker = custom;
	uint32_t i;

	waker->tied = false;
	/* In a child the descriptors are the parent's too: not to be reused. */
	if (!process_is_ours(waker->process))
		return;
	if (atomic_exchange(&waker->waiting, false))
		alarm_end(waker->alarm);
	if (atomic_exchange(&waker->busy, 0)) {
		for (i = 0; i < waker->connection->channels; i++)
			channel_orphan(&waker->connection->channel[i], waker);
	}
	unused_push(waker->process, waker);
}

static bool has_callback(ASYNC_WAIT_CTX *context)
{
	ASYNC_callback_fn callback = NULL;
	void *argument = NULL;

	return ASYNC_WAIT_CTX_get_callback(context, &callback, &argument) && callback;
}

static struct waker *context_waker(ASYNC_WAIT_CTX *context, const struct process *process)
{
	struct waker *waker;
	void *custom = NULL;
	OSSL_ASYNC_FD fd;

	if (!ASYNC_WAIT_CTX_get_fd(context, &wait_key, &fd, &custom))
		return NULL;
	waker = custom;
	/* The eventfd is looked at before it is read. */
	if (waker->process == process && descriptor_is_ours(&waker->epoll))
		return waker;
	/* Inherited in a fork: parent and child would take each other's signals. Or closed. */
	ASYNC_WAIT_CTX_clear_fd(context, &wait_key);
	waker->tied = false;
	if (waker->process == process)
		waker_free(waker);
	return NULL;
}

struct waker *waker_get(struct process *process, struct connection *connection)
{
	ASYNC_JOB *job = ASYNC_get_current_job();
	ASYNC_WAIT_CTX *context = job ? ASYNC_get_wait_ctx(job) : NULL;
	struct waker *waker;

	if (!context || has_callback(context))
		return NULL;
	waker = context_waker(context, process);
	if (waker && waker_move(waker, connection))
		return NULL;
	if (!waker)
		waker = waker_new(process, connection);
	if (waker)
		atomic_fetch_add(&waker->busy, 1);
	return waker;
}

/* Let the application see the descriptor. False: it cannot. */
static bool waker_tie(struct waker *waker)
{
	ASYNC_JOB *job = ASYNC_get_current_job();

	if (!waker->tied)
		waker->tied = job && ASYNC_WAIT_CTX_set_wait_fd(ASYNC_get_wait_ctx(job), &wait_key,
		                                                waker->epoll.fd, waker,
		                                                wait_context_freed);
	return waker->tied;
}

int waker_pause(struct waker *waker, uint64_t deadline_ns)
{
	uint64_t now = clock_now_ns();
	int paused;

	if (!waker_tie(waker))
		return -ENOTSUP;
	atomic_store(&waker->waiting, true);
	alarm_begin(waker->alarm);
	alarm_set(waker->alarm, now, vc_min(deadline_ns, now + TICK_NS));
	paused = ASYNC_pause_job();
	if (!process_is_ours(waker->process))
		return -ECHILD;
	atomic_store(&waker->waiting, false);
	alarm_end(waker->alarm);
	return paused ? 0 : -ENOTSUP;
}

void waker_put(struct waker *waker)
{
	atomic_fetch_sub(&waker->busy, 1);
	if (!waker->tied)
		unused_push(waker->process, waker);
}
