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
#include <time.h>

#include "host/worker_private.h"

#define SLEEP_EVENTS 32
/* For queues without a kick descriptor, and to look after commands that wait. */
#define SLEEP_SHORT_NS UINT64_C(1000000)
#define SLEEP_COMMAND_NS UINT64_C(20000000)
#define SLEEP_FOR_EVER UINT64_MAX
#define SLEEP_LONGEST_US UINT64_C(1000000)

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
	 * one of a device that has as much in flight as it may, or for which there is no place. One
	 * that is throttled waits for its time. */
	return !queue->paused && !queue->waiting && !queue->share->flow.throttled &&
	       queue->share->in_flight < worker->free_count &&
	       queue->share->inflight_bytes <
	               __atomic_load_n(&queue->device->share_bytes, __ATOMIC_RELAXED) &&
	       !atomic_load_explicit(&queue->broken, memory_order_relaxed);
}

/* Time (ns) until the first of the devices that are throttled may go on. */
static uint64_t sleep_throttled(const struct worker *worker)
{
	uint64_t now = clock_ticks(), first = UINT64_MAX;

	for (const struct qos_flow *flow = worker->qos.all; flow; flow = flow->all)
		if (flow->throttled)
			first = vc_min(first, flow->resume);
	if (first <= now)
		return 0;
	return vc_min((first - now) / clock_ticks_per_us(), SLEEP_LONGEST_US) * 1000 + 1000;
}

/* Ask everyone to wake us. True: there already is work. */
static bool sleep_prepare(struct worker *worker, uint64_t *timeout)
{
	bool work = false;

	for (unsigned int i = 0; i < worker->queue_count; i++) {
		struct host_queue *queue = worker->queue[i];

		if (!queue_sleeps(worker, queue))
			continue;
		if (queue->kick_fd < 0)
			*timeout = vc_min(*timeout, SLEEP_SHORT_NS);
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

static int events_wait(struct worker *worker, struct epoll_event *events, uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
	                     .tv_nsec = (long)(ns % 1000000000u)};
	int n = epoll_pwait2(worker->epoll, events, SLEEP_EVENTS, ns == SLEEP_FOR_EVER ? NULL : &t,
	                     NULL);

	/* Linux before 5.11. */
	if (n < 0 && errno == ENOSYS)
		n = epoll_wait(worker->epoll, events, SLEEP_EVENTS,
		               ns == SLEEP_FOR_EVER ? -1 : (int)((ns + 999999) / 1000000));
	return n;
}

void worker_sleep(struct worker *worker)
{
	struct epoll_event event[SLEEP_EVENTS];
	uint64_t timeout = worker->unfinished ? SLEEP_COMMAND_NS : SLEEP_FOR_EVER;
	int n;

	if (worker->timed | worker->sched.full) {
		int ms = -1;

		worker->sched.now = 0;
		late_timeout(worker, &ms);
		if (ms >= 0)
			timeout = vc_min(timeout, (uint64_t)ms * 1000000);
	}
	if (!sleep_prepare(worker, &timeout)) {
		if (worker->qos.throttled)
			timeout = vc_min(timeout, sleep_throttled(worker));
		counter_add(&worker->counters.sleeps, 1);
		n = events_wait(worker, event, timeout);
		for (int i = 0; i < n; i++) {
			struct host_queue *queue = event[i].data.ptr;

			if (queue)
				counter_add(&queue->counters.kicks, 1);
		}
		event_clear(worker->mail_fd);
	}
	worker->qos.spin = false;
	worker->qos.disturbed = true;
	sleep_undo(worker);
}
