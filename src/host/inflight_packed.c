/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-flight requests of packed virtqueues: see inflight.h. Used descriptors overwrite available
 * ones, so the region has a copy of each descriptor that was taken. Its entries are a list of free
 * ones and a list for each chain, linked by `next`.
 *
 * What the region says is read once, when the queue starts, and checked; from then on we write to
 * it and go by our own copy of the links. The copies of descriptors are read when a chain is done
 * again, each word once, and are as hostile as those in the ring.
 *
 * We may be killed between any two stores, so their order is what matters (inflight.c). free_head
 * and what was used have an old value beside the new one: they differ while used descriptors are
 * being published, and whether the driver has got to see them, the ring tells.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/vring_private.h"

#define VERSION 1

/* Our own copy of an entry. */
struct entry {
	uint16_t next;
	/* Of a chain's first one. */
	uint16_t last, count, id;
};

struct inflight_packed {
	struct vhost_inflight_packed *shared;
	struct vhost_inflight_packed_desc *desc; /* shared */
	uint16_t free_head;                      /* the queue's size: there is none */
	uint16_t free_count;
	uint16_t pushed_count;
	uint16_t *pushed; /* heads given back and not published */
	struct entry entry[];
};

static void state_set(struct vhost_inflight_packed_desc *desc, uint8_t inflight)
{
	__atomic_store_n(&desc->inflight, inflight, __ATOMIC_RELEASE);
}

static void store_head(uint16_t *p, uint16_t head)
{
	__atomic_store_n(p, head, __ATOMIC_RELEASE);
}

/* All of it at once, so that no index comes without its wrap counter. */
static void progress_store(struct vhost_inflight_packed *shared,
                           const struct vhost_inflight_progress *progress)
{
	uint64_t word;

	memcpy(&word, progress, sizeof(word));
	__atomic_store_n((uint64_t *)&shared->progress, word, __ATOMIC_RELEASE);
}

static struct vhost_inflight_progress progress_load(struct vhost_inflight_packed *shared)
{
	uint64_t word = __atomic_load_n((uint64_t *)&shared->progress, __ATOMIC_RELAXED);
	struct vhost_inflight_progress progress;

	memcpy(&progress, &word, sizeof(progress));
	return progress;
}

/* Nothing is on its way to the driver. */
static struct vhost_inflight_progress progress_at(uint16_t used, bool wrap)
{
	return (struct vhost_inflight_progress){used, used, wrap, wrap, {0}};
}

/* ---- finding out what was in flight ---- */

/* What is known of the entries while they are looked at. */
enum known { UNKNOWN, FREE, TAKEN };

/* The free list, all of which has to be unknown. False: it makes no sense. */
static bool read_free(const struct inflight *f, uint8_t *known)
{
	struct inflight_packed *p = f->packed;

	p->free_count = 0;
	for (uint16_t i = p->free_head; i < f->size; i = p->entry[i].next) {
		if (known[i] != UNKNOWN)
			return false;
		known[i] = FREE;
		p->free_count++;
	}
	return true;
}

/* A chain whose first entry is head. */
static bool read_chain(const struct inflight *f, uint16_t head, uint8_t *known)
{
	struct inflight_packed *p = f->packed;
	struct entry *first = &p->entry[head];
	uint16_t i = head;

	first->count = load_u16(&p->desc[head].num);
	for (uint16_t n = 0; n < first->count; n++) {
		if (i >= f->size || known[i] != UNKNOWN)
			return false;
		known[i] = TAKEN;
		first->last = i;
		i = p->entry[i].next;
	}
	first->id = load_u16(&p->desc[first->last].id);
	return first->count;
}

/* How many chains were in flight; -EINVAL: it makes no sense, or not every entry is somewhere. */
static int read_chains(const struct inflight *f, uint8_t *known, struct inflight_taken *taken)
{
	struct inflight_packed *p = f->packed;
	unsigned int n = 0;

	for (uint16_t i = 0; i < f->size; i++)
		p->entry[i].next = load_u16(&p->desc[i].next);
	if (!read_free(f, known))
		return -EINVAL;
	for (uint16_t i = 0; i < f->size; i++) {
		if (known[i] == FREE ||
		    __atomic_load_n(&p->desc[i].inflight, __ATOMIC_RELAXED) != 1)
			continue;
		taken[n].head = i;
		taken[n++].counter = __atomic_load_n(&p->desc[i].counter, __ATOMIC_RELAXED);
		if (!read_chain(f, i, known))
			return -EINVAL;
	}
	return memchr(known, UNKNOWN, f->size) ? -EINVAL : (int)n;
}

/* Where the ring stood: what was being published counts if the driver can see it. False: the
 * numbers make no sense. */
static bool read_progress(struct inflight *f, struct vring *ring)
{
	struct vhost_inflight_packed *shared = f->packed->shared;
	struct vhost_inflight_progress at = progress_load(shared);
	bool published;

	if (load_u16(&shared->version) != VERSION || load_u16(&shared->desc_num) != f->size ||
	    at.used_idx >= f->size || at.old_used_idx >= f->size || at.used_wrap_counter > 1 ||
	    at.old_used_wrap_counter > 1)
		return false;
	published = (at.used_idx != at.old_used_idx ||
	             at.used_wrap_counter != at.old_used_wrap_counter) &&
	            !packed_is_available(ring, at.old_used_idx, at.old_used_wrap_counter);
	f->packed->free_head = load_u16(published ? &shared->free_head : &shared->old_free_head);
	ring->last_used = published ? at.used_idx : at.old_used_idx;
	ring->used_wrap = published ? at.used_wrap_counter : at.old_used_wrap_counter;
	return true;
}

/* Write down what was found out, in an order in which it can be found out again. */
static void settle(struct inflight *f, struct vring *ring, const uint8_t *known)
{
	struct inflight_packed *p = f->packed;
	struct vhost_inflight_progress at = progress_at(ring->last_used, ring->used_wrap);
	uint16_t taken = (uint16_t)(f->size - p->free_count);

	for (uint16_t i = 0; i < f->size; i++)
		if (known[i] == FREE)
			state_set(&p->desc[i], 0);
	/* Used descriptors that were never published may lie where the driver will look. */
	packed_rewind(ring, taken);
	store_head(&p->shared->free_head, p->free_head);
	store_head(&p->shared->old_free_head, p->free_head);
	progress_store(p->shared, &at);
}

/* A queue of which nothing is known yet. */
static void fresh(struct inflight *f, const struct vring *ring)
{
	struct inflight_packed *p = f->packed;
	struct vhost_inflight_progress at = progress_at(ring->last_used, ring->used_wrap);

	store_u16(&p->shared->version, 0);
	for (uint16_t i = 0; i < f->size; i++) {
		p->entry[i].next = (uint16_t)(i + 1);
		store_u16(&p->desc[i].next, (uint16_t)(i + 1));
		state_set(&p->desc[i], 0);
	}
	p->free_head = 0;
	p->free_count = f->size;
	p->shared->features = 0;
	store_u16(&p->shared->desc_num, f->size);
	store_u16(&p->shared->free_head, 0);
	store_u16(&p->shared->old_free_head, 0);
	progress_store(p->shared, &at);
	__atomic_store_n(&p->shared->version, VERSION, __ATOMIC_RELEASE);
}

static int recover(struct inflight *f, struct vring *ring)
{
	struct inflight_taken *taken = calloc(f->size, sizeof(*taken));
	uint8_t *known = calloc(f->size, 1);
	struct vring probe = *ring;
	int n = -EINVAL, err = -ENOMEM;

	if (!taken || !known)
		goto out;
	if (read_progress(f, &probe))
		n = read_chains(f, known, taken);
	err = inflight_again_set(f, taken, n < 0 ? 0 : (unsigned int)n);
	if (err)
		goto out;
	if (n < 0) {
		fresh(f, ring);
		goto out;
	}
	*ring = probe;
	settle(f, ring, known);
out:
	free(known);
	free(taken);
	return err;
}

int inflight_packed_begin(struct inflight *f, void *shared, struct vring *ring)
{
	f->packed = calloc(1, sizeof(*f->packed) + f->size * sizeof(struct entry));
	if (!f->packed)
		return -ENOMEM;
	f->packed->pushed = calloc(f->size, sizeof(*f->packed->pushed));
	if (!f->packed->pushed)
		return -ENOMEM;
	f->packed->shared = shared;
	f->packed->desc = (struct vhost_inflight_packed_desc *)(f->packed->shared + 1);
	return recover(f, ring);
}

void inflight_packed_end(struct inflight *f)
{
	if (f->packed)
		free(f->packed->pushed);
	free(f->packed);
	f->packed = NULL;
}

/* ---- the worker's ---- */

uint16_t inflight_packed_count(const struct inflight *f, uint16_t head)
{
	return f->packed->entry[head].count;
}

uint16_t inflight_packed_id(const struct inflight *f, uint16_t head)
{
	return f->packed->entry[head].id;
}

uint16_t inflight_packed_desc(const struct inflight *f, uint16_t at, struct virtq_packed_desc *desc)
{
	const struct vhost_inflight_packed_desc *from = &f->packed->desc[at];

	desc->addr = __atomic_load_n(&from->addr, __ATOMIC_RELAXED);
	desc->len = __atomic_load_n(&from->len, __ATOMIC_RELAXED);
	desc->flags = load_u16(&from->flags);
	desc->id = load_u16(&from->id);
	return f->packed->entry[at].next;
}

/* A descriptor as it is in the ring now; nothing depends on what it says. */
static void desc_copy(struct vhost_inflight_packed_desc *to, const struct virtq_packed_desc *from)
{
	__atomic_store_n(&to->addr, __atomic_load_n(&from->addr, __ATOMIC_RELAXED),
	                 __ATOMIC_RELAXED);
	__atomic_store_n(&to->len, __atomic_load_n(&from->len, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
	store_u16(&to->flags, load_u16(&from->flags));
	store_u16(&to->id, load_u16(&from->id));
}

int32_t inflight_packed_take(struct vring *ring, uint16_t at, uint16_t count, uint16_t id)
{
	struct inflight *f = ring->inflight;
	struct inflight_packed *p = f->packed;
	uint16_t head = p->free_head, i = head, last = head;

	if (count > p->free_count)
		return -EPROTO;
	for (uint16_t n = 0; n < count; n++) {
		desc_copy(&p->desc[i], &ring->packed_desc[at]);
		last = i;
		i = p->entry[i].next;
		at = at + 1 < ring->size ? (uint16_t)(at + 1) : 0;
	}
	p->entry[head].last = last;
	p->entry[head].count = count;
	p->entry[head].id = id;
	store_u16(&p->desc[last].id, id);
	store_u16(&p->desc[head].last, last);
	store_u16(&p->desc[head].num, count);
	__atomic_store_n(&p->desc[head].counter, f->counter++, __ATOMIC_RELAXED);
	state_set(&p->desc[head], 1);
	p->free_head = i;
	p->free_count = (uint16_t)(p->free_count - count);
	/* It is taken when old_free_head has moved. */
	store_head(&p->shared->free_head, i);
	store_head(&p->shared->old_free_head, i);
	/* All of those to be done again come before. */
	f->again_at = f->again_count = 0;
	return head;
}

void inflight_packed_untake(struct inflight *f, uint16_t head)
{
	struct inflight_packed *p = f->packed;

	p->free_head = head;
	p->free_count = (uint16_t)(p->free_count + p->entry[head].count);
	store_head(&p->shared->old_free_head, head);
	store_head(&p->shared->free_head, head);
	state_set(&p->desc[head], 0);
}

void inflight_packed_push(struct inflight *f, uint16_t head)
{
	f->packed->pushed[f->packed->pushed_count++] = head;
}

void inflight_packed_publish(struct vring *ring)
{
	struct inflight_packed *p = ring->inflight->packed;
	const struct vhost_inflight_progress at = {
		.used_idx = ring->last_used,
		.old_used_idx = ring->published,
		.used_wrap_counter = ring->used_wrap,
		.old_used_wrap_counter = ring->published_wrap,
	};

	for (uint16_t i = 0; i < p->pushed_count; i++) {
		const struct entry *first = &p->entry[p->pushed[i]];

		p->entry[first->last].next = p->free_head;
		store_u16(&p->desc[first->last].next, p->free_head);
		p->free_head = p->pushed[i];
		p->free_count = (uint16_t)(p->free_count + first->count);
	}
	store_head(&p->shared->free_head, p->free_head);
	progress_store(p->shared, &at);
}

void inflight_packed_published(struct vring *ring)
{
	struct inflight_packed *p = ring->inflight->packed;
	struct vhost_inflight_progress at = progress_at(ring->last_used, ring->used_wrap);

	for (uint16_t i = 0; i < p->pushed_count; i++)
		state_set(&p->desc[p->pushed[i]], 0);
	p->pushed_count = 0;
	store_head(&p->shared->old_free_head, p->free_head);
	progress_store(p->shared, &at);
}
