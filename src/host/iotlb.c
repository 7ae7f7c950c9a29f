/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of the guest's IOMMU, sorted by address and never overlapping. Main thread. The front
 * end's word is taken for who may use what (it is the guest's IOMMU), but for nothing about memory:
 * an entry counts as far as it lies in one region that has been mapped.
 */
#include "host/iotlb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	uint64_t iova, size, user_addr;
	uint64_t age; /* number of the update that brought it */
	bool writable;
};

struct iotlb {
	unsigned int count;
	uint64_t updates;
	struct entry entry[IOTLB_MAX_ENTRIES];
};

struct iotlb *iotlb_new(void)
{
	return calloc(1, sizeof(struct iotlb));
}

void iotlb_free(struct iotlb *iotlb)
{
	free(iotlb);
}

void iotlb_clear(struct iotlb *iotlb)
{
	iotlb->count = 0;
}

unsigned int iotlb_count(const struct iotlb *iotlb)
{
	return iotlb->count;
}

/* The first entry that ends behind an address. */
static unsigned int entry_find(const struct iotlb *iotlb, uint64_t iova)
{
	unsigned int low = 0, high = iotlb->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		const struct entry *entry = &iotlb->entry[middle];

		if (entry->iova + (entry->size - 1) < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void entries_remove(struct iotlb *iotlb, unsigned int first, unsigned int count)
{
	memmove(&iotlb->entry[first], &iotlb->entry[first + count],
	        (iotlb->count - first - count) * sizeof(struct entry));
	iotlb->count -= count;
}

static unsigned int entry_oldest(const struct iotlb *iotlb)
{
	unsigned int oldest = 0;

	for (unsigned int i = 1; i < iotlb->count; i++)
		if (iotlb->entry[i].age < iotlb->entry[oldest].age)
			oldest = i;
	return oldest;
}

void iotlb_invalidate(struct iotlb *iotlb, uint64_t iova, uint64_t size)
{
	/* Up to the end of all addresses, if the size goes beyond it. */
	uint64_t last = size - 1 > UINT64_MAX - iova ? UINT64_MAX : iova + size - 1;
	unsigned int first = entry_find(iotlb, iova), count = 0;

	if (!size)
		return;
	while (first + count < iotlb->count && iotlb->entry[first + count].iova <= last)
		count++;
	entries_remove(iotlb, first, count);
}

int iotlb_update(struct iotlb *iotlb, uint64_t iova, uint64_t size, uint64_t user_addr,
                 bool writable)
{
	const struct entry fresh = {iova, size, user_addr, ++iotlb->updates, writable};
	unsigned int at;

	if (!size || size - 1 > UINT64_MAX - iova || size - 1 > UINT64_MAX - user_addr)
		return -EINVAL;
	iotlb_invalidate(iotlb, iova, size);
	if (iotlb->count == IOTLB_MAX_ENTRIES)
		entries_remove(iotlb, entry_oldest(iotlb), 1);
	at = entry_find(iotlb, iova);
	memmove(&iotlb->entry[at + 1], &iotlb->entry[at],
	        (iotlb->count - at) * sizeof(struct entry));
	iotlb->entry[at] = fresh;
	iotlb->count++;
	return 0;
}

struct memtable *iotlb_view(const struct iotlb *iotlb, const struct memtable *regions)
{
	struct memtable *view = memtable_view_new(iotlb->count);

	if (!view)
		return NULL;
	for (unsigned int i = 0; i < iotlb->count; i++) {
		const struct entry *entry = &iotlb->entry[i];

		/* There is room for each; one that is in no region is as good as none. */
		memtable_view_add(entry->writable ? view : view->readonly, regions, entry->iova,
		                  entry->user_addr, entry->size);
	}
	return view;
}
