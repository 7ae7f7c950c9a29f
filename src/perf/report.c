/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See report.h. Main thread.
 */
#include "perf/report.h"

#include <stdio.h>
#include <string.h>

void report_run(struct report *report, const struct run_load *load, const char *device,
                const struct run_result *r)
{
	const struct workload *w = load->workload;
	unsigned long long verified = r->verified, bad = r->errors + r->mismatches;
	bool first = !report->lines++;

	if (report->json) {
		printf("%s\n  {", first ? "[" : ",");
		if (device)
			printf("\"device\": \"%s\", ", device);
		printf("\"algo\": \"%s\", \"size\": %u, \"depth\": %u, \"queues\": %u, "
		       "\"ops_per_s\": %.1f, \"gbit_per_s\": %.4f, \"p50_us\": %.2f, "
		       "\"p99_us\": %.2f, \"kicks_per_op\": %.6f, \"calls_per_op\": %.6f, "
		       "\"verified\": %llu, \"errors\": %llu}",
		       w->name, load->size, load->depth, report->queues, r->ops_per_s,
		       r->gbit_per_s, r->p50_us, r->p99_us, r->kicks_per_op, r->calls_per_op,
		       verified, bad);
		return;
	}
	if (first)
		printf("%-24s %8s %6s %6s %12s %9s %9s %9s %9s %9s %9s %7s\n", "algorithm", "bytes",
		       "depth", "queues", "ops/s", "Gbit/s", "p50 us", "p99 us", "kicks/op",
		       "calls/op", "verified", "errors");
	printf("%-24s %8u %6u %6u %12.0f %9.3f %9.1f %9.1f %9.5f %9.5f %9llu %7llu\n", w->name,
	       load->size, load->depth, report->queues, r->ops_per_s, r->gbit_per_s, r->p50_us,
	       r->p99_us, r->kicks_per_op, r->calls_per_op, verified, bad);
	if (device)
		printf("  %s\n", device);
	fflush(stdout);
}

void report_sessions(struct report *report, const struct workload *w, unsigned int depth,
                     const struct sessions_result *r)
{
	bool first = !report->lines++;

	if (report->json) {
		printf("%s\n  {\"algo\": \"%s\", \"depth\": %u, \"sessions_per_s\": %.1f, "
		       "\"sessions\": %llu}",
		       first ? "[" : ",", w->name, depth, r->per_s, (unsigned long long)r->count);
		return;
	}
	if (first)
		printf("%-24s %6s %12s\n", "algorithm", "depth", "sessions/s");
	printf("%-24s %6u %12.0f\n", w->name, depth, r->per_s);
	fflush(stdout);
}

void report_crossing(struct report *report, int writer, int reader, const struct crossing_result *r)
{
	bool first = !report->lines++;

	if (report->json) {
		printf("%s\n  {\"writer_cpu\": %d, \"reader_cpu\": %d, \"wait_ns\": %.2f, "
		       "\"wait_least_ns\": %.2f, \"wait_most_ns\": %.2f, \"together_ns\": %.2f, "
		       "\"write_ns\": %.2f}",
		       first ? "[" : ",", writer, reader, r->wait.median, r->wait.least,
		       r->wait.most, r->together.median, r->write.median);
		return;
	}
	if (first)
		printf("%6s %6s %9s %9s %9s %11s %9s\n", "writer", "reader", "wait ns", "least",
		       "most", "together ns", "write ns");
	printf("%6d %6d %9.1f %9.1f %9.1f %11.1f %9.1f\n", writer, reader, r->wait.median,
	       r->wait.least, r->wait.most, r->together.median, r->write.median);
	fflush(stdout);
}

void report_end(const struct report *report)
{
	if (report->json && report->lines)
		printf("\n]\n");
}

bool report_failures(const struct run_load *load, const char *device, const struct run_result *r)
{
	const struct workload *w = load->workload;
	/* One that is to do nothing. */
	bool idle = device && load->paced && !load->rate;
	uint32_t size = load->size;

	if (r->errors)
		fprintf(stderr,
		        "vcrypto-perf: %s, %u bytes: %llu operations failed, first with: %s\n",
		        w->name, size, (unsigned long long)r->errors, strerror(-r->first_error));
	if (r->mismatches)
		fprintf(stderr,
		        "vcrypto-perf: %s, %u bytes: %llu results differ from libcrypto's\n",
		        w->name, size, (unsigned long long)r->mismatches);
	if (!r->operations && !idle)
		fprintf(stderr, "vcrypto-perf: %s, %u bytes: nothing was done in that time\n",
		        w->name, size);
	return !r->errors && !r->mismatches && (r->operations || idle);
}
