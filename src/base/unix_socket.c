/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNIX sockets and the passing of descriptors over them. Any thread. What comes from a peer is not
 * trusted: more descriptors than were asked for are closed and refused.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

#define MAX_FDS 253 /* the kernel's SCM_MAX_FD */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
};

static int address_set(struct sockaddr_un *address, const char *path)
{
	size_t length = strlen(path);

	if (!length)
		return -EINVAL;
	if (length >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, length);
	return 0;
}

/* A socket, and the address for path. Descriptor or -errno. */
static int socket_open(struct sockaddr_un *address, const char *path, int type)
{
	int fd = address_set(address, path);

	if (fd < 0)
		return fd;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

int unix_connect(const char *path, int type)
{
	struct sockaddr_un address;
	int fd = socket_open(&address, path, type);
	int err;

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Remove the socket at path if nobody listens on it. 0: removed; -errno: it is in the way. */
static int stale_remove(const char *path, int type)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = unix_connect(path, type);
	if (fd >= 0)
		close(fd);
	if (fd != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* bind() with the mode that the socket is to have: nobody sees it with another, and no file need be
 * changed afterwards, which a daemon that has sealed itself cannot. 0, -errno. */
static int bind_mode(int fd, const struct sockaddr_un *address, unsigned int mode)
{
	mode_t mask = umask(~mode & 0777);
	int err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	umask(mask);
	return err;
}

int unix_listen(const char *path, int type, unsigned int mode, int backlog)
{
	struct sockaddr_un address;
	int fd = socket_open(&address, path, type);
	int err;

	if (fd < 0)
		return fd;
	err = bind_mode(fd, &address, mode);
	if (err == -EADDRINUSE) {
		err = stale_remove(path, type);
		if (!err)
			err = bind_mode(fd, &address, mode);
	}
	if (!err && listen(fd, backlog) < 0) {
		err = -errno;
		unlink(path);
	}
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

long unix_send_fds(int socket, const void *data, size_t size, const int *fds, unsigned int nfds,
                   int flags)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t n;

	if (nfds > MAX_FDS)
		return -EINVAL;
	if (nfds) {
		struct cmsghdr *header = &control.align;

		memset(&control, 0, sizeof(control));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(header), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Move the descriptors of a message to fds; returns how many came, and closes what has no room. */
static unsigned int fds_take(struct msghdr *message, int *fds, unsigned int room)
{
	struct cmsghdr *header;
	unsigned int came = 0;

	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		size_t n;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
			if (came < room)
				fds[came] = fd;
			else
				close(fd);
			came++;
		}
	}
	return came;
}

long unix_recv_fds(int socket, void *data, size_t size, int *fds, unsigned int *nfds, int flags)
{
	struct iovec iov = {.iov_base = data, .iov_len = size};
	union control control;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	unsigned int room = nfds ? *nfds : 0;
	unsigned int came;
	ssize_t n;

	if (nfds)
		*nfds = 0;
	do
		n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	came = fds_take(&message, fds, room);
	if (came > room || message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
		for (unsigned int i = 0; i < vc_min(came, room); i++)
			close(fds[i]);
		return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : -EPROTO;
	}
	if (nfds)
		*nfds = came;
	return n;
}
