/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a virtqueue, split (virtio 1.3, section 2.7) or packed (2.8): take chains,
 * give used buffers back.
 *
 * One thread at a time. The ring is in guest memory and hostile: each field is read once, into
 * private memory, and checked there. No sockets, no cryptography; unit-tested and fuzzed as it is.
 */
#ifndef VC_HOST_VRING_H
#define VC_HOST_VRING_H

#include <stdbool.h>
#include <stdint.h>

#include "host/inflight.h"
#include "host/memtable.h"
#include "wire/virtio_ring.h"

/* A power of two: see prefetch_ahead(). */
#define VRING_AHEAD 4
/* Used entries of a split ring in a cache line. */
#define VRING_USED_LINE 8u
/* Segments of one chain at the most; longer chains are bad. */
#define VRING_MAX_SEGMENTS 1024

struct vring_segment {
	uint8_t *base;
	uint32_t len;
};

/* A chain, copied and translated. OUT segments come first. */
struct vring_chain {
	uint32_t head;    /* to be given back: vring_push() knows what it means */
	uint16_t out;     /* number of OUT segments */
	uint16_t in;      /* number of IN segments, from segment[out] */
	uint32_t out_len; /* bytes */
	uint32_t in_len;  /* bytes */
	struct vring_segment segment[VRING_MAX_SEGMENTS];
	/* Scratch: an indirect table that cannot be read where it lies. */
	struct virtq_desc table[VRING_MAX_SEGMENTS];
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
	/* Regions that were used last: by tables, headers and status bytes, and by data. */
	const struct memregion *hint, *data_hint;
	/* Tables of chains to come, as far as their places were found when they were fetched: by
	 * the low bits of the available index. */
	const struct virtq_desc *table_ahead[VRING_AHEAD];
	union {
		struct virtq_desc *desc;
		struct virtq_packed_desc *packed_desc;
	};
	union {
		struct virtq_avail *avail;
		struct virtq_packed_event *driver_event;
	};
	union {
		struct virtq_used *used;
		struct virtq_packed_event *device_event;
	};
	struct inflight *inflight; /* NULL: not tracked; not owned */
	uint16_t size;             /* of a split ring a power of two */
	bool packed;
	bool event_idx;
	bool untold;   /* features unknown (QEMU's crypto back end) */
	bool in_order; /* one used entry may stand for several chains */
	/* Our own indices; what the guest writes over them does not matter. Those of a packed ring
	 * are places in the ring. */
	uint16_t last_avail;   /* next to take */
	uint16_t last_used;    /* next to write */
	uint16_t published;    /* used index as the driver knows it */
	uint16_t cached_avail; /* split: avail index as last read */
	/* IN_ORDER: the used entry that may yet come to stand for more. */
	bool batch_open;
	bool batch_wrap;   /* packed: the wrap counter there */
	uint16_t batch_at; /* where it is */
	/* Packed. */
	bool avail_wrap, used_wrap, published_wrap;
	bool held;      /* there is a first_used */
	uint16_t taken; /* descriptors taken and not given back */
	/* The first used descriptor that was not published: written last of all. */
	uint16_t first_at;
	uint64_t first_used;
	/* Where the memory is a view: what the last pop wanted and did not find. */
	struct {
		uint64_t addr;
		bool write;
		uint16_t at, count; /* last_avail then, and how often there */
	} miss;
};

struct vring_config {
	uint16_t size;
	/* User addresses; of a packed ring the descriptors, the driver's area, the device's. */
	uint64_t desc, avail, used;
	/* The same where they are mapped for us, or NULL: as addresses in memory say. */
	void *found[3];
	/* Where to go on, as vhost-user tells it (vring_base()). */
	uint32_t base;
	bool packed;
	bool event_idx;
	bool in_order;
	bool untold;
};

/* 0; -EINVAL size or alignment; -EFAULT not in memory. */
int vring_setup(struct vring *ring, const struct memtable *memory,
                const struct vring_config *config);

/* The first address of the ring that is not in memory; false: all of it is. */
bool vring_gap(const struct memtable *memory, const struct vring_config *config, uint64_t *gap);

/* Bytes of the three parts. */
void vring_sizes(const struct vring_config *config, uint64_t size[3]);

/*
 * Where the ring stands, as vhost-user's SET_VRING_BASE takes it again. Split: the next available
 * index. Packed: bits 0-14 the next available descriptor, 15 its wrap counter, 16-31 the same of
 * the next used one; front ends that leave the upper half 0 mean that nothing is in flight.
 */
uint32_t vring_base(const struct vring *ring);

/* Use another table of the same guest (the ring is found again). 0, -EFAULT. */
int vring_remap(struct vring *ring, const struct memtable *memory,
                const struct vring_config *config);

/* Chains waiting, as far as now known: looks at the driver's index once. -EPROTO: it jumped. Of a
 * packed ring: whether there is one. */
int vring_available(struct vring *ring);

/* A quick look whether a pop would find nothing; of packed rings, and of those with requests to be
 * done again, false: it has to be tried. */
static inline bool vring_idle(const struct vring *ring)
{
	if (vc_unlikely(ring->packed || ring->inflight))
		return false;
	/* Relaxed: vring_pop() looks again. */
	return __atomic_load_n(&ring->avail->idx, __ATOMIC_RELAXED) == ring->last_avail;
}

/*
 * Take the next chain.
 * 1         taken and sound
 * 0         there is none
 * -EBADMSG  taken but not sound (loop, too long, outside memory, OUT after IN, nested or empty
 *           indirect table, zero length segment table): chain->head is right; when the last IN byte
 *           of it could be found, chain->in is 1 and segment[chain->out = 0] is that byte, else 0:
 *           complete it with an error
 * -EAGAIN   not taken: some of it lies in memory that a view does not have yet, see miss; try again
 *           with another table
 * -EPROTO   the ring itself is broken (index or head make no sense, more in flight than
 *           descriptors, a packed chain without an end): stop this queue
 */
int vring_pop(struct vring *ring, struct vring_chain *chain);

/* What was missed will not be known: the next pop finds that chain not sound. */
void vring_miss_give_up(struct vring *ring);

/* To be called after a burst of pops: what has been taken is in flight. */
static inline void vring_taken(struct vring *ring)
{
	if (vc_unlikely(ring->inflight))
		inflight_note(ring);
}

/* The same, of so many taken that with others make up what is in flight: the used entries that they
 * will have are fetched while they are worked on. */
static inline void vring_expect(struct vring *ring, uint32_t in_flight, uint32_t taken)
{
	uint32_t at = ring->last_used + in_flight - taken;

	/* What a packed ring writes lies where it has just read. */
	if (vc_unlikely(ring->packed))
		return;
	for (uint32_t i = 0; i < taken + VRING_USED_LINE - 1; i += VRING_USED_LINE)
		prefetch_write(&ring->used->ring[(at + i) & (ring->size - 1u)]);
}

/* Leave the chain that the last pop took for a later pop. */
void vring_unpop(struct vring *ring, const struct vring_chain *chain);

/* Give a chain back; seen by the driver at the next vring_publish(). */
void vring_push(struct vring *ring, uint32_t head, uint32_t written);

/* The same of a device that gives back in the order of taking; room: bytes of the chain's IN
 * segments. Where IN_ORDER was agreed, chains that were written in full share one used entry
 * (2.7.9, 2.8.9). */
void vring_push_in_order(struct vring *ring, uint32_t head, uint32_t written, uint32_t room);

/* Let the driver see what was pushed. True: it wants a call. */
bool vring_publish(struct vring *ring);

/* Kicks off while we poll. */
void vring_notify_off(struct vring *ring);
/* Kicks on. True: there already is work, do not sleep. */
bool vring_notify_on(struct vring *ring);

#endif
