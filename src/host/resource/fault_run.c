/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault: requests in and out. The worker's thread, which is never made to wait.
 *
 * A request that is to be late waits here, in a heap, and is given to the inner resource when its
 * time has come: nothing is written at its destination before. What hangs stays where it is, here
 * or there. Without faults, and when nothing is left of them, requests go straight through.
 */
#include <string.h>
#include <sys/timerfd.h>

#include "host/resource/fault_private.h"

#define BURST 64u

/* ---- settings ---- */

/* 0: never. */
static void timer_set(struct fault_instance *in, uint64_t ns)
{
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(ns / 1000000000u),
	                                       .tv_nsec = (long)(ns % 1000000000u)}};

	if (ns == in->timer_at)
		return;
	in->timer_at = ns;
	timerfd_settime(in->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void faults_switch(struct fault_instance *in, bool active)
{
	__atomic_store_n(&in->active, active, __ATOMIC_RELAXED);
	in->pending = false;
	in->until = 0;
	if (active && in->settings.for_ms)
		in->until = clock_now_ns() + in->settings.for_ms * 1000000;
	timer_set(in, in->until);
}

/* False: they are being written now. */
static bool settings_read(struct fault_instance *in)
{
	const struct fault_resource *fault = (const struct fault_resource *)in->base.resource;
	/* Acquire: pairs with the last store in fault_set(). */
	uint64_t version = atomic_load_explicit(&fault->version, memory_order_acquire);
	uint64_t word[FAULT_WORDS];

	if (version & 1)
		return false;
	/* Acquire: pairs with the stores in fault_set(), and keeps the second look behind. */
	for (size_t i = 0; i < FAULT_WORDS; i++)
		word[i] = atomic_load_explicit(&fault->word[i], memory_order_acquire);
	if (atomic_load_explicit(&fault->version, memory_order_relaxed) != version)
		return false;
	memcpy(&in->settings, word, sizeof(word));
	in->version = version;
	return true;
}

static __attribute__((cold, noinline)) void settings_adopt(struct fault_instance *in)
{
	if (!settings_read(in))
		return;
	fault_random_seed(&in->random, in->settings.seed, in->worker);
	faults_switch(in, fault_settings_any(&in->settings) && !in->settings.after);
	in->left = in->settings.after;
	in->pending = fault_settings_any(&in->settings) && in->left;
}

void fault_refresh(struct fault_instance *in)
{
	const struct fault_resource *fault = (const struct fault_resource *)in->base.resource;

	/* Relaxed: only to see whether they are others. */
	if (vc_unlikely(atomic_load_explicit(&fault->version, memory_order_relaxed) != in->version))
		settings_adopt(in);
	if (vc_unlikely(in->until) && clock_now_ns() >= in->until)
		faults_switch(in, false);
}

/* ---- in ---- */

static void done_add(struct fault_instance *in, struct vc_request *req)
{
	in->done[(in->done_first + in->done_count++) % FAULT_MOST] = req;
}

/* Give it back as it came. */
static void undone(struct fault_instance *in, struct vc_request *req, uint64_t *counter)
{
	req->status = VC_STATUS_RESOURCE;
	fault_count(counter, 1);
	done_add(in, req);
}

static unsigned int pass(struct fault_instance *in, struct vc_request *const *reqs, unsigned int n)
{
	n = vc_min(n, FAULT_MOST - in->base.in_flight);
	n = in->inner->resource->ops->submit(in->inner, reqs, n);
	in->base.in_flight += n;
	return n;
}

/* Up to a burst of what is due, to the inner resource. False: that was all, or all it takes. */
static bool feed_burst(struct fault_instance *in, uint64_t now)
{
	struct fault_entry entry[BURST];
	struct vc_request *reqs[BURST];
	unsigned int n = 0, taken = 0;

	while (n < BURST && in->heap.count && in->heap.entry[0].due <= now) {
		entry[n] = fault_heap_take(&in->heap);
		if (entry[n].fails) {
			undone(in, entry[n].req, &in->counters.errors);
			continue;
		}
		reqs[n] = entry[n].req;
		n++;
	}
	if (n)
		taken = in->inner->resource->ops->submit(in->inner, reqs, n);
	for (unsigned int i = taken; i < n; i++)
		fault_heap_add(&in->heap, &entry[i]);
	return taken == BURST;
}

static void feed(struct fault_instance *in)
{
	uint64_t now = UINT64_MAX; /* when the faults are over, so is waiting */

	if (!in->heap.count)
		return;
	if (in->active)
		now = in->heap.entry[0].due ? clock_now_ns() : 0;
	while (feed_burst(in, now))
		;
}

static unsigned int hold(struct fault_instance *in, struct vc_request *const *reqs, unsigned int n)
{
	bool late = fault_acts(in, delay);
	uint64_t now = late ? clock_now_ns() : 0;

	if (fault_acts(in, refuse)) {
		fault_count(&in->counters.refused, 1);
		return 0;
	}
	n = vc_min(n, FAULT_MOST - in->base.in_flight);
	in->base.in_flight += n;
	for (unsigned int i = 0; i < n; i++) {
		struct fault_entry entry = {.due = now, .number = in->number++, .req = reqs[i]};

		if (fault_acts(in, dead)) {
			undone(in, reqs[i], &in->counters.killed);
			continue;
		}
		if (late)
			entry.due += fault_delay_draw(&in->settings, &in->random);
		if (fault_acts(in, error_rate > 0))
			entry.fails = fault_random_draw(&in->random) < in->settings.error_rate;
		fault_heap_add(&in->heap, &entry);
	}
	if (late)
		fault_count(&in->counters.delayed, n);
	if (!fault_acts(in, hang))
		feed(in);
	return n;
}

unsigned int fault_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                          unsigned int n)
{
	struct fault_instance *in = (struct fault_instance *)instance;
	unsigned int taken = 0;

	fault_refresh(in);
	if (vc_unlikely(in->pending)) {
		taken = pass(in, reqs, (unsigned int)vc_min(n, in->left));
		in->left -= taken;
		if (in->left)
			return taken;
		faults_switch(in, true);
	}
	if (vc_likely(!in->active && !in->heap.count))
		return taken + pass(in, reqs + taken, n - taken);
	return taken + hold(in, reqs + taken, n - taken);
}

/* ---- out ---- */

/* Whether the inner resource, which has had it, has left the source alone. */
static bool source_intact(const struct vc_request *req)
{
	uintptr_t src = (uintptr_t)req->src, dst = (uintptr_t)req->dst;
	uint32_t room = req->kind >= VC_REQUEST_AK_ENCRYPT ? req->dst_len : req->length;

	switch (req->kind) {
	case VC_REQUEST_HASH:
	case VC_REQUEST_MAC:
	case VC_REQUEST_AK_VERIFY:
		return true;
	default:
		return dst + room <= src || src + req->length <= dst;
	}
}

/* What the inner resource has done. A dead one takes it along, if it can be done again. */
static void collect(struct fault_instance *in, bool flush)
{
	const struct resource_ops *ops = in->inner->resource->ops;
	struct vc_request *reqs[BURST];
	unsigned int n = BURST;

	while (in->inner->in_flight && n == BURST) {
		n = ops->poll(in->inner, reqs, BURST, flush);
		for (unsigned int i = 0; i < n; i++)
			if (fault_acts(in, dead) && source_intact(reqs[i]))
				undone(in, reqs[i], &in->counters.killed);
			else
				done_add(in, reqs[i]);
	}
}

static struct vc_request *done_take(struct fault_instance *in, unsigned int window)
{
	struct vc_request **first = &in->done[in->done_first % FAULT_MOST];

	if (window > 1) {
		unsigned int among = vc_min(window, in->done_count);
		unsigned int at = (unsigned int)(fault_random_draw(&in->random) * among);
		struct vc_request **drawn = &in->done[(in->done_first + at) % FAULT_MOST];
		struct vc_request *req = *drawn;

		*drawn = *first;
		*first = req;
	}
	in->done_first++;
	in->done_count--;
	return *first;
}

static unsigned int release(struct fault_instance *in, struct vc_request **reqs, unsigned int n,
                            bool all)
{
	unsigned int window = in->active ? (unsigned int)in->settings.reorder : 0;
	unsigned int kept = all ? 0 : window, taken = 0;

	while (taken < n && in->done_count > kept)
		reqs[taken++] = done_take(in, window);
	in->base.in_flight -= taken;
	return taken;
}

static unsigned int poll_held(struct fault_instance *in, struct vc_request **reqs, unsigned int n,
                              bool flush)
{
	bool dead = fault_acts(in, dead);

	if (dead) {
		while (in->heap.count)
			undone(in, fault_heap_take(&in->heap).req, &in->counters.killed);
	} else if (fault_acts(in, hang)) {
		return 0;
	} else {
		feed(in);
	}
	collect(in, flush || dead);
	/* Nothing is kept for company that does not come. */
	return release(in, reqs, n, flush || dead || (!in->heap.count && !in->inner->in_flight));
}

unsigned int fault_poll(struct resource_instance *instance, struct vc_request **reqs,
                        unsigned int n, bool flush)
{
	struct fault_instance *in = (struct fault_instance *)instance;

	fault_refresh(in);
	if (vc_unlikely(in->active || in->heap.count || in->done_count))
		return poll_held(in, reqs, n, flush);
	n = in->inner->resource->ops->poll(in->inner, reqs, n, flush);
	in->base.in_flight -= n;
	return n;
}

/* ---- sleep ---- */

int fault_fd(struct resource_instance *instance)
{
	return ((struct fault_instance *)instance)->epoll;
}

bool fault_arm(struct resource_instance *instance)
{
	struct fault_instance *in = (struct fault_instance *)instance;
	const struct resource_ops *ops = in->inner->resource->ops;

	fault_refresh(in);
	/* Until there are new settings, or their end: the timer is set for that. */
	if (fault_acts(in, hang) && !fault_acts(in, dead))
		return false;
	if (in->done_count || fault_acts(in, dead))
		return true;
	if (in->heap.count) {
		uint64_t due = in->active ? in->heap.entry[0].due : 0;

		if (due <= clock_now_ns())
			return true;
		timer_set(in, in->until ? vc_min(in->until, due) : due);
	}
	if (!in->inner->in_flight)
		return false;
	return ops->fd(in->inner) < 0 || ops->arm(in->inner);
}

void fault_disarm(struct resource_instance *instance)
{
	struct fault_instance *in = (struct fault_instance *)instance;

	/* First: settings that come from here on signal again. */
	event_clear(in->changed);
	fault_refresh(in);
	timer_set(in, in->until);
	in->inner->resource->ops->disarm(in->inner);
}
