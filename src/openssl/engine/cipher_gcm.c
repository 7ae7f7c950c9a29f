/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM of the ENGINE: the commands of OpenSSL's legacy interface, turned into parameters of the
 * provider's context, which knows what can be offloaded (cipher_gcm.c there).
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "openssl/engine/cipher.h"

#define GCM_MAX_IV 128 /* bytes, as OpenSSL's own */

/* Bytes done, or -1; see EVP_CIPH_FLAG_CUSTOM_CIPHER. */
static int run(EVP_CIPHER_CTX *ctx, unsigned char *out, const unsigned char *in, size_t size)
{
	struct engine_cipher *e = engine_cipher_of(ctx);
	size_t done = 0;

	return gcm_cipher(e->inner, out, &done, in ? size : AES_BLOCK, in, size) ? (int)done : -1;
}

static int set_iv_len(EVP_CIPHER_CTX *ctx, int number)
{
	struct engine_cipher *e = engine_cipher_of(ctx);
	size_t size = (size_t)number;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &size),
		OSSL_PARAM_construct_end(),
	};

	if (number < 1 || number > GCM_MAX_IV || !gcm_set_ctx_params(e->inner, params))
		return 0;
	e->iv_len = (uint8_t)number;
	return 1;
}

static int control(EVP_CIPHER_CTX *ctx, int command, int number, void *p)
{
	struct engine_cipher *e = engine_cipher_of(ctx);
	size_t size = number < 0 ? 0 : (size_t)number;

	switch (command) {
	case EVP_CTRL_GET_IVLEN:
		*(int *)p = e->iv_len;
		return 1;
	case EVP_CTRL_AEAD_SET_IVLEN:
		return set_iv_len(ctx, number);
	case EVP_CTRL_AEAD_SET_TAG:
		return engine_cipher_set(ctx, OSSL_CIPHER_PARAM_AEAD_TAG, p, size);
	case EVP_CTRL_AEAD_GET_TAG:
		return engine_cipher_get(ctx, OSSL_CIPHER_PARAM_AEAD_TAG, p, size);
	case EVP_CTRL_AEAD_SET_IV_FIXED:
		/* -1: all of the IV, of its own length. */
		return engine_cipher_set(ctx, OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, p,
		                         (size_t)number);
	case EVP_CTRL_GCM_IV_GEN:
		return engine_cipher_get(ctx, OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN, p, size);
	case EVP_CTRL_GCM_SET_IV_INV:
		return engine_cipher_set(ctx, OSSL_CIPHER_PARAM_AEAD_TLS1_SET_IV_INV, p, size);
	case EVP_CTRL_AEAD_TLS1_AAD:
		return engine_cipher_tls_aad(ctx, p, number);
	default:
		return -1;
	}
}

const struct engine_mode engine_gcm = {
	.new = gcm_new,
	.free = gcm_freectx,
	.dup = gcm_dupctx,
	.init = gcm_init,
	.get = gcm_get_ctx_params,
	.set = gcm_set_ctx_params,
	.run = run,
	.control = control,
	.flags = EVP_CIPH_GCM_MODE | EVP_CIPH_CUSTOM_IV | EVP_CIPH_FLAG_CUSTOM_CIPHER |
                 EVP_CIPH_CUSTOM_IV_LENGTH | EVP_CIPH_FLAG_AEAD_CIPHER,
	.block = 1,
	.iv_len = 12,
};
