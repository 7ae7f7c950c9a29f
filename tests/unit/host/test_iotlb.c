/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's IOMMU as the host sees it: entries that come, go and push each other out, and the
 * views of memory made of them. Rings with chains that name what a view does not have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "guest.h"
#include "guest_packed.h"
#include "host/iotlb.h"
#include "host/ring_window.h"

#define PAGE 4096u
#define IOVA 0x7fff0000u

static uint64_t user_page(unsigned int n)
{
	return GUEST_USER + (uint64_t)n * PAGE;
}

static uint8_t *at(const struct memtable *table, uint64_t addr, uint32_t len)
{
	const struct memregion *hint = NULL;

	return memtable_translate(table, &hint, addr, len);
}

struct fixture {
	struct guest guest;
	struct iotlb *iotlb;
	struct memtable *view;
};

static void fixture_open(struct fixture *f)
{
	guest_open(&f->guest, 16, 0, false);
	f->iotlb = iotlb_new();
	assert_non_null(f->iotlb);
	f->view = NULL;
}

static void fixture_close(struct fixture *f)
{
	memtable_free(f->view);
	iotlb_free(f->iotlb);
	guest_close(&f->guest);
}

static const struct memtable *view(struct fixture *f)
{
	memtable_free(f->view);
	f->view = iotlb_view(f->iotlb, f->guest.table);
	assert_non_null(f->view);
	return f->view;
}

/* Page n of the guest's memory at an address. */
static void map(struct fixture *f, uint64_t iova, unsigned int n, bool writable)
{
	assert_int_equal(iotlb_update(f->iotlb, iova, PAGE, user_page(n), writable), 0);
}

static uint8_t *page(const struct fixture *f, unsigned int n)
{
	return f->guest.table->region[0].host + (size_t)n * PAGE;
}

static void test_neighbours_become_one_region(void **state)
{
	struct fixture f;

	fixture_open(&f);
	map(&f, IOVA + 2 * PAGE, 9, true);
	map(&f, IOVA, 7, true);
	map(&f, IOVA + PAGE, 8, true);
	map(&f, IOVA + 3 * PAGE, 20, true);
	assert_int_equal(view(&f)->count, 2);
	assert_ptr_equal(at(f.view, IOVA + 5, 3 * PAGE - 5), page(&f, 7) + 5);
	assert_null(at(f.view, IOVA + 5, 3 * PAGE));
	assert_ptr_equal(at(f.view, IOVA + 3 * PAGE, PAGE), page(&f, 20));
	/* Rings are found by the same addresses. */
	assert_ptr_equal(memtable_user(f.view, IOVA, 2 * PAGE), page(&f, 7));
	assert_null(memtable_user(f.view, user_page(7), 1));
	fixture_close(&f);
}

static void test_entries_come_and_go(void **state)
{
	struct fixture f;

	fixture_open(&f);
	for (unsigned int i = 0; i < 8; i++)
		map(&f, IOVA + i * PAGE, i, true);
	/* In part: the whole entry goes. */
	iotlb_invalidate(f.iotlb, IOVA + 2 * PAGE + 1, PAGE);
	assert_int_equal(iotlb_count(f.iotlb), 6);
	assert_null(at(view(&f), IOVA + 2 * PAGE, 1));
	assert_null(at(f.view, IOVA + 3 * PAGE, 1));
	assert_non_null(at(f.view, IOVA + 4 * PAGE, 1));
	/* What is said again takes the place of what was said. */
	map(&f, IOVA + 4 * PAGE, 100, true);
	assert_ptr_equal(at(view(&f), IOVA + 4 * PAGE, PAGE), page(&f, 100));
	iotlb_invalidate(f.iotlb, IOVA, 0);
	assert_int_equal(iotlb_count(f.iotlb), 6);
	/* To the end of all addresses, and beyond. */
	iotlb_invalidate(f.iotlb, IOVA + 6 * PAGE, UINT64_MAX);
	assert_int_equal(iotlb_count(f.iotlb), 4);
	iotlb_invalidate(f.iotlb, 0, UINT64_MAX);
	assert_int_equal(iotlb_count(f.iotlb), 0);
	assert_int_equal(view(&f)->count, 0);
	assert_int_equal(f.view->readonly->count, 0);
	fixture_close(&f);
}

static void test_what_makes_no_sense_is_refused(void **state)
{
	struct fixture f;

	fixture_open(&f);
	assert_int_equal(iotlb_update(f.iotlb, IOVA, 0, user_page(0), true), -EINVAL);
	assert_int_equal(iotlb_update(f.iotlb, UINT64_MAX - 1, 3, user_page(0), true), -EINVAL);
	assert_int_equal(iotlb_update(f.iotlb, 0, 3, UINT64_MAX - 1, true), -EINVAL);
	/* The last page there is. */
	assert_int_equal(iotlb_update(f.iotlb, -(uint64_t)PAGE, PAGE, user_page(3), true), 0);
	assert_ptr_equal(at(view(&f), UINT64_MAX, 1), page(&f, 3) + PAGE - 1);
	assert_null(at(f.view, UINT64_MAX, 2));
	/* In no region, and over the end of one. */
	map(&f, IOVA, GUEST_MEMORY / PAGE, true);
	assert_int_equal(
		iotlb_update(f.iotlb, 0, 2 * PAGE, user_page(GUEST_MEMORY / PAGE - 1), true), 0);
	assert_int_equal(view(&f)->count, 1);
	fixture_close(&f);
}

static void test_the_oldest_goes_when_there_are_too_many(void **state)
{
	struct fixture f;

	fixture_open(&f);
	for (unsigned int i = 0; i < IOTLB_MAX_ENTRIES + 2; i++)
		map(&f, IOVA + i * 2ull * PAGE, i % 512, true);
	assert_int_equal(iotlb_count(f.iotlb), IOTLB_MAX_ENTRIES);
	assert_null(at(view(&f), IOVA + 2 * PAGE, 1));
	assert_non_null(at(f.view, IOVA + 4 * PAGE, 1));
	fixture_close(&f);
}

static void test_what_may_not_be_written_is_only_read(void **state)
{
	struct fixture f;
	uint64_t gap = 0;

	fixture_open(&f);
	map(&f, IOVA, 0, true);
	map(&f, IOVA + PAGE, 1, false);
	assert_null(at(view(&f), IOVA + PAGE, 1));
	assert_ptr_equal(memtable_find_for(f.view, IOVA + PAGE, false)->host, page(&f, 1));
	assert_null(memtable_find_for(f.view, IOVA + PAGE, true));
	assert_false(memtable_gap(f.view, IOVA + 10, 2 * PAGE - 10, false, &gap));
	assert_true(memtable_gap(f.view, IOVA + 10, 2 * PAGE - 10, true, &gap));
	assert_int_equal(gap, IOVA + PAGE);
	assert_true(memtable_gap(f.view, IOVA, 2 * PAGE + 1, false, &gap));
	assert_int_equal(gap, IOVA + 2 * PAGE);
	assert_true(memtable_holds(f.view, page(&f, 1), 1));
	fixture_close(&f);
}

static void test_what_a_new_view_lacks(void **state)
{
	struct memtable *old, *gone;
	struct fixture f;

	fixture_open(&f);
	map(&f, IOVA, 0, true);
	map(&f, IOVA + PAGE, 1, false);
	map(&f, IOVA + 2 * PAGE, 2, true);
	view(&f);
	/* More around it, and more rights: nothing is gone. */
	map(&f, IOVA + 3 * PAGE, 3, true);
	map(&f, IOVA + PAGE, 1, true);
	old = f.view;
	f.view = NULL;
	gone = memtable_minus(old, view(&f));
	assert_int_equal(gone->count, 0);
	memtable_free(gone);
	/* Fewer rights, and another place. */
	map(&f, IOVA, 0, false);
	map(&f, IOVA + 2 * PAGE, 4, true);
	gone = memtable_minus(old, view(&f));
	assert_true(memtable_holds(gone, page(&f, 0), 1));
	assert_false(memtable_holds(gone, page(&f, 1), 1));
	assert_true(memtable_holds(gone, page(&f, 2), 1));
	memtable_free(gone);
	memtable_free(old);
	fixture_close(&f);
}

/* ---- rings ---- */

static void test_scattered_pages_are_put_together(void **state)
{
	static const unsigned int pages[] = {9, 3, 12};
	struct ring_window *window;
	struct memtable *old;
	struct fixture f;
	uint8_t *p;

	fixture_open(&f);
	for (unsigned int i = 0; i < 3; i++) {
		map(&f, IOVA + i * PAGE, pages[i], true);
		memset(f.guest.memory + (size_t)pages[i] * PAGE, 'a' + (int)i, PAGE);
	}
	assert_null(at(view(&f), IOVA + 100, 2 * PAGE));
	assert_int_equal(ring_window_new(f.view, IOVA + 100, 2 * PAGE, &window), 0);
	p = ring_window_at(window);
	assert_int_equal(p[0], 'a');
	assert_int_equal(p[PAGE - 100], 'b');
	assert_int_equal(p[2 * PAGE - 1], 'c');
	/* The same memory, both ways. */
	p[PAGE] = 'x';
	assert_int_equal(f.guest.memory[3 * PAGE + 100], 'x');
	f.guest.memory[12 * PAGE] = 'y';
	assert_int_equal(p[2 * PAGE - 100], 'y');
	/* Neighbours do not matter; a page that is another does. */
	map(&f, IOVA + 3 * PAGE, 13, true);
	old = f.view;
	f.view = NULL;
	assert_true(ring_window_holds(window, view(&f)));
	map(&f, IOVA + PAGE, 4, true);
	assert_false(ring_window_holds(window, view(&f)));
	/* It needs nobody else. */
	memtable_free(old);
	p[0] = 'z';
	assert_int_equal(f.guest.memory[9 * PAGE + 100], 'z');
	ring_window_free(window);
	assert_int_equal(ring_window_new(f.view, IOVA, 5 * PAGE, &window), -EFAULT);
	fixture_close(&f);
}

/* Only the ring itself, which lies at the beginning of memory, is known. */
static void ring_only(struct fixture *f)
{
	uint32_t used = f->guest.data / PAGE;

	for (unsigned int i = 0; i < GUEST_DATA / PAGE; i++)
		map(f, GUEST_ADDR + (uint64_t)i * PAGE, i, true);
	assert_true(used >= GUEST_DATA / PAGE);
	f->guest.config.desc += GUEST_ADDR - GUEST_USER;
	f->guest.config.avail += GUEST_ADDR - GUEST_USER;
	f->guest.config.used += GUEST_ADDR - GUEST_USER;
	assert_int_equal(vring_setup(&f->guest.ring, view(f), &f->guest.config), 0);
}

/* Pop, learning what is missed, until there is something else to say. */
static int pop_learning(struct fixture *f, struct vring_chain *chain, unsigned int *learnt)
{
	const struct vring *ring = &f->guest.ring;
	struct memtable *old;
	int r;

	for (*learnt = 0; (r = vring_pop(&f->guest.ring, chain)) == -EAGAIN; (*learnt)++) {
		uint64_t addr = ring->miss.addr & ~(uint64_t)(PAGE - 1);

		if (addr - GUEST_ADDR >= GUEST_MEMORY) {
			vring_miss_give_up(&f->guest.ring);
			continue;
		}
		map(f, addr, (unsigned int)((addr - GUEST_ADDR) / PAGE), ring->miss.write);
		old = f->view;
		f->view = NULL;
		assert_int_equal(vring_remap(&f->guest.ring, view(f), &f->guest.config), 0);
		memtable_free(old);
	}
	return r;
}

static void test_chains_wait_for_what_they_name(void **state)
{
	static struct vring_chain chain;
	unsigned int learnt;
	struct fixture f;

	fixture_open(&f);
	ring_only(&f);
	/* The table, a page of input that is then known for reading, two of results. */
	uint32_t in = guest_alloc(&f.guest, 4 * PAGE), out = guest_alloc(&f.guest, 4 * PAGE);

	in = (in + PAGE - 1) & ~(PAGE - 1);
	out = (out + PAGE - 1) & ~(PAGE - 1);
	for (int indirect = 0; indirect < 2; indirect++) {
		const struct virtq_desc descs[] = {OUT_DESC(in, 100), IN_DESC(out + 10, PAGE),
		                                   IN_DESC(in + PAGE, 1)};

		if (indirect)
			guest_offer(&f.guest, guest_indirect(&f.guest, descs, 3));
		else
			guest_offer(&f.guest, guest_chain(&f.guest, descs, 3));
		assert_int_equal(pop_learning(&f, &chain, &learnt), 1);
		assert_int_equal(learnt, indirect ? 1 : 4);
		assert_int_equal(chain.out_len, 100);
		assert_int_equal(chain.in_len, PAGE + 1);
		assert_ptr_equal(chain.segment[0].base, f.guest.table->region[0].host + in);
	}
	assert_int_equal(vring_pop(&f.guest.ring, &chain), 0);
	fixture_close(&f);
}

static void test_addresses_that_nobody_knows_are_bad(void **state)
{
	static struct vring_chain chain;
	unsigned int learnt;
	struct fixture f;

	fixture_open(&f);
	ring_only(&f);
	uint32_t status = guest_alloc(&f.guest, 1);
	const struct virtq_desc descs[] = {OUT_DESC(0x40000000, 64), IN_DESC(status, 1)};

	guest_offer(&f.guest, guest_chain(&f.guest, descs, 2));
	/* Its status byte is not asked for any more. */
	assert_int_equal(pop_learning(&f, &chain, &learnt), -EBADMSG);
	assert_int_equal(learnt, 1);
	assert_int_equal(chain.in, 0);
	fixture_close(&f);
}

static void test_a_chain_cannot_miss_for_ever(void **state)
{
	static struct vring_chain chain;
	struct fixture f;
	unsigned int misses = 0;
	int r;

	fixture_open(&f);
	ring_only(&f);
	const struct virtq_desc descs[] = {OUT_DESC(0x40000000, 64)};

	guest_offer(&f.guest, guest_chain(&f.guest, descs, 1));
	while ((r = vring_pop(&f.guest.ring, &chain)) == -EAGAIN)
		misses++;
	assert_int_equal(r, -EBADMSG);
	assert_in_range(misses, 1, VRING_MAX_SEGMENTS);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_neighbours_become_one_region),
		cmocka_unit_test(test_entries_come_and_go),
		cmocka_unit_test(test_what_makes_no_sense_is_refused),
		cmocka_unit_test(test_the_oldest_goes_when_there_are_too_many),
		cmocka_unit_test(test_what_may_not_be_written_is_only_read),
		cmocka_unit_test(test_what_a_new_view_lacks),
		cmocka_unit_test(test_scattered_pages_are_put_together),
		cmocka_unit_test(test_chains_wait_for_what_they_name),
		cmocka_unit_test(test_addresses_that_nobody_knows_are_bad),
		cmocka_unit_test(test_a_chain_cannot_miss_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
