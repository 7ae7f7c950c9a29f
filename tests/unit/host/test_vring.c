/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split ring against a driver that keeps the rules: layouts, wrapping,
 * order of reuse, notifications.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "guest.h"

static struct vring_chain chain;

static void test_direct_chain_keeps_order_and_lengths(void **state)
{
	struct guest g;
	const struct virtq_desc descs[] = {OUT_DESC(GUEST_DATA, 72), OUT_DESC(GUEST_DATA + 128, 16),
	                                   IN_DESC(GUEST_DATA + 256, 100),
	                                   IN_DESC(GUEST_DATA + 512, 1)};

	guest_open(&g, 8, 0, false);
	guest_offer(&g, guest_chain(&g, descs, 4));
	assert_int_equal(vring_available(&g.ring), 1);
	assert_int_equal(vring_pop(&g.ring, &chain), 1);
	assert_int_equal(chain.out, 2);
	assert_int_equal(chain.in, 2);
	assert_int_equal(chain.out_len, 88);
	assert_int_equal(chain.in_len, 101);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(chain.segment[i].len, descs[i].len);
		/* The device's mapping is another one of the same memory. */
		*chain.segment[i].base = (uint8_t)(i + 1);
		assert_int_equal(g.memory[descs[i].addr - GUEST_ADDR], i + 1);
	}
	assert_int_equal(vring_pop(&g.ring, &chain), 0);
	guest_close(&g);
}

static void test_indirect_chain_is_as_direct(void **state)
{
	struct guest g;
	const struct virtq_desc descs[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(GUEST_DATA + 256, 5)};
	uint16_t head;

	guest_open(&g, 8, 0, false);
	head = guest_indirect(&g, descs, 2);
	guest_offer(&g, head);
	/* The write flag on the descriptor that names the table means nothing. */
	head = guest_indirect(&g, descs, 2);
	g.desc[head].flags |= VIRTQ_DESC_F_WRITE;
	guest_offer(&g, head);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vring_pop(&g.ring, &chain), 1);
		assert_int_equal(chain.out, 1);
		assert_int_equal(chain.in, 1);
		assert_int_equal(chain.out_len, 72);
		assert_int_equal(chain.in_len, 5);
	}
	assert_int_equal(chain.head, head);
	guest_close(&g);
}

/* Only rings have to be aligned. DPDK's driver has request, status byte, table and IV in a row. */
static void test_indirect_table_at_any_address(void **state)
{
	const uint32_t header = GUEST_DATA + 0x10000, status = header + 72, data = header + 0x1000;
	const struct virtq_desc descs[] = {OUT_DESC(header, 72),   OUT_DESC(header + 0x800, 16),
	                                   OUT_DESC(data, 64),     IN_DESC(data, 64),
	                                   IN_DESC(data + 64, 20), IN_DESC(status, 1)};
	struct guest g;

	guest_open(&g, 8, 0, false);
	for (uint32_t at = 1; at < 16; at++) {
		uint16_t head = guest_indirect(&g, descs, 6);
		uint64_t table = GUEST_ADDR + status + at;

		memcpy(guest_at(&g, status + at), guest_at(&g, g.desc[head].addr - GUEST_ADDR),
		       sizeof(descs));
		g.desc[head].addr = table;
		guest_offer(&g, head);
		assert_int_equal(vring_pop(&g.ring, &chain), 1);
		assert_int_equal(chain.head, head);
		assert_int_equal(chain.out, 3);
		assert_int_equal(chain.in, 3);
		for (int i = 0; i < 6; i++)
			assert_ptr_equal(chain.segment[i].base,
			                 g.table->region[0].host + (descs[i].addr - GUEST_ADDR));
		vring_push(&g.ring, chain.head, 85);
		vring_publish(&g.ring);
		assert_true(guest_used(&g, &(struct virtq_used_elem){0}));
	}
	guest_close(&g);
}

static void test_table_may_end_a_direct_chain(void **state)
{
	struct guest g;
	const struct virtq_desc inner[] = {OUT_DESC(GUEST_DATA + 128, 16),
	                                   IN_DESC(GUEST_DATA + 256, 5)};
	struct virtq_desc outer[2] = {OUT_DESC(GUEST_DATA, 72)};
	uint16_t table;

	guest_open(&g, 8, 0, false);
	table = guest_indirect(&g, inner, 2);
	outer[1] = g.desc[table];
	guest_offer(&g, guest_chain(&g, outer, 2));
	assert_int_equal(vring_pop(&g.ring, &chain), 1);
	assert_int_equal(chain.out, 2);
	assert_int_equal(chain.out_len, 88);
	assert_int_equal(chain.in_len, 5);
	guest_close(&g);
}

static void test_empty_buffers_are_left_out(void **state)
{
	struct guest g;
	const struct virtq_desc descs[] = {
		OUT_DESC(GUEST_DATA, 72),
		{.addr = 0xdead000, .len = 0},
		IN_DESC(GUEST_DATA + 256, 5),
		{.addr = 0xdead000, .len = 0, .flags = VIRTQ_DESC_F_WRITE},
	};

	guest_open(&g, 8, 0, false);
	guest_offer(&g, guest_chain(&g, descs, 4));
	assert_int_equal(vring_pop(&g.ring, &chain), 1);
	assert_int_equal(chain.out, 1);
	assert_int_equal(chain.in, 1);
	assert_int_equal(chain.in_len, 5);
	guest_close(&g);
}

/* Chain number n; an indirect table is at a place that belongs to the head. */
static void offer_numbered(struct guest *g, uint32_t n, bool indirect)
{
	struct virtq_desc descs[] = {OUT_DESC(GUEST_DATA + 0x80000, 72 + n % 1000),
	                             IN_DESC(GUEST_DATA + 0x90000, 1)};

	if (indirect) {
		struct virtq_desc one = {.len = sizeof(descs), .flags = VIRTQ_DESC_F_INDIRECT};
		uint16_t head = guest_chain(g, &one, 1);

		g->desc[head].addr = guest_addr(GUEST_DATA + head * 32u);
		descs[0].flags |= VIRTQ_DESC_F_NEXT;
		descs[0].next = 1;
		memcpy(guest_at(g, GUEST_DATA + head * 32u), descs, sizeof(descs));
		guest_offer(g, head);
	} else {
		guest_offer(g, guest_chain(g, descs, 2));
	}
}

/* Chains outstanding are finished in random order, for so many chains that all indices overflow
 * more than once. */
static void run_traffic(uint16_t size, uint16_t base, bool event_idx, bool indirect)
{
	const uint32_t total = 150000;
	uint32_t sent = 0, taken = 0, done = 0;
	uint64_t seed = size * 3u + base;
	struct virtq_used_elem elem;
	unsigned int holding = 0;
	uint16_t held[64];
	struct guest g;

	guest_open(&g, size, base, event_idx);
	while (done < total) {
		unsigned int burst = 1 + guest_random(&seed) % 32;

		while (burst-- && sent < total && g.free_count >= 2)
			offer_numbered(&g, sent++, indirect);
		while (holding < vc_array_size(held) && vring_pop(&g.ring, &chain) == 1) {
			assert_int_equal(chain.out, 1);
			assert_int_equal(chain.in, 1);
			assert_int_equal(chain.out_len, 72 + taken++ % 1000);
			held[holding++] = chain.head;
		}
		unsigned int give = holding ? 1 + guest_random(&seed) % holding : 0;

		while (give--) {
			unsigned int pick = guest_random(&seed) % holding;

			vring_push(&g.ring, held[pick], held[pick] + 1u);
			held[pick] = held[--holding];
		}
		vring_publish(&g.ring);
		for (; guest_used(&g, &elem); done++)
			assert_int_equal(elem.len, elem.id + 1);
	}
	assert_int_equal(taken, done);
	assert_int_equal(vring_available(&g.ring), 0);
	guest_close(&g);
}

static void test_indices_wrap(void **state)
{
	run_traffic(8, 65500, false, false);
	run_traffic(256, 65535, true, false);
	run_traffic(1024, 0, true, false);
	run_traffic(2, 65535, false, false);
}

static void test_indirect_traffic(void **state)
{
	run_traffic(64, 65000, true, true);
}

static void offer_one(struct guest *g)
{
	const struct virtq_desc descs[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(GUEST_DATA + 256, 1)};

	guest_offer(g, guest_chain(g, descs, 2));
}

static void serve(struct guest *g, unsigned int n)
{
	while (n--) {
		offer_one(g);
		assert_int_equal(vring_pop(&g->ring, &chain), 1);
		vring_push(&g->ring, chain.head, 1);
	}
}

static void drain(struct guest *g)
{
	struct virtq_used_elem elem;

	while (guest_used(g, &elem))
		;
}

static void test_used_is_seen_only_when_published(void **state)
{
	struct virtq_used_elem elem;
	struct guest g;

	guest_open(&g, 8, 0, false);
	serve(&g, 3);
	assert_false(guest_used(&g, &elem));
	assert_true(vring_publish(&g.ring));
	for (int i = 0; i < 3; i++)
		assert_true(guest_used(&g, &elem));
	assert_false(guest_used(&g, &elem));
	assert_false(vring_publish(&g.ring));
	guest_close(&g);
}

static void test_call_as_flags_say(void **state)
{
	struct guest g;

	guest_open(&g, 8, 0, false);
	serve(&g, 1);
	assert_true(vring_publish(&g.ring));
	g.avail->flags = VIRTQ_AVAIL_F_NO_INTERRUPT;
	serve(&g, 1);
	assert_false(vring_publish(&g.ring));
	guest_close(&g);
}

static void test_call_when_used_event_is_passed(void **state)
{
	/* From an index that overflows on the way. */
	const uint16_t base = 65530;
	struct guest g;

	guest_open(&g, 64, base, true);
	/* With EVENT_IDX the flag is not looked at. */
	g.avail->flags = VIRTQ_AVAIL_F_NO_INTERRUPT;
	for (uint16_t wanted = 0; wanted < 20; wanted++) {
		uint16_t start = g.ring.last_used;

		/* Call me when entry start + 3 is used. */
		g.avail->ring[64] = (uint16_t)(start + 3);
		serve(&g, 3);
		assert_false(vring_publish(&g.ring));
		serve(&g, 1);
		assert_true(vring_publish(&g.ring));
		serve(&g, 5);
		assert_false(vring_publish(&g.ring));
		/* Passed within a burst. */
		g.avail->ring[64] = (uint16_t)(g.ring.last_used + 3);
		serve(&g, 7);
		assert_true(vring_publish(&g.ring));
		drain(&g);
	}
	guest_close(&g);
}

static void test_call_unless_told_not_to_when_features_are_unknown(void **state)
{
	struct guest g;

	guest_open(&g, 8, 0, false);
	g.config.untold = true;
	assert_int_equal(vring_setup(&g.ring, g.table, &g.config), 0);
	/* Not believed: it means something with EVENT_IDX only. */
	g.avail->ring[8] = 0x7000;
	serve(&g, 1);
	assert_true(vring_publish(&g.ring));
	g.avail->flags = VIRTQ_AVAIL_F_NO_INTERRUPT;
	serve(&g, 1);
	assert_false(vring_publish(&g.ring));
	/* The driver may look at either. */
	vring_notify_off(&g.ring);
	assert_int_equal(g.used->flags, VIRTQ_USED_F_NO_NOTIFY);
	vring_notify_on(&g.ring);
	assert_int_equal(g.used->flags, 0);
	assert_int_equal(*(uint16_t *)&g.used->ring[8], g.ring.last_avail);
	guest_close(&g);
}

static void test_kicks_by_flag(void **state)
{
	struct guest g;

	guest_open(&g, 8, 0, false);
	vring_notify_off(&g.ring);
	assert_int_equal(g.used->flags, VIRTQ_USED_F_NO_NOTIFY);
	assert_false(vring_notify_on(&g.ring));
	assert_int_equal(g.used->flags, 0);
	offer_one(&g);
	assert_true(vring_notify_on(&g.ring));
	guest_close(&g);
}

/* What a driver asks before it kicks (virtio 1.3, 2.7.10). */
static bool driver_kicks(struct guest *g, uint16_t old)
{
	uint16_t event = *(uint16_t *)&g->used->ring[g->config.size];

	return (uint16_t)(g->avail_idx - event - 1) < (uint16_t)(g->avail_idx - old);
}

static void test_kicks_by_event(void **state)
{
	struct guest g;

	guest_open(&g, 64, 65530, true);
	for (int i = 0; i < 20; i++) {
		uint16_t old = g.avail_idx;

		assert_false(vring_notify_on(&g.ring));
		offer_one(&g);
		assert_true(driver_kicks(&g, old));
		assert_int_equal(vring_pop(&g.ring, &chain), 1);
		vring_push(&g.ring, chain.head, 1);
		vring_publish(&g.ring);
		vring_notify_off(&g.ring);
		old = g.avail_idx;
		serve(&g, 7);
		vring_publish(&g.ring);
		assert_false(driver_kicks(&g, old));
		drain(&g);
	}
	assert_int_equal(g.used->flags, 0);
	guest_close(&g);
}

static void test_setup_refuses_what_is_not_a_ring(void **state)
{
	struct vring_config c;
	struct vring ring;
	struct guest g;

	guest_open(&g, 8, 0, false);
	c = g.config;
	c.size = 0;
	assert_int_equal(vring_setup(&ring, g.table, &c), -EINVAL);
	c.size = 7;
	assert_int_equal(vring_setup(&ring, g.table, &c), -EINVAL);
	c.size = 65535;
	assert_int_equal(vring_setup(&ring, g.table, &c), -EINVAL);
	c = g.config;
	c.desc += 8;
	assert_int_equal(vring_setup(&ring, g.table, &c), -EINVAL);
	c = g.config;
	c.avail += 1;
	assert_int_equal(vring_setup(&ring, g.table, &c), -EINVAL);
	c = g.config;
	c.used += 2;
	assert_int_equal(vring_setup(&ring, g.table, &c), -EINVAL);
	c = g.config;
	c.desc = GUEST_USER + GUEST_MEMORY - 64; /* 128 bytes are needed */
	assert_int_equal(vring_setup(&ring, g.table, &c), -EFAULT);
	c = g.config;
	c.used = UINT64_MAX - 63;
	assert_int_equal(vring_setup(&ring, g.table, &c), -EFAULT);
	c = g.config;
	c.avail = GUEST_USER - 2;
	assert_int_equal(vring_setup(&ring, g.table, &c), -EFAULT);
	guest_close(&g);
}

static void test_remap_goes_on_where_it_was(void **state)
{
	const struct vhost_user_mem_region more = {
		.guest_addr = 0x1000, .size = 0x10000, .user_addr = 0x1000};
	struct virtq_used_elem elem;
	struct memtable *other;
	struct guest g;

	guest_open(&g, 8, 0, false);
	serve(&g, 3);
	offer_one(&g);
	assert_int_equal(memtable_with(g.table, &more, g.fd, &other), 0);
	assert_int_equal(vring_remap(&g.ring, other, &g.config), 0);
	memtable_free(g.table);
	g.table = other;
	assert_int_equal(vring_pop(&g.ring, &chain), 1);
	vring_push(&g.ring, chain.head, 1);
	vring_publish(&g.ring);
	for (int i = 0; i < 4; i++)
		assert_true(guest_used(&g, &elem));
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct_chain_keeps_order_and_lengths),
		cmocka_unit_test(test_indirect_chain_is_as_direct),
		cmocka_unit_test(test_indirect_table_at_any_address),
		cmocka_unit_test(test_table_may_end_a_direct_chain),
		cmocka_unit_test(test_empty_buffers_are_left_out),
		cmocka_unit_test(test_indices_wrap),
		cmocka_unit_test(test_indirect_traffic),
		cmocka_unit_test(test_used_is_seen_only_when_published),
		cmocka_unit_test(test_call_as_flags_say),
		cmocka_unit_test(test_call_when_used_event_is_passed),
		cmocka_unit_test(test_call_unless_told_not_to_when_features_are_unknown),
		cmocka_unit_test(test_kicks_by_flag),
		cmocka_unit_test(test_kicks_by_event),
		cmocka_unit_test(test_setup_refuses_what_is_not_a_ring),
		cmocka_unit_test(test_remap_goes_on_where_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
