/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SIGBUS guard of shared mappings. Whoever else holds the file may cut it short, or there may
 * be no huge page left for it: touching it then raises SIGBUS, in whichever thread or library does.
 * The handler puts zero pages in place of the whole mapping and marks it broken; what was being
 * done goes on, with rubbish, and the owner fails the one device. A SIGBUS anywhere else kills the
 * process as ever.
 */
#ifndef VC_HOST_MEMGUARD_H
#define VC_HOST_MEMGUARD_H

#include <stdbool.h>
#include <stddef.h>

struct memguard;

/* Install the handler for the process. 0, -errno. */
int memguard_install(void);

/* Guard a mapping: page aligned address and length (huge pages where it has them). NULL: there are
 * too many. Any thread. */
struct memguard *memguard_add(void *base, size_t length);
/* Before the mapping goes, and when no thread uses it. */
void memguard_remove(struct memguard *guard);

/* Any thread. The second is for asking cheaply and often: false means that none ever broke. */
bool memguard_broken(const struct memguard *guard);
bool memguard_any_broken(void);

#endif
