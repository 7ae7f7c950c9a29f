/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk: what a device says that it can do, in virtio's words.
 *
 * Read once by the main thread; then constant, and asked by any thread. A device's driver is
 * trusted to read, but not to be right: what is used is what also came out right in dpdk_check().
 */
#include <rte_cryptodev.h>

#include "host/resource/akcipher.h"
#include "host/resource/dpdk.h"

/* ---- numbers ---- */

static const uint8_t cipher_numbers[DPDK_CIPHER_INDEXES] = {
	VIRTIO_CRYPTO_CIPHER_AES_ECB,  VIRTIO_CRYPTO_CIPHER_AES_CBC, VIRTIO_CRYPTO_CIPHER_AES_CTR,
	VIRTIO_CRYPTO_CIPHER_3DES_CBC, VIRTIO_CRYPTO_CIPHER_AES_XTS,
};

int dpdk_cipher_algorithm(unsigned int cipher)
{
	switch (cipher) {
	case VIRTIO_CRYPTO_CIPHER_AES_ECB:
		return RTE_CRYPTO_CIPHER_AES_ECB;
	case VIRTIO_CRYPTO_CIPHER_AES_CBC:
		return RTE_CRYPTO_CIPHER_AES_CBC;
	case VIRTIO_CRYPTO_CIPHER_AES_CTR:
		return RTE_CRYPTO_CIPHER_AES_CTR;
	case VIRTIO_CRYPTO_CIPHER_3DES_CBC:
		return RTE_CRYPTO_CIPHER_3DES_CBC;
	case VIRTIO_CRYPTO_CIPHER_AES_XTS:
		return RTE_CRYPTO_CIPHER_AES_XTS;
	default:
		return 0;
	}
}

int dpdk_aead_algorithm(unsigned int aead)
{
	switch (aead) {
	case VIRTIO_CRYPTO_AEAD_GCM:
		return RTE_CRYPTO_AEAD_AES_GCM;
	case VIRTIO_CRYPTO_AEAD_CCM:
		return RTE_CRYPTO_AEAD_AES_CCM;
	case VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305:
		return RTE_CRYPTO_AEAD_CHACHA20_POLY1305;
	default:
		return 0;
	}
}

static int hash_algorithm(unsigned int hash)
{
	switch (hash) {
	case VIRTIO_CRYPTO_HASH_SHA1:
		return RTE_CRYPTO_AUTH_SHA1;
	case VIRTIO_CRYPTO_HASH_SHA_224:
		return RTE_CRYPTO_AUTH_SHA224;
	case VIRTIO_CRYPTO_HASH_SHA_256:
		return RTE_CRYPTO_AUTH_SHA256;
	case VIRTIO_CRYPTO_HASH_SHA_384:
		return RTE_CRYPTO_AUTH_SHA384;
	case VIRTIO_CRYPTO_HASH_SHA_512:
		return RTE_CRYPTO_AUTH_SHA512;
	case VIRTIO_CRYPTO_HASH_SHA3_224:
		return RTE_CRYPTO_AUTH_SHA3_224;
	case VIRTIO_CRYPTO_HASH_SHA3_256:
		return RTE_CRYPTO_AUTH_SHA3_256;
	case VIRTIO_CRYPTO_HASH_SHA3_384:
		return RTE_CRYPTO_AUTH_SHA3_384;
	case VIRTIO_CRYPTO_HASH_SHA3_512:
		return RTE_CRYPTO_AUTH_SHA3_512;
	default:
		return 0;
	}
}

static int hmac_algorithm(unsigned int hash)
{
	switch (hash) {
	case VIRTIO_CRYPTO_HASH_SHA1:
		return RTE_CRYPTO_AUTH_SHA1_HMAC;
	case VIRTIO_CRYPTO_HASH_SHA_224:
		return RTE_CRYPTO_AUTH_SHA224_HMAC;
	case VIRTIO_CRYPTO_HASH_SHA_256:
		return RTE_CRYPTO_AUTH_SHA256_HMAC;
	case VIRTIO_CRYPTO_HASH_SHA_384:
		return RTE_CRYPTO_AUTH_SHA384_HMAC;
	case VIRTIO_CRYPTO_HASH_SHA_512:
		return RTE_CRYPTO_AUTH_SHA512_HMAC;
	default:
		return 0;
	}
}

int dpdk_auth_algorithm(const struct session_params *params)
{
	if (params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES)
		return RTE_CRYPTO_AUTH_AES_CMAC;
	return params->mac ? hmac_algorithm(algorithm_hmac_hash(params->mac))
	                   : hash_algorithm(params->hash);
}

/* ---- from the device ---- */

static struct dpdk_range range_of(const struct rte_crypto_param_range *from)
{
	return (struct dpdk_range){from->min, from->max, from->increment};
}

bool dpdk_range_has(const struct dpdk_range *range, uint32_t value)
{
	if (value < range->min || value > range->max)
		return false;
	return range->step ? (value - range->min) % range->step == 0
	                   : value == range->min || value == range->max;
}

static void add_cipher(struct dpdk_caps *caps,
                       const struct rte_cryptodev_symmetric_capability *from)
{
	for (unsigned int i = 0; i < DPDK_CIPHER_INDEXES; i++) {
		unsigned int cipher = cipher_numbers[i];

		if (dpdk_cipher_algorithm(cipher) != (int)from->cipher.algo)
			continue;
		caps->cipher[cipher].there = true;
		caps->cipher[cipher].key = range_of(&from->cipher.key_size);
		caps->cipher[cipher].iv = range_of(&from->cipher.iv_size);
	}
}

static void add_auth(struct dpdk_caps *caps, const struct rte_cryptodev_symmetric_capability *from)
{
	const struct dpdk_auth auth = {true, range_of(&from->auth.key_size),
	                               range_of(&from->auth.digest_size)};

	if (from->auth.algo == RTE_CRYPTO_AUTH_AES_CMAC)
		caps->cmac = auth;
	for (unsigned int hash = 0; hash < ALGORITHM_HASHES; hash++) {
		if (hash_algorithm(hash) && hash_algorithm(hash) == (int)from->auth.algo)
			caps->hash[hash] = auth;
		if (hmac_algorithm(hash) && hmac_algorithm(hash) == (int)from->auth.algo)
			caps->hmac[hash] = auth;
	}
}

static void add_aead(struct dpdk_caps *caps, const struct rte_cryptodev_symmetric_capability *from)
{
	for (unsigned int aead = 1; aead < ALGORITHM_AEADS; aead++) {
		if (dpdk_aead_algorithm(aead) != (int)from->aead.algo)
			continue;
		caps->aead[aead].there = true;
		caps->aead[aead].key = range_of(&from->aead.key_size);
		caps->aead[aead].digest = range_of(&from->aead.digest_size);
		caps->aead[aead].aad = range_of(&from->aead.aad_size);
		caps->aead[aead].iv = range_of(&from->aead.iv_size);
	}
}

/* Two operations are enough: paddings, and comparing, are done here. */
static void add_rsa(struct dpdk_caps *caps,
                    const struct rte_cryptodev_asymmetric_xform_capability *from, uint64_t features)
{
	const uint32_t wanted = 1u << RTE_CRYPTO_ASYM_OP_ENCRYPT | 1u << RTE_CRYPTO_ASYM_OP_DECRYPT;

	if (from->xform_type != RTE_CRYPTO_ASYM_XFORM_RSA || (from->op_types & wanted) != wanted)
		return;
	caps->rsa_crt = features & RTE_CRYPTODEV_FF_RSA_PRIV_OP_KEY_QT;
	caps->rsa_exponent = features & RTE_CRYPTODEV_FF_RSA_PRIV_OP_KEY_EXP;
	caps->rsa = caps->rsa_crt || caps->rsa_exponent;
	caps->rsa_modulus = range_of(&from->modlen);
}

void dpdk_caps_add(struct dpdk_caps *caps, const struct rte_cryptodev_info *info)
{
	const struct rte_cryptodev_capabilities *c = info->capabilities;

	if (info->feature_flags & RTE_CRYPTODEV_FF_SYMMETRIC_CRYPTO) {
		caps->chains = info->feature_flags & RTE_CRYPTODEV_FF_SYM_OPERATION_CHAINING;
		caps->out_of_place = info->feature_flags & RTE_CRYPTODEV_FF_OOP_LB_IN_LB_OUT;
		caps->pieces = info->feature_flags & RTE_CRYPTODEV_FF_IN_PLACE_SGL;
		caps->pieces_apart = info->feature_flags & RTE_CRYPTODEV_FF_OOP_SGL_IN_SGL_OUT;
	}
	for (; c && c->op != RTE_CRYPTO_OP_TYPE_UNDEFINED; c++) {
		if (c->op == RTE_CRYPTO_OP_TYPE_ASYMMETRIC)
			add_rsa(caps, &c->asym.xform_capa, info->feature_flags);
		else if (c->op != RTE_CRYPTO_OP_TYPE_SYMMETRIC)
			continue;
		else if (c->sym.xform_type == RTE_CRYPTO_SYM_XFORM_CIPHER)
			add_cipher(caps, &c->sym);
		else if (c->sym.xform_type == RTE_CRYPTO_SYM_XFORM_AUTH)
			add_auth(caps, &c->sym);
		else if (c->sym.xform_type == RTE_CRYPTO_SYM_XFORM_AEAD)
			add_aead(caps, &c->sym);
	}
}

/* ---- sessions ---- */

const struct dpdk_auth *dpdk_caps_auth(const struct dpdk_caps *caps,
                                       const struct session_params *params)
{
	const struct dpdk_auth *auth;

	if (params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES)
		auth = &caps->cmac;
	else if (params->mac)
		auth = &caps->hmac[algorithm_hmac_hash(params->mac)];
	else
		auth = &caps->hash[params->hash < ALGORITHM_HASHES ? params->hash : 0];
	return auth->there ? auth : NULL;
}

uint16_t dpdk_caps_digest(const struct dpdk_auth *auth, unsigned int full, unsigned int least)
{
	/* The whole digest, as long as the device has it. */
	for (unsigned int length = full; length >= least && length; length--)
		if (dpdk_range_has(&auth->digest, length))
			return (uint16_t)length;
	return 0;
}

static bool cipher_can(const struct dpdk_caps *caps, const struct session_params *params)
{
	unsigned int cipher = params->cipher;

	if (cipher >= ALGORITHM_CIPHERS || !caps->cipher[cipher].there ||
	    !dpdk_range_has(&caps->cipher[cipher].iv, algorithm_cipher_iv(cipher)))
		return false;
	if (cipher == VIRTIO_CRYPTO_CIPHER_3DES_CBC && params->key_len != 24)
		return false;
	return dpdk_range_has(&caps->cipher[cipher].key, params->key_len);
}

/* Keys of HMAC are given in any length: longer ones are hashed, shorter ones filled with zeros,
 * which makes no difference (RFC 2104, 2). */
static bool auth_can(const struct dpdk_caps *caps, const struct session_params *params)
{
	const struct dpdk_auth *auth = dpdk_caps_auth(caps, params);
	unsigned int full =
		params->mac ? algorithm_mac_size(params->mac) : algorithm_hash_size(params->hash);

	if (!auth || !params->tag_len || !dpdk_caps_digest(auth, full, params->tag_len))
		return false;
	if (!params->mac)
		return true;
	if (!algorithm_mac_params_ok(params))
		return false;
	if (params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES)
		return dpdk_range_has(&auth->key, params->auth_key_len);
	return auth->key.max >= algorithm_hash_block(algorithm_hmac_hash(params->mac));
}

static bool aead_can(const struct dpdk_caps *caps, const struct session_params *params)
{
	unsigned int aead = params->aead;

	return aead < ALGORITHM_AEADS && caps->aead[aead].there &&
	       algorithm_aead_tag_ok(aead, params->tag_len) &&
	       dpdk_range_has(&caps->aead[aead].key, params->key_len) &&
	       dpdk_range_has(&caps->aead[aead].digest, params->tag_len);
}

static bool rsa_can(const struct dpdk_caps *caps, const struct session_params *params)
{
	uint32_t bytes = (params->key_bits + 7u) / 8;

	if (!caps->rsa || params->akcipher != VIRTIO_CRYPTO_AKCIPHER_RSA ||
	    bytes > DPDK_RSA_MAX_BYTES || !rsa_padding_can(params))
		return false;
	/* Without a key it is only asked whether there is RSA at all. */
	if (!params->key_bits)
		return true;
	if (params->key_bits % 8 || params->key_bits < 512)
		return false;
	return !caps->rsa_modulus.max ||
	       (bytes >= caps->rsa_modulus.min && bytes <= caps->rsa_modulus.max);
}

bool dpdk_caps_can(const struct dpdk_caps *caps, const struct session_params *params)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		if (!cipher_can(caps, params))
			return false;
		return !params->chain ||
		       (caps->chains && !params->aad_len && auth_can(caps, params));
	case VIRTIO_CRYPTO_SERVICE_HASH:
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return auth_can(caps, params);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return aead_can(caps, params);
	case VIRTIO_CRYPTO_SERVICE_AKCIPHER:
		return rsa_can(caps, params);
	default:
		return false;
	}
}

/* ---- kinds ---- */

static unsigned int key_index(uint32_t key_len)
{
	return key_len == 64 ? 1 : (key_len - 16) / 8 % 3;
}

static unsigned int cipher_index(unsigned int cipher)
{
	unsigned int i = 0;

	while (i < DPDK_CIPHER_INDEXES - 1 && cipher_numbers[i] != cipher)
		i++;
	return i;
}

/* Hashes, then HMACs, then CMAC. */
static unsigned int auth_index(const struct session_params *params)
{
	if (params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES)
		return DPDK_AUTH_INDEXES - 1;
	return params->mac ? 9u + params->mac - VIRTIO_CRYPTO_MAC_HMAC_SHA1
	                   : 0u + params->hash - VIRTIO_CRYPTO_HASH_SHA1;
}

unsigned int dpdk_kind_of(const struct session_params *params)
{
	unsigned int encrypt = params->encrypt, key = key_index(params->key_len);

	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		if (params->chain)
			return DPDK_KIND_CHAIN +
			       ((cipher_index(params->cipher) * DPDK_AUTH_INDEXES +
			         auth_index(params)) *
			                2 +
			        (params->chain - 1)) *
			               2 +
			       encrypt;
		return DPDK_KIND_CIPHER + (cipher_index(params->cipher) * 3 + key) * 2 + encrypt;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return DPDK_KIND_AEAD + ((params->aead - 1u) * 3 + key) * 2 + encrypt;
	case VIRTIO_CRYPTO_SERVICE_HASH:
	case VIRTIO_CRYPTO_SERVICE_MAC:
		if (params->mac != VIRTIO_CRYPTO_MAC_CMAC_AES)
			return DPDK_KIND_AUTH + auth_index(params) * 3;
		return DPDK_KIND_AUTH + auth_index(params) * 3 + key_index(params->auth_key_len);
	default:
		return DPDK_KINDS;
	}
}

static void params_cipher(struct session_params *params, unsigned int index, unsigned int key)
{
	params->service = VIRTIO_CRYPTO_SERVICE_CIPHER;
	params->cipher = cipher_numbers[index];
	if (params->cipher == VIRTIO_CRYPTO_CIPHER_3DES_CBC)
		params->key_len = 24;
	else if (params->cipher == VIRTIO_CRYPTO_CIPHER_AES_XTS)
		params->key_len = key == 1 ? 64 : 32;
	else
		params->key_len = 16 + 8 * key;
}

static void params_auth(struct session_params *params, unsigned int index, unsigned int key)
{
	if (index == DPDK_AUTH_INDEXES - 1) {
		params->mac = VIRTIO_CRYPTO_MAC_CMAC_AES;
		params->auth_key_len = 16 + 8 * key;
	} else if (index >= 9) {
		params->mac = (uint8_t)(VIRTIO_CRYPTO_MAC_HMAC_SHA1 + index - 9);
		params->auth_key_len = 40;
	} else {
		params->hash = (uint8_t)(VIRTIO_CRYPTO_HASH_SHA1 + index);
	}
	params->tag_len = (uint16_t)(params->mac ? algorithm_mac_size(params->mac)
	                                         : algorithm_hash_size(params->hash));
}

bool dpdk_kind_params(unsigned int kind, struct session_params *params)
{
	unsigned int n;

	*params = (struct session_params){.encrypt = kind % 2};
	if (kind < DPDK_KIND_AEAD) {
		n = kind / 2;
		params_cipher(params, n / 3, n % 3);
	} else if (kind < DPDK_KIND_AUTH) {
		n = (kind - DPDK_KIND_AEAD) / 2;
		params->service = VIRTIO_CRYPTO_SERVICE_AEAD;
		params->aead = (uint8_t)(1 + n / 3);
		params->key_len = 16 + 8 * (n % 3);
		params->tag_len = 16;
	} else if (kind < DPDK_KIND_CHAIN) {
		n = kind - DPDK_KIND_AUTH;
		params->encrypt = 0;
		params_auth(params, n / 3, n % 3);
		params->service =
			params->mac ? VIRTIO_CRYPTO_SERVICE_MAC : VIRTIO_CRYPTO_SERVICE_HASH;
	} else {
		n = (kind - DPDK_KIND_CHAIN) / 2;
		params->encrypt = (kind - DPDK_KIND_CHAIN) % 2;
		params->chain = (uint8_t)(1 + n % 2);
		params_cipher(params, n / 2 / DPDK_AUTH_INDEXES, 0);
		params_auth(params, n / 2 % DPDK_AUTH_INDEXES, 0);
	}
	/* Some numbers are another kind's once more, as with one length of keys only. */
	return kind < DPDK_KINDS && dpdk_kind_of(params) == kind;
}

/* ---- what is used of it ---- */

bool dpdk_can(const struct resource *resource, const struct session_params *params)
{
	const struct dpdk_resource *dpdk = (const struct dpdk_resource *)resource;

	if (!dpdk_caps_can(&dpdk->caps, params))
		return false;
	return params->service == VIRTIO_CRYPTO_SERVICE_AKCIPHER ||
	       dpdk_bit(dpdk->works, dpdk_kind_of(params));
}

void dpdk_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	const struct dpdk_resource *dpdk = (const struct dpdk_resource *)resource;
	uint32_t services = 0;
	struct session_params params;

	for (unsigned int kind = 0; kind < DPDK_KIND_CHAIN; kind++) {
		if (!dpdk_bit(dpdk->works, kind) || !dpdk_kind_params(kind, &params))
			continue;
		services |= 1u << params.service;
		if (params.service == VIRTIO_CRYPTO_SERVICE_CIPHER)
			config->cipher_algo_l |= 1u << params.cipher;
		else if (params.service == VIRTIO_CRYPTO_SERVICE_AEAD)
			config->aead_algo |= 1u << params.aead;
		else if (params.mac)
			config->mac_algo_l |= 1u << params.mac;
		else
			config->hash_algo |= 1u << params.hash;
	}
	if (dpdk->caps.rsa) {
		services |= 1u << VIRTIO_CRYPTO_SERVICE_AKCIPHER;
		config->akcipher_algo |= 1u << VIRTIO_CRYPTO_AKCIPHER_RSA;
	}
	config->crypto_services |= services;
	if (services)
		algorithm_offer_limits(
			config, dpdk->caps.cipher[VIRTIO_CRYPTO_CIPHER_AES_XTS].there ? 64 : 32);
}
