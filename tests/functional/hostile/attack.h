/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hostile front end does: requests, sessions, rings, memory and messages, sound and
 * unsound as a seed has it.
 */
#ifndef VC_TEST_HOSTILE_ATTACK_H
#define VC_TEST_HOSTILE_ATTACK_H

#include "front.h"

#define SESSIONS 32

/* Kinds of rounds. */
enum attack {
	ATTACK_SOUND,       /* nothing wrong, only much of it */
	ATTACK_HEADERS,     /* headers and parameters that lie */
	ATTACK_SESSIONS,    /* made, destroyed in flight, stale, of the wrong kind, refused */
	ATTACK_DESCRIPTORS, /* chains that are none */
	ATTACK_LONG,        /* chains as long as can be, sound and not */
	ATTACK_RINGS,       /* indices that jump, heads that do not exist */
	ATTACK_MEMORY,      /* regions that go while requests use them */
	ATTACK_RESETS,      /* resets of the device, by message and by status, under load */
	ATTACK_INBAND,      /* sessions over data queues, sound and not */
	ATTACK_RSA,         /* nothing wrong, but slow */
	/* These end the connection. */
	ATTACK_MESSAGES, /* vhost-user messages at random */
	ATTACK_INFLIGHT, /* memory of requests in flight that lies */
	ATTACK_SIGBUS,   /* files cut short */
	ATTACK_KINDS,
};

extern const char *const attack_names[ATTACK_KINDS];

struct attacker {
	const char *path;
	uint64_t seed;
	struct front front;
	/* REVISION_1 and stateless mode were agreed on: our requests have another layout, and lie
	 * from the first word on. */
	bool foreign;
	uint64_t session[SESSIONS];
	uint8_t kind[SESSIONS];
	uint64_t requests, broken_rings, connections;
	uint64_t inband; /* sessions made over data queues */
};

/* splitmix64. */
uint32_t attack_random(struct attacker *a);

/*
 * One round of a kind on an open connection. 0; 1: the connection is over, as was to be expected;
 * -ETIMEDOUT: something that had to come back did not.
 */
int attack_round(struct attacker *a, enum attack kind);

/* A session and a request, and the result is what it must be. 0; -errno; -EBADMSG: wrong. */
int attack_sanity(struct attacker *a);

/* Sessions of every service on a fresh connection. 0, -errno. */
int attack_sessions_make(struct attacker *a);

#endif
