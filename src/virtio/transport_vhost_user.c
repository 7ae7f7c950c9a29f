/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user: this process is the "guest", the back end is at the other end of a UNIX socket
 * (QEMU's docs/interop/vhost-user.rst). Any thread, under the device's lock.
 *
 * Every message that can fail asks for a reply (REPLY_ACK), so that a refusal is known when it
 * happens. A reply that does not come, or is not one, ends the connection for good: there is no way
 * back into step.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "virtio/transport.h"
#include "virtio/vhost_user_message.h"

#define BIT(n) (1ull << (n))
#define PROTOCOL_WANTED                                                                            \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                    \
	 BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |      \
	 BIT(VHOST_USER_PROTOCOL_F_CRYPTO_SESSION) | BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ))

struct transport {
	struct link link;
	int err_fd;          /* the back end signals here when it stops a queue */
	int watch_fd;        /* epoll: the socket's end, err_fd, or channel */
	int channel;         /* the back end's own messages; -1: it has none */
	atomic_bool changed; /* it said that the configuration has changed; any thread */
	/* Back ends without memory slots get the whole table each time, so we keep descriptors. */
	struct vhost_user_mem_table table;
	int table_fd[VHOST_USER_MAX_BASE_REGIONS];
};

void transport_error_set(struct transport_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
}

static void vu_close(struct transport *t)
{
	if (!t)
		return;
	for (unsigned int i = 0; i < t->table.nregions; i++)
		close(t->table_fd[i]);
	if (t->watch_fd >= 0)
		close(t->watch_fd);
	if (t->channel >= 0)
		close(t->channel);
	if (t->err_fd >= 0)
		close(t->err_fd);
	if (t->link.socket >= 0)
		close(t->link.socket);
	free(t);
}

static int watch_create(struct transport *t)
{
	struct epoll_event end = {.events = EPOLLRDHUP, .data.fd = t->link.socket};
	struct epoll_event err = {.events = EPOLLIN, .data.fd = -1};

	t->err_fd = event_create();
	if (t->err_fd < 0)
		return t->err_fd;
	t->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->watch_fd < 0 || epoll_ctl(t->watch_fd, EPOLL_CTL_ADD, t->link.socket, &end) < 0 ||
	    epoll_ctl(t->watch_fd, EPOLL_CTL_ADD, t->err_fd, &err) < 0)
		return -errno;
	return 0;
}

static int vu_connect(struct transport *t, const char *path, struct transport_error *error)
{
	uint64_t deadline_ns = clock_now_ns() + t->link.timeout_ms * 1000000ull;

	for (;;) {
		t->link.socket = unix_connect(path, SOCK_STREAM);
		if (t->link.socket != -EAGAIN)
			break;
		/* The listener's backlog is full, and the kernel does not tell when it is not. */
		if (clock_now_ns() > deadline_ns)
			break;
		poll(NULL, 0, 5);
	}
	if (t->link.socket >= 0)
		return 0;
	transport_error_set(error, "%s: %s", path, strerror(-t->link.socket));
	return t->link.socket == -EAGAIN ? -ETIMEDOUT : t->link.socket;
}

/* Give the back end a way to send messages of its own. The one that it may send, as far as we have
 * agreed, is that the configuration has changed. */
static int channel_open(struct transport *t, struct transport_error *error)
{
	struct message m = {.request = VHOST_USER_SET_BACKEND_REQ_FD, .nfds = 1};
	struct epoll_event event = {.events = EPOLLIN};
	int pair[2], err;

	if (!(t->link.protocol & BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ)))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	t->channel = event.data.fd = pair[0];
	m.fds = &pair[1];
	err = link_tell(&t->link, &m, error);
	close(pair[1]);
	if (!err && epoll_ctl(t->watch_fd, EPOLL_CTL_ADD, t->channel, &event) < 0)
		err = -errno;
	return err;
}

/* Whatever it says: the configuration is to be read again. */
static void channel_read(struct transport *t)
{
	uint8_t messages[256];
	ssize_t n;

	while ((n = recv(t->channel, messages, sizeof(messages), MSG_DONTWAIT)) > 0)
		atomic_store(&t->changed, true);
	/* Hung up, by itself no reason to do without the device. */
	if (!n)
		epoll_ctl(t->watch_fd, EPOLL_CTL_DEL, t->channel, NULL);
}

static int vu_negotiate(struct transport *t, uint64_t *features, struct transport_error *error)
{
	struct message owner = {.request = VHOST_USER_SET_OWNER};
	int err = link_get_u64(&t->link, VHOST_USER_GET_FEATURES, features, error);

	if (err)
		return err;
	if (!(*features & BIT(VHOST_USER_F_PROTOCOL_FEATURES))) {
		transport_error_set(error, "the back end has no vhost-user protocol features");
		return -EPROTO;
	}
	err = link_get_u64(&t->link, VHOST_USER_GET_PROTOCOL_FEATURES, &t->link.protocol, error);
	if (err)
		return err;
	t->link.protocol &= PROTOCOL_WANTED;
	/* Replies to this and what follows are there only once it has been taken: not asked. */
	struct message set = {.request = VHOST_USER_SET_PROTOCOL_FEATURES,
	                      .payload = &t->link.protocol,
	                      .size = sizeof(t->link.protocol)};

	err = link_ask(&t->link, &set, 0, NULL, 0, error);
	if (!err)
		err = link_tell(&t->link, &owner, error);
	return err ? err : channel_open(t, error);
}

static int vu_open(const char *address, unsigned int timeout_ms, struct transport **transport,
                   uint64_t *features, struct transport_error *error)
{
	struct transport *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->link.timeout_ms = timeout_ms;
	t->link.socket = t->err_fd = t->watch_fd = t->channel = -1;
	err = vu_connect(t, address, error);
	if (!err)
		err = watch_create(t);
	if (!err)
		err = vu_negotiate(t, features, error);
	if (err) {
		vu_close(t);
		return err;
	}
	*transport = t;
	return 0;
}

static int vu_features_set(struct transport *t, uint64_t features, struct transport_error *error)
{
	features |= BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	return link_set_u64(&t->link, VHOST_USER_SET_FEATURES, features, error);
}

static unsigned int vu_queues_max(struct transport *t)
{
	struct transport_error error;
	uint64_t n;

	/* Without MQ there is one queue: no control queue. */
	if (!(t->link.protocol & BIT(VHOST_USER_PROTOCOL_F_MQ)) ||
	    link_get_u64(&t->link, VHOST_USER_GET_QUEUE_NUM, &n, &error))
		return 1;
	return n > 256 ? 256 : (unsigned int)n;
}

static int vu_config_read(struct transport *t, void *config, size_t size,
                          struct transport_error *error)
{
	uint8_t request[sizeof(struct vhost_user_config_header) + VHOST_USER_CONFIG_MAX] = {0};
	uint8_t reply[sizeof(request)];
	struct vhost_user_config_header header = {.size = (uint32_t)size};
	uint32_t bytes = (uint32_t)(sizeof(header) + size);
	struct message m = {.request = VHOST_USER_GET_CONFIG, .payload = request, .size = bytes};
	int err;

	if (!(t->link.protocol & BIT(VHOST_USER_PROTOCOL_F_CONFIG))) {
		transport_error_set(error, "the back end does not give the device's configuration");
		return -EPROTO;
	}
	memcpy(request, &header, sizeof(header));
	err = link_ask(&t->link, &m, 0, reply, bytes, error);
	if (!err)
		memcpy(config, reply + sizeof(header), size);
	return err;
}

static int table_send(struct transport *t, struct transport_error *error)
{
	struct message m = {.request = VHOST_USER_SET_MEM_TABLE,
	                    .payload = &t->table,
	                    .size = (uint32_t)(8 + t->table.nregions * sizeof(t->table.regions[0])),
	                    .fds = t->table_fd,
	                    .nfds = t->table.nregions};

	return link_tell(&t->link, &m, error);
}

static int vu_memory_add(struct transport *t, void *address, size_t size, int fd, uint64_t offset,
                         struct transport_error *error)
{
	struct vhost_user_mem_reg_msg msg = {.region = {.guest_addr = (uintptr_t)address,
	                                                .size = size,
	                                                .user_addr = (uintptr_t)address,
	                                                .mmap_offset = offset}};
	unsigned int n = t->table.nregions;
	int err;

	if (t->link.protocol & BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
		struct message m = {.request = VHOST_USER_ADD_MEM_REG,
		                    .payload = &msg,
		                    .size = sizeof(msg),
		                    .fds = &fd,
		                    .nfds = 1};

		return link_tell(&t->link, &m, error);
	}
	if (n == VHOST_USER_MAX_BASE_REGIONS) {
		transport_error_set(error, "the back end takes %u memory regions at most", n);
		return -ENOSPC;
	}
	t->table_fd[n] = dup(fd);
	if (t->table_fd[n] < 0)
		return -errno;
	t->table.regions[n] = msg.region;
	t->table.nregions++;
	err = table_send(t, error);
	if (err) {
		t->table.nregions--;
		close(t->table_fd[n]);
	}
	return err;
}

static int vu_memory_remove(struct transport *t, void *address, size_t size,
                            struct transport_error *error)
{
	struct vhost_user_mem_reg_msg msg = {.region = {.guest_addr = (uintptr_t)address,
	                                                .size = size,
	                                                .user_addr = (uintptr_t)address}};
	unsigned int last = t->table.nregions - 1;

	if (t->link.protocol & BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
		struct message m = {
			.request = VHOST_USER_REM_MEM_REG, .payload = &msg, .size = sizeof(msg)};

		return link_tell(&t->link, &m, error);
	}
	for (unsigned int i = 0; i < t->table.nregions; i++) {
		if (t->table.regions[i].guest_addr != (uintptr_t)address)
			continue;
		close(t->table_fd[i]);
		t->table.regions[i] = t->table.regions[last];
		t->table_fd[i] = t->table_fd[last];
		t->table.nregions = last;
		return table_send(t, error);
	}
	return -ENOENT;
}

static int queue_describe(struct transport *t, const struct transport_queue *q,
                          struct transport_error *error)
{
	struct vhost_user_vring_addr addr = {.index = q->index};
	struct message m = {
		.request = VHOST_USER_SET_VRING_ADDR, .payload = &addr, .size = sizeof(addr)};
	int err = link_set_state(&t->link, VHOST_USER_SET_VRING_NUM, q->index, ring_size(q->ring),
	                         error);

	if (!err)
		err = link_set_state(&t->link, VHOST_USER_SET_VRING_BASE, q->index,
		                     ring_base(q->ring), error);
	if (err)
		return err;
	ring_parts(q->ring, &addr.desc, &addr.avail, &addr.used);
	return link_tell(&t->link, &m, error);
}

static int vu_queue_start(struct transport *t, struct transport_queue *q,
                          struct transport_error *error)
{
	int err;

	q->kick_fd = event_create();
	q->call_fd = event_create();
	if (q->kick_fd < 0 || q->call_fd < 0)
		return q->kick_fd < 0 ? q->kick_fd : q->call_fd;
	err = queue_describe(t, q, error);
	if (!err)
		err = link_set_fd(&t->link, VHOST_USER_SET_VRING_CALL, q->index, q->call_fd, error);
	if (!err)
		err = link_set_fd(&t->link, VHOST_USER_SET_VRING_ERR, q->index, t->err_fd, error);
	if (!err)
		err = link_set_fd(&t->link, VHOST_USER_SET_VRING_KICK, q->index, q->kick_fd, error);
	if (!err)
		err = link_set_state(&t->link, VHOST_USER_SET_VRING_ENABLE, q->index, 1, error);
	return err;
}

static int vu_session_create(struct transport *t, void *payload, uint32_t size,
                             struct transport_error *error)
{
	struct message m = {
		.request = VHOST_USER_CREATE_CRYPTO_SESSION, .payload = payload, .size = size};

	if (!(t->link.protocol & BIT(VHOST_USER_PROTOCOL_F_CRYPTO_SESSION))) {
		transport_error_set(error, "the back end makes no sessions by message");
		return -EOPNOTSUPP;
	}
	return link_ask(&t->link, &m, 0, payload, size, error);
}

/* Nobody has to wait for it. */
static int vu_session_close(struct transport *t, uint64_t id, struct transport_error *error)
{
	struct message m = {
		.request = VHOST_USER_CLOSE_CRYPTO_SESSION, .payload = &id, .size = sizeof(id)};

	return link_ask(&t->link, &m, 0, NULL, 0, error);
}

static void vu_kick(const struct transport_queue *q)
{
	event_signal(q->kick_fd);
}

static bool vu_alive(struct transport *t)
{
	struct epoll_event event[2];
	int n = epoll_wait(t->watch_fd, event, 2, 0);

	for (int i = 0; i < n; i++) {
		if (t->channel < 0 || event[i].data.fd != t->channel)
			return false;
		channel_read(t);
	}
	return true;
}

static bool vu_changed(struct transport *t)
{
	return atomic_exchange(&t->changed, false);
}

static int vu_fd(const struct transport *t)
{
	return t->watch_fd;
}

const struct transport_ops transport_vhost_user = {
	.open = vu_open,
	.close = vu_close,
	.features_set = vu_features_set,
	.queues_max = vu_queues_max,
	.config_read = vu_config_read,
	.memory_add = vu_memory_add,
	.memory_remove = vu_memory_remove,
	.queue_start = vu_queue_start,
	.session_create = vu_session_create,
	.session_close = vu_session_close,
	.kick = vu_kick,
	.alive = vu_alive,
	.changed = vu_changed,
	.fd = vu_fd,
};
