/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits and weights of devices, as the control socket sets and shows them. Main thread.
 */
#ifndef VC_HOST_LIMIT_COMMAND_H
#define VC_HOST_LIMIT_COMMAND_H

#include "base/ctl.h"
#include "host/device.h"

/* Command "limit": {"device": NAME}, with "set": an object of texts by name; its context is a
 * struct host. */
json_t *limit_command(void *context, const json_t *request, char **error);
/* Limits and weight by their names; null: none. */
json_t *limits_json(const struct device *device);
/* What the limits of operations and bytes have held back, over all workers; and the time of workers
 * that the device had while others wanted it, too. */
json_t *held_back_json(const struct device *device);

#endif
