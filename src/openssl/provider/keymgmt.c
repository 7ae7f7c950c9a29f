/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key management for RSA, RSA-PSS, EC and X25519 keys: the delegate's, on keys that carry our part
 * along.
 *
 * There is no decoder and no store here: keys are read by the default provider and come to us by
 * import, once, when OpenSSL first uses them with us.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "openssl/provider/agreement.h"

#define GROUP_NAME_SIZE 32

struct generation {
	struct provider *provider;
	enum key_kind kind;
	int selection;
	void *inner;
	/* What the delegate was told: a curve, or more than the device could do. */
	char group[GROUP_NAME_SIZE];
	bool more;
};

static void free_key(void *key)
{
	key_free(key);
}

static void *dup_key(const void *vkey, int selection)
{
	const struct key *key = vkey;

	return key_new(key->provider, key->kind, key->delegate->dup(key->inner, selection));
}

static int has(const void *vkey, int selection)
{
	const struct key *key = vkey;

	return key && key->delegate->has(key->inner, selection);
}

static int match(const void *va, const void *vb, int selection)
{
	const struct key *a = va, *b = vb;

	return a->delegate->match(a->inner, b->inner, selection);
}

static int validate(const void *vkey, int selection, int type)
{
	const struct key *key = vkey;

	return key->delegate->validate(key->inner, selection, type);
}

static int import(void *vkey, int selection, const OSSL_PARAM params[])
{
	struct key *key = vkey;

	key_changed(key);
	return key->delegate->import(key->inner, selection, params);
}

static int export_key(void *vkey, int selection, OSSL_CALLBACK *callback, void *arg)
{
	const struct key *key = vkey;

	return key->delegate->export(key->inner, selection, callback, arg);
}

static int get_params(void *vkey, OSSL_PARAM params[])
{
	const struct key *key = vkey;

	return key->delegate->get_params(key->inner, params);
}

static int set_params(void *vkey, const OSSL_PARAM params[])
{
	struct key *key = vkey;

	key_changed(key);
	return key->delegate->set_params(key->inner, params);
}

/* --------------------------------------------------------------------------------- generation */

static void gen_cleanup(void *vgen)
{
	struct generation *gen = vgen;

	if (!gen)
		return;
	if (gen->inner)
		gen->provider->keymgmt[gen->kind].gen_cleanup(gen->inner);
	OPENSSL_free(gen);
}

static void note_params(struct generation *gen, const OSSL_PARAM params[])
{
	char *group = gen->group;

	for (const OSSL_PARAM *p = params; p && p->key; p++)
		if (strcmp(p->key, OSSL_PKEY_PARAM_GROUP_NAME) != 0 ||
		    !OSSL_PARAM_get_utf8_string(p, &group, sizeof(gen->group)))
			gen->more = true;
}

static void *gen_init(struct provider *provider, enum key_kind kind, int selection,
                      const OSSL_PARAM params[])
{
	struct generation *gen = OPENSSL_zalloc(sizeof(*gen));

	if (!gen)
		return NULL;
	gen->provider = provider;
	gen->kind = kind;
	gen->selection = selection;
	note_params(gen, params);
	gen->inner = provider->keymgmt[kind].gen_init(provider->delegate_ctx, selection, params);
	if (!gen->inner) {
		gen_cleanup(gen);
		return NULL;
	}
	return gen;
}

static int gen_set_template(void *vgen, void *vkey)
{
	struct generation *gen = vgen;
	const struct key *key = vkey;
	const char *group = agreement_template(key);

	if (group)
		OPENSSL_strlcpy(gen->group, group, sizeof(gen->group));
	else
		gen->more = true;
	return gen->provider->keymgmt[gen->kind].gen_set_template(gen->inner, key->inner);
}

static int gen_set_params(void *vgen, const OSSL_PARAM params[])
{
	struct generation *gen = vgen;

	note_params(gen, params);
	return gen->provider->keymgmt[gen->kind].gen_set_params(gen->inner, params);
}

static void *gen(void *vgen, OSSL_CALLBACK *callback, void *arg)
{
	struct generation *gen = vgen;
	struct provider *provider = gen->provider;
	void *inner = NULL;
	int rc = -1;

	if ((gen->kind == KEY_EC || gen->kind == KEY_X25519) && !gen->more &&
	    (gen->selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == OSSL_KEYMGMT_SELECT_KEYPAIR)
		rc = agreement_generate(provider, gen->kind, gen->group, &inner);
	if (rc < 0)
		inner = provider->keymgmt[gen->kind].gen(gen->inner, callback, arg);
	return key_new(provider, gen->kind, inner);
}

/* ------------------------------------------------------------------------------------- tables */

/* What has no key to tell its kind by. */
#define FUNCTIONS_OF(name, kind)                                                                   \
	static void *new_##name(void *provctx)                                                     \
	{                                                                                          \
		struct provider *p = provctx;                                                      \
                                                                                                   \
		return key_new(p, kind, p->keymgmt[kind].new(p->delegate_ctx));                    \
	}                                                                                          \
                                                                                                   \
	static const OSSL_PARAM *gettable_params_##name(void *provctx)                             \
	{                                                                                          \
		const struct provider *p = provctx;                                                \
                                                                                                   \
		return p->keymgmt[kind].gettable_params(p->delegate_ctx);                          \
	}                                                                                          \
                                                                                                   \
	static const OSSL_PARAM *settable_params_##name(void *provctx)                             \
	{                                                                                          \
		const struct provider *p = provctx;                                                \
                                                                                                   \
		return p->keymgmt[kind].settable_params(p->delegate_ctx);                          \
	}                                                                                          \
                                                                                                   \
	static void *gen_init_##name(void *provctx, int selection, const OSSL_PARAM params[])      \
	{                                                                                          \
		return gen_init(provctx, kind, selection, params);                                 \
	}                                                                                          \
                                                                                                   \
	static const OSSL_PARAM *gen_settable_params_##name(void *vgen, void *provctx)             \
	{                                                                                          \
		const struct generation *gen = vgen;                                               \
		const struct provider *p = provctx;                                                \
                                                                                                   \
		return p->keymgmt[kind].gen_settable_params(gen ? gen->inner : NULL,               \
		                                            p->delegate_ctx);                      \
	}

FUNCTIONS_OF(rsa, KEY_RSA)
FUNCTIONS_OF(rsa_pss, KEY_RSA_PSS)
FUNCTIONS_OF(ec, KEY_EC)
FUNCTIONS_OF(x25519, KEY_X25519)

typedef void (*any_function)(void);

/* As far as the delegate has the like. NULL: has neither key nor provider to work on; the
 * delegate's own is taken. */
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
			{OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (any_function)gettable_params_##kind}, \
			{OSSL_FUNC_KEYMGMT_SET_PARAMS, (any_function)set_params},                  \
			{OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, (any_function)settable_params_##kind}, \
			{OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, NULL},                            \
			{OSSL_FUNC_KEYMGMT_GEN_INIT, (any_function)gen_init_##kind},               \
			{OSSL_FUNC_KEYMGMT_GEN_SET_TEMPLATE, (any_function)gen_set_template},      \
			{OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, (any_function)gen_set_params},          \
			{OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS,                                    \
		         (any_function)gen_settable_params_##kind},                                \
			{OSSL_FUNC_KEYMGMT_GEN, (any_function)gen},                                \
			{OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (any_function)gen_cleanup},                \
		{                                                                                  \
			0, NULL                                                                    \
		}                                                                                  \
	}

const OSSL_DISPATCH *keymgmt_dispatch(enum key_kind kind)
{
	static const OSSL_DISPATCH rsa[] = TABLE(rsa);
	static const OSSL_DISPATCH rsa_pss[] = TABLE(rsa_pss);
	static const OSSL_DISPATCH ec[] = TABLE(ec);
	static const OSSL_DISPATCH x25519[] = TABLE(x25519);
	static const OSSL_DISPATCH *const tables[KEY_KINDS] = {
		[KEY_RSA] = rsa, [KEY_RSA_PSS] = rsa_pss, [KEY_EC] = ec, [KEY_X25519] = x25519};

	return tables[kind];
}
