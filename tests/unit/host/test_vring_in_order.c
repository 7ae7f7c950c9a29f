/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings with IN_ORDER: one used entry for several chains (virtio 1.3, 2.7.9 and 2.8.9), only where
 * the driver can know what the others wrote.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guest_packed.h"

#define ROOM 9

static struct vring_chain chain;

static const struct virtq_desc pair[] = {
	{.addr = GUEST_ADDR + GUEST_DATA, .len = 72},
	{.addr = GUEST_ADDR + GUEST_DATA + 256, .len = ROOM, .flags = VIRTQ_DESC_F_WRITE},
};

/* Take n chains and give them back with these lengths. */
static void serve(struct vring *ring, const uint32_t *written, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(vring_pop(ring, &chain), 1);
		vring_push_in_order(ring, chain.head, written[i], chain.in_len);
	}
}

static void split_open(struct guest *g, bool in_order)
{
	guest_open(g, 8, 65533, false);
	g->config.in_order = in_order;
	assert_int_equal(vring_setup(&g->ring, g->table, &g->config), 0);
}

static void split_offer(struct guest *g, unsigned int n)
{
	while (n--)
		guest_offer(g, guest_indirect(g, pair, 2));
}

/* Entry i of the used ring, from where it started. */
static const struct virtq_used_elem *split_used(const struct guest *g, unsigned int i)
{
	return &g->used->ring[(65533 + i) % 8];
}

static void test_split_batch_is_one_entry(void **state)
{
	const uint32_t full[] = {ROOM, ROOM, ROOM, ROOM};
	struct guest g;
	uint32_t last;

	split_open(&g, true);
	split_offer(&g, 4);
	serve(&g.ring, full, 4);
	last = chain.head;
	vring_publish(&g.ring);
	assert_int_equal(g.used->idx, (uint16_t)(65533 + 4));
	/* Where the first one would be. */
	assert_int_equal(split_used(&g, 0)->id, last);
	assert_int_equal(split_used(&g, 0)->len, ROOM);
	/* The next batch is behind all four. */
	split_offer(&g, 1);
	serve(&g.ring, full, 1);
	vring_publish(&g.ring);
	assert_int_equal(split_used(&g, 4)->id, chain.head);
	guest_close(&g);
}

static void test_split_chain_not_written_in_full_ends_a_batch(void **state)
{
	const uint32_t written[] = {ROOM, 1, ROOM, ROOM, 1, 1};
	uint32_t head[6];
	struct guest g;

	split_open(&g, true);
	split_offer(&g, 6);
	for (unsigned int i = 0; i < 6; i++) {
		serve(&g.ring, &written[i], 1);
		head[i] = chain.head;
	}
	vring_publish(&g.ring);
	assert_int_equal(g.used->idx, (uint16_t)(65533 + 6));
	assert_int_equal(split_used(&g, 0)->id, head[1]);
	assert_int_equal(split_used(&g, 0)->len, 1);
	assert_int_equal(split_used(&g, 2)->id, head[4]);
	assert_int_equal(split_used(&g, 2)->len, 1);
	assert_int_equal(split_used(&g, 5)->id, head[5]);
	guest_close(&g);
}

static void test_without_in_order_each_has_its_entry(void **state)
{
	const uint32_t full[] = {ROOM, ROOM, ROOM};
	struct virtq_used_elem elem;
	struct guest g;

	split_open(&g, false);
	split_offer(&g, 3);
	serve(&g.ring, full, 3);
	vring_publish(&g.ring);
	for (int i = 0; i < 3; i++)
		assert_true(guest_used(&g, &elem));
	guest_close(&g);
}

static void packed_offer(struct guest_packed *p, uint16_t first_id, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		guest_packed_offer(p, (uint16_t)(first_id + i), pair, 2);
}

static void test_packed_batch_is_one_descriptor(void **state)
{
	const uint32_t written[] = {ROOM, ROOM, 1, ROOM};
	static struct guest_packed p;

	guest_packed_open(&p, 8, 0x8000 | 6, false, true);
	packed_offer(&p, 10, 4);
	serve(&p.guest.ring, written, 4);
	/* Nothing is to be seen of it before. */
	assert_int_equal(p.ring[6].id, 0xbad);
	vring_publish(&p.guest.ring);
	/* Chain 12 ends the first batch, and 13 is a batch of its own, four descriptors on. */
	assert_int_equal(p.ring[6].id, 12);
	assert_int_equal(p.ring[6].len, 1);
	assert_int_equal(p.ring[6].flags,
	                 VIRTQ_PACKED_F_AVAIL | VIRTQ_PACKED_F_USED | VIRTQ_DESC_F_WRITE);
	assert_int_equal(p.ring[4].id, 13);
	/* On the next lap. */
	assert_int_equal(p.ring[4].flags, VIRTQ_DESC_F_WRITE);
	assert_int_equal(p.ring[0].id, 0xbad);
	assert_int_equal(p.ring[2].id, 0xbad);
	assert_int_equal(vring_base(&p.guest.ring), 0x00060006);
	guest_packed_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_batch_is_one_entry),
		cmocka_unit_test(test_split_chain_not_written_in_full_ends_a_batch),
		cmocka_unit_test(test_without_in_order_each_has_its_entry),
		cmocka_unit_test(test_packed_batch_is_one_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
