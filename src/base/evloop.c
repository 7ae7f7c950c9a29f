/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll loop. One thread: the one that runs it also adds and removes.
 *
 * epoll hands back pointers to watches, several a round. A watch that is removed while a round is
 * being handled may still be among those pointers, so it is only marked, and freed after the round.
 */
#include "base/evloop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 64

struct evwatch {
	struct evloop *loop;
	struct evwatch *prev, *next; /* of the loop's list of watches, or of its graveyard */
	int fd;
	bool dead;
	evloop_fd_fn *fn;
	evloop_timer_fn *timer_fn; /* in place of fn: fd is a timerfd of ours */
	void *context;
};

struct evloop {
	int epoll;
	int signals; /* signalfd, -1 before the first evloop_signal() */
	sigset_t mask;
	struct {
		evloop_signal_fn *fn;
		void *context;
	} handlers[_NSIG];
	struct evwatch *watches;
	struct evwatch *graveyard;
	unsigned int depth; /* of rounds being handled */
	bool stopped;
};

int evloop_create(struct evloop **loop)
{
	struct evloop *made = calloc(1, sizeof(*made));

	if (!made)
		return -ENOMEM;
	made->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (made->epoll < 0) {
		int err = -errno;

		free(made);
		return err;
	}
	made->signals = -1;
	sigemptyset(&made->mask);
	*loop = made;
	return 0;
}

static void bury(struct evloop *loop)
{
	while (loop->graveyard) {
		struct evwatch *watch = loop->graveyard;

		loop->graveyard = watch->next;
		free(watch);
	}
}

void evloop_destroy(struct evloop *loop)
{
	if (!loop)
		return;
	while (loop->watches)
		evloop_remove(loop->watches);
	bury(loop);
	/* The signals stay blocked: one that comes while the program cleans up must not end it. */
	if (loop->signals >= 0)
		close(loop->signals);
	close(loop->epoll);
	free(loop);
}

/* NULL with *err set. */
static struct evwatch *watch_make(struct evloop *loop, int fd, uint32_t events, void *context,
                                  int *err)
{
	struct evwatch *watch = calloc(1, sizeof(*watch));
	struct epoll_event event = {.events = events, .data.ptr = watch};

	if (!watch) {
		*err = -ENOMEM;
		return NULL;
	}
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		*err = -errno;
		free(watch);
		return NULL;
	}
	watch->loop = loop;
	watch->fd = fd;
	watch->context = context;
	watch->next = loop->watches;
	if (watch->next)
		watch->next->prev = watch;
	loop->watches = watch;
	return watch;
}

int evloop_add(struct evloop *loop, int fd, uint32_t events, evloop_fd_fn *fn, void *context,
               struct evwatch **watch)
{
	int err = 0;
	struct evwatch *made = watch_make(loop, fd, events, context, &err);

	if (!made)
		return err;
	made->fn = fn;
	if (watch)
		*watch = made;
	return 0;
}

int evloop_modify(struct evwatch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(watch->loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) < 0 ? -errno : 0;
}

void evloop_remove(struct evwatch *watch)
{
	struct evloop *loop;

	if (!watch || watch->dead)
		return;
	loop = watch->loop;
	/* Fails when the caller has closed the descriptor already, which does as well. */
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	if (watch->timer_fn)
		close(watch->fd);
	if (watch->prev)
		watch->prev->next = watch->next;
	else
		loop->watches = watch->next;
	if (watch->next)
		watch->next->prev = watch->prev;
	watch->dead = true;
	watch->next = loop->graveyard;
	loop->graveyard = watch;
	if (!loop->depth)
		bury(loop);
}

static void signals_ready(void *context, int fd, uint32_t events)
{
	struct evloop *loop = context;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo >= _NSIG)
		return;
	if (loop->handlers[info.ssi_signo].fn)
		loop->handlers[info.ssi_signo].fn(loop->handlers[info.ssi_signo].context,
		                                  (int)info.ssi_signo);
}

int evloop_signal(struct evloop *loop, int signal, evloop_signal_fn *fn, void *context)
{
	int err;
	int fd;

	if (signal <= 0 || signal >= _NSIG)
		return -EINVAL;
	sigaddset(&loop->mask, signal);
	err = pthread_sigmask(SIG_BLOCK, &loop->mask, NULL);
	if (err)
		return -err;
	fd = signalfd(loop->signals, &loop->mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	loop->handlers[signal].fn = fn;
	loop->handlers[signal].context = context;
	if (loop->signals >= 0)
		return 0;
	loop->signals = fd;
	err = evloop_add(loop, fd, EPOLLIN, signals_ready, loop, NULL);
	if (err) {
		close(fd);
		loop->signals = -1;
	}
	return err;
}

static void watch_ready(struct evwatch *watch, uint32_t events)
{
	uint64_t times;

	if (watch->fn)
		watch->fn(watch->context, watch->fd, events);
	else if (read(watch->fd, &times, sizeof(times)) == sizeof(times))
		watch->timer_fn(watch->context);
}

int evloop_timer(struct evloop *loop, unsigned int delay_ms, evloop_timer_fn *fn, void *context,
                 struct evwatch **watch)
{
	struct itimerspec when = {
		.it_value = {.tv_sec = delay_ms / 1000, .tv_nsec = delay_ms % 1000 * 1000000L},
	};
	struct evwatch *made;
	int err;
	int fd;

	if (!delay_ms)
		when.it_value.tv_nsec = 1; /* 0 would disarm it */
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (timerfd_settime(fd, 0, &when, NULL) < 0) {
		err = -errno;
		goto out;
	}
	made = watch_make(loop, fd, EPOLLIN, context, &err);
	if (!made)
		goto out;
	made->timer_fn = fn;
	if (watch)
		*watch = made;
	return 0;
out:
	close(fd);
	return err;
}

int evloop_fd(const struct evloop *loop)
{
	return loop->epoll;
}

int evloop_once(struct evloop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int n = epoll_wait(loop->epoll, events, EVENTS_PER_ROUND, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->depth++;
	for (int i = 0; i < n; i++) {
		struct evwatch *watch = events[i].data.ptr;

		if (!watch->dead)
			watch_ready(watch, events[i].events);
	}
	if (!--loop->depth)
		bury(loop);
	return n;
}

int evloop_run(struct evloop *loop)
{
	int n = 0;

	while (!loop->stopped && n >= 0)
		n = evloop_once(loop, -1);
	loop->stopped = false;
	return n < 0 ? n : 0;
}

void evloop_stop(struct evloop *loop)
{
	loop->stopped = true;
}
