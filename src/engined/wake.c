/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waking clients. Runs in the daemon's one thread.
 */
#include "engined/wake.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define WAKE_BATCH 32

struct wake {
	aio_context_t aio; /* 0: none */
	int zero;          /* /dev/zero */
	unsigned int n;
	struct iocb block[WAKE_BATCH];
	struct iocb *list[WAKE_BATCH];
	uint8_t nothing;
};

struct wake *wake_create(void)
{
	struct wake *wake = calloc(1, sizeof(*wake));
	unsigned int i;

	if (!wake)
		return NULL;
	wake->zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (wake->zero < 0 || syscall(SYS_io_setup, WAKE_BATCH, &wake->aio) < 0) {
		wake->aio = 0;
		log_warning("no asynchronous I/O (%s): clients of other users wait without "
		            "eventfds",
		            strerror(errno));
	}
	for (i = 0; i < WAKE_BATCH; i++) {
		wake->block[i].aio_lio_opcode = IOCB_CMD_PREAD;
		wake->block[i].aio_fildes = (uint32_t)wake->zero;
		wake->block[i].aio_buf = (uintptr_t)&wake->nothing;
		wake->block[i].aio_nbytes = 0;
		wake->block[i].aio_flags = IOCB_FLAG_RESFD;
	}
	return wake;
}

void wake_destroy(struct wake *wake)
{
	if (!wake)
		return;
	if (wake->aio)
		syscall(SYS_io_destroy, wake->aio);
	if (wake->zero >= 0)
		close(wake->zero);
	free(wake);
}

bool wake_strangers(const struct wake *wake)
{
	return wake->aio != 0;
}

bool wake_is_eventfd(int fd)
{
	char path[32], target[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, "anon_inode:[eventfd]") == 0;
}

void wake_event(struct wake *wake, int fd, bool trusted)
{
	if (trusted || !wake->aio) {
		event_signal(fd);
		return;
	}
	wake->block[wake->n].aio_resfd = (uint32_t)fd;
	if (++wake->n == WAKE_BATCH)
		wake_flush(wake);
}

void wake_flush(struct wake *wake)
{
	struct io_event events[WAKE_BATCH];
	unsigned int i, done = 0;
	long n;

	if (!wake->n)
		return;
	for (i = 0; i < wake->n; i++)
		wake->list[i] = &wake->block[i];
	while (done < wake->n) {
		n = syscall(SYS_io_submit, wake->aio, wake->n - done, wake->list + done);
		/* Reads of nothing are done by now: make room for the next ones. */
		(void)syscall(SYS_io_getevents, wake->aio, 0, WAKE_BATCH, events, NULL);
		/* One that cannot be submitted (not an eventfd) is left out. */
		done += n > 0 ? (unsigned int)n : 1;
	}
	wake->n = 0;
}

void wake_futex(uint32_t *futex)
{
	(void)syscall(SYS_futex, futex, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
