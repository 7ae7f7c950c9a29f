/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on the wire. See op.h.
 */
#include "virtio/op.h"

#include <errno.h>
#include <string.h>
#include <vcrypto/inband.h>

struct segment {
	uint64_t addr;
	uint32_t len;
	uint32_t flags;
};

struct segments {
	unsigned int count;
	struct segment list[];
};

/* Room for n of them. */
#define SEGMENTS(n)                                                                                \
	union {                                                                                    \
		struct segments s;                                                                 \
		uint8_t room[sizeof(struct segments) + (n) * sizeof(struct segment)];              \
	}

/* Compiled twice: for operations with source and destination in one piece each, and for others. */
#define BOTH static inline __attribute__((always_inline))

/* Pieces of one region that touch become one. Empty ones have no descriptor. */
static inline void segment_add(struct op_context *c, struct segments *s, const void *address,
                               uint32_t length, uint32_t flags)
{
	struct segment *last = &s->list[s->count - 1];

	if (!length)
		return;
	if (last->flags == flags && last->addr + last->len == (uintptr_t)address && !c->apart &&
	    length <= UINT32_MAX - last->len &&
	    regions_contain(c->regions, &c->hints, (void *)(uintptr_t)last->addr,
	                    (size_t)last->len + length)) {
		last->len += length;
		return;
	}
	s->list[s->count++] = (struct segment){(uintptr_t)address, length, flags};
}

/* Two stores, if any: see struct op_slot. */
static inline void desc_set(struct virtq_desc *desc, uint64_t addr, uint32_t len, uint16_t flags,
                            uint16_t next)
{
	struct virtq_desc now = {addr, len, flags, next};
	uint64_t old_rest, rest;

	memcpy(&rest, &now.len, sizeof(rest));
	memcpy(&old_rest, &desc->len, sizeof(rest));
	if (desc->addr != addr)
		desc->addr = addr;
	if (old_rest != rest)
		memcpy(&desc->len, &rest, sizeof(rest));
}

static inline void set(uint32_t *field, uint32_t value)
{
	if (*field != value)
		*field = value;
}

static inline bool reach(struct op_context *c, const void *address, size_t length)
{
	return !length || regions_contain(c->regions, &c->hints, address, length);
}

static inline bool range_ok(uint32_t offset, uint32_t length, uint32_t of)
{
	return offset <= of && length <= of - offset;
}

/* All of them reachable, and together of that length. */
static bool pieces_ok(struct op_context *c, const struct iovec *piece, unsigned int count,
                      uint64_t length)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (piece[i].iov_len > UINT32_MAX || !reach(c, piece[i].iov_base, piece[i].iov_len))
			return false;
		sum += piece[i].iov_len;
	}
	return sum == length;
}

static void pieces_add(struct op_context *c, struct segments *s, const struct iovec *piece,
                       unsigned int count, uint32_t flags)
{
	for (unsigned int i = 0; i < count; i++)
		segment_add(c, s, piece[i].iov_base, (uint32_t)piece[i].iov_len, flags);
}

BOTH void add_src(struct op_context *c, struct segments *s, const struct vcrypto_op *op, bool cut)
{
	if (cut)
		pieces_add(c, s, op->pieces->src, op->pieces->src_count, 0);
	else
		segment_add(c, s, op->src, op->length, 0);
}

BOTH void add_dst(struct op_context *c, struct segments *s, const struct vcrypto_op *op, bool cut)
{
	if (cut)
		pieces_add(c, s, op->pieces->dst, op->pieces->dst_count, VIRTQ_DESC_F_WRITE);
	else
		segment_add(c, s, op->dst, op->length, VIRTQ_DESC_F_WRITE);
}

BOTH bool reach_src(struct op_context *c, const struct vcrypto_op *op, bool cut)
{
	return cut ? pieces_ok(c, op->pieces->src, op->pieces->src_count, op->length)
	           : reach(c, op->src, op->length);
}

BOTH bool reach_dst(struct op_context *c, const struct vcrypto_op *op, bool cut)
{
	return cut ? pieces_ok(c, op->pieces->dst, op->pieces->dst_count, op->length)
	           : reach(c, op->dst, op->length);
}

BOTH int describe_cipher(struct op_context *c, struct segments *s,
                         struct virtio_crypto_op_data_req *r, const struct op_session *session,
                         const struct vcrypto_op *op, bool cut)
{
	if (op->length & session->block_mask)
		return -EINVAL;
	set(&r->u.sym.u.cipher.iv_len, op->iv_len);
	set(&r->u.sym.u.cipher.src_len, op->length);
	set(&r->u.sym.u.cipher.dst_len, op->length);
	add_src(c, s, op, cut);
	add_dst(c, s, op, cut);
	return reach_dst(c, op, cut) ? 0 : -EINVAL;
}

BOTH int describe_chain(struct op_context *c, struct segments *s,
                        struct virtio_crypto_op_data_req *r, const struct op_session *session,
                        const struct vcrypto_op *op, bool cut)
{
	struct virtio_crypto_alg_chain_para *para = &r->u.sym.u.chain;
	uint16_t tag_len = op->tag_len ? op->tag_len : session->tag_len;

	if (op->cipher_len & session->block_mask ||
	    !range_ok(op->cipher_offset, op->cipher_len, op->length) ||
	    !range_ok(op->hash_offset, op->hash_len, op->length) || !reach_dst(c, op, cut) ||
	    !op->tag || !reach(c, op->tag, tag_len))
		return -EINVAL;
	set(&para->iv_len, op->iv_len);
	set(&para->src_len, op->length);
	set(&para->dst_len, op->length);
	set(&para->cipher_start_src_offset, op->cipher_offset);
	set(&para->len_to_cipher, op->cipher_len);
	set(&para->hash_start_src_offset, op->hash_offset);
	set(&para->len_to_hash, op->hash_len);
	set(&para->hash_result_len, tag_len);
	add_src(c, s, op, cut);
	add_dst(c, s, op, cut);
	segment_add(c, s, op->tag, tag_len, VIRTQ_DESC_F_WRITE);
	return 0;
}

BOTH int describe_digest(struct op_context *c, struct segments *s,
                         struct virtio_crypto_op_data_req *r, const struct op_session *session,
                         const struct vcrypto_op *op, bool cut)
{
	uint16_t tag_len = op->tag_len ? op->tag_len : session->tag_len;

	if (!op->tag || !reach(c, op->tag, tag_len))
		return -EINVAL;
	set(&r->u.hash.src_len, op->length);
	set(&r->u.hash.hash_result_len, tag_len);
	add_src(c, s, op, cut);
	segment_add(c, s, op->tag, tag_len, VIRTQ_DESC_F_WRITE);
	return 0;
}

/* The tag is the end of src when decrypting, the end of dst when encrypting. */
BOTH int describe_aead(struct op_context *c, struct segments *s,
                       struct virtio_crypto_op_data_req *r, const struct op_session *session,
                       const struct vcrypto_op *op, bool cut)
{
	uint16_t tag_len = op->tag_len ? op->tag_len : session->tag_len;

	if (!op->tag || !reach(c, op->tag, tag_len) || !reach_dst(c, op, cut) ||
	    !reach(c, op->aad, op->aad_len) || op->length > UINT32_MAX - tag_len)
		return -EINVAL;
	set(&r->u.aead.iv_len, op->iv_len);
	set(&r->u.aead.aad_len, op->aad_len);
	set(&r->u.aead.src_len, op->length + (session->decrypt ? tag_len : 0));
	set(&r->u.aead.dst_len, op->length + (session->decrypt ? 0 : tag_len));
	set(&r->u.aead.tag_len, tag_len);
	add_src(c, s, op, cut);
	if (session->decrypt)
		segment_add(c, s, op->tag, tag_len, 0);
	segment_add(c, s, op->aad, op->aad_len, 0);
	add_dst(c, s, op, cut);
	if (!session->decrypt)
		segment_add(c, s, op->tag, tag_len, VIRTQ_DESC_F_WRITE);
	return 0;
}

static int describe_akcipher(struct op_context *c, struct segments *s,
                             struct virtio_crypto_op_data_req *r, const struct op_session *session,
                             const struct vcrypto_op *op)
{
	bool verify = op->akcipher_op == VCRYPTO_AKCIPHER_VERIFY;
	bool private = op->akcipher_op == VCRYPTO_AKCIPHER_DECRYPT ||
	               op->akcipher_op == VCRYPTO_AKCIPHER_SIGN;

	if (op->akcipher_op > VCRYPTO_AKCIPHER_VERIFY || (private && !session->private_key) ||
	    !op->length)
		return -EINVAL;
	set(&r->header.opcode, VIRTIO_CRYPTO_AKCIPHER_ENCRYPT + op->akcipher_op);
	set(&r->u.akcipher.src_len, op->length);
	set(&r->u.akcipher.dst_len, verify ? op->tag_len : op->dst_len);
	segment_add(c, s, op->src, op->length, 0);
	if (verify) {
		segment_add(c, s, op->tag, op->tag_len, 0);
		return op->tag && op->tag_len && reach(c, op->tag, op->tag_len) ? 0 : -EINVAL;
	}
	segment_add(c, s, op->dst, op->dst_len, VIRTQ_DESC_F_WRITE);
	return op->dst_len && reach(c, op->dst, op->dst_len) ? 0 : -EINVAL;
}

/* Lengths are the device's to judge. */
static int describe_agree(struct op_context *c, struct segments *s,
                          struct virtio_crypto_op_data_req *r, const struct vcrypto_op *op)
{
	bool derive = op->akcipher_op == VCRYPTO_AKCIPHER_DERIVE;

	if ((!derive && op->akcipher_op != VCRYPTO_AKCIPHER_GENERATE) || derive != !!op->length)
		return -EINVAL;
	set(&r->header.opcode, derive ? VCRYPTO_INBAND_DERIVE : VCRYPTO_INBAND_GENERATE);
	set(&r->u.akcipher.src_len, op->length);
	set(&r->u.akcipher.dst_len, op->dst_len);
	segment_add(c, s, op->src, op->length, 0);
	segment_add(c, s, op->dst, op->dst_len, VIRTQ_DESC_F_WRITE);
	return op->dst_len && reach(c, op->dst, op->dst_len) ? 0 : -EINVAL;
}

static int describe_inband(struct op_context *c, struct segments *s, const struct vcrypto_op *op)
{
	segment_add(c, s, op->src, op->length, 0);
	segment_add(c, s, op->dst, op->dst_len, VIRTQ_DESC_F_WRITE);
	return 0;
}

BOTH int describe(struct op_context *c, struct segments *s, struct virtio_crypto_op_data_req *r,
                  const struct op_session *session, const struct vcrypto_op *op, bool cut)
{
	switch (session->kind) {
	case OP_CIPHER:
		return describe_cipher(c, s, r, session, op, cut);
	case OP_CHAIN:
		return describe_chain(c, s, r, session, op, cut);
	case OP_HASH:
	case OP_MAC:
		return describe_digest(c, s, r, session, op, cut);
	case OP_AEAD:
		return describe_aead(c, s, r, session, op, cut);
	case OP_INBAND:
		return describe_inband(c, s, op);
	case OP_AGREE:
		return cut ? -EINVAL : describe_agree(c, s, r, op);
	default:
		if (cut)
			return -EINVAL;
		return describe_akcipher(c, s, r, session, op);
	}
}

/* Entries of a packed table have no next one, and their flags where a split one says which that is
 * (virtio 1.3, 2.8.7). */
static __attribute__((noinline)) int write_packed(struct virtq_desc *table,
                                                  const struct segments *s, const uint8_t *status)
{
	for (unsigned int i = 0; i < s->count; i++)
		desc_set(&table[i], s->list[i].addr, s->list[i].len, 0, (uint16_t)s->list[i].flags);
	desc_set(&table[s->count], (uintptr_t)status, 1, 0, VIRTQ_DESC_F_WRITE);
	return (int)s->count + 1;
}

/* The segments become descriptors, and the status byte the last one. */
BOTH int table_write(const struct op_place *place, const struct segments *s)
{
	unsigned int last = s->count;
	struct virtq_desc *table = last < OP_SHORT_TABLE ? place->short_table : place->long_table;

	if (vc_unlikely(place->packed))
		return write_packed(table, s, place->status);
	for (unsigned int i = 0; i < last; i++)
		desc_set(&table[i], s->list[i].addr, s->list[i].len,
		         (uint16_t)(s->list[i].flags | VIRTQ_DESC_F_NEXT),
		         (uint16_t)(place->base + i + 1));
	desc_set(&table[last], (uintptr_t)place->status, 1, VIRTQ_DESC_F_WRITE, 0);
	return (int)last + 1;
}

/* Where REVISION_1 was negotiated: header, key, IV, and the rest as ever. */
static __attribute__((noinline)) int describe_revised(struct op_context *context,
                                                      const struct op_place *place,
                                                      const struct op_session *session,
                                                      const struct vcrypto_op *op,
                                                      struct segments *s, bool cut)
{
	struct virtio_crypto_op_data_req request = session->request;
	const struct op_brought *brought = session->brought;
	struct op_revised *slot = &place->slot->revised;
	int error;

	s->count = 1;
	s->list[0] = (struct segment){(uintptr_t)slot, session->header_size, 0};
	if (brought && brought->key_len)
		s->list[s->count++] =
			(struct segment){(uintptr_t)brought->key, brought->key_len, 0};
	if (op->iv_len)
		s->list[s->count++] = (struct segment){(uintptr_t)slot->iv, op->iv_len, 0};
	error = describe(context, s, &request, session, op, cut);
	if (error)
		return error;
	op_revised_write(place->slot, session, &request);
	memcpy(slot->iv, op->iv, sizeof(slot->iv));
	return table_write(place, s);
}

BOTH int describe_all(struct op_context *context, const struct op_place *place,
                      const struct op_session *session, const struct vcrypto_op *op,
                      struct segments *s, bool cut)
{
	struct op_slot *slot = place->slot;
	int error;

	if (op->iv_len < session->iv_min || op->iv_len > session->iv_max ||
	    op->length > context->max_size || !reach_src(context, op, cut))
		return -EINVAL;
	if (vc_unlikely(context->revised))
		return describe_revised(context, place, session, op, s, cut);
	if (*place->serial != session->serial) {
		slot->request = session->request;
		*place->serial = session->serial;
	}
	s->count = 1;
	s->list[0] = (struct segment){(uintptr_t)&slot->request,
	                              (uint32_t)sizeof(slot->request) + op->iv_len, 0};
	if (vc_unlikely(context->apart)) {
		s->list[0].len = sizeof(slot->request);
		if (op->iv_len)
			s->list[s->count++] = (struct segment){(uintptr_t)slot->iv, op->iv_len, 0};
	}
	error = describe(context, s, &slot->request, session, op, cut);
	if (vc_unlikely(error))
		return error;
	memcpy(slot->iv, op->iv, sizeof(slot->iv));
	return table_write(place, s);
}

static __attribute__((noinline)) int describe_cut(struct op_context *context,
                                                  const struct op_place *place,
                                                  const struct op_session *session,
                                                  const struct vcrypto_op *op)
{
	SEGMENTS(OP_MIN_TABLE + OP_MAX_PIECES) u;

	if ((uint64_t)op->pieces->src_count + op->pieces->dst_count > context->pieces)
		return -EINVAL;
	return describe_all(context, place, session, op, &u.s, true);
}

/* The usual operation, a cipher's with source and destination in one piece each, is written down at
 * once. Neither piece can join what lies beside it: flags differ, and no caller has the slot's
 * memory. */
static inline int describe_usual(struct op_context *c, const struct op_place *place,
                                 const struct op_session *session, const struct vcrypto_op *op)
{
	struct op_slot *slot = place->slot;
	struct virtq_desc *table = place->short_table;
	uint16_t base = place->base;

	if (op->iv_len < session->iv_min || op->iv_len > session->iv_max ||
	    op->length > c->max_size || op->length & session->block_mask ||
	    !regions_contain(c->regions, &c->hints, op->src, op->length) ||
	    !regions_contain(c->regions, &c->hints, op->dst, op->length))
		return -EINVAL;
	if (*place->serial != session->serial) {
		slot->request = session->request;
		*place->serial = session->serial;
	}
	set(&slot->request.u.sym.u.cipher.iv_len, op->iv_len);
	set(&slot->request.u.sym.u.cipher.src_len, op->length);
	set(&slot->request.u.sym.u.cipher.dst_len, op->length);
	memcpy(slot->iv, op->iv, sizeof(slot->iv));
	desc_set(&table[0], (uintptr_t)&slot->request, (uint32_t)sizeof(slot->request) + op->iv_len,
	         VIRTQ_DESC_F_NEXT, (uint16_t)(base + 1));
	desc_set(&table[1], (uintptr_t)op->src, op->length, VIRTQ_DESC_F_NEXT,
	         (uint16_t)(base + 2));
	desc_set(&table[2], (uintptr_t)op->dst, op->length, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE,
	         (uint16_t)(base + 3));
	desc_set(&table[3], (uintptr_t)place->status, 1, VIRTQ_DESC_F_WRITE, 0);
	return 4;
}

static __attribute__((noinline)) int describe_other(struct op_context *context,
                                                    const struct op_place *place,
                                                    const struct op_session *session,
                                                    const struct vcrypto_op *op)
{
	SEGMENTS(OP_MIN_TABLE) u;

	return describe_all(context, place, session, op, &u.s, false);
}

/* The same for one kind alone: less to decide. */
static __attribute__((noinline)) int describe_sealed(struct op_context *context,
                                                     const struct op_place *place,
                                                     const struct op_session *session,
                                                     const struct vcrypto_op *op)
{
	SEGMENTS(OP_MIN_TABLE) u;

	if (session->kind != OP_AEAD)
		__builtin_unreachable();
	return describe_all(context, place, session, op, &u.s, false);
}

int op_describe(struct op_context *context, const struct op_place *place,
                const struct op_session *session, const struct vcrypto_op *op)
{
	if (vc_likely(session->kind == OP_CIPHER && op->length && !op->pieces &&
	              !context->unusual && !place->packed))
		return describe_usual(context, place, session, op);
	if (vc_unlikely(op->pieces))
		return describe_cut(context, place, session, op);
	return session->kind == OP_AEAD ? describe_sealed(context, place, session, op)
	                                : describe_other(context, place, session, op);
}

int op_status(const struct op_session *session, const struct vcrypto_op *op, uint8_t status)
{
	switch (status) {
	case VIRTIO_CRYPTO_OK:
		return 0;
	case VIRTIO_CRYPTO_BADMSG:
		/* A tag or padding that is wrong, where there can be one. */
		return session->kind == OP_AEAD || session->kind == OP_AKCIPHER ? -EBADMSG
		                                                                : -EINVAL;
	case VIRTIO_CRYPTO_NOTSUPP:
		return -ENOTSUP;
	case VIRTIO_CRYPTO_INVSESS:
		return -ENOKEY;
	case VIRTIO_CRYPTO_NOSPC:
		return -ENOSPC;
	case VIRTIO_CRYPTO_KEY_REJECTED:
		/* How a signature that is wrong is told (5.9.7.6.1). */
		return session->kind == OP_AKCIPHER && op->akcipher_op == VCRYPTO_AKCIPHER_VERIFY
		               ? -EBADMSG
		               : -EKEYREJECTED;
	default:
		return -EIO;
	}
}
