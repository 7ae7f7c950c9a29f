/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of requests' data; see request_copy.h. Runs in the worker. Guest memory is read and
 * written where request.c has found it; lengths are the request's own, checked there.
 */
#include "host/request_copy.h"

#include <stddef.h>
#include <string.h>

/* At the start of the buffer: what the request worked on. */
struct original {
	vc_cache_aligned const uint8_t *src;
	uint8_t *dst;
	const uint8_t *aad;
	uint8_t *tag;
};

static const struct original *original_of(const struct bounce *copy)
{
	return (const struct original *)copy->space;
}

static bool is_asymmetric(const struct vc_request *req)
{
	return req->kind >= VC_REQUEST_AK_ENCRYPT;
}

struct bounce *request_copy_make(struct vc_request *req, struct bounce_pool *pool)
{
	const struct original was = {req->src, req->dst, req->aad, req->tag};
	uint64_t data = vc_round_up(req->length, VC_CACHE_LINE);
	uint64_t aad = vc_round_up(req->aad_len, VC_CACHE_LINE);
	/* An asymmetric result is not as long as its source, and a digest to be verified lies
	 * outside of the request. */
	uint64_t out =
		is_asymmetric(req) ? vc_round_up(req->dst_len + req->tag_len, VC_CACHE_LINE) : 0;
	struct bounce *copy = bounce_get(pool, sizeof(was) + data + aad + out);
	uint8_t *space;

	if (!copy)
		return NULL;
	copy->secret = is_asymmetric(req);
	copy->used = (uint32_t)(sizeof(was) + data + aad + out);
	memcpy(copy->space, &was, sizeof(was));
	space = copy->space + sizeof(was);
	if (req->length) {
		memcpy(space, req->src, req->length);
		req->src = space;
	}
	if (req->aad_len) {
		memcpy(space + data, req->aad, req->aad_len);
		req->aad = space + data;
	}
	if (!is_asymmetric(req)) {
		if (req->length)
			req->dst = space;
		return copy;
	}
	space += data + aad;
	if (req->dst)
		req->dst = space;
	if (req->kind == VC_REQUEST_AK_VERIFY) {
		memcpy(space, req->tag, req->tag_len);
		req->tag = space;
	}
	return copy;
}

static void put_back(struct vc_request *req, const struct original *was)
{
	req->src = was->src;
	req->dst = was->dst;
	req->aad = was->aad;
	req->tag = was->tag;
}

/* How many bytes at dst are the result's. */
static uint32_t result_length(const struct vc_request *req)
{
	switch (req->kind) {
	case VC_REQUEST_CIPHER:
	case VC_REQUEST_CHAIN:
	case VC_REQUEST_AEAD:
		return req->length;
	case VC_REQUEST_HASH:
	case VC_REQUEST_MAC:
	case VC_REQUEST_AK_VERIFY:
		return 0;
	default:
		/* More than there is room for: request_finish() says that it is wrong. */
		return vc_min(req->result_len, req->dst_len);
	}
}

void request_copy_result(const struct vc_request *req, const struct bounce *copy)
{
	if (req->status == VIRTIO_CRYPTO_OK && result_length(req))
		memcpy(original_of(copy)->dst, req->dst, result_length(req));
}

void request_copy_end(struct vc_request *req, const struct bounce *copy)
{
	put_back(req, original_of(copy));
}

/* A pointer into one request (what has no length points there) is one into the other. */
static void *moved(const void *p, const struct vc_request *from, struct vc_request *to)
{
	uintptr_t at = (uintptr_t)p - (uintptr_t)from;

	return at < sizeof(*from) ? (uint8_t *)to + at : (uint8_t *)(uintptr_t)p;
}

#define COPY_FROM_TO(to, from, first, behind)                                                      \
	memcpy((uint8_t *)(to) + offsetof(struct vc_request, first),                               \
	       (const uint8_t *)(from) + offsetof(struct vc_request, first),                       \
	       offsetof(struct vc_request, behind) - offsetof(struct vc_request, first))

void request_copy_renew(struct vc_request *renewed, struct vc_request *req,
                        const struct bounce *copy)
{
	/* Not what the resource may be writing at this moment. */
	COPY_FROM_TO(renewed, req, handle, status);
	COPY_FROM_TO(renewed, req, encrypt, result_len);
	COPY_FROM_TO(renewed, req, session, private);
	COPY_FROM_TO(renewed, req, arrived, tag_buffer);
	if (req->kind == VC_REQUEST_AEAD && !req->encrypt)
		memcpy(renewed->tag_buffer, req->tag_buffer, req->tag_len);
	renewed->status = VIRTIO_CRYPTO_OK;
	renewed->result_len = 0;
	renewed->private = NULL;
	put_back(renewed, original_of(copy));
	renewed->src = moved(renewed->src, req, renewed);
	renewed->dst = moved(renewed->dst, req, renewed);
	renewed->aad = moved(renewed->aad, req, renewed);
	renewed->tag = moved(renewed->tag, req, renewed);
	renewed->tag_out = moved(renewed->tag_out, req, renewed);
	req->queue = NULL;
	req->bounce = NULL;
}

bool request_copy_points_into(const struct vc_request *req, const struct bounce *copy,
                              const struct memtable *memory)
{
	const struct original *was = original_of(copy);

	/* AKCIPHER: private, all of it. */
	if (is_asymmetric(req))
		return false;
	return memtable_holds(memory, was->src, req->length) ||
	       memtable_holds(memory, was->dst, req->length) ||
	       memtable_holds(memory, was->aad, req->aad_len);
}
