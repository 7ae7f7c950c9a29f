/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two kinds of rings share (vring.c: split, vring_packed.c): single loads and stores of
 * guest memory, and the copy of a chain as its descriptors are found.
 *
 * The worker that has the queue. Rings, descriptors and indirect tables are in guest memory and
 * change while we look: whatever decides something is loaded once, whole (load_*), and the copy is
 * checked and used.
 */
#ifndef VC_HOST_VRING_PRIVATE_H
#define VC_HOST_VRING_PRIVATE_H

#include "host/vring.h"

/* How many chains ahead of the one being taken what is fetched: see prefetch_ahead(). */
#define PREFETCH_DESC 6
#define PREFETCH_TABLE 4
#define PREFETCH_HEADER 2

/* ---- guest memory: single loads and stores ---- */

static inline uint16_t load_u16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void store_u16(uint16_t *p, uint16_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

/* A descriptor in two loads, so that the compiler cannot read a field again. */
static inline struct virtq_desc load_desc(const struct virtq_desc *p)
{
	const uint64_t *words = (const uint64_t *)p;
	uint64_t addr = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
	uint64_t rest = __atomic_load_n(&words[1], __ATOMIC_RELAXED);

	return (struct virtq_desc){
		.addr = addr,
		.len = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48),
	};
}

/* Stores before it are seen before loads behind it are done: what release and acquire do not give.
 * (A locked operation is that on x86-64, and costs less than mfence.) */
static inline void full_barrier(void)
{
	__asm__ volatile("lock orl $0, (%%rsp)" : : : "memory", "cc");
}

/* Has idx passed event since old? (virtio 1.3, 2.7.7.2) */
static inline bool need_event(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

/* ---- prefetching ---- */

/* Where n bytes at a guest address are, if they lie in the region that was used last. */
static inline const uint8_t *guess(const struct vring *ring, uint64_t addr, uint32_t n)
{
	const struct memregion *r = ring->hint;
	uint64_t offset = r ? addr - r->guest_addr : 0;

	return r && offset < r->size && r->size - offset >= n ? r->host + offset : NULL;
}

/* Two lines: an indirect table of Linux or ours, or a header with its IV. (Inlined by force: gcc 12
 * takes a function that only prefetches for one without effect, and drops the call.) Where they
 * are, or NULL: too near the end. */
static inline __attribute__((always_inline)) const uint8_t *prefetch_at(const struct vring *ring,
                                                                        uint64_t addr)
{
	const uint8_t *p = guess(ring, addr, 2 * VC_CACHE_LINE);

	if (p) {
		__builtin_prefetch(p);
		__builtin_prefetch(p + VC_CACHE_LINE);
	}
	return p;
}

/* ---- a chain as it is found ---- */

struct found {
	uint64_t bytes, out_bytes;
	unsigned int count, out; /* segments */
	bool in;                 /* there has been an IN segment */
};

/* A buffer that lies in more than one region: a segment for each. Returns how many there are then,
 * 0 when it is not in memory or too long. */
unsigned int found_add_pieces(struct vring_chain *chain, unsigned int count,
                              const struct memtable *memory, uint64_t addr, uint32_t len,
                              bool write);

/* The next buffer of the chain. False: the chain is not sound. */
static inline __attribute__((always_inline)) bool
found_add(struct vring_chain *chain, struct found *found, const struct memtable *memory,
          const struct memregion **hint, uint64_t addr, uint32_t len, bool write)
{
	if (write) {
		if (!found->in) {
			found->in = true;
			found->out = found->count;
			found->out_bytes = found->bytes;
		}
	} else if (vc_unlikely(found->in)) {
		return false;
	}
	if (vc_unlikely(!len))
		return true;
	if (vc_unlikely(found->count == VRING_MAX_SEGMENTS))
		return false;
	uint8_t *base = memtable_translate(memory, hint, addr, len);

	if (vc_likely(base)) {
		chain->segment[found->count].base = base;
		chain->segment[found->count].len = len;
		found->count++;
	} else {
		found->count = found_add_pieces(chain, found->count, memory, addr, len, write);
		if (!found->count)
			return false;
	}
	found->bytes += len;
	return true;
}

/* All of it has been found. False: the chain is not sound. */
static inline bool found_end(struct vring_chain *chain, struct found *found)
{
	/* A chain is at most 2^32 bytes long (virtio 1.3, 2.7.5). */
	if (vc_unlikely(found->bytes > UINT32_MAX))
		return false;
	if (vc_unlikely(!found->in)) {
		found->out = found->count;
		found->out_bytes = found->bytes;
	}
	chain->out = (uint16_t)found->out;
	chain->in = (uint16_t)(found->count - found->out);
	chain->out_len = (uint32_t)found->out_bytes;
	chain->in_len = (uint32_t)(found->bytes - found->out_bytes);
	return true;
}

/* A chain that is not sound, but for the byte at the end of its last IN buffer (len 0: there is
 * none), if that buffer is in memory. */
void found_bad(struct vring_chain *chain, const struct memtable *memory, uint64_t addr,
               uint32_t len);

/*
 * Whether len bytes at addr of a chain lie in memory of a view that is not known (yet): where is
 * noted in the ring. At one chain so many times at the most (found_miss_allowed(), once for each
 * time that a chain is not sound); then it is unsound for good.
 */
bool found_miss(struct vring *ring, uint64_t addr, uint32_t len, bool write);
bool found_miss_allowed(struct vring *ring);

/* A copy of an indirect table: one that lies over several regions, or at an address from which
 * words cannot be loaded whole. NULL: not in memory, or too long. */
const void *table_copy(struct vring_chain *chain, const struct memtable *memory, uint64_t addr,
                       uint32_t len);

/* An indirect table of len bytes (a multiple of 16), where it lies, or a copy. NULL: not in memory.
 * Only rings have to be aligned (2.7, 2.8): DPDK's driver has its tables behind a status byte. */
static inline const void *table_find(struct vring_chain *chain, const struct memtable *memory,
                                     const struct memregion **hint, uint64_t addr, uint32_t len)
{
	const uint8_t *table = memtable_translate(memory, hint, addr, len);

	if (vc_unlikely(!table || (uintptr_t)table % 8))
		return table_copy(chain, memory, addr, len);
	return table;
}

/* ---- vring_packed.c: as in vring.h ---- */

int packed_base(struct vring *ring, uint32_t base);
int packed_pop(struct vring *ring, struct vring_chain *chain);
int packed_available(const struct vring *ring);
/* Whether the descriptor at that place is available, on the lap of that wrap counter. */
bool packed_is_available(const struct vring *ring, uint16_t at, bool wrap);
/* So many descriptors have been taken from last_used on, and none is on its way back: whatever was
 * written over them and not published is made to look as the driver left it. */
void packed_rewind(struct vring *ring, uint16_t taken);
void packed_unpop(struct vring *ring, const struct vring_chain *chain);
void packed_push(struct vring *ring, uint32_t head, uint32_t written);
void packed_push_in_order(struct vring *ring, uint32_t head, uint32_t written, bool full);
bool packed_publish(struct vring *ring);
void packed_notify_off(struct vring *ring);
bool packed_notify_on(struct vring *ring);

#endif
