/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcrypto-perf: load generator and latency meter for a virtio-crypto device. Options in, a table or
 * JSON out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/arguments.h"
#include "perf/ceiling.h"
#include "perf/crossing.h"
#include "perf/interrupt.h"
#include "perf/report.h"
#include "perf/sessions.h"

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

static bool measure_crossing(struct arguments *a)
{
	struct crossing_result result;
	int error = 0;

	for (unsigned int i = 1; i < a->crossing_count && !error && !interrupted(); i++) {
		error = crossing_run(a->crossing[0], a->crossing[i], a->run.seconds, &result);
		if (error)
			fprintf(stderr, "vcrypto-perf: --crossing: CPU %d: %s\n", result.cpu,
			        error == -EINVAL ? "not one that this program may run on"
			                         : strerror(-error));
		else
			report_crossing(&a->report, a->crossing[0], a->crossing[i], &result);
	}
	return !error;
}

int main(int argc, char **argv)
{
	struct arguments a;
	struct workload w;
	bool good = true;

	arguments_parse(&a, argc, argv);
	if (a.crossing_count) {
		good = measure_crossing(&a);
		report_end(&a.report);
		return good ? EXIT_SUCCESS : EXIT_FAILURE;
	}
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
