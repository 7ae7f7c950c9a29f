/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control requests (virtio 1.3, 5.9.7.1 and on): sessions made and destroyed. Runs in the worker
 * that has the control queue. Keys are copied into locked memory before they are looked at, and
 * that copy is wiped.
 */
#include <errno.h>
#include <string.h>

#include "base/secmem.h"
#include "host/control.h"

#define HEADER_SIZE CONTROL_HEADER_SIZE
/* Nothing that we accept is longer; what lies behind is not read. */
#define MAX_KEYS 8192u

bool control_is_create(uint32_t opcode)
{
	switch (opcode) {
	case VIRTIO_CRYPTO_CIPHER_CREATE_SESSION:
	case VIRTIO_CRYPTO_HASH_CREATE_SESSION:
	case VIRTIO_CRYPTO_MAC_CREATE_SESSION:
	case VIRTIO_CRYPTO_AEAD_CREATE_SESSION:
	case VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION:
		return true;
	default:
		return false;
	}
}

bool control_is_destroy(uint32_t opcode)
{
	switch (opcode) {
	case VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION:
	case VIRTIO_CRYPTO_HASH_DESTROY_SESSION:
	case VIRTIO_CRYPTO_MAC_DESTROY_SESSION:
	case VIRTIO_CRYPTO_AEAD_DESTROY_SESSION:
	case VIRTIO_CRYPTO_AKCIPHER_DESTROY_SESSION:
		return true;
	default:
		return false;
	}
}

uint8_t control_create(const struct virtio_crypto_op_ctrl_req *req, struct stream *out,
                       uint32_t keys_len, struct session_table *table, session_can_fn *can,
                       void *context, uint64_t *id)
{
	struct session_params params;
	uint8_t *keys;
	int rc;

	*id = 0;
	keys_len = vc_min(keys_len, MAX_KEYS);
	keys = secmem_alloc(keys_len + 1);
	if (!keys)
		return session_status(-ENOMEM);
	stream_read(out, keys, keys_len);
	rc = session_params_from_ctrl(req, keys, keys_len, &params);
	if (!rc)
		rc = session_create(table, &params, can, context, id);
	secmem_free(keys);
	return session_status(rc);
}

uint8_t control_destroy(const struct virtio_crypto_op_ctrl_req *req, struct session_table *table,
                        struct session **removed)
{
	struct session *session = session_get(table, req->u.destroy.session_id);

	/* The opcode names the service: a session of another one is not the one that is meant. */
	if (!session || session->params.service != req->header.opcode >> 8)
		return VIRTIO_CRYPTO_INVSESS;
	*removed = session_remove(table, req->u.destroy.session_id);
	return *removed ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_INVSESS;
}

/* Bytes of a request ahead of the keys: without REVISION_1 all have the same (virtio 1.3,
 * 5.9.7.2). */
static uint32_t request_size(uint32_t opcode, uint32_t features)
{
	uint32_t header = sizeof(struct virtio_crypto_ctrl_header);

	if (!features)
		return HEADER_SIZE;
	if (control_is_destroy(opcode))
		return header + sizeof(uint64_t);
	switch (opcode) {
	case VIRTIO_CRYPTO_HASH_CREATE_SESSION:
		/* Our structure has 8 bytes of a chain's more. */
		return header + 2 * (uint32_t)sizeof(uint32_t);
	case VIRTIO_CRYPTO_MAC_CREATE_SESSION:
		return header + (uint32_t)sizeof(struct virtio_crypto_mac_session_para);
	case VIRTIO_CRYPTO_AEAD_CREATE_SESSION:
		return header + (uint32_t)sizeof(struct virtio_crypto_aead_session_para);
	default:
		return HEADER_SIZE;
	}
}

/*
 * The statuses that the specification gives a session's creation and destruction (5.9.7.2.1). Who
 * has not negotiated REVISION_1 (Linux, and libvcrypto) is told the reason instead, by numbers that
 * its header has had all along.
 */
static uint8_t control_status(uint8_t status, uint32_t features)
{
	if (!features || status == VIRTIO_CRYPTO_OK || status == VIRTIO_CRYPTO_NOTSUPP ||
	    status == VIRTIO_CRYPTO_NOSPC)
		return status;
	return VIRTIO_CRYPTO_ERR;
}

/* The answer to a creation, and to what we do not know. */
static uint32_t answer_input(const struct vring_chain *chain, uint64_t id, uint8_t status)
{
	struct virtio_crypto_session_input input = {.session_id = id, .status = status};
	struct stream in = stream_in(chain);

	stream_write(&in, &input, sizeof(input));
	return sizeof(input);
}

static uint32_t answer_status(const struct vring_chain *chain, uint8_t status)
{
	struct stream in = stream_in(chain);

	stream_write(&in, &status, 1);
	return 1;
}

uint32_t control_handle(const struct vring_chain *chain, uint32_t features,
                        struct session_table *table, session_can_fn *can, void *can_context,
                        struct session **removed)
{
	bool has_input = chain->in_len >= sizeof(struct virtio_crypto_session_input);
	struct stream out = stream_out(chain);
	struct virtio_crypto_op_ctrl_req req = {0};
	uint32_t size = sizeof(req.header);
	uint8_t status = VIRTIO_CRYPTO_ERR;
	uint64_t id = 0;

	*removed = NULL;
	if (!chain->in)
		return 0;
	if (chain->out_len >= size) {
		stream_read(&out, &req.header, size);
		stream_settle(&req.header);
		size = request_size(req.header.opcode, features);
	}
	if (chain->out_len < size)
		return has_input ? answer_input(chain, 0, status) : answer_status(chain, status);
	stream_read(&out, &req.u, size - (uint32_t)sizeof(req.header));
	stream_settle(&req.u);

	if (control_is_destroy(req.header.opcode)) {
		status = control_destroy(&req, table, removed);
		return answer_status(chain, control_status(status, features));
	}
	if (!has_input)
		return answer_status(chain, control_is_create(req.header.opcode)
		                                    ? VIRTIO_CRYPTO_ERR
		                                    : VIRTIO_CRYPTO_NOTSUPP);
	if (!control_is_create(req.header.opcode))
		return answer_input(chain, 0, VIRTIO_CRYPTO_NOTSUPP);
	status = control_create(&req, &out, chain->out_len - size, table, can, can_context, &id);
	return answer_input(chain, id, control_status(status, features));
}
