/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key agreement with the device on one side and libcrypto on the other.
 */
#include "work_agree.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ec.h>

#include "work.h"

#define MAX_SECRET 66
#define MAX_PAIR (MAX_SECRET + 133)

static enum vcrypto_curve curve_of(unsigned int bits)
{
	switch (bits) {
	case 255:
		return VCRYPTO_CURVE_X25519;
	case 256:
		return VCRYPTO_CURVE_P256;
	case 384:
		return VCRYPTO_CURVE_P384;
	default:
		return VCRYPTO_CURVE_P521;
	}
}

void agree_init(const char *name, unsigned int bits, EVP_PKEY **pkey, struct core_key **key)
{
	const struct vcrypto_session_params params = {
		.service = VCRYPTO_SERVICE_AKCIPHER,
		.algorithm = VCRYPTO_AKCIPHER_AGREE,
		.curve = curve_of(bits),
	};
	char curve[8];

	snprintf(curve, sizeof(curve), "P-%u", bits);
	*pkey = bits == 255 ? EVP_PKEY_Q_keygen(NULL, NULL, "X25519") : EVP_EC_gen(curve);
	if (!*pkey || core_key_new(&params, key))
		die("%s: no key", name);
}

static void reference(const char *name, EVP_PKEY *pkey, const uint8_t *point, size_t point_len,
                      uint8_t *secret, size_t length)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, "provider=default");
	EVP_PKEY *peer = EVP_PKEY_new();

	if (!ctx || !peer || EVP_PKEY_copy_parameters(peer, pkey) <= 0 ||
	    EVP_PKEY_set1_encoded_public_key(peer, point, point_len) <= 0 ||
	    EVP_PKEY_derive_init(ctx) <= 0 || EVP_PKEY_derive_set_peer(ctx, peer) <= 0 ||
	    EVP_PKEY_derive(ctx, secret, &length) <= 0)
		die("%s: libcrypto does not agree", name);
	EVP_PKEY_free(peer);
	EVP_PKEY_CTX_free(ctx);
}

int agree_do(const char *name, unsigned int bits, EVP_PKEY *pkey, struct core_key *key)
{
	uint32_t size = (bits + 7) / 8;
	uint8_t pair[MAX_PAIR], secret[MAX_SECRET], expected[MAX_SECRET], *theirs = NULL;
	struct core_op generate = {
		.key = key,
		.dst = pair,
		.dst_len = sizeof(pair),
		.akcipher_op = VCRYPTO_AKCIPHER_GENERATE,
		.class = VCE_CLASS_GENERATE,
	};
	struct core_op derive = {
		.key = key,
		.src = pair,
		.dst = secret,
		.dst_len = size,
		.akcipher_op = VCRYPTO_AKCIPHER_DERIVE,
		.class = VCE_CLASS_DERIVE,
	};
	size_t point_len;
	int ret = core_run(&generate, 1);

	if (ret)
		return ret;
	point_len = EVP_PKEY_get1_encoded_public_key(pkey, &theirs);
	if (generate.result_len != size + point_len)
		die("%s: a key pair of %u bytes", name, generate.result_len);
	reference(name, pkey, pair + size, point_len, expected, size);
	memcpy(pair + size, theirs, point_len);
	OPENSSL_free(theirs);
	derive.length = generate.result_len;
	ret = core_run(&derive, 1);
	if (!ret && (derive.result_len != size || memcmp(secret, expected, size) != 0))
		die("%s: wrong secret", name);
	return ret;
}
