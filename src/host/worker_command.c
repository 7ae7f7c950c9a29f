/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the main thread to a worker, and messages of workers to each other.
 *
 * A command goes into the worker's mailbox, under a lock that the data path never takes: the worker
 * looks at one flag each round. The main thread waits for the answer, or is told of it; a command
 * that has to wait for requests in flight is kept and looked at each round, until wait_ms have
 * passed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "host/worker_private.h"

/* A driver that was told to give no more, and has given nothing for so long, has stopped. */
#define STOPPED_NS UINT64_C(100000000)
/* One that has not stopped by then does not heed it. */
#define HEEDED_NS UINT64_C(5000000000)

/* ---- the mailbox ---- */

void worker_post(struct worker *worker, struct message *message)
{
	pthread_mutex_lock(&worker->lock);
	message->next = NULL;
	*worker->last = message;
	worker->last = &message->next;
	/* Sequentially consistent with the worker's last look before it sleeps. */
	atomic_store(&worker->mail, true);
	pthread_mutex_unlock(&worker->lock);
	event_signal(worker->mail_fd);
}

int worker_call(struct worker *worker, struct message *message)
{
	message->waited_for = true;
	worker_post(worker, message);
	pthread_mutex_lock(&worker->lock);
	while (!message->done)
		pthread_cond_wait(&worker->done, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
	return message->result;
}

static struct message *mail_take(struct worker *worker)
{
	struct message *first;

	pthread_mutex_lock(&worker->lock);
	first = worker->first;
	worker->first = NULL;
	worker->last = &worker->first;
	atomic_store(&worker->mail, false);
	pthread_mutex_unlock(&worker->lock);
	return first;
}

/* The message may be gone when this returns. */
static void mail_answer(struct worker *worker, struct message *message, int result)
{
	if (!message->waited_for) {
		if (message->answered)
			message->answered(message->context, result);
		free(message);
		return;
	}
	pthread_mutex_lock(&worker->lock);
	message->result = result;
	message->done = true;
	pthread_cond_broadcast(&worker->done);
	pthread_mutex_unlock(&worker->lock);
}

/* ---- commands, in the worker ---- */

static int queue_add(struct worker *worker, struct host_queue *queue)
{
	if (worker->queue_count == worker->queue_capacity) {
		unsigned int capacity = worker->queue_capacity ? 2 * worker->queue_capacity : 16;
		struct host_queue **more =
			realloc(worker->queue, capacity * sizeof(struct host_queue *));

		if (!more)
			return -ENOMEM;
		worker->queue = more;
		worker->queue_capacity = capacity;
	}
	worker->queue[worker->queue_count++] = queue;
	return 0;
}

static void queue_start(struct worker *worker, struct host_queue *queue)
{
	queue->in_flight = 0;
	queue->waiting = 0;
	queue->paused = queue->device->held ? QUEUE_PAUSED : 0;
	queue->dirty = false;
	queue->refused = queue->penalty = queue->rest = 0;
	queue->share = &queue->device->share[worker->options.index];
	queue->share->group = queue->device->group;
	if (queue_add(worker, queue) < 0) {
		atomic_store(&queue->broken, "no memory");
		return;
	}
	turn_join(worker, queue);
	stateless_join(worker, queue);
	if (queue->paused)
		return;
	sleep_watch_queue(worker, queue);
	vring_notify_off(&queue->ring);
}

static void queue_remove(struct worker *worker, struct host_queue *queue)
{
	stateless_leave(worker, queue);
	for (unsigned int i = 0; i < worker->queue_count; i++) {
		if (worker->queue[i] != queue)
			continue;
		turn_leave(worker, queue);
		memmove(&worker->queue[i], &worker->queue[i + 1],
		        (worker->queue_count - i - 1) * sizeof(struct host_queue *));
		worker->queue_count--;
		return;
	}
}

static void queue_pause(struct worker *worker, struct host_queue *queue)
{
	queue->paused |= QUEUE_PAUSED;
	sleep_unwatch_queue(worker, queue);
}

static void device_each(struct worker *worker, const struct device *device,
                        void (*fn)(struct worker *, struct host_queue *))
{
	for (unsigned int i = 0; i < worker->queue_count; i++)
		if (worker->queue[i]->device == device)
			fn(worker, worker->queue[i]);
}

static void queue_resume(struct worker *worker, struct host_queue *queue)
{
	queue->paused &= (uint8_t)~QUEUE_PAUSED;
	if (atomic_load(&queue->broken))
		return;
	sleep_watch_queue(worker, queue);
	vring_notify_off(&queue->ring);
}

/* The rings lie in the new table as they lay in the old one. Memory that was missed may be there
 * now. */
static void device_remap(struct worker *worker, const struct device *device,
                         const struct memtable *memory)
{
	for (unsigned int i = 0; i < worker->queue_count; i++) {
		struct host_queue *queue = worker->queue[i];

		if (queue->device != device)
			continue;
		vring_remap(&queue->ring, memory, &queue->config);
		queue->paused &= (uint8_t)~QUEUE_MISSES;
		if (atomic_exchange(&queue->miss_over, false))
			vring_miss_give_up(&queue->ring);
	}
}

static bool device_quiet(const struct worker *worker, const struct device *device)
{
	for (unsigned int i = 0; i < worker->queue_count; i++)
		if (worker->queue[i]->device == device && worker->queue[i]->in_flight)
			return false;
	return true;
}

static uint64_t message_wait_ns(const struct worker *worker)
{
	return (uint64_t)worker->options.wait_ms * 1000000;
}

static unsigned int device_count(const struct worker *worker, const struct device *device)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < worker->queue_count; i++)
		if (worker->queue[i]->device == device)
			n += worker->queue[i]->in_flight;
	return n;
}

/*
 * Whether the driver has stopped and the rings are empty; or it has not stopped for too long, or
 * nothing is taken from the rings any more: then it is no use to wait. A queue that is not read has
 * nothing for us. Of a packed ring it is only known whether there is something in it, so that a
 * driver seems to go on until it is empty.
 */
static bool device_empty(struct worker *worker, struct message *message)
{
	uint64_t now = clock_now_ns(), taken = 0, left = 0;
	struct emptying *e = &message->emptying;
	bool any = false;

	for (unsigned int i = 0; i < worker->queue_count; i++) {
		struct host_queue *queue = worker->queue[i];
		int available;

		if (queue->device != message->device || queue->paused ||
		    atomic_load(&queue->broken))
			continue;
		any = true;
		available = vring_available(&queue->ring);
		taken += queue->counters.requests;
		left += available > 0 ? (unsigned int)available : 0;
	}
	if (taken + left != e->given || !e->given_ns)
		e->given_ns = now;
	if (taken != e->taken || !e->taken_ns)
		e->taken_ns = now;
	e->given = taken + left;
	e->taken = taken;
	if (!any || now - e->taken_ns >= message_wait_ns(worker))
		return true;
	if (now - e->given_ns < STOPPED_NS)
		return now >= message->deadline;
	return !left;
}

/*
 * Whether no request points into the memory that goes. Since the table is the new one, no request
 * that is taken from now on does: so each place of the slab is looked at until it is free of such,
 * and then only again if a request moves (command_look_again()).
 */
static bool memory_quiet(const struct worker *worker, struct message *message)
{
	if (!message->gone || device_quiet(worker, message->device))
		return true;
	for (; message->looked < WORKER_PLACES; message->looked++) {
		const struct vc_request *req = &worker->slab[message->looked];

		if (req->queue && req->queue->device == message->device &&
		    (request_points_into(req, message->gone) ||
		     late_points_into(worker, req, message->gone)))
			return false;
	}
	return true;
}

void command_look_again(struct worker *worker)
{
	for (struct message *message = worker->unfinished; message; message = message->next)
		message->looked = 0;
}

/* Is what the command waits for so? */
static bool message_satisfied(struct worker *worker, struct message *message)
{
	switch (message->type) {
	case MESSAGE_QUEUE_STOP:
	case MESSAGE_QUEUE_PAUSE:
		return !message->queue->in_flight;
	case MESSAGE_DEVICE_PAUSE:
		return device_quiet(worker, message->device);
	case MESSAGE_DEVICE_REMAP:
		return memory_quiet(worker, message);
	case MESSAGE_DEVICE_EMPTY:
		return device_empty(worker, message);
	case MESSAGE_RESOURCE_DRAIN:
		return message->cancelled || resource_quiet(worker, message->resource->index);
	default:
		return true;
	}
}

static void message_end(struct worker *worker, struct message *message, int result)
{
	if (message->type == MESSAGE_QUEUE_STOP)
		queue_remove(worker, message->queue);
	if (message->type == MESSAGE_RESOURCE_DRAIN && message->cancelled)
		result = -ECANCELED;
	else if (message->type == MESSAGE_RESOURCE_DRAIN)
		resource_forget(worker, message->resource->index);
	else if (message->type == MESSAGE_RESOURCE_OPEN)
		result = message->result;
	mail_answer(worker, message, result);
}

static void message_give_up(struct worker *worker, struct message *message)
{
	log_error(
		"worker %u: a resource has not brought requests back for %u ms; they are given up",
		worker->options.index, worker->options.wait_ms);
	if (message->type == MESSAGE_QUEUE_STOP || message->type == MESSAGE_QUEUE_PAUSE)
		queue_abandon(worker, message->queue);
	else if (message->type == MESSAGE_DEVICE_PAUSE || message->type == MESSAGE_DEVICE_REMAP)
		device_each(worker, message->device, queue_abandon);
	message_end(worker, message, -ETIMEDOUT);
}

/* Those that take nothing away wait as long as it takes. */
static bool message_is_late(const struct message *message)
{
	return message->type != MESSAGE_DEVICE_EMPTY && message->type != MESSAGE_RESOURCE_DRAIN &&
	       clock_now_ns() >= message->deadline;
}

/* The resource is in use again: nobody waits for it to be quiet. */
static void drain_cancel(struct worker *worker, const struct resource *resource)
{
	for (struct message *message = worker->unfinished; message; message = message->next)
		if (message->type == MESSAGE_RESOURCE_DRAIN && message->resource == resource)
			message->cancelled = true;
}

static void message_begin(struct worker *worker, struct message *message)
{
	switch (message->type) {
	case MESSAGE_QUEUE_START:
		queue_start(worker, message->queue);
		break;
	case MESSAGE_QUEUE_STOP:
	case MESSAGE_QUEUE_PAUSE:
		queue_pause(worker, message->queue);
		break;
	case MESSAGE_QUEUE_FD:
		/* Each round ends with a flush: nothing is about to be signalled (notifier.h). */
		*message->member = message->fd;
		break;
	case MESSAGE_DEVICE_PAUSE:
		device_each(worker, message->device, queue_pause);
		break;
	case MESSAGE_DEVICE_RESUME:
		device_each(worker, message->device, queue_resume);
		break;
	case MESSAGE_DEVICE_REMAP:
		device_remap(worker, message->device, message->memory);
		break;
	case MESSAGE_DEVICE_EMPTY:
		break;
	case MESSAGE_DEVICE_COUNT:
		message->count = device_count(worker, message->device);
		break;
	case MESSAGE_RESOURCE_OPEN:
		message->result = resource_open(worker, message->resource);
		break;
	case MESSAGE_RESOURCE_CLOSE:
		resource_close(worker, message->resource->index);
		break;
	case MESSAGE_RESOURCE_DRAIN:
		break;
	case MESSAGE_RESOURCE_RESUME:
		drain_cancel(worker, message->resource);
		break;
	case MESSAGE_GROUP:
		group_replace(worker, message->was, message->group);
		break;
	case MESSAGE_DEVICE_LIMIT:
		turn_limit(worker, message->device);
		break;
	case MESSAGE_SESSION_LEAVE:
		views_close(worker, message->session);
		break;
	case MESSAGE_STOP:
		worker->stopping = true;
		break;
	}
	message->deadline =
		clock_now_ns() +
		(message->type == MESSAGE_DEVICE_EMPTY ? HEEDED_NS : message_wait_ns(worker));
}

/* New commands, and those that wait. */
void messages_handle(struct worker *worker)
{
	struct message *message, *next, **link;

	worker->qos.disturbed = true;
	if (atomic_load_explicit(&worker->mail, memory_order_relaxed)) {
		for (message = mail_take(worker); message; message = next) {
			next = message->next;
			message_begin(worker, message);
			message->next = worker->unfinished;
			worker->unfinished = message;
		}
	}
	for (link = &worker->unfinished; (message = *link);) {
		bool satisfied = message_satisfied(worker, message);

		if (!satisfied && !message_is_late(message)) {
			link = &message->next;
			continue;
		}
		*link = message->next;
		if (satisfied)
			message_end(worker, message, 0);
		else
			message_give_up(worker, message);
	}
}
