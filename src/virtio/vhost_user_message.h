/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages of a front end: sent, and their answers waited for. Under the device's lock.
 *
 * All functions return 0 or -errno, with a sentence in error: -EPIPE (the back end hung up),
 * -ETIMEDOUT, -EPROTO (no answer, or not one) break the link for good; -EREMOTEIO, from those that
 * tell, is a refusal.
 */
#ifndef VC_VIRTIO_VHOST_USER_MESSAGE_H
#define VC_VIRTIO_VHOST_USER_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/transport.h"
#include "wire/vhost_user.h"

struct link {
	int socket;
	unsigned int timeout_ms; /* for a message and its answer */
	bool broken;             /* out of step, or hung up */
	uint64_t protocol;       /* features that were agreed on */
};

struct message {
	uint32_t request;
	const void *payload;
	uint32_t size;
	const int *fds;
	unsigned int nfds;
};

/* Send, and wait for a reply of that size (0: for none). */
int link_ask(struct link *link, const struct message *m, uint32_t flags, void *reply, uint32_t size,
             struct transport_error *error);
/* Send a message that has no reply of its own, and wait for REPLY_ACK where that was agreed on. */
int link_tell(struct link *link, const struct message *m, struct transport_error *error);

int link_get_u64(struct link *link, uint32_t request, uint64_t *value,
                 struct transport_error *error);
int link_set_u64(struct link *link, uint32_t request, uint64_t value,
                 struct transport_error *error);
int link_set_state(struct link *link, uint32_t request, unsigned int index, uint32_t num,
                   struct transport_error *error);
int link_set_fd(struct link *link, uint32_t request, unsigned int index, int fd,
                struct transport_error *error);

#endif
