/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages: a state machine over a non-blocking socket.
 *
 * Main thread. The peer is hostile: it may send a byte at a time, descriptors anywhere and in any
 * number, sizes that lie. Nothing here blocks, and nothing is kept of a message that is refused.
 */
#include "host/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/secmem.h"
#include "base/util.h"

void message_init(struct message *message)
{
	memset(message, 0, sizeof(*message));
}

int message_take_fd(struct message *message, unsigned int i)
{
	int fd = message->fds[i];

	message->fds[i] = -1;
	return fd;
}

void message_reset(struct message *message)
{
	for (unsigned int i = 0; i < message->nfds; i++) {
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	}
	secmem_wipe(message->payload, vc_min(message->header.size, sizeof(message->payload)));
	memset(&message->header, 0, sizeof(message->header));
	message->received = 0;
	message->nfds = 0;
}

/* Read at most size bytes. Bytes, 0 when there are none now, -errno. */
static long read_some(struct message *message, int socket, void *data, size_t size)
{
	unsigned int nfds = MESSAGE_MAX_FDS - message->nfds;
	long n;

	do {
		n = unix_recv_fds(socket, data, size, message->fds + message->nfds, &nfds,
		                  MSG_DONTWAIT);
	} while (n == -EINTR);
	if (n == -EAGAIN)
		return 0;
	if (n == 0)
		return message->received ? -EPROTO : -EPIPE;
	if (n < 0)
		return n;
	message->nfds += nfds;
	message->received += (size_t)n;
	return n;
}

static bool header_ok(const struct vhost_user_header *header, message_size_fn *size_ok)
{
	if ((header->flags & VHOST_USER_FLAG_VERSION_MASK) != VHOST_USER_VERSION)
		return false;
	/* We send no requests, so nobody has anything to answer. */
	if (header->flags & VHOST_USER_FLAG_REPLY)
		return false;
	return header->size <= MESSAGE_MAX_PAYLOAD && size_ok(header);
}

int message_read(struct message *message, int socket, message_size_fn *size_ok)
{
	long n;

	while (message->received < VHOST_USER_HEADER_SIZE) {
		n = read_some(message, socket, (uint8_t *)&message->header + message->received,
		              VHOST_USER_HEADER_SIZE - message->received);
		if (n <= 0)
			return (int)n;
		if (message->received < VHOST_USER_HEADER_SIZE)
			continue;
		if (!header_ok(&message->header, size_ok)) {
			message->header.size = 0; /* nothing of it was read */
			return -EPROTO;
		}
	}

	size_t total = VHOST_USER_HEADER_SIZE + message->header.size;

	while (message->received < total) {
		size_t at = message->received - VHOST_USER_HEADER_SIZE;

		n = read_some(message, socket, message->payload + at, total - message->received);
		if (n <= 0)
			return (int)n;
	}
	return 1;
}

int message_reply(int socket, uint32_t request, const void *payload, size_t size, int fd)
{
	uint8_t buffer[VHOST_USER_HEADER_SIZE + MESSAGE_MAX_PAYLOAD];
	struct vhost_user_header header = {
		.request = request,
		.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY,
		.size = (uint32_t)size,
	};

	if (size > MESSAGE_MAX_PAYLOAD)
		return -EMSGSIZE;
	memcpy(buffer, &header, VHOST_USER_HEADER_SIZE);
	if (size)
		memcpy(buffer + VHOST_USER_HEADER_SIZE, payload, size);

	/* A front end waits for each answer, so that there is always room for one. */
	long n = unix_send_fds(socket, buffer, VHOST_USER_HEADER_SIZE + size, &fd, fd >= 0,
	                       MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n == -EAGAIN)
		return -EIO;
	if (n < 0)
		return (int)n;
	return (size_t)n == VHOST_USER_HEADER_SIZE + size ? 0 : -EIO;
}
