/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type fault: another resource, made slow, failing, out of order, hanging or dead; for
 * tests and drills. Its results are the other's, or none: never wrong ones.
 *
 * This is what the main thread asks it for besides resource_ops; the settings may change at any
 * time. Each worker's instance has an instance of the other resource for itself.
 */
#ifndef VC_HOST_RESOURCE_FAULT_H
#define VC_HOST_RESOURCE_FAULT_H

#include "host/resource/fault_settings.h"
#include "host/resource/resource.h"

/* Requests, unless they say otherwise. Written by the worker alone. */
struct fault_counters {
	uint64_t delayed;          /* kept back for a time that was drawn */
	uint64_t errors;           /* by error-rate */
	uint64_t refused;          /* bursts */
	uint64_t sessions_refused; /* times that a session was not realised */
	uint64_t killed;           /* come back undone from a dead resource */
};

/* What the instances have and did. */
struct fault_state {
	struct fault_counters counters;
	unsigned int workers; /* instances, */
	unsigned int active;  /* in so many of which the faults have begun and not ended */
};

bool fault_is(const struct resource *resource);
/* Of a fault: the resource that it wraps. */
const struct resource *fault_inner(const struct resource *resource);
void fault_get(const struct resource *resource, struct fault_settings *settings);
/* The workers go by them from their next round on; all of after, for-ms and seed begin anew. */
void fault_set(struct resource *resource, const struct fault_settings *settings);
void fault_look(struct resource *resource, struct fault_state *state);

#endif
