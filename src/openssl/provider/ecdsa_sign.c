/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA signatures: what sign.c leaves to each kind. Offloaded: whatever has a random nonce, which
 * the device draws.
 */
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "openssl/provider/ec_key.h"
#include "openssl/provider/sign.h"

/* From OpenSSL 3.2 on: 1 for deterministic nonces (RFC 6979). */
#define PARAM_NONCE_TYPE "nonce-type"

/* Whether we do this one, apart from policy; what is wrong with it is for the delegate to say. */
static bool ours(struct sign_ctx *c, size_t sigsize, size_t tbslen)
{
	unsigned int nonce = 0;
	size_t digest = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_SIGNATURE_PARAM_DIGEST_SIZE, &digest),
		OSSL_PARAM_construct_uint(PARAM_NONCE_TYPE, &nonce),
		OSSL_PARAM_construct_end(),
	};

	return key_ready(c->key) && sigsize >= ec_key_size(c->key) &&
	       c->delegate->get_ctx_params(c->inner, params) && !nonce && tbslen &&
	       (!digest || digest == tbslen);
}

static int ecdsa_sign(struct sign_ctx *c, uint8_t *sig, size_t *siglen, size_t sigsize,
                      const uint8_t *tbs, size_t tbslen)
{
	enum policy_choice choice;

	if (!ours(c, sigsize, tbslen))
		return -1;
	choice = policy_private(&c->provider->policy, ec_key_policy(c->key));
	if (choice == POLICY_SOFTWARE)
		return -1;
	if (choice == POLICY_FAIL || ec_key_sign(c->key, tbs, tbslen, sig, siglen))
		return c->provider->policy.fallback ? -1 : 0;
	return 1;
}

/* The rules that the delegate has for DigestSign alone; and tests that want its own randomness. */
static int ecdsa_set_params(struct sign_ctx *c, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST_SIZE);
	unsigned int known = 0;
	size_t size;

	if (p && c->digesting &&
	    (!OSSL_PARAM_get_size_t(p, &size) || size != (size_t)EVP_MD_get_size(c->md)))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_KAT);
	if (p && !OSSL_PARAM_get_uint(p, &known))
		return 0;
	if (p)
		c->software = known != 0;
	return 1;
}

const struct sign_class ecdsa_sign_class = {
	.sign = ecdsa_sign,
	.set_params = ecdsa_set_params,
};
