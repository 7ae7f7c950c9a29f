/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key agreement at the device: ECDH on P-256, P-384 and P-521, and X25519.
 *
 * The device's sessions are curves without keys: each operation brings the private key and the
 * peer's point, as the delegate's keys have them. So nothing is kept with a key, and ephemeral ones
 * cost no session. Any thread.
 */
#ifndef VC_OPENSSL_AGREEMENT_H
#define VC_OPENSSL_AGREEMENT_H

#include "openssl/provider/key.h"

/* At teardown. */
void agreement_close(struct provider *provider);

/*
 * The secret that these two share; room bytes at secret. May pause the ASYNC job. 1 done; 0 failed,
 * without fall-back; -1 for the delegate to do, or to refuse.
 */
int agreement_derive(const struct key *key, const struct key *peer, uint8_t *secret, size_t *size,
                     size_t room);

#endif
