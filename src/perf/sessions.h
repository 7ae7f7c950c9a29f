/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many sessions a device makes and destroys in a second.
 */
#ifndef VC_PERF_SESSIONS_H
#define VC_PERF_SESSIONS_H

#include <vcrypto/vcrypto.h>

struct sessions_result {
	double per_s;
	uint64_t count; /* made, and destroyed again */
};

/* depth: being made at once, at most. cpu: -1 any. 0, -errno: no session, or the device is gone. */
int sessions_run(struct vcrypto_device *device, const struct vcrypto_session_params *params,
                 unsigned int depth, double seconds, int cpu, struct sessions_result *result);

#endif
