/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same as test_inflight.c of packed rings, whose descriptors the device overwrites: what was in
 * flight is in the region alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "guest_packed.h"
#include "killed.h"

/* No power of two. */
#define SIZE 48
#define FRESH 0x8000
#define WRONG 0x8011 /* a base that could be */

static struct vring_chain chain;

struct fixture {
	struct guest_packed p;
	struct inflight_area area;
	struct inflight inflight;
	int fd;
};

static void open_fixture(struct fixture *f, bool in_order)
{
	memset(f, 0, sizeof(*f));
	guest_packed_open(&f->p, SIZE, FRESH, false, in_order);
	assert_int_equal(inflight_area_create(&f->area, true, 2, SIZE, &f->fd), 0);
}

static void close_fixture(struct fixture *f)
{
	inflight_end(&f->inflight, &f->p.guest.ring);
	inflight_area_close(&f->area);
	close(f->fd);
	guest_packed_close(&f->p);
}

static struct vhost_inflight_packed *region(struct fixture *f)
{
	return (void *)(f->area.base + inflight_area_bytes(true, 2, SIZE) / 2);
}

/* As a device that starts: with the base that the front end says. */
static void start(struct fixture *f, uint32_t base)
{
	struct guest *g = &f->p.guest;

	inflight_end(&f->inflight, &g->ring);
	g->config.base = base;
	assert_int_equal(vring_setup(&g->ring, g->table, &g->config), 0);
	assert_int_equal(inflight_begin(&f->inflight, &f->area, 1, &g->ring), 0);
}

static void offer(struct fixture *f, uint16_t id, uint32_t out, uint32_t in)
{
	const struct virtq_desc descs[] = {OUT_DESC(out, 64), IN_DESC(in, 64)};

	/* Half of them are two descriptors of the ring, half of them one. */
	if (id % 2) {
		guest_packed_offer(&f->p, id, descs, 2);
	} else {
		struct virtq_desc table = guest_packed_table(&f->p, descs, 2);

		guest_packed_offer(&f->p, id, &table, 1);
	}
}

static void offer_apart(struct fixture *f, uint16_t id)
{
	offer(f, id, guest_alloc(&f->p.guest, 64), guest_alloc(&f->p.guest, 64));
}

/* Its IN segment is where the test can see it. */
static uint32_t pop(struct fixture *f)
{
	assert_int_equal(vring_pop(&f->p.guest.ring, &chain), 1);
	assert_int_equal(chain.out_len, 64);
	assert_int_equal(chain.in_len, 64);
	return chain.head;
}

static void give(struct fixture *f, uint32_t head)
{
	vring_push(&f->p.guest.ring, head, 64);
}

/* The ids of what is used. */
static void check_used(struct fixture *f, const uint16_t *ids, unsigned int n)
{
	struct virtq_packed_desc desc;

	for (unsigned int i = 0; i < n; i++) {
		assert_true(guest_packed_used(&f->p, &desc));
		assert_int_equal(desc.id, ids[i]);
	}
	assert_false(guest_packed_used(&f->p, &desc));
}

static void what_was_taken_is_taken_again_in_order(void **state)
{
	uint8_t *where[12];
	uint32_t head[12];
	struct fixture f;

	open_fixture(&f, false);
	start(&f, FRESH);
	for (uint16_t i = 0; i < 12; i++)
		offer_apart(&f, (uint16_t)(100 + i));
	for (unsigned int i = 0; i < 9; i++) {
		head[i] = pop(&f);
		where[i] = vring_last_byte(&chain);
	}
	vring_taken(&f.p.guest.ring);
	/* Some are given back, out of order, in two batches, and two that nobody gets to see: of
	 * these the second one's descriptor is written. */
	give(&f, head[7]);
	give(&f, head[2]);
	vring_publish(&f.p.guest.ring);
	give(&f, head[4]);
	vring_publish(&f.p.guest.ring);
	give(&f, head[0]);
	give(&f, head[3]);
	check_used(&f, (const uint16_t[]){107, 102, 104}, 3);

	start(&f, WRONG);
	assert_int_equal(f.inflight.again_count, 6);
	for (unsigned int i = 0; i < 9; i++) {
		if (i == 7 || i == 2 || i == 4)
			continue;
		head[i] = pop(&f);
		/* The same chain, though its descriptors may be gone from the ring. */
		assert_ptr_equal(vring_last_byte(&chain), where[i]);
	}
	/* One of them may be put back. */
	vring_unpop(&f.p.guest.ring, &chain);
	head[8] = pop(&f);
	assert_ptr_equal(vring_last_byte(&chain), where[8]);
	/* Then those that nobody had taken; they may be put back as well. */
	for (unsigned int i = 9; i < 12; i++) {
		pop(&f);
		vring_unpop(&f.p.guest.ring, &chain);
		head[i] = pop(&f);
	}
	assert_int_equal(vring_pop(&f.p.guest.ring, &chain), 0);
	/* The driver sees nothing of what was never published. */
	give(&f, head[11]);
	vring_publish(&f.p.guest.ring);
	check_used(&f, (const uint16_t[]){111}, 1);
	give(&f, head[3]);
	give(&f, head[0]);
	vring_publish(&f.p.guest.ring);
	check_used(&f, (const uint16_t[]){103, 100}, 2);
	close_fixture(&f);
}

/* Killed between the stores of a publish: before the driver can see it, and after. */
static void a_publish_is_seen_or_never_was(void **state)
{
	for (unsigned int seen = 0; seen < 2; seen++) {
		struct vhost_inflight_packed_desc *desc;
		struct vhost_inflight_packed before;
		uint32_t head[SIZE / 2];
		struct fixture f;

		open_fixture(&f, false);
		start(&f, FRESH);
		desc = (void *)(region(&f) + 1);
		/* A lap, so that indices are the same and only their wrap counters differ. */
		for (uint16_t i = 0; i < SIZE / 2; i++)
			offer_apart(&f, (uint16_t)(2 * i + 1));
		for (unsigned int i = 0; i < SIZE / 2; i++)
			head[i] = pop(&f);
		before = *region(&f);
		for (unsigned int i = 0; i < SIZE / 2; i++)
			give(&f, head[i]);
		if (seen) {
			vring_publish(&f.p.guest.ring);
			/* As if the last stores had not come about. */
			region(&f)->old_free_head = before.old_free_head;
			region(&f)->progress.old_used_idx = before.progress.used_idx;
			region(&f)->progress.old_used_wrap_counter =
				before.progress.used_wrap_counter;
			for (unsigned int i = 0; i < SIZE / 2; i++)
				desc[head[i] & 0xffff].inflight = 1;
		} else {
			inflight_packed_publish(&f.p.guest.ring);
		}
		assert_int_equal(region(&f)->progress.used_idx, 0);
		assert_int_equal(region(&f)->progress.used_wrap_counter, 0);
		start(&f, WRONG);
		assert_int_equal(f.inflight.again_count, seen ? 0 : SIZE / 2);
		for (uint16_t i = 0; i < SIZE / 2; i++) {
			struct virtq_packed_desc used;

			if (seen) {
				assert_true(guest_packed_used(&f.p, &used));
				offer_apart(&f, used.id);
			}
			give(&f, pop(&f));
			vring_publish(&f.p.guest.ring);
		}
		close_fixture(&f);
	}
}

static void a_chain_that_works_in_place_is_not_done_twice(void **state)
{
	struct fixture f;
	uint32_t data, result;

	open_fixture(&f, false);
	start(&f, FRESH);
	data = guest_alloc(&f.p.guest, 256);
	result = guest_alloc(&f.p.guest, 64);
	offer(&f, 1, data, data);
	offer(&f, 2, data + 128, data + 191);
	offer(&f, 3, data, result);
	for (unsigned int i = 0; i < 3; i++)
		pop(&f);

	start(&f, FRESH);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(vring_pop(&f.p.guest.ring, &chain), -EBADMSG);
		/* Its status can be written, and it goes back as what it is. */
		assert_int_equal(chain.in, 1);
		give(&f, chain.head);
	}
	vring_publish(&f.p.guest.ring);
	check_used(&f, (const uint16_t[]){1, 2}, 2);
	pop(&f);
	close_fixture(&f);
}

static void after_an_orderly_end_the_base_counts(void **state)
{
	struct fixture f;

	open_fixture(&f, false);
	start(&f, FRESH);
	offer_apart(&f, 1);
	pop(&f);
	/* A new driver has nothing in flight. */
	inflight_area_forget(&f.area, 1);
	start(&f, FRESH);
	assert_int_equal(f.inflight.again_count, 0);
	give(&f, pop(&f));
	vring_publish(&f.p.guest.ring);
	check_used(&f, (const uint16_t[]){1}, 1);
	close_fixture(&f);
}

static void with_in_order_one_entry_stands_for_many(void **state)
{
	uint32_t head[8];
	struct fixture f;

	open_fixture(&f, true);
	start(&f, FRESH);
	for (uint16_t i = 0; i < 8; i++)
		offer_apart(&f, i);
	for (unsigned int i = 0; i < 8; i++)
		head[i] = pop(&f);
	for (unsigned int i = 0; i < 5; i++)
		vring_push_in_order(&f.p.guest.ring, head[i], 64, 64);
	vring_publish(&f.p.guest.ring);
	start(&f, FRESH);
	assert_int_equal(f.inflight.again_count, 3);
	for (unsigned int i = 5; i < 8; i++)
		assert_int_equal((uint16_t)pop(&f), (uint16_t)head[i]);
	close_fixture(&f);
}

/* Nothing that was given back is known to the driver: what it offers beyond the ring is refused,
 * and no entry is used twice. */
static void more_than_the_ring_has_is_refused(void **state)
{
	uint32_t head[SIZE / 2];
	struct fixture f;

	open_fixture(&f, false);
	start(&f, FRESH);
	for (uint16_t i = 0; i < SIZE / 2; i++)
		offer_apart(&f, (uint16_t)(2 * i + 1));
	for (unsigned int i = 0; i < SIZE / 2; i++)
		head[i] = pop(&f);
	for (unsigned int i = 0; i < SIZE / 2; i++)
		give(&f, head[i]);
	f.p.free = 2;
	offer_apart(&f, 0x7001);
	assert_int_equal(vring_pop(&f.p.guest.ring, &chain), -EPROTO);
	close_fixture(&f);
}

static void an_area_of_the_other_kind_is_not_used(void **state)
{
	struct inflight_area split = {0};
	struct inflight inflight;
	struct fixture f;
	int fd;

	open_fixture(&f, false);
	assert_int_equal(inflight_area_create(&split, false, 2, SIZE, &fd), 0);
	assert_int_equal(inflight_begin(&inflight, &split, 1, &f.p.guest.ring), 0);
	assert_null(f.p.guest.ring.inflight);
	inflight_area_close(&split);
	close(fd);
	close_fixture(&f);
}

/* ---- regions that lie */

/* Some chains in flight, of one or two descriptors, whatever these say. */
static void region_fill(struct fixture *f, uint64_t *seed)
{
	struct vhost_inflight_packed *shared = region(f);
	struct vhost_inflight_packed_desc *desc = (void *)(shared + 1);
	uint16_t taken = (uint16_t)(guest_random(seed) % SIZE), used = guest_random(seed) % SIZE;

	*shared = (struct vhost_inflight_packed){
		.version = 1,
		.desc_num = SIZE,
		.free_head = taken,
		.old_free_head = taken,
		.progress = {used, used, 1, 1, {0}},
	};
	for (uint16_t i = 0; i < SIZE; i++)
		desc[i].next = (uint16_t)(i + 1);
	for (uint16_t i = 0; i < taken; i = (uint16_t)(i + desc[i].num)) {
		desc[i].inflight = 1;
		desc[i].num = i % 3 == 0 && i + 1 < taken ? 2 : 1;
	}
}

/* Rubbish all over, or in a few places. */
static void rubbish_in(struct fixture *f, uint64_t *seed, unsigned int round)
{
	uint64_t bytes = inflight_area_bytes(true, 2, SIZE);
	uint8_t *base = (uint8_t *)region(f);
	unsigned int wrong = guest_random(seed) % 4;

	for (unsigned int i = 0; i < bytes / 2; i++)
		base[i] = (uint8_t)guest_random(seed);
	if (round % 4)
		region_fill(f, seed);
	for (unsigned int i = 0; i < wrong; i++)
		base[guest_random(seed) % (bytes / 2)] = (uint8_t)guest_random(seed);
}

/* Whatever is there, and however it changes: no more are in flight than the ring has, each once. */
static void rubbish_harms_nobody(void **state)
{
	uint64_t bytes = inflight_area_bytes(true, 2, SIZE), seed = 7;
	unsigned int again = 0;
	struct fixture f;

	open_fixture(&f, false);
	start(&f, FRESH);
	for (unsigned int round = 0; round < 3000; round++) {
		enum { IN, OUT, PUSHED } where[SIZE] = {IN};

		rubbish_in(&f, &seed, round);
		start(&f, FRESH);
		again += f.inflight.again_count;
		assert_true(f.p.guest.ring.taken <= SIZE);
		for (unsigned int n = 0; n < 2 * SIZE; n++) {
			int r = vring_pop(&f.p.guest.ring, &chain);
			uint16_t head = (uint16_t)chain.head;

			if (r == 0 || r == -EPROTO)
				break;
			assert_true(head < SIZE && where[head] == IN);
			where[head] = OUT;
			f.area.base[guest_random(&seed) % bytes] = (uint8_t)guest_random(&seed);
			if (n % 2)
				continue;
			give(&f, chain.head);
			where[head] = PUSHED;
			if (n % 3)
				continue;
			vring_publish(&f.p.guest.ring);
			for (unsigned int i = 0; i < SIZE; i++)
				where[i] = where[i] == PUSHED ? IN : where[i];
		}
		vring_publish(&f.p.guest.ring);
	}
	/* The check is not of empty regions. */
	assert_true(again > 1000);
	close_fixture(&f);
}

/* ---- killed at any moment */

struct driver {
	struct fixture f;
	uint32_t out, in[SIZE], table[SIZE]; /* data of each id */
	bool mine[SIZE];                     /* the device has it */
	uint16_t next;                       /* id that is looked at first */
};

static void device_start(void *context)
{
	struct fixture *f = context;

	/* The base counts for the first one only (which may not live long enough to begin). */
	start(f, region(f)->version ? WRONG : FRESH);
}

static void drive_offer(struct driver *d, uint16_t id)
{
	const struct virtq_desc descs[] = {OUT_DESC(d->out, 64), IN_DESC(d->in[id], 64)};
	struct guest *g = &d->f.p.guest;

	*(guest_at(g, d->in[id]) + 63) = 0xff;
	d->mine[id] = true;
	if (id % 2) {
		guest_packed_offer(&d->f.p, id, descs, 2);
	} else {
		struct virtq_desc table;

		/* Always the same memory. */
		g->data = d->table[id];
		table = guest_packed_table(&d->f.p, descs, 2);
		guest_packed_offer(&d->f.p, id, &table, 1);
	}
}

static unsigned int drive(void *context, bool more)
{
	struct driver *d = context;
	struct virtq_packed_desc used;
	unsigned int done = 0;

	while (guest_packed_used(&d->f.p, &used)) {
		assert_true(used.id < SIZE);
		/* Never given back twice. */
		assert_true(d->mine[used.id]);
		assert_int_equal(*(guest_at(&d->f.p.guest, d->in[used.id]) + 63), KILLED_MARK);
		d->mine[used.id] = false;
		done++;
	}
	for (unsigned int i = 0; more && i < SIZE && d->f.p.free >= 2; i++) {
		d->next = (uint16_t)((d->next + 1) % SIZE);
		if (!d->mine[d->next])
			drive_offer(d, d->next);
	}
	return done;
}

static void nothing_is_lost_when_it_is_killed(void **state)
{
	struct driver *d = test_calloc(1, sizeof(*d));
	const struct killed killed = {.ring = &d->f.p.guest.ring,
	                              .size = SIZE,
	                              .context = d,
	                              .start = device_start,
	                              .drive = drive};

	open_fixture(&d->f, false);
	d->out = guest_alloc(&d->f.p.guest, 64);
	for (unsigned int i = 0; i < SIZE; i++) {
		d->in[i] = guest_alloc(&d->f.p.guest, 64);
		d->table[i] = guest_alloc(&d->f.p.guest, 64);
	}
	killed_run(&killed);
	for (unsigned int i = 0; i < SIZE; i++)
		assert_false(d->mine[i]);
	close_fixture(&d->f);
	test_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_taken_is_taken_again_in_order),
		cmocka_unit_test(a_publish_is_seen_or_never_was),
		cmocka_unit_test(a_chain_that_works_in_place_is_not_done_twice),
		cmocka_unit_test(after_an_orderly_end_the_base_counts),
		cmocka_unit_test(with_in_order_one_entry_stands_for_many),
		cmocka_unit_test(more_than_the_ring_has_is_refused),
		cmocka_unit_test(an_area_of_the_other_kind_is_not_used),
		cmocka_unit_test(rubbish_harms_nobody),
		cmocka_unit_test(nothing_is_lost_when_it_is_killed),
	};

	return cmocka_run_group_tests_name("inflight_packed", tests, NULL, NULL);
}
