/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An epoll loop for one thread: descriptors, signals, one-shot timers. Level-triggered. A watch may
 * be removed (and its descriptor closed) by any callback, its own included.
 */
#ifndef VC_BASE_EVLOOP_H
#define VC_BASE_EVLOOP_H

#include <stdint.h>

struct evloop;
struct evwatch;

typedef void evloop_fd_fn(void *context, int fd, uint32_t events); /* EPOLL* bits */
typedef void evloop_signal_fn(void *context, int signal);
typedef void evloop_timer_fn(void *context);

int evloop_create(struct evloop **loop);
void evloop_destroy(struct evloop *loop);

/* Watch fd (not owned) for EPOLL* events. 0 or -errno. */
int evloop_add(struct evloop *loop, int fd, uint32_t events, evloop_fd_fn *fn, void *context,
               struct evwatch **watch);
int evloop_modify(struct evwatch *watch, uint32_t events);
/* NULL is allowed. */
void evloop_remove(struct evwatch *watch);

/* Block the signal for the process's threads made afterwards, and deliver it to fn in the loop. */
int evloop_signal(struct evloop *loop, int signal, evloop_signal_fn *fn, void *context);

/* Call fn once after delay_ms; remove the watch to cancel (also after it has fired). */
int evloop_timer(struct evloop *loop, unsigned int delay_ms, evloop_timer_fn *fn, void *context,
                 struct evwatch **watch);

/* The epoll descriptor, for a caller with a loop of its own. */
int evloop_fd(const struct evloop *loop);

/* Wait at most timeout_ms (-1: for ever) for one round of events. Number handled or -errno. */
int evloop_once(struct evloop *loop, int timeout_ms);
/* Until evloop_stop(). 0 or -errno. */
int evloop_run(struct evloop *loop);
void evloop_stop(struct evloop *loop);

#endif
