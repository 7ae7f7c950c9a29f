/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory region of one client: where things lie in it, and making it.
 *
 * The daemon makes the region, so it cannot be cut short: it is sealed against shrinking and
 * growing before the client gets its descriptor. What is in it is the client's and is not trusted;
 * the layout below is the daemon's own copy and is.
 */
#ifndef VC_ENGINED_REGION_H
#define VC_ENGINED_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/engine.h"

/* Bytes of one slot's buffer: a TLS record, with what goes with it. A multiple of the cache line,
 * and not of a page, so that the buffers of a channel do not all fall on the same cache sets. */
#define REGION_BUFFER_SIZE (16384u + 512u)

struct region_layout {
	uint64_t size;
	uint32_t channels;
	uint32_t slots;
	uint32_t channel_offset;
	uint32_t channel_stride;
	uint32_t slot_offset;
	uint32_t buffer_size;
	uint32_t buffer_stride;
	uint64_t buffer_offset; /* start of all buffers */
	uint64_t buffer_end;
};

struct region {
	struct region_layout layout;
	uint8_t *base; /* NULL: none */
	int fd;
};

/* Lay a region out. -EINVAL when a number is out of range or it does not fit in 4 GiB. */
int region_layout_init(struct region_layout *layout, uint32_t channels, uint32_t slots,
                       uint32_t buffer_size);

/* Whether length bytes at offset lie wholly in the buffers. */
static inline bool region_holds(const struct region_layout *layout, uint64_t offset,
                                uint64_t length)
{
	/* Offset and length come from 32-bit fields: the sum cannot wrap in 64 bits. */
	return offset >= layout->buffer_offset && offset + length <= layout->buffer_end;
}

/* Make, seal and map a region, with the layout in its header. 0 or -errno. */
int region_create(struct region *region, const struct region_layout *layout);
/* Unmap and close; a region that was never made is allowed if base is NULL and fd -1. */
void region_destroy(struct region *region);

static inline struct vce_region_header *region_header(const struct region *region)
{
	return (struct vce_region_header *)(void *)region->base;
}

#endif
