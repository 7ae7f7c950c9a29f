/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of the ENGINE's ciphers, and what they have in common. See cipher.h.
 */
#include "openssl/engine/cipher.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/objects.h>
#include <openssl/params.h>

#include "base/util.h"

static const struct {
	int nid;
	enum cipher_id id;
	const struct engine_mode *mode;
} table[] = {
	{NID_aes_128_cbc, AES_128_CBC, &engine_cbc},
	{NID_aes_192_cbc, AES_192_CBC, &engine_cbc},
	{NID_aes_256_cbc, AES_256_CBC, &engine_cbc},
	{NID_aes_128_gcm, AES_128_GCM, &engine_gcm},
	{NID_aes_192_gcm, AES_192_GCM, &engine_gcm},
	{NID_aes_256_gcm, AES_256_GCM, &engine_gcm},
	{NID_aes_128_cbc_hmac_sha1, AES_128_CBC_HMAC_SHA1, &engine_stitched},
	{NID_aes_256_cbc_hmac_sha1, AES_256_CBC_HMAC_SHA1, &engine_stitched},
	{NID_aes_128_cbc_hmac_sha256, AES_128_CBC_HMAC_SHA256, &engine_stitched},
	{NID_aes_256_cbc_hmac_sha256, AES_256_CBC_HMAC_SHA256, &engine_stitched},
};

/* Those that there are, made at start-up; of others both are absent. */
static EVP_CIPHER *methods[vc_array_size(table)];
static int nids[vc_array_size(table)];
static int count;

static size_t row_of(int nid)
{
	size_t i = 0;

	while (i < vc_array_size(table) && table[i].nid != nid)
		i++;
	return i;
}

/* Only for contexts of ours. */
static const struct engine_mode *mode_of(const EVP_CIPHER_CTX *ctx)
{
	return table[row_of(EVP_CIPHER_CTX_get_nid(ctx))].mode;
}

/* ----------------------------------------------------------------------------------- parameters */

int engine_cipher_set(EVP_CIPHER_CTX *ctx, const char *name, void *p, size_t size)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(name, p, size),
		OSSL_PARAM_construct_end(),
	};

	return mode_of(ctx)->set(engine_cipher_of(ctx)->inner, params);
}

int engine_cipher_get(EVP_CIPHER_CTX *ctx, const char *name, void *p, size_t size)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(name, p, size),
		OSSL_PARAM_construct_end(),
	};

	return mode_of(ctx)->get(engine_cipher_of(ctx)->inner, params);
}

int engine_cipher_tls_aad(EVP_CIPHER_CTX *ctx, void *aad, int size)
{
	size_t pad = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD, &pad),
		OSSL_PARAM_construct_end(),
	};

	if (size != TLS_AAD ||
	    !engine_cipher_set(ctx, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD, aad, TLS_AAD))
		return 0;
	return mode_of(ctx)->get(engine_cipher_of(ctx)->inner, params) ? (int)pad : 0;
}

/* --------------------------------------------------------------------------- the chaining value */

int engine_cipher_begin(EVP_CIPHER_CTX *ctx)
{
	struct engine_cipher *c = engine_cipher_of(ctx);
	const uint8_t *iv = EVP_CIPHER_CTX_iv(ctx);

	if (!memcmp(c->iv, iv, AES_BLOCK))
		return 1;
	memcpy(c->iv, iv, AES_BLOCK);
	return mode_of(ctx)->init(c->inner, EVP_CIPHER_CTX_is_encrypting(ctx), NULL, 0, iv,
	                          AES_BLOCK, NULL);
}

void engine_cipher_end(EVP_CIPHER_CTX *ctx, const uint8_t last[AES_BLOCK])
{
	memcpy(engine_cipher_of(ctx)->iv, last, AES_BLOCK);
	memcpy(EVP_CIPHER_CTX_iv_noconst(ctx), last, AES_BLOCK);
}

/* ------------------------------------------------------------------------------------ pipelines */

/* The arrays are on libssl's stack, and one after the other in the same place. */
static int announce(struct engine_cipher *c, int command, int n, const void *p)
{
	if (n < 1 || n > PIPES || !p)
		return 0;
	switch (command) {
	case EVP_CTRL_SET_PIPELINE_OUTPUT_BUFS:
		memcpy(c->out, p, (size_t)n * sizeof(c->out[0]));
		c->outs = (unsigned int)n;
		return 1;
	case EVP_CTRL_SET_PIPELINE_INPUT_BUFS:
		memcpy(c->in, p, (size_t)n * sizeof(c->in[0]));
		c->ins = (unsigned int)n;
		return 1;
	default:
		memcpy(c->length, p, (size_t)n * sizeof(c->length[0]));
		c->lengths = (unsigned int)n;
		return 1;
	}
}

int engine_cipher_pipes(struct engine_cipher *c)
{
	unsigned int n = c->outs;
	bool fits = c->ins == n && c->lengths == n;

	c->outs = c->ins = c->lengths = 0;
	return fits ? (int)n : -1;
}

/* -------------------------------------------------------------------------------------- methods */

static int cipher_init(EVP_CIPHER_CTX *ctx, const unsigned char *key, const unsigned char *iv,
                       int encrypt)
{
	const struct engine_mode *mode = mode_of(ctx);
	struct engine_cipher *c = engine_cipher_of(ctx);

	if (!c->inner)
		return 0;
	/* libcrypto has set its own already: to this IV, or back to the one before. */
	if (mode != &engine_gcm) {
		memcpy(c->iv, EVP_CIPHER_CTX_iv(ctx), AES_BLOCK);
		iv = c->iv;
	}
	/* libcrypto may remember another length of the IV than was set. */
	return mode->init(c->inner, encrypt, key, (size_t)EVP_CIPHER_CTX_get_key_length(ctx), iv,
	                  c->iv_len, NULL);
}

static int cipher_cleanup(EVP_CIPHER_CTX *ctx)
{
	struct engine_cipher *c = engine_cipher_of(ctx);

	if (c && c->inner)
		mode_of(ctx)->free(c->inner);
	if (c)
		c->inner = NULL;
	return 1;
}

static int cipher_copy_to(const struct engine_mode *mode, struct engine_cipher *to)
{
	if (to->inner)
		to->inner = mode->dup(to->inner);
	return to->inner != NULL;
}

static int cipher_control(EVP_CIPHER_CTX *ctx, int command, int number, void *p)
{
	struct engine_cipher *c = engine_cipher_of(ctx);
	size_t row = row_of(EVP_CIPHER_CTX_get_nid(ctx));

	switch (command) {
	case EVP_CTRL_INIT:
		c->inner = table[row].mode->new (&engine_front, table[row].id);
		c->iv_len = (uint8_t)table[row].mode->iv_len;
		return c->inner != NULL;
	case EVP_CTRL_COPY:
		return cipher_copy_to(table[row].mode, engine_cipher_of(p));
	case EVP_CTRL_SET_PIPELINE_OUTPUT_BUFS:
	case EVP_CTRL_SET_PIPELINE_INPUT_BUFS:
	case EVP_CTRL_SET_PIPELINE_INPUT_LENS:
		return announce(c, command, number, p);
	default:
		return table[row].mode->control(ctx, command, number, p);
	}
}

static EVP_CIPHER *make(size_t row)
{
	const struct engine_mode *mode = table[row].mode;
	EVP_CIPHER *cipher = EVP_CIPHER_meth_new(table[row].nid, mode->block,
	                                         (int)cipher_key_size(table[row].id));

	if (cipher && EVP_CIPHER_meth_set_iv_length(cipher, mode->iv_len) &&
	    EVP_CIPHER_meth_set_flags(cipher, mode->flags | EVP_CIPH_FLAG_DEFAULT_ASN1 |
	                                              EVP_CIPH_CTRL_INIT | EVP_CIPH_CUSTOM_COPY |
	                                              EVP_CIPH_ALWAYS_CALL_INIT) &&
	    EVP_CIPHER_meth_set_impl_ctx_size(cipher, sizeof(struct engine_cipher)) &&
	    EVP_CIPHER_meth_set_init(cipher, cipher_init) &&
	    EVP_CIPHER_meth_set_cleanup(cipher, cipher_cleanup) &&
	    EVP_CIPHER_meth_set_ctrl(cipher, cipher_control) &&
	    EVP_CIPHER_meth_set_do_cipher(cipher, mode->run))
		return cipher;
	EVP_CIPHER_meth_free(cipher);
	return NULL;
}

bool engine_ciphers_open(void)
{
	count = 0;
	for (size_t i = 0; i < vc_array_size(table); i++) {
		/* OpenSSL has the stitched ones on some CPUs only. */
		if (!engine_front.cipher[table[i].id].newctx)
			continue;
		methods[i] = make(i);
		if (!methods[i])
			return false;
		nids[count++] = table[i].nid;
	}
	return true;
}

void engine_ciphers_close(void)
{
	for (size_t i = 0; i < vc_array_size(table); i++) {
		EVP_CIPHER_meth_free(methods[i]);
		methods[i] = NULL;
	}
	count = 0;
}

int engine_ciphers(ENGINE *e, const EVP_CIPHER **cipher, const int **all, int nid)
{
	bool blocked = engine_front.policy.blocked[POLICY_OP_CIPHER];
	size_t row;

	if (!cipher) {
		*all = nids;
		return blocked ? 0 : count;
	}
	row = row_of(nid);
	*cipher = row < vc_array_size(table) && !blocked ? methods[row] : NULL;
	return *cipher != NULL;
}
