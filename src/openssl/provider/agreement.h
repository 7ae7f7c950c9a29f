/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key agreement at the device: ECDH on P-256, P-384 and P-521, and X25519.
 *
 * The device's sessions are curves without keys: each operation brings the private key and the
 * peer's point, as the delegate's keys have them. So nothing is kept with a key, and ephemeral ones
 * cost no session. The device makes key pairs, too, where policy lets it: it knows them then.
 * Any thread.
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

/*
 * A new key pair of that kind, as a key of the delegate's; group: any name of an EC key's curve, ""
 * for none. May pause the ASYNC job. 1 done; 0 failed, without fall-back; -1 for the delegate to
 * do.
 */
int agreement_generate(struct provider *provider, enum key_kind kind, const char *group,
                       void **inner);

/* What a key that is made after this template needs of it: the name of its curve. NULL: more than
 * that. */
const char *agreement_template(const struct key *key);

#endif
