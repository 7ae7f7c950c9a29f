/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of either kind, for those who need not know which (control queue, transports) and for
 * queues that are not the usual ones. One thread at a time.
 *
 * A chain has an id, from 0: of a split ring the number of its first descriptor, of a packed one
 * its buffer id. With IN_ORDER the caller pushes ids one after another, id + each, and from the
 * highest goes on with 0; so what a used entry that stands for several chains means is known.
 */
#ifndef VC_VIRTIO_RING_H
#define VC_VIRTIO_RING_H

#include "virtio/ring_packed.h"
#include "virtio/ring_split.h"

struct ring_kind {
	bool packed, event_idx, in_order;
};

/* What came back. */
struct ring_used {
	uint32_t id;
	uint32_t written; /* bytes; UINT32_MAX: all that there was room for (IN_ORDER) */
};

struct ring {
	bool packed, in_order;
	union {
		struct ring_split split;
		struct ring_packed pack;
	};
	uint16_t each;           /* distance of ids, and of packed rings descriptors of a chain */
	const uint16_t *lengths; /* packed: descriptors of chain id, where that differs; or NULL */
	/* IN_ORDER. */
	uint32_t oldest;       /* id that comes back next */
	bool batch;            /* a used entry has been read that stands for more chains */
	struct ring_used last; /* that entry */
};

static inline size_t ring_bytes(unsigned int size, bool packed)
{
	return packed ? ring_packed_bytes(size) : ring_split_bytes(size);
}

/* memory: zeroed. size: descriptors, a power of two up to VIRTQ_MAX_SIZE. each: descriptors of a
 * chain. Calls are off. */
void ring_init(struct ring *ring, void *memory, unsigned int size, unsigned int each,
               struct ring_kind kind);

/* What the transport has to know. */
unsigned int ring_size(const struct ring *ring);
/* Addresses of descriptors, driver's area, device's area. */
void ring_parts(const struct ring *ring, uint64_t *desc, uint64_t *driver, uint64_t *device);
/* As SET_VRING_BASE wants it for a fresh ring. */
uint32_t ring_base(const struct ring *ring);

/*
 * Push chain `id`, of descriptors as a split ring has them (next: in the same array). Split rings:
 * n = 1 is descriptor `id`; the others follow it. Seen after the next publish.
 */
void ring_push(struct ring *ring, uint16_t id, const struct virtq_desc *descs, unsigned int n);

/* Let the device see what was pushed. True: it wants a kick. */
static inline bool ring_publish(struct ring *ring)
{
	return vc_unlikely(ring->packed) ? ring_packed_publish(&ring->pack)
	                                 : ring_split_publish(&ring->split);
}

/* The next chain that came back. 1; 0 there is none; -EPROTO the device gave back what makes no
 * sense. The id is to be checked: in range, and in flight. */
int ring_take(struct ring *ring, struct ring_used *used);

bool ring_arm(struct ring *ring);
void ring_disarm(struct ring *ring);

#endif
