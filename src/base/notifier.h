/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signalling eventfds that strangers gave us, without ever waiting for them.
 *
 * An eventfd of a stranger is a trap: its flags belong to both ends, so its owner may clear
 * O_NONBLOCK and fill the counter, and a write(2) would then block. The kernel's own signalling of
 * an eventfd never does; asynchronous I/O (io_submit(2)) does it at the end of a read, here of
 * nothing from /dev/zero. Signals are gathered, so that many cost one system call.
 *
 * One thread.
 */
#ifndef VC_BASE_NOTIFIER_H
#define VC_BASE_NOTIFIER_H

#include <stdbool.h>

struct notifier;

/* 0; -ENOMEM; -errno: the kernel has no asynchronous I/O for us (-EAGAIN: see fs.aio-max-nr). */
int notifier_create(struct notifier **notifier);
/* NULL is allowed. */
void notifier_destroy(struct notifier *notifier);

/* Signal an eventfd, at once or at the next flush. */
void notifier_signal(struct notifier *notifier, int fd);
/* Before sleeping, and before any eventfd that was signalled is closed. */
void notifier_flush(struct notifier *notifier);

/* Whether fd is an eventfd at all: what else there is may block a reader or writer. */
bool notifier_is_eventfd(int fd);

#endif
