/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue. One thread at a time (the worker that has the queue).
 *
 * Rings, descriptors and indirect tables are in guest memory and change while we look: whatever
 * decides something is loaded once, whole (load_* below), and the copy is checked and used.
 */
#include "host/vring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Chains ahead of the one being taken whose descriptors, and then indirect tables, are fetched. */
#define PREFETCH_DESC 6
#define PREFETCH_TABLE 3

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

static inline uint16_t *used_event(const struct vring *ring)
{
	return &ring->avail->ring[ring->size];
}

static inline uint16_t *avail_event(const struct vring *ring)
{
	return (uint16_t *)&ring->used->ring[ring->size];
}

static inline uint16_t ring_mask(const struct vring *ring)
{
	return (uint16_t)(ring->size - 1);
}

/* ---- set-up ---- */

static int ring_find(struct vring *ring, const struct memtable *memory,
                     const struct vring_config *config)
{
	uint64_t n = config->size;
	void *desc = memtable_user(memory, config->desc, n * sizeof(struct virtq_desc));
	/* With the two event fields: they are part of the layout, whatever was negotiated. */
	void *avail = memtable_user(memory, config->avail, sizeof(struct virtq_avail) + 2 * n + 2);
	void *used =
		memtable_user(memory, config->used, 4 + n * sizeof(struct virtq_used_elem) + 2);

	if (!desc || !avail || !used)
		return -EFAULT;
	if ((uintptr_t)desc % 16 || (uintptr_t)avail % 2 || (uintptr_t)used % 4)
		return -EINVAL;
	ring->memory = memory;
	ring->hint = NULL;
	ring->desc = desc;
	ring->avail = avail;
	ring->used = used;
	return 0;
}

int vring_setup(struct vring *ring, const struct memtable *memory,
                const struct vring_config *config)
{
	int rc;

	if (config->size > VIRTQ_MAX_SIZE || !vc_is_power_of_two(config->size))
		return -EINVAL;
	memset(ring, 0, sizeof(*ring));
	rc = ring_find(ring, memory, config);
	if (rc < 0)
		return rc;
	ring->size = config->size;
	ring->event_idx = config->event_idx;
	ring->always_call = config->always_call;
	ring->last_avail = config->base;
	ring->cached_avail = config->base;
	ring->last_used = config->base;
	ring->published = config->base;
	return 0;
}

int vring_remap(struct vring *ring, const struct memtable *memory,
                const struct vring_config *config)
{
	return ring_find(ring, memory, config);
}

/* ---- taking chains ---- */

int vring_available(struct vring *ring)
{
	/* Acquire: pairs with the driver's store of idx, after descriptors and ring entries. */
	uint16_t idx = __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE);
	uint16_t n = (uint16_t)(idx - ring->last_avail);

	/* More than there are descriptors, now or with what we have not given back. */
	if (vc_unlikely(n > ring->size || (uint16_t)(idx - ring->last_used) > ring->size))
		return -EPROTO;
	ring->cached_avail = idx;
	return n;
}

/* Bring near what chains further on will need. Nothing here is checked, as nothing is used. */
static inline void prefetch_ahead(struct vring *ring)
{
	uint16_t ahead = (uint16_t)(ring->cached_avail - ring->last_avail);

	if (ahead > PREFETCH_DESC) {
		uint16_t at = (uint16_t)(ring->last_avail + PREFETCH_DESC) & ring_mask(ring);
		uint16_t head = load_u16(&ring->avail->ring[at]);

		__builtin_prefetch(&ring->desc[head & ring_mask(ring)]);
	}
	if (ahead > PREFETCH_TABLE) {
		uint16_t at = (uint16_t)(ring->last_avail + PREFETCH_TABLE) & ring_mask(ring);
		uint16_t head = load_u16(&ring->avail->ring[at]);
		uint64_t addr = load_desc(&ring->desc[head & ring_mask(ring)]).addr;
		const struct memregion *r = ring->hint;

		if (r && addr - r->guest_addr < r->size) {
			const uint8_t *p = r->host + (addr - r->guest_addr);

			__builtin_prefetch(p);
			__builtin_prefetch(p + VC_CACHE_LINE);
		}
	}
}

/* Where a walk is: in the ring's table or in an indirect one. */
struct walk {
	const struct virtq_desc *table;
	uint32_t size;  /* entries of table */
	uint32_t left;  /* descriptors that may still come: stops loops */
	uint16_t index; /* the next one */
	bool indirect;
};

enum walk_result { WALK_MORE, WALK_END, WALK_BAD };

/* Go into the indirect table that desc names (virtio 1.3, 2.7.5.3: the last of its chain, not in
 * another table; the write flag on it means nothing). */
static bool walk_enter(struct vring *ring, struct walk *walk, const struct virtq_desc *desc)
{
	if (walk->indirect || desc->flags & VIRTQ_DESC_F_NEXT || !desc->len || desc->len % 16)
		return false;
	uint8_t *table = memtable_translate(ring->memory, &ring->hint, desc->addr, desc->len);

	/* 16-byte alignment is the driver's duty; 8 is what we need to load words whole. */
	if (!table || (uintptr_t)table % 8)
		return false;
	walk->table = (const struct virtq_desc *)table;
	walk->size = desc->len / 16;
	walk->left = VRING_MAX_SEGMENTS;
	walk->index = 0;
	walk->indirect = true;
	return true;
}

/* The next descriptor that names a buffer. Its copy is in *desc unless the result is BAD. */
static inline enum walk_result walk_next(struct vring *ring, struct walk *walk,
                                         struct virtq_desc *desc)
{
	do {
		if (vc_unlikely(!walk->left || walk->index >= walk->size))
			return WALK_BAD;
		walk->left--;
		*desc = load_desc(&walk->table[walk->index]);
		if (!(desc->flags & VIRTQ_DESC_F_INDIRECT))
			break;
		if (!walk_enter(ring, walk, desc))
			return WALK_BAD;
	} while (true);
	if (!(desc->flags & VIRTQ_DESC_F_NEXT))
		return WALK_END;
	walk->index = desc->next;
	return WALK_MORE;
}

static inline struct walk walk_begin(const struct vring *ring, uint16_t head)
{
	return (struct walk){
		.table = ring->desc,
		.size = ring->size,
		.left = ring->size,
		.index = head,
	};
}

/*
 * Where is the status byte of a chain that is not sound? A second walk, which believes nothing of
 * the first: the last byte of the last IN buffer of some length, if the chain has an end and that
 * buffer is in memory.
 */
static __attribute__((cold, noinline)) int chain_bad(struct vring *ring, struct vring_chain *chain)
{
	struct walk walk = walk_begin(ring, chain->head);
	struct virtq_desc desc, last = {.len = 0};
	enum walk_result more;

	chain->out = 0;
	chain->in = 0;
	chain->out_len = 0;
	chain->in_len = 0;
	do {
		more = walk_next(ring, &walk, &desc);
		if (more == WALK_BAD)
			return -EBADMSG;
		if (desc.flags & VIRTQ_DESC_F_WRITE && desc.len)
			last = desc;
	} while (more == WALK_MORE);
	if (!last.len)
		return -EBADMSG;
	uint8_t *base = memtable_translate(ring->memory, &ring->hint, last.addr, last.len);

	if (base) {
		chain->segment[0].base = base + last.len - 1;
		chain->segment[0].len = 1;
		chain->in = 1;
		chain->in_len = 1;
	}
	return -EBADMSG;
}

int vring_pop(struct vring *ring, struct vring_chain *chain)
{
	struct virtq_desc desc;
	enum walk_result more;
	struct walk walk;
	uint64_t out_len = 0, in_len = 0;
	uint16_t out = 0, in = 0;

	if (ring->last_avail == ring->cached_avail) {
		int n = vring_available(ring);

		if (n <= 0)
			return n;
	}
	chain->head = load_u16(&ring->avail->ring[ring->last_avail & ring_mask(ring)]);
	if (vc_unlikely(chain->head >= ring->size))
		return -EPROTO;
	prefetch_ahead(ring);
	ring->last_avail++;

	walk = walk_begin(ring, chain->head);
	do {
		more = walk_next(ring, &walk, &desc);
		if (vc_unlikely(more == WALK_BAD))
			return chain_bad(ring, chain);
		bool write = desc.flags & VIRTQ_DESC_F_WRITE;

		if (vc_unlikely(!write && in))
			return chain_bad(ring, chain);
		if (vc_unlikely(!desc.len))
			continue;
		if (vc_unlikely(out + in == VRING_MAX_SEGMENTS))
			return chain_bad(ring, chain);
		struct vring_segment *segment = &chain->segment[out + in];

		segment->base = memtable_translate(ring->memory, &ring->hint, desc.addr, desc.len);
		segment->len = desc.len;
		if (vc_unlikely(!segment->base))
			return chain_bad(ring, chain);
		if (write) {
			in++;
			in_len += desc.len;
		} else {
			out++;
			out_len += desc.len;
		}
	} while (more == WALK_MORE);

	/* A chain is at most 2^32 bytes long (virtio 1.3, 2.7.5). */
	if (vc_unlikely(out_len + in_len > UINT32_MAX))
		return chain_bad(ring, chain);
	chain->out = out;
	chain->in = in;
	chain->out_len = (uint32_t)out_len;
	chain->in_len = (uint32_t)in_len;
	return 1;
}

/* ---- giving back ---- */

void vring_push(struct vring *ring, uint16_t head, uint32_t written)
{
	struct virtq_used_elem *used = &ring->used->ring[ring->last_used & ring_mask(ring)];
	/* One store: id, then len. */
	uint64_t element = head | (uint64_t)written << 32;

	memcpy(used, &element, sizeof(element));
	ring->last_used++;
}

/* Has idx passed event since old? (virtio 1.3, 2.7.7.2) */
static inline bool need_event(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

bool vring_publish(struct vring *ring)
{
	uint16_t old = ring->published;

	if (old == ring->last_used)
		return false;
	/* Release: results and used elements before idx; pairs with the driver's acquire. */
	__atomic_store_n(&ring->used->idx, ring->last_used, __ATOMIC_RELEASE);
	ring->published = ring->last_used;
	if (ring->always_call)
		return true;
	/*
	 * Our idx must be out before we look whether the driver sleeps. Partner: the driver writes
	 * used_event (or flags), has the same barrier, and looks at idx once more before it sleeps.
	 */
	full_barrier();
	if (ring->event_idx)
		return need_event(load_u16(used_event(ring)), ring->last_used, old);
	return !(load_u16(&ring->avail->flags) & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

/* ---- kicks ---- */

void vring_notify_off(struct vring *ring)
{
	/* With features unknown (always_call) the driver may look at either. */
	if (ring->event_idx || ring->always_call)
		/* Just passed: not reached again for 65,535 chains. */
		store_u16(avail_event(ring), (uint16_t)(ring->last_avail - 1));
	if (!ring->event_idx)
		store_u16(&ring->used->flags, VIRTQ_USED_F_NO_NOTIFY);
}

bool vring_notify_on(struct vring *ring)
{
	if (ring->event_idx || ring->always_call)
		store_u16(avail_event(ring), ring->last_avail);
	if (!ring->event_idx)
		store_u16(&ring->used->flags, 0);
	/*
	 * The wish must be out before the last look. Partner: the driver writes avail->idx, has the
	 * same barrier, and then reads avail_event (or flags) to decide whether to kick.
	 */
	full_barrier();
	return __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE) != ring->last_avail;
}
