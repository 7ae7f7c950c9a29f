/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waking clients: futexes in their regions, eventfds that they gave.
 *
 * An eventfd of a stranger could block a write(2), and with it the daemon: see base/notifier.h for
 * how that is avoided, and many are signalled with one system call. One of root's or of our own
 * user's, who could stop the daemon anyway, that is alone in its round gets a plain write, which is
 * cheaper.
 */
#ifndef VC_ENGINED_WAKE_H
#define VC_ENGINED_WAKE_H

#include <stdbool.h>
#include <stdint.h>

struct wake;

/* NULL without memory. When the kernel has no asynchronous I/O for us, strangers cannot register
 * eventfds: see wake_strangers(). */
struct wake *wake_create(void);
void wake_destroy(struct wake *wake);

/* Whether eventfds of strangers may be used. */
bool wake_strangers(const struct wake *wake);

/* Whether fd is an eventfd at all. */
bool wake_is_eventfd(int fd);

/* Signal an eventfd, at the next wake_flush() at the latest. */
void wake_event(struct wake *wake, int fd, bool trusted);
/* Call before sleeping, and before any eventfd is closed. */
void wake_flush(struct wake *wake);

/* Wake the thread that sleeps on a shared futex. */
void wake_futex(uint32_t *futex);

#endif
