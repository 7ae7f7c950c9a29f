/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of DER as it takes to check an RSA key of a stranger before it goes anywhere: RFC 8017,
 * appendix A.1. No allocation, no bignums; any thread.
 */
#ifndef VC_HOST_DER_H
#define VC_HOST_DER_H

#include <stddef.h>
#include <stdint.h>

/*
 * RSAPrivateKey with two primes, or RSAPublicKey: all of the bytes, every integer positive and
 * shortest, modulus and exponent odd, no part longer than the modulus. Sets the modulus' bits.
 * 0; -EINVAL it is not that.
 */
int der_rsa_private(const uint8_t *der, size_t len, unsigned int *bits);
int der_rsa_public(const uint8_t *der, size_t len, unsigned int *bits);

#endif
