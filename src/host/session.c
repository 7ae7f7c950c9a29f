/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session table of a device. Made and changed under its lock by the main thread and by the
 * worker that has the control queue; looked up by any worker without a lock.
 *
 * A slot is an atomic pointer. Slots come in chunks that are made when first needed and stay where
 * they are until the table goes, so that a lookup is: chunk, slot, compare the whole id.
 */
#include "host/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/secmem.h"
#include "base/util.h"

#define CHUNK_SLOTS 256u
#define MAX_SLOTS (1u << 24)
#define NO_SLOT UINT32_MAX

struct slot {
	_Atomic(struct session *) session;
	uint32_t generation; /* of the next session here; under the lock */
	uint32_t next_free;  /* under the lock */
};

struct session_table {
	uint32_t capacity;
	uint32_t chunks;
	/* Where generations begin: a session of a host that was killed is none of its successor's.
	 */
	uint32_t generation;
	pthread_mutex_t lock;
	/* Under the lock. Freed slots are used again oldest first, which puts off for longest the
	 * day when a generation comes back. */
	uint32_t fresh; /* slots from here on were never used */
	uint32_t free_first, free_last;
	atomic_uint count;
	_Atomic(struct slot *) chunk[];
};

struct session_table *session_table_new(uint32_t capacity)
{
	struct session_table *table;
	uint32_t chunks;

	if (!capacity || capacity > MAX_SLOTS)
		return NULL;
	chunks = (capacity + CHUNK_SLOTS - 1) / CHUNK_SLOTS;
	table = calloc(1, sizeof(*table) + chunks * sizeof(table->chunk[0]));
	if (!table)
		return NULL;
	table->capacity = capacity;
	table->chunks = chunks;
	table->free_first = table->free_last = NO_SLOT;
	pthread_mutex_init(&table->lock, NULL);
	if (getrandom(&table->generation, sizeof(table->generation), 0) !=
	    sizeof(table->generation))
		table->generation = (uint32_t)clock_now_ns();
	return table;
}

/* Under the lock, or when nobody else is left. */
static struct slot *slot_at(struct session_table *table, uint32_t index)
{
	struct slot *chunk =
		atomic_load_explicit(&table->chunk[index / CHUNK_SLOTS], memory_order_relaxed);

	return &chunk[index % CHUNK_SLOTS];
}

void session_table_free(struct session_table *table)
{
	if (!table)
		return;
	for (uint32_t i = 0; i < table->fresh; i++)
		session_release(
			atomic_load_explicit(&slot_at(table, i)->session, memory_order_relaxed));
	for (uint32_t i = 0; i < table->chunks; i++)
		free(atomic_load_explicit(&table->chunk[i], memory_order_relaxed));
	pthread_mutex_destroy(&table->lock);
	free(table);
}

uint32_t session_table_count(const struct session_table *table)
{
	return atomic_load_explicit(&table->count, memory_order_relaxed);
}

/* Under the lock. */
static struct session *next_live(struct session_table *table, uint32_t *cursor)
{
	struct session *session = NULL;

	while (!session && *cursor < table->fresh)
		session = atomic_load_explicit(&slot_at(table, (*cursor)++)->session,
		                               memory_order_relaxed);
	return session;
}

struct session *session_table_next(struct session_table *table, uint32_t *cursor)
{
	struct session *session;

	pthread_mutex_lock(&table->lock);
	session = next_live(table, cursor);
	pthread_mutex_unlock(&table->lock);
	return session;
}

bool session_table_look(struct session_table *table, uint32_t *cursor, uint64_t *id,
                        struct session_params *params)
{
	const struct session *session;

	pthread_mutex_lock(&table->lock);
	session = next_live(table, cursor);
	if (session) {
		/* It cannot be released before session_remove() has had the lock. */
		*id = session->id;
		*params = session->params;
		params->key = params->auth_key = NULL;
	}
	pthread_mutex_unlock(&table->lock);
	return session;
}

/* ---- making and unmaking ---- */

struct session *session_new(const struct session_params *params)
{
	struct session *session = calloc(1, sizeof(*session));
	uint8_t *keys;

	if (!session)
		return NULL;
	keys = secmem_alloc((size_t)params->key_len + params->auth_key_len + 1);
	if (!keys) {
		free(session);
		return NULL;
	}
	session->params = *params;
	if (params->key_len)
		memcpy(keys, params->key, params->key_len);
	if (params->auth_key_len)
		memcpy(keys + params->key_len, params->auth_key, params->auth_key_len);
	session->params.key = keys;
	session->params.auth_key = keys + params->key_len;
	return session;
}

void session_release(struct session *session)
{
	if (!session)
		return;
	secmem_free((void *)session->params.key);
	free(session);
}

/* Under the lock. 0, -ENOSPC, -ENOMEM. */
static int slot_take(struct session_table *table, uint32_t *index)
{
	if (table->free_first != NO_SLOT) {
		*index = table->free_first;
		table->free_first = slot_at(table, *index)->next_free;
		if (table->free_first == NO_SLOT)
			table->free_last = NO_SLOT;
		return 0;
	}
	if (table->fresh == table->capacity)
		return -ENOSPC;
	if (table->fresh % CHUNK_SLOTS == 0) {
		struct slot *chunk = calloc(CHUNK_SLOTS, sizeof(*chunk));

		if (!chunk)
			return -ENOMEM;
		/* Release: a lookup that sees the chunk (session_get) sees it cleared. */
		atomic_store_explicit(&table->chunk[table->fresh / CHUNK_SLOTS], chunk,
		                      memory_order_release);
	}
	*index = table->fresh++;
	return 0;
}

int session_create(struct session_table *table, const struct session_params *params,
                   session_can_fn *can, void *context, uint64_t *id)
{
	struct session_params checked = *params;
	struct session *session;
	uint32_t index;
	int rc;

	rc = session_params_check(&checked);
	if (rc < 0)
		return rc;
	if (can && !can(context, &checked))
		return -ENOTSUP;
	session = session_new(&checked);
	if (!session)
		return -ENOMEM;

	pthread_mutex_lock(&table->lock);
	rc = slot_take(table, &index);
	if (!rc) {
		struct slot *slot = slot_at(table, index);

		session->id = VCRYPTO_SESSION_ID(table->generation + slot->generation, index);
		slot->generation++;
		*id = session->id;
		atomic_fetch_add_explicit(&table->count, 1, memory_order_relaxed);
		/* Release: a lookup that sees the session (session_get) sees it whole. */
		atomic_store_explicit(&slot->session, session, memory_order_release);
	}
	pthread_mutex_unlock(&table->lock);
	if (rc < 0)
		session_release(session);
	return rc;
}

struct session *session_get(struct session_table *table, uint64_t id)
{
	uint32_t index = (uint32_t)(id & (MAX_SLOTS - 1));
	struct session *session;
	struct slot *chunk;

	if (vc_unlikely(index >= table->capacity))
		return NULL;
	/* Acquire: pair with slot_take() and session_create(). */
	chunk = atomic_load_explicit(&table->chunk[index / CHUNK_SLOTS], memory_order_acquire);
	if (vc_unlikely(!chunk))
		return NULL;
	session = atomic_load_explicit(&chunk[index % CHUNK_SLOTS].session, memory_order_acquire);
	/* The id has the tag and the generation: all must be as given out. */
	return vc_likely(session && session->id == id) ? session : NULL;
}

struct session *session_remove(struct session_table *table, uint64_t id)
{
	struct session *session;

	pthread_mutex_lock(&table->lock);
	session = session_get(table, id);
	if (session) {
		uint32_t index = (uint32_t)(id & (MAX_SLOTS - 1));
		struct slot *slot = slot_at(table, index);

		atomic_store_explicit(&slot->session, NULL, memory_order_release);
		slot->next_free = NO_SLOT;
		if (table->free_last == NO_SLOT)
			table->free_first = index;
		else
			slot_at(table, table->free_last)->next_free = index;
		table->free_last = index;
		atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&table->lock);
	return session;
}
