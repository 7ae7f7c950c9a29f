/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quality of service without a worker: limits, and turns by deficit round robin. Time is the
 * test's, a tick a nanosecond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "host/qos.h"

#define TICKS_PER_US 1000u
#define SECOND UINT64_C(1000000000)
#define FLOWS 16
#define BURST 64u
/* What a request of random_sim() is charged at the most, before its cost is learnt. */
#define REQUEST_MOST 40000.0

/* ---- a worker ---- */

struct demand {
	uint64_t pending;
	uint64_t arrival;   /* ticks between two requests; 0: there is always more */
	uint64_t due;       /* the next one */
	uint64_t cost;      /* what one really takes */
	unsigned int class; /* 0: no request ever */
	uint32_t length;
	uint64_t done, spent;
	uint64_t waited; /* longest time that the first one was pending */
	uint64_t since;
};

struct sim {
	struct qos qos;
	struct qos_flow flow[FLOWS];
	struct demand demand[FLOWS];
	unsigned int count;
	uint64_t now;
	uint64_t seed;
	uint64_t longest; /* round */
	unsigned int first;
};

static uint64_t any(struct sim *s, uint64_t below)
{
	s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
	return (s->seed >> 33) % below;
}

static struct sim *sim_new(uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	qos_init(&s->qos, TICKS_PER_US);
	s->seed = seed;
	s->now = 1000;
	return s;
}

/* A flow with requests of its own class. */
static struct demand *sim_add(struct sim *s, const struct qos_limits *limits, uint64_t cost,
                              uint32_t length, uint64_t arrival)
{
	struct cost_key key = {{(uint8_t)(s->count + 1)}};
	struct demand *d = &s->demand[s->count];

	qos_flow_join(&s->qos, &s->flow[s->count], limits, s->now);
	*d = (struct demand){.class = cost_class(&s->qos.cost, &key, 1, 0),
	                     .cost = cost,
	                     .length = length,
	                     .arrival = arrival,
	                     .due = s->now};
	s->count++;
	return d;
}

static void sim_arrive(struct sim *s)
{
	for (unsigned int i = 0; i < s->count; i++) {
		struct demand *d = &s->demand[i];

		if (!d->arrival)
			d->pending = 1000;
		for (; d->arrival && d->due <= s->now; d->due += d->arrival)
			if (!d->pending++)
				d->since = d->due;
	}
}

static unsigned int sim_take(struct sim *s, unsigned int i, struct qos_turn *turn, uint64_t *spent)
{
	struct demand *d = &s->demand[i];
	unsigned int taken = 0;

	for (; d->pending && taken < BURST && turn->open; taken++) {
		d->pending--;
		d->spent += d->cost;
		*spent += d->cost;
		if (turn->metered)
			qos_charge(&s->qos, turn, d->class, d->length);
	}
	if (taken)
		d->waited = vc_max(d->waited, s->now - d->since);
	d->since = s->now;
	d->done += taken;
	return taken;
}

static unsigned int sim_turn(struct sim *s, unsigned int i, uint64_t *spent)
{
	struct qos_turn turn;
	unsigned int taken;

	if (!qos_turn_begin(&s->qos, &s->flow[i], &turn))
		return 0;
	taken = sim_take(s, i, &turn, spent);
	qos_turn_end(&s->qos, &s->flow[i], &turn, taken);
	return taken;
}

/* As worker_turn.c does it. */
static void sim_metered(struct sim *s, uint64_t *spent)
{
	struct qos_flow *flow;
	unsigned int taken = 0, k;

	for (k = 0; k < s->count && !s->qos.full; k++) {
		unsigned int i = (s->first + k) % s->count;

		flow = &s->flow[i];
		if (flow->backlogged || !s->demand[i].pending)
			continue;
		if (flow->light || flow->throttled)
			taken += sim_turn(s, i, spent);
		else
			qos_wait(&s->qos, flow);
	}
	s->first += k;
	if (taken && s->qos.first)
		return;
	while ((flow = qos_next(&s->qos)))
		sim_turn(s, (unsigned int)(flow - s->flow), spent);
}

static void sim_plain(struct sim *s, uint64_t *spent)
{
	for (unsigned int i = 0; i < s->count; i++) {
		struct qos_flow *flow = &s->flow[i];
		struct qos_turn turn = {.open = true};
		unsigned int n;

		if (flow->limited) {
			n = sim_turn(s, i, spent);
			if (n && s->qos.only != flow)
				qos_other(&s->qos, flow);
		} else {
			n = sim_take(s, i, &turn, spent);
			if (n)
				qos_note(&s->qos, flow);
		}
	}
	if (s->qos.second)
		qos_contend(&s->qos, s->now);
}

static void sim_round(struct sim *s)
{
	uint64_t spent = 0;

	sim_arrive(s);
	if (s->qos.watch)
		qos_round_begin(&s->qos, s->now);
	if (s->qos.metered)
		sim_metered(s, &spent);
	else
		sim_plain(s, &spent);
	s->longest = vc_max(s->longest, spent);
	s->now += spent + 100;
}

static void sim_run(struct sim *s, uint64_t ticks)
{
	uint64_t end = s->now + ticks;

	while (s->now < end)
		sim_round(s);
}

/* From here on only. */
static void sim_forget(struct sim *s)
{
	for (unsigned int i = 0; i < s->count; i++) {
		s->demand[i].done = s->demand[i].spent = s->demand[i].waited = 0;
		s->flow[i].counters.cost = 0;
	}
	s->longest = 0;
}

/* ---- limits ---- */

static void limit_of_operations_is_kept(void **state)
{
	struct sim *s = sim_new(1);
	struct demand *d =
		sim_add(s, &(struct qos_limits){.ops = 20000, .ops_burst = 100}, 100, 64, 0);

	sim_run(s, 2 * SECOND);
	assert_in_range(d->done, 39900, 40200);
	assert_true(s->flow[0].counters.throttles > 100);
	/* Nearly all of the time. */
	assert_in_range(s->flow[0].counters.throttled, 19 * SECOND / 10, 2 * SECOND);
	free(s);
}

static void limit_of_bytes_lets_a_long_request_owe(void **state)
{
	struct sim *s = sim_new(1);
	struct demand *d = sim_add(s, &(struct qos_limits){.bytes = 1000000, .bytes_burst = 1000},
	                           100, 65536, 0);

	sim_run(s, 10 * SECOND);
	assert_in_range(d->done, 10 * 1000000 / 65536, 10 * 1000000 / 65536 + 2);
	free(s);
}

static void who_is_throttled_holds_up_nobody(void **state)
{
	struct sim *s = sim_new(1);
	struct demand *d =
		sim_add(s, &(struct qos_limits){.ops = 1000, .ops_burst = 10}, 1000, 64, 0);
	struct demand *other = sim_add(s, &(struct qos_limits){0}, 1000, 64, 0);

	sim_run(s, SECOND);
	assert_in_range(d->done, 950, 1050);
	/* All the rest, but for what rounds cost. */
	assert_true(other->spent > 9 * SECOND / 10);
	assert_true(qos_all_throttled(&s->qos) == false);
	free(s);
}

static void a_limit_can_be_changed_and_taken_away(void **state)
{
	struct sim *s = sim_new(1);
	struct demand *d = sim_add(s, &(struct qos_limits){.ops = 1, .ops_burst = 1}, 1000, 64, 0);
	uint64_t done;

	sim_run(s, SECOND / 10);
	assert_int_equal(d->done, 1);
	assert_true(s->flow[0].throttled);
	assert_true(qos_all_throttled(&s->qos));
	/* At once, though it was to wait for most of a second. */
	qos_flow_limit(&s->qos, &s->flow[0], &(struct qos_limits){.ops = 100000}, s->now);
	assert_false(s->flow[0].throttled);
	sim_run(s, SECOND / 10);
	assert_in_range(d->done, 9000, 11100);
	qos_flow_limit(&s->qos, &s->flow[0], &(struct qos_limits){0}, s->now);
	assert_false(s->qos.watch);
	done = d->done;
	sim_run(s, SECOND / 10);
	assert_true(d->done - done > 80000);
	free(s);
}

static void a_clock_that_is_set_back_throttles_nobody_for_ever(void **state)
{
	struct sim *s = sim_new(1);
	struct demand *d;
	uint64_t done;

	s->now = 1000 * SECOND;
	d = sim_add(s, &(struct qos_limits){.ops = 1000, .ops_burst = 10}, 1000, 64, 0);
	sim_run(s, SECOND);
	done = d->done;
	s->now = SECOND;
	sim_run(s, SECOND);
	assert_in_range(d->done - done, 950, 1050);
	free(s);
}

/* ---- shares ---- */

static void one_alone_is_neither_counted_nor_held_back(void **state)
{
	struct sim *s = sim_new(1);
	struct demand *d = sim_add(s, &(struct qos_limits){.weight = 1}, 1000, 64, 0);

	sim_add(s, &(struct qos_limits){.weight = 1000}, 1000, 64, 0)->arrival = 2 * SECOND;
	s->demand[1].due = 2 * SECOND;
	sim_run(s, SECOND / 10);
	assert_false(s->qos.metered);
	assert_false(s->qos.watch);
	assert_int_equal(s->flow[0].counters.cost, 0);
	assert_int_equal(d->done % BURST, 0);
	free(s);
}

static void when_the_others_have_gone_nothing_is_counted_any_more(void **state)
{
	struct sim *s = sim_new(1);

	sim_add(s, &(struct qos_limits){0}, 1000, 64, 0);
	sim_add(s, &(struct qos_limits){0}, 1000, 64, 0);
	sim_run(s, SECOND / 100);
	assert_true(s->qos.metered);
	s->demand[1] = (struct demand){.arrival = SECOND, .due = 2 * SECOND};
	sim_run(s, SECOND / 100);
	assert_false(s->qos.metered);
	assert_null(s->qos.first);
	free(s);
}

static void shares_are_by_weight_whatever_requests_cost(void **state)
{
	static const uint32_t weight[] = {1, 2, 4};
	static const uint64_t cost[] = {2500, 80, 900};
	struct sim *s = sim_new(1);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < 3; i++)
		sim_add(s, &(struct qos_limits){.weight = weight[i]}, cost[i], 64 << 2 * i, 0);
	/* Time to learn. */
	sim_run(s, SECOND / 10);
	sim_forget(s);
	sim_run(s, SECOND);
	for (unsigned int i = 0; i < 3; i++)
		sum += s->demand[i].spent;
	for (unsigned int i = 0; i < 3; i++) {
		double share = (double)s->demand[i].spent / (double)sum * 7 / weight[i];

		if (share < 0.95 || share > 1.05)
			fail_msg("weight %u has %.3f of its share", weight[i], share);
	}
	free(s);
}

static void a_weight_that_changes_counts_from_now_on(void **state)
{
	struct sim *s = sim_new(1);

	for (unsigned int i = 0; i < 2; i++)
		sim_add(s, &(struct qos_limits){.weight = 1}, 500, 64, 0);
	sim_run(s, SECOND / 10);
	qos_flow_limit(&s->qos, &s->flow[1], &(struct qos_limits){.weight = 10}, s->now);
	sim_run(s, SECOND / 100);
	sim_forget(s);
	sim_run(s, SECOND / 2);
	assert_in_range(s->demand[1].spent * 100 / s->demand[0].spent, 950, 1050);
	free(s);
}

static void a_light_flow_waits_for_a_short_round_at_the_most(void **state)
{
	struct sim *s = sim_new(1);
	struct demand *light;

	for (unsigned int i = 0; i < 4; i++)
		sim_add(s, &(struct qos_limits){.weight = 10}, 150, 1024, 0);
	light = sim_add(s, &(struct qos_limits){.weight = 1}, 1000, 1024, SECOND / 1000);
	sim_run(s, SECOND / 10);
	sim_forget(s);
	sim_run(s, SECOND);
	assert_in_range(light->done, 999, 1001);
	assert_true(light->waited <= QOS_SHORT_NS + 500);
	free(s);
}

/* Short rounds cost the others something, which rubbish shall not. */
static void who_gives_rubbish_is_not_light_for_a_while(void **state)
{
	struct sim *s = sim_new(1);
	struct demand *light;

	for (unsigned int i = 0; i < 4; i++)
		sim_add(s, &(struct qos_limits){.weight = 1}, 150, 1024, 0);
	light = sim_add(s, &(struct qos_limits){.weight = 1}, 1000, 1024, SECOND / 1000);
	sim_run(s, SECOND / 10);
	assert_true(s->flow[4].light);
	assert_true(s->qos.light_until > s->now);
	qos_blame(&s->qos, &s->flow[4]);
	sim_run(s, QOS_BLAME_NS - QOS_PERIOD_NS);
	assert_false(s->flow[4].light);
	assert_true(s->qos.light_until < s->now);
	sim_forget(s);
	sim_run(s, SECOND / 10);
	assert_true(s->flow[4].light);
	/* It has its turns meanwhile. */
	assert_in_range(light->done, 98, 101);
	free(s);
}

static void who_has_more_than_its_share_is_not_light(void **state)
{
	struct sim *s = sim_new(1);
	struct demand *greedy;

	for (unsigned int i = 0; i < 3; i++)
		sim_add(s, &(struct qos_limits){0}, 150, 1024, 0);
	/* It asks for one at a time, but for half of the worker in all. */
	greedy = sim_add(s, &(struct qos_limits){0}, 1000, 1024, 2000);
	sim_run(s, SECOND / 10);
	sim_forget(s);
	sim_run(s, SECOND);
	assert_in_range(greedy->spent, 22 * SECOND / 100, 26 * SECOND / 100);
	free(s);
}

static void long_requests_that_all_owe_for_do_not_stop_the_worker(void **state)
{
	struct sim *s = sim_new(1);

	for (unsigned int i = 0; i < 3; i++)
		sim_add(s, &(struct qos_limits){.weight = i + 1}, 5000000, 1 << 20, 0);
	sim_run(s, SECOND);
	sim_forget(s);
	sim_run(s, 10 * SECOND);
	/* Idle rounds in between would show. */
	assert_true(s->demand[0].spent + s->demand[1].spent + s->demand[2].spent >
	            99 * SECOND / 10);
	assert_in_range(s->demand[2].done * 100 / s->demand[0].done, 280, 320);
	free(s);
}

static void a_flow_that_leaves_while_it_waits_is_forgotten(void **state)
{
	struct sim *s = sim_new(1);

	for (unsigned int i = 0; i < 3; i++)
		sim_add(s, &(struct qos_limits){.ops = 1000000}, 1000, 64, 0);
	sim_run(s, SECOND / 100);
	for (unsigned int i = 0; i < 3; i++) {
		qos_flow_leave(&s->qos, &s->flow[i]);
		memset(&s->flow[i], 0xee, sizeof(s->flow[i]));
	}
	s->count = 0;
	assert_null(s->qos.first);
	assert_null(s->qos.all);
	assert_int_equal(s->qos.limited, 0);
	assert_int_equal(s->qos.throttled, 0);
	sim_run(s, SECOND / 100);
	free(s);
}

/* ---- properties ---- */

/* Any number of flows, with any weights and costs, some of which always have more. */
static void random_sim(struct sim *s)
{
	unsigned int n = 2 + (unsigned int)any(s, FLOWS - 1);

	for (unsigned int i = 0; i < n; i++) {
		struct qos_limits limits = {.weight = 1 + (uint32_t)any(s, any(s, 2) ? 8 : 100)};
		uint64_t cost = 50 + any(s, any(s, 2) ? 500 : 20000);
		bool always = i < 2 || any(s, 2);

		sim_add(s, &limits, cost, (uint32_t)(1 + any(s, 100000)),
		        always ? 0 : cost + any(s, 100 * cost));
	}
}

/* Between two flows that always have more, by what they were charged: no more than two quanta and
 * a request of each, whenever one looks. */
static void check_bound(const struct sim *s, const int64_t *at_start)
{
	for (unsigned int i = 0; i < s->count; i++) {
		for (unsigned int j = 0; j < i; j++) {
			const struct qos_flow *a = &s->flow[i], *b = &s->flow[j];
			double had_a, had_b, slack;

			if (s->demand[i].arrival || s->demand[j].arrival)
				continue;
			had_a = (double)((int64_t)a->counters.cost - at_start[i]) / a->weight;
			had_b = (double)((int64_t)b->counters.cost - at_start[j]) / b->weight;
			slack = 4.0 * QOS_QUANTUM_NS + REQUEST_MOST / a->weight +
			        REQUEST_MOST / b->weight;
			if (had_a - had_b > slack || had_b - had_a > slack)
				fail_msg("weights %u and %u: %.0f and %.0f, may differ by %.0f",
				         a->weight, b->weight, had_a, had_b, slack);
		}
	}
}

static void shares_stay_within_the_bound_of_deficit_round_robin(void **state)
{
	for (unsigned int seed = 1; seed <= 300; seed++) {
		struct sim *s = sim_new(seed);
		int64_t at_start[FLOWS];

		random_sim(s);
		/* Quanta are of the active ones from the second period on. */
		sim_run(s, SECOND / 100);
		for (unsigned int i = 0; i < s->count; i++)
			at_start[i] = (int64_t)s->flow[i].counters.cost;
		for (unsigned int i = 0; i < 20; i++) {
			sim_run(s, SECOND / 1000);
			check_bound(s, at_start);
		}
		free(s);
	}
}

static void nobody_starves_and_nobody_saves_up(void **state)
{
	for (unsigned int seed = 1; seed <= 300; seed++) {
		struct sim *s = sim_new(1000 + seed);

		random_sim(s);
		sim_run(s, SECOND / 100);
		for (unsigned int round = 0; round < 2000; round++) {
			/* A clock that jumps, now and then, in both directions. */
			if (any(s, 500) == 0)
				s->now = any(s, 2) ? s->now + any(s, SECOND)
				                   : s->now - any(s, s->now / 2);
			sim_round(s);
			for (unsigned int i = 0; i < s->count; i++) {
				const struct qos_flow *flow = &s->flow[i];
				int64_t most = (int64_t)QOS_QUANTUM_NS * flow->weight;

				assert_true(flow->deficit <= most);
			}
		}
		for (unsigned int i = 0; i < s->count; i++)
			s->demand[i].due = s->now;
		sim_forget(s);
		sim_run(s, SECOND / 5);
		for (unsigned int i = 0; i < s->count; i++)
			if (!s->demand[i].arrival || s->demand[i].arrival < SECOND / 10)
				assert_true(s->demand[i].done > 0);
		free(s);
	}
}

/* Unless somebody is to have more than the others. */
static void a_crowd_of_equals_is_not_metered(void **state)
{
	const struct qos_limits equal = {.weight = 1}, more = {.weight = 2};
	struct qos_flow flow[QOS_CROWD + 1] = {{0}};
	struct qos qos;

	qos_init(&qos, 1000);
	for (unsigned int i = 0; i <= QOS_CROWD; i++)
		qos_flow_join(&qos, &flow[i], &equal, 1);
	qos_contend(&qos, 1);
	assert_false(qos.metered);
	qos_flow_limit(&qos, &flow[3], &more, 2);
	qos_contend(&qos, 2);
	assert_true(qos.metered);
	/* It ends when that is taken back. */
	qos_flow_limit(&qos, &flow[3], &equal, 3);
	for (unsigned int i = 0; i < 4 * QOS_CROWD; i++)
		qos_round_begin(&qos, 4 + i * (uint64_t)QOS_PERIOD_NS);
	assert_false(qos.metered);
	qos_flow_leave(&qos, &flow[0]);
	qos_contend(&qos, 5);
	assert_true(qos.metered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limit_of_operations_is_kept),
		cmocka_unit_test(limit_of_bytes_lets_a_long_request_owe),
		cmocka_unit_test(who_is_throttled_holds_up_nobody),
		cmocka_unit_test(a_limit_can_be_changed_and_taken_away),
		cmocka_unit_test(a_clock_that_is_set_back_throttles_nobody_for_ever),
		cmocka_unit_test(one_alone_is_neither_counted_nor_held_back),
		cmocka_unit_test(when_the_others_have_gone_nothing_is_counted_any_more),
		cmocka_unit_test(shares_are_by_weight_whatever_requests_cost),
		cmocka_unit_test(a_weight_that_changes_counts_from_now_on),
		cmocka_unit_test(a_light_flow_waits_for_a_short_round_at_the_most),
		cmocka_unit_test(who_gives_rubbish_is_not_light_for_a_while),
		cmocka_unit_test(who_has_more_than_its_share_is_not_light),
		cmocka_unit_test(long_requests_that_all_owe_for_do_not_stop_the_worker),
		cmocka_unit_test(a_flow_that_leaves_while_it_waits_is_forgotten),
		cmocka_unit_test(shares_stay_within_the_bound_of_deficit_round_robin),
		cmocka_unit_test(nobody_starves_and_nobody_saves_up),
		cmocka_unit_test(a_crowd_of_equals_is_not_metered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
