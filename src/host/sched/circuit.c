/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the health of resources means for the scheduler: whom it avoids, and whom it tries. The
 * worker's thread; each change of a circuit is one line in the log, a limited number of them.
 */
#include "base/util.h"
#include "host/sched/sched.h"

static void mask(uint16_t *bits, unsigned int resource, bool on)
{
	*bits = (uint16_t)((*bits & ~(1u << resource)) | (unsigned int)on << resource);
}

static void say(struct sched *sched, unsigned int resource)
{
	struct health *health = &sched->health[resource];
	const char *name = sched->instance[resource]->resource->name;
	const char *reason = atomic_load_explicit(&health->report.reason, memory_order_relaxed);

	if (health->state == HEALTH_CLOSED)
		log_limited(&health->log, LOG_LEVEL_NOTICE, "worker %u: resource %s: %s",
		            sched->worker, name, reason);
	else
		log_limited(&health->log, LOG_LEVEL_WARNING,
		            "worker %u: resource %s is avoided: %s", sched->worker, name, reason);
}

static void look(struct sched *sched, unsigned int resource, bool changed)
{
	const struct health *health = &sched->health[resource];

	mask(&sched->trouble, resource, health->in_row || health->state != HEALTH_CLOSED);
	if (!changed)
		return;
	mask(&sched->avoid, resource, !health_good(health));
	mask(&sched->due, resource, health->state == HEALTH_DUE);
	sched_changed(sched);
}

void sched_gone(struct sched *sched, unsigned int resource)
{
	mask(&sched->avoid, resource, false);
	mask(&sched->full, resource, false);
	mask(&sched->due, resource, false);
	mask(&sched->trouble, resource, false);
	sched_changed(sched);
}

void sched_failed(struct sched *sched, unsigned int resource, enum health_failure how)
{
	struct health *health = &sched->health[resource];
	bool was_closed = health->state == HEALTH_CLOSED;
	bool changed = health_failed(health, how, sched_now(sched));

	look(sched, resource, changed);
	if (changed && was_closed)
		say(sched, resource);
}

void sched_done(struct sched *sched, unsigned int resource)
{
	bool changed = health_done(&sched->health[resource], sched_now(sched));

	look(sched, resource, changed);
	if (changed)
		say(sched, resource);
}

void sched_unanswered(struct sched *sched, unsigned int resource, int change)
{
	bool changed = health_unanswered(&sched->health[resource], change, sched_now(sched));

	look(sched, resource, changed);
	if (changed)
		say(sched, resource);
}

void sched_wait(struct sched *sched)
{
	for (unsigned int left = sched->trouble; left; left &= left - 1) {
		unsigned int r = (unsigned int)__builtin_ctz(left);

		look(sched, r, health_wait(&sched->health[r], sched_now(sched)));
	}
}

void sched_probe(struct sched *sched, unsigned int resource)
{
	look(sched, resource, health_probe(&sched->health[resource], sched_now(sched)));
}
