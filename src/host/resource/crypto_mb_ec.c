/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto-mb: ECDSA on P-256 and P-384 in eight lanes.
 *
 * The resource's threads. Keys are guests' and hostile: a private number lies below the order of
 * the curve (der.c), a public point on the curve (libcrypto says). The number of a signature (k) is
 * drawn by libcrypto's private generator, anew for each.
 *
 * Digests longer than the order are cut, shorter ones are numbers (FIPS 186-5, 6.4); of both curves
 * the order has whole bytes.
 */
#include <crypto_mb/ec_nistp256.h>
#include <crypto_mb/ec_nistp384.h>
#include <crypto_mb/status.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"
#include "host/der.h"
#include "host/resource/crypto_mb.h"

static bool is_p256(const struct session_params *params)
{
	return params->curve == VIRTIO_CRYPTO_CURVE_NIST_P256;
}

static size_t order_size(unsigned int curve)
{
	return der_ec_bits(curve) / 8;
}

bool mb_ecdsa_can(const struct session_params *params)
{
	return params->akcipher == VIRTIO_CRYPTO_AKCIPHER_ECDSA &&
	       (is_p256(params) || params->curve == VIRTIO_CRYPTO_CURVE_NIST_P384);
}

/* The coordinates of a public point. */
static bool point_fill(const struct session_params *params, struct mb_ec_key *key)
{
	int nid = is_p256(params) ? NID_X9_62_prime256v1 : NID_secp384r1;
	size_t size = order_size(params->curve);
	EC_GROUP *group = EC_GROUP_new_by_curve_name(nid);
	EC_POINT *point = group ? EC_POINT_new(group) : NULL;
	uint8_t bytes[1 + 2 * MB_EC_BYTES];
	/* It checks that the point lies on the curve. */
	bool ok = point &&
	          EC_POINT_oct2point(group, point, params->key, params->key_len, NULL) == 1 &&
	          EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, bytes,
	                             sizeof(bytes), NULL) == 1 + 2 * size;

	if (ok) {
		mb_words(key->x, (unsigned int)size / 8, bytes + 1, size);
		mb_words(key->y, (unsigned int)size / 8, bytes + 1 + size, size);
	} else {
		ERR_clear_error();
	}
	EC_POINT_free(point);
	EC_GROUP_free(group);
	return ok;
}

bool mb_ec_key_fill(const struct session_params *params, struct mb_ec_key *key)
{
	struct der_ec ec;

	if (!params->private_key)
		return point_fill(params, key);
	if (der_ec_private(params->key, params->key_len, params->curve, &ec) < 0)
		return false;
	mb_words(key->d, (unsigned int)order_size(params->curve) / 8, ec.scalar, ec.scalar_len);
	return true;
}

enum mb_class mb_ecdsa_class(const struct session_params *params, unsigned int kind)
{
	unsigned int curve = is_p256(params) ? 0 : 1;

	if (kind == VC_REQUEST_AK_SIGN && params->private_key)
		return MB_ECDSA_SIGN_P256 + curve;
	if (kind == VC_REQUEST_AK_VERIFY && !params->private_key)
		return MB_ECDSA_VERIFY_P256 + curve;
	return MB_NONE;
}

static unsigned int class_curve(enum mb_class class)
{
	return class == MB_ECDSA_SIGN_P256 || class == MB_ECDSA_VERIFY_P256
	               ? VIRTIO_CRYPTO_CURVE_NIST_P256
	               : VIRTIO_CRYPTO_CURVE_NIST_P384;
}

/* What is signed, as a number of as many bytes as the order has. */
static void digest_fit(uint8_t *block, size_t size, const uint8_t *digest, size_t length)
{
	length = vc_min(length, size);
	memset(block, 0, size - length);
	memcpy(block + size - length, digest, length);
}

bool mb_ec_draw(unsigned int curve, uint64_t *words)
{
	size_t size = order_size(curve);
	uint8_t number[MB_EC_BYTES];
	bool ok;

	/* Once nearly always: the orders begin with 32 bits that are set. */
	do {
		ok = RAND_priv_bytes(number, (int)size) > 0;
	} while (ok && !der_ec_scalar_ok(curve, number, size));
	if (ok)
		mb_words(words, (unsigned int)size / 8, number, size);
	secmem_wipe(number, sizeof(number));
	return ok;
}

/* One operation's operands and results. */
struct lane {
	uint8_t digest[MB_EC_BYTES];
	uint8_t r[MB_EC_BYTES], s[MB_EC_BYTES];
	uint64_t k[MB_EC_BYTES / 8];
	const struct mb_ec_key *key;
	struct vc_request *req;
};

/* All eight as the library wants them, those that nobody needs doing what the first one does. */
struct lanes {
	struct lane lane[MB_LANES];
	unsigned int count;
	uint8_t *r[MB_LANES], *s[MB_LANES];
	const uint8_t *digest[MB_LANES];
	const int64u *k[MB_LANES], *d[MB_LANES], *x[MB_LANES], *y[MB_LANES];
};

static void lanes_point(struct lanes *lanes)
{
	for (unsigned int i = 0; i < MB_LANES; i++) {
		struct lane *lane = &lanes->lane[i];

		if (i >= lanes->count)
			*lane = lanes->lane[0];
		lanes->r[i] = lane->r;
		lanes->s[i] = lane->s;
		lanes->digest[i] = lane->digest;
		lanes->k[i] = (const int64u *)lane->k;
		lanes->d[i] = (const int64u *)lane->key->d;
		lanes->x[i] = (const int64u *)lane->key->x;
		lanes->y[i] = (const int64u *)lane->key->y;
	}
}

static mbx_status lanes_sign(struct lanes *lanes, unsigned int curve)
{
	if (curve == VIRTIO_CRYPTO_CURVE_NIST_P256)
		return mbx_nistp256_ecdsa_sign_mb8(lanes->r, lanes->s, lanes->digest, lanes->k,
		                                   lanes->d, NULL);
	return mbx_nistp384_ecdsa_sign_mb8(lanes->r, lanes->s, lanes->digest, lanes->k, lanes->d,
	                                   NULL);
}

static mbx_status lanes_verify(struct lanes *lanes, unsigned int curve)
{
	const uint8_t *const *r = (const uint8_t *const *)lanes->r;
	const uint8_t *const *s = (const uint8_t *const *)lanes->s;

	if (curve == VIRTIO_CRYPTO_CURVE_NIST_P256)
		return mbx_nistp256_ecdsa_verify_mb8(r, s, lanes->digest, lanes->x, lanes->y, NULL,
		                                     NULL);
	return mbx_nistp384_ecdsa_verify_mb8(r, s, lanes->digest, lanes->x, lanes->y, NULL, NULL);
}

static void finish(const struct lane *lane, unsigned int curve, mbx_status status)
{
	struct vc_request *req = lane->req;
	uint8_t der[DER_ECDSA_MAX];

	if (req->kind == VC_REQUEST_AK_VERIFY) {
		/* Numbers of a signature that are out of range are no fault of ours. */
		req->status =
			status == MBX_STATUS_OK ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_KEY_REJECTED;
		return;
	}
	if (status == MBX_STATUS_OK)
		req->status =
			akcipher_result(req, der, der_ecdsa_write(der, curve, lane->r, lane->s));
	else
		req->status = VC_STATUS_RESOURCE;
}

/* Everything for the request's lane. False: its status is set. */
static bool lane_begin(struct lane *lane, struct vc_request *req, unsigned int curve)
{
	size_t size = order_size(curve);

	req->result_len = 0;
	lane->req = req;
	lane->key = &((const struct mb_session *)req->handle)->ec;
	if (req->kind == VC_REQUEST_AK_SIGN) {
		digest_fit(lane->digest, size, req->src, req->length);
		req->status = VC_STATUS_RESOURCE;
		return mb_ec_draw(curve, lane->k);
	}
	digest_fit(lane->digest, size, req->tag, req->tag_len);
	req->status = VIRTIO_CRYPTO_KEY_REJECTED;
	/* The library takes numbers above the order for their remainder. */
	return der_ecdsa_read(req->src, req->length, curve, lane->r, lane->s) == 0 &&
	       der_ec_scalar_ok(curve, lane->r, size) && der_ec_scalar_ok(curve, lane->s, size);
}

void mb_ecdsa_run(enum mb_class class, struct vc_request *const *reqs, unsigned int n,
                  struct mb_scratch *scratch)
{
	bool sign = class == MB_ECDSA_SIGN_P256 || class == MB_ECDSA_SIGN_P384;
	unsigned int curve = class_curve(class);
	struct lanes lanes = {.count = 0};
	mbx_status status;

	(void)scratch;
	for (unsigned int i = 0; i < n; i++)
		if (lane_begin(&lanes.lane[lanes.count], reqs[i], curve))
			lanes.count++;
	if (lanes.count) {
		lanes_point(&lanes);
		status = sign ? lanes_sign(&lanes, curve) : lanes_verify(&lanes, curve);
		for (unsigned int i = 0; i < lanes.count; i++)
			finish(&lanes.lane[i], curve, MBX_GET_STS(status, (int)i));
	}
	secmem_wipe(&lanes, sizeof(lanes));
}
