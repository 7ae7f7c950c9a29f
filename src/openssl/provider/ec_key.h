/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What offloading needs of an EC key (see key.h): keys on P-256, P-384 and P-521.
 *
 * A wrong RSA signature can give the key away, and so each one is checked. A wrong ECDSA signature
 * does not, as its nonce is used once; verifying it costs more than making it. So each result must
 * be a signature by its form, with both numbers in range, and the first of each key and one of
 * EC_KEY_VERIFY_EVERY after it is verified: a device that is wrong again and again is found out,
 * and does not get the key any more.
 */
#ifndef VC_OPENSSL_EC_KEY_H
#define VC_OPENSSL_EC_KEY_H

#include "openssl/provider/key.h"

#define EC_KEY_VERIFY_EVERY 256

/* Both only when key_ready(). */
enum policy_key ec_key_policy(const struct key *key);
/* Bytes of its longest signature. */
size_t ec_key_size(const struct key *key);

/*
 * Sign a digest at the device, which draws the nonce; sig: ec_key_size() bytes. May pause the ASYNC
 * job. Only when key_ready(). 0, or < 0: to be done in software.
 */
int ec_key_sign(struct key *key, const uint8_t *digest, size_t size, uint8_t *sig, size_t *sig_len);

#endif
