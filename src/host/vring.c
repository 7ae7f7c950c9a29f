/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a virtqueue: set-up of both kinds, and the split one. One thread at a time
 * (the worker that has the queue). vring_private.h says how guest memory is read.
 *
 * Packed rings go their own way (vring_packed.c) at one branch that is always predicted.
 */
#include "host/vring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "host/vring_private.h"

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

/* With the two event fields of a split one: they are part of the layout, whatever was negotiated.
 */
void vring_sizes(const struct vring_config *config, uint64_t size[3])
{
	uint64_t n = config->size;

	size[0] = n * sizeof(struct virtq_desc);
	size[1] = config->packed ? sizeof(struct virtq_packed_event)
	                         : sizeof(struct virtq_avail) + n * sizeof(uint16_t) + 2;
	size[2] = config->packed
	                  ? sizeof(struct virtq_packed_event)
	                  : sizeof(struct virtq_used) + n * sizeof(struct virtq_used_elem) + 2;
}

/* Without an IOMMU, rings have addresses of the front end's own and not the guest's. */
static bool part_gap(const struct memtable *memory, uint64_t addr, uint64_t size, uint64_t *gap)
{
	if (memory->view)
		return memtable_gap(memory, addr, size, true, gap);
	*gap = addr;
	return !memtable_user(memory, addr, size);
}

bool vring_gap(const struct memtable *memory, const struct vring_config *config, uint64_t *gap)
{
	uint64_t size[3];

	vring_sizes(config, size);
	return part_gap(memory, config->desc, size[0], gap) ||
	       part_gap(memory, config->avail, size[1], gap) ||
	       part_gap(memory, config->used, size[2], gap);
}

static void *part_find(const struct memtable *memory, void *found, uint64_t addr, uint64_t size)
{
	return found ? found : memtable_user(memory, addr, size);
}

static int ring_find(struct vring *ring, const struct memtable *memory,
                     const struct vring_config *config)
{
	uint64_t size[3];

	vring_sizes(config, size);
	void *desc = part_find(memory, config->found[0], config->desc, size[0]);
	void *avail = part_find(memory, config->found[1], config->avail, size[1]);
	void *used = part_find(memory, config->found[2], config->used, size[2]);

	if (!desc || !avail || !used)
		return -EFAULT;
	if ((uintptr_t)desc % 16 || (uintptr_t)avail % (config->packed ? 4 : 2) ||
	    (uintptr_t)used % 4)
		return -EINVAL;
	ring->memory = memory;
	ring->hint = NULL;
	ring->data_hint = NULL;
	memset(ring->table_ahead, 0, sizeof(ring->table_ahead));
	ring->desc = desc;
	ring->avail = avail;
	ring->used = used;
	return 0;
}

int vring_setup(struct vring *ring, const struct memtable *memory,
                const struct vring_config *config)
{
	int rc;

	/* Only split rings want powers of two (2.7, 2.8.10.1). */
	if (!config->size || config->size > VIRTQ_MAX_SIZE ||
	    (!config->packed && !vc_is_power_of_two(config->size)))
		return -EINVAL;
	memset(ring, 0, sizeof(*ring));
	rc = ring_find(ring, memory, config);
	if (rc < 0)
		return rc;
	ring->size = config->size;
	ring->packed = config->packed;
	ring->event_idx = config->event_idx;
	ring->in_order = config->in_order;
	ring->untold = config->untold;
	if (config->packed)
		return packed_base(ring, config->base);
	if (config->base > UINT16_MAX)
		return -EINVAL;
	ring->last_avail = (uint16_t)config->base;
	ring->cached_avail = ring->last_avail;
	ring->last_used = ring->last_avail;
	ring->published = ring->last_avail;
	return 0;
}

uint32_t vring_base(const struct vring *ring)
{
	if (!ring->packed)
		return ring->last_avail;
	return ring->last_avail | (uint32_t)ring->avail_wrap << 15 |
	       (uint32_t)ring->last_used << 16 | (uint32_t)ring->used_wrap << 31;
}

int vring_remap(struct vring *ring, const struct memtable *memory,
                const struct vring_config *config)
{
	return ring_find(ring, memory, config);
}

/* ---- taking chains ---- */

int vring_available(struct vring *ring)
{
	if (vc_unlikely(ring->packed))
		return packed_available(ring);
	/* Acquire: pairs with the driver's store of idx, after descriptors and ring entries. */
	uint16_t idx = __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE);
	uint16_t n = (uint16_t)(idx - ring->last_avail);

	/* More than there are descriptors, now or with what we have not given back. */
	if (vc_unlikely(n > ring->size || (uint16_t)(idx - ring->last_used) > ring->size))
		return -EPROTO;
	ring->cached_avail = idx;
	return n;
}

static inline const struct virtq_desc *desc_ahead(const struct vring *ring, uint16_t ahead)
{
	uint16_t at = (uint16_t)(ring->last_avail + ahead) & ring_mask(ring);

	return &ring->desc[load_u16(&ring->avail->ring[at]) & ring_mask(ring)];
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
		uint16_t at = (uint16_t)(ring->last_avail + PREFETCH_TABLE);
		const uint8_t *table;

		desc = load_desc(desc_ahead(ring, PREFETCH_TABLE));
		table = prefetch_at(ring, desc.addr);
		if (!(desc.flags & VIRTQ_DESC_F_INDIRECT) || (uintptr_t)table % 8)
			table = NULL;
		ring->table_ahead[at % VRING_AHEAD] = (const struct virtq_desc *)table;
	}
	if (known > PREFETCH_HEADER) {
		uint16_t at = (uint16_t)(ring->last_avail + PREFETCH_HEADER);
		const struct virtq_desc *table = ring->table_ahead[at % VRING_AHEAD];

		if (table)
			prefetch_at(ring, __atomic_load_n(&table->addr, __ATOMIC_RELAXED));
	}
}

/* Where a walk is: in the ring's table or in an indirect one. */
struct walk {
	struct vring_chain *chain;
	const struct memtable *memory;
	const struct memregion *hint;
	const struct virtq_desc *table;
	uint32_t size;  /* entries of table */
	uint32_t left;  /* descriptors that may still come: stops loops */
	uint32_t index; /* the next one */
	bool indirect;
};

static inline struct walk walk_begin(const struct vring *ring, struct vring_chain *chain)
{
	return (struct walk){
		.chain = chain,
		.memory = ring->memory,
		.hint = ring->hint,
		.table = ring->desc,
		.size = ring->size,
		.left = ring->size,
		.index = chain->head,
	};
}

/* Go into the indirect table that desc names (virtio 1.3, 2.7.5.3: the last of its chain, not in
 * another table; the write flag on it means nothing). */
static inline bool walk_enter(struct walk *walk, const struct virtq_desc *desc)
{
	if (walk->indirect || desc->flags & VIRTQ_DESC_F_NEXT || !desc->len || desc->len % 16)
		return false;
	walk->table = table_find(walk->chain, walk->memory, &walk->hint, desc->addr, desc->len);
	if (vc_unlikely(!walk->table))
		return false;
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
	struct walk walk = walk_begin(ring, chain);
	struct virtq_desc desc, last = {.len = 0};

	do {
		if (!walk_next(&walk, &desc)) {
			last.len = 0;
			break;
		}
		if (desc.flags & VIRTQ_DESC_F_WRITE && desc.len)
			last = desc;
	} while (desc.flags & VIRTQ_DESC_F_NEXT);
	found_bad(chain, ring->memory, last.addr, last.len);
	return -EBADMSG;
}

/* Whether something that the chain just taken names is not known yet. A second walk, as for
 * chain_bad(). */
static bool chain_misses(struct vring *ring, struct vring_chain *chain)
{
	struct walk walk = walk_begin(ring, chain);
	struct virtq_desc desc;

	do {
		desc = (struct virtq_desc){0};
		/* It may be the table that could not be found. */
		if (!walk_next(&walk, &desc))
			return desc.flags & VIRTQ_DESC_F_INDIRECT &&
			       found_miss(ring, desc.addr, desc.len, false);
		if (found_miss(ring, desc.addr, desc.len, desc.flags & VIRTQ_DESC_F_WRITE))
			return true;
	} while (desc.flags & VIRTQ_DESC_F_NEXT);
	return false;
}

/* A chain that was taken and not found sound. */
static __attribute__((cold, noinline)) int chain_unsound(struct vring *ring,
                                                         struct vring_chain *chain)
{
	if (!found_miss_allowed(ring) || !chain_misses(ring, chain))
		return chain_bad(ring, chain);
	vring_unpop(ring, chain);
	return -EAGAIN;
}

/* A descriptor of the short way. The second word has all that is compared with what is expected, in
 * one piece: a copy put together of parts would be waited for. */
struct plain_desc {
	uint64_t addr;
	uint32_t len;
	uint32_t rest; /* flags, and the next one in the upper half */
};

static inline struct plain_desc load_plain(const struct virtq_desc *p)
{
	const uint64_t *words = (const uint64_t *)p;
	uint64_t rest = __atomic_load_n(&words[1], __ATOMIC_RELAXED);

	return (struct plain_desc){__atomic_load_n(&words[0], __ATOMIC_RELAXED), (uint32_t)rest,
	                           (uint32_t)(rest >> 32)};
}

/* The next descriptor of the table, which is no more than flags say, and where it is. */
static inline __attribute__((always_inline)) bool
put_plain(const struct vring *ring, const struct memregion **hint, struct vring_chain *chain,
          const struct virtq_desc *table, unsigned int i, uint16_t flags)
{
	struct plain_desc desc = load_plain(&table[i]);
	uint32_t rest = flags & VIRTQ_DESC_F_NEXT ? flags | (i + 1) << 16 : flags;
	uint32_t mask = flags & VIRTQ_DESC_F_NEXT ? UINT32_MAX : UINT16_MAX;
	uint8_t *base = memtable_translate(ring->memory, hint, desc.addr, desc.len);

	chain->segment[i].base = base;
	chain->segment[i].len = desc.len;
	return vc_likely(base && desc.len && (desc.rest & mask) == rest);
}

/* The rest of chain_read_plain(), of so many OUT descriptors. */
static inline __attribute__((always_inline)) bool chain_put_plain(struct vring *ring,
                                                                  struct vring_chain *chain,
                                                                  const struct virtq_desc *table,
                                                                  unsigned int out)
{
	const struct vring_segment *piece = chain->segment;
	const uint16_t more = VIRTQ_DESC_F_NEXT, last = VIRTQ_DESC_F_WRITE;
	uint64_t out_len, in_len;

	if (!put_plain(ring, &ring->hint, chain, table, 0, more) ||
	    !put_plain(ring, &ring->data_hint, chain, table, 1, more) ||
	    (out == 3 && !put_plain(ring, &ring->data_hint, chain, table, 2, more)) ||
	    !put_plain(ring, &ring->data_hint, chain, table, out, more | last) ||
	    !put_plain(ring, &ring->hint, chain, table, out + 1, last))
		return false;
	out_len = (uint64_t)piece[0].len + piece[1].len + (out == 3 ? piece[2].len : 0);
	in_len = (uint64_t)piece[out].len + piece[out + 1].len;
	if (vc_unlikely(out_len + in_len > UINT32_MAX))
		return false;
	chain->out = (uint16_t)out;
	chain->in = 2;
	chain->out_len = (uint32_t)out_len;
	chain->in_len = (uint32_t)in_len;
	return true;
}

/*
 * The chain that nearly all drivers make of nearly all requests: an indirect table of two OUT and
 * two IN descriptors, in this order; of three and two where there is additional data. False: it is
 * another, or not sound: nothing is decided here.
 */
static inline __attribute__((always_inline)) bool chain_read_plain(struct vring *ring,
                                                                   struct vring_chain *chain)
{
	struct virtq_desc head = load_desc(&ring->desc[chain->head]);
	const struct virtq_desc *table;
	bool four = head.len == 4 * sizeof(head);

	if (head.flags != VIRTQ_DESC_F_INDIRECT || (!four && head.len != 5 * sizeof(head)))
		return false;
	table = (const struct virtq_desc *)memtable_translate(ring->memory, &ring->hint, head.addr,
	                                                      head.len);
	if (vc_unlikely(!table || (uintptr_t)table % 8))
		return false;
	return four ? chain_put_plain(ring, chain, table, 2)
	            : chain_put_plain(ring, chain, table, 3);
}

/* Copy, check and translate the chain at chain->head. False: it is not sound. */
static inline bool chain_read(struct vring *ring, struct vring_chain *chain)
{
	struct walk walk = walk_begin(ring, chain);
	struct found found = {0};
	struct virtq_desc desc;

	do {
		if (vc_unlikely(!walk_next(&walk, &desc)))
			return false;
		if (vc_unlikely(!found_add(chain, &found, walk.memory, &walk.hint, desc.addr,
		                           desc.len, desc.flags & VIRTQ_DESC_F_WRITE)))
			return false;
	} while (desc.flags & VIRTQ_DESC_F_NEXT);
	ring->hint = walk.hint;
	return found_end(chain, &found);
}

/* Take a chain that was in flight when we were killed. */
static __attribute__((cold, noinline)) int pop_again(struct vring *ring, struct vring_chain *chain)
{
	chain->head = inflight_again_take(ring->inflight);
	if (!chain_read(ring, chain))
		return chain_unsound(ring, chain);
	return inflight_in_place(chain) ? chain_bad(ring, chain) : 1;
}

int vring_pop(struct vring *ring, struct vring_chain *chain)
{
	if (vc_unlikely(ring->packed))
		return packed_pop(ring, chain);
	if (ring->last_avail == ring->cached_avail) {
		int n;

		if (vc_unlikely(ring->inflight && inflight_again(ring->inflight)))
			return pop_again(ring, chain);
		n = vring_available(ring);

		if (n <= 0)
			return n;
	}
	chain->head = load_u16(&ring->avail->ring[ring->last_avail & ring_mask(ring)]);
	if (vc_unlikely(chain->head >= ring->size))
		return -EPROTO;
	prefetch_ahead(ring);
	ring->last_avail++;
	if (vc_likely(chain_read_plain(ring, chain)))
		return 1;
	return vc_likely(chain_read(ring, chain)) ? 1 : chain_unsound(ring, chain);
}

void vring_unpop(struct vring *ring, const struct vring_chain *chain)
{
	if (vc_unlikely(ring->packed))
		packed_unpop(ring, chain);
	else if (vc_likely(!ring->inflight || !inflight_again_undo(ring->inflight, ring)))
		ring->last_avail--;
}

/* ---- giving back ---- */

static inline void used_put(struct vring *ring, uint16_t at, uint32_t head, uint32_t written)
{
	/* One store: id, then len. */
	uint64_t element = head | (uint64_t)written << 32;

	memcpy(&ring->used->ring[at & ring_mask(ring)], &element, sizeof(element));
	ring->last_used++;
}

void vring_push(struct vring *ring, uint32_t head, uint32_t written)
{
	if (vc_unlikely(ring->packed))
		packed_push(ring, head, written);
	else
		used_put(ring, ring->last_used, head, written);
}

void vring_push_in_order(struct vring *ring, uint32_t head, uint32_t written, uint32_t room)
{
	/* Chains that have no entry of their own are taken for written in full. */
	bool full = written == room;

	if (!ring->in_order) {
		vring_push(ring, head, written);
	} else if (ring->packed) {
		packed_push_in_order(ring, head, written, full);
	} else {
		if (!ring->batch_open)
			ring->batch_at = ring->last_used;
		used_put(ring, ring->batch_at, head, written);
		ring->batch_open = full;
	}
}

bool vring_publish(struct vring *ring)
{
	uint16_t old = ring->published;

	if (vc_unlikely(ring->packed))
		return packed_publish(ring);
	if (old == ring->last_used)
		return false;
	ring->batch_open = false;
	if (vc_unlikely(ring->inflight))
		inflight_publish(ring);
	/* Release: results and used elements before idx; pairs with the driver's acquire. */
	__atomic_store_n(&ring->used->idx, ring->last_used, __ATOMIC_RELEASE);
	if (vc_unlikely(ring->inflight))
		inflight_published(ring);
	ring->published = ring->last_used;
	/*
	 * Our idx must be out before we look whether the driver sleeps. Partner: the driver writes
	 * used_event (or flags), has the same barrier, and looks at idx once more before it sleeps.
	 */
	full_barrier();
	if (ring->event_idx)
		return need_event(load_u16(used_event(ring)), ring->last_used, old);
	/* Also of a driver whose features we were not told: one that has EVENT_IDX must leave the
	 * flag 0 (2.7.7.1), and then is called each time. */
	return !(load_u16(&ring->avail->flags) & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

/* ---- kicks ---- */

void vring_notify_off(struct vring *ring)
{
	if (ring->packed) {
		packed_notify_off(ring);
		return;
	}
	/* With features unknown the driver may look at either. */
	if (ring->event_idx || ring->untold)
		/* Just passed: not reached again for 65,535 chains. */
		store_u16(avail_event(ring), (uint16_t)(ring->last_avail - 1));
	if (!ring->event_idx)
		store_u16(&ring->used->flags, VIRTQ_USED_F_NO_NOTIFY);
}

bool vring_notify_on(struct vring *ring)
{
	if (ring->packed)
		return packed_notify_on(ring);
	if (ring->event_idx || ring->untold)
		store_u16(avail_event(ring), ring->last_avail);
	if (!ring->event_idx)
		store_u16(&ring->used->flags, 0);
	/*
	 * The wish must be out before the last look. Partner: the driver writes avail->idx, has the
	 * same barrier, and then reads avail_event (or flags) to decide whether to kick.
	 */
	full_barrier();
	return __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE) != ring->last_avail ||
	       (ring->inflight && inflight_again(ring->inflight));
}
