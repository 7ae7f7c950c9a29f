/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eventfds signalled through asynchronous I/O: see notifier.h.
 */
#include "base/notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH 32

/* The completion ring, which the kernel maps at the address that is the context. */
struct aio_ring {
	uint32_t id, nr, head, tail;
	uint32_t magic, compat_features, incompat_features, header_length;
};

#define AIO_RING_MAGIC 0xa10a10a1u

struct notifier {
	aio_context_t aio;
	int zero; /* /dev/zero */
	unsigned int n;
	struct iocb block[BATCH];
	struct iocb *list[BATCH];
	uint8_t nothing;
};

int notifier_create(struct notifier **notifier)
{
	struct notifier *made = calloc(1, sizeof(*made));
	int err;

	if (!made)
		return -ENOMEM;
	made->zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (made->zero < 0 || syscall(SYS_io_setup, BATCH, &made->aio) < 0) {
		err = -errno;
		made->aio = 0;
		notifier_destroy(made);
		return err;
	}
	for (unsigned int i = 0; i < BATCH; i++) {
		made->list[i] = &made->block[i];
		made->block[i].aio_lio_opcode = IOCB_CMD_PREAD;
		made->block[i].aio_fildes = (uint32_t)made->zero;
		made->block[i].aio_buf = (uintptr_t)&made->nothing;
		made->block[i].aio_flags = IOCB_FLAG_RESFD;
	}
	*notifier = made;
	return 0;
}

void notifier_destroy(struct notifier *notifier)
{
	if (!notifier)
		return;
	if (notifier->aio)
		syscall(SYS_io_destroy, notifier->aio);
	if (notifier->zero >= 0)
		close(notifier->zero);
	free(notifier);
}

void notifier_signal(struct notifier *notifier, int fd)
{
	notifier->block[notifier->n].aio_resfd = (uint32_t)fd;
	if (++notifier->n == BATCH)
		notifier_flush(notifier);
}

/* Make room for the next completions; what they say does not matter. */
static void completions_drop(struct notifier *notifier)
{
	struct aio_ring *ring = (struct aio_ring *)(uintptr_t)notifier->aio;
	struct io_event events[BATCH];

	/* As libaio does: without a system call, where the layout is the one we know. */
	if (ring->magic == AIO_RING_MAGIC && !ring->incompat_features)
		__atomic_store_n(&ring->head, __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE),
		                 __ATOMIC_RELEASE);
	else
		(void)syscall(SYS_io_getevents, notifier->aio, 0, BATCH, events, NULL);
}

void notifier_flush(struct notifier *notifier)
{
	unsigned int done = 0;

	while (done < notifier->n) {
		long n = syscall(SYS_io_submit, notifier->aio, notifier->n - done,
		                 notifier->list + done);

		/* Reads of nothing are done by now. */
		completions_drop(notifier);
		/* One that cannot be submitted (not an eventfd) is left out. */
		done += n > 0 ? (unsigned int)n : 1;
	}
	notifier->n = 0;
}

bool notifier_is_eventfd(int fd)
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
