/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What offloading needs of an RSA key (see key.h).
 */
#ifndef VC_OPENSSL_RSA_KEY_H
#define VC_OPENSSL_RSA_KEY_H

#include <openssl/types.h>

#include "openssl/provider/key.h"

#define RSA_KEY_MIN_BITS 2048
#define RSA_KEY_MAX_BITS 4096
#define RSA_KEY_MAX_BYTES (RSA_KEY_MAX_BITS / 8)

/*
 * The key as an RSA object for padding (see rsa_padding.h), valid as long as the key; NULL when
 * the key cannot be offloaded: public, too small or large, of more than two primes, an RSA-PSS key
 * with restrictions, or refused by the device before.
 */
RSA *rsa_key_object(struct key *key);
/* Bytes of its modulus. */
size_t rsa_key_size(const struct key *key);

/*
 * out = in ^ d mod n at the device, both of rsa_key_size() bytes, checked with the public exponent.
 * Only when rsa_key_object() is there. May pause the ASYNC job. 0, or < 0: to be done in software.
 */
int rsa_key_private(struct key *key, const uint8_t *in, uint8_t *out, enum vce_class class);

#endif
