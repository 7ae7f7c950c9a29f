/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest memory that a front end has shared: regions, mapping, translation.
 *
 * A table is immutable once a worker has seen it. The main thread makes a changed copy
 * (memtable_with, memtable_without), hands it to the workers, and drops the old one when none uses
 * it and nothing in flight points into it; the mappings themselves are shared and counted.
 *
 * Where the guest has an IOMMU, workers use a view of the table: the same mappings under the
 * addresses that the IOMMU lets the device use (iotlb.h). What a view does not have may only not be
 * known yet.
 *
 * SIGBUS: whoever holds a region's descriptor may cut the file short, and huge pages may run out
 * even in a sealed one. Every mapping is under the guard: the handler puts zero pages in its place
 * and marks it broken, so that no thread and no library dies, and the worker then fails that one
 * device.
 */
#ifndef VC_HOST_MEMTABLE_H
#define VC_HOST_MEMTABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "wire/vhost_user.h"

#define MEMTABLE_MAX_REGIONS 512

struct memregion {
	uint64_t guest_addr; /* first address */
	uint64_t size;       /* bytes */
	uint64_t user_addr;
	uint8_t *host; /* where guest_addr is mapped */
};

/* One mapping, guarded and counted. */
struct memmap;

/* Map [offset, offset + size) of a file that somebody else has too (fd is not kept); *host is where
 * it begins. 0; -EINVAL it is no such file; -ENOSPC; -errno of mmap. */
int memmap_new(int fd, uint64_t offset, uint64_t size, struct memmap **map, uint8_t **host);
/* Unmapped with the last user. */
void memmap_put(struct memmap *map);
/* The same pages of shared memory that is mapped already once more, one after the other; *host is
 * where. -EINVAL: not page aligned, or of huge pages; -ENOSPC; -errno. */
int memmap_gather(uint8_t *const *pages, unsigned int count, struct memmap **map, uint8_t **host);

/*
 * Told of each mapping of guest memory before a table has it, and when the last one has let it go:
 * for devices on the host's bus, which reach only what their IOMMU was told of. added: 0; -errno:
 * then no table gets it. One for the process, set before the first table; NULL: nobody any more.
 */
struct memmap_observer {
	void *context;
	int (*added)(void *context, void *base, size_t length);
	void (*removed)(void *context, void *base, size_t length);
};
void memmap_observe(const struct memmap_observer *observer);

struct memtable {
	unsigned int count, room;
	bool view;
	/* Of a view: what the device may not write, which the others do not have; else NULL. */
	struct memtable *readonly;
	struct memmap **map;       /* of each region */
	struct memregion region[]; /* sorted by guest_addr, no overlap */
};

/* An empty table. NULL without memory. */
struct memtable *memtable_new(void);
/* An empty view with room for so many regions. NULL without memory. */
struct memtable *memtable_view_new(unsigned int room);
/* Let size bytes of another table from user_addr on be at addr, which is above all that the view
 * has. What follows on the last region becomes part of it. -EFAULT they are not in one region;
 * -ENOSPC. */
int memtable_view_add(struct memtable *view, const struct memtable *table, uint64_t addr,
                      uint64_t user_addr, uint64_t size);
/* A copy with one region more: maps fd (not kept). -EINVAL zero, wrapping or overlapping; -ENOSPC;
 * -errno of mmap. */
int memtable_with(const struct memtable *table, const struct vhost_user_mem_region *region, int fd,
                  struct memtable **result);
/* A copy without the region of these addresses and size. -ENOENT. */
int memtable_without(const struct memtable *table, const struct vhost_user_mem_region *region,
                     struct memtable **result);
/* The regions of one table that another does not have, or not where they were, in no order. For
 * memtable_holds(). NULL without memory. */
struct memtable *memtable_minus(const struct memtable *table, const struct memtable *other);
/* The first of len bytes from addr on that the device may not read (or write); false: there is
 * none. */
bool memtable_gap(const struct memtable *table, uint64_t addr, uint64_t len, bool write,
                  uint64_t *gap);
/* Whether any of len bytes of this process's memory is in a region. */
bool memtable_holds(const struct memtable *table, const void *start, uint64_t len);
/* Unmaps what no other table holds. NULL is allowed. */
void memtable_free(struct memtable *table);
/* A region lost its file under us. */
bool memtable_broken(const struct memtable *table);

/* Install the SIGBUS guard for the process; once, before the first table. */
int memtable_guard_install(void);

/* Bytes of all regions. */
uint64_t memtable_bytes(const struct memtable *table);

const struct memregion *memtable_find(const struct memtable *table, uint64_t guest_addr);
/* The region that a piece of a buffer begins in, for which memtable_translate() knows none. */
static inline const struct memregion *memtable_find_for(const struct memtable *table,
                                                        uint64_t guest_addr, bool write)
{
	const struct memregion *r = memtable_find(table, guest_addr);

	return r || write || !table->readonly ? r : memtable_find(table->readonly, guest_addr);
}

/* What SET_VRING_ADDR says to a pointer: the front end's user address, or of a view the address
 * that the guest gave. NULL unless [addr, addr+len) lies in one region. */
void *memtable_user(const struct memtable *table, uint64_t user_addr, uint64_t len);

/* Guest address to a pointer; NULL unless [addr, addr+len) lies in one region. hint: the last
 * region found, kept by the caller (set to NULL when the table changes). */
static inline uint8_t *memtable_translate(const struct memtable *table,
                                          const struct memregion **hint, uint64_t addr,
                                          uint32_t len)
{
	const struct memregion *r = *hint;

	if (vc_unlikely(!r || addr - r->guest_addr >= r->size)) {
		r = memtable_find(table, addr);
		if (!r)
			return NULL;
		*hint = r;
	}
	uint64_t offset = addr - r->guest_addr;

	if (vc_unlikely(len > r->size - offset))
		return NULL;
	return r->host + offset;
}

#endif
