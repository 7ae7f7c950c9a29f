/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator and the table of regions.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtio/memory.h"

#define PAGES 256

struct fixture {
	struct arena arena;
	void *base;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = aligned_alloc(4096, PAGES * 4096);
	memset(f->base, 0, PAGES * 4096);
	*state = f;
	return arena_init(&f->arena, f->base, PAGES * 4096);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	arena_fini(&f->arena);
	free(f->base);
	free(f);
	return 0;
}

static bool is_zero(const uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

static void memory_is_aligned_zeroed_and_wiped(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = {1, 64, 65, 700, 2048, 2049, 4096, 4097, 100000};

	for (unsigned int round = 0; round < 3; round++) {
		uint8_t *p[vc_array_size(sizes)];

		for (size_t i = 0; i < vc_array_size(sizes); i++) {
			p[i] = arena_alloc(&f->arena, sizes[i]);
			assert_non_null(p[i]);
			assert_int_equal((uintptr_t)p[i] % 64, 0);
			assert_true(is_zero(p[i], sizes[i]));
			memset(p[i], 0xa5, sizes[i]);
		}
		for (size_t i = 0; i < vc_array_size(sizes); i++)
			assert_int_equal(arena_free(&f->arena, p[i]), 0);
		assert_true(is_zero(f->base, PAGES * 4096));
	}
}

/* For the address sanitizer: nothing of its own is used after it was freed, nor kept. */
static void an_arena_may_end_with_memory_given_out(void **state)
{
	struct fixture *f = *state;

	/* Neighbours: slabs of several classes, twice, and a run of pages in between. */
	for (unsigned int round = 0; round < 2; round++) {
		for (size_t size = 64; size <= 2048; size *= 2)
			for (unsigned int i = 0; i < 10; i++)
				assert_non_null(arena_alloc(&f->arena, size));
		assert_non_null(arena_alloc(&f->arena, 10000));
	}
	arena_fini(&f->arena);
	assert_null(f->arena.slab);
	assert_null(arena_alloc(&f->arena, 10000));
}

static void everything_freed_is_one_piece_again(void **state)
{
	struct fixture *f = *state;
	void *p[PAGES];
	unsigned int n = 0;

	while (n < PAGES && (p[n] = arena_alloc(&f->arena, 4096)))
		n++;
	/* Nearly all of it: one unit of 17 goes to keep them apart. */
	assert_in_range(n, PAGES * 16 / 17, PAGES - 1);
	assert_null(arena_alloc(&f->arena, 1));
	/* In an order that joins to the left, to the right and to both sides. */
	for (unsigned int i = 0; i < n; i += 2)
		assert_int_equal(arena_free(&f->arena, p[i]), 0);
	assert_null(arena_alloc(&f->arena, 8192));
	for (unsigned int i = 1; i < n; i += 2)
		assert_int_equal(arena_free(&f->arena, p[i]), 0);
	void *all = arena_alloc(&f->arena, PAGES * 4096);

	assert_ptr_equal(all, f->base);
	assert_int_equal(arena_free(&f->arena, all), 0);
}

/* However long they are, 16 of one length, one after the other, do not begin at the same place of a
 * page: no more than four of them, which is what a first cache has room for many times over. */
static void buffers_of_one_size_begin_at_different_places(void **state)
{
	struct fixture *f = *state;

	for (size_t size = 1024; size <= 16384; size += 512) {
		unsigned int at[4096 / 64] = {0};
		uint8_t *p[16];

		for (unsigned int i = 0; i < 16; i++) {
			assert_non_null(p[i] = arena_alloc(&f->arena, size));
			assert_in_range(++at[(uintptr_t)p[i] % 4096 / 64], 1, 4);
		}
		for (unsigned int i = 0; i < 16; i++)
			assert_int_equal(arena_free(&f->arena, p[i]), 0);
	}
}

static void wrong_pointers_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t *small = arena_alloc(&f->arena, 100), *two = arena_alloc(&f->arena, 8192);
	uint8_t *next = arena_alloc(&f->arena, 8192), other;

	assert_int_equal(arena_free(&f->arena, &other), -EINVAL);
	assert_int_equal(arena_free(&f->arena, small + 64), -EINVAL);
	assert_int_equal(arena_free(&f->arena, two + 64), -EINVAL);
	assert_int_equal(arena_free(&f->arena, two + 256), -EINVAL);
	assert_int_equal(arena_free(&f->arena, two), 0);
	assert_int_equal(arena_free(&f->arena, two), -EINVAL);
	assert_int_equal(arena_free(&f->arena, next), 0);
	assert_int_equal(arena_free(&f->arena, next), -EINVAL);
	assert_int_equal(arena_free(&f->arena, small), 0);
	assert_int_equal(arena_free(&f->arena, small), -EINVAL);
	assert_null(arena_alloc(&f->arena, 0));
	assert_null(arena_alloc(&f->arena, SIZE_MAX));
}

/* Random sizes and lifetimes: pieces never overlap, each keeps its own pattern. */
static void pieces_never_overlap(void **state)
{
	struct fixture *f = *state;
	struct {
		uint8_t *p;
		size_t size;
	} live[64] = {0};
	uint32_t seed = 12345;

	for (unsigned int step = 0; step < 20000; step++) {
		seed = seed * 1664525 + 1013904223;
		unsigned int i = (seed >> 8) % 64;

		if (live[i].p) {
			for (size_t k = 0; k < live[i].size; k++)
				assert_int_equal(live[i].p[k], i + 1);
			assert_int_equal(arena_free(&f->arena, live[i].p), 0);
			live[i].p = NULL;
			continue;
		}
		live[i].size =
			(seed >> 16) % 4 ? (seed >> 14) % 3000 + 1 : (seed >> 14) % 40000 + 1;
		live[i].p = arena_alloc(&f->arena, live[i].size);
		if (live[i].p) {
			assert_true(is_zero(live[i].p, live[i].size));
			memset(live[i].p, (int)i + 1, live[i].size);
		}
	}
	for (unsigned int i = 0; i < 64; i++)
		if (live[i].p)
			assert_int_equal(arena_free(&f->arena, live[i].p), 0);
	assert_true(is_zero(f->base, PAGES * 4096));
	assert_non_null(arena_alloc(&f->arena, PAGES * 4096));
}

static void regions_hold_what_they_say(void **state)
{
	struct regions r = {0};
	struct region_hints h = {0};
	uint8_t *a = (uint8_t *)0x10000000, *b = (uint8_t *)0x20000000;

	assert_false(regions_contain(&r, &h, a, 1));
	assert_int_equal(regions_add(&r, a, 0x10000), 0);
	assert_int_equal(regions_add(&r, b, 0x10000), 0);
	assert_true(regions_contain(&r, &h, a, 0x10000));
	assert_true(regions_contain(&r, &h, b + 0xffff, 1));
	assert_false(regions_contain(&r, &h, a, 0x10001));
	assert_false(regions_contain(&r, &h, a + 0x10000, 1));
	assert_false(regions_contain(&r, &h, a - 1, 2));
	assert_false(regions_contain(&r, &h, b + 0x8000, SIZE_MAX));
	assert_int_equal(regions_size(&r, b), 0x10000);
	regions_remove(&r, b);
	assert_false(regions_contain(&r, &h, b, 1));
	assert_int_equal(regions_size(&r, b), 0);
}

static void bad_regions_are_refused(void **state)
{
	struct regions r = {0};
	uint8_t *a = (uint8_t *)0x10000000;

	assert_int_equal(regions_add(&r, a, 0), -EINVAL);
	assert_int_equal(regions_add(&r, a, SIZE_MAX), -EINVAL);
	assert_int_equal(regions_add(&r, a, 0x2000), 0);
	assert_int_equal(regions_add(&r, a + 0x1000, 0x2000), -EINVAL);
	assert_int_equal(regions_add(&r, a - 0x1000, 0x10000), -EINVAL);
	for (unsigned int i = 1; i < REGIONS_MAX; i++)
		assert_int_equal(regions_add(&r, a + i * 0x10000ul, 0x1000), 0);
	assert_int_equal(regions_add(&r, a + 0x10000000, 0x1000), -ENOSPC);
	regions_remove(&r, a);
	assert_int_equal(regions_add(&r, a + 0x10000000, 0x1000), 0);
}

static void our_memory_cannot_be_cut_short(void **state)
{
	struct shared_region r = {.fd = -1};

	assert_int_equal(shared_region_create(10000, -1, &r), 0);
	assert_int_equal(r.size, 12288);
	assert_true(is_zero(r.base, r.size));
	assert_int_equal(ftruncate(r.fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	shared_region_destroy(&r);
	assert_int_equal(r.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(memory_is_aligned_zeroed_and_wiped, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(an_arena_may_end_with_memory_given_out, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(everything_freed_is_one_piece_again, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(buffers_of_one_size_begin_at_different_places,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_pointers_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(pieces_never_overlap, setup, teardown),
		cmocka_unit_test(regions_hold_what_they_say),
		cmocka_unit_test(bad_regions_are_refused),
		cmocka_unit_test(our_memory_cannot_be_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
