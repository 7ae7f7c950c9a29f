/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the device: device.c (queues, sessions, life) and device_memory.c. Main thread.
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

/* Requests did not come back: what they may touch is never freed. */
void device_mark_stuck(struct device *device);

#endif
