/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vcrypto-perf says: a table for people, or a list of objects.
 */
#ifndef VC_PERF_REPORT_H
#define VC_PERF_REPORT_H

#include "perf/run.h"
#include "perf/sessions.h"

struct report {
	bool json;
	unsigned int depth, queues;
	unsigned int lines; /* so far */
};

void report_run(struct report *report, const struct workload *workload, uint32_t size,
                const struct run_result *result);
void report_sessions(struct report *report, const struct workload *workload,
                     const struct sessions_result *result);
void report_end(const struct report *report);

/* Sentences about what went wrong; true: nothing did. */
bool report_failures(const struct workload *workload, uint32_t size,
                     const struct run_result *result);

#endif
