/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session table: ids, stale ids, limits, and lookups while others create and destroy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "guest.h"
#include "host/session.h"

static struct session_params aes(const uint8_t *key)
{
	return (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                               .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
	                               .encrypt = 1,
	                               .key_len = 16,
	                               .key = key};
}

static uint64_t create(struct session_table *table, uint8_t fill)
{
	uint8_t key[16];
	struct session_params params = aes(key);
	uint64_t id = 0;

	memset(key, fill, sizeof(key));
	assert_int_equal(session_create(table, &params, NULL, NULL, &id), 0);
	return id;
}

static void test_session_has_its_own_keys(void **state)
{
	struct session_table *table = session_table_new(10);
	uint8_t key[16] = {1, 2, 3}, auth[20] = {4, 5, 6};
	struct session_params params = aes(key);
	struct session *session;
	uint64_t id;

	params.chain = VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH;
	params.mac = VIRTIO_CRYPTO_MAC_HMAC_SHA1;
	params.auth_key = auth;
	params.auth_key_len = 20;
	assert_int_equal(session_create(table, &params, NULL, NULL, &id), 0);
	memset(key, 0, 16);
	memset(auth, 0, 20);
	session = session_get(table, id);
	assert_non_null(session);
	assert_int_equal(session->id, id);
	assert_memory_equal(session->params.key, "\1\2\3", 4);
	assert_memory_equal(session->params.auth_key, "\4\5\6", 4);
	assert_int_equal(session->params.tag_len, 20);
	assert_int_equal(id >> 48, VCRYPTO_SESSION_TAG);
	assert_true((int64_t)id > 0);
	session_table_free(table);
}

static void test_stale_and_foreign_ids_find_nothing(void **state)
{
	struct session_table *table = session_table_new(1);
	uint64_t id = create(table, 1), old;

	for (int i = 0; i < 1000; i++) {
		old = id;
		struct session *session = session_remove(table, old);

		assert_non_null(session);
		assert_null(session_get(table, old));
		assert_null(session_remove(table, old));
		session_release(session);
		id = create(table, 2);
		/* The one slot again, another generation. */
		assert_int_equal(id & 0xffffff, old & 0xffffff);
		assert_int_not_equal(id, old);
		assert_null(session_get(table, old));
		assert_null(session_remove(table, old));
		assert_non_null(session_get(table, id));
	}
	for (unsigned int bit = 0; bit < 64; bit++)
		assert_null(session_get(table, id ^ 1ull << bit));
	assert_null(session_get(table, 0));
	assert_null(session_get(table, UINT64_MAX));
	session_table_free(table);
}

static void test_table_is_full_at_its_capacity(void **state)
{
	const uint32_t capacity = 700; /* not a multiple of a chunk */
	struct session_table *table = session_table_new(capacity);
	uint8_t key[16] = {0};
	struct session_params params = aes(key);
	uint64_t *ids = calloc(capacity, sizeof(*ids)), id;
	uint32_t cursor = 0, n = 0;

	for (uint32_t i = 0; i < capacity; i++)
		ids[i] = create(table, (uint8_t)i);
	assert_int_equal(session_table_count(table), capacity);
	assert_int_equal(session_create(table, &params, NULL, NULL, &id), -ENOSPC);
	for (uint32_t i = 0; i < capacity; i++)
		assert_int_equal(session_get(table, ids[i])->params.key[0], (uint8_t)i);
	session_release(session_remove(table, ids[333]));
	session_release(session_remove(table, ids[5]));
	assert_int_equal(session_table_count(table), capacity - 2);
	while (session_table_next(table, &cursor))
		n++;
	assert_int_equal(n, capacity - 2);
	for (n = cursor = 0; session_table_look(table, &cursor, &id, &params); n++) {
		assert_int_equal(session_get(table, id)->id, id);
		assert_int_equal(params.key_len, 16);
		assert_null(params.key);
		assert_null(params.auth_key);
	}
	assert_int_equal(n, capacity - 2);
	params = aes(key);
	create(table, 1);
	create(table, 1);
	assert_int_equal(session_create(table, &params, NULL, NULL, &id), -ENOSPC);
	session_table_free(table);
	free(ids);
}

static void test_tables_have_a_size(void **state)
{
	assert_null(session_table_new(0));
	assert_null(session_table_new((1 << 24) + 1));
	session_table_free(NULL);
	session_release(NULL);
}

static bool can_encrypt_only(void *context, const struct session_params *params)
{
	++*(int *)context;
	return params->encrypt;
}

static void test_capability_is_asked_last(void **state)
{
	struct session_table *table = session_table_new(10);
	uint8_t key[16] = {0};
	struct session_params params = aes(key);
	uint64_t id;
	int asked = 0;

	assert_int_equal(session_create(table, &params, can_encrypt_only, &asked, &id), 0);
	params.encrypt = 0;
	assert_int_equal(session_create(table, &params, can_encrypt_only, &asked, &id), -ENOTSUP);
	params.key_len = 15;
	assert_int_equal(session_create(table, &params, can_encrypt_only, &asked, &id),
	                 -EKEYREJECTED);
	assert_int_equal(asked, 2);
	assert_int_equal(session_table_count(table), 1);
	session_table_free(table);
}

/* ---- lookups against creation and destruction ---- */

#define READERS 3
#define LIVE 300

static struct {
	struct session_table *table;
	_Atomic uint64_t id[LIVE];
	atomic_uint
		round[READERS]; /* each reader's grace periods, as worker_session_drop() gives */
	atomic_bool stop;
	atomic_ulong found;
} race;

static void *reader(void *argument)
{
	unsigned int self = (unsigned int)(uintptr_t)argument;
	uint64_t seed = self;

	while (!atomic_load(&race.stop)) {
		for (int i = 0; i < 100; i++) {
			uint64_t id = atomic_load(&race.id[guest_random(&seed) % LIVE]);
			struct session *session = session_get(race.table, id);

			if (!session)
				continue;
			/* All of its key belongs to it. */
			for (int k = 1; k < 16; k++)
				if (session->params.key[k] != session->params.key[0])
					abort();
			if (session->id != id)
				abort();
			atomic_fetch_add(&race.found, 1);
		}
		atomic_fetch_add(&race.round[self], 1);
	}
	return NULL;
}

static void wait_for_readers(void)
{
	unsigned int seen[READERS];

	for (int i = 0; i < READERS; i++)
		seen[i] = atomic_load(&race.round[i]);
	for (int i = 0; i < READERS; i++)
		while (atomic_load(&race.round[i]) - seen[i] < 2)
			sched_yield();
}

static void test_lookups_race_with_changes(void **state)
{
	pthread_t threads[READERS];
	struct session *gone[32];
	uint64_t seed = 9;

	race.table = session_table_new(LIVE + 64);
	for (int i = 0; i < LIVE; i++)
		race.id[i] = create(race.table, (uint8_t)i);
	for (uintptr_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, (void *)i), 0);
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < vc_array_size(gone); i++) {
			unsigned int at = guest_random(&seed) % LIVE;

			gone[i] = session_remove(race.table, race.id[at]);
			assert_non_null(gone[i]);
			race.id[at] = create(race.table, (uint8_t)guest_random(&seed));
		}
		wait_for_readers();
		for (size_t i = 0; i < vc_array_size(gone); i++)
			session_release(gone[i]);
	}
	race.stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(session_table_count(race.table), LIVE);
	assert_true(race.found > 1000);
	session_table_free(race.table);
}

static void *churn(void *argument)
{
	struct session_table *table = argument;

	for (int i = 0; i < 2000; i++) {
		uint64_t id = create(table, (uint8_t)i);

		if (session_get(table, id)->params.key[3] != (uint8_t)i)
			abort();
		session_release(session_remove(table, id));
	}
	return NULL;
}

static void test_several_may_create_and_destroy(void **state)
{
	struct session_table *table = session_table_new(8);
	pthread_t threads[4];

	for (size_t i = 0; i < vc_array_size(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, table), 0);
	for (size_t i = 0; i < vc_array_size(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(session_table_count(table), 0);
	session_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_has_its_own_keys),
		cmocka_unit_test(test_stale_and_foreign_ids_find_nothing),
		cmocka_unit_test(test_table_is_full_at_its_capacity),
		cmocka_unit_test(test_tables_have_a_size),
		cmocka_unit_test(test_capability_is_asked_last),
		cmocka_unit_test(test_lookups_race_with_changes),
		cmocka_unit_test(test_several_may_create_and_destroy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
