/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type fault over a fake one: what each fault does to requests, and what it never does:
 * lose one, answer one twice, give a wrong result, write at a destination before its time.
 */
#include "fault_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static void without_faults_it_is_the_other_resource(void **state)
{
	struct test *t = *state;
	struct virtio_crypto_config offer = {0}, expected = {0};
	struct session_params params = {0};
	void *handle = NULL;

	assert_int_equal(test_submit(t, 100), 100);
	assert_int_equal(atomic_load(&t->fake->submitted), 100);
	test_take_all(t);
	for (unsigned int i = 0; i < 100; i++)
		assert_done(t, i);
	t->resource->ops->offer(t->resource, &offer);
	t->fake->base.ops->offer(&t->fake->base, &expected);
	assert_memory_equal(&offer, &expected, sizeof(offer));
	assert_true(t->resource->ops->can(t->resource, &params));
	atomic_store(&t->fake->can, false);
	assert_false(t->resource->ops->can(t->resource, &params));
	assert_int_equal(t->resource->ops->realise(t->instance, &params, &handle), 0);
	t->resource->ops->drop(t->instance, handle);
	assert_int_equal(atomic_load(&t->fake->dropped), 1);
	assert_true(t->resource->may_hang);
}

static void a_full_resource_is_full(void **state)
{
	struct test *t = *state;

	atomic_store(&t->fake->capacity, 10);
	assert_int_equal(test_submit(t, 20), 10);
	fault_on(t, "delay", "fixed:0");
	assert_int_equal(test_submit(t, 20), 20);
	assert_int_equal(atomic_load(&t->fake->submitted), 10);
	test_take_all(t);
	for (unsigned int i = 0; i < 30; i++)
		assert_done(t, i);
}

static void a_late_request_is_not_begun_before_its_time(void **state)
{
	struct test *t = *state;
	uint64_t begin = clock_now_ns();

	fault_on(t, "delay", "fixed:20000");
	assert_int_equal(test_submit(t, 50), 50);
	while (!test_take(t, true)) {
		/* Whoever is not scheduled for long sees them done at once. */
		if (clock_now_ns() - begin < 20000000)
			assert_int_equal(atomic_load(&t->fake->submitted), 0);
	}
	assert_true(clock_now_ns() - begin >= 20000000);
	test_take_all(t);
	for (unsigned int i = 0; i < 50; i++)
		assert_done(t, i);
	assert_int_equal(fault_counters_of(t).delayed, 50);
}

static void what_is_cleared_waits_no_longer(void **state)
{
	struct test *t = *state;
	uint64_t begin = clock_now_ns();

	fault_on(t, "delay", "fixed:10000000");
	assert_int_equal(test_submit(t, 50), 50);
	assert_int_equal(test_take(t, true), 0);
	fault_clear(t);
	test_take_all(t);
	assert_true(clock_now_ns() - begin < 9000000000);
	for (unsigned int i = 0; i < 50; i++)
		assert_done(t, i);
}

static void errors_come_with_the_source_as_it_was(void **state)
{
	struct test *t = *state;
	unsigned int undone = 0;

	fault_on(t, "error-rate", "0.3");
	assert_int_equal(test_submit(t, 1000), 1000);
	test_take_all(t);
	for (unsigned int i = 0; i < 1000; i++) {
		if (t->place[i].req->status == VC_STATUS_RESOURCE) {
			assert_undone(t, i);
			undone++;
		} else {
			assert_done(t, i);
		}
	}
	assert_in_range(undone, 230, 370);
	assert_int_equal(fault_counters_of(t).errors, undone);
	assert_int_equal(atomic_load(&t->fake->submitted), 1000 - undone);
}

static void refusal_takes_nothing(void **state)
{
	struct test *t = *state;

	fault_on(t, "refuse", "yes");
	assert_int_equal(test_submit(t, 5), 0);
	assert_int_equal(t->instance->in_flight, 0);
	assert_int_equal(fault_counters_of(t).refused, 1);
	fault_clear(t);
	assert_int_equal(test_submit(t, 5), 5);
	test_take_all(t);
}

static void sessions_are_refused_for_as_long_as_told(void **state)
{
	struct test *t = *state;
	struct session_params params = {0};
	void *handle = NULL;

	fault_on(t, "refuse-sessions", "yes");
	/* Not for good: this error alone may be asked again. */
	assert_int_equal(t->resource->ops->realise(t->instance, &params, &handle), -ENOMEM);
	assert_null(handle);
	assert_int_equal(fault_counters_of(t).sessions_refused, 1);
	fault_clear(t);
	assert_int_equal(t->resource->ops->realise(t->instance, &params, &handle), 0);
	t->resource->ops->drop(t->instance, handle);
}

static void completions_are_shuffled_in_the_window(void **state)
{
	struct test *t = *state;
	unsigned int overtaken = 0, place = 1;

	/* One for which the others can wait. */
	fault_on(t, "delay", "fixed:10000000");
	assert_int_equal(test_submit(t, 1), 1);
	fault_on(t, "delay", "none");
	fault_on(t, "reorder", "8");
	for (unsigned int i = 1; i <= 500; i++) {
		struct vc_request *done[64];
		unsigned int n;

		assert_int_equal(test_submit(t, 1), 1);
		n = t->resource->ops->poll(t->instance, done, 64, false);
		assert_int_equal(n, i > 8);
		for (unsigned int k = 0; k < n; k++, place++) {
			unsigned int index = (unsigned int)(fault_place(t, done[k]) - t->place);

			fault_place(t, done[k])->answers++;
			overtaken += index > place;
			/* Nobody overtakes more than a window. */
			assert_true(index <= place + 8);
		}
	}
	assert_true(overtaken > 250);
	fault_clear(t);
	test_take_all(t);
	for (unsigned int i = 0; i <= 500; i++)
		assert_done(t, i);
}

static void completions_overtake_each_other(void **state)
{
	struct test *t = *state;
	unsigned int overtaken = 0, place = 0;
	struct vc_request *done[64];

	fault_on(t, "reorder", "8");
	for (unsigned int round = 0; round < 100; round++) {
		unsigned int n;

		assert_int_equal(test_submit(t, 8), 8);
		n = t->resource->ops->poll(t->instance, done, 64, true);
		assert_int_equal(n, 8);
		for (unsigned int k = 0; k < n; k++, place++) {
			unsigned int index = (unsigned int)(fault_place(t, done[k]) - t->place);

			fault_place(t, done[k])->answers++;
			/* The fake one gives back the last one first. */
			overtaken += index != 8 * round + 7 - k;
		}
	}
	for (unsigned int i = 0; i < 800; i++)
		assert_done(t, i);
	assert_true(overtaken > 400);
}

static void what_hangs_comes_late(void **state)
{
	struct test *t = *state;

	atomic_store(&t->fake->hold, true);
	assert_int_equal(test_submit(t, 10), 10);
	fault_on(t, "hang", "yes");
	atomic_store(&t->fake->hold, false);
	assert_int_equal(test_submit(t, 10), 10);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(test_take(t, true), 0);
	/* Neither those that the other one had, nor those after them. */
	assert_int_equal(atomic_load(&t->fake->completed), 0);
	assert_int_equal(atomic_load(&t->fake->submitted), 10);
	for (unsigned int i = 0; i < 20; i++)
		assert_untouched(t, i);
	fault_clear(t);
	test_take_all(t);
	for (unsigned int i = 0; i < 20; i++)
		assert_done(t, i);
}

static void in_place(struct test *t, unsigned int i)
{
	t->place[i].req->dst = t->place[i].src;
}

static void the_dead_give_everything_back_at_once(void **state)
{
	struct test *t = *state;

	atomic_store(&t->fake->hold, true);
	in_place(t, 3);
	assert_int_equal(test_submit(t, 10), 10);
	fault_on(t, "delay", "fixed:10000000");
	assert_int_equal(test_submit(t, 10), 10);
	fault_on(t, "dead", "yes");
	assert_int_equal(test_submit(t, 10), 10);
	/* What the other one has may still be written; it is waited for. */
	assert_int_equal(test_take(t, false), 20);
	for (unsigned int i = 10; i < 30; i++)
		assert_undone(t, i);
	atomic_store(&t->fake->hold, false);
	assert_int_equal(test_take(t, false), 10);
	for (unsigned int i = 0; i < 10; i++) {
		if (i == 3)
			continue;
		assert_int_equal(t->place[i].req->status, VC_STATUS_RESOURCE);
		assert_int_equal(t->place[i].src[0], (uint8_t)i);
	}
	/* This one could not be done again. */
	assert_int_equal(t->place[3].req->status, VIRTIO_CRYPTO_OK);
	assert_int_equal(t->place[3].src[0], 3 ^ FAKE_MASK);
	assert_int_equal(fault_counters_of(t).killed, 29);
	assert_int_equal(t->instance->in_flight, 0);
}

static void the_dead_come_back_when_that_is_cleared(void **state)
{
	struct test *t = *state;
	struct session_params params = {0};
	void *handle = NULL;

	fault_on(t, "dead", "yes");
	assert_int_equal(t->resource->ops->realise(t->instance, &params, &handle), -ENOMEM);
	assert_int_equal(test_submit(t, 10), 10);
	test_take_all(t);
	fault_clear(t);
	assert_int_equal(test_submit(t, 10), 10);
	test_take_all(t);
	for (unsigned int i = 0; i < 20; i++)
		if (i < 10)
			assert_undone(t, i);
		else
			assert_done(t, i);
}

static void it_begins_after_so_many(void **state)
{
	struct test *t = *state;
	struct fault_state look;

	fault_on(t, "after", "70");
	fault_on(t, "error-rate", "1");
	assert_int_equal(test_submit(t, 60), 60);
	test_take_all(t);
	fault_look(t->resource, &look);
	assert_int_equal(look.active, 0);
	assert_int_equal(test_submit(t, 60), 60);
	test_take_all(t);
	fault_look(t->resource, &look);
	assert_int_equal(look.active, 1);
	for (unsigned int i = 0; i < 120; i++)
		if (i < 70)
			assert_done(t, i);
		else
			assert_undone(t, i);
}

static void it_ends_after_its_time(void **state)
{
	struct test *t = *state;
	uint64_t begin = clock_now_ns();

	fault_on(t, "for-ms", "30");
	fault_on(t, "hang", "yes");
	assert_int_equal(test_submit(t, 10), 10);
	test_take_all(t);
	assert_true(clock_now_ns() - begin >= 30000000);
	for (unsigned int i = 0; i < 10; i++)
		assert_done(t, i);
}

static void it_has_no_more_than_it_has_room_for(void **state)
{
	struct test *t = *state;

	fault_on(t, "hang", "yes");
	assert_int_equal(test_submit(t, MOST + 1), MOST);
	fault_clear(t);
	test_take_all(t);
	for (unsigned int i = 0; i < MOST; i++)
		assert_done(t, i);
}

static void random_settings(struct test *t, struct fault_random *dice)
{
	static const char *const some[][2] = {
		{"delay", "uniform:0-50"},
		{"delay", "exponential:20"},
		{"delay", "none"},
		{"error-rate", "0.2"},
		{"error-rate", "0"},
		{"reorder", "5"},
		{"reorder", "0"},
		{"hang", "yes"},
		{"hang", "no"},
		{"dead", "yes"},
		{"dead", "no"},
		{"refuse", "yes"},
		{"refuse", "no"},
		{"after", "7"},
		{"after", "0"},
		{"for-ms", "1"},
		{"for-ms", "0"},
		{"seed", "3"},
	};
	const unsigned int count = vc_array_size(some);
	unsigned int i = (unsigned int)(fault_random_draw(dice) * count);

	fault_on(t, some[i][0], some[i][1]);
}

static void whatever_happens_each_comes_back_once(void **state)
{
	for (unsigned int seed = 0; seed < 300; seed++) {
		struct fault_random dice;
		struct test *t;

		fault_teardown(state);
		fault_setup(state);
		t = *state;
		fault_random_seed(&dice, seed, 0);
		atomic_store(&t->fake->capacity, 1 + (unsigned int)(fault_random_draw(&dice) * 80));
		for (unsigned int step = 0; step < 100; step++) {
			if (fault_random_draw(&dice) < 0.3)
				random_settings(t, &dice);
			atomic_store(&t->fake->hold, fault_random_draw(&dice) < 0.2);
			test_submit(t, (unsigned int)(fault_random_draw(&dice) * 20));
			test_take(t, fault_random_draw(&dice) < 0.5);
		}
		atomic_store(&t->fake->hold, false);
		fault_clear(t);
		test_take_all(t);
		for (unsigned int i = 0; i < t->submitted; i++) {
			assert_int_equal(t->place[i].answers, 1);
			if (t->place[i].req->status == VC_STATUS_RESOURCE)
				assert_int_equal(t->place[i].src[0], (uint8_t)i);
			else
				assert_done(t, i);
		}
		for (unsigned int i = t->submitted; i <= MOST; i++)
			assert_int_equal(t->place[i].answers, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fault_test(without_faults_it_is_the_other_resource),
		fault_test(a_full_resource_is_full),
		fault_test(a_late_request_is_not_begun_before_its_time),
		fault_test(what_is_cleared_waits_no_longer),
		fault_test(errors_come_with_the_source_as_it_was),
		fault_test(refusal_takes_nothing),
		fault_test(sessions_are_refused_for_as_long_as_told),
		fault_test(completions_are_shuffled_in_the_window),
		fault_test(completions_overtake_each_other),
		fault_test(what_hangs_comes_late),
		fault_test(the_dead_give_everything_back_at_once),
		fault_test(the_dead_come_back_when_that_is_cleared),
		fault_test(it_begins_after_so_many),
		fault_test(it_ends_after_its_time),
		fault_test(it_has_no_more_than_it_has_room_for),
		fault_test(whatever_happens_each_comes_back_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
