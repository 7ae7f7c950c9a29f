/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of packed rings and of IN_ORDER, against a device side played by the test: what
 * is seen when, kicks, and what a device with a bug gives back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/ring.h"

#define SIZE 8

static void *memory;

static struct ring setup_ring(unsigned int each, struct ring_kind kind)
{
	size_t bytes = vc_round_up(ring_bytes(SIZE, kind.packed), 64);
	struct ring ring;

	memory = aligned_alloc(64, bytes);
	assert_non_null(memory);
	memset(memory, 0, bytes);
	ring_init(&ring, memory, SIZE, each, kind);
	return ring;
}

static int teardown(void **state)
{
	free(memory);
	memory = NULL;
	return 0;
}

static void push(struct ring *ring, uint16_t id)
{
	const struct virtq_desc desc = {0x1000u + id, 16, VIRTQ_DESC_F_INDIRECT, 0};

	ring_push(ring, id, &desc, 1);
}

static bool available(const struct ring *ring, unsigned int at, bool wrap)
{
	uint16_t flags = ring->pack.desc[at].flags;

	return !!(flags & VIRTQ_PACKED_F_AVAIL) == wrap && !!(flags & VIRTQ_PACKED_F_USED) != wrap;
}

static void packed_give(struct ring *ring, unsigned int at, bool wrap, uint16_t id, uint32_t len)
{
	ring->pack.desc[at].id = id;
	ring->pack.desc[at].len = len;
	ring->pack.desc[at].flags =
		(uint16_t)((wrap ? VIRTQ_PACKED_F_AVAIL | VIRTQ_PACKED_F_USED : 0) |
	                   (len ? VIRTQ_DESC_F_WRITE : 0));
}

static void parts_do_not_overlap_and_are_aligned(void **state)
{
	struct ring ring = setup_ring(1, (struct ring_kind){.packed = true});
	uint64_t desc, driver, device;

	ring_parts(&ring, &desc, &driver, &device);
	assert_int_equal(desc, (uintptr_t)memory);
	assert_true(driver >= desc + sizeof(struct virtq_packed_desc) * SIZE);
	assert_int_equal(driver % 64, 0);
	assert_int_equal(device, driver + 64);
	assert_true(device + 4 <= desc + ring_bytes(SIZE, true));
	assert_int_equal(ring_base(&ring), 0x80008000);
	assert_int_equal(ring.pack.driver->flags, VIRTQ_PACKED_EVENT_DISABLE);
}

static void a_burst_is_seen_only_when_published(void **state)
{
	struct ring ring = setup_ring(1, (struct ring_kind){.packed = true});

	for (uint16_t id = 0; id < 3; id++)
		push(&ring, id);
	assert_false(available(&ring, 0, true));
	assert_true(ring_publish(&ring));
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(available(&ring, i, true));
		assert_int_equal(ring.pack.desc[i].id, i);
		assert_int_equal(ring.pack.desc[i].addr, 0x1000 + i);
		assert_true(ring.pack.desc[i].flags & VIRTQ_DESC_F_INDIRECT);
	}
	assert_false(available(&ring, 3, true));
	assert_false(ring_publish(&ring));
}

static void a_chain_has_its_id_in_all_descriptors_and_laps_turn(void **state)
{
	const struct virtq_desc three[] = {{1, 16, VIRTQ_DESC_F_NEXT, 1},
	                                   {2, 16, VIRTQ_DESC_F_NEXT, 2},
	                                   {3, 16, VIRTQ_DESC_F_WRITE, 0}};
	static uint16_t lengths[SIZE] = {[5] = 3};
	struct ring ring = setup_ring(1, (struct ring_kind){.packed = true});
	struct ring_used used;

	ring.lengths = lengths;
	for (unsigned int i = 0; i < 20; i++) {
		unsigned int at = 3 * i % SIZE;
		bool wrap = !(3 * i / SIZE % 2);

		ring_push(&ring, 5, three, 3);
		ring_publish(&ring);
		assert_true(available(&ring, at, wrap));
		assert_true(available(&ring, (at + 2) % SIZE, at + 2 < SIZE ? wrap : !wrap));
		assert_int_equal(ring.pack.desc[(at + 2) % SIZE].id, 5);
		assert_int_equal(ring_take(&ring, &used), 0);
		packed_give(&ring, at, wrap, 5, 7);
		assert_int_equal(ring_take(&ring, &used), 1);
		assert_int_equal(used.id, 5);
		assert_int_equal(used.written, 7);
	}
}

static void kicks_as_the_device_wants_them(void **state)
{
	struct ring ring = setup_ring(1, (struct ring_kind){.packed = true, .event_idx = true});

	ring.pack.device->flags = VIRTQ_PACKED_EVENT_DISABLE;
	push(&ring, 0);
	assert_false(ring_publish(&ring));
	ring.pack.device->flags = VIRTQ_PACKED_EVENT_ENABLE;
	push(&ring, 1);
	assert_true(ring_publish(&ring));
	/* At place 5 of this lap. */
	ring.pack.device->desc = 5 | 1 << 15;
	ring.pack.device->flags = VIRTQ_PACKED_EVENT_DESC;
	for (uint16_t id = 2; id < 5; id++) {
		push(&ring, id);
		assert_false(ring_publish(&ring));
	}
	push(&ring, 5);
	assert_true(ring_publish(&ring));
	push(&ring, 6);
	assert_false(ring_publish(&ring));
	/* At place 0 of the next, passed within a burst. */
	ring.pack.device->desc = 0;
	push(&ring, 7);
	push(&ring, 0);
	push(&ring, 1);
	assert_true(ring_publish(&ring));
}

static void armed_it_asks_for_the_next_used_descriptor(void **state)
{
	struct ring ring = setup_ring(1, (struct ring_kind){.packed = true, .event_idx = true});

	push(&ring, 0);
	ring_publish(&ring);
	assert_false(ring_arm(&ring));
	assert_int_equal(ring.pack.driver->flags, VIRTQ_PACKED_EVENT_DESC);
	assert_int_equal(ring.pack.driver->desc, 1 << 15);
	packed_give(&ring, 0, true, 0, 1);
	assert_true(ring_arm(&ring));
	ring_disarm(&ring);
	assert_int_equal(ring.pack.driver->flags, VIRTQ_PACKED_EVENT_DISABLE);
}

static void length_without_the_write_flag_is_none(void **state)
{
	struct ring ring = setup_ring(1, (struct ring_kind){.packed = true});
	struct ring_used used;

	push(&ring, 0);
	ring_publish(&ring);
	packed_give(&ring, 0, true, 0, 99);
	ring.pack.desc[0].flags &= (uint16_t)~VIRTQ_DESC_F_WRITE;
	assert_int_equal(ring_take(&ring, &used), 1);
	assert_int_equal(used.written, 0);
}

static void an_id_that_cannot_be_is_refused(void **state)
{
	static uint16_t lengths[SIZE] = {[0] = 1};
	struct ring ring = setup_ring(1, (struct ring_kind){.packed = true});
	struct ring_used used;

	push(&ring, 0);
	ring_publish(&ring);
	packed_give(&ring, 0, true, SIZE, 1);
	assert_int_equal(ring_take(&ring, &used), -EPROTO);
	packed_give(&ring, 0, true, 0xffff, 1);
	assert_int_equal(ring_take(&ring, &used), -EPROTO);
	/* Never pushed. */
	ring.lengths = lengths;
	packed_give(&ring, 0, true, 3, 1);
	assert_int_equal(ring_take(&ring, &used), -EPROTO);
}

static void expect_used(struct ring *ring, uint32_t id, uint32_t written)
{
	struct ring_used used;

	assert_int_equal(ring_take(ring, &used), 1);
	assert_int_equal(used.id, id);
	assert_int_equal(used.written, written);
}

static void split_give(struct ring *ring, uint16_t at, uint32_t id, uint32_t len, uint16_t idx)
{
	ring->split.used->ring[at % SIZE] = (struct virtq_used_elem){id, len};
	ring->split.used->idx = idx;
}

static void in_order_batch_of_a_split_ring(void **state)
{
	struct ring ring = setup_ring(1, (struct ring_kind){.in_order = true});
	struct ring_used used;

	for (uint16_t id = 0; id < 5; id++)
		push(&ring, id);
	ring_publish(&ring);
	assert_int_equal(ring_take(&ring, &used), 0);
	/* Three, of which the last was not written in full. */
	split_give(&ring, 0, 2, 1, 3);
	expect_used(&ring, 0, UINT32_MAX);
	/* In the middle of a batch nothing need be waited for. */
	assert_true(ring_arm(&ring));
	expect_used(&ring, 1, UINT32_MAX);
	expect_used(&ring, 2, 1);
	assert_int_equal(ring_take(&ring, &used), 0);
	split_give(&ring, 3, 3, 9, 4);
	expect_used(&ring, 3, 9);
	split_give(&ring, 4, 4, 9, 5);
	expect_used(&ring, 4, 9);
}

static void in_order_batch_of_a_packed_ring(void **state)
{
	struct ring ring = setup_ring(1, (struct ring_kind){.packed = true, .in_order = true});
	struct ring_used used;

	for (unsigned int lap = 0; lap < 5; lap++) {
		for (uint16_t id = 0; id < SIZE; id++)
			push(&ring, id);
		ring_publish(&ring);
		packed_give(&ring, 0, !(lap % 2), 4, 9);
		for (uint32_t id = 0; id < 4; id++)
			expect_used(&ring, id, UINT32_MAX);
		expect_used(&ring, 4, 9);
		assert_int_equal(ring_take(&ring, &used), 0);
		packed_give(&ring, 5, !(lap % 2), 7, 1);
		expect_used(&ring, 5, UINT32_MAX);
		expect_used(&ring, 6, UINT32_MAX);
		expect_used(&ring, 7, 1);
		assert_int_equal(ring_take(&ring, &used), 0);
	}
}

static void a_batch_that_is_longer_than_the_index_says(void **state)
{
	struct ring ring = setup_ring(1, (struct ring_kind){.in_order = true});
	struct ring_used used;

	for (uint16_t id = 0; id < 5; id++)
		push(&ring, id);
	ring_publish(&ring);
	split_give(&ring, 0, 3, 1, 2);
	expect_used(&ring, 0, UINT32_MAX);
	expect_used(&ring, 1, UINT32_MAX);
	assert_int_equal(ring_take(&ring, &used), -EPROTO);
	ring = (free(memory), setup_ring(1, (struct ring_kind){.in_order = true}));
	push(&ring, 0);
	ring_publish(&ring);
	split_give(&ring, 0, SIZE, 1, 1);
	assert_int_equal(ring_take(&ring, &used), -EPROTO);
}

#define ring_test(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ring_test(parts_do_not_overlap_and_are_aligned),
		ring_test(a_burst_is_seen_only_when_published),
		ring_test(a_chain_has_its_id_in_all_descriptors_and_laps_turn),
		ring_test(kicks_as_the_device_wants_them),
		ring_test(armed_it_asks_for_the_next_used_descriptor),
		ring_test(length_without_the_write_flag_is_none),
		ring_test(an_id_that_cannot_be_is_refused),
		ring_test(in_order_batch_of_a_split_ring),
		ring_test(in_order_batch_of_a_packed_ring),
		ring_test(a_batch_that_is_longer_than_the_index_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
