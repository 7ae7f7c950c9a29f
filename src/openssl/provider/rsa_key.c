/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys and the private operation at the device. See rsa_key.h.
 *
 * The result of the device is raised to the public exponent before anything else sees it: a fault
 * in one half of a CRT computation would otherwise give the key away.
 */
#include "openssl/provider/rsa_key.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "openssl/provider/rsa_padding.h"

enum rsa_state {
	RSA_UNKNOWN, /* not looked at yet */
	RSA_SOFTWARE,
	RSA_READY,
};

struct rsa_key {
	struct provider *provider;
	const struct keymgmt_delegate *delegate;
	enum rsa_kind kind;
	void *inner;
	atomic_uint references;
	/* Stored with release when the members below are there, loaded with acquire. */
	atomic_int state;
	pthread_mutex_t lock; /* for making them; never held while waiting */
	RSA *object;
	BN_MONT_CTX *mont;
	struct core_key *core;
	size_t size;
};

struct rsa_key *rsa_key_new(struct provider *provider, enum rsa_kind kind, void *inner)
{
	struct rsa_key *key = inner ? OPENSSL_zalloc(sizeof(*key)) : NULL;

	if (!key) {
		if (inner)
			provider->keymgmt[kind].free(inner);
		return NULL;
	}
	key->provider = provider;
	key->delegate = &provider->keymgmt[kind];
	key->kind = kind;
	key->inner = inner;
	atomic_init(&key->references, 1);
	atomic_init(&key->state, RSA_UNKNOWN);
	pthread_mutex_init(&key->lock, NULL);
	return key;
}

struct rsa_key *rsa_key_ref(struct rsa_key *key)
{
	atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
	return key;
}

static void forget(struct rsa_key *key)
{
	core_key_free(key->core);
	BN_MONT_CTX_free(key->mont);
	RSA_free(key->object);
	key->core = NULL;
	key->mont = NULL;
	key->object = NULL;
}

void rsa_key_free(struct rsa_key *key)
{
	/* Acquire and release: what others did with the key comes before its end. */
	if (!key || atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) != 1)
		return;
	forget(key);
	key->delegate->free(key->inner);
	pthread_mutex_destroy(&key->lock);
	OPENSSL_free(key);
}

void *rsa_key_inner(const struct rsa_key *key)
{
	return key->inner;
}

struct provider *rsa_key_provider(const struct rsa_key *key)
{
	return key->provider;
}

const struct keymgmt_delegate *rsa_key_delegate(const struct rsa_key *key)
{
	return key->delegate;
}

void rsa_key_changed(struct rsa_key *key)
{
	pthread_mutex_lock(&key->lock);
	atomic_store(&key->state, RSA_UNKNOWN);
	forget(key);
	pthread_mutex_unlock(&key->lock);
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
static bool restricted(const struct rsa_key *key)
{
	char digest[64] = "";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_RSA_DIGEST, digest,
	                                         sizeof(digest)),
		OSSL_PARAM_construct_end(),
	};

	if (key->kind != RSA_PSS)
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

/* With the lock held. */
static bool prepare(struct rsa_key *key)
{
	const struct keymgmt_delegate *d = key->delegate;
	int bits;

	if (!d->has(key->inner, OSSL_KEYMGMT_SELECT_KEYPAIR) || restricted(key))
		return false;
	key->object = rsa_padding_object();
	if (!key->object ||
	    !d->export(key->inner, OSSL_KEYMGMT_SELECT_KEYPAIR, take_numbers, key->object))
		return false;
	bits = RSA_bits(key->object);
	if (bits < RSA_KEY_MIN_BITS || bits > RSA_KEY_MAX_BITS ||
	    BN_is_one(RSA_get0_e(key->object)))
		return false;
	key->size = (size_t)RSA_size(key->object);
	key->mont = make_mont(RSA_get0_n(key->object));
	key->core = make_core_key(key->object);
	return key->mont && key->core;
}

RSA *rsa_key_object(struct rsa_key *key)
{
	/* Acquire: pairs with the release below. */
	int state = atomic_load_explicit(&key->state, memory_order_acquire);

	if (state == RSA_UNKNOWN) {
		pthread_mutex_lock(&key->lock);
		state = atomic_load_explicit(&key->state, memory_order_relaxed);
		if (state == RSA_UNKNOWN) {
			state = prepare(key) ? RSA_READY : RSA_SOFTWARE;
			if (state == RSA_SOFTWARE)
				forget(key);
			atomic_store_explicit(&key->state, state, memory_order_release);
		}
		pthread_mutex_unlock(&key->lock);
	}
	return state == RSA_READY ? key->object : NULL;
}

size_t rsa_key_size(struct rsa_key *key)
{
	return key->size;
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

int rsa_key_private(struct rsa_key *key, const uint8_t *in, uint8_t *out, enum vce_class class)
{
	struct core_op op = {
		.key = key->core,
		.src = in,
		.dst = out,
		.length = (uint32_t)key->size,
		.dst_len = (uint32_t)key->size,
		.akcipher_op = class == VCE_CLASS_RSA_SIGN ? VCRYPTO_AKCIPHER_SIGN
	                                                   : VCRYPTO_AKCIPHER_DECRYPT,
		.class = class,
	};
	int rc = core_run(&op, 1);

	if (rc == -EKEYREJECTED || rc == -ENOTSUP) {
		/* It will not change its mind. The members stay: others may be using them. */
		atomic_store_explicit(&key->state, RSA_SOFTWARE, memory_order_release);
		return rc;
	}
	if (rc)
		return rc;
	if (op.result_len != key->size || !check(key, in, out)) {
		OPENSSL_cleanse(out, key->size);
		return -EIO;
	}
	return 0;
}
