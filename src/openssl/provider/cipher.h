/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ciphers' contexts have in common: the delegate's context, the key for software and for
 * the device, and of modes that chain blocks the chaining value. Used by one thread at a time, as
 * OpenSSL has it for cipher contexts.
 *
 *   cipher.c           keys, parameters, the tables of functions
 *   cipher_chain.c     the chaining value; data in pieces that are in flight together
 *   cipher_cbc.c ...   one file for each mode
 */
#ifndef VC_OPENSSL_CIPHER_H
#define VC_OPENSSL_CIPHER_H

#include "openssl/core/core.h"
#include "openssl/provider/provider.h"

#define AES_BLOCK ((size_t)16)
#define CIPHER_MAX_KEY 64 /* XTS has two */

/* Of a message that the device and the delegate share: who knows where it stands. */
enum chain_holder {
	CHAIN_SAME,     /* both */
	CHAIN_OURS,     /* chain of struct cipher_ctx: the device worked last */
	CHAIN_DELEGATE, /* the delegate worked last */
};

struct pipeline;

struct cipher_ctx {
	struct provider *provider;
	const struct cipher_delegate *delegate;
	void *inner; /* the delegate's context */
	enum cipher_id id;
	bool encrypt;
	bool key_set;
	uint8_t raw_key[CIPHER_MAX_KEY];
	struct core_key *key;      /* made when first offloaded; for the direction above */
	uint8_t tag_len;           /* AEAD: of the device's session */
	struct pipeline *pipeline; /* its messages, where it is used for several at once */
	/* Modes that chain blocks. */
	bool iv_set;
	enum chain_holder holder;
	uint8_t iv[AES_BLOCK]; /* as given */
	uint8_t chain[AES_BLOCK];
};

/* ---- cipher.c ---- */

/* Bytes of the key of this cipher. */
size_t cipher_key_size(enum cipher_id id);

/* Make and unmake the common part. cipher_copy: *to is a byte copy of *from, make it stand by
 * itself. 1, 0 as OpenSSL has it. */
int cipher_open(struct cipher_ctx *c, void *provctx, enum cipher_id id);
void cipher_close(struct cipher_ctx *c);
int cipher_copy(struct cipher_ctx *to, const struct cipher_ctx *from);

/* The delegate's encrypt_init or decrypt_init. */
int cipher_inner_init(struct cipher_ctx *c, bool encrypt, const uint8_t *key, size_t key_size,
                      const uint8_t *iv, size_t iv_size);
/* The delegate's update: all of it, or 0. */
int cipher_inner_update(struct cipher_ctx *c, uint8_t *out, const uint8_t *in, size_t size);

/* After an init that the delegate took: note direction and, if there is one, the new key. */
void cipher_note_init(struct cipher_ctx *c, bool encrypt, const uint8_t *key);

/* What the device's session is, by cipher, key and direction. */
struct vcrypto_session_params cipher_session(const struct cipher_ctx *c);
/* The key for the device, NULL without memory. */
struct core_key *cipher_core_key(struct cipher_ctx *c);
/* The session is another from now on. */
void cipher_forget_key(struct cipher_ctx *c);

/* Hand one parameter to the delegate. */
int cipher_inner_get(struct cipher_ctx *c, OSSL_PARAM *param);
int cipher_inner_set(struct cipher_ctx *c, const OSSL_PARAM *param);

/* Errors with their reason; 0. */
int cipher_failed(void);
int cipher_too_small(void);
int cipher_no_key(void);

/* ---- cipher_chain.c ---- */

/* An init. restarts: without a new IV a message begins with the last one given (else it goes on).
 */
int chain_init(struct cipher_ctx *c, bool encrypt, const uint8_t *key, size_t key_size,
               const uint8_t *iv, size_t iv_size, bool restarts);
/* Bring the delegate's chaining value up to date, or ours. 1, 0. */
int chain_to_delegate(struct cipher_ctx *c);
int chain_to_us(struct cipher_ctx *c);
/* The delegate does it: size is what it can do at once. */
int chain_software(struct cipher_ctx *c, uint8_t *out, const uint8_t *in, size_t size);
/* The parameter "iv". */
int chain_get_iv(const struct cipher_ctx *c, OSSL_PARAM *p);

/* From the chaining value before so many whole blocks of input to that behind them. */
typedef void chain_advance_fn(uint8_t chain[AES_BLOCK], const uint8_t *in, size_t size);

/* Bytes that one operation may have, whole blocks, with this much beside the data. */
size_t chain_piece(size_t beside);
/* Fill an operation that needs no more than key, IV and data. */
void chain_fill(struct cipher_ctx *c, struct core_op *op, uint8_t *out, const uint8_t *in,
                size_t size, const uint8_t *iv);
/*
 * Whole blocks whose chaining values are known beforehand: all pieces in flight at once. From the
 * first failure on, software, if that is allowed. 1, 0.
 */
int chain_run_parallel(struct cipher_ctx *c, uint8_t *out, const uint8_t *in, size_t size,
                       chain_advance_fn *advance);

/* ---- the modes; what OpenSSL wants by cipher or by direction is in cipher.c ---- */

#define CIPHER_MODE(mode)                                                                          \
	void *mode##_new(void *provctx, enum cipher_id id);                                        \
	int mode##_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size,             \
	                const uint8_t *iv, size_t iv_size, const OSSL_PARAM params[]);             \
	OSSL_FUNC_cipher_freectx_fn mode##_freectx;                                                \
	OSSL_FUNC_cipher_dupctx_fn mode##_dupctx;                                                  \
	OSSL_FUNC_cipher_update_fn mode##_update;                                                  \
	OSSL_FUNC_cipher_final_fn mode##_final;                                                    \
	OSSL_FUNC_cipher_cipher_fn mode##_cipher;                                                  \
	OSSL_FUNC_cipher_get_ctx_params_fn mode##_get_ctx_params;                                  \
	OSSL_FUNC_cipher_set_ctx_params_fn mode##_set_ctx_params;

CIPHER_MODE(cbc)
CIPHER_MODE(ctr)
CIPHER_MODE(xts)
CIPHER_MODE(stitched)
CIPHER_MODE(gcm)
CIPHER_MODE(ccm)
CIPHER_MODE(chacha)

#endif
