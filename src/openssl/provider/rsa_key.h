/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An RSA key: the delegate's, and what offloading needs of it, made when first used.
 *
 * May be used by several threads at once, as keys are in OpenSSL; reference counted.
 */
#ifndef VC_OPENSSL_RSA_KEY_H
#define VC_OPENSSL_RSA_KEY_H

#include <openssl/types.h>

#include "openssl/core/core.h"
#include "openssl/provider/provider.h"

#define RSA_KEY_MIN_BITS 2048
#define RSA_KEY_MAX_BITS 4096
#define RSA_KEY_MAX_BYTES (RSA_KEY_MAX_BITS / 8)

struct rsa_key;

/* Takes inner, the delegate's key (also when it fails: NULL). */
struct rsa_key *rsa_key_new(struct provider *provider, enum rsa_kind kind, void *inner);
struct rsa_key *rsa_key_ref(struct rsa_key *key);
void rsa_key_free(struct rsa_key *key); /* NULL is allowed */

void *rsa_key_inner(const struct rsa_key *key);
struct provider *rsa_key_provider(const struct rsa_key *key);
const struct keymgmt_delegate *rsa_key_delegate(const struct rsa_key *key);
/* The delegate's key was changed. */
void rsa_key_changed(struct rsa_key *key);

/*
 * The key as an RSA object for padding (see rsa_padding.h), valid as long as the key; NULL when
 * the key cannot be offloaded: public, too small or large, of more than two primes, an RSA-PSS key
 * with restrictions, or refused by the device before.
 */
RSA *rsa_key_object(struct rsa_key *key);
/* Bytes of its modulus. */
size_t rsa_key_size(struct rsa_key *key);

/*
 * out = in ^ d mod n at the device, both of rsa_key_size() bytes, checked with the public exponent.
 * Only when rsa_key_object() is there. May pause the ASYNC job. 0, or < 0: to be done in software.
 */
int rsa_key_private(struct rsa_key *key, const uint8_t *in, uint8_t *out, enum vce_class class);

#endif
