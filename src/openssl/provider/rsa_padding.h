/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA padding around a private operation that is done elsewhere: libcrypto's own code, and what it
 * does not offer to others. Any thread. What is taken off after decryption is taken off in constant
 * time.
 */
#ifndef VC_OPENSSL_RSA_PADDING_H
#define VC_OPENSSL_RSA_PADDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#define TLS_PREMASTER 48

/*
 * An RSA object, still without numbers, on which libcrypto's functions pad and unpad only: its
 * private operation does nothing to what it is given, so that RSA_sign() and RSA_private_encrypt()
 * return the padded block. To be freed with RSA_free(). NULL without memory.
 */
RSA *rsa_padding_object(void);

/* Bytes that may be secret to a number, telling by its time nothing of leading zero bytes. */
bool rsa_padding_secret(BIGNUM *number, const uint8_t *bytes, size_t size);

/* Whether a ciphertext is a number below the modulus of rsa. */
bool rsa_padding_below(const RSA *rsa, const uint8_t *in, size_t size);

/*
 * RSA_private_decrypt() of in by padding, block being its result without unpadding; for what this
 * libcrypto does to PKCS#1 v1.5 (from 3.2 on a wrong padding gives a random message made from key
 * and ciphertext), with the digests of libctx. Bytes at out, or -1.
 */
int rsa_padding_decrypt(OSSL_LIB_CTX *libctx, RSA *object, int padding, const uint8_t *in,
                        size_t size, const uint8_t *block, uint8_t *out);

/*
 * Take off the PKCS#1 v1.5 padding of a TLS premaster secret (RFC 5246, 7.4.7.1): the result is
 * always 48 bytes, random ones if padding, length or version are wrong. other_version: a second
 * version to accept, 0 for none. Returns 48; -1 when size is too small or there is no randomness.
 */
int rsa_padding_tls(const uint8_t *block, size_t size, unsigned int version,
                    unsigned int other_version, uint8_t out[TLS_PREMASTER]);

/* 0xff..ff if value is negative, else 0. */
static inline uint32_t rsa_padding_negative(int value)
{
	return (uint32_t)0 - ((uint32_t)value >> 31);
}

#endif
