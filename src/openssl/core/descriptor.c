/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors in somebody else's program: applications close all that they do not know (sshd does),
 * and open their own at the same numbers. Those must not be read, written or closed by us.
 *
 * Eventfds, timers and epoll instances have one inode in common, so fstat() does not tell them
 * apart. But the kernel keeps a number with each open file, the signal of F_SETSIG, which means
 * nothing as long as nobody asks for signals: there we leave a mark. Marks differ, lest a stale
 * number be taken for another descriptor of ours that has come there. To look costs one short
 * system call.
 *
 * Any thread.
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARKS 64u /* 1 to 64: what the kernel takes for a signal */
/* Programs without standard streams must not print into ours. */
#define LOWEST 3

static atomic_uint marks;

int descriptor_keep(struct descriptor *descriptor, int fd)
{
	int mark = (int)(atomic_fetch_add_explicit(&marks, 1, memory_order_relaxed) % MARKS) + 1;
	int higher = fd;

	*descriptor = (struct descriptor){.fd = -1};
	if (fd < 0)
		return fd;
	if (fd < LOWEST) {
		higher = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST);
		close(fd);
		if (higher < 0)
			return -EMFILE;
	}
	descriptor->fd = higher;
	descriptor->mark = fcntl(higher, F_SETSIG, mark) < 0 ? 0 : mark;
	return 0;
}

bool descriptor_is_ours(const struct descriptor *descriptor)
{
	struct stat st;

	if (descriptor->fd < 0)
		return false;
	if (vc_likely(descriptor->mark))
		return fcntl(descriptor->fd, F_GETSIG) == descriptor->mark;
	/* Without marks: it is at least no file, pipe or socket. */
	return fstat(descriptor->fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
}

void descriptor_close(struct descriptor *descriptor)
{
	if (descriptor_is_ours(descriptor))
		close(descriptor->fd);
	descriptor->fd = -1;
}
