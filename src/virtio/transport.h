/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device is reached: a table of functions for each transport, vhost-user and PCI; the rings
 * and requests know nothing of it.
 *
 * All functions are called under the device's lock, but for kick, calls, alive, changed and fd.
 * They return 0 or -errno; -EPIPE (the back end hung up), -ETIMEDOUT and -EPROTO are final: the
 * device is lost. Where an answer is a refusal, error gets a sentence.
 */
#ifndef VC_VIRTIO_TRANSPORT_H
#define VC_VIRTIO_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/memory.h"
#include "virtio/ring.h"

struct transport;

/* What went wrong last, for people. */
struct transport_error {
	char text[256];
};

/* A ring as the device is to use it, and the descriptors that come with it. */
struct transport_queue {
	unsigned int index; /* in the device */
	const struct ring *ring;
	int kick_fd;                 /* out, -1 before: write to it to kick */
	int call_fd;                 /* out, -1 before: becomes readable when the device calls */
	volatile uint16_t *notify;   /* out, PCI: where to kick */
	struct transport *transport; /* out, PCI */
};

struct transport_ops {
	/* Connect and find out what the device offers; bits above 31 and device bits alike. */
	int (*open)(const char *address, unsigned int timeout_ms, struct transport **transport,
	            uint64_t *features, struct transport_error *error);
	void (*close)(struct transport *transport);
	int (*features_set)(struct transport *transport, uint64_t features,
	                    struct transport_error *error);
	/* Queues that the transport can carry, the control queue counted. */
	unsigned int (*queues_max)(struct transport *transport);
	/* The first size bytes of the device's configuration. -EOPNOTSUPP: the back end has none.
	 */
	int (*config_read)(struct transport *transport, void *config, size_t size,
	                   struct transport_error *error);
	/* NULL: as large as one wishes. */
	unsigned int (*queue_size_max)(struct transport *transport, unsigned int index);
	/* True: a stock QEMU is in between, which starts data queue 0 only, and whose control
	 * queue does less than the back end. NULL: there is none. */
	bool (*behind_qemu)(struct transport *transport);
	/* Memory for rings and buffers, from min to want bytes, that the device can reach. NULL:
	 * any, which is then added. */
	int (*region_create)(struct transport *transport, size_t min, size_t want, int hugepages,
	                     struct shared_region *region, struct transport_error *error);
	/* Memory of others may be such that it has to be copied: memory_add says -EOPNOTSUPP. */
	bool copies;
	/* guest address = our address. */
	int (*memory_add)(struct transport *transport, void *address, size_t size, int fd,
	                  uint64_t offset, struct transport_error *error);
	int (*memory_remove)(struct transport *transport, void *address, size_t size,
	                     struct transport_error *error);
	/* Set a queue up and start it. */
	int (*queue_start)(struct transport *transport, struct transport_queue *queue,
	                   struct transport_error *error);
	/* All queues are set up: the device may begin. NULL: nothing to do. */
	int (*start)(struct transport *transport, struct transport_error *error);
	/* QEMU's message that makes a session, in the layout that payload has; the answer takes its
	 * place. And the one that closes a session. */
	int (*session_create)(struct transport *transport, void *payload, uint32_t size,
	                      struct transport_error *error);
	int (*session_close)(struct transport *transport, uint64_t id,
	                     struct transport_error *error);
	/* Data path; any thread. */
	void (*kick)(const struct transport_queue *queue);
	/* Empty the queue's call_fd; how many calls there were. Any thread. NULL: an eventfd. */
	uint64_t (*calls)(const struct transport_queue *queue);
	/* Any thread; one system call. */
	bool (*alive)(struct transport *transport);
	/* Any thread: whether the configuration has changed, as alive has seen, since the last
	 * call. NULL: it never does. */
	bool (*changed)(struct transport *transport);
	int (*fd)(const struct transport *transport);
};

extern const struct transport_ops transport_vhost_user;
extern const struct transport_ops transport_pci; /* its address is one on the PCI bus */

void transport_error_set(struct transport_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
