/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authenticated encryption: messages, now with the device and now with the delegate. See
 * cipher_aead.h.
 */
#include "openssl/provider/cipher_aead.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

/* ---------------------------------------------------------------------------------------- life */

/* The ciphertext is kept in memory of its own, only while a message is at this point: connections
 * that are idle then have none. */
static bool keep(struct aead_ctx *c, const uint8_t *data, size_t size)
{
	c->kept = OPENSSL_memdup(data, size);
	c->kept_len = c->kept ? size : 0;
	return c->kept != NULL;
}

void aead_drop(struct aead_ctx *c)
{
	OPENSSL_free(c->kept);
	c->kept = NULL;
	c->kept_len = 0;
}

void *aead_new(size_t size, void *provctx, enum cipher_id id, const struct aead_mode *mode)
{
	struct aead_ctx *c = OPENSSL_zalloc(size);

	if (!c)
		return NULL;
	c->mode = mode;
	c->base.tag_len = AEAD_TAG;
	if (!cipher_open(&c->base, provctx, id)) {
		aead_free(c, size);
		return NULL;
	}
	return c;
}

void aead_free(struct aead_ctx *c, size_t size)
{
	if (!c)
		return;
	aead_drop(c);
	cipher_close(&c->base);
	OPENSSL_clear_free(c, size);
}

void *aead_dup(const struct aead_ctx *c, size_t size)
{
	struct aead_ctx *copy = OPENSSL_memdup(c, size);

	if (!copy)
		return NULL;
	copy->kept = NULL;
	if (!cipher_copy(&copy->base, &c->base) || (c->kept && !keep(copy, c->kept, c->kept_len))) {
		aead_free(copy, size);
		return NULL;
	}
	return copy;
}

/* ---------------------------------------------------------------------------------- to and fro */

void aead_begin(struct aead_ctx *c, const uint8_t *iv, size_t size, size_t iv_len)
{
	aead_drop(c);
	c->aad_len = 0;
	c->tls_iv = false;
	c->phase = AEAD_SOFTWARE;
	if (size == iv_len) {
		memcpy(c->iv, iv, size);
		c->iv_len = (uint8_t)size;
		c->phase = AEAD_FRESH;
	}
}

static int inner_update(struct aead_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	size_t done = 0;

	return c->base.delegate->update(c->base.inner, out, &done, size, in, size);
}

/* Turn the kept ciphertext into the plaintext that it came from. */
static int recover_plaintext(struct aead_ctx *c)
{
	const struct cipher_delegate *d = c->base.delegate;
	void *scratch = d->newctx(c->base.provider->delegate_ctx);
	size_t done = 0;
	int ok;

	ok = scratch && c->mode->begin(c, scratch) &&
	     d->update(scratch, c->kept, &done, c->kept_len, c->kept, c->kept_len);
	if (scratch)
		d->freectx(scratch);
	return ok;
}

int aead_to_software(struct aead_ctx *c)
{
	enum aead_phase phase = c->phase;
	int ok = 1;

	if (phase != AEAD_FRESH && phase != AEAD_OFFLOADED)
		return 1;
	c->phase = AEAD_SOFTWARE;
	if (c->mode->announce)
		ok = c->mode->announce(c);
	if (ok && c->aad_len)
		ok = inner_update(c, NULL, c->aad, c->aad_len);
	if (phase == AEAD_OFFLOADED) {
		if (ok && c->base.encrypt)
			ok = recover_plaintext(c);
		if (ok)
			ok = inner_update(c, c->kept, c->kept, c->kept_len);
		/* It was plaintext in between, or is now. */
		OPENSSL_cleanse(c->kept, c->kept_len);
		aead_drop(c);
	}
	return ok;
}

/* ----------------------------------------------------------------------------------- offloading */

/* Fill an operation; false without memory for its key. */
static bool fill(struct aead_ctx *c, struct core_op *op, uint8_t *out, const uint8_t *in,
                 size_t size, const uint8_t *aad, size_t aad_size, uint8_t *tag)
{
	*op = (struct core_op){
		.key = cipher_core_key(&c->base),
		.src = in,
		.dst = out,
		.length = (uint32_t)size,
		.dst_len = (uint32_t)size,
		.aad = aad,
		.aad_len = (uint32_t)aad_size,
		.tag = tag,
		.tag_len = c->base.tag_len,
		.iv_len = c->iv_len,
		.class = VCE_CLASS_AEAD,
	};
	memcpy(op->iv, c->iv, c->iv_len);
	return op->key != NULL;
}

int aead_run(struct aead_ctx *c, uint8_t *out, const uint8_t *in, size_t size, const uint8_t *aad,
             size_t aad_size, uint8_t *tag)
{
	struct core_op op;

	return fill(c, &op, out, in, size, aad, aad_size, tag) ? core_run(&op, 1) : -ENOMEM;
}

/* Whether the message in phase AEAD_FRESH, with this as its data, is one for the device. */
static bool fits(const struct aead_ctx *c, size_t size)
{
	size_t max = core_max_size();

	if (size > AEAD_MAX_DATA || (max && size + c->aad_len + c->base.tag_len > max))
		return false;
	return c->base.encrypt || c->tag_set;
}

int aead_take(struct aead_ctx *c, struct core_op *op, uint8_t *out, const uint8_t *in, size_t size,
              size_t pipes)
{
	if (c->phase != AEAD_FRESH || !fits(c, size))
		return -1;
	switch (policy_pipes(&c->base.provider->policy, c->mode->work, size, pipes)) {
	case POLICY_OFFLOAD:
		break;
	case POLICY_FAIL:
		return 0;
	default:
		return -1;
	}
	if (!fill(c, op, out, in, size, c->aad, c->aad_len, c->tag))
		return c->base.provider->policy.fallback ? -1 : 0;
	/* Plaintext is never kept: room is made now, the ciphertext goes there afterwards. */
	if (c->base.encrypt) {
		c->kept = OPENSSL_malloc(size);
		c->kept_len = c->kept ? size : 0;
	} else {
		keep(c, in, size);
	}
	return c->kept ? 1 : c->base.provider->policy.fallback ? -1 : 0;
}

int aead_taken(struct aead_ctx *c, const struct core_op *op, int result)
{
	if (!result) {
		if (c->base.encrypt)
			memcpy(c->kept, op->dst, op->length);
		c->phase = AEAD_OFFLOADED;
		return 1;
	}
	aead_drop(c);
	return result == -EBADMSG || c->base.provider->policy.fallback ? -1 : 0;
}

int aead_offload(struct aead_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	struct core_op op;
	int taken = aead_take(c, &op, out, in, size, 1);

	return taken > 0 ? aead_taken(c, &op, core_run(&op, 1)) : taken;
}

bool aead_gather(struct aead_ctx *c, const uint8_t *in, size_t size)
{
	if (size > (size_t)(AEAD_MAX_AAD - c->aad_len))
		return false;
	memcpy(c->aad + c->aad_len, in, size);
	c->aad_len += (uint16_t)size;
	return true;
}

int aead_update(struct aead_ctx *c, uint8_t *out, size_t *outl, size_t outsize, const uint8_t *in,
                size_t size)
{
	int done = -1;

	if (c->phase == AEAD_FRESH)
		done = out ? aead_offload(c, out, in, size) : aead_gather(c, in, size) ? 1 : -1;
	if (!done)
		return cipher_failed();
	if (done < 0) {
		if (!aead_to_software(c))
			return cipher_failed();
		return c->base.delegate->update(c->base.inner, out, outl, outsize, in, size);
	}
	*outl = size;
	return 1;
}

/* ------------------------------------------------------------------------------------ settings */

int aead_set_tag(struct aead_ctx *c, const OSSL_PARAM *p)
{
	/* In the middle of a message that the device has judged by another tag. */
	if (c->phase == AEAD_OFFLOADED && !aead_to_software(c))
		return 0;
	if (!cipher_inner_set(&c->base, p))
		return 0;
	c->tag_set = p->data && p->data_size == c->base.tag_len;
	if (c->tag_set)
		memcpy(c->tag, p->data, p->data_size);
	return 1;
}

int aead_get_tag(struct aead_ctx *c, OSSL_PARAM *p)
{
	if (!p->data_size || p->data_size > AEAD_TAG) {
		ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_TAG);
		return 0;
	}
	return OSSL_PARAM_set_octet_string(p, c->tag, p->data_size);
}
