/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `status` tells of a resource's health. Main thread; workers write while it is read, and each
 * figure is right by itself.
 */
#include "host/status_health.h"

#include "base/util.h"
#include "host/worker.h"

static json_int_t figure(const uint64_t *counter)
{
	return (json_int_t)__atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Of all workers: open is worse than probing, and of several the one that is so for longest is
 * shown. */
struct sum {
	uint32_t state;
	const char *reason;
	uint64_t since;
	int workers; /* of which it is not closed */
	json_int_t failures, timeouts, opened, unanswered;
};

static void add(struct sum *sum, const struct health_report *report)
{
	uint32_t state = atomic_load_explicit(&report->state, memory_order_relaxed);
	const char *reason = atomic_load_explicit(&report->reason, memory_order_relaxed);
	uint64_t since = atomic_load_explicit(&report->since, memory_order_relaxed);
	bool was_closed = sum->state == HEALTH_CLOSED, closed = state == HEALTH_CLOSED;

	sum->failures += figure(&report->failures);
	sum->timeouts += figure(&report->timeouts);
	sum->opened += figure(&report->opened);
	sum->unanswered += figure(&report->unanswered);
	sum->workers += !closed;
	/* Closed, the last change is told; open, the first. */
	if (was_closed && closed ? since <= sum->since
	                         : !was_closed && (closed || since >= sum->since))
		return;
	sum->state = state;
	sum->reason = reason;
	sum->since = since;
}

json_t *health_json(const struct host *host, const struct resource *resource)
{
	struct sum sum = {.state = HEALTH_CLOSED};
	uint64_t now = clock_now_ns();
	json_int_t seconds;

	for (unsigned int i = 0; i < host->worker_count; i++)
		add(&sum, worker_health(host->worker[i], resource));
	seconds = sum.reason && now > sum.since ? (json_int_t)((now - sum.since) / 1000000000) : 0;
	return json_pack("{s:s, s:s?, s:o, s:i, s:I, s:I, s:I, s:I}", "state",
	                 health_state_name(sum.state), "reason", sum.reason, "since_s",
	                 sum.reason ? json_integer(seconds) : json_null(), "workers", sum.workers,
	                 "failures", sum.failures, "timeouts", sum.timeouts, "opened", sum.opened,
	                 "unanswered", sum.unanswered);
}
