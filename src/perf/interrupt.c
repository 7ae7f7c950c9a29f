/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See interrupt.h.
 */
#include "perf/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "base/util.h"

static bool seen;

void interrupt_begin(struct interrupt *i)
{
	static const int signals[] = {SIGINT, SIGTERM};

	sigemptyset(&i->ours);
	for (unsigned int s = 0; s < vc_array_size(signals); s++) {
		struct sigaction action;

		/* Blocked, it would come in spite of being ignored. */
		if (!sigaction(signals[s], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(&i->ours, signals[s]);
	}
	pthread_sigmask(SIG_BLOCK, &i->ours, &i->before);
}

void interrupt_end(const struct interrupt *i)
{
	pthread_sigmask(SIG_SETMASK, &i->before, NULL);
}

bool interrupt_wait(const struct interrupt *i, double seconds)
{
	uint64_t now_ns = clock_now_ns(), end_ns = now_ns + (uint64_t)(seconds * 1e9);

	while (!seen) {
		uint64_t left = end_ns > now_ns ? end_ns - now_ns : 0;
		struct timespec t = {.tv_sec = (time_t)(left / 1000000000u),
		                     .tv_nsec = (long)(left % 1000000000u)};

		if (sigtimedwait(&i->ours, NULL, &t) > 0)
			seen = true;
		else if (errno != EINTR)
			break;
		now_ns = clock_now_ns();
	}
	return seen;
}

bool interrupted(void)
{
	return seen;
}
