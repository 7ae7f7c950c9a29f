/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ciphers have in common, and the tables of their functions. See cipher.h.
 */
#include "openssl/provider/cipher.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/params.h>

size_t cipher_key_size(enum cipher_id id)
{
	static const uint8_t sizes[CIPHERS] = {
		[AES_128_CBC] = 16, [AES_192_CBC] = 24, [AES_256_CBC] = 32,
		[AES_128_GCM] = 16, [AES_192_GCM] = 24, [AES_256_GCM] = 32,
	};

	return sizes[id];
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
	if (c->inner)
		c->delegate->freectx(c->inner);
	core_key_free(c->key);
	OPENSSL_cleanse(c->raw_key, sizeof(c->raw_key));
}

int cipher_copy(struct cipher_ctx *to, const struct cipher_ctx *from)
{
	to->inner = from->delegate->dupctx(from->inner);
	to->key = from->key ? core_key_ref(from->key) : NULL;
	return to->inner != NULL;
}

int cipher_inner_init(struct cipher_ctx *c, bool encrypt, const uint8_t *key, size_t key_size,
                      const uint8_t *iv, size_t iv_size)
{
	const struct cipher_delegate *d = c->delegate;

	if (encrypt)
		return d->encrypt_init(c->inner, key, key_size, iv, iv_size, NULL);
	return d->decrypt_init(c->inner, key, key_size, iv, iv_size, NULL);
}

void cipher_note_init(struct cipher_ctx *c, bool encrypt, const uint8_t *key)
{
	if (key || c->encrypt != encrypt) {
		core_key_free(c->key);
		c->key = NULL;
	}
	c->encrypt = encrypt;
	if (key) {
		memcpy(c->raw_key, key, cipher_key_size(c->id));
		c->key_set = true;
	}
}

struct core_key *cipher_core_key(struct cipher_ctx *c)
{
	bool gcm = c->id >= CIPHER_GCM;
	const struct vcrypto_session_params params = {
		.service = gcm ? VCRYPTO_SERVICE_AEAD : VCRYPTO_SERVICE_CIPHER,
		.algorithm = gcm ? VCRYPTO_AEAD_GCM : VCRYPTO_CIPHER_AES_CBC,
		.direction = c->encrypt ? VCRYPTO_ENCRYPT : VCRYPTO_DECRYPT,
		.key = c->raw_key,
		.key_len = cipher_key_size(c->id),
		.tag_len = gcm ? 16 : 0,
	};

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

/* ------------------------------------------------------------------------------------ tables */

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
MODE_PARAMS(gcm, AES_128_GCM)

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
DIRECTION(gcm, encrypt, true)
DIRECTION(gcm, decrypt, false)

#define NEWCTX(name, mode, id)                                                                     \
	static void *name##_newctx(void *provctx)                                                  \
	{                                                                                          \
		return mode##_new(provctx, id);                                                    \
	}

NEWCTX(aes_128_cbc, cbc, AES_128_CBC)
NEWCTX(aes_192_cbc, cbc, AES_192_CBC)
NEWCTX(aes_256_cbc, cbc, AES_256_CBC)
NEWCTX(aes_128_gcm, gcm, AES_128_GCM)
NEWCTX(aes_192_gcm, gcm, AES_192_GCM)
NEWCTX(aes_256_gcm, gcm, AES_256_GCM)

typedef void (*any_function)(void);

/* get_params has neither context nor provider to work on: the delegate's own is taken. */
#define TABLE(name, mode)                                                                          \
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
		{                                                                                  \
			0, NULL                                                                    \
		}                                                                                  \
	}

const OSSL_DISPATCH *cipher_dispatch(enum cipher_id id)
{
	static const OSSL_DISPATCH tables[CIPHERS][15] = {
		[AES_128_CBC] = TABLE(aes_128_cbc, cbc), [AES_192_CBC] = TABLE(aes_192_cbc, cbc),
		[AES_256_CBC] = TABLE(aes_256_cbc, cbc), [AES_128_GCM] = TABLE(aes_128_gcm, gcm),
		[AES_192_GCM] = TABLE(aes_192_gcm, gcm), [AES_256_GCM] = TABLE(aes_256_gcm, gcm),
	};

	return tables[id];
}
