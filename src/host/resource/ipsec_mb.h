/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the ipsec-mb resource: sessions, stages, and the groups in which requests wait for
 * company.
 *
 * A request passes through one stage or, in a chain, two: a cipher and a hash. A stage is either
 * done at once (one request fills the machine by itself), or in a group: the requests of one
 * algorithm, whoever they are of, and chains together with others.
 */
#ifndef VC_HOST_RESOURCE_IPSEC_MB_H
#define VC_HOST_RESOURCE_IPSEC_MB_H

#include <assert.h>
#include <intel-ipsec-mb.h>

#include "host/resource/resource.h"

#define MB_AES_SCHEDULE (15 * 16)
#define MB_KEY_SIZES 3
/* Requests of one call into the library: bounds the jobs that we hold, and the latency. */
#define MB_BURST 64
/* Lanes of the widest implementation: so many requests are worth waiting for. */
#define MB_LANES 16
/* Requests in one instance; a power of two. */
#define MB_RING 2048
/* Polls that a request waits for company at most, in each stage. */
#define MB_PATIENCE 2
/* Multi-buffer code counts bytes in 16 bits; the library's own limit is 65534. */
#define MB_MAX_HASH 65534u
#define MB_MAX_CHUNK 61440u
/* CCM: as hashes; additional data has to fit three blocks behind its length. */
#define MB_MAX_CCM MB_MAX_HASH
#define MB_MAX_CCM_AAD 46

enum mb_class {
	MB_CIPHER,
	MB_CHAIN,
	MB_HASH, /* and MACs */
	MB_AEAD,
};

enum mb_stage {
	MB_GROUP_CBC,                               /* encryption, by key size */
	MB_GROUP_CCM = MB_GROUP_CBC + MB_KEY_SIZES, /* by direction, 128 and 256 bits */
	MB_GROUP_HMAC = MB_GROUP_CCM + 4,           /* SHA-1, 224, 256, 384, 512 */
	MB_GROUP_SHA = MB_GROUP_HMAC + 5,           /* the same */
	MB_GROUP_CMAC = MB_GROUP_SHA + 5,           /* 128 and 256 bits */
	MB_GROUPS = MB_GROUP_CMAC + 2,
	MB_DIRECT = 0xfe,
	MB_NONE = 0xff,
};

static_assert(MB_GROUPS <= 32, "groups in a mask");

/* A session's realisation, in locked memory. */
struct mb_session {
	uint8_t class;         /* enum mb_class */
	uint8_t first, second; /* enum mb_stage */
	uint8_t key_len;
	uint8_t encrypt;
	uint8_t order;      /* of a chain */
	uint8_t iv_len;     /* of a cipher */
	uint8_t block_mask; /* of a cipher: bits of a length that must be 0 */
	uint8_t digest_len; /* of the full hash or MAC */
	uint8_t tag_len;    /* of an AEAD */
	uint8_t aead;
	IMB_CIPHER_MODE cipher;
	IMB_HASH_ALG hash;
	union {
		struct {
			union {
				struct {
					uint8_t encrypt[MB_AES_SCHEDULE]
						__attribute__((aligned(16)));
					uint8_t decrypt[MB_AES_SCHEDULE]
						__attribute__((aligned(16)));
				} aes;
				uint8_t chacha[32];
			};
			/* HMAC: states after one block; CMAC: the two subkeys. */
			uint8_t inner[64] __attribute__((aligned(16)));
			uint8_t outer[64] __attribute__((aligned(16)));
		};
		struct gcm_key_data gcm;
	} key __attribute__((aligned(64)));
};

/* Requests of one group, in the order in which they came. Never full: a full one is run. */
struct mb_group {
	struct vc_request *req[MB_BURST];
	unsigned int count;
	unsigned int waited; /* polls since the group was last empty or full */
};

struct mb_instance {
	struct resource_instance base;
	IMB_MGR *manager;
	uint32_t waiting;              /* bit g: group g has requests */
	uint32_t done_head, done_tail; /* run freely */
	struct vc_request *done[MB_RING];
	struct mb_group group[MB_GROUPS];
	IMB_JOB job[MB_BURST];
	uint8_t iv[MB_BURST][16];  /* of later chunks of long requests */
	uint8_t tag[MB_BURST][16]; /* as computed, to be compared */
};

struct mb_resource {
	struct resource base;
	uint32_t broken; /* bit g: group g computes wrongly here (ipsec_mb_lanes.c) */
};

/* ipsec_mb_lanes.c. Main thread: the groups whose lanes disagree. */
uint32_t mb_broken_groups(struct mb_instance *instance);

/* ipsec_mb_session.c: what there is, and keys. */
/* The first stage of sessions other than chains, and the only one. */
uint8_t mb_stage_of(const struct session_params *params);
bool mb_can(const struct resource *resource, const struct session_params *params);
void mb_offer(const struct resource *resource, struct virtio_crypto_config *config);
int mb_realise(struct resource_instance *instance, const struct session_params *params,
               void **handle);
void mb_drop(struct resource_instance *instance, void *handle);

/* ipsec_mb_run.c: ciphers and hashes. Sets the status of each request. */

/* What to do with a request: MB_RUN, or it is finished with status set. */
enum mb_verdict { MB_RUN, MB_FINISHED };
enum mb_verdict mb_check_all(struct vc_request *req, const struct mb_session *session);

static inline enum mb_verdict mb_check(struct vc_request *req, const struct mb_session *session)
{
	if (vc_likely(session->class == MB_CIPHER && req->iv_len == session->iv_len &&
	              !(req->length & session->block_mask) && req->length))
		return MB_RUN;
	return mb_check_all(req, session);
}

/* One request, in a stage that is done at once. */
void mb_run_direct(struct mb_instance *instance, struct vc_request *req,
                   const struct mb_session *session);
/* n requests, at most MB_BURST, of one group. */
void mb_run_group(struct mb_instance *instance, unsigned int group, struct vc_request **reqs,
                  unsigned int n);
/* Wait for all jobs that the library still has; how many of them, and of `done`, were completed. */
unsigned int mb_drain(struct mb_instance *instance, unsigned int done);
/* A job of the library's queue for hash or MAC of length bytes. */
IMB_JOB *mb_next_job(struct mb_instance *instance, IMB_CIPHER_MODE cipher, IMB_HASH_ALG hash);

/* ipsec_mb_aead.c */
enum mb_verdict mb_check_aead(struct vc_request *req, const struct mb_session *session);
void mb_run_aead(struct mb_instance *instance, struct vc_request *req,
                 const struct mb_session *session);
void mb_run_ccm(struct mb_instance *instance, struct vc_request **reqs, unsigned int n);

#endif
