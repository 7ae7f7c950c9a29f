/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a split virtqueue (virtio 1.3, section 2.7).
 *
 * One thread at a time. The ring lies in memory that the device writes too; the device is trusted
 * with what it is given, but not to be free of bugs, so what it writes is checked by the caller.
 *
 * The ring does not know what a descriptor is for: the caller fills descriptors and pushes heads.
 */
#ifndef VC_VIRTIO_RING_SPLIT_H
#define VC_VIRTIO_RING_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "wire/virtio_ring.h"

struct ring_split {
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	uint16_t *used_event;        /* after avail->ring: call me when used->idx passes it */
	const uint16_t *avail_event; /* after used->ring: kick me when avail->idx passes it */
	uint16_t size;
	uint16_t mask;
	bool event_idx;
	bool armed;
	/* Our own indices: never read back from the ring. */
	uint16_t avail_next;      /* of the next head pushed */
	uint16_t avail_published; /* what the device knows */
	uint16_t used_next;       /* of the next element taken */
	uint16_t used_quiet;      /* used_next when used_event was last moved out of the way */
};

/* Bytes of memory for a ring of size descriptors; the memory is to be aligned to a cache line. */
size_t ring_split_bytes(unsigned int size);

/* memory: zeroed. size: a power of two up to VIRTQ_MAX_SIZE. Calls are off. */
void ring_split_init(struct ring_split *ring, void *memory, unsigned int size, bool event_idx);

/* Ask for a call at the next used element. True: there already is one. */
bool ring_split_arm(struct ring_split *ring);
/* No calls any more. */
void ring_split_disarm(struct ring_split *ring);
/* Keep used_event out of the way while polling; see ring_split_pending(). */
void ring_split_quiet(struct ring_split *ring);

/* Put a chain where the device will find it after the next publish. There must be room, which there
 * is when no head is in the ring twice. */
static inline void ring_split_push(struct ring_split *ring, uint16_t head)
{
	ring->avail->ring[ring->avail_next & ring->mask] = head;
	ring->avail_next++;
}

/* Let the device see what was pushed. True: it wants a kick. */
static inline bool ring_split_publish(struct ring_split *ring)
{
	uint16_t old = ring->avail_published, now = ring->avail_next;

	/*
	 * As a release, this store pairs with the device's acquire of avail->idx: it sees heads and
	 * descriptors. As a sequentially consistent store, followed by such a load, it pairs with
	 * the device's "notifications on, then one more look at avail->idx": one of us sees the
	 * other, so that no kick is lost.
	 */
	__atomic_store_n(&ring->avail->idx, now, __ATOMIC_SEQ_CST);
	ring->avail_published = now;
	if (ring->event_idx) {
		uint16_t event = __atomic_load_n(ring->avail_event, __ATOMIC_SEQ_CST);

		return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
	}
	return !(__atomic_load_n(&ring->used->flags, __ATOMIC_SEQ_CST) & VIRTQ_USED_F_NO_NOTIFY);
}

/* How many used elements wait, as the device says. More than are in flight: it is broken. */
static inline unsigned int ring_split_pending(struct ring_split *ring)
{
	/* Pairs with the device's release of used->idx: elements and results are there. */
	uint16_t idx = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);

	if (vc_unlikely((uint16_t)(ring->used_next - ring->used_quiet) >= 0x4000))
		ring_split_quiet(ring);
	return (uint16_t)(idx - ring->used_next);
}

/* The next used element; only when one is pending. */
static inline struct virtq_used_elem ring_split_take(struct ring_split *ring)
{
	return ring->used->ring[ring->used_next++ & ring->mask];
}

#endif
