/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private operation of RSA keys at the device. See rsa_key.h.
 *
 * The result of the device is raised to the public exponent before anything else sees it: a fault
 * in one half of a CRT computation would otherwise give the key away.
 */
#include "openssl/provider/rsa_key.h"

#include <errno.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "openssl/provider/rsa_padding.h"

struct rsa_key {
	struct key base;
	RSA *object;
	BN_MONT_CTX *mont;
	size_t size;
};

static void forget(struct key *base)
{
	struct rsa_key *key = (struct rsa_key *)base;

	BN_MONT_CTX_free(key->mont);
	RSA_free(key->object);
	key->mont = NULL;
	key->object = NULL;
}

/* -------------------------------------------------------------------------------- preparation */

static BIGNUM *get_bn(const OSSL_PARAM params[], const char *name)
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);
	BIGNUM *bn = NULL;

	if (p && !OSSL_PARAM_get_BN(p, &bn))
		bn = NULL;
	return bn;
}

static int no_memory_of(BIGNUM *a, BIGNUM *b, BIGNUM *c)
{
	BN_clear_free(a);
	BN_clear_free(b);
	BN_clear_free(c);
	return 0;
}

/* Each moves its numbers into the object, or frees them. */

static int set_key(RSA *rsa, const OSSL_PARAM params[])
{
	BIGNUM *n = get_bn(params, OSSL_PKEY_PARAM_RSA_N);
	BIGNUM *e = get_bn(params, OSSL_PKEY_PARAM_RSA_E);
	BIGNUM *d = get_bn(params, OSSL_PKEY_PARAM_RSA_D);

	return (n && e && d && RSA_set0_key(rsa, n, e, d)) || no_memory_of(n, e, d);
}

static int set_factors(RSA *rsa, const OSSL_PARAM params[])
{
	BIGNUM *p = get_bn(params, OSSL_PKEY_PARAM_RSA_FACTOR1);
	BIGNUM *q = get_bn(params, OSSL_PKEY_PARAM_RSA_FACTOR2);

	return (p && q && RSA_set0_factors(rsa, p, q)) || no_memory_of(p, q, NULL);
}

static int set_crt(RSA *rsa, const OSSL_PARAM params[])
{
	BIGNUM *dp = get_bn(params, OSSL_PKEY_PARAM_RSA_EXPONENT1);
	BIGNUM *dq = get_bn(params, OSSL_PKEY_PARAM_RSA_EXPONENT2);
	BIGNUM *qi = get_bn(params, OSSL_PKEY_PARAM_RSA_COEFFICIENT1);

	return (dp && dq && qi && RSA_set0_crt_params(rsa, dp, dq, qi)) || no_memory_of(dp, dq, qi);
}

/* What the delegate's export gives. Fails for what we do not offload. */
static int take_numbers(const OSSL_PARAM params[], void *arg)
{
	RSA *rsa = arg;

	if (OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_RSA_FACTOR3))
		return 0;
	return set_key(rsa, params) && set_factors(rsa, params) && set_crt(rsa, params);
}

/* A key that is for one digest or salt only: the delegate knows the rules. */
static bool restricted(const struct key *key)
{
	char digest[64] = "";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_RSA_DIGEST, digest,
	                                         sizeof(digest)),
		OSSL_PARAM_construct_end(),
	};

	if (key->kind != KEY_RSA_PSS)
		return false;
	return !key->delegate->get_params(key->inner, params) || OSSL_PARAM_modified(params);
}

static struct core_key *make_core_key(RSA *rsa)
{
	struct vcrypto_session_params params = {
		.service = VCRYPTO_SERVICE_AKCIPHER,
		.algorithm = VCRYPTO_AKCIPHER_RSA,
		.private_key = true,
		.rsa_padding = VCRYPTO_RSA_RAW,
	};
	struct core_key *core = NULL;
	unsigned char *der = NULL;
	int size = i2d_RSAPrivateKey(rsa, &der);

	if (size <= 0)
		return NULL;
	params.key = der;
	params.key_len = (size_t)size;
	if (core_key_new(&params, &core))
		core = NULL;
	OPENSSL_clear_free(der, (size_t)size);
	return core;
}

static BN_MONT_CTX *make_mont(const BIGNUM *n)
{
	BN_CTX *ctx = BN_CTX_new();
	BN_MONT_CTX *mont = BN_MONT_CTX_new();

	if (!ctx || !mont || !BN_MONT_CTX_set(mont, n, ctx)) {
		BN_MONT_CTX_free(mont);
		mont = NULL;
	}
	BN_CTX_free(ctx);
	return mont;
}

static bool prepare(struct key *base)
{
	const struct keymgmt_delegate *d = base->delegate;
	struct rsa_key *key = (struct rsa_key *)base;
	int bits;

	if (!d->has(base->inner, OSSL_KEYMGMT_SELECT_KEYPAIR) || restricted(base))
		return false;
	key->object = rsa_padding_object();
	if (!key->object ||
	    !d->export(base->inner, OSSL_KEYMGMT_SELECT_KEYPAIR, take_numbers, key->object))
		return false;
	bits = RSA_bits(key->object);
	if (bits < RSA_KEY_MIN_BITS || bits > RSA_KEY_MAX_BITS ||
	    BN_is_one(RSA_get0_e(key->object)))
		return false;
	key->size = (size_t)RSA_size(key->object);
	key->mont = make_mont(RSA_get0_n(key->object));
	base->core = make_core_key(key->object);
	return key->mont;
}

const struct key_class rsa_key_class = {
	.size = sizeof(struct rsa_key),
	.prepare = prepare,
	.forget = forget,
};

RSA *rsa_key_object(struct key *key)
{
	return key_ready(key) ? ((struct rsa_key *)key)->object : NULL;
}

size_t rsa_key_size(const struct key *key)
{
	return ((const struct rsa_key *)key)->size;
}

/* ------------------------------------------------------------------------------ the operation */

/* out ^ e mod n == in. out may be secret. */
static bool check(const struct rsa_key *key, const uint8_t *in, const uint8_t *out)
{
	const BIGNUM *n = RSA_get0_n(key->object);
	uint8_t again[RSA_KEY_MAX_BYTES];
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *base = BN_new();
	BIGNUM *power = BN_new();
	bool ok;

	ok = ctx && base && power && rsa_padding_secret(base, out, key->size) &&
	     BN_ucmp(base, n) < 0 &&
	     BN_mod_exp_mont(power, base, RSA_get0_e(key->object), n, ctx, key->mont) &&
	     BN_bn2binpad(power, again, (int)key->size) == (int)key->size &&
	     !memcmp(again, in, key->size);
	BN_clear_free(base);
	BN_free(power);
	BN_CTX_free(ctx);
	return ok;
}

int rsa_key_private(struct key *base, const uint8_t *in, uint8_t *out, enum vce_class class)
{
	const struct rsa_key *key = (const struct rsa_key *)base;
	struct core_op op = {
		.key = base->core,
		.src = in,
		.dst = out,
		.length = (uint32_t)key->size,
		.dst_len = (uint32_t)key->size,
		.akcipher_op = class == VCE_CLASS_RSA_SIGN ? VCRYPTO_AKCIPHER_SIGN
	                                                   : VCRYPTO_AKCIPHER_DECRYPT,
		.class = class,
	};
	int rc = key_result(base, core_run(&op, 1));

	if (rc)
		return rc;
	if (op.result_len != key->size || !check(key, in, out)) {
		OPENSSL_cleanse(out, key->size);
		return -EIO;
	}
	return 0;
}
