/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data requests of sessions (virtio 1.3, 5.9.7.3 and on): chain to request. Runs in the worker.
 * Trusts no byte of the chain; the session is a checked one.
 */
#include "host/request.h"

#include <errno.h>
#include <string.h>

#include "host/bounce.h"
#include "host/request_shape.h"
#include "host/stream.h"

/* Sources up to this are fetched when they are found: a burst of them is still in the first cache
 * when its turn comes. Of longer ones the processor itself sees what is next. */
#define SOURCE_NEAR 1024u
#define HEADER_SIZE ((uint32_t)sizeof(struct virtio_crypto_op_data_req))

/* ---- what each kind says of itself: all return a status ---- */

/* The length of the IV that a cipher wants. */
static uint32_t cipher_iv_len(uint8_t cipher)
{
	switch (cipher) {
	case VIRTIO_CRYPTO_CIPHER_AES_ECB:
		return 0;
	case VIRTIO_CRYPTO_CIPHER_3DES_CBC:
		return 8;
	default:
		return 16;
	}
}

static bool cipher_len_fits(uint8_t cipher, uint32_t len)
{
	if (!len)
		return false;
	switch (cipher) {
	case VIRTIO_CRYPTO_CIPHER_AES_CTR:
		return true;
	case VIRTIO_CRYPTO_CIPHER_AES_XTS:
		return len >= 16;
	case VIRTIO_CRYPTO_CIPHER_3DES_CBC:
		return len % 8 == 0;
	default:
		return len % 16 == 0;
	}
}

/* What lengths of IV an AEAD takes, and what data they leave room to count. */
static inline int aead_iv_check(uint8_t aead, uint32_t iv, uint32_t length)
{
	switch (aead) {
	case VIRTIO_CRYPTO_AEAD_GCM:
		/* 16 bytes would be the counter block itself (virtio 1.3, 5.9.7.7), which no
		 * resource takes; others are IVs (SP 800-38D). */
		if (iv == 16)
			return VIRTIO_CRYPTO_NOTSUPP;
		return iv && iv < 16 ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR;
	case VIRTIO_CRYPTO_AEAD_CCM:
		/* The length of the message has the bytes that the nonce leaves of 15 (SP 800-38C,
		 * A.1). */
		if (iv < 7 || iv > 13)
			return VIRTIO_CRYPTO_ERR;
		return iv <= 11 || !(length >> 8 * (15 - iv)) ? VIRTIO_CRYPTO_OK
		                                              : VIRTIO_CRYPTO_ERR;
	default:
		return iv == 12 ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR;
	}
}

static inline __attribute__((always_inline)) int
shape_cipher(struct vc_request *req, const struct session_params *params,
             const struct virtio_crypto_op_data_req *header, struct shape *shape)
{
	const struct virtio_crypto_cipher_para *para = &header->u.sym.u.cipher;

	if (header->header.opcode != (params->encrypt ? VIRTIO_CRYPTO_CIPHER_ENCRYPT
	                                              : VIRTIO_CRYPTO_CIPHER_DECRYPT) ||
	    header->u.sym.op_type != VIRTIO_CRYPTO_SYM_OP_CIPHER)
		return VIRTIO_CRYPTO_ERR;
	if (para->iv_len != cipher_iv_len(params->cipher) ||
	    !cipher_len_fits(params->cipher, para->src_len) || para->dst_len < para->src_len)
		return VIRTIO_CRYPTO_ERR;
	req->kind = VC_REQUEST_CIPHER;
	shape->iv = para->iv_len;
	shape->length = para->src_len;
	shape->dst = para->dst_len;
	shape->dst_used = para->src_len;
	return VIRTIO_CRYPTO_OK;
}

static int shape_chain(struct vc_request *req, const struct session_params *params,
                       const struct virtio_crypto_op_data_req *header, struct shape *shape)
{
	const struct virtio_crypto_alg_chain_para *para = &header->u.sym.u.chain;
	uint64_t cipher_end = (uint64_t)para->cipher_start_src_offset + para->len_to_cipher;
	uint64_t hash_end = (uint64_t)para->hash_start_src_offset + para->len_to_hash;

	if (header->header.opcode != (params->encrypt ? VIRTIO_CRYPTO_CIPHER_ENCRYPT
	                                              : VIRTIO_CRYPTO_CIPHER_DECRYPT) ||
	    header->u.sym.op_type != VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING)
		return VIRTIO_CRYPTO_ERR;
	if (para->iv_len != cipher_iv_len(params->cipher) ||
	    !cipher_len_fits(params->cipher, para->len_to_cipher))
		return VIRTIO_CRYPTO_ERR;
	if (cipher_end > para->src_len || hash_end > para->src_len || para->dst_len < para->src_len)
		return VIRTIO_CRYPTO_ERR;
	/* What is to be authenticated besides is named by the hash range, not apart from it. */
	if (para->aad_len)
		return VIRTIO_CRYPTO_NOTSUPP;
	if (para->hash_result_len != params->tag_len)
		return VIRTIO_CRYPTO_ERR;
	req->kind = VC_REQUEST_CHAIN;
	req->cipher_offset = para->cipher_start_src_offset;
	req->cipher_len = para->len_to_cipher;
	req->hash_offset = para->hash_start_src_offset;
	req->hash_len = para->len_to_hash;
	shape->iv = para->iv_len;
	shape->length = para->src_len;
	shape->dst = para->dst_len;
	shape->dst_used = para->src_len;
	shape->tag_at = para->dst_len;
	shape->tag_out = params->tag_len;
	return VIRTIO_CRYPTO_OK;
}

static int shape_digest(struct vc_request *req, const struct session_params *params,
                        const struct virtio_crypto_op_data_req *header, struct shape *shape)
{
	bool mac = params->service == VIRTIO_CRYPTO_SERVICE_MAC;
	/* The same layout and place in the header for both. */
	const struct virtio_crypto_hash_para *para = &header->u.hash;

	if (header->header.opcode != (mac ? VIRTIO_CRYPTO_MAC : VIRTIO_CRYPTO_HASH) ||
	    para->hash_result_len != params->tag_len)
		return VIRTIO_CRYPTO_ERR;
	req->kind = mac ? VC_REQUEST_MAC : VC_REQUEST_HASH;
	shape->length = para->src_len;
	shape->tag_out = params->tag_len;
	return VIRTIO_CRYPTO_OK;
}

static inline __attribute__((always_inline)) int
shape_aead(struct vc_request *req, const struct session_params *params,
           const struct virtio_crypto_op_data_req *header, struct shape *shape)
{
	const struct virtio_crypto_aead_para *para = &header->u.aead;

	if (header->header.opcode !=
	    (params->encrypt ? VIRTIO_CRYPTO_AEAD_ENCRYPT : VIRTIO_CRYPTO_AEAD_DECRYPT))
		return VIRTIO_CRYPTO_ERR;
	if (para->tag_len != params->tag_len)
		return VIRTIO_CRYPTO_ERR;
	req->kind = VC_REQUEST_AEAD;
	shape->iv = para->iv_len;
	shape->aad = para->aad_len;
	shape->length = para->src_len;
	shape->dst = para->dst_len;
	if (params->encrypt) {
		if (para->dst_len < (uint64_t)para->src_len + para->tag_len)
			return VIRTIO_CRYPTO_ERR;
		shape->tag_at = para->src_len;
		shape->tag_out = para->tag_len;
	} else {
		if (para->src_len < para->tag_len)
			return VIRTIO_CRYPTO_ERR;
		shape->length -= para->tag_len;
		shape->tag_in = para->tag_len;
		if (para->dst_len < shape->length)
			return VIRTIO_CRYPTO_ERR;
	}
	shape->dst_used = shape->length;
	return aead_iv_check(params->aead, para->iv_len, shape->length);
}

static bool is_algorithm(const struct session_params *params, uint32_t algo)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		return algo == params->cipher;
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return algo == params->hash;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return algo == params->mac;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return algo == params->aead;
	default:
		return algo == params->akcipher ||
		       (algo == VIRTIO_CRYPTO_AKCIPHER_ECDSA_LINUX &&
		        params->akcipher == VIRTIO_CRYPTO_AKCIPHER_ECDSA);
	}
}

static inline __attribute__((always_inline)) int
shape_request(struct vc_request *req, const struct session_params *params,
              const struct virtio_crypto_op_data_req *header, struct shape *shape)
{
	/* Without REVISION_1 the flag is ignored (virtio 1.3, 5.9.7.3). Linux leaves the algorithm
	 * 0; who names one names the session's. */
	if (header->header.algo && !is_algorithm(params, header->header.algo))
		return VIRTIO_CRYPTO_ERR;
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		return params->chain ? shape_chain(req, params, header, shape)
		                     : shape_cipher(req, params, header, shape);
	case VIRTIO_CRYPTO_SERVICE_HASH:
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return shape_digest(req, params, header, shape);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return shape_aead(req, params, header, shape);
	default:
		return shape_akcipher(req, params, header, shape);
	}
}

/* Does the chain have what the shape claims behind what was consumed? */
static bool shape_fits(struct shape *shape, const struct vring_chain *chain, uint32_t consumed,
                       uint32_t max_size)
{
	uint64_t out = (uint64_t)consumed + shape->iv + shape->length + shape->tag_in + shape->aad;
	uint64_t in = shape->dst;

	if ((uint64_t)shape->length + shape->aad > max_size)
		return false;
	if ((uint64_t)shape->tag_at + shape->tag_out > in)
		in = (uint64_t)shape->tag_at + shape->tag_out;
	if (out > chain->out_len || in + 1 > chain->in_len)
		return false;
	shape->in = (uint32_t)in;
	return true;
}

/* ---- where the bytes are ---- */

/* Pieces of the request in guest memory; NULL: not in one piece. */
struct pieces {
	struct stream data, aad;
	const uint8_t *src_at, *aad_at;
	uint8_t *dst_at, *tag_at;
};

static inline uint8_t *piece(const struct vc_request *req, struct stream *stream, uint32_t n)
{
	/* Nothing lies anywhere: a pointer that is not NULL, for libraries that look. */
	return n ? stream_contiguous(stream, n) : (uint8_t *)req->tag_buffer;
}

/* Copy iv and incoming tag, and find the others. */
static inline __attribute__((always_inline)) void
pieces_find(struct vc_request *req, const struct vring_chain *chain, struct stream out,
            const struct shape *shape, struct pieces *p)
{
	struct stream in = stream_in(chain);

	if (vc_likely(shape->iv == 16))
		stream_read(&out, req->iv, 16);
	else if (shape->iv)
		stream_read(&out, req->iv, shape->iv);
	p->data = out;
	p->src_at = piece(req, &out, shape->length);
	if (shape->tag_in | shape->aad) {
		stream_skip(&out, shape->length);
		stream_read(&out, req->tag_buffer, shape->tag_in);
		p->aad = out;
		p->aad_at = piece(req, &out, shape->aad);
	} else {
		p->aad_at = req->tag_buffer;
	}
	p->dst_at = piece(req, &in, shape->dst_used);
	p->tag_at = req->tag_buffer;
	if (shape->tag_out) {
		stream_skip(&in, shape->tag_at);
		p->tag_at = piece(req, &in, shape->tag_out);
	}
}

/* Some of it lies in pieces: put that into a bounce buffer, and keep the rest where it is. */
static __attribute__((noinline)) int gather(struct vc_request *req, const struct vring_chain *chain,
                                            const struct request_context *context,
                                            const struct shape *shape, const struct pieces *p)
{
	bool scattered = !p->dst_at || !p->tag_at;
	uint64_t data = vc_round_up(shape->length, 64);
	uint64_t size = data + shape->aad;
	struct stream from;
	uint8_t *space;

	if (scattered)
		size += chain->in * sizeof(struct vring_segment) + 64;
	req->bounce = bounce_get(context->bounces, size);
	if (!req->bounce)
		return no_bounce(context, size);
	space = req->bounce->space;
	if (scattered) {
		space += vc_round_up((size_t)(bounce_segments(req->bounce, chain) - space), 64);
		req->bounce->tag_at = shape->tag_at;
		req->dst = space;
		req->tag_out = NULL;
	}
	if (!p->src_at) {
		from = p->data;
		stream_read(&from, space, shape->length);
		req->src = space;
	}
	if (!p->aad_at) {
		from = p->aad;
		stream_read(&from, space + data, shape->aad);
		req->aad = space + data;
	}
	return VIRTIO_CRYPTO_OK;
}

static inline __attribute__((always_inline)) int place(struct vc_request *req,
                                                       const struct vring_chain *chain,
                                                       const struct request_context *context,
                                                       struct stream out, const struct shape *shape)
{
	struct pieces p;

	pieces_find(req, chain, out, shape, &p);
	req->src = p.src_at;
	req->dst = p.dst_at;
	req->aad = p.aad_at;
	req->tag_out = shape->tag_out ? p.tag_at : NULL;
	if (vc_likely(p.src_at && p.dst_at && p.aad_at && p.tag_at))
		return VIRTIO_CRYPTO_OK;
	return gather(req, chain, context, shape, &p);
}

/* What is known once the shape fits; the rest is where the bytes are. */
static inline __attribute__((always_inline)) void request_fill(struct vc_request *req,
                                                               const struct vring_chain *chain,
                                                               struct session *session,
                                                               const struct shape *shape)
{
	req->head = chain->head;
	req->session = session;
	req->bounce = NULL;
	req->tag = req->tag_buffer;
	req->tag_len = (uint16_t)(shape->tag_in | shape->tag_out);
	req->tag_out = NULL;
	req->length = shape->length;
	req->dst_len = 0;
	req->aad_len = shape->aad;
	req->iv_len = (uint8_t)shape->iv;
	req->encrypt = session->params.encrypt;
	req->status = VIRTIO_CRYPTO_OK;
	req->result_len = 0;
	req->tried = 0;
	/* If all goes well; request_finish() knows better. */
	req->written = shape->in + 1;
}

/* The short way of a cipher's request: source and destination of one length. */
static inline __attribute__((always_inline)) bool
plain_cipher(struct vc_request *req, const struct vring_chain *chain,
             const struct session_params *params, const struct virtio_crypto_op_data_req *header,
             struct shape *shape)
{
	const struct vring_segment *piece = chain->segment;

	if (params->chain || (header->header.algo && header->header.algo != params->cipher) ||
	    shape_cipher(req, params, header, shape))
		return false;
	if (shape->iv != 16 || chain->out != 2 || piece[0].len != HEADER_SIZE + 16 ||
	    shape->length != piece[1].len || shape->dst != piece[2].len ||
	    shape->length != shape->dst)
		return false;
	/* Nothing depends on it: straight to where it belongs. */
	memcpy(req->iv, piece[0].base + HEADER_SIZE, 16);
	return true;
}

/* The same of an AEAD: the tag is behind the data, and additional data, if any, behind that. */
static inline __attribute__((always_inline)) bool
plain_aead(struct vc_request *req, const struct vring_chain *chain,
           const struct session_params *params, const struct virtio_crypto_op_data_req *header,
           struct shape *shape)
{
	const struct vring_segment *piece = chain->segment;

	if ((header->header.algo && header->header.algo != params->aead) ||
	    shape_aead(req, params, header, shape))
		return false;
	if (shape->iv != 12 || piece[0].len != HEADER_SIZE + 12 || !shape->length ||
	    (uint64_t)shape->length + shape->tag_in != piece[1].len ||
	    shape->aad != (chain->out == 3 ? piece[2].len : 0) ||
	    shape->dst != piece[chain->out].len)
		return false;
	memcpy(req->iv, piece[0].base + HEADER_SIZE, 12);
	if (shape->tag_in)
		memcpy(req->tag_buffer, piece[1].base + shape->length, shape->tag_in);
	return true;
}

/*
 * What most requests are: a cipher's with 16 bytes of IV, or an AEAD's with 12, in session mode, of
 * pieces as drivers make them (header and IV, source, additional data; destination, status byte).
 * False: it is not such, or is wrong: then nothing is decided here, and all of it is read again by
 * whoever decides.
 */
static inline __attribute__((always_inline)) bool parse_plain(struct vc_request *req,
                                                              const struct vring_chain *chain,
                                                              const struct request_context *context)
{
	const struct vring_segment *piece = chain->segment;
	struct virtio_crypto_op_data_req header;
	const struct session_params *params;
	struct session *session;
	struct shape shape = {0};

	if ((chain->out != 2 && chain->out != 3) || chain->in != 2 || piece[0].len < HEADER_SIZE ||
	    piece[chain->out + 1].len != 1)
		return false;
	memcpy(&header, piece[0].base, HEADER_SIZE);
	stream_settle(&header);
	session = session_get(context->sessions, header.header.session_id);
	if (vc_unlikely(!session))
		return false;
	params = &session->params;
	if (vc_likely(params->service == VIRTIO_CRYPTO_SERVICE_CIPHER)) {
		if (!plain_cipher(req, chain, params, &header, &shape))
			return false;
	} else if (params->service != VIRTIO_CRYPTO_SERVICE_AEAD ||
	           !plain_aead(req, chain, params, &header, &shape)) {
		return false;
	}
	if ((uint64_t)shape.length + shape.aad > context->max_size)
		return false;

	if (shape.length <= SOURCE_NEAR) {
		__builtin_prefetch(piece[1].base);
		__builtin_prefetch(piece[1].base + VC_CACHE_LINE);
	}
	shape.in = shape.dst;
	request_fill(req, chain, session, &shape);
	req->src = piece[1].base;
	req->dst = piece[chain->out].base;
	req->aad = shape.aad ? piece[2].base : req->tag_buffer;
	if (shape.tag_out)
		req->tag_out = req->dst + shape.tag_at;
	req->status_byte = piece[chain->out + 1].base;
	prefetch_write(req->status_byte);
	return true;
}

int request_parse(struct vc_request *req, const struct vring_chain *chain,
                  const struct request_context *context)
{
	struct virtio_crypto_op_data_req header = {0};
	uint32_t consumed = HEADER_SIZE;
	struct shape shape = {0};
	struct stream out;
	int status;

	if (vc_likely(!context->features) && vc_likely(parse_plain(req, chain, context)))
		return VIRTIO_CRYPTO_OK;
	req->head = chain->head;
	if (vc_unlikely(!chain->in))
		return -EBADMSG;
	req->status_byte = vring_last_byte(chain);
	if (vc_likely(!context->features)) {
		if (vc_unlikely(chain->out_len < HEADER_SIZE))
			return VIRTIO_CRYPTO_ERR;
		out = stream_out(chain);
		stream_read(&out, &header, HEADER_SIZE);
		stream_settle(&header);
		req->session = session_get(context->sessions, header.header.session_id);
		if (vc_unlikely(!req->session))
			return VIRTIO_CRYPTO_INVSESS;
	} else {
		/* Copied, so that the address of what the other branch has in registers is not
		 * taken. */
		struct request_head head;

		status = request_head_read(&head, chain, context);
		if (status)
			return status;
		header = head.header;
		req->session = head.session;
		out = head.out;
		consumed = head.consumed;
	}
	const struct session_params *params = &req->session->params;

	status = shape_request(req, params, &header, &shape);
	if (vc_unlikely(status))
		return status;
	if (vc_unlikely(!shape_fits(&shape, chain, consumed, context->max_size)))
		return VIRTIO_CRYPTO_ERR;

	request_fill(req, chain, req->session, &shape);
	if (params->service == VIRTIO_CRYPTO_SERVICE_AKCIPHER) {
		req->aad = NULL;
		return place_akcipher(req, chain, context, out, &shape);
	}
	return place(req, chain, context, out, &shape);
}
