/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the daemon (core.h) for tests that needs no daemon: it computes with libcrypto, and
 * does what it is told to go wrong.
 */
#ifndef VC_TESTS_SOFT_CORE_H
#define VC_TESTS_SOFT_CORE_H

#include <stdbool.h>
#include <stddef.h>

struct soft_core {
	bool available;
	size_t max_size;
	unsigned int fail_every; /* 0 never; n: each n-th operation fails with error */
	int error;
	bool wrong;     /* results of private keys have a bit wrong */
	bool malformed; /* ECDSA: r is 0 */
	/* Counted. */
	unsigned int operations, failures, small, keys, generated;
	unsigned int together, most; /* operations with others in one call; so many at the most */
};

extern struct soft_core soft_core;

/* Back to working order, counters 0. */
void soft_core_reset(void);

#endif
