/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of every kind: their life, and when they are made ready for offloading. See key.h.
 */
#include "openssl/provider/key.h"

#include <errno.h>

#include <openssl/crypto.h>

enum key_state {
	KEY_UNKNOWN, /* not looked at yet */
	KEY_SOFTWARE,
	KEY_READY,
};

static const struct key_class *const classes[KEY_KINDS] = {
	[KEY_RSA] = &rsa_key_class,
	[KEY_RSA_PSS] = &rsa_key_class,
	[KEY_EC] = &ec_key_class,
	[KEY_X25519] = &x25519_key_class,
};

struct key *key_new(struct provider *provider, enum key_kind kind, void *inner)
{
	struct key *key = inner ? OPENSSL_zalloc(classes[kind]->size) : NULL;

	if (!key) {
		if (inner)
			provider->keymgmt[kind].free(inner);
		return NULL;
	}
	key->class = classes[kind];
	key->provider = provider;
	key->delegate = &provider->keymgmt[kind];
	key->kind = kind;
	key->inner = inner;
	atomic_init(&key->references, 1);
	atomic_init(&key->state, KEY_UNKNOWN);
	pthread_mutex_init(&key->lock, NULL);
	return key;
}

struct key *key_ref(struct key *key)
{
	atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
	return key;
}

static void forget(struct key *key)
{
	core_key_free(key->core);
	key->core = NULL;
	key->class->forget(key);
}

void key_free(struct key *key)
{
	/* Acquire and release: what others did with the key comes before its end. */
	if (!key || atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) != 1)
		return;
	forget(key);
	key->delegate->free(key->inner);
	pthread_mutex_destroy(&key->lock);
	OPENSSL_free(key);
}

void key_changed(struct key *key)
{
	pthread_mutex_lock(&key->lock);
	atomic_store(&key->state, KEY_UNKNOWN);
	forget(key);
	pthread_mutex_unlock(&key->lock);
}

bool key_ready(struct key *key)
{
	/* Acquire: pairs with the release below. */
	int state = atomic_load_explicit(&key->state, memory_order_acquire);

	if (state == KEY_UNKNOWN) {
		pthread_mutex_lock(&key->lock);
		state = atomic_load_explicit(&key->state, memory_order_relaxed);
		if (state == KEY_UNKNOWN) {
			state = key->class->prepare(key) && key->core ? KEY_READY : KEY_SOFTWARE;
			if (state == KEY_SOFTWARE)
				forget(key);
			atomic_store_explicit(&key->state, state, memory_order_release);
		}
		pthread_mutex_unlock(&key->lock);
	}
	return state == KEY_READY;
}

int key_result(struct key *key, int rc)
{
	/* It will not change its mind. */
	if (rc == -EKEYREJECTED || rc == -ENOTSUP)
		key_distrust(key);
	return rc;
}

void key_distrust(struct key *key)
{
	/* What prepare has made stays: others may be using it. */
	atomic_store_explicit(&key->state, KEY_SOFTWARE, memory_order_release);
}
