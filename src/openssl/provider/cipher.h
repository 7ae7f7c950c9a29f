/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the CBC and GCM contexts have in common: the delegate's context, the key for software and
 * for the device. Used by one thread at a time, as OpenSSL has it for cipher contexts.
 */
#ifndef VC_OPENSSL_CIPHER_H
#define VC_OPENSSL_CIPHER_H

#include "openssl/core/core.h"
#include "openssl/provider/provider.h"

#define AES_BLOCK ((size_t)16)

struct cipher_ctx {
	struct provider *provider;
	const struct cipher_delegate *delegate;
	void *inner; /* the delegate's context */
	enum cipher_id id;
	bool encrypt;
	bool key_set;
	uint8_t raw_key[32];
	struct core_key *key; /* made when first offloaded; for the direction above */
};

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

/* After an init that the delegate took: note direction and, if there is one, the new key. */
void cipher_note_init(struct cipher_ctx *c, bool encrypt, const uint8_t *key);

/* The key for the device, NULL without memory. */
struct core_key *cipher_core_key(struct cipher_ctx *c);

/* Hand one parameter to the delegate. */
int cipher_inner_get(struct cipher_ctx *c, OSSL_PARAM *param);
int cipher_inner_set(struct cipher_ctx *c, const OSSL_PARAM *param);

/* The functions of the modes; what OpenSSL wants by cipher or by direction is in cipher.c. */
void *cbc_new(void *provctx, enum cipher_id id);
int cbc_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
             size_t iv_size, const OSSL_PARAM params[]);
OSSL_FUNC_cipher_freectx_fn cbc_freectx;
OSSL_FUNC_cipher_dupctx_fn cbc_dupctx;
OSSL_FUNC_cipher_update_fn cbc_update;
OSSL_FUNC_cipher_final_fn cbc_final;
OSSL_FUNC_cipher_cipher_fn cbc_cipher;
OSSL_FUNC_cipher_get_ctx_params_fn cbc_get_ctx_params;
OSSL_FUNC_cipher_set_ctx_params_fn cbc_set_ctx_params;

void *gcm_new(void *provctx, enum cipher_id id);
int gcm_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
             size_t iv_size, const OSSL_PARAM params[]);
OSSL_FUNC_cipher_freectx_fn gcm_freectx;
OSSL_FUNC_cipher_dupctx_fn gcm_dupctx;
OSSL_FUNC_cipher_update_fn gcm_update;
OSSL_FUNC_cipher_final_fn gcm_final;
OSSL_FUNC_cipher_cipher_fn gcm_cipher;
OSSL_FUNC_cipher_get_ctx_params_fn gcm_get_ctx_params;
OSSL_FUNC_cipher_set_ctx_params_fn gcm_set_ctx_params;

#endif
