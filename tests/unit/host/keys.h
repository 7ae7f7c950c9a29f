/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA and EC keys for tests, made by libcrypto: DER as sessions take it. Not
 * from our own code, so that the reader of DER meets what others write.
 */
#ifndef VC_TEST_KEYS_H
#define VC_TEST_KEYS_H

#include <stddef.h>
#include <stdint.h>

struct test_key {
	uint8_t *der;
	int len;
};

/* bits: 512 to 4096. The memory stays until the process ends. */
struct test_key test_rsa_private(unsigned int bits);
struct test_key test_rsa_public(unsigned int bits);

/* curve: VIRTIO_CRYPTO_CURVE_*. ECPrivateKey with curve and public half; the uncompressed point. */
struct test_key test_ec_private(unsigned int curve);
struct test_key test_ec_public(unsigned int curve);

#endif
