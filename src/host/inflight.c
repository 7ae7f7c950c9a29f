/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-flight requests: the memory for all, and what is kept there of split virtqueues
 * (inflight_packed.c has packed ones). See inflight.h.
 *
 * We may be killed between any two stores, so their order is what matters; it is kept for the
 * compiler with releases (x86-64 keeps it by itself). There is no other thread as partner: the one
 * who reads is the next process.
 */
#include "host/inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/vring_private.h"

#define VERSION 1
/* A queue's part begins on a cache line of its own. */
#define ALIGNMENT 64
/* Pairs of an OUT and an IN segment that are compared at the most. */
#define OVERLAP_MOST 65536u

static uint64_t queue_bytes(bool packed, uint16_t queue_size)
{
	uint64_t bytes = packed ? sizeof(struct vhost_inflight_packed) +
	                                  queue_size * sizeof(struct vhost_inflight_packed_desc)
	                        : sizeof(struct vhost_inflight_split) +
	                                  queue_size * sizeof(struct vhost_inflight_desc);

	return vc_round_up(bytes, ALIGNMENT);
}

uint64_t inflight_area_bytes(bool packed, uint16_t queues, uint16_t queue_size)
{
	return queues * queue_bytes(packed, queue_size);
}

/* ---- the memory ---- */

int inflight_area_create(struct inflight_area *area, bool packed, uint16_t queues,
                         uint16_t queue_size, int *fd)
{
	struct vhost_user_inflight wire = {
		.mmap_size = inflight_area_bytes(packed, queues, queue_size),
		.num_queues = queues,
		.queue_size = queue_size,
	};
	int memory = memfd_create("vcrypto-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err = 0;

	if (memory < 0)
		return -errno;
	if (ftruncate(memory, (off_t)wire.mmap_size) < 0 ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		err = -errno;
	if (!err)
		err = inflight_area_open(area, packed, &wire, memory);
	if (err)
		close(memory);
	else
		*fd = memory;
	return err;
}

int inflight_area_open(struct inflight_area *area, bool packed,
                       const struct vhost_user_inflight *wire, int fd)
{
	uint64_t bytes = inflight_area_bytes(packed, wire->num_queues, wire->queue_size);

	if (!wire->num_queues || !wire->queue_size || wire->queue_size > VIRTQ_MAX_SIZE ||
	    wire->mmap_size < bytes || wire->mmap_size > INT64_MAX ||
	    wire->mmap_offset > INT64_MAX - wire->mmap_size || wire->mmap_offset % 8)
		return -EINVAL;
	area->queues = wire->num_queues;
	area->queue_size = wire->queue_size;
	area->packed = packed;
	return memmap_new(fd, wire->mmap_offset, bytes, &area->map, &area->base);
}

void inflight_area_close(struct inflight_area *area)
{
	if (area->map)
		memmap_put(area->map);
	memset(area, 0, sizeof(*area));
}

static void *area_queue(const struct inflight_area *area, unsigned int queue)
{
	if (!area->map || queue >= area->queues)
		return NULL;
	return area->base + queue * queue_bytes(area->packed, area->queue_size);
}

static_assert(offsetof(struct vhost_inflight_split, version) ==
                      offsetof(struct vhost_inflight_packed, version),
              "whatever the kind");

void inflight_area_forget(const struct inflight_area *area, unsigned int queue)
{
	struct vhost_inflight_split *shared = area_queue(area, queue);

	if (shared)
		store_u16(&shared->version, 0);
}

/* ---- finding out what was in flight ---- */

static int taken_compare(const void *a, const void *b)
{
	const struct inflight_taken *x = a, *y = b;

	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

int inflight_again_set(struct inflight *f, struct inflight_taken *taken, unsigned int n)
{
	f->again = calloc(f->size, sizeof(*f->again));
	if (!f->again)
		return -ENOMEM;
	qsort(taken, n, sizeof(*taken), taken_compare);
	for (unsigned int i = 0; i < n; i++)
		f->again[i] = taken[i].head;
	f->again_count = (uint16_t)n;
	f->counter = n ? taken[n - 1].counter + 1 : 0;
	return 0;
}

static void state_set(struct vhost_inflight_desc *desc, uint8_t inflight)
{
	__atomic_store_n(&desc->inflight, inflight, __ATOMIC_RELEASE);
}

/* The last batch was published and perhaps not all of it was taken off the list of what is in
 * flight. False: the numbers make no sense. */
static bool batch_finish(struct inflight *f, uint16_t used)
{
	uint16_t n = (uint16_t)(used - load_u16(&f->shared->used_idx));
	uint16_t head = load_u16(&f->shared->last_batch_head);

	if (n > f->size)
		return false;
	for (; n; n--) {
		if (head >= f->size)
			return false;
		state_set(&f->desc[head], 0);
		head = load_u16(&f->desc[head].next);
	}
	__atomic_store_n(&f->shared->used_idx, used, __ATOMIC_RELEASE);
	return true;
}

/* Private copies, in the order in which they had been taken. */
static int again_collect(struct inflight *f)
{
	struct inflight_taken *found = calloc(f->size, sizeof(*found));
	unsigned int n = 0;
	int err;

	if (!found)
		return -ENOMEM;
	for (unsigned int i = 0; i < f->size; i++) {
		uint64_t counter = __atomic_load_n(&f->desc[i].counter, __ATOMIC_RELAXED);

		if (__atomic_load_n(&f->desc[i].inflight, __ATOMIC_RELAXED) == 1)
			found[n++] = (struct inflight_taken){counter, (uint16_t)i};
	}
	err = inflight_again_set(f, found, n);
	free(found);
	return err;
}

/* A queue of which nothing is known yet. */
static void fresh(struct inflight *f, const struct vring *ring)
{
	store_u16(&f->shared->version, 0);
	for (unsigned int i = 0; i < f->size; i++)
		state_set(&f->desc[i], 0);
	f->shared->features = 0;
	store_u16(&f->shared->desc_num, f->size);
	store_u16(&f->shared->last_batch_head, 0);
	store_u16(&f->shared->used_idx, ring->last_used);
	__atomic_store_n(&f->shared->version, VERSION, __ATOMIC_RELEASE);
}

static int recover(struct inflight *f, struct vring *ring)
{
	uint16_t used = load_u16(&ring->used->idx);
	int err;

	if (load_u16(&f->shared->version) != VERSION || load_u16(&f->shared->desc_num) != f->size ||
	    !batch_finish(f, used)) {
		fresh(f, ring);
		return 0;
	}
	err = again_collect(f);
	if (err)
		return err;
	ring->last_used = ring->published = used;
	ring->last_avail = (uint16_t)(used + f->again_count);
	return 0;
}

static int split_begin(struct inflight *f, void *shared, struct vring *ring)
{
	int err;

	f->shared = shared;
	f->desc = (struct vhost_inflight_desc *)(f->shared + 1);
	err = recover(f, ring);
	/* So that the first look for chains is one for those to be done again. */
	ring->cached_avail = ring->last_avail;
	f->noted = f->begin = ring->last_avail;
	return err;
}

int inflight_begin(struct inflight *f, const struct inflight_area *area, unsigned int queue,
                   struct vring *ring)
{
	void *shared = area_queue(area, queue);
	int err;

	memset(f, 0, sizeof(*f));
	if (!shared || ring->packed != area->packed || ring->size > area->queue_size)
		return 0;
	f->size = ring->size;
	err = ring->packed ? inflight_packed_begin(f, shared, ring) : split_begin(f, shared, ring);
	if (err)
		inflight_end(f, ring);
	else
		ring->inflight = f;
	return err;
}

void inflight_end(struct inflight *f, struct vring *ring)
{
	ring->inflight = NULL;
	inflight_packed_end(f);
	free(f->again);
	memset(f, 0, sizeof(*f));
}

/* ---- the worker's ---- */

bool inflight_in_place(const struct vring_chain *chain)
{
	/* Too many pieces to tell: yes. */
	if ((uint32_t)chain->out * chain->in > OVERLAP_MOST)
		return true;
	for (unsigned int o = 0; o < chain->out; o++) {
		const struct vring_segment *out = &chain->segment[o];

		for (unsigned int i = chain->out; i < (unsigned int)chain->out + chain->in; i++) {
			const struct vring_segment *in = &chain->segment[i];

			if (out->base < in->base + in->len && in->base < out->base + out->len)
				return true;
		}
	}
	return false;
}

bool inflight_again_undo(struct inflight *f, const struct vring *ring)
{
	/* All of them come before the first other one, which makes again_at 0. */
	if (!f->again_at || (!ring->packed && ring->last_avail != f->begin))
		return false;
	f->again_at--;
	return true;
}

void inflight_note(struct vring *ring)
{
	struct inflight *f = ring->inflight;

	if (ring->packed || f->noted == ring->last_avail)
		return;
	/* The index comes by where it began once more. */
	f->again_at = f->again_count = 0;
	while (f->noted != ring->last_avail) {
		uint16_t head = load_u16(&ring->avail->ring[f->noted++ & (ring->size - 1)]);

		/* It was right when it was taken. */
		if (head >= f->size)
			continue;
		__atomic_store_n(&f->desc[head].counter, f->counter++, __ATOMIC_RELAXED);
		state_set(&f->desc[head], 1);
	}
}

/* The head of a used entry that is not yet published. With IN_ORDER an entry may stand for several
 * chains; they are then those that were taken first. */
static uint16_t pushed_head(const struct vring *ring, uint16_t at)
{
	at &= ring->size - 1;
	if (ring->in_order)
		return load_u16(&ring->avail->ring[at]);
	return (uint16_t)__atomic_load_n(&ring->used->ring[at].id, __ATOMIC_RELAXED);
}

void inflight_publish(struct vring *ring)
{
	struct inflight *f = ring->inflight;
	uint16_t last = load_u16(&f->shared->last_batch_head);

	for (uint16_t at = ring->published; at != ring->last_used; at++) {
		uint16_t head = pushed_head(ring, at);

		if (head >= f->size)
			continue;
		store_u16(&f->desc[head].next, last);
		__atomic_store_n(&f->shared->last_batch_head, head, __ATOMIC_RELEASE);
		last = head;
	}
}

/* After the used index has been published, and before ring->published is moved. */
void inflight_published(struct vring *ring)
{
	struct inflight *f = ring->inflight;

	for (uint16_t at = ring->published; at != ring->last_used; at++) {
		uint16_t head = pushed_head(ring, at);

		if (head < f->size)
			state_set(&f->desc[head], 0);
	}
	__atomic_store_n(&f->shared->used_idx, ring->last_used, __ATOMIC_RELEASE);
}
