/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcrypto-perf's command line.
 */
#ifndef VC_PERF_ARGUMENTS_H
#define VC_PERF_ARGUMENTS_H

#include <vcrypto/vcrypto.h>

#include "perf/report.h"

#define MAX_LIST 64
#define MAX_DEVICES 64

/* A socket, and what its device does that others do not. */
struct target {
	const char *socket; /* NULL: PCI */
	const char *algo;   /* NULL, 0: as all */
	uint32_t size;
	unsigned int depth;
	bool paced;
	unsigned int rate;
};

struct arguments {
	struct target targets[MAX_DEVICES];
	unsigned int target_count;
	const char *pci;
	char *algos[MAX_LIST];
	unsigned int algo_count;
	uint32_t sizes[MAX_LIST];
	unsigned int size_count;
	unsigned int queues;
	bool sessions;
	bool ceiling;
	int crossing[MAX_LIST]; /* the CPU that writes, those that read; or none */
	unsigned int crossing_count;
	enum vcrypto_session_way way;
	enum vcrypto_ring ring;
	unsigned int depth;
	bool each;
	struct report report;
	struct run_options run;
};

/* A device is there in targets at least, unless CPUs are in crossing. What is wrong ends the
 * program with a sentence and EXIT_USAGE, --help and --version with EXIT_SUCCESS. The result points
 * into argv, which is cut up. */
#define EXIT_USAGE 2
void arguments_parse(struct arguments *arguments, int argc, char **argv);

#endif
