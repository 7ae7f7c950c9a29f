/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What asymmetric requests need besides the arithmetic: paddings, widths, results. For every
 * resource that does RSA or ECDSA. Any thread; nothing is kept.
 */
#ifndef VC_HOST_RESOURCE_AKCIPHER_H
#define VC_HOST_RESOURCE_AKCIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/request.h"
#include "host/session.h"

#define AKCIPHER_RSA_MAX_BITS 8192

/* Is it a padding, and a hash with it, that there is? */
bool rsa_padding_can(const struct session_params *params);

/* Raw operations want as many bytes as the modulus has (size); a shorter number gets zeros in
 * front. False: it is longer. */
bool rsa_widen(uint8_t *block, size_t size, const uint8_t *data, size_t length);

/* What is signed with PKCS#1 padding (RFC 8017, 9.2): the digest behind its DigestInfo, or, if the
 * session names no hash, just what there is. block: AKCIPHER_RSA_MAX_BITS / 8 bytes. How many of
 * them; 0: the digest has not the size of the session's hash. */
size_t rsa_digest_info(const struct session_params *params, uint8_t *block, const uint8_t *data,
                       size_t length);

/* For those that only raise to powers: the block of as many bytes as the modulus has (64 at least,
 * AKCIPHER_RSA_MAX_BITS / 8 at most) that a request's operation is done to, padded as its session
 * says. False: there is none. Whether it is below the modulus is the caller's to see. */
bool rsa_block_make(const struct session_params *params, const struct vc_request *req,
                    uint8_t *block, size_t size);
/* Says the block, made of a signature, what it should? Nothing here is secret. */
bool rsa_verified(const struct session_params *params, const struct vc_request *req,
                  const uint8_t *block, size_t size);

/* Give the result out: OK, or NOSPC. */
uint8_t akcipher_result(struct vc_request *req, const uint8_t *data, size_t length);

#endif
