/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The circuit before a resource, and what the scheduler makes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fake_resource.h"
#include "host/sched/sched.h"

#define MS UINT64_C(1000000)

static const struct circuit_options options = {
	.failures = 3, .backoff_ms = 100, .backoff_max_ms = 350};

static void open_it(struct health *h, uint64_t now)
{
	for (unsigned int i = 0; i < 2; i++)
		assert_false(health_failed(h, HEALTH_FAILED, now));
	assert_true(health_failed(h, HEALTH_FAILED, now));
	assert_int_equal(h->state, HEALTH_OPEN);
}

static void failures_one_after_the_other_open_it(void **state)
{
	struct health h;

	health_init(&h, &options);
	for (unsigned int i = 0; i < 10; i++) {
		assert_false(health_failed(&h, HEALTH_FAILED, 1));
		assert_false(health_failed(&h, HEALTH_TIMEOUT, 1));
		assert_false(health_done(&h, 1));
	}
	assert_true(health_good(&h));
	open_it(&h, 7);
	assert_false(health_good(&h));
	assert_int_equal(h.report.state, HEALTH_OPEN);
	assert_string_equal(h.report.reason, "failures");
	assert_int_equal(h.report.since, 7);
	assert_int_equal(h.report.failures, 13);
	assert_int_equal(h.report.timeouts, 10);
	assert_int_equal(h.report.opened, 1);
}

static void the_last_failure_is_the_reason(void **state)
{
	struct health h;

	health_init(&h, &options);
	health_failed(&h, HEALTH_FAILED, 1);
	health_failed(&h, HEALTH_FAILED, 1);
	assert_true(health_failed(&h, HEALTH_TIMEOUT, 1));
	assert_string_equal(h.report.reason, "time-outs");
}

static void who_takes_nothing_is_open_at_once(void **state)
{
	struct health h;

	health_init(&h, &options);
	assert_true(health_failed(&h, HEALTH_FULL, 1));
	assert_string_equal(h.report.reason, "it takes no requests");
}

static void one_that_is_tried_and_done_closes_it(void **state)
{
	struct health h;

	health_init(&h, &options);
	open_it(&h, 0);
	assert_false(health_wait(&h, 100 * MS - 1));
	assert_false(health_probe(&h, 1));
	assert_true(health_wait(&h, 100 * MS));
	assert_true(health_good(&h));
	assert_int_equal(h.report.state, HEALTH_DUE);
	assert_true(health_probe(&h, 101 * MS));
	assert_false(health_good(&h));
	assert_true(health_done(&h, 102 * MS));
	assert_int_equal(h.state, HEALTH_CLOSED);
	assert_string_equal(h.report.reason, "it works again");
	assert_int_equal(h.report.since, 102 * MS);
	/* And it begins with nothing to its charge. */
	open_it(&h, 200 * MS);
}

static void each_one_that_fails_doubles_the_wait(void **state)
{
	static const unsigned int waits[] = {100, 200, 350, 350, 350};
	uint64_t now = 0;
	struct health h;

	health_init(&h, &options);
	open_it(&h, now);
	for (unsigned int i = 0; i < 5; i++) {
		assert_false(health_wait(&h, now + waits[i] * MS - 1));
		now += waits[i] * MS;
		assert_true(health_wait(&h, now));
		assert_true(health_probe(&h, now));
		assert_true(health_failed(&h, HEALTH_TIMEOUT, now));
		assert_int_equal(h.state, HEALTH_OPEN);
		/* Why and since when it is open has not changed. */
		assert_int_equal(h.report.since, 0);
		assert_string_equal(h.report.reason, "failures");
	}
	assert_int_equal(h.report.opened, 1);
}

static void what_comes_back_late_does_not_close_it(void **state)
{
	struct health h;

	health_init(&h, &options);
	open_it(&h, 0);
	assert_false(health_done(&h, 1));
	assert_false(health_failed(&h, HEALTH_FAILED, 2));
	assert_int_equal(h.state, HEALTH_OPEN);
}

static void one_that_was_given_up_is_followed_by_another(void **state)
{
	struct health h;

	health_init(&h, &options);
	open_it(&h, 0);
	assert_true(health_wait(&h, 100 * MS));
	assert_true(health_probe(&h, 100 * MS));
	assert_false(health_wait(&h, 200 * MS - 1));
	assert_true(health_wait(&h, 200 * MS));
	assert_true(health_probe(&h, 200 * MS));
}

static void without_a_number_it_is_never_open(void **state)
{
	static const struct circuit_options never = {0, 100, 100};
	struct health h;

	health_init(&h, &never);
	for (unsigned int i = 0; i < 100; i++)
		assert_false(health_failed(&h, i % 3, 1));
	assert_int_equal(h.report.failures, 34);
}

static void unanswered_requests_open_it_and_keep_it_open(void **state)
{
	struct health h;

	health_init(&h, &options);
	h.most_late = 4;
	for (unsigned int i = 0; i < 3; i++)
		assert_false(health_unanswered(&h, 1, 0));
	assert_true(health_unanswered(&h, 1, 0));
	assert_string_equal(h.report.reason, "too many requests without an answer");
	health_unanswered(&h, 1, 0);
	assert_false(health_wait(&h, 1000 * MS));
	health_unanswered(&h, -1, 0);
	health_unanswered(&h, -1, 0);
	assert_false(health_wait(&h, 1000 * MS));
	health_unanswered(&h, -1, 0);
	assert_int_equal(h.report.unanswered, 2);
	assert_true(health_wait(&h, 1000 * MS));
}

/* ---- in the scheduler ---- */

struct pool {
	struct fake *fake[2];
	struct resource_instance *instance[HOST_MAX_RESOURCES];
	struct waiting_list waiting[2], *lists[HOST_MAX_RESOURCES];
	struct group group;
	struct session session;
	struct session_local local[4];
	struct vc_request req;
	struct sched sched;
};

static uint64_t now;

static uint64_t test_clock(void)
{
	return now;
}

static int setup(void **state)
{
	struct pool *p = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*p), VC_CACHE_LINE));

	assert_non_null(p);
	memset(p, 0, sizeof(*p));
	now = 1;
	sched_init(&p->sched, p->instance, p->lists);
	p->sched.clock = test_clock;
	for (unsigned int i = 0; i < 2; i++) {
		p->fake[i] = fake_new("fake", i);
		assert_int_equal(p->fake[i]->base.ops->open(&p->fake[i]->base, 0, &p->instance[i]),
		                 0);
		p->lists[i] = &p->waiting[i];
		p->group.resource[i] = &p->fake[i]->base;
		health_init(&p->sched.health[i], &options);
	}
	p->group.primary = 1;
	p->group.count = 2;
	p->req.session = &p->session;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pool *p = *state;

	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int s = 0; s < 4; s++)
			free(p->local[s].handle[i]);
		p->fake[i]->base.ops->close(p->instance[i]);
		fake_free(p->fake[i]);
	}
	free(p);
	return 0;
}

static int pick(struct pool *p, unsigned int session)
{
	p->req.local = &p->local[session];
	return sched_pick(&p->sched, &p->group, &p->req, 0);
}

static void let_fail(struct pool *p, unsigned int resource)
{
	for (unsigned int i = 0; i < 3; i++)
		sched_failed(&p->sched, resource, HEALTH_FAILED);
}

static void later(struct pool *p, uint64_t ms)
{
	now += ms * MS;
	p->sched.now = 0;
	sched_wait(&p->sched);
}

static void sessions_leave_and_come_back(void **state)
{
	struct pool *p = *state;

	for (unsigned int s = 0; s < 4; s++)
		assert_int_equal(pick(p, s), 0);
	let_fail(p, 0);
	assert_int_equal(p->sched.trouble, 1);
	for (unsigned int s = 0; s < 4; s++)
		assert_int_equal(pick(p, s), 1);
	later(p, 99);
	assert_int_equal(pick(p, 0), 1);
	later(p, 1);
	/* One of them, once. */
	assert_int_equal(pick(p, 2), 0);
	for (unsigned int s = 0; s < 4; s++)
		assert_int_equal(pick(p, s), 1);
	sched_done(&p->sched, 0);
	for (unsigned int s = 0; s < 4; s++)
		assert_int_equal(pick(p, s), 0);
	assert_int_equal(p->sched.trouble, 0);
	assert_int_equal(p->sched.avoid, 0);
}

static void what_is_tried_in_vain_is_tried_later(void **state)
{
	struct pool *p = *state;

	let_fail(p, 0);
	later(p, 100);
	assert_int_equal(pick(p, 0), 0);
	sched_failed(&p->sched, 0, HEALTH_TIMEOUT);
	assert_int_equal(pick(p, 0), 1);
	later(p, 199);
	assert_int_equal(pick(p, 0), 1);
	later(p, 1);
	assert_int_equal(pick(p, 1), 0);
	assert_int_equal(pick(p, 0), 1);
}

static void a_turn_is_tried_under_each_policy(void **state)
{
	struct pool *p = *state;

	p->group.primary = 2;
	p->group.size_threshold = 100;
	for (unsigned int policy = 0; policy < SCHED_POLICIES; policy++) {
		unsigned int there = 0;

		p->group.policy = policy;
		p->sched.round++;
		let_fail(p, 0);
		for (unsigned int i = 0; i < 300; i++)
			assert_int_equal(pick(p, i % 4), 1);
		later(p, 100);
		for (unsigned int i = 0; i < 300; i++)
			there += pick(p, i % 4) == 0;
		assert_int_equal(there, 1);
		sched_done(&p->sched, 0);
		p->sched.round++;
		for (unsigned int i = 0; i < 300; i++)
			there += pick(p, i % 4) == 0;
		assert_true(there >= 64);
	}
}

static void all_open_is_as_all_closed(void **state)
{
	struct pool *p = *state;

	let_fail(p, 0);
	let_fail(p, 1);
	assert_int_equal(pick(p, 0), 0);
}

#define sched(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failures_one_after_the_other_open_it),
		cmocka_unit_test(the_last_failure_is_the_reason),
		cmocka_unit_test(who_takes_nothing_is_open_at_once),
		cmocka_unit_test(one_that_is_tried_and_done_closes_it),
		cmocka_unit_test(each_one_that_fails_doubles_the_wait),
		cmocka_unit_test(what_comes_back_late_does_not_close_it),
		cmocka_unit_test(one_that_was_given_up_is_followed_by_another),
		cmocka_unit_test(without_a_number_it_is_never_open),
		cmocka_unit_test(unanswered_requests_open_it_and_keep_it_open),
		sched(sessions_leave_and_come_back),
		sched(what_is_tried_in_vain_is_tried_later),
		sched(a_turn_is_tried_under_each_policy),
		sched(all_open_is_as_all_closed),
	};

	log_open("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
