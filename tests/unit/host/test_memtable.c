/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: what may be a region, how addresses become pointers, and what happens when a file
 * is cut short under us.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/memguard.h"
#include "host/memtable.h"

#define FILE_SIZE (1u << 20)

/* A file whose every 8 bytes hold their own offset. */
static int make_file(size_t size)
{
	int fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint64_t *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	for (size_t i = 0; i < size / 8; i++)
		p[i] = i * 8;
	munmap(p, size);
	return fd;
}

/* Replace *table by one with a region more. */
static int add(struct memtable **table, int fd, uint64_t guest, uint64_t user, uint64_t size,
               uint64_t offset)
{
	const struct vhost_user_mem_region region = {guest, size, user, offset};
	struct memtable *result;
	int rc = memtable_with(*table, &region, fd, &result);

	if (!rc) {
		memtable_free(*table);
		*table = result;
	}
	return rc;
}

static uint64_t value_at(const struct memtable *table, uint64_t guest)
{
	const struct memregion *hint = NULL;
	uint8_t *p = memtable_translate(table, &hint, guest, 8);
	uint64_t value;

	if (!p)
		return UINT64_MAX;
	memcpy(&value, p, 8);
	return value;
}

static void test_addresses_become_pointers(void **state)
{
	struct memtable *t = memtable_new();
	int fd = make_file(FILE_SIZE);

	/* Not in order, offsets that no page begins at, a gap between. */
	assert_int_equal(add(&t, fd, 0x40000000, 0x9000, 0x8000, 0x10008), 0);
	assert_int_equal(add(&t, fd, 0x1000, 0x20000, 0x1000, 0), 0);
	assert_int_equal(add(&t, fd, 0x2000, 0x30000, 0x1000, 0x5000), 0);
	assert_int_equal(t->count, 3);
	for (unsigned int i = 1; i < t->count; i++)
		assert_true(t->region[i - 1].guest_addr < t->region[i].guest_addr);
	assert_int_equal(value_at(t, 0x1000), 0);
	assert_int_equal(value_at(t, 0x1ff8), 0xff8);
	assert_int_equal(value_at(t, 0x2000), 0x5000);
	assert_int_equal(value_at(t, 0x40000000), 0x10008);
	assert_int_equal(value_at(t, 0x40007ff8), 0x18000);
	/* Across the end, in the gap, before, behind. */
	assert_int_equal(value_at(t, 0x1ff9), UINT64_MAX);
	assert_int_equal(value_at(t, 0x3000), UINT64_MAX);
	assert_int_equal(value_at(t, 0xfff), UINT64_MAX);
	assert_int_equal(value_at(t, 0x40008000), UINT64_MAX);
	assert_int_equal(value_at(t, UINT64_MAX - 3), UINT64_MAX);
	assert_int_equal(*(uint64_t *)memtable_user(t, 0x9000 + 8, 8), 0x10010);
	assert_null(memtable_user(t, 0x9000 + 0x7fff, 2));
	assert_null(memtable_user(t, 0x8fff, 1));
	assert_null(memtable_user(t, UINT64_MAX, UINT64_MAX));
	assert_null(memtable_user(t, 0x9000, UINT64_MAX));
	memtable_free(t);
	close(fd);
}

static void test_hint_of_another_region_does_not_mislead(void **state)
{
	struct memtable *t = memtable_new();
	const struct memregion *hint = NULL;
	int fd = make_file(FILE_SIZE);

	assert_int_equal(add(&t, fd, 0x1000, 0, 0x1000, 0), 0);
	assert_int_equal(add(&t, fd, 0x5000, 0x8000, 0x1000, 0x2000), 0);
	for (int i = 0; i < 4; i++) {
		assert_non_null(memtable_translate(t, &hint, 0x1800, 8));
		assert_null(memtable_translate(t, &hint, 0x2000, 1));
		assert_non_null(memtable_translate(t, &hint, 0x5ff8, 8));
		assert_null(memtable_translate(t, &hint, 0x5ff8, 9));
	}
	memtable_free(t);
	close(fd);
}

static void test_regions_that_are_none(void **state)
{
	struct memtable *t = memtable_new();
	int fd = make_file(FILE_SIZE), pair[2];

	assert_int_equal(add(&t, fd, 0x10000, 0x10000, 0x10000, 0), 0);
	/* Nothing, wrapping, larger than the file. */
	assert_int_equal(add(&t, fd, 0x100000, 0, 0, 0), -EINVAL);
	assert_int_equal(add(&t, fd, UINT64_MAX - 0xffe, 0, 0x1000, 0), -EINVAL);
	assert_int_equal(add(&t, fd, 0x100000, UINT64_MAX - 0xffe, 0x1000, 0), -EINVAL);
	assert_int_equal(add(&t, fd, 0x100000, 0, 0x1000, UINT64_MAX - 0xfff), -EINVAL);
	assert_int_equal(add(&t, fd, 0x100000, 0, UINT64_MAX, 0x1000), -EINVAL);
	assert_int_equal(add(&t, fd, 0x100000, 0, FILE_SIZE + 1, 0), -EINVAL);
	assert_int_equal(add(&t, fd, 0x100000, 0, 0x1000, FILE_SIZE - 0xfff), -EINVAL);
	/* Overlapping in the guest: same, inside, around, at either end. */
	assert_int_equal(add(&t, fd, 0x10000, 0x100000, 0x10000, 0), -EINVAL);
	assert_int_equal(add(&t, fd, 0x14000, 0x100000, 0x1000, 0), -EINVAL);
	assert_int_equal(add(&t, fd, 0x8000, 0x100000, 0x20000, 0), -EINVAL);
	assert_int_equal(add(&t, fd, 0x8000, 0x100000, 0x8001, 0), -EINVAL);
	assert_int_equal(add(&t, fd, 0x1ffff, 0x100000, 0x1000, 0), -EINVAL);
	/* No file that could be mapped. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(add(&t, pair[0], 0x100000, 0, 0x1000, 0), -EINVAL);
	assert_true(add(&t, -1, 0x100000, 0, 0x1000, 0) < 0);
	assert_int_equal(t->count, 1);
	/* The last byte of all is allowed, and so is what touches. */
	assert_int_equal(add(&t, fd, UINT64_MAX - 0xfff, 0x200000, 0x1000, 0), 0);
	assert_int_equal(add(&t, fd, 0x20000, 0x300000, 0x1000, 0), 0);
	memtable_free(t);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

static void test_tables_share_mappings(void **state)
{
	const struct vhost_user_mem_region a = {0x1000, 0x1000, 0, 0};
	const struct vhost_user_mem_region other_size = {0x1000, 0x2000, 0, 0};
	struct memtable *t = memtable_new(), *without, *empty;
	int fd = make_file(FILE_SIZE);

	assert_int_equal(add(&t, fd, 0x1000, 0, 0x1000, 0), 0);
	assert_int_equal(add(&t, fd, 0x8000, 0x8000, 0x1000, 0x1000), 0);
	close(fd);
	assert_int_equal(memtable_without(t, &other_size, &without), -ENOENT);
	assert_int_equal(memtable_without(t, &a, &without), 0);
	assert_int_equal(without->count, 1);
	/* The same mapping in both, alive as long as one of them is. */
	assert_ptr_equal(without->region[0].host, t->region[1].host);
	memtable_free(t);
	assert_int_equal(value_at(without, 0x8008), 0x1008);
	assert_int_equal(value_at(without, 0x1008), UINT64_MAX);
	assert_int_equal(memtable_without(without, &a, &empty), -ENOENT);
	memtable_free(without);
	memtable_free(NULL);
}

static void test_difference_of_tables(void **state)
{
	const struct vhost_user_mem_region region = {0x5000, 0x1000, 0x8000, 0};
	struct memtable *t = memtable_new(), *less, *anew, *gone;
	int fd = make_file(FILE_SIZE);
	uint8_t *p;

	assert_int_equal(add(&t, fd, 0x1000, 0, 0x1000, 0), 0);
	assert_int_equal(add(&t, fd, 0x5000, 0x8000, 0x1000, 0x2000), 0);
	assert_int_equal(add(&t, fd, 0x9000, 0x20000, 0x1000, 0x4000), 0);
	assert_int_equal(memtable_without(t, &region, &less), 0);
	gone = memtable_minus(t, less);
	assert_int_equal(gone->count, 1);
	p = gone->region[0].host;
	assert_int_equal(gone->region[0].guest_addr, 0x5000);
	/* What is mapped anew at the same address is another region. */
	assert_int_equal(memtable_with(less, &region, fd, &anew), 0);
	memtable_free(gone);
	gone = memtable_minus(t, anew);
	assert_int_equal(gone->count, 1);
	assert_ptr_equal(gone->region[0].host, p);
	/* It keeps the mapping. */
	memtable_free(t);
	assert_int_equal(*(uint64_t *)p, 0x2000);
	assert_true(memtable_holds(gone, p, 1));
	assert_true(memtable_holds(gone, p + 0xfff, 1));
	assert_true(memtable_holds(gone, p - 1, 2));
	assert_true(memtable_holds(gone, p - 1, 0x1002));
	assert_false(memtable_holds(gone, p - 1, 1));
	assert_false(memtable_holds(gone, p + 0x1000, 1));
	assert_false(memtable_holds(gone, p, 0));
	assert_false(memtable_holds(gone, NULL, 1));
	memtable_free(gone);
	gone = memtable_minus(less, anew);
	assert_int_equal(gone->count, 0);
	memtable_free(gone);
	memtable_free(less);
	memtable_free(anew);
	close(fd);
}

static void test_table_is_full_at_its_limit(void **state)
{
	struct memtable *t = memtable_new();
	int fd = make_file(FILE_SIZE);

	for (unsigned int i = 0; i < MEMTABLE_MAX_REGIONS; i++)
		assert_int_equal(add(&t, fd, i * 0x2000ull, i * 0x2000ull, 0x1000, 0), 0);
	assert_int_equal(add(&t, fd, 0x10000000, 0x10000000, 0x1000, 0), -ENOSPC);
	for (unsigned int i = 0; i < MEMTABLE_MAX_REGIONS; i++) {
		assert_ptr_equal(memtable_find(t, i * 0x2000ull + 5), &t->region[i]);
		assert_null(memtable_find(t, i * 0x2000ull + 0x1005));
	}
	memtable_free(t);
	close(fd);
}

/* ---- the guard ---- */

#define WRITERS 4

/* Each thread has its own bytes of each page. */
static void *write_all(void *memory)
{
	for (size_t i = 0; i < FILE_SIZE - WRITERS; i += 512)
		((volatile uint8_t *)memory)[i] = 1;
	return NULL;
}

static void test_file_cut_short_breaks_its_table_only(void **state)
{
	struct memtable *good = memtable_new(), *bad = memtable_new();
	int good_fd = make_file(FILE_SIZE), bad_fd = make_file(FILE_SIZE);
	pthread_t threads[WRITERS];

	assert_int_equal(memtable_guard_install(), 0);
	assert_int_equal(add(&good, good_fd, 0x1000, 0, FILE_SIZE, 0), 0);
	assert_int_equal(add(&bad, bad_fd, 0x1000, 0, FILE_SIZE, 0), 0);
	assert_false(memtable_broken(bad));
	assert_int_equal(ftruncate(bad_fd, 0x4000), 0);
	/* What is still there may be used. */
	assert_int_equal(value_at(bad, 0x1008), 8);
	assert_false(memtable_broken(bad));
	/* Several threads run into the hole at once. */
	for (size_t i = 0; i < vc_array_size(threads); i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, write_all, bad->region[0].host + i), 0);
	for (size_t i = 0; i < vc_array_size(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(memtable_broken(bad));
	assert_false(memtable_broken(good));
	assert_int_equal(value_at(good, 0x1000 + 0x8000), 0x8000);
	/* A copy of the table is as broken. */
	assert_int_equal(add(&bad, good_fd, 0x10000000, 0x10000000, 0x1000, 0), 0);
	assert_true(memtable_broken(bad));
	memtable_free(bad);
	memtable_free(good);
	close(good_fd);
	close(bad_fd);
}

static void test_guard_is_taken_away_with_the_mapping(void **state)
{
	struct memtable *t = memtable_new();
	int fd = make_file(FILE_SIZE);

	/* Far more mappings in turn than there are guards at once. */
	for (int i = 0; i < 20000; i++) {
		const struct vhost_user_mem_region region = {0x1000, 0x1000, 0, 0};
		struct memtable *one;

		assert_int_equal(memtable_with(t, &region, fd, &one), 0);
		memtable_free(one);
	}
	memtable_free(t);
	close(fd);
}

/* A child that must die of SIGBUS. */
static void expect_sigbus(void (*crash)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		memtable_guard_install();
		crash();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void touch_a_hole_that_is_not_ours(void)
{
	int fd = memfd_create("hole", 0);
	volatile uint8_t *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	(void)*p;
}

static void send_sigbus(void)
{
	kill(getpid(), SIGBUS);
}

static void test_other_faults_kill_as_ever(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* the sanitizers report a crash in their own way */
#endif
	expect_sigbus(touch_a_hole_that_is_not_ours);
	expect_sigbus(send_sigbus);
}

/* ---- who is told of mappings ---- */

static struct {
	void *base;
	size_t length;
	unsigned int added, removed;
	int answer;
} told;

static int on_added(void *context, void *base, size_t length)
{
	assert_ptr_equal(context, &told);
	told.base = base;
	told.length = length;
	told.added++;
	return told.answer;
}

static void on_removed(void *context, void *base, size_t length)
{
	assert_ptr_equal(context, &told);
	assert_ptr_equal(base, told.base);
	assert_int_equal(length, told.length);
	/* It is still there. */
	assert_int_equal(((volatile uint64_t *)base)[0], 0);
	told.removed++;
}

static const struct memmap_observer observer = {&told, on_added, on_removed};

static void test_mappings_are_told_of_while_they_last(void **state)
{
	struct memtable *t = memtable_new(), *more;
	const struct vhost_user_mem_region region = {0x8000, 0x1000, 0x8000, 0x2000};
	int fd = make_file(FILE_SIZE);

	memset(&told, 0, sizeof(told));
	memmap_observe(&observer);
	assert_int_equal(add(&t, fd, 0x1000, 0x1000, 0x3000, 0), 0);
	assert_int_equal(told.added, 1);
	assert_int_equal(told.length, 0x3000);
	assert_ptr_equal(told.base, t->region[0].host);
	/* Another table of the same mapping: nothing new, and nothing gone before both are. */
	told.answer = -ENOMEM;
	assert_int_equal(memtable_with(t, &region, fd, &more), -ENOMEM);
	assert_int_equal(told.added, 2);
	assert_int_equal(told.removed, 0);
	told.base = t->region[0].host;
	told.length = 0x3000;
	memtable_free(t);
	assert_int_equal(told.removed, 1);
	memmap_observe(NULL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_become_pointers),
		cmocka_unit_test(test_hint_of_another_region_does_not_mislead),
		cmocka_unit_test(test_regions_that_are_none),
		cmocka_unit_test(test_tables_share_mappings),
		cmocka_unit_test(test_difference_of_tables),
		cmocka_unit_test(test_table_is_full_at_its_limit),
		cmocka_unit_test(test_file_cut_short_breaks_its_table_only),
		cmocka_unit_test(test_guard_is_taken_away_with_the_mapping),
		cmocka_unit_test(test_other_faults_kill_as_ever),
		cmocka_unit_test(test_mappings_are_told_of_while_they_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
