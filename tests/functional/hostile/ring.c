/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings of the hostile front end, split and packed; see front.h.
 */
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "front.h"

int ring_head(struct ring *ring)
{
	return ring->free_count ? ring->free[--ring->free_count] : -1;
}

uint8_t *ring_cell(struct ring *ring, int head, uint64_t *guest)
{
	*guest = ring->cells_guest + (uint64_t)head * CELL_SIZE;
	return ring->cells + (size_t)head * CELL_SIZE;
}

uint32_t ring_packed_base(const struct ring *ring)
{
	return (ring->next | (uint32_t)ring->next_wrap << 15) * 0x10001u;
}

void ring_packed_put(struct ring *ring, const struct virtq_desc *desc, uint16_t id)
{
	struct virtq_packed_desc *to = &ring->place[ring->next];
	uint16_t flags = ring->next_wrap ? VIRTQ_PACKED_F_AVAIL : VIRTQ_PACKED_F_USED;

	to->addr = desc->addr;
	to->len = desc->len;
	to->id = id;
	flags |= desc->flags & (uint16_t) ~(VIRTQ_PACKED_F_AVAIL | VIRTQ_PACKED_F_USED);
	__atomic_store_n(&to->flags, flags, __ATOMIC_RELEASE);
	if (++ring->next == ring->size) {
		ring->next = 0;
		ring->next_wrap = !ring->next_wrap;
	}
}

/* A table as packed rings have it: the flags are where a split one has the next descriptor. */
static void table_pack(struct ring *ring, int head)
{
	uint32_t n = vc_min(ring->own[head].len / 16, TABLE_MAX);
	uint64_t guest;
	struct virtq_desc *table = (struct virtq_desc *)(ring_cell(ring, head, &guest) + TABLE_AT);

	for (uint32_t i = 0; i < n; i++)
		table[i].next = table[i].flags;
}

void ring_offer(struct ring *ring, int head)
{
	ring->busy[head] = true;
	if (ring->packed) {
		table_pack(ring, head);
		ring_packed_put(ring, &ring->own[head], (uint16_t)head);
		return;
	}
	ring->avail->ring[ring->next_avail++ % ring->size] = (uint16_t)(head * CHAIN_DESCS);
}

void ring_publish(struct ring *ring)
{
	/* Sequentially consistent: before we look whether the device wants a kick. It always gets
	 * one; that is its trouble. */
	if (!ring->packed)
		__atomic_store_n(&ring->avail->idx, ring->next_avail, __ATOMIC_SEQ_CST);
	event_signal(ring->kick);
}

/* What we wrote over the used ring ourselves is no fault of the device. */
static void head_free(struct ring *ring, uint32_t head)
{
	if (head >= ring->heads || !ring->busy[head])
		return;
	ring->busy[head] = false;
	ring->free[ring->free_count++] = (uint8_t)head;
}

static void packed_reap(struct ring *ring)
{
	for (unsigned int n = 0; n < ring->size; n++) {
		const struct virtq_packed_desc *desc = &ring->place[ring->used_next];
		uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);
		bool avail = flags & VIRTQ_PACKED_F_AVAIL, used = flags & VIRTQ_PACKED_F_USED;

		if (avail != used || used != ring->used_wrap)
			return;
		head_free(ring, desc->id);
		if (++ring->used_next == ring->size) {
			ring->used_next = 0;
			ring->used_wrap = !ring->used_wrap;
		}
	}
}

void ring_reap(struct ring *ring)
{
	uint16_t idx;

	if (ring->packed) {
		packed_reap(ring);
		return;
	}
	idx = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
	for (; ring->seen_used != idx; ring->seen_used++)
		head_free(ring, ring->used->ring[ring->seen_used % ring->size].id / CHAIN_DESCS);
}

bool ring_wait(struct ring *ring)
{
	uint64_t deadline = clock_now_ns() + FRONT_WAIT_MS * UINT64_C(1000000);
	struct timespec nap = {0, 50000};

	for (ring_reap(ring); ring->free_count < ring->heads; ring_reap(ring)) {
		if (clock_now_ns() > deadline)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}
