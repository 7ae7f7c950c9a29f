/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of resource type dpdk (the module). A resource is one DPDK device, which may appear as two
 * cryptodevs (QAT: one for symmetric, one for asymmetric cryptography); an instance is one queue
 * pair of each, used by one worker.
 */
#ifndef VC_HOST_RESOURCE_DPDK_H
#define VC_HOST_RESOURCE_DPDK_H

#include <pthread.h>
#include <rte_cryptodev.h>
#include <rte_mbuf.h>
#include <rte_version.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/util.h"
#include "host/resource/algorithm.h"
#include "host/resource/dpdk_module.h"
#include "host/resource/resource.h"

/* DPDK 24.11 moved the padding of RSA from the operation to the session. */
#define DPDK_RSA_PADDING_IN_SESSION (RTE_VERSION >= RTE_VERSION_NUM(24, 11, 0, 0))

#define DPDK_DESCRIPTORS 1024u /* of a queue pair; a power of two */
#define DPDK_BURST 64u
#define DPDK_RSA_MAX_BYTES 512u
#define DPDK_SESSIONS 4096u /* by default, of each worker */
#define DPDK_RSA_SESSIONS 512u
#define DPDK_RSA_LEAKS 16384u /* that are put up with */
#define DPDK_AAD_ROOM 256u
/* In front of additional data and IV of CCM (rte_crypto_sym.h). */
#define DPDK_CCM_AAD 18u
#define DPDK_CCM_IV 1u
/* Multi-buffer libraries count in 16 bits, and some values have a meaning. */
#define DPDK_LINEAR 65534u
/* Pieces of longer data: whole blocks of any cipher; QAT takes 16 pieces. */
#define DPDK_PIECE 65520u
#define DPDK_PIECES 16u
#define DPDK_PIECE_POOL 256u
/* AEAD: lengths of IV and additional data belong to DPDK's sessions; so many of them to one of
 * ours. */
#define DPDK_VARIANTS 4u

/* ---- what a device can do (dpdk_caps.c) ---- */

struct dpdk_range {
	uint16_t min, max, step;
};

struct dpdk_auth {
	bool there;
	struct dpdk_range key, digest;
};

struct dpdk_caps {
	struct {
		bool there;
		struct dpdk_range key, iv;
	} cipher[ALGORITHM_CIPHERS];
	struct dpdk_auth hash[ALGORITHM_HASHES], hmac[ALGORITHM_HASHES], cmac;
	struct {
		bool there;
		struct dpdk_range key, digest, aad, iv;
	} aead[ALGORITHM_AEADS];
	bool chains, out_of_place, pieces, pieces_apart;
	bool rsa, rsa_crt, rsa_exponent;
	struct dpdk_range rsa_modulus; /* bytes; max 0: any */
};

/*
 * Kinds of symmetric session: what is checked at the start, one by one, and used only if it comes
 * out right.
 */
#define DPDK_CIPHER_INDEXES 5u
#define DPDK_AUTH_INDEXES 15u
#define DPDK_KIND_CIPHER 0u
#define DPDK_KIND_AEAD (DPDK_KIND_CIPHER + DPDK_CIPHER_INDEXES * 3 * 2)
#define DPDK_KIND_AUTH (DPDK_KIND_AEAD + 3 * 3 * 2)
#define DPDK_KIND_CHAIN (DPDK_KIND_AUTH + DPDK_AUTH_INDEXES * 3)
#define DPDK_KINDS (DPDK_KIND_CHAIN + DPDK_CIPHER_INDEXES * DPDK_AUTH_INDEXES * 2 * 2)

/* Of what capabilities allow; DPDK_KINDS: there is none of it. */
unsigned int dpdk_kind_of(const struct session_params *params);
/* An example of a kind, without keys. False: there is no such kind. */
bool dpdk_kind_params(unsigned int kind, struct session_params *params);

bool dpdk_range_has(const struct dpdk_range *range, uint32_t value);
void dpdk_caps_add(struct dpdk_caps *caps, const struct rte_cryptodev_info *info);
/* By capabilities alone. */
bool dpdk_caps_can(const struct dpdk_caps *caps, const struct session_params *params);
/* Authentication of a session: NULL there is none. */
const struct dpdk_auth *dpdk_caps_auth(const struct dpdk_caps *caps,
                                       const struct session_params *params);
/* The digest's length to ask for: all of it if possible; 0: there is none that is long enough. */
uint16_t dpdk_caps_digest(const struct dpdk_auth *auth, unsigned int full, unsigned int least);
bool dpdk_can(const struct resource *resource, const struct session_params *params);
void dpdk_offer(const struct resource *resource, struct virtio_crypto_config *config);

/* DPDK's numbers; 0: it has none. */
int dpdk_cipher_algorithm(unsigned int cipher);
int dpdk_auth_algorithm(const struct session_params *params);
int dpdk_aead_algorithm(unsigned int aead);

/* ---- resource, instance, session ---- */

struct dpdk_resource {
	struct resource base;
	char device[64]; /* as DPDK names it */
	bool vdev;
	bool hardware;     /* answers come late, and data must be where it can reach it */
	bool multi_buffer; /* ipsec-mb behind it: counts in 16 bits, slow at 3DES */
	bool started;
	int sym, asym; /* cryptodevs; -1: it has none; may be the same */
	unsigned int workers, sessions;
	unsigned int pairs; /* of queues */
	bool *pair_used;    /* under the lock */
	pthread_mutex_t lock;
	bool crt;   /* RSA: private keys in five numbers */
	bool leaks; /* its driver, some KiB with each RSA session: there are so many only */
	atomic_uint rsa_made;
	struct dpdk_caps caps;
	uint64_t works[DPDK_KINDS / 64 + 1]; /* bits of kinds */
	uint64_t large[DPDK_KINDS / 64 + 1]; /* ... also for data in pieces */
	uint64_t split[DPDK_KINDS / 64 + 1]; /* ... chains that are two operations to it */
};

static inline bool dpdk_bit(const uint64_t *bits, unsigned int kind)
{
	return kind < DPDK_KINDS && bits[kind / 64] >> kind % 64 & 1;
}

static inline void dpdk_bit_set(uint64_t *bits, unsigned int kind, bool value)
{
	if (value)
		bits[kind / 64] |= UINT64_C(1) << kind % 64;
	else
		bits[kind / 64] &= ~(UINT64_C(1) << kind % 64);
}

enum dpdk_class { DPDK_CIPHER, DPDK_CHAIN, DPDK_AUTH, DPDK_AEAD, DPDK_RSA };

struct dpdk_session {
	uint8_t class;  /* enum dpdk_class */
	uint8_t weight; /* bytes of AES that one byte costs a CPU */
	uint8_t iv_len, block_mask, digest_len;
	bool counts; /* CTR */
	bool large;
	uint8_t variants;
	uint16_t modulus_len;
	const uint8_t *modulus;
	const struct session_params *params;
	void *session; /* DPDK's; not of AEAD */
	void *second;  /* of a chain that is split; else NULL */
	struct {
		uint16_t aad_len;
		uint8_t iv_len;
		void *session;
	} variant[DPDK_VARIANTS];
};

/* An operation on its way, in memory that the device can reach. IV and digest follow the operation
 * as DPDK wants it: at a distance from its start that the session knows. */
struct dpdk_sym {
	vc_cache_aligned struct rte_crypto_op op;
	struct rte_crypto_sym_op sym;
	uint8_t iv[16] __attribute__((aligned(16)));
	struct vc_request *req;
	bool second; /* of two operations */
	uint8_t digest[REQUEST_MAX_TAG] __attribute__((aligned(16)));
	struct rte_mbuf src, dst;
	uint8_t aad[DPDK_AAD_ROOM + 32] __attribute__((aligned(16)));
};
#define DPDK_IV_OFFSET offsetof(struct dpdk_sym, iv)

struct dpdk_rsa {
	vc_cache_aligned struct rte_crypto_op op;
	struct rte_crypto_asym_op asym;
	struct vc_request *req;
	bool checking; /* the public operation on what the private one made */
	uint8_t in[DPDK_RSA_MAX_BYTES], out[DPDK_RSA_MAX_BYTES], check[DPDK_RSA_MAX_BYTES];
};

struct dpdk_instance {
	struct resource_instance base;
	struct dpdk_resource *dpdk;
	uint16_t queue;
	bool registered; /* the thread, by us */
	struct rte_mempool *sessions, *rsa_sessions;
	struct dpdk_sym *sym_ops, **sym_free;
	struct dpdk_rsa *rsa_ops, **rsa_free;
	struct rte_mbuf *pieces, *pieces_free;
	unsigned int sym_count, rsa_count, pieces_count; /* free ones */
	unsigned int rsa_total;
	uint32_t device_flight; /* of in_flight, what the device has */
	/* Done without the device, or to be handed out. */
	struct vc_request *done[2 * DPDK_DESCRIPTORS];
	uint32_t done_head, done_tail;
	/* Second operations that the queue pair had no room for. */
	struct rte_crypto_op *again[2 * DPDK_DESCRIPTORS];
	unsigned int again_count;
	int timer; /* -1: software is done at each poll */
	uint32_t timer_us;
	bool timer_set;
};

/* dpdk_eal.c: the process. Main thread. 0; -errno with *error. */
int dpdk_eal_start(const struct resource_dpdk *options, char **error);
void dpdk_eal_log_init(const struct dpdk_host *host);
void dpdk_eal_quiet(bool quiet);
void dpdk_log(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* dpdk_device.c: from a name to cryptodevs that run, with a queue pair for each worker. */
int dpdk_device_start(struct dpdk_resource *dpdk, const struct resource_config *config,
                      char **error);
void dpdk_device_stop(struct dpdk_resource *dpdk);
int dpdk_memory_add(struct resource *resource, void *base, size_t length);
void dpdk_memory_remove(struct resource *resource, void *base, size_t length);

/* dpdk.c */
int dpdk_open(struct resource *resource, unsigned int worker, struct resource_instance **instance);
void dpdk_close(struct resource_instance *instance);

/* dpdk_session.c */
int dpdk_realise(struct resource_instance *instance, const struct session_params *params,
                 void **handle);
void dpdk_drop(struct resource_instance *instance, void *handle);
/* DPDK's session for an AEAD request of these lengths, made when it is new; NULL: there is none. */
void *dpdk_session_variant(struct dpdk_instance *in, struct dpdk_session *s, uint8_t iv_len,
                           uint32_t aad_len);

/* dpdk_sym.c */
enum dpdk_verdict { DPDK_RUN, DPDK_FINISHED, DPDK_FULL };
/* FINISHED: req->status is set. */
enum dpdk_verdict dpdk_sym_make(struct dpdk_instance *in, struct vc_request *req,
                                struct dpdk_sym **op);
/* The device is done with it. True: the request is done; false: op goes to the device once more. */
bool dpdk_sym_end(struct dpdk_sym *op);
void dpdk_sym_put(struct dpdk_instance *in, struct dpdk_sym *op);

/* dpdk_rsa.c */
int dpdk_rsa_realise(struct dpdk_instance *in, struct dpdk_session *s);
enum dpdk_verdict dpdk_rsa_make(struct dpdk_instance *in, struct vc_request *req,
                                struct dpdk_rsa **op);
/* The device is done with it. True: the request is done; false: op goes to the device once more. */
bool dpdk_rsa_end(struct dpdk_rsa *op);
void dpdk_rsa_put(struct dpdk_instance *in, struct dpdk_rsa *op);

/* dpdk_run.c */
unsigned int dpdk_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                         unsigned int n);
unsigned int dpdk_poll(struct resource_instance *instance, struct vc_request **reqs, unsigned int n,
                       bool flush);
int dpdk_fd(struct resource_instance *instance);
bool dpdk_arm(struct resource_instance *instance);
void dpdk_disarm(struct resource_instance *instance);

/* dpdk_check.c: which kinds come out right. Main thread, before any worker opens it. 0; -ETIMEDOUT:
 * the device does not answer; -errno. */
int dpdk_check(struct dpdk_resource *dpdk, const struct resource_ops *reference);

#endif
