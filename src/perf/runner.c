/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measuring loop: a thread keeps depth operations in flight in each of its queues, and gives
 * each one that comes back out again. Latency is taken of one operation of every few bursts, so
 * that reading the clock does not slow what is measured.
 *
 * A device that is paced gets one operation at a time, when it is due, and latency is taken of
 * each. The thread looks after those between any two bursts of others, so that what it does for
 * these is not taken for latency.
 */
#include "perf/runner.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define VERIFY_EVERY 1024
#define STAMP_EVERY 8 /* submits */
/* How often to look at a device that keeps us busy. */
#define LOOK_ROUNDS 64u
#define LOOK_US 1000u

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

/* Now and then, as a device may want no more however busy it keeps us; it is a system call, and not
 * for the time in which somebody's latency is measured. False: it is gone. */
static bool look_after(struct runner *r)
{
	uint64_t now;

	if (vc_likely(++r->busy_rounds < LOOK_ROUNDS) || paced_busy(r))
		return true;
	r->busy_rounds = 0;
	now = clock_ticks();
	if (now - r->looked < LOOK_US * clock_ticks_per_us())
		return true;
	r->looked = now;
	return vcrypto_device_alive(r->device);
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
	if (!look_after(r))
		return -EPIPE;
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
void *runner_main(void *context)
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
