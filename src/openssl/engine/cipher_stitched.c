/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CBC with HMAC of the ENGINE, for libssl: the header of each record by a command, then one
 * call for the record, or for all of a pipeline. The provider's context encrypts at the device, and
 * has records decrypted in software, in constant time. See cipher.h.
 */
#include <string.h>

#include <openssl/core_names.h>

#include "openssl/engine/cipher.h"
#include "openssl/provider/cipher_stitched.h"

/* 1, 0 as OpenSSL's own: of a record that is decrypted, also for a wrong MAC. */
static int run_one(struct stitched_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	size_t done = 0;

	return stitched_update(c, out, &done, size, in, size);
}

/* Records that are read in a pipeline: one after the other. */
static int decrypt_records(EVP_CIPHER_CTX *ctx, int n)
{
	struct engine_cipher *e = engine_cipher_of(ctx);
	int ok = 1;

	for (int i = 0; i < n; i++) {
		if (!engine_cipher_set(ctx, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD, e->aad[i], TLS_AAD))
			return 0;
		/* Each of them: which one was wrong is not told. */
		ok &= run_one(e->inner, e->out[i], e->in[i], e->length[i]);
	}
	return ok;
}

static int encrypt_records(struct engine_cipher *e, int n)
{
	struct stitched_record records[PIPES];

	for (int i = 0; i < n; i++)
		records[i] = (struct stitched_record){e->out[i], e->in[i], e->length[i], e->aad[i]};
	return stitched_encrypt_records(e->inner, records, (unsigned int)n) ||
	       !engine_fall_back("AES-CBC-HMAC records");
}

static int run_pipes(EVP_CIPHER_CTX *ctx, int n)
{
	struct engine_cipher *e = engine_cipher_of(ctx);
	uint8_t last[AES_BLOCK];
	size_t size = e->length[n - 1];
	bool encrypt = EVP_CIPHER_CTX_is_encrypting(ctx);

	for (int i = 0; i < n; i++) {
		if (e->length[i] < AES_BLOCK || e->length[i] % AES_BLOCK)
			return 0;
	}
	memcpy(last, e->in[n - 1] + size - AES_BLOCK, AES_BLOCK);
	if (!(encrypt ? encrypt_records(e, n) : decrypt_records(ctx, n)))
		return 0;
	engine_cipher_end(ctx, encrypt ? e->out[n - 1] + size - AES_BLOCK : last);
	return 1;
}

static int run(EVP_CIPHER_CTX *ctx, unsigned char *out, const unsigned char *in, size_t size)
{
	struct engine_cipher *e = engine_cipher_of(ctx);
	unsigned int aads = e->aads;
	int n = engine_cipher_pipes(e), ok;
	uint8_t last[AES_BLOCK];

	e->aads = 0;
	if (n < 0 || !engine_cipher_begin(ctx) || (n && aads != (unsigned int)n))
		return 0;
	if (n)
		return run_pipes(ctx, n);
	if (!size)
		return 1;
	if (size % AES_BLOCK)
		return 0;
	memcpy(last, in + size - AES_BLOCK, AES_BLOCK);
	ok = run_one(e->inner, out, in, size);
	engine_cipher_end(ctx, EVP_CIPHER_CTX_is_encrypting(ctx) ? out + size - AES_BLOCK : last);
	return ok;
}

static int control(EVP_CIPHER_CTX *ctx, int command, int number, void *p)
{
	struct engine_cipher *e = engine_cipher_of(ctx);
	int pad;

	switch (command) {
	case EVP_CTRL_AEAD_SET_MAC_KEY:
		return number >= 0 &&
		       engine_cipher_set(ctx, OSSL_CIPHER_PARAM_AEAD_MAC_KEY, p, (size_t)number);
	case EVP_CTRL_AEAD_TLS1_AAD:
		if (number != TLS_AAD || e->aads == PIPES)
			return -1;
		/* OpenSSL's own may write into it. */
		memcpy(e->aad[e->aads], p, TLS_AAD);
		pad = engine_cipher_tls_aad(ctx, p, number);
		e->aads += pad > 0;
		return pad;
	default:
		return -1;
	}
}

const struct engine_mode engine_stitched = {
	.new = stitched_new,
	.free = stitched_freectx,
	.dup = stitched_dupctx,
	.init = stitched_init,
	.get = stitched_get_ctx_params,
	.set = stitched_set_ctx_params,
	.run = run,
	.control = control,
	.flags = EVP_CIPH_CBC_MODE | EVP_CIPH_FLAG_AEAD_CIPHER | EVP_CIPH_FLAG_PIPELINE,
	.block = (int)AES_BLOCK,
	.iv_len = (int)AES_BLOCK,
};
