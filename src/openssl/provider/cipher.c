/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ciphers have in common, and the tables of their functions. See cipher.h.
 */
#include "openssl/provider/cipher.h"
#include "openssl/provider/pipeline.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

/* What each cipher is, here and at the device. */
static const struct cipher_info {
	const char *name;
	uint8_t key_size;
	uint8_t service;   /* enum vcrypto_service */
	uint8_t algorithm; /* enum vcrypto_cipher or vcrypto_aead */
	uint8_t mac;       /* enum vcrypto_mac: authenticated, then enciphered */
} infos[CIPHERS] = {
	[AES_128_CBC] = {"AES-128-CBC", 16, VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CBC, 0},
	[AES_192_CBC] = {"AES-192-CBC", 24, VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CBC, 0},
	[AES_256_CBC] = {"AES-256-CBC", 32, VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CBC, 0},
	[AES_128_CTR] = {"AES-128-CTR", 16, VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CTR, 0},
	[AES_192_CTR] = {"AES-192-CTR", 24, VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CTR, 0},
	[AES_256_CTR] = {"AES-256-CTR", 32, VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CTR, 0},
	[AES_128_XTS] = {"AES-128-XTS", 32, VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_XTS, 0},
	[AES_256_XTS] = {"AES-256-XTS", 64, VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_XTS, 0},
	[AES_128_CBC_HMAC_SHA1] = {"AES-128-CBC-HMAC-SHA1", 16, VCRYPTO_SERVICE_CIPHER,
                                   VCRYPTO_CIPHER_AES_CBC, VCRYPTO_MAC_HMAC_SHA1},
	[AES_256_CBC_HMAC_SHA1] = {"AES-256-CBC-HMAC-SHA1", 32, VCRYPTO_SERVICE_CIPHER,
                                   VCRYPTO_CIPHER_AES_CBC, VCRYPTO_MAC_HMAC_SHA1},
	[AES_128_CBC_HMAC_SHA256] = {"AES-128-CBC-HMAC-SHA256", 16, VCRYPTO_SERVICE_CIPHER,
                                     VCRYPTO_CIPHER_AES_CBC, VCRYPTO_MAC_HMAC_SHA256},
	[AES_256_CBC_HMAC_SHA256] = {"AES-256-CBC-HMAC-SHA256", 32, VCRYPTO_SERVICE_CIPHER,
                                     VCRYPTO_CIPHER_AES_CBC, VCRYPTO_MAC_HMAC_SHA256},
	[AES_128_GCM] = {"AES-128-GCM", 16, VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_GCM, 0},
	[AES_192_GCM] = {"AES-192-GCM", 24, VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_GCM, 0},
	[AES_256_GCM] = {"AES-256-GCM", 32, VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_GCM, 0},
	[AES_128_CCM] = {"AES-128-CCM", 16, VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_CCM, 0},
	[AES_192_CCM] = {"AES-192-CCM", 24, VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_CCM, 0},
	[AES_256_CCM] = {"AES-256-CCM", 32, VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_CCM, 0},
	[CHACHA20_POLY1305] = {"ChaCha20-Poly1305", 32, VCRYPTO_SERVICE_AEAD,
                               VCRYPTO_AEAD_CHACHA20_POLY1305, 0},
};

const char *cipher_name(enum cipher_id id)
{
	return infos[id].name;
}

size_t cipher_key_size(enum cipher_id id)
{
	return infos[id].key_size;
}

int cipher_open(struct cipher_ctx *c, void *provctx, enum cipher_id id)
{
	c->provider = provctx;
	c->delegate = &c->provider->cipher[id];
	c->id = id;
	c->inner = c->delegate->newctx(c->provider->delegate_ctx);
	return c->inner != NULL;
}

void cipher_close(struct cipher_ctx *c)
{
	pipeline_free(c->pipeline);
	if (c->inner)
		c->delegate->freectx(c->inner);
	core_key_free(c->key);
	OPENSSL_cleanse(c->raw_key, sizeof(c->raw_key));
}

int cipher_copy(struct cipher_ctx *to, const struct cipher_ctx *from)
{
	to->inner = from->delegate->dupctx(from->inner);
	to->key = from->key ? core_key_ref(from->key) : NULL;
	to->pipeline = from->pipeline ? pipeline_dup(from->pipeline) : NULL;
	return to->inner != NULL && (to->pipeline || !from->pipeline);
}

int cipher_inner_init(struct cipher_ctx *c, bool encrypt, const uint8_t *key, size_t key_size,
                      const uint8_t *iv, size_t iv_size)
{
	const struct cipher_delegate *d = c->delegate;

	if (encrypt)
		return d->encrypt_init(c->inner, key, key_size, iv, iv_size, NULL);
	return d->decrypt_init(c->inner, key, key_size, iv, iv_size, NULL);
}

int cipher_inner_update(struct cipher_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	size_t done = 0;

	return c->delegate->update(c->inner, out, &done, size, in, size) && done == size;
}

void cipher_forget_key(struct cipher_ctx *c)
{
	core_key_free(c->key);
	c->key = NULL;
}

void cipher_note_init(struct cipher_ctx *c, bool encrypt, const uint8_t *key)
{
	/* What a context was before. */
	pipeline_free(c->pipeline);
	c->pipeline = NULL;
	if (key || c->encrypt != encrypt)
		cipher_forget_key(c);
	c->encrypt = encrypt;
	if (key) {
		memcpy(c->raw_key, key, cipher_key_size(c->id));
		c->key_set = true;
	}
}

struct vcrypto_session_params cipher_session(const struct cipher_ctx *c)
{
	const struct cipher_info *info = &infos[c->id];

	return (struct vcrypto_session_params){
		.service = info->service,
		.algorithm = info->algorithm,
		.direction = c->encrypt ? VCRYPTO_ENCRYPT : VCRYPTO_DECRYPT,
		.key = c->raw_key,
		.key_len = info->key_size,
		.chain = info->mac ? VCRYPTO_CHAIN_HASH_THEN_CIPHER : VCRYPTO_CHAIN_NONE,
		.mac = info->mac,
		.tag_len = c->tag_len,
	};
}

struct core_key *cipher_core_key(struct cipher_ctx *c)
{
	const struct vcrypto_session_params params = cipher_session(c);

	if (!c->key && core_key_new(&params, &c->key))
		c->key = NULL;
	return c->key;
}

int cipher_inner_get(struct cipher_ctx *c, OSSL_PARAM *param)
{
	OSSL_PARAM one[2] = {*param, OSSL_PARAM_END};
	int ok = c->delegate->get_ctx_params(c->inner, one);

	*param = one[0];
	return ok;
}

int cipher_inner_set(struct cipher_ctx *c, const OSSL_PARAM *param)
{
	const OSSL_PARAM one[2] = {*param, OSSL_PARAM_END};

	return c->delegate->set_ctx_params(c->inner, one);
}

int cipher_failed(void)
{
	ERR_raise(ERR_LIB_PROV, PROV_R_CIPHER_OPERATION_FAILED);
	return 0;
}

int cipher_too_small(void)
{
	ERR_raise(ERR_LIB_PROV, PROV_R_OUTPUT_BUFFER_TOO_SMALL);
	return 0;
}

int cipher_no_key(void)
{
	ERR_raise(ERR_LIB_PROV, PROV_R_NO_KEY_SET);
	return 0;
}

/* ------------------------------------------------------------------------------------ tables */

typedef void (*any_function)(void);

/* These take no context that would say which cipher is meant; ciphers of a mode answer alike. */

#define MODE_PARAMS(mode, id)                                                                      \
	static const OSSL_PARAM *mode##_gettable_params(void *provctx)                             \
	{                                                                                          \
		const struct provider *p = provctx;                                                \
		return p->cipher[id].gettable_params(p->delegate_ctx);                             \
	}                                                                                          \
	static const OSSL_PARAM *mode##_gettable_ctx_params(void *vctx, void *provctx)             \
	{                                                                                          \
		const struct cipher_ctx *c = vctx;                                                 \
		const struct provider *p = provctx;                                                \
		return p->cipher[id].gettable_ctx_params(c ? c->inner : NULL, p->delegate_ctx);    \
	}                                                                                          \
	static const OSSL_PARAM *mode##_settable_ctx_params(void *vctx, void *provctx)             \
	{                                                                                          \
		const struct cipher_ctx *c = vctx;                                                 \
		const struct provider *p = provctx;                                                \
		return p->cipher[id].settable_ctx_params(c ? c->inner : NULL, p->delegate_ctx);    \
	}

MODE_PARAMS(cbc, AES_128_CBC)
MODE_PARAMS(ctr, AES_128_CTR)
MODE_PARAMS(xts, AES_128_XTS)
MODE_PARAMS(stitched, AES_128_CBC_HMAC_SHA1)
MODE_PARAMS(gcm, AES_128_GCM)
MODE_PARAMS(ccm, AES_128_CCM)
MODE_PARAMS(chacha, CHACHA20_POLY1305)

#define DIRECTION(mode, direction, encrypt)                                                        \
	static OSSL_FUNC_cipher_##direction##_init_fn mode##_##direction##_init;                   \
	static int mode##_##direction##_init(void *vctx, const unsigned char *key,                 \
	                                     size_t key_size, const unsigned char *iv,             \
	                                     size_t iv_size, const OSSL_PARAM params[])            \
	{                                                                                          \
		return mode##_init(vctx, encrypt, key, key_size, iv, iv_size, params);             \
	}

DIRECTION(cbc, encrypt, true)
DIRECTION(cbc, decrypt, false)
DIRECTION(ctr, encrypt, true)
DIRECTION(ctr, decrypt, false)
DIRECTION(xts, encrypt, true)
DIRECTION(xts, decrypt, false)
DIRECTION(stitched, encrypt, true)
DIRECTION(stitched, decrypt, false)
DIRECTION(gcm, encrypt, true)
DIRECTION(gcm, decrypt, false)
DIRECTION(ccm, encrypt, true)
DIRECTION(ccm, decrypt, false)
DIRECTION(chacha, encrypt, true)
DIRECTION(chacha, decrypt, false)

#ifdef OSSL_FUNC_CIPHER_PIPELINE_ENCRYPT_INIT

#define PIPELINE_DIRECTION(mode, direction, encrypt)                                               \
	static OSSL_FUNC_cipher_pipeline_##direction##_init_fn mode##_pipeline_##direction##_init; \
	static int mode##_pipeline_##direction##_init(                                             \
		void *vctx, const unsigned char *key, size_t key_size, size_t pipes,               \
		const unsigned char **iv, size_t iv_size, const OSSL_PARAM params[])               \
	{                                                                                          \
		return pipeline_init(vctx, &mode##_pipeline, encrypt, key, key_size, pipes, iv,    \
		                     iv_size, params);                                             \
	}

PIPELINE_DIRECTION(cbc, encrypt, true)
PIPELINE_DIRECTION(cbc, decrypt, false)
PIPELINE_DIRECTION(gcm, encrypt, true)
PIPELINE_DIRECTION(gcm, decrypt, false)

static OSSL_FUNC_cipher_pipeline_update_fn pipelines_update;
static int pipelines_update(void *vctx, size_t pipes, unsigned char **out, size_t *outl,
                            const size_t *outsize, const unsigned char **in, const size_t *inl)
{
	return pipeline_update(((struct cipher_ctx *)vctx)->pipeline, pipes, out, outl, outsize, in,
	                       inl);
}

static OSSL_FUNC_cipher_pipeline_final_fn pipelines_final;
static int pipelines_final(void *vctx, size_t pipes, unsigned char **out, size_t *outl,
                           const size_t *outsize)
{
	return pipeline_final(((struct cipher_ctx *)vctx)->pipeline, pipes, out, outl, outsize);
}

#define PIPELINES(mode)                                                                            \
	{OSSL_FUNC_CIPHER_PIPELINE_ENCRYPT_INIT, (any_function)mode##_pipeline_encrypt_init},      \
		{OSSL_FUNC_CIPHER_PIPELINE_DECRYPT_INIT,                                           \
	         (any_function)mode##_pipeline_decrypt_init},                                      \
		{OSSL_FUNC_CIPHER_PIPELINE_UPDATE, (any_function)pipelines_update},                \
		{OSSL_FUNC_CIPHER_PIPELINE_FINAL, (any_function)pipelines_final},

#else
#define PIPELINES(mode)
#endif

#define NEWCTX(name, mode, id)                                                                     \
	static void *name##_newctx(void *provctx)                                                  \
	{                                                                                          \
		return mode##_new(provctx, id);                                                    \
	}

NEWCTX(aes_128_cbc, cbc, AES_128_CBC)
NEWCTX(aes_192_cbc, cbc, AES_192_CBC)
NEWCTX(aes_256_cbc, cbc, AES_256_CBC)
NEWCTX(aes_128_ctr, ctr, AES_128_CTR)
NEWCTX(aes_192_ctr, ctr, AES_192_CTR)
NEWCTX(aes_256_ctr, ctr, AES_256_CTR)
NEWCTX(aes_128_xts, xts, AES_128_XTS)
NEWCTX(aes_256_xts, xts, AES_256_XTS)
NEWCTX(aes_128_cbc_hmac_sha1, stitched, AES_128_CBC_HMAC_SHA1)
NEWCTX(aes_256_cbc_hmac_sha1, stitched, AES_256_CBC_HMAC_SHA1)
NEWCTX(aes_128_cbc_hmac_sha256, stitched, AES_128_CBC_HMAC_SHA256)
NEWCTX(aes_256_cbc_hmac_sha256, stitched, AES_256_CBC_HMAC_SHA256)
NEWCTX(aes_128_gcm, gcm, AES_128_GCM)
NEWCTX(aes_192_gcm, gcm, AES_192_GCM)
NEWCTX(aes_256_gcm, gcm, AES_256_GCM)
NEWCTX(aes_128_ccm, ccm, AES_128_CCM)
NEWCTX(aes_192_ccm, ccm, AES_192_CCM)
NEWCTX(aes_256_ccm, ccm, AES_256_CCM)
NEWCTX(chacha20_poly1305, chacha, CHACHA20_POLY1305)

/* get_params has neither context nor provider to work on: the delegate's own is taken. */
#define TABLE(name, mode) TABLE_AND(name, mode, )
#define TABLE_AND(name, mode, more)                                                                \
	{                                                                                          \
		{OSSL_FUNC_CIPHER_NEWCTX, (any_function)name##_newctx},                            \
			{OSSL_FUNC_CIPHER_FREECTX, (any_function)mode##_freectx},                  \
			{OSSL_FUNC_CIPHER_DUPCTX, (any_function)mode##_dupctx},                    \
			{OSSL_FUNC_CIPHER_ENCRYPT_INIT, (any_function)mode##_encrypt_init},        \
			{OSSL_FUNC_CIPHER_DECRYPT_INIT, (any_function)mode##_decrypt_init},        \
			{OSSL_FUNC_CIPHER_UPDATE, (any_function)mode##_update},                    \
			{OSSL_FUNC_CIPHER_FINAL, (any_function)mode##_final},                      \
			{OSSL_FUNC_CIPHER_CIPHER, (any_function)mode##_cipher},                    \
			{OSSL_FUNC_CIPHER_GET_PARAMS, NULL},                                       \
			{OSSL_FUNC_CIPHER_GET_CTX_PARAMS, (any_function)mode##_get_ctx_params},    \
			{OSSL_FUNC_CIPHER_SET_CTX_PARAMS, (any_function)mode##_set_ctx_params},    \
			{OSSL_FUNC_CIPHER_GETTABLE_PARAMS, (any_function)mode##_gettable_params},  \
			{OSSL_FUNC_CIPHER_GETTABLE_CTX_PARAMS,                                     \
		         (any_function)mode##_gettable_ctx_params},                                \
			{OSSL_FUNC_CIPHER_SETTABLE_CTX_PARAMS,                                     \
		         (any_function)mode##_settable_ctx_params},                                \
			more                                                                       \
		{                                                                                  \
			0, NULL                                                                    \
		}                                                                                  \
	}

const OSSL_DISPATCH *cipher_dispatch(enum cipher_id id)
{
	static const OSSL_DISPATCH tables[CIPHERS][19] = {
		[AES_128_CBC] = TABLE_AND(aes_128_cbc, cbc, PIPELINES(cbc)),
		[AES_192_CBC] = TABLE_AND(aes_192_cbc, cbc, PIPELINES(cbc)),
		[AES_256_CBC] = TABLE_AND(aes_256_cbc, cbc, PIPELINES(cbc)),
		[AES_128_CTR] = TABLE(aes_128_ctr, ctr),
		[AES_192_CTR] = TABLE(aes_192_ctr, ctr),
		[AES_256_CTR] = TABLE(aes_256_ctr, ctr),
		[AES_128_XTS] = TABLE(aes_128_xts, xts),
		[AES_256_XTS] = TABLE(aes_256_xts, xts),
		[AES_128_CBC_HMAC_SHA1] = TABLE(aes_128_cbc_hmac_sha1, stitched),
		[AES_256_CBC_HMAC_SHA1] = TABLE(aes_256_cbc_hmac_sha1, stitched),
		[AES_128_CBC_HMAC_SHA256] = TABLE(aes_128_cbc_hmac_sha256, stitched),
		[AES_256_CBC_HMAC_SHA256] = TABLE(aes_256_cbc_hmac_sha256, stitched),
		[AES_128_GCM] = TABLE_AND(aes_128_gcm, gcm, PIPELINES(gcm)),
		[AES_192_GCM] = TABLE_AND(aes_192_gcm, gcm, PIPELINES(gcm)),
		[AES_256_GCM] = TABLE_AND(aes_256_gcm, gcm, PIPELINES(gcm)),
		[AES_128_CCM] = TABLE(aes_128_ccm, ccm),
		[AES_192_CCM] = TABLE(aes_192_ccm, ccm),
		[AES_256_CCM] = TABLE(aes_256_ccm, ccm),
		[CHACHA20_POLY1305] = TABLE(chacha20_poly1305, chacha),
	};

	return tables[id];
}
