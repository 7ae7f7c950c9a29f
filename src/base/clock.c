/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Any thread.
 */
#include <pthread.h>
#include <time.h>

#include "base/util.h"

#define CALIBRATION_NS 2000000
#define CALIBRATION_TRIES 5

uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static pthread_once_t calibrated = PTHREAD_ONCE_INIT;
static uint64_t ticks_per_us;

/* Read both clocks as close together as a few tries allow: we may be scheduled out in between. */
static void read_both(uint64_t *ns, uint64_t *ticks)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < CALIBRATION_TRIES; i++) {
		uint64_t before = clock_ticks();
		uint64_t now = clock_now_ns();
		uint64_t after = clock_ticks();

		if (after - before < best) {
			best = after - before;
			*ns = now;
			*ticks = before + best / 2;
		}
	}
}

static void calibrate(void)
{
	const struct timespec pause = {.tv_nsec = CALIBRATION_NS};
	uint64_t ns[2] = {0};
	uint64_t ticks[2] = {0};

	read_both(&ns[0], &ticks[0]);
	nanosleep(&pause, NULL);
	read_both(&ns[1], &ticks[1]);
	if (ns[1] > ns[0])
		ticks_per_us = (ticks[1] - ticks[0]) * 1000 / (ns[1] - ns[0]);
	if (!ticks_per_us)
		ticks_per_us = 1;
}

uint64_t clock_ticks_per_us(void)
{
	pthread_once(&calibrated, calibrate);
	return ticks_per_us;
}
