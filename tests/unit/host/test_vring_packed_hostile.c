/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed rings of a hostile driver: what is not sound is refused with its status byte where there
 * is one, and a ring that cannot be followed is given up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "guest_packed.h"

#define STATUS (GUEST_DATA + 0x1000)
#define RING 64

static struct vring_chain chain;
static struct guest_packed p;

static const struct virtq_desc good[] = {
	{.addr = GUEST_ADDR + GUEST_DATA, .len = 72},
	{.addr = GUEST_ADDR + STATUS, .len = 1, .flags = VIRTQ_DESC_F_WRITE},
};

static int open_ring(void **state)
{
	guest_packed_open(&p, RING, 0x8000, false, false);
	return 0;
}

static int close_ring(void **state)
{
	guest_packed_close(&p);
	return 0;
}

/* The chain is bad; its status byte is the last one of the buffer that ends at `status_end`, if not
 * 0. It has its id all the same, and the ring goes on behind it. */
static void expect_bad(const struct virtq_desc *descs, unsigned int n, uint32_t status_end)
{
	struct virtq_packed_desc used;

	guest_packed_offer(&p, 77, descs, n);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), -EBADMSG);
	assert_int_equal(chain.out, 0);
	assert_int_equal(chain.in, status_end ? 1 : 0);
	if (status_end) {
		assert_int_equal(chain.segment[0].len, 1);
		*chain.segment[0].base = 0x5a;
		assert_int_equal(p.guest.memory[status_end - 1], 0x5a);
		p.guest.memory[status_end - 1] = 0;
	}
	vring_push(&p.guest.ring, chain.head, chain.in);
	guest_packed_offer(&p, 78, good, 2);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	vring_push(&p.guest.ring, chain.head, 1);
	vring_publish(&p.guest.ring);
	assert_true(guest_packed_used(&p, &used));
	assert_int_equal(used.id, 77);
	assert_true(guest_packed_used(&p, &used));
	assert_int_equal(used.id, 78);
}

static void test_out_after_in(void **state)
{
	const struct virtq_desc a[] = {good[0], IN_DESC(GUEST_DATA + 100, 16),
	                               OUT_DESC(GUEST_DATA + 200, 16), IN_DESC(STATUS, 9)};
	const struct virtq_desc table = guest_packed_table(&p, a, 4);

	expect_bad(a, 4, STATUS + 9);
	expect_bad(&table, 1, STATUS + 9);
}

static void test_buffer_outside_memory(void **state)
{
	struct virtq_desc a[] = {OUT_DESC(GUEST_MEMORY - 8, 9), IN_DESC(STATUS, 1)};
	struct virtq_desc b[] = {good[0], IN_DESC(GUEST_MEMORY, 1)};

	expect_bad(a, 2, STATUS + 1);
	a[0].addr = UINT64_MAX - 4;
	expect_bad(a, 2, STATUS + 1);
	a[0] = (struct virtq_desc)OUT_DESC(0, UINT32_MAX);
	expect_bad(a, 2, STATUS + 1);
	expect_bad(b, 2, 0);
}

static void test_bad_tables(void **state)
{
	const uint32_t lengths[] = {
		0, 1, 15, 17, 31, 33, UINT32_MAX, 0xfffffff0u, 16 * (VRING_MAX_SEGMENTS + 1)};
	struct virtq_desc table = guest_packed_table(&p, good, 2);

	for (size_t i = 0; i < vc_array_size(lengths); i++) {
		table.len = lengths[i];
		expect_bad(&table, 1, 0);
	}
	table.len = 32;
	table.addr = GUEST_ADDR + GUEST_MEMORY - 16;
	expect_bad(&table, 1, 0);
	table.addr = 0x10;
	expect_bad(&table, 1, 0);
}

/* 2.8.7: a descriptor has either a table or a next one. */
static void test_table_that_is_not_the_last(void **state)
{
	const struct virtq_desc table = guest_packed_table(&p, good, 2);
	const struct virtq_desc descs[] = {table, IN_DESC(STATUS, 4)};

	expect_bad(descs, 2, STATUS + 4);
}

/* In a packed table INDIRECT means nothing: the inner table is a buffer like any other. */
static void test_table_in_a_table_is_not_followed(void **state)
{
	const struct virtq_desc inner = guest_packed_table(&p, good, 2);
	const struct virtq_desc outer[] = {inner, good[1]};
	const struct virtq_desc table = guest_packed_table(&p, outer, 2);

	guest_packed_offer(&p, 1, &table, 1);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	assert_int_equal(chain.out, 1);
	assert_int_equal(chain.out_len, 32);
}

static void test_more_bytes_than_a_chain_may_have(void **state)
{
	static struct virtq_desc all[VRING_MAX_SEGMENTS];
	struct virtq_desc table;

	for (unsigned int i = 0; i < VRING_MAX_SEGMENTS; i++)
		all[i] = (struct virtq_desc)IN_DESC(0, GUEST_MEMORY);
	table = guest_packed_table(&p, all, VRING_MAX_SEGMENTS);
	expect_bad(&table, 1, GUEST_MEMORY);
}

static void test_chain_without_an_end_breaks_the_ring(void **state)
{
	struct virtq_packed_desc loop[RING];
	struct virtq_packed_desc used;

	/* Some are in flight, so that even a chain shorter than the ring has no end. */
	guest_packed_offer(&p, 1, good, 2);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	for (unsigned int i = 0; i < RING; i++)
		loop[i] = (struct virtq_packed_desc){GUEST_ADDR + GUEST_DATA, 16, 9,
		                                     VIRTQ_DESC_F_NEXT | VIRTQ_PACKED_F_AVAIL};
	guest_packed_raw(&p, loop, RING - 2);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), -EPROTO);
	/* Again and again, without going on. */
	assert_int_equal(vring_pop(&p.guest.ring, &chain), -EPROTO);
	assert_false(guest_packed_used(&p, &used));
}

static void test_descriptors_that_are_in_flight_made_available(void **state)
{
	struct virtq_packed_desc again = {GUEST_ADDR + GUEST_DATA, 16, 9, 0};

	for (uint16_t i = 0; i < RING / 2; i++) {
		guest_packed_offer(&p, i, good, 2);
		assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	}
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 0);
	again.flags = guest_packed_flags(&p);
	guest_packed_raw(&p, &again, 1);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), -EPROTO);
	assert_int_equal(vring_available(&p.guest.ring), -EPROTO);
}

/* Whatever the flags behind the first say of laps, they are the chain's. */
static void test_flags_within_a_chain_that_lie(void **state)
{
	const struct virtq_packed_desc lie[] = {
		{good[0].addr, 72, 1, VIRTQ_PACKED_F_AVAIL | VIRTQ_DESC_F_NEXT},
		{good[1].addr, 1, 2,
	         VIRTQ_PACKED_F_AVAIL | VIRTQ_PACKED_F_USED | VIRTQ_DESC_F_WRITE},
	};

	guest_packed_raw(&p, lie, 2);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
	assert_int_equal((uint16_t)chain.head, 2);
	assert_int_equal(chain.in_len, 1);
	assert_int_equal(vring_pop(&p.guest.ring, &chain), 0);
}

/* The same id many times over: each is given back as often as it was made available. */
static void test_id_twice(void **state)
{
	uint32_t head[3];

	for (int i = 0; i < 3; i++) {
		guest_packed_offer(&p, 5, good, 1 + i % 2);
		assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
		head[i] = chain.head;
	}
	for (int i = 3; i-- > 0;)
		vring_push(&p.guest.ring, head[i], 0);
	vring_publish(&p.guest.ring);
	assert_int_equal(vring_base(&p.guest.ring), 0x80048004);
}

static void test_events_that_are_nowhere(void **state)
{
	p.guest.config.event_idx = true;
	assert_int_equal(vring_setup(&p.guest.ring, p.guest.table, &p.guest.config), 0);
	for (uint32_t desc = 0; desc <= UINT16_MAX; desc += 251) {
		p.driver->desc = (uint16_t)desc;
		p.driver->flags = (uint16_t)(0xfff0 | VIRTQ_PACKED_EVENT_DESC);
		guest_packed_offer(&p, 1, good, 2);
		assert_int_equal(vring_pop(&p.guest.ring, &chain), 1);
		vring_push(&p.guest.ring, chain.head, 1);
		vring_publish(&p.guest.ring);
		struct virtq_packed_desc used;

		assert_true(guest_packed_used(&p, &used));
	}
}

static void check_segments(void)
{
	const struct memregion *r = &p.guest.table->region[0];

	for (unsigned int i = 0; i < (unsigned int)chain.out + chain.in; i++) {
		assert_true(chain.segment[i].base >= r->host && chain.segment[i].len);
		assert_true(chain.segment[i].len <= GUEST_MEMORY);
		assert_true(chain.segment[i].base - r->host <= GUEST_MEMORY - chain.segment[i].len);
	}
}

static void random_descriptor(struct virtq_packed_desc *d, uint64_t *seed, uint16_t flags)
{
	uint32_t r = guest_random(seed);

	d->addr = r % 16 == 0 ? guest_random(seed)
	                      : GUEST_ADDR + guest_random(seed) % GUEST_MEMORY / 16 * 16;
	d->len = r % 8 == 1 ? guest_random(seed) : guest_random(seed) % 8 * 16;
	d->id = (uint16_t)guest_random(seed);
	d->flags = (uint16_t)(flags | (r & 0x100 ? VIRTQ_PACKED_F_AVAIL : VIRTQ_PACKED_F_USED));
}

/* Random descriptors over the whole ring: nothing but the verdicts that there are, every segment in
 * memory, no more in flight than there are descriptors. */
static void test_random_descriptors(void **state)
{
	unsigned int taken = 0, bad = 0, broken = 0, in_flight = 0;
	uint32_t held[RING];
	uint64_t seed = 7;

	for (int round = 0; round < 200000; round++) {
		uint32_t r = guest_random(&seed);

		for (unsigned int i = 0; i < 4; i++)
			random_descriptor(&p.ring[(p.guest.ring.last_avail + i) % RING], &seed,
			                  guest_random(&seed) % 8);
		/* Sometimes there is no end. */
		for (unsigned int i = 0; r % 256 == 0 && i < RING; i++)
			random_descriptor(&p.ring[i], &seed, VIRTQ_DESC_F_NEXT);
		int rc = vring_pop(&p.guest.ring, &chain);

		if (rc == 1 || rc == -EBADMSG) {
			taken += rc == 1;
			bad += rc != 1;
			check_segments();
			assert_true(in_flight < RING);
			held[in_flight++] = chain.head;
		} else {
			assert_true(rc == 0 || rc == -EPROTO);
			broken += rc != 0;
		}
		if (in_flight && (rc == -EPROTO || r % 3)) {
			uint32_t pick = guest_random(&seed) % in_flight;

			vring_push(&p.guest.ring, held[pick], 0);
			held[pick] = held[--in_flight];
			vring_publish(&p.guest.ring);
		}
	}
	/* The test is worth something only when it reaches all three. */
	assert_true(taken > 1000 && bad > 1000 && broken > 100);
}

#define hostile_test(f) cmocka_unit_test_setup_teardown(f, open_ring, close_ring)

int main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(test_out_after_in),
		hostile_test(test_buffer_outside_memory),
		hostile_test(test_bad_tables),
		hostile_test(test_table_that_is_not_the_last),
		hostile_test(test_table_in_a_table_is_not_followed),
		hostile_test(test_more_bytes_than_a_chain_may_have),
		hostile_test(test_chain_without_an_end_breaks_the_ring),
		hostile_test(test_descriptors_that_are_in_flight_made_available),
		hostile_test(test_flags_within_a_chain_that_lie),
		hostile_test(test_id_twice),
		hostile_test(test_events_that_are_nowhere),
		hostile_test(test_random_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
