/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which requests of a split virtqueue are in flight, kept where it outlives this process: in memory
 * of which the front end has the descriptor ("Inflight I/O tracking" of vhost-user.rst). When we
 * have been killed, the next one finds there what was taken and not given back, and does it again.
 *
 * The memory is shared with the front end and hostile: whatever it holds, only the requests of that
 * device go wrong.
 */
#ifndef VC_HOST_INFLIGHT_H
#define VC_HOST_INFLIGHT_H

#include <stdint.h>

#include "host/memtable.h"
#include "wire/vhost_user.h"

struct vring;

/* ---- the memory: of a device, for so many queues of so many descriptors. Main thread. */

struct inflight_area {
	struct memmap *map; /* NULL: there is none */
	uint8_t *base;
	uint16_t queues;
	uint16_t queue_size;
};

/* Bytes that it takes. */
uint64_t inflight_area_bytes(uint16_t queues, uint16_t queue_size);
/* New and empty; *fd is the front end's copy, sealed. 0, -errno. */
int inflight_area_create(struct inflight_area *area, uint16_t queues, uint16_t queue_size, int *fd);
/* What a front end brings back. fd is not kept. 0; -EINVAL it is too small; -errno. */
int inflight_area_open(struct inflight_area *area, const struct vhost_user_inflight *wire, int fd);
/* No queue may use it. */
void inflight_area_close(struct inflight_area *area);
/* The driver begins anew: whatever was in flight is not any more. */
void inflight_area_forget(const struct inflight_area *area, unsigned int queue);

/* ---- of a queue: the main thread's before the queue is started, then its worker's */

struct inflight {
	struct vhost_inflight_split *shared;
	struct vhost_inflight_desc *desc; /* shared */
	uint64_t counter;                 /* of the next chain taken */
	uint16_t size;
	uint16_t noted; /* available index up to which chains are noted */
	/* Chains to be done again, before any other. */
	uint16_t begin; /* last_avail while there are any */
	uint16_t again_at, again_count;
	uint16_t *again; /* heads in the order in which they had been taken */
};

/*
 * Track the queue, whose ring has just been set up: find out what is to be done again, and where
 * the ring stands then (its base, from SET_VRING_BASE, is only right when there is nothing in the
 * memory). 0, also where the area has no such queue or the ring is not split; -ENOMEM.
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
/* Note the chains that have been taken since the last call: before anything is published. */
void inflight_note(struct vring *ring);
/* What was pushed is about to be published; it has been. */
void inflight_publish(struct vring *ring);
void inflight_published(struct vring *ring);

#endif
