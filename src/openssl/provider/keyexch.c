/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key exchange: ECDH and X25519. The delegate keeps all parameters, checks peers, and derives
 * whenever the device does not (agreement.h).
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "openssl/provider/agreement.h"

struct exchange_ctx {
	struct provider *provider;
	const struct keyexch_delegate *delegate;
	void *inner;
	struct key *key, *peer;
};

static void exchange_freectx(void *vctx)
{
	struct exchange_ctx *c = vctx;

	if (!c)
		return;
	if (c->inner)
		c->delegate->freectx(c->inner);
	key_free(c->key);
	key_free(c->peer);
	OPENSSL_free(c);
}

static void *newctx(struct provider *provider, enum keyexch_id id)
{
	struct exchange_ctx *c = OPENSSL_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->provider = provider;
	c->delegate = &provider->keyexch[id];
	c->inner = c->delegate->newctx(provider->delegate_ctx);
	if (!c->inner) {
		exchange_freectx(c);
		return NULL;
	}
	return c;
}

static void *exchange_dupctx(void *vctx)
{
	const struct exchange_ctx *c = vctx;
	struct exchange_ctx *copy = OPENSSL_memdup(c, sizeof(*c));

	if (!copy)
		return NULL;
	copy->key = c->key ? key_ref(c->key) : NULL;
	copy->peer = c->peer ? key_ref(c->peer) : NULL;
	copy->inner = c->delegate->dupctx(c->inner);
	if (!copy->inner) {
		exchange_freectx(copy);
		return NULL;
	}
	return copy;
}

static void use(struct key **place, struct key *key)
{
	key_ref(key);
	key_free(*place);
	*place = key;
}

static int exchange_init(void *vctx, void *key, const OSSL_PARAM params[])
{
	struct exchange_ctx *c = vctx;

	if (!key || !c->delegate->init(c->inner, ((struct key *)key)->inner, params))
		return 0;
	use(&c->key, key);
	return 1;
}

static int exchange_set_peer(void *vctx, void *peer)
{
	struct exchange_ctx *c = vctx;

	if (!peer || !c->delegate->set_peer(c->inner, ((struct key *)peer)->inner))
		return 0;
	use(&c->peer, peer);
	return 1;
}

static int exchange_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct exchange_ctx *c = vctx;

	return c->delegate->set_ctx_params(c->inner, params);
}

static int exchange_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
	struct exchange_ctx *c = vctx;

	return c->delegate->get_ctx_params(c->inner, params);
}

/* Whether what comes out is the shared secret as it is. */
static bool is_bare(const struct exchange_ctx *c)
{
	char kdf[64] = "";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, kdf, sizeof(kdf)),
		OSSL_PARAM_construct_end(),
	};

	/* X25519 has no parameters. */
	return c->key->kind == KEY_X25519 ||
	       (c->delegate->get_ctx_params && c->delegate->get_ctx_params(c->inner, params) &&
	        !kdf[0]);
}

static int exchange_derive(void *vctx, unsigned char *secret, size_t *size, size_t room)
{
	struct exchange_ctx *c = vctx;
	int rc = -1;

	if (secret && c->key && c->peer && is_bare(c))
		rc = agreement_derive(c->key, c->peer, secret, size, room);
	return rc < 0 ? c->delegate->derive(c->inner, secret, size, room) : rc;
}

/* What has no context to tell its kind by. */
#define FUNCTIONS_OF(name, id)                                                                     \
	static void *newctx_##name(void *provctx)                                                  \
	{                                                                                          \
		return newctx(provctx, id);                                                        \
	}                                                                                          \
                                                                                                   \
	static const OSSL_PARAM *gettable_ctx_params_##name(void *vctx, void *provctx)             \
	{                                                                                          \
		const struct exchange_ctx *c = vctx;                                               \
		const struct provider *p = provctx;                                                \
                                                                                                   \
		return p->keyexch[id].gettable_ctx_params(c ? c->inner : NULL, p->delegate_ctx);   \
	}                                                                                          \
                                                                                                   \
	static const OSSL_PARAM *settable_ctx_params_##name(void *vctx, void *provctx)             \
	{                                                                                          \
		const struct exchange_ctx *c = vctx;                                               \
		const struct provider *p = provctx;                                                \
                                                                                                   \
		return p->keyexch[id].settable_ctx_params(c ? c->inner : NULL, p->delegate_ctx);   \
	}

FUNCTIONS_OF(ecdh, KEYEXCH_ECDH)
FUNCTIONS_OF(x25519, KEYEXCH_X25519)

#define ENTRY(NAME, function)                                                                      \
	{                                                                                          \
		OSSL_FUNC_KEYEXCH_##NAME, (void (*)(void))(function)                               \
	}

#define TABLE(name)                                                                                \
	{                                                                                          \
		ENTRY(NEWCTX, newctx_##name), ENTRY(FREECTX, exchange_freectx),                    \
			ENTRY(DUPCTX, exchange_dupctx), ENTRY(INIT, exchange_init),                \
			ENTRY(SET_PEER, exchange_set_peer), ENTRY(DERIVE, exchange_derive),        \
			ENTRY(SET_CTX_PARAMS, exchange_set_ctx_params),                            \
			ENTRY(SETTABLE_CTX_PARAMS, settable_ctx_params_##name),                    \
			ENTRY(GET_CTX_PARAMS, exchange_get_ctx_params),                            \
			ENTRY(GETTABLE_CTX_PARAMS, gettable_ctx_params_##name),                    \
		{                                                                                  \
			0, NULL                                                                    \
		}                                                                                  \
	}

const OSSL_DISPATCH *keyexch_dispatch(enum keyexch_id id)
{
	static const OSSL_DISPATCH ecdh[] = TABLE(ecdh);
	static const OSSL_DISPATCH x25519[] = TABLE(x25519);

	return id == KEYEXCH_ECDH ? ecdh : x25519;
}
