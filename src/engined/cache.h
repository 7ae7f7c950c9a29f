/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session cache: from metadata (service, algorithm, parameters, keys) to one session of the
 * device, shared by all clients that know the same key.
 *
 * Pure: knows neither clients nor the device; time is given to it. An entry is found by a keyed
 * hash and confirmed by comparing everything in constant time, so that no collision, forced or
 * not, ever shares a session. Entries are counted; an entry that nobody holds stays for reuse until
 * a limit or a time pushes it out, the longest unused first. The entry keeps parameters and keys
 * (in locked memory), so that its session can be made again on another device.
 */
#ifndef VC_ENGINED_CACHE_H
#define VC_ENGINED_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vcrypto/vcrypto.h"
#include "wire/engine.h"

/* Metadata of one session: struct vce_session_params and keys. */
#define CACHE_MAX_BLOB 16384u

enum cache_state {
	CACHE_NONE = 0, /* the device does not have it */
	CACHE_WANTED,   /* to be made when the device takes it */
	CACHE_MAKING,   /* the device is making it */
	CACHE_READY,
};

struct request;

struct cache_entry {
	/* The cache's. */
	struct cache_entry *chain;         /* same bucket */
	struct cache_entry *newer, *older; /* list of unused ones */
	uint64_t hash;
	uint64_t unused_since; /* ns */
	unsigned int refs;
	uint32_t size;
	uint8_t *blob;                        /* secmem */
	struct vcrypto_session_params params; /* keys point into blob */
	/* For the owner: session.c. */
	enum cache_state state;
	struct vcrypto_session *session;
	uint64_t deadline; /* ns; while wanted or making */
	bool late;         /* it has passed, and was moved on once */
	struct cache_entry *next_making;
	struct request *waiting, **waiting_end; /* requests for when it is ready */
};

struct cache_stats {
	unsigned int entries, unused;
	uint64_t hits, misses, evicted;
};

struct cache;

/* Called when an entry goes: its session is to be destroyed. */
typedef void cache_drop_fn(void *context, struct cache_entry *entry);
typedef uint64_t cache_hash_fn(const void *data, size_t size);

/*
 * max_unused: how many unused entries are kept; idle_ns: how long. hash: NULL for the keyed one
 * (tests force collisions). NULL without memory.
 */
struct cache *cache_create(unsigned int max_unused, uint64_t idle_ns, cache_hash_fn *hash,
                           cache_drop_fn *drop, void *context);
/* Drops every entry, used or not. NULL is allowed. */
void cache_destroy(struct cache *cache);

/*
 * Check metadata as a client gave it and point params into it. Fields that the service does not
 * name are set to 0 in the blob, so that they make no difference. 0, -EINVAL.
 */
int cache_blob_check(uint8_t *blob, uint32_t size, struct vcrypto_session_params *params);

/*
 * Find or make the entry for a blob (secmem; owned by the cache from now on, whatever comes out)
 * and take a reference. 0, -EINVAL, -ENOMEM.
 */
int cache_get(struct cache *cache, uint8_t *blob, uint32_t size, struct cache_entry **entry);
void cache_ref(struct cache *cache, struct cache_entry *entry);
/* Give a reference back. now: ns. May drop entries, this one too. */
void cache_put(struct cache *cache, struct cache_entry *entry, uint64_t now);

/* Drop the longest unused entry: for when the device is full. False: there is none. */
bool cache_evict(struct cache *cache);
/* Drop what has been unused for too long. Returns ns until the next is due, 0 for never. */
uint64_t cache_expire(struct cache *cache, uint64_t now);

/* Call fn for every entry. */
void cache_each(struct cache *cache, void (*fn)(void *context, struct cache_entry *entry),
                void *context);
void cache_stats_get(const struct cache *cache, struct cache_stats *stats);

#endif
