/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See arguments.h. Main thread.
 */
#include "perf/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define MAX_SIZE (64ul << 20)
#define MAX_CPU 1023

static const char usage_text[] =
	"Usage: vcrypto-perf --socket PATH --algo NAME[,NAME] [OPTION]...\n"
	"Load a virtio-crypto device and measure it; a sample of the results is compared with\n"
	"libcrypto's.\n"
	"\n"
	"  --socket PATH      vhost-user socket of the device (default: vcrypto.sock in\n"
	"                     $VCRYPTO_RUNTIME_DIR or /run/vcrypto); given again: the threads\n"
	"                     load all of these devices in turn. ,algo=NAME ,size=BYTES\n"
	"                     ,depth=N behind the path: of this device; ,rate=N: so many\n"
	"                     operations a second, evenly, in each queue; 0: it is idle\n"
	"  --pci ADDRESS      the device at this address of the PCI bus (0000:00:04.0), in the\n"
	"                     virtual machine whose device it is, in place of a socket\n"
	"  --algo NAME,...    what to do; \"list\" shows the names\n"
	"  --size BYTES,...   bytes of one operation (default 16384; not for rsa)\n"
	"  --depth N          operations in flight in each queue (default 256)\n"
	"  --burst N          operations in one submit at most (default 32)\n"
	"  --seconds S        time for each measurement (default 2)\n"
	"  --queues N         data queues, with a thread for each (default 1)\n"
	"  --cpu N            run the first thread on CPU N, the next on N+1, ...\n"
	"  --in-place         results go where the input was\n"
	"  --sleep            sleep until something is done; default is to poll\n"
	"  --verify           compare every result, not 1 in 1024\n"
	"  --sessions         measure sessions made and destroyed, not operations\n"
	"  --session-via WAY  how sessions are made: ctrlq (default), inband, QEMU's\n"
	"                     message in its layouts, msg70, msg71, msg81, or not at all:\n"
	"                     stateless\n"
	"  --ring KIND        kind of the rings: auto (default), split or packed\n"
	"  --timeline FILE    write how many were done in each millisecond (one algorithm, one\n"
	"                     size)\n"
	"  --latencies FILE   write how many operations of each device took how long (the same)\n"
	"  --ceiling          no device: how fast this program itself could be\n"
	"  --crossing CPU,CPU,...\n"
	"                     no device, no --algo: how long a cache line takes from the first\n"
	"                     of these CPUs to each of the others\n"
	"  --each             a line for each device, not for all of them together\n"
	"  --json             print a list of objects\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 good, 1 the device failed or a result was wrong, 2 bad options.\n";

enum option_id {
	OPTION_SOCKET = 256,
	OPTION_PCI,
	OPTION_ALGO,
	OPTION_SIZE,
	OPTION_DEPTH,
	OPTION_BURST,
	OPTION_SECONDS,
	OPTION_QUEUES,
	OPTION_CPU,
	OPTION_IN_PLACE,
	OPTION_SLEEP,
	OPTION_VERIFY,
	OPTION_SESSIONS,
	OPTION_SESSION_VIA,
	OPTION_RING,
	OPTION_TIMELINE,
	OPTION_LATENCIES,
	OPTION_CEILING,
	OPTION_CROSSING,
	OPTION_EACH,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option options[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"pci", required_argument, NULL, OPTION_PCI},
	{"algo", required_argument, NULL, OPTION_ALGO},
	{"size", required_argument, NULL, OPTION_SIZE},
	{"depth", required_argument, NULL, OPTION_DEPTH},
	{"burst", required_argument, NULL, OPTION_BURST},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"queues", required_argument, NULL, OPTION_QUEUES},
	{"cpu", required_argument, NULL, OPTION_CPU},
	{"in-place", no_argument, NULL, OPTION_IN_PLACE},
	{"sleep", no_argument, NULL, OPTION_SLEEP},
	{"verify", no_argument, NULL, OPTION_VERIFY},
	{"sessions", no_argument, NULL, OPTION_SESSIONS},
	{"session-via", required_argument, NULL, OPTION_SESSION_VIA},
	{"ring", required_argument, NULL, OPTION_RING},
	{"timeline", required_argument, NULL, OPTION_TIMELINE},
	{"latencies", required_argument, NULL, OPTION_LATENCIES},
	{"ceiling", no_argument, NULL, OPTION_CEILING},
	{"crossing", required_argument, NULL, OPTION_CROSSING},
	{"each", no_argument, NULL, OPTION_EACH},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static _Noreturn void usage_error(const char *sentence)
{
	fprintf(stderr, "vcrypto-perf: %s\n", sentence);
	exit(EXIT_USAGE);
}

/* A whole number within limits, or the end of the program. */
static unsigned long number(const char *option, const char *text, unsigned long least,
                            unsigned long most)
{
	char *end;

	errno = 0;
	unsigned long value = strtoul(text, &end, 10);

	if (errno || end == text || *end || text[0] == '-' || value < least || value > most) {
		fprintf(stderr, "vcrypto-perf: %s: \"%s\" is not a number from %lu to %lu\n",
		        option, text, least, most);
		exit(EXIT_USAGE);
	}
	return value;
}

static double seconds(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value > 0 && value <= 3600)) {
		fprintf(stderr, "vcrypto-perf: --seconds: \"%s\" is not a time up to 3600\n", text);
		exit(EXIT_USAGE);
	}
	return value;
}

/* Calls fn for each piece of a list with commas; cuts the text up. */
static void list(struct arguments *a, const char *option, char *text,
                 void (*fn)(struct arguments *a, char *piece))
{
	char *save = NULL;
	unsigned int n = 0;

	for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		if (n++ == MAX_LIST) {
			fprintf(stderr, "vcrypto-perf: %s: more than %d\n", option, MAX_LIST);
			exit(EXIT_USAGE);
		}
		fn(a, p);
	}
	if (!n) {
		fprintf(stderr, "vcrypto-perf: %s: nothing given\n", option);
		exit(EXIT_USAGE);
	}
}

static void add_algo(struct arguments *a, char *piece)
{
	a->algos[a->algo_count++] = piece;
}

static void add_size(struct arguments *a, char *piece)
{
	a->sizes[a->size_count++] = (uint32_t)number("--size", piece, 1, MAX_SIZE);
}

static void add_crossing(struct arguments *a, char *piece)
{
	int cpu = (int)number("--crossing", piece, 0, MAX_CPU);

	/* On one CPU the two would wait for each other's turn. */
	if (a->crossing_count && cpu == a->crossing[0])
		usage_error("--crossing: a line does not cross from a CPU to itself");
	a->crossing[a->crossing_count++] = cpu;
}

static enum vcrypto_session_way way(const char *name)
{
	static const char *const names[] = {
		[VCRYPTO_SESSIONS_CONTROL_QUEUE] = "ctrlq",
		[VCRYPTO_SESSIONS_IN_BAND] = "inband",
		[VCRYPTO_SESSIONS_MESSAGE_70] = "msg70",
		[VCRYPTO_SESSIONS_MESSAGE_71] = "msg71",
		[VCRYPTO_SESSIONS_MESSAGE_81] = "msg81",
		[VCRYPTO_SESSIONS_STATELESS] = "stateless",
	};

	for (size_t i = 1; i < vc_array_size(names); i++)
		if (!strcmp(name, names[i]))
			return (enum vcrypto_session_way)i;
	fprintf(stderr,
	        "vcrypto-perf: --session-via: \"%s\" is not ctrlq, inband, msg70, msg71, "
	        "msg81 or stateless\n",
	        name);
	exit(EXIT_USAGE);
}

static enum vcrypto_ring ring(const char *name)
{
	static const char *const names[] = {[VCRYPTO_RING_AUTO] = "auto",
	                                    [VCRYPTO_RING_SPLIT] = "split",
	                                    [VCRYPTO_RING_PACKED] = "packed"};

	for (size_t i = 0; i < vc_array_size(names); i++)
		if (!strcmp(name, names[i]))
			return (enum vcrypto_ring)i;
	fprintf(stderr, "vcrypto-perf: --ring: \"%s\" is not auto, split or packed\n", name);
	exit(EXIT_USAGE);
}

/* Before all that takes time: it is found out at once if it cannot be written. */
static FILE *file(const char *path)
{
	FILE *f = fopen(path, "we");

	if (f)
		return f;
	fprintf(stderr, "vcrypto-perf: %s: cannot write it: %s\n", path, strerror(errno));
	exit(EXIT_USAGE);
}

/* PATH[,KEY=VALUE]...; cuts the text up. */
static void target_take(struct target *target, char *text)
{
	char *save = NULL, *piece;

	*target = (struct target){.socket = strtok_r(text, ",", &save)};
	while ((piece = strtok_r(NULL, ",", &save))) {
		if (!strncmp(piece, "algo=", 5)) {
			target->algo = piece + 5;
		} else if (!strncmp(piece, "size=", 5)) {
			target->size = (uint32_t)number("--socket: size", piece + 5, 1, MAX_SIZE);
		} else if (!strncmp(piece, "depth=", 6)) {
			target->depth =
				(unsigned int)number("--socket: depth", piece + 6, 1, 16384);
		} else if (!strncmp(piece, "rate=", 5)) {
			target->rate =
				(unsigned int)number("--socket: rate", piece + 5, 0, 10000000);
			target->paced = true;
		} else {
			fprintf(stderr,
			        "vcrypto-perf: --socket: \"%s\" is not algo=, size=, depth= or "
			        "rate=\n",
			        piece);
			exit(EXIT_USAGE);
		}
	}
	if (!target->socket)
		usage_error("--socket: nothing given");
}

static void option_take(struct arguments *a, int option, char *value)
{
	switch (option) {
	case OPTION_SOCKET:
		if (a->target_count == MAX_DEVICES)
			usage_error("--socket: more than 64");
		target_take(&a->targets[a->target_count++], value);
		break;
	case OPTION_PCI:
		a->pci = value;
		break;
	case OPTION_ALGO:
		a->algo_count = 0;
		list(a, "--algo", value, add_algo);
		break;
	case OPTION_SIZE:
		a->size_count = 0;
		list(a, "--size", value, add_size);
		break;
	case OPTION_DEPTH:
		a->depth = (unsigned int)number("--depth", value, 1, 16384);
		break;
	case OPTION_BURST:
		a->run.burst = (unsigned int)number("--burst", value, 1, 16384);
		break;
	case OPTION_SECONDS:
		a->run.seconds = seconds(value);
		break;
	case OPTION_QUEUES:
		a->queues = (unsigned int)number("--queues", value, 1, 64);
		break;
	case OPTION_CPU:
		a->run.cpu = (int)number("--cpu", value, 0, MAX_CPU);
		break;
	case OPTION_IN_PLACE:
		a->run.in_place = true;
		break;
	case OPTION_SLEEP:
		a->run.sleep = true;
		break;
	case OPTION_VERIFY:
		a->run.verify = VERIFY_ALL;
		break;
	case OPTION_SESSIONS:
		a->sessions = true;
		break;
	case OPTION_SESSION_VIA:
		a->way = way(value);
		break;
	case OPTION_RING:
		a->ring = ring(value);
		break;
	case OPTION_TIMELINE:
		a->run.timeline = file(value);
		break;
	case OPTION_LATENCIES:
		a->run.latencies = file(value);
		break;
	case OPTION_CEILING:
		a->ceiling = true;
		break;
	case OPTION_CROSSING:
		a->crossing_count = 0;
		list(a, "--crossing", value, add_crossing);
		if (a->crossing_count < 2)
			usage_error("--crossing: two CPUs at least, such as 0,1");
		break;
	case OPTION_EACH:
		a->each = true;
		break;
	case OPTION_JSON:
		a->report.json = true;
		break;
	case OPTION_HELP:
		fputs(usage_text, stdout);
		exit(EXIT_SUCCESS);
	case OPTION_VERSION:
		printf("vcrypto-perf %s\n", vcrypto_version());
		exit(EXIT_SUCCESS);
	default:
		fputs("Try \"vcrypto-perf --help\".\n", stderr);
		exit(EXIT_USAGE);
	}
}

void arguments_parse(struct arguments *a, int argc, char **argv)
{
	static char default_socket[108];
	int option;

	*a = (struct arguments){
		.sizes = {16384},
		.size_count = 1,
		.queues = 1,
		.depth = 256,
		.run = {.burst = 32, .seconds = 2, .cpu = -1},
	};
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		option_take(a, option, optarg);
	if (optind < argc) {
		fprintf(stderr, "vcrypto-perf: \"%s\" is not an option\n", argv[optind]);
		exit(EXIT_USAGE);
	}
	/* Nothing is computed, so there is nothing to compare. */
	if (a->ceiling)
		a->run.verify = VERIFY_NONE;
	a->report.queues = a->queues;
	if (a->crossing_count) {
		if (a->algo_count || a->target_count || a->pci || a->sessions || a->ceiling)
			usage_error("--crossing takes no --algo and no device");
		return;
	}
	if (!a->algo_count) {
		fputs("vcrypto-perf: no --algo given (\"--algo list\" shows the names)\n", stderr);
		exit(EXIT_USAGE);
	}
	if (a->target_count > 1 && (a->run.sleep || a->sessions || a->ceiling))
		usage_error("several --socket do not go with --sleep, --sessions or --ceiling");
	if ((a->run.timeline || a->run.latencies) &&
	    (a->algo_count > 1 || a->size_count > 1 || a->sessions))
		usage_error("--timeline and --latencies are for one algorithm and one size");
	if (a->pci && (a->target_count || a->ceiling))
		usage_error("--pci does not go with --socket or --ceiling");
	if (a->pci) {
		a->targets[a->target_count++] = (struct target){0};
	} else if (!a->target_count) {
		if (runtime_path("vcrypto.sock", default_socket, sizeof(default_socket))) {
			fputs("vcrypto-perf: the runtime directory's name is too long\n", stderr);
			exit(EXIT_USAGE);
		}
		a->targets[a->target_count++] = (struct target){.socket = default_socket};
	}
}
