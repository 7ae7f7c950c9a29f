/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests as they are where VIRTIO_CRYPTO_F_REVISION_1 was negotiated (virtio 1.3, 5.9.7.3): fixed
 * parameters that are not padded, and in stateless mode those of the session with them. The thread
 * that has the queue, but for the description of a session; pure functions.
 */
#include <string.h>

#include "virtio/op.h"

#define HEADER ((uint16_t)sizeof(struct virtio_crypto_op_header))

uint16_t op_revised_size(unsigned int service, bool stateless)
{
	static const uint8_t session[] = {
		[VCRYPTO_SERVICE_CIPHER] = sizeof(((struct virtio_crypto_op_data_req *)0)->u.sym),
		[VCRYPTO_SERVICE_HASH] = sizeof(struct virtio_crypto_hash_para),
		[VCRYPTO_SERVICE_MAC] = sizeof(struct virtio_crypto_hash_para),
		[VCRYPTO_SERVICE_AEAD] = sizeof(struct virtio_crypto_aead_para),
		[VCRYPTO_SERVICE_AKCIPHER] = sizeof(struct virtio_crypto_akcipher_para),
	};
	static const uint8_t brought[] = {
		[VCRYPTO_SERVICE_CIPHER] = sizeof(((union virtio_crypto_data_stateless *)0)->sym),
		[VCRYPTO_SERVICE_HASH] = sizeof(struct virtio_crypto_hash_stateless),
		[VCRYPTO_SERVICE_MAC] = sizeof(struct virtio_crypto_mac_stateless),
		[VCRYPTO_SERVICE_AEAD] = sizeof(struct virtio_crypto_aead_stateless),
		[VCRYPTO_SERVICE_AKCIPHER] = sizeof(struct virtio_crypto_akcipher_stateless),
	};

	return (uint16_t)(HEADER + (stateless ? brought[service] : session[service]));
}

static void brought_cipher(union virtio_crypto_data_stateless *wire,
                           const struct vcrypto_session_params *p)
{
	struct virtio_crypto_alg_chain_stateless *chain = &wire->sym.u.chain;

	if (!p->chain) {
		wire->sym.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
		wire->sym.u.cipher.algo = p->algorithm;
		wire->sym.u.cipher.key_len = (uint32_t)p->key_len;
		wire->sym.u.cipher.op = p->direction;
		return;
	}
	wire->sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
	chain->alg_chain_order = p->chain == VCRYPTO_CHAIN_HASH_THEN_CIPHER
	                                 ? VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER
	                                 : VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH;
	chain->cipher.algo = p->algorithm;
	chain->cipher.key_len = (uint32_t)p->key_len;
	chain->cipher.op = p->direction;
	chain->hash.algo = p->mac ? p->mac : p->chain_hash;
	chain->hash.auth_key_len = (uint32_t)p->auth_key_len;
	chain->hash.hash_mode =
		p->mac ? VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH : VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN;
}

void op_revised_describe(struct op_brought *brought, const struct vcrypto_session_params *p)
{
	union virtio_crypto_data_stateless *wire = &brought->wire;

	memset(wire, 0, sizeof(*wire));
	brought->service = (uint8_t)p->service;
	brought->key_len = (uint32_t)(p->key_len + p->auth_key_len);
	switch (p->service) {
	case VCRYPTO_SERVICE_CIPHER:
		brought_cipher(wire, p);
		break;
	case VCRYPTO_SERVICE_HASH:
		wire->hash.algo = p->algorithm;
		break;
	case VCRYPTO_SERVICE_MAC:
		wire->mac.algo = p->algorithm;
		wire->mac.auth_key_len = (uint32_t)p->auth_key_len;
		break;
	case VCRYPTO_SERVICE_AEAD:
		wire->aead.algo = p->algorithm;
		wire->aead.key_len = (uint32_t)p->key_len;
		wire->aead.op = p->direction;
		break;
	case VCRYPTO_SERVICE_AKCIPHER:
		session_wire_akcipher(&wire->akcipher.session, p);
		break;
	}
}

/* The operation's own parameters. */
static void fill(union virtio_crypto_data_stateless *wire, unsigned int service,
                 const struct virtio_crypto_op_data_req *r)
{
	switch (service) {
	case VCRYPTO_SERVICE_CIPHER:
		if (wire->sym.op_type == VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING) {
			wire->sym.u.chain.para = r->u.sym.u.chain;
			break;
		}
		wire->sym.u.cipher.iv_len = r->u.sym.u.cipher.iv_len;
		wire->sym.u.cipher.src_len = r->u.sym.u.cipher.src_len;
		wire->sym.u.cipher.dst_len = r->u.sym.u.cipher.dst_len;
		break;
	case VCRYPTO_SERVICE_HASH:
		wire->hash.para = r->u.hash;
		break;
	case VCRYPTO_SERVICE_MAC:
		wire->mac.para = r->u.mac;
		break;
	case VCRYPTO_SERVICE_AEAD:
		wire->aead.iv_len = r->u.aead.iv_len;
		wire->aead.tag_len = r->u.aead.tag_len;
		wire->aead.aad_len = r->u.aead.aad_len;
		wire->aead.src_len = r->u.aead.src_len;
		wire->aead.dst_len = r->u.aead.dst_len;
		break;
	default:
		wire->akcipher.para = r->u.akcipher;
		break;
	}
}

void op_revised_write(struct op_slot *slot, const struct op_session *session,
                      const struct virtio_crypto_op_data_req *r)
{
	struct op_revised now = {.header = r->header};

	if (session->brought) {
		now.wire = session->brought->wire;
		fill(&now.wire, session->brought->service, r);
	} else {
		memcpy(&now.wire, &r->u, session->header_size - HEADER);
	}
	/* See struct op_slot. */
	if (memcmp(&slot->revised, &now, session->header_size) != 0)
		memcpy(&slot->revised, &now, session->header_size);
}
