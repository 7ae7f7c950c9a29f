/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM.
 *
 * Left to the delegate: IVs that are not 12 bytes or not given by the caller, tags that are not 16
 * bytes when decrypting, much additional data, data larger than AEAD_MAX_DATA.
 *
 * Records of TLS 1.2: the fixed part of the IV is set once ("tlsivfixed"). The counter behind the
 * explicit IVs is the delegate's, so that a record that is done in software goes on from one that
 * was not.
 */
#include "openssl/provider/cipher_aead.h"
#include "openssl/provider/pipeline.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

/* ----------------------------------------------------------------------------------- messages */

int gcm_update(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	struct aead_ctx *c = vctx;

	if (!inl) {
		*outl = 0;
		return 1;
	}
	if (outsize < inl)
		return cipher_too_small();
	if (c->tls_pending)
		return aead_tls_record(c, out, outl, outsize, in, inl) ? 1 : cipher_failed();
	if (!c->base.key_set || c->phase == AEAD_DONE)
		return cipher_failed();
	if (!out && c->phase == AEAD_OFFLOADED) /* after data: never allowed */
		return cipher_failed();
	return aead_update(c, out, outl, outsize, in, inl);
}

int gcm_final(void *vctx, unsigned char *out, size_t *outl, size_t outsize)
{
	struct aead_ctx *c = vctx;

	if (c->phase == AEAD_DONE || c->tls_pending)
		return 0;
	if (c->phase == AEAD_OFFLOADED) {
		aead_drop(c);
		c->phase = AEAD_DONE;
		*outl = 0;
		return 1;
	}
	return aead_to_software(c) && c->base.delegate->final(c->base.inner, out, outl, outsize);
}

/* EVP_Cipher(). */
int gcm_cipher(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	return in ? gcm_update(vctx, out, outl, outsize, in, inl)
	          : gcm_final(vctx, out, outl, outsize);
}

/* ----------------------------------------------------------------------------- life, settings */

static int begin(const struct aead_ctx *c, void *scratch)
{
	return c->base.delegate->decrypt_init(scratch, c->base.raw_key, cipher_key_size(c->base.id),
	                                      c->iv, c->iv_len, NULL);
}

/* Put the explicit IV where the record begins (encrypting), or take it from there. */
static int tls_iv(struct aead_ctx *c, uint8_t *record)
{
	OSSL_PARAM next = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN,
	                                                    record, TLS_EXPLICIT_IV);

	if (c->base.encrypt && !cipher_inner_get(&c->base, &next))
		return 0;
	memcpy(c->iv + TLS_FIXED_IV, record, TLS_EXPLICIT_IV);
	c->iv_len = AEAD_IV;
	return 1;
}

static const struct aead_mode mode = {
	.work = POLICY_GCM,
	.tls_lead = TLS_EXPLICIT_IV,
	.begin = begin,
	.tls_iv = tls_iv,
};

void *gcm_new(void *provctx, enum cipher_id id)
{
	return aead_new(sizeof(struct aead_ctx), provctx, id, &mode);
}

void gcm_freectx(void *vctx)
{
	aead_free(vctx, sizeof(struct aead_ctx));
}

void *gcm_dupctx(void *vctx)
{
	return aead_dup(vctx, sizeof(struct aead_ctx));
}

int gcm_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
             size_t iv_size, const OSSL_PARAM params[])
{
	struct aead_ctx *c = vctx;

	/* Without a new IV a message that was begun goes on. */
	if (!iv && (c->phase == AEAD_OFFLOADED || c->aad_len) && !aead_to_software(c))
		return 0;
	if (!cipher_inner_init(&c->base, encrypt, key, key_size, iv, iv_size))
		return 0;
	cipher_note_init(&c->base, encrypt, key);
	if (iv) {
		aead_begin(c, iv, iv_size, AEAD_IV);
		c->tag_set = false;
	}
	return gcm_set_ctx_params(c, params);
}

int gcm_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
	struct aead_ctx *c = vctx;
	int ok = 1;

	if (c->base.pipeline)
		return pipeline_get(c->base.pipeline, params);
	for (OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG) && c->phase == AEAD_DONE &&
		    c->base.encrypt) {
			ok = aead_get_tag(c, p);
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD) && c->tls_used) {
			ok = OSSL_PARAM_set_size_t(p, AEAD_TAG);
		} else {
			/* The delegate makes a new IV from its counter. */
			if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN))
				c->phase = AEAD_SOFTWARE;
			ok = cipher_inner_get(&c->base, p);
		}
	}
	return ok;
}

static int set_tls_fixed_iv(struct aead_ctx *c, const OSSL_PARAM *p)
{
	if (!cipher_inner_set(&c->base, p))
		return 0;
	aead_drop(c);
	c->phase = AEAD_SOFTWARE;
	c->tls_iv = p->data_size == TLS_FIXED_IV;
	if (c->tls_iv)
		memcpy(c->iv, p->data, TLS_FIXED_IV);
	return 1;
}

int gcm_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct aead_ctx *c = vctx;
	int ok = 1;

	if (c->base.pipeline)
		return pipeline_set(c->base.pipeline, params);
	for (const OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG)) {
			ok = aead_set_tag(c, p);
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD)) {
			ok = aead_tls_set_aad(c, p);
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED)) {
			ok = set_tls_fixed_iv(c, p);
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_IVLEN)) {
			/* The delegate knows whether it invalidates the IV. */
			ok = aead_to_software(c) && cipher_inner_set(&c->base, p);
			c->tls_iv = false;
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_SET_IV_INV)) {
			ok = aead_to_software(c) && cipher_inner_set(&c->base, p);
			c->phase = AEAD_SOFTWARE;
		} else {
			/* libssl sets its version with every cipher. */
			ok = cipher_inner_set(&c->base, p);
		}
	}
	return ok;
}

/* ------------------------------------------------------------------------------------ pipelines */

static int pipe_take(void *vctx, struct core_op *op, uint8_t *out, const uint8_t *in, size_t *size,
                     size_t pipes)
{
	struct aead_ctx *c = vctx;

	if (c->tls_pending || !c->base.key_set)
		return -1;
	return aead_take(c, op, out, in, *size, pipes);
}

static int pipe_finish(void *vctx, const struct core_op *op)
{
	struct aead_ctx *c = vctx;
	int done = aead_taken(c, op, op->result);

	if (done >= 0)
		return done;
	return aead_to_software(c) && cipher_inner_update(&c->base, op->dst, op->src, op->length);
}

const struct pipeline_mode gcm_pipeline = {
	.dup = gcm_dupctx,
	.free = gcm_freectx,
	.init = gcm_init,
	.update = gcm_update,
	.final = gcm_final,
	.get = gcm_get_ctx_params,
	.set = gcm_set_ctx_params,
	.take = pipe_take,
	.finish = pipe_finish,
};
