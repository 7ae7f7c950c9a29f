/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key agreement (docs/in-band.md): the curves that there are, and how long keys are there. Any
 * thread; constants.
 *
 * Private keys and shared secrets of NIST curves are big-endian, points uncompressed (SEC 1,
 * 2.3.3); all of X25519's is as RFC 7748 has it.
 */
#ifndef VC_HOST_AGREE_H
#define VC_HOST_AGREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vcrypto/inband.h>

#include "wire/virtio_crypto.h"

#define AGREE_CURVES 4u
#define AGREE_MAX_PRIVATE 66u
#define AGREE_MAX_POINT 133u

struct agree_curve {
	uint8_t number;
	uint8_t private_len; /* bytes; of a shared secret, too */
	uint8_t point_len;
	uint16_t bits;
};

static const struct agree_curve agree_curves_known[AGREE_CURVES] = {
	{VCRYPTO_INBAND_X25519, 32, 32, 255},
	{VIRTIO_CRYPTO_CURVE_NIST_P256, 32, 65, 256},
	{VIRTIO_CRYPTO_CURVE_NIST_P384, 48, 97, 384},
	{VIRTIO_CRYPTO_CURVE_NIST_P521, 66, 133, 521},
};

/* NULL: there is none of that number. */
static inline const struct agree_curve *agree_curve_find(unsigned int number)
{
	for (unsigned int i = 0; i < AGREE_CURVES; i++)
		if (agree_curves_known[i].number == number)
			return &agree_curves_known[i];
	return NULL;
}

/* A private key and a point, one behind the other. */
static inline uint32_t agree_pair_len(const struct agree_curve *curve)
{
	return (uint32_t)curve->private_len + curve->point_len;
}

static inline bool agree_is_opcode(uint32_t opcode)
{
	return opcode == VCRYPTO_INBAND_DERIVE || opcode == VCRYPTO_INBAND_GENERATE;
}

#endif
