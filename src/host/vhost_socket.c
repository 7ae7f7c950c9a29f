/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of a device, in either mode. Main thread.
 *
 * server: front ends come and go, one at a time. Who comes while the last one's requests are still
 * in flight waits in the listener's queue.
 *  client: a front end listens (QEMU's server=on),
 * and we connect; when there is nobody, or the connection has ended, we try again after a while,
 * which grows while nobody is there. connect(2) on a UNIX socket does not wait.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "host/vhost_connection.h"
#include "host/vhost_user.h"

/* Connections that begin sooner after the last are not logged: a loop of them would flood the log.
 */
#define LOG_PAUSE_NS UINT64_C(1000000000)
/* Between two attempts to connect. */
#define RETRY_MIN_MS 100u
#define RETRY_MAX_MS 3200u
/* A connection that lasted so long was a good one: after it we try again soon. */
#define GOOD_NS UINT64_C(5000000000)

struct vhost_socket {
	struct evloop *loop;
	struct device *device;
	bool client;
	struct connection *connection;
	uint64_t last_logged;
	/* server */
	int listener; /* -1: none */
	struct evwatch *watch;
	int reserve;  /* a descriptor to give up when accept() finds none */
	bool refused; /* a second front end has been logged */
	/* client */
	struct evwatch *retry;
	unsigned int retry_ms;
	uint64_t connected_ns;      /* the last time */
	int failed;                 /* of the attempts since, as logged */
	vhost_socket_gone_fn *gone; /* set: nobody may come any more */
	void *gone_context;
	char path[108];
};

static void retry_later(struct vhost_socket *socket);

static void on_end(void *context)
{
	struct vhost_socket *socket = context;

	socket->connection = NULL;
	socket->refused = false;
	if (socket->gone) {
		socket->gone(socket->gone_context, socket->device);
		return;
	}
	if (!socket->client) {
		evloop_modify(socket->watch, EPOLLIN);
		return;
	}
	if (clock_now_ns() - socket->connected_ns > GOOD_NS)
		socket->retry_ms = RETRY_MIN_MS;
	retry_later(socket);
}

/* Takes fd. 0, -errno. */
static int front_end_came(struct vhost_socket *socket, int fd)
{
	uint64_t now = clock_now_ns();
	struct connection_options options = {
		.loop = socket->loop,
		.device = socket->device,
		.fd = fd,
		.quiet = socket->last_logged && now - socket->last_logged < LOG_PAUSE_NS,
		.on_end = on_end,
		.context = socket,
	};
	int err = connection_create(&options, &socket->connection);

	if (err)
		close(fd);
	else if (!options.quiet)
		socket->last_logged = now;
	return err;
}

/* ---- server ---- */

/* Out of descriptors: a connection that stays in the queue would wake us for ever, so use the one
 * that was kept for this to take it and refuse it. */
static void accept_and_refuse(struct vhost_socket *socket, int listener)
{
	int fd;

	if (socket->reserve < 0)
		return;
	log_warning("device %s: no file descriptor is left: front end refused",
	            socket->device->name);
	close(socket->reserve);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	socket->reserve = event_create();
}

static void on_connect(void *context, int listener, uint32_t events)
{
	struct vhost_socket *socket = context;
	int err;
	int fd;

	/* Who closes and connects again at once may be heard of in the other order. */
	if (socket->connection && connection_hung_up(socket->connection)) {
		log_debug("device %s: front end disconnected", socket->device->name);
		connection_end(socket->connection);
		if (socket->connection) {
			evloop_modify(socket->watch, 0);
			return;
		}
	}
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			accept_and_refuse(socket, listener);
		return;
	}
	if (socket->connection || socket->device->stuck) {
		if (!socket->refused)
			log_notice("device %s: %s: front end refused", socket->device->name,
			           socket->device->stuck ? "the device is down"
			                                 : "there is a front end already");
		socket->refused = true;
		close(fd);
		return;
	}
	err = front_end_came(socket, fd);
	if (err)
		log_limited(&socket->device->log, LOG_LEVEL_WARNING,
		            "device %s: front end refused: %s", socket->device->name,
		            strerror(-err));
}

static int listen_begin(struct vhost_socket *socket)
{
	socket->listener = unix_listen(socket->path, SOCK_STREAM, 0660, 8);
	if (socket->listener < 0)
		return socket->listener;
	socket->reserve = event_create();
	return evloop_add(socket->loop, socket->listener, EPOLLIN, on_connect, socket,
	                  &socket->watch);
}

/* ---- client ---- */

/* One attempt. 0, -errno. */
static int connect_now(struct vhost_socket *socket)
{
	int fd = unix_connect(socket->path, SOCK_STREAM);
	int err = fd < 0 ? fd : front_end_came(socket, fd);

	if (err)
		return err;
	socket->failed = 0;
	socket->connected_ns = clock_now_ns();
	return 0;
}

static void on_retry(void *context)
{
	struct vhost_socket *socket = context;
	int err;

	evloop_remove(socket->retry);
	socket->retry = NULL;
	if (socket->device->stuck)
		return;
	err = connect_now(socket);
	if (!err)
		return;
	/* Once for each reason. */
	if (err != socket->failed)
		log_notice("device %s: %s: %s; trying again", socket->device->name, socket->path,
		           strerror(-err));
	socket->failed = err;
	retry_later(socket);
}

static void retry_later(struct vhost_socket *socket)
{
	if (evloop_timer(socket->loop, socket->retry_ms, on_retry, socket, &socket->retry))
		log_error("device %s: no timer: it does not connect any more",
		          socket->device->name);
	socket->retry_ms = vc_min(socket->retry_ms * 2, RETRY_MAX_MS);
}

/* ---- both ---- */

int vhost_socket_create(struct evloop *loop, struct device *device, const char *path, bool client,
                        struct vhost_socket **socket)
{
	struct vhost_socket *s;
	int err;

	if (strlen(path) >= sizeof(s->path))
		return -ENAMETOOLONG;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->device = device;
	s->client = client;
	s->listener = s->reserve = -1;
	s->retry_ms = RETRY_MIN_MS;
	snprintf(s->path, sizeof(s->path), "%s", path);
	/* Not at once: nothing of a front end may come before the whole daemon has started. */
	err = client ? evloop_timer(loop, 0, on_retry, s, &s->retry) : listen_begin(s);
	if (err)
		vhost_socket_destroy(s);
	else
		*socket = s;
	return err;
}

/* No front end comes any more. */
static void close_door(struct vhost_socket *socket)
{
	evloop_remove(socket->retry);
	evloop_remove(socket->watch);
	socket->retry = socket->watch = NULL;
	if (socket->listener >= 0) {
		unlink(socket->path);
		close(socket->listener);
	}
	if (socket->reserve >= 0)
		close(socket->reserve);
	socket->listener = socket->reserve = -1;
}

void vhost_socket_end(struct vhost_socket *socket, vhost_socket_gone_fn *gone, void *context)
{
	close_door(socket);
	socket->gone = gone;
	socket->gone_context = context;
	if (socket->connection)
		connection_end(socket->connection);
	else
		gone(context, socket->device);
}

void vhost_socket_destroy(struct vhost_socket *socket)
{
	if (!socket)
		return;
	connection_close(socket->connection);
	close_door(socket);
	free(socket);
}

const char *vhost_socket_path(const struct vhost_socket *socket)
{
	return socket->path;
}

bool vhost_socket_is_client(const struct vhost_socket *socket)
{
	return socket->client;
}

bool vhost_socket_peer(const struct vhost_socket *socket, pid_t *pid, uid_t *uid)
{
	if (!socket->connection)
		return false;
	connection_peer(socket->connection, pid, uid);
	return true;
}
