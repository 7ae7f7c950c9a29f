/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains and rings of a hostile driver: each kind is refused, and the status byte is found where
 * there is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#define STATUS (GUEST_DATA + 0x1000)

static struct vring_chain chain;

static int open_ring(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	guest_open(g, 256, 0, false);
	*state = g;
	return 0;
}

static int close_ring(void **state)
{
	guest_close(*state);
	free(*state);
	return 0;
}

/* The chain is bad; its status byte is the last one of the buffer at `status`, if not 0. */
static void expect_bad(struct guest *g, uint16_t head, uint32_t status_end)
{
	guest_offer(g, head);
	assert_int_equal(vring_pop(&g->ring, &chain), -EBADMSG);
	assert_int_equal(chain.head, head);
	assert_int_equal(chain.out, 0);
	assert_int_equal(chain.in, status_end ? 1 : 0);
	if (status_end) {
		assert_int_equal(chain.segment[0].len, 1);
		*chain.segment[0].base = 0x5a;
		assert_int_equal(g->memory[status_end - 1], 0x5a);
		g->memory[status_end - 1] = 0;
	}
	/* The ring goes on. */
	const struct virtq_desc good[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(STATUS, 1)};
	uint16_t next = guest_chain(g, good, 2);

	guest_offer(g, next);
	assert_int_equal(vring_pop(&g->ring, &chain), 1);
	assert_int_equal(chain.head, next);
}

static void test_out_after_in(void **state)
{
	struct guest *g = *state;
	const struct virtq_desc a[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(GUEST_DATA + 100, 16),
	                               OUT_DESC(GUEST_DATA + 200, 16), IN_DESC(STATUS, 9)};
	const struct virtq_desc b[] = {IN_DESC(STATUS, 16), OUT_DESC(GUEST_DATA + 200, 16)};

	expect_bad(g, guest_chain(g, a, 4), STATUS + 9);
	expect_bad(g, guest_indirect(g, a, 4), STATUS + 9);
	expect_bad(g, guest_chain(g, b, 2), STATUS + 16);
	/* An empty buffer behind it has no last byte. */
	const struct virtq_desc c[] = {IN_DESC(STATUS, 16), OUT_DESC(GUEST_DATA, 16),
	                               IN_DESC(STATUS + 64, 0)};

	expect_bad(g, guest_chain(g, c, 3), STATUS + 16);
}

static void test_loops(void **state)
{
	struct guest *g = *state;
	struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(STATUS, 1)};
	uint16_t head;

	/* Upon itself, in two steps, and in an indirect table. */
	head = guest_chain(g, d, 1);
	g->desc[head].flags |= VIRTQ_DESC_F_NEXT;
	g->desc[head].next = head;
	expect_bad(g, head, 0);

	head = guest_chain(g, d, 2);
	g->desc[g->desc[head].next].flags |= VIRTQ_DESC_F_NEXT;
	g->desc[g->desc[head].next].next = head;
	expect_bad(g, head, 0);

	head = guest_indirect(g, d, 2);
	struct virtq_desc *table =
		(struct virtq_desc *)(g->memory + (g->desc[head].addr - GUEST_ADDR));

	table[1].flags |= VIRTQ_DESC_F_NEXT;
	table[1].next = 0;
	expect_bad(g, head, 0);
	table[1].next = 1;
	expect_bad(g, head, 0);
}

static void test_next_outside_the_table(void **state)
{
	struct guest *g = *state;
	const struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(STATUS, 1)};
	uint16_t head = guest_chain(g, d, 2);

	g->desc[head].next = 256;
	expect_bad(g, head, 0);
	g->desc[head].next = 65535;
	expect_bad(g, head, 0);
	head = guest_indirect(g, d, 2);
	struct virtq_desc *table =
		(struct virtq_desc *)(g->memory + (g->desc[head].addr - GUEST_ADDR));

	table[0].next = 2;
	expect_bad(g, head, 0);
}

static void test_outside_memory(void **state)
{
	struct guest *g = *state;
	struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72), OUT_DESC(GUEST_DATA, 72),
	                         IN_DESC(STATUS, 8)};
	const struct {
		uint64_t addr;
		uint32_t len;
	} wrong[] = {
		{0, 1},
		{GUEST_ADDR - 1, 1},
		{GUEST_ADDR - 1, 2},
		{GUEST_ADDR + GUEST_MEMORY, 1},
		{GUEST_ADDR + GUEST_MEMORY - 1, 2},
		{GUEST_ADDR, GUEST_MEMORY + 1},
		{GUEST_ADDR, UINT32_MAX},
		{UINT64_MAX, 1},
		{UINT64_MAX, UINT32_MAX},
		{UINT64_MAX - 15, 32},
	};

	for (size_t i = 0; i < vc_array_size(wrong); i++) {
		d[1].addr = wrong[i].addr;
		d[1].len = wrong[i].len;
		expect_bad(g, guest_chain(g, d, 3), STATUS + 8);
		expect_bad(g, guest_indirect(g, d, 3), STATUS + 8);
	}
	/* The status byte itself is unreachable. */
	d[1] = d[0];
	d[2].addr = GUEST_ADDR + GUEST_MEMORY;
	expect_bad(g, guest_chain(g, d, 3), 0);
}

/* Another region of the same file: its first byte is that of the first region. */
static void add_region(struct guest *g, uint64_t guest_addr, uint64_t size)
{
	const struct vhost_user_mem_region more = {
		.guest_addr = guest_addr, .size = size, .user_addr = guest_addr};
	struct memtable *larger;

	assert_int_equal(memtable_with(g->table, &more, g->fd, &larger), 0);
	assert_int_equal(vring_remap(&g->ring, larger, &g->config), 0);
	memtable_free(g->table);
	g->table = larger;
}

/* A buffer is contiguous in the guest's memory, and may lie in several pieces of ours. */
static void test_buffer_across_regions(void **state)
{
	struct guest *g = *state;
	struct virtq_desc d[] = {OUT_DESC(GUEST_MEMORY - 8, 9), OUT_DESC(GUEST_MEMORY, 8),
	                         IN_DESC(GUEST_MEMORY - 1, 0x1002)};

	add_region(g, GUEST_ADDR + GUEST_MEMORY, 0x1000);
	add_region(g, GUEST_ADDR + GUEST_MEMORY + 0x1000, 0x1000);
	guest_offer(g, guest_chain(g, d, 3));
	assert_int_equal(vring_pop(&g->ring, &chain), 1);
	assert_int_equal(chain.out, 3);
	assert_int_equal(chain.in, 3);
	assert_int_equal(chain.out_len, 17);
	assert_int_equal(chain.in_len, 0x1002);
	assert_ptr_equal(chain.segment[0].base, g->table->region[0].host + GUEST_MEMORY - 8);
	assert_int_equal(chain.segment[0].len, 8);
	assert_ptr_equal(chain.segment[1].base, g->table->region[1].host);
	assert_int_equal(chain.segment[1].len, 1);
	assert_int_equal(chain.segment[4].len, 0x1000);
	assert_ptr_equal(chain.segment[5].base, g->table->region[2].host);
	assert_int_equal(chain.segment[5].len, 1);
}

static void test_buffer_over_a_hole_or_the_end(void **state)
{
	struct guest *g = *state;
	const uint64_t last = 0xfffffffffffff000u;
	struct virtq_desc d[] = {OUT_DESC(GUEST_MEMORY + 0xff8, 9), IN_DESC(STATUS, 1)};

	add_region(g, GUEST_ADDR + GUEST_MEMORY, 0x1000);
	add_region(g, GUEST_ADDR + GUEST_MEMORY + 0x2000, 0x1000);
	expect_bad(g, guest_chain(g, d, 2), STATUS + 1);
	d[0].addr = GUEST_ADDR - 1;
	expect_bad(g, guest_chain(g, d, 2), STATUS + 1);
	/* Behind the last address there is not the first one. */
	add_region(g, 0, 0x1000);
	add_region(g, last, 0x1000);
	d[0].addr = last + 0xfff;
	d[0].len = 1;
	guest_offer(g, guest_chain(g, d, 2));
	assert_int_equal(vring_pop(&g->ring, &chain), 1);
	d[0].len = 2;
	expect_bad(g, guest_chain(g, d, 2), STATUS + 1);
}

static void test_bad_chain_whose_status_lies_across_regions(void **state)
{
	struct guest *g = *state;
	const struct virtq_desc d[] = {OUT_DESC(GUEST_MEMORY * 4u, 8),
	                               IN_DESC(GUEST_MEMORY - 4, 8)};

	add_region(g, GUEST_ADDR + GUEST_MEMORY, 0x1000);
	guest_offer(g, guest_chain(g, d, 2));
	assert_int_equal(vring_pop(&g->ring, &chain), -EBADMSG);
	assert_int_equal(chain.in, 1);
	assert_ptr_equal(chain.segment[0].base, g->table->region[1].host + 3);
}

static void test_table_across_regions(void **state)
{
	struct guest *g = *state;
	struct virtq_desc table[] = {OUT_DESC(GUEST_DATA, 72), OUT_DESC(GUEST_DATA + 128, 16),
	                             IN_DESC(STATUS, 1)};
	struct virtq_desc d = {.addr = GUEST_ADDR + GUEST_MEMORY - 16,
	                       .len = sizeof(table),
	                       .flags = VIRTQ_DESC_F_INDIRECT};

	add_region(g, GUEST_ADDR + GUEST_MEMORY, 0x1000);
	table[0].flags |= VIRTQ_DESC_F_NEXT;
	table[0].next = 1;
	table[1].flags |= VIRTQ_DESC_F_NEXT;
	table[1].next = 2;
	memcpy(guest_at(g, GUEST_MEMORY - 16), &table[0], 16);
	/* The second region shows the file from its start. */
	memcpy(guest_at(g, 0), &table[1], 32);
	guest_offer(g, guest_chain(g, &d, 1));
	assert_int_equal(vring_pop(&g->ring, &chain), 1);
	assert_int_equal(chain.out, 2);
	assert_int_equal(chain.out_len, 88);
	assert_int_equal(chain.in_len, 1);
	/* A chain of it that is not sound has its status byte all the same. */
	memcpy(guest_at(g, GUEST_MEMORY - 16), &(struct virtq_desc){0x10, 72, VIRTQ_DESC_F_NEXT, 1},
	       16);
	expect_bad(g, guest_chain(g, &d, 1), STATUS + 1);
	/* More than there are segments, or over the end. */
	d.len = (VRING_MAX_SEGMENTS + 1) * 16;
	expect_bad(g, guest_chain(g, &d, 1), 0);
	d.len = 0x1000 + 32;
	expect_bad(g, guest_chain(g, &d, 1), 0);
}

static void test_bad_tables(void **state)
{
	struct guest *g = *state;
	const struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(STATUS, 1)};
	const uint32_t lengths[] = {0, 1, 15, 17, 31, 33, UINT32_MAX, 0xfffffff0u};
	uint16_t head = guest_indirect(g, d, 2);
	uint64_t addr = g->desc[head].addr;

	for (size_t i = 0; i < vc_array_size(lengths); i++) {
		g->desc[head].len = lengths[i];
		expect_bad(g, head, 0);
	}
	/* One entry of two. */
	g->desc[head].len = 16;
	expect_bad(g, head, 0);
	g->desc[head].len = 32;
	g->desc[head].addr = GUEST_ADDR + GUEST_MEMORY - 16;
	expect_bad(g, head, 0);
	g->desc[head].addr = 0x10;
	expect_bad(g, head, 0);
	/* At an odd address, over the end of the memory. */
	g->desc[head].addr = GUEST_ADDR + GUEST_MEMORY - 31;
	expect_bad(g, head, 0);
	/* With a next. */
	g->desc[head].addr = addr;
	g->desc[head].flags |= VIRTQ_DESC_F_NEXT;
	g->desc[head].next = guest_chain(g, &d[1], 1);
	expect_bad(g, head, 0);
}

static void test_nested_tables(void **state)
{
	struct guest *g = *state;
	const struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(STATUS, 1)};
	struct virtq_desc outer[2] = {OUT_DESC(GUEST_DATA, 72)};

	outer[1] = g->desc[guest_indirect(g, d, 2)];
	expect_bad(g, guest_indirect(g, outer, 2), 0);
	expect_bad(g, guest_indirect(g, &outer[1], 1), 0);
}

static void test_too_many_segments(void **state)
{
	struct guest *g = *state;
	struct virtq_desc *d = calloc(VRING_MAX_SEGMENTS + 1, sizeof(*d));

	for (unsigned int i = 0; i < VRING_MAX_SEGMENTS; i++)
		d[i] = OUT_DESC(GUEST_DATA, 1);
	d[VRING_MAX_SEGMENTS - 1] = IN_DESC(STATUS, 1);
	uint16_t head = guest_indirect(g, d, VRING_MAX_SEGMENTS);

	guest_offer(g, head);
	assert_int_equal(vring_pop(&g->ring, &chain), 1);
	assert_int_equal(chain.out + chain.in, VRING_MAX_SEGMENTS);
	d[VRING_MAX_SEGMENTS - 1] = OUT_DESC(GUEST_DATA, 1);
	d[VRING_MAX_SEGMENTS] = IN_DESC(STATUS, 1);
	expect_bad(g, guest_indirect(g, d, VRING_MAX_SEGMENTS + 1), 0);
	free(d);
}

static void test_long_direct_chain_still_has_its_status(void **state)
{
	struct virtq_desc *d = calloc(VRING_MAX_SEGMENTS + 1, sizeof(*d));
	struct guest g;

	guest_open(&g, 2048, 0, false);
	for (unsigned int i = 0; i < VRING_MAX_SEGMENTS; i++)
		d[i] = OUT_DESC(GUEST_DATA, 1);
	d[VRING_MAX_SEGMENTS] = IN_DESC(STATUS, 1);
	expect_bad(&g, guest_chain(&g, d, VRING_MAX_SEGMENTS + 1), STATUS + 1);
	guest_close(&g);
	free(d);
}

static void test_more_bytes_than_a_chain_may_have(void **state)
{
	struct guest *g = *state;
	static struct virtq_desc d[VRING_MAX_SEGMENTS];

	/* 1,023 times the whole memory: just under 2^32; one byte more each way. */
	for (unsigned int i = 0; i < VRING_MAX_SEGMENTS; i++)
		d[i] = OUT_DESC(0, GUEST_MEMORY);
	d[VRING_MAX_SEGMENTS - 1] = IN_DESC(STATUS, GUEST_MEMORY - 0x200000);
	guest_offer(g, guest_indirect(g, d, VRING_MAX_SEGMENTS));
	assert_int_equal(vring_pop(&g->ring, &chain), 1);
	assert_int_equal(chain.out_len, 1023u * GUEST_MEMORY);
	d[VRING_MAX_SEGMENTS - 1] = IN_DESC(0, GUEST_MEMORY);
	expect_bad(g, guest_indirect(g, d, VRING_MAX_SEGMENTS), GUEST_MEMORY);
}

static void test_no_in_buffer_is_sound_but_has_no_status(void **state)
{
	struct guest *g = *state;
	const struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72),
	                               {.addr = guest_addr(STATUS), .flags = VIRTQ_DESC_F_WRITE}};

	guest_offer(g, guest_chain(g, d, 2));
	assert_int_equal(vring_pop(&g->ring, &chain), 1);
	assert_int_equal(chain.in, 0);
	assert_int_equal(chain.in_len, 0);
}

static void test_ring_that_jumps(void **state)
{
	struct guest *g = *state;

	g->avail->idx = 256;
	assert_int_equal(vring_available(&g->ring), 256);
	g->avail->idx = 257;
	assert_int_equal(vring_available(&g->ring), -EPROTO);
	/* What was known before stays takeable; then the jump shows. */
	g->ring.cached_avail = g->ring.last_avail;
	assert_int_equal(vring_pop(&g->ring, &chain), -EPROTO);
	g->avail->idx = 65535;
	assert_int_equal(vring_pop(&g->ring, &chain), -EPROTO);
}

/* Back by less than what is in flight. */
static void test_ring_that_jumps_back(void **state)
{
	struct guest *g = *state;
	const struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(STATUS, 1)};

	for (int i = 0; i < 5; i++) {
		guest_offer(g, guest_chain(g, d, 2));
		assert_int_equal(vring_pop(&g->ring, &chain), 1);
	}
	g->avail->idx = 4;
	assert_int_equal(vring_available(&g->ring), -EPROTO);
	assert_int_equal(vring_pop(&g->ring, &chain), -EPROTO);
}

/* The same chains offered again before they came back: more in flight than the ring has room. */
static void test_more_in_flight_than_descriptors(void **state)
{
	struct guest *g = *state;
	const struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(STATUS, 1)};
	uint16_t head = guest_chain(g, d, 2);

	for (int i = 0; i < 256; i++)
		guest_offer(g, head);
	for (int i = 0; i < 256; i++)
		assert_int_equal(vring_pop(&g->ring, &chain), 1);
	guest_offer(g, head);
	assert_int_equal(vring_pop(&g->ring, &chain), -EPROTO);
	/* One given back makes room for one. */
	vring_push(&g->ring, head, 1);
	assert_int_equal(vring_pop(&g->ring, &chain), 1);
}

static void test_head_outside_the_table(void **state)
{
	struct guest *g = *state;

	guest_offer(g, 256);
	assert_int_equal(vring_pop(&g->ring, &chain), -EPROTO);
	g->avail->ring[0] = 65535;
	assert_int_equal(vring_pop(&g->ring, &chain), -EPROTO);
}

static void test_used_ring_is_never_read(void **state)
{
	struct guest *g = *state;
	const struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(STATUS, 1)};

	for (int i = 0; i < 600; i++) {
		uint16_t head = guest_chain(g, d, 2);
		struct virtq_used_elem elem;

		guest_offer(g, head);
		/* A driver that writes over what is ours. */
		memset(g->used, 0xff, 4 + 8 * 256);
		assert_int_equal(vring_pop(&g->ring, &chain), 1);
		vring_push(&g->ring, chain.head, 1);
		vring_publish(&g->ring);
		assert_int_equal(g->used->idx, (uint16_t)(i + 1));
		assert_true(guest_used(g, &elem));
		assert_int_equal(elem.id, head);
	}
}

/* Random descriptors and tables: nothing but the verdicts that there are, and every segment that
 * is handed out lies in memory. */
static void test_random_descriptors(void **state)
{
	struct guest *g = *state;
	uint64_t seed = 7;
	unsigned int taken = 0, bad = 0;

	for (int round = 0; round < 200000; round++) {
		uint16_t head = guest_random(&seed) % 256;

		for (int i = 0; i < 4; i++) {
			struct virtq_desc *d = &g->desc[guest_random(&seed) % 256];
			uint32_t r = guest_random(&seed);

			d->addr = r % 16 == 0 ? guest_random(&seed)
			                      : GUEST_ADDR + guest_random(&seed) % GUEST_MEMORY /
			                                             16 * 16;
			d->len = r % 8 == 1 ? guest_random(&seed) : guest_random(&seed) % 8 * 16;
			d->flags = guest_random(&seed) % 8;
			d->next = guest_random(&seed) % 260;
		}
		/* Sometimes the table is its own indirect table. */
		if (round % 16 == 0) {
			g->desc[head].addr = GUEST_ADDR + 0x1000;
			g->desc[head].len = 256 * 16;
			g->desc[head].flags = VIRTQ_DESC_F_INDIRECT;
		}
		guest_offer(g, head);
		int rc = vring_pop(&g->ring, &chain);

		assert_true(rc == 1 || rc == -EBADMSG);
		taken += rc == 1;
		bad += rc != 1;
		for (unsigned int i = 0; i < (unsigned int)chain.out + chain.in; i++) {
			const struct memregion *r = &g->table->region[0];

			assert_true(chain.segment[i].base >= r->host && chain.segment[i].len);
			assert_true(chain.segment[i].len <= GUEST_MEMORY);
			assert_true(chain.segment[i].base - r->host <=
			            GUEST_MEMORY - chain.segment[i].len);
		}
		vring_push(&g->ring, head, 0);
	}
	/* The test is worth something only when it reaches both. */
	assert_true(taken > 1000 && bad > 1000);
}

#define hostile_test(f) cmocka_unit_test_setup_teardown(f, open_ring, close_ring)

int main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(test_out_after_in),
		hostile_test(test_loops),
		hostile_test(test_next_outside_the_table),
		hostile_test(test_outside_memory),
		hostile_test(test_buffer_across_regions),
		hostile_test(test_buffer_over_a_hole_or_the_end),
		hostile_test(test_bad_chain_whose_status_lies_across_regions),
		hostile_test(test_table_across_regions),
		hostile_test(test_bad_tables),
		hostile_test(test_nested_tables),
		hostile_test(test_too_many_segments),
		hostile_test(test_long_direct_chain_still_has_its_status),
		hostile_test(test_more_bytes_than_a_chain_may_have),
		hostile_test(test_no_in_buffer_is_sound_but_has_no_status),
		hostile_test(test_ring_that_jumps),
		hostile_test(test_ring_that_jumps_back),
		hostile_test(test_more_in_flight_than_descriptors),
		hostile_test(test_head_outside_the_table),
		hostile_test(test_used_ring_is_never_read),
		hostile_test(test_random_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
