/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA signatures.
 *
 * The delegate keeps all parameters and their rules, and verifies. For DigestSign the digest is
 * computed here, so that there is a moment between it and the private operation; the delegate is
 * then set up for signing that digest, which it does whenever we do not. Offloaded: PKCS#1 v1.5 and
 * PSS with every digest, and bare PKCS#1 v1.5 or unpadded input.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/proverr.h>
#include <openssl/rsa.h>

#include "openssl/provider/rsa_key.h"

struct sign_ctx {
	struct provider *provider;
	const struct signature_delegate *delegate;
	void *inner;
	struct rsa_key *key;
	bool digesting; /* in DigestSign: md_ctx is ours and the digest is fixed */
	EVP_MD *md;
	EVP_MD_CTX *md_ctx;
};

/* What the delegate's context says that matters for signing. */
struct sign_settings {
	int padding;
	int salt_len;
	char digest[64]; /* "" for none */
	char mgf1[64];
};

/* --------------------------------------------------------------------------------------- life */

static void sign_freectx(void *vctx)
{
	struct sign_ctx *c = vctx;

	if (!c)
		return;
	if (c->inner)
		c->delegate->freectx(c->inner);
	rsa_key_free(c->key);
	EVP_MD_CTX_free(c->md_ctx);
	EVP_MD_free(c->md);
	OPENSSL_free(c);
}

static void *sign_newctx(void *provctx, const char *properties)
{
	struct sign_ctx *c = OPENSSL_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->provider = provctx;
	c->delegate = &c->provider->signature;
	/* The caller's properties are for its library context; in ours there is one provider. */
	c->inner = c->delegate->newctx(c->provider->delegate_ctx, NULL);
	if (!c->inner) {
		sign_freectx(c);
		return NULL;
	}
	return c;
}

static void *sign_dupctx(void *vctx)
{
	const struct sign_ctx *c = vctx;
	struct sign_ctx *copy = OPENSSL_zalloc(sizeof(*copy));

	if (!copy)
		return NULL;
	copy->provider = c->provider;
	copy->delegate = c->delegate;
	copy->digesting = c->digesting;
	copy->key = c->key ? rsa_key_ref(c->key) : NULL;
	if (c->md && EVP_MD_up_ref(c->md))
		copy->md = c->md;
	copy->inner = c->delegate->dupctx(c->inner);
	copy->md_ctx = c->md_ctx ? EVP_MD_CTX_new() : NULL;
	if (!copy->inner ||
	    (c->md_ctx && (!copy->md_ctx || !EVP_MD_CTX_copy_ex(copy->md_ctx, c->md_ctx)))) {
		sign_freectx(copy);
		return NULL;
	}
	return copy;
}

static void *use_key(struct sign_ctx *c, struct rsa_key *key)
{
	c->digesting = false;
	if (!key)
		return NULL; /* the delegate goes on with the one that it has */
	rsa_key_ref(key);
	rsa_key_free(c->key);
	c->key = key;
	return rsa_key_inner(key);
}

/* ----------------------------------------------------------------------------------- settings */

static int read_settings(struct sign_ctx *c, struct sign_settings *s)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &s->padding),
		OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &s->salt_len),
		OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, s->digest,
	                                         sizeof(s->digest)),
		OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, s->mgf1,
	                                         sizeof(s->mgf1)),
		OSSL_PARAM_construct_end(),
	};

	memset(s, 0, sizeof(*s));
	s->padding = -1;
	return c->delegate->get_ctx_params(c->inner, params);
}

/* The delegate's digest, kept in c->md. NULL when it has none. */
static const EVP_MD *get_md(struct sign_ctx *c, const char *name)
{
	if (!name[0])
		return NULL;
	if (!c->md || !EVP_MD_is_a(c->md, name)) {
		EVP_MD_free(c->md);
		c->md = EVP_MD_fetch(c->provider->libctx, name, NULL);
	}
	return c->md;
}

static int sign_get_ctx_params(void *vctx, OSSL_PARAM *params)
{
	struct sign_ctx *c = vctx;

	return c->delegate->get_ctx_params(c->inner, params);
}

static int sign_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct sign_ctx *c = vctx;
	const OSSL_PARAM *p =
		params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST) : NULL;
	char digest[64], *name = digest;

	if (p && c->digesting &&
	    (!OSSL_PARAM_get_utf8_string(p, &name, sizeof(digest)) ||
	     !EVP_MD_is_a(c->md, digest))) {
		ERR_raise(ERR_LIB_PROV, PROV_R_DIGEST_NOT_ALLOWED);
		return 0;
	}
	return c->delegate->set_ctx_params(c->inner, params);
}

static const OSSL_PARAM *sign_gettable_ctx_params(void *vctx, void *provctx)
{
	const struct sign_ctx *c = vctx;
	const struct provider *p = provctx;

	return p->signature.gettable_ctx_params(c ? c->inner : NULL, p->delegate_ctx);
}

static const OSSL_PARAM *sign_settable_ctx_params(void *vctx, void *provctx)
{
	const struct sign_ctx *c = vctx;
	const struct provider *p = provctx;

	return p->signature.settable_ctx_params(c ? c->inner : NULL, p->delegate_ctx);
}

static int sign_get_ctx_md_params(void *vctx, OSSL_PARAM *params)
{
	struct sign_ctx *c = vctx;

	return c->digesting ? EVP_MD_CTX_get_params(c->md_ctx, params)
	                    : c->delegate->get_ctx_md_params(c->inner, params);
}

static const OSSL_PARAM *sign_gettable_ctx_md_params(void *vctx)
{
	struct sign_ctx *c = vctx;

	return c->digesting ? EVP_MD_gettable_ctx_params(c->md)
	                    : c->delegate->gettable_ctx_md_params(c->inner);
}

static int sign_set_ctx_md_params(void *vctx, const OSSL_PARAM params[])
{
	struct sign_ctx *c = vctx;

	return c->digesting ? EVP_MD_CTX_set_params(c->md_ctx, params)
	                    : c->delegate->set_ctx_md_params(c->inner, params);
}

static const OSSL_PARAM *sign_settable_ctx_md_params(void *vctx)
{
	struct sign_ctx *c = vctx;

	return c->digesting ? EVP_MD_settable_ctx_params(c->md)
	                    : c->delegate->settable_ctx_md_params(c->inner);
}

/* ------------------------------------------------------------------------------------ signing */

static bool pad_pss(struct sign_ctx *c, const struct sign_settings *s, RSA *rsa, const EVP_MD *md,
                    const uint8_t *digest, uint8_t *block)
{
	EVP_MD *mgf1 = NULL;
	bool ok;

	if (s->mgf1[0] && !EVP_MD_is_a(md, s->mgf1)) {
		mgf1 = EVP_MD_fetch(c->provider->libctx, s->mgf1, NULL);
		if (!mgf1)
			return false;
	}
	ok = RSA_padding_add_PKCS1_PSS_mgf1(rsa, block, digest, md, mgf1 ? mgf1 : md, s->salt_len);
	EVP_MD_free(mgf1);
	return ok;
}

/*
 * The block that goes into the private operation. false: leave it, and every complaint, to the
 * delegate.
 */
static bool pad(struct sign_ctx *c, RSA *rsa, const uint8_t *tbs, size_t tbslen, uint8_t *block)
{
	int size = RSA_size(rsa);
	struct sign_settings s;
	const EVP_MD *md;
	unsigned int n = 0;
	int nid;

	if (!read_settings(c, &s))
		return false;
	if (!s.digest[0]) {
		if (s.padding != RSA_PKCS1_PADDING && s.padding != RSA_NO_PADDING)
			return false;
		return tbslen <= (size_t)size &&
		       RSA_private_encrypt((int)tbslen, tbs, block, rsa, s.padding) == size;
	}
	md = get_md(c, s.digest);
	if (!md || tbslen != (size_t)EVP_MD_get_size(md))
		return false;
	nid = EVP_MD_get_type(md);
	if (s.padding == RSA_PKCS1_PSS_PADDING)
		return pad_pss(c, &s, rsa, md, tbs, block);
	/* MDC-2 has an encoding of its own. */
	return s.padding == RSA_PKCS1_PADDING && nid != NID_undef && nid != NID_mdc2 &&
	       RSA_sign(nid, tbs, (unsigned int)tbslen, block, &n, rsa) && n == (unsigned int)size;
}

static bool pad_quietly(struct sign_ctx *c, RSA *rsa, const uint8_t *tbs, size_t tbslen,
                        uint8_t *block)
{
	bool ok;

	/* What fails here fails again in the delegate, which says why. */
	ERR_set_mark();
	ok = pad(c, rsa, tbs, tbslen, block);
	if (ok)
		ERR_clear_last_mark();
	else
		ERR_pop_to_mark();
	return ok;
}

static int sign_sign(void *vctx, unsigned char *sig, size_t *siglen, size_t sigsize,
                     const unsigned char *tbs, size_t tbslen)
{
	struct sign_ctx *c = vctx;
	uint8_t block[RSA_KEY_MAX_BYTES];
	RSA *rsa = sig && c->key ? rsa_key_object(c->key) : NULL;
	enum policy_choice choice;
	int rc;

	if (!rsa || sigsize < rsa_key_size(c->key) || !pad_quietly(c, rsa, tbs, tbslen, block))
		goto software;
	choice = policy_rsa(&c->provider->policy);
	if (choice == POLICY_SOFTWARE)
		goto software;
	rc = choice == POLICY_OFFLOAD ? rsa_key_private(c->key, block, sig, VCE_CLASS_RSA_SIGN)
	                              : -1;
	if (!rc) {
		*siglen = rsa_key_size(c->key);
		return 1;
	}
	if (!c->provider->policy.fallback) {
		ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_TO_SIGN);
		return 0;
	}
software:
	return c->delegate->sign(c->inner, sig, siglen, sigsize, tbs, tbslen);
}

static int sign_sign_init(void *vctx, void *key, const OSSL_PARAM params[])
{
	struct sign_ctx *c = vctx;

	return c->delegate->sign_init(c->inner, use_key(c, key), params);
}

static int set_digest(struct sign_ctx *c, const char *name)
{
	char copy[64];
	OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};

	if (OPENSSL_strlcpy(copy, name, sizeof(copy)) >= sizeof(copy)) {
		ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_DIGEST);
		return 0;
	}
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, copy, 0);
	return c->delegate->set_ctx_params(c->inner, params);
}

static int sign_digest_sign_init(void *vctx, const char *mdname, void *key,
                                 const OSSL_PARAM params[])
{
	struct sign_ctx *c = vctx;
	struct sign_settings s;

	if (!c->delegate->sign_init(c->inner, use_key(c, key), params) ||
	    (mdname && mdname[0] && !set_digest(c, mdname)) || !read_settings(c, &s))
		return 0;
	if (!get_md(c, s.digest)) {
		ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_DIGEST);
		return 0;
	}
	if (!c->md_ctx)
		c->md_ctx = EVP_MD_CTX_new();
	if (!c->md_ctx || !EVP_DigestInit_ex2(c->md_ctx, c->md, params))
		return 0;
	c->digesting = true;
	return 1;
}

static int sign_digest_sign_update(void *vctx, const unsigned char *data, size_t size)
{
	struct sign_ctx *c = vctx;

	return c->digesting && EVP_DigestUpdate(c->md_ctx, data, size);
}

static int sign_digest_sign_final(void *vctx, unsigned char *sig, size_t *siglen, size_t sigsize)
{
	struct sign_ctx *c = vctx;
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int size = 0;

	if (!c->digesting)
		return 0;
	if (sig && !EVP_DigestFinal_ex(c->md_ctx, digest, &size))
		return 0;
	return sign_sign(c, sig, siglen, sigsize, digest, size);
}

/* ---------------------------------------------------------------------- left to the delegate */

static int sign_verify_init(void *vctx, void *key, const OSSL_PARAM params[])
{
	struct sign_ctx *c = vctx;

	return c->delegate->verify_init(c->inner, use_key(c, key), params);
}

static int sign_verify(void *vctx, const unsigned char *sig, size_t siglen,
                       const unsigned char *tbs, size_t tbslen)
{
	struct sign_ctx *c = vctx;

	return c->delegate->verify(c->inner, sig, siglen, tbs, tbslen);
}

static int sign_verify_recover_init(void *vctx, void *key, const OSSL_PARAM params[])
{
	struct sign_ctx *c = vctx;

	return c->delegate->verify_recover_init(c->inner, use_key(c, key), params);
}

static int sign_verify_recover(void *vctx, unsigned char *out, size_t *outlen, size_t outsize,
                               const unsigned char *sig, size_t siglen)
{
	struct sign_ctx *c = vctx;

	return c->delegate->verify_recover(c->inner, out, outlen, outsize, sig, siglen);
}

static int sign_digest_verify_init(void *vctx, const char *mdname, void *key,
                                   const OSSL_PARAM params[])
{
	struct sign_ctx *c = vctx;

	return c->delegate->digest_verify_init(c->inner, mdname, use_key(c, key), params);
}

static int sign_digest_verify_update(void *vctx, const unsigned char *data, size_t size)
{
	struct sign_ctx *c = vctx;

	return c->delegate->digest_verify_update(c->inner, data, size);
}

static int sign_digest_verify_final(void *vctx, const unsigned char *sig, size_t siglen)
{
	struct sign_ctx *c = vctx;

	return c->delegate->digest_verify_final(c->inner, sig, siglen);
}

#define ENTRY(NAME, name)                                                                          \
	{                                                                                          \
		OSSL_FUNC_SIGNATURE_##NAME, (void (*)(void))sign_##name                            \
	}

const OSSL_DISPATCH rsa_signature_dispatch[] = {
	ENTRY(NEWCTX, newctx),
	ENTRY(FREECTX, freectx),
	ENTRY(DUPCTX, dupctx),
	ENTRY(SIGN_INIT, sign_init),
	ENTRY(SIGN, sign),
	ENTRY(VERIFY_INIT, verify_init),
	ENTRY(VERIFY, verify),
	ENTRY(VERIFY_RECOVER_INIT, verify_recover_init),
	ENTRY(VERIFY_RECOVER, verify_recover),
	ENTRY(DIGEST_SIGN_INIT, digest_sign_init),
	ENTRY(DIGEST_SIGN_UPDATE, digest_sign_update),
	ENTRY(DIGEST_SIGN_FINAL, digest_sign_final),
	ENTRY(DIGEST_VERIFY_INIT, digest_verify_init),
	ENTRY(DIGEST_VERIFY_UPDATE, digest_verify_update),
	ENTRY(DIGEST_VERIFY_FINAL, digest_verify_final),
	ENTRY(GET_CTX_PARAMS, get_ctx_params),
	ENTRY(GETTABLE_CTX_PARAMS, gettable_ctx_params),
	ENTRY(SET_CTX_PARAMS, set_ctx_params),
	ENTRY(SETTABLE_CTX_PARAMS, settable_ctx_params),
	ENTRY(GET_CTX_MD_PARAMS, get_ctx_md_params),
	ENTRY(GETTABLE_CTX_MD_PARAMS, gettable_ctx_md_params),
	ENTRY(SET_CTX_MD_PARAMS, set_ctx_md_params),
	ENTRY(SETTABLE_CTX_MD_PARAMS, settable_ctx_md_params),
	{0, NULL},
};
