/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the libcrypto resource: its library context, sessions, rings and threads.
 */
#ifndef VC_HOST_RESOURCE_LIBCRYPTO_H
#define VC_HOST_RESOURCE_LIBCRYPTO_H

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <sched.h>

#include "base/util.h"
#include "host/resource/akcipher.h"
#include "host/resource/algorithm.h"
#include "host/resource/helpers.h"
#include "host/resource/resource.h"

#define LC_RSA_MIN_BITS 512
#define LC_RSA_MAX_BITS AKCIPHER_RSA_MAX_BITS
/* An RSA-8192 private key in DER has about 4,700 bytes. */
#define LC_RSA_MAX_DER 5120
/* An ECPrivateKey of P-521 with all that is optional has 223 bytes. */
#define LC_EC_MAX_KEY 512
#define LC_KEY_SIZES 3
#define LC_MAX_BLOCK 128 /* of a hash that has an HMAC */

/*
 * What the worker itself does of a burst, counted in bytes of AES (see lc_cost()): handing a
 * request to a thread and back costs both sides some microseconds, in which AES does 16 KiB; and
 * no burst may hold the worker up for longer than a RSA verification would.
 */
#define LC_INLINE_COST 8192
#define LC_INLINE_BURST 32768

/* Fetched once, read by every thread. Arrays by virtio's numbers; NULL: not in this OpenSSL. */
struct lc_algorithms {
	EVP_CIPHER *cipher[ALGORITHM_CIPHERS][LC_KEY_SIZES];
	EVP_CIPHER *aead[ALGORITHM_AEADS][LC_KEY_SIZES];
	EVP_MD *hash[ALGORITHM_HASHES];
	EVP_MAC *cmac;
};

/* A library context with the default provider. */
struct lc_library {
	OSSL_LIB_CTX *context;
	OSSL_PROVIDER *provider;
};

struct lc_resource {
	struct resource base;
	unsigned int threads;
	cpu_set_t cpus; /* of the process, not of the pinned worker that opens an instance */
	struct lc_library library;
	struct lc_algorithms algorithms;
};

/* What a session needs in one thread; made by that thread at first use and touched by it only. */
struct lc_local {
	vc_cache_aligned EVP_CIPHER_CTX *cipher;
	EVP_MAC_CTX *cmac;
	EVP_PKEY *key;
	union {
		EVP_PKEY_CTX *operation[4]; /* by kind - VC_REQUEST_AK_ENCRYPT */
		struct lc_agree {
			EC_GROUP *group;
			BN_CTX *numbers;
		} agree; /* sessions of key agreement */
	};
	uint8_t iv_len; /* that cipher is set up for */
	bool bad;       /* key or context cannot be made */
};

/* The keys of an HMAC (RFC 2104), in locked memory. */
struct lc_hmac {
	uint8_t inner[LC_MAX_BLOCK], outer[LC_MAX_BLOCK];
};

struct lc_session {
	const struct session_params *params;
	struct lc_hmac *hmac; /* NULL: no HMAC in it */
	uint8_t weight;       /* see lc_cost(); 0: for the threads always */
	unsigned int locals;  /* threads, then the worker */
	struct lc_local local[];
};

/* What a helper needs, or the worker itself (the last of them). */
struct lc_thread {
	OSSL_LIB_CTX *library;
	const struct lc_algorithms *algorithms;
	unsigned int index;
	EVP_MD_CTX *digest[ALGORITHM_HASHES]; /* made at first use */
};

struct lc_instance {
	struct resource_instance base;
	struct request_list here; /* done by the worker itself, not yet polled */
	struct helpers helpers;
	struct lc_thread thread[HELPERS_MAX + 1];
};

/* libcrypto.c: also for resources that leave to libcrypto what they do not do better. */
/* -ENODEV: *error is a sentence (to be freed). */
int lc_library_open(struct lc_library *library, char **error);
void lc_library_close(struct lc_library *library);
/* Without keys expanded; every thread makes its own at its first request. NULL without memory. */
struct lc_session *lc_session_new(const struct session_params *params, unsigned int locals);
/* Nothing of it is in flight, so no thread uses its part any more. */
void lc_session_free(struct lc_session *session);

/* libcrypto_run.c: requests in and out, as resource_ops has it. */
unsigned int lc_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                       unsigned int n);
unsigned int lc_poll(struct resource_instance *instance, struct vc_request **reqs, unsigned int n,
                     bool flush);
int lc_fd(struct resource_instance *instance);
bool lc_arm(struct resource_instance *instance);
void lc_disarm(struct resource_instance *instance);
extern const struct helper_work lc_work;
/* An asymmetric request, done in this thread. Sets its status. */
void lc_asymmetric(struct lc_thread *thread, struct vc_request *req, struct lc_session *session);

/* libcrypto_sym.c. The status of the request. */
uint8_t lc_symmetric(struct lc_thread *thread, const struct vc_request *req,
                     const struct lc_session *session, struct lc_local *local);
/* The cipher or AEAD of a session; NULL: not here, or not with a key of that length. */
const EVP_CIPHER *lc_cipher_find(const struct lc_algorithms *algorithms,
                                 const struct session_params *params);
/* Fill in the HMAC's keys; the key is hashed first if it is longer than a block. */
bool lc_hmac_expand(const struct lc_algorithms *algorithms, const struct session_params *params,
                    struct lc_hmac *hmac);

/* libcrypto_rsa.c, libcrypto_ec.c, libcrypto_agree.c. The status of the request. */
uint8_t lc_rsa(struct lc_thread *thread, struct vc_request *req, const struct lc_session *session,
               struct lc_local *local);
uint8_t lc_ecdsa(struct lc_thread *thread, struct vc_request *req, const struct lc_session *session,
                 struct lc_local *local);
uint8_t lc_agree(struct lc_thread *thread, struct vc_request *req, const struct lc_session *session,
                 struct lc_local *local);
bool lc_rsa_can(const struct session_params *params);
bool lc_ecdsa_can(const struct session_params *params);
bool lc_agree_can(const struct session_params *params);
/* Does that point (SEC 1, uncompressed) lie on the NIST curve of a session of key agreement? */
bool lc_agree_point_ok(struct lc_thread *thread, struct lc_session *session, const uint8_t *bytes);
/* For both: the operation begun. */
int lc_operation_begin(EVP_PKEY_CTX *context, unsigned int kind);

#endif
