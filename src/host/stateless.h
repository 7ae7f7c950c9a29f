/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of stateless requests (virtio 1.3, 5.9.7: all parameters come with each request), kept
 * expanded for the next request that brings the same.
 *
 * A cache of one device in one worker: parameters and keys to a session that is in no table. Found
 * by a keyed hash and confirmed by comparing all of it in constant time, so that nobody gets
 * another's session by a collision. Bounded; the least recently used one that no request uses makes
 * room. A hit allocates nothing. One thread, its worker's.
 */
#ifndef VC_HOST_STATELESS_H
#define VC_HOST_STATELESS_H

#include "host/session.h"

/* Bytes of keys that a request may bring. */
#define STATELESS_MAX_KEYS 8192u
#define STATELESS_MAX_CAPACITY 1024u

struct stateless_cache;

/* Written by the worker alone; each figure is right by itself. */
struct stateless_counters {
	uint64_t hits, misses, evicted;
	uint64_t waits; /* looks in vain: all in use, or enough keys made in that turn */
	uint64_t count; /* now */
};

struct stateless_options {
	unsigned int capacity; /* keys at once, from 1 to STATELESS_MAX_CAPACITY */
	unsigned int worker;   /* whose view of a session says whether it is in use */
	session_can_fn *can;   /* may be NULL */
	void *can_context;
	/* Of what names a session; NULL: with the process's secret key (for tests of collisions).
	 */
	uint64_t (*hash)(const void *data, size_t size);
	/* Let go of a session, and release it when nothing uses it any more. */
	void (*drop)(void *context, struct session *session);
	void *drop_context;
	/* Where it counts, for others to read; outlives it. NULL: in itself. */
	struct stateless_counters *counters;
};

/* NULL without memory. */
struct stateless_cache *stateless_new(const struct stateless_options *options);
/* Drops every session. NULL is allowed. */
void stateless_free(struct stateless_cache *cache);

/* Where the keys of a request are to be put (STATELESS_MAX_KEYS of locked memory) before the
 * session is asked for. */
uint8_t *stateless_keys(struct stateless_cache *cache);

/*
 * The session of these parameters and of the keys in stateless_keys(): params->key_len bytes, then
 * params->auth_key_len, together at most STATELESS_MAX_KEYS. Wipes them there. The session stays at
 * least until the next call. 0; errors of session_create() but -ENOSPC; -EAGAIN every session is in
 * use, or enough were made in this turn: later.
 */
int stateless_get(struct stateless_cache *cache, const struct session_params *params,
                  struct session **session);

/* From now on so many keys that are not known may be added; for more, stateless_get() returns
 * -EAGAIN: expanding keys is slow, and a turn of a queue is to be short. No limit at first. */
void stateless_turn(struct stateless_cache *cache, unsigned int misses);

void stateless_count(const struct stateless_cache *cache, struct stateless_counters *counters);

#endif
