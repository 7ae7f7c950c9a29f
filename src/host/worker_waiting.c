/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for a resource, when they cannot go on there: it is full, or their queue is
 * given up. Rare; the worker's thread.
 */
#include "host/worker_private.h"

void waiting_sift(struct worker *worker, unsigned int resource, waiting_leave_fn *leave,
                  void *context)
{
	struct waiting_list *list = worker->waiting[resource];
	uint32_t kept = list->head;

	for (uint32_t i = list->head; i != list->tail; i++) {
		struct vc_request *req = list->entry[i % WORKER_SLAB];

		if (!leave(worker, req, context))
			list->entry[kept++ % WORKER_SLAB] = req;
	}
	list->tail = kept;
}

/* To another resource of the same rank, if the group's policy spreads. */
static bool spread(struct worker *worker, struct vc_request *req, void *context)
{
	int next = sched_elsewhere(&worker->sched, req->queue->share->group, req);

	if (next < 0)
		return false;
	waiting_out(worker, req);
	request_wait(worker, (unsigned int)next, req);
	worker->again = true;
	return true;
}

void waiting_full(struct worker *worker, unsigned int resource, bool progress)
{
	const struct waiting_list *list = worker->waiting[resource];

	worker->sched.full |= (uint16_t)(1u << resource);
	if (worker->sched.spreads)
		waiting_sift(worker, resource, spread, NULL);
	if (list->head != list->tail)
		late_full(worker, resource, progress);
}
