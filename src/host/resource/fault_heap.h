/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for their time: a heap, the earliest first; those of one time in the order in
 * which they came. The worker's thread.
 */
#ifndef VC_HOST_RESOURCE_FAULT_HEAP_H
#define VC_HOST_RESOURCE_FAULT_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct vc_request;

struct fault_entry {
	uint64_t due; /* ns, clock_now_ns() */
	uint64_t number;
	struct vc_request *req;
	bool fails; /* comes back undone then */
};

struct fault_heap {
	struct fault_entry *entry; /* room is the owner's business */
	unsigned int count;
};

void fault_heap_add(struct fault_heap *heap, const struct fault_entry *entry);
/* Take the first one; there is one. */
struct fault_entry fault_heap_take(struct fault_heap *heap);

#endif
