/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the device can reach: which regions there are, and an allocator inside our own one.
 *
 * Regions are looked up on the data path without a lock, and changed under the device's lock. What
 * is known about memory is kept in private memory, never in the shared region itself.
 */
#ifndef VC_VIRTIO_MEMORY_H
#define VC_VIRTIO_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

/* ---- a region of our own ---- */

struct shared_region {
	uint8_t *base;
	size_t size; /* bytes, whole pages */
	int fd;      /* sealed against shrinking and growing */
	bool huge;
};

/* hugepages: 0 if there are enough, 1 required, -1 never. Zeroed, not in core dumps. 0, -errno. */
int shared_region_create(size_t size, int hugepages, struct shared_region *region);
void shared_region_destroy(struct shared_region *region);

/* ---- regions ---- */

#define REGIONS_MAX 512
#define REGION_HINTS 16

/*
 * Guest addresses are our own addresses, so a region is a range and nothing else. An entry is free
 * when its size is 0. Readers may run while an entry changes: they then may take an address for
 * good that lies in no region, which is the caller's mistake and which the device refuses.
 */
struct regions {
	struct {
		uintptr_t start;
		size_t size;
	} entry[REGIONS_MAX];
	unsigned int used; /* entries from here on were never in use */
};

/* For each part of the address space the region that was last found there; the reader's own. */
struct region_hints {
	uint16_t index[REGION_HINTS];
};

/* Caller holds the device's lock. 0; -EINVAL empty, wrapping or overlapping; -ENOSPC. */
int regions_add(struct regions *regions, const void *address, size_t size);
/* Size of the region that starts at address, 0 if there is none. */
size_t regions_size(const struct regions *regions, const void *address);
void regions_remove(struct regions *regions, const void *address);

bool regions_search(const struct regions *regions, struct region_hints *hints, uintptr_t address,
                    size_t length);

/* [address, address + length) lies in one region. */
static inline bool regions_contain(const struct regions *regions, struct region_hints *hints,
                                   const void *address, size_t length)
{
	uintptr_t a = (uintptr_t)address;
	unsigned int i = hints->index[(a >> 21) % REGION_HINTS];
	size_t size = __atomic_load_n(&regions->entry[i].size, __ATOMIC_RELAXED);
	size_t offset = a - __atomic_load_n(&regions->entry[i].start, __ATOMIC_RELAXED);

	if (vc_likely(offset < size && length <= size - offset))
		return true;
	return regions_search(regions, hints, a, length);
}

/* ---- allocator ---- */

#define ARENA_CLASSES 5 /* 64, 128, ... 1024 bytes; more is whole units of 256 */

struct arena_slab;

/* Memory that is free is zero: it is wiped when it is freed. */
struct arena {
	uint8_t *base;
	uint32_t units;
	uint32_t next; /* where the last search ended */
	/* Length of a run of units at its first and its last one. */
	uint32_t *run;
	struct arena_slab **slab; /* of each unit, NULL when it is in none */
	struct arena_slab *partial[ARENA_CLASSES];
};

/* base: page aligned and zero. 0, -ENOMEM. */
int arena_init(struct arena *arena, void *base, size_t size);
void arena_fini(struct arena *arena);
/* Aligned to 64 bytes and zeroed; NULL when there is no room. */
void *arena_alloc(struct arena *arena, size_t size);
/* Wiped. -EINVAL: not from here. */
int arena_free(struct arena *arena, void *memory);

#endif
