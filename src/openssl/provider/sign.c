/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures. See sign.h.
 */
#include "openssl/provider/sign.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

static const struct sign_class *const classes[SIGNATURES] = {
	[SIGNATURE_RSA] = &rsa_sign_class,
	[SIGNATURE_ECDSA] = &ecdsa_sign_class,
};

/* --------------------------------------------------------------------------------------- life */

static void sign_freectx(void *vctx)
{
	struct sign_ctx *c = vctx;

	if (!c)
		return;
	if (c->inner)
		c->delegate->freectx(c->inner);
	key_free(c->key);
	EVP_MD_CTX_free(c->md_ctx);
	EVP_MD_free(c->md);
	OPENSSL_free(c);
}

static void *newctx(struct provider *provider, enum signature_id id)
{
	struct sign_ctx *c = OPENSSL_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->provider = provider;
	c->class = classes[id];
	c->delegate = &provider->signature[id];
	/* The caller's properties are for its library context; in ours there is one provider. */
	c->inner = c->delegate->newctx(provider->delegate_ctx, NULL);
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
	copy->class = c->class;
	copy->delegate = c->delegate;
	copy->digesting = c->digesting;
	copy->software = c->software;
	copy->key = c->key ? key_ref(c->key) : NULL;
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

static void *use_key(struct sign_ctx *c, struct key *key)
{
	c->digesting = false;
	if (!key)
		return NULL; /* the delegate goes on with the one that it has */
	key_ref(key);
	key_free(c->key);
	c->key = key;
	return key->inner;
}

/* ----------------------------------------------------------------------------------- settings */

const EVP_MD *sign_md(struct sign_ctx *c, const char *name)
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

/* In DigestSign the digest is fixed. */
static bool keeps_digest(const struct sign_ctx *c, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST);
	char digest[SIGN_NAME], *name = digest;

	return !p ||
	       (OSSL_PARAM_get_utf8_string(p, &name, sizeof(digest)) && EVP_MD_is_a(c->md, digest));
}

static int sign_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct sign_ctx *c = vctx;

	if (params && c->digesting && !keeps_digest(c, params)) {
		ERR_raise(ERR_LIB_PROV, PROV_R_DIGEST_NOT_ALLOWED);
		return 0;
	}
	if (params && c->class->set_params && !c->class->set_params(c, params))
		return 0;
	return c->delegate->set_ctx_params(c->inner, params);
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

static int sign_sign(void *vctx, unsigned char *sig, size_t *siglen, size_t sigsize,
                     const unsigned char *tbs, size_t tbslen)
{
	struct sign_ctx *c = vctx;
	int rc = -1;

	if (sig && c->key && !c->software)
		rc = c->class->sign(c, sig, siglen, sigsize, tbs, tbslen);
	if (rc < 0)
		return c->delegate->sign(c->inner, sig, siglen, sigsize, tbs, tbslen);
	if (!rc)
		ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_TO_SIGN);
	return rc;
}

static int sign_init(struct sign_ctx *c, void *key, const OSSL_PARAM params[])
{
	return c->delegate->sign_init(c->inner, use_key(c, key), params) &&
	       (!params || !c->class->set_params || c->class->set_params(c, params));
}

static int sign_sign_init(void *vctx, void *key, const OSSL_PARAM params[])
{
	return sign_init(vctx, key, params);
}

/* name, if there is one, becomes the delegate's digest; the delegate's is kept in c->md. */
static int set_digest(struct sign_ctx *c, const char *name)
{
	char digest[SIGN_NAME] = "";
	OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};

	if (name && OPENSSL_strlcpy(digest, name, sizeof(digest)) >= sizeof(digest)) {
		ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_DIGEST);
		return 0;
	}
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, digest, 0);
	if (digest[0] && !c->delegate->set_ctx_params(c->inner, params))
		return 0;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, digest,
	                                             sizeof(digest));
	if (!c->delegate->get_ctx_params(c->inner, params))
		return 0;
	if (!sign_md(c, digest)) {
		ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_DIGEST);
		return 0;
	}
	return 1;
}

static int sign_digest_sign_init(void *vctx, const char *mdname, void *key,
                                 const OSSL_PARAM params[])
{
	struct sign_ctx *c = vctx;

	if (!sign_init(c, key, params) || !set_digest(c, mdname))
		return 0;
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

/* ------------------------------------------------------------------------------------- tables */

/* What has no context to tell its kind by. */
#define FUNCTIONS_OF(name, id)                                                                     \
	static void *newctx_##name(void *provctx, const char *properties)                          \
	{                                                                                          \
		return newctx(provctx, id);                                                        \
	}                                                                                          \
                                                                                                   \
	static const OSSL_PARAM *gettable_ctx_params_##name(void *vctx, void *provctx)             \
	{                                                                                          \
		const struct sign_ctx *c = vctx;                                                   \
		const struct provider *p = provctx;                                                \
                                                                                                   \
		return p->signature[id].gettable_ctx_params(c ? c->inner : NULL, p->delegate_ctx); \
	}                                                                                          \
                                                                                                   \
	static const OSSL_PARAM *settable_ctx_params_##name(void *vctx, void *provctx)             \
	{                                                                                          \
		const struct sign_ctx *c = vctx;                                                   \
		const struct provider *p = provctx;                                                \
                                                                                                   \
		return p->signature[id].settable_ctx_params(c ? c->inner : NULL, p->delegate_ctx); \
	}

FUNCTIONS_OF(rsa, SIGNATURE_RSA)
FUNCTIONS_OF(ecdsa, SIGNATURE_ECDSA)

#define ENTRY(NAME, function)                                                                      \
	{                                                                                          \
		OSSL_FUNC_SIGNATURE_##NAME, (void (*)(void))(function)                             \
	}

#define TABLE(name)                                                                                \
	{                                                                                          \
		ENTRY(NEWCTX, newctx_##name), ENTRY(FREECTX, sign_freectx),                        \
			ENTRY(DUPCTX, sign_dupctx), ENTRY(SIGN_INIT, sign_sign_init),              \
			ENTRY(SIGN, sign_sign), ENTRY(VERIFY_INIT, sign_verify_init),              \
			ENTRY(VERIFY, sign_verify),                                                \
			ENTRY(VERIFY_RECOVER_INIT, sign_verify_recover_init),                      \
			ENTRY(VERIFY_RECOVER, sign_verify_recover),                                \
			ENTRY(DIGEST_SIGN_INIT, sign_digest_sign_init),                            \
			ENTRY(DIGEST_SIGN_UPDATE, sign_digest_sign_update),                        \
			ENTRY(DIGEST_SIGN_FINAL, sign_digest_sign_final),                          \
			ENTRY(DIGEST_VERIFY_INIT, sign_digest_verify_init),                        \
			ENTRY(DIGEST_VERIFY_UPDATE, sign_digest_verify_update),                    \
			ENTRY(DIGEST_VERIFY_FINAL, sign_digest_verify_final),                      \
			ENTRY(GET_CTX_PARAMS, sign_get_ctx_params),                                \
			ENTRY(GETTABLE_CTX_PARAMS, gettable_ctx_params_##name),                    \
			ENTRY(SET_CTX_PARAMS, sign_set_ctx_params),                                \
			ENTRY(SETTABLE_CTX_PARAMS, settable_ctx_params_##name),                    \
			ENTRY(GET_CTX_MD_PARAMS, sign_get_ctx_md_params),                          \
			ENTRY(GETTABLE_CTX_MD_PARAMS, sign_gettable_ctx_md_params),                \
			ENTRY(SET_CTX_MD_PARAMS, sign_set_ctx_md_params),                          \
			ENTRY(SETTABLE_CTX_MD_PARAMS, sign_settable_ctx_md_params),                \
		{                                                                                  \
			0, NULL                                                                    \
		}                                                                                  \
	}

const OSSL_DISPATCH *signature_dispatch(enum signature_id id)
{
	static const OSSL_DISPATCH rsa[] = TABLE(rsa);
	static const OSSL_DISPATCH ecdsa[] = TABLE(ecdsa);

	return id == SIGNATURE_RSA ? rsa : ecdsa;
}
