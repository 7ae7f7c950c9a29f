/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A measurement: buffers and threads are made, one thread a queue, which with several devices has
 * that queue of each; warm-up, measuring, the end; what came of it.
 */
#include "perf/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "perf/interrupt.h"
#include "perf/runner.h"

#define WARM_UP_SECONDS 0.1
#define LEAST_NS 10000000u /* of a measurement that is interrupted */

static size_t buffer_size(const struct workload *w, uint32_t size)
{
	size_t bytes = w->kind == WORKLOAD_RSA ? WORKLOAD_RSA_MAX : size;

	/* Data, tag and additional data; lines of their own. */
	return vc_round_up(bytes + 64 + 64, 64);
}

size_t run_memory(const struct workload *w, uint32_t size, unsigned int depth)
{
	/* What the allocator may add to each, and to small ones that begin a slab. */
	return (vc_round_up(buffer_size(w, size), 1024) * 2 + 1024) * depth + (64 << 10);
}

static int item_init(struct runner *r, struct item *item, unsigned int i)
{
	const struct workload *w = r->workload;
	size_t bytes = buffer_size(w, r->load->size);
	size_t data = w->kind == WORKLOAD_RSA ? WORKLOAD_RSA_MAX : r->load->size;
	bool in_place = r->options->in_place, sealed = w->kind == WORKLOAD_AEAD && w->decrypt;
	uint8_t *src, *dst;

	for (unsigned int k = 0; k < (in_place ? 1 : 2); k++) {
		item->memory[k] = vcrypto_memory_alloc(r->device, bytes);
		if (!item->memory[k])
			return -ENOMEM;
	}
	src = item->memory[0];
	dst = in_place ? src : item->memory[1];
	item->op = (struct vcrypto_op){
		.session = r->session, .src = src, .dst = dst, .length = r->load->size};
	/* Behind the data, as in a record. */
	item->op.tag = (sealed ? src : dst) + data;
	item->op.aad = src + bytes - 64;
	return workload_prepare(w, &item->op, i);
}

static void runner_fini(struct runner *r)
{
	for (unsigned int i = 0; r->items && i < r->load->depth; i++) {
		struct item *item = &r->items[i];

		vcrypto_memory_free(r->device, item->memory[0]);
		vcrypto_memory_free(r->device, item->memory[1]);
		free(item->copy);
	}
	vcrypto_session_destroy(r->session);
	EVP_CIPHER_CTX_free(r->context);
	free(r->timeline);
	free(r->scratch);
	free(r->ready);
	free(r->items);
}

static int runner_init(struct runner *r)
{
	unsigned int depth = r->load->depth;
	int error = vcrypto_session_create(r->device, &r->workload->params, &r->session);

	if (error)
		return error;
	r->items = calloc(depth, sizeof(*r->items));
	r->ready = calloc(depth, sizeof(struct vcrypto_op *));
	r->scratch = malloc(r->load->size + 64u);
	r->context = EVP_CIPHER_CTX_new();
	if (r->options->timeline)
		r->timeline = timeline_new(WARM_UP_SECONDS + r->options->seconds + 1);
	if (!r->items || !r->ready || !r->scratch || !r->context ||
	    (r->options->timeline && !r->timeline))
		return -ENOMEM;
	for (unsigned int i = 0; i < depth; i++) {
		error = item_init(r, &r->items[i], i);
		if (error)
			return error;
		r->ready[i] = &r->items[i].op;
	}
	r->ready_count = depth;
	r->verify_in = r->options->verify == VERIFY_NONE ? UINT64_MAX : 1;
	return 0;
}

static double bytes_of(const struct run_load *load)
{
	return load->workload->kind == WORKLOAD_RSA ? load->workload->bits / 8.0 : load->size;
}

static void result_add(struct run_result *result, struct histogram *latency, struct runner *r)
{
	struct vcrypto_queue_stats stats;

	/* Empties the eventfd, which has counted the calls. */
	vcrypto_queue_disarm(r->queue);
	vcrypto_queue_stats(r->queue, &stats);
	result->operations += r->measured;
	result->bytes += (double)r->measured * bytes_of(r->load);
	result->completed += r->completed;
	result->verified += r->verified;
	result->errors += r->errors;
	result->mismatches += r->mismatches;
	if (!result->first_error)
		result->first_error = r->first_error;
	result->kicks_per_op += (double)stats.kicks;
	result->calls_per_op += (double)stats.calls;
	histogram_merge(latency, &r->latency);
}

static void result_join(struct run_result *to, const struct run_result *from)
{
	to->operations += from->operations;
	to->bytes += from->bytes;
	to->completed += from->completed;
	to->verified += from->verified;
	to->errors += from->errors;
	to->mismatches += from->mismatches;
	if (!to->first_error)
		to->first_error = from->first_error;
	to->kicks_per_op += from->kicks_per_op;
	to->calls_per_op += from->calls_per_op;
}

/* Or there is nothing to wait for. */
static bool something_measured(struct runner *runners, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (__atomic_load_n(&runners[i].measured, __ATOMIC_RELAXED) ||
		    atomic_load(&runners[i].failed))
			return true;
	return false;
}

/* The first `threads` runners have a thread each, which also has those chained to them. */
static int runners_run(struct runner *runners, unsigned int threads, unsigned int n,
                       atomic_int *phase, const struct run_options *options, double *seconds)
{
	struct interrupt interrupt;
	uint64_t start_ns = 0;
	int error = 0;

	interrupt_begin(&interrupt);
	for (unsigned int i = 0; i < threads && !error; i++) {
		error = -pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]);
		runners[i].started = !error;
	}
	if (!error) {
		interrupt_wait(&interrupt, WARM_UP_SECONDS);
		start_ns = clock_now_ns();
		atomic_store(phase, MEASURE);
		interrupt_wait(&interrupt, options->seconds);
		/* Something at least, however slow the device or busy the machine, and however
		 * early it is interrupted. */
		while ((clock_now_ns() - start_ns < LEAST_NS || !something_measured(runners, n)) &&
		       clock_now_ns() - start_ns < STALL_NS)
			usleep(LEAST_NS / 1000);
	}
	atomic_store(phase, STOP);
	*seconds = (double)(clock_now_ns() - start_ns) / 1e9;
	for (unsigned int i = 0; i < threads; i++) {
		if (runners[i].started)
			pthread_join(runners[i].thread, NULL);
		if (!error)
			error = runners[i].failed;
	}
	interrupt_end(&interrupt);
	return error;
}

/* All runners' into the first one's, and that into the file. */
static int timelines_write(struct runner *runners, unsigned int n, FILE *file)
{
	for (unsigned int i = 1; i < n; i++)
		timeline_merge(runners[0].timeline, runners[i].timeline);
	return timeline_write(runners[0].timeline, file);
}

static void result_finish(struct run_result *result, const struct histogram *latency,
                          double seconds)
{
	double ticks = (double)clock_ticks_per_us();
	double completed = (double)vc_max(result->completed, 1u);

	result->ops_per_s = (double)result->operations / seconds;
	result->gbit_per_s = result->bytes / seconds * 8 / 1e9;
	result->p50_us = histogram_quantile(latency, 0.5) / ticks;
	result->p99_us = histogram_quantile(latency, 0.99) / ticks;
	result->kicks_per_op /= completed;
	result->calls_per_op /= completed;
}

/* What came of all, and of each. */
static int results_make(struct runner *runners, unsigned int count, unsigned int queues,
                        double seconds, FILE *latencies, struct run_result *result,
                        struct run_result *each)
{
	struct histogram *latency = calloc(2, sizeof(*latency));
	int err = 0;

	if (!latency)
		return -ENOMEM;
	for (unsigned int d = 0; d < count; d++) {
		struct run_result of_device = {0};

		memset(&latency[1], 0, sizeof(latency[1]));
		for (unsigned int q = 0; q < queues; q++)
			result_add(&of_device, &latency[1], &runners[d * queues + q]);
		result_join(result, &of_device);
		histogram_merge(&latency[0], &latency[1]);
		result_finish(&of_device, &latency[1], seconds);
		if (each)
			each[d] = of_device;
		if (latencies && !err)
			err = histogram_write(&latency[1], d, (double)clock_ticks_per_us(),
			                      latencies);
	}
	result_finish(result, &latency[0], seconds);
	free(latency);
	return err;
}

/* Queue i / count of device i, with all of them linked that one thread has. */
static int runner_make(struct runner *runners, unsigned int i, unsigned int queues, unsigned int n,
                       const struct run_load *loads, const struct run_options *options,
                       atomic_int *phase)
{
	const struct run_load *load = &loads[i / queues];
	struct runner *r = &runners[i];

	*r = (struct runner){.load = load,
	                     .workload = load->workload,
	                     .options = options,
	                     .device = load->device,
	                     .queue = vcrypto_device_queue(load->device, i % queues),
	                     .index = i % queues,
	                     .next = i + queues < n ? &runners[i + queues] : NULL,
	                     .poll_most = POLL_MOST,
	                     .phase = phase};
	if (load->paced && load->rate)
		r->interval = clock_ticks_per_us() * 1000000u / load->rate;
	return runner_init(r);
}

/* Each knows the first of its thread that is paced, and these the next one. */
static void paced_link(struct runner *runners, unsigned int queues, unsigned int n)
{
	for (unsigned int q = 0; q < queues; q++) {
		struct runner *paced = NULL;

		for (unsigned int i = n - queues + q; i < n; i -= queues) {
			if (!runners[i].load->paced)
				continue;
			runners[i].next_paced = paced;
			paced = &runners[i];
		}
		for (struct runner *r = &runners[q]; r && paced; r = r->next) {
			r->first_paced = paced;
			r->poll_most = vc_min(r->poll_most, r->options->burst);
		}
	}
}

int run(const struct run_load *loads, unsigned int count, const struct run_options *options,
        struct run_result *result, struct run_result *each, const char **error)
{
	unsigned int queues = vcrypto_device_queues(loads[0].device), n = count * queues;
	struct runner *runners = calloc(n, sizeof(*runners));
	atomic_int phase = WARM_UP;
	double seconds;
	int err = runners ? 0 : -ENOMEM;

	*result = (struct run_result){0};
	for (unsigned int i = 0; i < n && !err; i++)
		err = runner_make(runners, i, queues, n, loads, options, &phase);
	if (!err) {
		paced_link(runners, queues, n);
		err = runners_run(runners, queues, n, &phase, options, &seconds);
	}
	if (!err)
		err = results_make(runners, count, queues, seconds, options->latencies, result,
		                   each);
	if (!err && options->timeline)
		err = timelines_write(runners, n, options->timeline);
	for (unsigned int i = 0; i < n && runners; i++)
		if (runners[i].device)
			runner_fini(&runners[i]);
	free(runners);
	*error = err ? strerror(-err) : NULL;
	return err;
}
