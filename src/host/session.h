/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of a device: what the front end made, by any of the ways there are.
 *
 * The table belongs to one device. Sessions are made and destroyed under its lock (control path);
 * workers look them up without a lock. Each worker has its own view of a session (struct
 * session_local): its realisations in that worker's resource instances, and how many requests it
 * has in flight. A destroyed session is invisible at once; its views go when their last request
 * has, and the last view takes the keys with it.
 */
#ifndef VC_HOST_SESSION_H
#define VC_HOST_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/vhost_user.h"
#include "wire/virtio_crypto.h"

#define HOST_MAX_WORKERS 64
#define HOST_MAX_RESOURCES 16
/* Bytes of raw keys. */
#define SESSION_MAX_CIPHER_KEY 64
#define SESSION_MAX_AUTH_KEY 512

/* What a session is; checked. Numbers are virtio's. */
struct session_params {
	uint8_t service;     /* enum virtio_crypto_service */
	uint8_t chain;       /* 0, or VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_* */
	uint8_t encrypt;     /* CIPHER, AEAD: 1 encrypts, 0 decrypts */
	uint8_t private_key; /* AKCIPHER */
	uint8_t cipher;      /* CIPHER: algorithm */
	uint8_t hash;        /* HASH: algorithm; chain: a plain hash (mac is 0 then), or 0 */
	uint8_t mac;         /* MAC, chain: algorithm; 0 in a chain with a plain hash */
	uint8_t aead;
	/* Never VIRTIO_CRYPTO_AKCIPHER_ECDSA_LINUX: that becomes ECDSA. VCRYPTO_INBAND_AGREE: no
	 * key. */
	uint8_t akcipher;
	uint8_t rsa_padding; /* VIRTIO_CRYPTO_RSA_*_PADDING */
	uint8_t rsa_hash;    /* enum virtio_crypto_rsa_hash */
	/* ECDSA, agreement: VIRTIO_CRYPTO_CURVE_*, VCRYPTO_INBAND_X25519. */
	uint8_t curve;
	uint16_t tag_len;  /* bytes of digest or tag, resolved to the full length if it was 0 */
	uint16_t key_bits; /* RSA: of the modulus, from the key; else of the curve */
	uint32_t aad_len;  /* AEAD: as announced; requests may differ */
	uint32_t key_len;
	uint32_t auth_key_len;
	/* Raw; RSA: DER (RFC 8017, A.1); ECDSA: ECPrivateKey in DER (RFC 5915), or the point
	 * (SEC 1, 2.3.3; no header of an OCTET STRING before it). */
	const uint8_t *key;
	const uint8_t *auth_key;
};

/* A worker's view. Owned and touched by that worker only. */
struct session_local {
	uint64_t choice; /* of the scheduler, for all its requests (sched_pick()) */
	uint32_t in_flight;
	uint32_t held;       /* of them, only because a resource does not answer */
	bool closing;        /* destroyed: drop when in_flight is 0 */
	uint8_t cost_class;  /* of cost_class(); 0: not yet asked for */
	uint16_t refused;    /* bit r: resource r cannot do it, or refused to realise it */
	uint16_t capable;    /* bit r: resource r says that it can */
	uint16_t able;       /* candidates by their places in the group, in this epoch of the */
	uint64_t able_epoch; /* scheduler */
	void *handle[HOST_MAX_RESOURCES]; /* realisation by resource; NULL not yet */
};

struct session {
	uint64_t id;
	struct session_params params; /* keys point into locked memory owned by the session */
	_Atomic(struct session_local *) local[HOST_MAX_WORKERS]; /* written by the worker alone */
	atomic_uint views;          /* workers that have still to let go, once destroyed */
	struct session *ended_next; /* of those that ended together */
};

/*
 * A session in no table, with copies of the keys (key, then auth_key, in one piece of locked
 * memory): for requests that bring their key along. params must have passed the check. NULL without
 * memory; ended by session_release().
 */
struct session *session_new(const struct session_params *params);

struct session_table;

/* capacity: sessions at once. NULL without memory; memory is taken as sessions come. */
struct session_table *session_table_new(uint32_t capacity);
/* Every session must be gone or its workers stopped. */
void session_table_free(struct session_table *table);
uint32_t session_table_count(const struct session_table *table);
/* n-th live session from a cursor, for destroying all of a device: NULL at the end. */
struct session *session_table_next(struct session_table *table, uint32_t *cursor);
/* The same to look at, while workers go on and sessions come and go: id and parameters are copies,
 * without keys. False at the end. */
bool session_table_look(struct session_table *table, uint32_t *cursor, uint64_t *id,
                        struct session_params *params);

/*
 * Check parameters and add a session with copies of the keys. Returns 0 or a negative errno:
 * -EINVAL, -ENOTSUP (capability is asked of `can`, which may be NULL), -EKEYREJECTED, -ENOSPC.
 */
typedef bool session_can_fn(void *context, const struct session_params *params);
int session_create(struct session_table *table, const struct session_params *params,
                   session_can_fn *can, void *context, uint64_t *id);

/* Take a session out: no lookup finds it any more. NULL: there was none. The caller then has each
 * worker let go (worker_sessions_leave) and the last one calls session_release(). */
struct session *session_remove(struct session_table *table, uint64_t id);
/* Wipe the keys and free. */
void session_release(struct session *session);

/* Any worker, no lock; valid until that worker has processed the drop of the session. */
struct session *session_get(struct session_table *table, uint64_t id);

/*
 * Parameters out of what the wire says. keys: the bytes after the control request (private copy).
 * 0; -EINVAL, -ENOTSUP, -EKEYREJECTED. Results point into keys.
 */
int session_params_from_ctrl(const struct virtio_crypto_op_ctrl_req *req, const uint8_t *keys,
                             size_t keys_len, struct session_params *params);
/* The same of a data request in stateless mode (opcode's service). Without keys: key_len and
 * auth_key_len say how many bytes of them the request brings. */
int session_params_from_stateless(unsigned int service,
                                  const union virtio_crypto_data_stateless *wire,
                                  struct session_params *params);
/* QEMU's session message, already told apart from the other layouts. */
int session_params_from_sym(const struct vhost_user_crypto_sym *sym, struct session_params *params);
int session_params_from_asym(const struct vhost_user_crypto_asym *asym,
                             struct session_params *params);

/*
 * What session_create() checks before it asks `can`: known algorithm, key and tag lengths that fit
 * it, a key that can be read. Resolves tag_len and key_bits. 0, -EINVAL, -ENOTSUP, -EKEYREJECTED.
 */
int session_params_check(struct session_params *params);

/* errno (negative) to the status byte, the other edge of the host. */
uint8_t session_status(int error);

/* The name for people: "aes-128-cbc", "aes-256-gcm", "rsa-2048", "aes-128-cbc+hmac-sha1". */
const char *session_params_name(const struct session_params *params, char *buffer, size_t size);

#endif
