/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of what the device cannot reach. See bounce.h.
 *
 * An operation with such a buffer is replaced by one of ours, whose buffers lie one behind the
 * other in chunks of the pool: source (worked on in place), tag, additional data; AKCIPHER has its
 * result behind its source. When it comes back, results are copied and the caller's own is given
 * out.
 */
#include "virtio/bounce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"

#define CHUNK 4096u
/* A TLS record with what goes with it. */
#define CHUNKS_EACH 5u
/* More in flight than this are rare, and wait. */
#define DEPTH_SERVED 512u
#define WORD 64u

struct bounced {
	struct vcrypto_op op;     /* first: what the queue gives back is this */
	struct vcrypto_op *owner; /* whose place it takes */
	struct iovec *pieces;     /* of its destination: the caller's are read on submit only */
	unsigned int pieces_count;
	unsigned int first, count; /* chunks */
};

struct bounce {
	struct vcrypto_queue *queue;
	const struct regions *near, *copied;
	struct region_hints near_hints, copied_hints;
	uint8_t *pool;
	unsigned int chunks, next; /* next: where to look first */
	uint64_t *used;            /* a bit for each chunk */
	struct bounced *slab;      /* as many as the queue is deep */
	struct iovec *pieces;      /* room for those of each */
	uint16_t *free;            /* of slab */
	unsigned int free_count;
	struct vcrypto_op **line; /* what goes to the queue instead of the caller's */
};

size_t bounce_bytes(unsigned int depth)
{
	return (size_t)vc_min(depth, DEPTH_SERVED) * CHUNKS_EACH * CHUNK;
}

struct bounce *bounce_new(struct vcrypto_queue *queue, const struct regions *copied, void *pool,
                          size_t size)
{
	struct bounce *bounce = calloc(1, sizeof(*bounce));

	if (!bounce)
		return NULL;
	bounce->queue = queue;
	bounce->near = queue->context.regions;
	bounce->copied = copied;
	bounce->pool = pool;
	bounce->chunks = (unsigned int)vc_min(size / CHUNK, (size_t)UINT32_MAX / CHUNK);
	bounce->used = calloc(bounce->chunks / WORD + 1, sizeof(*bounce->used));
	bounce->slab = calloc(queue->depth, sizeof(*bounce->slab));
	bounce->free = calloc(queue->depth, sizeof(*bounce->free));
	bounce->line = calloc(queue->depth, sizeof(struct vcrypto_op *));
	bounce->pieces =
		calloc((size_t)queue->depth * queue->context.pieces + 1, sizeof(*bounce->pieces));
	if (!bounce->used || !bounce->slab || !bounce->free || !bounce->line || !bounce->pieces) {
		bounce_free(bounce);
		return NULL;
	}
	for (unsigned int i = 0; i < queue->depth; i++) {
		bounce->slab[i].pieces = &bounce->pieces[(size_t)i * queue->context.pieces];
		bounce->free[bounce->free_count++] = (uint16_t)i;
	}
	return bounce;
}

void bounce_free(struct bounce *bounce)
{
	if (!bounce)
		return;
	free(bounce->used);
	free(bounce->slab);
	free(bounce->pieces);
	free(bounce->free);
	free(bounce->line);
	free(bounce);
}

/* ---- chunks ---- */

static bool chunk_used(const struct bounce *bounce, unsigned int i)
{
	return bounce->used[i / WORD] >> i % WORD & 1;
}

static void chunks_mark(struct bounce *bounce, unsigned int first, unsigned int count)
{
	for (unsigned int i = first; i < first + count; i++)
		bounce->used[i / WORD] ^= 1ull << i % WORD;
}

/* The first run from there on that is long enough; bounce->chunks: none. */
static unsigned int chunks_find(const struct bounce *bounce, unsigned int from, unsigned int count)
{
	unsigned int run = 0;

	for (unsigned int i = from; i < bounce->chunks; i++) {
		run = chunk_used(bounce, i) ? 0 : run + 1;
		if (run == count)
			return i + 1 - count;
	}
	return bounce->chunks;
}

/* Operations mostly end in the order in which they began, so what comes next is mostly free. */
static bool chunks_take(struct bounce *bounce, struct bounced *bounced, unsigned int count)
{
	unsigned int first = chunks_find(bounce, bounce->next, count);

	if (first == bounce->chunks)
		first = chunks_find(bounce, 0, count);
	if (first == bounce->chunks)
		return false;
	bounced->first = first;
	bounced->count = count;
	chunks_mark(bounce, first, count);
	bounce->next = first + count;
	return true;
}

static void bounced_release(struct bounce *bounce, struct bounced *bounced)
{
	chunks_mark(bounce, bounced->first, bounced->count);
	bounce->free[bounce->free_count++] = (uint16_t)(bounced - bounce->slab);
}

/* ---- buffers ---- */

static bool is_near(struct bounce *bounce, const void *address, size_t length)
{
	return !length || regions_contain(bounce->near, &bounce->near_hints, address, length);
}

static bool reach(struct bounce *bounce, const void *address, size_t length)
{
	return is_near(bounce, address, length) ||
	       regions_contain(bounce->copied, &bounce->copied_hints, address, length);
}

/* Which buffers an operation of that kind has, and how long they are. */
struct shape {
	uint32_t dst_len, tag_len, aad_len;
	bool tag_in; /* given, not made */
	bool apart;  /* the result does not take the source's place */
};

static struct shape shape_of(const struct vcrypto_op *op)
{
	const struct op_session *session = &op->session->op;
	uint32_t tag_len = op->tag_len ? op->tag_len : session->tag_len;

	switch (session->kind) {
	case OP_CIPHER:
		return (struct shape){.dst_len = op->length};
	case OP_CHAIN:
		return (struct shape){.dst_len = op->length, .tag_len = tag_len};
	case OP_AEAD:
		return (struct shape){.dst_len = op->length,
		                      .tag_len = tag_len,
		                      .aad_len = op->aad_len,
		                      .tag_in = session->decrypt};
	case OP_AKCIPHER:
		if (op->akcipher_op == VCRYPTO_AKCIPHER_VERIFY)
			return (struct shape){.tag_len = op->tag_len, .tag_in = true};
		return (struct shape){.dst_len = op->dst_len, .apart = true};
	case OP_AGREE:
		return (struct shape){.dst_len = op->dst_len, .apart = true};
	default:
		return (struct shape){.tag_len = tag_len};
	}
}

static bool pieces_are(struct bounce *bounce, bool (*is)(struct bounce *, const void *, size_t),
                       const struct iovec *piece, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (!is(bounce, piece[i].iov_base, piece[i].iov_len))
			return false;
	return true;
}

static bool buffers_are(struct bounce *bounce, bool (*is)(struct bounce *, const void *, size_t),
                        const struct vcrypto_op *op, const struct shape *shape)
{
	bool data;

	if (op->pieces)
		data = pieces_are(bounce, is, op->pieces->src, op->pieces->src_count) &&
		       pieces_are(bounce, is, op->pieces->dst, op->pieces->dst_count);
	else
		data = is(bounce, op->src, op->length) && is(bounce, op->dst, shape->dst_len);
	return data && is(bounce, op->tag, shape->tag_len) && is(bounce, op->aad, shape->aad_len);
}

static uint64_t pieces_length(const struct iovec *piece, unsigned int count)
{
	uint64_t sum = 0;

	/* None is longer than a region, and they are few: no wrapping. */
	for (unsigned int i = 0; i < count; i++)
		sum += piece[i].iov_len;
	return sum;
}

static void gather(uint8_t *to, const struct iovec *piece, unsigned int count)
{
	for (unsigned int i = 0; i < count; to += piece[i].iov_len, i++)
		if (piece[i].iov_len)
			memcpy(to, piece[i].iov_base, piece[i].iov_len);
}

static void scatter(const struct iovec *piece, unsigned int count, const uint8_t *from)
{
	for (unsigned int i = 0; i < count; from += piece[i].iov_len, i++)
		if (piece[i].iov_len)
			memcpy(piece[i].iov_base, from, piece[i].iov_len);
}

/* ---- one operation ---- */

static bool pieces_ok(const struct bounce *bounce, const struct vcrypto_op *op,
                      const struct shape *shape)
{
	const struct vcrypto_pieces *p = op->pieces;

	return !p || (!shape->apart &&
	              (uint64_t)p->src_count + p->dst_count <= bounce->queue->context.pieces &&
	              pieces_length(p->src, p->src_count) == op->length &&
	              pieces_length(p->dst, p->dst_count) == shape->dst_len);
}

static void copy_in(struct bounced *bounced, const struct shape *shape, uint8_t *to)
{
	struct vcrypto_op *op = &bounced->op;
	const struct vcrypto_op *owner = bounced->owner;

	bounced->pieces_count = 0;
	if (owner->pieces) {
		gather(to, owner->pieces->src, owner->pieces->src_count);
		bounced->pieces_count = owner->pieces->dst_count;
		for (unsigned int i = 0; i < bounced->pieces_count; i++)
			bounced->pieces[i] = owner->pieces->dst[i];
	} else if (op->length) {
		memcpy(to, owner->src, op->length);
	}
	op->pieces = NULL;
	op->src = to;
	op->dst = to + (shape->apart ? vc_round_up(op->length, VC_CACHE_LINE) : 0);
	to = (uint8_t *)op->dst + (shape->apart ? shape->dst_len : op->length);
	op->tag = to;
	if (shape->tag_len && shape->tag_in)
		memcpy(to, owner->tag, shape->tag_len);
	op->aad = to + shape->tag_len;
	if (shape->aad_len)
		memcpy(to + shape->tag_len, owner->aad, shape->aad_len);
}

/* What takes the place of an operation: itself, if the device can reach all of it. -EAGAIN: there
 * is no room now; -EINVAL. */
static int replace(struct bounce *bounce, struct vcrypto_op *op, struct vcrypto_op **with)
{
	struct bounced *bounced;
	struct shape shape;
	uint64_t size;

	*with = op;
	if (!op->session || op->session->op.kind == OP_INBAND)
		return 0;
	shape = shape_of(op);
	if (buffers_are(bounce, is_near, op, &shape))
		return 0;
	size = vc_round_up(op->length, VC_CACHE_LINE) + (uint64_t)shape.tag_len + shape.aad_len +
	       (shape.apart ? shape.dst_len : 0);
	if (!pieces_ok(bounce, op, &shape) || !buffers_are(bounce, reach, op, &shape) || !size ||
	    size > (uint64_t)bounce->chunks * CHUNK)
		return -EINVAL;
	bounced = &bounce->slab[bounce->free[bounce->free_count - 1]];
	if (!chunks_take(bounce, bounced, (unsigned int)((size + CHUNK - 1) / CHUNK)))
		return -EAGAIN;
	bounce->free_count--;
	bounced->owner = op;
	bounced->op = *op;
	copy_in(bounced, &shape, bounce->pool + (size_t)bounced->first * CHUNK);
	*with = &bounced->op;
	return 0;
}

static struct bounced *bounced_of(const struct bounce *bounce, struct vcrypto_op *op)
{
	uintptr_t offset = (uintptr_t)op - (uintptr_t)bounce->slab;

	return offset < bounce->queue->depth * sizeof(*bounce->slab)
	               ? &bounce->slab[offset / sizeof(*bounce->slab)]
	               : NULL;
}

/* With its results, if it went well. */
static struct vcrypto_op *give_back(struct bounce *bounce, struct bounced *bounced)
{
	struct vcrypto_op *owner = bounced->owner;
	const struct vcrypto_op *op = &bounced->op;
	struct shape shape = shape_of(op);
	uint32_t written = shape.apart ? vc_min(op->result_len, shape.dst_len) : shape.dst_len;

	owner->status = op->status;
	owner->result_len = op->result_len;
	if (!op->status) {
		if (bounced->pieces_count)
			scatter(bounced->pieces, bounced->pieces_count, op->dst);
		else if (written)
			memcpy(owner->dst, op->dst, written);
		if (shape.tag_len && !shape.tag_in)
			memcpy(owner->tag, op->tag, shape.tag_len);
	}
	/* Keys of key agreement, and what private keys have made. */
	if (shape.apart)
		secmem_wipe((void *)op->src,
		            vc_round_up(op->length, VC_CACHE_LINE) + shape.dst_len);
	bounced_release(bounce, bounced);
	return owner;
}

int bounce_submit(struct bounce *bounce, struct vcrypto_op *const *ops, unsigned int n)
{
	unsigned int room = bounce->queue->free_in - bounce->queue->free_out, ready = 0;
	int err = 0, taken;

	n = vc_min(n, room);
	while (ready < n) {
		err = replace(bounce, ops[ready], &bounce->line[ready]);
		if (err)
			break;
		ready++;
	}
	if (!ready && err)
		return err == -EAGAIN ? 0 : err;
	taken = queue_submit(bounce->queue, bounce->line, ready);
	for (unsigned int i = (unsigned int)vc_max(taken, 0); i < ready; i++) {
		struct bounced *bounced = bounced_of(bounce, bounce->line[i]);

		if (bounced)
			bounced_release(bounce, bounced);
	}
	return taken;
}

int bounce_poll(struct bounce *bounce, struct vcrypto_op **ops, unsigned int n)
{
	int done = queue_poll(bounce->queue, ops, n);

	for (int i = 0; i < done; i++) {
		struct bounced *bounced = bounced_of(bounce, ops[i]);

		if (bounced)
			ops[i] = give_back(bounce, bounced);
	}
	return done;
}
