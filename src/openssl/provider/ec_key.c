/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature of EC keys at the device. See ec_key.h.
 */
#include "openssl/provider/ec_key.h"

#include <errno.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/params.h>

#include "base/util.h"

#define MAX_SCALAR 66 /* bytes of P-521's */
#define DER_HEAD 7

struct curve {
	int nid;
	uint8_t number;    /* virtio 1.3, 5.9.7.2.1.1.3 */
	uint8_t size;      /* bytes of its order */
	uint8_t signature; /* bytes of the longest */
	enum policy_key policy;
};

static const struct curve curves[] = {
	{NID_X9_62_prime256v1, 3, 32, 72, POLICY_P256},
	{NID_secp384r1, 4, 48, 104, POLICY_P384},
	{NID_secp521r1, 5, 66, 139, POLICY_P521},
};

struct ec_key {
	struct key base;
	const struct curve *curve;
	BIGNUM *order;
	atomic_uint results;
};

/* -------------------------------------------------------------------------------- preparation */

/* NULL: one that we do not offload, or given by its parameters. */
static const struct curve *find_curve(const struct key *key)
{
	char name[64] = "", encoding[32] = "";
	int nid;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name)),
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, encoding,
	                                         sizeof(encoding)),
		OSSL_PARAM_construct_end(),
	};

	if (!key->delegate->get_params(key->inner, params) ||
	    !strcmp(encoding, OSSL_PKEY_EC_ENCODING_EXPLICIT))
		return NULL;
	nid = OBJ_txt2nid(name);
	for (size_t i = 0; i < vc_array_size(curves); i++) {
		if (curves[i].nid == nid)
			return &curves[i];
	}
	return NULL;
}

/* What the delegate's export gives. */
static int take_number(const OSSL_PARAM params[], void *arg)
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PRIV_KEY);
	BIGNUM *number = arg;

	return p && OSSL_PARAM_get_BN(p, &number);
}

/* As an ECPrivateKey (RFC 5915) without its optional parts: all lengths are below 128. */
static struct core_key *make_core_key(const struct curve *curve, const BIGNUM *number)
{
	uint8_t der[DER_HEAD + MAX_SCALAR] = {
		0x30, (uint8_t)(DER_HEAD - 2 + curve->size), 0x02, 0x01, 0x01, 0x04, curve->size};
	struct vcrypto_session_params params = {
		.service = VCRYPTO_SERVICE_AKCIPHER,
		.algorithm = VCRYPTO_AKCIPHER_ECDSA,
		.private_key = true,
		.curve = curve->number,
		.key = der,
		.key_len = (size_t)DER_HEAD + curve->size,
	};
	struct core_key *core = NULL;

	if (BN_bn2binpad(number, der + DER_HEAD, curve->size) < 0 || core_key_new(&params, &core))
		core = NULL;
	OPENSSL_cleanse(der, sizeof(der));
	return core;
}

static BIGNUM *get_order(const struct key *key, const struct curve *curve)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name_ex(key->provider->libctx, NULL, curve->nid);
	BIGNUM *order = group ? BN_dup(EC_GROUP_get0_order(group)) : NULL;

	EC_GROUP_free(group);
	return order;
}

static bool prepare(struct key *base)
{
	const struct keymgmt_delegate *d = base->delegate;
	struct ec_key *key = (struct ec_key *)base;
	BIGNUM *number;

	if (!d->has(base->inner, OSSL_KEYMGMT_SELECT_KEYPAIR))
		return false;
	key->curve = find_curve(base);
	number = key->curve ? BN_secure_new() : NULL;
	if (!number)
		return false;
	BN_set_flags(number, BN_FLG_CONSTTIME);
	if (d->export(base->inner, OSSL_KEYMGMT_SELECT_ALL, take_number, number))
		base->core = make_core_key(key->curve, number);
	BN_clear_free(number);
	key->order = get_order(base, key->curve);
	return key->order;
}

static void forget(struct key *base)
{
	struct ec_key *key = (struct ec_key *)base;

	BN_free(key->order);
	key->order = NULL;
	atomic_store_explicit(&key->results, 0, memory_order_relaxed);
}

const struct key_class ec_key_class = {
	.size = sizeof(struct ec_key),
	.prepare = prepare,
	.forget = forget,
};

enum policy_key ec_key_policy(const struct key *key)
{
	return ((const struct ec_key *)key)->curve->policy;
}

size_t ec_key_size(const struct key *key)
{
	return ((const struct ec_key *)key)->curve->signature;
}

/* ------------------------------------------------------------------------------ the operation */

/* From 1 to below the order. */
static bool in_range(const BIGNUM *number, const BIGNUM *order)
{
	return !BN_is_zero(number) && !BN_is_negative(number) && BN_ucmp(number, order) < 0;
}

static bool well_formed(const struct ec_key *key, const uint8_t *sig, size_t size)
{
	const unsigned char *end = sig;
	ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &end, (long)size);
	bool ok = numbers && end == sig + size && in_range(ECDSA_SIG_get0_r(numbers), key->order) &&
	          in_range(ECDSA_SIG_get0_s(numbers), key->order);

	ECDSA_SIG_free(numbers);
	return ok;
}

static bool verifies(const struct key *key, const uint8_t *digest, size_t digest_len,
                     const uint8_t *sig, size_t sig_len)
{
	struct provider *provider = key->provider;
	const struct signature_delegate *d = &provider->signature[SIGNATURE_ECDSA];
	void *ctx = d->newctx(provider->delegate_ctx, NULL);
	bool ok = ctx && d->verify_init(ctx, key->inner, NULL) == 1 &&
	          d->verify(ctx, sig, sig_len, digest, digest_len) == 1;

	if (ctx)
		d->freectx(ctx);
	return ok;
}

/* Quietly: software is next. A key of which one signature is wrong may have got more of them. */
static bool check(struct key *base, const uint8_t *digest, size_t digest_len, const uint8_t *sig,
                  size_t sig_len)
{
	struct ec_key *key = (struct ec_key *)base;
	bool ok, all;

	all = atomic_fetch_add_explicit(&key->results, 1, memory_order_relaxed) %
	              EC_KEY_VERIFY_EVERY ==
	      0;
	ERR_set_mark();
	ok = well_formed(key, sig, sig_len) &&
	     (!all || verifies(base, digest, digest_len, sig, sig_len));
	ERR_pop_to_mark();
	if (!ok)
		key_distrust(base);
	return ok;
}

int ec_key_sign(struct key *base, const uint8_t *digest, size_t size, uint8_t *sig, size_t *sig_len)
{
	const struct curve *curve = ((const struct ec_key *)base)->curve;
	struct core_op op = {
		.key = base->core,
		.src = digest,
		.dst = sig,
		/* Of more nobody takes notice (FIPS 186-5, 6.4), and a device may not take it. */
		.length = (uint32_t)vc_min(size, curve->size),
		.dst_len = curve->signature,
		.akcipher_op = VCRYPTO_AKCIPHER_SIGN,
		.class = VCE_CLASS_ECDSA_SIGN,
	};
	int rc = key_result(base, core_run(&op, 1));

	if (rc)
		return rc;
	if (op.result_len > curve->signature ||
	    !check(base, digest, op.length, sig, op.result_len)) {
		OPENSSL_cleanse(sig, curve->signature);
		return -EIO;
	}
	*sig_len = op.result_len;
	return 0;
}
