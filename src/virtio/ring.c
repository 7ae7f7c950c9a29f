/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of either kind. See ring.h.
 */
#include "virtio/ring.h"

#include <errno.h>

void ring_init(struct ring *ring, void *memory, unsigned int size, unsigned int each,
               struct ring_kind kind)
{
	*ring = (struct ring){
		.packed = kind.packed, .in_order = kind.in_order, .each = (uint16_t)each};
	if (kind.packed)
		ring_packed_init(&ring->pack, memory, size, kind.event_idx);
	else
		ring_split_init(&ring->split, memory, size, kind.event_idx);
}

unsigned int ring_size(const struct ring *ring)
{
	return ring->packed ? ring->pack.size : ring->split.size;
}

void ring_parts(const struct ring *ring, uint64_t *desc, uint64_t *driver, uint64_t *device)
{
	if (ring->packed) {
		*desc = (uintptr_t)ring->pack.desc;
		*driver = (uintptr_t)ring->pack.driver;
		*device = (uintptr_t)ring->pack.device;
	} else {
		*desc = (uintptr_t)ring->split.desc;
		*driver = (uintptr_t)ring->split.avail;
		*device = (uintptr_t)ring->split.used;
	}
}

uint32_t ring_base(const struct ring *ring)
{
	/* Both wrap counters 1. */
	return ring->packed ? 0x80008000u : 0;
}

void ring_push(struct ring *ring, uint16_t id, const struct virtq_desc *descs, unsigned int n)
{
	if (ring->packed) {
		for (unsigned int i = 0; i < n; i++)
			ring_packed_put(&ring->pack, descs[i].addr, descs[i].len, descs[i].flags,
			                id);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		struct virtq_desc *desc = &ring->split.desc[id + i];

		*desc = descs[i];
		desc->next = (uint16_t)(id + i + 1);
	}
	ring_split_push(&ring->split, id);
}

/* The used entry where the next one is to be. Not past it. */
static bool peek(const struct ring *ring, struct ring_used *used)
{
	struct virtq_used_elem elem;

	if (ring->packed) {
		if (!ring_packed_peek(&ring->pack, &elem))
			return false;
	} else {
		/* Pairs with the device's release of used->idx: elements and results are there. */
		uint16_t idx = __atomic_load_n(&ring->split.used->idx, __ATOMIC_ACQUIRE);

		if (idx == ring->split.used_next)
			return false;
		elem = ring->split.used->ring[ring->split.used_next & ring->split.mask];
	}
	*used = (struct ring_used){elem.id, elem.len};
	return true;
}

static void pass(struct ring *ring, uint32_t id)
{
	if (ring->packed)
		ring_packed_pass(&ring->pack, ring->lengths ? ring->lengths[id] : ring->each);
	else if ((uint16_t)(++ring->split.used_next - ring->split.used_quiet) >= 0x4000)
		ring_split_quiet(&ring->split);
}

/* One entry may stand for all chains up to the one that it names, and the others were then written
 * in full (2.7.9, 2.8.9). */
static int take_in_order(struct ring *ring, struct ring_used *used)
{
	struct ring_used here;

	if (!ring->batch) {
		if (!peek(ring, &ring->last))
			return 0;
		if (ring->last.id >= ring_size(ring) || ring->last.id % ring->each)
			return -EPROTO;
		ring->batch = true;
	} else if (!ring->packed && !peek(ring, &here)) {
		/* The index says how many they are, too. */
		return -EPROTO;
	}
	*used = (struct ring_used){ring->oldest, UINT32_MAX};
	if (ring->oldest == ring->last.id) {
		*used = ring->last;
		ring->batch = false;
	}
	pass(ring, ring->oldest);
	ring->oldest = (ring->oldest + ring->each) % ring_size(ring);
	return 1;
}

int ring_take(struct ring *ring, struct ring_used *used)
{
	if (ring->in_order)
		return take_in_order(ring, used);
	if (!ring->packed) {
		/* It also keeps used_event out of the way. */
		if (!ring_split_pending(&ring->split))
			return 0;
		struct virtq_used_elem elem = ring_split_take(&ring->split);

		*used = (struct ring_used){elem.id, elem.len};
		return 1;
	}
	if (!peek(ring, used))
		return 0;
	if (used->id >= ring_size(ring) || (ring->lengths && !ring->lengths[used->id]))
		return -EPROTO;
	pass(ring, used->id);
	return 1;
}

bool ring_arm(struct ring *ring)
{
	if (ring->batch)
		return true;
	return ring->packed ? ring_packed_arm(&ring->pack) : ring_split_arm(&ring->split);
}

void ring_disarm(struct ring *ring)
{
	if (ring->packed)
		ring_packed_disarm(&ring->pack);
	else
		ring_split_disarm(&ring->split);
}
