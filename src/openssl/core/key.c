/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: metadata in locked memory, and which handle the daemon gave for it on which connection.
 * No lock: two threads that use a key for the first time both open it, and the second closes its
 * handle again (for the daemon both are one session).
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"

/* What fits into a slot's buffer. */
#define MAX_BLOB 16384u

int core_key_new(const struct vcrypto_session_params *params, struct core_key **out)
{
	struct vce_session_params *p;
	struct core_key *key;
	uint64_t size = sizeof(*p);

	if (params->key_len > MAX_BLOB || params->auth_key_len > MAX_BLOB ||
	    (params->key_len && !params->key) || (params->auth_key_len && !params->auth_key))
		return -EINVAL;
	size += params->key_len + params->auth_key_len;
	if (size > MAX_BLOB)
		return -EINVAL;
	key = calloc(1, sizeof(*key));
	if (!key)
		return -ENOMEM;
	key->blob = secmem_alloc(size);
	if (!key->blob) {
		free(key);
		return -ENOMEM;
	}
	key->refs = 1;
	key->size = (uint32_t)size;
	p = (struct vce_session_params *)(void *)key->blob;
	*p = (struct vce_session_params){
		.service = params->service,
		.algorithm = params->algorithm,
		.direction = params->direction,
		.key_len = (uint32_t)params->key_len,
		.chain = params->chain,
		.mac = params->mac,
		.auth_key_len = (uint32_t)params->auth_key_len,
		.tag_len = params->tag_len,
		.aad_len = params->aad_len,
		.private_key = params->private_key,
		.rsa_padding = params->rsa_padding,
		.rsa_hash = params->rsa_hash,
		.curve = params->curve,
	};
	if (params->key_len)
		memcpy(key->blob + sizeof(*p), params->key, params->key_len);
	if (params->auth_key_len)
		memcpy(key->blob + sizeof(*p) + params->key_len, params->auth_key,
		       params->auth_key_len);
	key->params = p;
	*out = key;
	return 0;
}

struct core_key *core_key_ref(struct core_key *key)
{
	atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
	return key;
}

/* Where the key is open on the connection of now; elsewhere it went with its connection. */
static void key_close(const struct core_key *key)
{
	struct process *process = process_get();
	struct connection *connection;
	struct thread *thread;
	uint32_t handle;

	if (!atomic_load(&key->open) || !process)
		return;
	connection = process_connection(process);
	if (!connection)
		return;
	handle = key_handle(key, connection);
	thread = process_thread(process);
	if (handle)
		connection_close_session(connection,
		                         thread && thread->connection == connection
		                                 ? thread->channel
		                                 : &connection->channel[0],
		                         handle);
	connection_unref(connection);
}

void core_key_free(struct core_key *key)
{
	/* Release and acquire: all uses by others come before the end. */
	if (!key || atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) != 1)
		return;
	key_close(key);
	secmem_free(key->blob);
	free(key);
}
