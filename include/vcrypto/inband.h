/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Sessions over the data queues of a virtio-crypto device: an extension of vcrypto-host, for
 * drivers whose control queue is in the hands of somebody who can do less than the device (QEMU).
 * Layouts and rules are in docs/in-band.md; the first rule is that no driver may use this before
 * the device has shown VCRYPTO_SESSION_ID_TAG in the identifier of a session that was made the
 * standard way.
 *
 * Layout only. All numbers are little-endian.
 */
#ifndef VCRYPTO_INBAND_H
#define VCRYPTO_INBAND_H

#include <stdint.h>

/** Bits 48 to 63 of every session identifier that vcrypto-host gives out. */
#define VCRYPTO_SESSION_ID_TAG 0x5643ull
#define VCRYPTO_SESSION_ID_TAG_SHIFT 48

/** Bits 16 to 31 of the opcodes below, which no standard opcode has. */
#define VCRYPTO_INBAND_PREFIX 0x5643u
/** Opcodes, in the place of the standard ones (virtio 1.3, 5.9.7.2). */
#define VCRYPTO_INBAND_HELLO 0x56430000u
#define VCRYPTO_INBAND_CREATE 0x56430001u
#define VCRYPTO_INBAND_DESTROY 0x56430002u
/** Data requests of sessions of key agreement (VCRYPTO_INBAND_AGREE). */
#define VCRYPTO_INBAND_DERIVE 0x56430003u
#define VCRYPTO_INBAND_GENERATE 0x56430004u

/** An algorithm of AKCIPHER sessions, beside those of virtio 1.3, 5.9.3.5. Its sessions have a
 *  curve and no key: each request brings its own. */
#define VCRYPTO_INBAND_AGREE 48u
/** A curve of such sessions, beside P-256 (3), P-384 (4) and P-521 (5). */
#define VCRYPTO_INBAND_X25519 25u

/** What the device answers to HELLO while the layouts are those of docs/in-band.md. */
#define VCRYPTO_INBAND_VERSION 1u

/** The answer to HELLO. Later versions may append to it: the device writes as much of its answer as
 *  there is room for. */
struct vcrypto_inband_hello {
	uint32_t version;  /**< VCRYPTO_INBAND_VERSION */
	uint32_t reserved; /**< 0 */
	/** struct virtio_crypto_config (virtio 1.3, 5.9.4), with what the device can really do. */
	uint8_t config[56];
	/** Bit n: sessions of key agreement on curve n can be made. Older hosts do not write so
	 *  far: a driver clears the answer first. */
	uint32_t agree_curves;
	uint32_t reserved2; /**< 0 */
};

#endif
