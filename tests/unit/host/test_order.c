/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order layer: out in the order of arrival, each once, as soon as it can be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "guest.h"
#include "host/order.h"

static void expect_next(struct order *order, uint32_t head, uint32_t written)
{
	struct order_entry entry;

	assert_true(order_next(order, &entry));
	assert_int_equal(entry.head, head);
	assert_int_equal(entry.written, written);
	assert_int_equal(entry.room, head + 1000);
}

static uint32_t enter(struct order *order, uint32_t head)
{
	return order_enter(order, head, head + 1000);
}

static void test_what_is_done_in_order_leaves_at_once(void **state)
{
	struct order *order = order_new(4);
	struct order_entry entry;

	for (uint32_t i = 0; i < 10; i++) {
		order_done(order, enter(order, i), 2 * i);
		expect_next(order, i, 2 * i);
		assert_false(order_next(order, &entry));
	}
	free(order);
}

static void test_the_oldest_holds_up_the_others(void **state)
{
	struct order *order = order_new(4);
	struct order_entry entry;
	uint32_t ticket[4];

	for (uint32_t i = 0; i < 4; i++)
		ticket[i] = enter(order, i);
	for (uint32_t i = 3; i > 0; i--) {
		order_done(order, ticket[i], i);
		assert_false(order_next(order, &entry));
	}
	assert_int_equal(order_in_flight(order), 4);
	order_done(order, ticket[0], 0);
	for (uint32_t i = 0; i < 4; i++)
		expect_next(order, i, i);
	assert_int_equal(order_in_flight(order), 0);
	assert_false(order_next(order, &entry));
	free(order);
}

static void test_a_place_used_again_is_not_done(void **state)
{
	struct order *order = order_new(1);
	struct order_entry entry;

	order_done(order, enter(order, 1), 1);
	expect_next(order, 1, 1);
	enter(order, 2);
	assert_false(order_next(order, &entry));
	free(order);
}

/* Finished in random order, with never more in flight than there is room for, over a wrap of the
 * tickets. 37 is no power of two: packed rings need not be one. */
static void test_random_completions_leave_in_order(void **state)
{
	enum { MOST = 37 };
	struct order *order = order_new(MOST);
	uint32_t ticket[MOST], head[MOST], held = 0, entered = 0, left = 0;
	struct order_entry entry;
	uint64_t seed = 3;

	order->first = order->next = UINT32_MAX - 1000;
	while (left < 100000) {
		while (order_in_flight(order) < MOST && guest_random(&seed) % 8) {
			head[held] = entered;
			ticket[held++] = enter(order, entered++);
		}
		if (held) {
			uint32_t pick = guest_random(&seed) % held--;

			order_done(order, ticket[pick], head[pick] ^ 0x5555);
			ticket[pick] = ticket[held];
			head[pick] = head[held];
		}
		while (order_next(order, &entry)) {
			assert_int_equal(entry.head, left);
			assert_int_equal(entry.written, left ^ 0x5555);
			left++;
		}
		/* What has not left waits for one that is not done. */
		assert_true(order_in_flight(order) == 0 || held);
	}
	free(order);
}

static void test_only_whose_turn_it_is_passes_by(void **state)
{
	struct order *order = order_new(4);
	uint32_t ticket[3], room = 0;

	for (uint32_t i = 0; i < 3; i++)
		ticket[i] = enter(order, i);
	assert_false(order_turn(order, ticket[1], &room));
	assert_int_equal(room, 0);
	order_done(order, ticket[1], 0);
	assert_false(order_ready(order));
	assert_true(order_turn(order, ticket[0], &room));
	assert_int_equal(room, 1000);
	assert_true(order_ready(order));
	expect_next(order, 1, 0);
	assert_true(order_turn(order, ticket[2], &room));
	assert_int_equal(order_in_flight(order), 0);
	assert_false(order_ready(order));
	free(order);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_done_in_order_leaves_at_once),
		cmocka_unit_test(test_only_whose_turn_it_is_passes_by),
		cmocka_unit_test(test_the_oldest_holds_up_the_others),
		cmocka_unit_test(test_a_place_used_again_is_not_done),
		cmocka_unit_test(test_random_completions_leave_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
