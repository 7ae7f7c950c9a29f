/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets of the quality of service, and how workers share a limit. Time is the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/qos.h"

#define SECOND UINT64_C(1000000000)

static void bucket_gives_its_rate_however_often_it_is_filled(void **state)
{
	struct qos_bucket b = {0};
	uint64_t now = 5, given = 0, step = 7;

	bucket_set(&b, 1000, 10, now);
	while (now < 10 * SECOND) {
		now += step;
		/* From ticks to milliseconds. */
		step = step * 3 % 1000003;
		bucket_fill(&b, now, SECOND);
		assert_true(b.tokens <= 10);
		if (b.tokens > 0) {
			given += (uint64_t)b.tokens;
			b.tokens = 0;
		}
	}
	/* What it was full with, and all of ten seconds. */
	assert_in_range(given, 10000 + 10 - 2, 10000 + 10);
}

static void bucket_holds_a_burst_at_the_most(void **state)
{
	struct qos_bucket b = {0};

	bucket_set(&b, 1000000, 50, 0);
	assert_int_equal(b.tokens, 50);
	b.tokens = 0;
	bucket_fill(&b, 1000 * SECOND, SECOND);
	assert_int_equal(b.tokens, 50);
	/* A clock that jumps by as much as there is. */
	b.tokens = -1000;
	bucket_fill(&b, UINT64_MAX, SECOND);
	assert_int_equal(b.tokens, 50);
}

static void bucket_whose_clock_goes_back_gives_nothing_and_goes_on(void **state)
{
	struct qos_bucket b = {0};

	bucket_set(&b, 1000, 10, 5 * SECOND);
	b.tokens = 0;
	bucket_fill(&b, 1 * SECOND, SECOND);
	assert_int_equal(b.tokens, 0);
	bucket_fill(&b, 1 * SECOND + SECOND / 200, SECOND);
	assert_int_equal(b.tokens, 5);
}

static void bucket_waits_until_a_burst_is_worth_while(void **state)
{
	struct qos_bucket b = {0};

	bucket_set(&b, 1000000, 5000, 0);
	assert_int_equal(bucket_wait(&b, SECOND), 0);
	/* A millisecond's; and what is owed. */
	b.tokens = 0;
	assert_int_equal(bucket_wait(&b, SECOND), SECOND / 1000);
	b.tokens = -1000;
	assert_int_equal(bucket_wait(&b, SECOND), SECOND / 500);
	/* A burst that is less. */
	bucket_set(&b, 1000000, 10, 0);
	b.tokens = 0;
	assert_int_equal(bucket_wait(&b, SECOND), 10000);
	/* And it is there then. */
	bucket_fill(&b, 10000, SECOND);
	assert_int_equal(b.tokens, 10);
}

static void bucket_that_is_made_smaller_keeps_no_more(void **state)
{
	struct qos_bucket b = {0};

	bucket_set(&b, 1000000, 5000, 0);
	bucket_set(&b, 1000000, 10, 0);
	assert_int_equal(b.tokens, 10);
	/* A hundredth of a second's, where nothing is said. */
	bucket_set(&b, 200000, 0, 0);
	assert_int_equal(b.burst, 2000);
}

static void workers_share_a_limit_and_each_has_something(void **state)
{
	struct qos_limits limits = {.ops = 1000, .bytes = 2, .ops_burst = 40, .weight = 7};
	struct qos_limits share = qos_limits_share(&limits, 4);

	assert_int_equal(share.ops, 250);
	assert_int_equal(share.ops_burst, 10);
	assert_int_equal(share.bytes, 1);
	assert_int_equal(share.bytes_burst, 0);
	assert_int_equal(share.weight, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bucket_gives_its_rate_however_often_it_is_filled),
		cmocka_unit_test(bucket_holds_a_burst_at_the_most),
		cmocka_unit_test(bucket_whose_clock_goes_back_gives_nothing_and_goes_on),
		cmocka_unit_test(bucket_waits_until_a_burst_is_worth_while),
		cmocka_unit_test(bucket_that_is_made_smaller_keeps_no_more),
		cmocka_unit_test(workers_share_a_limit_and_each_has_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
