/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a packed virtqueue: layout, calls on and off, kicks. See ring_packed.h.
 */
#include "virtio/ring_packed.h"

/* The device writes descriptors too; the two event structures have one writer each. */
static size_t driver_offset(unsigned int size)
{
	return vc_round_up(sizeof(struct virtq_packed_desc) * size, VC_CACHE_LINE);
}

size_t ring_packed_bytes(unsigned int size)
{
	return driver_offset(size) + (size_t)2 * VC_CACHE_LINE;
}

void ring_packed_init(struct ring_packed *ring, void *memory, unsigned int size, bool event_idx)
{
	uint8_t *events = (uint8_t *)memory + driver_offset(size);

	*ring = (struct ring_packed){
		.desc = memory,
		.driver = (struct virtq_packed_event *)events,
		.device = (struct virtq_packed_event *)(events + VC_CACHE_LINE),
		.size = (uint16_t)size,
		.event_idx = event_idx,
		/* Both counters begin with 1 (2.8.1). */
		.next_wrap = true,
		.used_wrap = true,
		.published_wrap = true,
	};
	ring_packed_disarm(ring);
}

static void event_set(struct ring_packed *ring, uint16_t desc, uint16_t flags)
{
	__atomic_store_n((uint32_t *)ring->driver, desc | (uint32_t)flags << 16, __ATOMIC_SEQ_CST);
}

bool ring_packed_arm(struct ring_packed *ring)
{
	struct virtq_used_elem elem;

	if (ring->event_idx)
		event_set(ring, (uint16_t)(ring->used_next | ring->used_wrap << 15),
		          VIRTQ_PACKED_EVENT_DESC);
	else
		event_set(ring, 0, VIRTQ_PACKED_EVENT_ENABLE);
	/* Sequentially consistent with the load in the look: pairs with the device's store of the
	 * flags followed by its look at our event structure: one of us sees the other. */
	return ring_packed_peek(ring, &elem);
}

void ring_packed_disarm(struct ring_packed *ring)
{
	event_set(ring, 0, VIRTQ_PACKED_EVENT_DISABLE);
}

bool ring_packed_wants_kick(const struct ring_packed *ring)
{
	uint32_t event = __atomic_load_n((const uint32_t *)ring->device, __ATOMIC_SEQ_CST);
	unsigned int at = event & 0x7fff, now = ring->next, old = ring->published;

	switch (event >> 16 & 3) {
	case VIRTQ_PACKED_EVENT_DISABLE:
		return false;
	case VIRTQ_PACKED_EVENT_DESC:
		if (!ring->event_idx)
			return true;
		/* All three on the lap that ends at now (2.8.10); 16-bit differences do the rest.
		 */
		if ((bool)(event >> 15 & 1) != ring->next_wrap)
			at -= ring->size;
		if (ring->published_wrap != ring->next_wrap)
			old -= ring->size;
		return (uint16_t)(now - at - 1) < (uint16_t)(now - old);
	default:
		return true;
	}
}
