/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits and weight of a device by their names: as host.yaml has them, and as they are set at run
 * time. Main thread.
 */
#ifndef VC_HOST_DEVICE_LIMITS_H
#define VC_HOST_DEVICE_LIMITS_H

#include "host/device.h"

/* In the order in which they are shown. */
struct limit_field {
	const char *name;  /* "inflight-bytes" */
	bool size;         /* bytes: "64MiB" */
	bool optional;     /* "none" takes it away */
	bool running;      /* may be changed while the daemon runs */
	uint8_t at, width; /* where it is in struct device_limits, and bytes of it there */
	uint64_t least, most;
};
extern const struct limit_field limit_fields[]; /* ended by a NULL name */

/* NULL: no such field. */
const struct limit_field *limit_field_find(const char *name);
uint64_t limit_get(const struct device_limits *limits, const struct limit_field *field);

/* What is wrong with a value of the field, as a sentence (to be freed); NULL: nothing. */
char *limit_complaint(const struct limit_field *field, uint64_t value);
/* The same of what they are together. */
char *limits_complaint(const struct device_limits *limits);

/* Set one at run time, as a person writes it (NULL: nothing was written). 0; -EINVAL with *error, a
 * sentence (to be freed). */
int limit_set(struct device_limits *limits, const char *name, const char *text, char **error);

#endif
