/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages off and onto a socket, piece by piece, without ever waiting.
 */
#ifndef VC_HOST_MESSAGE_H
#define VC_HOST_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/vhost_user.h"

/* The longest message that we know has 1072 bytes; unknown ones may have so many. */
#define MESSAGE_MAX_PAYLOAD 2048
#define MESSAGE_MAX_FDS VHOST_USER_MAX_BASE_REGIONS

struct message {
	struct vhost_user_header header;
	size_t received; /* bytes of header and payload so far */
	int fds[MESSAGE_MAX_FDS];
	unsigned int nfds;
	_Alignas(8) uint8_t payload[MESSAGE_MAX_PAYLOAD];
};

/* Whether a payload of this size may follow such a header. */
typedef bool message_size_fn(const struct vhost_user_header *header);

/* Empty it: before the first use. Owns no descriptors then. */
void message_init(struct message *message);

/*
 * Read on. 1: the message is complete. 0: the socket has no more now. -EPIPE: the peer closed the
 * socket between two messages; -EPROTO: in the middle of one, or what it sent is no message (flags,
 * size, too many descriptors); -errno of the socket. Never reads beyond the end of the message.
 */
int message_read(struct message *message, int socket, message_size_fn *size_ok);

/* Take descriptor i out: the caller owns it. */
int message_take_fd(struct message *message, unsigned int i);

/* Close the descriptors that nobody took, wipe the payload (it may be keys), make it empty. */
void message_reset(struct message *message);

/* Answer a request; fd goes with it, unless it is -1 (not taken). 0; -EIO: the peer does not read
 * its answers; -errno of the socket. */
int message_reply(int socket, uint32_t request, const void *payload, size_t size, int fd);

#endif
