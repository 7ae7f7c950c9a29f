/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues as they lie in shared memory: split (virtio 1.3, section 2.7) and packed (2.8).
 *
 * Layout only, no code. All fields are little-endian; vcrypto runs on x86-64, so they are read
 * as they are.
 */
#ifndef VC_WIRE_VIRTIO_RING_H
#define VC_WIRE_VIRTIO_RING_H

#include <assert.h>
#include <stdint.h>

#define VIRTQ_DESC_F_NEXT 1
#define VIRTQ_DESC_F_WRITE 2 /* device writes (IN); otherwise device reads (OUT) */
#define VIRTQ_DESC_F_INDIRECT 4

#define VIRTQ_AVAIL_F_NO_INTERRUPT 1 /* driver: do not call me */
#define VIRTQ_USED_F_NO_NOTIFY 1     /* device: do not kick me */

#define VIRTQ_MAX_SIZE 32768

/* 16-byte aligned table of queue-size entries. */
struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* 2-byte aligned; ring[] has queue-size entries and is followed by le16 used_event. */
struct virtq_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

struct virtq_used_elem {
	uint32_t id;
	uint32_t len;
};

/* 4-byte aligned; ring[] has queue-size entries and is followed by le16 avail_event. */
struct virtq_used {
	uint16_t flags;
	uint16_t idx;
	struct virtq_used_elem ring[];
};

/* A packed ring: 16-byte aligned, queue-size entries (2.8.13). An indirect table has the same
 * entries, with nothing but VIRTQ_DESC_F_WRITE in flags. */
struct virtq_packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

/* Beside the VIRTQ_DESC_F_*: available when AVAIL is the driver's wrap counter and USED is not,
 * used when both are the device's (2.8.1). */
#define VIRTQ_PACKED_F_AVAIL (1u << 7)
#define VIRTQ_PACKED_F_USED (1u << 15)

/* Event suppression, one of the driver's and one of the device's, 4-byte aligned (2.8.14). */
struct virtq_packed_event {
	uint16_t desc;  /* bits 0-14 offset in the ring, bit 15 wrap counter */
	uint16_t flags; /* VIRTQ_PACKED_EVENT_* */
};

#define VIRTQ_PACKED_EVENT_ENABLE 0
#define VIRTQ_PACKED_EVENT_DISABLE 1
#define VIRTQ_PACKED_EVENT_DESC 2 /* when that descriptor is passed; with EVENT_IDX only */

static_assert(sizeof(struct virtq_desc) == 16, "virtq_desc");
static_assert(sizeof(struct virtq_packed_desc) == 16, "virtq_packed_desc");
static_assert(sizeof(struct virtq_packed_event) == 4, "virtq_packed_event");
static_assert(sizeof(struct virtq_used_elem) == 8, "virtq_used_elem");

/* Feature bits that do not belong to one device type (section 6). */
#define VIRTIO_F_RING_INDIRECT_DESC 28
#define VIRTIO_F_RING_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_RING_PACKED 34
#define VIRTIO_F_IN_ORDER 35
#define VIRTIO_F_RING_RESET 40

#endif
