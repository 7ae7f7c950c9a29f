/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which requests of a virtqueue are in flight, kept where it outlives this process: in memory of
 * which the front end has the descriptor ("Inflight I/O tracking" of vhost-user.rst). When we have
 * been killed, the next one finds there what was taken and not given back, and does it again.
 *
 * The memory is shared with the front end and hostile: whatever it holds, only the requests of that
 * device go wrong.
 */
#ifndef VC_HOST_INFLIGHT_H
#define VC_HOST_INFLIGHT_H

#include <stdint.h>

#include "host/memtable.h"
#include "wire/vhost_user.h"
#include "wire/virtio_ring.h"

struct vring;
struct vring_chain;

/* ---- the memory: of a device, for so many queues of so many descriptors. Main thread. */

struct inflight_area {
	struct memmap *map; /* NULL: there is none */
	uint8_t *base;
	uint16_t queues;
	uint16_t queue_size;
	bool packed; /* of packed rings */
};

/* Bytes that it takes. */
uint64_t inflight_area_bytes(bool packed, uint16_t queues, uint16_t queue_size);
/* New and empty; *fd is the front end's copy, sealed. 0, -errno. */
int inflight_area_create(struct inflight_area *area, bool packed, uint16_t queues,
                         uint16_t queue_size, int *fd);
/* What a front end brings back. fd is not kept. 0; -EINVAL it is too small; -errno. */
int inflight_area_open(struct inflight_area *area, bool packed,
                       const struct vhost_user_inflight *wire, int fd);
/* No queue may use it. */
void inflight_area_close(struct inflight_area *area);
/* The driver begins anew: whatever was in flight is not any more. */
void inflight_area_forget(const struct inflight_area *area, unsigned int queue);

/* ---- of a queue: the main thread's before the queue is started, then its worker's */

struct inflight {
	uint64_t counter; /* of the next chain taken */
	uint16_t size;
	/* Chains to be done again, before any other. */
	uint16_t again_at, again_count;
	uint16_t *again; /* heads (packed: entries) in the order in which they had been taken */
	/* Split. */
	struct vhost_inflight_split *shared;
	struct vhost_inflight_desc *desc; /* shared */
	uint16_t noted;                   /* available index up to which chains are noted */
	uint16_t begin;                   /* last_avail while there are any to be done again */
	/* Packed (inflight_packed.c); else NULL. */
	struct inflight_packed *packed;
};

/* A chain that was in flight. */
struct inflight_taken {
	uint64_t counter;
	uint16_t head;
};

/*
 * Track the queue, whose ring has just been set up: find out what is to be done again, and where
 * the ring stands then (its base, from SET_VRING_BASE, is only right when there is nothing in the
 * memory). 0, also where the area has no such queue or is for the other kind of ring; -ENOMEM.
 */
int inflight_begin(struct inflight *inflight, const struct inflight_area *area, unsigned int queue,
                   struct vring *ring);
void inflight_end(struct inflight *inflight, struct vring *ring);

/* The worker's, by way of vring.c: a chain to be done again is next; take it. */
static inline bool inflight_again(const struct inflight *inflight)
{
	return inflight->again_at < inflight->again_count;
}
static inline uint16_t inflight_again_take(struct inflight *inflight)
{
	return inflight->again[inflight->again_at++];
}
/* Whether the last chain taken was such a one; it is put back then. */
bool inflight_again_undo(struct inflight *inflight, const struct vring *ring);
/* Whether a result lies where an input lay. Such a chain may have been done already, and doing it
 * twice would give rubbish for a result: it is failed, which the driver sees. */
bool inflight_in_place(const struct vring_chain *chain);
/* Split: note the chains that have been taken since the last call, before anything is published. */
void inflight_note(struct vring *ring);
/* What was pushed is about to be published; it has been. */
void inflight_publish(struct vring *ring);
void inflight_published(struct vring *ring);

/* Make room for the list of what is to be done again, and fill it: n chains, which are sorted. 0,
 * -ENOMEM. */
int inflight_again_set(struct inflight *inflight, struct inflight_taken *taken, unsigned int n);

/* ---- inflight_packed.c: of packed rings */

/* shared: the queue's part of the area. As inflight_begin() and _end(). */
int inflight_packed_begin(struct inflight *inflight, void *shared, struct vring *ring);
void inflight_packed_end(struct inflight *inflight);
/* Note a chain of count descriptors from place `at` on that has just been taken, before anything
 * else is done with it. Returns what is its head from now on; -EPROTO: there are more of them than
 * the ring has, counting those that the driver does not know to be back. */
int32_t inflight_packed_take(struct vring *ring, uint16_t at, uint16_t count, uint16_t id);
/* It was left in the ring after all: the last one that was taken. */
void inflight_packed_untake(struct inflight *inflight, uint16_t head);
/* Descriptors of a chain that is noted, and its buffer id. */
uint16_t inflight_packed_count(const struct inflight *inflight, uint16_t head);
uint16_t inflight_packed_id(const struct inflight *inflight, uint16_t head);
/* One descriptor of such a chain; at: its head, then what this returned for the one before. */
uint16_t inflight_packed_desc(const struct inflight *inflight, uint16_t at,
                              struct virtq_packed_desc *desc);
/* The chain is given back with the next publish. */
void inflight_packed_push(struct inflight *inflight, uint16_t head);
void inflight_packed_publish(struct vring *ring);
void inflight_packed_published(struct vring *ring);

#endif
