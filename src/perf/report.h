/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vcrypto-perf says: a table for people, or a list of objects.
 */
#ifndef VC_PERF_REPORT_H
#define VC_PERF_REPORT_H

#include "perf/crossing.h"
#include "perf/run.h"
#include "perf/sessions.h"

struct report {
	bool json;
	unsigned int queues;
	unsigned int lines; /* so far */
};

/* device: of one of several, its socket; NULL: of all. */
void report_run(struct report *report, const struct run_load *load, const char *device,
                const struct run_result *result);
void report_sessions(struct report *report, const struct workload *workload, unsigned int depth,
                     const struct sessions_result *result);
void report_crossing(struct report *report, int writer, int reader,
                     const struct crossing_result *result);
void report_end(const struct report *report);

/* Sentences about what went wrong; true: nothing did. */
bool report_failures(const struct run_load *load, const char *device,
                     const struct run_result *result);

#endif
