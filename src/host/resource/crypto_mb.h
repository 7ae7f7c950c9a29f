/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the crypto-mb resource: Intel's multi-buffer RSA, ECDSA and ECDH
 * (libcrypto-mb), which does the same operation with eight keys at once, in the lanes of AVX-512
 * registers.
 */
#ifndef VC_HOST_RESOURCE_CRYPTO_MB_H
#define VC_HOST_RESOURCE_CRYPTO_MB_H

#include <stdbool.h>
#include <stdint.h>

#include "host/resource/libcrypto.h"

#define MB_LANES 8u
#define MB_RSA_MAX_BITS 4096
#define MB_RSA_BYTES (MB_RSA_MAX_BITS / 8)
#define MB_EC_BYTES 48 /* of P-384 */

/* Requests that can share lanes: one operation, one size. */
enum mb_class {
	MB_RSA_PRIVATE_1024,
	MB_RSA_PRIVATE_2048,
	MB_RSA_PRIVATE_3072,
	MB_RSA_PRIVATE_4096,
	MB_RSA_PUBLIC_1024,
	MB_RSA_PUBLIC_2048,
	MB_RSA_PUBLIC_3072,
	MB_RSA_PUBLIC_4096,
	MB_ECDSA_SIGN_P256,
	MB_ECDSA_SIGN_P384,
	MB_ECDSA_VERIFY_P256,
	MB_ECDSA_VERIFY_P384,
	MB_DERIVE_P256,
	MB_DERIVE_P384,
	MB_GENERATE_P256,
	MB_GENERATE_P384,
	MB_CLASSES,
	MB_NONE /* not for lanes */
};

/* Numbers as the library takes them: words, the lowest first. In locked memory; constant, and so
 * for every thread. */
struct mb_rsa_key {
	uint64_t n[MB_RSA_MAX_BITS / 64];
	/* Of a private key. */
	uint64_t p[MB_RSA_MAX_BITS / 128], q[MB_RSA_MAX_BITS / 128];
	uint64_t dp[MB_RSA_MAX_BITS / 128], dq[MB_RSA_MAX_BITS / 128];
	uint64_t qinv[MB_RSA_MAX_BITS / 128];
};
struct mb_ec_key {
	uint64_t d[MB_EC_BYTES / 8];
	uint64_t x[MB_EC_BYTES / 8], y[MB_EC_BYTES / 8];
};

struct mb_session {
	const struct session_params *params;
	struct lc_session *single; /* the same for libcrypto */
	union {
		struct mb_rsa_key rsa;
		struct mb_ec_key ec;
	};
};

/* What one thread needs to work; wiped after each use. */
struct mb_scratch {
	uint8_t in[MB_LANES][MB_RSA_BYTES], out[MB_LANES][MB_RSA_BYTES];
	uint8_t spare[MB_RSA_BYTES]; /* where lanes that nobody needs write */
	uint8_t *buffer;             /* the library's, of mb_rsa_buffer_size() bytes */
};

/* The class of a request of the session, by its kind; MB_NONE. */
enum mb_class mb_class_of(const struct session_params *params, unsigned int kind);

/* crypto_mb_rsa.c */
bool mb_rsa_can(const struct session_params *params);
void mb_rsa_key_fill(const struct session_params *params, struct mb_rsa_key *key);
size_t mb_rsa_buffer_size(void);
enum mb_class mb_rsa_class(const struct session_params *params, unsigned int kind);
/* n (1 to MB_LANES) requests of one class, whose handle is their mb_session. Sets the status of
 * each: VC_STATUS_RESOURCE for what libcrypto should do. */
void mb_rsa_run(enum mb_class class, struct vc_request *const *reqs, unsigned int n,
                struct mb_scratch *scratch);

/* crypto_mb_ec.c: the same for ECDSA. */
bool mb_ecdsa_can(const struct session_params *params);
/* False: the point does not lie on the curve. */
bool mb_ec_key_fill(const struct session_params *params, struct mb_ec_key *key);
enum mb_class mb_ecdsa_class(const struct session_params *params, unsigned int kind);
void mb_ecdsa_run(enum mb_class class, struct vc_request *const *reqs, unsigned int n,
                  struct mb_scratch *scratch);

/* A secret number from 1 to the order of the curve less 1, each as likely, as so many words as the
 * order has. */
bool mb_ec_draw(unsigned int curve, uint64_t *number);

/* crypto_mb_agree.c: the same for ECDH, whose sessions have no key. thread: of libcrypto,
 * which looks at points. */
bool mb_agree_can(const struct session_params *params);
enum mb_class mb_agree_class(const struct session_params *params, unsigned int kind);
void mb_agree_run(enum mb_class class, struct vc_request *const *reqs, unsigned int n,
                  struct lc_thread *thread);

/* A big-endian number as words, and back (8 * count bytes). */
void mb_words(uint64_t *words, unsigned int count, const uint8_t *number, size_t len);
void mb_bytes(uint8_t *number, const uint64_t *words, unsigned int count);

#endif
