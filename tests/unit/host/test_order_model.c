/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of strict order, checked exhaustively: the order layer and the rings' IN_ORDER batches
 * below it, in every interleaving of arrivals, completions (written in full or not) and
 * publications, with a driver that reads used entries by the specification (virtio 1.3, 2.7.9 and
 * 2.8.9) and knows nothing but them.
 *
 * A run asks choose() wherever something could go on in more than one way; next_run() turns the
 * last answer that can still be another one, until all have been tried. The ring is the same for
 * all runs, so that it laps at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "guest_packed.h"
#include "host/order.h"

#define ROOM 9          /* bytes of IN of each chain */
#define MOST_REQUESTS 6 /* of a run */
#define MOST_CHOICES (3 * MOST_REQUESTS)

static const struct virtq_desc pair[] = {
	{.addr = GUEST_ADDR + GUEST_DATA, .len = 72},
	{.addr = GUEST_ADDR + GUEST_DATA + 256, .len = ROOM, .flags = VIRTQ_DESC_F_WRITE},
};

/* ---- every way there is ---- */

static struct {
	uint8_t taken[MOST_CHOICES], of[MOST_CHOICES];
	unsigned int known, made;
} way;

static unsigned int choose(unsigned int n)
{
	assert_in_range(n, 1, UINT8_MAX);
	assert_true(way.made < MOST_CHOICES);
	if (way.made == way.known)
		way.taken[way.known++] = 0;
	way.of[way.made] = (uint8_t)n;
	return way.taken[way.made++];
}

static bool next_run(void)
{
	while (way.known && way.taken[way.known - 1] + 1 == way.of[way.known - 1])
		way.known--;
	if (!way.known)
		return false;
	way.taken[way.known - 1]++;
	way.made = 0;
	return true;
}

/* ---- the model: what must be true ---- */

struct request {
	uint32_t ticket, head, id; /* head: the device's; id: the driver's */
	uint32_t written;
	bool done;
};

struct model {
	struct guest_packed p;
	struct order *order;
	bool packed, in_order;
	unsigned int size;     /* chains that the ring has room for */
	uint16_t offered;      /* chains, ever */
	uint16_t table[8];     /* split: the head of each, filled in once */
	struct virtq_desc one; /* packed: a chain is one descriptor with this table */
	/* Of the run; requests are numbered by their arrival. */
	struct request request[MOST_REQUESTS];
	unsigned int arrived, released, seen;
};

static struct vring_chain chain;

static void open_model(struct model *m, bool packed, bool in_order, uint16_t size)
{
	struct guest *g = &m->p.guest;

	memset(m, 0, sizeof(*m));
	m->packed = packed;
	m->in_order = in_order;
	m->size = size;
	if (packed) {
		guest_packed_open(&m->p, size, 0x8000, false, in_order);
		m->one = guest_packed_table(&m->p, pair, 2);
	} else {
		guest_open(g, size, 65533, false);
		g->config.in_order = in_order;
		assert_int_equal(vring_setup(&g->ring, g->table, &g->config), 0);
		for (unsigned int i = 0; i < size; i++)
			m->table[i] = guest_indirect(g, pair, 2);
	}
	m->order = order_new(size);
	/* Tickets wrap, too. */
	m->order->first = m->order->next = UINT32_MAX - 100;
}

static void close_model(struct model *m)
{
	free(m->order);
	guest_close(&m->p.guest);
}

/* The driver offers a chain and the device takes it. */
static void arrive(struct model *m)
{
	struct request *r = &m->request[m->arrived++];

	r->done = false;
	r->id = m->offered++ % 8;
	if (m->packed) {
		guest_packed_offer(&m->p, (uint16_t)r->id, &m->one, 1);
	} else {
		/* With IN_ORDER a driver uses descriptors in the order of the ring. */
		r->id = m->table[r->id % m->size];
		guest_offer(&m->p.guest, (uint16_t)r->id);
	}
	assert_int_equal(vring_pop(&m->p.guest.ring, &chain), 1);
	assert_int_equal(chain.in_len, ROOM);
	r->head = chain.head;
	r->ticket = order_enter(m->order, chain.head, ROOM);
}

/* A resource is done with a request: all whose turn that makes it leave, in order. */
static void complete(struct model *m, struct request *r, bool full)
{
	unsigned int expected = m->released;
	struct order_entry entry;
	uint32_t room;

	r->done = true;
	r->written = full ? ROOM : 1;
	/* As the worker does it: whose turn it is passes by. */
	if (order_turn(m->order, r->ticket, &room)) {
		assert_ptr_equal(r, &m->request[m->released++]);
		assert_int_equal(room, ROOM);
		vring_push_in_order(&m->p.guest.ring, r->head, r->written, room);
	} else {
		order_done(m->order, r->ticket, r->written);
	}
	while (expected < m->arrived && m->request[expected].done)
		expected++;
	assert_int_equal(order_ready(m->order), m->released < expected);
	while (order_next(m->order, &entry)) {
		const struct request *next = &m->request[m->released++];

		assert_int_equal(entry.head, next->head);
		assert_int_equal(entry.written, next->written);
		assert_int_equal(entry.room, ROOM);
		vring_push_in_order(&m->p.guest.ring, entry.head, entry.written, entry.room);
	}
	assert_int_equal(m->released, expected);
	assert_int_equal(order_in_flight(m->order), m->arrived - m->released);
}

/* ---- the driver ---- */

/* The next used entry: whose, and its length. */
static bool used_entry(struct model *m, uint32_t *id, uint32_t *len)
{
	struct guest *g = &m->p.guest;

	if (m->packed) {
		const struct virtq_packed_desc *desc = &m->p.ring[m->p.used];
		bool avail = desc->flags & VIRTQ_PACKED_F_AVAIL;
		bool used = desc->flags & VIRTQ_PACKED_F_USED;

		*id = desc->id;
		*len = desc->len;
		return avail == used && used == m->p.used_wrap;
	}
	*id = g->used->ring[g->used_idx % m->size].id;
	*len = g->used->ring[g->used_idx % m->size].len;
	return g->used->idx != g->used_idx;
}

/* Go on behind a chain: each is one descriptor, and one place in the used ring. */
static void used_forward(struct model *m)
{
	if (!m->packed) {
		m->p.guest.used_idx++;
		return;
	}
	m->p.free++;
	if (++m->p.used == m->size) {
		m->p.used = 0;
		m->p.used_wrap = !m->p.used_wrap;
	}
}

/* What the driver makes of the ring: batches, whose last chain is named. */
static void driver_reads(struct model *m)
{
	uint32_t id, len;

	while (used_entry(m, &id, &len)) {
		unsigned int last = m->seen;

		if (m->in_order) {
			while (last < m->released && m->request[last].id != id)
				last++;
		}
		/* A chain that is out, and whose turn it is. */
		assert_true(last < m->released);
		assert_int_equal(m->request[last].id, id);
		assert_int_equal(m->request[last].written, len);
		/* Of the others it can only think that they were written in full. */
		for (; m->seen < last; m->seen++) {
			assert_int_equal(m->request[m->seen].written, ROOM);
			used_forward(m);
		}
		m->seen++;
		used_forward(m);
	}
}

/* ---- the device's steps, one of those that are possible ---- */

static void publish(struct model *m)
{
	assert_true(vring_publish(&m->p.guest.ring));
	driver_reads(m);
	/* All that was given back, and nothing else. */
	assert_int_equal(m->seen, m->released);
}

static void step(struct model *m, unsigned int requests)
{
	bool room = m->arrived < requests && m->arrived - m->seen < m->size;
	bool dirty = m->released != m->seen;
	unsigned int waiting = 0, pick;
	uint32_t id, len;

	for (unsigned int i = m->released; i < m->arrived; i++)
		waiting += !m->request[i].done;
	/* Nothing shows before it is published. */
	assert_false(used_entry(m, &id, &len));
	pick = choose(room + dirty + 2 * waiting);
	if (room && pick-- == 0) {
		arrive(m);
		return;
	}
	if (dirty && pick-- == 0) {
		publish(m);
		return;
	}
	for (unsigned int i = m->released;; i++) {
		if (m->request[i].done)
			continue;
		if (pick < 2) {
			complete(m, &m->request[i], pick == 0);
			return;
		}
		pick -= 2;
	}
}

/* All runs of so many requests through a ring of that size. */
static void check_all(bool packed, bool in_order, uint16_t size, unsigned int requests)
{
	static struct model m;
	unsigned long runs = 0;

	way.known = way.made = 0;
	open_model(&m, packed, in_order, size);
	do {
		m.arrived = m.released = m.seen = 0;
		while (m.seen < requests)
			step(&m, requests);
		assert_int_equal(order_in_flight(m.order), 0);
		runs++;
	} while (next_run());
	close_model(&m);
	print_message("%s%s, ring of %u, %u requests: %lu interleavings\n",
	              packed ? "packed" : "split", in_order ? ", IN_ORDER" : "", size, requests,
	              runs);
}

static void test_split_ring_in_order(void **state)
{
	check_all(false, true, 2, 6);
	check_all(false, true, 4, 5);
}

static void test_packed_ring_in_order(void **state)
{
	check_all(true, true, 3, 5);
	check_all(true, true, 5, 5);
}

static void test_strict_order_without_in_order(void **state)
{
	check_all(false, false, 4, 5);
	check_all(true, false, 3, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_ring_in_order),
		cmocka_unit_test(test_packed_ring_in_order),
		cmocka_unit_test(test_strict_order_without_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
