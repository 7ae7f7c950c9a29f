/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDH: the delegate's, on our keys. Nothing is offloaded: it is here so that EC keys that live
 * with us, as those of TLS handshakes do, need not be exported to another provider each time.
 *
 * The contexts are the delegate's own.
 */
#include "openssl/provider/key.h"

static void *ecdh_newctx(void *provctx)
{
	const struct provider *provider = provctx;

	return provider->ecdh.newctx(provider->delegate_ctx);
}

static int ecdh_init(void *ctx, void *vkey, const OSSL_PARAM params[])
{
	const struct key *key = vkey;

	return key && key->provider->ecdh.init(ctx, key->inner, params);
}

static int ecdh_set_peer(void *ctx, void *vkey)
{
	const struct key *key = vkey;

	return key && key->provider->ecdh.set_peer(ctx, key->inner);
}

static const OSSL_PARAM *ecdh_gettable_ctx_params(void *ctx, void *provctx)
{
	const struct provider *provider = provctx;

	return provider->ecdh.gettable_ctx_params(ctx, provider->delegate_ctx);
}

static const OSSL_PARAM *ecdh_settable_ctx_params(void *ctx, void *provctx)
{
	const struct provider *provider = provctx;

	return provider->ecdh.settable_ctx_params(ctx, provider->delegate_ctx);
}

/* NULL: the delegate's own. */
const OSSL_DISPATCH ecdh_dispatch[] = {
	{OSSL_FUNC_KEYEXCH_NEWCTX, (void (*)(void))ecdh_newctx},
	{OSSL_FUNC_KEYEXCH_INIT, (void (*)(void))ecdh_init},
	{OSSL_FUNC_KEYEXCH_SET_PEER, (void (*)(void))ecdh_set_peer},
	{OSSL_FUNC_KEYEXCH_DERIVE, NULL},
	{OSSL_FUNC_KEYEXCH_FREECTX, NULL},
	{OSSL_FUNC_KEYEXCH_DUPCTX, NULL},
	{OSSL_FUNC_KEYEXCH_SET_CTX_PARAMS, NULL},
	{OSSL_FUNC_KEYEXCH_SETTABLE_CTX_PARAMS, (void (*)(void))ecdh_settable_ctx_params},
	{OSSL_FUNC_KEYEXCH_GET_CTX_PARAMS, NULL},
	{OSSL_FUNC_KEYEXCH_GETTABLE_CTX_PARAMS, (void (*)(void))ecdh_gettable_ctx_params},
	{0, NULL},
};
