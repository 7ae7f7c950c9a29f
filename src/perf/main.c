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
#include "perf/run.h"

#define MAX_LIST 32
#define EXIT_USAGE 2

struct arguments {
	const char *socket;
	char *algos[MAX_LIST];
	unsigned int algo_count;
	uint32_t sizes[MAX_LIST];
	unsigned int size_count;
	unsigned int queues;
	bool json;
	struct run_options run;
};

static const char usage_text[] =
	"Usage: vcrypto-perf --socket PATH --algo NAME[,NAME] [OPTION]...\n"
	"Load a virtio-crypto device and measure it; a sample of the results is compared with\n"
	"libcrypto's.\n"
	"\n"
	"  --socket PATH      vhost-user socket of the device (default: vcrypto.sock in\n"
	"                     $VCRYPTO_RUNTIME_DIR or /run/vcrypto)\n"
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
	"  --json             print a list of objects\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 good, 1 the device failed or a result was wrong, 2 bad options.\n";

enum option_id {
	OPTION_SOCKET = 256,
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
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option options[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
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
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

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
	a->sizes[a->size_count++] = (uint32_t)number("--size", piece, 1, 64u << 20);
}

static void option_take(struct arguments *a, int option, char *value)
{
	switch (option) {
	case OPTION_SOCKET:
		a->socket = value;
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
		a->run.depth = (unsigned int)number("--depth", value, 1, 16384);
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
		a->run.verify_all = true;
		break;
	case OPTION_JSON:
		a->json = true;
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
		.run = {.depth = 256, .burst = 32, .seconds = 2, .cpu = -1},
	};
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		option_take(a, option, optarg);
	if (optind < argc) {
		fprintf(stderr, "vcrypto-perf: \"%s\" is not an option\n", argv[optind]);
		exit(EXIT_USAGE);
	}
	if (!a->algo_count) {
		fputs("vcrypto-perf: no --algo given (\"--algo list\" shows the names)\n", stderr);
		exit(EXIT_USAGE);
	}
	if (!a->socket) {
		if (runtime_path("vcrypto.sock", default_socket, sizeof(default_socket))) {
			fputs("vcrypto-perf: the runtime directory's name is too long\n", stderr);
			exit(EXIT_USAGE);
		}
		a->socket = default_socket;
	}
}

static void print_names(void)
{
	for (const char *p = workload_names(); *p; p++)
		putchar(*p == ' ' ? '\n' : *p);
	putchar('\n');
}

static void print_result(const struct arguments *a, const struct workload *w, uint32_t size,
                         const struct run_result *r, bool first)
{
	unsigned long long verified = r->verified, bad = r->errors + r->mismatches;

	if (a->json) {
		printf("%s\n  {\"algo\": \"%s\", \"size\": %u, \"depth\": %u, \"queues\": %u, "
		       "\"ops_per_s\": %.1f, \"gbit_per_s\": %.4f, \"p50_us\": %.2f, "
		       "\"p99_us\": %.2f, \"kicks_per_op\": %.6f, \"calls_per_op\": %.6f, "
		       "\"verified\": %llu, \"errors\": %llu}",
		       first ? "[" : ",", w->name, size, a->run.depth, a->queues, r->ops_per_s,
		       r->gbit_per_s, r->p50_us, r->p99_us, r->kicks_per_op, r->calls_per_op,
		       verified, bad);
		return;
	}
	if (first)
		printf("%-24s %8s %6s %6s %12s %9s %9s %9s %9s %9s %9s %7s\n", "algorithm", "bytes",
		       "depth", "queues", "ops/s", "Gbit/s", "p50 us", "p99 us", "kicks/op",
		       "calls/op", "verified", "errors");
	printf("%-24s %8u %6u %6u %12.0f %9.3f %9.1f %9.1f %9.5f %9.5f %9llu %7llu\n", w->name,
	       size, a->run.depth, a->queues, r->ops_per_s, r->gbit_per_s, r->p50_us, r->p99_us,
	       r->kicks_per_op, r->calls_per_op, verified, bad);
	fflush(stdout);
}

static bool report_failures(const struct workload *w, uint32_t size, const struct run_result *r)
{
	if (r->errors)
		fprintf(stderr,
		        "vcrypto-perf: %s, %u bytes: %llu operations failed, first with: %s\n",
		        w->name, size, (unsigned long long)r->errors, strerror(-r->first_error));
	if (r->mismatches)
		fprintf(stderr,
		        "vcrypto-perf: %s, %u bytes: %llu results differ from libcrypto's\n",
		        w->name, size, (unsigned long long)r->mismatches);
	if (!r->operations)
		fprintf(stderr, "vcrypto-perf: %s, %u bytes: nothing was done in that time\n",
		        w->name, size);
	return !r->errors && !r->mismatches && r->operations;
}

/* One line of the table; the device is opened for it, so that its counters begin at 0. */
static bool measure(struct arguments *a, const struct workload *w, uint32_t size, bool first)
{
	struct vcrypto_device_options device_options = {
		.socket = a->socket,
		.queues = a->queues,
		.depth = 2,
		.memory = run_memory(w, size, a->run.depth) * a->queues + (1u << 20)};
	struct vcrypto_device *device;
	struct run_result result;
	const char *reason;
	char *text;
	bool good;
	int error;

	while (device_options.depth < a->run.depth)
		device_options.depth *= 2;
	a->run.size = size;
	error = vcrypto_device_open(&device_options, &device, &text);
	if (error) {
		fprintf(stderr, "vcrypto-perf: cannot open the device: %s\n",
		        text ? text : strerror(-error));
		free(text);
		return false;
	}
	if (vcrypto_device_queues(device) < a->queues) {
		fprintf(stderr, "vcrypto-perf: the device has %u data queues only\n",
		        vcrypto_device_queues(device));
		vcrypto_device_close(device);
		return false;
	}
	error = run(device, w, &a->run, &result, &reason);
	if (error)
		fprintf(stderr, "vcrypto-perf: %s, %u bytes: %s\n", w->name, size, reason);
	else
		print_result(a, w, size, &result, first);
	good = !error && report_failures(w, size, &result);
	vcrypto_device_close(device);
	return good;
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

int main(int argc, char **argv)
{
	struct arguments a;
	struct workload w;
	bool good = true, first = true;

	arguments_parse(&a, argc, argv);
	if (a.algo_count == 1 && !strcmp(a.algos[0], "list")) {
		print_names();
		return EXIT_SUCCESS;
	}
	/* Wrong names are told before the first of them takes its time. */
	for (unsigned int i = 0; i < a.algo_count; i++) {
		if (strncmp(a.algos[i], "rsa", 3)) {
			workload_make(&a, &w, a.algos[i]);
			workload_fini(&w);
		}
	}
	for (unsigned int i = 0; i < a.algo_count && good; i++) {
		workload_make(&a, &w, a.algos[i]);
		unsigned int sizes = w.kind == WORKLOAD_RSA ? 1 : a.size_count;

		for (unsigned int k = 0; k < sizes && good; k++, first = false)
			good = measure(&a, &w, w.kind == WORKLOAD_RSA ? w.bits / 8 : a.sizes[k],
			               first);
		workload_fini(&w);
	}
	if (a.json && !first)
		printf("\n]\n");
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
