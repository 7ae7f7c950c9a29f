/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cache line costs that has to come from another CPU, which has written it: the floor of
 * every ring between two CPUs, and so how far from each other they are. That differs with the
 * caches that they share, and for a virtual machine's CPUs it changes while it runs.
 */
#ifndef VC_PERF_CROSSING_H
#define VC_PERF_CROSSING_H

/* Nanoseconds a line, of windows of some milliseconds. */
struct crossing_time {
	double median;
	double least;
	double most;
};

struct crossing_result {
	struct crossing_time wait;     /* one after the other: the latency */
	struct crossing_time together; /* as many under way as the CPU can have */
	struct crossing_time write;    /* to have it for writing */
	int cpu;                       /* after an error: the one that cannot be used */
};

/*
 * writer, reader: two CPUs. Pins the calling thread to the reader. 0, or -errno: this program may
 * not run on one of them (-EINVAL), or there is no memory or thread. SIGINT and SIGTERM end it
 * before its time. Main thread; one at a time.
 */
int crossing_run(int writer, int reader, double seconds, struct crossing_result *result);

#endif
