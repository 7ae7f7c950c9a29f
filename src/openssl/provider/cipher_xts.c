/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-XTS.
 *
 * Each call is a data unit of its own, with the IV as its tweak: nothing is carried from one to the
 * next, so the delegate's context always stands where it should, and a data unit goes either to the
 * device as a whole or to the delegate. It cannot go in pieces: the device enciphers the tweak
 * itself, and a piece in the middle would need one that no IV leads to.
 *
 * Left to the delegate: data units that are larger than an operation may be, and whatever is
 * refused (equal halves of a key, less than a block, more than 2^20 blocks).
 */
#include "openssl/provider/cipher.h"

#include <string.h>

#include <openssl/crypto.h>

struct xts_ctx {
	struct cipher_ctx base;
	bool keys_differ; /* OpenSSL decrypts with two equal halves, devices do not */
	bool key_encrypt; /* the direction that the key was set for, and that OpenSSL keeps */
};

/* ----------------------------------------------------------------------------- life, settings */

void *xts_new(void *provctx, enum cipher_id id)
{
	struct xts_ctx *c = OPENSSL_zalloc(sizeof(*c));

	if (c && !cipher_open(&c->base, provctx, id)) {
		xts_freectx(c);
		return NULL;
	}
	return c;
}

void xts_freectx(void *vctx)
{
	struct xts_ctx *c = vctx;

	if (!c)
		return;
	cipher_close(&c->base);
	OPENSSL_clear_free(c, sizeof(*c));
}

void *xts_dupctx(void *vctx)
{
	const struct xts_ctx *c = vctx;
	struct xts_ctx *copy = OPENSSL_memdup(c, sizeof(*c));

	if (copy && !cipher_copy(&copy->base, &c->base)) {
		xts_freectx(copy);
		return NULL;
	}
	return copy;
}

int xts_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
             size_t iv_size, const OSSL_PARAM params[])
{
	struct xts_ctx *c = vctx;
	size_t half = cipher_key_size(c->base.id) / 2;

	if (!cipher_inner_init(&c->base, encrypt, key, key_size, iv, iv_size)) {
		/* The delegate may have taken a part of it. */
		c->keys_differ = false;
		return 0;
	}
	cipher_note_init(&c->base, encrypt, key);
	if (key) {
		c->keys_differ = CRYPTO_memcmp(key, key + half, half) != 0;
		c->key_encrypt = encrypt;
	}
	if (iv) {
		memcpy(c->base.iv, iv, AES_BLOCK);
		c->base.iv_set = true;
	}
	return xts_set_ctx_params(c, params);
}

int xts_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
	struct xts_ctx *c = vctx;

	return c->base.delegate->get_ctx_params(c->base.inner, params);
}

int xts_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct xts_ctx *c = vctx;

	return c->base.delegate->set_ctx_params(c->base.inner, params);
}

/* --------------------------------------------------------------------------------- data units */

static bool fits(const struct xts_ctx *c, const uint8_t *out, size_t outsize, const uint8_t *in,
                 size_t size)
{
	return c->base.key_set && c->base.iv_set && c->keys_differ &&
	       c->key_encrypt == c->base.encrypt && in && out && outsize >= size &&
	       size >= AES_BLOCK && size <= core_max_size();
}

/* 1 done, 0 failed, -1 to be done in software. */
static int offload(struct xts_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	const struct policy *policy = &c->base.provider->policy;
	struct core_op op;

	switch (policy_cipher(policy, POLICY_XTS, size)) {
	case POLICY_OFFLOAD:
		break;
	case POLICY_FAIL:
		return cipher_failed();
	default:
		return -1;
	}
	if (!cipher_core_key(&c->base))
		return -1;
	chain_fill(&c->base, &op, out, in, size, c->base.iv);
	if (!core_run(&op, 1))
		return 1;
	return policy->fallback ? -1 : cipher_failed();
}

static int data_unit(struct xts_ctx *c, OSSL_FUNC_cipher_update_fn *software, uint8_t *out,
                     size_t *outl, size_t outsize, const uint8_t *in, size_t size)
{
	int done = fits(c, out, outsize, in, size) ? offload(c, out, in, size) : -1;

	if (done < 0)
		return software(c->base.inner, out, outl, outsize, in, size);
	if (done)
		*outl = size;
	return done;
}

int xts_update(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	struct xts_ctx *c = vctx;

	return data_unit(c, c->base.delegate->update, out, outl, outsize, in, inl);
}

int xts_cipher(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	struct xts_ctx *c = vctx;

	return data_unit(c, c->base.delegate->cipher, out, outl, outsize, in, inl);
}

int xts_final(void *vctx, unsigned char *out, size_t *outl, size_t outsize)
{
	struct xts_ctx *c = vctx;

	return c->base.delegate->final(c->base.inner, out, outl, outsize);
}
