/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sound virtio-crypto requests for the hostile front end, which then spoils them.
 */
#ifndef VC_TEST_HOSTILE_REQUEST_H
#define VC_TEST_HOSTILE_REQUEST_H

#include "wire/virtio_crypto.h"
#include "wire/virtio_ring.h"

enum session_kind {
	KIND_CBC,
	KIND_CTR,
	KIND_CHAIN,
	KIND_HASH,
	KIND_MAC,
	KIND_GCM_SEAL,
	KIND_GCM_OPEN,
	KIND_RSA,
	KIND_AGREE,
	KINDS,
};

/* A control request with its keys. Returns its length. */
uint32_t request_create(uint8_t *at, enum session_kind kind);
uint32_t request_destroy(uint8_t *at, enum session_kind kind, uint64_t session);

/*
 * A data request of `length` bytes in a cell of memory, and the descriptors (not yet linked) that
 * name its pieces. Returns how many descriptors. The status byte is the last byte of the cell.
 */
unsigned int request_data(uint8_t *cell, uint64_t guest, enum session_kind kind, uint64_t session,
                          uint32_t length, struct virtq_desc *descs);

#endif
