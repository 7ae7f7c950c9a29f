/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session cache. Runs in the daemon's one thread; metadata comes from strangers.
 */
#include "engined/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "base/util.h"

#define CACHE_BUCKETS_MIN 256u

struct cache {
	struct cache_entry **bucket;
	unsigned int buckets; /* a power of two */
	unsigned int max_unused;
	uint64_t idle_ns;
	cache_hash_fn *hash;
	cache_drop_fn *drop;
	void *context;
	struct cache_entry *newest, *oldest; /* unused ones */
	struct cache_stats stats;
};

struct cache *cache_create(unsigned int max_unused, uint64_t idle_ns, cache_hash_fn *hash,
                           cache_drop_fn *drop, void *context)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->buckets = CACHE_BUCKETS_MIN;
	cache->bucket = calloc(cache->buckets, sizeof(struct cache_entry *));
	if (!cache->bucket) {
		free(cache);
		return NULL;
	}
	cache->max_unused = max_unused;
	cache->idle_ns = idle_ns;
	cache->hash = hash ? hash : keyed_hash;
	cache->drop = drop;
	cache->context = context;
	return cache;
}

static void entry_free(struct cache *cache, struct cache_entry *entry)
{
	cache->drop(cache->context, entry);
	secmem_free(entry->blob);
	free(entry);
	cache->stats.entries--;
}

void cache_destroy(struct cache *cache)
{
	struct cache_entry *entry, *next;
	unsigned int i;

	if (!cache)
		return;
	for (i = 0; i < cache->buckets; i++) {
		for (entry = cache->bucket[i]; entry; entry = next) {
			next = entry->chain;
			entry_free(cache, entry);
		}
	}
	free(cache->bucket);
	free(cache);
}

/* ---- metadata ---- */

static int check_symmetric(struct vce_session_params *p)
{
	p->private_key = 0;
	p->rsa_padding = 0;
	p->rsa_hash = 0;
	p->curve = 0;
	if (p->service == VCRYPTO_SERVICE_HASH || p->service == VCRYPTO_SERVICE_MAC)
		p->direction = 0;
	else if (p->direction != VCRYPTO_ENCRYPT && p->direction != VCRYPTO_DECRYPT)
		return -EINVAL;
	if (p->service != VCRYPTO_SERVICE_AEAD)
		p->aad_len = 0;
	if (p->service != VCRYPTO_SERVICE_CIPHER)
		p->chain = VCRYPTO_CHAIN_NONE;
	if (p->service == VCRYPTO_SERVICE_CIPHER && p->chain == VCRYPTO_CHAIN_NONE)
		p->tag_len = 0;
	if (p->chain == VCRYPTO_CHAIN_NONE)
		p->mac = 0;
	if (p->chain > VCRYPTO_CHAIN_CIPHER_THEN_HASH || p->tag_len > 64 || p->mac > 63)
		return -EINVAL;
	return 0;
}

static int check_akcipher(struct vce_session_params *p)
{
	p->direction = 0;
	p->chain = 0;
	p->mac = 0;
	p->tag_len = 0;
	p->aad_len = 0;
	if (p->algorithm != VCRYPTO_AKCIPHER_RSA) {
		p->rsa_padding = 0;
		p->rsa_hash = 0;
	} else {
		p->curve = 0;
	}
	if (p->algorithm == VCRYPTO_AKCIPHER_AGREE)
		p->private_key = 0;
	if (p->private_key > 1 || p->rsa_padding > VCRYPTO_RSA_PKCS1 || p->rsa_hash > 9 ||
	    p->curve > 255)
		return -EINVAL;
	return 0;
}

int cache_blob_check(uint8_t *blob, uint32_t size, struct vcrypto_session_params *params)
{
	struct vce_session_params *p = (struct vce_session_params *)(void *)blob;
	int ret;

	if (size < sizeof(*p) || size > CACHE_MAX_BLOB)
		return -EINVAL;
	if (sizeof(*p) + (uint64_t)p->key_len + p->auth_key_len != size)
		return -EINVAL;
	if (p->service > VCRYPTO_SERVICE_AKCIPHER || p->algorithm > 63)
		return -EINVAL;
	memset(p->reserved, 0, sizeof(p->reserved));
	ret = p->service == VCRYPTO_SERVICE_AKCIPHER ? check_akcipher(p) : check_symmetric(p);
	if (ret)
		return ret;

	*params = (struct vcrypto_session_params){
		.service = p->service,
		.algorithm = p->algorithm,
		.direction = p->direction,
		.key = blob + sizeof(*p),
		.key_len = p->key_len,
		.chain = p->chain,
		.mac = p->mac,
		.auth_key = p->auth_key_len ? blob + sizeof(*p) + p->key_len : NULL,
		.auth_key_len = p->auth_key_len,
		.tag_len = p->tag_len,
		.aad_len = p->aad_len,
		.private_key = p->private_key,
		.rsa_padding = p->rsa_padding,
		.rsa_hash = p->rsa_hash,
		.curve = p->curve,
	};
	return 0;
}

/* ---- table ---- */

/* Twice as many buckets as entries, so that chains stay short; failing to grow harms nobody. */
static void cache_grow(struct cache *cache)
{
	struct cache_entry **bucket, *entry, *next;
	unsigned int i, n = cache->buckets * 2;

	if (cache->stats.entries < cache->buckets)
		return;
	bucket = calloc(n, sizeof(struct cache_entry *));
	if (!bucket)
		return;
	for (i = 0; i < cache->buckets; i++) {
		for (entry = cache->bucket[i]; entry; entry = next) {
			next = entry->chain;
			entry->chain = bucket[entry->hash & (n - 1)];
			bucket[entry->hash & (n - 1)] = entry;
		}
	}
	free(cache->bucket);
	cache->bucket = bucket;
	cache->buckets = n;
}

static void unused_unlink(struct cache *cache, struct cache_entry *entry)
{
	if (entry->newer)
		entry->newer->older = entry->older;
	else
		cache->newest = entry->older;
	if (entry->older)
		entry->older->newer = entry->newer;
	else
		cache->oldest = entry->newer;
	entry->newer = NULL;
	entry->older = NULL;
	cache->stats.unused--;
}

static void unused_add(struct cache *cache, struct cache_entry *entry)
{
	entry->newer = NULL;
	entry->older = cache->newest;
	if (cache->newest)
		cache->newest->newer = entry;
	else
		cache->oldest = entry;
	cache->newest = entry;
	cache->stats.unused++;
}

void cache_ref(struct cache *cache, struct cache_entry *entry)
{
	if (!entry->refs++)
		unused_unlink(cache, entry);
}

static struct cache_entry *cache_find(const struct cache *cache, uint64_t hash, const uint8_t *blob,
                                      uint32_t size)
{
	struct cache_entry *entry;

	for (entry = cache->bucket[hash & (cache->buckets - 1)]; entry; entry = entry->chain) {
		if (entry->hash == hash && entry->size == size &&
		    secmem_equal(entry->blob, blob, size))
			return entry;
	}
	return NULL;
}

int cache_get(struct cache *cache, uint8_t *blob, uint32_t size, struct cache_entry **out)
{
	struct vcrypto_session_params params;
	struct cache_entry *entry;
	uint64_t hash;
	int ret;

	ret = cache_blob_check(blob, size, &params);
	if (ret)
		goto out;
	hash = cache->hash(blob, size);
	entry = cache_find(cache, hash, blob, size);
	if (entry) {
		cache->stats.hits++;
		cache_ref(cache, entry);
		*out = entry;
		goto out;
	}
	ret = -ENOMEM;
	cache_grow(cache);
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		goto out;
	cache->stats.misses++;
	cache->stats.entries++;
	entry->hash = hash;
	entry->refs = 1;
	entry->blob = blob;
	entry->size = size;
	entry->params = params;
	entry->waiting_end = &entry->waiting;
	entry->chain = cache->bucket[hash & (cache->buckets - 1)];
	cache->bucket[hash & (cache->buckets - 1)] = entry;
	*out = entry;
	return 0;

out:
	secmem_free(blob);
	return ret;
}

static void cache_remove(struct cache *cache, struct cache_entry *entry)
{
	struct cache_entry **link = &cache->bucket[entry->hash & (cache->buckets - 1)];

	while (*link != entry)
		link = &(*link)->chain;
	*link = entry->chain;
	unused_unlink(cache, entry);
	entry_free(cache, entry);
}

bool cache_evict(struct cache *cache)
{
	if (!cache->oldest)
		return false;
	cache->stats.evicted++;
	cache_remove(cache, cache->oldest);
	return true;
}

void cache_put(struct cache *cache, struct cache_entry *entry, uint64_t now)
{
	if (--entry->refs)
		return;
	entry->unused_since = now;
	unused_add(cache, entry);
	while (cache->stats.unused > cache->max_unused)
		cache_evict(cache);
}

uint64_t cache_expire(struct cache *cache, uint64_t now)
{
	struct cache_entry *entry, *newer;

	for (entry = cache->oldest; entry; entry = newer) {
		if (entry->unused_since + cache->idle_ns > now)
			return entry->unused_since + cache->idle_ns - now;
		newer = entry->newer;
		cache->stats.evicted++;
		cache_remove(cache, entry);
	}
	return 0;
}

void cache_each(struct cache *cache, void (*fn)(void *context, struct cache_entry *entry),
                void *context)
{
	struct cache_entry *entry, *next;
	unsigned int i;

	for (i = 0; i < cache->buckets; i++) {
		for (entry = cache->bucket[i]; entry; entry = next) {
			next = entry->chain;
			fn(context, entry);
		}
	}
}

void cache_stats_get(const struct cache *cache, struct cache_stats *stats)
{
	*stats = cache->stats;
}
