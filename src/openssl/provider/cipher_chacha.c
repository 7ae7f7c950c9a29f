/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ChaCha20-Poly1305.
 *
 * Unlike GCM, OpenSSL lets a message follow without a new IV (it has the same nonce), keeps the tag
 * to compare with from one message to the next, and takes a record of TLS 1.2 by the nonce and the
 * record's number, with nothing explicit (RFC 7905).
 */
#include "openssl/provider/cipher_aead.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

struct chacha_ctx {
	struct aead_ctx aead;
	bool odd_iv;            /* its length was set to something else: the delegate's affair */
	bool tag_ours;          /* the last message that was encrypted has its tag in aead.tag */
	uint8_t nonce[AEAD_IV]; /* what records derive their IV from; valid with aead.tls_iv */
	/* The device did a record: the delegate's nonce is not yet that record's. */
	bool record_ours;
};

/* ----------------------------------------------------------------------------------- messages */

/*
 * The delegate's nonce becomes that of the record that the device did, as if it had done it: it
 * does one of the same number without data, and nobody looks at what comes out.
 */
static int catch_up(struct chacha_ctx *c)
{
	struct aead_ctx *a = &c->aead;
	uint8_t record[AEAD_TAG] = {0};
	size_t n = 0;

	a->tls_aad[TLS_AAD - 2] = 0;
	a->tls_aad[TLS_AAD - 1] = a->base.encrypt ? 0 : AEAD_TAG;
	c->record_ours = false;
	if (!aead_tls_to_software(a))
		return 0;
	(void)a->base.delegate->update(a->base.inner, record, &n, sizeof(record), record,
	                               sizeof(record));
	return 1;
}

/* The delegate is to go on from where the device was. */
static int resume(struct chacha_ctx *c)
{
	struct aead_ctx *a = &c->aead;

	if (a->tls_pending)
		return aead_tls_to_software(a);
	if (c->record_ours && !catch_up(c))
		return 0;
	if (a->phase == AEAD_DONE)
		a->phase = AEAD_SOFTWARE;
	return 1;
}

static int record(struct chacha_ctx *c, uint8_t *out, size_t *outl, size_t outsize,
                  const uint8_t *in, size_t size)
{
	struct aead_ctx *a = &c->aead;
	int ok;

	a->phase = AEAD_SOFTWARE;
	ok = aead_tls_record(a, out, outl, outsize, in, size);
	c->record_ours = a->phase == AEAD_DONE;
	if (ok && a->base.encrypt && c->record_ours)
		memcpy(a->tag, out + size - AEAD_TAG, AEAD_TAG);
	c->tag_ours = a->base.encrypt && c->record_ours;
	return ok;
}

int chacha_update(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
                  const unsigned char *in, size_t inl)
{
	struct chacha_ctx *c = vctx;
	struct aead_ctx *a = &c->aead;

	if (!inl) {
		*outl = 0;
		return 1;
	}
	if (outsize < inl)
		return cipher_too_small();
	if (a->tls_pending && out)
		return record(c, out, outl, outsize, in, inl);
	if (!resume(c))
		return 0;
	/* Additional data behind data, and data without a key: as the delegate has it. */
	if (((!out && a->phase == AEAD_OFFLOADED) || !a->base.key_set) && !aead_to_software(a))
		return 0;
	return aead_update(a, out, outl, outsize, in, inl);
}

int chacha_final(void *vctx, unsigned char *out, size_t *outl, size_t outsize)
{
	struct chacha_ctx *c = vctx;
	struct aead_ctx *a = &c->aead;

	if (a->phase == AEAD_OFFLOADED && !a->tls_pending) {
		aead_drop(a);
		a->aad_len = 0;
		a->phase = AEAD_DONE;
		c->tag_ours = a->base.encrypt;
		*outl = 0;
		return 1;
	}
	c->tag_ours = false;
	return resume(c) && aead_to_software(a) &&
	       a->base.delegate->final(a->base.inner, out, outl, outsize);
}

/* EVP_Cipher(). */
int chacha_cipher(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
                  const unsigned char *in, size_t inl)
{
	return chacha_update(vctx, out, outl, outsize, in, inl);
}

/* ----------------------------------------------------------------------------- life, settings */

static int begin(const struct aead_ctx *c, void *scratch)
{
	return c->base.delegate->decrypt_init(scratch, c->base.raw_key, cipher_key_size(c->base.id),
	                                      c->iv, c->iv_len, NULL);
}

/* RFC 7905, 2: the record's number is added to the nonce, without carry. */
static int tls_iv(struct aead_ctx *a, uint8_t *record)
{
	const struct chacha_ctx *c = (const struct chacha_ctx *)a;

	memcpy(a->iv, c->nonce, AEAD_IV);
	for (int i = 0; i < 8; i++)
		a->iv[4 + i] ^= a->tls_aad[i];
	a->iv_len = AEAD_IV;
	return 1;
}

static const struct aead_mode mode = {
	.work = POLICY_CHACHA,
	.begin = begin,
	.tls_iv = tls_iv,
};

void *chacha_new(void *provctx, enum cipher_id id)
{
	return aead_new(sizeof(struct chacha_ctx), provctx, id, &mode);
}

void chacha_freectx(void *vctx)
{
	aead_free(vctx, sizeof(struct chacha_ctx));
}

void *chacha_dupctx(void *vctx)
{
	return aead_dup(vctx, sizeof(struct chacha_ctx));
}

/* To decrypt, the delegate compares with the tag that it has made last, if with any. */
static int hand_tag_over(struct chacha_ctx *c)
{
	size_t size = 0;
	OSSL_PARAM length = OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_TAGLEN, &size);
	OSSL_PARAM tag;

	c->tag_ours = false;
	if (!cipher_inner_get(&c->aead.base, &length))
		return 0;
	if (!size)
		return 1;
	tag = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, c->aead.tag, size);
	return aead_set_tag(&c->aead, &tag);
}

int chacha_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
                size_t iv_size, const OSSL_PARAM params[])
{
	struct chacha_ctx *c = vctx;
	struct aead_ctx *a = &c->aead;

	/* Without a new IV a message that was begun goes on. */
	if (!iv && ((a->phase == AEAD_OFFLOADED || a->aad_len) && !aead_to_software(a)))
		return 0;
	if (!iv && (c->record_ours || a->tls_pending) && !resume(c))
		return 0;
	if (!cipher_inner_init(&a->base, encrypt, key, key_size, iv, iv_size))
		return 0;
	cipher_note_init(&a->base, encrypt, key);
	if (iv) {
		aead_begin(a, iv, iv_size, c->odd_iv ? 0 : AEAD_IV);
		a->tls_pending = false;
		c->record_ours = false;
		a->tls_iv = a->phase == AEAD_FRESH;
		memcpy(c->nonce, a->iv, AEAD_IV);
	}
	/* What is encrypted from now on leaves its tag where this one was. */
	if (encrypt)
		a->tag_set = false;
	if (!encrypt && c->tag_ours && !hand_tag_over(c))
		return 0;
	return chacha_set_ctx_params(c, params);
}

int chacha_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
	struct chacha_ctx *c = vctx;
	struct aead_ctx *a = &c->aead;
	int ok = 1;

	for (OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG) && a->base.encrypt && c->tag_ours)
			ok = aead_get_tag(a, p);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD) && a->tls_used)
			ok = OSSL_PARAM_set_size_t(p, AEAD_TAG);
		else
			ok = cipher_inner_get(&a->base, p);
	}
	return ok;
}

/* A message that was begun is given up; the nonce of records stays. */
static int set_tls_aad(struct chacha_ctx *c, const OSSL_PARAM *p)
{
	struct aead_ctx *a = &c->aead;

	if (!aead_tls_set_aad(a, p))
		return 0;
	aead_drop(a);
	a->aad_len = 0;
	c->record_ours = false;
	a->phase = AEAD_SOFTWARE;
	return 1;
}

static int set_tls_fixed_iv(struct chacha_ctx *c, const OSSL_PARAM *p)
{
	struct aead_ctx *a = &c->aead;

	if (!aead_to_software(a) || !resume(c) || !cipher_inner_set(&a->base, p))
		return 0;
	a->phase = AEAD_SOFTWARE;
	memcpy(c->nonce, p->data, AEAD_IV);
	a->tls_iv = true;
	return 1;
}

static int set_iv_length(struct chacha_ctx *c, const OSSL_PARAM *p)
{
	size_t length;

	if (!cipher_inner_set(&c->aead.base, p) || !OSSL_PARAM_get_size_t(p, &length))
		return 0;
	c->odd_iv = length != AEAD_IV;
	return 1;
}

int chacha_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct chacha_ctx *c = vctx;
	int ok = 1;

	for (const OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG))
			ok = aead_set_tag(&c->aead, p);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD))
			ok = set_tls_aad(c, p);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED))
			ok = set_tls_fixed_iv(c, p);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_IVLEN))
			ok = set_iv_length(c, p);
		else
			ok = cipher_inner_set(&c->aead.base, p);
	}
	return ok;
}
