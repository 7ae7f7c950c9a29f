/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See algorithm.h.
 */
#include "host/resource/algorithm.h"

#include "base/util.h"

struct hash_size {
	uint8_t digest, block;
};

/* FIPS 180-4 and 202. */
static const struct hash_size hashes[ALGORITHM_HASHES] = {
	[VIRTIO_CRYPTO_HASH_SHA1] = {20, 64},      [VIRTIO_CRYPTO_HASH_SHA_224] = {28, 64},
	[VIRTIO_CRYPTO_HASH_SHA_256] = {32, 64},   [VIRTIO_CRYPTO_HASH_SHA_384] = {48, 128},
	[VIRTIO_CRYPTO_HASH_SHA_512] = {64, 128},  [VIRTIO_CRYPTO_HASH_SHA3_224] = {28, 144},
	[VIRTIO_CRYPTO_HASH_SHA3_256] = {32, 136}, [VIRTIO_CRYPTO_HASH_SHA3_384] = {48, 104},
	[VIRTIO_CRYPTO_HASH_SHA3_512] = {64, 72},
};

unsigned int algorithm_hash_size(unsigned int hash)
{
	return hash < ALGORITHM_HASHES ? hashes[hash].digest : 0;
}

unsigned int algorithm_hash_block(unsigned int hash)
{
	return hash < ALGORITHM_HASHES ? hashes[hash].block : 0;
}

unsigned int algorithm_hmac_hash(unsigned int mac)
{
	/* HMAC-SHA1 to HMAC-SHA512 have the numbers of their hashes. */
	if (mac < VIRTIO_CRYPTO_MAC_HMAC_SHA1 || mac > VIRTIO_CRYPTO_MAC_HMAC_SHA_512)
		return VIRTIO_CRYPTO_NO_HASH;
	return mac;
}

unsigned int algorithm_mac_size(unsigned int mac)
{
	return mac == VIRTIO_CRYPTO_MAC_CMAC_AES ? 16
	                                         : algorithm_hash_size(algorithm_hmac_hash(mac));
}

unsigned int algorithm_cipher_iv(unsigned int cipher)
{
	if (cipher == VIRTIO_CRYPTO_CIPHER_AES_ECB)
		return 0;
	return cipher == VIRTIO_CRYPTO_CIPHER_3DES_CBC ? 8 : 16;
}

unsigned int algorithm_cipher_block(unsigned int cipher)
{
	if (cipher == VIRTIO_CRYPTO_CIPHER_AES_CTR || cipher == VIRTIO_CRYPTO_CIPHER_AES_XTS)
		return 1;
	return cipher == VIRTIO_CRYPTO_CIPHER_3DES_CBC ? 8 : 16;
}

bool algorithm_aead_request_ok(unsigned int aead, unsigned int iv_len, uint32_t length)
{
	switch (aead) {
	case VIRTIO_CRYPTO_AEAD_GCM:
		return iv_len >= 1 && iv_len <= 16;
	case VIRTIO_CRYPTO_AEAD_CCM:
		/* SP 800-38C, A.1: what the nonce leaves of 15 bytes counts the message's bytes. */
		return iv_len >= 7 && iv_len <= 13 &&
		       (uint64_t)length >> vc_min(8 * (15 - iv_len), 63u) == 0;
	default:
		return iv_len == 12;
	}
}

bool algorithm_aead_tag_ok(unsigned int aead, unsigned int tag_len)
{
	switch (aead) {
	case VIRTIO_CRYPTO_AEAD_GCM:
		return tag_len >= 4 && tag_len <= 16;
	case VIRTIO_CRYPTO_AEAD_CCM:
		return tag_len >= 4 && tag_len <= 16 && tag_len % 2 == 0;
	default:
		return tag_len == 16;
	}
}

bool algorithm_aes_key_ok(uint32_t length)
{
	return length == 16 || length == 24 || length == 32;
}

bool algorithm_mac_params_ok(const struct session_params *params)
{
	if (!params->tag_len || params->tag_len > algorithm_mac_size(params->mac))
		return false;
	return params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES
	               ? algorithm_aes_key_ok(params->auth_key_len)
	               : params->auth_key_len <= ALGORITHM_MAX_AUTH_KEY;
}

void algorithm_offer_limits(struct virtio_crypto_config *config, uint32_t max_cipher_key)
{
	config->max_cipher_key_len = vc_max(config->max_cipher_key_len, max_cipher_key);
	config->max_auth_key_len =
		vc_max(config->max_auth_key_len, (uint32_t)ALGORITHM_MAX_AUTH_KEY);
	config->max_size = vc_max(config->max_size, (uint64_t)1 << 30);
}
