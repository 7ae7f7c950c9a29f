/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions on the wire: what the control queue wants to hear of one (virtio 1.3, 5.9.7.1), and what
 * its operations have in common. Any thread; pure functions.
 */
#include "virtio/driver.h"

static uint8_t cipher_block_mask(unsigned int cipher)
{
	switch (cipher) {
	case VCRYPTO_CIPHER_AES_ECB:
	case VCRYPTO_CIPHER_AES_CBC:
		return 15;
	case VCRYPTO_CIPHER_3DES_CBC:
		return 7;
	default:
		return 0;
	}
}

static void session_describe_cipher(struct op_session *op, const struct vcrypto_session_params *p)
{
	static const uint8_t iv[][2] = {[VCRYPTO_CIPHER_AES_CBC] = {16, 16},
	                                [VCRYPTO_CIPHER_AES_CTR] = {16, 16},
	                                [VCRYPTO_CIPHER_3DES_CBC] = {8, 8},
	                                [VCRYPTO_CIPHER_AES_XTS] = {16, 16}};

	op->kind = p->chain ? OP_CHAIN : OP_CIPHER;
	op->block_mask = cipher_block_mask(p->algorithm);
	if (p->algorithm < vc_array_size(iv)) {
		op->iv_min = iv[p->algorithm][0];
		op->iv_max = iv[p->algorithm][1];
	} else {
		op->iv_max = VCRYPTO_MAX_IV;
	}
	op->request.header.opcode =
		op->decrypt ? VIRTIO_CRYPTO_CIPHER_DECRYPT : VIRTIO_CRYPTO_CIPHER_ENCRYPT;
	op->request.u.sym.op_type =
		p->chain ? VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING : VIRTIO_CRYPTO_SYM_OP_CIPHER;
}

static uint16_t full_tag_len(enum vcrypto_service service, unsigned int algorithm)
{
	static const uint8_t hash[] = {0, 16, 20, 28, 32, 48, 64, 28, 32, 48, 64};

	if (service == VCRYPTO_SERVICE_AEAD)
		return 16;
	if (service == VCRYPTO_SERVICE_HASH)
		return algorithm < vc_array_size(hash) ? hash[algorithm] : 0;
	/* HMACs have the numbers of their hashes, as far as SHA-512. */
	return algorithm <= VCRYPTO_MAC_HMAC_SHA512 ? hash[algorithm] : 16;
}

void session_wire_describe(struct op_session *op, const struct vcrypto_session_params *p)
{
	bool plain = p->chain && !p->mac;
	unsigned int mac = plain                                  ? p->chain_hash
	                   : p->service == VCRYPTO_SERVICE_CIPHER ? p->mac
	                                                          : p->algorithm;

	op->request.header.algo = p->algorithm;
	op->request.header.flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE;
	op->decrypt = p->direction == VCRYPTO_DECRYPT;
	op->private_key = p->private_key;
	op->tag_len =
		(uint16_t)(p->tag_len
	                           ? p->tag_len
	                           : full_tag_len(plain ? VCRYPTO_SERVICE_HASH : p->service, mac));
	switch (p->service) {
	case VCRYPTO_SERVICE_CIPHER:
		session_describe_cipher(op, p);
		break;
	case VCRYPTO_SERVICE_HASH:
		op->kind = OP_HASH;
		op->request.header.opcode = VIRTIO_CRYPTO_HASH;
		break;
	case VCRYPTO_SERVICE_MAC:
		op->kind = OP_MAC;
		op->request.header.opcode = VIRTIO_CRYPTO_MAC;
		break;
	case VCRYPTO_SERVICE_AEAD:
		op->kind = OP_AEAD;
		op->iv_min = 1;
		op->iv_max = VCRYPTO_MAX_IV;
		op->request.header.opcode =
			op->decrypt ? VIRTIO_CRYPTO_AEAD_DECRYPT : VIRTIO_CRYPTO_AEAD_ENCRYPT;
		break;
	case VCRYPTO_SERVICE_AKCIPHER:
		op->kind = p->algorithm == VCRYPTO_AKCIPHER_AGREE ? OP_AGREE : OP_AKCIPHER;
		break;
	}
}

uint32_t session_wire_size(uint32_t opcode, uint64_t features)
{
	uint32_t header = sizeof(struct virtio_crypto_ctrl_header);

	if (!(features >> VIRTIO_CRYPTO_F_REVISION_1 & 1))
		return sizeof(struct virtio_crypto_op_ctrl_req);
	switch (opcode) {
	case VIRTIO_CRYPTO_CIPHER_CREATE_SESSION:
	case VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION:
		return sizeof(struct virtio_crypto_op_ctrl_req);
	case VIRTIO_CRYPTO_HASH_CREATE_SESSION:
		/* Our structure has 8 bytes of a chain's more. */
		return header + 2 * (uint32_t)sizeof(uint32_t);
	case VIRTIO_CRYPTO_MAC_CREATE_SESSION:
		return header + (uint32_t)sizeof(struct virtio_crypto_mac_session_para);
	case VIRTIO_CRYPTO_AEAD_CREATE_SESSION:
		return header + (uint32_t)sizeof(struct virtio_crypto_aead_session_para);
	default:
		return header + (uint32_t)sizeof(uint64_t); /* a destruction */
	}
}

static void request_cipher(struct virtio_crypto_op_ctrl_req *r,
                           const struct vcrypto_session_params *p)
{
	struct virtio_crypto_cipher_session_para cipher = {
		.algo = p->algorithm, .key_len = (uint32_t)p->key_len, .op = p->direction};

	if (!p->chain) {
		r->u.sym.u.cipher = cipher;
		r->u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
		return;
	}
	r->u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
	r->u.sym.u.chain.alg_chain_order =
		p->chain == VCRYPTO_CHAIN_HASH_THEN_CIPHER
			? VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER
			: VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH;
	r->u.sym.u.chain.hash_mode =
		p->mac ? VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH : VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN;
	r->u.sym.u.chain.cipher = cipher;
	/* Hashes lie where MACs do. */
	r->u.sym.u.chain.u.mac.algo = p->mac ? p->mac : p->chain_hash;
	r->u.sym.u.chain.u.mac.auth_key_len = (uint32_t)p->auth_key_len;
}

void session_wire_akcipher(struct virtio_crypto_akcipher_session_para *wire,
                           const struct vcrypto_session_params *p)
{
	wire->algo = p->algorithm;
	if (p->algorithm == VCRYPTO_AKCIPHER_AGREE) {
		wire->u.ecdsa.curve_id = p->curve;
		return;
	}
	wire->key_type = p->private_key ? VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE
	                                : VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC;
	wire->key_len = (uint32_t)p->key_len;
	if (p->algorithm == VCRYPTO_AKCIPHER_ECDSA) {
		wire->u.ecdsa.curve_id = p->curve;
	} else {
		wire->u.rsa.padding_algo = p->rsa_padding;
		wire->u.rsa.hash_algo = p->rsa_hash;
	}
}

void session_wire_request(struct virtio_crypto_op_ctrl_req *r,
                          const struct vcrypto_session_params *p, uint16_t tag_len)
{
	r->header.algo = p->algorithm;
	r->header.opcode = VIRTIO_CRYPTO_OPCODE(
		p->service, p->service == VCRYPTO_SERVICE_AKCIPHER ? 0x04 : 0x02);
	switch (p->service) {
	case VCRYPTO_SERVICE_CIPHER:
		request_cipher(r, p);
		if (p->chain)
			r->u.sym.u.chain.u.mac.hash_result_len = tag_len;
		break;
	case VCRYPTO_SERVICE_HASH:
		r->u.hash.algo = p->algorithm;
		r->u.hash.hash_result_len = tag_len;
		break;
	case VCRYPTO_SERVICE_MAC:
		r->u.mac.algo = p->algorithm;
		r->u.mac.hash_result_len = tag_len;
		r->u.mac.auth_key_len = (uint32_t)p->auth_key_len;
		break;
	case VCRYPTO_SERVICE_AEAD:
		r->u.aead.algo = p->algorithm;
		r->u.aead.key_len = (uint32_t)p->key_len;
		r->u.aead.tag_len = tag_len;
		r->u.aead.aad_len = p->aad_len;
		r->u.aead.op = p->direction;
		break;
	case VCRYPTO_SERVICE_AKCIPHER:
		session_wire_akcipher(&r->u.akcipher, p);
		break;
	}
}

bool session_wire_ok(const struct vcrypto_session_params *p, size_t room)
{
	bool directed = p->service == VCRYPTO_SERVICE_CIPHER || p->service == VCRYPTO_SERVICE_AEAD;
	bool keyed = directed || (p->service == VCRYPTO_SERVICE_AKCIPHER &&
	                          p->algorithm != VCRYPTO_AKCIPHER_AGREE);
	bool authenticated = p->service == VCRYPTO_SERVICE_MAC || (p->chain && p->mac);

	if ((unsigned int)p->service > VCRYPTO_SERVICE_AKCIPHER || p->algorithm > 63 ||
	    (unsigned int)p->chain > VCRYPTO_CHAIN_CIPHER_THEN_HASH || p->mac > 63 ||
	    p->chain_hash > 63 || p->tag_len > 64 ||
	    (p->chain && p->service != VCRYPTO_SERVICE_CIPHER))
		return false;
	if (directed && p->direction != VCRYPTO_ENCRYPT && p->direction != VCRYPTO_DECRYPT)
		return false;
	if (keyed != (p->key && p->key_len) || (p->auth_key_len && !p->auth_key) ||
	    (!authenticated && p->auth_key_len))
		return false;
	return p->key_len <= room && p->auth_key_len <= room - p->key_len;
}
