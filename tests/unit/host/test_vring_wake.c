/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody sleeps for ever: a driver and the device in two threads, each asleep as often as it has
 * nothing to do, with calls and kicks as the ring asks for them. A lost one is a time-out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "guest.h"

#define TOTAL 30000u
#define TIMEOUT_MS 10000
/* What a thread that could not go on leaves; ends the test. */
#define LOST (TOTAL + 1)

static struct {
	struct guest guest;
	int kick, call;
	bool event_idx;
	uint32_t kicks, calls, taken;
} world;

static bool sleep_on(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, TIMEOUT_MS) != 1)
		return false;
	event_clear(fd);
	return true;
}

/* Widen the windows in which the other may act. */
static void linger(uint64_t *seed)
{
	for (uint32_t n = guest_random(seed) % 4 ? 0 : guest_random(seed) % 1000; n; n--)
		cpu_relax();
}

static void *device(void *argument)
{
	static struct vring_chain chain;
	struct vring *ring = &world.guest.ring;
	uint64_t seed = 1;

	while (world.taken < TOTAL) {
		unsigned int burst = 0;

		vring_notify_off(ring);
		while (vring_pop(ring, &chain) == 1) {
			vring_push(ring, chain.head, 1);
			world.taken++;
			if (++burst == 1 + guest_random(&seed) % 16)
				break;
		}
		if (vring_publish(ring)) {
			world.calls++;
			event_signal(world.call);
		}
		linger(&seed);
		if (burst || vring_notify_on(ring))
			continue;
		if (!sleep_on(world.kick)) {
			world.taken = LOST;
			break;
		}
	}
	return NULL;
}

/* Stores before loads, as the device has between the same (vring.c, full_barrier). */
static void driver_barrier(void)
{
	__asm__ volatile("lock orl $0, (%%rsp)" : : : "memory", "cc");
}

static void driver_submit(uint64_t *seed, uint32_t *sent)
{
	const struct virtq_desc d[] = {OUT_DESC(GUEST_DATA, 72), IN_DESC(GUEST_DATA + 256, 1)};
	struct guest *g = &world.guest;
	uint16_t old = g->avail_idx, size = g->config.size;
	uint32_t n = 1 + guest_random(seed) % 8;
	bool kick;

	while (n-- && *sent < TOTAL && g->free_count >= 2) {
		guest_offer(g, guest_chain(g, d, 2));
		++*sent;
	}
	driver_barrier();
	if (world.event_idx) {
		uint16_t event =
			__atomic_load_n((uint16_t *)&g->used->ring[size], __ATOMIC_RELAXED);

		kick = (uint16_t)(g->avail_idx - event - 1) < (uint16_t)(g->avail_idx - old);
	} else {
		kick = !(__atomic_load_n(&g->used->flags, __ATOMIC_RELAXED) &
		         VIRTQ_USED_F_NO_NOTIFY);
	}
	if (kick) {
		world.kicks++;
		event_signal(world.kick);
	}
}

/* Ask for a call; true: there is something already. */
static bool driver_arm(void)
{
	struct guest *g = &world.guest;

	if (world.event_idx)
		__atomic_store_n(&g->avail->ring[g->config.size], g->used_idx, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&g->avail->flags, 0, __ATOMIC_RELAXED);
	driver_barrier();
	return __atomic_load_n(&g->used->idx, __ATOMIC_ACQUIRE) != g->used_idx;
}

static void run_pair(bool event_idx)
{
	struct guest *g = &world.guest;
	uint32_t sent = 0, done = 0;
	struct virtq_used_elem elem;
	pthread_t thread;
	uint64_t seed = 2;

	world.event_idx = event_idx;
	world.taken = world.kicks = world.calls = 0;
	guest_open(g, 32, 65500, event_idx);
	world.kick = event_create();
	world.call = event_create();
	assert_int_equal(pthread_create(&thread, NULL, device, NULL), 0);
	while (done < TOTAL) {
		if (sent < TOTAL)
			driver_submit(&seed, &sent);
		if (!event_idx)
			__atomic_store_n(&g->avail->flags, VIRTQ_AVAIL_F_NO_INTERRUPT,
			                 __ATOMIC_RELAXED);
		while (guest_used(g, &elem))
			done++;
		linger(&seed);
		/* Sleep until what is out comes back: now and then, and when no more may go. */
		if (done < sent && (guest_random(&seed) % 2 == 0 || g->free_count < 2) &&
		    !driver_arm() && !sleep_on(world.call))
			break;
	}
	pthread_join(thread, NULL);
	assert_int_equal(world.taken, TOTAL);
	assert_int_equal(done, TOTAL);
	/* They did sleep. */
	assert_true(world.kicks > 10 && world.calls > 10);
	close(world.kick);
	close(world.call);
	guest_close(g);
}

static void test_no_wake_up_is_lost_with_flags(void **state)
{
	run_pair(false);
}

static void test_no_wake_up_is_lost_with_event_idx(void **state)
{
	run_pair(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_wake_up_is_lost_with_flags),
		cmocka_unit_test(test_no_wake_up_is_lost_with_event_idx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
