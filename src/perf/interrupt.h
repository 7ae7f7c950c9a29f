/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGINT and SIGTERM end a measurement before its time, and what was measured is told. They are
 * not caught but waited for, so a measurement that nobody interrupts is not disturbed.
 */
#ifndef VC_PERF_INTERRUPT_H
#define VC_PERF_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

struct interrupt {
	sigset_t ours;   /* those of the two signals that would end the program */
	sigset_t before; /* mask of the thread */
};

/* From here on the signals wait to be seen, in this thread and in those that it makes. */
void interrupt_begin(struct interrupt *i);

/* They do again what they did before, and one that came since the last wait does so now. */
void interrupt_end(const struct interrupt *i);

/* Wait so long, or until one of them comes. True: it did. */
bool interrupt_wait(const struct interrupt *i, double seconds);

/* One was seen, in this measurement or in an earlier one. */
bool interrupted(void);

#endif
