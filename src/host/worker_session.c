/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's views of sessions, and how a session ends.
 *
 * A worker makes its view with the first request of a session that it sees: realisations in its
 * resource instances, and a count of requests in flight. A view is touched by its worker only.
 *
 * The end of a session. First it is taken out of its table (session_remove), so that no lookup
 * finds it. A worker may have looked it up just before and still use it in this round; so it is
 * only gone for a worker when that worker, between two rounds, has read a message about it, and
 * nothing of it is in flight there any more. Then the worker drops its realisations and its view.
 * Nobody waits for that, neither a worker (destroyed on a control queue, or in band) nor the main
 * thread (destroyed by message, or with its device): what is in flight may be slow, and others wait
 * for them. Who ends sessions sets session->views of each to the number of workers and sends each
 * worker (a worker at the end of its round: each of the others) one MESSAGE_SESSION_LEAVE for all
 * of them; each one that lets go counts down, and the last one releases the session (keys wiped).
 */
#include <stdlib.h>

#include "base/log.h"
#include "host/stateless.h"
#include "host/worker_private.h"

/* Keys of stateless requests that a worker keeps of each device. */
#define STATELESS_KEPT 256

struct session_local *view_get(struct worker *worker, struct session *session)
{
	unsigned int w = worker->options.index;
	/* Relaxed: only this thread writes it. */
	struct session_local *local =
		atomic_load_explicit(&session->local[w], memory_order_relaxed);
	struct view *view;

	if (vc_likely(local))
		return local;
	view = calloc(1, sizeof(*view));
	if (!view)
		return NULL;
	view->session = session;
	view->next = worker->views;
	view->link = &worker->views;
	if (view->next)
		view->next->link = &view->next;
	worker->views = view;
	atomic_store_explicit(&session->local[w], &view->local, memory_order_relaxed);
	return &view->local;
}

/* Counts down. Acquire and release: whoever comes last sees what all others did to the session. */
static void session_leave(struct session *session)
{
	if (atomic_fetch_sub_explicit(&session->views, 1, memory_order_acq_rel) == 1)
		session_release(session);
}

static void view_free(struct worker *worker, struct view *view)
{
	struct session *session = view->session;
	bool closing = view->local.closing;

	for (unsigned int r = 0; r < HOST_MAX_RESOURCES; r++) {
		struct resource_instance *instance = worker->instance[r];

		if (view->local.handle[r])
			instance->resource->ops->drop(instance, view->local.handle[r]);
	}
	/* Relaxed: session_leave() is what others learn of it by. */
	atomic_store_explicit(&session->local[worker->options.index], NULL, memory_order_relaxed);
	*view->link = view->next;
	if (view->next)
		view->next->link = view->link;
	free(view);
	if (closing)
		session_leave(session);
}

void view_put(struct worker *worker, struct session_local *local)
{
	if (--local->in_flight == 0 && vc_unlikely(local->closing))
		view_free(worker, (struct view *)local);
}

static void view_close(struct worker *worker, struct session *session)
{
	struct view *view = (struct view *)atomic_load_explicit(
		&session->local[worker->options.index], memory_order_relaxed);

	if (!view) {
		session_leave(session);
		return;
	}
	view->local.closing = true;
	if (!view->local.in_flight)
		view_free(worker, view);
}

void views_free(struct worker *worker)
{
	while (worker->views)
		view_free(worker, worker->views);
}

void views_forget(struct worker *worker, unsigned int resource)
{
	struct resource_instance *instance = worker->instance[resource];
	uint16_t others = (uint16_t) ~(1u << resource);

	for (struct view *view = worker->views; view; view = view->next) {
		struct session_local *local = &view->local;

		if (local->handle[resource])
			instance->resource->ops->drop(instance, local->handle[resource]);
		local->handle[resource] = NULL;
		local->capable &= others;
		local->refused &= others;
	}
}

void session_destroyed(struct worker *worker, struct session *session)
{
	session->ended_next = worker->ended;
	worker->ended = session;
}

void views_close(struct worker *worker, struct session *first)
{
	struct session *next;

	for (struct session *s = first; s; s = next) {
		/* Read first: it may be released here. What follows it waits for us, too. */
		next = s->ended_next;
		view_close(worker, s);
	}
}

static void leave_post(struct worker *to, struct session *first)
{
	struct message *message = calloc(1, sizeof(*message));

	if (!message) {
		/* Their counts stay above 0: a leak, but not a use after free. */
		log_error("no memory to end sessions: their keys stay until the end");
		return;
	}
	message->type = MESSAGE_SESSION_LEAVE;
	message->session = first;
	worker_post(to, message);
}

/* All workers but one, which is told otherwise. */
static void leave_all(struct session *first, const struct worker *but)
{
	struct worker *const *workers;
	unsigned int n = workers_lock(&workers);

	/* Relaxed: the mailboxes' locks carry it, and the list, to the others. */
	for (struct session *s = first; s; s = s->ended_next)
		atomic_store_explicit(&s->views, n, memory_order_relaxed);
	for (unsigned int i = 0; i < n; i++)
		if (workers[i] != but)
			leave_post(workers[i], first);
	workers_unlock();
}

void sessions_end(struct worker *worker)
{
	struct session *first = worker->ended;

	worker->ended = NULL;
	leave_all(first, worker);
	views_close(worker, first);
}

void worker_sessions_leave(struct session *first)
{
	if (first)
		leave_all(first, NULL);
}

/* ---- sessions that come with the request ---- */

/* It is in no table, and no other worker knows it: the last request takes it along. */
static void stateless_drop(void *context, struct session *session)
{
	atomic_store_explicit(&session->views, 1, memory_order_relaxed);
	view_close(context, session);
}

static struct host_queue *stateless_sibling(const struct worker *worker,
                                            const struct host_queue *queue)
{
	for (unsigned int i = 0; i < worker->queue_count; i++) {
		struct host_queue *other = worker->queue[i];

		if (other != queue && other->device == queue->device && other->stateless)
			return other;
	}
	return NULL;
}

/* The group may change under it. */
static bool share_can(void *context, const struct session_params *params)
{
	const struct device_share *share = context;

	return group_can((void *)(uintptr_t)share->group, params);
}

void stateless_join(struct worker *worker, struct host_queue *queue)
{
	const struct stateless_options options = {
		.capacity = STATELESS_KEPT,
		.worker = worker->options.index,
		.can = share_can,
		.can_context = queue->share,
		.drop = stateless_drop,
		.drop_context = worker,
		.counters = &queue->device->share[worker->options.index].stateless,
	};
	struct host_queue *sibling;

	queue->stateless = NULL;
	if (queue->control || !(queue->crypto_features & VIRTIO_CRYPTO_FEATURES_STATELESS))
		return;
	sibling = stateless_sibling(worker, queue);
	queue->stateless = sibling ? sibling->stateless : stateless_new(&options);
	if (!queue->stateless)
		log_error("device %s: no memory for stateless requests: they fail",
		          queue->device->name);
}

void stateless_leave(struct worker *worker, struct host_queue *queue)
{
	if (!stateless_sibling(worker, queue))
		stateless_free(queue->stateless);
	queue->stateless = NULL;
}
