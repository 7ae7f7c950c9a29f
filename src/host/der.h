/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of DER as it takes to check a key of a stranger before it goes anywhere: RSA as in RFC
 * 8017, appendix A.1, ECDSA as in RFC 5915. No allocation, no bignums; any thread.
 */
#ifndef VC_HOST_DER_H
#define VC_HOST_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * RSAPrivateKey with two primes, or RSAPublicKey: all of the bytes, every integer positive and
 * shortest, modulus and exponent odd, no part longer than the modulus. A public key's modulus may
 * lack the zero byte that DER wants before a high bit: Linux tests its drivers with such a key, and
 * a modulus is never negative. Sets the modulus' bits. 0; -EINVAL it is not that.
 */
int der_rsa_private(const uint8_t *der, size_t len, unsigned int *bits);
int der_rsa_public(const uint8_t *der, size_t len, unsigned int *bits);

/* The numbers of an RSAPublicKey, big-endian, without zeros in front; pointers into what was read.
 */
struct der_rsa {
	const uint8_t *modulus, *exponent;
	size_t modulus_len, exponent_len;
};

/* The same check as der_rsa_public(), and the numbers. */
int der_rsa_public_numbers(const uint8_t *der, size_t len, struct der_rsa *key);

/* The numbers of an RSAPrivateKey in its order. */
enum der_rsa_number {
	DER_RSA_MODULUS,
	DER_RSA_PUBLIC_EXPONENT,
	DER_RSA_PRIVATE_EXPONENT,
	DER_RSA_PRIME1,
	DER_RSA_PRIME2,
	DER_RSA_EXPONENT1,
	DER_RSA_EXPONENT2,
	DER_RSA_COEFFICIENT,
	DER_RSA_NUMBERS
};
/* Big-endian, without zeros in front; pointers into what was read. */
struct der_rsa_private {
	const uint8_t *number[DER_RSA_NUMBERS];
	uint16_t len[DER_RSA_NUMBERS];
};

/* The same check as der_rsa_private(), and the numbers. */
int der_rsa_private_numbers(const uint8_t *der, size_t len, struct der_rsa_private *key);

/* An EC key; pointers into what was read. Without the private or the public half: NULL and 0. */
struct der_ec {
	const uint8_t *scalar; /* big-endian; not 0 and below the order of the curve */
	const uint8_t *point;  /* SEC 1, 2.3.3: 02 or 03 and x, or 04, x and y */
	uint16_t scalar_len, point_len;
};

/* Bits of a curve's field (VIRTIO_CRYPTO_CURVE_*); 0: no such curve. */
unsigned int der_ec_bits(unsigned int curve);

/*
 * ECPrivateKey of that curve: all of the bytes; if it names a curve, this one; its public half is
 * optional. Or a point alone, of the right form and length (whether it lies on the curve takes
 * arithmetic, and is the resource's to say). 0; -EINVAL it is not that.
 */
int der_ec_private(const uint8_t *der, size_t len, unsigned int curve, struct der_ec *key);
int der_ec_public(const uint8_t *point, size_t len, unsigned int curve, struct der_ec *key);

/* Is it a number from 1 to the order of the curve less 1? Big-endian. Takes the same time for every
 * number of a length. */
bool der_ec_scalar_ok(unsigned int curve, const uint8_t *scalar, size_t len);

/*
 * Ecdsa-Sig-Value (RFC 3279, 2.2.3), all of the bytes: r and s as big-endian numbers of as many
 * bytes as the order of the curve has. Whether they are below the order is not looked at. 0;
 * -EINVAL it is not that.
 */
int der_ecdsa_read(const uint8_t *der, size_t len, unsigned int curve, uint8_t *r, uint8_t *s);
/* The other way round. der: DER_ECDSA_MAX bytes. How many were written. */
#define DER_ECDSA_MAX 141
size_t der_ecdsa_write(uint8_t *der, unsigned int curve, const uint8_t *r, const uint8_t *s);

#endif
