/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Costs of requests, learnt from how long rounds of mixed requests take.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/qos.h"

#define TICKS_PER_US 1000u

static void costs_are_learnt_from_rounds_of_mixed_requests(void **state)
{
	static struct cost_model m;
	uint64_t seed = 1;
	unsigned int class[2];

	cost_init(&m, TICKS_PER_US);
	for (unsigned int i = 0; i < 2; i++) {
		struct cost_key key = {{(uint8_t)(i + 1)}};

		class[i] = cost_class(&m, &key, 1, 0);
		assert_int_equal(cost_class(&m, &key, 1, 0), class[i]);
	}
	for (unsigned int round = 0; round < 20000; round++) {
		uint64_t ticks = 0, first = seed >> 35 & 15;

		for (unsigned int i = 0; i < 16; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			if (i < first) {
				cost_take(&m, class[0], false, 64);
				ticks += 40;
			} else {
				uint32_t length = 16384 + (uint32_t)(seed >> 48) % 16384;

				cost_take(&m, class[1], false, length);
				ticks += 300 + length / 10;
			}
		}
		/* Every now and then the worker has to wait. */
		cost_round(&m, seed >> 50 & 63 ? ticks : ticks + 1000000);
	}
	assert_in_range(cost_take(&m, class[0], false, 64), 35, 48);
	assert_in_range(cost_take(&m, class[1], false, 20000), 2150, 2500);
}

static void classes_that_are_too_many_share_one(void **state)
{
	static struct cost_model m;

	cost_init(&m, TICKS_PER_US);
	for (unsigned int i = 0; i < 200; i++) {
		struct cost_key key = {{(uint8_t)i, 1}};
		unsigned int class = cost_class(&m, &key, 1, 0);

		assert_true(class < COST_CLASSES);
		assert_true(i < COST_CLASSES - 2 || class == COST_OTHERS);
	}
}

/* Costs stay what can be added up, whatever is measured. */
static void costs_have_bounds(void **state)
{
	static struct cost_model m;
	struct cost_key key = {{1}};
	unsigned int class;

	cost_init(&m, TICKS_PER_US);
	class = cost_class(&m, &key, 1, 0);
	for (unsigned int i = 0; i < 100000; i++) {
		cost_take(&m, class, false, 1 << 20);
		cost_round(&m, UINT64_MAX);
	}
	assert_true(cost_take(&m, class, false, 1 << 20) < INT64_MAX / 65536);
	cost_round(&m, 0);
	for (unsigned int i = 0; i < 100000; i++) {
		cost_take(&m, class, false, 1 << 20);
		cost_round(&m, 1);
	}
	assert_true(cost_take(&m, class, false, 1 << 20) >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(costs_are_learnt_from_rounds_of_mixed_requests),
		cmocka_unit_test(classes_that_are_too_many_share_one),
		cmocka_unit_test(costs_have_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
