/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping memory that a device behind an IOMMU is to reach at our address. See util.h.
 */
#include <sys/mman.h>
#include <sys/random.h>

#include "base/util.h"

/* QEMU's intel-iommu has 39 bits where nothing else is said. Below the first half of them physical
 * memory may want to be mapped where it is (pci_hugepages.c). */
#define REACHED_FROM (1ull << 37)
#define REACHED_END (1ull << 39)
#define ALIGN (2ull << 20)
#define TRIES 4

static bool is_reached(const void *address, size_t size)
{
	uintptr_t start = (uintptr_t)address;

	return start < REACHED_END && size <= REACHED_END - start;
}

void *map_reachable(size_t size, int fd)
{
	void *address = MAP_FAILED, *hint;
	uint64_t where;

	for (unsigned int i = 0; i < TRIES && size < REACHED_END - REACHED_FROM; i++) {
		if (getrandom(&where, sizeof(where), 0) != sizeof(where))
			break;
		where = (REACHED_FROM + where % (REACHED_END - REACHED_FROM - size)) & ~(ALIGN - 1);
		hint = (void *)(uintptr_t)where; // NOLINT(performance-no-int-to-ptr)
		address = mmap(hint, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (address == MAP_FAILED || is_reached(address, size))
			return address;
		munmap(address, size);
	}
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}
