/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of stateless requests' keys: what is the same session and what is not, who makes room
 * for whom, and that nobody in use does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "guest.h"
#include "host/stateless.h"

#define WORKER 3
#define CAPACITY 8

static unsigned int dropped;
static const struct session *last_dropped;

static void drop(void *context, struct session *session)
{
	assert_ptr_equal(context, &dropped);
	dropped++;
	last_dropped = session;
	session_release(session);
}

static int cache_open(void **state)
{
	const struct stateless_options options = {
		.capacity = CAPACITY, .worker = WORKER, .drop = drop, .drop_context = &dropped};

	dropped = 0;
	*state = stateless_new(&options);
	assert_non_null(*state);
	return 0;
}

static int cache_close(void **state)
{
	struct stateless_counters counters;

	stateless_count(*state, &counters);
	dropped = 0;
	stateless_free(*state);
	assert_int_equal(dropped, counters.count);
	return 0;
}

#define cache_test(t) cmocka_unit_test_setup_teardown(t, cache_open, cache_close)

static const struct session_params cbc = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
                                          .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
                                          .encrypt = 1,
                                          .key_len = 16};

/* The session of a key that is a number. */
static int get(struct stateless_cache *cache, const struct session_params *params, uint32_t key,
               struct session **session)
{
	memset(stateless_keys(cache), 0, params->key_len + params->auth_key_len);
	memcpy(stateless_keys(cache), &key, sizeof(key));
	return stateless_get(cache, params, session);
}

static struct session *must(struct stateless_cache *cache, uint32_t key)
{
	struct session *session = NULL;

	assert_int_equal(get(cache, &cbc, key, &session), 0);
	assert_memory_equal(session->params.key, &key, sizeof(key));
	return session;
}

static void test_parameters_tell_sessions_apart(void **state)
{
	struct session_params variant[] = {cbc, cbc, cbc, cbc, cbc};
	struct session *session[vc_array_size(variant)];

	variant[1].encrypt = 0;
	variant[2].cipher = VIRTIO_CRYPTO_CIPHER_AES_CTR;
	variant[3].key_len = 24;
	variant[4].chain = 1;
	variant[4].mac = VIRTIO_CRYPTO_MAC_HMAC_SHA1;
	variant[4].auth_key_len = 20;
	for (size_t i = 0; i < vc_array_size(variant); i++) {
		assert_int_equal(get(*state, &variant[i], 1, &session[i]), 0);
		assert_int_equal(session[i]->params.encrypt, variant[i].encrypt);
		assert_int_equal(session[i]->params.key_len, variant[i].key_len);
		for (size_t k = 0; k < i; k++)
			assert_ptr_not_equal(session[i], session[k]);
	}
	for (size_t i = 0; i < vc_array_size(variant); i++) {
		struct session *again;

		assert_int_equal(get(*state, &variant[i], 1, &again), 0);
		assert_ptr_equal(again, session[i]);
	}
}

/* Where one key ends and the other begins is part of the name. */
static void test_the_border_between_two_keys_counts(void **state)
{
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
	                                .chain = 1,
	                                .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA1,
	                                .key_len = 16,
	                                .auth_key_len = 24};
	struct session *one, *other;

	assert_int_equal(get(*state, &params, 1, &one), 0);
	params.key_len = 24;
	params.auth_key_len = 16;
	assert_int_equal(get(*state, &params, 1, &other), 0);
	assert_ptr_not_equal(one, other);
}

static uint64_t same_hash(const void *data, size_t size)
{
	return 42;
}

/* However many names have one hash: each has its own session, and goes by itself. */
static void test_a_collision_shares_no_session(void **state)
{
	const struct stateless_options options = {
		.capacity = 4, .hash = same_hash, .drop = drop, .drop_context = &dropped};
	struct stateless_cache *cache = stateless_new(&options);
	struct session_params decrypt = cbc;
	struct session *session[4], *other;

	for (uint32_t i = 0; i < 4; i++)
		session[i] = must(cache, i);
	for (uint32_t i = 0; i < 4; i++) {
		assert_ptr_equal(must(cache, i), session[i]);
		for (uint32_t k = 0; k < i; k++)
			assert_ptr_not_equal(session[i], session[k]);
	}
	decrypt.encrypt = 0;
	assert_int_equal(get(cache, &decrypt, 3, &other), 0);
	assert_int_equal(other->params.encrypt, 0);
	/* It took the place of 0, from the end of the chain. */
	for (uint32_t i = 1; i < 4; i++)
		assert_ptr_equal(must(cache, i), session[i]);
	stateless_free(cache);
}

static void test_keys_do_not_stay_behind(void **state)
{
	const uint8_t zero[512] = {0};
	struct session *session;

	must(*state, 0x12345678);
	assert_memory_equal(stateless_keys(*state), zero, 16);
	must(*state, 0x12345678);
	assert_memory_equal(stateless_keys(*state), zero, 16);
	struct session_params bad = cbc;

	bad.key_len = 17;
	assert_int_equal(get(*state, &bad, 0x12345678, &session), -EKEYREJECTED);
	assert_memory_equal(stateless_keys(*state), zero, 17);
}

static void test_the_least_recently_used_makes_room(void **state)
{
	struct session *session[CAPACITY + 1];
	struct stateless_counters counters;

	for (uint32_t i = 0; i < CAPACITY; i++)
		session[i] = must(*state, i);
	assert_int_equal(dropped, 0);
	/* 0 is used again: now 1 is the oldest. */
	assert_ptr_equal(must(*state, 0), session[0]);
	must(*state, CAPACITY);
	assert_int_equal(dropped, 1);
	assert_ptr_equal(last_dropped, session[1]);
	assert_ptr_equal(must(*state, 0), session[0]);
	for (uint32_t i = 2; i < CAPACITY; i++)
		assert_ptr_equal(must(*state, i), session[i]);
	stateless_count(*state, &counters);
	assert_int_equal(counters.count, CAPACITY);
	assert_int_equal(counters.evicted, 1);
	assert_int_equal(counters.misses, CAPACITY + 1);
}

static void test_sessions_in_use_stay(void **state)
{
	struct session_local used = {.in_flight = 1}, idle = {.in_flight = 0};
	struct session *session[CAPACITY], *more;

	for (uint32_t i = 0; i < CAPACITY; i++) {
		session[i] = must(*state, i);
		atomic_store(&session[i]->local[WORKER], i == 5 ? &idle : &used);
	}
	must(*state, 100);
	assert_ptr_equal(last_dropped, session[5]);
	atomic_store(&must(*state, 100)->local[WORKER], &used);
	/* All in use: later. Nothing was lost by asking. */
	assert_int_equal(get(*state, &cbc, 101, &more), -EAGAIN);
	assert_int_equal(dropped, 1);
	for (uint32_t i = 0; i < CAPACITY; i++)
		if (i != 5)
			assert_ptr_equal(must(*state, i), session[i]);
	used.in_flight = 0;
	assert_int_equal(get(*state, &cbc, 101, &more), 0);
	assert_int_equal(dropped, 2);
}

static void test_a_turn_makes_so_many_sessions(void **state)
{
	struct stateless_counters counters;
	struct session_params bad = cbc;
	struct session *session;

	stateless_turn(*state, 3);
	for (uint32_t i = 0; i < 2; i++)
		must(*state, i);
	/* What is refused was work too. */
	bad.key_len = 17;
	assert_int_equal(get(*state, &bad, 1, &session), -EKEYREJECTED);
	assert_int_equal(get(*state, &cbc, 3, &session), -EAGAIN);
	/* Known ones cost nothing. */
	for (uint32_t i = 0; i < 2; i++)
		must(*state, i);
	stateless_count(*state, &counters);
	assert_int_equal(counters.misses, 3);
	stateless_turn(*state, 1);
	must(*state, 3);
	assert_int_equal(get(*state, &cbc, 4, &session), -EAGAIN);
}

static bool never(void *context, const struct session_params *params)
{
	return false;
}

static void test_what_is_refused_takes_no_room(void **state)
{
	struct stateless_options options = {.capacity = 1, .drop = drop, .drop_context = &dropped};
	struct session_params params = cbc;
	struct stateless_counters counters;
	struct stateless_cache *cache;
	struct session *session;

	params.cipher = 99;
	assert_int_equal(get(*state, &params, 1, &session), -ENOTSUP);
	params = cbc;
	params.key_len = STATELESS_MAX_KEYS;
	params.auth_key_len = 1;
	assert_int_equal(stateless_get(*state, &params, &session), -EINVAL);
	params.key_len = params.auth_key_len = UINT32_MAX;
	assert_int_equal(stateless_get(*state, &params, &session), -EINVAL);
	stateless_count(*state, &counters);
	assert_int_equal(counters.count, 0);

	options.can = never;
	cache = stateless_new(&options);
	assert_int_equal(get(cache, &cbc, 1, &session), -ENOTSUP);
	stateless_free(cache);
	options.capacity = 0;
	assert_null(stateless_new(&options));
	options.capacity = STATELESS_MAX_CAPACITY + 1;
	assert_null(stateless_new(&options));
}

/* Against a list of what must be there: 8 sessions, the latest asked for. */
static void test_random_use_against_a_model(void **state)
{
	uint32_t model[CAPACITY];
	unsigned int count = 0;
	uint64_t seed = 71;
	struct stateless_counters before, after;

	for (int i = 0; i < 20000; i++) {
		uint32_t key = guest_random(&seed) % 12;
		unsigned int at = 0;

		while (at < count && model[at] != key)
			at++;
		stateless_count(*state, &before);
		must(*state, key);
		stateless_count(*state, &after);
		assert_int_equal(after.hits - before.hits, at < count);
		if (at == count && count < CAPACITY)
			count++;
		if (at == count)
			at--;
		memmove(model + 1, model, at * sizeof(model[0]));
		model[0] = key;
		assert_int_equal(after.count, count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cache_test(test_parameters_tell_sessions_apart),
		cache_test(test_the_border_between_two_keys_counts),
		cache_test(test_a_collision_shares_no_session),
		cache_test(test_keys_do_not_stay_behind),
		cache_test(test_the_least_recently_used_makes_room),
		cache_test(test_sessions_in_use_stay),
		cache_test(test_a_turn_makes_so_many_sessions),
		cache_test(test_what_is_refused_takes_no_room),
		cache_test(test_random_use_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
