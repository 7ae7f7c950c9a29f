/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of a control socket. Runs in the thread of its evloop; nothing here waits. A peer is
 * one of our own user or root (the kernel says so), but may still be broken: what it sends is
 * bounded, and while an answer waits to be read nothing more is taken from it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ctl.h"
#include "base/log.h"
#include "base/util.h"

#define CLIENTS_MAX 16 /* one more pushes out the one that was silent the longest */
#define LINE_MAX_BYTES 65536
#define BACKLOG 16
#define SOCKET_MODE 0600

struct client {
	struct ctl_server *server;
	struct client *next;
	struct evwatch *watch;
	int fd;
	uint64_t last_heard_ns;
	char *answer; /* set: to be sent before any more is read */
	size_t answer_size, answer_sent;
	size_t in_size;
	char in[LINE_MAX_BYTES];
};

struct ctl_server {
	struct evloop *loop;
	struct evwatch *watch;
	const struct ctl_command *commands;
	void *context;
	struct client *clients;
	unsigned int nclients;
	int fd;
	char *path;
};

static void client_close(struct client *client)
{
	evloop_remove(client->watch);
	close(client->fd);
	free(client->answer);
	free(client);
}

static void client_drop(struct client *client)
{
	struct client **at = &client->server->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	client->server->nclients--;
	client_close(client);
}

static json_t *answer_error(const char *text)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", text ? text : "out of memory");
}

static char *unknown_command(const struct ctl_command *commands, const char *name)
{
	char *text = str_format("unknown command \"%.32s\"; there are", name);

	for (; text && commands->name; commands++) {
		char *more =
			str_format("%s %s%s", text, commands->name, commands[1].name ? "," : "");

		free(text);
		text = more;
	}
	return text;
}

static json_t *answer_make(struct ctl_server *server, const char *line, size_t size)
{
	const struct ctl_command *command = server->commands;
	json_t *answer = NULL;
	json_t *request;
	json_t *result;
	json_error_t at;
	char *error = NULL;
	const char *name;

	request = json_loadb(line, size, JSON_REJECT_DUPLICATES, &at);
	if (!request) {
		error = str_format("not JSON: %s", at.text);
		goto out;
	}
	name = json_string_value(json_object_get(request, "command"));
	if (!name) {
		error = str_format("a request is an object with \"command\"");
		goto out;
	}
	while (command->name && strcmp(command->name, name) != 0)
		command++;
	if (!command->name) {
		error = unknown_command(server->commands, name);
		goto out;
	}
	result = command->fn(server->context, request, &error);
	if (result)
		answer = json_pack("{s:b, s:o}", "ok", 1, "result", result);
out:
	if (!answer)
		answer = answer_error(error);
	free(error);
	json_decref(request);
	return answer;
}

/* Answer one line. 0 or -errno. */
static int client_answer(struct client *client, const char *line, size_t size)
{
	json_t *answer = answer_make(client->server, line, size);
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	if (!text)
		return -ENOMEM;
	client->answer_size = strlen(text) + 1;
	client->answer_sent = 0;
	client->answer = text;
	text[client->answer_size - 1] = '\n'; /* in place of the NUL: only the size counts now */
	return 0;
}

/* 0 when all is sent, -EAGAIN, or another -errno. */
static int client_send(struct client *client)
{
	while (client->answer_sent < client->answer_size) {
		ssize_t n = send(client->fd, client->answer + client->answer_sent,
		                 client->answer_size - client->answer_sent, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		client->answer_sent += (size_t)n;
	}
	free(client->answer);
	client->answer = NULL;
	client->answer_size = client->answer_sent = 0;
	return 0;
}

/* Answer the lines that are in the buffer, as far as the peer takes the answers. */
static int client_work(struct client *client)
{
	char *end;
	int err;

	for (;;) {
		err = client_send(client);
		if (err)
			return err;
		end = memchr(client->in, '\n', client->in_size);
		if (!end)
			return client->in_size == sizeof(client->in) ? -EMSGSIZE : 0;
		err = client_answer(client, client->in, (size_t)(end - client->in));
		if (err)
			return err;
		client->in_size -= (size_t)(end + 1 - client->in);
		memmove(client->in, end + 1, client->in_size);
	}
}

static void client_ready(void *context, int fd, uint32_t events)
{
	struct client *client = context;
	int err;

	if (!client->answer) {
		ssize_t n = recv(fd, client->in + client->in_size,
		                 sizeof(client->in) - client->in_size, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			client_drop(client);
			return;
		}
		if (n > 0)
			client->in_size += (size_t)n;
		client->last_heard_ns = clock_now_ns();
	}
	err = client_work(client);
	if (err == 0)
		err = evloop_modify(client->watch, EPOLLIN);
	else if (err == -EAGAIN || err == -EINTR)
		err = evloop_modify(client->watch, EPOLLOUT);
	if (err) {
		log_debug("control socket: client dropped: %s", strerror(-err));
		client_drop(client);
	}
}

static bool peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void drop_most_silent(struct ctl_server *server)
{
	struct client *oldest = server->clients;

	for (struct client *client = oldest; client; client = client->next) {
		if (client->last_heard_ns < oldest->last_heard_ns)
			oldest = client;
	}
	if (oldest)
		client_drop(oldest);
}

static void server_ready(void *context, int listener, uint32_t events)
{
	static const char refusal[] = "{\"ok\":false,\"error\":\"only root and the daemon's own "
				      "user may use the control socket\"}\n";
	struct ctl_server *server = context;
	struct client *client;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (!peer_allowed(fd)) {
		send(fd, refusal, sizeof(refusal) - 1, MSG_NOSIGNAL);
		close(fd);
		return;
	}
	if (server->nclients == CLIENTS_MAX)
		drop_most_silent(server);
	client = calloc(1, sizeof(*client));
	if (!client ||
	    evloop_add(server->loop, fd, EPOLLIN, client_ready, client, &client->watch)) {
		free(client);
		close(fd);
		return;
	}
	client->server = server;
	client->fd = fd;
	client->last_heard_ns = clock_now_ns();
	client->next = server->clients;
	server->clients = client;
	server->nclients++;
}

int ctl_server_create(struct evloop *loop, const char *path, const struct ctl_command *commands,
                      void *context, struct ctl_server **server)
{
	struct ctl_server *made = calloc(1, sizeof(*made));
	int err = -ENOMEM;

	if (!made)
		return -ENOMEM;
	/* Now, while files may be opened: it reads /dev/urandom. */
	json_object_seed(0);
	made->loop = loop;
	made->commands = commands;
	made->context = context;
	made->fd = -1;
	made->path = strdup(path);
	if (!made->path)
		goto out;
	made->fd = unix_listen(path, SOCK_STREAM, SOCKET_MODE, BACKLOG);
	err = made->fd;
	if (err < 0)
		goto out;
	err = evloop_add(loop, made->fd, EPOLLIN, server_ready, made, &made->watch);
	if (err)
		goto out;
	*server = made;
	return 0;
out:
	if (made->fd >= 0) {
		unlink(path);
		close(made->fd);
	}
	free(made->path);
	free(made);
	return err;
}

void ctl_server_destroy(struct ctl_server *server)
{
	struct client *next;

	if (!server)
		return;
	for (struct client *client = server->clients; client; client = next) {
		next = client->next;
		client_close(client);
	}
	evloop_remove(server->watch);
	unlink(server->path);
	close(server->fd);
	free(server->path);
	free(server);
}
