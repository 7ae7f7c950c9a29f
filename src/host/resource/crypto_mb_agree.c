/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto-mb: key agreement (docs/in-band.md) by ECDH on P-256 and P-384, and making keys for it, in
 * eight lanes.
 *
 * The resource's threads. A session is a curve and no key; private keys and points come with the
 * requests and are hostile: a private number lies below the order of the curve (der.c), a point on
 * the curve (libcrypto says). Their lengths have been checked. Private numbers that are made come
 * from libcrypto's private generator.
 *
 * Not X25519, though the library has it: 2021.12.1 loses a carry where coordinates, or what comes
 * up while it computes, have long runs of ones (2^91 - 1, and most of those near the prime). Who
 * chooses the coordinate can so learn bits of a private key that is used again.
 */
#include <crypto_mb/ec_nistp256.h>
#include <crypto_mb/ec_nistp384.h>
#include <crypto_mb/status.h>
#include <openssl/ec.h>
#include <string.h>

#include "base/secmem.h"
#include "host/agree.h"
#include "host/der.h"
#include "host/resource/crypto_mb.h"

/* One operation's operands and results; words, the lowest first. */
struct lane {
	uint64_t private[MB_EC_BYTES / 8];
	uint64_t x[MB_EC_BYTES / 8], y[MB_EC_BYTES / 8];
	uint8_t secret[MB_EC_BYTES]; /* big-endian */
	struct vc_request *req;
};

/* All eight as the library wants them, those that nobody needs doing what the first one does. */
struct lanes {
	struct lane lane[MB_LANES];
	unsigned int count;
	int64u *private[MB_LANES], *x[MB_LANES], *y[MB_LANES];
	uint8_t *secret[MB_LANES];
};

static bool is_p256(unsigned int curve)
{
	return curve == VIRTIO_CRYPTO_CURVE_NIST_P256;
}

bool mb_agree_can(const struct session_params *params)
{
	return lc_agree_can(params) &&
	       (is_p256(params->curve) || params->curve == VIRTIO_CRYPTO_CURVE_NIST_P384);
}

enum mb_class mb_agree_class(const struct session_params *params, unsigned int kind)
{
	if (kind == VC_REQUEST_AK_DERIVE)
		return is_p256(params->curve) ? MB_DERIVE_P256 : MB_DERIVE_P384;
	if (kind == VC_REQUEST_AK_GENERATE)
		return is_p256(params->curve) ? MB_GENERATE_P256 : MB_GENERATE_P384;
	return MB_NONE;
}

static unsigned int class_curve(enum mb_class class)
{
	return class == MB_DERIVE_P256 || class == MB_GENERATE_P256 ? VIRTIO_CRYPTO_CURVE_NIST_P256
	                                                            : VIRTIO_CRYPTO_CURVE_NIST_P384;
}

static void lanes_point(struct lanes *lanes)
{
	for (unsigned int i = 0; i < MB_LANES; i++) {
		struct lane *lane = &lanes->lane[i];

		if (i >= lanes->count)
			*lane = lanes->lane[0];
		lanes->private[i] = (int64u *)lane->private;
		lanes->x[i] = (int64u *)lane->x;
		lanes->y[i] = (int64u *)lane->y;
		lanes->secret[i] = lane->secret;
	}
}

static mbx_status lanes_derive(struct lanes *lanes, unsigned int curve)
{
	const int64u *const *private = (const int64u *const *)lanes->private;
	const int64u *const *x = (const int64u *const *)lanes->x;
	const int64u *const *y = (const int64u *const *)lanes->y;

	if (is_p256(curve))
		return mbx_nistp256_ecdh_mb8(lanes->secret, private, x, y, NULL, NULL);
	return mbx_nistp384_ecdh_mb8(lanes->secret, private, x, y, NULL, NULL);
}

static mbx_status lanes_generate(struct lanes *lanes, unsigned int curve)
{
	const int64u *const *private = (const int64u *const *)lanes->private;

	if (is_p256(curve))
		return mbx_nistp256_ecpublic_key_mb8(lanes->x, lanes->y, NULL, private, NULL);
	return mbx_nistp384_ecpublic_key_mb8(lanes->x, lanes->y, NULL, private, NULL);
}

static uint8_t begin_derive(struct lane *lane, struct lc_thread *thread,
                            const struct agree_curve *curve)
{
	const struct mb_session *session = lane->req->handle;
	const uint8_t *private = lane->req->src, *point = private + curve->private_len;
	unsigned int words = curve->private_len / 8u;

	if (!der_ec_scalar_ok(curve->number, private, curve->private_len) ||
	    !lc_agree_point_ok(thread, session->single, point))
		return VIRTIO_CRYPTO_KEY_REJECTED;
	mb_words(lane->private, words, private, curve->private_len);
	mb_words(lane->x, words, point + 1, curve->private_len);
	mb_words(lane->y, words, point + 1 + curve->private_len, curve->private_len);
	return VIRTIO_CRYPTO_OK;
}

static void finish_derive(const struct lane *lane, const struct agree_curve *curve)
{
	memcpy(lane->req->dst, lane->secret, curve->private_len);
	lane->req->result_len = curve->private_len;
}

static void finish_generate(const struct lane *lane, const struct agree_curve *curve)
{
	unsigned int words = curve->private_len / 8u;
	uint8_t *dst = lane->req->dst, *point = dst + curve->private_len;

	mb_bytes(dst, lane->private, words);
	point[0] = POINT_CONVERSION_UNCOMPRESSED;
	mb_bytes(point + 1, lane->x, words);
	mb_bytes(point + 1 + curve->private_len, lane->y, words);
	lane->req->result_len = agree_pair_len(curve);
}

void mb_agree_run(enum mb_class class, struct vc_request *const *reqs, unsigned int n,
                  struct lc_thread *thread)
{
	const struct agree_curve *curve = agree_curve_find(class_curve(class));
	bool derive = class == MB_DERIVE_P256 || class == MB_DERIVE_P384;
	struct lanes lanes = {.count = 0};
	mbx_status status;

	for (unsigned int i = 0; i < n; i++) {
		struct lane *lane = &lanes.lane[lanes.count];
		struct vc_request *req = reqs[i];

		lane->req = req;
		req->result_len = 0;
		if (derive)
			req->status = begin_derive(lane, thread, curve);
		else
			req->status = mb_ec_draw(curve->number, lane->private) ? VIRTIO_CRYPTO_OK
			                                                       : VC_STATUS_RESOURCE;
		lanes.count += req->status == VIRTIO_CRYPTO_OK;
	}
	if (!lanes.count)
		goto out;
	lanes_point(&lanes);
	status = derive ? lanes_derive(&lanes, curve->number)
	                : lanes_generate(&lanes, curve->number);
	for (unsigned int i = 0; i < lanes.count; i++) {
		const struct lane *lane = &lanes.lane[i];

		if (MBX_GET_STS(status, (int)i) != MBX_STATUS_OK)
			lane->req->status = VC_STATUS_RESOURCE;
		else if (derive)
			finish_derive(lane, curve);
		else
			finish_generate(lane, curve);
	}
out:
	secmem_wipe(&lanes, sizeof(lanes));
}
