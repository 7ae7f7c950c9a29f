/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers that resume jobs which nobody else resumes: because the daemon is silent, or dead.
 *
 * A timer is in the epoll instances of a few wakers. The kernel limits how many epoll instances one
 * descriptor may be in, directly or through others (path_limits in fs/eventpoll.c): with one for
 * all, or with the socket there, a server could not wait for more than 500 jobs.
 *
 * It is set while a job waits, and only then: descriptors of wait contexts stay with their
 * connections, and one that stays readable makes an idle server spin.
 *
 * Any thread.
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>

/* Wakers that share one. */
#define SHARE 64u

/* Under process->lock. */
struct alarm *alarm_get(struct process *process)
{
	struct alarm *alarm = process->alarm;

	if (alarm && alarm->wakers < SHARE) {
		alarm->wakers++;
		return alarm;
	}
	alarm = calloc(1, sizeof(*alarm));
	if (!alarm)
		return NULL;
	if (descriptor_keep(&alarm->timer,
	                    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC))) {
		free(alarm);
		return NULL;
	}
	pthread_mutex_init(&alarm->lock, NULL);
	alarm->wakers = 1;
	process->alarm = alarm;
	return alarm;
}

/* Under process->lock. */
void alarm_put(struct process *process, struct alarm *alarm)
{
	if (--alarm->wakers)
		return;
	if (process->alarm == alarm)
		process->alarm = NULL;
	descriptor_close(&alarm->timer);
	pthread_mutex_destroy(&alarm->lock);
	free(alarm);
}

/* 0: never. */
static void timer_set(struct alarm *alarm, uint64_t at_ns)
{
	struct itimerspec when = {
		.it_value = {.tv_sec = (time_t)(at_ns / 1000000000u),
	                     .tv_nsec = (long)(at_ns % 1000000000u)},
	};

	atomic_store(&alarm->at_ns, at_ns);
	if (descriptor_is_ours(&alarm->timer))
		(void)timerfd_settime(alarm->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void alarm_begin(struct alarm *alarm)
{
	atomic_fetch_add(&alarm->waiting, 1);
}

void alarm_set(struct alarm *alarm, uint64_t now_ns, uint64_t at_ns)
{
	uint64_t set = atomic_load(&alarm->at_ns);

	/* Set already, and not yet fired. Whoever is resumed too early sets it again. */
	if (set <= at_ns && set > now_ns)
		return;
	pthread_mutex_lock(&alarm->lock);
	set = atomic_load(&alarm->at_ns);
	if (set > at_ns || set <= now_ns)
		timer_set(alarm, at_ns);
	pthread_mutex_unlock(&alarm->lock);
}

/*
 * Whoever begins to wait meanwhile has counted itself before it looks at at_ns: either it finds 0
 * there and sets the timer again, after us, or we find it counted.
 */
void alarm_end(struct alarm *alarm)
{
	uint64_t set;

	if (atomic_fetch_sub(&alarm->waiting, 1) != 1)
		return;
	pthread_mutex_lock(&alarm->lock);
	set = atomic_load(&alarm->at_ns);
	if (set) {
		atomic_store(&alarm->at_ns, 0);
		timer_set(alarm, atomic_load(&alarm->waiting) ? set : 0);
	}
	pthread_mutex_unlock(&alarm->lock);
}
