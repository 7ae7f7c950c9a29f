/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on the wire: from a struct vcrypto_op to a descriptor chain (virtio 1.3, 5.9.7).
 *
 * Data path: no malloc, no lock, no log. The thread that has the queue. No ring and no socket here,
 * so that it is tested as it is.
 */
#ifndef VC_VIRTIO_OP_H
#define VC_VIRTIO_OP_H

#include <vcrypto/vcrypto.h>

#include "virtio/memory.h"
#include "wire/virtio_crypto.h"
#include "wire/virtio_ring.h"

/* header, iv | src | tag | aad; dst | tag | status */
#define OP_MAX_SEGMENTS 8

/*
 * The shared memory of one request. A line that the host has read stays in our cache until we write
 * to it, and writing to it means that the host has to fetch it again: so nothing is written that is
 * there already. A slot that is used again for a session writes 24 bytes: the IV, and the addresses
 * where they changed.
 */
struct op_slot {
	vc_cache_aligned struct virtq_desc table[OP_MAX_SEGMENTS];
	struct virtio_crypto_op_data_req request;
	uint8_t iv[VCRYPTO_MAX_IV]; /* one segment with the request */
	uint8_t padding[40];
};

static_assert(sizeof(struct op_slot) == 256, "whole cache lines");

enum op_kind {
	OP_CIPHER,
	OP_CHAIN,
	OP_HASH,
	OP_MAC,
	OP_AEAD,
	OP_AKCIPHER,
};

/* What the data path has to know of a session. */
struct op_session {
	struct virtio_crypto_op_data_req request; /* all that does not depend on the operation */
	uint8_t kind;
	bool decrypt;
	bool private_key;
	uint8_t block_mask; /* lengths are multiples of this + 1 */
	uint8_t iv_min, iv_max;
	uint16_t tag_len;
};

struct op_context {
	const struct regions *regions;
	struct region_hints hints;
	uint64_t max_size;
};

/*
 * Describe an operation. table has OP_MAX_SEGMENTS descriptors, the first of them number base (of
 * the ring, or 0 in an indirect table). Returns the number of descriptors, or -EINVAL.
 */
int op_describe(struct op_context *context, struct op_slot *slot, struct virtq_desc *table,
                uint16_t base, uint8_t *status, const struct op_session *session,
                const struct vcrypto_op *op);

/* errno of a status byte, as it is to be understood for an operation of the session. */
int op_status(const struct op_session *session, const struct vcrypto_op *op, uint8_t status);

#endif
