/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sessions may be: the checks that need no resource, and names. Works on private copies of
 * what a guest said (session_wire.c); any thread.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "host/agree.h"
#include "host/der.h"
#include "host/session.h"

#define MAX_AUTH_KEY SESSION_MAX_AUTH_KEY
/* RSAPrivateKey of 8192 bits is 4,700 bytes or so. Which sizes a device takes its resources say. */
#define MAX_RSA_KEY 5120
#define MIN_RSA_BITS 512
#define MAX_RSA_BITS 8192
#define MAX_EC_KEY 256

/* ---- algorithms that we know ---- */

struct cipher_kind {
	uint8_t algorithm;
	uint8_t key_min, key_max, key_step; /* bytes */
	const char *name, *mode;
};

static const struct cipher_kind ciphers[] = {
	{VIRTIO_CRYPTO_CIPHER_AES_ECB, 16, 32, 8, "aes", "-ecb"},
	{VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 32, 8, "aes", "-cbc"},
	{VIRTIO_CRYPTO_CIPHER_AES_CTR, 16, 32, 8, "aes", "-ctr"},
	{VIRTIO_CRYPTO_CIPHER_3DES_CBC, 24, 24, 8, "3des", "-cbc"},
	{VIRTIO_CRYPTO_CIPHER_AES_XTS, 32, 64, 32, "aes", "-xts"},
};

static const struct cipher_kind aeads[] = {
	{VIRTIO_CRYPTO_AEAD_GCM, 16, 32, 8, "aes", "-gcm"},
	{VIRTIO_CRYPTO_AEAD_CCM, 16, 32, 8, "aes", "-ccm"},
	{VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305, 32, 32, 8, "chacha20", "-poly1305"},
};

struct digest_kind {
	uint8_t algorithm;
	uint8_t length; /* bytes */
	bool aes;       /* keyed with an AES key */
	const char *name;
};

static const struct digest_kind hashes[] = {
	{VIRTIO_CRYPTO_HASH_SHA1, 20, false, "sha1"},
	{VIRTIO_CRYPTO_HASH_SHA_224, 28, false, "sha224"},
	{VIRTIO_CRYPTO_HASH_SHA_256, 32, false, "sha256"},
	{VIRTIO_CRYPTO_HASH_SHA_384, 48, false, "sha384"},
	{VIRTIO_CRYPTO_HASH_SHA_512, 64, false, "sha512"},
	{VIRTIO_CRYPTO_HASH_SHA3_224, 28, false, "sha3-224"},
	{VIRTIO_CRYPTO_HASH_SHA3_256, 32, false, "sha3-256"},
	{VIRTIO_CRYPTO_HASH_SHA3_384, 48, false, "sha3-384"},
	{VIRTIO_CRYPTO_HASH_SHA3_512, 64, false, "sha3-512"},
};

static const struct digest_kind macs[] = {
	{VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20, false, "hmac-sha1"},
	{VIRTIO_CRYPTO_MAC_HMAC_SHA_224, 28, false, "hmac-sha224"},
	{VIRTIO_CRYPTO_MAC_HMAC_SHA_256, 32, false, "hmac-sha256"},
	{VIRTIO_CRYPTO_MAC_HMAC_SHA_384, 48, false, "hmac-sha384"},
	{VIRTIO_CRYPTO_MAC_HMAC_SHA_512, 64, false, "hmac-sha512"},
	{VIRTIO_CRYPTO_MAC_CMAC_AES, 16, true, "cmac-aes"},
};

static const struct cipher_kind *cipher_find(const struct cipher_kind *kinds, size_t n,
                                             unsigned int algorithm)
{
	for (size_t i = 0; i < n; i++)
		if (kinds[i].algorithm == algorithm)
			return &kinds[i];
	return NULL;
}

static const struct digest_kind *digest_find(const struct digest_kind *kinds, size_t n,
                                             unsigned int algorithm)
{
	for (size_t i = 0; i < n; i++)
		if (kinds[i].algorithm == algorithm)
			return &kinds[i];
	return NULL;
}

static bool key_fits(const struct cipher_kind *kind, uint32_t len)
{
	return len >= kind->key_min && len <= kind->key_max &&
	       (len - kind->key_min) % kind->key_step == 0;
}

/* ---- checks ---- */

/* 0 stands for the whole digest. */
static int resolve_digest(struct session_params *params, const struct digest_kind *kind)
{
	if (!params->tag_len)
		params->tag_len = kind->length;
	return params->tag_len <= kind->length ? 0 : -EINVAL;
}

static int check_mac(struct session_params *params)
{
	const struct digest_kind *kind = digest_find(macs, vc_array_size(macs), params->mac);

	if (!kind)
		return -ENOTSUP;
	if (!params->auth_key_len || params->auth_key_len > MAX_AUTH_KEY)
		return -EKEYREJECTED;
	if (kind->aes && params->auth_key_len != 16 && params->auth_key_len != 24 &&
	    params->auth_key_len != 32)
		return -EKEYREJECTED;
	return resolve_digest(params, kind);
}

static int check_hash(struct session_params *params)
{
	const struct digest_kind *kind = digest_find(hashes, vc_array_size(hashes), params->hash);

	return kind ? resolve_digest(params, kind) : -ENOTSUP;
}

static int check_cipher(struct session_params *params)
{
	const struct cipher_kind *kind =
		cipher_find(ciphers, vc_array_size(ciphers), params->cipher);

	if (!kind)
		return -ENOTSUP;
	if (!key_fits(kind, params->key_len))
		return -EKEYREJECTED;
	if (!params->chain)
		return 0;
	if (params->chain != VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER &&
	    params->chain != VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH)
		return -EINVAL;
	/* What additional data would mean for a chain is said nowhere (virtio 1.3, 5.9.7.6): the
	 * hash has a range of the source. */
	if (params->aad_len)
		return -ENOTSUP;
	if (params->mac)
		return check_mac(params);
	return params->auth_key_len ? -EINVAL : check_hash(params);
}

/* Tag lengths: SP 800-38D (GCM), SP 800-38C (CCM), RFC 8439. */
static bool aead_tag_fits(uint8_t algorithm, unsigned int len)
{
	switch (algorithm) {
	case VIRTIO_CRYPTO_AEAD_GCM:
		return len == 4 || len == 8 || (len >= 12 && len <= 16);
	case VIRTIO_CRYPTO_AEAD_CCM:
		return len >= 4 && len <= 16 && len % 2 == 0;
	default:
		return len == 16;
	}
}

static int check_aead(struct session_params *params)
{
	const struct cipher_kind *kind = cipher_find(aeads, vc_array_size(aeads), params->aead);

	if (!kind)
		return -ENOTSUP;
	if (!key_fits(kind, params->key_len))
		return -EKEYREJECTED;
	if (!params->tag_len)
		params->tag_len = 16;
	return aead_tag_fits(params->aead, params->tag_len) ? 0 : -EINVAL;
}

static int check_rsa(struct session_params *params)
{
	unsigned int bits;
	int rc;

	if (params->rsa_padding > VIRTIO_CRYPTO_RSA_PKCS1_PADDING ||
	    params->rsa_hash > VIRTIO_CRYPTO_RSA_SHA224)
		return -ENOTSUP;
	if (!params->key_len || params->key_len > MAX_RSA_KEY)
		return -EKEYREJECTED;
	rc = params->private_key ? der_rsa_private(params->key, params->key_len, &bits)
	                         : der_rsa_public(params->key, params->key_len, &bits);
	if (rc < 0)
		return -EKEYREJECTED;
	if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS)
		return -ENOTSUP;
	params->key_bits = (uint16_t)bits;
	return 0;
}

static int check_ecdsa(struct session_params *params)
{
	unsigned int bits = der_ec_bits(params->curve);
	struct der_ec key;
	int rc;

	if (!bits)
		return -ENOTSUP;
	if (!params->key_len || params->key_len > MAX_EC_KEY)
		return -EKEYREJECTED;
	rc = params->private_key ? der_ec_private(params->key, params->key_len, params->curve, &key)
	                         : der_ec_public(params->key, params->key_len, params->curve, &key);
	if (rc < 0)
		return -EKEYREJECTED;
	params->key_bits = (uint16_t)bits;
	return 0;
}

/* A private key comes with each request: a session that had one would not know what for. */
static int check_agree(struct session_params *params)
{
	const struct agree_curve *curve = agree_curve_find(params->curve);

	if (!curve)
		return -ENOTSUP;
	if (params->key_len)
		return -EKEYREJECTED;
	params->key_bits = curve->bits;
	return 0;
}

static int check_akcipher(struct session_params *params)
{
	switch (params->akcipher) {
	case VIRTIO_CRYPTO_AKCIPHER_RSA:
		return check_rsa(params);
	case VIRTIO_CRYPTO_AKCIPHER_ECDSA:
		return check_ecdsa(params);
	case VCRYPTO_INBAND_AGREE:
		return check_agree(params);
	default:
		return -ENOTSUP;
	}
}

int session_params_check(struct session_params *params)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		return check_cipher(params);
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return check_hash(params);
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return check_mac(params);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return check_aead(params);
	case VIRTIO_CRYPTO_SERVICE_AKCIPHER:
		return check_akcipher(params);
	default:
		return -ENOTSUP;
	}
}

/* ---- to the wire, and to people ---- */

uint8_t session_status(int error)
{
	switch (error) {
	case 0:
		return VIRTIO_CRYPTO_OK;
	case -ENOTSUP:
		return VIRTIO_CRYPTO_NOTSUPP;
	case -EKEYREJECTED:
		return VIRTIO_CRYPTO_KEY_REJECTED;
	case -ENOSPC:
	case -ENOMEM:
		return VIRTIO_CRYPTO_NOSPC;
	case -ENOENT:
		return VIRTIO_CRYPTO_INVSESS;
	case -EBADMSG:
		return VIRTIO_CRYPTO_BADMSG;
	default:
		return VIRTIO_CRYPTO_ERR;
	}
}

static void cipher_name(const struct cipher_kind *kind, uint32_t key_len, char *buffer, size_t size)
{
	unsigned int bits = key_len * 8;

	if (!kind)
		snprintf(buffer, size, "cipher");
	else if (kind->key_min == kind->key_max)
		snprintf(buffer, size, "%s%s", kind->name, kind->mode);
	else /* XTS has two keys in one, and is called by one of them. */
		snprintf(buffer, size, "%s-%u%s", kind->name,
		         kind->key_step == 32 ? bits / 2 : bits, kind->mode);
}

static void agree_name(const struct session_params *params, char *buffer, size_t size)
{
	if (params->curve == VCRYPTO_INBAND_X25519)
		snprintf(buffer, size, "x25519");
	else
		snprintf(buffer, size, "ecdh-p%u", params->key_bits);
}

const char *session_params_name(const struct session_params *params, char *buffer, size_t size)
{
	const struct digest_kind *digest = NULL;

	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		cipher_name(cipher_find(ciphers, vc_array_size(ciphers), params->cipher),
		            params->key_len, buffer, size);
		if (params->chain) {
			size_t used = strlen(buffer);

			digest = params->mac
			                 ? digest_find(macs, vc_array_size(macs), params->mac)
			                 : digest_find(hashes, vc_array_size(hashes), params->hash);
			snprintf(buffer + used, size - used, "+%s", digest ? digest->name : "mac");
		}
		break;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		cipher_name(cipher_find(aeads, vc_array_size(aeads), params->aead), params->key_len,
		            buffer, size);
		break;
	case VIRTIO_CRYPTO_SERVICE_HASH:
		digest = digest_find(hashes, vc_array_size(hashes), params->hash);
		snprintf(buffer, size, "%s", digest ? digest->name : "hash");
		break;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		digest = digest_find(macs, vc_array_size(macs), params->mac);
		snprintf(buffer, size, "%s", digest ? digest->name : "mac");
		break;
	default:
		if (params->akcipher == VIRTIO_CRYPTO_AKCIPHER_ECDSA)
			snprintf(buffer, size, "ecdsa-p%u", params->key_bits);
		else if (params->akcipher == VCRYPTO_INBAND_AGREE)
			agree_name(params, buffer, size);
		else
			snprintf(buffer, size, "rsa-%u", params->key_bits);
		break;
	}
	return buffer;
}
