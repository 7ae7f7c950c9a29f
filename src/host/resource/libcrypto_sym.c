/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcrypto: ciphers, chains, AEAD, MACs and hashes.
 *
 * The threads of an instance, and the worker for small requests; each has contexts of its own
 * (struct lc_local, struct lc_thread), which it keys once, so that a request costs no key expansion
 * and no allocation.
 *
 * Data may be guest memory that changes under us: libcrypto reads no length or address from it.
 */
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <string.h>

#include "base/secmem.h"
#include "host/resource/chain.h"
#include "host/resource/libcrypto.h"

const EVP_CIPHER *lc_cipher_find(const struct lc_algorithms *a, const struct session_params *params)
{
	bool aead = params->service == VIRTIO_CRYPTO_SERVICE_AEAD;
	EVP_CIPHER *const *sizes;

	if (aead ? params->aead >= ALGORITHM_AEADS : params->cipher >= ALGORITHM_CIPHERS)
		return NULL;
	sizes = aead ? a->aead[params->aead] : a->cipher[params->cipher];
	for (unsigned int i = 0; i < LC_KEY_SIZES; i++)
		if (sizes[i] && (uint32_t)EVP_CIPHER_get_key_length(sizes[i]) == params->key_len)
			return sizes[i];
	return NULL;
}

/* The keyed context of this thread for the session. */
static bool cipher_prepare(const struct lc_thread *thread, const struct session_params *params,
                           struct lc_local *local)
{
	const EVP_CIPHER *cipher;

	if (local->cipher)
		return true;
	cipher = lc_cipher_find(thread->algorithms, params);
	local->cipher = EVP_CIPHER_CTX_new();
	if (!cipher || !local->cipher ||
	    !EVP_CipherInit_ex2(local->cipher, cipher, params->key, NULL, params->encrypt, NULL)) {
		local->bad = true;
		return false;
	}
	EVP_CIPHER_CTX_set_padding(local->cipher, 0);
	/* CCM has not got its tag's length yet: see aead_lengths(). */
	if (params->service == VIRTIO_CRYPTO_SERVICE_CIPHER ||
	    params->aead != VIRTIO_CRYPTO_AEAD_CCM)
		local->iv_len = (uint8_t)EVP_CIPHER_CTX_get_iv_length(local->cipher);
	return true;
}

static uint8_t run_cipher(const struct vc_request *req, const struct session_params *params,
                          const struct lc_local *local, uint32_t offset, uint32_t length)
{
	EVP_CIPHER_CTX *c = local->cipher;
	int written = 0, rest = 0;

	if (req->iv_len != local->iv_len || length > INT_MAX ||
	    length % algorithm_cipher_block(params->cipher))
		return VIRTIO_CRYPTO_ERR;
	if (!length)
		return VIRTIO_CRYPTO_OK;
	if (!EVP_CipherInit_ex2(c, NULL, NULL, req->iv_len ? req->iv : NULL, -1, NULL) ||
	    !EVP_CipherUpdate(c, req->dst + offset, &written, req->src + offset, (int)length) ||
	    !EVP_CipherFinal_ex(c, req->dst + offset + written, &rest))
		return VIRTIO_CRYPTO_ERR;
	return VIRTIO_CRYPTO_OK;
}

/* ---- hashes and MACs ---- */

static EVP_MD_CTX *digest_begin(struct lc_thread *thread, unsigned int hash)
{
	EVP_MD_CTX **c = &thread->digest[hash];

	/* One for each hash: a context that changes its hash allocates anew. */
	if (!*c)
		*c = EVP_MD_CTX_new();
	return *c && EVP_DigestInit_ex2(*c, thread->algorithms->hash[hash], NULL) ? *c : NULL;
}

static bool digest_add(EVP_MD_CTX *c, const uint8_t *data, uint32_t length)
{
	return !length || EVP_DigestUpdate(c, data, length);
}

static uint8_t run_hash(struct lc_thread *thread, const struct vc_request *req,
                        const struct session_params *params, const uint8_t *data, uint32_t length)
{
	EVP_MD_CTX *c;

	if (req->tag_len > algorithm_hash_size(params->hash))
		return VIRTIO_CRYPTO_ERR;
	c = digest_begin(thread, params->hash);
	if (!c || !digest_add(c, data, length) || !EVP_DigestFinal_ex(c, req->tag, NULL))
		return VIRTIO_CRYPTO_ERR;
	return VIRTIO_CRYPTO_OK;
}

bool lc_hmac_expand(const struct lc_algorithms *a, const struct session_params *params,
                    struct lc_hmac *hmac)
{
	unsigned int hash = algorithm_hmac_hash(params->mac), block = algorithm_hash_block(hash);
	uint8_t key[LC_MAX_BLOCK] = {0};
	bool ok = true;

	if (params->auth_key_len > block)
		ok = EVP_Digest(params->auth_key, params->auth_key_len, key, NULL, a->hash[hash],
		                NULL);
	else if (params->auth_key_len)
		memcpy(key, params->auth_key, params->auth_key_len);
	for (unsigned int i = 0; i < block; i++) {
		hmac->inner[i] = key[i] ^ 0x36;
		hmac->outer[i] = key[i] ^ 0x5c;
	}
	secmem_wipe(key, sizeof(key));
	return ok;
}

/*
 * RFC 2104 with two plain hashes. EVP_MAC's HMAC would spare two blocks, but copies its context by
 * allocating another one for every message, and keeps the key in the ordinary heap.
 */
static uint8_t run_hmac(struct lc_thread *thread, const struct vc_request *req,
                        const struct lc_session *session, const uint8_t *data, uint32_t length)
{
	unsigned int hash = algorithm_hmac_hash(session->params->mac);
	unsigned int block = algorithm_hash_block(hash), size = 0;
	const struct lc_hmac *hmac = session->hmac;
	EVP_MD_CTX *c = digest_begin(thread, hash);

	if (!c || !digest_add(c, hmac->inner, block) || !digest_add(c, data, length) ||
	    !EVP_DigestFinal_ex(c, req->tag, &size))
		return VIRTIO_CRYPTO_ERR;
	c = digest_begin(thread, hash);
	if (!c || !digest_add(c, hmac->outer, block) || !digest_add(c, req->tag, size) ||
	    !EVP_DigestFinal_ex(c, req->tag, &size))
		return VIRTIO_CRYPTO_ERR;
	return VIRTIO_CRYPTO_OK;
}

static bool cmac_prepare(const struct lc_thread *thread, const struct session_params *params,
                         struct lc_local *local)
{
	static const char *const names[] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"};
	OSSL_PARAM cipher[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER,
	                                         (char *)names[(params->auth_key_len - 16) / 8], 0),
		OSSL_PARAM_construct_end(),
	};

	if (local->cmac)
		return true;
	local->cmac = EVP_MAC_CTX_new(thread->algorithms->cmac);
	if (!local->cmac ||
	    !EVP_MAC_init(local->cmac, params->auth_key, params->auth_key_len, cipher)) {
		local->bad = true;
		return false;
	}
	return true;
}

static uint8_t run_cmac(const struct lc_thread *thread, const struct vc_request *req,
                        const struct lc_session *session, struct lc_local *local,
                        const uint8_t *data, uint32_t length)
{
	size_t size = 0;

	/* No key: the same as before, from the start. */
	if (!cmac_prepare(thread, session->params, local) ||
	    !EVP_MAC_init(local->cmac, NULL, 0, NULL) ||
	    (length && !EVP_MAC_update(local->cmac, data, length)) ||
	    !EVP_MAC_final(local->cmac, req->tag, &size, REQUEST_MAX_TAG))
		return VIRTIO_CRYPTO_ERR;
	return VIRTIO_CRYPTO_OK;
}

static uint8_t run_mac(struct lc_thread *thread, const struct vc_request *req,
                       const struct lc_session *session, struct lc_local *local,
                       const uint8_t *data, uint32_t length)
{
	if (req->tag_len > algorithm_mac_size(session->params->mac))
		return VIRTIO_CRYPTO_ERR;
	if (session->hmac)
		return run_hmac(thread, req, session, data, length);
	return run_cmac(thread, req, session, local, data, length);
}

/* The hash of a chain: a MAC, or plain. */
static uint8_t run_half(struct lc_thread *thread, const struct vc_request *req,
                        const struct lc_session *session, struct lc_local *local)
{
	const uint8_t *data = chain_hashed(req, session->params->chain);

	if (!session->params->mac)
		return run_hash(thread, req, session->params, data, req->hash_len);
	return run_mac(thread, req, session, local, data, req->hash_len);
}

static uint8_t run_chain(struct lc_thread *thread, const struct vc_request *req,
                         const struct lc_session *session, struct lc_local *local)
{
	const struct session_params *params = session->params;
	bool hash_first = params->chain == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER;
	uint8_t status = VIRTIO_CRYPTO_OK;

	if (!chain_ranges_ok(req))
		return VIRTIO_CRYPTO_ERR;
	if (hash_first)
		status = run_half(thread, req, session, local);
	if (status == VIRTIO_CRYPTO_OK) {
		chain_copy_rest(req);
		status = run_cipher(req, params, local, req->cipher_offset, req->cipher_len);
	}
	if (status == VIRTIO_CRYPTO_OK && !hash_first)
		status = run_half(thread, req, session, local);
	return status;
}

/* ---- AEAD ---- */

/* Lengths of IV and, for CCM, of tag are part of what a context is made for. */
static bool aead_lengths(EVP_CIPHER_CTX *c, const struct vc_request *req,
                         const struct session_params *params, struct lc_local *local)
{
	bool ccm = params->aead == VIRTIO_CRYPTO_AEAD_CCM;

	if (req->iv_len == local->iv_len)
		return true;
	if (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, req->iv_len, NULL) <= 0)
		return false;
	/* CCM takes them up only with the key. */
	if (ccm && (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, params->tag_len, NULL) <= 0 ||
	            !EVP_CipherInit_ex2(c, NULL, params->key, NULL, -1, NULL)))
		return false;
	local->iv_len = req->iv_len;
	return true;
}

/* All that comes before the data. */
static bool aead_begin(EVP_CIPHER_CTX *c, const struct vc_request *req,
                       const struct session_params *params, struct lc_local *local)
{
	int n = 0;

	if (!aead_lengths(c, req, params, local) ||
	    !EVP_CipherInit_ex2(c, NULL, NULL, req->iv, -1, NULL))
		return false;
	if (!params->encrypt &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, req->tag_len, req->tag) <= 0)
		return false;
	if (params->aead == VIRTIO_CRYPTO_AEAD_CCM &&
	    !EVP_CipherUpdate(c, NULL, &n, NULL, (int)req->length))
		return false;
	return !req->aad_len || EVP_CipherUpdate(c, NULL, &n, req->aad, (int)req->aad_len);
}

/* The data, and the tag compared or made. The comparison is libcrypto's, in constant time. */
static uint8_t aead_data(EVP_CIPHER_CTX *c, const struct vc_request *req,
                         const struct session_params *params)
{
	bool ccm = params->aead == VIRTIO_CRYPTO_AEAD_CCM;
	uint8_t end[16] = {0};
	int n = 0;

	/* CCM does it all in one step, which there has to be even without data. */
	if ((req->length || ccm) &&
	    !EVP_CipherUpdate(c, req->length ? req->dst : end, &n, req->length ? req->src : end,
	                      (int)req->length))
		return ccm && !params->encrypt ? VIRTIO_CRYPTO_BADMSG : VIRTIO_CRYPTO_ERR;
	if (!ccm && EVP_CipherFinal_ex(c, end, &n) <= 0)
		return params->encrypt ? VIRTIO_CRYPTO_ERR : VIRTIO_CRYPTO_BADMSG;
	if (params->encrypt &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, req->tag_len, req->tag) <= 0)
		return VIRTIO_CRYPTO_ERR;
	return VIRTIO_CRYPTO_OK;
}

static uint8_t run_aead(const struct vc_request *req, const struct session_params *params,
                        struct lc_local *local)
{
	if (req->tag_len != params->tag_len || req->length > INT_MAX || req->aad_len > INT_MAX ||
	    !algorithm_aead_request_ok(params->aead, req->iv_len, req->length))
		return VIRTIO_CRYPTO_ERR;
	if (!aead_begin(local->cipher, req, params, local))
		return VIRTIO_CRYPTO_ERR;
	return aead_data(local->cipher, req, params);
}

static uint8_t run_kind(struct lc_thread *thread, const struct vc_request *req,
                        const struct lc_session *session, struct lc_local *local)
{
	const struct session_params *params = session->params;

	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		if (!cipher_prepare(thread, params, local))
			break;
		return params->chain ? run_chain(thread, req, session, local)
		                     : run_cipher(req, params, local, 0, req->length);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		if (!cipher_prepare(thread, params, local))
			break;
		return run_aead(req, params, local);
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return run_mac(thread, req, session, local, req->src, req->length);
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return run_hash(thread, req, params, req->src, req->length);
	}
	return VIRTIO_CRYPTO_ERR;
}

uint8_t lc_symmetric(struct lc_thread *thread, const struct vc_request *req,
                     const struct lc_session *session, struct lc_local *local)
{
	uint8_t status = VIRTIO_CRYPTO_ERR;

	if (!local->bad)
		status = run_kind(thread, req, session, local);
	if (status != VIRTIO_CRYPTO_OK)
		ERR_clear_error();
	return status;
}
