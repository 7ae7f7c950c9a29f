/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's IOMMU lets the device use, as far as the front end has said it (vhost-user,
 * "IOMMU support"): entries that give pieces of the front end's memory addresses of the guest's
 * choice.
 *
 * Main thread. Workers see none of this but the view that is made of it.
 */
#ifndef VC_HOST_IOTLB_H
#define VC_HOST_IOTLB_H

#include "host/memtable.h"

/* Entries at the most; then each new one pushes out the oldest. */
#define IOTLB_MAX_ENTRIES 4096u

struct iotlb;

/* Empty. NULL without memory. */
struct iotlb *iotlb_new(void);
/* NULL is allowed. */
void iotlb_free(struct iotlb *iotlb);

/* [iova, iova + size) is at user_addr of the front end from now on, which the device may write, or
 * only read. -EINVAL: size 0, or it wraps. */
int iotlb_update(struct iotlb *iotlb, uint64_t iova, uint64_t size, uint64_t user_addr,
                 bool writable);
/* Nothing of [iova, iova + size) is known any more. An entry that lies there in part goes whole. */
void iotlb_invalidate(struct iotlb *iotlb, uint64_t iova, uint64_t size);
void iotlb_clear(struct iotlb *iotlb);
unsigned int iotlb_count(const struct iotlb *iotlb);

/* What the entries say of the front end's regions: for the caller to free. Entries that are in no
 * region are left out. NULL without memory. */
struct memtable *iotlb_view(const struct iotlb *iotlb, const struct memtable *regions);

#endif
