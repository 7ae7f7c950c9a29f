/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a split virtqueue: layout, and calls on and off. See ring_split.h.
 */
#include "virtio/ring_split.h"

static size_t avail_offset(unsigned int size)
{
	return vc_round_up(sizeof(struct virtq_desc) * size, VC_CACHE_LINE);
}

/* The device writes the used ring, the driver all before it: no line is shared. */
static size_t used_offset(unsigned int size)
{
	size_t avail = sizeof(struct virtq_avail) + sizeof(uint16_t) * (size + 1);

	return avail_offset(size) + vc_round_up(avail, VC_CACHE_LINE);
}

size_t ring_split_bytes(unsigned int size)
{
	size_t used = sizeof(struct virtq_used) + sizeof(struct virtq_used_elem) * size +
	              sizeof(uint16_t);

	return used_offset(size) + vc_round_up(used, VC_CACHE_LINE);
}

void ring_split_init(struct ring_split *ring, void *memory, unsigned int size, bool event_idx)
{
	uint8_t *base = memory;

	*ring = (struct ring_split){
		.desc = memory,
		.avail = (struct virtq_avail *)(base + avail_offset(size)),
		.used = (struct virtq_used *)(base + used_offset(size)),
		.size = (uint16_t)size,
		.mask = (uint16_t)(size - 1),
		.event_idx = event_idx,
	};
	ring->used_event = &ring->avail->ring[size];
	ring->avail_event = (const uint16_t *)&ring->used->ring[size];
	ring_split_disarm(ring);
}

bool ring_split_arm(struct ring_split *ring)
{
	ring->armed = true;
	if (ring->event_idx)
		__atomic_store_n(ring->used_event, ring->used_next, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(&ring->avail->flags, 0, __ATOMIC_SEQ_CST);
	/* Both sequentially consistent: pairs with the device's store of used->idx followed by its
	 * look at used_event (or flags): one of us sees the other, so that no call is lost. */
	return __atomic_load_n(&ring->used->idx, __ATOMIC_SEQ_CST) != ring->used_next;
}

void ring_split_disarm(struct ring_split *ring)
{
	ring->armed = false;
	if (!ring->event_idx)
		__atomic_store_n(&ring->avail->flags, VIRTQ_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
	ring_split_quiet(ring);
}

void ring_split_quiet(struct ring_split *ring)
{
	ring->used_quiet = ring->used_next;
	/* The element just taken: to be passed again only when the index has gone all around. */
	if (ring->event_idx && !ring->armed)
		__atomic_store_n(ring->used_event, (uint16_t)(ring->used_next - 1),
		                 __ATOMIC_RELAXED);
}
