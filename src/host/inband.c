/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-band sessions: see inband.h. Trusts no byte of the chain.
 *
 * OUT: a data request's header of which only the opcode counts, padded to 72 bytes whatever was
 * negotiated; then, for CREATE and DESTROY, what the control queue would get. IN: what the control
 * queue would answer, and the status byte that ends every data request.
 */
#include "host/inband.h"

#include <vcrypto/inband.h>

#include "host/agree.h"
#include "host/control.h"

#define ENVELOPE ((uint32_t)sizeof(struct virtio_crypto_op_data_req))

static_assert(sizeof(struct vcrypto_inband_hello) == 72, "hello");
static_assert(sizeof(((struct vcrypto_inband_hello *)0)->config) ==
                      sizeof(struct virtio_crypto_config),
              "configuration in hello");
static_assert(VCRYPTO_SESSION_ID_TAG == VCRYPTO_SESSION_TAG, "tag");

uint32_t inband_opcode(const struct vring_chain *chain)
{
	struct stream out = stream_out(chain);
	uint32_t opcode = 0;

	if (!chain->in || chain->out_len < ENVELOPE)
		return 0;
	stream_read(&out, &opcode, sizeof(opcode));
	stream_settle(&opcode);
	/* Data requests like any other, which have been looked at as such. */
	if (agree_is_opcode(opcode))
		return 0;
	return opcode >> 16 == VCRYPTO_INBAND_PREFIX ? opcode : 0;
}

/* The first n bytes of IN, if there are so many ahead of the status byte. */
static bool answer(const struct vring_chain *chain, const void *bytes, uint32_t n,
                   uint32_t *answered)
{
	struct stream in = stream_in(chain);

	if (chain->in_len <= n)
		return false;
	stream_write(&in, bytes, n);
	*answered = n;
	return true;
}

static uint32_t agree_curves(const struct inband_context *context)
{
	uint32_t curves = 0;

	for (unsigned int i = 0; i < AGREE_CURVES; i++) {
		struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		                                .akcipher = VCRYPTO_INBAND_AGREE,
		                                .curve = agree_curves_known[i].number};

		if (context->can && context->can(context->can_context, &params))
			curves |= 1u << params.curve;
	}
	return curves;
}

static uint8_t hello(const struct vring_chain *chain, const struct inband_context *context,
                     uint32_t *answered)
{
	struct vcrypto_inband_hello h = {.version = VCRYPTO_INBAND_VERSION,
	                                 .agree_curves = agree_curves(context)};
	uint32_t room = vc_min(chain->in_len - 1, (uint32_t)sizeof(h));

	memcpy(h.config, &context->config, sizeof(h.config));
	if (room < sizeof(h.version))
		return VIRTIO_CRYPTO_ERR;
	return answer(chain, &h, room, answered) ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR;
}

/* out: at the keys. */
static uint8_t create(const struct vring_chain *chain, struct stream *out,
                      const struct virtio_crypto_op_ctrl_req *req,
                      const struct inband_context *context, uint32_t *answered)
{
	struct virtio_crypto_session_input input = {0};
	uint32_t keys_len = chain->out_len - ENVELOPE - CONTROL_HEADER_SIZE;
	uint8_t status;

	/* A session whose identifier cannot be told is not made. */
	if (!control_is_create(req->header.opcode) || chain->in_len <= sizeof(input))
		return VIRTIO_CRYPTO_ERR;
	status = control_create(req, out, keys_len, context->sessions, context->can,
	                        context->can_context, &input.session_id);
	input.status = status;
	answer(chain, &input, sizeof(input), answered);
	return status;
}

uint8_t inband_handle(uint32_t opcode, const struct vring_chain *chain,
                      const struct inband_context *context, uint32_t *answered,
                      struct session **removed)
{
	struct stream out = stream_out(chain);
	struct virtio_crypto_op_ctrl_req req = {0};

	*answered = 0;
	*removed = NULL;
	if (opcode == VCRYPTO_INBAND_HELLO)
		return hello(chain, context, answered);
	if (opcode != VCRYPTO_INBAND_CREATE && opcode != VCRYPTO_INBAND_DESTROY)
		return VIRTIO_CRYPTO_NOTSUPP;
	if (chain->out_len < ENVELOPE + CONTROL_HEADER_SIZE)
		return VIRTIO_CRYPTO_ERR;
	stream_skip(&out, ENVELOPE);
	stream_read(&out, &req, CONTROL_HEADER_SIZE);
	stream_settle(&req);
	if (opcode == VCRYPTO_INBAND_CREATE)
		return create(chain, &out, &req, context, answered);
	if (!control_is_destroy(req.header.opcode))
		return VIRTIO_CRYPTO_ERR;
	return control_destroy(&req, context->sessions, removed);
}
