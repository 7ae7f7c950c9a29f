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

/* Where n bytes at a guest address are, if they lie in the region that was used last. */
static inline const uint8_t *guess(const struct vring *ring, uint64_t addr, uint32_t n)
{
	const struct memregion *r = ring->hint;
	uint64_t offset = r ? addr - r->guest_addr : 0;

	return r && offset < r->size && r->size - offset >= n ? r->host + offset : NULL;
}

static inline const struct virtq_desc *desc_ahead(const struct vring *ring, uint16_t ahead)
{
	uint16_t at = (uint16_t)(ring->last_avail + ahead) & ring_mask(ring);

	return &ring->desc[load_u16(&ring->avail->ring[at]) & ring_mask(ring)];
}

/* Two lines: an indirect table of Linux or ours, or a header with its IV. (Inlined by force: gcc 12
 * takes a function that only prefetches for one without effect, and drops the call.) */
static inline __attribute__((always_inline)) void prefetch_named(const struct vring *ring,
                                                                 const struct virtq_desc *desc)
{
	const uint8_t *p = guess(ring, desc->addr, 2 * VC_CACHE_LINE);

	if (p) {
		__builtin_prefetch(p);
		__builtin_prefetch(p + VC_CACHE_LINE);
	}
}

/*
 * Bring near what later chains will need: the first descriptor, then what it names (an indirect
 * table or the header), then the header that the table names. Each step finds what the one before
 * has fetched. What is read here only says where to prefetch, and so is not checked further.
 */
static inline void prefetch_ahead(struct vring *ring)
{
	uint16_t known = (uint16_t)(ring->cached_avail - ring->last_avail);
	struct virtq_desc desc;

	if (known > PREFETCH_DESC)
		__builtin_prefetch(desc_ahead(ring, PREFETCH_DESC));
	if (known > PREFETCH_TABLE) {
		desc = load_desc(desc_ahead(ring, PREFETCH_TABLE));
		prefetch_named(ring, &desc);
	}
	if (known > PREFETCH_HEADER) {
		const uint8_t *table;

		desc = load_desc(desc_ahead(ring, PREFETCH_HEADER));
		if (!(desc.flags & VIRTQ_DESC_F_INDIRECT))
			return;
		table = guess(ring, desc.addr, sizeof(desc));
		if (table && (uintptr_t)table % 8 == 0) {
			desc = load_desc((const struct virtq_desc *)table);
			prefetch_named(ring, &desc);
		}
	}
}

/* Where a walk is: in the ring's table or in an indirect one. */
struct walk {
	const struct memtable *memory;
	const struct memregion *hint;
	const struct virtq_desc *table;
	uint32_t size;  /* entries of table */
	uint32_t left;  /* descriptors that may still come: stops loops */
	uint32_t index; /* the next one */
	bool indirect;
};

static inline struct walk walk_begin(const struct vring *ring, uint16_t head)
{
	return (struct walk){
		.memory = ring->memory,
		.hint = ring->hint,
		.table = ring->desc,
		.size = ring->size,
		.left = ring->size,
		.index = head,
	};
}

/* Go into the indirect table that desc names (virtio 1.3, 2.7.5.3: the last of its chain, not in
 * another table; the write flag on it means nothing). */
static inline bool walk_enter(struct walk *walk, const struct virtq_desc *desc)
{
	if (walk->indirect || desc->flags & VIRTQ_DESC_F_NEXT || !desc->len || desc->len % 16)
		return false;
	uint8_t *table = memtable_translate(walk->memory, &walk->hint, desc->addr, desc->len);

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

/* The next descriptor that names a buffer. False: the chain is not sound. */
static inline bool walk_next(struct walk *walk, struct virtq_desc *desc)
{
	do {
		if (vc_unlikely(!walk->left || walk->index >= walk->size))
			return false;
		walk->left--;
		*desc = load_desc(&walk->table[walk->index]);
		if (!(desc->flags & VIRTQ_DESC_F_INDIRECT))
			break;
		if (vc_unlikely(!walk_enter(walk, desc)))
			return false;
	} while (true);
	walk->index = desc->next;
	return true;
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

	chain->out = 0;
	chain->in = 0;
	chain->out_len = 0;
	chain->in_len = 0;
	do {
		if (!walk_next(&walk, &desc))
			return -EBADMSG;
		if (desc.flags & VIRTQ_DESC_F_WRITE && desc.len)
			last = desc;
	} while (desc.flags & VIRTQ_DESC_F_NEXT);
	if (!last.len)
		return -EBADMSG;
	uint8_t *base = memtable_translate(walk.memory, &walk.hint, last.addr, last.len);

	if (base) {
		chain->segment[0].base = base + last.len - 1;
		chain->segment[0].len = 1;
		chain->in = 1;
		chain->in_len = 1;
	}
	return -EBADMSG;
}

/* Copy, check and translate the chain at chain->head. False: it is not sound. */
static inline bool chain_read(struct vring *ring, struct vring_chain *chain)
{
	struct walk walk = walk_begin(ring, chain->head);
	uint64_t bytes = 0, out_bytes = 0;
	unsigned int n = 0, out = 0;
	bool in = false;
	struct virtq_desc desc;

	do {
		if (vc_unlikely(!walk_next(&walk, &desc)))
			return false;
		if (desc.flags & VIRTQ_DESC_F_WRITE) {
			if (!in) {
				in = true;
				out = n;
				out_bytes = bytes;
			}
		} else if (vc_unlikely(in)) {
			return false;
		}
		if (vc_unlikely(!desc.len))
			continue;
		if (vc_unlikely(n == VRING_MAX_SEGMENTS))
			return false;
		uint8_t *base = memtable_translate(walk.memory, &walk.hint, desc.addr, desc.len);

		if (vc_unlikely(!base))
			return false;
		chain->segment[n].base = base;
		chain->segment[n].len = desc.len;
		n++;
		bytes += desc.len;
	} while (desc.flags & VIRTQ_DESC_F_NEXT);

	/* A chain is at most 2^32 bytes long (virtio 1.3, 2.7.5). */
	if (vc_unlikely(bytes > UINT32_MAX))
		return false;
	if (vc_unlikely(!in)) {
		out = n;
		out_bytes = bytes;
	}
	chain->out = (uint16_t)out;
	chain->in = (uint16_t)(n - out);
	chain->out_len = (uint32_t)out_bytes;
	chain->in_len = (uint32_t)(bytes - out_bytes);
	ring->hint = walk.hint;
	return true;
}

int vring_pop(struct vring *ring, struct vring_chain *chain)
{
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
	return vc_likely(chain_read(ring, chain)) ? 1 : chain_bad(ring, chain);
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
