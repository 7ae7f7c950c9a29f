/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of a ring whose pages lie scattered behind the guest's IOMMU, mapped once more in one
 * piece. Main thread.
 */
#ifndef VC_HOST_RING_WINDOW_H
#define VC_HOST_RING_WINDOW_H

#include <stdbool.h>

#include "host/memtable.h"

struct ring_window;

/* [addr, addr + len) of a view, all of which it has. 0; -EFAULT it has not; -EINVAL: huge pages,
 * which cannot be mapped in parts; -ENOMEM, -ENOSPC, -errno. */
int ring_window_new(const struct memtable *view, uint64_t addr, uint64_t len,
                    struct ring_window **window);
/* When no thread uses it. NULL is allowed. */
void ring_window_free(struct ring_window *window);

/* Where addr is. */
void *ring_window_at(const struct ring_window *window);
/* Whether another view has the same pages there. */
bool ring_window_holds(const struct ring_window *window, const struct memtable *view);

#endif
