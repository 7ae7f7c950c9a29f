/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenSSL provider "vcrypto": start-up, its section of openssl.cnf, what it offers, what it
 * says of itself, teardown.
 *
 * Trusts the application that loads it (it is part of it) and openssl.cnf.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>
#include <openssl/provider.h>

#include "openssl/core/core.h"
#include "openssl/core/debug.h"
#include "openssl/provider/agreement.h"

OSSL_provider_init_fn OSSL_provider_init __attribute__((visibility("default")));

/* ------------------------------------------------------------------ what we say of ourselves */

#define PARAM_OFFLOADED "vcrypto-offloaded"
#define PARAM_FALLBACK "vcrypto-fallback"
#define PARAM_SMALL "vcrypto-small"

static const OSSL_PARAM *gettable_params(void *ctx)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_BUILDINFO, OSSL_PARAM_UTF8_PTR, NULL, 0),
		OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, NULL, 0),
		OSSL_PARAM_uint64(PARAM_OFFLOADED, NULL),
		OSSL_PARAM_uint64(PARAM_FALLBACK, NULL),
		OSSL_PARAM_uint64(PARAM_SMALL, NULL),
		OSSL_PARAM_END,
	};

	return params;
}

static int set_text(OSSL_PARAM params[], const char *name, const char *text)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return !p || OSSL_PARAM_set_utf8_ptr(p, text);
}

static int set_count(OSSL_PARAM params[], const char *name, uint64_t count)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return !p || OSSL_PARAM_set_uint64(p, count);
}

static int get_params(void *ctx, OSSL_PARAM params[])
{
	OSSL_PARAM *status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
	struct vce_client_stats stats;
	uint64_t offloaded = 0, fallback = 0;

	core_stats(&stats);
	for (unsigned int i = 0; i < VCE_CLASSES_FIRST; i++)
		offloaded += stats.offloaded[i];
	for (unsigned int i = VCE_CLASSES_FIRST; i < VCE_CLASSES; i++)
		offloaded += stats.offloaded_more[i - VCE_CLASSES_FIRST];
	for (unsigned int i = 0; i < VCE_FALLBACK_REASONS; i++)
		fallback += stats.fallback[i];
	return set_text(params, OSSL_PROV_PARAM_NAME, "vcrypto") &&
	       set_text(params, OSSL_PROV_PARAM_VERSION, VCRYPTO_VERSION) &&
	       set_text(params, OSSL_PROV_PARAM_BUILDINFO, "vcrypto " VCRYPTO_VERSION) &&
	       (!status || OSSL_PARAM_set_int(status, 1)) &&
	       set_count(params, PARAM_OFFLOADED, offloaded) &&
	       set_count(params, PARAM_FALLBACK, fallback) &&
	       set_count(params, PARAM_SMALL, stats.small);
}

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

static void start_core(const struct policy *policy)
{
	struct core_options options = {.deadline_ms = policy->deadline_ms};

	for (size_t i = 0; i < sizeof(options.socket) && policy->socket[i]; i++)
		options.socket[i] = policy->socket[i];
	core_configure(&options);
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
	{OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable_params},
	{OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_params},
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
	start_core(&provider->policy);
	atomic_fetch_add(&instances, 1);
	*out = provider_functions;
	*ctx = provider;
	return 1;
}
