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

/* header | iv | src | tag | aad; dst | tag | status */
#define OP_MIN_TABLE 8
/* Of source and destination together, where they are in pieces. */
#define OP_MAX_PIECES 504

#define OP_SHORT_TABLE 4

/*
 * The shared memory of one request. A line that the host has read stays in our cache until we write
 * to it, and writing to it means that the host has to fetch it again: so nothing is written that is
 * there already. A slot that is used again for a session writes the IV, and addresses and lengths
 * where they changed.
 */
struct op_slot {
	vc_cache_aligned struct virtq_desc table[OP_SHORT_TABLE];
	union {
		struct {
			struct virtio_crypto_op_data_req request;
			uint8_t iv[VCRYPTO_MAX_IV]; /* one segment with the request */
			uint8_t padding[40];
		};
		/* With REVISION_1. */
		struct op_revised {
			struct virtio_crypto_op_header header;
			union virtio_crypto_data_stateless wire; /* or shorter ones */
			uint8_t iv[VCRYPTO_MAX_IV];
		} revised;
	};
};

static_assert(sizeof(struct op_slot) == 192, "whole cache lines");

/* Where a request is described. */
struct op_place {
	struct op_slot *slot;
	/* For up to OP_SHORT_TABLE descriptors, and for more (room for OP_MIN_TABLE, and the
	 * context's pieces). The same where they are descriptors of the ring. */
	struct virtq_desc *short_table, *long_table;
	uint16_t base; /* number of the first descriptor: in the ring, or 0 */
	bool packed;   /* a table of a packed ring */
	uint8_t *status;
	uint64_t *serial; /* private: of the session whose request is in the slot; 0: none */
};

enum op_kind {
	OP_CIPHER,
	OP_CHAIN,
	OP_HASH,
	OP_MAC,
	OP_AEAD,
	OP_AKCIPHER,
	OP_AGREE,  /* key agreement: of AKCIPHER, by opcodes of docs/in-band.md */
	OP_INBAND, /* not the caller's: a control request in an envelope (inband.h) */
};

/* What requests in stateless mode bring along (op_revised.c). */
struct op_brought {
	union virtio_crypto_data_stateless wire; /* all that does not depend on the operation */
	uint8_t *key;                            /* shared: both keys; NULL: there is none */
	uint32_t key_len;                        /* bytes */
	uint8_t service;
};

/* What the data path has to know of a session. */
struct op_session {
	struct virtio_crypto_op_data_req request; /* all that does not depend on the operation */
	uint64_t serial;                          /* no other session has it, ever; not 0 */
	uint8_t kind;
	bool decrypt;
	bool private_key;
	uint8_t block_mask; /* lengths are multiples of this + 1 */
	uint8_t iv_min, iv_max;
	uint16_t tag_len;
	/* With REVISION_1: bytes of header and parameters; and in stateless mode, else NULL. */
	uint16_t header_size;
	const struct op_brought *brought;
};

struct op_context {
	const struct regions *regions;
	struct region_hints hints;
	uint64_t max_size;
	unsigned int pieces; /* of source and destination together, that tables have room for */
	/* Every part in descriptors of its own, as Linux has them: for back ends that go by
	 * descriptors and not by bytes. */
	bool apart;
	bool revised; /* REVISION_1 was negotiated */
	bool unusual; /* either */
};

/* Describe an operation. Returns the number of descriptors, or -EINVAL. */
int op_describe(struct op_context *context, const struct op_place *place,
                const struct op_session *session, const struct vcrypto_op *op);

/* session_wire.c: the parameters of an AKCIPHER session, as a control request and a stateless
 * request have them alike. */
void session_wire_akcipher(struct virtio_crypto_akcipher_session_para *wire,
                           const struct vcrypto_session_params *p);

/* op_revised.c */
/* Bytes of header and fixed parameters of a service's requests. */
uint16_t op_revised_size(unsigned int service, bool stateless);
/* All of it but the key itself. */
void op_revised_describe(struct op_brought *brought, const struct vcrypto_session_params *params);
/* Header and parameters into the slot; r: as they are without REVISION_1. */
void op_revised_write(struct op_slot *slot, const struct op_session *session,
                      const struct virtio_crypto_op_data_req *r);

/* errno of a status byte, as it is to be understood for an operation of the session. */
int op_status(const struct op_session *session, const struct vcrypto_op *op, uint8_t status);

#endif
