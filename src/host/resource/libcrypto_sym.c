/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcrypto: ciphers, chains, AEAD, MACs and hashes.
 *
 * The threads of an instance. A thread keeps one keyed context for each session, so that a request
 * costs no key expansion and no allocation.
 */
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <string.h>

#include "host/resource/chain.h"
#include "host/resource/libcrypto.h"

struct named_size {
	const char *name;
	unsigned int size;
};

static const struct named_size hashes[LC_HASHES] = {
	[VIRTIO_CRYPTO_HASH_SHA1] = {"SHA1", 20},
	[VIRTIO_CRYPTO_HASH_SHA_224] = {"SHA2-224", 28},
	[VIRTIO_CRYPTO_HASH_SHA_256] = {"SHA2-256", 32},
	[VIRTIO_CRYPTO_HASH_SHA_384] = {"SHA2-384", 48},
	[VIRTIO_CRYPTO_HASH_SHA_512] = {"SHA2-512", 64},
	[VIRTIO_CRYPTO_HASH_SHA3_224] = {"SHA3-224", 28},
	[VIRTIO_CRYPTO_HASH_SHA3_256] = {"SHA3-256", 32},
	[VIRTIO_CRYPTO_HASH_SHA3_384] = {"SHA3-384", 48},
	[VIRTIO_CRYPTO_HASH_SHA3_512] = {"SHA3-512", 64},
};

/* HMAC-SHA1 to HMAC-SHA512 have the numbers of their hashes. */
static const struct named_size *mac_hash(unsigned int mac)
{
	if (mac < VIRTIO_CRYPTO_MAC_HMAC_SHA1 || mac >= LC_MACS)
		return NULL;
	return &hashes[mac];
}

const char *lc_hash_name(unsigned int hash)
{
	return hash < LC_HASHES ? hashes[hash].name : NULL;
}

unsigned int lc_hash_size(unsigned int hash)
{
	return hash < LC_HASHES ? hashes[hash].size : 0;
}

const char *lc_mac_digest(unsigned int mac)
{
	return mac_hash(mac) ? mac_hash(mac)->name : NULL;
}

unsigned int lc_mac_size(unsigned int mac)
{
	return mac_hash(mac) ? mac_hash(mac)->size : 0;
}

/* The keyed context of this thread for the session. */
static bool cipher_prepare(struct lc_thread *thread, const struct session_params *params,
                           struct lc_local *local)
{
	const struct lc_algorithms *a = thread->instance->algorithms;
	unsigned int size = (params->key_len - 16) / 8;
	const EVP_CIPHER *cipher;

	if (local->cipher)
		return true;
	if (params->service == VIRTIO_CRYPTO_SERVICE_AEAD)
		cipher = a->gcm[size];
	else if (params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CTR)
		cipher = a->ctr[size];
	else
		cipher = a->cbc[size];
	local->cipher = EVP_CIPHER_CTX_new();
	if (!local->cipher ||
	    !EVP_CipherInit_ex2(local->cipher, cipher, params->key, NULL, params->encrypt, NULL)) {
		local->bad = true;
		return false;
	}
	EVP_CIPHER_CTX_set_padding(local->cipher, 0);
	local->iv_len = (uint8_t)EVP_CIPHER_CTX_get_iv_length(local->cipher);
	return true;
}

static uint8_t run_cipher(const struct vc_request *req, struct lc_local *local, uint32_t offset,
                          uint32_t length)
{
	EVP_CIPHER_CTX *c = local->cipher;
	int written = 0, rest = 0;

	if (req->iv_len != local->iv_len || length > INT_MAX)
		return VIRTIO_CRYPTO_ERR;
	if (EVP_CIPHER_CTX_get_block_size(c) > 1 && length % 16)
		return VIRTIO_CRYPTO_ERR;
	if (!length)
		return VIRTIO_CRYPTO_OK;
	if (!EVP_CipherInit_ex2(c, NULL, NULL, req->iv, -1, NULL) ||
	    !EVP_CipherUpdate(c, req->dst + offset, &written, req->src + offset, (int)length) ||
	    !EVP_CipherFinal_ex(c, req->dst + offset + written, &rest))
		return VIRTIO_CRYPTO_ERR;
	return VIRTIO_CRYPTO_OK;
}

static bool mac_prepare(struct lc_thread *thread, const struct session_params *params,
                        struct lc_local *local)
{
	OSSL_PARAM digest[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
	                                         (char *)lc_mac_digest(params->mac), 0),
		OSSL_PARAM_construct_end(),
	};

	if (local->mac)
		return true;
	local->mac = EVP_MAC_CTX_new(thread->instance->algorithms->hmac);
	/* A NULL key would mean "as before". */
	if (!local->mac ||
	    !EVP_MAC_init(local->mac, params->auth_key_len ? params->auth_key : (uint8_t *)"",
	                  params->auth_key_len, digest)) {
		local->bad = true;
		return false;
	}
	return true;
}

static uint8_t run_mac(const struct vc_request *req, const struct session_params *params,
                       struct lc_local *local, const uint8_t *data, uint32_t length)
{
	size_t size = 0;

	if (req->tag_len > lc_mac_size(params->mac))
		return VIRTIO_CRYPTO_ERR;
	if (!EVP_MAC_init(local->mac, NULL, 0, NULL) ||
	    (length && !EVP_MAC_update(local->mac, data, length)) ||
	    !EVP_MAC_final(local->mac, req->tag, &size, REQUEST_MAX_TAG))
		return VIRTIO_CRYPTO_ERR;
	return VIRTIO_CRYPTO_OK;
}

static uint8_t run_chain(const struct vc_request *req, const struct session_params *params,
                         struct lc_local *local)
{
	bool hash_first = params->chain == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER;
	uint8_t status = VIRTIO_CRYPTO_OK;

	if (!chain_ranges_ok(req))
		return VIRTIO_CRYPTO_ERR;
	if (hash_first)
		status = run_mac(req, params, local, chain_hashed(req, params->chain),
		                 req->hash_len);
	if (status == VIRTIO_CRYPTO_OK) {
		chain_copy_rest(req);
		status = run_cipher(req, local, req->cipher_offset, req->cipher_len);
	}
	if (status == VIRTIO_CRYPTO_OK && !hash_first)
		status = run_mac(req, params, local, chain_hashed(req, params->chain),
		                 req->hash_len);
	return status;
}

static uint8_t run_hash(struct lc_thread *thread, const struct vc_request *req,
                        const struct session_params *params)
{
	const EVP_MD *md = thread->instance->algorithms->hash[params->hash];

	if (req->tag_len > lc_hash_size(params->hash))
		return VIRTIO_CRYPTO_ERR;
	if (!EVP_DigestInit_ex2(thread->digest, md, NULL) ||
	    (req->length && !EVP_DigestUpdate(thread->digest, req->src, req->length)) ||
	    !EVP_DigestFinal_ex(thread->digest, req->tag, NULL))
		return VIRTIO_CRYPTO_ERR;
	return VIRTIO_CRYPTO_OK;
}

static uint8_t run_gcm(const struct vc_request *req, const struct session_params *params,
                       struct lc_local *local)
{
	EVP_CIPHER_CTX *c = local->cipher;
	uint8_t end[16];
	int n = 0;

	if (!req->tag_len || req->tag_len > 16 || !req->iv_len || req->iv_len > REQUEST_MAX_IV ||
	    req->length > INT_MAX || req->aad_len > INT_MAX)
		return VIRTIO_CRYPTO_ERR;
	if (req->iv_len != local->iv_len) {
		if (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, req->iv_len, NULL) <= 0)
			return VIRTIO_CRYPTO_ERR;
		local->iv_len = req->iv_len;
	}
	if (!EVP_CipherInit_ex2(c, NULL, NULL, req->iv, -1, NULL))
		return VIRTIO_CRYPTO_ERR;
	if (!params->encrypt &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, req->tag_len, req->tag) <= 0)
		return VIRTIO_CRYPTO_ERR;
	if (req->aad_len && !EVP_CipherUpdate(c, NULL, &n, req->aad, (int)req->aad_len))
		return VIRTIO_CRYPTO_ERR;
	if (req->length && !EVP_CipherUpdate(c, req->dst, &n, req->src, (int)req->length))
		return VIRTIO_CRYPTO_ERR;
	/* The last step compares, in constant time. */
	if (EVP_CipherFinal_ex(c, end, &n) <= 0)
		return params->encrypt ? VIRTIO_CRYPTO_ERR : VIRTIO_CRYPTO_BADMSG;
	if (params->encrypt &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, req->tag_len, req->tag) <= 0)
		return VIRTIO_CRYPTO_ERR;
	return VIRTIO_CRYPTO_OK;
}

static uint8_t run_kind(struct lc_thread *thread, const struct vc_request *req,
                        const struct session_params *params, struct lc_local *local)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		if (!cipher_prepare(thread, params, local))
			break;
		if (!params->chain)
			return run_cipher(req, local, 0, req->length);
		if (!mac_prepare(thread, params, local))
			break;
		return run_chain(req, params, local);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		if (!cipher_prepare(thread, params, local))
			break;
		return run_gcm(req, params, local);
	case VIRTIO_CRYPTO_SERVICE_MAC:
		if (!mac_prepare(thread, params, local))
			break;
		return run_mac(req, params, local, req->src, req->length);
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return run_hash(thread, req, params);
	}
	return VIRTIO_CRYPTO_ERR;
}

uint8_t lc_symmetric(struct lc_thread *thread, struct vc_request *req, struct lc_session *session,
                     struct lc_local *local)
{
	uint8_t status = VIRTIO_CRYPTO_ERR;

	if (!local->bad)
		status = run_kind(thread, req, session->params, local);
	if (status != VIRTIO_CRYPTO_OK)
		ERR_clear_error();
	return status;
}
