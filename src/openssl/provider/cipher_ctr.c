/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CTR.
 *
 * The delegate and the device take turns at block boundaries; the chaining value is the counter,
 * all 128 bits of it. What is left of a block's key stream stays with the delegate, which also does
 * the bytes that complete such a block, and those that begin the next one. All pieces of one call
 * are in flight together.
 *
 * OpenSSL's random number generator (CTR-DRBG) fetches this cipher by the application's default
 * properties, and so gets ours where vcrypto is preferred. Its every byte, and its state, are to
 * stay in this process: it holds its lock while it enciphers, and jobs pause here. It is told from
 * others by how it must work: its key is replaced after each request and its counter set before
 * each, so they never come in one call. Only contexts whose key came together with an IV are
 * offloaded, whatever the policy says.
 */
#include "openssl/provider/cipher.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

struct ctr_ctx {
	struct cipher_ctx base;
	bool together; /* the key came with an IV: not a random number generator's */
	bool tls;      /* libssl has the delegate take MACs off: it does it all */
	size_t used;   /* bytes of the delegate's present block of key stream, 0 at a boundary */
};

/* ----------------------------------------------------------------------------- life, settings */

void *ctr_new(void *provctx, enum cipher_id id)
{
	struct ctr_ctx *c = OPENSSL_zalloc(sizeof(*c));

	if (c && !cipher_open(&c->base, provctx, id)) {
		ctr_freectx(c);
		return NULL;
	}
	return c;
}

void ctr_freectx(void *vctx)
{
	struct ctr_ctx *c = vctx;

	if (!c)
		return;
	cipher_close(&c->base);
	OPENSSL_clear_free(c, sizeof(*c));
}

void *ctr_dupctx(void *vctx)
{
	const struct ctr_ctx *c = vctx;
	struct ctr_ctx *copy = OPENSSL_memdup(c, sizeof(*c));

	if (copy && !cipher_copy(&copy->base, &c->base)) {
		ctr_freectx(copy);
		return NULL;
	}
	return copy;
}

int ctr_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
             size_t iv_size, const OSSL_PARAM params[])
{
	struct ctr_ctx *c = vctx;

	/* Without an IV the message goes on, with the next block. */
	if (!chain_init(&c->base, encrypt, key, key_size, iv, iv_size, false))
		return 0;
	c->used = 0;
	if (key)
		c->together = iv != NULL;
	return ctr_set_ctx_params(c, params);
}

int ctr_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
	struct ctr_ctx *c = vctx;
	int ok = chain_to_delegate(&c->base);

	for (OSSL_PARAM *p = params; ok && p && p->key; p++) {
		/* The delegate takes the counter for an IV when it gets it from us. */
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_IV) && c->base.iv_set)
			ok = chain_get_iv(&c->base, p);
		else
			ok = cipher_inner_get(&c->base, p);
	}
	return ok;
}

static int set_num(struct ctr_ctx *c, const OSSL_PARAM *p)
{
	unsigned int num;

	if (!chain_to_delegate(&c->base) || !cipher_inner_set(&c->base, p) ||
	    !OSSL_PARAM_get_uint(p, &num))
		return 0;
	c->base.holder = CHAIN_DELEGATE;
	c->used = num;
	return 1;
}

static int set_tls(struct ctr_ctx *c, const OSSL_PARAM *p)
{
	unsigned int version;

	if (!cipher_inner_set(&c->base, p) || !OSSL_PARAM_get_uint(p, &version))
		return 0;
	c->tls = version != 0;
	return 1;
}

int ctr_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct ctr_ctx *c = vctx;
	int ok = 1;

	for (const OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_NUM))
			ok = set_num(c, p);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_TLS_VERSION))
			ok = set_tls(c, p);
		else
			ok = cipher_inner_set(&c->base, p);
	}
	return ok;
}

/* ------------------------------------------------------------------------------------- stream */

/* The counter behind so many bytes, whole blocks. */
static void advance(uint8_t counter[AES_BLOCK], const uint8_t *in, size_t size)
{
	size_t carry = size / AES_BLOCK;

	for (size_t i = AES_BLOCK; i-- > 0 && carry; carry >>= 8) {
		carry += counter[i];
		counter[i] = (uint8_t)carry;
	}
}

/* Whether the device may see anything of it. */
static bool fits(const struct ctr_ctx *c, const uint8_t *out, size_t outsize, const uint8_t *in,
                 size_t size)
{
	return c->together && c->base.key_set && c->base.iv_set && !c->tls && c->used < AES_BLOCK &&
	       out && in && outsize >= size;
}

static int offload(struct ctr_ctx *c, uint8_t *out, const uint8_t *in, size_t head, size_t body,
                   size_t tail)
{
	return chain_software(&c->base, out, in, head) &&
	       chain_run_parallel(&c->base, out + head, in + head, body, advance) &&
	       chain_software(&c->base, out + head + body, in + head + body, tail);
}

/* software is the delegate's function of the same name. */
static int stream(struct ctr_ctx *c, OSSL_FUNC_cipher_update_fn *software, uint8_t *out,
                  size_t *outl, size_t outsize, const uint8_t *in, size_t size)
{
	size_t head = 0, body = 0;
	enum policy_choice choice = POLICY_SOFTWARE;
	int ok = 0;

	if (fits(c, out, outsize, in, size)) {
		head = (AES_BLOCK - c->used) % AES_BLOCK;
		head = head < size ? head : size;
		body = (size - head) & ~(AES_BLOCK - 1);
		choice = policy_cipher(&c->base.provider->policy, POLICY_CTR, body);
	}
	switch (choice) {
	case POLICY_OFFLOAD:
		ok = offload(c, out, in, head, body, size - head - body) ? 1 : cipher_failed();
		*outl = ok ? size : 0;
		break;
	case POLICY_SOFTWARE:
		if (!chain_to_delegate(&c->base))
			return 0;
		c->base.holder = CHAIN_DELEGATE;
		ok = software(c->base.inner, out, outl, outsize, in, size);
		break;
	case POLICY_FAIL:
		return cipher_failed();
	}
	if (c->used < AES_BLOCK)
		c->used = (c->used + (ok ? size : 0)) % AES_BLOCK;
	return ok;
}

int ctr_update(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	struct ctr_ctx *c = vctx;

	return stream(c, c->base.delegate->update, out, outl, outsize, in, inl);
}

int ctr_cipher(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	struct ctr_ctx *c = vctx;

	return stream(c, c->base.delegate->cipher, out, outl, outsize, in, inl);
}

int ctr_final(void *vctx, unsigned char *out, size_t *outl, size_t outsize)
{
	struct ctr_ctx *c = vctx;

	return c->base.delegate->final(c->base.inner, out, outl, outsize);
}
