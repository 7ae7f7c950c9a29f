/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a control request (virtio 1.3, 5.9.7.1), for whatever carries one: the control queue
 * (control_handle() in request.h) or a data queue (inband.h). Runs in the worker.
 */
#ifndef VC_HOST_CONTROL_H
#define VC_HOST_CONTROL_H

#include "host/request.h"
#include "host/stream.h"

#define CONTROL_HEADER_SIZE ((uint32_t)sizeof(struct virtio_crypto_op_ctrl_req))

bool control_is_create(uint32_t opcode);
bool control_is_destroy(uint32_t opcode);

/* req: a private copy. out: at the keys, of which there are keys_len bytes. Returns a status; *id
 * is 0 unless that is OK. */
uint8_t control_create(const struct virtio_crypto_op_ctrl_req *req, struct stream *out,
                       uint32_t keys_len, struct session_table *table, session_can_fn *can,
                       void *context, uint64_t *id);
/* Returns a status; when that is OK, *removed has still to be dropped by the workers. */
uint8_t control_destroy(const struct virtio_crypto_op_ctrl_req *req, struct session_table *table,
                        struct session **removed);

#endif
