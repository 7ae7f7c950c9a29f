/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a data request: result and status into the chain. Runs in the worker. Guest memory is
 * written where request.c has found it, and nothing is read from there.
 */
#include <string.h>

#include "base/secmem.h"
#include "host/bounce.h"
#include "host/request.h"
#include "host/stream.h"

/* Write n bytes at an offset of the IN bytes. */
static void scatter(const struct vc_request *req, uint32_t offset, const uint8_t *from, uint32_t n)
{
	struct stream in = {(const struct vring_segment *)req->bounce->space, req->bounce->segments,
	                    0};

	stream_skip(&in, offset);
	stream_write(&in, from, n);
}

static bool is_scattered(const struct vc_request *req)
{
	return req->bounce && req->bounce->segments;
}

static void deliver_data(const struct vc_request *req)
{
	if (is_scattered(req))
		scatter(req, 0, req->dst, req->length);
}

static void deliver_tag(const struct vc_request *req)
{
	if (req->tag_out)
		memcpy(req->tag_out, req->tag, req->tag_len);
	else if (is_scattered(req))
		scatter(req, req->bounce->tag_at, req->tag, req->tag_len);
}

/* Returns the status that the guest gets. */
static uint8_t deliver(struct vc_request *req)
{
	switch (req->kind) {
	case VC_REQUEST_CIPHER:
		deliver_data(req);
		break;
	case VC_REQUEST_CHAIN:
		deliver_data(req);
		deliver_tag(req);
		break;
	case VC_REQUEST_HASH:
	case VC_REQUEST_MAC:
		deliver_tag(req);
		break;
	case VC_REQUEST_AEAD:
		deliver_data(req);
		if (req->encrypt)
			deliver_tag(req);
		break;
	case VC_REQUEST_AK_VERIFY:
		break;
	default:
		if (req->result_len > req->dst_len || req->result_len > req->bounce->dst_room)
			return VIRTIO_CRYPTO_ERR;
		scatter(req, 0, req->dst, req->result_len);
		/* Linux takes the length of the result from the used ring, and QEMU says it so:
		 * result and status byte, though the status byte lies behind all of dst. */
		req->written = req->result_len + 1;
		break;
	}
	return VIRTIO_CRYPTO_OK;
}

/* Which failures a request can have (virtio 1.3, 5.9.7.4 to 5.9.7.8): any other is an error. */
static uint8_t failure(const struct vc_request *req)
{
	switch (req->status) {
	case VIRTIO_CRYPTO_NOTSUPP:
	case VIRTIO_CRYPTO_INVSESS:
		return req->status;
	case VIRTIO_CRYPTO_BADMSG:
		return req->kind >= VC_REQUEST_AEAD ? VIRTIO_CRYPTO_BADMSG : VIRTIO_CRYPTO_ERR;
	case VIRTIO_CRYPTO_KEY_REJECTED:
		return req->kind >= VC_REQUEST_AK_ENCRYPT ? VIRTIO_CRYPTO_KEY_REJECTED
		                                          : VIRTIO_CRYPTO_ERR;
	default:
		return VIRTIO_CRYPTO_ERR;
	}
}

void request_finish(struct vc_request *req, const struct request_context *context)
{
	if (vc_likely(req->status == VIRTIO_CRYPTO_OK))
		req->status = deliver(req);
	/* What was decrypted and is not authentic is nobody's to see. */
	else if (req->status == VIRTIO_CRYPTO_BADMSG && req->kind == VC_REQUEST_AEAD)
		secmem_wipe(req->dst, req->length);
	if (vc_unlikely(req->status != VIRTIO_CRYPTO_OK)) {
		req->status = failure(req);
		req->written = 1;
	}
	*req->status_byte = req->status;
	if (req->bounce) {
		bounce_put(context->bounces, req->bounce);
		req->bounce = NULL;
	}
}

uint32_t request_fail_chain(const struct vring_chain *chain, uint8_t status)
{
	if (!chain->in)
		return 0;
	*vring_last_byte(chain) = status;
	return 1;
}
