/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resource that does AES-CBC with libcrypto, and everything else wrong that a test's script says:
 * it delays, reorders, refuses, fails, takes few or none at a time, dies, and hangs; what hangs
 * writes into its destination whenever it likes. Time is the test's.
 */
#ifndef VC_TEST_SCRIPT_RESOURCE_H
#define VC_TEST_SCRIPT_RESOURCE_H

#include "host/resource/resource.h"

#define SCRIPT_MOST 1024
#define SCRIPT_LENGTH 1024 /* bytes of a request at the most */

struct script_held;

struct script {
	struct resource base;
	struct resource_instance *instance;
	/* The test's. */
	uint64_t *random; /* of guest_random() */
	uint64_t *now;    /* ns */
	uint32_t can;     /* bit n: keys of 8n bytes */
	uint32_t refuses; /* bit n of a key's first byte, modulo 32: such sessions are refused */
	unsigned int no_memory; /* of 100 sessions, for now */
	unsigned int capacity;
	uint64_t delay; /* ns; up to so long */
	bool reorders;
	unsigned int failed, refused; /* of 100 requests */
	unsigned int hangs;           /* of 100 requests; may_hang */
	/* Results. */
	unsigned int realised, dropped;
	/* Its own. */
	struct script_held *all, **held; /* the first of them are in use, in order of arrival */
	unsigned int count;
};

void script_init(struct script *script, const char *name, unsigned int index, uint64_t *random,
                 uint64_t *now);
void script_free(struct script *script);
/* All good: what hangs comes back at its next polls. */
void script_heal(struct script *script);
/* Write into the destinations of what hangs. */
void script_scribble(struct script *script);

/* AES-CBC encryption of whole blocks, by libcrypto. */
void script_encrypt(const uint8_t *key, uint32_t key_len, const uint8_t *iv, const uint8_t *src,
                    uint8_t *dst, uint32_t length);

#endif
