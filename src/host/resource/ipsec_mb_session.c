/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipsec-mb: what the resource can do, and sessions: keys expanded into locked memory.
 *
 * Main thread and workers (can, offer), the worker of the instance (realise, drop). What the
 * library does no better than libcrypto, or not at all, is not here: XTS, SHA-3, CCM and CMAC with
 * 192-bit keys. Nor is 3DES: one message alone gets 5 MB/s there, so that a long one would hold the
 * worker, and every device of it, for a fifth of a second.
 */
#include <errno.h>
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"
#include "host/resource/algorithm.h"
#include "host/resource/ipsec_mb.h"

/* SHA-1 to SHA-512 and their HMACs: by virtio's number of the hash, less SHA-1's. */
#define SHA_KINDS 5

static const IMB_HASH_ALG hmacs[SHA_KINDS] = {IMB_AUTH_HMAC_SHA_1, IMB_AUTH_HMAC_SHA_224,
                                              IMB_AUTH_HMAC_SHA_256, IMB_AUTH_HMAC_SHA_384,
                                              IMB_AUTH_HMAC_SHA_512};
static const IMB_HASH_ALG shas[SHA_KINDS] = {IMB_AUTH_SHA_1, IMB_AUTH_SHA_224, IMB_AUTH_SHA_256,
                                             IMB_AUTH_SHA_384, IMB_AUTH_SHA_512};

static bool sha_ok(unsigned int hash)
{
	return hash >= VIRTIO_CRYPTO_HASH_SHA1 && hash <= VIRTIO_CRYPTO_HASH_SHA_512;
}

static bool cipher_can(const struct session_params *params)
{
	switch (params->cipher) {
	case VIRTIO_CRYPTO_CIPHER_AES_ECB:
		return algorithm_aes_key_ok(params->key_len) && !params->chain;
	case VIRTIO_CRYPTO_CIPHER_AES_CBC:
	case VIRTIO_CRYPTO_CIPHER_AES_CTR:
		return algorithm_aes_key_ok(params->key_len);
	}
	return false;
}

static bool hash_can(const struct session_params *params)
{
	return sha_ok(params->hash) && params->tag_len &&
	       params->tag_len <= algorithm_hash_size(params->hash);
}

static bool mac_can(const struct session_params *params)
{
	/* Keys of 192 bits have no CMAC there. */
	if (params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES && params->auth_key_len == 24)
		return false;
	return algorithm_mac_params_ok(params);
}

static bool aead_can(const struct session_params *params)
{
	if (!algorithm_aead_tag_ok(params->aead, params->tag_len))
		return false;
	switch (params->aead) {
	case VIRTIO_CRYPTO_AEAD_GCM:
		return algorithm_aes_key_ok(params->key_len);
	case VIRTIO_CRYPTO_AEAD_CCM:
		return params->key_len == 16 || params->key_len == 32;
	case VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305:
		return params->key_len == 32;
	}
	return false;
}

/* ---- stages ---- */

static uint8_t cipher_stage(const struct session_params *params)
{
	if (params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CBC && params->encrypt)
		return (uint8_t)(MB_GROUP_CBC + (params->key_len - 16) / 8);
	return MB_DIRECT;
}

static uint8_t hash_stage(const struct session_params *params)
{
	if (params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES)
		return (uint8_t)(MB_GROUP_CMAC + (params->auth_key_len == 32));
	if (params->mac)
		return (uint8_t)(MB_GROUP_HMAC + algorithm_hmac_hash(params->mac) -
		                 VIRTIO_CRYPTO_HASH_SHA1);
	return (uint8_t)(MB_GROUP_SHA + params->hash - VIRTIO_CRYPTO_HASH_SHA1);
}

uint8_t mb_stage_of(const struct session_params *params)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		return cipher_stage(params);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		if (params->aead != VIRTIO_CRYPTO_AEAD_CCM)
			return MB_DIRECT;
		return (uint8_t)(MB_GROUP_CCM + params->encrypt * 2 + (params->key_len == 32));
	default:
		return hash_stage(params);
	}
}

static bool works(const struct resource *resource, uint8_t stage)
{
	return stage >= MB_GROUPS || !(((const struct mb_resource *)resource)->broken >> stage & 1);
}

bool mb_can(const struct resource *resource, const struct session_params *params)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		if (!cipher_can(params))
			return false;
		if (!params->chain)
			break;
		if (params->aad_len || params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES)
			return false;
		if (!(params->mac ? mac_can(params) : hash_can(params)) ||
		    !works(resource, hash_stage(params)))
			return false;
		break;
	case VIRTIO_CRYPTO_SERVICE_HASH:
		if (!hash_can(params))
			return false;
		break;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		if (!mac_can(params))
			return false;
		break;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		if (!aead_can(params))
			return false;
		break;
	default:
		return false;
	}
	return works(resource, mb_stage_of(params));
}

/* Offered is what can be done with some key. */
static bool some_can(const struct resource *resource, struct session_params params)
{
	for (params.key_len = 16; params.key_len <= 32; params.key_len += 8) {
		params.auth_key_len = params.key_len;
		for (params.encrypt = 0; params.encrypt < 2; params.encrypt++)
			if (mb_can(resource, &params))
				return true;
	}
	return false;
}

void mb_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	uint32_t ciphers = 0, hashes = 0, macs = 0, aeads = 0;

	for (unsigned int i = 0; i < 32; i++) {
		uint8_t a = (uint8_t)i;

		ciphers |= (uint32_t)some_can(
				   resource,
				   (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
		                                           .cipher = a})
		           << i;
		hashes |= (uint32_t)some_can(
				  resource,
				  (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_HASH,
		                                          .hash = a,
		                                          .tag_len = 16})
		          << i;
		macs |= (uint32_t)some_can(
				resource,
				(struct session_params){.service = VIRTIO_CRYPTO_SERVICE_MAC,
		                                        .mac = a,
		                                        .tag_len = 16})
		        << i;
		aeads |= (uint32_t)some_can(
				 resource,
				 (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AEAD,
		                                         .aead = a,
		                                         .tag_len = 16})
		         << i;
	}
	config->cipher_algo_l |= ciphers;
	config->hash_algo |= hashes;
	config->mac_algo_l |= macs;
	config->aead_algo |= aeads;
	config->crypto_services |= (uint32_t)(ciphers != 0) << VIRTIO_CRYPTO_SERVICE_CIPHER |
	                           (uint32_t)(hashes != 0) << VIRTIO_CRYPTO_SERVICE_HASH |
	                           (uint32_t)(macs != 0) << VIRTIO_CRYPTO_SERVICE_MAC |
	                           (uint32_t)(aeads != 0) << VIRTIO_CRYPTO_SERVICE_AEAD;
	algorithm_offer_limits(config, 32);
}

/* ---- keys ---- */

static void expand_aes(IMB_MGR *manager, struct mb_session *s, const uint8_t *key, uint32_t length)
{
	uint8_t *encrypt = s->key.aes.encrypt, *decrypt = s->key.aes.decrypt;

	if (length == 16)
		IMB_AES_KEYEXP_128(manager, key, encrypt, decrypt);
	else if (length == 24)
		IMB_AES_KEYEXP_192(manager, key, encrypt, decrypt);
	else
		IMB_AES_KEYEXP_256(manager, key, encrypt, decrypt);
}

static void expand_gcm(IMB_MGR *manager, struct mb_session *s, const uint8_t *key)
{
	if (s->key_len == 16)
		IMB_AES128_GCM_PRE(manager, key, &s->key.gcm);
	else if (s->key_len == 24)
		IMB_AES192_GCM_PRE(manager, key, &s->key.gcm);
	else
		IMB_AES256_GCM_PRE(manager, key, &s->key.gcm);
}

/* The subkeys, SP 800-38B, 6.1. */
static void expand_cmac(IMB_MGR *manager, struct mb_session *s, const uint8_t *key, uint32_t length)
{
	expand_aes(manager, s, key, length);
	if (length == 16)
		IMB_AES_CMAC_SUBKEY_GEN_128(manager, s->key.aes.encrypt, s->key.inner,
		                            s->key.outer);
	else
		IMB_AES_CMAC_SUBKEY_GEN_256(manager, s->key.aes.encrypt, s->key.inner,
		                            s->key.outer);
}

/* The two hash states of HMAC (RFC 2104): after one block of key ^ ipad, of key ^ opad. */
static void expand_hmac(const IMB_MGR *manager, struct mb_session *s, unsigned int hash,
                        const uint8_t *key, uint32_t length)
{
	const hash_one_block_t one_block[SHA_KINDS] = {
		manager->sha1_one_block, manager->sha224_one_block, manager->sha256_one_block,
		manager->sha384_one_block, manager->sha512_one_block};
	const hash_fn_t whole[SHA_KINDS] = {manager->sha1, manager->sha224, manager->sha256,
	                                    manager->sha384, manager->sha512};
	unsigned int size = algorithm_hash_block(hash), kind = hash - VIRTIO_CRYPTO_HASH_SHA1;
	uint8_t block[128] = {0}, pad[128];

	if (length > size)
		whole[kind](key, length, block);
	else if (length)
		memcpy(block, key, length);
	for (int outer = 0; outer < 2; outer++) {
		for (unsigned int i = 0; i < size; i++)
			pad[i] = block[i] ^ (outer ? 0x5c : 0x36);
		one_block[kind](pad, outer ? s->key.outer : s->key.inner);
	}
	secmem_wipe(block, sizeof(block));
	secmem_wipe(pad, sizeof(pad));
}

/* ---- sessions ---- */

static void set_hash(struct mb_instance *mb, struct mb_session *s,
                     const struct session_params *params)
{
	unsigned int hash = params->mac ? algorithm_hmac_hash(params->mac) : params->hash;
	unsigned int kind = hash - VIRTIO_CRYPTO_HASH_SHA1;

	if (params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES) {
		s->digest_len = 16;
		s->hash = params->auth_key_len == 32 ? IMB_AUTH_AES_CMAC_256 : IMB_AUTH_AES_CMAC;
		expand_cmac(mb->manager, s, params->auth_key, params->auth_key_len);
		return;
	}
	s->digest_len = (uint8_t)algorithm_hash_size(hash);
	s->hash = params->mac ? hmacs[kind] : shas[kind];
	if (params->mac)
		expand_hmac(mb->manager, s, hash, params->auth_key, params->auth_key_len);
}

static void set_cipher(struct mb_instance *mb, struct mb_session *s,
                       const struct session_params *params)
{
	s->iv_len = (uint8_t)algorithm_cipher_iv(params->cipher);
	s->block_mask = (uint8_t)(algorithm_cipher_block(params->cipher) - 1);
	expand_aes(mb->manager, s, params->key, params->key_len);
	if (params->cipher == VIRTIO_CRYPTO_CIPHER_AES_ECB)
		s->cipher = IMB_CIPHER_ECB;
	else if (params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CTR)
		s->cipher = IMB_CIPHER_CNTR;
	else
		s->cipher = IMB_CIPHER_CBC;
}

static void set_aead(struct mb_instance *mb, struct mb_session *s,
                     const struct session_params *params)
{
	s->aead = params->aead;
	s->tag_len = (uint8_t)params->tag_len;
	if (params->aead == VIRTIO_CRYPTO_AEAD_GCM)
		expand_gcm(mb->manager, s, params->key);
	else if (params->aead == VIRTIO_CRYPTO_AEAD_CCM)
		expand_aes(mb->manager, s, params->key, params->key_len);
	else
		memcpy(s->key.chacha, params->key, sizeof(s->key.chacha));
}

static void set_chain(struct mb_instance *mb, struct mb_session *s,
                      const struct session_params *params)
{
	uint8_t cipher = cipher_stage(params), hash = hash_stage(params);
	bool cipher_first = params->chain == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH;

	set_cipher(mb, s, params);
	set_hash(mb, s, params);
	s->class = MB_CHAIN;
	s->order = params->chain;
	s->first = cipher_first ? cipher : hash;
	s->second = cipher_first ? hash : cipher;
}

int mb_realise(struct resource_instance *instance, const struct session_params *params,
               void **handle)
{
	struct mb_instance *mb = (struct mb_instance *)instance;
	struct mb_session *s;

	if (!mb_can(instance->resource, params))
		return -ENOTSUP;
	s = secmem_alloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->key_len = (uint8_t)params->key_len;
	s->encrypt = params->encrypt;
	s->first = mb_stage_of(params);
	s->second = MB_NONE;
	if (params->service == VIRTIO_CRYPTO_SERVICE_AEAD) {
		s->class = MB_AEAD;
		set_aead(mb, s, params);
	} else if (params->service != VIRTIO_CRYPTO_SERVICE_CIPHER) {
		s->class = MB_HASH;
		set_hash(mb, s, params);
	} else if (params->chain) {
		set_chain(mb, s, params);
	} else {
		s->class = MB_CIPHER;
		set_cipher(mb, s, params);
	}
	*handle = s;
	return 0;
}

void mb_drop(struct resource_instance *instance, void *handle)
{
	secmem_free(handle);
}
