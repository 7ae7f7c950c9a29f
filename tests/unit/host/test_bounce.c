/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounce buffers: apart from each other, large enough, back when given back, wiped when secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "host/bounce.h"
#include "host/request.h"

#define MANY 4096

static struct bounce *held[MANY];

/* Take buffers of a size until there are none. */
static unsigned int take_all(struct bounce_pool *pool, uint64_t size)
{
	unsigned int n = 0;

	while (n < MANY && (held[n] = bounce_get(pool, size))) {
		assert_true(held[n]->room >= size);
		assert_int_equal((uintptr_t)held[n]->space % 64, 0);
		n++;
	}
	return n;
}

static void give_all(struct bounce_pool *pool, unsigned int n)
{
	while (n)
		bounce_put(pool, held[--n]);
}

static void test_buffers_are_apart_and_come_back(void **state)
{
	struct bounce_pool *pool = bounce_pool_new(64 << 10, 4 << 20);

	assert_non_null(pool);
	for (uint64_t size = 1; size <= bounce_pool_limit(pool); size = size * 3 + 1) {
		unsigned int n = take_all(pool, size);

		assert_true(n > 0 && n < MANY);
		for (unsigned int i = 0; i < n; i++)
			memset(held[i]->space, (int)i, held[i]->room);
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(held[i]->space[0], i & 0xff);
			assert_int_equal(held[i]->space[held[i]->room - 1], i & 0xff);
		}
		give_all(pool, n);
		assert_int_equal(take_all(pool, size), n);
		give_all(pool, n);
	}
	bounce_pool_free(pool);
}

static void test_small_ones_may_use_larger_buffers(void **state)
{
	struct bounce_pool *pool = bounce_pool_new(64 << 10, 1 << 20);
	unsigned int small = take_all(pool, 100);

	/* All classes are exhausted by the smallest. */
	assert_null(bounce_get(pool, 60000));
	give_all(pool, small);
	assert_true(take_all(pool, 60000) < small);
	bounce_pool_free(pool);
}

static void test_largest_request_always_has_a_buffer(void **state)
{
	const uint32_t sizes[] = {1, 2048, 4096, 65536, 1 << 20, (16 << 20) + 1};

	for (size_t i = 0; i < vc_array_size(sizes); i++) {
		struct bounce_pool *pool = bounce_pool_new(sizes[i], 0);
		/* Data, and the segments of the longest chain. */
		uint64_t size = sizes[i] + VRING_MAX_SEGMENTS * sizeof(struct vring_segment) + 512;

		assert_non_null(pool);
		assert_true(size <= bounce_pool_limit(pool));
		struct bounce *bounce = bounce_get(pool, size);

		assert_non_null(bounce);
		bounce->space[size - 1] = 1;
		assert_null(bounce_get(pool, (uint64_t)bounce_pool_limit(pool) + 1));
		assert_null(bounce_get(pool, UINT64_MAX));
		bounce_pool_free(pool);
	}
	assert_null(bounce_pool_new(UINT32_MAX, 0));
	bounce_pool_free(NULL);
}

static void test_secrets_are_wiped(void **state)
{
	struct bounce_pool *pool = bounce_pool_new(4096, 1 << 20);
	struct bounce *bounce = bounce_get(pool, 1000), *again;

	memset(bounce->space, 0x55, 1000);
	bounce->secret = true;
	bounce->used = 1000;
	bounce_put(pool, bounce);
	again = bounce_get(pool, 1000);
	assert_ptr_equal(again, bounce);
	assert_false(again->secret);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(again->space[i], 0);
	bounce_pool_free(pool);
}

static long resident_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size, resident;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
	fclose(f);
	return resident;
}

static void test_pool_costs_nothing_until_used(void **state)
{
	long before = resident_pages();
	struct bounce_pool *pool = bounce_pool_new(1 << 20, 1 << 30);

	assert_non_null(pool);
	assert_true(resident_pages() - before < 64);
	bounce_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffers_are_apart_and_come_back),
		cmocka_unit_test(test_small_ones_may_use_larger_buffers),
		cmocka_unit_test(test_largest_request_always_has_a_buffer),
		cmocka_unit_test(test_secrets_are_wiped),
		cmocka_unit_test(test_pool_costs_nothing_until_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
