/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the device: device.c (queues, sessions, life), device_memory.c and device_change.c.
 * Main thread.
 */
#ifndef VC_HOST_DEVICE_PRIVATE_H
#define VC_HOST_DEVICE_PRIVATE_H

#include "host/device.h"

static inline unsigned int device_queue_count(const struct device *device)
{
	return device->data_queues + 1;
}

/* The workers that have a queue of the device, each once, as bits. */
uint64_t device_workers(const struct device *device);

/* device_memory.c: have everyone use another table. The old one is the caller's then, and may be
 * freed; NULL: it may not. Waits for what is in flight in memory that goes. */
struct memtable *device_table_replace(struct device *device, struct memtable *memory);
/* Set a queue's ring up; where its parts lie scattered, they get windows. 0,
 * -errno of vring_setup() and ring_window_new(). */
int device_ring_setup(struct device *device, struct host_queue *queue);
/* Whether a ring lies in a table as it does now. */
bool device_ring_stays(const struct host_queue *queue, const struct memtable *memory);
/* The queue has stopped. */
void device_ring_forget(struct host_queue *queue);

/* Requests did not come back: what they may touch is never freed. */
void device_mark_stuck(struct device *device);

#endif
