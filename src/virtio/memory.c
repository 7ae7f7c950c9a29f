/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the device can reach: our own region, and the table of all regions. See memory.h.
 * Callers hold the device's lock, but for regions_search().
 */
#include "virtio/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

static int region_map(size_t size, unsigned int flags, struct shared_region *region)
{
	int error;
	int fd = memfd_create("vcrypto", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		goto fail;
	/* Huge pages are reserved here, so that a lack of them shows now and not as a SIGBUS. */
	void *base = map_reachable(size, fd);

	if (base == MAP_FAILED)
		goto fail;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ||
	    madvise(base, size, MADV_DONTDUMP) < 0) {
		error = errno;
		munmap(base, size);
		errno = error;
		goto fail;
	}
	/* A wish: the kernel may have them switched off for shared memory. */
	madvise(base, size, MADV_HUGEPAGE);
	*region = (struct shared_region){.base = base, .size = size, .fd = fd};
	return 0;
fail:
	error = -errno;
	close(fd);
	return error;
}

int shared_region_create(size_t size, int hugepages, struct shared_region *region)
{
	if (hugepages >= 0) {
		int error = region_map(vc_round_up(size, HUGE_PAGE), MFD_HUGETLB, region);

		region->huge = !error;
		if (!error || hugepages > 0)
			return error;
	}
	return region_map(vc_round_up(size, (size_t)sysconf(_SC_PAGESIZE)), 0, region);
}

void shared_region_destroy(struct shared_region *region)
{
	if (!region->base)
		return;
	munmap(region->base, region->size);
	close(region->fd);
	*region = (struct shared_region){.fd = -1};
}

int regions_add(struct regions *regions, const void *address, size_t size)
{
	uintptr_t start = (uintptr_t)address;
	unsigned int place = REGIONS_MAX;

	if (!size || start + size < start)
		return -EINVAL;
	for (unsigned int i = 0; i < REGIONS_MAX; i++) {
		if (!regions->entry[i].size) {
			place = vc_min(place, i);
			continue;
		}
		if (start < regions->entry[i].start + regions->entry[i].size &&
		    regions->entry[i].start < start + size)
			return -EINVAL;
	}
	if (place == REGIONS_MAX)
		return -ENOSPC;
	__atomic_store_n(&regions->entry[place].start, start, __ATOMIC_RELAXED);
	/* Pairs with the acquire in regions_search(): who sees the size sees the start. */
	__atomic_store_n(&regions->entry[place].size, size, __ATOMIC_RELEASE);
	if (place >= regions->used)
		__atomic_store_n(&regions->used, place + 1, __ATOMIC_RELEASE);
	return 0;
}

static int regions_index(const struct regions *regions, const void *address)
{
	for (unsigned int i = 0; i < regions->used; i++)
		if (regions->entry[i].size && regions->entry[i].start == (uintptr_t)address)
			return (int)i;
	return -ENOENT;
}

size_t regions_size(const struct regions *regions, const void *address)
{
	int i = regions_index(regions, address);

	return i < 0 ? 0 : regions->entry[i].size;
}

void regions_remove(struct regions *regions, const void *address)
{
	int i = regions_index(regions, address);

	if (i >= 0)
		__atomic_store_n(&regions->entry[i].size, 0, __ATOMIC_RELEASE);
}

bool regions_search(const struct regions *regions, struct region_hints *hints, uintptr_t address,
                    size_t length)
{
	unsigned int used = __atomic_load_n(&regions->used, __ATOMIC_ACQUIRE);

	for (unsigned int i = 0; i < used; i++) {
		size_t size = __atomic_load_n(&regions->entry[i].size, __ATOMIC_ACQUIRE);
		uintptr_t start = __atomic_load_n(&regions->entry[i].start, __ATOMIC_RELAXED);

		if (address - start < size && length <= size - (address - start)) {
			hints->index[(address >> 21) % REGION_HINTS] = (uint16_t)i;
			return true;
		}
	}
	return false;
}
