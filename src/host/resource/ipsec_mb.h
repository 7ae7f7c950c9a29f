/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the ipsec-mb resource: sessions, and the groups in which requests wait for company.
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
/* Polls that a request waits for company at most. */
#define MB_PATIENCE 2
/* Multi-buffer code counts bytes in 16 bits; the library's own limit is 65534. */
#define MB_MAX_HASH 65534u
#define MB_MAX_CBC_CHUNK 61440u
/* SP 800-38D. IMB_MAX_TAG_LEN is that of all algorithms: 16 in version 1, 64 in version 2. */
#define MB_MAX_GCM_TAG 16

enum mb_class {
	/* Done at once: one request fills the machine by itself. */
	MB_CBC_DECRYPT,
	MB_CTR,
	MB_GCM,
	/* Multi-buffer: gathered in groups of one algorithm. */
	MB_CBC_ENCRYPT,
	MB_CHAIN,
	MB_MAC,
};

/* Groups: CBC encryption by key size; chains by key size, hash, direction and order; MACs. */
#define MB_GROUP_CBC 0
#define MB_GROUP_CHAIN (MB_GROUP_CBC + MB_KEY_SIZES)
#define MB_GROUP_MAC (MB_GROUP_CHAIN + MB_KEY_SIZES * 8)
#define MB_GROUPS (MB_GROUP_MAC + 2)

/* A session's realisation, in locked memory. */
struct mb_session {
	uint8_t class; /* enum mb_class */
	uint8_t group;
	uint8_t key_len;
	uint8_t encrypt;
	uint8_t order;      /* of a chain */
	uint8_t digest_len; /* of the full MAC */
	IMB_HASH_ALG hash;
	union {
		struct {
			uint8_t encrypt[MB_AES_SCHEDULE] __attribute__((aligned(16)));
			uint8_t decrypt[MB_AES_SCHEDULE] __attribute__((aligned(16)));
			uint8_t ipad[64] __attribute__((aligned(16)));
			uint8_t opad[64] __attribute__((aligned(16)));
		} aes;
		struct gcm_key_data gcm;
	} key __attribute__((aligned(64)));
};

/* Requests linked by their private pointer, first in first out. */
struct mb_list {
	struct vc_request *first, *last;
	unsigned int count;
	unsigned int waited; /* polls since the group was last empty or full */
};

struct mb_instance {
	struct resource_instance base;
	IMB_MGR *manager;
	uint32_t waiting; /* bit g: group g has requests */
	struct mb_list group[MB_GROUPS];
	struct mb_list done;
	IMB_JOB job[MB_BURST];
	uint8_t iv[MB_BURST][16]; /* of later chunks of long requests */
};

static_assert(MB_GROUPS <= 32, "groups in a mask");

static inline void mb_list_add(struct mb_list *list, struct vc_request *req)
{
	req->private = NULL;
	if (list->first)
		list->last->private = req;
	else
		list->first = req;
	list->last = req;
	list->count++;
}

static inline struct vc_request *mb_list_take(struct mb_list *list)
{
	struct vc_request *req = list->first;

	assert(req); /* list->count said so */
	list->first = req->private;
	list->count--;
	return req;
}

/* ipsec_mb_run.c: the worker's thread. */

/* What to do with a request: MB_RUN, or it is finished with status set. */
enum mb_verdict { MB_RUN, MB_FINISHED };
enum mb_verdict mb_check(struct vc_request *req, const struct mb_session *session);
/* One request of a class that is done at once; sets its status. */
void mb_run_direct(struct mb_instance *instance, struct vc_request *req,
                   const struct mb_session *session);
/* n requests, at most MB_BURST, of one group; sets their status. */
void mb_run_group(struct mb_instance *instance, unsigned int group, struct vc_request **reqs,
                  unsigned int n);

#endif
