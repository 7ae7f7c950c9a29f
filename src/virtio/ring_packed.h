/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a packed virtqueue (virtio 1.3, section 2.8).
 *
 * One thread at a time. The ring lies in memory that the device writes too; the device is trusted
 * with what it is given, but not to be free of bugs: the buffer ids that it gives back are checked
 * by the caller.
 */
#ifndef VC_VIRTIO_RING_PACKED_H
#define VC_VIRTIO_RING_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "wire/virtio_ring.h"

struct ring_packed {
	struct virtq_packed_desc *desc;
	struct virtq_packed_event *driver, *device; /* on cache lines of their own */
	uint16_t size;
	bool event_idx;
	/* Our own places in the ring, each with its wrap counter. */
	bool next_wrap, used_wrap, published_wrap;
	uint16_t next;      /* of the next descriptor pushed */
	uint16_t used_next; /* of the next used descriptor */
	uint16_t published; /* next, when it was last published */
	/* The first descriptor since then: its flags are written last of all. */
	bool held;
	uint16_t held_at;
	uint64_t held_word; /* len, id and flags */
};

/* Bytes of memory for a ring of size descriptors; the memory is to be aligned to a cache line. */
size_t ring_packed_bytes(unsigned int size);

/* memory: zeroed. size: up to VIRTQ_MAX_SIZE. Calls are off. */
void ring_packed_init(struct ring_packed *ring, void *memory, unsigned int size, bool event_idx);

/* Ask for a call at the next used descriptor. True: there already is one. */
bool ring_packed_arm(struct ring_packed *ring);
/* No calls any more. */
void ring_packed_disarm(struct ring_packed *ring);

static inline void ring_packed_forward(const struct ring_packed *ring, uint16_t *at, bool *wrap,
                                       unsigned int n)
{
	unsigned int next = *at + n;

	if (next >= ring->size) {
		next -= ring->size;
		*wrap = !*wrap;
	}
	*at = (uint16_t)next;
}

/* One descriptor for the device to find after the next publish; flags: VIRTQ_DESC_F_*. There must
 * be room. */
static inline void ring_packed_put(struct ring_packed *ring, uint64_t addr, uint32_t len,
                                   uint16_t flags, uint16_t id)
{
	struct virtq_packed_desc *desc = &ring->desc[ring->next];
	uint64_t word =
		len | (uint64_t)id << 32 |
		(uint64_t)(flags | (ring->next_wrap ? VIRTQ_PACKED_F_AVAIL : VIRTQ_PACKED_F_USED))
			<< 48;

	desc->addr = addr;
	if (!ring->held) {
		ring->held = true;
		ring->held_at = ring->next;
		ring->held_word = word;
	} else {
		/* Release: a device may look ahead, to prefetch. */
		__atomic_store_n((uint64_t *)&desc->len, word, __ATOMIC_RELEASE);
	}
	ring_packed_forward(ring, &ring->next, &ring->next_wrap, 1);
}

/* Does the device want a kick for what lies between published and next? */
bool ring_packed_wants_kick(const struct ring_packed *ring);

/* Let the device see what was put. True: it wants a kick. */
static inline bool ring_packed_publish(struct ring_packed *ring)
{
	bool wanted;

	if (!ring->held)
		return false;
	/*
	 * As a release, this store pairs with the device's acquire of these flags: it sees all that
	 * is behind them. As a sequentially consistent store, followed by the look at the device's
	 * event structure, it pairs with the device's "notifications on, then one more look": one
	 * of us sees the other, so that no kick is lost.
	 */
	__atomic_store_n((uint64_t *)&ring->desc[ring->held_at].len, ring->held_word,
	                 __ATOMIC_SEQ_CST);
	ring->held = false;
	wanted = ring_packed_wants_kick(ring);
	ring->published = ring->next;
	ring->published_wrap = ring->next_wrap;
	return wanted;
}

/* The next used descriptor, id and len; it stays the next until it is passed. False: there is none.
 */
static inline bool ring_packed_peek(const struct ring_packed *ring, struct virtq_used_elem *elem)
{
	/* Acquire: pairs with the device's release; results and length are there. */
	uint64_t word =
		__atomic_load_n((uint64_t *)&ring->desc[ring->used_next].len, __ATOMIC_ACQUIRE);
	bool avail = word >> 48 & VIRTQ_PACKED_F_AVAIL, used = word >> 48 & VIRTQ_PACKED_F_USED;

	if (avail != used || used != ring->used_wrap)
		return false;
	/* "Element Length is reserved for used descriptors without the WRITE flag" (2.8.5). */
	*elem = (struct virtq_used_elem){(uint16_t)(word >> 32),
	                                 word >> 48 & VIRTQ_DESC_F_WRITE ? (uint32_t)word : 0};
	return true;
}

/* A chain of so many descriptors has come back. */
static inline void ring_packed_pass(struct ring_packed *ring, unsigned int count)
{
	ring_packed_forward(ring, &ring->used_next, &ring->used_wrap, count);
}

#endif
