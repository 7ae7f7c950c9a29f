/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that is killed at any moment; see killed.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "killed.h"

/* So many rounds, and chains done, at the least. */
#define ROUNDS 300u
#define DONE 1000u
#define ROUNDS_MOST 3000u
#define ROUND_NS 2000000u
#define BEGIN_NS 10000000000u

static struct vring_chain chain;
static _Atomic unsigned int *begun; /* how many devices have; shared with them */

static bool take(const struct killed *k)
{
	if (vring_pop(k->ring, &chain) != 1)
		return false;
	*vring_last_byte(&chain) = KILLED_MARK;
	return true;
}

/* The device: takes some, gives some back, in any order, until it is killed. */
static void __attribute__((noreturn)) device_run(const struct killed *k, uint64_t seed)
{
	uint32_t held[VIRTQ_MAX_SIZE];
	unsigned int n = 0;

	k->start(k->context);
	atomic_fetch_add(begun, 1);
	for (;;) {
		unsigned int some = guest_random(&seed) % 8, give = guest_random(&seed) % 8;

		while (some-- && n < k->size && take(k)) {
			/* Some find no room, and stay. */
			if (guest_random(&seed) % 8 == 0)
				vring_unpop(k->ring, &chain);
			else
				held[n++] = chain.head;
		}
		vring_taken(k->ring);
		while (give-- && n) {
			unsigned int i = guest_random(&seed) % n;

			vring_push(k->ring, held[i], 64);
			held[i] = held[--n];
		}
		vring_publish(k->ring);
	}
}

/*
 * Drive a device until the moment it is killed at. That counts from when it has begun, however long
 * that takes (a sanitizer's fork alone may take longer than a round); in every eighth round from
 * before, so that it may be killed while it begins.
 */
static unsigned int drive_round(const struct killed *k, unsigned int round, uint64_t ns)
{
	unsigned int before = atomic_load(begun), done = 0;
	uint64_t forked;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child)
		device_run(k, 42 + round);
	forked = clock_now_ns();
	while (round % 8 && atomic_load(begun) == before)
		assert_true(clock_now_ns() - forked < BEGIN_NS);
	for (uint64_t end = clock_now_ns() + ns; clock_now_ns() < end;)
		done += k->drive(k->context, true);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	return done;
}

void killed_run(const struct killed *k)
{
	uint64_t seed = 42;
	unsigned int done = 0;

	begun = mmap(NULL, sizeof(*begun), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	             0);
	assert_ptr_not_equal(begun, MAP_FAILED);
	/* On a busy machine a device may do little before its round is over. */
	for (unsigned int round = 0; round < ROUNDS || (done <= DONE && round < ROUNDS_MOST);
	     round++)
		done += drive_round(k, round, guest_random(&seed) % ROUND_NS);
	/* The last one does all that is left. */
	k->start(k->context);
	while (take(k)) {
		vring_taken(k->ring);
		vring_push(k->ring, chain.head, 64);
		vring_publish(k->ring);
	}
	done += k->drive(k->context, false);
	print_message("%u chains done\n", done);
	assert_true(done > DONE);
	munmap(begun, sizeof(*begun));
}
