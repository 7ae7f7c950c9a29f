/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that goes while requests are in flight: only those that point into it are waited for, and
 * everything else goes on. Real threads with real rings.
 *
 * The device has the memory of guest 0, in which queue 0 lies, and an annex of one region. A
 * resource that holds what it takes stands for a slow one.
 */
#include "worker_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_resource.h"

#define ANNEX_ADDR 0x300000000ull
#define ANNEX_SIZE 0x10000u
#define LENGTH 128u

struct state {
	struct bench b;
	struct fake *fake;
	int fd;
	uint8_t *annex;
	struct memtable *with, *without, *gone;
	uint64_t session;
	unsigned int submitted;
};

static void open_state_deadline(struct state *s, unsigned int deadline_ms)
{
	const struct vhost_user_mem_region region = {ANNEX_ADDR, ANNEX_SIZE, ANNEX_ADDR, 0};
	struct resource *resource;

	memset(s, 0, sizeof(*s));
	s->fake = fake_new("slow", 0);
	s->fake->base.may_hang = true;
	resource = &s->fake->base;
	bench_open(&s->b, 1, &resource, 1);
	s->session = bench_session(&s->b);
	s->fd = memfd_create("annex", MFD_CLOEXEC);
	assert_int_equal(ftruncate(s->fd, ANNEX_SIZE), 0);
	s->annex = mmap(NULL, ANNEX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	assert_true(s->annex != MAP_FAILED);
	s->without = s->b.guest[0].table;
	assert_int_equal(memtable_with(s->without, &region, s->fd, &s->with), 0);
	s->gone = memtable_minus(s->with, s->without);
	s->b.device->memory = s->with;
	s->b.guest[0].table = s->with;
	s->b.group.deadline_ms = deadline_ms;
	bench_start(&s->b, 0, 0);
	atomic_store(&s->fake->hold, true);
}

static void open_state(struct state *s)
{
	open_state_deadline(s, 0);
}

static void close_state(struct state *s)
{
	fake_release(s->fake);
	assert_int_equal(bench_stop(&s->b, 0), 0);
	s->b.guest[0].table = s->without;
	memtable_free(s->with);
	memtable_free(s->gone);
	munmap(s->annex, ANNEX_SIZE);
	close(s->fd);
	bench_close(&s->b);
	fake_free(s->fake);
}

/* Until the resource has one request more. */
static void wait_submitted(struct state *s)
{
	s->submitted++;
	for (unsigned int i = 0; atomic_load(&s->fake->submitted) < s->submitted; i++) {
		assert_true(i < 10000);
		sleep_ms(1);
	}
}

/* In flight from now on. */
static struct sent request_at_home(struct state *s)
{
	struct sent sent = bench_send(&s->b, 0, s->session, LENGTH);

	bench_kick(&s->b, 0);
	wait_submitted(s);
	return sent;
}

/* The same with its destination in the annex. */
static struct sent request_in_annex(struct state *s)
{
	struct sent sent = bench_send_to(&s->b, 0, s->session, LENGTH, ANNEX_ADDR);

	bench_kick(&s->b, 0);
	wait_submitted(s);
	return sent;
}

static int annex_remove(struct state *s)
{
	return worker_device_remap(s->b.worker[0], s->b.device, s->without, s->gone);
}

struct removal {
	struct state *s;
	pthread_t thread;
	atomic_bool done;
	int result;
};

static void *removal_run(void *context)
{
	struct removal *removal = context;

	removal->result = annex_remove(removal->s);
	atomic_store(&removal->done, true);
	return NULL;
}

static void memory_goes_while_requests_elsewhere_are_in_flight(void **state)
{
	struct state s;
	struct sent sent;

	open_state(&s);
	sent = request_at_home(&s);
	/* Were it waited for, this would end with -ETIMEDOUT. */
	assert_int_equal(annex_remove(&s), 0);
	assert_int_equal(atomic_load(&s.fake->completed), 0);
	/* The queue has not stopped, */
	request_at_home(&s);
	/* but does not know the annex any more. */
	bench_send_to(&s.b, 0, s.session, LENGTH, ANNEX_ADDR);
	bench_kick(&s.b, 0);
	assert_true(bench_wait_counter(&s.b.device->queue[0].counters.bad_chains, 1));
	fake_release(s.fake);
	assert_true(bench_wait(&s.b, 0, 3));
	assert_int_equal(bench_status(&s.b, 0, sent), VIRTIO_CRYPTO_OK);
	close_state(&s);
}

/* What its resource has are copies. */
static void memory_of_an_overdue_request_goes(void **state)
{
	struct state s;
	struct sent sent;

	open_state_deadline(&s, 1);
	sent = request_in_annex(&s);
	assert_true(bench_wait(&s.b, 0, 1));
	assert_int_equal(bench_status(&s.b, 0, sent), VIRTIO_CRYPTO_ERR);
	memset(s.annex, 0x77, ANNEX_SIZE);
	assert_int_equal(annex_remove(&s), 0);
	assert_int_equal(atomic_load(&s.fake->completed), 0);
	fake_release(s.fake);
	for (unsigned int i = 0; !atomic_load(&s.fake->completed) && i < 5000; i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&s.fake->completed), 1);
	for (unsigned int i = 0; i < ANNEX_SIZE; i++)
		assert_int_equal(s.annex[i], 0x77);
	close_state(&s);
}

/* Until its deadline it is to return there. */
static void memory_of_a_request_with_copies_is_waited_for(void **state)
{
	struct state s;
	struct removal removal = {.s = &s, .result = 1};
	struct sent sent;

	open_state_deadline(&s, 1000);
	sent = request_in_annex(&s);
	assert_int_equal(pthread_create(&removal.thread, NULL, removal_run, &removal), 0);
	sleep_ms(50);
	assert_false(atomic_load(&removal.done));
	fake_release(s.fake);
	pthread_join(removal.thread, NULL);
	assert_int_equal(removal.result, 0);
	assert_true(bench_wait(&s.b, 0, 1));
	assert_int_equal(s.annex[0], *guest_at(&s.b.guest[0], sent.src) ^ FAKE_MASK);
	close_state(&s);
}

static void memory_in_use_is_waited_for_and_nothing_else(void **state)
{
	struct state s;
	struct removal removal = {.s = &s, .result = 1};
	struct sent sent;

	open_state(&s);
	request_at_home(&s);
	sent = request_in_annex(&s);
	assert_int_equal(pthread_create(&removal.thread, NULL, removal_run, &removal), 0);
	sleep_ms(100);
	/* Others are taken meanwhile. */
	for (unsigned int i = 0; i < 10; i++)
		request_at_home(&s);
	assert_false(atomic_load(&removal.done));
	fake_release(s.fake);
	pthread_join(removal.thread, NULL);
	assert_int_equal(removal.result, 0);
	/* Its result is in the annex, and was before the removal ended. */
	for (uint32_t i = 0; i < LENGTH; i++)
		assert_int_equal(s.annex[i], *guest_at(&s.b.guest[0], sent.src + i) ^ FAKE_MASK);
	assert_int_equal(bench_status(&s.b, 0, sent), VIRTIO_CRYPTO_OK);
	assert_true(bench_wait(&s.b, 0, 12));
	close_state(&s);
}

static void memory_of_a_dead_resource_is_given_up(void **state)
{
	struct state s;

	open_state(&s);
	request_in_annex(&s);
	assert_int_equal(annex_remove(&s), -ETIMEDOUT);
	/* It comes back late, and writes where it may: the region is still mapped. */
	fake_release(s.fake);
	while (!atomic_load(&s.fake->completed))
		sleep_ms(1);
	close_state(&s);
}

/* Requests come and go all the while; a removal finds each state that there is. */
static void memory_comes_and_goes_under_load(void **state)
{
	struct state s;

	open_state(&s);
	fake_release(s.fake);
	for (unsigned int i = 0; i < 300; i++) {
		struct sent sent[8];

		for (unsigned int n = 0; n < 8; n++)
			sent[n] = bench_send_to(
				&s.b, 0, s.session, LENGTH,
				n % 2 ? ANNEX_ADDR + n * LENGTH
				      : guest_addr(guest_alloc(&s.b.guest[0], LENGTH)));
		bench_kick(&s.b, 0);
		assert_int_equal(annex_remove(&s), 0);
		/* Nothing that is still to come writes there. */
		memset(s.annex, 0, ANNEX_SIZE);
		assert_true(bench_wait(&s.b, 0, 8));
		for (uint32_t at = 0; at < 8 * LENGTH; at++)
			assert_int_equal(s.annex[at], 0);
		for (unsigned int n = 0; n < 8; n += 2)
			assert_int_equal(bench_status(&s.b, 0, sent[n]), VIRTIO_CRYPTO_OK);
		assert_int_equal(worker_device_remap(s.b.worker[0], s.b.device, s.with, NULL), 0);
		s.b.guest[0].data = GUEST_DATA;
	}
	close_state(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_goes_while_requests_elsewhere_are_in_flight),
		cmocka_unit_test(memory_of_an_overdue_request_goes),
		cmocka_unit_test(memory_of_a_request_with_copies_is_waited_for),
		cmocka_unit_test(memory_in_use_is_waited_for_and_nothing_else),
		cmocka_unit_test(memory_of_a_dead_resource_is_given_up),
		cmocka_unit_test(memory_comes_and_goes_under_load),
	};

	return cmocka_run_group_tests_name("worker-memory", tests, NULL, NULL);
}
