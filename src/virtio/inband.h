/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-band sessions (<vcrypto/inband.h>, docs/in-band.md): control requests on data queue 0.
 *
 * The queue then has two users: its thread, and whoever makes a session. Both go through the
 * functions here, which lock the queue. What the one finds in the ring and is the other's is kept
 * for it.
 */
#ifndef VC_VIRTIO_INBAND_H
#define VC_VIRTIO_INBAND_H

#include "virtio/driver.h"

/* Find out whether the back end has it, and if so, use it from now on. Control requests must go
 * another way until now. 0; -EPROTO it has not. */
int inband_begin(struct vcrypto_device *device, bool required);
/* Only HELLO, for what it tells of key agreement; control requests go their way after it as before
 * it. 0, also where there is no such back end; -ETIMEDOUT, -EPIPE, -ENOMEM. */
int inband_ask(struct vcrypto_device *device);
/* The queues are still there. */
void inband_end(struct vcrypto_device *device);

/* The functions of a queue, for its thread. */
int inband_queue_submit(struct vcrypto_queue *queue, struct vcrypto_op *const *ops, unsigned int n);
int inband_queue_poll(struct vcrypto_queue *queue, struct vcrypto_op **ops, unsigned int n);
unsigned int inband_queue_in_flight(const struct vcrypto_queue *queue);
bool inband_queue_arm(struct vcrypto_queue *queue);
void inband_queue_disarm(struct vcrypto_queue *queue);

#endif
