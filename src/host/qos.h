/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quality of service in one worker: who may take requests now, and how many. No rings, no sockets,
 * no clock: the time of a round (ticks) is told.
 *
 * A flow is what one device has in one worker.
 *
 * Limits: token buckets of requests and of bytes, refilled with time up to their burst. A turn goes
 * on while there are tokens; the last request may take more than there are, which is owed. A flow
 * without tokens is throttled until so many have come that a burst is worth while.
 *
 * Shares: deficit round robin by cost (qos_cost.h). While several flows are active, each has a
 * credit. One that has used it up, or is not light, waits its turn in a list; at each turn it gets
 * a quantum, by its weight, and its turn goes on (over several rounds) until that is spent or it
 * has nothing more. Time in which it asked for nothing is not saved up, beyond one quantum. With
 * one active flow nothing is counted and nothing is held back.
 *
 * Where a resource is full (one that works beside the worker), it is that and not the worker's time
 * that is to be shared. What waits for it is taken in the order in which it came, and a queue with
 * requests that wait is not read; so turns are by weight there too, counted in data.
 *
 * Light flows are those that use less than half of their share. They are looked at first; while
 * there are some, rounds are kept short, so that these do not wait long. That costs the others
 * something: nobody who gives us rubbish has it.
 */
#ifndef VC_HOST_QOS_H
#define VC_HOST_QOS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "host/qos_cost.h"

#define QOS_WEIGHT_MAX 1000u
/* Requests that go side by side through lanes. */
#define QOS_COMPANY 16u
/* Of the active flow with the least weight. */
#define QOS_QUANTUM_NS 8000u
/* Work of one round; and while there are light flows. */
#define QOS_ROUND_NS 20000u
#define QOS_SHORT_NS 2000u
/* In the same, so that looking at queues without work is a small part: for each queue. */
#define QOS_LOOK_NS 40u
/* How often it is looked who is active, and with what share. */
#define QOS_PERIOD_NS 1000000u
/* Where a resource is full: data of a turn of the flow with the least weight, and what each request
 * counts beyond its own. */
#define QOS_SCARCE_BYTES 16384
#define QOS_SCARCE_REQUEST 512
/* With more flows than that, all of weight 1, equal turns are fair enough, and cost less: what
 * short rounds of many rings take would be the most of it. */
#define QOS_CROWD 16u
/* Who makes mistakes is not light for so long. */
#define QOS_BLAME_NS 100000000u
/* Rounds stay short so long after a light flow was last seen. */
#define QOS_LIGHT_NS 10000000u

/* Rates are per second; 0: no limit. */
struct qos_limits {
	uint64_t ops, bytes;
	uint64_t ops_burst, bytes_burst; /* 0: a hundredth of a second's */
	uint32_t weight;                 /* 0: 1 */
};

struct qos_bucket {
	uint64_t rate; /* 0: no limit */
	int64_t tokens, burst;
	uint64_t last; /* ticks; when it was filled last */
	uint64_t rest; /* of that, in tokens * ticks_per_s */
};

/* Written by the worker alone, read by anyone. */
struct qos_counters {
	uint64_t cost;      /* ticks of the worker, while several were active */
	uint64_t throttles; /* how often, */
	uint64_t throttled; /* and how many ticks in all, until the last time that it ended */
	uint64_t since;     /* ticks; 0: not throttled now */
};

struct qos_flow {
	bool backlogged; /* in the list */
	bool light;
	bool limited;
	bool throttled;
	bool active; /* in this period */
	uint32_t weight;
	int64_t deficit;            /* ticks */
	uint64_t credited;          /* qos->credit up to which it had its part */
	struct qos_flow *next;      /* in the list */
	struct qos_flow *all, **at; /* of the worker */
	int64_t used;               /* ticks in this period */
	struct qos_bucket ops, bytes;
	uint64_t resume; /* ticks; throttled until then */
	uint64_t blamed; /* ticks; not light until then */
	struct qos_counters counters;
};

struct qos {
	bool watch;   /* the time of each round is wanted: the next two */
	bool metered; /* several flows are active */
	bool full;    /* enough for this round */
	bool second;  /* not metered: somebody else than `only` had something */
	bool spin;    /* somebody who is not throttled had something since the last sleep */
	bool disturbed;
	bool light; /* of the flow that has its turn */
	unsigned int limited, throttled;
	const struct qos_flow *only;
	struct qos_flow *first, **last; /* backlogged, in the order of their turns */
	unsigned int backlogged;
	uint64_t credit; /* ticks that each flow was due so far, for each of its weight, */
	int64_t unit;    /* and will be more in the next cycle */
	uint64_t now, period_from;
	int64_t budget;      /* ticks that this round may still take */
	unsigned int count;  /* requests of this round */
	unsigned int lights; /* of them, of light flows */
	unsigned int queues; /* of the worker */
	uint64_t period_end, light_until, scarce_until;
	unsigned int period_rounds; /* left, so that everybody has had a turn in a period */
	struct qos_flow *all;
	unsigned int flows, weighted; /* of them, of another weight than 1 */
	uint64_t ticks_per_us;
	struct cost_model cost;
};

/* What a turn may still take. */
struct qos_turn {
	bool open;    /* it goes on */
	bool metered; /* requests are to be charged */
	bool whole;   /* it goes on although the round is full */
	int64_t cost, ops, bytes, scarce;
};

void qos_init(struct qos *qos, uint64_t ticks_per_us);

/* A flow comes (all 0), goes, or has other limits (its share of the device's). */
void qos_flow_join(struct qos *qos, struct qos_flow *flow, const struct qos_limits *limits,
                   uint64_t now);
void qos_flow_leave(struct qos *qos, struct qos_flow *flow);
void qos_flow_limit(struct qos *qos, struct qos_flow *flow, const struct qos_limits *limits,
                    uint64_t now);

/* One worker's share of a device's limits, of so many. */
struct qos_limits qos_limits_share(const struct qos_limits *limits, unsigned int workers);

/* A round begins, where qos->watch. What the last one took is learnt from the time between. */
void qos_round_begin(struct qos *qos, uint64_t now);

/* The flow's turn. False: it has none now; it is throttled, or waits in the list. */
bool qos_turn_begin(struct qos *qos, struct qos_flow *flow, struct qos_turn *turn);
/* So many were taken. */
void qos_turn_end(struct qos *qos, struct qos_flow *flow, struct qos_turn *turn,
                  unsigned int taken);

/* The flow gave us what is no request. */
void qos_blame(struct qos *qos, struct qos_flow *flow);

/* A flow that is not light has something: it waits for its turn. */
void qos_wait(struct qos *qos, struct qos_flow *flow);
/* Of those that wait, whose turn it is; NULL: nobody's, in this round. */
struct qos_flow *qos_next(struct qos *qos);

/* A request of the turn has been taken. */
static inline void qos_charge(struct qos *qos, struct qos_turn *turn, unsigned int class,
                              uint32_t length)
{
	int64_t cost = cost_take(&qos->cost, class, qos->light, length);

	turn->cost -= cost;
	turn->ops--;
	turn->bytes -= length;
	turn->scarce -= (int64_t)length + QOS_SCARCE_REQUEST;
	qos->budget -= cost;
	/* Not so short that lanes stay empty. */
	qos->count++;
	qos->full = qos->budget <= 0 && qos->count >= qos->cost.company[class];
	turn->open = turn->cost > 0 && turn->ops > 0 && turn->bytes > 0 && turn->scarce > 0 &&
	             (!qos->full || turn->whole);
}

/* Not metered: the flow had something. */
void qos_other(struct qos *qos, const struct qos_flow *flow);
static inline void qos_note(struct qos *qos, const struct qos_flow *flow)
{
	qos->spin = true;
	if (vc_unlikely(qos->only != flow))
		qos_other(qos, flow);
}
/* After a round with qos->second: count from now on. */
void qos_contend(struct qos *qos, uint64_t now);

/* A resource was full. */
void qos_scarce(struct qos *qos);

/* Whoever has something is throttled: there is nothing to poll for. */
static inline bool qos_all_throttled(const struct qos *qos)
{
	return qos->throttled && !qos->spin;
}

/* ---- buckets ---- */

/* The tokens that there are are kept, up to the burst; a new bucket (all 0) is full. */
void bucket_set(struct qos_bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now);
/* A clock that goes back gives nothing; one that jumps gives a burst at the most. */
void bucket_fill(struct qos_bucket *bucket, uint64_t now, uint64_t ticks_per_s);
/* Ticks until it has some, after a fill: enough for a burst. */
uint64_t bucket_wait(const struct qos_bucket *bucket, uint64_t ticks_per_s);

#endif
