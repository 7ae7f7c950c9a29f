/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device is reached: a table of functions for each transport. vhost-user for now; the rings
 * and requests know nothing of it.
 *
 * All functions are called under the device's lock, but for kick, alive, changed and fd. They
 * return 0 or -errno; -EPIPE (the back end hung up), -ETIMEDOUT and -EPROTO are final: the device
 * is lost. Where an answer is a refusal, error gets a sentence.
 */
#ifndef VC_VIRTIO_TRANSPORT_H
#define VC_VIRTIO_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	int kick_fd; /* out, -1 before: write to it to kick */
	int call_fd; /* out, -1 before: becomes readable when the device calls */
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
	/* guest address = our address. */
	int (*memory_add)(struct transport *transport, void *address, size_t size, int fd,
	                  uint64_t offset, struct transport_error *error);
	int (*memory_remove)(struct transport *transport, void *address, size_t size,
	                     struct transport_error *error);
	/* Set a queue up and start it. */
	int (*queue_start)(struct transport *transport, struct transport_queue *queue,
	                   struct transport_error *error);
	/* QEMU's message that makes a session, in the layout that payload has; the answer takes its
	 * place. And the one that closes a session. */
	int (*session_create)(struct transport *transport, void *payload, uint32_t size,
	                      struct transport_error *error);
	int (*session_close)(struct transport *transport, uint64_t id,
	                     struct transport_error *error);
	/* Data path; any thread. */
	void (*kick)(const struct transport_queue *queue);
	/* Any thread; one system call. */
	bool (*alive)(struct transport *transport);
	/* Any thread: whether the configuration has changed, as alive has seen, since the last
	 * call. NULL: it never does. */
	bool (*changed)(struct transport *transport);
	int (*fd)(const struct transport *transport);
};

extern const struct transport_ops transport_vhost_user;

void transport_error_set(struct transport_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
