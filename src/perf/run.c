/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measuring loop: one thread a queue, which with several devices has that queue of each. Keeps
 * depth operations in flight in each, gives each one that comes back out again. Latency is taken of
 * one operation of every few bursts, so that reading the clock does not slow what is measured.
 *
 * A device that is paced gets one operation at a time, when it is due, and latency is taken of
 * each. The thread looks after those between any two bursts of others, so that what it does for
 * these is not taken for latency.
 */
#include "perf/run.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "perf/histogram.h"
#include "perf/timeline.h"

#define VERIFY_EVERY 1024
#define STAMP_EVERY 8 /* submits */
#define POLL_MOST 64
#define WARM_UP_SECONDS 0.1
/* Nothing came back for so long: it never will. */
#define STALL_NS 10000000000ull

enum phase { WARM_UP, MEASURE, STOP };

struct item {
	struct vcrypto_op op; /* first: poll gives it back */
	uint64_t stamp;       /* ticks when it was submitted; 0: not measured */
	uint8_t *copy;        /* of the source, when it is done in place and verified */
	uint8_t *memory[2];   /* source; destination, NULL when in place */
	bool verify;
};

struct runner {
	const struct run_load *load;
	const struct workload *workload; /* of it */
	const struct run_options *options;
	struct vcrypto_device *device;
	struct vcrypto_queue *queue;
	struct vcrypto_session *session;
	unsigned int index;  /* of the queue */
	struct runner *next; /* of the same thread: the same queue of the next device, */
	struct runner *first_paced, *next_paced; /* and of those that are paced */
	uint64_t interval, due;                  /* ticks; paced: the next operation */
	pthread_t thread;
	bool started;
	atomic_int *phase;
	struct item *items;
	struct vcrypto_op **ready; /* to be submitted */
	unsigned int given;        /* of them, in front, given out but not taken */
	unsigned int ready_count;
	uint8_t *scratch;
	EVP_CIPHER_CTX *context;
	uint64_t submits, given_out;
	uint64_t verify_in; /* the one that many from now */
	uint64_t completed, verified, errors, mismatches;
	uint64_t measured; /* completed while measuring */
	int first_error;
	int failed; /* -errno: a device of the thread is gone */
	unsigned int poll_most;
	unsigned int idle_rounds;
	uint64_t idle_since_ns;
	struct timeline *timeline; /* NULL: not wanted */
	struct histogram latency;
};

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

/* To be compared with libcrypto when it comes back: no old result may pass for a new one. */
static void verify_begin(struct runner *r, struct item *item)
{
	struct vcrypto_op *op = &item->op;

	if (r->options->in_place) {
		if (!item->copy)
			item->copy = malloc(op->length + 1u);
		if (!item->copy)
			return;
		memcpy(item->copy, op->src, op->length);
	} else {
		memset(op->dst, 0, vc_min(op->length, 64u));
	}
	if (op->tag_len && !(r->workload->kind == WORKLOAD_AEAD && r->workload->decrypt))
		memset(op->tag, 0, op->tag_len);
	item->verify = true;
}

static void verify_end(struct runner *r, struct item *item)
{
	const uint8_t *source = r->options->in_place ? item->copy : item->op.src;

	item->verify = false;
	r->verified++;
	if (!workload_agrees(r->workload, &item->op, source, r->scratch, r->context))
		r->mismatches++;
}

static void give_out(struct runner *r, struct item *item)
{
	/* Another IV each time, as everybody has to; what is sealed has its own. */
	if (!r->workload->decrypt && r->workload->iv_len) {
		uint64_t n = ++r->given_out << 8 | r->index;

		memcpy(item->op.iv, &n, sizeof(n));
	} else {
		r->given_out++;
	}
	if (vc_unlikely(!--r->verify_in)) {
		r->verify_in = r->options->verify == VERIFY_ALL ? 1 : VERIFY_EVERY;
		verify_begin(r, item);
	}
}

/* The device is not ready now: the rest is for later; so many of it have been given out already. */
static void keep_for_later(struct runner *r, unsigned int done, unsigned int given)
{
	r->ready_count -= done;
	memmove(r->ready, r->ready + done, r->ready_count * sizeof(struct vcrypto_op *));
	r->given = given;
}

static int submit_ready(struct runner *r)
{
	unsigned int done = 0;

	while (done < r->ready_count) {
		unsigned int n = vc_min(r->ready_count - done, r->options->burst);
		struct item *first = (struct item *)r->ready[done];

		for (unsigned int i = r->given; i < n; i++)
			give_out(r, (struct item *)r->ready[done + i]);
		r->given = 0;
		if (r->submits++ % STAMP_EVERY == 0)
			first->stamp = clock_ticks();
		int taken = vcrypto_queue_submit(r->queue, r->ready + done, n);

		if (taken == -EAGAIN)
			taken = 0;
		else if (taken <= 0)
			/* The queue is at least as deep as we are. */
			return taken ? taken : -EPROTO;
		done += (unsigned int)taken;
		if ((unsigned int)taken != n) {
			keep_for_later(r, done, n - (unsigned int)taken);
			return 0;
		}
	}
	r->ready_count = 0;
	return 0;
}

/* One operation, if it is due. Time that was missed is not made up for. */
static int submit_due(struct runner *r)
{
	uint64_t now = clock_ticks();
	struct item *item;
	int taken;

	if (!r->load->rate || !r->ready_count || now < r->due)
		return 0;
	r->due = vc_max(r->due + r->interval, now);
	item = (struct item *)r->ready[--r->ready_count];
	give_out(r, item);
	item->stamp = clock_ticks();
	taken = vcrypto_queue_submit(r->queue, &r->ready[r->ready_count], 1);
	if (taken == 1)
		return 0;
	/* The device is not ready. */
	item->stamp = 0;
	r->ready_count++;
	return taken == -EAGAIN ? 0 : taken < 0 ? taken : -EPROTO;
}

/* Whether the thread has operations in flight that are paced. */
static bool paced_busy(const struct runner *r)
{
	if (r->load->paced)
		return false;
	for (const struct runner *p = r->first_paced; p; p = p->next_paced)
		if (vcrypto_queue_in_flight(p->queue))
			return true;
	return false;
}

static void complete(struct runner *r, struct item *item, enum phase phase)
{
	if (item->stamp) {
		if (phase == MEASURE)
			histogram_add(&r->latency, clock_ticks() - item->stamp);
		item->stamp = 0;
	}
	if (vc_unlikely(item->op.status)) {
		r->errors++;
		if (!r->first_error)
			r->first_error = item->op.status;
		item->verify = false;
	}
	if (vc_likely(!item->verify))
		return;
	if (vc_likely(!paced_busy(r))) {
		verify_end(r, item);
		return;
	}
	/* Not while somebody's latency is measured: the next one will do. */
	item->verify = false;
	r->verify_in = 1;
}

/* Sleep until something comes back. */
static void sleep_until_done(struct runner *r)
{
	struct pollfd p[2] = {{.fd = vcrypto_queue_fd(r->queue), .events = POLLIN},
	                      {.fd = vcrypto_device_fd(r->device), .events = POLLIN}};

	if (!vcrypto_queue_arm(r->queue))
		poll(p, 2, 1000);
	vcrypto_queue_disarm(r->queue);
}

static int wait_more(struct runner *r)
{
	if (r->options->sleep)
		sleep_until_done(r);
	else if ((++r->idle_rounds & 0xfff) != 0)
		return 0;
	if (!r->idle_since_ns)
		r->idle_since_ns = clock_now_ns();
	if (!vcrypto_device_alive(r->device))
		return -EPIPE;
	/* A device that is not ready has nothing of ours. */
	if (!vcrypto_queue_in_flight(r->queue))
		r->idle_since_ns = 0;
	else if (clock_now_ns() - r->idle_since_ns > STALL_NS)
		return -ETIMEDOUT;
	return 0;
}

/* One round over a queue: 0; -ESHUTDOWN it is done; -errno. */
static int runner_step(struct runner *r, enum phase phase)
{
	struct vcrypto_op *done[POLL_MOST];
	uint64_t errors = r->errors;
	int n, error = 0;

	if (phase != STOP)
		error = r->load->paced ? submit_due(r) : submit_ready(r);
	else if (!vcrypto_queue_in_flight(r->queue))
		return -ESHUTDOWN;
	n = vcrypto_queue_poll(r->queue, done, r->poll_most);
	if (n < 0 || error)
		return n < 0 ? n : error;
	if (!n)
		return wait_more(r);
	r->idle_since_ns = 0;
	for (int i = 0; i < n; i++) {
		complete(r, (struct item *)done[i], phase);
		r->ready[r->ready_count++] = done[i];
	}
	r->completed += (unsigned int)n;
	if (vc_unlikely(r->timeline != NULL))
		timeline_add(r->timeline, (unsigned int)n, (unsigned int)(r->errors - errors));
	if (phase == MEASURE)
		__atomic_store_n(&r->measured, r->measured + (unsigned int)n, __ATOMIC_RELAXED);
	return 0;
}

/* A round over queues that are linked. Whether there is more to come; *error: a device is gone. */
static bool runners_step(struct runner *first, bool paced, enum phase phase, int *error)
{
	bool more = false;

	for (struct runner *r = first; r && !*error; r = paced ? r->next_paced : r->next) {
		/* Those are looked after in between. */
		if (!paced && r->load->paced)
			continue;
		*error = runner_step(r, phase);
		if (*error == -ESHUTDOWN)
			*error = 0;
		else
			more = true;
		if (!paced && r->first_paced && !*error)
			more |= runners_step(r->first_paced, true, phase, error);
	}
	return more;
}

/* Its own queue and those of the same number of all other devices, in turn. */
static void *runner_main(void *context)
{
	struct runner *first = context;
	bool more = true;
	int error = 0;

	if (first->options->cpu >= 0)
		error = thread_pin(first->options->cpu + (int)first->index);
	while (!error && more) {
		enum phase phase =
			(enum phase)atomic_load_explicit(first->phase, memory_order_relaxed);

		more = runners_step(first, false, phase, &error);
		/* Where all are paced. */
		if (!error && first->first_paced)
			more |= runners_step(first->first_paced, true, phase, &error);
	}
	first->failed = error;
	return NULL;
}

static void pause_seconds(double seconds)
{
	struct timespec t = {.tv_sec = (time_t)seconds,
	                     .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
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

static bool something_measured(const struct runner *runners, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (__atomic_load_n(&runners[i].measured, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* The first `threads` runners have a thread each, which also has those chained to them. */
static int runners_run(struct runner *runners, unsigned int threads, unsigned int n,
                       atomic_int *phase, const struct run_options *options, double *seconds)
{
	uint64_t start_ns = 0;
	int error = 0;

	for (unsigned int i = 0; i < threads && !error; i++) {
		error = -pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]);
		runners[i].started = !error;
	}
	if (!error) {
		pause_seconds(WARM_UP_SECONDS);
		start_ns = clock_now_ns();
		atomic_store(phase, MEASURE);
		pause_seconds(options->seconds);
		/* Something at least, however slow the device or busy the machine. */
		while (!something_measured(runners, n) && clock_now_ns() - start_ns < STALL_NS)
			pause_seconds(0.01);
	}
	atomic_store(phase, STOP);
	*seconds = (double)(clock_now_ns() - start_ns) / 1e9;
	for (unsigned int i = 0; i < threads; i++) {
		if (runners[i].started)
			pthread_join(runners[i].thread, NULL);
		if (!error)
			error = runners[i].failed;
	}
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
                        double seconds, struct run_result *result, struct run_result *each)
{
	struct histogram *latency = calloc(2, sizeof(*latency));

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
	}
	result_finish(result, &latency[0], seconds);
	free(latency);
	return 0;
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
		err = results_make(runners, count, queues, seconds, result, each);
	if (!err && options->timeline)
		err = timelines_write(runners, n, options->timeline);
	for (unsigned int i = 0; i < n && runners; i++)
		if (runners[i].device)
			runner_fini(&runners[i]);
	free(runners);
	*error = err ? strerror(-err) : NULL;
	return err;
}
