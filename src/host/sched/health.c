/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The circuit of a resource; see health.h. The worker's thread.
 */
#include "host/sched/health.h"

#define MS UINT64_C(1000000)

void health_init(struct health *health, const struct circuit_options *options)
{
	*health = (struct health){.options = *options, .most_late = UINT32_MAX};
}

const char *health_state_name(uint32_t state)
{
	switch (state) {
	case HEALTH_CLOSED:
		return "closed";
	case HEALTH_PROBING:
		return "probing";
	default:
		return "open";
	}
}

static void change(struct health *health, enum health_state state, const char *reason, uint64_t now)
{
	struct health_report *report = &health->report;

	health->state = state;
	/* Being due, or tried, says nothing new of why it is open, and since when. */
	if (reason) {
		atomic_store_explicit(&report->reason, reason, memory_order_relaxed);
		atomic_store_explicit(&report->since, now, memory_order_relaxed);
	}
	atomic_store_explicit(&report->state, state, memory_order_relaxed);
}

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static bool open_circuit(struct health *health, const char *reason, uint64_t now)
{
	health->backoff_ms = health->options.backoff_ms;
	health->due = now + health->backoff_ms * MS;
	count(&health->report.opened, 1);
	change(health, HEALTH_OPEN, reason, now);
	return true;
}

/* What was tried has failed as well. */
static bool open_longer(struct health *health, uint64_t now)
{
	uint64_t next = 2 * (uint64_t)health->backoff_ms;

	health->backoff_ms = (unsigned int)vc_min(next, health->options.backoff_max_ms);
	health->due = now + health->backoff_ms * MS;
	change(health, HEALTH_OPEN, NULL, now);
	return true;
}

bool health_failed(struct health *health, enum health_failure how, uint64_t now)
{
	static const char *const reasons[] = {"failures", "time-outs", "it takes no requests"};

	count(how == HEALTH_FAILED ? &health->report.failures : &health->report.timeouts, 1);
	if (!health->options.failures)
		return false;
	health->in_row++;
	switch (health->state) {
	case HEALTH_CLOSED:
		if (health->in_row < health->options.failures && how != HEALTH_FULL)
			return false;
		return open_circuit(health, reasons[how], now);
	case HEALTH_PROBING:
		return open_longer(health, now);
	default:
		return false;
	}
}

bool health_done(struct health *health, uint64_t now)
{
	health->in_row = 0;
	/* While it is open only what was in flight before, or nothing else can do, comes back. */
	if (health->state != HEALTH_PROBING)
		return false;
	change(health, HEALTH_CLOSED, "it works again", now);
	return true;
}

bool health_wait(struct health *health, uint64_t now)
{
	if (now < health->due || health->report.unanswered > health->most_late / 2)
		return false;
	/* What was tried may have been given up with its queue: another one, then. */
	if (health->state != HEALTH_OPEN && health->state != HEALTH_PROBING)
		return false;
	change(health, HEALTH_DUE, NULL, now);
	return true;
}

bool health_probe(struct health *health, uint64_t now)
{
	if (health->state != HEALTH_DUE)
		return false;
	health->due = now + health->backoff_ms * MS;
	change(health, HEALTH_PROBING, NULL, now);
	return true;
}

bool health_unanswered(struct health *health, int n, uint64_t now)
{
	count(&health->report.unanswered, (uint64_t)(int64_t)n);
	if (health->report.unanswered < health->most_late || health->state != HEALTH_CLOSED)
		return false;
	return open_circuit(health, "too many requests without an answer", now);
}
