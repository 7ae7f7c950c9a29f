/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ENGINE's ciphers: OpenSSL's legacy interface for ciphers around the provider's contexts
 * (openssl/provider/cipher.h), which do the work and know whose turn it is.
 *
 * The chaining value is also in the EVP_CIPHER_CTX, where libcrypto sets it and others read it: it
 * is compared before each call, and brought up to date after it.
 *
 * Pipelines: libssl gives up to 32 records to one call (SSL_CTX_set_max_pipelines), each of which
 * begins with an explicit IV of its own. So records need not wait for each other's last block, and
 * all are in flight together. Used by one thread at a time, as OpenSSL has it for contexts.
 */
#ifndef VC_OPENSSL_ENGINE_CIPHER_H
#define VC_OPENSSL_ENGINE_CIPHER_H

#include <openssl/evp.h>

#include "openssl/engine/engine.h"
#include "openssl/provider/cipher.h"

#define PIPES 32
#define TLS_AAD 13

/* In the ENGINE's ciphers: what libcrypto keeps for us in an EVP_CIPHER_CTX, zeroed before. */
struct engine_cipher {
	void *inner;           /* the provider's context */
	uint8_t iv[AES_BLOCK]; /* the chaining value when the last call returned */
	uint8_t iv_len;        /* may be set for GCM */
	/* Announced for the next call. */
	unsigned int outs, ins, lengths, aads;
	uint8_t *out[PIPES];
	const uint8_t *in[PIPES];
	size_t length[PIPES];
	uint8_t aad[PIPES][TLS_AAD];
};

/* What a mode has for itself; the functions are of the provider's kind. */
struct engine_mode {
	void *(*new)(void *provctx, enum cipher_id id);
	void (*free)(void *inner);
	void *(*dup)(void *inner);
	int (*init)(void *inner, bool encrypt, const uint8_t *key, size_t key_size,
	            const uint8_t *iv, size_t iv_size, const OSSL_PARAM params[]);
	int (*get)(void *inner, OSSL_PARAM params[]);
	int (*set)(void *inner, const OSSL_PARAM params[]);
	/* As EVP_CIPHER_meth_set_do_cipher() has it. */
	int (*run)(EVP_CIPHER_CTX *ctx, unsigned char *out, const unsigned char *in, size_t size);
	/* Commands that are not for all; -1 for those that it does not know. */
	int (*control)(EVP_CIPHER_CTX *ctx, int command, int number, void *p);
	unsigned long flags;
	int block, iv_len;
};

extern const struct engine_mode engine_cbc, engine_stitched, engine_gcm;

static inline struct engine_cipher *engine_cipher_of(const EVP_CIPHER_CTX *ctx)
{
	return EVP_CIPHER_CTX_get_cipher_data(ctx);
}

/* ---- cipher.c ---- */

/* One parameter of the provider's context. */
int engine_cipher_set(EVP_CIPHER_CTX *ctx, const char *name, void *p, size_t size);
int engine_cipher_get(EVP_CIPHER_CTX *ctx, const char *name, void *p, size_t size);
/* The parameters "tlsaad" and "tlsaadpad": bytes that the record grows by, or 0. */
int engine_cipher_tls_aad(EVP_CIPHER_CTX *ctx, void *aad, int size);

/* Take over the chaining value that libcrypto has, where it is not ours. 1, 0. */
int engine_cipher_begin(EVP_CIPHER_CTX *ctx);
/* The last block of ciphertext is the chaining value. */
void engine_cipher_end(EVP_CIPHER_CTX *ctx, const uint8_t last[AES_BLOCK]);

/*
 * What has been announced. How many records: 0 for none, and *out, *in and *size are the call's;
 * -1 if it does not fit together. Announcements are over then.
 */
int engine_cipher_pipes(struct engine_cipher *c);

#endif
