/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does not happen often with the chains of both kinds of rings: buffers and tables that lie in
 * more than one region of memory, tables at odd addresses, chains that are not sound, memory that a
 * view does not have yet. The worker that has the queue. vring_private.h says how guest memory is
 * read.
 */
#include <string.h>

#include "host/vring_private.h"

__attribute__((cold)) unsigned int found_add_pieces(struct vring_chain *chain, unsigned int count,
                                                    const struct memtable *memory, uint64_t addr,
                                                    uint32_t len, bool write)
{
	while (len) {
		const struct memregion *r = memtable_find_for(memory, addr, write);

		if (!r || count == VRING_MAX_SEGMENTS)
			return 0;
		uint64_t offset = addr - r->guest_addr;
		uint32_t part = (uint32_t)vc_min((uint64_t)len, r->size - offset);

		chain->segment[count++] = (struct vring_segment){r->host + offset, part};
		len -= part;
		addr += part;
		/* Nothing lies behind the last address. */
		if (len && !addr)
			return 0;
	}
	return count;
}

__attribute__((cold)) void found_bad(struct vring_chain *chain, const struct memtable *memory,
                                     uint64_t addr, uint32_t len)
{
	unsigned int pieces = len ? found_add_pieces(chain, 0, memory, addr, len, true) : 0;

	chain->out = 0;
	chain->out_len = 0;
	chain->in = pieces ? 1 : 0;
	chain->in_len = chain->in;
	if (pieces) {
		const struct vring_segment *last = &chain->segment[pieces - 1];

		chain->segment[0] = (struct vring_segment){last->base + last->len - 1, 1};
	}
}

/* Each may be answered with one page. */
#define MISSES_AT_ONE_CHAIN VRING_MAX_SEGMENTS

void vring_miss_give_up(struct vring *ring)
{
	ring->miss.count = MISSES_AT_ONE_CHAIN;
}

__attribute__((cold)) bool found_miss_allowed(struct vring *ring)
{
	if (!ring->memory->view)
		return false;
	if (ring->miss.at != ring->last_avail) {
		ring->miss.at = ring->last_avail;
		ring->miss.count = 0;
	}
	return ring->miss.count++ < MISSES_AT_ONE_CHAIN;
}

__attribute__((cold)) bool found_miss(struct vring *ring, uint64_t addr, uint32_t len, bool write)
{
	ring->miss.write = write;
	return memtable_gap(ring->memory, addr, len, write, &ring->miss.addr);
}

__attribute__((cold)) const void *
table_copy(struct vring_chain *chain, const struct memtable *memory, uint64_t addr, uint32_t len)
{
	uint8_t *to = (uint8_t *)chain->table;

	if (len > sizeof(chain->table))
		return NULL;
	while (len) {
		const struct memregion *r = memtable_find_for(memory, addr, false);
		uint64_t offset = r ? addr - r->guest_addr : 0;
		uint32_t part = r ? (uint32_t)vc_min((uint64_t)len, r->size - offset) : 0;

		if (!part)
			return NULL;
		memcpy(to, r->host + offset, part);
		to += part;
		len -= part;
		addr += part;
		if (len && !addr)
			return NULL;
	}
	return chain->table;
}
