/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of stateless requests' keys; see stateless.h. One thread.
 *
 * What names a session is one piece of memory: the parameters in a form without pointers or gaps,
 * then the keys. It is put together in locked memory, hashed with the process's secret key, and
 * compared with that of the session found. Entries are linked by index: free or used in an LRU
 * list, and in the chains of a hash table.
 */
#include "host/stateless.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"

#define NONE UINT16_MAX

/* Parameters as they are hashed and compared: as the request said them, not yet resolved. */
struct name {
	uint8_t service, chain, encrypt, private_key;
	uint8_t cipher, hash, mac, aead;
	uint8_t akcipher, rsa_padding, rsa_hash, curve;
	uint16_t tag_len, zero;
	uint32_t aad_len, key_len, auth_key_len;
	uint32_t zeros;
};

static_assert(sizeof(struct name) == 32, "no gaps: all of it is hashed");

struct entry {
	uint64_t hash;
	struct session *session;
	struct name name;
	uint16_t next;         /* in its bucket, or the next free one */
	uint16_t newer, older; /* LRU */
};

struct stateless_cache {
	struct stateless_options options;
	struct stateless_counters *counters, own;
	uint8_t *scratch;    /* struct name, then keys; locked */
	uint32_t buckets;    /* a power of two */
	unsigned int budget; /* sessions that may still be made in this turn */
	uint16_t free, newest, oldest;
	uint16_t *bucket;
	struct entry entry[];
};

/* Read by anyone. */
static inline void count(uint64_t *counter, int64_t n)
{
	__atomic_store_n(counter, *counter + (uint64_t)n, __ATOMIC_RELAXED);
}

struct stateless_cache *stateless_new(const struct stateless_options *options)
{
	unsigned int capacity = options->capacity;
	struct stateless_cache *cache;

	if (!capacity || capacity > STATELESS_MAX_CAPACITY)
		return NULL;
	cache = calloc(1, sizeof(*cache) + capacity * sizeof(cache->entry[0]));
	if (!cache)
		return NULL;
	cache->options = *options;
	cache->counters = options->counters ? options->counters : &cache->own;
	if (!cache->options.hash)
		cache->options.hash = keyed_hash;
	for (cache->buckets = 1; cache->buckets < capacity;)
		cache->buckets *= 2;
	cache->bucket = malloc(cache->buckets * sizeof(cache->bucket[0]));
	cache->scratch = secmem_alloc(sizeof(struct name) + STATELESS_MAX_KEYS);
	if (!cache->bucket || !cache->scratch) {
		stateless_free(cache);
		return NULL;
	}
	memset(cache->bucket, 0xff, cache->buckets * sizeof(cache->bucket[0]));
	cache->newest = cache->oldest = NONE;
	cache->budget = UINT_MAX;
	for (unsigned int i = 0; i < capacity; i++)
		cache->entry[i].next = i + 1 < capacity ? (uint16_t)(i + 1) : NONE;
	return cache;
}

void stateless_free(struct stateless_cache *cache)
{
	if (!cache)
		return;
	for (unsigned int i = 0; i < cache->options.capacity; i++)
		if (cache->entry[i].session)
			cache->options.drop(cache->options.drop_context, cache->entry[i].session);
	/* Those that are read elsewhere stay; no key does. */
	__atomic_store_n(&cache->counters->count, 0, __ATOMIC_RELAXED);
	secmem_free(cache->scratch);
	free(cache->bucket);
	free(cache);
}

uint8_t *stateless_keys(struct stateless_cache *cache)
{
	return cache->scratch + sizeof(struct name);
}

/* ---- lists ---- */

static void lru_unlink(struct stateless_cache *cache, uint16_t index)
{
	struct entry *entry = &cache->entry[index];

	*(entry->newer == NONE ? &cache->newest : &cache->entry[entry->newer].older) = entry->older;
	*(entry->older == NONE ? &cache->oldest : &cache->entry[entry->older].newer) = entry->newer;
}

static void lru_link(struct stateless_cache *cache, uint16_t index)
{
	struct entry *entry = &cache->entry[index];

	entry->newer = NONE;
	entry->older = cache->newest;
	*(entry->older == NONE ? &cache->oldest : &cache->entry[entry->older].newer) = index;
	cache->newest = index;
}

static uint16_t *bucket_of(struct stateless_cache *cache, uint64_t hash)
{
	return &cache->bucket[hash & (cache->buckets - 1)];
}

static bool in_use(const struct stateless_cache *cache, const struct session *session)
{
	/* Relaxed: this worker's own view. */
	const struct session_local *local =
		atomic_load_explicit(&session->local[cache->options.worker], memory_order_relaxed);

	/* Who waits for an answer that nobody wants lives on by itself. */
	return local && local->in_flight > local->held;
}

/* Make the oldest session that is not in use go. False: there is none. */
static bool evict(struct stateless_cache *cache)
{
	uint16_t index = cache->oldest;
	struct entry *entry;
	uint16_t *link;

	while (index != NONE && in_use(cache, cache->entry[index].session))
		index = cache->entry[index].newer;
	if (index == NONE)
		return false;
	entry = &cache->entry[index];
	for (link = bucket_of(cache, entry->hash); *link != index;)
		link = &cache->entry[*link].next;
	*link = entry->next;
	lru_unlink(cache, index);
	cache->options.drop(cache->options.drop_context, entry->session);
	entry->session = NULL;
	entry->next = cache->free;
	cache->free = index;
	count(&cache->counters->count, -1);
	count(&cache->counters->evicted, 1);
	return true;
}

/* ---- looking up ---- */

static struct name name_of(const struct session_params *p)
{
	return (struct name){
		.service = p->service,
		.chain = p->chain,
		.encrypt = p->encrypt,
		.private_key = p->private_key,
		.cipher = p->cipher,
		.hash = p->hash,
		.mac = p->mac,
		.aead = p->aead,
		.akcipher = p->akcipher,
		.rsa_padding = p->rsa_padding,
		.rsa_hash = p->rsa_hash,
		.curve = p->curve,
		.tag_len = p->tag_len,
		.aad_len = p->aad_len,
		.key_len = p->key_len,
		.auth_key_len = p->auth_key_len,
	};
}

static uint16_t find(struct stateless_cache *cache, uint64_t hash, size_t keys_len)
{
	uint16_t index = *bucket_of(cache, hash);

	for (; index != NONE; index = cache->entry[index].next) {
		const struct entry *entry = &cache->entry[index];

		if (entry->hash == hash &&
		    secmem_equal(&entry->name, cache->scratch, sizeof(struct name)) &&
		    secmem_equal(entry->session->params.key, stateless_keys(cache), keys_len))
			break;
	}
	return index;
}

static int add(struct stateless_cache *cache, uint64_t hash, const struct session_params *wanted,
               uint16_t *index)
{
	struct session_params params = *wanted;
	struct entry *entry;
	uint16_t *bucket;
	int rc;

	if (!cache->budget)
		return -EAGAIN;
	cache->budget--;
	params.key = stateless_keys(cache);
	params.auth_key = params.key + params.key_len;
	rc = session_params_check(&params);
	if (rc < 0)
		return rc;
	if (cache->options.can && !cache->options.can(cache->options.can_context, &params))
		return -ENOTSUP;
	if (cache->free == NONE && !evict(cache))
		return -EAGAIN;
	*index = cache->free;
	entry = &cache->entry[*index];
	entry->session = session_new(&params);
	if (!entry->session)
		return -ENOMEM;
	cache->free = entry->next;
	entry->hash = hash;
	memcpy(&entry->name, cache->scratch, sizeof(entry->name));
	bucket = bucket_of(cache, hash);
	entry->next = *bucket;
	*bucket = *index;
	lru_link(cache, *index);
	count(&cache->counters->count, 1);
	return 0;
}

int stateless_get(struct stateless_cache *cache, const struct session_params *params,
                  struct session **session)
{
	size_t keys_len = (size_t)params->key_len + params->auth_key_len;
	struct name name = name_of(params);
	uint16_t index;
	uint64_t hash;
	int rc = 0;

	if (keys_len > STATELESS_MAX_KEYS)
		return -EINVAL;
	memcpy(cache->scratch, &name, sizeof(name));
	hash = cache->options.hash(cache->scratch, sizeof(name) + keys_len);
	index = find(cache, hash, keys_len);
	if (vc_likely(index != NONE)) {
		count(&cache->counters->hits, 1);
		if (index != cache->newest) {
			lru_unlink(cache, index);
			lru_link(cache, index);
		}
	} else {
		rc = add(cache, hash, params, &index);
		count(rc == -EAGAIN ? &cache->counters->waits : &cache->counters->misses, 1);
	}
	secmem_wipe(stateless_keys(cache), keys_len);
	if (!rc)
		*session = cache->entry[index].session;
	return rc;
}

void stateless_turn(struct stateless_cache *cache, unsigned int misses)
{
	cache->budget = misses;
}

void stateless_count(const struct stateless_cache *cache, struct stateless_counters *counters)
{
	*counters = *cache->counters;
}
