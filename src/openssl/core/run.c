/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: copied into slots, submitted, waited for (wait.c), copied out. Any thread, any job.
 *
 * Stacks of ASYNC jobs are small (32 KiB) and a job may never be resumed: nothing here that the
 * daemon or another thread touches lies on the stack.
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <string.h>

#include "base/secmem.h"

/* Operations in flight at once. */
#define WINDOW 32u

struct flight {
	struct slot_ref ref;
	uint32_t op; /* index */
	struct layout layout;
};

/* After slot_await() has failed. */
static void slot_leave(const struct run *run, struct slot_ref ref)
{
	if (!run->forked)
		channel_abandon(ref);
}

/* ---- keys ---- */

static int key_open_submit(struct run *run, const struct core_key *key, struct slot_ref *ref)
{
	struct vce_slot *slot;

	if (key->size > run->connection->buffer_size)
		return -EINVAL;
	if (channel_take(run->channel, ref))
		return -EAGAIN;
	memcpy(slot_buffer(*ref), key->blob, key->size);
	slot = slot_of(*ref);
	slot->opcode = VCE_OP_SESSION_OPEN;
	slot->src = slot_buffer_offset(*ref);
	slot->length = key->size;
	slot->waker = run->waker ? (uint16_t)run->waker->number : 0;
	channel_submit(*ref, run->waker);
	run->woke = connection_ring(run->connection);
	return 0;
}

/* See that the daemon has the key. 0 or -errno. */
static int key_open(struct run *run, struct core_key *key)
{
	uint64_t before = atomic_load_explicit(&key->open, memory_order_relaxed), open;
	struct slot_ref ref;
	int ret;

	if (vc_likely(key_handle(key, run->connection)))
		return 0;
	if (run->broken)
		return run->broken;
	ret = key_open_submit(run, key, &ref);
	if (ret)
		return ret;
	ret = slot_await(run, ref);
	if (ret) {
		slot_leave(run, ref);
		return ret;
	}
	ret = slot_of(ref)->result;
	open = key_open_value(run->connection, slot_of(ref)->handle);
	channel_release(ref);
	if (ret)
		return ret < 0 ? ret : -EIO;
	/* Another thread may have been faster: then its handle is used, and ours closed. */
	if (!atomic_compare_exchange_strong(&key->open, &before, open) &&
	    key_handle(key, run->connection))
		connection_close_session(run->connection, run->channel, (uint32_t)open);
	return 0;
}

/* The daemon does not know the handle: open the key again next time. */
static void key_forget(struct core_key *key, const struct connection *connection)
{
	uint64_t open = atomic_load(&key->open);

	if (open >> 32 == connection->id)
		atomic_compare_exchange_strong(&key->open, &open, 0);
}

/* ---- operations ---- */

static void slot_fill(struct vce_slot *slot, const struct core_op *op, const struct layout *l,
                      uint32_t buffer)
{
	slot->opcode = VCE_OP_CRYPT;
	slot->akcipher_op = op->akcipher_op;
	slot->iv_len = op->iv_len;
	slot->src = buffer + l->src - l->lead;
	slot->dst = buffer + l->dst - l->lead;
	slot->length = l->lead + op->length;
	slot->dst_len = l->dst_len;
	slot->aad = buffer + l->aad;
	slot->aad_len = op->aad_len;
	slot->tag = buffer + l->tag;
	slot->tag_len = (uint16_t)l->tag_len;
	memcpy(slot->iv, op->iv, sizeof(slot->iv));
	slot->cipher_offset = (uint16_t)l->lead;
	slot->hash_offset = 0;
	slot->hash_len = slot->length;
}

static int op_submit(struct run *run, const struct core_op *op, struct flight *flight)
{
	struct layout *l = &flight->layout;
	struct vce_slot *slot;
	uint32_t handle;
	uint8_t *buffer;
	int ret;

	if (run->broken)
		return run->broken;
	if (connection_dead(run->connection))
		return -EPIPE;
	handle = key_handle(op->key, run->connection);
	if (!handle)
		return -ENOKEY;
	ret = layout_op(op->key->params, op, run->connection->buffer_size, l);
	if (ret)
		return ret;
	ret = channel_take(run->channel, &flight->ref);
	if (ret)
		return ret;
	buffer = slot_buffer(flight->ref);
	if (op->length)
		memcpy(buffer + l->src, op->src, op->length);
	if (l->tag_in)
		memcpy(buffer + l->tag, op->tag, l->tag_len);
	if (op->aad_len)
		memcpy(buffer + l->aad, op->aad, op->aad_len);
	slot = slot_of(flight->ref);
	slot_fill(slot, op, l, slot_buffer_offset(flight->ref));
	slot->session = handle;
	slot->waker = run->waker ? (uint16_t)run->waker->number : 0;
	channel_submit(flight->ref, run->waker);
	return 0;
}

/* Take the result of a slot that is done, and give the slot back. */
static int op_harvest(struct run *run, struct core_op *op, const struct flight *flight)
{
	const struct layout *l = &flight->layout;
	const struct vce_slot *slot = slot_of(flight->ref);
	uint8_t *buffer = slot_buffer(flight->ref);
	uint32_t length = l->dst_len;
	int ret = slot->result;

	breaker_answered(&run->process->breaker);
	if (op->key->params->service == VCRYPTO_SERVICE_AKCIPHER) {
		length = slot->result_len;
		if (!ret && length > l->dst_len)
			ret = -EIO;
	}
	if (ret > 0)
		ret = -EIO;
	/* Nothing is released of what did not verify. */
	if (!ret) {
		if (length)
			memcpy(op->dst, buffer + l->dst, length);
		if (l->tag_out)
			memcpy(op->tag, buffer + l->tag, l->tag_len);
		op->result_len = length;
	}
	/* What a private key has made is not left lying about, nor one that came along. */
	if (op->key->params->private_key || (op->key->params->service == VCRYPTO_SERVICE_AKCIPHER &&
	                                     op->key->params->algorithm == VCRYPTO_AKCIPHER_AGREE))
		secmem_wipe(buffer, l->dst + l->dst_len);
	if (ret == -ENOKEY)
		key_forget(op->key, run->connection);
	channel_release(flight->ref);
	return ret;
}

static enum vce_fallback fallback_reason(int error)
{
	switch (error) {
	case -EPIPE:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -ENOENT:
	case -EACCES:
	case -EPROTO:
		return VCE_FALLBACK_NO_DAEMON;
	case -EAGAIN:
	case -ENOSPC:
	case -ENOMEM:
		return VCE_FALLBACK_FULL;
	case -ETIMEDOUT:
		return VCE_FALLBACK_DEADLINE;
	case -EHOSTDOWN:
		return VCE_FALLBACK_SILENT;
	case -EINVAL:
	case -ENOTSUP:
	case -EKEYREJECTED:
		return VCE_FALLBACK_NOTSUPP;
	default:
		return VCE_FALLBACK_DEVICE;
	}
}

static void op_finish(const struct run *run, struct core_op *op, int result)
{
	op->result = result;
	if (!result || result == -EBADMSG)
		process_count_offload(run->process, run->connection, op->class);
	else if (run->forked || !run->connection)
		process_count_fallback(process_get(), NULL, fallback_reason(result));
	else
		process_count_fallback(run->process, run->connection, fallback_reason(result));
}

/* ---- the whole ---- */

/* Whether it is worth while with a daemon that has not answered lately. */
static int run_gate(struct run *run)
{
	struct breaker *breaker = &run->process->breaker;

	if (vc_likely(breaker_closed(breaker)))
		return 0;
	switch (breaker_pass(breaker, clock_now_ns(), 2 * process_probe_ns())) {
	case BREAKER_OPEN:
		return -EHOSTDOWN;
	case BREAKER_PROBE:
		/* What was given up may have been answered by now: then nobody need try. */
		run->probe = !connection_late_answers(run->connection);
		if (!run->probe)
			breaker_answered(breaker);
		break;
	default:
		break;
	}
	return 0;
}

static int run_begin(struct run *run)
{
	struct thread *thread;
	int ret;

	*run = (struct run){.process = process_get()};
	if (!run->process)
		return -ENOMEM;
	ret = process_connect(run->process, &thread);
	if (ret)
		return ret;
	run->connection = thread->connection;
	run->channel = thread->channel;
	if (connection_offline(run->connection)) {
		/* A daemon that died while it had no device stays offline for ever. */
		return connection_alive(run->connection) ? -EIO : -EPIPE;
	}
	ret = run_gate(run);
	if (ret)
		return ret;
	run->waker = waker_get(run->process, run->connection);
	run_progress(run);
	connection_close_pending(run->connection, run->channel);
	return 0;
}

static void run_end(const struct run *run)
{
	/* In a child the waker's count is of no use to anybody. */
	if (run->waker && !run->forked)
		waker_put(run->waker);
}

static void keys_open(struct run *run, struct core_op *ops, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i && ops[i].key == ops[i - 1].key)
			ops[i].result = ops[i - 1].result;
		else
			ops[i].result = key_open(run, ops[i].key);
	}
}

/* Longer than anybody would spin, or come back in vain, for. */
static bool is_long(const struct core_op *op)
{
	return op->key->params->service == VCRYPTO_SERVICE_AKCIPHER;
}

static void run_ops(struct run *run, struct core_op *ops, size_t n)
{
	struct flight flight[WINDOW];
	unsigned int first = 0, count = 0;
	size_t next = 0;

	/* All are of a kind. */
	run->is_long = is_long(&ops[0]);
	while (next < n || count) {
		bool ring = false;
		struct flight *f;
		int ret;

		while (next < n && count < WINDOW) {
			f = &flight[(first + count) % WINDOW];
			ret = ops[next].result ? ops[next].result : op_submit(run, &ops[next], f);
			if (ret == -EAGAIN && count)
				break; /* our own will make room */
			if (ret) {
				op_finish(run, &ops[next], ret);
			} else {
				f->op = (uint32_t)next;
				ring = true;
				count++;
			}
			next++;
		}
		if (ring)
			run->woke = connection_ring(run->connection) && !run->is_long;
		if (!count)
			continue;
		f = &flight[first];
		ret = slot_await(run, f->ref);
		if (ret)
			slot_leave(run, f->ref);
		else
			ret = op_harvest(run, &ops[f->op], f);
		op_finish(run, &ops[f->op], ret);
		first = (first + 1) % WINDOW;
		count--;
	}
}

static int run_result(const struct core_op *ops, size_t n)
{
	int failure = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (ops[i].result == -EBADMSG)
			return -EBADMSG;
		if (!failure)
			failure = ops[i].result;
	}
	return failure;
}

int core_run(struct core_op *ops, size_t n)
{
	struct run run;
	size_t i;
	int ret;

	ret = run_begin(&run);
	if (!run.process)
		return ret;
	if (ret) {
		for (i = 0; i < n; i++)
			op_finish(&run, &ops[i], ret);
		return ret;
	}
	keys_open(&run, ops, n);
	run_ops(&run, ops, n);
	run_end(&run);
	return run_result(ops, n);
}
