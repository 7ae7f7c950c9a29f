/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waking clients: futexes in their regions, eventfds that they gave.
 *
 * An eventfd of a stranger is a trap: its flags belong to both ends, so its owner may clear
 * O_NONBLOCK and fill the counter, and a write(2) would then block the daemon for all clients.
 * The kernel's own signalling of an eventfd never blocks; the asynchronous I/O interface
 * (io_submit(2)) does it at the end of a read, here of nothing from /dev/zero. Eventfds of root and
 * of our own user, who could stop the daemon anyway, get a plain write, which is cheaper.
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

/* Signal an eventfd, at once or at the next wake_flush(). */
void wake_event(struct wake *wake, int fd, bool trusted);
/* Call before sleeping, and before any eventfd is closed. */
void wake_flush(struct wake *wake);

/* Wake the thread that sleeps on a shared futex. */
void wake_futex(uint32_t *futex);

#endif
