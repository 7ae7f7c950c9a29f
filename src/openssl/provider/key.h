/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key: the delegate's, and what offloading needs of it, made when first used.
 *
 * May be used by several threads at once, as keys are in OpenSSL; reference counted. What differs
 * from kind to kind is in rsa_key.c and ec_key.c, whose structures begin with this one.
 */
#ifndef VC_OPENSSL_KEY_H
#define VC_OPENSSL_KEY_H

#include <pthread.h>
#include <stdatomic.h>

#include "openssl/core/core.h"
#include "openssl/provider/provider.h"

struct key;

struct key_class {
	size_t size; /* of the structure */
	/* Make what offloading needs, core included. Called once, with the lock held. */
	bool (*prepare)(struct key *key);
	/* Free what prepare has made but core, also after it has failed. */
	void (*forget)(struct key *key);
};

extern const struct key_class rsa_key_class, ec_key_class, x25519_key_class;

/* Constant but for references and what key.c keeps. */
struct key {
	const struct key_class *class;
	struct provider *provider;
	const struct keymgmt_delegate *delegate;
	enum key_kind kind;
	void *inner; /* the delegate's key */
	struct core_key *core;
	atomic_uint references;
	/* Stored with release when what prepare makes is there, loaded with acquire. */
	atomic_int state;
	pthread_mutex_t lock; /* for preparing; never held while waiting */
};

/* Takes inner, the delegate's key (also when it fails: NULL). */
struct key *key_new(struct provider *provider, enum key_kind kind, void *inner);
struct key *key_ref(struct key *key);
void key_free(struct key *key); /* NULL is allowed */
/* The delegate's key was changed. */
void key_changed(struct key *key);
/* Whether it can be offloaded; what prepare has made is then there as long as the key is. */
bool key_ready(struct key *key);
/*
 * The result of running an operation with it is rc. A key that the device refuses is not offered to
 * it again. Returns rc.
 */
int key_result(struct key *key, int rc);
/* Do not offload it any more: the device does it wrong. */
void key_distrust(struct key *key);

#endif
