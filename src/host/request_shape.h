/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the parsing of data requests: request.c (all kinds), request_akcipher.c. The worker's
 * thread; what a header claims is in a shape, and is checked against the chain.
 */
#ifndef VC_HOST_REQUEST_SHAPE_H
#define VC_HOST_REQUEST_SHAPE_H

#include <errno.h>
#include <string.h>

#include "host/bounce.h"
#include "host/request.h"

/* How the bytes of a request are laid out, in order: what the header claims. */
struct shape {
	/* OUT, after the header */
	uint32_t iv;
	uint32_t length; /* data */
	uint32_t tag_in; /* AEAD decryption: the tag; verification: the digest */
	uint32_t aad;
	/* IN */
	uint32_t dst;      /* room for data */
	uint32_t dst_used; /* bytes from its start that may be written */
	uint32_t tag_at;   /* where digest or tag goes, */
	uint32_t tag_out;  /* and how long it is */
	uint32_t in;       /* all, without the status byte */
};

/* Why there is no bounce buffer: a status, or -EAGAIN for not now. */
static inline int no_bounce(const struct request_context *context, uint64_t size)
{
	return size > bounce_pool_limit(context->bounces) ? VIRTIO_CRYPTO_ERR : -EAGAIN;
}

/* Keep the IN segments at the head of the bounce buffer; returns what follows them. */
static inline uint8_t *bounce_segments(struct bounce *bounce, const struct vring_chain *chain)
{
	size_t size = chain->in * sizeof(struct vring_segment);

	memcpy(bounce->space, chain->segment + chain->out, size);
	bounce->segments = chain->in;
	return bounce->space + size;
}

/* What an asymmetric request says of itself. A status. */
int shape_akcipher(struct vc_request *req, const struct session_params *params,
                   const struct virtio_crypto_op_data_req *header, struct shape *shape);

/* Take its input, once the shape fits the chain; out: at the input. A status; -EAGAIN. */
int place_akcipher(struct vc_request *req, const struct vring_chain *chain,
                   const struct request_context *context, struct stream out,
                   const struct shape *shape);

#endif
