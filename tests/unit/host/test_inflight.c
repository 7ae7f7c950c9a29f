/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in flight outlives the device's process: one that is killed at any moment, by the next
 * one, which finds its memory; and memory in which nothing makes sense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "killed.h"

#define SIZE 64

static struct vring_chain chain;

struct fixture {
	struct guest g;
	struct inflight_area area;
	struct inflight inflight;
	int fd;
};

static void open_fixture(struct fixture *f, uint16_t base)
{
	memset(f, 0, sizeof(*f));
	guest_open(&f->g, SIZE, base, false);
	assert_int_equal(inflight_area_create(&f->area, false, 2, SIZE, &f->fd), 0);
}

static void close_fixture(struct fixture *f)
{
	inflight_end(&f->inflight, &f->g.ring);
	inflight_area_close(&f->area);
	close(f->fd);
	guest_close(&f->g);
}

/* As a device that starts: with the base that the front end says. */
static void start(struct fixture *f, uint16_t base)
{
	inflight_end(&f->inflight, &f->g.ring);
	f->g.config.base = base;
	assert_int_equal(vring_setup(&f->g.ring, f->g.table, &f->g.config), 0);
	assert_int_equal(inflight_begin(&f->inflight, &f->area, 1, &f->g.ring), 0);
}

static uint16_t offer(struct fixture *f, uint32_t out, uint32_t in)
{
	const struct virtq_desc descs[] = {OUT_DESC(out, 64), IN_DESC(in, 64)};
	uint16_t head = guest_indirect(&f->g, descs, 2);

	guest_offer(&f->g, head);
	return head;
}

static uint16_t offer_apart(struct fixture *f)
{
	return offer(f, guest_alloc(&f->g, 64), guest_alloc(&f->g, 64));
}

static uint16_t pop(struct fixture *f)
{
	assert_int_equal(vring_pop(&f->g.ring, &chain), 1);
	return (uint16_t)chain.head;
}

static void what_was_taken_is_taken_again_in_order(void **state)
{
	struct fixture f;
	uint16_t head[20];

	open_fixture(&f, 65530);
	start(&f, 65530);
	for (unsigned int i = 0; i < 20; i++)
		head[i] = offer_apart(&f);
	for (unsigned int i = 0; i < 15; i++)
		assert_int_equal(pop(&f), head[i]);
	vring_taken(&f.g.ring);
	/* Some are given back, out of order, in two batches, and one that nobody gets to see. */
	vring_push(&f.g.ring, head[7], 0);
	vring_push(&f.g.ring, head[2], 0);
	vring_publish(&f.g.ring);
	vring_push(&f.g.ring, head[14], 0);
	vring_publish(&f.g.ring);
	vring_push(&f.g.ring, head[3], 0);

	start(&f, 0xbeef);
	assert_int_equal(f.inflight.again_count, 12);
	for (unsigned int i = 0; i < 15; i++) {
		if (i != 7 && i != 2 && i != 14)
			assert_int_equal(pop(&f), head[i]);
	}
	/* One of them may be put back. */
	vring_unpop(&f.g.ring, &chain);
	assert_int_equal(pop(&f), head[13]);
	/* Then those that nobody had taken. */
	for (unsigned int i = 15; i < 20; i++)
		assert_int_equal(pop(&f), head[i]);
	vring_unpop(&f.g.ring, &chain);
	assert_int_equal(pop(&f), head[19]);
	assert_int_equal(vring_pop(&f.g.ring, &chain), 0);
	close_fixture(&f);
}

static void a_chain_that_works_in_place_is_not_done_twice(void **state)
{
	struct fixture f;
	uint32_t data, result;

	open_fixture(&f, 0);
	start(&f, 0);
	data = guest_alloc(&f.g, 256);
	result = guest_alloc(&f.g, 64);
	offer(&f, data, data);
	offer(&f, data + 128, data + 191);
	offer(&f, data, result);
	for (unsigned int i = 0; i < 3; i++)
		pop(&f);
	vring_taken(&f.g.ring);

	start(&f, 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(vring_pop(&f.g.ring, &chain), -EBADMSG);
		/* Its status can be written. */
		assert_int_equal(chain.in, 1);
	}
	assert_int_equal(vring_pop(&f.g.ring, &chain), 1);
	close_fixture(&f);
}

static void after_an_orderly_end_the_base_counts(void **state)
{
	struct fixture f;
	uint16_t head;

	open_fixture(&f, 0);
	start(&f, 0);
	head = offer_apart(&f);
	offer_apart(&f);
	pop(&f);
	vring_taken(&f.g.ring);
	/* A new driver has nothing in flight. */
	inflight_area_forget(&f.area, 1);
	start(&f, 0);
	assert_int_equal(f.inflight.again_count, 0);
	assert_int_equal(pop(&f), head);
	close_fixture(&f);
}

static void with_in_order_one_entry_stands_for_many(void **state)
{
	struct fixture f;
	uint16_t head[8];

	open_fixture(&f, 0);
	f.g.config.in_order = true;
	start(&f, 0);
	for (unsigned int i = 0; i < 8; i++)
		head[i] = offer_apart(&f);
	for (unsigned int i = 0; i < 8; i++)
		pop(&f);
	vring_taken(&f.g.ring);
	for (unsigned int i = 0; i < 5; i++)
		vring_push_in_order(&f.g.ring, head[i], 64, 64);
	vring_publish(&f.g.ring);
	start(&f, 0);
	assert_int_equal(f.inflight.again_count, 3);
	for (unsigned int i = 5; i < 8; i++)
		assert_int_equal(pop(&f), head[i]);
	close_fixture(&f);
}

static void areas_that_cannot_be_are_refused(void **state)
{
	struct vhost_user_inflight good = {.num_queues = 2, .queue_size = SIZE}, wire;
	struct inflight_area area = {0};
	int fd = memfd_create("area", MFD_CLOEXEC);

	good.mmap_size = inflight_area_bytes(false, 2, SIZE);
	assert_int_equal(ftruncate(fd, (off_t)good.mmap_size + 64), 0);
	for (unsigned int i = 0; i < 8; i++) {
		wire = good;
		if (i == 0)
			wire.mmap_size--;
		if (i == 1)
			wire.mmap_offset = 128;
		if (i == 2)
			wire.mmap_offset = UINT64_MAX - 7;
		if (i == 3)
			wire.num_queues = 0;
		if (i == 4)
			wire.queue_size = 0;
		if (i == 5)
			wire.queue_size = UINT16_MAX;
		if (i == 6)
			wire.mmap_offset = 4;
		if (i == 7)
			wire.mmap_size = UINT64_MAX;
		assert_true(inflight_area_open(&area, false, &wire, fd) < 0);
		assert_null(area.map);
	}
	good.mmap_offset = 64;
	assert_int_equal(inflight_area_open(&area, false, &good, fd), 0);
	inflight_area_close(&area);
	close(fd);
}

static void a_queue_that_has_no_place_is_not_tracked(void **state)
{
	struct inflight inflight;
	struct fixture f;

	open_fixture(&f, 0);
	assert_int_equal(inflight_begin(&inflight, &f.area, 2, &f.g.ring), 0);
	assert_null(f.g.ring.inflight);
	f.area.queue_size = SIZE / 2;
	assert_int_equal(inflight_begin(&inflight, &f.area, 0, &f.g.ring), 0);
	assert_null(f.g.ring.inflight);
	close_fixture(&f);
}

/* Whatever is there, and however it changes: heads lie in the ring, and no more are in flight than
 * it has. */
static void rubbish_harms_nobody(void **state)
{
	uint64_t seed = 7;
	struct fixture f;

	open_fixture(&f, 0);
	for (unsigned int round = 0; round < 3000; round++) {
		uint64_t bytes = inflight_area_bytes(false, 2, SIZE);
		struct vhost_inflight_split *shared = (void *)(f.area.base + bytes / 2);

		for (uint64_t i = 0; i < bytes; i++)
			f.area.base[i] = (uint8_t)guest_random(&seed);
		if (round % 4) {
			shared->version = 1;
			shared->desc_num = SIZE;
			shared->used_idx = (uint16_t)(f.g.used->idx - guest_random(&seed) % SIZE);
			shared->last_batch_head %= SIZE + round % 2;
		}
		for (unsigned int i = 0; round % 3 && i < SIZE; i++) {
			struct vhost_inflight_desc *desc = (void *)(shared + 1);

			desc[i].next %= SIZE;
			desc[i].inflight %= 2;
		}
		start(&f, (uint16_t)guest_random(&seed));
		assert_true(f.inflight.again_count <= SIZE);
		for (unsigned int n = 0; n < 2 * SIZE; n++) {
			int r = vring_pop(&f.g.ring, &chain);

			if (r == 0 || r == -EPROTO)
				break;
			assert_true(chain.head < SIZE);
			vring_taken(&f.g.ring);
			vring_push(&f.g.ring, chain.head, 1);
			if (n % 3 == 0)
				vring_publish(&f.g.ring);
			f.area.base[guest_random(&seed) % bytes] = (uint8_t)guest_random(&seed);
		}
		vring_publish(&f.g.ring);
	}
	close_fixture(&f);
}

/* ---- killed at any moment */

struct driver {
	struct fixture f;
	uint32_t out, in[SIZE]; /* data of each head */
	bool mine[SIZE];        /* the device has it */
};

static void device_start(void *context)
{
	struct fixture *f = context;
	const struct vhost_inflight_split *shared =
		(void *)(f->area.base + inflight_area_bytes(false, 2, SIZE) / 2);

	/* The base counts for the first one only (which may not live long enough to begin). */
	start(f, shared->version ? 0xdead : 0);
}

static unsigned int drive(void *context, bool more)
{
	struct driver *d = context;
	struct fixture *f = &d->f;
	struct virtq_used_elem elem;
	unsigned int done = 0;

	while (guest_used(&f->g, &elem)) {
		assert_true(elem.id < SIZE);
		/* Never given back twice. */
		assert_true(d->mine[elem.id]);
		assert_int_equal(*(guest_at(&f->g, d->in[elem.id]) + 63), KILLED_MARK);
		d->mine[elem.id] = false;
		done++;
	}
	while (more && f->g.free_count >= 2) {
		const struct virtq_desc descs[] = {OUT_DESC(d->out, 64), IN_DESC(d->out, 64)};
		uint16_t head = guest_chain(&f->g, descs, 2);

		/* Where its result goes is the head's own. */
		f->g.desc[f->g.desc[head].next].addr = guest_addr(d->in[head]);
		*(guest_at(&f->g, d->in[head]) + 63) = 0xff;
		d->mine[head] = true;
		guest_offer(&f->g, head);
	}
	return done;
}

static void nothing_is_lost_when_it_is_killed(void **state)
{
	struct driver d = {.out = 0};
	const struct killed killed = {.ring = &d.f.g.ring,
	                              .size = SIZE,
	                              .context = &d,
	                              .start = device_start,
	                              .drive = drive};

	open_fixture(&d.f, 0);
	d.out = guest_alloc(&d.f.g, 64);
	for (unsigned int i = 0; i < SIZE; i++)
		d.in[i] = guest_alloc(&d.f.g, 64);
	killed_run(&killed);
	for (unsigned int i = 0; i < SIZE; i++)
		assert_false(d.mine[i]);
	close_fixture(&d.f);
}

/* The index comes by where it began 65,536 chains later: what is put back then is an ordinary one.
 */
static void long_after_a_kill_a_chain_may_be_put_back(void **state)
{
	struct fixture f;
	uint16_t head;

	open_fixture(&f, 0);
	start(&f, 0);
	offer_apart(&f);
	pop(&f);
	vring_taken(&f.g.ring);
	start(&f, 0);
	for (unsigned int i = 0; i < 65536; i++) {
		struct virtq_used_elem elem;

		head = pop(&f);
		vring_taken(&f.g.ring);
		vring_push(&f.g.ring, head, 0);
		vring_publish(&f.g.ring);
		assert_true(guest_used(&f.g, &elem));
		f.g.data = GUEST_DATA;
		offer_apart(&f);
	}
	head = pop(&f);
	vring_unpop(&f.g.ring, &chain);
	assert_int_equal(pop(&f), head);
	assert_int_equal(vring_pop(&f.g.ring, &chain), 0);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_taken_is_taken_again_in_order),
		cmocka_unit_test(a_chain_that_works_in_place_is_not_done_twice),
		cmocka_unit_test(after_an_orderly_end_the_base_counts),
		cmocka_unit_test(with_in_order_one_entry_stands_for_many),
		cmocka_unit_test(areas_that_cannot_be_are_refused),
		cmocka_unit_test(a_queue_that_has_no_place_is_not_tracked),
		cmocka_unit_test(rubbish_harms_nobody),
		cmocka_unit_test(long_after_a_kill_a_chain_may_be_put_back),
		cmocka_unit_test(nothing_is_lost_when_it_is_killed),
	};

	return cmocka_run_group_tests_name("inflight", tests, NULL, NULL);
}
