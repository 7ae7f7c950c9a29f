/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asymmetric requests (virtio 1.3, 5.9.7.8; key agreement: docs/in-band.md): their shape, and where
 * their bytes go. They are small and slow, so everything of them is private. Runs in the worker;
 * trusts no byte of the chain.
 */
#include "host/agree.h"
#include "host/request_shape.h"

/* Of request_akcipher_weight(): bytes for a microsecond; what any request takes. */
#define AKCIPHER_US_BYTES 160u
#define AKCIPHER_MIN_US 10u

/* Bytes that the longest input or result of an asymmetric session can have. */
static uint32_t akcipher_room(const struct session_params *params)
{
	switch (params->akcipher) {
	case VIRTIO_CRYPTO_AKCIPHER_RSA:
		return (params->key_bits + 7u) / 8;
	case VCRYPTO_INBAND_AGREE:
		return agree_pair_len(agree_curve_find(params->curve));
	default:
		return REQUEST_MAX_ECDSA;
	}
}

/* Signatures are DER, and as long as they come out (virtio 1.3, 5.9.7.8). */
static int shape_ecdsa(struct vc_request *req, const struct session_params *params,
                       const struct virtio_crypto_op_data_req *header, struct shape *shape)
{
	const struct virtio_crypto_akcipher_para *para = &header->u.akcipher;

	switch (header->header.opcode) {
	case VIRTIO_CRYPTO_AKCIPHER_SIGN:
		req->kind = VC_REQUEST_AK_SIGN;
		return params->private_key && para->src_len <= REQUEST_MAX_DIGEST
		               ? VIRTIO_CRYPTO_OK
		               : VIRTIO_CRYPTO_ERR;
	case VIRTIO_CRYPTO_AKCIPHER_VERIFY:
		if (para->src_len > REQUEST_MAX_ECDSA || para->dst_len > REQUEST_MAX_DIGEST)
			return VIRTIO_CRYPTO_ERR;
		req->kind = VC_REQUEST_AK_VERIFY;
		shape->tag_in = para->dst_len;
		shape->dst = 0;
		return VIRTIO_CRYPTO_OK;
	case VIRTIO_CRYPTO_AKCIPHER_ENCRYPT:
	case VIRTIO_CRYPTO_AKCIPHER_DECRYPT:
		return VIRTIO_CRYPTO_NOTSUPP;
	default:
		return VIRTIO_CRYPTO_ERR;
	}
}

static int shape_rsa(struct vc_request *req, const struct session_params *params,
                     const struct virtio_crypto_op_data_req *header, struct shape *shape)
{
	const struct virtio_crypto_akcipher_para *para = &header->u.akcipher;
	uint32_t modulus = akcipher_room(params);

	if (para->src_len > modulus)
		return VIRTIO_CRYPTO_ERR;
	switch (header->header.opcode) {
	case VIRTIO_CRYPTO_AKCIPHER_ENCRYPT:
		req->kind = VC_REQUEST_AK_ENCRYPT;
		return para->dst_len >= modulus ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR;
	case VIRTIO_CRYPTO_AKCIPHER_SIGN:
		req->kind = VC_REQUEST_AK_SIGN;
		return params->private_key && para->dst_len >= modulus ? VIRTIO_CRYPTO_OK
		                                                       : VIRTIO_CRYPTO_ERR;
	case VIRTIO_CRYPTO_AKCIPHER_DECRYPT:
		req->kind = VC_REQUEST_AK_DECRYPT;
		return params->private_key ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR;
	case VIRTIO_CRYPTO_AKCIPHER_VERIFY:
		/* "dst" is the digest here, and is read: it follows the signature. */
		if (para->dst_len > modulus)
			return VIRTIO_CRYPTO_ERR;
		req->kind = VC_REQUEST_AK_VERIFY;
		shape->tag_in = para->dst_len;
		shape->dst = 0;
		return VIRTIO_CRYPTO_OK;
	default:
		return VIRTIO_CRYPTO_ERR;
	}
}

/* Keys and points have one length each; whether they are any is the resource's to see. */
static int shape_agree(struct vc_request *req, const struct session_params *params,
                       const struct virtio_crypto_op_data_req *header, struct shape *shape)
{
	const struct virtio_crypto_akcipher_para *para = &header->u.akcipher;
	const struct agree_curve *curve = agree_curve_find(params->curve);
	uint32_t pair = agree_pair_len(curve), src_len = 0, dst_len = pair;

	switch (header->header.opcode) {
	case VCRYPTO_INBAND_DERIVE:
		req->kind = VC_REQUEST_AK_DERIVE;
		src_len = pair;
		dst_len = curve->private_len;
		break;
	case VCRYPTO_INBAND_GENERATE:
		req->kind = VC_REQUEST_AK_GENERATE;
		break;
	default:
		return VIRTIO_CRYPTO_ERR;
	}
	shape->length = para->src_len;
	shape->dst = para->dst_len;
	return para->src_len == src_len && para->dst_len >= dst_len ? VIRTIO_CRYPTO_OK
	                                                            : VIRTIO_CRYPTO_ERR;
}

int shape_akcipher(struct vc_request *req, const struct session_params *params,
                   const struct virtio_crypto_op_data_req *header, struct shape *shape)
{
	const struct virtio_crypto_akcipher_para *para = &header->u.akcipher;

	if (params->akcipher == VCRYPTO_INBAND_AGREE)
		return shape_agree(req, params, header, shape);
	if (!para->src_len || !para->dst_len)
		return VIRTIO_CRYPTO_ERR;
	shape->length = para->src_len;
	shape->dst = para->dst_len;
	return params->akcipher == VIRTIO_CRYPTO_AKCIPHER_RSA
	               ? shape_rsa(req, params, header, shape)
	               : shape_ecdsa(req, params, header, shape);
}

int place_akcipher(struct vc_request *req, const struct vring_chain *chain,
                   const struct request_context *context, struct stream out,
                   const struct shape *shape)
{
	uint32_t room = akcipher_room(&req->session->params);
	size_t segments = vc_round_up(chain->in * sizeof(struct vring_segment), 64);
	uint32_t src_room = (uint32_t)vc_round_up(room, 64);
	uint64_t size = segments + 2 * (uint64_t)src_room;
	uint8_t *space;

	req->bounce = bounce_get(context->bounces, size);
	if (!req->bounce)
		return no_bounce(context, size);
	bounce_segments(req->bounce, chain);
	req->bounce->secret = true;
	req->bounce->used = (uint32_t)size;
	req->bounce->dst_room = shape->dst;
	space = req->bounce->space + segments;
	stream_read(&out, space, shape->length);
	req->src = space;
	req->dst = space + src_room;
	req->dst_len = room;
	if (shape->tag_in) {
		stream_read(&out, req->dst, shape->tag_in);
		req->tag = req->dst;
		req->dst = NULL;
		req->dst_len = 0;
	}
	return VIRTIO_CRYPTO_OK;
}

/*
 * RSA takes time by the cube of its bits, 2048 about 0.3 ms; ECDSA and key agreement up to two
 * microseconds a bit. So the default limit is some 0.1 s of either. Private keys are what counts:
 * public ones are quick, and so many of them in flight serve nobody.
 */
uint64_t request_akcipher_weight(const struct session_params *params)
{
	uint64_t bits = params->key_bits;
	uint64_t us = params->akcipher == VIRTIO_CRYPTO_AKCIPHER_RSA ? (bits * bits * bits) >> 25
	                                                             : 2 * bits;

	return (us + AKCIPHER_MIN_US) * AKCIPHER_US_BYTES;
}
