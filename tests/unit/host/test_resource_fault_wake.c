/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type fault and a worker that sleeps: whatever ends a fault, or is done late, wakes it.
 */
#include "fault_fixture.h"

#include <poll.h>

#include "base/util.h"

/* Readable within some seconds? */
static bool signalled(struct test *t, int timeout_ms)
{
	struct pollfd p = {.fd = t->resource->ops->fd(t->instance), .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

/* As a worker does before and after its sleep. */
static bool sleep_until_signalled(struct test *t)
{
	bool woken = t->resource->ops->arm(t->instance) || signalled(t, 20000);

	t->resource->ops->disarm(t->instance);
	return woken;
}

static void a_sleeper_is_woken_in_time(void **state)
{
	struct test *t = *state;
	uint64_t begin = clock_now_ns();

	fault_on(t, "delay", "fixed:50000");
	t->resource->ops->disarm(t->instance);
	assert_int_equal(test_submit(t, 1), 1);
	assert_true(sleep_until_signalled(t));
	assert_true(clock_now_ns() - begin >= 50000000);
	assert_true(clock_now_ns() - begin < 10000000000);
	test_take_all(t);
	assert_done(t, 0);
	assert_false(signalled(t, 0));
}

static void new_settings_wake_whoever_was_refused(void **state)
{
	struct test *t = *state;

	fault_on(t, "refuse", "yes");
	t->resource->ops->disarm(t->instance);
	assert_int_equal(test_submit(t, 1), 0);
	assert_false(signalled(t, 0));
	fault_clear(t);
	assert_true(signalled(t, 0));
	t->resource->ops->disarm(t->instance);
	assert_false(signalled(t, 0));
}

static void the_end_of_the_time_wakes(void **state)
{
	struct test *t = *state;

	fault_on(t, "for-ms", "20");
	fault_on(t, "refuse", "yes");
	t->resource->ops->disarm(t->instance);
	assert_int_equal(test_submit(t, 1), 0);
	assert_true(signalled(t, 20000));
	t->resource->ops->disarm(t->instance);
	assert_int_equal(test_submit(t, 1), 1);
	assert_false(signalled(t, 50));
	test_take_all(t);
}

static void the_other_one_wakes_too(void **state)
{
	struct test *t = *state;

	atomic_store(&t->fake->hold, true);
	assert_int_equal(test_submit(t, 1), 1);
	t->resource->ops->disarm(t->instance);
	assert_false(t->resource->ops->arm(t->instance));
	assert_false(signalled(t, 0));
	fake_release(t->fake);
	assert_true(sleep_until_signalled(t));
	test_take_all(t);
	assert_done(t, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fault_test(a_sleeper_is_woken_in_time),
		fault_test(new_settings_wake_whoever_was_refused),
		fault_test(the_end_of_the_time_wakes),
		fault_test(the_other_one_wakes_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
