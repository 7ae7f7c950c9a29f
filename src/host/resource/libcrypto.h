/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the libcrypto resource: its library context, sessions, rings and threads.
 */
#ifndef VC_HOST_RESOURCE_LIBCRYPTO_H
#define VC_HOST_RESOURCE_LIBCRYPTO_H

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/util.h"
#include "host/resource/resource.h"

/* Requests in one instance, waiting or being worked on; a power of two. */
#define LC_RING 256
#define LC_MAX_THREADS 32
#define LC_HASHES (VIRTIO_CRYPTO_HASH_SHA3_512 + 1)
#define LC_MACS (VIRTIO_CRYPTO_MAC_HMAC_SHA_512 + 1)
#define LC_RSA_HASHES (VIRTIO_CRYPTO_RSA_SHA224 + 1)
#define LC_RSA_MIN_BITS 1024
#define LC_RSA_MAX_BITS 8192
/* An RSA-8192 private key in DER has about 4,700 bytes. */
#define LC_RSA_MAX_DER 5120

/* Fetched once, read by every thread. Arrays by virtio's numbers; NULL: not here. */
struct lc_algorithms {
	EVP_CIPHER *cbc[3], *ctr[3], *gcm[3]; /* by key size: 128, 192, 256 */
	EVP_MD *hash[LC_HASHES];
	EVP_MAC *hmac;
};

struct lc_resource {
	struct resource base;
	unsigned int threads;
	cpu_set_t cpus; /* of the process, not of the pinned worker that opens an instance */
	OSSL_LIB_CTX *library;
	OSSL_PROVIDER *provider;
	struct lc_algorithms algorithms;
};

/* What a session needs in one thread; made by that thread at first use and touched by it only. */
struct lc_local {
	vc_cache_aligned EVP_CIPHER_CTX *cipher;
	EVP_MAC_CTX *mac;
	EVP_PKEY *key;
	EVP_PKEY_CTX *operation[4]; /* by kind - VC_REQUEST_AK_ENCRYPT */
	uint8_t iv_len;             /* that cipher is set up for */
	bool bad;                   /* key or context cannot be made */
};

struct lc_session {
	const struct session_params *params;
	unsigned int threads;
	struct lc_local local[];
};

/* Requests that a thread has done; it produces, the worker consumes. */
struct lc_done {
	vc_cache_aligned _Atomic(uint32_t) tail; /* thread */
	vc_cache_aligned uint32_t head;          /* worker */
	vc_cache_aligned struct vc_request *entry[LC_RING];
};

struct lc_instance;

struct lc_thread {
	struct lc_instance *instance;
	unsigned int index;
	pthread_t id;
	struct lc_done *done;
	EVP_MD_CTX *digest;
};

/*
 * The worker puts requests into one ring; every thread takes from it. Indices run freely. An entry
 * is atomic because a slow thread may read one that is being written again; its exchange of head
 * then fails, so what it read does not matter.
 */
struct lc_instance {
	struct resource_instance base;
	const struct lc_algorithms *algorithms;
	OSSL_LIB_CTX *library;
	unsigned int threads, started;
	int done_fd;
	vc_cache_aligned _Atomic(uint32_t) tail; /* worker */
	vc_cache_aligned _Atomic(uint32_t) head; /* threads */
	vc_cache_aligned _Atomic(uint32_t) wake; /* futex; counts wake-ups */
	_Atomic(uint32_t) sleepers;
	_Atomic(bool) stop;
	vc_cache_aligned _Atomic(bool) armed; /* the worker sleeps: signal done_fd */
	vc_cache_aligned _Atomic(struct vc_request *) entry[LC_RING];
	struct lc_thread thread[LC_MAX_THREADS];
};

/* libcrypto_threads.c */
int lc_threads_start(struct lc_instance *instance, const cpu_set_t *cpus);
void lc_threads_stop(struct lc_instance *instance);
unsigned int lc_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                       unsigned int n);
unsigned int lc_poll(struct resource_instance *instance, struct vc_request **reqs, unsigned int n,
                     bool flush);
int lc_fd(struct resource_instance *instance);
bool lc_arm(struct resource_instance *instance);
void lc_disarm(struct resource_instance *instance);

/* libcrypto_sym.c, libcrypto_rsa.c: a thread of the instance; the status of the request. */
uint8_t lc_symmetric(struct lc_thread *thread, struct vc_request *req, struct lc_session *session,
                     struct lc_local *local);
uint8_t lc_rsa(struct lc_thread *thread, struct vc_request *req, struct lc_session *session,
               struct lc_local *local);
const char *lc_mac_digest(unsigned int mac);  /* name of the hash; NULL unknown */
unsigned int lc_mac_size(unsigned int mac);   /* bytes */
const char *lc_hash_name(unsigned int hash);  /* NULL unknown */
unsigned int lc_hash_size(unsigned int hash); /* bytes */
bool lc_rsa_can(const struct session_params *params);

#endif
