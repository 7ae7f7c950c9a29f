/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that has nothing to do: kicks on, one more look, sleep, kicks off.
 *
 * While it polls, drivers are told not to kick; so under load there are no system calls for kicks.
 * Kick descriptors come from a front end that we do not trust, which may read from them too: they
 * are watched edge-triggered and never read, because a read could block.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "host/worker_private.h"

#define SLEEP_EVENTS 32
/* For queues without a kick descriptor, and to look after commands that wait. */
#define SLEEP_SHORT_MS 1
#define SLEEP_COMMAND_MS 20

int sleep_watch_queue(struct worker *worker, struct host_queue *queue)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = queue};

	if (queue->kick_fd < 0)
		return 0;
	return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, queue->kick_fd, &event) < 0 ? -errno : 0;
}

void sleep_unwatch_queue(struct worker *worker, struct host_queue *queue)
{
	if (queue->kick_fd >= 0)
		epoll_ctl(worker->epoll, EPOLL_CTL_DEL, queue->kick_fd, NULL);
}

/* Mailbox and resources; their events carry no pointer. */
static int watch_other(struct worker *worker, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int sleep_watch_mail(struct worker *worker)
{
	return watch_other(worker, worker->mail_fd);
}

int sleep_watch_resource(struct worker *worker, unsigned int resource)
{
	struct resource_instance *instance = worker->instance[resource];
	int fd = instance->resource->ops->fd(instance);

	return fd < 0 ? 0 : watch_other(worker, fd);
}

void sleep_unwatch_resource(struct worker *worker, unsigned int resource)
{
	struct resource_instance *instance = worker->instance[resource];
	int fd = instance->resource->ops->fd(instance);

	if (fd >= 0)
		epoll_ctl(worker->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static bool queue_sleeps(const struct worker *worker, struct host_queue *queue)
{
	/* A queue whose requests a full resource has not taken yet is woken by that resource; so is
	 * one of a device that has as much in flight as it may, or for which there is no place. */
	return !queue->paused && !queue->waiting && queue->share->in_flight < worker->free_count &&
	       queue->share->inflight_bytes < queue->device->share_bytes &&
	       !atomic_load_explicit(&queue->broken, memory_order_relaxed);
}

/* Ask everyone to wake us. True: there already is work. */
static bool sleep_prepare(struct worker *worker, int *timeout)
{
	bool work = false;

	for (unsigned int i = 0; i < worker->queue_count; i++) {
		struct host_queue *queue = worker->queue[i];

		if (!queue_sleeps(worker, queue))
			continue;
		if (queue->kick_fd < 0 && *timeout)
			*timeout = SLEEP_SHORT_MS;
		work |= vring_notify_on(&queue->ring);
	}
	for (unsigned int r = 0; r < HOST_MAX_RESOURCES; r++) {
		struct resource_instance *instance = worker->instance[r];

		if (instance && instance->in_flight)
			work |= instance->resource->ops->arm(instance);
	}
	return work || atomic_load(&worker->mail);
}

static void sleep_undo(struct worker *worker)
{
	for (unsigned int r = 0; r < HOST_MAX_RESOURCES; r++) {
		struct resource_instance *instance = worker->instance[r];

		if (instance)
			instance->resource->ops->disarm(instance);
	}
	for (unsigned int i = 0; i < worker->queue_count; i++)
		if (queue_sleeps(worker, worker->queue[i]))
			vring_notify_off(&worker->queue[i]->ring);
}

void worker_sleep(struct worker *worker)
{
	struct epoll_event event[SLEEP_EVENTS];
	int timeout = worker->unfinished ? SLEEP_COMMAND_MS : -1;
	int n;

	if (worker->timed | worker->sched.full) {
		worker->sched.now = 0;
		late_timeout(worker, &timeout);
	}
	if (!sleep_prepare(worker, &timeout)) {
		counter_add(&worker->counters.sleeps, 1);
		n = epoll_wait(worker->epoll, event, SLEEP_EVENTS, timeout);
		for (int i = 0; i < n; i++) {
			struct host_queue *queue = event[i].data.ptr;

			if (queue)
				counter_add(&queue->counters.kicks, 1);
		}
		event_clear(worker->mail_fd);
	}
	sleep_undo(worker);
}
