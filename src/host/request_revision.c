/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data requests of drivers that have negotiated VIRTIO_CRYPTO_F_REVISION_1 (virtio 1.3, 5.9.7.3):
 * fixed parameters that are not padded, and, service by service, stateless mode, in which all
 * parameters and the keys come with each request. What is read becomes what session mode without
 * REVISION_1 has, and request.c does the rest. Runs in the worker. Trusts no byte of the chain.
 */
#include <errno.h>
#include <string.h>

#include "host/agree.h"
#include "host/request.h"
#include "host/stateless.h"

#define OP_SIZE ((uint32_t)sizeof(struct virtio_crypto_op_header))
#define SERVICES (VIRTIO_CRYPTO_SERVICE_AKCIPHER + 1)

/* Fixed parameters behind the header, in bytes. */
static const uint8_t session_size[SERVICES] = {
	[VIRTIO_CRYPTO_SERVICE_CIPHER] = sizeof(((struct virtio_crypto_op_data_req *)0)->u.sym),
	[VIRTIO_CRYPTO_SERVICE_HASH] = sizeof(struct virtio_crypto_hash_para),
	[VIRTIO_CRYPTO_SERVICE_MAC] = sizeof(struct virtio_crypto_hash_para),
	[VIRTIO_CRYPTO_SERVICE_AEAD] = sizeof(struct virtio_crypto_aead_para),
	[VIRTIO_CRYPTO_SERVICE_AKCIPHER] = sizeof(struct virtio_crypto_akcipher_para),
};
static const uint8_t stateless_size[SERVICES] = {
	[VIRTIO_CRYPTO_SERVICE_CIPHER] = sizeof(((union virtio_crypto_data_stateless *)0)->sym),
	[VIRTIO_CRYPTO_SERVICE_HASH] = sizeof(struct virtio_crypto_hash_stateless),
	[VIRTIO_CRYPTO_SERVICE_MAC] = sizeof(struct virtio_crypto_mac_stateless),
	[VIRTIO_CRYPTO_SERVICE_AEAD] = sizeof(struct virtio_crypto_aead_stateless),
	[VIRTIO_CRYPTO_SERVICE_AKCIPHER] = sizeof(struct virtio_crypto_akcipher_stateless),
};

/* The parameters of the request itself, as session mode has them. */
static void convert(unsigned int service, const union virtio_crypto_data_stateless *wire,
                    struct virtio_crypto_op_data_req *header)
{
	const struct virtio_crypto_cipher_stateless *cipher = &wire->sym.u.cipher;
	const struct virtio_crypto_aead_stateless *aead = &wire->aead;

	switch (service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		header->u.sym.op_type = wire->sym.op_type;
		if (wire->sym.op_type == VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING)
			header->u.sym.u.chain = wire->sym.u.chain.para;
		else
			header->u.sym.u.cipher = (struct virtio_crypto_cipher_para){
				cipher->iv_len, cipher->src_len, cipher->dst_len, 0};
		break;
	case VIRTIO_CRYPTO_SERVICE_HASH:
		header->u.hash = wire->hash.para;
		break;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		header->u.mac = wire->mac.para;
		break;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		header->u.aead = (struct virtio_crypto_aead_para){
			.iv_len = aead->iv_len,
			.aad_len = aead->aad_len,
			.src_len = aead->src_len,
			.dst_len = aead->dst_len,
			.tag_len = aead->tag_len,
		};
		break;
	default:
		header->u.akcipher = wire->akcipher.para;
		break;
	}
}

/* Bytes of keys that a request announces. */
static uint64_t announced(unsigned int service, const union virtio_crypto_data_stateless *wire)
{
	switch (service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		if (wire->sym.op_type == VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING)
			return (uint64_t)wire->sym.u.chain.cipher.key_len +
			       wire->sym.u.chain.hash.auth_key_len;
		return wire->sym.u.cipher.key_len;
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return 0;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return wire->mac.auth_key_len;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return wire->aead.key_len;
	default:
		return wire->akcipher.session.key_len;
	}
}

/* Data requests have fewer statuses than sessions: a key that is not fit is an error (5.9.7.4 on);
 * without memory, too. */
static int refusal(int error)
{
	return error == -ENOTSUP ? VIRTIO_CRYPTO_NOTSUPP : VIRTIO_CRYPTO_ERR;
}

/* The session that a request brings along; reads the keys. 0, a status, or -EAGAIN. */
static int bring_session(struct request_head *head, const struct vring_chain *chain,
                         const struct request_context *context, unsigned int service,
                         const union virtio_crypto_data_stateless *wire)
{
	uint64_t keys_len = announced(service, wire);
	struct session_params params;
	int rc;

	if (!context->stateless || keys_len > STATELESS_MAX_KEYS ||
	    keys_len > chain->out_len - head->consumed)
		return VIRTIO_CRYPTO_ERR;
	rc = session_params_from_stateless(service, wire, &params);
	if (rc < 0)
		return refusal(rc);
	stream_read(&head->out, stateless_keys(context->stateless), (uint32_t)keys_len);
	head->consumed += (uint32_t)keys_len;
	rc = stateless_get(context->stateless, &params, &head->session);
	return rc < 0 && rc != -EAGAIN ? refusal(rc) : rc;
}

static int read_stateless(struct request_head *head, const struct vring_chain *chain,
                          const struct request_context *context)
{
	const struct virtio_crypto_op_header *header = &head->header.header;
	unsigned int service = header->opcode >> 8;
	union virtio_crypto_data_stateless wire = {0};

	if (header->flag & ~(uint32_t)VIRTIO_CRYPTO_FLAG_SESSION_MODE ||
	    chain->out_len < OP_SIZE + stateless_size[service])
		return VIRTIO_CRYPTO_ERR;
	stream_read(&head->out, &wire, stateless_size[service]);
	stream_settle(&wire);
	head->consumed = OP_SIZE + stateless_size[service];
	convert(service, &wire, &head->header);
	if (!(header->flag & VIRTIO_CRYPTO_FLAG_SESSION_MODE))
		return bring_session(head, chain, context, service, &wire);
	/* Is there a key to be skipped where the session has one? It can be read either way, so
	 * that is refused. */
	if (announced(service, &wire))
		return VIRTIO_CRYPTO_ERR;
	head->session = session_get(context->sessions, header->session_id);
	return head->session ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_INVSESS;
}

/* Of our own extension: 72 bytes whatever was negotiated. */
static int read_inband(struct request_head *head, const struct vring_chain *chain,
                       const struct request_context *context)
{
	head->consumed = sizeof(head->header);
	if (chain->out_len < head->consumed)
		return VIRTIO_CRYPTO_ERR;
	stream_read(&head->out, &head->header.u, sizeof(head->header.u));
	stream_settle(&head->header.u);
	head->session = session_get(context->sessions, head->header.header.session_id);
	return head->session ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_INVSESS;
}

int request_head_read(struct request_head *head, const struct vring_chain *chain,
                      const struct request_context *context)
{
	struct virtio_crypto_op_header *header = &head->header.header;
	unsigned int service;

	memset(&head->header, 0, sizeof(head->header));
	head->out = stream_out(chain);
	if (chain->out_len < OP_SIZE)
		return VIRTIO_CRYPTO_ERR;
	stream_read(&head->out, header, OP_SIZE);
	stream_settle(header);
	if (agree_is_opcode(header->opcode))
		return read_inband(head, chain, context);
	service = header->opcode >> 8;
	if (service >= SERVICES)
		return VIRTIO_CRYPTO_NOTSUPP;
	if (context->features >> (VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE + service) & 1)
		return read_stateless(head, chain, context);
	/* Stateless mode that was not negotiated (5.9.7.3). */
	if (!(header->flag & VIRTIO_CRYPTO_FLAG_SESSION_MODE))
		return VIRTIO_CRYPTO_NOTSUPP;
	head->consumed = OP_SIZE + session_size[service];
	if (chain->out_len < head->consumed)
		return VIRTIO_CRYPTO_ERR;
	stream_read(&head->out, &head->header.u, session_size[service]);
	stream_settle(&head->header.u);
	head->session = session_get(context->sessions, header->session_id);
	return head->session ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_INVSESS;
}
