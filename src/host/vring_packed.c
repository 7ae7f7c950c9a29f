/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a packed virtqueue (virtio 1.3, section 2.8). One thread at a time (the
 * worker that has the queue).
 *
 * One ring holds what is available and what is used. A head, as vring_push() takes it, is the
 * buffer id, which is the driver's to choose, and above it the number of descriptors that the chain
 * takes in the ring: what has to be known when it is given back is not asked of the ring again.
 * Where requests in flight are tracked, the number of the entry that notes the chain stands for the
 * id (inflight_packed.c).
 */
#include <errno.h>

#include "host/vring_private.h"

#define HEAD_COUNT_SHIFT 16

/* ---- a packed descriptor is two words: addr; len, id and flags ---- */

static inline uint64_t *desc_words(const struct vring *ring, uint16_t at)
{
	return (uint64_t *)&ring->packed_desc[at];
}

static inline uint16_t word_flags(uint64_t word)
{
	return (uint16_t)(word >> 48);
}

static inline uint16_t word_id(uint64_t word)
{
	return (uint16_t)(word >> 32);
}

static inline bool word_available(uint64_t word, bool wrap)
{
	bool avail = word_flags(word) & VIRTQ_PACKED_F_AVAIL;
	bool used = word_flags(word) & VIRTQ_PACKED_F_USED;

	return avail == wrap && used != wrap;
}

/* Places in the ring, each with a wrap counter. */
static inline void forward(const struct vring *ring, uint16_t *at, bool *wrap, uint16_t n)
{
	unsigned int next = *at + n;

	if (next >= ring->size) {
		next -= ring->size;
		*wrap = !*wrap;
	}
	*at = (uint16_t)next;
}

static inline void backward(const struct vring *ring, uint16_t *at, bool *wrap, uint16_t n)
{
	if (*at < n) {
		*at = (uint16_t)(*at + ring->size);
		*wrap = !*wrap;
	}
	*at = (uint16_t)(*at - n);
}

/* ---- set-up ---- */

int packed_base(struct vring *ring, uint32_t base)
{
	uint32_t used = base >> 16 ? base >> 16 : base;
	unsigned int lap;

	ring->last_avail = base & 0x7fff;
	ring->avail_wrap = base >> 15 & 1;
	ring->last_used = used & 0x7fff;
	ring->used_wrap = used >> 15 & 1;
	if (ring->last_avail >= ring->size || ring->last_used >= ring->size)
		return -EINVAL;
	lap = ring->avail_wrap == ring->used_wrap ? 0 : ring->size;
	if (ring->last_avail + lap < ring->last_used ||
	    ring->last_avail + lap - ring->last_used > ring->size)
		return -EINVAL;
	ring->taken = (uint16_t)(ring->last_avail + lap - ring->last_used);
	ring->published = ring->last_used;
	ring->published_wrap = ring->used_wrap;
	return 0;
}

/* ---- taking chains ---- */

int packed_available(const struct vring *ring)
{
	/* Acquire: pairs with the driver's store of the flags, after all else of the chain. */
	uint64_t word = __atomic_load_n(&desc_words(ring, ring->last_avail)[1], __ATOMIC_ACQUIRE);

	if (!word_available(word, ring->avail_wrap))
		return 0;
	return vc_likely(ring->taken < ring->size) ? 1 : -EPROTO;
}

bool packed_is_available(const struct vring *ring, uint16_t at, bool wrap)
{
	return word_available(__atomic_load_n(&desc_words(ring, at)[1], __ATOMIC_RELAXED), wrap);
}

/* The address in the descriptor so many places ahead, if that is available; else 0. */
static inline uint64_t addr_ahead(const struct vring *ring, uint16_t n, bool *indirect)
{
	uint16_t at = ring->last_avail;
	bool wrap = ring->avail_wrap;
	uint64_t word;

	forward(ring, &at, &wrap, n);
	/* Acquire: what the driver wrote before these flags is read next. */
	word = __atomic_load_n(&desc_words(ring, at)[1], __ATOMIC_ACQUIRE);
	if (!word_available(word, wrap))
		return 0;
	*indirect = word_flags(word) & VIRTQ_DESC_F_INDIRECT;
	return __atomic_load_n(&desc_words(ring, at)[0], __ATOMIC_RELAXED);
}

/*
 * Bring near what later chains will need: the indirect tables (or headers) that the descriptors
 * ahead name, then the headers that these tables name. The descriptors themselves lie one after
 * another, and the hardware fetches them. What is read here only says where to prefetch.
 */
static inline void prefetch_packed(const struct vring *ring)
{
	bool indirect = false;
	const uint8_t *table;
	uint64_t addr;

	if (vc_unlikely(ring->size <= PREFETCH_TABLE))
		return;
	addr = addr_ahead(ring, PREFETCH_TABLE, &indirect);
	if (addr)
		prefetch_at(ring, addr);
	addr = addr_ahead(ring, PREFETCH_HEADER, &indirect);
	if (!addr || !indirect)
		return;
	table = guess(ring, addr, sizeof(struct virtq_packed_desc));
	if (table && (uintptr_t)table % 8 == 0)
		prefetch_at(ring, __atomic_load_n((const uint64_t *)table, __ATOMIC_RELAXED));
}

struct packed_walk {
	struct found found;
	const struct memregion *hint;
	bool bad;
	bool missed; /* because of memory that the view does not have: see ring->miss */
	/* The last IN buffer of some length, of a chain that is not sound as well. */
	uint64_t last_addr;
	uint32_t last_len;
};

/* It is not sound: is it that some of it is in memory that is not known yet? */
static __attribute__((cold, noinline)) void walk_bad(struct vring *ring, struct packed_walk *walk,
                                                     uint64_t addr, uint32_t len, bool write)
{
	walk->bad = true;
	walk->missed = ring->memory->view && found_miss(ring, addr, len, write);
}

static inline __attribute__((always_inline)) void
walk_buffer(struct vring *ring, struct vring_chain *chain, struct packed_walk *walk, uint64_t addr,
            uint32_t len, bool write)
{
	if (write && len) {
		walk->last_addr = addr;
		walk->last_len = len;
	}
	if (vc_likely(!walk->bad) && vc_unlikely(!found_add(chain, &walk->found, ring->memory,
	                                                    &walk->hint, addr, len, write)))
		walk_bad(ring, walk, addr, len, write);
}

/* "The only valid flag for descriptors in the indirect table" is WRITE, and all others are ignored
 * (2.8.7): a table cannot name another one. */
static inline void walk_table(struct vring *ring, struct vring_chain *chain,
                              struct packed_walk *walk, uint64_t addr, uint32_t len)
{
	unsigned int n = len / sizeof(struct virtq_packed_desc);
	const uint64_t *words = NULL;

	if (vc_likely(len && len % sizeof(struct virtq_packed_desc) == 0 &&
	              n <= VRING_MAX_SEGMENTS))
		words = table_find(chain, ring->memory, &walk->hint, addr, len);
	if (vc_unlikely(!words)) {
		walk_bad(ring, walk, addr, len, false);
		return;
	}
	for (unsigned int i = 0; i < n; i++, words += 2) {
		uint64_t at = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
		uint64_t word = __atomic_load_n(&words[1], __ATOMIC_RELAXED);

		walk_buffer(ring, chain, walk, at, (uint32_t)word,
		            word_flags(word) & VIRTQ_DESC_F_WRITE);
	}
}

/* A descriptor of the ring; more: another one follows. */
static inline __attribute__((always_inline)) void walk_desc(struct vring *ring,
                                                            struct vring_chain *chain,
                                                            struct packed_walk *walk, uint64_t addr,
                                                            uint32_t len, uint16_t flags, bool more)
{
	if (!(flags & VIRTQ_DESC_F_INDIRECT))
		walk_buffer(ring, chain, walk, addr, len, flags & VIRTQ_DESC_F_WRITE);
	else if (vc_unlikely(more))
		walk->bad = true;
	else
		walk_table(ring, chain, walk, addr, len);
}

static inline int walk_end(struct vring *ring, struct vring_chain *chain, struct packed_walk *walk)
{
	if (vc_likely(!walk->bad && found_end(chain, &walk->found))) {
		ring->hint = walk->hint;
		return 1;
	}
	if (walk->missed && found_miss_allowed(ring)) {
		vring_unpop(ring, chain);
		return -EAGAIN;
	}
	found_bad(chain, ring->memory, walk->last_addr, walk->last_len);
	return -EBADMSG;
}

/* Take a chain that was in flight when we were killed: it is no longer in the ring. */
static __attribute__((cold, noinline)) int pop_again(struct vring *ring, struct vring_chain *chain)
{
	const struct inflight *inflight = ring->inflight;
	struct packed_walk walk = {.hint = ring->hint};
	uint16_t head = inflight_again_take(ring->inflight), at = head;
	uint16_t count = inflight_packed_count(inflight, head);
	struct virtq_packed_desc desc;

	chain->head = head | (uint32_t)count << HEAD_COUNT_SHIFT;
	for (uint16_t n = 1; n <= count; n++) {
		at = inflight_packed_desc(inflight, at, &desc);
		walk_desc(ring, chain, &walk, desc.addr, desc.len, desc.flags, n < count);
	}
	int r = walk_end(ring, chain, &walk);

	if (r < 0)
		return r;
	if (!inflight_in_place(chain))
		return 1;
	found_bad(chain, ring->memory, walk.last_addr, walk.last_len);
	return -EBADMSG;
}

int packed_pop(struct vring *ring, struct vring_chain *chain)
{
	struct packed_walk walk = {.hint = ring->hint};
	uint16_t at = ring->last_avail, limit = (uint16_t)(ring->size - ring->taken), count = 0;
	bool wrap = ring->avail_wrap, more;
	uint64_t addr, word;
	int32_t head;
	int n;

	if (vc_unlikely(ring->inflight && inflight_again(ring->inflight)))
		return pop_again(ring, chain);
	n = packed_available(ring);
	if (n <= 0)
		return n;
	prefetch_packed(ring);
	do {
		/* More than the driver can have: its flags lie, or the chain has no end. */
		if (vc_unlikely(count == limit))
			return -EPROTO;
		addr = __atomic_load_n(&desc_words(ring, at)[0], __ATOMIC_RELAXED);
		word = __atomic_load_n(&desc_words(ring, at)[1], __ATOMIC_RELAXED);
		more = word_flags(word) & VIRTQ_DESC_F_NEXT;
		walk_desc(ring, chain, &walk, addr, (uint32_t)word, word_flags(word), more);
		forward(ring, &at, &wrap, 1);
		count++;
	} while (more);

	/* The id of a list is in its last descriptor (2.8.6). */
	head = word_id(word);
	if (vc_unlikely(ring->inflight))
		head = inflight_packed_take(ring, ring->last_avail, count, word_id(word));
	if (vc_unlikely(head < 0))
		return head;
	ring->last_avail = at;
	ring->avail_wrap = wrap;
	ring->taken = (uint16_t)(ring->taken + count);
	chain->head = (uint32_t)head | (uint32_t)count << HEAD_COUNT_SHIFT;
	return walk_end(ring, chain, &walk);
}

void packed_rewind(struct vring *ring, uint16_t taken)
{
	uint16_t at = ring->last_used;
	bool wrap = ring->used_wrap;

	for (uint16_t n = 0; n < taken; n++) {
		uint16_t flags = wrap ? VIRTQ_PACKED_F_AVAIL : VIRTQ_PACKED_F_USED;

		store_u16(&ring->packed_desc[at].flags, flags);
		forward(ring, &at, &wrap, 1);
	}
	ring->last_avail = at;
	ring->avail_wrap = wrap;
	ring->taken = taken;
	ring->published = ring->last_used;
	ring->published_wrap = ring->used_wrap;
}

void packed_unpop(struct vring *ring, const struct vring_chain *chain)
{
	uint16_t count = (uint16_t)(chain->head >> HEAD_COUNT_SHIFT);

	if (vc_unlikely(ring->inflight)) {
		if (inflight_again_undo(ring->inflight, ring))
			return;
		inflight_packed_untake(ring->inflight, (uint16_t)chain->head);
	}
	backward(ring, &ring->last_avail, &ring->avail_wrap, count);
	ring->taken = (uint16_t)(ring->taken - count);
}

/* ---- giving back ---- */

static __attribute__((cold, noinline)) uint16_t tracked_push(struct inflight *inflight,
                                                             uint32_t head)
{
	inflight_packed_push(inflight, (uint16_t)head);
	return inflight_packed_id(inflight, (uint16_t)head);
}

/* A used descriptor at a place; the first one since the last publish waits for the next. */
static inline void used_put(struct vring *ring, uint16_t at, bool wrap, uint32_t head,
                            uint32_t written)
{
	uint16_t id =
		vc_unlikely(ring->inflight) ? tracked_push(ring->inflight, head) : (uint16_t)head;
	uint64_t flags = (wrap ? VIRTQ_PACKED_F_AVAIL | VIRTQ_PACKED_F_USED : 0) |
	                 (written ? VIRTQ_DESC_F_WRITE : 0);
	uint64_t word = written | (uint64_t)id << 32 | flags << 48;

	if (!ring->held) {
		ring->held = true;
		ring->first_at = at;
	}
	if (ring->first_at == at)
		ring->first_used = word;
	else
		__atomic_store_n(&desc_words(ring, at)[1], word, __ATOMIC_RELAXED);
}

static inline void used_forward(struct vring *ring, uint32_t head)
{
	uint16_t count = (uint16_t)(head >> HEAD_COUNT_SHIFT);

	forward(ring, &ring->last_used, &ring->used_wrap, count);
	ring->taken = (uint16_t)(ring->taken - count);
}

void packed_push(struct vring *ring, uint32_t head, uint32_t written)
{
	used_put(ring, ring->last_used, ring->used_wrap, head, written);
	used_forward(ring, head);
}

void packed_push_in_order(struct vring *ring, uint32_t head, uint32_t written, bool full)
{
	if (!ring->batch_open) {
		ring->batch_at = ring->last_used;
		ring->batch_wrap = ring->used_wrap;
	}
	used_put(ring, ring->batch_at, ring->batch_wrap, head, written);
	ring->batch_open = full;
	used_forward(ring, head);
}

/* Does the driver's event lie among what has just been published? (2.8.10) */
static bool event_passed(const struct vring *ring, uint16_t event)
{
	unsigned int now = ring->last_used, old = ring->published;
	unsigned int at = event & 0x7fff;

	/* All three on the lap that ends at now; 16-bit differences do the rest. */
	if ((bool)(event >> 15) != ring->used_wrap)
		at -= ring->size;
	if (ring->published_wrap != ring->used_wrap)
		old -= ring->size;
	return need_event((uint16_t)at, (uint16_t)now, (uint16_t)old);
}

static bool call_wanted(const struct vring *ring)
{
	/* In one load, so that place and kind belong together. */
	uint32_t event = __atomic_load_n((const uint32_t *)ring->driver_event, __ATOMIC_RELAXED);

	switch (event >> 16 & 3) {
	case VIRTQ_PACKED_EVENT_DISABLE:
		return false;
	case VIRTQ_PACKED_EVENT_DESC:
		return !ring->event_idx || event_passed(ring, (uint16_t)event);
	default:
		return true;
	}
}

bool packed_publish(struct vring *ring)
{
	bool wanted;

	if (!ring->held)
		return false;
	if (vc_unlikely(ring->inflight))
		inflight_packed_publish(ring);
	/* Release: results and the used descriptors behind it before the first one, at which the
	 * driver looks first; pairs with its acquire of these flags. */
	__atomic_store_n(&desc_words(ring, ring->first_at)[1], ring->first_used, __ATOMIC_RELEASE);
	if (vc_unlikely(ring->inflight))
		inflight_packed_published(ring);
	ring->held = false;
	ring->batch_open = false;
	/* It must be out before we look whether the driver sleeps. Partner: the driver writes its
	 * event structure, has the same barrier, and looks at the flags once more. */
	full_barrier();
	wanted = call_wanted(ring);
	ring->published = ring->last_used;
	ring->published_wrap = ring->used_wrap;
	return wanted;
}

/* ---- kicks ---- */

static void event_set(struct vring *ring, uint16_t desc, uint16_t flags)
{
	__atomic_store_n((uint32_t *)ring->device_event, desc | (uint32_t)flags << 16,
	                 __ATOMIC_RELAXED);
}

void packed_notify_off(struct vring *ring)
{
	event_set(ring, 0, VIRTQ_PACKED_EVENT_DISABLE);
}

bool packed_notify_on(struct vring *ring)
{
	if (ring->event_idx)
		event_set(ring, (uint16_t)(ring->last_avail | ring->avail_wrap << 15),
		          VIRTQ_PACKED_EVENT_DESC);
	else
		event_set(ring, 0, VIRTQ_PACKED_EVENT_ENABLE);
	/* The wish must be out before the last look. Partner: the driver writes a descriptor's
	 * flags, has the same barrier, and reads our event structure to decide whether to kick. */
	full_barrier();
	return packed_available(ring) != 0 || (ring->inflight && inflight_again(ring->inflight));
}
