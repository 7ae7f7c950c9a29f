/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See sessions.h. One thread: a ring of creations that are under way; the oldest is looked at,
 * destroyed once it is there, and another one begun.
 */
#include "perf/sessions.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "perf/interrupt.h"

#define WARM_UP_NS 100000000ull
#define LOOK_EVERY 256 /* sessions, at the clock */
#define INTERRUPT_EVERY_NS 10000000u

struct ring {
	struct vcrypto_session **session;
	unsigned int depth, first, count;
};

static int fill(struct ring *ring, struct vcrypto_device *device,
                const struct vcrypto_session_params *params)
{
	while (ring->count < ring->depth) {
		unsigned int i = (ring->first + ring->count) % ring->depth;
		int error = vcrypto_session_create_begin(device, params, &ring->session[i]);

		if (error == -EAGAIN)
			return 0;
		if (error)
			return error;
		ring->count++;
	}
	return 0;
}

/* How many were there, and are destroyed; or -errno. */
static int drain(struct ring *ring)
{
	int done = 0;

	while (ring->count) {
		struct vcrypto_session *session = ring->session[ring->first];
		int state = vcrypto_session_state(session);

		if (state == -EINPROGRESS)
			break;
		vcrypto_session_destroy(session);
		ring->first = (ring->first + 1) % ring->depth;
		ring->count--;
		if (state)
			return state;
		done++;
	}
	return done;
}

int sessions_run(struct vcrypto_device *device, const struct vcrypto_session_params *params,
                 unsigned int depth, double seconds, int cpu, struct sessions_result *result)
{
	struct ring ring = {.session = calloc(depth, sizeof(struct vcrypto_session *)),
	                    .depth = depth};
	uint64_t start_ns = clock_now_ns() + WARM_UP_NS, now_ns = 0, looked = 0, before = 0,
		 count = 0, end_ns = start_ns + (uint64_t)(seconds * 1e9),
		 next_ns = start_ns + INTERRUPT_EVERY_NS;
	int n = ring.session ? 0 : -ENOMEM;
	struct interrupt interrupt;

	interrupt_begin(&interrupt);
	if (!n && cpu >= 0)
		n = thread_pin(cpu);
	while (n >= 0 && now_ns < end_ns) {
		n = fill(&ring, device, params);
		if (!n)
			n = drain(&ring);
		if (n > 0)
			count += (unsigned int)n;
		/* Also when nothing comes, so that it ends. */
		if (n > 0 && count - looked < LOOK_EVERY)
			continue;
		looked = count;
		now_ns = clock_now_ns();
		if (now_ns < start_ns)
			before = count;
		if (n >= 0 && !vcrypto_device_alive(device))
			n = -EPIPE;
		/* It is a system call, and there must be something to tell of. */
		if (now_ns < next_ns || count == before)
			continue;
		next_ns = now_ns + INTERRUPT_EVERY_NS;
		if (interrupt_wait(&interrupt, 0))
			break;
	}
	interrupt_end(&interrupt);
	while (ring.count--)
		vcrypto_session_destroy(ring.session[ring.first++ % depth]);
	free(ring.session);
	result->count = count - before;
	result->per_s = (double)result->count / ((double)(now_ns - start_ns) / 1e9);
	if (n >= 0 && !result->count)
		n = -ETIMEDOUT;
	return n < 0 ? n : 0;
}
