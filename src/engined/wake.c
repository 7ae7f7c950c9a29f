/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waking clients. Runs in the daemon's one thread.
 */
#include "engined/wake.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notifier.h"
#include "base/util.h"

struct wake {
	struct notifier *notifier; /* NULL: none */
	int alone;                 /* the only one of this round so far; -1: none, or not alone */
	bool first;                /* none yet in this round */
};

struct wake *wake_create(void)
{
	struct wake *wake = calloc(1, sizeof(*wake));
	int err;

	if (!wake)
		return NULL;
	wake->alone = -1;
	wake->first = true;
	err = notifier_create(&wake->notifier);
	if (err)
		log_warning("no asynchronous I/O (%s): clients of other users wait without "
		            "eventfds",
		            strerror(-err));
	return wake;
}

void wake_destroy(struct wake *wake)
{
	if (!wake)
		return;
	notifier_destroy(wake->notifier);
	free(wake);
}

bool wake_strangers(const struct wake *wake)
{
	return wake->notifier;
}

bool wake_is_eventfd(int fd)
{
	return notifier_is_eventfd(fd);
}

void wake_event(struct wake *wake, int fd, bool trusted)
{
	if (!wake->notifier) {
		event_signal(fd);
		return;
	}
	/* Several are signalled with one system call; one alone costs less by itself. */
	if (trusted && wake->first) {
		wake->alone = fd;
	} else {
		if (wake->alone >= 0)
			notifier_signal(wake->notifier, wake->alone);
		wake->alone = -1;
		notifier_signal(wake->notifier, fd);
	}
	wake->first = false;
}

void wake_flush(struct wake *wake)
{
	if (wake->first)
		return;
	if (wake->alone >= 0)
		event_signal(wake->alone);
	else
		notifier_flush(wake->notifier);
	wake->alone = -1;
	wake->first = true;
}

void wake_futex(uint32_t *futex)
{
	(void)syscall(SYS_futex, futex, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
