/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of vcrypto-engined, as the OpenSSL provider (and the ENGINE) use it.
 *
 * Purpose: run operations on the daemon from any thread of any process: synchronously, or in an
 * OpenSSL ASYNC job by pausing it. Knows libcrypto's ASYNC_* functions and nothing of providers.
 * Trusts the daemon's answers; survives its absence, death and restart, and fork().
 *
 * Three outcomes of everything that runs:
 *   0           done by the device
 *   -EBADMSG    the device did it and the cryptography says no (tag, padding, signature): final
 *   other < 0   not done; the caller does it in software (the reason has been counted)
 *
 * Threads: every function may be called by any thread at any time. No lock is held while a job is
 * paused, and nothing that the daemon or another thread touches lies on the caller's stack.
 */
#ifndef VC_OPENSSL_CORE_H
#define VC_OPENSSL_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vcrypto/vcrypto.h"
#include "wire/engine.h"

/* A key with what it is for. Opened at the daemon when first used, again after fork or restart. */
struct core_key;

struct core_options {
	char socket[108];         /* engined.sock; "" for the runtime directory's */
	unsigned int deadline_ms; /* how long an operation may take; 0 for the default, 1000 */
	/* How long a synchronous caller looks before it sleeps, always; 0 for the default, 20, and
	 * hardly ever where that is in vain. */
	unsigned int spin_us;
};

/*
 * Set where and how to connect. The first call counts; later ones with other options only log.
 * No connection is made before the first operation.
 */
void core_configure(const struct core_options *options);

/*
 * Whether it is worth trying now: false while the daemon was found absent lately (tried again
 * after a back-off of 100 ms doubling to 5 s) or says it is offline. Cheap: no system call in the
 * usual case. Counts a fall-back with its reason when it says no.
 */
bool core_available(void);

/*
 * Whether the device offers it, from the region's header. Connects when it is time to; false when
 * there is no connection. Counts nothing.
 */
bool core_offers(enum vcrypto_service service, unsigned int algorithm);

/* The same of key agreement, and of making keys for it, on that curve. */
bool core_agrees(enum vcrypto_curve curve);

/* Bytes of data (src, tag and additional data together) that one operation may have. */
size_t core_max_size(void);

/* Copy the parameters and keys (into locked memory). No I/O. 0, -EINVAL, -ENOMEM. */
int core_key_new(const struct vcrypto_session_params *params, struct core_key **key);
/* Another reference; never fails. */
struct core_key *core_key_ref(struct core_key *key);
/* Give a reference back; the last one closes the daemon's session and wipes the key. NULL allowed.
 */
void core_key_free(struct core_key *key);

/*
 * One operation on buffers anywhere in the process (they are copied to and from the region).
 * Meaning of the fields as in struct vcrypto_op. In place (dst == src) is allowed.
 */
struct core_op {
	struct core_key *key;
	const uint8_t *src;
	uint8_t *dst;
	uint32_t length;
	uint32_t dst_len;
	const uint8_t *aad;
	uint32_t aad_len;
	uint8_t *tag; /* written on encryption, read on decryption and verification */
	uint16_t tag_len;
	uint8_t iv_len;
	uint8_t akcipher_op;
	uint8_t iv[VCE_MAX_IV];
	/* Chains: bytes of src, from its start, that are enciphered and come out at dst; the tag is
	 * over aad and all of src. */
	uint32_t cipher_len;
	enum vce_class class; /* for the counters */
	uint32_t result_len;  /* out: AKCIPHER */
	int result;           /* out: outcome of this one */
};

/*
 * Run operations: all in flight at once as far as slots reach, complete when all are. In an ASYNC
 * job the job pauses meanwhile (unless its wait context has a callback set: then it waits).
 * Returns 0 when every one is done, -EBADMSG if any says no, else the first failure; dst is only
 * written for operations whose result is 0.
 */
int core_run(struct core_op *ops, size_t n);

/* Count an operation that policy left in software for its size. */
void core_count_small(void);

/* This process's counters. */
void core_stats(struct vce_client_stats *stats);

/* Close the connection and free everything; for the provider's teardown. */
void core_teardown(void);

#endif
