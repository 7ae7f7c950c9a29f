/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of a control socket: one request, one answer, then the connection ends. Any thread;
 * waits. The daemon's answer is parsed as JSON and nothing more is taken from it on trust.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ctl.h"
#include "base/util.h"

#define ANSWER_MAX (64u << 20)
#define ANSWER_FIRST 65536u

/* Wait for events until the deadline. 0, -ETIMEDOUT or another -errno. */
static int wait_until(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now = clock_now_ns();
		int n;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		n = poll(&pfd, 1, (int)((deadline_ns - now + 999999) / 1000000));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(int fd, const char *data, size_t size, uint64_t deadline_ns)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
		int err;

		if (n >= 0) {
			data += n;
			size -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		err = wait_until(fd, POLLOUT, deadline_ns);
		if (err)
			return err;
	}
	return 0;
}

/* Read up to the end of a line; the caller frees *line. */
static int receive_line(int fd, uint64_t deadline_ns, char **line, size_t *length)
{
	size_t room = 0;
	size_t size = 0;

	for (;;) {
		ssize_t n;
		int err;

		if (size == room) {
			char *more;

			room = room ? room * 2 : ANSWER_FIRST;
			more = room <= ANSWER_MAX ? realloc(*line, room) : NULL;
			if (!more)
				return room > ANSWER_MAX ? -EMSGSIZE : -ENOMEM;
			*line = more;
		}
		n = recv(fd, *line + size, room - size, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n > 0) {
			size += (size_t)n;
			if ((*line)[size - 1] == '\n') {
				*length = size - 1;
				return 0;
			}
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		err = wait_until(fd, POLLIN, deadline_ns);
		if (err)
			return err;
	}
}

/* Take the answer apart. 0, -EREMOTEIO with the daemon's sentence, or -EPROTO. */
static int answer_read(const char *line, size_t length, json_t **result, char **error)
{
	json_t *answer = json_loadb(line, length, 0, NULL);
	json_t *ok = json_object_get(answer, "ok");
	const char *text = json_string_value(json_object_get(answer, "error"));
	int err = -EPROTO;

	if (json_is_true(ok) && json_object_get(answer, "result")) {
		*result = json_incref(json_object_get(answer, "result"));
		err = 0;
	} else if (json_is_false(ok) && text) {
		*error = strdup(text);
		err = -EREMOTEIO;
	}
	json_decref(answer);
	return err;
}

static int connect_until(const char *path, uint64_t deadline_ns)
{
	int fd = unix_connect(path, SOCK_STREAM);

	/* The listener's backlog is full, and the kernel tells us nothing when it no longer is. */
	while (fd == -EAGAIN && clock_now_ns() < deadline_ns) {
		poll(NULL, 0, 5);
		fd = unix_connect(path, SOCK_STREAM);
	}
	return fd == -EAGAIN ? -ETIMEDOUT : fd;
}

int ctl_call(const char *path, const json_t *request, unsigned int timeout_ms, json_t **result,
             char **error)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ms * 1000000ull;
	char *text = json_dumps(request, JSON_COMPACT);
	char *line = NULL;
	size_t length = 0;
	int fd = -1;
	int err = -ENOMEM;

	*result = NULL;
	*error = NULL;
	if (!text)
		goto out;
	fd = connect_until(path, deadline_ns);
	err = fd;
	if (err < 0)
		goto out;
	err = send_all(fd, text, strlen(text), deadline_ns);
	if (!err)
		err = send_all(fd, "\n", 1, deadline_ns);
	/* A daemon that refuses us answers before it hangs up: read that rather than fail here. */
	if (!err || err == -EPIPE)
		err = receive_line(fd, deadline_ns, &line, &length);
	if (!err)
		err = answer_read(line, length, result, error);
out:
	if (fd < 0 && err < 0)
		*error = str_format("cannot connect to %s: %s", path, strerror(-err));
	else if (err == -ETIMEDOUT)
		*error = str_format("%s: no answer in %u ms", path, timeout_ms);
	else if (err == -EPROTO)
		*error = str_format("%s: the answer is not of a vcrypto daemon", path);
	else if (err && err != -EREMOTEIO)
		*error = str_format("%s: %s", path, strerror(-err));
	if (fd >= 0)
		close(fd);
	free(line);
	free(text);
	return err;
}
