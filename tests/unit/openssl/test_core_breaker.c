/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a daemon that does not answer is left alone, and tried again: breaker.c, by a clock of our
 * own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "openssl/core/internal.h"

#define MS UINT64_C(1000000)
#define PROBE (500 * MS)

/* Opened at this time: the first pause is 100 ms. */
static void open_at(struct breaker *breaker, uint64_t now)
{
	for (unsigned int i = 1; i < BREAKER_SILENCES; i++)
		assert_false(breaker_silence(breaker, now, false));
	assert_true(breaker_silence(breaker, now, false));
}

static void closed_until_some_are_silent_in_a_row(void **state)
{
	struct breaker breaker = {0};

	(void)state;
	for (unsigned int round = 0; round < 10; round++) {
		for (unsigned int i = 1; i < BREAKER_SILENCES; i++)
			assert_false(breaker_silence(&breaker, 5 * MS, false));
		breaker_answered(&breaker);
		assert_int_equal(breaker_pass(&breaker, 6 * MS, PROBE), BREAKER_CLOSED);
	}
	open_at(&breaker, 7 * MS);
	assert_false(breaker_closed(&breaker));
	assert_int_equal(breaker_pass(&breaker, 8 * MS, PROBE), BREAKER_OPEN);
	assert_true(breaker_refuses(&breaker, 106 * MS));
	assert_false(breaker_refuses(&breaker, 107 * MS));
}

static void one_probe_at_a_time(void **state)
{
	struct breaker breaker = {0};

	(void)state;
	open_at(&breaker, 0);
	assert_int_equal(breaker_pass(&breaker, 100 * MS, PROBE), BREAKER_PROBE);
	assert_int_equal(breaker_pass(&breaker, 100 * MS, PROBE), BREAKER_OPEN);
	assert_int_equal(breaker_pass(&breaker, 599 * MS, PROBE), BREAKER_OPEN);
	/* Nothing was heard of it. */
	assert_int_equal(breaker_pass(&breaker, 600 * MS, PROBE), BREAKER_PROBE);
	breaker_answered(&breaker);
	assert_true(breaker_closed(&breaker));
	assert_int_equal(breaker_pass(&breaker, 601 * MS, PROBE), BREAKER_CLOSED);
}

static void pauses_double_up_to_five_seconds(void **state)
{
	static const unsigned int pauses[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
	struct breaker breaker = {0};
	uint64_t now = 0;

	(void)state;
	open_at(&breaker, now);
	for (size_t i = 0; i < vc_array_size(pauses); i++) {
		now += pauses[i] * MS;
		assert_true(breaker_refuses(&breaker, now - 1));
		assert_int_equal(breaker_pass(&breaker, now, PROBE), BREAKER_PROBE);
		now += 250 * MS;
		assert_true(breaker_silence(&breaker, now, true));
	}
	/* The next time it begins anew. */
	breaker_answered(&breaker);
	open_at(&breaker, now);
	assert_false(breaker_refuses(&breaker, now + 100 * MS));
}

static void what_was_begun_before_says_nothing_new(void **state)
{
	struct breaker breaker = {0};

	(void)state;
	open_at(&breaker, 0);
	for (unsigned int i = 0; i < 100; i++)
		assert_false(breaker_silence(&breaker, 50 * MS, false));
	assert_false(breaker_refuses(&breaker, 100 * MS));
}

static void any_answer_closes_it(void **state)
{
	struct breaker breaker = {0};

	(void)state;
	open_at(&breaker, 0);
	breaker_answered(&breaker);
	assert_int_equal(breaker_pass(&breaker, 1 * MS, PROBE), BREAKER_CLOSED);
	assert_false(breaker_silence(&breaker, 2 * MS, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closed_until_some_are_silent_in_a_row),
		cmocka_unit_test(one_probe_at_a_time),
		cmocka_unit_test(pauses_double_up_to_five_seconds),
		cmocka_unit_test(what_was_begun_before_says_nothing_new),
		cmocka_unit_test(any_answer_closes_it),
	};

	return cmocka_run_group_tests_name("core-breaker", tests, NULL, NULL);
}
