/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control requests as messages of the transport: the way of QEMU's cryptodev-vhost-user, for back
 * ends that have no control queue. Any thread, under the device's lock, for as long as the back end
 * takes to answer.
 */
#include <errno.h>
#include <string.h>

#include "base/secmem.h"
#include "virtio/driver.h"
#include "wire/vhost_user.h"

/* QEMU up to 7.0 has the operation code ahead of the cipher, and the fields from there to the
 * pointers 4 bytes later; keys are where they are later too. */
#define OLD_OPCODE_AT 8
#define OLD_FIELDS_AT 12
#define FIELDS_SIZE offsetof(struct vhost_user_crypto_sym, padding)

union session_payload {
	uint8_t bytes[sizeof(struct vhost_user_crypto_session_1072)];
	struct vhost_user_crypto_session_632 short_one;
	struct vhost_user_crypto_session_1072 long_one;
};

static int sym_fill(struct vhost_user_crypto_sym *sym,
                    const struct virtio_crypto_op_ctrl_req *request, const uint8_t *keys)
{
	const struct virtio_crypto_alg_chain_session_para *chain = &request->u.sym.u.chain;
	bool chained = request->u.sym.op_type == VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
	const struct virtio_crypto_cipher_session_para *cipher =
		chained ? &chain->cipher : &request->u.sym.u.cipher;

	sym->op_type = (uint8_t)request->u.sym.op_type;
	sym->direction = (uint8_t)cipher->op;
	sym->cipher_alg = cipher->algo;
	sym->key_len = cipher->key_len;
	if (chained) {
		sym->hash_mode = (uint8_t)chain->hash_mode;
		sym->alg_chain_order = (uint8_t)chain->alg_chain_order;
		sym->hash_alg = chain->u.mac.algo;
		sym->hash_result_len = chain->u.mac.hash_result_len;
		sym->auth_key_len = chain->u.mac.auth_key_len;
		sym->add_len = chain->aad_len;
	}
	if (sym->key_len > sizeof(sym->key) || sym->auth_key_len > sizeof(sym->auth_key))
		return -EKEYREJECTED;
	memcpy(sym->key, keys, sym->key_len);
	memcpy(sym->auth_key, keys + sym->key_len, sym->auth_key_len);
	return 0;
}

static int asym_fill(struct vhost_user_crypto_asym *asym,
                     const struct virtio_crypto_akcipher_session_para *from, const uint8_t *key)
{
	asym->algo = from->algo;
	asym->key_type = from->key_type;
	asym->key_len = from->key_len;
	asym->padding_algo = from->u.rsa.padding_algo;
	asym->hash_algo = from->u.rsa.hash_algo;
	if (asym->key_len > sizeof(asym->key))
		return -EKEYREJECTED;
	memcpy(asym->key, key, asym->key_len);
	return 0;
}

/* Returns the size of the message, or -errno: the layout has no place for such a session. */
static int payload_fill(union session_payload *payload, enum vcrypto_session_way layout,
                        const struct virtio_crypto_op_ctrl_req *request, const uint8_t *keys)
{
	bool sym = request->header.opcode == VIRTIO_CRYPTO_CIPHER_CREATE_SESSION;
	bool latest = layout == VCRYPTO_SESSIONS_MESSAGE_81;
	int err = -ENOTSUP;

	memset(payload, 0, sizeof(*payload));
	if (latest) {
		payload->long_one.op_code = request->header.opcode;
		if (sym)
			err = sym_fill(&payload->long_one.u.sym, request, keys);
		else if (request->header.opcode == VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION)
			err = asym_fill(&payload->long_one.u.asym, &request->u.akcipher, keys);
		return err ? err : (int)sizeof(payload->long_one);
	}
	if (sym)
		err = sym_fill(&payload->short_one.sym, request, keys);
	if (!err && layout == VCRYPTO_SESSIONS_MESSAGE_70) {
		memmove(payload->bytes + OLD_FIELDS_AT, &payload->short_one.sym, FIELDS_SIZE);
		memcpy(payload->bytes + OLD_OPCODE_AT, &request->header.opcode,
		       sizeof(request->header.opcode));
	}
	return err ? err : (int)sizeof(payload->short_one);
}

static void create(struct vcrypto_device *device, struct control_slot *slot)
{
	enum vcrypto_session_way layout = device->sessions;
	union session_payload payload;
	int64_t id = -1;
	int n = payload_fill(&payload, layout, &slot->request, slot->keys);
	uint32_t status = n == -ENOTSUP ? VIRTIO_CRYPTO_NOTSUPP
	                  : n < 0       ? VIRTIO_CRYPTO_KEY_REJECTED
	                                : VIRTIO_CRYPTO_OK;

	if (n > 0) {
		int err = device_result(device,
		                        device->ops->session_create(device->transport, &payload,
		                                                    (uint32_t)n, &device->error));

		if (!err)
			id = layout == VCRYPTO_SESSIONS_MESSAGE_81 ? payload.long_one.session_id
			                                           : payload.short_one.session_id;
		/* Of why it refused, the back end says nothing. */
		if (id < 0)
			status = VIRTIO_CRYPTO_ERR;
	}
	secmem_wipe(&payload, sizeof(payload));
	slot->input =
		(struct virtio_crypto_session_input){.session_id = (uint64_t)id, .status = status};
}

static void message_send(struct vcrypto_device *device, unsigned int i, uint32_t out, uint32_t in)
{
	struct control_slot *slot = &device->control.slots[i];

	if (device->control.owner[i])
		create(device, slot);
	else
		device_result(device, device->ops->session_close(device->transport,
		                                                 slot->request.u.destroy.session_id,
		                                                 &device->error));
	control_answered(device, i);
}

const struct control_way control_way_message = {.send = message_send};
