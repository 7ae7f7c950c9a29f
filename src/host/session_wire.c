/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters of sessions out of the wire's structures: control requests, QEMU's messages, requests
 * that bring their key along. Works on private copies of what a guest said, and only says what was
 * meant: whether it may be is session_params_check()'s to say. Any thread.
 */
#include <errno.h>
#include <string.h>
#include <vcrypto/inband.h>

#include "host/session.h"

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

/* The wire's words for a chain, which come in two layouts; the digest's length is not among them.
 */
struct chain_words {
	uint32_t order, op, cipher, key_len, aad_len;
	uint32_t hash_mode, hash, auth_key_len;
};

static int from_chain(const struct chain_words *words, struct session_params *params)
{
	int rc = narrow_algorithm(words->order, &params->chain);

	if (rc < 0 || !params->chain)
		return -EINVAL;
	params->key_len = words->key_len;
	params->aad_len = words->aad_len;
	rc = direction(words->op, &params->encrypt);
	if (!rc)
		rc = narrow_algorithm(words->cipher, &params->cipher);
	return rc ? rc : chain_hash(words->hash_mode, words->hash, words->auth_key_len, params);
}

static int from_ctrl_chain(const struct virtio_crypto_alg_chain_session_para *chain,
                           struct session_params *params)
{
	/* Algorithm and length have the same place for a plain hash and a MAC. */
	int rc = from_chain(&(struct chain_words){.order = chain->alg_chain_order,
	                                          .op = chain->cipher.op,
	                                          .cipher = chain->cipher.algo,
	                                          .key_len = chain->cipher.key_len,
	                                          .aad_len = chain->aad_len,
	                                          .hash_mode = chain->hash_mode,
	                                          .hash = chain->u.mac.algo,
	                                          .auth_key_len = chain->u.mac.auth_key_len},
	                    params);

	return rc ? rc : narrow_tag_len(chain->u.mac.hash_result_len, &params->tag_len);
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
		return from_ctrl_chain(&req->u.sym.u.chain, params);
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
	uint32_t extra[2]; /* RSA: padding, hash; ECDSA, agreement: curve */
};

static int from_akcipher(const struct akcipher_words *words, struct session_params *params)
{
	int rc;

	params->service = VIRTIO_CRYPTO_SERVICE_AKCIPHER;
	if (words->algo == VCRYPTO_INBAND_AGREE) {
		params->akcipher = VCRYPTO_INBAND_AGREE;
		return narrow_algorithm(words->extra[0], &params->curve);
	}
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
	if (sym->key_len > SESSION_MAX_CIPHER_KEY || sym->auth_key_len > SESSION_MAX_AUTH_KEY)
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

static int from_stateless_sym(const union virtio_crypto_data_stateless *wire,
                              struct session_params *params)
{
	const struct virtio_crypto_cipher_stateless *cipher = &wire->sym.u.cipher;
	const struct virtio_crypto_alg_chain_stateless *chain = &wire->sym.u.chain;
	int rc;

	if (wire->sym.op_type == VIRTIO_CRYPTO_SYM_OP_CIPHER) {
		params->key_len = cipher->key_len;
		rc = direction(cipher->op, &params->encrypt);
		return rc ? rc : narrow_algorithm(cipher->algo, &params->cipher);
	}
	if (wire->sym.op_type != VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING)
		return -ENOTSUP;
	rc = from_chain(&(struct chain_words){.order = chain->alg_chain_order,
	                                      .op = chain->cipher.op,
	                                      .cipher = chain->cipher.algo,
	                                      .key_len = chain->cipher.key_len,
	                                      .aad_len = chain->aad_len,
	                                      .hash_mode = chain->hash.hash_mode,
	                                      .hash = chain->hash.algo,
	                                      .auth_key_len = chain->hash.auth_key_len},
	                params);
	/* A plain hash has no key; bytes of one that is announced would not be where they are
	 * looked for. */
	if (!rc && chain->hash.auth_key_len != params->auth_key_len)
		rc = -EINVAL;
	return rc ? rc : narrow_tag_len(chain->para.hash_result_len, &params->tag_len);
}

static int from_stateless_aead(const struct virtio_crypto_aead_stateless *aead,
                               struct session_params *params)
{
	int rc;

	params->key_len = aead->key_len;
	rc = direction(aead->op, &params->encrypt);
	if (!rc)
		rc = narrow_algorithm(aead->algo, &params->aead);
	return rc ? rc : narrow_tag_len(aead->tag_len, &params->tag_len);
}

int session_params_from_stateless(unsigned int service,
                                  const union virtio_crypto_data_stateless *wire,
                                  struct session_params *params)
{
	int rc;

	memset(params, 0, sizeof(*params));
	params->service = (uint8_t)service;
	switch (service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		return from_stateless_sym(wire, params);
	case VIRTIO_CRYPTO_SERVICE_HASH:
		rc = narrow_algorithm(wire->hash.algo, &params->hash);
		return rc ? rc : narrow_tag_len(wire->hash.para.hash_result_len, &params->tag_len);
	case VIRTIO_CRYPTO_SERVICE_MAC:
		params->auth_key_len = wire->mac.auth_key_len;
		rc = narrow_algorithm(wire->mac.algo, &params->mac);
		return rc ? rc : narrow_tag_len(wire->mac.para.hash_result_len, &params->tag_len);
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return from_stateless_aead(&wire->aead, params);
	case VIRTIO_CRYPTO_SERVICE_AKCIPHER:
		params->key_len = wire->akcipher.session.key_len;
		return from_akcipher(
			&(struct akcipher_words){wire->akcipher.session.algo,
		                                 wire->akcipher.session.key_type,
		                                 {wire->akcipher.session.u.rsa.padding_algo,
		                                  wire->akcipher.session.u.rsa.hash_algo}},
			params);
	default:
		return -ENOTSUP;
	}
}
