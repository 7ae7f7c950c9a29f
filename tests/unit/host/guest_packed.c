/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed ring of the unit tests; see guest_packed.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guest_packed.h"

#define RING_AT 0x1000u
#define DRIVER_AT (GUEST_DATA - 64)
#define DEVICE_AT (GUEST_DATA - 32)

void guest_packed_open(struct guest_packed *p, uint16_t size, uint16_t base, bool event_idx,
                       bool in_order)
{
	struct guest *g = &p->guest;

	memset(p, 0, sizeof(*p));
	guest_open(g, 2, 0, false);
	g->config = (struct vring_config){
		.size = size,
		.desc = GUEST_USER + RING_AT,
		.avail = GUEST_USER + DRIVER_AT,
		.used = GUEST_USER + DEVICE_AT,
		.base = base,
		.packed = true,
		.event_idx = event_idx,
		.in_order = in_order,
	};
	memset(g->memory, 0, GUEST_DATA);
	p->ring = (struct virtq_packed_desc *)(g->memory + RING_AT);
	p->driver = (struct virtq_packed_event *)(g->memory + DRIVER_AT);
	p->device = (struct virtq_packed_event *)(g->memory + DEVICE_AT);
	p->next = p->used = base & 0x7fff;
	p->next_wrap = p->used_wrap = base >> 15;
	p->free = size;
	/* All descriptors look used on the lap before. */
	for (uint16_t i = 0; i < size; i++) {
		bool wrap = i < p->next ? p->next_wrap : !p->next_wrap;

		p->ring[i].flags = wrap ? VIRTQ_PACKED_F_AVAIL | VIRTQ_PACKED_F_USED : 0;
	}
	assert_int_equal(vring_setup(&g->ring, g->table, &g->config), 0);
}

void guest_packed_close(struct guest_packed *p)
{
	guest_close(&p->guest);
}

uint16_t guest_packed_flags(const struct guest_packed *p)
{
	return p->next_wrap ? VIRTQ_PACKED_F_AVAIL : VIRTQ_PACKED_F_USED;
}

static void forward(const struct guest_packed *p, uint16_t *at, bool *wrap, unsigned int n)
{
	for (; n; n--) {
		if (++*at == p->guest.config.size) {
			*at = 0;
			*wrap = !*wrap;
		}
	}
}

void guest_packed_raw(struct guest_packed *p, const struct virtq_packed_desc *descs, unsigned int n)
{
	struct virtq_packed_desc *first = &p->ring[p->next];

	for (unsigned int i = 0; i < n; i++) {
		struct virtq_packed_desc *to = &p->ring[p->next];

		to->addr = descs[i].addr;
		to->len = descs[i].len;
		to->id = descs[i].id;
		if (i)
			to->flags = descs[i].flags;
		forward(p, &p->next, &p->next_wrap, 1);
	}
	__atomic_store_n(&first->flags, descs[0].flags, __ATOMIC_RELEASE);
}

void guest_packed_offer(struct guest_packed *p, uint16_t id, const struct virtq_desc *descs,
                        unsigned int n)
{
	uint16_t first_at = p->next, first_flags = 0;

	assert_true(n <= p->free);
	for (unsigned int i = 0; i < n; i++) {
		struct virtq_packed_desc *to = &p->ring[p->next];
		uint16_t flags = (uint16_t)(descs[i].flags | (i + 1 < n ? VIRTQ_DESC_F_NEXT : 0) |
		                            guest_packed_flags(p));

		to->addr = descs[i].addr;
		to->len = descs[i].len;
		/* Only that of the last one counts. */
		to->id = i + 1 < n ? 0xbad : id;
		if (i)
			to->flags = flags;
		else
			first_flags = flags;
		forward(p, &p->next, &p->next_wrap, 1);
	}
	p->free = (uint16_t)(p->free - n);
	p->count[id] = (uint16_t)n;
	__atomic_store_n(&p->ring[first_at].flags, first_flags, __ATOMIC_RELEASE);
}

struct virtq_desc guest_packed_table(struct guest_packed *p, const struct virtq_desc *descs,
                                     unsigned int n)
{
	uint32_t offset = guest_alloc(&p->guest, n * 16);
	struct virtq_packed_desc *table = (struct virtq_packed_desc *)guest_at(&p->guest, offset);
	struct virtq_desc one = OUT_DESC(offset, n * 16);

	for (unsigned int i = 0; i < n; i++)
		table[i] =
			(struct virtq_packed_desc){descs[i].addr, descs[i].len, 0, descs[i].flags};
	one.flags = VIRTQ_DESC_F_INDIRECT;
	return one;
}

bool guest_packed_used(struct guest_packed *p, struct virtq_packed_desc *desc)
{
	uint16_t flags = __atomic_load_n(&p->ring[p->used].flags, __ATOMIC_ACQUIRE);
	bool avail = flags & VIRTQ_PACKED_F_AVAIL, used = flags & VIRTQ_PACKED_F_USED;

	if (avail != used || used != p->used_wrap)
		return false;
	*desc = p->ring[p->used];
	assert_true(p->count[desc->id]);
	p->free = (uint16_t)(p->free + p->count[desc->id]);
	forward(p, &p->used, &p->used_wrap, p->count[desc->id]);
	p->count[desc->id] = 0;
	return true;
}
