/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data queues: submit and poll. The thread that has the queue; no lock, no malloc, no log.
 *
 * Each operation in flight has a slot. Slots are given out first in, first out: completions mostly
 * come in order, so that the slots of a burst are neighbours and their status bytes, which are
 * packed, are one or two lines to fetch for the whole burst.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "virtio/bounce.h"
#include "virtio/driver.h"
#include "virtio/inband.h"

#define STATUS_UNSET 0xff
#define PREFETCH_SLOTS 8u
/* So many polls in vain, with operations in flight, before we ask whether anybody is there. */
#define EMPTY_POLLS_MAX (1u << 16)

unsigned int queue_table(unsigned int pieces)
{
	unsigned int n = OP_MIN_TABLE;

	while (n < OP_MIN_TABLE + pieces)
		n *= 2;
	return n;
}

static size_t slots_bytes(unsigned int depth, unsigned int table)
{
	return depth * (sizeof(struct op_slot) + table * sizeof(struct virtq_desc)) +
	       vc_round_up(depth, VC_CACHE_LINE);
}

static unsigned int descriptors(unsigned int depth, unsigned int table, bool indirect)
{
	return indirect ? depth : depth * table;
}

size_t queue_bytes(unsigned int depth, unsigned int pieces, bool indirect, bool packed)
{
	unsigned int table = queue_table(pieces);

	return slots_bytes(depth, table) + ring_bytes(descriptors(depth, table, indirect), packed);
}

int queue_init(struct vcrypto_queue *queue, struct vcrypto_device *device, void *memory,
               unsigned int depth, unsigned int pieces, bool indirect, struct ring_kind kind)
{
	unsigned int table = queue_table(pieces);

	queue->device = device;
	queue->depth = depth;
	queue->mask = depth - 1;
	queue->indirect = indirect;
	queue->table_shift = (unsigned int)__builtin_ctz(table);
	queue->context = (struct op_context){
		.regions = &device->regions,
		.max_size = device->config.max_size,
		.pieces = pieces,
		.revised = device->features >> VIRTIO_CRYPTO_F_REVISION_1 & 1,
	};
	queue->context.unusual = queue->context.revised;
	queue->slots = memory;
	queue->long_tables = (struct virtq_desc *)(queue->slots + depth);
	queue->status = (uint8_t *)(queue->long_tables + (size_t)depth * table);
	queue->usual = indirect && !kind.packed;
	ring_init(&queue->ring, (uint8_t *)memory + slots_bytes(depth, table),
	          descriptors(depth, table, indirect), indirect ? 1 : table, kind);
	queue->op = calloc(depth, sizeof(struct vcrypto_op *));
	queue->serial = calloc(depth, sizeof(*queue->serial));
	queue->free = calloc(depth, sizeof(*queue->free));
	queue->lengths = calloc(descriptors(depth, table, indirect), sizeof(*queue->lengths));
	if (!queue->op || !queue->serial || !queue->free || !queue->lengths)
		return -ENOMEM;
	if (kind.packed && !indirect)
		queue->ring.lengths = queue->lengths;
	for (unsigned int i = 0; i < depth; i++) {
		queue->free[i] = (uint16_t)i;
		queue->status[i] = STATUS_UNSET;
		if (queue->usual)
			queue->ring.split.desc[i] = (struct virtq_desc){
				(uintptr_t)queue->slots[i].table, 0, VIRTQ_DESC_F_INDIRECT, 0};
	}
	queue->free_in = depth;
	return 0;
}

void queue_fini(struct vcrypto_queue *queue)
{
	free(queue->op);
	free(queue->serial);
	free(queue->free);
	free(queue->lengths);
}

/* Counters are read by any thread. */
static inline void count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline unsigned int room(const struct vcrypto_queue *queue)
{
	return queue->free_in - queue->free_out;
}

static inline int push_usual(struct vcrypto_queue *queue, uint16_t i,
                             const struct op_session *session, const struct vcrypto_op *op)
{
	struct op_place place = {.slot = &queue->slots[i],
	                         .short_table = queue->slots[i].table,
	                         .long_table = &queue->long_tables[(size_t)i << queue->table_shift],
	                         .status = &queue->status[i],
	                         .serial = &queue->serial[i]};
	int n = op_describe(&queue->context, &place, session, op);
	struct virtq_desc *desc = &queue->ring.split.desc[i];
	uint32_t bytes = (uint32_t)n * (uint32_t)sizeof(*desc);

	if (vc_unlikely(n < 0))
		return n;
	/* The ring's descriptor stays as it is while requests have the same shape. */
	if (vc_unlikely(desc->len != bytes)) {
		desc->addr = (uintptr_t)(n > OP_SHORT_TABLE ? place.long_table : place.short_table);
		desc->len = bytes;
	}
	ring_split_push(&queue->ring.split, i);
	return 0;
}

/* A chain in the ring itself. */
static int push_direct(struct vcrypto_queue *queue, uint16_t i, const struct op_session *session,
                       const struct vcrypto_op *op)
{
	uint16_t id = (uint16_t)(i << queue->table_shift);
	bool packed = queue->ring.packed;
	/* A packed ring's chain goes wherever the ring stands: it is written aside first. */
	struct virtq_desc *chain = packed ? &queue->long_tables[id] : &queue->ring.split.desc[id];
	struct op_place place = {.slot = &queue->slots[i],
	                         .short_table = chain,
	                         .long_table = chain,
	                         .base = packed ? 0 : id,
	                         .status = &queue->status[i],
	                         .serial = &queue->serial[i]};
	int n = op_describe(&queue->context, &place, session, op);

	if (n < 0)
		return n;
	queue->lengths[id] = (uint16_t)n;
	if (packed)
		ring_push(&queue->ring, id, chain, (unsigned int)n);
	else
		ring_split_push(&queue->ring.split, id);
	return 0;
}

static int push_packed(struct vcrypto_queue *queue, uint16_t i, const struct op_session *session,
                       const struct vcrypto_op *op)
{
	struct op_place place = {.slot = &queue->slots[i],
	                         .short_table = queue->slots[i].table,
	                         .long_table = &queue->long_tables[(size_t)i << queue->table_shift],
	                         .packed = true,
	                         .status = &queue->status[i],
	                         .serial = &queue->serial[i]};
	int n = op_describe(&queue->context, &place, session, op);

	if (vc_unlikely(n < 0))
		return n;
	ring_packed_put(&queue->ring.pack,
	                (uintptr_t)(n > OP_SHORT_TABLE ? place.long_table : place.short_table),
	                (uint32_t)n * (uint32_t)sizeof(struct virtq_packed_desc),
	                VIRTQ_DESC_F_INDIRECT, i);
	return 0;
}

static inline int submit_one(struct vcrypto_queue *queue, struct vcrypto_op *op)
{
	struct vcrypto_session *session = op->session;
	uint16_t i = queue->free[queue->free_out & queue->mask];
	int n;

	/* Whoever learnt that the session is ready did so through vcrypto_session_state(), whose
	 * acquire made the rest of it visible. */
	if (vc_unlikely(!session || atomic_load_explicit(&session->state, memory_order_relaxed)))
		return -EINVAL;
	if (vc_likely(queue->usual))
		n = push_usual(queue, i, &session->op, op);
	else
		n = queue->indirect ? push_packed(queue, i, &session->op, op)
		                    : push_direct(queue, i, &session->op, op);
	if (vc_unlikely(n < 0))
		return n;
	queue->op[i] = op;
	queue->free_out++;
	return 0;
}

/* The line that each request writes, the one with the IV, which the host has read. ahead: requests
 * from now. */
static inline void slot_prefetch(const struct vcrypto_queue *queue, unsigned int ahead)
{
	uint16_t i = queue->free[(queue->free_out + ahead) & queue->mask];

	prefetch_write(queue->slots[i].iv);
}

int queue_submit(struct vcrypto_queue *queue, struct vcrypto_op *const *ops, unsigned int n)
{
	unsigned int taken = 0;
	int error = device_held(queue->device);

	if (vc_unlikely(queue->broken || error))
		return queue->broken ? -EPIPE : error;
	n = vc_min(n, room(queue));
	for (unsigned int i = 0; i < vc_min(n, PREFETCH_SLOTS); i++)
		slot_prefetch(queue, i);
	while (taken < n) {
		slot_prefetch(queue, PREFETCH_SLOTS);
		error = submit_one(queue, ops[taken]);
		if (vc_unlikely(error))
			break;
		taken++;
	}
	if (!taken)
		return error;
	count(&queue->stats.submitted, taken);
	if (ring_publish(&queue->ring)) {
		count(&queue->stats.kicks, 1);
		queue->device->ops->kick(&queue->transport);
	}
	return (int)taken;
}

int vcrypto_queue_submit(struct vcrypto_queue *queue, struct vcrypto_op *const *ops, unsigned int n)
{
	if (vc_likely(!queue->layered))
		return queue_submit(queue, ops, n);
	return queue->inband ? inband_queue_submit(queue, ops, n) : queue_submit_all(queue, ops, n);
}

int queue_submit_all(struct vcrypto_queue *queue, struct vcrypto_op *const *ops, unsigned int n)
{
	return queue->bounce ? bounce_submit(queue->bounce, ops, n) : queue_submit(queue, ops, n);
}

static void complete_one(struct vcrypto_queue *queue, struct vcrypto_op *op, unsigned int i,
                         uint32_t written)
{
	uint8_t status = queue->status[i];

	queue->status[i] = STATUS_UNSET;
	op->status = 0;
	/* What the device says it wrote, the status byte counted; of use where it may be less than
	 * there was room for. */
	op->result_len = written ? vc_min(written - 1, op->dst_len) : 0;
	if (vc_unlikely(status)) {
		op->status = op_status(&op->session->op, op, status);
		count(&queue->stats.failed, 1);
	}
	queue->op[i] = NULL;
	queue->free[queue->free_in++ & queue->mask] = (uint16_t)i;
}

static int nothing_to_take(struct vcrypto_queue *queue)
{
	if (queue->free_in - queue->free_out == queue->depth)
		return 0;
	if (++queue->empty_polls < EMPTY_POLLS_MAX)
		return 0;
	queue->empty_polls = 0;
	return device_there(queue->device) ? 0 : -EPIPE;
}

/* Packed rings, and IN_ORDER. */
static __attribute__((noinline)) int poll_other(struct vcrypto_queue *queue,
                                                struct vcrypto_op **ops, unsigned int n)
{
	struct ring_used used;
	unsigned int k = 0;
	int taken = 0;

	while (k < n && (taken = ring_take(&queue->ring, &used)) > 0) {
		unsigned int i = used.id / queue->ring.each;

		if (vc_unlikely(i >= queue->depth || !queue->op[i] ||
		                i * queue->ring.each != used.id)) {
			taken = -EPROTO;
			break;
		}
		ops[k++] = queue->op[i];
		complete_one(queue, queue->op[i], i, used.written);
	}
	/* What we have is good; the next call says the rest. */
	if (vc_unlikely(taken < 0))
		queue->broken = true;
	if (!k)
		return taken < 0 ? taken : nothing_to_take(queue);
	queue->empty_polls = 0;
	count(&queue->stats.completed, k);
	return (int)k;
}

int queue_poll(struct vcrypto_queue *queue, struct vcrypto_op **ops, unsigned int n)
{
	unsigned int shift = queue->indirect ? 0 : queue->table_shift;
	unsigned int pending;

	if (vc_unlikely(queue->broken))
		return -EPROTO;
	if (vc_unlikely(queue->ring.packed || queue->ring.in_order))
		return poll_other(queue, ops, n);
	pending = ring_split_pending(&queue->ring.split);
	if (!pending)
		return nothing_to_take(queue);
	if (vc_unlikely(pending > queue->depth - room(queue)))
		goto broken;
	queue->empty_polls = 0;
	n = vc_min(n, pending);
	for (unsigned int k = 0; k < n; k++) {
		struct virtq_used_elem e = ring_split_take(&queue->ring.split);
		unsigned int i = e.id >> shift;

		if (vc_unlikely(e.id >= queue->ring.split.size || !queue->op[i] ||
		                i << shift != e.id)) {
			/* What we have is good; the next call says the rest. */
			queue->broken = true;
			if (!k)
				goto broken;
			n = k;
			break;
		}
		ops[k] = queue->op[i];
		complete_one(queue, ops[k], i, e.len);
	}
	count(&queue->stats.completed, n);
	return (int)n;
broken:
	queue->broken = true;
	return -EPROTO;
}

int vcrypto_queue_poll(struct vcrypto_queue *queue, struct vcrypto_op **ops, unsigned int n)
{
	if (vc_likely(!queue->layered))
		return queue_poll(queue, ops, n);
	return queue->inband ? inband_queue_poll(queue, ops, n) : queue_poll_all(queue, ops, n);
}

int queue_poll_all(struct vcrypto_queue *queue, struct vcrypto_op **ops, unsigned int n)
{
	return queue->bounce ? bounce_poll(queue->bounce, ops, n) : queue_poll(queue, ops, n);
}

unsigned int vcrypto_queue_room(const struct vcrypto_queue *queue)
{
	return room(queue);
}

unsigned int vcrypto_queue_in_flight(const struct vcrypto_queue *queue)
{
	if (vc_unlikely(queue->inband))
		return inband_queue_in_flight(queue);
	return queue->depth - room(queue);
}

int vcrypto_queue_fd(const struct vcrypto_queue *queue)
{
	return queue->transport.call_fd;
}

bool vcrypto_queue_arm(struct vcrypto_queue *queue)
{
	if (vc_unlikely(queue->inband))
		return inband_queue_arm(queue);
	return ring_arm(&queue->ring);
}

void vcrypto_queue_disarm(struct vcrypto_queue *queue)
{
	uint64_t calls;

	if (vc_unlikely(queue->inband))
		inband_queue_disarm(queue);
	else
		ring_disarm(&queue->ring);
	calls = queue_calls(queue->device, &queue->transport);
	if (calls)
		count(&queue->stats.calls, calls);
}

uint64_t queue_calls(const struct vcrypto_device *device, const struct transport_queue *queue)
{
	uint64_t calls;

	if (device->ops->calls)
		return device->ops->calls(queue);
	/* An eventfd counts how often it was signalled. */
	return read(queue->call_fd, &calls, sizeof(calls)) == sizeof(calls) ? calls : 0;
}

void vcrypto_queue_stats(const struct vcrypto_queue *queue, struct vcrypto_queue_stats *stats)
{
	*stats = (struct vcrypto_queue_stats){
		.submitted = __atomic_load_n(&queue->stats.submitted, __ATOMIC_RELAXED),
		.completed = __atomic_load_n(&queue->stats.completed, __ATOMIC_RELAXED),
		.failed = __atomic_load_n(&queue->stats.failed, __ATOMIC_RELAXED),
		.kicks = __atomic_load_n(&queue->stats.kicks, __ATOMIC_RELAXED),
		.calls = __atomic_load_n(&queue->stats.calls, __ATOMIC_RELAXED),
	};
}
