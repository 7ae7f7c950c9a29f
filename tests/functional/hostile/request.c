/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See request.h.
 */
#include "request.h"

#include <string.h>
#include <vcrypto/inband.h>

#include "../../unit/host/keys.h"
#include "base/util.h"
#include "front.h"

#define RSA_BITS 1024
#define KEYS_AT 72u
/* In a cell: the header, what is read, what is written. */
#define SRC_AT 128u
#define DST_AT 8192u

static const uint8_t key[64] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
                                0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c};

static const uint32_t service[KINDS] = {
	[KIND_CBC] = VIRTIO_CRYPTO_SERVICE_CIPHER,     [KIND_CTR] = VIRTIO_CRYPTO_SERVICE_CIPHER,
	[KIND_CHAIN] = VIRTIO_CRYPTO_SERVICE_CIPHER,   [KIND_HASH] = VIRTIO_CRYPTO_SERVICE_HASH,
	[KIND_MAC] = VIRTIO_CRYPTO_SERVICE_MAC,        [KIND_GCM_SEAL] = VIRTIO_CRYPTO_SERVICE_AEAD,
	[KIND_GCM_OPEN] = VIRTIO_CRYPTO_SERVICE_AEAD,  [KIND_RSA] = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	[KIND_AGREE] = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
};

/* 2 and 3, but for asymmetric sessions 4 and 5. */
static uint32_t create_opcode(enum session_kind kind)
{
	return VIRTIO_CRYPTO_OPCODE(service[kind], kind >= KIND_RSA ? 4 : 2);
}

uint32_t request_create(uint8_t *at, enum session_kind kind)
{
	struct virtio_crypto_op_ctrl_req req = {.header.opcode = create_opcode(kind)};
	struct virtio_crypto_cipher_session_para cipher = {
		kind == KIND_CTR ? VIRTIO_CRYPTO_CIPHER_AES_CTR : VIRTIO_CRYPTO_CIPHER_AES_CBC, 16,
		VIRTIO_CRYPTO_OP_ENCRYPT, 0};
	struct virtio_crypto_mac_session_para mac = {VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20, 20, 0};
	const uint8_t *keys = key;
	uint32_t keys_len = 16;

	switch (kind) {
	case KIND_CHAIN:
		req.u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
		req.u.sym.u.chain.alg_chain_order =
			VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH;
		req.u.sym.u.chain.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH;
		req.u.sym.u.chain.cipher = cipher;
		req.u.sym.u.chain.u.mac = mac;
		keys_len = 36;
		break;
	case KIND_HASH:
		req.u.hash.algo = VIRTIO_CRYPTO_HASH_SHA_256;
		req.u.hash.hash_result_len = 32;
		keys_len = 0;
		break;
	case KIND_MAC:
		req.u.mac = mac;
		keys_len = 20;
		break;
	case KIND_GCM_SEAL:
	case KIND_GCM_OPEN:
		req.u.aead = (struct virtio_crypto_aead_session_para){
			VIRTIO_CRYPTO_AEAD_GCM,
			16,
			16,
			13,
			kind == KIND_GCM_SEAL ? VIRTIO_CRYPTO_OP_ENCRYPT : VIRTIO_CRYPTO_OP_DECRYPT,
			0};
		break;
	case KIND_RSA:
		keys = test_rsa_private(RSA_BITS).der;
		keys_len = (uint32_t)test_rsa_private(RSA_BITS).len;
		req.u.akcipher.algo = VIRTIO_CRYPTO_AKCIPHER_RSA;
		req.u.akcipher.key_type = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE;
		req.u.akcipher.key_len = keys_len;
		break;
	case KIND_AGREE:
		req.u.akcipher.algo = VCRYPTO_INBAND_AGREE;
		req.u.akcipher.u.ecdsa.curve_id = VCRYPTO_INBAND_X25519;
		keys_len = 0;
		break;
	default:
		req.u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
		req.u.sym.u.cipher = cipher;
		break;
	}
	memcpy(at, &req, sizeof(req));
	memcpy(at + KEYS_AT, keys, keys_len);
	return KEYS_AT + keys_len;
}

uint32_t request_destroy(uint8_t *at, enum session_kind kind, uint64_t session)
{
	struct virtio_crypto_op_ctrl_req req = {.header.opcode = create_opcode(kind) + 1,
	                                        .u.destroy.session_id = session};

	memcpy(at, &req, sizeof(req));
	return sizeof(req);
}

/* What a request has beside its header. */
struct lengths {
	uint32_t out, in;
};

static struct lengths describe(struct virtio_crypto_op_data_req *req, enum session_kind kind,
                               uint32_t n)
{
	switch (kind) {
	case KIND_CBC:
	case KIND_CTR:
		req->u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
		req->u.sym.u.cipher = (struct virtio_crypto_cipher_para){16, n, n, 0};
		return (struct lengths){16 + n, n};
	case KIND_CHAIN:
		req->u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
		req->u.sym.u.chain =
			(struct virtio_crypto_alg_chain_para){16, n, n, 0, n, 0, n, 0, 20, 0};
		return (struct lengths){16 + n, n + 20};
	case KIND_HASH:
		req->u.hash = (struct virtio_crypto_hash_para){n, 32};
		return (struct lengths){n, 32};
	case KIND_MAC:
		req->u.mac = (struct virtio_crypto_hash_para){n, 20};
		return (struct lengths){n, 20};
	case KIND_GCM_SEAL:
		req->u.aead = (struct virtio_crypto_aead_para){12, 13, n, n + 16, 16, 0};
		return (struct lengths){12 + n + 13, n + 16};
	case KIND_GCM_OPEN:
		req->header.opcode = VIRTIO_CRYPTO_AEAD_DECRYPT;
		req->u.aead = (struct virtio_crypto_aead_para){12, 13, n + 16, n, 16, 0};
		return (struct lengths){12 + n + 16 + 13, n};
	case KIND_AGREE:
		req->header.opcode = n & 16 ? VCRYPTO_INBAND_DERIVE : VCRYPTO_INBAND_GENERATE;
		n = n & 16 ? 64 : 0;
		req->u.akcipher = (struct virtio_crypto_akcipher_para){n, 64};
		return (struct lengths){n, 64};
	default:
		req->header.opcode = VIRTIO_CRYPTO_AKCIPHER_SIGN;
		req->u.akcipher = (struct virtio_crypto_akcipher_para){RSA_BITS / 8, RSA_BITS / 8};
		return (struct lengths){RSA_BITS / 8, RSA_BITS / 8};
	}
}

unsigned int request_data(uint8_t *cell, uint64_t guest, enum session_kind kind, uint64_t session,
                          uint32_t length, struct virtq_desc *descs)
{
	struct virtio_crypto_op_data_req req = {
		.header.opcode = VIRTIO_CRYPTO_OPCODE(service[kind], 0),
		.header.session_id = session,
		.header.flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE,
	};
	struct lengths lengths = describe(&req, kind, length);

	memcpy(cell, &req, sizeof(req));
	/* Raw RSA: below the modulus. */
	if (kind == KIND_RSA)
		memset(cell + SRC_AT, 0, 16);
	cell[CELL_SIZE - 1] = 0xee;
	descs[0] = (struct virtq_desc){.addr = guest, .len = sizeof(req)};
	/* A descriptor of no length would be one more thing that is wrong: the header's second half
	 * instead. */
	descs[1] = (struct virtq_desc){.addr = guest + SRC_AT, .len = lengths.out};
	if (!lengths.out) {
		descs[0].len = sizeof(req) / 2;
		descs[1] = (struct virtq_desc){.addr = guest + sizeof(req) / 2,
		                               .len = sizeof(req) / 2};
	}
	descs[2] = (struct virtq_desc){
		.addr = guest + DST_AT, .len = lengths.in, .flags = VIRTQ_DESC_F_WRITE};
	descs[3] = (struct virtq_desc){
		.addr = guest + CELL_SIZE - 1, .len = 1, .flags = VIRTQ_DESC_F_WRITE};
	return 4;
}
