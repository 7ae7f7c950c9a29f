/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sessions may be: parameters out of the wire's structures, and the checks that need no
 * resource. Works on private copies of what a guest said; any thread.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "host/der.h"
#include "host/session.h"

#define MAX_CIPHER_KEY 64
#define MAX_AUTH_KEY 512
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

static int check_akcipher(struct session_params *params)
{
	switch (params->akcipher) {
	case VIRTIO_CRYPTO_AKCIPHER_RSA:
		return check_rsa(params);
	case VIRTIO_CRYPTO_AKCIPHER_ECDSA:
		return check_ecdsa(params);
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

/* ---- from the wire ---- */

/* Our fields are narrower than the wire's: what does not fit is unknown, or too long. */
static int narrow_algorithm(uint32_t wire, uint8_t *value)
{
	*value = (uint8_t)wire;
	return wire <= UINT8_MAX ? 0 : -ENOTSUP;
}

static int narrow_tag_len(uint32_t wire, uint16_t *value)
{
	*value = (uint16_t)wire;
	return wire <= UINT16_MAX ? 0 : -EINVAL;
}

static int direction(uint32_t wire, uint8_t *encrypt)
{
	*encrypt = wire == VIRTIO_CRYPTO_OP_ENCRYPT;
	return *encrypt || wire == VIRTIO_CRYPTO_OP_DECRYPT ? 0 : -EINVAL;
}

/* Keys lie one behind the other. */
static int place_keys(struct session_params *params, const uint8_t *keys, size_t keys_len)
{
	if ((uint64_t)params->key_len + params->auth_key_len > keys_len)
		return -EINVAL;
	params->key = keys;
	params->auth_key = keys + params->key_len;
	return 0;
}

/* The hash of a chain: a MAC with a key, or plain. Nested hashes nobody has defined. */
static int chain_hash(uint32_t mode, uint32_t algorithm, uint32_t auth_key_len,
                      struct session_params *params)
{
	uint8_t *field = mode == VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN ? &params->hash : &params->mac;

	if (mode != VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN && mode != VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH)
		return -ENOTSUP;
	if (mode == VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH)
		params->auth_key_len = auth_key_len;
	/* 0 is no algorithm. */
	return algorithm ? narrow_algorithm(algorithm, field) : -ENOTSUP;
}

static int from_chain(const struct virtio_crypto_alg_chain_session_para *chain,
                      struct session_params *params)
{
	int rc;

	rc = narrow_algorithm(chain->alg_chain_order, &params->chain);
	if (rc < 0 || !params->chain)
		return -EINVAL;
	params->key_len = chain->cipher.key_len;
	params->aad_len = chain->aad_len;
	rc = direction(chain->cipher.op, &params->encrypt);
	if (!rc)
		rc = narrow_algorithm(chain->cipher.algo, &params->cipher);
	/* Algorithm and length have the same place for both. */
	if (!rc)
		rc = chain_hash(chain->hash_mode, chain->u.mac.algo, chain->u.mac.auth_key_len,
		                params);
	if (!rc)
		rc = narrow_tag_len(chain->u.mac.hash_result_len, &params->tag_len);
	return rc;
}

static int from_sym(const struct virtio_crypto_op_ctrl_req *req, struct session_params *params)
{
	const struct virtio_crypto_cipher_session_para *cipher = &req->u.sym.u.cipher;
	int rc;

	switch (req->u.sym.op_type) {
	case VIRTIO_CRYPTO_SYM_OP_CIPHER:
		params->key_len = cipher->key_len;
		rc = direction(cipher->op, &params->encrypt);
		return rc ? rc : narrow_algorithm(cipher->algo, &params->cipher);
	case VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING:
		return from_chain(&req->u.sym.u.chain, params);
	default:
		return -ENOTSUP;
	}
}

static int from_aead(const struct virtio_crypto_aead_session_para *aead,
                     struct session_params *params)
{
	int rc;

	params->key_len = aead->key_len;
	params->aad_len = aead->aad_len;
	rc = direction(aead->op, &params->encrypt);
	if (!rc)
		rc = narrow_algorithm(aead->algo, &params->aead);
	if (!rc)
		rc = narrow_tag_len(aead->tag_len, &params->tag_len);
	return rc;
}

/* The wire's words for an asymmetric session, which come in three layouts. */
struct akcipher_words {
	uint32_t algo, key_type;
	uint32_t extra[2]; /* RSA: padding, hash; ECDSA: curve */
};

static int from_akcipher(const struct akcipher_words *words, struct session_params *params)
{
	int rc;

	params->service = VIRTIO_CRYPTO_SERVICE_AKCIPHER;
	params->private_key = words->key_type == VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE;
	if (!params->private_key && words->key_type != VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC)
		return -EINVAL;
	switch (words->algo) {
	case VIRTIO_CRYPTO_AKCIPHER_RSA:
		params->akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA;
		rc = narrow_algorithm(words->extra[0], &params->rsa_padding);
		/* The hash is the padding's: raw has none, whatever is said. */
		if (!rc && params->rsa_padding)
			rc = narrow_algorithm(words->extra[1], &params->rsa_hash);
		return rc;
	case VIRTIO_CRYPTO_AKCIPHER_ECDSA:
	case VIRTIO_CRYPTO_AKCIPHER_ECDSA_LINUX:
		params->akcipher = VIRTIO_CRYPTO_AKCIPHER_ECDSA;
		return narrow_algorithm(words->extra[0], &params->curve);
	default:
		return -ENOTSUP;
	}
}

int session_params_from_ctrl(const struct virtio_crypto_op_ctrl_req *req, const uint8_t *keys,
                             size_t keys_len, struct session_params *params)
{
	int rc;

	memset(params, 0, sizeof(*params));
	switch (req->header.opcode) {
	case VIRTIO_CRYPTO_CIPHER_CREATE_SESSION:
		params->service = VIRTIO_CRYPTO_SERVICE_CIPHER;
		rc = from_sym(req, params);
		break;
	case VIRTIO_CRYPTO_HASH_CREATE_SESSION:
		params->service = VIRTIO_CRYPTO_SERVICE_HASH;
		rc = narrow_algorithm(req->u.hash.algo, &params->hash);
		if (!rc)
			rc = narrow_tag_len(req->u.hash.hash_result_len, &params->tag_len);
		break;
	case VIRTIO_CRYPTO_MAC_CREATE_SESSION:
		params->service = VIRTIO_CRYPTO_SERVICE_MAC;
		params->auth_key_len = req->u.mac.auth_key_len;
		rc = narrow_algorithm(req->u.mac.algo, &params->mac);
		if (!rc)
			rc = narrow_tag_len(req->u.mac.hash_result_len, &params->tag_len);
		break;
	case VIRTIO_CRYPTO_AEAD_CREATE_SESSION:
		params->service = VIRTIO_CRYPTO_SERVICE_AEAD;
		rc = from_aead(&req->u.aead, params);
		break;
	case VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION:
		params->key_len = req->u.akcipher.key_len;
		rc = from_akcipher(&(struct akcipher_words){req->u.akcipher.algo,
		                                            req->u.akcipher.key_type,
		                                            {req->u.akcipher.u.rsa.padding_algo,
		                                             req->u.akcipher.u.rsa.hash_algo}},
		                   params);
		break;
	default:
		return -ENOTSUP;
	}
	return rc ? rc : place_keys(params, keys, keys_len);
}

int session_params_from_sym(const struct vhost_user_crypto_sym *sym, struct session_params *params)
{
	int rc;

	memset(params, 0, sizeof(*params));
	params->service = VIRTIO_CRYPTO_SERVICE_CIPHER;
	if (sym->key_len > MAX_CIPHER_KEY || sym->auth_key_len > MAX_AUTH_KEY)
		return -EKEYREJECTED;
	params->key = sym->key;
	params->key_len = sym->key_len;
	rc = direction(sym->direction, &params->encrypt);
	if (!rc)
		rc = narrow_algorithm(sym->cipher_alg, &params->cipher);
	if (rc < 0 || sym->op_type == VIRTIO_CRYPTO_SYM_OP_CIPHER)
		return rc;

	if (sym->op_type != VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING)
		return -ENOTSUP;
	params->chain = sym->alg_chain_order;
	params->auth_key = sym->auth_key;
	params->aad_len = sym->add_len;
	rc = chain_hash(sym->hash_mode, sym->hash_alg, sym->auth_key_len, params);
	if (!rc && !params->chain)
		rc = -EINVAL;
	return rc ? rc : narrow_tag_len(sym->hash_result_len, &params->tag_len);
}

int session_params_from_asym(const struct vhost_user_crypto_asym *asym,
                             struct session_params *params)
{
	memset(params, 0, sizeof(*params));
	if (asym->key_len > sizeof(asym->key))
		return -EKEYREJECTED;
	params->key = asym->key;
	params->key_len = asym->key_len;
	/* QEMU sends RSA only; curves have no field there. */
	if (asym->algo != VIRTIO_CRYPTO_AKCIPHER_RSA)
		return -ENOTSUP;
	return from_akcipher(&(struct akcipher_words){asym->algo,
	                                              asym->key_type,
	                                              {asym->padding_algo, asym->hash_algo}},
	                     params);
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
		else
			snprintf(buffer, size, "rsa-%u", params->key_bits);
		break;
	}
	return buffer;
}
