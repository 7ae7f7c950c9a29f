/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipelines of OpenSSL 3.5 (EVP_CipherPipelineEncryptInit() and its like): up to 32 messages of one
 * key that go through a context side by side. Each has a context of its mode to itself; what a call
 * brings for all of them goes to the device together.
 *
 * Used by one thread at a time, as OpenSSL has it for cipher contexts.
 */
#ifndef VC_OPENSSL_PIPELINE_H
#define VC_OPENSSL_PIPELINE_H

#include "openssl/provider/cipher.h"

#define PIPELINE_MOST 32 /* EVP_MAX_PIPES */

/* What a mode does for one message; the first five as for any context of it. */
struct pipeline_mode {
	OSSL_FUNC_cipher_dupctx_fn *dup;
	OSSL_FUNC_cipher_freectx_fn *free;
	int (*init)(void *ctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
	            size_t iv_size, const OSSL_PARAM params[]);
	OSSL_FUNC_cipher_update_fn *update;
	OSSL_FUNC_cipher_final_fn *final;
	OSSL_FUNC_cipher_get_ctx_params_fn *get;
	OSSL_FUNC_cipher_set_ctx_params_fn *set;
	/*
	 * Make an operation of what an update brings (*size bytes of data), beside so many others;
	 * *size: how much of it. 1; 0 failed; -1: update has to do it.
	 */
	int (*take)(void *ctx, struct core_op *op, uint8_t *out, const uint8_t *in, size_t *size,
	            size_t pipes);
	/* It came back: do in software what was not done. 1, and op->length bytes are written; 0.
	 */
	int (*finish)(void *ctx, const struct core_op *op);
};

struct pipeline;

/*
 * Begin messages: contexts are made of first, with its settings, and kept there (first->pipeline).
 * 1, 0 as OpenSSL has it.
 */
int pipeline_init(struct cipher_ctx *first, const struct pipeline_mode *mode, bool encrypt,
                  const uint8_t *key, size_t key_size, size_t pipes, const uint8_t **iv,
                  size_t iv_size, const OSSL_PARAM params[]);
void pipeline_free(struct pipeline *pipeline);
/* NULL without memory. */
struct pipeline *pipeline_dup(const struct pipeline *pipeline);

/* out NULL, or NULL in it: additional data. Lengths and sizes are those of each pipe. */
int pipeline_update(struct pipeline *pipeline, size_t pipes, uint8_t **out, size_t *outl,
                    const size_t *outsize, const uint8_t **in, const size_t *inl);
int pipeline_final(struct pipeline *pipeline, size_t pipes, uint8_t **out, size_t *outl,
                   const size_t *outsize);
/* Parameters of all messages: "pipeline-tag", an array of tags; the others are alike for all. */
int pipeline_get(struct pipeline *pipeline, OSSL_PARAM params[]);
int pipeline_set(struct pipeline *pipeline, const OSSL_PARAM params[]);

extern const struct pipeline_mode cbc_pipeline, gcm_pipeline;

#endif
