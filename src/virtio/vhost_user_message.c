/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages of a front end; see vhost_user_message.h. What the back end answers is
 * checked for being an answer; its content is the caller's to check.
 */
#include "virtio/vhost_user_message.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/secmem.h"
#include "base/util.h"

#define PAYLOAD_MAX 1072

static const char *request_name(uint32_t request)
{
	static const char *const names[] = {
		[VHOST_USER_GET_FEATURES] = "GET_FEATURES",
		[VHOST_USER_SET_FEATURES] = "SET_FEATURES",
		[VHOST_USER_SET_OWNER] = "SET_OWNER",
		[VHOST_USER_SET_MEM_TABLE] = "SET_MEM_TABLE",
		[VHOST_USER_SET_VRING_NUM] = "SET_VRING_NUM",
		[VHOST_USER_SET_VRING_ADDR] = "SET_VRING_ADDR",
		[VHOST_USER_SET_VRING_BASE] = "SET_VRING_BASE",
		[VHOST_USER_SET_VRING_KICK] = "SET_VRING_KICK",
		[VHOST_USER_SET_VRING_CALL] = "SET_VRING_CALL",
		[VHOST_USER_SET_VRING_ERR] = "SET_VRING_ERR",
		[VHOST_USER_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
		[VHOST_USER_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
		[VHOST_USER_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
		[VHOST_USER_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
		[VHOST_USER_SET_BACKEND_REQ_FD] = "SET_BACKEND_REQ_FD",
		[VHOST_USER_GET_CONFIG] = "GET_CONFIG",
		[VHOST_USER_CREATE_CRYPTO_SESSION] = "CREATE_CRYPTO_SESSION",
		[VHOST_USER_CLOSE_CRYPTO_SESSION] = "CLOSE_CRYPTO_SESSION",
		[VHOST_USER_ADD_MEM_REG] = "ADD_MEM_REG",
		[VHOST_USER_REM_MEM_REG] = "REM_MEM_REG",
	};

	return request < vc_array_size(names) && names[request] ? names[request] : "a message";
}

/* Wait for the socket until the deadline. 0, -ETIMEDOUT, -EPIPE. */
static int socket_wait(const struct link *link, short events, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd p = {.fd = link->socket, .events = events};
		uint64_t now = clock_now_ns();
		int n = now >= deadline_ns ? 0
		                           : poll(&p, 1, (int)((deadline_ns - now) / 1000000) + 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ETIMEDOUT;
		return 0;
	}
}

static int receive_exactly(const struct link *link, void *data, size_t size, uint64_t deadline_ns)
{
	uint8_t *p = data;

	while (size) {
		ssize_t n = recv(link->socket, p, size, 0);

		if (n > 0) {
			p += n;
			size -= (size_t)n;
			continue;
		}
		if (!n || errno == ECONNRESET)
			return -EPIPE;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		int error = socket_wait(link, POLLIN, deadline_ns);

		if (error)
			return error;
	}
	return 0;
}

static int message_send(const struct link *link, const struct message *m, uint32_t flags,
                        uint64_t deadline_ns)
{
	uint8_t buffer[VHOST_USER_HEADER_SIZE + PAYLOAD_MAX];
	struct vhost_user_header header = {
		.request = m->request, .flags = VHOST_USER_VERSION | flags, .size = m->size};
	size_t size = sizeof(header) + m->size, sent = 0;
	long err = 0;

	memcpy(buffer, &header, sizeof(header));
	if (m->size)
		memcpy(buffer + sizeof(header), m->payload, m->size);
	while (sent < size && err >= 0) {
		err = unix_send_fds(link->socket, buffer + sent, size - sent, m->fds,
		                    sent ? 0 : m->nfds, MSG_NOSIGNAL);
		if (err > 0)
			sent += (size_t)err;
		if (err == -EAGAIN)
			err = socket_wait(link, POLLOUT, deadline_ns);
	}
	/* There may have been keys in it. */
	secmem_wipe(buffer, size);
	if (err < 0)
		return err == -ECONNRESET ? -EPIPE : (int)err;
	return 0;
}

static int reply_receive(const struct link *link, uint32_t request, void *reply, uint32_t size,
                         uint64_t deadline_ns)
{
	struct vhost_user_header header;
	int error = receive_exactly(link, &header, sizeof(header), deadline_ns);

	if (error)
		return error;
	if (header.request != request || !(header.flags & VHOST_USER_FLAG_REPLY) ||
	    header.size != size)
		return -EPROTO;
	return receive_exactly(link, reply, size, deadline_ns);
}

int link_ask(struct link *link, const struct message *m, uint32_t flags, void *reply, uint32_t size,
             struct transport_error *error)
{
	uint64_t deadline_ns = clock_now_ns() + link->timeout_ms * 1000000ull;
	int err = link->broken ? -EPIPE : message_send(link, m, flags, deadline_ns);

	if (!err && size)
		err = reply_receive(link, m->request, reply, size, deadline_ns);
	if (!err)
		return 0;
	link->broken = true;
	if (err == -ETIMEDOUT)
		transport_error_set(error, "the back end did not answer %s within %u ms",
		                    request_name(m->request), link->timeout_ms);
	else if (err == -EPIPE)
		transport_error_set(error, "the back end hung up at %s", request_name(m->request));
	else if (err == -EPROTO)
		transport_error_set(error, "the back end's answer to %s is not one",
		                    request_name(m->request));
	else
		transport_error_set(error, "%s: %s", request_name(m->request), strerror(-err));
	return err;
}

int link_tell(struct link *link, const struct message *m, struct transport_error *error)
{
	bool ack = link->protocol & (1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK);
	uint64_t refused = 0;
	int err = link_ask(link, m, ack ? VHOST_USER_FLAG_NEED_REPLY : 0, &refused,
	                   ack ? sizeof(refused) : 0, error);

	if (err || !refused)
		return err;
	transport_error_set(error, "the back end refused %s", request_name(m->request));
	return -EREMOTEIO;
}

int link_get_u64(struct link *link, uint32_t request, uint64_t *value,
                 struct transport_error *error)
{
	struct message m = {.request = request};

	return link_ask(link, &m, 0, value, sizeof(*value), error);
}

int link_set_u64(struct link *link, uint32_t request, uint64_t value, struct transport_error *error)
{
	struct message m = {.request = request, .payload = &value, .size = sizeof(value)};

	return link_tell(link, &m, error);
}

int link_set_state(struct link *link, uint32_t request, unsigned int index, uint32_t num,
                   struct transport_error *error)
{
	struct vhost_user_vring_state state = {.index = index, .num = num};
	struct message m = {.request = request, .payload = &state, .size = sizeof(state)};

	return link_tell(link, &m, error);
}

int link_set_fd(struct link *link, uint32_t request, unsigned int index, int fd,
                struct transport_error *error)
{
	uint64_t value = index;
	struct message m = {.request = request,
	                    .payload = &value,
	                    .size = sizeof(value),
	                    .fds = &fd,
	                    .nfds = 1};

	return link_tell(link, &m, error);
}
