/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a device out of service while it is in use, and putting it back. Main thread.
 *
 * First the driver is told that the device is not ready, and what it still gives is done, until it
 * gives no more (or does not heed it for some seconds). Then the queues are paused: what comes now
 * stays in the ring. When nothing is in flight any more the device is drained, and it is no loss to
 * remove it.
 */
#ifndef VC_HOST_DRAIN_H
#define VC_HOST_DRAIN_H

#include <stdbool.h>

#include "base/evloop.h"

struct device;

/* Begin; also takes device_undrain() back. 0, -ENOMEM. */
int device_drain(struct evloop *loop, struct device *device);
/* Into service again, at once or as soon as may be. */
void device_undrain(struct device *device);
/* Forget it, of a device that has no queues any more. */
void device_drain_forget(struct device *device);

/* Whether it is on its way out, or is out. */
bool device_drains(const struct device *device);
/* Whether it is out: nothing is in flight, and nothing is taken. */
bool device_drained(const struct device *device);
/* In a word: "running", "draining", "drained", "leaving" (it is being removed). */
const char *device_state(const struct device *device);

#endif
