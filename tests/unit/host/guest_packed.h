/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of one packed ring for tests, in the memory of a guest (guest.h), written from
 * the specification and not from our driver. Buffer ids are the test's own. Nothing is checked.
 */
#ifndef VC_TEST_GUEST_PACKED_H
#define VC_TEST_GUEST_PACKED_H

#include "guest.h"

struct guest_packed {
	struct guest guest; /* its ring and config are the packed ones */
	struct virtq_packed_desc *ring;
	struct virtq_packed_event *driver, *device;
	uint16_t next, used; /* places in the ring */
	bool next_wrap, used_wrap;
	uint16_t free;          /* descriptors */
	uint16_t count[0x8000]; /* of chain `id`, when it is out */
};

/* base: where the ring starts, as vhost-user tells it; 0x8000 is a fresh ring. */
void guest_packed_open(struct guest_packed *p, uint16_t size, uint16_t base, bool event_idx,
                       bool in_order);
void guest_packed_close(struct guest_packed *p);

/* Make a chain available: descriptors as OUT_DESC() and IN_DESC() make them. */
void guest_packed_offer(struct guest_packed *p, uint16_t id, const struct virtq_desc *descs,
                        unsigned int n);
/* A descriptor that names a table of them. */
struct virtq_desc guest_packed_table(struct guest_packed *p, const struct virtq_desc *descs,
                                     unsigned int n);
/* Write n descriptors of the ring as they are (flags and all), the first one last. */
void guest_packed_raw(struct guest_packed *p, const struct virtq_packed_desc *descs,
                      unsigned int n);
/* Flags of a descriptor made available where the ring now stands. */
uint16_t guest_packed_flags(const struct guest_packed *p);
/* Take a used descriptor and go on behind its chain. False: there is none. */
bool guest_packed_used(struct guest_packed *p, struct virtq_packed_desc *desc);

#endif
