/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data requests: from a chain to a checked struct vc_request, and from its result back into the
 * chain. No sockets, no cryptography; unit-tested and fuzzed as it is.
 *
 * Header and parameters are read once into private memory and checked against the chain. A source
 * or destination that is one contiguous piece is used where it lies in guest memory; others are
 * gathered into a bounce buffer of the worker and scattered back. IVs, tags and asymmetric inputs
 * are always private copies.
 */
#ifndef VC_HOST_REQUEST_H
#define VC_HOST_REQUEST_H

#include <stdint.h>

#include "base/util.h"
#include "host/session.h"
#include "host/stream.h"
#include "host/vring.h"

#define REQUEST_MAX_IV 16
#define REQUEST_MAX_TAG 64
/* Inputs of asymmetric requests that are no RSA blocks: a digest, an ECDSA signature in DER. */
#define REQUEST_MAX_DIGEST 128
#define REQUEST_MAX_ECDSA 160

enum vc_request_kind {
	VC_REQUEST_CIPHER,
	VC_REQUEST_CHAIN,
	VC_REQUEST_HASH,
	VC_REQUEST_MAC,
	VC_REQUEST_AEAD,
	VC_REQUEST_AK_ENCRYPT,
	VC_REQUEST_AK_DECRYPT,
	VC_REQUEST_AK_SIGN,
	VC_REQUEST_AK_VERIFY,
	VC_REQUEST_AK_DERIVE,
	VC_REQUEST_AK_GENERATE,
};

struct host_queue;
struct bounce;
struct stateless_cache;

/* The status of a request that a resource has not done: the scheduler may try another. Never seen
 * by a guest. REFUSED: it cannot do such a one (too long, for instance). RESOURCE: it could, but
 * has failed; whoever fails too often is not asked for a while (sched/health.h). */
#define VC_STATUS_REFUSED 0xfe
#define VC_STATUS_RESOURCE 0xff

struct vc_request {
	/* What a resource reads. */
	vc_cache_aligned void *handle; /* the session's realisation in that resource */
	const uint8_t *src;
	uint8_t *dst;
	uint8_t *tag; /* private, REQUEST_MAX_TAG bytes: written or compared (see below) */
	const uint8_t *aad;
	uint32_t length;  /* bytes of src without the tag */
	uint32_t dst_len; /* AKCIPHER: room */
	uint32_t aad_len;
	uint16_t tag_len;
	uint8_t iv_len;
	uint8_t kind;   /* enum vc_request_kind */
	uint8_t status; /* out: enum virtio_crypto_status, or VC_STATUS_* */
	uint8_t encrypt;
	uint8_t flow;    /* whose it is: by that a slow resource takes turns, */
	uint16_t weight; /* and by this weight */
	uint8_t iv[REQUEST_MAX_IV] __attribute__((aligned(16)));
	/* Chains. */
	uint32_t cipher_offset, cipher_len, hash_offset, hash_len;
	uint32_t result_len; /* out: AKCIPHER: bytes at dst */
	/* What the front keeps. */
	struct session *session;
	struct session_local *local;
	struct host_queue *queue;
	struct bounce *bounce; /* gathered or to be scattered; NULL when zero-copy */
	uint8_t *status_byte;  /* in guest memory */
	uint8_t *tag_out;      /* where the tag goes in guest memory when that is contiguous */
	uint32_t head;         /* as vring_push() takes it */
	uint8_t resource;      /* that has it */
	uint16_t tried;        /* bit r: resource r refused or failed it, for fail-over */
	uint32_t written;      /* bytes of IN used, for the used ring (with the status byte) */
	uint32_t ticket;       /* of the order layer, where the device is strict */
	void *private;         /* the resource's own while it has the request */
	uint64_t arrived;      /* ticks; 0 unless latency is being measured */
	uint8_t tag_buffer[REQUEST_MAX_TAG] __attribute__((aligned(16)));
};

/*
 * AEAD: encryption writes the tag to req->tag; decryption finds the guest's there and compares in
 * constant time, BADMSG when it differs (dst is then wiped by request_finish()). HASH, MAC, chain:
 * digest written to req->tag. VERIFY: src is the signature, tag the digest (tag_len bytes, at most
 * the modulus').
 *
 * src and dst are the same, or apart; only a hostile guest has them overlap. CIPHER, CHAIN and AEAD
 * may write length bytes at dst. CHAIN: dst is all of src with the cipher range done; both ranges
 * lie in length. AKCIPHER: src and dst are private; dst_len is room for the modulus (RSA) or the
 * longest signature in DER (ECDSA, at most REQUEST_MAX_ECDSA), and request_finish() knows how much
 * of it the guest asked for. DERIVE: src is the private key and the peer's point, dst gets the
 * shared secret; GENERATE: dst gets a private key and its point (agree.h has their lengths).
 *
 * IVs as long as the algorithm takes them: GCM 1 to 15 bytes (SP 800-38D; 16 would be J0 itself by
 * virtio 1.3, 5.9.7.7, and is not passed on), CCM 7 to 13, ChaCha20-Poly1305 12.
 */

/* Limits of the device, and where bounce buffers come from. */
struct request_context {
	struct session_table *sessions;
	struct bounce_pool *bounces;
	uint32_t max_size; /* bytes of a request's data */
	/* VIRTIO_CRYPTO_F_*, as negotiated: they decide the layout of requests. */
	uint32_t features;
	struct stateless_cache *stateless; /* NULL when no stateless mode was negotiated */
};

/*
 * Fill req from the chain. 0; a status (> 0, enum virtio_crypto_status) with which to complete the
 * chain; -EAGAIN no bounce buffer, or no place for its key, now: the chain must be kept and parsed
 * again later; -EBADMSG not even the status byte exists (no IN segment, or of no length): give it
 * back with nothing written.
 */
int request_parse(struct vc_request *req, const struct vring_chain *chain,
                  const struct request_context *context);

/*
 * What request_parse() reads first, for drivers that have negotiated VIRTIO_CRYPTO_F_REVISION_1
 * (request_revision.c): header and keys as these have them, made what session mode without
 * REVISION_1 has; the rest is the same for all. Errors as above.
 */
struct request_head {
	struct virtio_crypto_op_data_req header;
	struct session *session;
	struct stream out; /* at what follows header and keys, */
	uint32_t consumed; /* which are so many bytes of OUT */
};
int request_head_read(struct request_head *head, const struct vring_chain *chain,
                      const struct request_context *context);

/* What counts against the device's limit of bytes in flight: the data, and of what is slow whatever
 * its length (RSA, ECDSA) the bytes that a resource could encrypt in that time. */
uint64_t request_akcipher_weight(const struct session_params *params);
static inline uint64_t request_weight(const struct vc_request *req)
{
	return vc_likely(req->kind < VC_REQUEST_AK_ENCRYPT)
	               ? req->length
	               : request_akcipher_weight(&req->session->params);
}

/* Write result and status into guest memory and give the bounce buffer back. Sets req->written. */
void request_finish(struct vc_request *req, const struct request_context *context);

/* Whether the request, parsed and not yet finished, points into one of the table's regions
 * (request_memory.c: every pointer into guest memory that a request keeps is looked at there). */
bool request_points_into(const struct vc_request *req, const struct memtable *memory);

/* Complete a chain with a status and no request (bad chains). Returns bytes written: 1 or 0. */
uint32_t request_fail_chain(const struct vring_chain *chain, uint8_t status);

/*
 * Control requests, all in one: create or destroy. features: VIRTIO_CRYPTO_F_*, as negotiated.
 * `removed` is set to a session that was destroyed and still has to be dropped by the workers.
 * Returns bytes written to IN.
 */
uint32_t control_handle(const struct vring_chain *chain, uint32_t features,
                        struct session_table *table, session_can_fn *can, void *can_context,
                        struct session **removed);

/* Bounce buffers of a worker, by powers of two from 2 KiB to max_size; no malloc after creation.
 * total: bytes of address space at most (used only when touched). One thread. */
struct bounce_pool *bounce_pool_new(uint32_t max_size, size_t total);
void bounce_pool_free(struct bounce_pool *pool);
/* Where they all are. */
void bounce_pool_memory(const struct bounce_pool *pool, void **base, size_t *length);

#endif
