/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an operation's data lies in a slot's buffer: data in place at its start, then the tag (so
 * that data and tag are one piece for the device), then additional data; of chains, where it is
 * part of the message, in front of the data. Pure.
 */
#include "openssl/core/internal.h"

#include <errno.h>

#define MAX_TAG 64u
#define AEAD_TAG 16u
#define CHAIN_ALIGN 16u

static int layout_akcipher(const struct core_op *op, uint64_t size, struct layout *l)
{
	uint64_t end;

	if (op->akcipher_op == VCRYPTO_AKCIPHER_VERIFY) {
		l->tag = op->length;
		l->tag_len = op->tag_len;
		l->tag_in = true;
		end = (uint64_t)op->length + op->tag_len;
		return !op->tag || !op->tag_len || end > size ? -EINVAL : 0;
	}
	if (op->akcipher_op > VCRYPTO_AKCIPHER_GENERATE || !op->dst || !op->dst_len)
		return -EINVAL;
	/* The result may be longer than the source, so not in place. */
	end = vc_round_up(op->length, VCE_CACHE_LINE);
	l->dst = (uint32_t)end;
	l->dst_len = op->dst_len;
	return end + op->dst_len > size ? -EINVAL : 0;
}

static int layout_tag(const struct core_op *op, uint32_t session_len, uint32_t full, uint32_t max,
                      struct layout *l)
{
	l->tag_len = op->tag_len ? op->tag_len : session_len ? session_len : full;
	return !op->tag || !l->tag_len || l->tag_len > max ? -EINVAL : 0;
}

/* The data begins at a multiple of the block, so that it can be copied and enciphered quickly. */
static int layout_chain(const struct vce_session_params *params, const struct core_op *op,
                        uint64_t size, struct layout *l)
{
	uint64_t start = vc_round_up((uint64_t)op->aad_len, CHAIN_ALIGN);

	if (!op->cipher_len || op->cipher_len > op->length || !op->dst ||
	    op->aad_len > UINT16_MAX || (op->aad_len && !op->aad) ||
	    layout_tag(op, params->tag_len, 0, MAX_TAG, l) ||
	    start + op->length + l->tag_len > size)
		return -EINVAL;
	l->lead = op->aad_len;
	l->src = l->dst = (uint32_t)start;
	l->aad = l->src - l->lead;
	l->tag = l->src + op->length;
	l->tag_out = true;
	l->dst_len = op->cipher_len;
	return 0;
}

int layout_op(const struct vce_session_params *params, const struct core_op *op, uint32_t size,
              struct layout *l)
{
	uint64_t end;
	int ret = 0;

	*l = (struct layout){0};
	if (op->length > size || op->iv_len > VCE_MAX_IV || op->tag_len > size ||
	    (op->length && !op->src))
		return -EINVAL;
	if (params->service == VCRYPTO_SERVICE_AKCIPHER)
		return layout_akcipher(op, size, l);

	l->tag = op->length;
	l->dst_len = op->length;
	switch (params->service) {
	case VCRYPTO_SERVICE_CIPHER:
		if (params->chain != VCRYPTO_CHAIN_NONE)
			return layout_chain(params, op, size, l);
		break;
	case VCRYPTO_SERVICE_AEAD:
		ret = layout_tag(op, params->tag_len, AEAD_TAG, AEAD_TAG, l);
		l->tag_in = params->direction == VCRYPTO_DECRYPT;
		l->tag_out = !l->tag_in;
		break;
	case VCRYPTO_SERVICE_HASH:
	case VCRYPTO_SERVICE_MAC:
		ret = layout_tag(op, params->tag_len, 0, MAX_TAG, l);
		l->tag_out = true;
		l->dst_len = 0;
		break;
	default:
		return -EINVAL;
	}
	if (ret || (l->dst_len && !op->dst) || (op->aad_len && !op->aad))
		return -EINVAL;
	l->aad = op->length + l->tag_len;
	end = (uint64_t)l->aad + op->aad_len;
	return end > size ? -EINVAL : 0;
}
