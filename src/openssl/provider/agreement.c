/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key agreement at the device. See agreement.h.
 */
#include "openssl/provider/agreement.h"

#include <errno.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

#define MAX_PRIVATE 66 /* bytes of P-521's numbers and points */
#define MAX_POINT 133
#define MAX_GROUP 32

static const struct curve {
	const char *group; /* the delegate's name; NULL: X25519 */
	enum vcrypto_curve number;
	enum policy_key policy;
	uint8_t private_len, point_len; /* bytes */
} curves[AGREEMENT_CURVES] = {
	{NULL, VCRYPTO_CURVE_X25519, POLICY_X25519_DERIVE, 32, 32},
	{"prime256v1", VCRYPTO_CURVE_P256, POLICY_P256_DERIVE, 32, 65},
	{"secp384r1", VCRYPTO_CURVE_P384, POLICY_P384_DERIVE, 48, 97},
	{"secp521r1", VCRYPTO_CURVE_P521, POLICY_P521_DERIVE, 66, 133},
};

/* Made when it is first used; of two threads that do so at once, one throws its own away. NULL
 * without memory. */
static struct core_key *session_of(struct provider *provider, const struct curve *curve)
{
	_Atomic(struct core_key *) *place = &provider->agreement[curve - curves];
	struct core_key *session = atomic_load_explicit(place, memory_order_acquire), *made;
	const struct vcrypto_session_params params = {
		.service = VCRYPTO_SERVICE_AKCIPHER,
		.algorithm = VCRYPTO_AKCIPHER_AGREE,
		.curve = curve->number,
	};

	if (session || core_key_new(&params, &made))
		return session;
	/* Release: pairs with the acquire above. */
	if (atomic_compare_exchange_strong(place, &session, made))
		return made;
	core_key_free(made);
	return session;
}

void agreement_close(struct provider *provider)
{
	for (unsigned int i = 0; i < AGREEMENT_CURVES; i++)
		core_key_free(atomic_exchange(&provider->agreement[i], NULL));
}

/* Nothing is to be prepared. */
static bool prepare(struct key *key)
{
	return false;
}

static void forget(struct key *key)
{
}

const struct key_class x25519_key_class = {
	.size = sizeof(struct key),
	.prepare = prepare,
	.forget = forget,
};

/* ---------------------------------------------------------------------------- keys and points */

/* NULL: one that we do not offload, or whose curve has no name. */
static const struct curve *curve_of(const struct key *key)
{
	char group[MAX_GROUP] = "";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group)),
		OSSL_PARAM_construct_end(),
	};

	if (key->kind == KEY_X25519)
		return &curves[0];
	if (!key->delegate->get_params(key->inner, params))
		return NULL;
	for (unsigned int i = 1; i < AGREEMENT_CURVES; i++)
		if (!strcmp(curves[i].group, group))
			return &curves[i];
	return NULL;
}

static bool read_number(const struct key *key, const struct curve *curve, uint8_t *out)
{
	uint8_t native[MAX_PRIVATE];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, sizeof(native)),
		OSSL_PARAM_construct_end(),
	};
	BIGNUM *number = BN_secure_new();
	bool ok = number && key->delegate->get_params(key->inner, params) &&
	          OSSL_PARAM_modified(params) && OSSL_PARAM_get_BN(params, &number) &&
	          BN_bn2binpad(number, out, curve->private_len) == curve->private_len;

	BN_clear_free(number);
	OPENSSL_cleanse(native, sizeof(native));
	return ok;
}

static bool read_octets(const struct key *key, const char *name, uint8_t *out, size_t size)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(name, out, size),
		OSSL_PARAM_construct_end(),
	};

	return key->delegate->get_params(key->inner, params) && params[0].return_size == size;
}

static bool read_private(const struct key *key, const struct curve *curve, uint8_t *out)
{
	return curve->group ? read_number(key, curve, out)
	                    : read_octets(key, OSSL_PKEY_PARAM_PRIV_KEY, out, curve->private_len);
}

/* ------------------------------------------------------------------------------------ deriving */

/* 0, or < 0: to be done in software; -EKEYREJECTED: something is wrong with key or point, which the
 * delegate has to say. */
static int derive(const struct key *key, const struct key *peer, const struct curve *curve,
                  uint8_t *secret)
{
	uint8_t in[MAX_PRIVATE + MAX_POINT];
	struct core_op op = {
		.key = session_of(key->provider, curve),
		.src = in,
		.dst = secret,
		.length = (uint32_t)curve->private_len + curve->point_len,
		.dst_len = curve->private_len,
		.akcipher_op = VCRYPTO_AKCIPHER_DERIVE,
		.class = VCE_CLASS_DERIVE,
	};
	int rc = -EKEYREJECTED;

	ERR_set_mark();
	if (read_private(key, curve, in) && read_octets(peer, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY,
	                                                in + curve->private_len, curve->point_len))
		rc = op.key ? core_run(&op, 1) : -ENOMEM;
	ERR_pop_to_mark();
	OPENSSL_cleanse(in, sizeof(in));
	if (!rc && op.result_len != curve->private_len)
		rc = -EIO;
	return rc;
}

int agreement_derive(const struct key *key, const struct key *peer, uint8_t *secret, size_t *size,
                     size_t room)
{
	const struct policy *policy = &key->provider->policy;
	const struct curve *curve = key->kind == peer->kind ? curve_of(key) : NULL;
	enum policy_choice choice;
	int rc = -EIO;

	if (!curve || room < curve->private_len)
		return -1;
	choice = policy_private(policy, curve->policy);
	if (choice == POLICY_SOFTWARE)
		return -1;
	if (choice == POLICY_OFFLOAD && core_agrees(curve->number))
		rc = derive(key, peer, curve, secret);
	if (!rc) {
		*size = curve->private_len;
		return 1;
	}
	/* A key or point that the device does not take is wrong, or has a form that it does not
	 * know: the delegate says which. */
	if (policy->fallback || rc == -EKEYREJECTED)
		return -1;
	ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_DURING_DERIVATION);
	return 0;
}

/* ---------------------------------------------------------------------------------- generating */

static const struct curve *curve_named(const char *group)
{
	int nid = EC_curve_nist2nid(group);

	if (nid == NID_undef && group[0])
		nid = OBJ_txt2nid(group);
	for (unsigned int i = 1; i < AGREEMENT_CURVES; i++)
		if (nid != NID_undef && nid == OBJ_sn2nid(curves[i].group))
			return &curves[i];
	return NULL;
}

/* Which are those of a key that is named by its curve alone. */
const char *agreement_template(const struct key *key)
{
	const struct curve *curve = key->kind == KEY_EC ? curve_of(key) : NULL;
	char encoding[16] = "", format[16] = "";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, encoding,
	                                         sizeof(encoding)),
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, format,
	                                         sizeof(format)),
		OSSL_PARAM_construct_end(),
	};

	if (!curve || !key->delegate->get_params(key->inner, params) ||
	    strcmp(encoding, OSSL_PKEY_EC_ENCODING_GROUP) != 0 ||
	    strcmp(format, OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) != 0)
		return NULL;
	return curve->group;
}

/* The delegate looks whether the point is one. NULL: it is not, or there is no memory. */
static void *import(struct provider *provider, enum key_kind kind, const struct curve *curve,
                    const uint8_t *pair)
{
	const struct keymgmt_delegate *d = &provider->keymgmt[kind];
	BIGNUM *number = BN_secure_new();
	uint8_t native[MAX_PRIVATE];
	OSSL_PARAM params[4], *p = params;
	void *inner = d->new (provider->delegate_ctx);

	*p++ = OSSL_PARAM_construct_octet_string(
		OSSL_PKEY_PARAM_PUB_KEY, (void *)(pair + curve->private_len), curve->point_len);
	if (!curve->group) {
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)pair,
		                                         curve->private_len);
	} else if (number && BN_bin2bn(pair, curve->private_len, number) &&
	           BN_bn2nativepad(number, native, curve->private_len) == curve->private_len) {
		*p++ = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native,
		                               curve->private_len);
		*p++ = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
		                                        (char *)curve->group, 0);
	}
	*p = OSSL_PARAM_construct_end();
	if (inner && !d->import(inner, OSSL_KEYMGMT_SELECT_ALL, params)) {
		d->free(inner);
		inner = NULL;
	}
	BN_clear_free(number);
	OPENSSL_cleanse(native, sizeof(native));
	return inner;
}

/* NULL: to be done in software. */
static void *generate(struct provider *provider, enum key_kind kind, const struct curve *curve)
{
	uint8_t pair[MAX_PRIVATE + MAX_POINT];
	struct core_op op = {
		.key = session_of(provider, curve),
		.dst = pair,
		.dst_len = (uint32_t)curve->private_len + curve->point_len,
		.akcipher_op = VCRYPTO_AKCIPHER_GENERATE,
		.class = VCE_CLASS_GENERATE,
	};
	void *inner = NULL;

	ERR_set_mark();
	if (op.key && !core_run(&op, 1) && op.result_len == op.dst_len)
		inner = import(provider, kind, curve, pair);
	ERR_pop_to_mark();
	OPENSSL_cleanse(pair, sizeof(pair));
	return inner;
}

int agreement_generate(struct provider *provider, enum key_kind kind, const char *group,
                       void **inner)
{
	const struct policy *policy = &provider->policy;
	const struct curve *curve = NULL;
	enum policy_choice choice;

	if (policy->generate)
		curve = kind == KEY_X25519 ? &curves[0] : curve_named(group);
	if (!curve)
		return -1;
	/* To make a key costs about what it costs to derive with it. */
	choice = policy_private(policy, curve->policy);
	if (choice == POLICY_SOFTWARE)
		return -1;
	*inner = NULL;
	if (choice == POLICY_OFFLOAD && core_agrees(curve->number))
		*inner = generate(provider, kind, curve);
	if (*inner)
		return 1;
	if (policy->fallback)
		return -1;
	ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_TO_GENERATE_KEY);
	return 0;
}
