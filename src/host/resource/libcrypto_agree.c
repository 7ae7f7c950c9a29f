/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcrypto: key agreement by X25519 and by ECDH on NIST curves, and making keys for it.
 *
 * The threads of an instance; each has its own part of a session, which is a curve and no key.
 * Private keys and points are a guest's and hostile: the number must be in range, the point on the
 * curve, and what X25519 gives not zero (RFC 7748, 6.1). Their lengths have been checked. Inputs
 * and outputs are private copies, which are wiped when the request is done.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "base/secmem.h"
#include "host/agree.h"
#include "host/der.h"
#include "host/resource/libcrypto.h"

#define X25519_LEN 32

static int curve_nid(unsigned int curve)
{
	switch (curve) {
	case VIRTIO_CRYPTO_CURVE_NIST_P256:
		return NID_X9_62_prime256v1;
	case VIRTIO_CRYPTO_CURVE_NIST_P384:
		return NID_secp384r1;
	default:
		return NID_secp521r1;
	}
}

bool lc_agree_can(const struct session_params *params)
{
	return params->akcipher == VCRYPTO_INBAND_AGREE && agree_curve_find(params->curve) &&
	       !params->key_len;
}

/* ------------------------------------------------------------------------------------- X25519 */

/* libcrypto computes the public half of a private key that comes alone, for as long as the
 * agreement takes; nobody looks at it here, so any will do. */
static EVP_PKEY *x25519_private(OSSL_LIB_CTX *library, const uint8_t *private, const uint8_t *any)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(library, "X25519", NULL);
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)private,
	                                          X25519_LEN),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)any, X25519_LEN),
		OSSL_PARAM_construct_end(),
	};

	if (!c || EVP_PKEY_fromdata_init(c) <= 0 ||
	    EVP_PKEY_fromdata(c, &key, EVP_PKEY_KEYPAIR, params) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(c);
	return key;
}

static uint8_t x25519_derive(const struct lc_thread *thread, struct vc_request *req)
{
	const uint8_t *point = req->src + X25519_LEN;
	EVP_PKEY *private = x25519_private(thread->library, req->src, point);
	EVP_PKEY *peer =
		EVP_PKEY_new_raw_public_key_ex(thread->library, "X25519", NULL, point, X25519_LEN);
	EVP_PKEY_CTX *c =
		private ? EVP_PKEY_CTX_new_from_pkey(thread->library, private, NULL) : NULL;
	size_t length = req->dst_len;
	uint8_t status = VIRTIO_CRYPTO_ERR;

	if (!c || !peer || EVP_PKEY_derive_init(c) <= 0 ||
	    EVP_PKEY_derive_set_peer_ex(c, peer, 0) <= 0)
		goto out;
	/* Fails when the result is zero. */
	status = VIRTIO_CRYPTO_KEY_REJECTED;
	if (EVP_PKEY_derive(c, req->dst, &length) > 0 && length == X25519_LEN)
		status = VIRTIO_CRYPTO_OK;
	req->result_len = X25519_LEN;
out:
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(private);
	return status;
}

static uint8_t x25519_generate(const struct lc_thread *thread, struct vc_request *req)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(thread->library, NULL, "X25519");
	size_t private_len = X25519_LEN, point_len = X25519_LEN;
	uint8_t status = VIRTIO_CRYPTO_ERR;

	if (key && EVP_PKEY_get_raw_private_key(key, req->dst, &private_len) > 0 &&
	    EVP_PKEY_get_raw_public_key(key, req->dst + X25519_LEN, &point_len) > 0)
		status = VIRTIO_CRYPTO_OK;
	req->result_len = 2 * X25519_LEN;
	EVP_PKEY_free(key);
	return status;
}

/* --------------------------------------------------------------------------------------- ECDH */

static bool ec_begin(const struct lc_thread *thread, const struct session_params *params,
                     struct lc_agree *agree)
{
	if (!agree->group)
		agree->group = EC_GROUP_new_by_curve_name_ex(thread->library, NULL,
		                                             curve_nid(params->curve));
	if (!agree->numbers)
		agree->numbers = BN_CTX_secure_new_ex(thread->library);
	return agree->group && agree->numbers;
}

/* On the curve, and not infinity, which has another length. No hybrid form. */
static bool read_point(const struct lc_agree *agree, EC_POINT *point, const uint8_t *bytes,
                       size_t length)
{
	return bytes[0] == POINT_CONVERSION_UNCOMPRESSED &&
	       EC_POINT_oct2point(agree->group, point, bytes, length, agree->numbers) == 1;
}

/* The curves have no other cofactor than 1, so nothing but infinity can go wrong, and that the
 * order of the point excludes. */
static uint8_t ec_derive(const struct lc_agree *agree, const struct agree_curve *curve,
                         struct vc_request *req)
{
	BIGNUM *d = BN_secure_new(), *x = BN_secure_new();
	EC_POINT *peer = EC_POINT_new(agree->group), *shared = EC_POINT_new(agree->group);
	uint8_t status = VIRTIO_CRYPTO_ERR;

	if (!d || !x || !peer || !shared)
		goto out;
	status = VIRTIO_CRYPTO_KEY_REJECTED;
	if (!der_ec_scalar_ok(curve->number, req->src, curve->private_len) ||
	    !read_point(agree, peer, req->src + curve->private_len, curve->point_len))
		goto out;
	status = VIRTIO_CRYPTO_ERR;
	BN_set_flags(d, BN_FLG_CONSTTIME);
	if (BN_bin2bn(req->src, curve->private_len, d) &&
	    EC_POINT_mul(agree->group, shared, NULL, peer, d, agree->numbers) &&
	    EC_POINT_get_affine_coordinates(agree->group, shared, x, NULL, agree->numbers) &&
	    BN_bn2binpad(x, req->dst, curve->private_len) == curve->private_len)
		status = VIRTIO_CRYPTO_OK;
	req->result_len = curve->private_len;
out:
	EC_POINT_clear_free(shared);
	EC_POINT_free(peer);
	BN_clear_free(x);
	BN_clear_free(d);
	return status;
}

static bool random_number(const struct lc_agree *agree, BIGNUM *d)
{
	do {
		if (!BN_priv_rand_range_ex(d, EC_GROUP_get0_order(agree->group), 0, agree->numbers))
			return false;
	} while (BN_is_zero(d));
	return true;
}

static uint8_t ec_generate(const struct lc_agree *agree, const struct agree_curve *curve,
                           struct vc_request *req)
{
	BIGNUM *d = BN_secure_new();
	EC_POINT *point = EC_POINT_new(agree->group);
	uint8_t status = VIRTIO_CRYPTO_ERR;

	if (!d || !point)
		goto out;
	BN_set_flags(d, BN_FLG_CONSTTIME);
	if (random_number(agree, d) &&
	    EC_POINT_mul(agree->group, point, d, NULL, NULL, agree->numbers) &&
	    BN_bn2binpad(d, req->dst, curve->private_len) == curve->private_len &&
	    EC_POINT_point2oct(agree->group, point, POINT_CONVERSION_UNCOMPRESSED,
	                       req->dst + curve->private_len, curve->point_len,
	                       agree->numbers) == curve->point_len)
		status = VIRTIO_CRYPTO_OK;
	req->result_len = agree_pair_len(curve);
out:
	EC_POINT_free(point);
	BN_clear_free(d);
	return status;
}

bool lc_agree_point_ok(struct lc_thread *thread, struct lc_session *session, const uint8_t *bytes)
{
	const struct agree_curve *curve = agree_curve_find(session->params->curve);
	struct lc_agree *agree = &session->local[thread->index].agree;
	EC_POINT *point = NULL;
	bool ok;

	if (ec_begin(thread, session->params, agree))
		point = EC_POINT_new(agree->group);
	ok = point && read_point(agree, point, bytes, curve->point_len);
	if (!ok)
		ERR_clear_error();
	EC_POINT_free(point);
	return ok;
}

uint8_t lc_agree(struct lc_thread *thread, struct vc_request *req, const struct lc_session *session,
                 struct lc_local *local)
{
	const struct session_params *params = session->params;
	const struct agree_curve *curve = agree_curve_find(params->curve);
	bool derive = req->kind == VC_REQUEST_AK_DERIVE;
	uint8_t status;

	req->result_len = 0;
	if (!derive && req->kind != VC_REQUEST_AK_GENERATE)
		return VIRTIO_CRYPTO_NOTSUPP;
	if (params->curve == VCRYPTO_INBAND_X25519)
		status = derive ? x25519_derive(thread, req) : x25519_generate(thread, req);
	else if (!ec_begin(thread, params, &local->agree))
		status = VIRTIO_CRYPTO_ERR;
	else
		status = derive ? ec_derive(&local->agree, curve, req)
		                : ec_generate(&local->agree, curve, req);
	if (status != VIRTIO_CRYPTO_OK)
		ERR_clear_error();
	return status;
}
