/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Circuit breaker: a daemon, or device, that is there and does not answer costs each operation its
 * deadline. After a few such in a row nothing is tried for a while, then one operation as a probe;
 * the pauses double up to 5 s. An answer, even a late one, ends that.
 *
 * Pure, but for the clock that the callers bring. Any thread.
 */
#include "openssl/core/internal.h"

#include <errno.h>

#define PAUSE_MIN_MS 100u
#define PAUSE_MAX_MS 5000u

bool breaker_refuses(const struct breaker *breaker, uint64_t now_ns)
{
	return atomic_load_explicit(&breaker->until_ns, memory_order_relaxed) > now_ns;
}

int breaker_pass(struct breaker *breaker, uint64_t now_ns, uint64_t probe_ns)
{
	uint64_t until = atomic_load_explicit(&breaker->until_ns, memory_order_relaxed);

	if (vc_likely(!until))
		return BREAKER_CLOSED;
	/* Only one; when nothing is heard of it, another one later. */
	if (until > now_ns ||
	    !atomic_compare_exchange_strong(&breaker->until_ns, &until, now_ns + probe_ns))
		return BREAKER_OPEN;
	return BREAKER_PROBE;
}

void breaker_answered(struct breaker *breaker)
{
	if (vc_likely(!atomic_load_explicit(&breaker->silences, memory_order_relaxed)))
		return;
	atomic_store(&breaker->silences, 0);
	atomic_store(&breaker->pause_ms, 0);
	atomic_store(&breaker->until_ns, 0);
}

bool breaker_silence(struct breaker *breaker, uint64_t now_ns, bool probe)
{
	unsigned int silences = atomic_fetch_add(&breaker->silences, 1) + 1, pause;

	/* Those that were begun before it opened say nothing new. */
	if (!probe && (silences < BREAKER_SILENCES || atomic_load(&breaker->until_ns)))
		return false;
	pause = atomic_load(&breaker->pause_ms);
	pause = pause ? vc_min(pause * 2, PAUSE_MAX_MS) : PAUSE_MIN_MS;
	atomic_store(&breaker->pause_ms, pause);
	atomic_store(&breaker->until_ns, now_ns + pause * 1000000ull);
	return true;
}
