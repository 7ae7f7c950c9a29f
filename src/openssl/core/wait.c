/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a slot: spinning, sleeping, pausing an ASYNC job. Any thread, any job.
 *
 * After a pause the job may be in another thread, or in a forked child; from then on only what
 * struct run holds is used, and in a child nothing of the region.
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <openssl/async.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* A synchronous caller spins so long before it sleeps, unless that has lately been in vain. */
#define SPIN_NS 20000u
#define SPIN_MISSES 4u /* in a row; then only ... */
#define SPIN_RETRY 64u /* ... every so many waits */
/* While a daemon that slept wakes up: to sleep as well would add one wake-up to the other. The CPU
 * is offered to others meanwhile, as the daemon may need this very one. */
#define SPIN_WAKING_NS 200000u
/* The first sleep, after which the socket is looked at; each is twice as long as the last. */
#define SLEEP_FIRST_NS 5000000u
#define SLEEP_MAX_NS 100000000u

void run_progress(struct run *run)
{
	/* A probe is somebody's operation: not longer than need be. */
	run->deadline_ns = clock_now_ns() +
	                   (run->probe ? process_probe_ns() : process_deadline_ms() * 1000000ull);
	run->late = run->probe;
}

/*
 * Whether to wait no longer. A machine that was suspended, or a process that was stopped, finds the
 * deadline passed although nobody had a chance to be in time: so there is a second, shorter one.
 */
static bool run_too_late(struct run *run, uint64_t now)
{
	if (now < run->deadline_ns)
		return false;
	if (run->late)
		return true;
	run->late = true;
	run->deadline_ns = now + process_deadline_ms() * 250000ull;
	return false;
}

/* Nothing that comes from now on is of before. */
static void run_silence(const struct run *run)
{
	if (breaker_silence(&run->process->breaker, clock_now_ns(), run->probe)) {
		(void)connection_late_answers(run->connection);
		log_info("vcrypto-engined does not answer: nothing is offloaded for a while");
	}
}

static bool spin_waking(struct slot_ref ref)
{
	uint64_t end = clock_now_ns() + SPIN_WAKING_NS;

	do {
		if (channel_done(ref))
			return true;
		sched_yield();
	} while (clock_now_ns() < end);
	return false;
}

static bool spin_for(struct slot_ref ref, uint64_t ns)
{
	uint64_t end = clock_now_ns() + ns;

	do {
		for (unsigned int i = 0; i < 32; i++) {
			if (channel_done(ref))
				return true;
			cpu_relax();
		}
	} while (clock_now_ns() < end);
	return false;
}

static bool spin(struct slot_ref ref)
{
	atomic_uint *counter = &ref.channel->spin_misses;
	unsigned int misses = atomic_load_explicit(counter, memory_order_relaxed);
	bool in_vain = misses >= SPIN_MISSES && misses % SPIN_RETRY != 0;

	if (!in_vain && spin_for(ref, SPIN_NS)) {
		atomic_store_explicit(counter, 0, memory_order_relaxed);
		return true;
	}
	atomic_store_explicit(counter, misses + 1, memory_order_relaxed);
	return in_vain && channel_done(ref);
}

/* Without sleeping. */
static bool look(const struct run *run, struct slot_ref ref)
{
	unsigned int spin_us = process_spin_us();

	if (spin_us)
		return spin_for(ref, spin_us * UINT64_C(1000));
	return run->woke ? spin_waking(ref) : spin(ref);
}

/* See that we are told when it is done. False: it is done. */
static bool slot_arm(struct slot_ref ref)
{
	uint32_t generation = ref.channel->private[ref.index].generation;
	uint32_t queued = VCE_SLOT_STATE(generation, VCE_SLOT_QUEUED);
	uint32_t waiting = VCE_SLOT_STATE(generation, VCE_SLOT_WAITING);

	/*
	 * Either the daemon's exchange sees WAITING, or this sees DONE. It fails too when it is
	 * WAITING from the last time. Acquire: as in channel_done().
	 */
	return __atomic_compare_exchange_n(&slot_of(ref)->state, &queued, waiting, false,
	                                   __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE) ||
	       queued == waiting;
}

/* Sleep until we are told, at most ns. */
static void slot_sleep(const struct run *run, struct slot_ref ref, uint64_t ns)
{
	uint32_t generation = ref.channel->private[ref.index].generation;
	struct timespec timeout = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	if (!slot_arm(ref))
		return;
	if (run->waker) {
		struct pollfd p = {.fd = run->waker->event.fd, .events = POLLIN};

		if (!descriptor_is_ours(&run->waker->event))
			poll(NULL, 0, 1);
		else if (ppoll(&p, 1, &timeout, NULL) > 0)
			waker_clear(run->waker);
		return;
	}
	(void)syscall(SYS_futex, &slot_of(ref)->state, FUTEX_WAIT,
	              VCE_SLOT_STATE(generation, VCE_SLOT_WAITING), &timeout, NULL, 0);
}

static int wait_synchronously(struct run *run, struct slot_ref ref)
{
	uint64_t now, sleep = SLEEP_FIRST_NS;

	if (look(run, ref))
		return 0;
	for (;;) {
		if (channel_done(ref))
			return 0;
		now = clock_now_ns();
		if (run_too_late(run, now))
			return connection_alive(run->connection) ? -ETIMEDOUT : -EPIPE;
		slot_sleep(run, ref, vc_min(sleep, run->deadline_ns - now));
		if (channel_done(ref))
			return 0;
		if (clock_now_ns() - now < sleep)
			continue; /* woken by a signal */
		if (!connection_alive(run->connection))
			return -EPIPE;
		sleep = vc_min(sleep * 2, SLEEP_MAX_NS);
	}
}

/*
 * A job that finds its descriptor readable before it pauses will be resumed soon, whatever becomes
 * of the slot. Under load the slot is done by then, as the application has had many others to
 * resume: neither a signal nor the reading of it is needed. Else the descriptor is emptied, the
 * slot armed, and the job pauses again.
 */
static bool job_pauses_unarmed(const struct run *run)
{
	if (!rest_claim(run->waker))
		return false;
	if (!run->is_long)
		return true;
	waker_clear(run->waker);
	return false;
}

/* Whether to leave a descriptor readable for the next operation: as long as that helps. */
static bool rest_helps(struct channel *channel)
{
	atomic_uint *counter = &channel->rest_misses;
	unsigned int misses = atomic_load_explicit(counter, memory_order_relaxed);

	if (misses < SPIN_MISSES)
		return true;
	atomic_store_explicit(counter, misses + 1, memory_order_relaxed);
	return misses % SPIN_RETRY == 0;
}

/* Done, and the descriptor is readable, or will be at once. */
static void job_resumed(const struct run *run, struct slot_ref ref, bool unarmed)
{
	if (unarmed)
		atomic_store_explicit(&ref.channel->rest_misses, 0, memory_order_relaxed);
	if (!run->is_long && rest_helps(ref.channel))
		rest_put(run->waker, ref.channel);
	else
		waker_clear(run->waker);
}

static int wait_in_job(struct run *run, struct slot_ref ref)
{
	bool unarmed = job_pauses_unarmed(run), signalled;
	int ret;

	for (;;) {
		if (!unarmed && !slot_arm(ref))
			return 0;
		ret = waker_pause(run->waker, run->deadline_ns);
		if (ret == -ECHILD) {
			run->forked = true;
			return -EPIPE;
		}
		if (ret) {
			waker_clear(run->waker);
			return wait_synchronously(run, ref);
		}
		if (channel_done(ref)) {
			job_resumed(run, ref, unarmed);
			return 0;
		}
		/* Clear it first, then look: what comes later signals again. */
		signalled = waker_clear(run->waker);
		if (unarmed)
			atomic_fetch_add(&ref.channel->rest_misses, 1);
		unarmed = false;
		if (channel_done(ref))
			return 0;
		/* Not by the daemon: by the socket, perhaps. */
		if (!signalled && !connection_alive(run->connection))
			return -EPIPE;
		if (run_too_late(run, clock_now_ns()))
			return -ETIMEDOUT;
	}
}

/* Until the slot is done: 0; -ETIMEDOUT, -EPIPE. */
int slot_await(struct run *run, struct slot_ref ref)
{
	int ret;

	if (run->forked)
		return -EPIPE;
	if (channel_done(ref))
		return 0;
	if (run->broken)
		return run->broken;
	ret = run->waker ? wait_in_job(run, ref) : wait_synchronously(run, ref);
	if (ret)
		run->broken = ret;
	else
		run_progress(run);
	if (ret == -ETIMEDOUT)
		run_silence(run);
	return ret;
}
