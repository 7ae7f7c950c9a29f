/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key agreement for work.c: bits are a curve's, 255 those of X25519.
 */
#ifndef VC_TESTS_ENGINE_WORK_AGREE_H
#define VC_TESTS_ENGINE_WORK_AGREE_H

#include <openssl/evp.h>

#include "openssl/core/core.h"

/* A key of libcrypto's, and the device's session. */
void agree_init(const char *name, unsigned int bits, EVP_PKEY **pkey, struct core_key **key);
/* The device makes a key, and agrees with it on what libcrypto does on its side. 0, or the first
 * failure; a wrong result ends the process. */
int agree_do(const char *name, unsigned int bits, EVP_PKEY *pkey, struct core_key *key);

#endif
