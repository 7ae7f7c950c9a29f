/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One front end's connection: messages off its socket, one after the other, until it ends.
 *
 * Main thread. A front end that stalls in the middle of a message, floods us or sends rubbish loses
 * its own connection only; when a connection ends, for whatever reason, all that it brought is gone
 * before its owner hears of it.
 */
#include "host/vhost_connection.h"

#include <errno.h>
#include <poll.h>
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

struct connection {
	struct evloop *loop;
	struct device *device;
	int fd;
	struct ucred peer;
	struct evwatch *watch;    /* NULL: paused, */
	struct evwatch *going_on; /* until this message is done */
	struct evwatch *deadline; /* while a message is incomplete */
	bool quiet;
	connection_end_fn *on_end;
	void *context;
	struct front_end front_end;
	struct message message;
};

void connection_close(struct connection *connection)
{
	if (!connection)
		return;
	evloop_remove(connection->deadline);
	evloop_remove(connection->watch);
	evloop_remove(connection->going_on);
	front_end_fini(&connection->front_end);
	device_reset(connection->device);
	message_reset(&connection->message);
	close(connection->fd);
	secmem_free(connection);
}

/* It ended by itself. */
static void connection_end(struct connection *connection)
{
	connection_end_fn *on_end = connection->on_end;
	void *context = connection->context;

	connection_close(connection);
	on_end(context);
}

static void on_deadline(void *context)
{
	struct connection *connection = context;

	if (!connection->quiet)
		log_notice("device %s: front end stopped in the middle of a message: disconnected",
		           connection->device->name);
	connection_end(connection);
}

/* Arm or disarm the deadline, as the message is begun or not. 0, -errno. */
static int deadline_set(struct connection *connection, bool armed)
{
	if (armed == !!connection->deadline)
		return 0;
	if (armed)
		return evloop_timer(connection->loop, MESSAGE_DEADLINE_MS, on_deadline, connection,
		                    &connection->deadline);
	evloop_remove(connection->deadline);
	connection->deadline = NULL;
	return 0;
}

static void on_readable(void *context, int fd, uint32_t events);

/* The message that went on is done: read others. */
static void on_done(void *context, int fd, uint32_t events)
{
	struct connection *connection = context;
	int err;

	evloop_remove(connection->going_on);
	connection->going_on = NULL;
	err = front_end_finish(&connection->front_end);
	if (!err)
		err = evloop_add(connection->loop, connection->fd, EPOLLIN, on_readable, connection,
		                 &connection->watch);
	if (err)
		connection_end(connection);
}

/* What this front end has asked for takes as long as its requests take: it is not heard until that
 * is done, not even when it hangs up; all others are. 0, -errno. */
static int pause_reading(struct connection *connection)
{
	evloop_remove(connection->watch);
	connection->watch = NULL;
	return evloop_add(connection->loop, front_end_fd(&connection->front_end), EPOLLIN, on_done,
	                  connection, &connection->going_on);
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
	if (err > 0)
		return pause_reading(connection);
	return err ? err : 1;
}

static void on_readable(void *context, int fd, uint32_t events)
{
	struct connection *connection = context;
	const char *name = connection->device->name;
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
	connection_end(connection);
}

int connection_create(const struct connection_options *options, struct connection **connection)
{
	struct connection *made = secmem_alloc(sizeof(*made));
	socklen_t size = sizeof(made->peer);
	int err;

	if (!made)
		return -ENOMEM;
	made->loop = options->loop;
	made->device = options->device;
	made->fd = options->fd;
	made->quiet = options->quiet;
	made->on_end = options->on_end;
	made->context = options->context;
	message_init(&made->message);
	front_end_init(&made->front_end, options->device, options->fd, options->loop);
	if (getsockopt(options->fd, SOL_SOCKET, SO_PEERCRED, &made->peer, &size) < 0)
		err = -errno;
	else
		err = evloop_add(made->loop, made->fd, EPOLLIN, on_readable, made, &made->watch);
	if (err) {
		front_end_fini(&made->front_end);
		secmem_free(made);
		return err;
	}
	if (!made->quiet)
		log_info("device %s: front end connected (process %d, user %u)", made->device->name,
		         made->peer.pid, made->peer.uid);
	*connection = made;
	return 0;
}

bool connection_hung_up(const struct connection *connection)
{
	struct pollfd p = {.fd = connection->fd, .events = POLLRDHUP};

	/* To close a paused one would be to wait. */
	return connection->watch && poll(&p, 1, 0) == 1 &&
	       (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void connection_peer(const struct connection *connection, pid_t *pid, uid_t *uid)
{
	*pid = connection->peer.pid;
	*uid = connection->peer.uid;
}
