/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of a device: front ends come and go, one at a time.
 *
 * Main thread. A front end that stalls in the middle of a message, floods us or sends rubbish loses
 * its own connection only; when a connection ends, for whatever reason, all that it brought is gone
 * before the next one is served.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secmem.h"
#include "base/util.h"
#include "host/vhost_user.h"

/* A message that has begun must be complete after so long. */
#define MESSAGE_DEADLINE_MS 5000
/* So many messages in a row; then other connections get their turn. */
#define MESSAGES_A_ROUND 32
/* Connections that end sooner after the last are not logged: a loop of them would flood the log. */
#define LOG_PAUSE_NS UINT64_C(1000000000)

struct connection {
	struct vhost_server *server;
	int fd;
	struct ucred peer;
	struct evwatch *watch;
	struct evwatch *deadline; /* while a message is incomplete */
	bool quiet;
	struct front_end front_end;
	struct message message;
};

struct vhost_server {
	struct evloop *loop;
	struct device *device;
	int fd;
	struct evwatch *watch;
	int reserve; /* a descriptor to give up when accept() finds none */
	struct connection *connection;
	bool refused; /* a second front end has been logged */
	uint64_t last_logged;
	char path[108];
};

static void connection_close(struct connection *connection)
{
	struct vhost_server *server = connection->server;

	evloop_remove(connection->deadline);
	evloop_remove(connection->watch);
	device_reset(server->device);
	message_reset(&connection->message);
	close(connection->fd);
	secmem_free(connection);
	server->connection = NULL;
	server->refused = false;
}

static void on_deadline(void *context)
{
	struct connection *connection = context;

	if (!connection->quiet)
		log_notice("device %s: front end stopped in the middle of a message: disconnected",
		           connection->server->device->name);
	connection_close(connection);
}

/* Arm or disarm the deadline, as the message is begun or not. 0, -errno. */
static int deadline_set(struct connection *connection, bool armed)
{
	if (armed == !!connection->deadline)
		return 0;
	if (armed)
		return evloop_timer(connection->server->loop, MESSAGE_DEADLINE_MS, on_deadline,
		                    connection, &connection->deadline);
	evloop_remove(connection->deadline);
	connection->deadline = NULL;
	return 0;
}

/* One message, as far as it has come. 1: done, there may be another; 0: wait; -errno: the end. */
static int message_step(struct connection *connection, const char **why)
{
	struct message *message = &connection->message;
	int err = message_read(message, connection->fd, front_end_size_ok);

	*why = "reading";
	if (err == 0)
		return deadline_set(connection, message->received > 0);
	if (err < 0)
		return err;
	err = deadline_set(connection, false);
	if (!err)
		err = front_end_handle(&connection->front_end, message, why);
	message_reset(message);
	return err ? err : 1;
}

static void on_readable(void *context, int fd, uint32_t events)
{
	struct connection *connection = context;
	const char *name = connection->server->device->name;
	const char *why = NULL;
	int err = 1;

	for (unsigned int i = 0; i < MESSAGES_A_ROUND && err > 0; i++)
		err = message_step(connection, &why);
	if (err >= 0)
		return;
	if (connection->quiet)
		log_debug("device %s: front end disconnected", name);
	else if (err == -EPIPE)
		log_info("device %s: front end disconnected", name);
	else
		log_notice("device %s: %s: %s: front end disconnected", name, why, strerror(-err));
	connection_close(connection);
}

static int connection_create(struct vhost_server *server, int fd)
{
	struct connection *connection = secmem_alloc(sizeof(*connection));
	socklen_t size = sizeof(connection->peer);
	uint64_t now = clock_now_ns();
	int err;

	if (!connection)
		return -ENOMEM;
	connection->server = server;
	connection->fd = fd;
	message_init(&connection->message);
	front_end_init(&connection->front_end, server->device, fd);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &connection->peer, &size) < 0) {
		err = -errno;
		goto out;
	}
	err = evloop_add(server->loop, fd, EPOLLIN, on_readable, connection, &connection->watch);
	if (err)
		goto out;
	connection->quiet = server->last_logged && now - server->last_logged < LOG_PAUSE_NS;
	if (!connection->quiet) {
		log_info("device %s: front end connected (process %d, user %u)",
		         server->device->name, connection->peer.pid, connection->peer.uid);
		server->last_logged = now;
	}
	server->connection = connection;
out:
	if (err)
		secmem_free(connection);
	return err;
}

/* Out of descriptors: a connection that stays in the queue would wake us for ever, so use the one
 * that was kept for this to take it and refuse it. */
static void accept_and_refuse(struct vhost_server *server, int listener)
{
	int fd;

	if (server->reserve < 0)
		return;
	log_warning("device %s: no file descriptor is left: front end refused",
	            server->device->name);
	close(server->reserve);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	server->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_connect(void *context, int listener, uint32_t events)
{
	struct vhost_server *server = context;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int err;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			accept_and_refuse(server, listener);
		return;
	}
	if (server->connection || server->device->stuck) {
		if (!server->refused)
			log_notice("device %s: %s: front end refused", server->device->name,
			           server->device->stuck ? "the device is down"
			                                 : "there is a front end already");
		server->refused = true;
		close(fd);
		return;
	}
	err = connection_create(server, fd);
	if (err) {
		log_warning("device %s: front end refused: %s", server->device->name,
		            strerror(-err));
		close(fd);
	}
}

int vhost_server_create(struct evloop *loop, struct device *device, const char *path,
                        struct vhost_server **server)
{
	struct vhost_server *s;
	int err;

	if (strlen(path) >= sizeof(s->path))
		return -ENAMETOOLONG;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->device = device;
	snprintf(s->path, sizeof(s->path), "%s", path);
	s->fd = unix_listen(path, SOCK_STREAM, 0660, 8);
	if (s->fd < 0) {
		err = s->fd;
		free(s);
		return err;
	}
	s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	err = evloop_add(loop, s->fd, EPOLLIN, on_connect, s, &s->watch);
	if (err)
		vhost_server_destroy(s);
	else
		*server = s;
	return err;
}

void vhost_server_destroy(struct vhost_server *server)
{
	if (!server)
		return;
	if (server->connection)
		connection_close(server->connection);
	evloop_remove(server->watch);
	unlink(server->path);
	close(server->fd);
	if (server->reserve >= 0)
		close(server->reserve);
	free(server);
}

const char *vhost_server_path(const struct vhost_server *server)
{
	return server->path;
}

bool vhost_server_peer(const struct vhost_server *server, pid_t *pid, uid_t *uid)
{
	if (!server->connection)
		return false;
	*pid = server->connection->peer.pid;
	*uid = server->connection->peer.uid;
	return true;
}
