/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys for tests. To make big ones takes longer than most tests do: what one program has made
 * is kept in the build directory (tests/keys) for the next one.
 */
#ifndef VC_TEST_RSA_KEY_H
#define VC_TEST_RSA_KEY_H

#include <openssl/evp.h>

/* primes: 2 or more. The key is the library context's default provider's; the caller's to free.
 * NULL on failure. */
EVP_PKEY *test_rsa_key(OSSL_LIB_CTX *libctx, unsigned int bits, unsigned int primes);

#endif
