/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a chain request means, for every resource alike.
 *
 * src and dst both have req->length bytes. The cipher works on cipher_len bytes at cipher_offset of
 * both; the other bytes of src are copied to dst, so that dst is the whole message. The MAC covers
 * hash_len bytes at hash_offset of what the second step sees: of dst when the cipher comes first,
 * of src when the hash does (virtio 1.3, 5.9.7.2.1).
 */
#ifndef VC_HOST_RESOURCE_CHAIN_H
#define VC_HOST_RESOURCE_CHAIN_H

#include <string.h>

#include "host/request.h"

/* The front has checked it; memory safety is worth a second look. */
static inline bool chain_ranges_ok(const struct vc_request *req)
{
	return (uint64_t)req->cipher_offset + req->cipher_len <= req->length &&
	       (uint64_t)req->hash_offset + req->hash_len <= req->length;
}

/* Bytes that the cipher leaves alone. */
static inline void chain_copy_rest(const struct vc_request *req)
{
	uint32_t end = req->cipher_offset + req->cipher_len;

	if (req->dst == req->src)
		return;
	if (req->cipher_offset)
		memmove(req->dst, req->src, req->cipher_offset);
	if (end < req->length)
		memmove(req->dst + end, req->src + end, req->length - end);
}

static inline const uint8_t *chain_hashed(const struct vc_request *req, uint8_t order)
{
	return (order == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH ? req->dst : req->src) +
	       req->hash_offset;
}

#endif
