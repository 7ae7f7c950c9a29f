/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests whose resource does not answer, and those that wait for one that takes nothing. The
 * worker's thread.
 *
 * Where a group has a deadline, what goes to a resource that may hang (resource.h) works on private
 * copies (request_copy.h). When the deadline passes, a spare place of the slab takes the request
 * over and goes to the next candidate, or is answered with an error. The first one is held, with
 * its copies and its view of the session, until the resource brings it back: then all of that is
 * free again, and nothing else is touched. So a late answer reaches no ring and no guest memory,
 * a request has one answer, and memory of the guest can go whatever the resource does.
 *
 * Held requests cannot use the worker up: resources that may hang have no more requests with copies
 * among them than there are spare places (late_most is each one's share), and buffers of their own
 * each. Who holds half of its share is avoided (health.h).
 *
 * All requests of a group have the same time, so its list is in order of deadlines. When that time
 * is changed, those that have begun before are still looked at first.
 */
#include <errno.h>
#include <stdlib.h>

#include "host/request_copy.h"
#include "host/worker_private.h"

#define MS UINT64_C(1000000)
/* How long a resource may take nothing, where the group has no deadline. */
#define FULL_MS 100u
/* The deadline of what has begun when the group had one, which it has not any more. */
#define LAST_MS 10000u

static unsigned int index_of(const struct worker *worker, const struct vc_request *req)
{
	return (unsigned int)(req - worker->slab);
}

static struct late *late_of(struct worker *worker, const struct vc_request *req)
{
	return &worker->late[index_of(worker, req)];
}

/* ---- the lists ---- */

static void list_add(struct worker *worker, struct late_list *list, unsigned int index)
{
	struct late *late = &worker->late[index];

	late->next = LATE_NONE;
	late->prev = list->last;
	if (list->last == LATE_NONE)
		list->first = (uint16_t)index;
	else
		worker->late[list->last].next = (uint16_t)index;
	list->last = (uint16_t)index;
	late->group = (uint8_t)(list - worker->late_list);
	late->timed = true;
	worker->timed |= UINT64_C(1) << late->group;
}

static void list_remove(struct worker *worker, struct late *late)
{
	struct late_list *list = &worker->late_list[late->group];

	if (late->prev == LATE_NONE)
		list->first = late->next;
	else
		worker->late[late->prev].next = late->next;
	if (late->next == LATE_NONE)
		list->last = late->prev;
	else
		worker->late[late->next].prev = late->prev;
	late->timed = false;
	if (list->first == LATE_NONE)
		worker->timed &= ~(UINT64_C(1) << late->group);
}

/* ---- there and back ---- */

unsigned int late_prepare(struct worker *worker, unsigned int resource,
                          struct vc_request *const *reqs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct late *late = late_of(worker, reqs[i]);

		if (!reqs[i]->queue->share->group->deadline_ms || late->copy)
			continue;
		/* Who was here before another came may have more than its share now. */
		if (worker->copies[resource] < worker->late_most &&
		    worker->copies_all < WORKER_SPARE)
			late->copy = request_copy_make(reqs[i], worker->copy_pool[resource]);
		if (!late->copy)
			return i;
		worker->copies[resource]++;
		worker->copies_all++;
	}
	return n;
}

void late_start(struct worker *worker, struct vc_request *const *reqs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct group *group = reqs[i]->queue->share->group;
		struct late *late = late_of(worker, reqs[i]);
		unsigned int ms = group->deadline_ms;

		if (!late->copy)
			continue;
		/* The group had one when the copy was made. */
		late->deadline = sched_now(&worker->sched) + (ms ? ms : LAST_MS) * MS;
		list_add(worker, &worker->late_list[group->index], index_of(worker, reqs[i]));
	}
}

static void copy_free(struct worker *worker, struct late *late, unsigned int resource)
{
	bounce_put(worker->copy_pool[resource], late->copy);
	late->copy = NULL;
	worker->copies[resource]--;
	worker->copies_all--;
}

void late_drop(struct worker *worker, struct vc_request *req)
{
	struct late *late = late_of(worker, req);

	if (!late->copy)
		return;
	request_copy_end(req, late->copy);
	copy_free(worker, late, req->resource);
}

/* Nobody waits for it any more. */
static void forget(struct worker *worker, struct vc_request *req, struct late *late)
{
	copy_free(worker, late, req->resource);
	late->held = false;
	sched_unanswered(&worker->sched, req->resource, -1);
	req->local->held--;
	view_put(worker, req->local);
	worker->spare[worker->spare_count++] = req;
}

bool late_back(struct worker *worker, struct vc_request *req)
{
	struct late *late = late_of(worker, req);

	if (late->held) {
		forget(worker, req, late);
		return false;
	}
	if (late->timed) {
		list_remove(worker, late);
		request_copy_result(req, late->copy);
		late_drop(worker, req);
	}
	return true;
}

bool late_points_into(const struct worker *worker, const struct vc_request *req,
                      const struct memtable *memory)
{
	const struct late *late = &worker->late[index_of(worker, req)];

	return late->copy && request_copy_points_into(req, late->copy, memory);
}

/* ---- too late ---- */

/* Its copies are all that the resource may touch from now on. */
static void hold(struct worker *worker, struct vc_request *req)
{
	struct late *late = late_of(worker, req);

	list_remove(worker, late);
	late->held = true;
	req->local->held++;
	sched_unanswered(&worker->sched, req->resource, 1);
}

bool late_abandon(struct worker *worker, struct vc_request *req)
{
	if (!late_of(worker, req)->timed)
		return false;
	hold(worker, req);
	/* For each that is held there is one spare place fewer, whoever has it. */
	worker->free[worker->free_count++] = worker->spare[--worker->spare_count];
	req->queue = NULL;
	if (req->bounce)
		bounce_put(worker->bounces, req->bounce);
	req->bounce = NULL;
	return true;
}

static void expire(struct worker *worker, struct vc_request *req)
{
	/* There is one: for each that is held, one fewer. */
	struct vc_request *renewed = worker->spare[--worker->spare_count];

	request_copy_renew(renewed, req, late_of(worker, req)->copy);
	command_look_again(worker);
	renewed->local->in_flight++;
	hold(worker, req);
	sched_failed(&worker->sched, req->resource, HEALTH_TIMEOUT);
	request_go_on(worker, renewed);
}

void late_check(struct worker *worker)
{
	uint64_t now = sched_now(&worker->sched);

	for (uint64_t left = worker->timed; left; left &= left - 1) {
		const struct late_list *list = &worker->late_list[__builtin_ctzll(left)];

		while (list->first != LATE_NONE && worker->late[list->first].deadline <= now)
			expire(worker, &worker->slab[list->first]);
	}
}

/* ---- taken by nobody ---- */

static uint64_t full_limit(const struct vc_request *req)
{
	unsigned int ms = req->queue->share->group->deadline_ms;

	return (ms ? ms : FULL_MS) * MS;
}

static bool leave_stuck(struct worker *worker, struct vc_request *req, void *context)
{
	unsigned int r = req->resource;
	bool *some = context;
	int next;

	if (sched_now(&worker->sched) - worker->full_since[r] < full_limit(req))
		return false;
	next = sched_pick(&worker->sched, req->queue->share->group, req, req->tried | 1u << r);
	/* Who always answers in the end is waited for, if there is nobody else. */
	if (next < 0 && !(worker->may_hang >> r & 1 && req->queue->share->group->deadline_ms))
		return false;
	*some = true;
	waiting_out(worker, req);
	req->tried |= (uint16_t)(1u << r);
	if (next >= 0) {
		request_wait(worker, (unsigned int)next, req);
		worker->again = true;
	} else {
		req->status = VIRTIO_CRYPTO_ERR;
		request_done(worker, req);
	}
	return true;
}

void late_full(struct worker *worker, unsigned int resource, bool progress)
{
	const struct waiting_list *list = worker->waiting[resource];
	uint64_t now = sched_now(&worker->sched);
	bool some = false;

	if (progress || !(worker->was_full >> resource & 1)) {
		worker->full_since[resource] = now;
		return;
	}
	if (now - worker->full_since[resource] < full_limit(list->entry[list->head % WORKER_SLAB]))
		return;
	waiting_sift(worker, resource, leave_stuck, &some);
	worker->full_since[resource] = now;
	if (some)
		sched_failed(&worker->sched, resource, HEALTH_FULL);
}

/* ---- sleep ---- */

/* Milliseconds from now until then, and not less. */
static void sooner(struct worker *worker, uint64_t then, int *timeout)
{
	uint64_t now = sched_now(&worker->sched);
	int ms = then <= now ? 0 : (int)((then - now + MS - 1) / MS);

	if (*timeout < 0 || ms < *timeout)
		*timeout = ms;
}

void late_timeout(struct worker *worker, int *timeout)
{
	for (uint64_t left = worker->timed; left; left &= left - 1) {
		unsigned int first = worker->late_list[__builtin_ctzll(left)].first;

		sooner(worker, worker->late[first].deadline, timeout);
	}
	for (uint64_t left = worker->sched.full; left; left &= left - 1) {
		unsigned int r = (unsigned int)__builtin_ctzll(left);
		const struct waiting_list *list = worker->waiting[r];

		if (list->head != list->tail)
			sooner(worker,
			       worker->full_since[r] +
			               full_limit(list->entry[list->head % WORKER_SLAB]),
			       timeout);
	}
}

/* ---- begin and end ---- */

/* Of the spare places, to those that may hang. */
static void shares_deal(struct worker *worker)
{
	unsigned int resources = (unsigned int)__builtin_popcount(worker->may_hang);

	worker->late_most = WORKER_SPARE / vc_max(resources, 1u);
	for (unsigned int left = worker->may_hang; left; left &= left - 1)
		worker->sched.health[__builtin_ctz(left)].most_late = worker->late_most / 2;
}

int late_open(struct worker *worker, unsigned int resource)
{
	uint32_t max_size = worker->options.max_size;

	health_init(&worker->sched.health[resource],
	            &worker->instance[resource]->resource->circuit);
	if (!worker->instance[resource]->resource->may_hang)
		return 0;
	worker->copy_pool[resource] =
		bounce_pool_new(max_size, vc_max(WORKER_BOUNCE_MIN, 4 * (size_t)max_size));
	if (!worker->copy_pool[resource])
		return -ENOMEM;
	worker->may_hang |= (uint16_t)(1u << resource);
	shares_deal(worker);
	return 0;
}

void late_close(struct worker *worker, unsigned int resource)
{
	bounce_pool_free(worker->copy_pool[resource]);
	worker->copy_pool[resource] = NULL;
	worker->may_hang &= (uint16_t) ~(1u << resource);
	worker->was_full &= (uint16_t) ~(1u << resource);
	sched_gone(&worker->sched, resource);
	shares_deal(worker);
}

int late_new(struct worker *worker)
{
	worker->late = calloc(WORKER_PLACES, sizeof(*worker->late));
	worker->spare = calloc(WORKER_SPARE, sizeof(struct vc_request *));
	if (!worker->late || !worker->spare)
		return -ENOMEM;
	while (worker->spare_count < WORKER_SPARE) {
		worker->spare[worker->spare_count] =
			&worker->slab[WORKER_PLACES - 1 - worker->spare_count];
		worker->spare_count++;
	}
	for (unsigned int g = 0; g < HOST_MAX_GROUPS; g++)
		worker->late_list[g] = (struct late_list){LATE_NONE, LATE_NONE};
	return 0;
}

void late_free(struct worker *worker)
{
	free(worker->late);
	free(worker->spare);
}
