/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-crypto on the wire (virtio 1.3, section 5.9 "Crypto Device").
 *
 * Layout only, no code. Little-endian. Do not include <linux/virtio_crypto.h> beside this file:
 * the names of the constants are the specification's, and so the same.
 */
#ifndef VC_WIRE_VIRTIO_CRYPTO_H
#define VC_WIRE_VIRTIO_CRYPTO_H

#include <assert.h>
#include <stdint.h>

#define VIRTIO_ID_CRYPTO 20

/* Feature bits (5.9.3). */
#define VIRTIO_CRYPTO_F_REVISION_1 0
#define VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE 1
#define VIRTIO_CRYPTO_F_HASH_STATELESS_MODE 2
#define VIRTIO_CRYPTO_F_MAC_STATELESS_MODE 3
#define VIRTIO_CRYPTO_F_AEAD_STATELESS_MODE 4
#define VIRTIO_CRYPTO_F_AKCIPHER_STATELESS_MODE 5
/* All of them; and those that need REVISION_1, one for each service in its order. */
#define VIRTIO_CRYPTO_FEATURES 0x3fu
#define VIRTIO_CRYPTO_FEATURES_STATELESS 0x3eu

/* Services; bit numbers in crypto_services, and bits 8.. of opcodes. */
enum virtio_crypto_service {
	VIRTIO_CRYPTO_SERVICE_CIPHER = 0, /* ciphers, and ciphers chained with a hash */
	VIRTIO_CRYPTO_SERVICE_HASH = 1,
	VIRTIO_CRYPTO_SERVICE_MAC = 2,
	VIRTIO_CRYPTO_SERVICE_AEAD = 3,
	VIRTIO_CRYPTO_SERVICE_AKCIPHER = 4,
};

/* Device configuration (5.9.5). */
struct virtio_crypto_config {
	uint32_t status;
	uint32_t max_dataqueues;
	uint32_t crypto_services;
	uint32_t cipher_algo_l; /* bit n: cipher algorithm n */
	uint32_t cipher_algo_h;
	uint32_t hash_algo;
	uint32_t mac_algo_l;
	uint32_t mac_algo_h;
	uint32_t aead_algo;
	uint32_t max_cipher_key_len; /* bytes */
	uint32_t max_auth_key_len;   /* bytes */
	uint32_t akcipher_algo;
	uint64_t max_size; /* bytes of one request's variable-length part */
};

#define VIRTIO_CRYPTO_S_HW_READY 1u

/* Status of a request. */
enum virtio_crypto_status {
	VIRTIO_CRYPTO_OK = 0,
	VIRTIO_CRYPTO_ERR = 1,
	VIRTIO_CRYPTO_BADMSG = 2,
	VIRTIO_CRYPTO_NOTSUPP = 3,
	VIRTIO_CRYPTO_INVSESS = 4,
	VIRTIO_CRYPTO_NOSPC = 5,
	VIRTIO_CRYPTO_KEY_REJECTED = 6,
};

/* Algorithm identifiers (5.9.4.1 to 5.9.4.5); also bit numbers of the configuration's masks. */
enum virtio_crypto_cipher_alg {
	VIRTIO_CRYPTO_NO_CIPHER = 0,
	VIRTIO_CRYPTO_CIPHER_ARC4 = 1,
	VIRTIO_CRYPTO_CIPHER_AES_ECB = 2,
	VIRTIO_CRYPTO_CIPHER_AES_CBC = 3,
	VIRTIO_CRYPTO_CIPHER_AES_CTR = 4,
	VIRTIO_CRYPTO_CIPHER_DES_ECB = 5,
	VIRTIO_CRYPTO_CIPHER_DES_CBC = 6,
	VIRTIO_CRYPTO_CIPHER_3DES_ECB = 7,
	VIRTIO_CRYPTO_CIPHER_3DES_CBC = 8,
	VIRTIO_CRYPTO_CIPHER_3DES_CTR = 9,
	VIRTIO_CRYPTO_CIPHER_KASUMI_F8 = 10,
	VIRTIO_CRYPTO_CIPHER_SNOW3G_UEA2 = 11,
	VIRTIO_CRYPTO_CIPHER_AES_F8 = 12,
	VIRTIO_CRYPTO_CIPHER_AES_XTS = 13,
	VIRTIO_CRYPTO_CIPHER_ZUC_EEA3 = 14,
};

enum virtio_crypto_hash_alg {
	VIRTIO_CRYPTO_NO_HASH = 0,
	VIRTIO_CRYPTO_HASH_MD5 = 1,
	VIRTIO_CRYPTO_HASH_SHA1 = 2,
	VIRTIO_CRYPTO_HASH_SHA_224 = 3,
	VIRTIO_CRYPTO_HASH_SHA_256 = 4,
	VIRTIO_CRYPTO_HASH_SHA_384 = 5,
	VIRTIO_CRYPTO_HASH_SHA_512 = 6,
	VIRTIO_CRYPTO_HASH_SHA3_224 = 7,
	VIRTIO_CRYPTO_HASH_SHA3_256 = 8,
	VIRTIO_CRYPTO_HASH_SHA3_384 = 9,
	VIRTIO_CRYPTO_HASH_SHA3_512 = 10,
	VIRTIO_CRYPTO_HASH_SHA3_SHAKE128 = 11,
	VIRTIO_CRYPTO_HASH_SHA3_SHAKE256 = 12,
};

enum virtio_crypto_mac_alg {
	VIRTIO_CRYPTO_NO_MAC = 0,
	VIRTIO_CRYPTO_MAC_HMAC_MD5 = 1,
	VIRTIO_CRYPTO_MAC_HMAC_SHA1 = 2,
	VIRTIO_CRYPTO_MAC_HMAC_SHA_224 = 3,
	VIRTIO_CRYPTO_MAC_HMAC_SHA_256 = 4,
	VIRTIO_CRYPTO_MAC_HMAC_SHA_384 = 5,
	VIRTIO_CRYPTO_MAC_HMAC_SHA_512 = 6,
	VIRTIO_CRYPTO_MAC_CMAC_3DES = 25,
	VIRTIO_CRYPTO_MAC_CMAC_AES = 26,
	VIRTIO_CRYPTO_MAC_KASUMI_F9 = 27,
	VIRTIO_CRYPTO_MAC_SNOW3G_UIA2 = 28,
	VIRTIO_CRYPTO_MAC_GMAC_AES = 41,
	VIRTIO_CRYPTO_MAC_GMAC_TWOFISH = 42,
	VIRTIO_CRYPTO_MAC_CBCMAC_AES = 49,
	VIRTIO_CRYPTO_MAC_CBCMAC_KASUMI_F9 = 50,
	VIRTIO_CRYPTO_MAC_XCBC_AES = 53,
	VIRTIO_CRYPTO_MAC_ZUC_EIA3 = 54,
};

enum virtio_crypto_aead_alg {
	VIRTIO_CRYPTO_NO_AEAD = 0,
	VIRTIO_CRYPTO_AEAD_GCM = 1,
	VIRTIO_CRYPTO_AEAD_CCM = 2,
	VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305 = 3,
};

/* Linux's header has DSA (which the specification has not) as 2 and ECDSA as 3. */
enum virtio_crypto_akcipher_alg {
	VIRTIO_CRYPTO_NO_AKCIPHER = 0,
	VIRTIO_CRYPTO_AKCIPHER_RSA = 1,
	VIRTIO_CRYPTO_AKCIPHER_ECDSA = 2,
	VIRTIO_CRYPTO_AKCIPHER_ECDSA_LINUX = 3,
};

/* Direction of a session. */
#define VIRTIO_CRYPTO_OP_ENCRYPT 1
#define VIRTIO_CRYPTO_OP_DECRYPT 2

/* What a symmetric session or request is. */
#define VIRTIO_CRYPTO_SYM_OP_NONE 0
#define VIRTIO_CRYPTO_SYM_OP_CIPHER 1
#define VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING 2

#define VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER 1
#define VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH 2

#define VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN 1
#define VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH 2
#define VIRTIO_CRYPTO_SYM_HASH_MODE_NESTED 3

#define VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC 1
#define VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE 2

#define VIRTIO_CRYPTO_RSA_RAW_PADDING 0
#define VIRTIO_CRYPTO_RSA_PKCS1_PADDING 1

/* The hash of an RSA PKCS#1 session: its DigestInfo prefix. */
enum virtio_crypto_rsa_hash {
	VIRTIO_CRYPTO_RSA_NO_HASH = 0,
	VIRTIO_CRYPTO_RSA_MD2 = 1,
	VIRTIO_CRYPTO_RSA_MD3 = 2,
	VIRTIO_CRYPTO_RSA_MD4 = 3,
	VIRTIO_CRYPTO_RSA_MD5 = 4,
	VIRTIO_CRYPTO_RSA_SHA1 = 5,
	VIRTIO_CRYPTO_RSA_SHA256 = 6,
	VIRTIO_CRYPTO_RSA_SHA384 = 7,
	VIRTIO_CRYPTO_RSA_SHA512 = 8,
	VIRTIO_CRYPTO_RSA_SHA224 = 9,
};

#define VIRTIO_CRYPTO_CURVE_UNKNOWN 0
#define VIRTIO_CRYPTO_CURVE_NIST_P192 1
#define VIRTIO_CRYPTO_CURVE_NIST_P224 2
#define VIRTIO_CRYPTO_CURVE_NIST_P256 3
#define VIRTIO_CRYPTO_CURVE_NIST_P384 4
#define VIRTIO_CRYPTO_CURVE_NIST_P521 5

#define VIRTIO_CRYPTO_OPCODE(service, op) (((uint32_t)(service) << 8) | (op))

/* Data queue opcodes (5.9.7.3). */
#define VIRTIO_CRYPTO_CIPHER_ENCRYPT VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_CIPHER, 0x00)
#define VIRTIO_CRYPTO_CIPHER_DECRYPT VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_CIPHER, 0x01)
#define VIRTIO_CRYPTO_HASH VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_HASH, 0x00)
#define VIRTIO_CRYPTO_MAC VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_MAC, 0x00)
#define VIRTIO_CRYPTO_AEAD_ENCRYPT VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AEAD, 0x00)
#define VIRTIO_CRYPTO_AEAD_DECRYPT VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AEAD, 0x01)
#define VIRTIO_CRYPTO_AKCIPHER_ENCRYPT VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AKCIPHER, 0x00)
#define VIRTIO_CRYPTO_AKCIPHER_DECRYPT VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AKCIPHER, 0x01)
#define VIRTIO_CRYPTO_AKCIPHER_SIGN VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AKCIPHER, 0x02)
#define VIRTIO_CRYPTO_AKCIPHER_VERIFY VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AKCIPHER, 0x03)

/* Control queue opcodes (5.9.7.2). */
#define VIRTIO_CRYPTO_CIPHER_CREATE_SESSION VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_CIPHER, 0x02)
#define VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION                                                       \
	VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_CIPHER, 0x03)
#define VIRTIO_CRYPTO_HASH_CREATE_SESSION VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_HASH, 0x02)
#define VIRTIO_CRYPTO_HASH_DESTROY_SESSION VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_HASH, 0x03)
#define VIRTIO_CRYPTO_MAC_CREATE_SESSION VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_MAC, 0x02)
#define VIRTIO_CRYPTO_MAC_DESTROY_SESSION VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_MAC, 0x03)
#define VIRTIO_CRYPTO_AEAD_CREATE_SESSION VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AEAD, 0x02)
#define VIRTIO_CRYPTO_AEAD_DESTROY_SESSION VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AEAD, 0x03)
#define VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION                                                      \
	VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AKCIPHER, 0x04)
#define VIRTIO_CRYPTO_AKCIPHER_DESTROY_SESSION                                                     \
	VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AKCIPHER, 0x05)

/* ---- control queue ---- */

struct virtio_crypto_ctrl_header {
	uint32_t opcode;
	uint32_t algo;
	uint32_t flag;
	uint32_t queue_id; /* data queue; 0 always (QEMU uses it unchecked) */
};

struct virtio_crypto_cipher_session_para {
	uint32_t algo;
	uint32_t key_len; /* bytes; the key follows the control request */
	uint32_t op;      /* VIRTIO_CRYPTO_OP_* */
	uint32_t padding;
};

struct virtio_crypto_hash_session_para {
	uint32_t algo;
	uint32_t hash_result_len;
	uint8_t padding[8];
};

struct virtio_crypto_mac_session_para {
	uint32_t algo;
	uint32_t hash_result_len;
	uint32_t auth_key_len;
	uint32_t padding;
};

struct virtio_crypto_aead_session_para {
	uint32_t algo;
	uint32_t key_len;
	uint32_t tag_len; /* "hash_result_len" in some headers */
	uint32_t aad_len;
	uint32_t op;
	uint32_t padding;
};

struct virtio_crypto_akcipher_session_para {
	uint32_t algo;
	uint32_t key_type; /* VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_* */
	uint32_t key_len;
	union {
		struct {
			uint32_t padding_algo; /* VIRTIO_CRYPTO_RSA_*_PADDING */
			uint32_t hash_algo;    /* enum virtio_crypto_rsa_hash */
		} rsa;
		struct {
			uint32_t curve_id;
			uint32_t padding;
		} ecdsa;
	} u;
};

struct virtio_crypto_alg_chain_session_para {
	uint32_t alg_chain_order;
	uint32_t hash_mode;
	struct virtio_crypto_cipher_session_para cipher;
	union {
		struct virtio_crypto_hash_session_para hash;
		struct virtio_crypto_mac_session_para mac;
	} u;
	uint32_t aad_len;
	uint32_t padding;
};

/* Keys follow: cipher key, then authentication key (OUT); then the session input (IN). */
struct virtio_crypto_op_ctrl_req {
	struct virtio_crypto_ctrl_header header;
	union {
		struct {
			union {
				struct virtio_crypto_cipher_session_para cipher;
				struct virtio_crypto_alg_chain_session_para chain;
				uint8_t padding[48];
			} u;
			uint32_t op_type; /* VIRTIO_CRYPTO_SYM_OP_* */
			uint32_t padding;
		} sym;
		struct virtio_crypto_hash_session_para hash;
		struct virtio_crypto_mac_session_para mac;
		struct virtio_crypto_aead_session_para aead;
		struct virtio_crypto_akcipher_session_para akcipher;
		struct {
			uint64_t session_id;
		} destroy;
		uint8_t padding[56];
	} u;
};

/* The answer to a session creation; a destruction is answered by one status byte. */
struct virtio_crypto_session_input {
	uint64_t session_id;
	uint32_t status;
	uint32_t padding;
};

/* ---- data queues ---- */

#define VIRTIO_CRYPTO_FLAG_SESSION_MODE 1

struct virtio_crypto_op_header {
	uint32_t opcode;
	uint32_t algo;
	uint64_t session_id;
	uint32_t flag;
	uint32_t padding;
};

struct virtio_crypto_cipher_para {
	uint32_t iv_len;
	uint32_t src_len;
	uint32_t dst_len;
	uint32_t padding;
};

struct virtio_crypto_alg_chain_para {
	uint32_t iv_len;
	uint32_t src_len;
	uint32_t dst_len;
	uint32_t cipher_start_src_offset;
	uint32_t len_to_cipher;
	uint32_t hash_start_src_offset;
	uint32_t len_to_hash;
	uint32_t aad_len;
	uint32_t hash_result_len;
	uint32_t reserved;
};

struct virtio_crypto_hash_para {
	uint32_t src_len;
	uint32_t hash_result_len;
};

struct virtio_crypto_aead_para {
	uint32_t iv_len;
	uint32_t aad_len;
	uint32_t src_len;
	uint32_t dst_len;
	uint32_t tag_len;
	uint32_t reserved;
};

struct virtio_crypto_akcipher_para {
	uint32_t src_len;
	uint32_t dst_len;
};

/*
 * A data request in session mode: 72 bytes, then the buffers, then one status byte (IN).
 *   cipher    OUT iv, src            IN dst
 *   chain     OUT iv, src, aad       IN dst, hash result
 *   hash, mac OUT src                IN result
 *   aead      OUT iv, src, aad       IN dst
 *   akcipher  OUT src                IN dst (verify: src is signature then digest, no dst)
 * AEAD: encryption appends the tag to dst (dst_len = src_len + tag_len); decryption finds the tag
 * at the end of src (dst_len >= src_len - tag_len).
 */
struct virtio_crypto_op_data_req {
	struct virtio_crypto_op_header header;
	union {
		struct {
			union {
				struct virtio_crypto_cipher_para cipher;
				struct virtio_crypto_alg_chain_para chain;
				uint8_t padding[40];
			} u;
			uint32_t op_type; /* VIRTIO_CRYPTO_SYM_OP_* */
			uint32_t padding;
		} sym;
		struct virtio_crypto_hash_para hash;
		struct virtio_crypto_hash_para mac;
		struct virtio_crypto_aead_para aead;
		struct virtio_crypto_akcipher_para akcipher;
		uint8_t padding[48];
	} u;
};

/*
 * With VIRTIO_CRYPTO_F_REVISION_1 the fixed parameters are not padded: they are as long as the
 * structure of their opcode (sym 48, hash and mac 8, aead 24, akcipher 8; of control requests sym
 * 56, hash 8, mac 16, aead 24, akcipher 56, destroy 8).
 *
 * With VIRTIO_CRYPTO_F_<SERVICE>_STATELESS_MODE every request of that service has the parameters
 * below instead, in session mode too (VIRTIO_CRYPTO_FLAG_SESSION_MODE set; the first part then says
 * nothing). In stateless mode the keys come first of what is variable:
 *   cipher    OUT key, iv, src                 IN dst
 *   chain     OUT key, auth key, iv, aad, src  IN dst, hash result
 *   hash      OUT src                          IN result
 *   mac       OUT auth key, src                IN result
 *   aead      OUT key, iv, src, aad            IN dst
 *   akcipher  OUT key, src                     IN dst
 */
struct virtio_crypto_cipher_stateless {
	uint32_t algo;
	uint32_t key_len;
	uint32_t op; /* VIRTIO_CRYPTO_OP_* */
	uint32_t iv_len;
	uint32_t src_len;
	uint32_t dst_len;
};

struct virtio_crypto_alg_chain_stateless {
	uint32_t alg_chain_order;
	uint32_t aad_len;
	struct {
		uint32_t algo;
		uint32_t key_len;
		uint32_t op;
	} cipher;
	struct {
		uint32_t algo; /* of hashes or MACs, as the mode says */
		uint32_t auth_key_len;
		uint32_t hash_mode;
	} hash;
	struct virtio_crypto_alg_chain_para para;
};

struct virtio_crypto_hash_stateless {
	uint32_t algo;
	struct virtio_crypto_hash_para para;
	uint32_t reserved;
};

struct virtio_crypto_mac_stateless {
	uint32_t algo;
	uint32_t auth_key_len;
	struct virtio_crypto_hash_para para;
};

struct virtio_crypto_aead_stateless {
	uint32_t algo;
	uint32_t key_len;
	uint32_t op;
	uint32_t iv_len;
	uint32_t tag_len; /* not where session mode has it */
	uint32_t aad_len;
	uint32_t src_len;
	uint32_t dst_len;
};

struct virtio_crypto_akcipher_stateless {
	struct virtio_crypto_akcipher_session_para session;
	struct virtio_crypto_akcipher_para para;
};

union virtio_crypto_data_stateless {
	struct {
		union {
			struct virtio_crypto_cipher_stateless cipher;
			struct virtio_crypto_alg_chain_stateless chain;
			uint8_t padding[72];
		} u;
		uint32_t op_type;
	} sym;
	struct virtio_crypto_hash_stateless hash;
	struct virtio_crypto_mac_stateless mac;
	struct virtio_crypto_aead_stateless aead;
	struct virtio_crypto_akcipher_stateless akcipher;
};

static_assert(sizeof(struct virtio_crypto_alg_chain_stateless) == 72, "stateless chain");
static_assert(sizeof(union virtio_crypto_data_stateless) == 76, "stateless symmetric");
static_assert(sizeof(struct virtio_crypto_hash_stateless) == 16, "stateless hash");
static_assert(sizeof(struct virtio_crypto_mac_stateless) == 16, "stateless mac");
static_assert(sizeof(struct virtio_crypto_aead_stateless) == 32, "stateless aead");
static_assert(sizeof(struct virtio_crypto_akcipher_stateless) == 28, "stateless akcipher");
static_assert(sizeof(struct virtio_crypto_config) == 56, "config");
static_assert(sizeof(struct virtio_crypto_op_ctrl_req) == 72, "control request");
static_assert(sizeof(struct virtio_crypto_alg_chain_session_para) == 48, "chain session");
static_assert(sizeof(struct virtio_crypto_session_input) == 16, "session input");
static_assert(sizeof(struct virtio_crypto_op_header) == 24, "data header");
static_assert(sizeof(struct virtio_crypto_op_data_req) == 72, "data request");

/*
 * Session ids given out by vcrypto-host: tag in bits 48-63, generation in 24-47, slot in 0-23.
 */
#define VCRYPTO_SESSION_TAG 0x5643ull
#define VCRYPTO_SESSION_ID(gen, slot)                                                              \
	(VCRYPTO_SESSION_TAG << 48 | ((uint64_t)(gen)&0xffffff) << 24 | ((uint64_t)(slot)&0xffffff))

#endif
