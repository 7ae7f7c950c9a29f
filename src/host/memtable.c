/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: regions, shared mappings, translation. Tables are made and freed by the main
 * thread and read by workers. Nothing that the front end says about a region is trusted: sizes are
 * checked against the file, sums against wrapping.
 */
#include "host/memtable.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/memguard.h"

#define HUGETLBFS_MAGIC 0x958458f6

struct memmap {
	atomic_uint users;
	struct memguard *guard;
	void *base;
	size_t length;
	bool announced; /* to the observer */
};

static const struct memmap_observer *observer;

void memmap_observe(const struct memmap_observer *who)
{
	observer = who;
}

static int memmap_announce(struct memmap *map)
{
	int rc = observer ? observer->added(observer->context, map->base, map->length) : 0;

	map->announced = observer && !rc;
	return rc;
}

/* What the mapping of a file has to be a multiple of: the huge page on hugetlbfs. */
static int file_page_size(int fd, size_t *page)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	*page = (size_t)sysconf(_SC_PAGESIZE);
	if ((unsigned long)fs.f_type == HUGETLBFS_MAGIC)
		*page = (size_t)fs.f_bsize;
	return vc_is_power_of_two(*page) ? 0 : -EINVAL;
}

/* A mapping that has just been made. -ENOSPC: it is gone again. */
static int memmap_guard(struct memmap *map)
{
	map->guard = memguard_add(map->base, map->length);
	if (!map->guard) {
		munmap(map->base, map->length);
		free(map);
		return -ENOSPC;
	}
	madvise(map->base, map->length, MADV_DONTDUMP);
	return 0;
}

/* Map [offset, offset + size) of the file; *host is where it begins. */
int memmap_new(int fd, uint64_t offset, uint64_t size, struct memmap **result, uint8_t **host)
{
	struct memmap *map;
	struct stat st;
	size_t page = 0;
	int rc;

	rc = file_page_size(fd, &page);
	if (rc < 0)
		return rc;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* A device or a socket has no size and could not be mapped soundly anyhow. */
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || offset + size > (uint64_t)st.st_size)
		return -EINVAL;

	map = calloc(1, sizeof(*map));
	if (!map)
		return -ENOMEM;
	uint64_t start = offset & ~((uint64_t)page - 1);

	atomic_init(&map->users, 1);
	map->length = vc_round_up(offset + size - start, page);
	map->base = mmap(NULL, map->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
	                 (off_t)start);
	if (map->base == MAP_FAILED) {
		rc = -errno;
		free(map);
		return rc;
	}
	rc = memmap_guard(map);
	if (rc < 0)
		return rc;
	*host = (uint8_t *)map->base + (offset - start);
	*result = map;
	return 0;
}

int memmap_gather(uint8_t *const *pages, unsigned int count, struct memmap **result, uint8_t **host)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct memmap *map = calloc(1, sizeof(*map));
	int rc = 0;

	if (!map)
		return -ENOMEM;
	atomic_init(&map->users, 1);
	map->length = count * page;
	map->base = mmap(NULL, map->length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	                 -1, 0);
	if (map->base == MAP_FAILED) {
		rc = -errno;
		free(map);
		return rc;
	}
	/* Of a shared mapping, an old size of 0 makes a second one (mremap(2)). */
	for (unsigned int i = 0; i < count && !rc; i++)
		if (mremap(pages[i], 0, page, MREMAP_MAYMOVE | MREMAP_FIXED,
		           (uint8_t *)map->base + i * page) == MAP_FAILED)
			rc = -errno;
	if (rc < 0) {
		munmap(map->base, map->length);
		free(map);
		return rc;
	}
	rc = memmap_guard(map);
	if (rc < 0)
		return rc;
	*host = map->base;
	*result = map;
	return 0;
}

void memmap_put(struct memmap *map)
{
	/* acq_rel: the last one sees every use by the others, which gave up with the same. */
	if (atomic_fetch_sub_explicit(&map->users, 1, memory_order_acq_rel) != 1)
		return;
	if (map->announced && observer)
		observer->removed(observer->context, map->base, map->length);
	/* First: once it is unmapped, the addresses may be somebody else's. */
	memguard_remove(map->guard);
	munmap(map->base, map->length);
	free(map);
}

static struct memtable *table_new(unsigned int room)
{
	struct memtable *table = calloc(
		1, sizeof(*table) + room * (sizeof(table->region[0]) + sizeof(struct memmap *)));

	if (!table)
		return NULL;
	table->room = room;
	table->map = (struct memmap **)&table->region[room];
	return table;
}

struct memtable *memtable_new(void)
{
	return table_new(MEMTABLE_MAX_REGIONS);
}

struct memtable *memtable_view_new(unsigned int room)
{
	struct memtable *view = table_new(room);

	if (!view)
		return NULL;
	view->view = true;
	view->readonly = table_new(room);
	if (view->readonly)
		return view;
	free(view);
	return NULL;
}

void memtable_free(struct memtable *table)
{
	if (!table)
		return;
	for (unsigned int i = 0; i < table->count; i++)
		memmap_put(table->map[i]);
	memtable_free(table->readonly);
	free(table);
}

/* Append entry i of another table, with a reference to its mapping. */
static void table_take(struct memtable *table, const struct memtable *from, unsigned int i)
{
	atomic_fetch_add_explicit(&from->map[i]->users, 1, memory_order_relaxed);
	table->region[table->count] = from->region[i];
	table->map[table->count++] = from->map[i];
}

static bool wraps(uint64_t start, uint64_t size)
{
	return start + size - 1 < start;
}

static int region_check(const struct memtable *table, const struct vhost_user_mem_region *region)
{
	if (!region->size || region->size > INT64_MAX || region->mmap_offset > INT64_MAX ||
	    region->size + region->mmap_offset > INT64_MAX)
		return -EINVAL;
	if (wraps(region->guest_addr, region->size) || wraps(region->user_addr, region->size))
		return -EINVAL;
	for (unsigned int i = 0; i < table->count; i++) {
		const struct memregion *r = &table->region[i];

		if (region->guest_addr - r->guest_addr < r->size ||
		    r->guest_addr - region->guest_addr < region->size)
			return -EINVAL;
	}
	return table->count < MEMTABLE_MAX_REGIONS ? 0 : -ENOSPC;
}

int memtable_with(const struct memtable *table, const struct vhost_user_mem_region *region, int fd,
                  struct memtable **result)
{
	struct memregion fresh = {
		.guest_addr = region->guest_addr,
		.size = region->size,
		.user_addr = region->user_addr,
	};
	struct memtable *copy;
	struct memmap *map = NULL;
	unsigned int i = 0;
	int rc;

	rc = region_check(table, region);
	if (rc < 0)
		return rc;
	copy = memtable_new();
	if (!copy)
		return -ENOMEM;
	rc = memmap_new(fd, region->mmap_offset, region->size, &map, &fresh.host);
	if (rc < 0) {
		free(copy);
		return rc;
	}
	rc = memmap_announce(map);
	if (rc < 0) {
		memmap_put(map);
		free(copy);
		return rc;
	}
	for (; i < table->count && table->region[i].guest_addr < fresh.guest_addr; i++)
		table_take(copy, table, i);
	copy->region[copy->count] = fresh;
	copy->map[copy->count++] = map;
	for (; i < table->count; i++)
		table_take(copy, table, i);
	*result = copy;
	return 0;
}

int memtable_without(const struct memtable *table, const struct vhost_user_mem_region *region,
                     struct memtable **result)
{
	struct memtable *copy;
	unsigned int gone;

	for (gone = 0; gone < table->count; gone++) {
		const struct memregion *r = &table->region[gone];

		if (r->guest_addr == region->guest_addr && r->user_addr == region->user_addr &&
		    r->size == region->size)
			break;
	}
	if (gone == table->count)
		return -ENOENT;
	copy = memtable_new();
	if (!copy)
		return -ENOMEM;
	for (unsigned int i = 0; i < table->count; i++)
		if (i != gone)
			table_take(copy, table, i);
	*result = copy;
	return 0;
}

int memtable_view_add(struct memtable *view, const struct memtable *table, uint64_t addr,
                      uint64_t user_addr, uint64_t size)
{
	struct memregion *last = view->count ? &view->region[view->count - 1] : NULL;
	const struct memregion *r;
	unsigned int i = 0;

	while (i < table->count && user_addr - table->region[i].user_addr >= table->region[i].size)
		i++;
	if (i == table->count)
		return -EFAULT;
	r = &table->region[i];
	uint64_t offset = user_addr - r->user_addr;

	if (size > r->size - offset)
		return -EFAULT;
	if (last && addr == last->guest_addr + last->size &&
	    r->host + offset == last->host + last->size &&
	    table->map[i] == view->map[view->count - 1]) {
		last->size += size;
		return 0;
	}
	if (view->count == view->room)
		return -ENOSPC;
	table_take(view, table, i);
	view->region[view->count - 1] = (struct memregion){
		.guest_addr = addr,
		.size = size,
		.host = r->host + offset,
	};
	return 0;
}

/* Whether all of a region is where it was. (Two mappings that are there at once are at two places,
 * so the place says which one it is.) */
static bool table_has(const struct memtable *table, const struct memregion *region)
{
	const struct memregion *r = memtable_find(table, region->guest_addr);
	uint64_t offset = r ? region->guest_addr - r->guest_addr : 0;

	return r && r->host + offset == region->host && region->size <= r->size - offset;
}

struct memtable *memtable_minus(const struct memtable *table, const struct memtable *other)
{
	const struct memtable *readonly = table->readonly;
	struct memtable *rest = table_new(table->count + (readonly ? readonly->count : 0));

	if (!rest)
		return NULL;
	for (unsigned int i = 0; i < table->count; i++)
		if (!table_has(other, &table->region[i]))
			table_take(rest, table, i);
	/* What may now be written may be read as before. */
	for (unsigned int i = 0; readonly && i < readonly->count; i++)
		if (!table_has(other, &readonly->region[i]) &&
		    !(other->readonly && table_has(other->readonly, &readonly->region[i])))
			table_take(rest, readonly, i);
	return rest;
}

bool memtable_gap(const struct memtable *table, uint64_t addr, uint64_t len, bool write,
                  uint64_t *gap)
{
	while (len) {
		const struct memregion *r = memtable_find_for(table, addr, write);
		uint64_t part = r ? vc_min(len, r->size - (addr - r->guest_addr)) : 0;

		if (!part) {
			*gap = addr;
			return true;
		}
		len -= part;
		addr += part;
		/* Nothing lies behind the last address. */
		if (!addr)
			return false;
	}
	return false;
}

bool memtable_holds(const struct memtable *table, const void *start, uint64_t len)
{
	uint64_t first = (uintptr_t)start;

	for (unsigned int i = 0; len && i < table->count; i++) {
		uint64_t host = (uintptr_t)table->region[i].host;

		if (first - host < table->region[i].size || host - first < len)
			return true;
	}
	return table->readonly && memtable_holds(table->readonly, start, len);
}

bool memtable_broken(const struct memtable *table)
{
	if (vc_likely(!memguard_any_broken()))
		return false;
	for (unsigned int i = 0; i < table->count; i++)
		if (memguard_broken(table->map[i]->guard))
			return true;
	return table->readonly && memtable_broken(table->readonly);
}

int memtable_guard_install(void)
{
	return memguard_install();
}

uint64_t memtable_bytes(const struct memtable *table)
{
	uint64_t bytes = 0;

	/* Disjoint regions of one address space: the sum cannot wrap. */
	for (unsigned int i = 0; i < table->count; i++)
		bytes += table->region[i].size;
	return bytes;
}

const struct memregion *memtable_find(const struct memtable *table, uint64_t guest_addr)
{
	unsigned int low = 0, high = table->count;

	/* The first region that begins after the address; the one before it may hold it. */
	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (table->region[middle].guest_addr <= guest_addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	const struct memregion *r = &table->region[low - 1];

	return guest_addr - r->guest_addr < r->size ? r : NULL;
}

void *memtable_user(const struct memtable *table, uint64_t user_addr, uint64_t len)
{
	if (table->view) {
		const struct memregion *hint = NULL;

		return len <= UINT32_MAX
		               ? memtable_translate(table, &hint, user_addr, (uint32_t)len)
		               : NULL;
	}
	for (unsigned int i = 0; i < table->count; i++) {
		const struct memregion *r = &table->region[i];
		uint64_t offset = user_addr - r->user_addr;

		if (offset < r->size)
			return len <= r->size - offset ? r->host + offset : NULL;
	}
	return NULL;
}
