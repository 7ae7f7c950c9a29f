/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CCM.
 *
 * The length of the message and that of its tag are authenticated, so OpenSSL wants to know them
 * beforehand: the length by an update without data (or it is that of the one update with data), the
 * lengths of tag and IV before the key, which they are taken up with. All data comes in one update.
 * What OpenSSL remembers of a message is remembered here as well (iv_set, length_set, tag_made and
 * aead.tag_set), for the delegate, which did not see what the device did, answers as if the last
 * message were still to come.
 *
 * Encrypting message after message without asking for tags is done (openssl speed): an IV that is
 * set then waits for the next length, which begins a new message; anything else than that OpenSSL
 * takes for a part of the old one, and has the delegate sort it out.
 *
 * From the first "tlsaad" on every update is a record of TLS 1.2 (RFC 6655).
 */
#include "openssl/provider/cipher_aead.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

#define FIRST_IV 7
#define FIRST_TAG 12

struct ccm_ctx {
	struct aead_ctx aead;    /* base.tag_len: taken up with the key */
	uint8_t tag_len, iv_len; /* as set last */
	uint8_t key_iv_len;      /* taken up with the key */
	bool iv_set, length_set;
	bool tag_made;   /* encrypting: there is one to be had */
	bool tag_ours;   /* in aead.tag */
	bool data_ours;  /* the device did the last data */
	bool data_tried; /* there was data since the last IV, taken or refused */
	bool given_up;   /* the delegate has this context's messages from now on */
	bool waiting;    /* in phase AEAD_OFFLOADED: next_iv was set */
	uint8_t next_iv_len;
	uint8_t next_iv[AEAD_MAX_IV];
	size_t length;
	bool spent;  /* the delegate has done data since it last heard of a length or got a key */
	bool broken; /* and then refused some: it has lost the tag's length, until the next key */
	bool tls;    /* all updates are records */
	bool record_iv; /* aead.iv is that of a record, and the delegate does not know it */
};

/* -------------------------------------------------------------------------- to and fro, lengths */

/* The delegate hears of the length, even if it has another one from before. */
static int tell_length(struct aead_ctx *a, void *inner, size_t length)
{
	size_t n = 0;

	return a->base.delegate->update(inner, NULL, &n, length, NULL, length);
}

static int announce(struct aead_ctx *a)
{
	struct ccm_ctx *c = (struct ccm_ctx *)a;

	if (c->waiting && !cipher_inner_init(&a->base, a->base.encrypt, NULL, 0, a->iv, a->iv_len))
		return 0;
	return !c->length_set || tell_length(a, a->base.inner, c->length);
}

/* OpenSSL deciphers only what has the right tag: the device has made it. */
static int begin(const struct aead_ctx *a, void *scratch)
{
	const struct cipher_delegate *d = a->base.delegate;
	struct aead_ctx *self = (struct aead_ctx *)a;
	size_t iv_len = a->iv_len, n = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &iv_len),
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, self->tag,
	                                          a->base.tag_len),
		OSSL_PARAM_construct_end(),
	};

	return d->decrypt_init(scratch, NULL, 0, NULL, 0, NULL) &&
	       d->set_ctx_params(scratch, params) &&
	       d->decrypt_init(scratch, a->base.raw_key, cipher_key_size(a->base.id), a->iv,
	                       a->iv_len, NULL) &&
	       tell_length(self, scratch, a->kept_len) &&
	       (!a->aad_len || d->update(scratch, NULL, &n, a->aad_len, a->aad, a->aad_len));
}

/* Bring the delegate to where OpenSSL's own would be by now. */
static int settle(struct ccm_ctx *c)
{
	struct aead_ctx *a = &c->aead;
	bool waiting = c->waiting;

	if (a->phase == AEAD_OFFLOADED) {
		c->tag_ours = false;
		c->spent = true;
	}
	if (!aead_to_software(a))
		return 0;
	c->waiting = false;
	if (!waiting)
		return 1;
	memcpy(a->iv, c->next_iv, c->next_iv_len);
	a->iv_len = c->next_iv_len;
	return cipher_inner_init(&a->base, a->base.encrypt, NULL, 0, a->iv, a->iv_len);
}

/* Whether what the device would be asked for is what OpenSSL does with these lengths. */
static bool lengths_fit(const struct ccm_ctx *c)
{
	const struct aead_ctx *a = &c->aead;

	return a->base.key_set && !c->broken && c->tag_len == a->base.tag_len &&
	       c->iv_len == c->key_iv_len;
}

/* A message is over, and there is none before the next IV. */
static void end_message(struct ccm_ctx *c)
{
	aead_drop(&c->aead);
	c->aead.phase = AEAD_DONE;
	c->aead.aad_len = 0;
	c->aead.tag_set = false;
	c->iv_set = c->length_set = c->tag_made = c->tag_ours = c->waiting = false;
}

/* ----------------------------------------------------------------------------------- messages */

static int set_length(struct ccm_ctx *c, size_t length)
{
	struct aead_ctx *a = &c->aead;

	if (c->waiting) {
		memcpy(a->iv, c->next_iv, c->next_iv_len);
		a->iv_len = c->next_iv_len;
		c->waiting = false;
	}
	aead_drop(a);
	a->aad_len = 0;
	c->length_set = true;
	c->data_ours = false;
	c->length = length;
	c->spent = false;
	/* The IV that was set last serves again. */
	a->phase = AEAD_FRESH;
	if (lengths_fit(c) && a->iv_len == c->iv_len)
		return 1;
	a->phase = AEAD_SOFTWARE;
	return tell_length(a, a->base.inner, length);
}

static int add_aad(struct ccm_ctx *c, const uint8_t *in, size_t size)
{
	struct aead_ctx *a = &c->aead;
	size_t n = 0;

	if (!size)
		return 1;
	if (!c->length_set)
		return 0;
	if (a->phase == AEAD_FRESH && !a->aad_len && aead_gather(a, in, size))
		return 1;
	return settle(c) && a->base.delegate->update(a->base.inner, NULL, &n, size, in, size);
}

/* After an update with data that went well. */
static void data_done(struct ccm_ctx *c, bool ours)
{
	c->data_ours = ours;
	if (c->aead.base.encrypt) {
		c->aead.tag_set = false;
		c->tag_made = true;
		c->tag_ours = ours;
	} else {
		end_message(c);
	}
}

static int software_data(struct ccm_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	struct aead_ctx *a = &c->aead;
	size_t n = 0;

	if (!settle(c))
		return 0;
	c->data_ours = false;
	if (a->base.delegate->update(a->base.inner, out, &n, size, in, size)) {
		data_done(c, false);
		c->spent = true;
		return 1;
	}
	c->broken |= c->spent || size != c->length;
	c->spent = true;
	return 0;
}

static int add_data(struct ccm_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	struct aead_ctx *a = &c->aead;
	int done = -1;

	c->data_tried = true;
	if (!c->length_set && !set_length(c, size))
		return 0;
	if (!a->base.encrypt && !a->tag_set)
		return 0;
	if (a->phase == AEAD_FRESH && size == c->length && lengths_fit(c) && a->iv_len == c->iv_len)
		done = aead_offload(a, out, in, size);
	if (done < 0)
		return software_data(c, out, in, size);
	if (done)
		data_done(c, true);
	return done;
}

static int record(struct ccm_ctx *c, uint8_t *out, size_t *outl, size_t outsize, const uint8_t *in,
                  size_t size)
{
	int ok;

	c->aead.phase = AEAD_SOFTWARE;
	ok = aead_tls_record(&c->aead, out, outl, outsize, in, size);
	c->record_iv = c->aead.phase == AEAD_DONE;
	return ok;
}

/*
 * The end of a message that the device has not done. Versions of OpenSSL differ in whether it is an
 * error after data that was refused; and later ones do a message without data here, which changes
 * what may follow: contexts that see that are left to the delegate.
 */
static int end(struct ccm_ctx *c, uint8_t *out, size_t outsize)
{
	size_t n = 0;

	if (!settle(c))
		return 0;
	c->given_up |= !c->data_tried;
	return c->aead.base.delegate->final(c->aead.base.inner, out, &n, outsize);
}

static int run(struct ccm_ctx *c, uint8_t *out, size_t *outl, size_t outsize, const uint8_t *in,
               size_t size)
{
	struct aead_ctx *a = &c->aead;
	int ok;

	*outl = 0;
	if (!a->base.key_set)
		return 0;
	if (c->tls)
		return record(c, out, outl, outsize, in, size);
	if (!in && out)
		return c->data_ours || end(c, out, outsize);
	if (c->given_up)
		return a->base.delegate->update(a->base.inner, out, outl, outsize, in, size);
	if (!c->iv_set)
		return 0;
	if (!out)
		ok = in ? add_aad(c, in, size) : set_length(c, size);
	else
		ok = add_data(c, out, in, size);
	*outl = ok ? size : 0;
	return ok;
}

int ccm_update(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	if (outsize < inl)
		return cipher_too_small();
	return run(vctx, out, outl, outsize, in, inl) ? 1 : cipher_failed();
}

int ccm_final(void *vctx, unsigned char *out, size_t *outl, size_t outsize)
{
	struct ccm_ctx *c = vctx;
	size_t n = 0;
	/* Records have no end of their own: the delegate knows what to say. */
	int ok = c->tls ? c->aead.base.delegate->final(c->aead.base.inner, out, &n, outsize)
	                : run(c, out, &n, outsize, NULL, 0);

	*outl = 0;
	return ok;
}

/* EVP_Cipher(). */
int ccm_cipher(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
               const unsigned char *in, size_t inl)
{
	if (outsize < inl)
		return cipher_too_small();
	if (!run(vctx, out, outl, outsize, in, inl))
		return 0;
	*outl = inl;
	return 1;
}

/* ----------------------------------------------------------------------------- life, settings */

/* What is explicit of a record's IV is its number. */
static int tls_iv(struct aead_ctx *a, uint8_t *record)
{
	if (a->base.encrypt)
		memcpy(record, a->tls_aad, TLS_EXPLICIT_IV);
	memcpy(a->iv + TLS_FIXED_IV, record, TLS_EXPLICIT_IV);
	return 1;
}

static const struct aead_mode mode = {
	.work = POLICY_CCM,
	.tls_lead = TLS_EXPLICIT_IV,
	.begin = begin,
	.announce = announce,
	.tls_iv = tls_iv,
};

void *ccm_new(void *provctx, enum cipher_id id)
{
	struct ccm_ctx *c = aead_new(sizeof(*c), provctx, id, &mode);

	if (c) {
		c->tag_len = FIRST_TAG;
		c->iv_len = FIRST_IV;
	}
	return c;
}

void ccm_freectx(void *vctx)
{
	aead_free(vctx, sizeof(struct ccm_ctx));
}

void *ccm_dupctx(void *vctx)
{
	return aead_dup(vctx, sizeof(struct ccm_ctx));
}

static void note_iv(struct ccm_ctx *c, const uint8_t *iv, size_t size)
{
	struct aead_ctx *a = &c->aead;

	c->iv_set = true;
	c->data_tried = c->data_ours = false;
	if (c->waiting) {
		memcpy(c->next_iv, iv, size);
		c->next_iv_len = (uint8_t)size;
	} else {
		memcpy(a->iv, iv, size);
		a->iv_len = (uint8_t)size;
		/* With a length that was set before, the delegate goes on where it was. */
		if (!c->length_set)
			a->phase = AEAD_FRESH;
	}
}

int ccm_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
             size_t iv_size, const OSSL_PARAM params[])
{
	struct ccm_ctx *c = vctx;
	struct aead_ctx *a = &c->aead;

	bool waits = a->phase == AEAD_OFFLOADED && iv && !key && encrypt == a->base.encrypt;

	if (!waits && c->length_set && !settle(c))
		return 0;
	if (!cipher_inner_init(&a->base, encrypt, key, key_size, iv, iv_size))
		return 0;
	cipher_note_init(&a->base, encrypt, key);
	if (key) {
		a->base.tag_len = c->tag_len;
		c->key_iv_len = c->iv_len;
		c->spent = true;
		c->broken = false;
	}
	c->waiting |= waits;
	if (iv)
		note_iv(c, iv, iv_size);
	return ccm_set_ctx_params(c, params);
}

static int get_tag(struct ccm_ctx *c, OSSL_PARAM *p)
{
	struct aead_ctx *a = &c->aead;

	if (c->given_up)
		return cipher_inner_get(&a->base, p);
	if (!a->base.encrypt || !c->tag_made) {
		ERR_raise(ERR_LIB_PROV, PROV_R_TAG_NOT_SET);
		return 0;
	}
	if (!c->tag_ours ? !cipher_inner_get(&a->base, p)
	                 : p->data_size != a->base.tag_len || !aead_get_tag(a, p))
		return 0;
	end_message(c);
	return 1;
}

/* A record's IV is not told to the delegate unless somebody asks. */
static int get_iv(struct ccm_ctx *c, OSSL_PARAM *p)
{
	struct aead_ctx *a = &c->aead;

	if (c->record_iv && !cipher_inner_init(&a->base, a->base.encrypt, NULL, 0, a->iv, AEAD_IV))
		return 0;
	c->record_iv = false;
	return cipher_inner_get(&a->base, p);
}

int ccm_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
	struct ccm_ctx *c = vctx;
	int ok = 1;

	for (OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG))
			ok = get_tag(c, p);
		else if (!strcmp(p->key, OSSL_CIPHER_PARAM_IV) ||
		         !strcmp(p->key, OSSL_CIPHER_PARAM_UPDATED_IV))
			ok = get_iv(c, p);
		else
			ok = cipher_inner_get(&c->aead.base, p);
	}
	return ok;
}

static int set_tag(struct ccm_ctx *c, const OSSL_PARAM *p)
{
	struct aead_ctx *a = &c->aead;

	if (!cipher_inner_set(&a->base, p))
		return 0;
	c->tag_len = (uint8_t)p->data_size;
	if (p->data) {
		memcpy(a->tag, p->data, p->data_size);
		a->tag_set = true;
	}
	return 1;
}

static int set_iv_length(struct ccm_ctx *c, const OSSL_PARAM *p)
{
	size_t length;

	/* What was begun with an IV of another length. */
	if (c->length_set && !settle(c))
		return 0;
	if (!cipher_inner_set(&c->aead.base, p) || !OSSL_PARAM_get_size_t(p, &length))
		return 0;
	c->iv_len = (uint8_t)length;
	return 1;
}

static int set_tls_fixed_iv(struct ccm_ctx *c, const OSSL_PARAM *p)
{
	struct aead_ctx *a = &c->aead;

	if (!settle(c) || !cipher_inner_set(&a->base, p))
		return 0;
	memcpy(a->iv, p->data, TLS_FIXED_IV);
	a->iv_len = AEAD_IV;
	a->tls_iv = true;
	return 1;
}

/* Whether it is taken or not. */
static int set_tls_aad(struct ccm_ctx *c, const OSSL_PARAM *p)
{
	struct aead_ctx *a = &c->aead;

	if (!settle(c))
		return 0;
	if (p->data_type == OSSL_PARAM_OCTET_STRING && p->data_size == TLS_AAD)
		c->tls = true;
	a->phase = AEAD_SOFTWARE;
	a->tls_iv = a->tls_iv && lengths_fit(c) && c->iv_len == AEAD_IV;
	return cipher_inner_set(&a->base, p) && aead_tls_set_aad(a, p);
}

int ccm_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct ccm_ctx *c = vctx;
	int ok = 1;

	for (const OSSL_PARAM *p = params; ok && p && p->key; p++) {
		if (!strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG))
			ok = set_tag(c, p);
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
