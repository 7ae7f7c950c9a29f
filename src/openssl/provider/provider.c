/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenSSL provider "vcrypto": start-up, its section of openssl.cnf, what it offers,
 * teardown.
 *
 * Trusts the application that loads it (it is part of it) and openssl.cnf.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>
#include <openssl/provider.h>

#include "openssl/core/core.h"
#include "openssl/core/debug.h"
#include "openssl/provider/agreement.h"
#include "openssl/provider/counters.h"
#include "openssl/provider/provider.h"

OSSL_provider_init_fn OSSL_provider_init __attribute__((visibility("default")));

/* --------------------------------------------------------------------------- what we offer */

static const OSSL_ALGORITHM *query_operation(void *ctx, int operation, int *no_cache)
{
	const struct provider *provider = ctx;

	const bool *blocked = provider->policy.blocked;

	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_CIPHER:
		return blocked[POLICY_OP_CIPHER] ? NULL : provider->ciphers;
	case OSSL_OP_KEYMGMT:
		return blocked[POLICY_OP_KEYMGMT] ? NULL : provider->keymgmts;
	case OSSL_OP_SIGNATURE:
		return blocked[POLICY_OP_SIGNATURE] ? NULL : provider->signatures;
	case OSSL_OP_KEYEXCH:
		return blocked[POLICY_OP_KEYEXCH] ? NULL : provider->keyexchs;
	case OSSL_OP_ASYM_CIPHER:
		return blocked[POLICY_OP_ASYM_CIPHER] ? NULL : provider->asyms;
	default:
		return NULL;
	}
}

/*
 * libssl takes a TLS group from the provider that has the group's key management: those on EC keys
 * from us, word for word as the delegate has them. Of all the others there is a copy too many,
 * which libssl passes over.
 */
static int get_capabilities(void *ctx, const char *capability, OSSL_CALLBACK *callback, void *arg)
{
	const struct provider *provider = ctx;

	/* 1: of what is not known there is none. */
	return OPENSSL_strcasecmp(capability, "TLS-GROUP") != 0 ||
	       OSSL_PROVIDER_get_capabilities(provider->delegate, capability, callback, arg);
}

/* ------------------------------------------------------------------- start-up and teardown */

/* Library contexts of this process that have us loaded: they share one connection. */
static atomic_uint instances;

/* Read our section of openssl.cnf, and the environment. 0, -EINVAL. */
static int read_settings(struct provider *provider, const OSSL_DISPATCH *in)
{
	OSSL_FUNC_core_get_params_fn *core_get_params = NULL;
	struct policy_texts texts = {0};
	struct policy_error error;
	OSSL_PARAM params[POLICY_SETTINGS + 1];

	for (unsigned int i = 0; i < POLICY_SETTINGS; i++)
		params[i] =
			OSSL_PARAM_construct_utf8_ptr(policy_names[i], (char **)&texts.text[i], 0);
	params[POLICY_SETTINGS] = OSSL_PARAM_construct_end();
	for (; in->function_id; in++) {
		if (in->function_id == OSSL_FUNC_CORE_GET_PARAMS)
			core_get_params = OSSL_FUNC_core_get_params(in);
	}
	if (core_get_params && !core_get_params(provider->handle, params))
		return -EINVAL;
	policy_environment(&texts);
	if (policy_parse(&provider->policy, &texts, &error)) {
		const char *name = policy_names[error.setting];
		const char *place =
			texts.from_environment[error.setting] ? "the environment" : "openssl.cnf";

		/* Most programs do not look at the error, and go on without us. */
		debug_open();
		log_error("provider not loaded: bad value of \"%s\" in %s: \"%s\"", name, place,
		          error.part);
		ERR_raise_data(ERR_LIB_PROV, PROV_R_INVALID_DATA,
		               "vcrypto: bad value of \"%s\" in %s: \"%s\"", name, place,
		               error.part);
		return -EINVAL;
	}
	return 0;
}

static void teardown(void *ctx)
{
	struct provider *provider = ctx;

	agreement_close(provider);
	if (atomic_fetch_sub(&instances, 1) == 1)
		core_teardown();
	delegate_close(provider);
	OPENSSL_free(provider);
}

static const OSSL_DISPATCH provider_functions[] = {
	{OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
	{OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))counters_gettable_params},
	{OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))counters_get_params},
	{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query_operation},
	{OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))get_capabilities},
	{0, NULL},
};

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **ctx)
{
	struct provider *provider = OPENSSL_zalloc(sizeof(*provider));

	if (!provider)
		return 0;
	provider->handle = handle;
	if (read_settings(provider, in) || delegate_open(provider)) {
		delegate_close(provider);
		OPENSSL_free(provider);
		return 0;
	}
	policy_start_core(&provider->policy);
	atomic_fetch_add(&instances, 1);
	*out = provider_functions;
	*ctx = provider;
	return 1;
}
