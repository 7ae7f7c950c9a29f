/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private buffers of a worker, for requests whose data lies in pieces or must not change while it
 * is used. The pool's life is in request.h; this is what request.c needs of it. One thread.
 */
#ifndef VC_HOST_BOUNCE_H
#define VC_HOST_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/vring.h"

struct bounce_pool;

/* At the head of each buffer. */
struct bounce {
	struct bounce *next; /* free list */
	uint32_t room;       /* bytes of space[] */
	uint8_t class;
	bool secret;       /* wipe what was used before the next one gets it */
	uint32_t used;     /* bytes of space[] that may hold data */
	uint16_t segments; /* IN segments of the chain, at the start of space[]; 0: dst is direct */
	uint32_t tag_at;   /* where in the IN bytes digest or tag goes */
	uint32_t dst_room; /* AKCIPHER: bytes that the guest has room for */
	vc_cache_aligned uint8_t space[];
};

/* A buffer with at least so many bytes of space, its fields cleared. NULL: none now, or (when
 * size is above bounce_pool_limit()) never. */
struct bounce *bounce_get(struct bounce_pool *pool, uint64_t size);
void bounce_put(struct bounce_pool *pool, struct bounce *bounce);
uint32_t bounce_pool_limit(const struct bounce_pool *pool);

#endif
