/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions made and destroyed by requests on control and data queues (control.c, inband.c,
 * session_params.c, der.c), several in a row on one small table.
 */
#include <stdlib.h>
#include <string.h>
#include <vcrypto/inband.h>

#include "chain.h"
#include "change.h"
#include "fuzz.h"
#include "host/control.h"
#include "host/inband.h"
#include "keys.h"

#define REQUESTS_MAX 6
#define MAX_SESSIONS 3

static struct session_table *table;

/* Some are beyond what the device's resources can do. */
static bool can(void *context, const struct session_params *params)
{
	const uint8_t *refuse = context;

	fuzz_touch_read(params->key, params->key_len);
	fuzz_touch_read(params->auth_key, params->auth_key_len);
	return !(*refuse & 0x10) || params->service != (*refuse & 7);
}

static void removed_check(struct session *removed)
{
	if (!removed)
		return;
	fuzz_check(!session_get(table, removed->id));
	session_release(removed);
}

static void on_control_queue(const struct vring_chain *chain, uint8_t *flags)
{
	struct session *removed = NULL;
	uint32_t written = control_handle(chain, *flags >> 3 & 1, table, can, flags, &removed);

	fuzz_check(written <= chain->in_len && (written || !chain->in));
	removed_check(removed);
}

static void in_band(const struct vring_chain *chain, uint8_t *flags)
{
	struct inband_context context = {.sessions = table, .can = can, .can_context = flags};
	struct session *removed = NULL;
	uint32_t opcode = inband_opcode(chain), answered = 0;
	uint8_t status;

	if (!opcode)
		return;
	status = inband_handle(opcode, chain, &context, &answered, &removed);
	fuzz_check(status <= VIRTIO_CRYPTO_KEY_REJECTED && answered < chain->in_len);
	removed_check(removed);
}

/* Replace a session's id in a request of destruction by a live one: nobody guesses one. */
static void id_set(const struct vring_chain *chain, uint32_t at)
{
	const struct session *session;
	uint32_t cursor = 0;

	session = session_table_next(table, &cursor);
	if (session && chain->out && chain->segment[0].len >= at + 8)
		memcpy(chain->segment[0].base + at, &session->id, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	table = session_table_new(MAX_SESSIONS);
	fuzz_check(table);
	for (unsigned int i = 0; i < REQUESTS_MAX && in.left; i++) {
		uint8_t flags = input_u8(&in);
		struct fuzz_chain chain;

		changes_begin(&in);
		fuzz_chain_make(&chain, &in);
		if (flags & 0x40)
			id_set(chain.chain, flags & 0x80 ? 72 + 16 : 16);
		if (flags & 0x80)
			in_band(chain.chain, &flags);
		else
			on_control_queue(chain.chain, &flags);
		changes_end();
		fuzz_chain_free(&chain);
		fuzz_check(session_table_count(table) <= MAX_SESSIONS);
	}
	session_table_free(table);
	return 0;
}

/* ---- seeds ---- */

/* A request with its keys, as it is and in an envelope. */
static void request_put(struct seed *seed, unsigned int flags, uint32_t envelope,
                        const struct virtio_crypto_op_ctrl_req *req, const uint8_t *keys,
                        size_t keys_len, unsigned int in)
{
	size_t out = sizeof(*req) + keys_len + (envelope ? 72 : 0);

	seed_u8(seed, flags | (envelope ? 0x80 : 0));
	seed_u8(seed, 0); /* no changes */
	seed_u8(seed, 2);
	seed_u8(seed, 1);
	seed_u16(seed, (unsigned int)(out - keys_len / 2));
	seed_u16(seed, (unsigned int)(keys_len / 2));
	seed_u16(seed, in + (envelope ? 1 : 0));
	if (envelope) {
		struct virtio_crypto_op_data_req header = {.header.opcode = envelope};

		seed_bytes(seed, &header, sizeof(header));
	}
	seed_bytes(seed, req, sizeof(*req));
	seed_bytes(seed, keys, keys_len);
}

static void create_save(const char *what, const struct virtio_crypto_op_ctrl_req *req,
                        const uint8_t *keys, size_t keys_len)
{
	struct virtio_crypto_op_ctrl_req destroy = {.header.opcode = req->header.opcode + 1};

	for (unsigned int variant = 0; variant < 3; variant++) {
		struct seed seed = {0};
		char name[48];

		request_put(&seed, variant == 2 ? 0x10 | req->header.opcode >> 8 : 0,
		            variant == 1 ? VCRYPTO_INBAND_CREATE : 0, req, keys, keys_len, 16);
		request_put(&seed, 0x40, variant == 1 ? VCRYPTO_INBAND_DESTROY : 0, &destroy, NULL,
		            0, 1);
		snprintf(name, sizeof(name), "%s-%u", what, variant);
		seed_save(name, seed.bytes, seed.size);
	}
}

void fuzz_seeds(void)
{
	static uint8_t keys[FUZZ_KEY_MAX];
	struct virtio_crypto_op_ctrl_req req = {.header.opcode =
	                                                VIRTIO_CRYPTO_CIPHER_CREATE_SESSION};
	struct seed hello = {0};

	req.u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
	req.u.sym.u.cipher.algo = VIRTIO_CRYPTO_CIPHER_AES_CBC;
	req.u.sym.u.cipher.key_len = 16;
	req.u.sym.u.cipher.op = VIRTIO_CRYPTO_OP_ENCRYPT;
	create_save("cipher", &req, keys, 16);

	req.u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
	req.u.sym.u.chain.alg_chain_order = VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH;
	req.u.sym.u.chain.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH;
	req.u.sym.u.chain.cipher =
		(struct virtio_crypto_cipher_session_para){VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 1, 0};
	req.u.sym.u.chain.u.mac =
		(struct virtio_crypto_mac_session_para){VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20, 20, 0};
	create_save("chain", &req, keys, 36);

	req = (struct virtio_crypto_op_ctrl_req){.header.opcode = VIRTIO_CRYPTO_HASH_CREATE_SESSION,
	                                         .u.hash = {VIRTIO_CRYPTO_HASH_SHA_256, 32, {0}}};
	create_save("hash", &req, NULL, 0);
	req = (struct virtio_crypto_op_ctrl_req){
		.header.opcode = VIRTIO_CRYPTO_MAC_CREATE_SESSION,
		.u.mac = {VIRTIO_CRYPTO_MAC_HMAC_SHA_512, 64, 100, 0}};
	create_save("mac", &req, keys, 100);
	req = (struct virtio_crypto_op_ctrl_req){
		.header.opcode = VIRTIO_CRYPTO_AEAD_CREATE_SESSION,
		.u.aead = {VIRTIO_CRYPTO_AEAD_GCM, 32, 16, 13, VIRTIO_CRYPTO_OP_DECRYPT, 0}};
	create_save("aead", &req, keys, 32);

	req = (struct virtio_crypto_op_ctrl_req){
		.header.opcode = VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION,
		.u.akcipher = {.algo = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                       .key_type = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC}};
	req.u.akcipher.key_len = (uint32_t)fuzz_rsa_public(keys, 1024);
	create_save("rsa-public", &req, keys, req.u.akcipher.key_len);
	req.u.akcipher.key_type = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE;
	req.u.akcipher.key_len = (uint32_t)fuzz_rsa_private(keys, 512);
	create_save("rsa-private", &req, keys, req.u.akcipher.key_len);

	req.u.akcipher = (struct virtio_crypto_akcipher_session_para){
		.algo = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
		.key_type = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC,
		.u.ecdsa.curve_id = VIRTIO_CRYPTO_CURVE_NIST_P256};
	req.u.akcipher.key_len = (uint32_t)fuzz_ec_public(keys, 32);
	create_save("ecdsa-public", &req, keys, req.u.akcipher.key_len);
	req.u.akcipher.key_type = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE;
	req.u.akcipher.key_len = (uint32_t)fuzz_ec_private(keys, 32);
	create_save("ecdsa-private", &req, keys, req.u.akcipher.key_len);

	request_put(&hello, 0, VCRYPTO_INBAND_HELLO, &req, NULL, 0, 64);
	seed_save("hello", hello.bytes, hello.size);
}
