/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key management for RSA and RSA-PSS keys: the delegate's, on keys that carry our part along.
 *
 * There is no decoder and no store here: keys are read by the default provider and come to us by
 * import, once, when OpenSSL first uses them with us.
 */
#include <openssl/crypto.h>

#include "openssl/provider/rsa_key.h"

struct rsa_generation {
	struct provider *provider;
	enum rsa_kind kind;
	void *inner;
};

static void *new_key(struct provider *provider, enum rsa_kind kind)
{
	return rsa_key_new(provider, kind, provider->keymgmt[kind].new(provider->delegate_ctx));
}

static void *new_rsa(void *provctx)
{
	return new_key(provctx, RSA_PLAIN);
}

static void *new_rsa_pss(void *provctx)
{
	return new_key(provctx, RSA_PSS);
}

static void free_key(void *key)
{
	rsa_key_free(key);
}

static void *dup_key(const void *vkey, int selection)
{
	const struct rsa_key *key = vkey;
	const struct keymgmt_delegate *d = rsa_key_delegate(key);
	struct provider *provider = rsa_key_provider(key);
	enum rsa_kind kind = d == &provider->keymgmt[RSA_PSS] ? RSA_PSS : RSA_PLAIN;

	return rsa_key_new(provider, kind, d->dup(rsa_key_inner(key), selection));
}

static int has(const void *key, int selection)
{
	return key && rsa_key_delegate(key)->has(rsa_key_inner(key), selection);
}

static int match(const void *a, const void *b, int selection)
{
	return rsa_key_delegate(a)->match(rsa_key_inner(a), rsa_key_inner(b), selection);
}

static int validate(const void *key, int selection, int type)
{
	return rsa_key_delegate(key)->validate(rsa_key_inner(key), selection, type);
}

static int import(void *key, int selection, const OSSL_PARAM params[])
{
	rsa_key_changed(key);
	return rsa_key_delegate(key)->import(rsa_key_inner(key), selection, params);
}

static int export_key(void *key, int selection, OSSL_CALLBACK *callback, void *arg)
{
	return rsa_key_delegate(key)->export(rsa_key_inner(key), selection, callback, arg);
}

static int get_params(void *key, OSSL_PARAM params[])
{
	return rsa_key_delegate(key)->get_params(rsa_key_inner(key), params);
}

static const OSSL_PARAM *gettable_params(void *provctx)
{
	const struct provider *provider = provctx;

	return provider->keymgmt[RSA_PLAIN].gettable_params(provider->delegate_ctx);
}

/* --------------------------------------------------------------------------------- generation */

static void gen_cleanup(void *vgen)
{
	struct rsa_generation *gen = vgen;

	if (!gen)
		return;
	if (gen->inner)
		gen->provider->keymgmt[gen->kind].gen_cleanup(gen->inner);
	OPENSSL_free(gen);
}

static void *gen_init(struct provider *provider, enum rsa_kind kind, int selection,
                      const OSSL_PARAM params[])
{
	struct rsa_generation *gen = OPENSSL_zalloc(sizeof(*gen));

	if (!gen)
		return NULL;
	gen->provider = provider;
	gen->kind = kind;
	gen->inner = provider->keymgmt[kind].gen_init(provider->delegate_ctx, selection, params);
	if (!gen->inner) {
		gen_cleanup(gen);
		return NULL;
	}
	return gen;
}

static void *gen_init_rsa(void *provctx, int selection, const OSSL_PARAM params[])
{
	return gen_init(provctx, RSA_PLAIN, selection, params);
}

static void *gen_init_rsa_pss(void *provctx, int selection, const OSSL_PARAM params[])
{
	return gen_init(provctx, RSA_PSS, selection, params);
}

static int gen_set_params(void *vgen, const OSSL_PARAM params[])
{
	struct rsa_generation *gen = vgen;

	return gen->provider->keymgmt[gen->kind].gen_set_params(gen->inner, params);
}

static const OSSL_PARAM *settable_of(const struct rsa_generation *gen,
                                     const struct provider *provider, enum rsa_kind kind)
{
	return provider->keymgmt[kind].gen_settable_params(gen ? gen->inner : NULL,
	                                                   provider->delegate_ctx);
}

static const OSSL_PARAM *gen_settable_rsa(void *gen, void *provctx)
{
	return settable_of(gen, provctx, RSA_PLAIN);
}

static const OSSL_PARAM *gen_settable_rsa_pss(void *gen, void *provctx)
{
	return settable_of(gen, provctx, RSA_PSS);
}

static void *gen(void *vgen, OSSL_CALLBACK *callback, void *arg)
{
	struct rsa_generation *gen = vgen;
	struct provider *provider = gen->provider;

	return rsa_key_new(provider, gen->kind,
	                   provider->keymgmt[gen->kind].gen(gen->inner, callback, arg));
}

/* ------------------------------------------------------------------------------------- tables */

typedef void (*any_function)(void);

/* NULL: has neither key nor provider to work on; the delegate's own is taken. */
#define TABLE(kind)                                                                                \
	{                                                                                          \
		{OSSL_FUNC_KEYMGMT_NEW, (any_function)new_##kind},                                 \
			{OSSL_FUNC_KEYMGMT_FREE, (any_function)free_key},                          \
			{OSSL_FUNC_KEYMGMT_DUP, (any_function)dup_key},                            \
			{OSSL_FUNC_KEYMGMT_HAS, (any_function)has},                                \
			{OSSL_FUNC_KEYMGMT_MATCH, (any_function)match},                            \
			{OSSL_FUNC_KEYMGMT_VALIDATE, (any_function)validate},                      \
			{OSSL_FUNC_KEYMGMT_IMPORT, (any_function)import},                          \
			{OSSL_FUNC_KEYMGMT_IMPORT_TYPES, NULL},                                    \
			{OSSL_FUNC_KEYMGMT_EXPORT, (any_function)export_key},                      \
			{OSSL_FUNC_KEYMGMT_EXPORT_TYPES, NULL},                                    \
			{OSSL_FUNC_KEYMGMT_GET_PARAMS, (any_function)get_params},                  \
			{OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (any_function)gettable_params},        \
			{OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, NULL},                            \
			{OSSL_FUNC_KEYMGMT_GEN_INIT, (any_function)gen_init_##kind},               \
			{OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, (any_function)gen_set_params},          \
			{OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS,                                    \
		         (any_function)gen_settable_##kind},                                       \
			{OSSL_FUNC_KEYMGMT_GEN, (any_function)gen},                                \
			{OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (any_function)gen_cleanup},                \
		{                                                                                  \
			0, NULL                                                                    \
		}                                                                                  \
	}

const OSSL_DISPATCH *rsa_keymgmt_dispatch(enum rsa_kind kind)
{
	static const OSSL_DISPATCH rsa[] = TABLE(rsa);
	static const OSSL_DISPATCH rsa_pss[] = TABLE(rsa_pss);

	return kind == RSA_PSS ? rsa_pss : rsa;
}
