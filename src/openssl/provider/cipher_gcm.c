/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM.
 *
 * A device does a message as a whole; EVP brings it in pieces: IV, additional data, data, end.
 * Nearly always (TLS 1.3, and whoever has a whole message) the data is one piece. So additional
 * data is gathered, the first piece of data goes to the device as if it were all, and the end has
 * nothing left to do. Should more data come after all, the message is begun again in the delegate
 * from the ciphertext of the first piece, which is kept until the end. When decrypting, a wrong tag
 * can mean that more data comes, or that the message is forged: the delegate then does it again,
 * and its answer counts. Decryption is offloaded only if the tag was given before the data.
 *
 * Left to the delegate: IVs that are not 12 bytes or not given by the caller, tags that are not 16
 * bytes when decrypting, much additional data, data larger than GCM_MAX_DATA.
 */
#include "openssl/provider/cipher_gcm.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

/* ----------------------------------------------------------------------------------- messages */

/* The ciphertext is kept in memory of its own, only while a message is at this point: connections
 * that are idle then have none. */
static bool keep(struct gcm_ctx *c, const uint8_t *data, size_t size)
{
	c->kept = OPENSSL_memdup(data, size);
	c->kept_len = c->kept ? size : 0;
	return c->kept != NULL;
}

static void drop_kept(struct gcm_ctx *c)
{
	OPENSSL_free(c->kept);
	c->kept = NULL;
	c->kept_len = 0;
}

static int inner_update(struct gcm_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	size_t done = 0;

	return c->base.delegate->update(c->base.inner, out, &done, size, in, size);
}

/* Turn the kept ciphertext into the plaintext that it came from. */
static int recover_plaintext(struct gcm_ctx *c)
{
	const struct cipher_delegate *d = c->base.delegate;
	void *scratch = d->newctx(c->base.provider->delegate_ctx);
	size_t done = 0;
	int ok;

	ok = scratch &&
	     d->decrypt_init(scratch, c->base.raw_key, cipher_key_size(c->base.id), c->iv, GCM_IV,
	                     NULL) &&
	     d->update(scratch, c->kept, &done, c->kept_len, c->kept, c->kept_len);
	if (scratch)
		d->freectx(scratch);
	return ok;
}

/* Bring the delegate to where the message is. */
static int to_software(struct gcm_ctx *c)
{
	enum gcm_phase phase = c->phase;
	int ok = 1;

	if (phase != GCM_FRESH && phase != GCM_OFFLOADED)
		return 1;
	c->phase = GCM_SOFTWARE;
	if (c->aad_len)
		ok = inner_update(c, NULL, c->aad, c->aad_len);
	if (phase == GCM_OFFLOADED) {
		if (ok && c->base.encrypt)
			ok = recover_plaintext(c);
		if (ok)
			ok = inner_update(c, c->kept, c->kept, c->kept_len);
		/* It was plaintext in between, or is now. */
		OPENSSL_cleanse(c->kept, c->kept_len);
		drop_kept(c);
	}
	return ok;
}

int gcm_run(struct gcm_ctx *c, uint8_t *out, const uint8_t *in, size_t size, const uint8_t *aad,
            size_t aad_size, uint8_t *tag)
{
	struct core_op op = {
		.key = cipher_core_key(&c->base),
		.src = in,
		.dst = out,
		.length = (uint32_t)size,
		.dst_len = (uint32_t)size,
		.aad = aad,
		.aad_len = (uint32_t)aad_size,
		.tag = tag,
		.tag_len = GCM_TAG,
		.iv_len = GCM_IV,
		.class = VCE_CLASS_AEAD,
	};

	if (!op.key)
		return -ENOMEM;
	memcpy(op.iv, c->iv, GCM_IV);
	return core_run(&op, 1);
}

/* Whether the message in phase GCM_FRESH, with this as its data, is one for the device. */
static bool fits(const struct gcm_ctx *c, size_t size)
{
	size_t max = core_max_size();

	if (size > GCM_MAX_DATA || (max && size + c->aad_len + GCM_TAG > max))
		return false;
	return c->base.encrypt || c->tag_set;
}

/* Plaintext is never kept: room is made beforehand, the ciphertext goes there afterwards. */
static int run_encrypt(struct gcm_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	int rc;

	c->kept = OPENSSL_malloc(size);
	if (!c->kept)
		return -ENOMEM;
	c->kept_len = size;
	rc = gcm_run(c, out, in, size, c->aad, c->aad_len, c->tag);
	if (!rc)
		memcpy(c->kept, out, size);
	return rc;
}

static int run_decrypt(struct gcm_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	if (!keep(c, in, size))
		return -ENOMEM;
	return gcm_run(c, out, in, size, c->aad, c->aad_len, c->tag);
}

/*
 * The first data of a message. 1 done, 0 failed, -1 to be done in software.
 */
static int offload_data(struct gcm_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	int rc;

	if (!fits(c, size))
		return -1;
	switch (policy_cipher(&c->base.provider->policy, POLICY_GCM, size)) {
	case POLICY_OFFLOAD:
		break;
	case POLICY_FAIL:
		return 0;
	default:
		return -1;
	}
	rc = c->base.encrypt ? run_encrypt(c, out, in, size) : run_decrypt(c, out, in, size);
	if (!rc) {
		c->phase = GCM_OFFLOADED;
		return 1;
	}
	drop_kept(c);
	return rc == -EBADMSG || c->base.provider->policy.fallback ? -1 : 0;
}

static int failed(void)
{
	ERR_raise(ERR_LIB_PROV, PROV_R_CIPHER_OPERATION_FAILED);
	return 0;
}

static int update_data(struct gcm_ctx *c, uint8_t *out, size_t *outl, size_t outsize,
                       const uint8_t *in, size_t size)
{
	int done = -1;

	if (c->phase == GCM_FRESH)
		done = offload_data(c, out, in, size);
	if (!done)
		return failed();
	if (done < 0) {
		if (!to_software(c))
			return failed();
		return c->base.delegate->update(c->base.inner, out, outl, outsize, in, size);
	}
	*outl = size;
	return 1;
}

static int update_aad(struct gcm_ctx *c, size_t *outl, size_t outsize, const uint8_t *in,
                      size_t size)
{
	if (c->phase == GCM_FRESH && size <= (size_t)(GCM_MAX_AAD - c->aad_len)) {
		memcpy(c->aad + c->aad_len, in, size);
		c->aad_len += (uint16_t)size;
		*outl = size;
		return 1;
	}
	if (c->phase == GCM_OFFLOADED) /* after data: never allowed */
		return failed();
	if (!to_software(c))
		return failed();
	return c->base.delegate->update(c->base.inner, NULL, outl, outsize, in, size);
}

int gcm_update(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	struct gcm_ctx *c = vctx;

	if (!inl) {
		*outl = 0;
		return 1;
	}
	if (outsize < inl) {
		ERR_raise(ERR_LIB_PROV, PROV_R_OUTPUT_BUFFER_TOO_SMALL);
		return 0;
	}
	if (c->tls_pending)
		return gcm_tls_record(c, out, outl, outsize, in, inl) ? 1 : failed();
	if (!c->base.key_set || c->phase == GCM_DONE)
		return failed();
	return out ? update_data(c, out, outl, outsize, in, inl)
	           : update_aad(c, outl, outsize, in, inl);
}

int gcm_final(void *vctx, unsigned char *out, size_t *outl, size_t outsize)
{
	struct gcm_ctx *c = vctx;

	if (c->phase == GCM_DONE || c->tls_pending)
		return 0;
	if (c->phase == GCM_OFFLOADED) {
		drop_kept(c);
		c->phase = GCM_DONE;
		*outl = 0;
		return 1;
	}
	return to_software(c) && c->base.delegate->final(c->base.inner, out, outl, outsize);
}

/* EVP_Cipher(). */
int gcm_cipher(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	return in ? gcm_update(vctx, out, outl, outsize, in, inl)
	          : gcm_final(vctx, out, outl, outsize);
}

/* ----------------------------------------------------------------------------- life, settings */

void *gcm_new(void *provctx, enum cipher_id id)
{
	struct gcm_ctx *c = OPENSSL_zalloc(sizeof(*c));

	if (c && !cipher_open(&c->base, provctx, id)) {
		gcm_freectx(c);
		return NULL;
	}
	if (c)
		c->base.tag_len = GCM_TAG;
	return c;
}

void gcm_freectx(void *vctx)
{
	struct gcm_ctx *c = vctx;

	if (!c)
		return;
	drop_kept(c);
	cipher_close(&c->base);
	OPENSSL_clear_free(c, sizeof(*c));
}

void *gcm_dupctx(void *vctx)
{
	const struct gcm_ctx *c = vctx;
	struct gcm_ctx *copy = OPENSSL_memdup(c, sizeof(*c));

	if (!copy)
		return NULL;
	copy->kept = NULL;
	if (!cipher_copy(&copy->base, &c->base) || (c->kept && !keep(copy, c->kept, c->kept_len))) {
		gcm_freectx(copy);
		return NULL;
	}
	return copy;
}

int gcm_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
             size_t iv_size, const OSSL_PARAM params[])
{
	struct gcm_ctx *c = vctx;
	/* Without a new IV a message that was begun goes on. */
	if (!iv && (c->phase == GCM_OFFLOADED || c->aad_len) && !to_software(c))
		return 0;
	if (!cipher_inner_init(&c->base, encrypt, key, key_size, iv, iv_size))
		return 0;
	cipher_note_init(&c->base, encrypt, key);
	if (iv) {
		drop_kept(c);
		c->phase = GCM_SOFTWARE;
		c->aad_len = 0;
		c->tag_set = false;
		c->tls_iv = false;
		if (iv_size == GCM_IV) {
			memcpy(c->iv, iv, GCM_IV);
			c->phase = GCM_FRESH;
		}
	}
	return gcm_set_ctx_params(c, params);
}

static int get_tag(struct gcm_ctx *c, OSSL_PARAM *p)
{
	if (c->phase != GCM_DONE || !c->base.encrypt)
		return cipher_inner_get(&c->base, p);
	if (!p->data_size || p->data_size > GCM_TAG) {
		ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_TAG);
		return 0;
	}
	return OSSL_PARAM_set_octet_string(p, c->tag, p->data_size);
}

int gcm_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
	struct gcm_ctx *c = vctx;
	int ok = 1;

	for (OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG)) {
			ok = get_tag(c, p);
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD) && c->tls_used) {
			ok = OSSL_PARAM_set_size_t(p, GCM_TAG);
		} else {
			/* The delegate makes a new IV from its counter. */
			if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN))
				c->phase = GCM_SOFTWARE;
			ok = cipher_inner_get(&c->base, p);
		}
	}
	return ok;
}

static int set_tag(struct gcm_ctx *c, const OSSL_PARAM *p)
{
	/* In the middle of a message that the device has judged by another tag. */
	if (c->phase == GCM_OFFLOADED && !to_software(c))
		return 0;
	if (!cipher_inner_set(&c->base, p))
		return 0;
	c->tag_set = p->data && p->data_size == GCM_TAG;
	if (c->tag_set)
		memcpy(c->tag, p->data, GCM_TAG);
	return 1;
}

static int set_tls_fixed_iv(struct gcm_ctx *c, const OSSL_PARAM *p)
{
	if (!cipher_inner_set(&c->base, p))
		return 0;
	drop_kept(c);
	c->phase = GCM_SOFTWARE;
	c->tls_iv = p->data_size == TLS_FIXED_IV;
	if (c->tls_iv)
		memcpy(c->iv, p->data, TLS_FIXED_IV);
	return 1;
}

int gcm_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct gcm_ctx *c = vctx;
	int ok = 1;

	for (const OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG)) {
			ok = set_tag(c, p);
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD)) {
			ok = gcm_tls_set_aad(c, p);
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED)) {
			ok = set_tls_fixed_iv(c, p);
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_IVLEN)) {
			/* The delegate knows whether it invalidates the IV. */
			ok = to_software(c) && cipher_inner_set(&c->base, p);
			c->tls_iv = false;
		} else if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_SET_IV_INV)) {
			ok = to_software(c) && cipher_inner_set(&c->base, p);
			c->phase = GCM_SOFTWARE;
		} else {
			/* libssl sets its version with every cipher. */
			ok = cipher_inner_set(&c->base, p);
		}
	}
	return ok;
}
