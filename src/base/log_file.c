/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log file inside somebody else's program: see log_file.h. The descriptor is looked at before
 * each line: one that is another file by now is left alone, and ours opened again if its path still
 * leads to it.
 */
#include "base/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NONE (-1) /* no log file */
#define LOST (-2) /* there was one, and it cannot be reached any more */

static atomic_int file = NONE;
/* Which file it is, for good: written before file is. */
static struct {
	char *path;
	dev_t device;
	ino_t inode;
} self;

/* Never 0 to 2: who finds these closed opens its own input and output there. */
static int file_open(const char *path, int flags, struct stat *st)
{
	int fd, high, err = 0;

	/* O_NONBLOCK: a pipe without a reader is refused, not waited for. */
	fd = open(path,
	          O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | flags,
	          S_IRUSR | S_IWUSR);
	if (fd < 0)
		return -errno;
	high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (high < 0 || fstat(high, st) < 0)
		err = -errno;
	else if (!S_ISREG(st->st_mode))
		err = -EINVAL;
	close(fd);
	if (!err)
		return high;
	if (high >= 0)
		close(high);
	return err;
}

static bool is_self(const struct stat *st)
{
	return st->st_dev == self.device && st->st_ino == self.inode;
}

int log_file_open(const char *path)
{
	struct stat st;
	int fd = file_open(path, O_CREAT, &st);

	if (fd < 0)
		return fd;
	self.path = strdup(path);
	if (!self.path) {
		close(fd);
		return -ENOMEM;
	}
	self.device = st.st_dev;
	self.inode = st.st_ino;
	/* Release: partner of the acquire in log_file_write(). */
	atomic_store_explicit(&file, fd, memory_order_release);
	return 0;
}

/* Somebody has closed fd. The descriptor to use instead, or LOST. */
static int reopen(int fd)
{
	struct stat st;
	int again = file_open(self.path, 0, &st);

	if (again >= 0 && !is_self(&st)) {
		close(again);
		again = LOST;
	}
	if (again < 0)
		again = LOST;
	if (atomic_compare_exchange_strong(&file, &fd, again))
		return again;
	/* Another thread was faster. */
	if (again >= 0)
		close(again);
	return fd;
}

bool log_file_write(const char *line, size_t length)
{
	int fd = atomic_load_explicit(&file, memory_order_acquire);
	struct stat st;

	if (fd == NONE)
		return false;
	if (fd >= 0 && (fstat(fd, &st) < 0 || !is_self(&st)))
		fd = reopen(fd);
	/* One write a line, at the end whoever else writes: lines never mix. */
	if (fd >= 0)
		(void)!write(fd, line, length);
	return true;
}
