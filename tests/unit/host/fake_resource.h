/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resource for tests of scheduler and worker: it is not cryptography (dst = src ^ 0x5a), and a
 * test can make it hold requests back, refuse, fail, or take few at a time.
 */
#ifndef VC_TEST_FAKE_RESOURCE_H
#define VC_TEST_FAKE_RESOURCE_H

#include <stdatomic.h>

#include "host/resource/resource.h"

#define FAKE_MASK 0x5a
#define FAKE_MOST 4096

struct fake {
	struct resource base;
	/* Set by the test, at any time. */
	atomic_bool can;          /* says that it can do anything */
	atomic_int realise_error; /* what realise returns */
	atomic_bool hold;         /* take requests and keep them */
	atomic_bool fail;         /* give them back with VC_STATUS_RESOURCE */
	atomic_uint capacity;     /* in flight at once */
	/* For the test to look at. */
	atomic_uint realised, dropped, submitted, completed, largest_burst;
	int fd;
};

struct fake *fake_new(const char *name, unsigned int index);
void fake_free(struct fake *fake);
/* hold = false, and tell whoever sleeps. */
void fake_release(struct fake *fake);

#endif
