/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on memory that the device cannot reach: their data is copied into memory that it can,
 * and back. A layer on top of a queue; for that queue's thread, or under its in-band lock.
 *
 * Only where the transport says so (transport.h, copies); other queues do not know of it. Data
 * path: no malloc, no lock, no log.
 */
#ifndef VC_VIRTIO_BOUNCE_H
#define VC_VIRTIO_BOUNCE_H

#include "virtio/driver.h"

struct bounce;

/* Bytes of shared memory that serve a queue of that depth well; any number of pages will do. */
size_t bounce_bytes(unsigned int depth);
/* pool: shared memory, page aligned. copied: the regions that the device cannot reach. NULL: no
 * memory. */
struct bounce *bounce_new(struct vcrypto_queue *queue, const struct regions *copied, void *pool,
                          size_t size);
void bounce_free(struct bounce *bounce);

/* As queue_submit() and queue_poll(). */
int bounce_submit(struct bounce *bounce, struct vcrypto_op *const *ops, unsigned int n);
int bounce_poll(struct bounce *bounce, struct vcrypto_op **ops, unsigned int n);

#endif
