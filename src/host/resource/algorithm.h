/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes of algorithms, and the limits that every resource states: said once for all resources.
 *
 * Any thread; constant tables. Numbers are virtio's; an unknown one has size 0 or is refused.
 */
#ifndef VC_HOST_RESOURCE_ALGORITHM_H
#define VC_HOST_RESOURCE_ALGORITHM_H

#include <stdbool.h>
#include <stdint.h>

#include "host/session.h"
#include "wire/virtio_crypto.h"

#define ALGORITHM_HASHES (VIRTIO_CRYPTO_HASH_SHA3_512 + 1)
#define ALGORITHM_MACS (VIRTIO_CRYPTO_MAC_CMAC_AES + 1)
#define ALGORITHM_CIPHERS (VIRTIO_CRYPTO_CIPHER_AES_XTS + 1)
#define ALGORITHM_AEADS (VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305 + 1)
#define ALGORITHM_MAX_AUTH_KEY 512

/* Bytes of the full digest or tag; 0: unknown. */
unsigned int algorithm_hash_size(unsigned int hash);
unsigned int algorithm_mac_size(unsigned int mac);
/* The hash of an HMAC (enum virtio_crypto_hash_alg); 0: it is no HMAC. */
unsigned int algorithm_hmac_hash(unsigned int mac);
/* Bytes that the hash works on at once (RFC 2104's B). */
unsigned int algorithm_hash_block(unsigned int hash);

/* Bytes of the IV, and what lengths of data must be multiples of (1: any). */
unsigned int algorithm_cipher_iv(unsigned int cipher);
unsigned int algorithm_cipher_block(unsigned int cipher);

/* Can a request of this AEAD have that IV, and that many bytes of data? */
bool algorithm_aead_request_ok(unsigned int aead, unsigned int iv_len, uint32_t length);
bool algorithm_aead_tag_ok(unsigned int aead, unsigned int tag_len);
bool algorithm_aes_key_ok(uint32_t length);

/* A MAC's parameters in a session: key, and a tag that is not empty and not longer than it gets. */
bool algorithm_mac_params_ok(const struct session_params *params);

/* Raise the limits of a configuration space to what every resource takes (keys of ciphers: as the
 * resource says). */
void algorithm_offer_limits(struct virtio_crypto_config *config, uint32_t max_cipher_key);

#endif
