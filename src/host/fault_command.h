/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of the pool, as the control socket steers and shows them. Main thread.
 */
#ifndef VC_HOST_FAULT_COMMAND_H
#define VC_HOST_FAULT_COMMAND_H

#include "base/ctl.h"
#include "host/pool.h"

/* Command "fault": {"resource": NAME}, with "clear": true, or "set": an object of texts by key;
 * its context is a struct host. */
json_t *fault_command(void *context, const json_t *request, char **error);
/* The settings of a fault that are not as without any, as texts by their keys. */
json_t *fault_json(const struct resource *resource);
/* None any more: what hangs comes back, for an end in good order. */
void fault_clear_all(struct pool *pool);

#endif
