/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is in a worker: see qos.h. The worker's thread; constant work for each turn, but
 * for what is done once in a period.
 */
#include "host/qos.h"

#include <string.h>

/* More than any turn takes. */
#define WITHOUT_LIMIT (INT64_MAX / 2)

static int64_t ticks(const struct qos *qos, uint64_t ns)
{
	return (int64_t)(ns * qos->ticks_per_us / 1000);
}

static uint64_t per_second(const struct qos *qos)
{
	return qos->ticks_per_us * 1000000u;
}

static void count(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

void qos_init(struct qos *qos, uint64_t ticks_per_us)
{
	memset(qos, 0, sizeof(*qos));
	qos->ticks_per_us = ticks_per_us;
	qos->last = &qos->first;
	qos->unit = ticks(qos, QOS_QUANTUM_NS);
	cost_init(&qos->cost, ticks_per_us);
}

/* ---- limits ---- */

struct qos_limits qos_limits_share(const struct qos_limits *limits, unsigned int workers)
{
	/* Something for each, so that no queue stands still. */
	return (struct qos_limits){
		.ops = limits->ops ? vc_max(limits->ops / workers, 1u) : 0,
		.bytes = limits->bytes ? vc_max(limits->bytes / workers, 1u) : 0,
		.ops_burst = limits->ops_burst ? vc_max(limits->ops_burst / workers, 1u) : 0,
		.bytes_burst = limits->bytes_burst ? vc_max(limits->bytes_burst / workers, 1u) : 0,
		.weight = limits->weight,
	};
}

static void throttle_end(struct qos *qos, struct qos_flow *flow, uint64_t now)
{
	struct qos_counters *c = &flow->counters;

	if (!flow->throttled)
		return;
	flow->throttled = false;
	qos->throttled--;
	if (now > c->since)
		count(&c->throttled, c->throttled + (now - c->since));
	count(&c->since, 0);
}

static void throttle_begin(struct qos *qos, struct qos_flow *flow)
{
	uint64_t ops = bucket_wait(&flow->ops, per_second(qos));
	uint64_t bytes = bucket_wait(&flow->bytes, per_second(qos));

	flow->throttled = true;
	flow->resume = qos->now + vc_max(ops, bytes);
	qos->throttled++;
	count(&flow->counters.throttles, flow->counters.throttles + 1);
	count(&flow->counters.since, vc_max(qos->now, 1u));
}

void qos_flow_limit(struct qos *qos, struct qos_flow *flow, const struct qos_limits *limits,
                    uint64_t now)
{
	bool limited = limits->ops || limits->bytes;

	throttle_end(qos, flow, now);
	qos->weighted -= flow->weight > 1;
	flow->weight = limits->weight ? limits->weight : 1;
	qos->weighted += flow->weight > 1;
	bucket_set(&flow->ops, limits->ops, limits->ops_burst, now);
	bucket_set(&flow->bytes, limits->bytes, limits->bytes_burst, now);
	qos->limited += limited;
	qos->limited -= flow->limited;
	flow->limited = limited;
	qos->watch = qos->metered || qos->limited;
	/* Shares are worked out again soon. */
	qos->period_end = now;
}

/* What the turn has left over goes back. */
static void limits_end(struct qos *qos, struct qos_flow *flow, const struct qos_turn *turn)
{
	if (flow->ops.rate)
		flow->ops.tokens = turn->ops;
	if (flow->bytes.rate)
		flow->bytes.tokens = turn->bytes;
	if (turn->ops <= 0 || turn->bytes <= 0)
		throttle_begin(qos, flow);
}

/* False: there are no tokens. */
static bool limits_begin(struct qos *qos, struct qos_flow *flow, struct qos_turn *turn)
{
	/* A clock that was set back must not throttle for ever. */
	if (flow->throttled && qos->now < flow->resume && qos->now >= flow->counters.since)
		return false;
	bucket_fill(&flow->ops, qos->now, per_second(qos));
	bucket_fill(&flow->bytes, qos->now, per_second(qos));
	throttle_end(qos, flow, qos->now);
	if (flow->ops.rate)
		turn->ops = flow->ops.tokens;
	if (flow->bytes.rate)
		turn->bytes = flow->bytes.tokens;
	if (turn->ops > 0 && turn->bytes > 0)
		return true;
	throttle_begin(qos, flow);
	return false;
}

/* ---- the list ---- */

static void list_add(struct qos *qos, struct qos_flow *flow)
{
	flow->next = NULL;
	*qos->last = flow;
	qos->last = &flow->next;
}

/* The first one. */
static struct qos_flow *list_take(struct qos *qos)
{
	struct qos_flow *flow = qos->first;

	qos->first = flow->next;
	if (!qos->first)
		qos->last = &qos->first;
	return flow;
}

static void list_remove(struct qos *qos, struct qos_flow *flow)
{
	struct qos_flow **at = &qos->first;

	while (*at != flow)
		at = &(*at)->next;
	*at = flow->next;
	if (!flow->next)
		qos->last = at;
	flow->backlogged = false;
	qos->backlogged--;
}

void qos_wait(struct qos *qos, struct qos_flow *flow)
{
	flow->backlogged = true;
	qos->backlogged++;
	list_add(qos, flow);
}

/* One that has nothing more, or may not. It is the first one or not in the list. */
static void list_leave(struct qos *qos, struct qos_flow *flow)
{
	if (flow->backlogged)
		list_remove(qos, flow);
}

/* The most that a flow may have. */
static int64_t credit_most(const struct qos *qos, const struct qos_flow *flow)
{
	return vc_max(qos->unit * flow->weight, ticks(qos, QOS_QUANTUM_NS));
}

/* What is due to the flow since it was credited last. */
static void credit(const struct qos *qos, struct qos_flow *flow)
{
	uint64_t due = qos->credit - flow->credited;
	int64_t most = credit_most(qos, flow);

	if (!due)
		return;
	flow->credited = qos->credit;
	/* Also of one whose weight has become less. */
	if (flow->deficit >= most || (uint64_t)(most - flow->deficit) / flow->weight < due)
		flow->deficit = most;
	else
		flow->deficit += (int64_t)(due * flow->weight);
}

/* When all that wait owe something, for long requests: as many cycles at once as the first of them
 * needs to be out of debt. */
static void cycles_skip(struct qos *qos)
{
	uint64_t least = UINT64_MAX;

	for (struct qos_flow *flow = qos->first; flow; flow = flow->next) {
		credit(qos, flow);
		if (flow->deficit > 0)
			return;
		least = vc_min(least, (uint64_t)-flow->deficit / flow->weight);
	}
	qos->credit += (least / (uint64_t)qos->unit + 1) * (uint64_t)qos->unit;
}

struct qos_flow *qos_next(struct qos *qos)
{
	unsigned int looked = 0;

	while (qos->first && !qos->full) {
		struct qos_flow *flow = qos->first;

		credit(qos, flow);
		if (flow->deficit > 0)
			return flow;
		if (++looked > qos->backlogged) {
			cycles_skip(qos);
			looked = 0;
			continue;
		}
		list_add(qos, list_take(qos));
		/* The next one has had its quantum: everybody has. */
		if (qos->first->credited == qos->credit && qos->first->deficit <= 0)
			qos->credit += (uint64_t)qos->unit;
	}
	return NULL;
}

/* ---- turns ---- */

void qos_scarce(struct qos *qos)
{
	if (qos->metered)
		qos->scarce_until = qos->now + (uint64_t)ticks(qos, QOS_LIGHT_NS);
}

/* By weight, as quanta are; and not cut, as what it has taken will keep it from going on. */
static void scarce_turn(const struct qos *qos, const struct qos_flow *flow, struct qos_turn *turn)
{
	turn->scarce = QOS_SCARCE_BYTES * qos->unit * flow->weight / ticks(qos, QOS_QUANTUM_NS) + 1;
	turn->whole = true;
}

bool qos_turn_begin(struct qos *qos, struct qos_flow *flow, struct qos_turn *turn)
{
	turn->cost = turn->ops = turn->bytes = turn->scarce = WITHOUT_LIMIT;
	turn->whole = false;
	if (vc_unlikely(flow->limited) && !limits_begin(qos, flow, turn)) {
		list_leave(qos, flow);
		return false;
	}
	if (qos->metered) {
		credit(qos, flow);
		if (flow->deficit <= 0) {
			if (!flow->backlogged)
				qos_wait(qos, flow);
			return false;
		}
		turn->cost = flow->deficit;
		if (vc_unlikely(qos->now < qos->scarce_until))
			scarce_turn(qos, flow, turn);
	}
	qos->light = flow->light && !flow->backlogged;
	turn->metered = turn->open = true;
	return true;
}

static void metered_end(struct qos *qos, struct qos_flow *flow, const struct qos_turn *turn,
                        unsigned int taken)
{
	int64_t used = flow->deficit - turn->cost;

	flow->deficit = turn->cost;
	flow->used += used;
	count(&flow->counters.cost, flow->counters.cost + (uint64_t)used);
	if (taken) {
		flow->active = true;
		if (qos->light)
			qos->lights += taken;
	}
	/* What it took will wait for a while, and is as much as it should have waiting. */
	if (!taken || flow->throttled || turn->scarce <= 0)
		list_leave(qos, flow);
	else if (!flow->backlogged && flow->deficit <= 0)
		qos_wait(qos, flow);
}

void qos_turn_end(struct qos *qos, struct qos_flow *flow, struct qos_turn *turn, unsigned int taken)
{
	turn->metered = false;
	if (vc_unlikely(flow->limited))
		limits_end(qos, flow, turn);
	if (taken && !flow->throttled)
		qos->spin = true;
	if (qos->metered)
		metered_end(qos, flow, turn, taken);
}

/* ---- rounds ---- */

void qos_other(struct qos *qos, const struct qos_flow *flow)
{
	qos->second |= qos->only != NULL;
	qos->only = flow;
}

void qos_blame(struct qos *qos, struct qos_flow *flow)
{
	flow->light = false;
	flow->blamed = qos->now + (uint64_t)ticks(qos, QOS_BLAME_NS);
}

static bool is_crowd(const struct qos *qos)
{
	return qos->flows > QOS_CROWD && !qos->weighted;
}

static void period_begin(struct qos *qos)
{
	qos->period_from = qos->now;
	qos->period_end = qos->now + (uint64_t)ticks(qos, QOS_PERIOD_NS);
	qos->period_rounds = qos->flows;
}

/* Whether the flow has used less than half of its share of the period. What it owes it has used
 * before, and not yet been given. */
static bool is_light(const struct qos *qos, const struct qos_flow *flow, uint64_t weights)
{
	if (qos->now < flow->blamed)
		return false;

	double share = (double)(qos->now - qos->period_from) * flow->weight / (double)weights;

	return !flow->active || 2 * ((double)flow->used - (double)vc_min(flow->deficit, 0)) < share;
}

/* A period is over: who is active, and with what share of the next one. */
static void period_end(struct qos *qos)
{
	uint32_t least = UINT32_MAX;
	uint64_t weights = 0;
	unsigned int active = 0;

	for (struct qos_flow *flow = qos->all; flow; flow = flow->all) {
		flow->active |= flow->backlogged;
		if (!flow->active)
			continue;
		active++;
		weights += flow->weight;
		least = vc_min(least, flow->weight);
	}
	for (struct qos_flow *flow = qos->all; flow; flow = flow->all) {
		flow->light = is_light(qos, flow, weights);
		flow->active = false;
		flow->used = 0;
	}
	if (active)
		qos->unit = ticks(qos, QOS_QUANTUM_NS) / least;
	period_begin(qos);
	if (active >= 2 && !is_crowd(qos))
		return;
	/* Nobody is in anybody's way, or all are alike. */
	while (qos->first)
		list_remove(qos, qos->first);
	qos->metered = false;
	qos->only = NULL;
	qos->watch = qos->limited;
}

void qos_contend(struct qos *qos, uint64_t now)
{
	qos->second = false;
	if (is_crowd(qos)) {
		qos->only = NULL;
		return;
	}
	qos->metered = qos->watch = true;
	qos->disturbed = true;
	qos->now = now;
	period_begin(qos);
	qos->light_until = qos->scarce_until = 0;
	for (struct qos_flow *flow = qos->all; flow; flow = flow->all) {
		flow->deficit = credit_most(qos, flow);
		flow->credited = qos->credit;
		flow->light = qos->now >= flow->blamed;
		flow->active = false;
		flow->used = 0;
	}
}

void qos_round_begin(struct qos *qos, uint64_t now)
{
	uint64_t least = (uint64_t)qos->queues * QOS_LOOK_NS;
	bool back = now < qos->now, everybody = !qos->first && !qos->full;

	if (qos->lights)
		qos->light_until = qos->now + (uint64_t)ticks(qos, QOS_LIGHT_NS);
	cost_round(&qos->cost, back || qos->disturbed ? 0 : now - qos->now);
	qos->disturbed = false;
	qos->now = now;
	qos->full = false;
	qos->count = qos->lights = 0;
	qos->budget = WITHOUT_LIMIT;
	if (!qos->metered)
		return;
	qos->period_rounds -= qos->period_rounds > 0;
	if (back)
		period_begin(qos);
	else if (now >= qos->period_end && !qos->period_rounds)
		period_end(qos);
	if (!qos->metered)
		return;
	/* Whoever had something had a turn, and nobody waits. */
	if (everybody)
		qos->credit += (uint64_t)qos->unit;
	qos->budget = ticks(qos, now < qos->light_until ? vc_max(least, QOS_SHORT_NS)
	                                                : vc_max(least, QOS_ROUND_NS));
}

void qos_flow_join(struct qos *qos, struct qos_flow *flow, const struct qos_limits *limits,
                   uint64_t now)
{
	flow->all = qos->all;
	flow->at = &qos->all;
	if (flow->all)
		flow->all->at = &flow->all;
	qos->all = flow;
	qos->flows++;
	flow->light = true;
	flow->deficit = ticks(qos, QOS_QUANTUM_NS);
	flow->credited = qos->credit;
	qos_flow_limit(qos, flow, limits, now);
}

void qos_flow_leave(struct qos *qos, struct qos_flow *flow)
{
	throttle_end(qos, flow, qos->now);
	if (flow->backlogged)
		list_remove(qos, flow);
	qos->limited -= flow->limited;
	flow->limited = false;
	qos->watch = qos->metered || qos->limited;
	qos->weighted -= flow->weight > 1;
	qos->flows--;
	*flow->at = flow->all;
	if (flow->all)
		flow->all->at = flow->at;
	if (qos->only == flow)
		qos->only = NULL;
}
