/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's instances of resources, which come and go, and the groups that name them. The worker's
 * thread, between two rounds.
 *
 * A resource goes in steps: first no group has it any more, so that nothing new is sent there; then
 * what is in flight comes back, and what sessions have there is dropped; then it is closed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/worker_private.h"

int resource_open(struct worker *worker, struct resource *resource)
{
	unsigned int r = resource->index;
	int err = resource->ops->open(resource, worker->options.index, &worker->instance[r]);

	if (err < 0)
		return err;
	worker->resource[worker->resource_count++] = (uint8_t)r;
	worker->waiting[r] = calloc(1, sizeof(*worker->waiting[r]));
	err = worker->waiting[r] ? late_open(worker, r) : -ENOMEM;
	if (!err)
		err = sleep_watch_resource(worker, r);
	if (err)
		resource_close(worker, r);
	else
		sched_changed(&worker->sched);
	return err;
}

void resource_close(struct worker *worker, unsigned int resource)
{
	unsigned int i = 0;

	sleep_unwatch_resource(worker, resource);
	worker->instance[resource]->resource->ops->close(worker->instance[resource]);
	worker->instance[resource] = NULL;
	late_close(worker, resource);
	free(worker->waiting[resource]);
	worker->waiting[resource] = NULL;
	while (worker->resource[i] != resource)
		i++;
	memmove(&worker->resource[i], &worker->resource[i + 1], --worker->resource_count - i);
}

bool resource_quiet(const struct worker *worker, unsigned int resource)
{
	const struct waiting_list *list = worker->waiting[resource];

	return list->head == list->tail && !worker->instance[resource]->in_flight;
}

void resource_forget(struct worker *worker, unsigned int resource)
{
	views_forget(worker, resource);
	/* No choice that was made may lead there. */
	sched_changed(&worker->sched);
}

void group_replace(struct worker *worker, const struct group *was, const struct group *group)
{
	for (unsigned int i = 0; i < worker->queue_count; i++) {
		struct device_share *share = worker->queue[i]->share;

		if (share->group == was)
			share->group = group;
	}
	sched_changed(&worker->sched);
}
