/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The health of resources, for the control socket. Main thread.
 */
#ifndef VC_HOST_STATUS_HEALTH_H
#define VC_HOST_STATUS_HEALTH_H

#include <jansson.h>

#include "host/host.h"

/* Of all workers together. */
json_t *health_json(const struct host *host, const struct resource *resource);

#endif
