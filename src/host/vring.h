/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a virtqueue (virtio 1.3, section 2.7): take chains, give used buffers back.
 *
 * One thread at a time. The ring is in guest memory and hostile: each field is read once, into
 * private memory, and checked there. No sockets, no cryptography; unit-tested and fuzzed as it is.
 */
#ifndef VC_HOST_VRING_H
#define VC_HOST_VRING_H

#include <stdbool.h>
#include <stdint.h>

#include "host/memtable.h"
#include "wire/virtio_ring.h"

/* Segments of one chain at the most; longer chains are bad. */
#define VRING_MAX_SEGMENTS 1024

struct vring_segment {
	uint8_t *base;
	uint32_t len;
};

/* A chain, copied and translated. OUT segments come first. */
struct vring_chain {
	uint16_t head;    /* to be given back */
	uint16_t out;     /* number of OUT segments */
	uint16_t in;      /* number of IN segments, from segment[out] */
	uint32_t out_len; /* bytes */
	uint32_t in_len;  /* bytes */
	struct vring_segment segment[VRING_MAX_SEGMENTS];
};

/* The last byte of IN, of which there must be some: where a data request has its status. */
static inline uint8_t *vring_last_byte(const struct vring_chain *chain)
{
	const struct vring_segment *last = &chain->segment[chain->out + chain->in - 1];

	return last->base + last->len - 1;
}

struct vring {
	/* Set by vring_setup(). */
	const struct memtable *memory;
	const struct memregion *hint;
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	uint16_t size; /* a power of two */
	bool event_idx;
	bool always_call; /* features unknown (QEMU's crypto back end): signal regardless */
	/* Our own indices; what the guest writes over them does not matter. */
	uint16_t last_avail;   /* next to take */
	uint16_t last_used;    /* next to write */
	uint16_t published;    /* used index as the driver knows it */
	uint16_t cached_avail; /* avail index as last read */
};

struct vring_config {
	uint16_t size;
	uint64_t desc, avail, used; /* user addresses */
	uint16_t base;              /* of both indices */
	bool event_idx;
	bool always_call;
};

/* 0; -EINVAL size or alignment; -EFAULT not in memory. */
int vring_setup(struct vring *ring, const struct memtable *memory,
                const struct vring_config *config);

/* Use another table of the same guest (the ring is found again). 0, -EFAULT. */
int vring_remap(struct vring *ring, const struct memtable *memory,
                const struct vring_config *config);

/* Chains waiting, as far as now known: looks at the driver's index once. -EPROTO: it jumped. */
int vring_available(struct vring *ring);

/*
 * Take the next chain.
 * 1         taken and sound
 * 0         there is none
 * -EBADMSG  taken but not sound (loop, too long, outside memory, OUT after IN, nested or empty
 *           indirect table, zero length segment table): chain->head is right; when the last IN byte
 *           of it could be found, chain->in is 1 and segment[chain->out = 0] is that byte, else 0:
 *           complete it with an error
 * -EPROTO   the ring itself is broken (index or head make no sense, more in flight than
 * descriptors): stop this queue
 */
int vring_pop(struct vring *ring, struct vring_chain *chain);

/* Leave the chain that the last pop took for a later pop. */
static inline void vring_unpop(struct vring *ring)
{
	ring->last_avail--;
}

/* Give a chain back; seen by the driver at the next vring_publish(). */
void vring_push(struct vring *ring, uint16_t head, uint32_t written);

/* Let the driver see what was pushed. True: it wants a call. */
bool vring_publish(struct vring *ring);

/* Kicks off while we poll. */
void vring_notify_off(struct vring *ring);
/* Kicks on. True: there already is work, do not sleep. */
bool vring_notify_on(struct vring *ring);

#endif
