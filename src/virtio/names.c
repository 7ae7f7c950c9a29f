/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of what sessions do, whether a device does it, and errors in words. Any thread; nothing
 * here but constants and the device's configuration.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "virtio/driver.h"

/* In the order in which they are listed. Names are those of "vcryptoctl sessions". */
static const struct kind {
	const char *name;
	uint8_t service;
	uint8_t algorithm;
	uint8_t key_len; /* bytes; 0: any, or several */
	uint8_t curve;
} kinds[] = {
	{"aes-128-ecb", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_ECB, 16, 0},
	{"aes-192-ecb", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_ECB, 24, 0},
	{"aes-256-ecb", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_ECB, 32, 0},
	{"aes-128-cbc", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CBC, 16, 0},
	{"aes-192-cbc", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CBC, 24, 0},
	{"aes-256-cbc", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CBC, 32, 0},
	{"aes-128-ctr", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CTR, 16, 0},
	{"aes-192-ctr", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CTR, 24, 0},
	{"aes-256-ctr", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_CTR, 32, 0},
	{"aes-128-xts", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_XTS, 32, 0},
	{"aes-256-xts", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_AES_XTS, 64, 0},
	{"3des-cbc", VCRYPTO_SERVICE_CIPHER, VCRYPTO_CIPHER_3DES_CBC, 24, 0},
	{"aes-128-gcm", VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_GCM, 16, 0},
	{"aes-192-gcm", VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_GCM, 24, 0},
	{"aes-256-gcm", VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_GCM, 32, 0},
	{"aes-128-ccm", VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_CCM, 16, 0},
	{"aes-192-ccm", VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_CCM, 24, 0},
	{"aes-256-ccm", VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_CCM, 32, 0},
	{"chacha20-poly1305", VCRYPTO_SERVICE_AEAD, VCRYPTO_AEAD_CHACHA20_POLY1305, 32, 0},
	{"sha1", VCRYPTO_SERVICE_HASH, VCRYPTO_HASH_SHA1, 0, 0},
	{"sha224", VCRYPTO_SERVICE_HASH, VCRYPTO_HASH_SHA224, 0, 0},
	{"sha256", VCRYPTO_SERVICE_HASH, VCRYPTO_HASH_SHA256, 0, 0},
	{"sha384", VCRYPTO_SERVICE_HASH, VCRYPTO_HASH_SHA384, 0, 0},
	{"sha512", VCRYPTO_SERVICE_HASH, VCRYPTO_HASH_SHA512, 0, 0},
	{"sha3-224", VCRYPTO_SERVICE_HASH, VCRYPTO_HASH_SHA3_224, 0, 0},
	{"sha3-256", VCRYPTO_SERVICE_HASH, VCRYPTO_HASH_SHA3_256, 0, 0},
	{"sha3-384", VCRYPTO_SERVICE_HASH, VCRYPTO_HASH_SHA3_384, 0, 0},
	{"sha3-512", VCRYPTO_SERVICE_HASH, VCRYPTO_HASH_SHA3_512, 0, 0},
	{"hmac-sha1", VCRYPTO_SERVICE_MAC, VCRYPTO_MAC_HMAC_SHA1, 0, 0},
	{"hmac-sha224", VCRYPTO_SERVICE_MAC, VCRYPTO_MAC_HMAC_SHA224, 0, 0},
	{"hmac-sha256", VCRYPTO_SERVICE_MAC, VCRYPTO_MAC_HMAC_SHA256, 0, 0},
	{"hmac-sha384", VCRYPTO_SERVICE_MAC, VCRYPTO_MAC_HMAC_SHA384, 0, 0},
	{"hmac-sha512", VCRYPTO_SERVICE_MAC, VCRYPTO_MAC_HMAC_SHA512, 0, 0},
	{"cmac-aes", VCRYPTO_SERVICE_MAC, VCRYPTO_MAC_CMAC_AES, 0, 0},
	{"gmac-aes", VCRYPTO_SERVICE_MAC, VCRYPTO_MAC_GMAC_AES, 0, 0},
	{"rsa", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_RSA, 0, 0},
	{"ecdsa-p192", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_ECDSA, 0, 1},
	{"ecdsa-p224", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_ECDSA, 0, 2},
	{"ecdsa-p256", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_ECDSA, 0, 3},
	{"ecdsa-p384", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_ECDSA, 0, 4},
	{"ecdsa-p521", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_ECDSA, 0, 5},
	{"ecdh-p256", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_AGREE, 0, VCRYPTO_CURVE_P256},
	{"ecdh-p384", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_AGREE, 0, VCRYPTO_CURVE_P384},
	{"ecdh-p521", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_AGREE, 0, VCRYPTO_CURVE_P521},
	{"x25519", VCRYPTO_SERVICE_AKCIPHER, VCRYPTO_AKCIPHER_AGREE, 0, VCRYPTO_CURVE_X25519},
};

const char *vcrypto_params_name_at(unsigned int index)
{
	return index < vc_array_size(kinds) ? kinds[index].name : NULL;
}

static const struct kind *kind_named(const char *name, size_t length)
{
	for (size_t i = 0; i < vc_array_size(kinds); i++)
		if (!strncmp(kinds[i].name, name, length) && !kinds[i].name[length])
			return &kinds[i];
	return NULL;
}

/* key_len 0: whatever it is. */
static const struct kind *kind_of(unsigned int service, unsigned int algorithm, size_t key_len,
                                  unsigned int curve)
{
	for (size_t i = 0; i < vc_array_size(kinds); i++) {
		const struct kind *k = &kinds[i];

		if (k->service == service && k->algorithm == algorithm &&
		    (!k->key_len || k->key_len == key_len) && (!k->curve || k->curve == curve))
			return k;
	}
	return NULL;
}

int vcrypto_params_parse(const char *name, struct vcrypto_session_params *params)
{
	const char *plus = strchr(name, '+');
	const struct kind *k = kind_named(name, plus ? (size_t)(plus - name) : strlen(name));
	const struct kind *mac = plus ? kind_named(plus + 1, strlen(plus + 1)) : NULL;

	if (!k || (plus &&
	           (!mac || k->service != VCRYPTO_SERVICE_CIPHER ||
	            (mac->service != VCRYPTO_SERVICE_MAC && mac->service != VCRYPTO_SERVICE_HASH))))
		return -EINVAL;
	*params = (struct vcrypto_session_params){.service = (enum vcrypto_service)k->service,
	                                          .algorithm = k->algorithm,
	                                          .key_len = k->key_len,
	                                          .curve = k->curve};
	if (k->service == VCRYPTO_SERVICE_CIPHER || k->service == VCRYPTO_SERVICE_AEAD)
		params->direction = VCRYPTO_ENCRYPT;
	if (mac) {
		params->chain = VCRYPTO_CHAIN_CIPHER_THEN_HASH;
		if (mac->service == VCRYPTO_SERVICE_MAC)
			params->mac = mac->algorithm;
		else
			params->chain_hash = mac->algorithm;
	}
	return 0;
}

const char *vcrypto_params_name(const struct vcrypto_session_params *params, char *buffer,
                                size_t size)
{
	const struct kind *k =
		kind_of(params->service, params->algorithm, params->key_len, params->curve);
	const struct kind *mac = params->mac
	                                 ? kind_of(VCRYPTO_SERVICE_MAC, params->mac, 0, 0)
	                                 : kind_of(VCRYPTO_SERVICE_HASH, params->chain_hash, 0, 0);

	snprintf(buffer, size, "%s%s%s", k ? k->name : "unknown", params->chain ? "+" : "",
	         !params->chain ? ""
	         : mac          ? mac->name
	                        : "unknown");
	return buffer;
}

/* ---- can a device do it ---- */

static bool masked(uint64_t mask, unsigned int algorithm)
{
	return algorithm < 64 && mask >> algorithm & 1;
}

/* Under the device's lock. */
static bool offered(const struct vcrypto_device *device, const struct vcrypto_session_params *p)
{
	const struct virtio_crypto_config *c = &device->config;
	uint64_t macs = c->mac_algo_l | (uint64_t)c->mac_algo_h << 32;

	if (!masked(c->crypto_services, p->service))
		return false;
	switch (p->service) {
	case VCRYPTO_SERVICE_CIPHER:
		return masked(c->cipher_algo_l | (uint64_t)c->cipher_algo_h << 32, p->algorithm) &&
		       (!p->chain ||
		        (p->mac ? masked(macs, p->mac) : masked(c->hash_algo, p->chain_hash)));
	case VCRYPTO_SERVICE_HASH:
		return masked(c->hash_algo, p->algorithm);
	case VCRYPTO_SERVICE_MAC:
		return masked(macs, p->algorithm);
	case VCRYPTO_SERVICE_AEAD:
		return masked(c->aead_algo, p->algorithm);
	default:
		/* The configuration has no bit for it. */
		return p->algorithm == VCRYPTO_AKCIPHER_AGREE
		               ? masked(device->agree_curves, p->curve)
		               : masked(c->akcipher_algo, p->algorithm);
	}
}

int vcrypto_device_can(struct vcrypto_device *device, const struct vcrypto_session_params *params)
{
	const struct virtio_crypto_config *c = &device->config;
	bool symmetric = params->service == VCRYPTO_SERVICE_CIPHER ||
	                 params->service == VCRYPTO_SERVICE_AEAD;
	int err = 0;

	if ((unsigned int)params->service > VCRYPTO_SERVICE_AKCIPHER)
		return -EINVAL;
	pthread_mutex_lock(&device->lock);
	if (!offered(device, params))
		err = -ENOTSUP;
	else if ((symmetric && params->key_len > c->max_cipher_key_len) ||
	         params->auth_key_len > c->max_auth_key_len)
		err = -EKEYREJECTED;
	pthread_mutex_unlock(&device->lock);
	return err;
}

const char *vcrypto_error_text(int error)
{
	switch (error) {
	case 0:
		return "done";
	case -EBADMSG:
		return "the tag, signature or padding is wrong";
	case -EINVAL:
		return "the parameters or lengths make no sense";
	case -ENOTSUP:
		return "the device cannot do that";
	case -ENOKEY:
		return "the device knows no such session";
	case -EKEYREJECTED:
		return "the key is not one for the algorithm";
	case -ENOSPC:
		return "the device has no room for more";
	case -EIO:
		return "the device failed";
	case -EPIPE:
		return "the device is gone";
	case -EPROTO:
		return "the device broke the protocol";
	case -ETIMEDOUT:
		return "the device does not answer";
	case -EINPROGRESS:
		return "the device has not answered yet";
	case -EAGAIN:
		return "too much at once, try later";
	default:
		return strerror(-error);
	}
}
