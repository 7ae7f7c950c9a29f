/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A well-behaved application beside those of the target engine: whatever they do, each of its
 * requests is answered, and as long as the device does well, done.
 */
#ifndef VC_FUZZ_ENGINE_NEIGHBOUR_H
#define VC_FUZZ_ENGINE_NEIGHBOUR_H

#include "engined/engined.h"

#define NEIGHBOUR_NAME "neighbour"

/* It connects, and opens a session in the next rounds. */
void neighbour_begin(struct engined *e);
/* Look at what has been answered, and ask for more. well: the device has always done well. Without
 * a neighbour: nothing, as all below. */
void neighbour_go_on(bool well);
/* Whether all has been answered; looks at it, and asks for no more. */
bool neighbour_idle(bool well);
void neighbour_end(void);

#endif
