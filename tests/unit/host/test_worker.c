/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers: real threads with real rings. Requests come back, idle workers sleep and wake, queues
 * stop with requests in flight, faults of one do not harm another. (Sessions:
 * test_worker_session.c.)
 */
#include "worker_fixture.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "fake_resource.h"

static void check_done(struct bench *b, unsigned int queue, struct sent sent)
{
	assert_int_equal(bench_status(b, queue, sent), VIRTIO_CRYPTO_OK);
	for (uint32_t i = 0; i < sent.length; i++)
		assert_int_equal(guest_at(&b->guest[queue], sent.dst)[i],
		                 guest_at(&b->guest[queue], sent.src)[i] ^ FAKE_MASK);
}

static void requests_come_back_right(void **state)
{
	struct resource *mb = make_resource("ipsec-mb");
	struct bench b;
	struct sent sent[60];
	uint8_t expected[2048], iv[16] = {0};
	uint64_t session;

	bench_open(&b, 1, &mb, 1);
	session = bench_session(&b);
	bench_start(&b, 0, 0);
	for (unsigned int i = 0; i < 60; i++)
		sent[i] = bench_send(&b, 0, session, 16 + 32 * i);
	bench_kick(&b, 0);
	assert_true(bench_wait(&b, 0, 60));
	for (unsigned int i = 0; i < 60; i++) {
		EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
		int n = 0;

		EVP_EncryptInit_ex(c, EVP_aes_128_cbc(), NULL, (const uint8_t *)"0123456789abcdef",
		                   iv);
		EVP_EncryptUpdate(c, expected, &n, guest_at(&b.guest[0], sent[i].src),
		                  (int)sent[i].length);
		EVP_CIPHER_CTX_free(c);
		assert_int_equal(bench_status(&b, 0, sent[i]), VIRTIO_CRYPTO_OK);
		assert_memory_equal(guest_at(&b.guest[0], sent[i].dst), expected, n);
	}
	assert_int_equal(bench_stop(&b, 0), 0);
	assert_int_equal(b.device->queue[0].counters.requests, 60);
	assert_int_equal(worker_resource_counters(b.worker[0], mb)->completed, 60);
	assert_int_equal(b.device->queue[0].ring.last_avail, 60);
	bench_close(&b);
	resource_destroy(mb);
}

/* On a busy machine it may take a while until the worker gets so far. */
static bool comes_to_rest(const struct worker_counters *c)
{
	uint64_t before, rounds = __atomic_load_n(&c->rounds, __ATOMIC_RELAXED);

	for (unsigned int i = 0; i < 500; i++) {
		before = rounds;
		sleep_ms(10);
		rounds = __atomic_load_n(&c->rounds, __ATOMIC_RELAXED);
		if (rounds == before && __atomic_load_n(&c->sleeps, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

static void an_idle_worker_sleeps_and_wakes(void **state)
{
	struct fakes f;
	const struct worker_counters *c;
	uint64_t session, before, longest = 0;
	struct sent sent;

	fakes_open(&f, 1);
	c = worker_counters(f.b.worker[0]);
	session = bench_session(&f.b);
	bench_start(&f.b, 0, 0);
	for (unsigned int i = 0; i < 20; i++) {
		assert_true(comes_to_rest(c));
		before = clock_now_ns();
		sent = bench_send(&f.b, 0, session, 64);
		bench_kick(&f.b, 0);
		assert_true(bench_wait(&f.b, 0, 1));
		longest = vc_max(longest, clock_now_ns() - before);
		check_done(&f.b, 0, sent);
	}
	/* Not all: what rests may also be a worker that has lost its CPU. */
	assert_true(__atomic_load_n(&f.b.device->queue[0].counters.kicks, __ATOMIC_RELAXED) >= 10);
	/* Far above what it takes, below what a lost wake-up would. */
	assert_true(longest < 1000000000);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

static void a_sleeping_worker_is_woken_by_its_resource(void **state)
{
	struct fakes f;
	const struct worker_counters *c;
	uint64_t session;
	struct sent sent;

	fakes_open(&f, 1);
	c = worker_counters(f.b.worker[0]);
	session = bench_session(&f.b);
	atomic_store(&f.fake[0]->hold, true);
	bench_start(&f.b, 0, 0);
	sent = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	sleep_ms(30);
	assert_true(comes_to_rest(c));
	assert_int_equal(bench_status(&f.b, 0, sent), 0xee);
	fake_release(f.fake[0]);
	assert_true(bench_wait(&f.b, 0, 1));
	check_done(&f.b, 0, sent);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

static void a_sleeping_worker_wakes_at_the_deadline(void **state)
{
	struct fakes f;
	const struct worker_counters *c;
	uint64_t session, rounds, begin;
	struct sent sent;

	fakes_open_hanging(&f, 1);
	f.b.group.deadline_ms = 200;
	c = worker_counters(f.b.worker[0]);
	session = bench_session(&f.b);
	atomic_store(&f.fake[0]->hold, true);
	bench_start(&f.b, 0, 0);
	begin = clock_now_ns();
	sent = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	while (!atomic_load(&f.fake[0]->submitted))
		sleep_ms(1);
	sleep_ms(30);
	rounds = __atomic_load_n(&c->rounds, __ATOMIC_RELAXED);
	sleep_ms(10);
	assert_int_equal(__atomic_load_n(&c->rounds, __ATOMIC_RELAXED), rounds);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_true(clock_now_ns() - begin >= 200000000);
	check_done(&f.b, 0, sent);
	assert_int_equal(atomic_load(&f.fake[1]->completed), 1);
	fake_release(f.fake[0]);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

static bool called(struct host_queue *queue)
{
	struct pollfd p = {.fd = queue->call_fd, .events = POLLIN};

	return poll(&p, 1, 20) == 1;
}

static void the_driver_is_called_when_it_wants(void **state)
{
	struct fakes f;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	f.b.guest[0].avail->flags = VIRTQ_AVAIL_F_NO_INTERRUPT;
	bench_start(&f.b, 0, 0);
	bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_false(called(&f.b.device->queue[0]));
	f.b.guest[0].avail->flags = 0;
	bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_true(called(&f.b.device->queue[0]));
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_int_equal(f.b.device->queue[0].counters.calls, 1);
	fakes_close(&f);
}

static void stop_waits_for_what_is_in_flight(void **state)
{
	struct fakes f;
	struct sent sent[10];
	uint64_t session;
	pthread_t thread;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	atomic_store(&f.fake[0]->hold, true);
	bench_start(&f.b, 0, 0);
	for (unsigned int i = 0; i < 10; i++)
		sent[i] = bench_send(&f.b, 0, session, 128);
	bench_kick(&f.b, 0);
	while (atomic_load(&f.fake[0]->submitted) < 10)
		sleep_ms(1);
	pthread_create(&thread, NULL, release_soon, f.fake[0]);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	/* All is in the ring already, without waiting. */
	for (unsigned int i = 0; i < 10; i++) {
		struct virtq_used_elem elem;

		assert_true(guest_used(&f.b.guest[0], &elem));
		check_done(&f.b, 0, sent[i]);
	}
	pthread_join(thread, NULL);
	fakes_close(&f);
}

static void stop_gives_up_on_a_dead_resource(void **state)
{
	struct fakes f;
	struct virtq_used_elem elem;
	struct sent sent;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	atomic_store(&f.fake[0]->hold, true);
	atomic_store(&f.fake[0]->capacity, 1);
	atomic_store(&f.fake[1]->can, false);
	bench_start(&f.b, 0, 0);
	bench_send(&f.b, 0, session, 128);
	sent = bench_send(&f.b, 0, session, 128);
	bench_kick(&f.b, 0);
	while (atomic_load(&f.fake[0]->submitted) < 1)
		sleep_ms(1);
	assert_int_equal(bench_stop(&f.b, 0), -ETIMEDOUT);
	/* The one that no resource had was answered, the other is lost. */
	assert_true(guest_used(&f.b.guest[0], &elem));
	assert_int_equal(elem.id, sent.head);
	assert_int_equal(bench_status(&f.b, 0, sent), VIRTIO_CRYPTO_ERR);
	assert_false(guest_used(&f.b.guest[0], &elem));
	/* It comes back late: no ring is touched, and all can be taken down. */
	fake_release(f.fake[0]);
	while (atomic_load(&f.fake[0]->completed) < 1)
		sleep_ms(1);
	sleep_ms(5);
	assert_false(guest_used(&f.b.guest[0], &elem));
	fakes_close(&f);
}

static void a_full_resource_holds_up_its_own_queue_only(void **state)
{
	struct fakes f;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	atomic_store(&f.fake[0]->hold, true);
	atomic_store(&f.fake[0]->capacity, 4);
	bench_start(&f.b, 0, 0);
	for (unsigned int i = 0; i < 60; i++)
		bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	while (atomic_load(&f.fake[0]->submitted) < 4)
		sleep_ms(1);
	/* New sessions go to the other resource. */
	atomic_store(&f.fake[0]->can, false);
	session = bench_session(&f.b);
	bench_start(&f.b, 1, 0);
	for (unsigned int i = 0; i < 60; i++)
		bench_send(&f.b, 1, session, 64);
	bench_kick(&f.b, 1);
	assert_true(bench_wait(&f.b, 1, 60));
	assert_int_equal(atomic_load(&f.fake[0]->completed), 0);
	fake_release(f.fake[0]);
	assert_true(bench_wait(&f.b, 0, 60));
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_int_equal(bench_stop(&f.b, 1), 0);
	fakes_close(&f);
}

static void a_device_has_no_more_in_flight_than_it_may(void **state)
{
	const struct worker_counters *c;
	uint64_t session;
	struct sent sent[20];
	struct fakes f;

	fakes_open(&f, 1);
	c = worker_counters(f.b.worker[0]);
	session = bench_session(&f.b);
	f.b.device->share_bytes = 1000;
	atomic_store(&f.fake[0]->hold, true);
	bench_start(&f.b, 0, 0);
	bench_start(&f.b, 1, 0);
	for (unsigned int i = 0; i < 20; i++)
		sent[i] = bench_send(&f.b, i % 2, session, 320);
	bench_kick(&f.b, 0);
	bench_kick(&f.b, 1);
	while (atomic_load(&f.fake[0]->submitted) < 4)
		sleep_ms(1);
	/* 4 * 320 is beyond it. What waits in the rings keeps nobody awake. */
	sleep_ms(20);
	assert_true(comes_to_rest(c));
	assert_int_equal(atomic_load(&f.fake[0]->submitted), 4);
	fake_release(f.fake[0]);
	assert_true(bench_wait(&f.b, 0, 10));
	assert_true(bench_wait(&f.b, 1, 10));
	for (unsigned int i = 0; i < 20; i++)
		check_done(&f.b, i % 2, sent[i]);
	/* One that is larger than all of it is done all the same. */
	sent[0] = bench_send(&f.b, 0, session, 2048);
	bench_kick(&f.b, 0);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_int_equal(bench_stop(&f.b, 1), 0);
	assert_int_equal(f.b.device->share[0].inflight_bytes, 0);
	fakes_close(&f);
}

static void what_one_fails_the_other_does(void **state)
{
	struct fakes f;
	struct sent sent[30];
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	atomic_store(&f.fake[0]->fail, true);
	bench_start(&f.b, 0, 0);
	for (unsigned int i = 0; i < 30; i++)
		sent[i] = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	assert_true(bench_wait(&f.b, 0, 30));
	for (unsigned int i = 0; i < 30; i++)
		check_done(&f.b, 0, sent[i]);
	assert_true(bench_wait_counter(
		&worker_resource_counters(f.b.worker[0], f.b.resource[0])->failed, 30));
	/* When both fail, the guest gets an error. */
	atomic_store(&f.fake[1]->fail, true);
	sent[0] = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_int_equal(bench_status(&f.b, 0, sent[0]), VIRTIO_CRYPTO_ERR);
	/* And when no one can, it is told so. */
	atomic_store(&f.fake[0]->can, false);
	atomic_store(&f.fake[1]->can, false);
	sent[0] = bench_send(&f.b, 0, bench_session(&f.b), 64);
	bench_kick(&f.b, 0);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_int_equal(bench_status(&f.b, 0, sent[0]), VIRTIO_CRYPTO_NOTSUPP);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_int_equal(f.b.device->queue[0].counters.errors[VIRTIO_CRYPTO_NOTSUPP], 1);
	assert_int_equal(f.b.device->queue[0].counters.errors[VIRTIO_CRYPTO_ERR], 1);
	fakes_close(&f);
}

static void bad_requests_are_answered(void **state)
{
	struct fakes f;
	struct sent sent;
	struct virtq_desc lonely;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	bench_start(&f.b, 0, 0);
	sent = bench_send(&f.b, 0, session + 1, 64);
	bench_kick(&f.b, 0);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_int_equal(bench_status(&f.b, 0, sent), VIRTIO_CRYPTO_INVSESS);
	/* Nothing to write a status to; and a descriptor outside memory. */
	lonely = OUT_DESC(GUEST_DATA, 72);
	guest_offer(&f.b.guest[0], guest_chain(&f.b.guest[0], &lonely, 1));
	lonely.addr = 1;
	guest_offer(&f.b.guest[0], guest_chain(&f.b.guest[0], &lonely, 1));
	sent = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	assert_true(bench_wait(&f.b, 0, 3));
	check_done(&f.b, 0, sent);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_int_equal(f.b.device->queue[0].counters.bad_chains, 2);
	fakes_close(&f);
}

static void a_broken_ring_stops_its_queue_only(void **state)
{
	struct fakes f;
	struct host_queue *queue;
	uint64_t session;
	struct sent sent;

	fakes_open(&f, 1);
	queue = &f.b.device->queue[0];
	session = bench_session(&f.b);
	bench_start(&f.b, 0, 0);
	bench_start(&f.b, 1, 0);
	__atomic_store_n(&f.b.guest[0].avail->idx, 9999, __ATOMIC_RELEASE);
	bench_kick(&f.b, 0);
	for (unsigned int i = 0; !atomic_load(&queue->broken); i++) {
		assert_true(i < 5000);
		sleep_ms(1);
	}
	for (unsigned int i = 0; i < 3; i++) {
		sleep_ms(5);
		sent = bench_send(&f.b, 1, session, 64);
		bench_kick(&f.b, 1);
		assert_true(bench_wait(&f.b, 1, 1));
		check_done(&f.b, 1, sent);
	}
	assert_true(event_clear(queue->err_fd));
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_int_equal(bench_stop(&f.b, 1), 0);
	fakes_close(&f);
}

static void memory_cut_short_stops_its_device_only(void **state)
{
	struct fakes f;
	struct host_queue *queue;
	struct sent sent;
	uint64_t session;
	struct device other;

	/* Here, because cmocka takes the signal at the start of each test. */
	assert_int_equal(memtable_guard_install(), 0);
	fakes_open(&f, 1);
	queue = &f.b.device->queue[0];
	session = bench_session(&f.b);
	/* Queue 1 stands for another device, with memory of its own. */
	other = *f.b.device;
	other.memory = f.b.guest[1].table;
	f.b.device->queue[1].device = &other;
	bench_start(&f.b, 0, 0);
	bench_start(&f.b, 1, 0);
	bench_send(&f.b, 0, session, 64);
	assert_int_equal(ftruncate(f.b.guest[0].fd, 0), 0);
	event_signal(queue->kick_fd);
	for (unsigned int i = 0; !atomic_load(&queue->broken); i++) {
		assert_true(i < 5000);
		sleep_ms(1);
	}
	assert_string_equal(atomic_load(&queue->broken), "guest memory is gone");
	sent = bench_send(&f.b, 1, session, 64);
	bench_kick(&f.b, 1);
	assert_true(bench_wait(&f.b, 1, 1));
	check_done(&f.b, 1, sent);
	assert_null(atomic_load(&f.b.device->queue[1].broken));
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_int_equal(bench_stop(&f.b, 1), 0);
	fakes_close(&f);
}

static void a_paused_device_is_left_alone(void **state)
{
	struct fakes f;
	uint64_t session;
	struct sent sent;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	bench_start(&f.b, 0, 0);
	bench_start(&f.b, 1, 0);
	assert_int_equal(worker_device_pause(f.b.worker[0], f.b.device), 0);
	sent = bench_send(&f.b, 0, session, 64);
	event_signal(f.b.device->queue[0].kick_fd);
	sleep_ms(10);
	assert_int_equal(bench_status(&f.b, 0, sent), 0xee);
	worker_device_resume(f.b.worker[0], f.b.device);
	assert_true(bench_wait(&f.b, 0, 1));
	check_done(&f.b, 0, sent);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_int_equal(bench_stop(&f.b, 1), 0);
	fakes_close(&f);
}

static void note_answer(void *context, int result)
{
	atomic_int *answer = context;

	atomic_store(answer, result ? result : 1);
}

static void a_paused_queue_is_told_of_and_no_other_waits(void **state)
{
	atomic_int answer = 0;
	struct sent sent[2];
	struct fakes f;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	bench_start(&f.b, 0, 0);
	bench_start(&f.b, 1, 0);
	atomic_store(&f.fake[0]->hold, true);
	sent[0] = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	while (atomic_load(&f.fake[0]->submitted) < 1)
		sleep_ms(1);
	assert_int_equal(worker_queue_pause_begin(f.b.worker[0], &f.b.device->queue[0], note_answer,
	                                          &answer),
	                 0);
	/* Answered after it has read the other. */
	worker_queue_set_fd(f.b.worker[0], &f.b.device->queue[0].err_fd,
	                    f.b.device->queue[0].err_fd);
	/* It takes nothing more; the other queue does. */
	sent[1] = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	bench_send(&f.b, 1, session, 64);
	bench_kick(&f.b, 1);
	while (atomic_load(&f.fake[0]->submitted) < 2)
		sleep_ms(1);
	sleep_ms(30);
	assert_int_equal(atomic_load(&answer), 0);
	fake_release(f.fake[0]);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_true(bench_wait(&f.b, 1, 1));
	while (!atomic_load(&answer))
		sleep_ms(1);
	assert_int_equal(atomic_load(&answer), 1);
	check_done(&f.b, 0, sent[0]);
	assert_int_equal(bench_status(&f.b, 0, sent[1]), 0xee);
	worker_device_resume(f.b.worker[0], f.b.device);
	fake_release(f.fake[0]);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_int_equal(bench_stop(&f.b, 1), 0);
	fakes_close(&f);
}

/* QEMU does that whenever the guest masks an interrupt. */
static void a_call_descriptor_is_changed_under_requests(void **state)
{
	int next = event_create(), old;
	struct host_queue *queue;
	struct fakes f;

	fakes_open(&f, 1);
	bench_start(&f.b, 0, 0);
	queue = &f.b.device->queue[0];
	old = queue->call_fd;
	atomic_store(&f.fake[0]->hold, true);
	bench_send(&f.b, 0, bench_session(&f.b), 64);
	bench_kick(&f.b, 0);
	while (atomic_load(&f.fake[0]->submitted) < 1)
		sleep_ms(1);
	event_clear(old);
	worker_queue_set_fd(f.b.worker[0], &queue->call_fd, next);
	fake_release(f.fake[0]);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_int_equal(bench_stop(&f.b, 0), 0);
	assert_true(event_clear(next));
	assert_false(event_clear(old));
	queue->call_fd = old;
	assert_int_equal(close(next), 0);
	fakes_close(&f);
}

static void a_worker_that_sleeps_at_once_stops(void **state)
{
	const struct worker_options options = {.cpu = -1, .spin_us = 0, .idle_us = 0};
	struct worker *worker;
	char *error;

	assert_int_equal(worker_start(&options, &worker, &error), 0);
	sleep_ms(20);
	/* Else for ever. */
	alarm(30);
	worker_stop(worker);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_come_back_right),
		cmocka_unit_test(an_idle_worker_sleeps_and_wakes),
		cmocka_unit_test(a_sleeping_worker_is_woken_by_its_resource),
		cmocka_unit_test(a_worker_that_sleeps_at_once_stops),
		cmocka_unit_test(a_sleeping_worker_wakes_at_the_deadline),
		cmocka_unit_test(the_driver_is_called_when_it_wants),
		cmocka_unit_test(stop_waits_for_what_is_in_flight),
		cmocka_unit_test(stop_gives_up_on_a_dead_resource),
		cmocka_unit_test(a_full_resource_holds_up_its_own_queue_only),
		cmocka_unit_test(a_device_has_no_more_in_flight_than_it_may),
		cmocka_unit_test(what_one_fails_the_other_does),
		cmocka_unit_test(bad_requests_are_answered),
		cmocka_unit_test(a_broken_ring_stops_its_queue_only),
		cmocka_unit_test(memory_cut_short_stops_its_device_only),
		cmocka_unit_test(a_paused_device_is_left_alone),
		cmocka_unit_test(a_paused_queue_is_told_of_and_no_other_waits),
		cmocka_unit_test(a_call_descriptor_is_changed_under_requests),
	};

	log_open("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
