/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions managed on data queues (<vcrypto/inband.h>, docs/in-band.md): control requests in an
 * envelope. Runs in the worker that has the queue. No sockets, no cryptography; unit-tested and
 * fuzzed as it is.
 */
#ifndef VC_HOST_INBAND_H
#define VC_HOST_INBAND_H

#include "host/request.h"

/* What a device lends to it. */
struct inband_context {
	struct session_table *sessions;
	session_can_fn *can;
	void *can_context;
	struct virtio_crypto_config config; /* HELLO tells it */
};

/* The opcode if the chain is such a request, else 0. For chains that are no standard request. */
uint32_t inband_opcode(const struct vring_chain *chain);

/*
 * Do it. opcode: from inband_opcode(). Returns a status, which is not yet written to the chain, and
 * in *answered the bytes of IN that were, ahead of the status byte. *removed: a session that was
 * destroyed and has still to be dropped by the workers, or NULL.
 */
uint8_t inband_handle(uint32_t opcode, const struct vring_chain *chain,
                      const struct inband_context *context, uint32_t *answered,
                      struct session **removed);

#endif
