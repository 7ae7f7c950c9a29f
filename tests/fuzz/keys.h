/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys in DER that read as such and are good for nothing else: always the same, so that inputs
 * mean the same in every run.
 */
#ifndef VC_FUZZ_KEYS_H
#define VC_FUZZ_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_KEY_MAX 2048

/* bits: a multiple of 8, up to 2048. Returns the length. */
size_t fuzz_rsa_public(uint8_t *der, unsigned int bits);
size_t fuzz_rsa_private(uint8_t *der, unsigned int bits);

/* Keys of a curve whose numbers have so many bytes (at most 66): a point, which lies on no curve,
 * and an ECPrivateKey (RFC 5915) that names none. */
size_t fuzz_ec_public(uint8_t *point, unsigned int bytes);
size_t fuzz_ec_private(uint8_t *der, unsigned int bytes);

#endif
