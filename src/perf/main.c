/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcrypto-perf: load generator and latency meter for a virtio-crypto device. Options in, a table or
 * JSON out.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "perf/ceiling.h"
#include "perf/interrupt.h"
#include "perf/report.h"
#include "perf/sessions.h"

#define MAX_LIST 64
#define MAX_DEVICES 64
#define MAX_SIZE (64ul << 20)
#define EXIT_USAGE 2

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
	enum vcrypto_session_way way;
	enum vcrypto_ring ring;
	unsigned int depth;
	bool each;
	struct report report;
	struct run_options run;
};

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
		a->run.cpu = (int)number("--cpu", value, 0, 1023);
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

static void arguments_parse(struct arguments *a, int argc, char **argv)
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

static void print_names(void)
{
	for (const char *p = workload_names(); *p; p++)
		putchar(*p == ' ' ? '\n' : *p);
	putchar('\n');
}

static void workload_make(const struct arguments *a, struct workload *w, const char *name)
{
	int error = workload_init(w, name);

	if (error == -EINVAL) {
		fprintf(stderr,
		        "vcrypto-perf: no algorithm \"%s\"; \"--algo list\" shows the names\n",
		        name);
		exit(EXIT_USAGE);
	}
	if (error) {
		fprintf(stderr, "vcrypto-perf: libcrypto cannot do %s\n", name);
		exit(EXIT_FAILURE);
	}
	/* Its input would be gone after the first time. */
	if (a->run.in_place && w->kind == WORKLOAD_AEAD && w->decrypt) {
		fprintf(stderr, "vcrypto-perf: --in-place is not for %s\n", name);
		exit(EXIT_USAGE);
	}
	if (a->run.in_place && w->kind == WORKLOAD_RSA) {
		fprintf(stderr, "vcrypto-perf: --in-place is not for %s\n", name);
		exit(EXIT_USAGE);
	}
}

static struct vcrypto_device *device_open(const struct arguments *a, const char *socket,
                                          unsigned int depth, size_t memory)
{
	struct vcrypto_device_options device_options = {.socket = socket,
	                                                .pci = socket ? NULL : a->pci,
	                                                .queues = a->queues,
	                                                .depth = 2,
	                                                .memory = memory + (1u << 20),
	                                                .sessions = a->way,
	                                                .ring = a->ring};
	struct vcrypto_device *device;
	char *text = NULL;
	int error;

	while (device_options.depth < depth)
		device_options.depth *= 2;
	error = a->ceiling ? ceiling_open(&device_options, &device, &text)
	                   : vcrypto_device_open(&device_options, &device, &text);
	if (error) {
		fprintf(stderr, "vcrypto-perf: cannot open the device %s: %s\n",
		        socket ? socket : a->pci, text ? text : strerror(-error));
		free(text);
		return NULL;
	}
	if (vcrypto_device_queues(device) < a->queues) {
		fprintf(stderr, "vcrypto-perf: the device has %u data queues only\n",
		        vcrypto_device_queues(device));
		vcrypto_device_close(device);
		return NULL;
	}
	return device;
}

/* What a device is to do, where all others do w. False: it cannot be opened. own: a workload of its
 * own, or one without a name. */
static bool load_make(const struct arguments *a, const struct target *target,
                      const struct workload *w, uint32_t size, struct workload *own,
                      struct run_load *load)
{
	size_t memory;

	if (target->algo)
		workload_make(a, own, target->algo);
	*load = (struct run_load){
		.workload = target->algo ? own : w,
		.size = target->size ? target->size : size,
		.depth = target->depth ? target->depth : a->depth,
		.paced = target->paced,
		.rate = target->rate,
	};
	if (load->workload->kind == WORKLOAD_RSA)
		load->size = load->workload->bits / 8;
	memory = run_memory(load->workload, load->size, load->depth) * a->queues;
	load->device = device_open(a, target->socket, load->depth, memory);
	return load->device != NULL;
}

/* The lines of one measurement. True: nothing went wrong. */
static bool report_all(struct arguments *a, const struct run_load *loads, unsigned int n,
                       const struct run_result *all, const struct run_result *each)
{
	bool good = true;

	if (!a->each) {
		report_run(&a->report, &loads[0], NULL, all);
		return report_failures(&loads[0], NULL, all);
	}
	for (unsigned int i = 0; i < n; i++) {
		report_run(&a->report, &loads[i], a->targets[i].socket, &each[i]);
		good &= report_failures(&loads[i], a->targets[i].socket, &each[i]);
	}
	return good;
}

/* One line of the table, or one for each device; devices are opened for it, so that their counters
 * begin at 0. */
static bool measure(struct arguments *a, const struct workload *w, uint32_t size)
{
	static struct workload own[MAX_DEVICES];
	struct run_load loads[MAX_DEVICES];
	struct run_result result, each[MAX_DEVICES];
	const char *reason;
	unsigned int n = 0;
	bool good = false;
	int error;

	memset(loads, 0, sizeof(loads));
	memset(own, 0, sizeof(own));
	for (; n < a->target_count; n++)
		if (!load_make(a, &a->targets[n], w, size, &own[n], &loads[n]))
			goto out;
	error = run(loads, n, &a->run, &result, each, &reason);
	if (error)
		fprintf(stderr, "vcrypto-perf: %s, %u bytes: %s\n", w->name, size, reason);
	else
		good = report_all(a, loads, n, &result, each);
out:
	for (unsigned int i = 0; i <= n && i < MAX_DEVICES; i++) {
		if (loads[i].device)
			vcrypto_device_close(loads[i].device);
		if (own[i].name[0])
			workload_fini(&own[i]);
	}
	return good;
}

static bool measure_sessions(struct arguments *a, const struct workload *w)
{
	struct vcrypto_device *device = device_open(a, a->targets[0].socket, a->depth, 0);
	struct sessions_result result;
	int error;

	if (!device)
		return false;
	error = sessions_run(device, &w->params, a->depth, a->run.seconds, a->run.cpu, &result);
	if (error)
		fprintf(stderr, "vcrypto-perf: sessions of %s: %s\n", w->name, strerror(-error));
	else
		report_sessions(&a->report, w, a->depth, &result);
	vcrypto_device_close(device);
	return !error;
}

static bool measure_sizes(struct arguments *a, const struct workload *w)
{
	bool good = true;

	if (w->kind == WORKLOAD_RSA)
		return measure(a, w, w->bits / 8);
	for (unsigned int i = 0; i < a->size_count && good && !interrupted(); i++)
		good = measure(a, w, a->sizes[i]);
	return good;
}

int main(int argc, char **argv)
{
	struct arguments a;
	struct workload w;
	bool good = true;

	arguments_parse(&a, argc, argv);
	if (a.algo_count == 1 && !strcmp(a.algos[0], "list")) {
		print_names();
		return EXIT_SUCCESS;
	}
	/* Wrong names are told before the first of them takes its time. */
	for (unsigned int i = 0; i < a.target_count; i++) {
		if (a.targets[i].algo && strncmp(a.targets[i].algo, "rsa", 3)) {
			workload_make(&a, &w, a.targets[i].algo);
			workload_fini(&w);
		}
	}
	for (unsigned int i = 0; i < a.algo_count; i++) {
		if (strncmp(a.algos[i], "rsa", 3)) {
			workload_make(&a, &w, a.algos[i]);
			workload_fini(&w);
		}
	}
	for (unsigned int i = 0; i < a.algo_count && good && !interrupted(); i++) {
		workload_make(&a, &w, a.algos[i]);
		good = a.sessions ? measure_sessions(&a, &w) : measure_sizes(&a, &w);
		workload_fini(&w);
	}
	report_end(&a.report);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
