/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One front end's connection: messages off its socket, one after the other, until it ends.
 *
 * Main thread. A front end that stalls in the middle of a message, floods us or sends rubbish loses
 * its own connection only; when a connection ends, for whatever reason, all that it brought is gone
 * before its owner hears of it.
 *
 * Neither a message nor the end is done while requests in flight need what it takes away, and these
 * may be slow. So a connection is in one of three states, and nobody else waits in any of them:
 *   READS    watch: messages are read and handled. One that has to wait: WAITS. The end: ENDS.
 *   WAITS    going_on: its front end's messages, and its hanging up, stay unread until the message
 *            is done: READS, or ENDS if it failed or the next front end is there already.
 *   ENDS     going_on: the front end is gone, the device paused. When nothing is in flight it is
 *            reset, and the next front end may come (vhost_socket.c).
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
	int fd; /* -1: ENDS */
	struct ucred peer;
	struct evwatch *watch;    /* READS */
	struct evwatch *going_on; /* WAITS, ENDS */
	struct evwatch *deadline; /* while a message is incomplete */
	bool quiet;
	bool unwanted; /* WAITS, and ENDS then */
	connection_end_fn *on_end;
	void *context;
	struct front_end front_end;
	struct message message;      /* WAITS: for it */
	struct device_change *drain; /* ENDS: for it */
};

/* Nothing of the front end's is heard or said any more. */
static void front_end_leaves(struct connection *connection)
{
	evloop_remove(connection->deadline);
	evloop_remove(connection->watch);
	evloop_remove(connection->going_on);
	connection->deadline = connection->watch = connection->going_on = NULL;
	front_end_fini(&connection->front_end);
	message_reset(&connection->message);
	close(connection->fd);
	connection->fd = -1;
}

void connection_close(struct connection *connection)
{
	if (!connection)
		return;
	if (connection->fd >= 0)
		front_end_leaves(connection);
	evloop_remove(connection->going_on);
	if (connection->drain)
		device_change_end(connection->drain);
	device_reset(connection->device);
	secmem_free(connection);
}

/* Nothing is in flight: nobody waits now. */
static void on_drained(void *context, int fd, uint32_t events)
{
	struct connection *connection = context;
	connection_end_fn *on_end = connection->on_end;
	void *end_context = connection->context;

	connection_close(connection);
	on_end(end_context);
}

void connection_end(struct connection *connection)
{
	connection->unwanted = true;
	if (connection->going_on)
		return;
	front_end_leaves(connection);
	device_quiet_begin(connection->device, NULL, &connection->drain);
	if (connection->drain &&
	    !evloop_add(connection->loop, device_change_fd(connection->drain), EPOLLIN, on_drained,
	                connection, &connection->going_on))
		return;
	on_drained(connection, -1, 0);
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

static void failed(struct connection *connection, const char *why, int err)
{
	const char *name = connection->device->name;

	if (connection->quiet)
		log_debug("device %s: front end disconnected", name);
	else if (err == -EPIPE)
		log_info("device %s: front end disconnected", name);
	else
		log_notice("device %s: %s: %s: front end disconnected", name, why, strerror(-err));
	connection_end(connection);
}

static void on_readable(void *context, int fd, uint32_t events);
static void on_going_on(void *context, int fd, uint32_t events);

/* After front_end_handle() or front_end_finish(). 1: the message is done; 0: it waits; -errno. */
static int message_went(struct connection *connection, int result)
{
	if (result > 0) {
		evloop_remove(connection->watch);
		connection->watch = NULL;
		return evloop_add(connection->loop, front_end_fd(&connection->front_end), EPOLLIN,
		                  on_going_on, connection, &connection->going_on);
	}
	message_reset(&connection->message);
	return result ? result : 1;
}

/* What the message waited for is there. */
static void on_going_on(void *context, int fd, uint32_t events)
{
	struct connection *connection = context;
	const char *why;
	int err;

	evloop_remove(connection->going_on);
	connection->going_on = NULL;
	err = message_went(connection,
	                   front_end_finish(&connection->front_end, &connection->message, &why));
	if (err > 0 && !connection->unwanted)
		err = evloop_add(connection->loop, connection->fd, EPOLLIN, on_readable, connection,
		                 &connection->watch);
	if (err < 0 || (err > 0 && connection->unwanted))
		failed(connection, why, err < 0 ? err : -EPIPE);
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
	return message_went(connection, err);
}

static void on_readable(void *context, int fd, uint32_t events)
{
	struct connection *connection = context;
	const char *why = NULL;
	int err = 1;

	for (unsigned int i = 0; i < MESSAGES_A_ROUND && err > 0; i++)
		err = message_step(connection, &why);
	if (err < 0)
		failed(connection, why, err);
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

	return connection->unwanted ||
	       (poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}

void connection_peer(const struct connection *connection, pid_t *pid, uid_t *uid)
{
	*pid = connection->peer.pid;
	*uid = connection->peer.uid;
}
