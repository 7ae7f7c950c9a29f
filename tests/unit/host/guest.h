/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest for tests: memory shared as a front end shares it, and the driver's side of one split
 * ring, written from the specification and not from our driver. Nothing is checked here, so that
 * tests can be as hostile as they like.
 */
#ifndef VC_TEST_GUEST_H
#define VC_TEST_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "host/memtable.h"
#include "host/vring.h"

#define GUEST_ADDR 0x100000000ull    /* of its memory, as descriptors say it */
#define GUEST_USER 0x7f1200000000ull /* the same as the front end maps it */
#define GUEST_DATA 0x100000u         /* offset from which memory is free for data */
#define GUEST_MEMORY (4u << 20)      /* bytes */

struct guest {
	int fd;
	uint8_t *memory; /* the guest's own mapping */
	struct memtable *table;
	struct vring_config config;
	struct vring ring;
	/* The driver's side. */
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	uint16_t avail_idx, used_idx;
	uint16_t *free_desc; /* last freed, first used, as Linux does it */
	uint16_t free_count;
	uint32_t data; /* next free byte of memory */
};

void guest_open(struct guest *guest, uint16_t size, uint16_t base, bool event_idx);
void guest_close(struct guest *guest);

/* Memory for data: an offset; its pointer; its address in descriptors. */
uint32_t guest_alloc(struct guest *guest, uint32_t size);
static inline uint8_t *guest_at(struct guest *guest, uint32_t offset)
{
	return guest->memory + offset;
}
static inline uint64_t guest_addr(uint32_t offset)
{
	return GUEST_ADDR + offset;
}

/* Put a head into the available ring. */
void guest_offer(struct guest *guest, uint16_t head);
/* A chain of n descriptors in the ring's table; the next fields are filled in. Returns its head. */
uint16_t guest_chain(struct guest *guest, const struct virtq_desc *descs, unsigned int n);
/* The same in an indirect table (at 16-byte aligned memory). */
uint16_t guest_indirect(struct guest *guest, const struct virtq_desc *descs, unsigned int n);
/* Take a used element, and free the chain that it names. False: there is none. */
bool guest_used(struct guest *guest, struct virtq_used_elem *elem);

/* Descriptors by offset. */
#define OUT_DESC(offset, length) ((struct virtq_desc){.addr = guest_addr(offset), .len = (length)})
#define IN_DESC(offset, length)                                                                    \
	((struct virtq_desc){                                                                      \
		.addr = guest_addr(offset), .len = (length), .flags = VIRTQ_DESC_F_WRITE})

/* A small fast generator with a seed of its own, so that a failure can be repeated. */
uint32_t guest_random(uint64_t *state);

#endif
