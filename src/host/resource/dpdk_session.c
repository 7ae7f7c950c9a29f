/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk: sessions of ours become sessions of the device.
 *
 * The worker of the instance. Drivers copy keys into their own part of a session, which lies in
 * locked memory (dpdk.c) and is wiped when the session ends. Keys are a guest's: their lengths have
 * been checked against what the device says that it takes.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "host/resource/dpdk.h"

/* ---- xforms ---- */

static void fill_cipher(struct rte_crypto_sym_xform *xform, const struct session_params *params)
{
	xform->type = RTE_CRYPTO_SYM_XFORM_CIPHER;
	xform->cipher.op =
		params->encrypt ? RTE_CRYPTO_CIPHER_OP_ENCRYPT : RTE_CRYPTO_CIPHER_OP_DECRYPT;
	xform->cipher.algo = dpdk_cipher_algorithm(params->cipher);
	xform->cipher.key.data = params->key;
	xform->cipher.key.length = (uint16_t)params->key_len;
	xform->cipher.iv.offset = DPDK_IV_OFFSET;
	xform->cipher.iv.length = (uint16_t)algorithm_cipher_iv(params->cipher);
}

static const char *hash_name(unsigned int hash)
{
	switch (hash) {
	case VIRTIO_CRYPTO_HASH_SHA1:
		return "SHA1";
	case VIRTIO_CRYPTO_HASH_SHA_224:
		return "SHA2-224";
	case VIRTIO_CRYPTO_HASH_SHA_256:
		return "SHA2-256";
	case VIRTIO_CRYPTO_HASH_SHA_384:
		return "SHA2-384";
	default:
		return "SHA2-512";
	}
}

/* HMAC's key in a length that the device takes, in the same meaning (RFC 2104, 2). 0: there is
 * none. key: a block of the hash. */
static uint16_t hmac_key(const struct dpdk_auth *auth, const struct session_params *params,
                         uint8_t *key)
{
	unsigned int hash = algorithm_hmac_hash(params->mac), block = algorithm_hash_block(hash);
	size_t length = params->auth_key_len;

	memset(key, 0, block);
	if (length > block) {
		if (!EVP_Q_digest(NULL, hash_name(hash), NULL, params->auth_key, length, key,
		                  &length))
			return 0;
	} else if (length) {
		memcpy(key, params->auth_key, length);
	}
	while (length <= block && !dpdk_range_has(&auth->key, (uint32_t)length))
		length++;
	return length <= block ? (uint16_t)length : 0;
}

/* key: room for a block of any hash. */
static int fill_auth(const struct dpdk_caps *caps, struct rte_crypto_sym_xform *xform,
                     const struct session_params *params, uint8_t *key)
{
	const struct dpdk_auth *auth = dpdk_caps_auth(caps, params);
	unsigned int full =
		params->mac ? algorithm_mac_size(params->mac) : algorithm_hash_size(params->hash);

	xform->type = RTE_CRYPTO_SYM_XFORM_AUTH;
	xform->auth.op = RTE_CRYPTO_AUTH_OP_GENERATE;
	xform->auth.algo = dpdk_auth_algorithm(params);
	xform->auth.digest_length = dpdk_caps_digest(auth, full, params->tag_len);
	if (params->mac == VIRTIO_CRYPTO_MAC_CMAC_AES) {
		xform->auth.key.data = params->auth_key;
		xform->auth.key.length = (uint16_t)params->auth_key_len;
	} else if (params->mac) {
		xform->auth.key.data = key;
		xform->auth.key.length = hmac_key(auth, params, key);
		if (!xform->auth.key.length)
			return -ENOTSUP;
	}
	return 0;
}

static void fill_aead(struct rte_crypto_sym_xform *xform, const struct session_params *params,
                      uint8_t iv_len, uint16_t aad_len)
{
	xform->type = RTE_CRYPTO_SYM_XFORM_AEAD;
	xform->aead.op = params->encrypt ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
	xform->aead.algo = dpdk_aead_algorithm(params->aead);
	xform->aead.key.data = params->key;
	xform->aead.key.length = (uint16_t)params->key_len;
	xform->aead.iv.offset = DPDK_IV_OFFSET;
	xform->aead.iv.length = iv_len;
	xform->aead.digest_length = params->tag_len;
	xform->aead.aad_length = aad_len;
}

/* ---- sessions ---- */

static int make(struct dpdk_instance *in, struct rte_crypto_sym_xform *xform, void **session)
{
	if (!rte_mempool_avail_count(in->sessions))
		return -ENOMEM;
	*session = rte_cryptodev_sym_session_create((uint8_t)in->dpdk->sym, xform, in->sessions);
	return *session ? 0 : -ENOTSUP;
}

static int realise_aead(struct dpdk_instance *in, struct dpdk_session *s)
{
	const struct session_params *params = s->params;
	uint32_t aad_len = params->aad_len;

	s->class = DPDK_AEAD;
	/* What is announced is no promise; with other lengths its first request makes another. */
	if (aad_len > DPDK_AAD_ROOM ||
	    !dpdk_range_has(&in->dpdk->caps.aead[params->aead].aad, aad_len))
		aad_len = in->dpdk->caps.aead[params->aead].aad.min;
	if (dpdk_session_variant(in, s, 12, aad_len))
		return 0;
	return rte_mempool_avail_count(in->sessions) ? -ENOTSUP : -ENOMEM;
}

/* Cipher, hash, or both: in one session of the device's, or, split, in two, one after the other. */
static int realise_plain(struct dpdk_instance *in, struct dpdk_session *s)
{
	const struct session_params *params = s->params;
	bool cipher = params->service == VIRTIO_CRYPTO_SERVICE_CIPHER;
	bool auth = !cipher || params->chain;
	bool hash_first = params->chain == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER;
	struct rte_crypto_sym_xform xform[2] = {0};
	struct rte_crypto_sym_xform *at[2] = {&xform[hash_first], &xform[cipher && !hash_first]};
	bool split = dpdk_bit(in->dpdk->split, dpdk_kind_of(params));
	uint8_t key[144];
	int err = 0;

	s->class = !cipher ? DPDK_AUTH : auth ? DPDK_CHAIN : DPDK_CIPHER;
	if (cipher) {
		fill_cipher(at[0], params);
		s->iv_len = (uint8_t)algorithm_cipher_iv(params->cipher);
		/* Stealing of ciphertext (XTS) is not for every device. */
		s->block_mask = params->cipher == VIRTIO_CRYPTO_CIPHER_AES_XTS
		                        ? 15
		                        : (uint8_t)(algorithm_cipher_block(params->cipher) - 1);
		s->counts = params->cipher == VIRTIO_CRYPTO_CIPHER_AES_CTR;
	}
	if (auth) {
		err = fill_auth(&in->dpdk->caps, at[1], params, key);
		s->digest_len = (uint8_t)at[1]->auth.digest_length;
	}
	if (cipher && auth && !split)
		xform[0].next = &xform[1];
	if (!err)
		err = make(in, &xform[0], &s->session);
	if (!err && cipher && auth && split)
		err = make(in, &xform[1], &s->second);
	secmem_wipe(key, sizeof(key));
	return err;
}

void *dpdk_session_variant(struct dpdk_instance *in, struct dpdk_session *s, uint8_t iv_len,
                           uint32_t aad_len)
{
	const unsigned int aead = s->params->aead;
	struct rte_crypto_sym_xform xform = {0};
	void *session;

	for (unsigned int i = 0; i < s->variants; i++)
		if (s->variant[i].aad_len == aad_len && s->variant[i].iv_len == iv_len)
			return s->variant[i].session;
	if (s->variants == DPDK_VARIANTS || aad_len > DPDK_AAD_ROOM ||
	    !dpdk_range_has(&in->dpdk->caps.aead[aead].aad, aad_len) ||
	    !dpdk_range_has(&in->dpdk->caps.aead[aead].iv, iv_len))
		return NULL;
	fill_aead(&xform, s->params, iv_len, (uint16_t)aad_len);
	if (make(in, &xform, &session) < 0)
		return NULL;
	s->variant[s->variants].aad_len = (uint16_t)aad_len;
	s->variant[s->variants].iv_len = iv_len;
	s->variant[s->variants++].session = session;
	return session;
}

/* XTS with two equal keys is no XTS (IEEE 1619). */
static bool key_is_weak(const struct session_params *params)
{
	return params->service == VIRTIO_CRYPTO_SERVICE_CIPHER &&
	       params->cipher == VIRTIO_CRYPTO_CIPHER_AES_XTS &&
	       secmem_equal(params->key, params->key + params->key_len / 2, params->key_len / 2);
}

/* What one byte costs a CPU, in bytes of AES: for devices that are software. */
static uint8_t weight_of(const struct session_params *params)
{
	if (params->service == VIRTIO_CRYPTO_SERVICE_CIPHER &&
	    params->cipher == VIRTIO_CRYPTO_CIPHER_3DES_CBC)
		return 64;
	if (params->hash >= VIRTIO_CRYPTO_HASH_SHA3_224)
		return 8;
	return params->hash || params->mac ? 4 : 1;
}

int dpdk_realise(struct resource_instance *instance, const struct session_params *params,
                 void **handle)
{
	struct dpdk_instance *in = (struct dpdk_instance *)instance;
	struct dpdk_session *s;
	int err;

	if (!dpdk_can(instance->resource, params))
		return -ENOTSUP;
	if (key_is_weak(params))
		return -EKEYREJECTED;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->params = params;
	s->weight = weight_of(params);
	s->large = dpdk_bit(in->dpdk->large, dpdk_kind_of(params));
	if (params->service == VIRTIO_CRYPTO_SERVICE_AKCIPHER)
		err = dpdk_rsa_realise(in, s);
	else if (params->service == VIRTIO_CRYPTO_SERVICE_AEAD)
		err = realise_aead(in, s);
	else
		err = realise_plain(in, s);
	if (err)
		dpdk_drop(instance, s);
	else
		*handle = s;
	return err;
}

/* The pool is this worker's alone, and keeps nothing in the objects that it has. */
static void rsa_wipe(struct dpdk_instance *in, void *session)
{
	rte_cryptodev_asym_session_free((uint8_t)in->dpdk->asym, session);
	secmem_wipe(session, in->rsa_sessions->elt_size);
}

void dpdk_drop(struct resource_instance *instance, void *handle)
{
	struct dpdk_instance *in = (struct dpdk_instance *)instance;
	struct dpdk_session *s = handle;

	for (unsigned int i = 0; i < s->variants; i++)
		rte_cryptodev_sym_session_free((uint8_t)in->dpdk->sym, s->variant[i].session);
	if (s->class == DPDK_RSA && s->session)
		rsa_wipe(in, s->session);
	else if (s->session)
		rte_cryptodev_sym_session_free((uint8_t)in->dpdk->sym, s->session);
	if (s->second)
		rte_cryptodev_sym_session_free((uint8_t)in->dpdk->sym, s->second);
	free(s);
}
