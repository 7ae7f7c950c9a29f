/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that is killed at any moment, again and again, each time followed by one that finds its
 * memory; for rings of either kind. The driver is this process, the device a child of it.
 */
#ifndef VC_TEST_KILLED_H
#define VC_TEST_KILLED_H

#include "host/vring.h"

/* What the device writes to the last byte of each chain. */
#define KILLED_MARK 0x5a

struct killed {
	struct vring *ring;
	unsigned int size; /* chains that can be out at once */
	void *context;
	/* The device begins: set the ring up, and its inflight. */
	void (*start)(void *context);
	/* The driver: take what is used, which must be its own, and be marked; more: offer what
	 * there is room for. How many were used. */
	unsigned int (*drive)(void *context, bool more);
};

/* Until every chain that was offered is back. */
void killed_run(const struct killed *killed);

#endif
