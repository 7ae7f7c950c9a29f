/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcrypto: ECDSA on the NIST curves.
 *
 * The threads of an instance; each makes the key for itself at its first request of a session.
 * Keys are a guest's and hostile. Of a private key (ECPrivateKey, RFC 5915) only the number is
 * used: the curve is the session's, and the public half is computed, so that no optional part of it
 * can contradict another. A public key is a point (SEC 1, 2.3.3), and is checked to be on the
 * curve.
 *
 * Signatures are Ecdsa-Sig-Value in DER (RFC 3279); digests longer than the group are cut (FIPS
 * 186-5, 6.4). Inputs and outputs are private copies.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <string.h>

#include "base/secmem.h"
#include "host/der.h"
#include "host/resource/libcrypto.h"

#define MAX_ORDER 66           /* bytes of P-521's */
#define MAX_POINT (1 + 2 * 66) /* uncompressed */
#define MAX_SIGNATURE (9 + 2 * 67)

static const int curves[] = {
	[VIRTIO_CRYPTO_CURVE_NIST_P192] = NID_X9_62_prime192v1,
	[VIRTIO_CRYPTO_CURVE_NIST_P224] = NID_secp224r1,
	[VIRTIO_CRYPTO_CURVE_NIST_P256] = NID_X9_62_prime256v1,
	[VIRTIO_CRYPTO_CURVE_NIST_P384] = NID_secp384r1,
	[VIRTIO_CRYPTO_CURVE_NIST_P521] = NID_secp521r1,
};

bool lc_ecdsa_can(const struct session_params *params)
{
	return params->akcipher == VIRTIO_CRYPTO_AKCIPHER_ECDSA &&
	       params->curve < vc_array_size(curves) && curves[params->curve] && params->key_len &&
	       params->key_len <= LC_EC_MAX_KEY;
}

/* The private number, in the machine's order of bytes, and the point that belongs to it. */
static bool private_half(const struct session_params *params, const EC_GROUP *group,
                         uint8_t *number, size_t *number_len, uint8_t *point, size_t *point_len)
{
	size_t order = ((size_t)EC_GROUP_order_bits(group) + 7) / 8;
	BIGNUM *d = BN_secure_new();
	EC_POINT *q = EC_POINT_new(group);
	struct der_ec key;
	bool ok = false;

	if (!d || !q || der_ec_private(params->key, params->key_len, params->curve, &key) < 0 ||
	    key.scalar_len > order)
		goto out;
	BN_set_flags(d, BN_FLG_CONSTTIME);
	if (!BN_bin2bn(key.scalar, key.scalar_len, d) || BN_is_zero(d) ||
	    BN_cmp(d, EC_GROUP_get0_order(group)) >= 0 ||
	    !EC_POINT_mul(group, q, d, NULL, NULL, NULL))
		goto out;
	*number_len = order;
	*point_len =
		EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, point, MAX_POINT, NULL);
	ok = *point_len && BN_bn2nativepad(d, number, (int)order) == (int)order;
out:
	BN_clear_free(d);
	EC_POINT_free(q);
	return ok;
}

static EVP_PKEY *make_key(OSSL_LIB_CTX *library, const struct session_params *params)
{
	int nid = curves[params->curve];
	uint8_t number[MAX_ORDER], point[MAX_POINT];
	size_t number_len = 0, point_len = params->key_len;
	EC_GROUP *group = EC_GROUP_new_by_curve_name_ex(library, NULL, nid);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(library, "EC", NULL);
	OSSL_PARAM part[4], *last = part;
	EVP_PKEY *key = NULL;

	if (!group || !c)
		goto out;
	if (params->private_key) {
		if (!private_half(params, group, number, &number_len, point, &point_len))
			goto out;
		*last++ = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, number, number_len);
	} else {
		/* One byte would be the point at infinity. */
		if (point_len < 2 || point_len > sizeof(point))
			goto out;
		memcpy(point, params->key, point_len);
	}
	*last++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, point_len);
	*last++ = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
	                                           (char *)OBJ_nid2sn(nid), 0);
	*last = OSSL_PARAM_construct_end();
	if (EVP_PKEY_fromdata_init(c) <= 0 ||
	    EVP_PKEY_fromdata(c, &key, params->private_key ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
	                      part) <= 0)
		key = NULL;
out:
	secmem_wipe(number, sizeof(number));
	EVP_PKEY_CTX_free(c);
	EC_GROUP_free(group);
	return key;
}

/* The context of this thread for one kind of operation of the session; NULL: not possible. */
static EVP_PKEY_CTX *prepare(const struct lc_thread *thread, const struct session_params *params,
                             struct lc_local *local, unsigned int kind)
{
	EVP_PKEY_CTX **slot = &local->operation[kind - VC_REQUEST_AK_ENCRYPT];
	EVP_PKEY_CTX *c = *slot;

	if (c)
		return c;
	if (!local->key)
		local->key = make_key(thread->library, params);
	if (!local->key) {
		local->bad = true;
		return NULL;
	}
	c = EVP_PKEY_CTX_new_from_pkey(thread->library, local->key, NULL);
	if (!c || lc_operation_begin(c, kind) <= 0) {
		EVP_PKEY_CTX_free(c);
		return NULL;
	}
	*slot = c;
	return c;
}

static uint8_t sign(EVP_PKEY_CTX *c, struct vc_request *req)
{
	uint8_t signature[MAX_SIGNATURE];
	size_t length = sizeof(signature);

	if (EVP_PKEY_sign(c, signature, &length, req->src, req->length) <= 0)
		return VIRTIO_CRYPTO_ERR;
	return akcipher_result(req, signature, length);
}

uint8_t lc_ecdsa(struct lc_thread *thread, struct vc_request *req, const struct lc_session *session,
                 struct lc_local *local)
{
	const struct session_params *params = session->params;
	uint8_t status = VIRTIO_CRYPTO_KEY_REJECTED;
	EVP_PKEY_CTX *c;

	req->result_len = 0;
	if (req->kind != VC_REQUEST_AK_SIGN && req->kind != VC_REQUEST_AK_VERIFY)
		return VIRTIO_CRYPTO_NOTSUPP;
	if (local->bad || (!params->private_key && req->kind == VC_REQUEST_AK_SIGN))
		return VIRTIO_CRYPTO_KEY_REJECTED;
	c = prepare(thread, params, local, req->kind);
	if (c && req->kind == VC_REQUEST_AK_SIGN)
		status = sign(c, req);
	/* src is the signature, tag the digest. KEY_REJECTED is the specification's word for a
	 * signature that does not fit. */
	else if (c && EVP_PKEY_verify(c, req->src, req->length, req->tag, req->tag_len) == 1)
		status = VIRTIO_CRYPTO_OK;
	if (status != VIRTIO_CRYPTO_OK)
		ERR_clear_error();
	return status;
}
