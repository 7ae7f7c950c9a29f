/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One channel of a client, the daemon's end. Runs in the daemon's one thread; trusts nothing that
 * it reads from the region.
 */
#include "engined/channel.h"

#include <stddef.h>
#include <string.h>

/* What a session's tag or digest may at most have (SHA-512). */
#define MAX_TAG 64

void channel_init(struct channel *channel, const struct region *region, uint32_t index)
{
	const struct region_layout *l = &region->layout;
	uint8_t *base = region->base + l->channel_offset + (uint64_t)index * l->channel_stride;

	channel->ring = (struct vce_channel *)(void *)base;
	channel->slots = (struct vce_slot *)(void *)(base + l->slot_offset);
	channel->head = 0;
	channel->mask = l->slots - 1;
}

/* Each word is read exactly once: a plain memcpy might be turned into reads of the original. */
static void slot_copy(struct vce_slot *copy, const struct vce_slot *slot)
{
	const uint64_t *from = (const uint64_t *)(const void *)slot;
	uint64_t *to = (uint64_t *)(void *)copy;
	size_t i;

	for (i = 0; i < offsetof(struct vce_slot, state) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

int channel_take(struct channel *channel, struct channel_entry *entry)
{
	uint32_t index, state, phase;

	index = __atomic_load_n(&channel->ring->ring[channel->head & channel->mask],
	                        __ATOMIC_RELAXED);
	channel->head++;
	if (index > channel->mask)
		return -EPROTO;

	entry->slot = &channel->slots[index];
	state = __atomic_load_n(&entry->slot->state, __ATOMIC_RELAXED);
	phase = state & VCE_SLOT_PHASE_MASK;
	if (phase != VCE_SLOT_QUEUED && phase != VCE_SLOT_WAITING)
		return -EPROTO;
	entry->generation = state >> 2;
	slot_copy(&entry->line, entry->slot);
	return 0;
}

void channel_publish(struct channel *channel)
{
	__atomic_store_n(&channel->ring->head, channel->head, __ATOMIC_RELAXED);
}

static bool disjoint(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a + a_len <= b || b + b_len <= a;
}

static int check_tag(const struct region *region, const struct vce_slot *line, uint32_t max,
                     struct vcrypto_op *op)
{
	if (line->tag_len > max)
		return -EINVAL;
	/* 0 stands for the session's length, which is at most max. */
	if (!region_holds(&region->layout, line->tag, line->tag_len ? line->tag_len : max))
		return -EINVAL;
	op->tag = region->base + line->tag;
	op->tag_len = line->tag_len;
	return 0;
}

static int check_chain(const struct region *region, const struct vce_slot *line,
                       struct vcrypto_op *op)
{
	if ((uint64_t)line->cipher_offset + line->dst_len > line->length)
		return -EINVAL;
	if ((uint64_t)line->hash_offset + line->hash_len > line->length)
		return -EINVAL;
	op->cipher_offset = line->cipher_offset;
	op->cipher_len = line->dst_len ? line->dst_len : line->length - line->cipher_offset;
	op->hash_offset = line->hash_offset;
	op->hash_len = line->hash_len;
	return check_tag(region, line, MAX_TAG, op);
}

static int check_aead(const struct region *region, const struct vce_slot *line,
                      struct vcrypto_op *op)
{
	if (!region_holds(&region->layout, line->aad_len ? line->aad : line->src, line->aad_len))
		return -EINVAL;
	op->aad = line->aad_len ? region->base + line->aad : NULL;
	op->aad_len = line->aad_len;
	return check_tag(region, line, 16, op);
}

/* dst: as long as src, or for AKCIPHER what it says; the same place or quite another. */
static int check_dst(const struct region *region, const struct vce_slot *line, uint64_t dst_len,
                     struct vcrypto_op *op)
{
	if (!region_holds(&region->layout, line->dst, dst_len))
		return -EINVAL;
	if (line->dst != line->src && !disjoint(line->src, line->length, line->dst, dst_len))
		return -EINVAL;
	op->dst = region->base + line->dst;
	return 0;
}

static int check_akcipher(const struct region *region, const struct vce_slot *line,
                          const struct vcrypto_session_params *params, struct vcrypto_op *op)
{
	bool private_op = line->akcipher_op == VCRYPTO_AKCIPHER_DECRYPT ||
	                  line->akcipher_op == VCRYPTO_AKCIPHER_SIGN;

	if (line->akcipher_op > VCRYPTO_AKCIPHER_GENERATE || (private_op && !params->private_key))
		return -EINVAL;
	if ((line->akcipher_op >= VCRYPTO_AKCIPHER_DERIVE) !=
	    (params->algorithm == VCRYPTO_AKCIPHER_AGREE))
		return -EINVAL;
	op->akcipher_op = line->akcipher_op;
	if (line->akcipher_op == VCRYPTO_AKCIPHER_VERIFY) {
		if (!line->tag_len)
			return -EINVAL;
		/* A raw verification compares a whole block: up to RSA-16384. */
		return check_tag(region, line, 2048, op);
	}
	if (!line->dst_len)
		return -EINVAL;
	op->dst_len = line->dst_len;
	return check_dst(region, line, line->dst_len, op);
}

int channel_check_crypt(const struct region *region, const struct vce_slot *line,
                        const struct vcrypto_session_params *params, struct vcrypto_op *op)
{
	int ret;

	memset(op, 0, sizeof(*op));
	if (line->iv_len > VCE_MAX_IV)
		return -EINVAL;
	if (!region_holds(&region->layout, line->src, line->length))
		return -EINVAL;
	op->src = region->base + line->src;
	op->length = line->length;
	op->iv_len = line->iv_len;
	memcpy(op->iv, line->iv, sizeof(op->iv));

	switch (params->service) {
	case VCRYPTO_SERVICE_CIPHER:
		ret = check_dst(region, line, line->length, op);
		if (!ret && params->chain != VCRYPTO_CHAIN_NONE)
			ret = check_chain(region, line, op);
		return ret;
	case VCRYPTO_SERVICE_AEAD:
		ret = check_dst(region, line, line->length, op);
		return ret ? ret : check_aead(region, line, op);
	case VCRYPTO_SERVICE_HASH:
	case VCRYPTO_SERVICE_MAC:
		return check_tag(region, line, MAX_TAG, op);
	case VCRYPTO_SERVICE_AKCIPHER:
		return check_akcipher(region, line, params, op);
	}
	return -EINVAL;
}

bool channel_complete(struct vce_slot *slot, uint32_t generation,
                      const struct channel_result *result)
{
	uint32_t old;

	slot->result = result->result;
	slot->result_len = result->result_len;
	slot->handle = result->handle;
	/*
	 * Release: partner of the client's acquire of state; result and data before DONE. An
	 * exchange, because a thread may turn QUEUED into WAITING at this moment: either we see
	 * WAITING here, or its compare-and-exchange sees DONE.
	 */
	old = __atomic_exchange_n(&slot->state, VCE_SLOT_STATE(generation, VCE_SLOT_DONE),
	                          __ATOMIC_ACQ_REL);
	return (old & VCE_SLOT_PHASE_MASK) == VCE_SLOT_WAITING;
}
