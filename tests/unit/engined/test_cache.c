/* SPDX-License-Identifier: Apache-2.0 */
/* The session cache: sharing, collisions, counting, eviction, metadata. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/secmem.h"
#include "engined/cache.h"

static unsigned int dropped;

static void on_drop(void *context, struct cache_entry *entry)
{
	dropped++;
}

static uint64_t same_hash(const void *data, size_t size)
{
	return 42;
}

static const struct vce_session_params cbc = {
	.service = VCRYPTO_SERVICE_CIPHER,
	.algorithm = VCRYPTO_CIPHER_AES_CBC,
	.direction = VCRYPTO_ENCRYPT,
};

static uint8_t *blob_make(const struct vce_session_params *params, const char *key, uint32_t *size)
{
	struct vce_session_params p = *params;
	uint8_t *blob;

	p.key_len = (uint32_t)strlen(key);
	*size = (uint32_t)sizeof(p) + p.key_len;
	blob = secmem_alloc(*size);
	assert_non_null(blob);
	memcpy(blob, &p, sizeof(p));
	memcpy(blob + sizeof(p), key, p.key_len);
	return blob;
}

static struct cache_entry *get_with(struct cache *cache, const struct vce_session_params *params,
                                    const char *key)
{
	struct cache_entry *entry = NULL;
	uint32_t size;
	uint8_t *blob = blob_make(params, key, &size);

	assert_int_equal(cache_get(cache, blob, size, &entry), 0);
	return entry;
}

static struct cache_entry *get(struct cache *cache, const char *key)
{
	return get_with(cache, &cbc, key);
}

static void same_metadata_is_one_session(void **state)
{
	struct cache *cache = cache_create(10, 1000, NULL, on_drop, NULL);
	struct cache_entry *a = get(cache, "0123456789abcdef"), *b = get(cache, "0123456789abcdef");
	struct cache_stats stats;

	assert_ptr_equal(a, b);
	assert_int_equal(a->refs, 2);
	assert_int_equal(a->params.key_len, 16);
	assert_memory_equal(a->params.key, "0123456789abcdef", 16);
	cache_stats_get(cache, &stats);
	assert_int_equal(stats.entries, 1);
	assert_int_equal(stats.hits, 1);
	assert_int_equal(stats.misses, 1);
	cache_destroy(cache);
}

static void collisions_share_nothing(void **state)
{
	struct cache *cache = cache_create(1000, 1000, same_hash, on_drop, NULL);
	struct cache_entry *entry[600];
	char key[17];
	int i;

	for (i = 0; i < 600; i++) {
		snprintf(key, sizeof(key), "%016d", i);
		entry[i] = get(cache, key);
		assert_memory_equal(entry[i]->params.key, key, 16);
	}
	for (i = 0; i < 600; i++) {
		snprintf(key, sizeof(key), "%016d", i);
		assert_ptr_equal(get(cache, key), entry[i]);
	}
	/* From the middle of the chain. */
	cache_put(cache, entry[300], 0);
	cache_put(cache, entry[300], 0);
	assert_true(cache_evict(cache));
	assert_ptr_equal(get(cache, "0000000000000299"), entry[299]);
	assert_ptr_equal(get(cache, "0000000000000301"), entry[301]);
	cache_destroy(cache);
}

static void every_parameter_counts(void **state)
{
	struct cache *cache = cache_create(10, 1000, same_hash, on_drop, NULL);
	struct vce_session_params p = cbc;
	struct cache_entry *a = get(cache, "0123456789abcdef"), *b;

	p.direction = VCRYPTO_DECRYPT;
	b = get_with(cache, &p, "0123456789abcdef");
	assert_ptr_not_equal(a, b);
	p = cbc;
	p.algorithm = VCRYPTO_CIPHER_AES_CTR;
	b = get_with(cache, &p, "0123456789abcdef");
	assert_ptr_not_equal(a, b);
	cache_destroy(cache);
}

static void parameters_of_other_services_do_not(void **state)
{
	struct cache *cache = cache_create(10, 1000, NULL, on_drop, NULL);
	struct vce_session_params p = cbc;
	struct cache_entry *a = get(cache, "0123456789abcdef"), *b;

	p.rsa_hash = 4;
	p.curve = 3;
	p.private_key = 1;
	p.reserved[2] = 77;
	b = get_with(cache, &p, "0123456789abcdef");
	assert_ptr_equal(a, b);
	cache_destroy(cache);
}

static void unused_ones_stay_until_the_limit(void **state)
{
	struct cache *cache = cache_create(2, 1000, NULL, on_drop, NULL);
	struct cache_entry *a = get(cache, "aaaaaaaaaaaaaaaa"), *b = get(cache, "bbbbbbbbbbbbbbbb");
	struct cache_entry *c = get(cache, "cccccccccccccccc");
	struct cache_stats stats;

	dropped = 0;
	cache_put(cache, a, 1);
	cache_put(cache, b, 2);
	assert_int_equal(dropped, 0);
	assert_ptr_equal(get(cache, "aaaaaaaaaaaaaaaa"), a);
	cache_put(cache, a, 3);
	/* b is now the longest unused. */
	cache_put(cache, c, 4);
	assert_int_equal(dropped, 1);
	assert_ptr_equal(get(cache, "aaaaaaaaaaaaaaaa"), a);
	assert_ptr_equal(get(cache, "cccccccccccccccc"), c);
	cache_stats_get(cache, &stats);
	assert_int_equal(stats.entries, 2);
	assert_int_equal(stats.unused, 0);
	assert_int_equal(stats.evicted, 1);
	cache_destroy(cache);
	assert_int_equal(dropped, 3);
}

static void unused_ones_expire(void **state)
{
	struct cache *cache = cache_create(10, 100, NULL, on_drop, NULL);
	struct cache_entry *a = get(cache, "aaaaaaaaaaaaaaaa"), *b = get(cache, "bbbbbbbbbbbbbbbb");

	dropped = 0;
	cache_put(cache, a, 1000);
	cache_put(cache, b, 1050);
	assert_int_equal(cache_expire(cache, 1099), 1);
	assert_int_equal(dropped, 0);
	assert_int_equal(cache_expire(cache, 1100), 50);
	assert_int_equal(dropped, 1);
	assert_int_equal(cache_expire(cache, 2000), 0);
	assert_int_equal(dropped, 2);
	assert_false(cache_evict(cache));
	cache_destroy(cache);
}

static void used_ones_are_never_evicted(void **state)
{
	struct cache *cache = cache_create(10, 100, NULL, on_drop, NULL);

	get(cache, "aaaaaaaaaaaaaaaa");
	assert_false(cache_evict(cache));
	assert_int_equal(cache_expire(cache, UINT64_MAX), 0);
	cache_destroy(cache);
}

static void refuse(struct vce_session_params p, uint32_t size)
{
	struct cache *cache = cache_create(10, 100, NULL, on_drop, NULL);
	uint8_t *blob = secmem_alloc(size > 256 ? size : 256);
	struct cache_entry *entry;
	struct cache_stats stats;

	memcpy(blob, &p, sizeof(p));
	assert_int_equal(cache_get(cache, blob, size, &entry), -EINVAL);
	cache_stats_get(cache, &stats);
	assert_int_equal(stats.entries, 0);
	cache_destroy(cache);
}

static void wrong_metadata_is_refused(void **state)
{
	struct vce_session_params p = cbc;

	refuse(p, 63);
	p.key_len = 17;
	refuse(p, 64 + 16);
	p.key_len = 0xfffffff0; /* the sum wraps in 32 bits */
	p.auth_key_len = 0x20;
	refuse(p, 64 + 16);
	p = cbc;
	p.key_len = 16;
	p.direction = 3;
	refuse(p, 80);
	p.direction = 1;
	p.service = 5;
	refuse(p, 80);
	p.service = 0;
	p.algorithm = 64;
	refuse(p, 80);
	p.algorithm = 3;
	p.chain = 3;
	refuse(p, 80);
	p.chain = 1;
	p.tag_len = 65;
	refuse(p, 80);
	p = (struct vce_session_params){.service = 4, .algorithm = 1, .private_key = 2};
	refuse(p, 64);
	p.private_key = 1;
	p.rsa_padding = 2;
	refuse(p, 64);
	p.rsa_padding = 0;
	p.key_len = CACHE_MAX_BLOB;
	refuse(p, 64 + CACHE_MAX_BLOB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_metadata_is_one_session),
		cmocka_unit_test(collisions_share_nothing),
		cmocka_unit_test(every_parameter_counts),
		cmocka_unit_test(parameters_of_other_services_do_not),
		cmocka_unit_test(unused_ones_stay_until_the_limit),
		cmocka_unit_test(unused_ones_expire),
		cmocka_unit_test(used_ones_are_never_evicted),
		cmocka_unit_test(wrong_metadata_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
