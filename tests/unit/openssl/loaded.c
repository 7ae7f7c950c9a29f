/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider in a library context. See loaded.h.
 */
#include "loaded.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "soft_core.h"

extern OSSL_provider_init_fn OSSL_provider_init;

const char *loaded_min_size;
bool loaded_generate;

static const char *policy = "always", *fallback = "on";

/* Says what openssl.cnf would say. */
static int get_params(const OSSL_CORE_HANDLE *handle, OSSL_PARAM params[])
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, "policy");

	if (p)
		OSSL_PARAM_set_utf8_ptr(p, policy);
	p = OSSL_PARAM_locate(params, "fallback");
	if (p)
		OSSL_PARAM_set_utf8_ptr(p, fallback);
	p = OSSL_PARAM_locate(params, "generate");
	if (p && loaded_generate)
		OSSL_PARAM_set_utf8_ptr(p, "on");
	p = OSSL_PARAM_locate(params, "min-size");
	if (p && loaded_min_size)
		OSSL_PARAM_set_utf8_ptr(p, loaded_min_size);
	return 1;
}

static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                void **ctx)
{
	OSSL_DISPATCH table[64];
	unsigned int n = 0;

	for (; in->function_id && n < 63; in++, n++) {
		table[n] = *in;
		if (in->function_id == OSSL_FUNC_CORE_GET_PARAMS)
			table[n].function = (void (*)(void))get_params;
	}
	table[n] = (OSSL_DISPATCH){0, NULL};
	return OSSL_provider_init(handle, table, out, ctx);
}

bool load(struct loaded *l, const char *mode, const char *fall_back)
{
	policy = mode;
	fallback = fall_back;
	soft_core_reset();
	l->libctx = OSSL_LIB_CTX_new();
	OSSL_PROVIDER_add_builtin(l->libctx, "vcrypto", init);
	l->ours = OSSL_PROVIDER_load(l->libctx, "vcrypto");
	l->theirs = OSSL_PROVIDER_load(l->libctx, "default");
	return l->ours && l->theirs;
}

void unload(struct loaded *l)
{
	rsa_cases_forget_keys();
	OSSL_PROVIDER_unload(l->ours);
	OSSL_PROVIDER_unload(l->theirs);
	OSSL_LIB_CTX_free(l->libctx);
}
