/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues as they lie in shared memory (virtio 1.3, section 2.7).
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

static_assert(sizeof(struct virtq_desc) == 16, "virtq_desc");
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
