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
};

struct wake *wake_create(void)
{
	struct wake *wake = calloc(1, sizeof(*wake));
	int err;

	if (!wake)
		return NULL;
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
	if (trusted || !wake->notifier)
		event_signal(fd);
	else
		notifier_signal(wake->notifier, fd);
}

void wake_flush(struct wake *wake)
{
	if (wake->notifier)
		notifier_flush(wake->notifier);
}

void wake_futex(uint32_t *futex)
{
	(void)syscall(SYS_futex, futex, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
