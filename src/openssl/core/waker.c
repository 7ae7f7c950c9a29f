/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting in ASYNC jobs: one descriptor in each wait context, as applications expect.
 *
 * The descriptor is an epoll instance over three things: the eventfd that the daemon signals, the
 * socket (the daemon's end must wake the job, too) and a timer (so must its silence). It stays the
 * same for the life of the wait context; what is in it changes when the connection does.
 *
 * It is put into the wait context only when a job is about to pause: haproxy learns of descriptors
 * when a job pauses, and aborts when a connection ends with one that it was never told of.
 *
 * Any thread; a wait context is used by one job at a time.
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <openssl/async.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Registered in batches, as each needs an exchange over the socket. */
#define BATCH 8u
#define UNUSED_MAX 256u

/* Its address names our descriptor in a wait context. */
static const char wait_key;

static void waker_free(struct waker *waker)
{
	rest_claim(waker);
	close(waker->epoll);
	close(waker->event);
	if (waker->connection)
		connection_unref(waker->connection);
	free(waker);
}

static int epoll_add(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static struct waker *waker_make(struct process *process)
{
	struct waker *waker = calloc(1, sizeof(*waker));

	if (!waker)
		return NULL;
	waker->process = process;
	waker->event = event_create();
	waker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (waker->event >= 0 && waker->epoll >= 0 &&
	    !epoll_add(waker->epoll, waker->event, EPOLLIN))
		return waker;
	if (waker->event >= 0)
		close(waker->event);
	if (waker->epoll >= 0)
		close(waker->epoll);
	free(waker);
	return NULL;
}

/* From what connection it may have had to this one, where it is registered as number. */
static int waker_attach(struct waker *waker, struct connection *connection, uint32_t number)
{
	int ret;

	if (waker->connection) {
		if (rest_claim(waker))
			event_clear(waker->event);
		/* Held by us, so still open, unless the application closed it: no matter then. */
		(void)epoll_ctl(waker->epoll, EPOLL_CTL_DEL, waker->connection->socket, NULL);
		(void)epoll_ctl(waker->epoll, EPOLL_CTL_DEL, waker->connection->timer, NULL);
		connection_unref(waker->connection);
	}
	waker->connection = connection_ref(connection);
	waker->number = number;
	ret = epoll_add(waker->epoll, connection->socket, EPOLLRDHUP);
	return ret ? ret : epoll_add(waker->epoll, connection->timer, EPOLLIN);
}

static int waker_move(struct waker *waker, struct connection *connection)
{
	uint32_t number;

	if (waker->connection == connection)
		return 0;
	if (atomic_load(&waker->busy) ||
	    connection_wakers(connection, &waker->event, 1, &number) != 1)
		return -EBUSY;
	return waker_attach(waker, connection, number);
}

/* ---- unused ones ---- */

static void unused_push(struct process *process, struct waker *waker)
{
	bool full;

	pthread_mutex_lock(&process->lock);
	full = process->wakers_unused >= UNUSED_MAX;
	if (!full) {
		waker->next = process->wakers;
		process->wakers = waker;
		process->wakers_unused++;
	}
	pthread_mutex_unlock(&process->lock);
	if (full)
		waker_free(waker);
}

static struct waker *unused_pop(struct process *process)
{
	struct waker *waker;

	pthread_mutex_lock(&process->lock);
	waker = process->wakers;
	if (waker) {
		process->wakers = waker->next;
		process->wakers_unused--;
	}
	pthread_mutex_unlock(&process->lock);
	return waker;
}

void waker_teardown(struct process *process)
{
	struct waker *waker;

	while ((waker = process->wakers)) {
		process->wakers = waker->next;
		process->wakers_unused--;
		waker_free(waker);
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
		fds[n] = made[n]->event;
		n++;
	}
	ret = n ? connection_wakers(connection, fds, n, &first) : -ENOMEM;
	if (ret > 0)
		taken = (unsigned int)ret;
	for (i = 0; i < n; i++) {
		if (i < taken && !waker_attach(made[i], connection, first + i)) {
			if (i)
				unused_push(process, made[i]);
			continue;
		}
		waker_free(made[i]);
		if (!i)
			taken = 0;
	}
	return taken ? made[0] : NULL;
}

static struct waker *waker_new(struct process *process, struct connection *connection)
{
	struct waker *waker = unused_pop(process);

	if (!waker)
		return waker_batch(process, connection);
	if (!waker_move(waker, connection)) {
		/* A signal for whoever had it before, and did not wait for it. */
		rest_claim(waker);
		event_clear(waker->event);
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
	if (waker->process == process)
		return waker;
	/* Inherited in a fork: parent and child would take each other's signals. */
	ASYNC_WAIT_CTX_clear_fd(context, &wait_key);
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

bool waker_tie(struct waker *waker)
{
	ASYNC_JOB *job = ASYNC_get_current_job();

	if (!waker->tied)
		waker->tied =
			job && ASYNC_WAIT_CTX_set_wait_fd(ASYNC_get_wait_ctx(job), &wait_key,
		                                          waker->epoll, waker, wait_context_freed);
	return waker->tied;
}

void waker_put(struct waker *waker)
{
	atomic_fetch_sub(&waker->busy, 1);
	if (!waker->tied)
		unused_push(waker->process, waker);
}
