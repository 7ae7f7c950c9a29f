/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a packed ring against a driver that keeps the rules (virtio 1.3, 2.8):
 * layouts, laps, order of completion, notifications, where the ring stands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "guest_packed.h"

static struct vring_chain chain;
static struct guest_packed p;

static const struct virtq_desc pair[] = {
	{.addr = GUEST_ADDR + GUEST_DATA, .len = 72},
	{.addr = GUEST_ADDR + GUEST_DATA + 256, .len = 9, .flags = VIRTQ_DESC_F_WRITE},
};

static int close_ring(void **state)
{
	guest_packed_close(&p);
	return 0;
}

static void test_direct_chain_keeps_order_and_lengths(void **state)
{
	const struct virtq_desc descs[] = {OUT_DESC(GUEST_DATA, 72), OUT_DESC(GUEST_DATA + 128, 16),
	                                   IN_DESC(GUEST_DATA + 256, 100),
	                                   IN_DESC(GUEST_DATA + 512, 1)};

	guest_packed_open(&p, 8, 0x8000, false, false);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 0);
	guest_packed_offer(&p, 0x7abc, descs, 4);
	assert_int_equal(vring_available(&p.guest.ring), 1);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	assert_int_equal(chain.out, 2);
	assert_int_equal(chain.in, 2);
	assert_int_equal(chain.out_len, 88);
	assert_int_equal(chain.in_len, 101);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(chain.segment[i].len, descs[i].len);
		*chain.segment[i].base = (uint8_t)(i + 1);
		assert_int_equal(p.guest.memory[descs[i].addr - GUEST_ADDR], i + 1);
	}
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 0);
}

static void test_used_descriptor_says_id_length_and_whether_written(void **state)
{
	struct virtq_packed_desc used;
	uint32_t head;

	guest_packed_open(&p, 4, 0x8000, false, false);
	guest_packed_offer(&p, 0x7fff, pair, 2);
	guest_packed_offer(&p, 7, pair, 2);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	head = chain.head;
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	/* Out of order: it overwrites the descriptor of the first chain. */
	vring_push(&p.guest.ring, chain.head, 9);
	vring_push(&p.guest.ring, head, 0);
	vring_publish(&p.guest.ring);
	assert_true(guest_packed_used(&p, &used));
	assert_int_equal(used.id, 7);
	assert_int_equal(used.len, 9);
	assert_true(used.flags & VIRTQ_DESC_F_WRITE);
	assert_true(guest_packed_used(&p, &used));
	assert_int_equal(used.id, 0x7fff);
	assert_false(used.flags & VIRTQ_DESC_F_WRITE);
	assert_false(guest_packed_used(&p, &used));
}

static void test_indirect_table(void **state)
{
	struct virtq_desc one;

	guest_packed_open(&p, 8, 0x8000, false, false);
	one = guest_packed_table(&p, pair, 2);
	guest_packed_offer(&p, 1, &one, 1);
	one.flags |= VIRTQ_DESC_F_WRITE;
	guest_packed_offer(&p, 2, &one, 1);
	for (uint32_t id = 1; id <= 2; id++) {
		assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
		assert_int_equal((uint16_t)chain.head, id);
		assert_int_equal(chain.out, 1);
		assert_int_equal(chain.in, 1);
		assert_int_equal(chain.out_len, 72);
		assert_int_equal(chain.in_len, 9);
	}
}

static void test_indirect_table_at_any_address(void **state)
{
	guest_packed_open(&p, 8, 0x8000, false, false);
	for (uint32_t at = 1; at < 16; at++) {
		struct virtq_desc one = guest_packed_table(&p, pair, 2);
		uint8_t *table = p.guest.memory + (one.addr - GUEST_ADDR);

		memmove(table + at, table, 32);
		one.addr += at;
		guest_packed_offer(&p, (uint16_t)(at % 8), &one, 1);
		assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
		assert_int_equal(chain.out_len, 72);
		assert_int_equal(chain.in_len, 9);
		vring_push(&p.guest.ring, chain.head, 9);
		vring_publish(&p.guest.ring);
		assert_true(guest_packed_used(&p, &(struct virtq_packed_desc){0}));
	}
}

/* 2.8.7: all flags but WRITE are ignored there, and so is the id. */
static void test_other_flags_in_a_table_mean_nothing(void **state)
{
	struct virtq_packed_desc *table;
	struct virtq_desc one;

	guest_packed_open(&p, 8, 0x8000, false, false);
	one = guest_packed_table(&p, pair, 2);
	table = (struct virtq_packed_desc *)(p.guest.memory + (one.addr - GUEST_ADDR));
	table[0].flags |= VIRTQ_DESC_F_INDIRECT | VIRTQ_PACKED_F_AVAIL;
	table[1].flags |= VIRTQ_DESC_F_NEXT | VIRTQ_PACKED_F_USED;
	table[1].id = 0xffff;
	guest_packed_offer(&p, 3, &one, 1);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	assert_int_equal((uint16_t)chain.head, 3);
	assert_int_equal(chain.out_len, 72);
	assert_int_equal(chain.in_len, 9);
}

static void test_empty_buffers_are_left_out(void **state)
{
	const struct virtq_desc descs[] = {pair[0], {.addr = 0xdead000}, pair[1]};

	guest_packed_open(&p, 8, 0x8000, false, false);
	guest_packed_offer(&p, 3, descs, 3);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	assert_int_equal(chain.out, 1);
	assert_int_equal(chain.in, 1);
}

/* Chains of one to three descriptors, direct and indirect, finished in random order, over many
 * laps. Id and length tell whether each came back once and where it should. */
static void run_traffic(uint16_t size, uint16_t base, bool event_idx)
{
	const uint32_t total = 60000;
	uint32_t sent = 0, done = 0, holding = 0, held[64], written[0x8000] = {0};
	uint64_t seed = size * 3u + base;
	struct virtq_packed_desc used;
	struct virtq_desc table;

	guest_packed_open(&p, size, base, event_idx, false);
	table = guest_packed_table(&p, pair, 2);
	while (done < total) {
		unsigned int burst = 1 + guest_random(&seed) % 32;

		while (burst-- && sent < total && p.free >= 3) {
			const struct virtq_desc three[] = {pair[0], pair[0], pair[1]};
			uint16_t id = guest_random(&seed) & 0x7fff;

			if (p.count[id])
				continue;
			if (guest_random(&seed) % 2)
				guest_packed_offer(&p, id, &table, 1);
			else
				guest_packed_offer(&p, id, three + guest_random(&seed) % 2, 2);
			sent++;
		}
		while (holding < vc_array_size(held) && vring_pop(&p.guest.ring, &chain) == 1) {
			assert_true(chain.out && chain.in_len <= 9);
			held[holding++] = chain.head;
		}
		unsigned int give = holding ? 1 + guest_random(&seed) % holding : 0;

		while (give--) {
			unsigned int pick = guest_random(&seed) % holding;
			uint32_t length = guest_random(&seed);

			written[held[pick] & 0x7fff] = length;
			vring_push(&p.guest.ring, held[pick], length);
			held[pick] = held[--holding];
		}
		vring_publish(&p.guest.ring);
		for (; guest_packed_used(&p, &used); done++)
			assert_int_equal(used.len, written[used.id]);
	}
	assert_int_equal(vring_available(&p.guest.ring), 0);
	assert_int_equal(p.free, size);
	guest_packed_close(&p);
}

static void test_laps(void **state)
{
	run_traffic(8, 0x8000, false);
	run_traffic(256, 0x8000 | 255, true);
	run_traffic(1024, 3, true);
	run_traffic(3, 0, false);
	/* Not a power of two (2.8.10.1 does not want one). */
	run_traffic(777, 0x8000, true);
}

static void test_chain_that_is_put_back_is_taken_again(void **state)
{
	guest_packed_open(&p, 4, 0x8000 | 3, false, false);
	guest_packed_offer(&p, 5, pair, 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
		assert_int_equal((uint16_t)chain.head, 5);
		vring_unpop(&p.guest.ring, &chain);
		assert_int_equal(vring_base(&p.guest.ring), 0x80038003);
	}
	/* All of the ring is free again: two of two go in. */
	guest_packed_offer(&p, 6, pair, 2);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	assert_int_equal((uint16_t)chain.head, 6);
}

static void serve(unsigned int n)
{
	static uint16_t id;

	for (; n; n--) {
		guest_packed_offer(&p, id++ & 0x7fff, pair, 1);
		assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
		vring_push(&p.guest.ring, chain.head, 0);
	}
}

static void drain(void)
{
	struct virtq_packed_desc used;

	while (guest_packed_used(&p, &used))
		;
}

static void test_used_is_seen_only_when_published(void **state)
{
	struct virtq_packed_desc used;

	guest_packed_open(&p, 8, 0x8000, false, false);
	serve(3);
	assert_false(guest_packed_used(&p, &used));
	assert_true(vring_publish(&p.guest.ring));
	for (int i = 0; i < 3; i++)
		assert_true(guest_packed_used(&p, &used));
	assert_false(guest_packed_used(&p, &used));
	assert_false(vring_publish(&p.guest.ring));
}

static void test_call_as_flags_say(void **state)
{
	guest_packed_open(&p, 8, 0x8000, false, false);
	serve(1);
	assert_true(vring_publish(&p.guest.ring));
	p.driver->flags = VIRTQ_PACKED_EVENT_DISABLE;
	serve(1);
	assert_false(vring_publish(&p.guest.ring));
	/* Without EVENT_IDX there is no such thing: rather one call too many. */
	p.driver->flags = VIRTQ_PACKED_EVENT_DESC;
	serve(1);
	assert_true(vring_publish(&p.guest.ring));
}

/* Call me when the n-th descriptor from here is used. */
static void call_at(unsigned int n)
{
	uint16_t at = p.used;
	bool wrap = p.used_wrap;

	for (; n; n--) {
		if (++at == p.guest.config.size) {
			at = 0;
			wrap = !wrap;
		}
	}
	p.driver->desc = (uint16_t)(at | wrap << 15);
	p.driver->flags = VIRTQ_PACKED_EVENT_DESC;
}

static void test_call_when_the_event_is_passed(void **state)
{
	/* Laps that are no multiple of the steps, so that every place comes up. */
	guest_packed_open(&p, 23, 0x8000 | 20, true, false);
	for (int i = 0; i < 200; i++) {
		call_at(3);
		serve(3);
		assert_false(vring_publish(&p.guest.ring));
		serve(1);
		assert_true(vring_publish(&p.guest.ring));
		serve(5);
		assert_false(vring_publish(&p.guest.ring));
		drain();
		/* Passed within a burst, and with a whole lap in one. */
		call_at(2);
		serve(7);
		assert_true(vring_publish(&p.guest.ring));
		drain();
		call_at(22);
		serve(23);
		assert_true(vring_publish(&p.guest.ring));
		drain();
	}
}

static void test_kicks_off_and_on(void **state)
{
	guest_packed_open(&p, 8, 0x8000 | 7, false, false);
	vring_notify_off(&p.guest.ring);
	assert_int_equal(p.device->flags, VIRTQ_PACKED_EVENT_DISABLE);
	assert_false(vring_notify_on(&p.guest.ring));
	assert_int_equal(p.device->flags, VIRTQ_PACKED_EVENT_ENABLE);
	guest_packed_offer(&p, 1, pair, 2);
	assert_true(vring_notify_on(&p.guest.ring));
}

static void test_kick_wanted_for_the_next_chain(void **state)
{
	guest_packed_open(&p, 8, 0x8000 | 7, true, false);
	assert_false(vring_notify_on(&p.guest.ring));
	assert_int_equal(p.device->flags, VIRTQ_PACKED_EVENT_DESC);
	assert_int_equal(p.device->desc, 0x8000 | 7);
	serve(1);
	assert_false(vring_notify_on(&p.guest.ring));
	assert_int_equal(p.device->desc, 0);
}

static void test_where_the_ring_stands(void **state)
{
	guest_packed_open(&p, 8, 0x8000 | 6, false, false);
	assert_int_equal(vring_base(&p.guest.ring), 0x80068006);
	serve(3);
	assert_int_equal(vring_base(&p.guest.ring), 0x00010001);
	guest_packed_offer(&p, 5, pair, 2);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	assert_int_equal(vring_base(&p.guest.ring), 0x00010003);
}

static int setup_at(uint32_t base)
{
	struct vring ring;

	p.guest.config.base = base;
	return vring_setup(&ring, p.guest.table, &p.guest.config);
}

static void test_setup_refuses_what_is_not_a_ring(void **state)
{
	guest_packed_open(&p, 8, 0x8000, false, false);
	assert_int_equal(setup_at(0x80008000), 0);
	assert_int_equal(setup_at(0x80008007), 0);
	/* The upper half not told. */
	assert_int_equal(setup_at(0x8007), 0);
	/* All in flight, on two laps. */
	assert_int_equal(setup_at(0x80050005), 0);
	/* More in flight than there is room for; fewer than none; outside. */
	assert_int_equal(setup_at(0x80050006), -EINVAL);
	assert_int_equal(setup_at(0x80068005), -EINVAL);
	assert_int_equal(setup_at(0x8008), -EINVAL);
	assert_int_equal(setup_at(0x80088000), -EINVAL);
	p.guest.config.size = 0;
	assert_int_equal(setup_at(0x8000), -EINVAL);
	p.guest.config.size = VIRTQ_MAX_SIZE + 1;
	assert_int_equal(setup_at(0x8000), -EINVAL);
	p.guest.config.size = 8;
	p.guest.config.avail += 2;
	assert_int_equal(setup_at(0x8000), -EINVAL);
	p.guest.config.avail = GUEST_USER + GUEST_MEMORY - 2;
	assert_int_equal(setup_at(0x8000), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_direct_chain_keeps_order_and_lengths, close_ring),
		cmocka_unit_test_teardown(test_used_descriptor_says_id_length_and_whether_written,
	                                  close_ring),
		cmocka_unit_test_teardown(test_indirect_table, close_ring),
		cmocka_unit_test_teardown(test_indirect_table_at_any_address, close_ring),
		cmocka_unit_test_teardown(test_other_flags_in_a_table_mean_nothing, close_ring),
		cmocka_unit_test_teardown(test_empty_buffers_are_left_out, close_ring),
		cmocka_unit_test(test_laps),
		cmocka_unit_test_teardown(test_chain_that_is_put_back_is_taken_again, close_ring),
		cmocka_unit_test_teardown(test_used_is_seen_only_when_published, close_ring),
		cmocka_unit_test_teardown(test_call_as_flags_say, close_ring),
		cmocka_unit_test_teardown(test_call_when_the_event_is_passed, close_ring),
		cmocka_unit_test_teardown(test_kicks_off_and_on, close_ring),
		cmocka_unit_test_teardown(test_kick_wanted_for_the_next_chain, close_ring),
		cmocka_unit_test_teardown(test_where_the_ring_stands, close_ring),
		cmocka_unit_test_teardown(test_setup_refuses_what_is_not_a_ring, close_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
