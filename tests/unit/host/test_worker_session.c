/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of workers: real threads with real rings. They end while requests of them are in flight
 * in two workers, by the driver's request and by the main thread's.
 */
#include "worker_fixture.h"

#include <pthread.h>

#include "base/log.h"

/* A session that both workers know, with requests of it in flight in both. */
static uint64_t session_in_both(struct fakes *f)
{
	uint64_t session = bench_session(&f->b);

	bench_start(&f->b, 0, 0);
	bench_start(&f->b, 1, 1);
	atomic_store(&f->fake[0]->hold, true);
	for (unsigned int q = 0; q < 2; q++) {
		for (unsigned int i = 0; i < 5; i++)
			bench_send(&f->b, q, session, 64);
		bench_kick(&f->b, q);
	}
	while (atomic_load(&f->fake[0]->submitted) < 10)
		sleep_ms(1);
	assert_int_equal(atomic_load(&f->fake[0]->realised), 2);
	return session;
}

/* What is in flight in both comes back, and both let go of the session. */
static void release_both(struct fakes *f, unsigned int queues)
{
	for (unsigned int q = 0; q < 2; q++) {
		fake_release(f->fake[0]);
		assert_true(bench_wait(&f->b, q, 5));
	}
	while (atomic_load(&f->fake[0]->dropped) < 2)
		sleep_ms(1);
	for (unsigned int q = 0; q < queues; q++)
		assert_int_equal(bench_stop(&f->b, q), 0);
	fakes_close(f);
}

/* The last one out releases the session (under ASan: exactly one does). */
static void a_destroyed_session_ends_with_its_last_request(void **state)
{
	struct fakes f;
	struct sent sent, late;
	uint64_t session;

	fakes_open(&f, 2);
	session = session_in_both(&f);
	bench_start(&f.b, 2, 0);
	sent = bench_destroy(&f.b, session);
	bench_kick(&f.b, 2);
	assert_true(bench_wait(&f.b, 2, 1));
	assert_int_equal(bench_status(&f.b, 2, sent), VIRTIO_CRYPTO_OK);
	/* Gone for new requests, there for those in flight. */
	late = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	assert_true(bench_wait(&f.b, 0, 1));
	assert_int_equal(bench_status(&f.b, 0, late), VIRTIO_CRYPTO_INVSESS);
	assert_int_equal(atomic_load(&f.fake[0]->dropped), 0);
	release_both(&f, 3);
}

/* The main thread has other front ends to listen to. */
static void a_session_destroyed_by_message_is_not_waited_for(void **state)
{
	struct session *removed;
	struct fakes f;
	uint64_t session;

	fakes_open(&f, 2);
	session = session_in_both(&f);
	removed = session_remove(f.b.device->sessions, session);
	assert_non_null(removed);
	removed->ended_next = NULL;
	worker_sessions_leave(removed);
	/* Requests of it are in flight all the while. */
	assert_int_equal(atomic_load(&f.fake[0]->dropped), 0);
	release_both(&f, 2);
}

/* A device that goes, with requests that never come back. */
static void sessions_that_end_together_are_not_waited_for(void **state)
{
	struct session *first = NULL, *session;
	struct fakes f;
	uint32_t cursor = 0;

	fakes_open(&f, 2);
	session_in_both(&f);
	bench_session(&f.b);
	bench_session(&f.b);
	while ((session = session_table_next(f.b.device->sessions, &cursor))) {
		assert_ptr_equal(session_remove(f.b.device->sessions, session->id), session);
		session->ended_next = first;
		first = session;
	}
	worker_sessions_leave(first);
	worker_sessions_leave(NULL);
	assert_int_equal(session_table_count(f.b.device->sessions), 0);
	assert_int_equal(atomic_load(&f.fake[0]->dropped), 0);
	release_both(&f, 2);
}

/* Sessions come and go under traffic on two workers. */
static void sessions_come_and_go_under_load(void **state)
{
	struct resource *resources[2] = {make_resource("ipsec-mb"), make_resource("libcrypto")};
	struct bench b;

	bench_open(&b, 2, resources, 2);
	bench_start(&b, 0, 0);
	bench_start(&b, 1, 1);
	bench_start(&b, 2, 1);
	for (unsigned int round = 0; round < 300; round++) {
		uint64_t session = bench_session(&b);
		struct sent sent[2][8];

		for (unsigned int q = 0; q < 2; q++) {
			b.guest[q].data = GUEST_DATA;
			for (unsigned int i = 0; i < 8; i++)
				sent[q][i] = bench_send(&b, q, session, 256);
			bench_kick(&b, q);
		}
		/* Half the rounds destroy it while requests are on their way. */
		if (round % 2) {
			assert_true(bench_wait(&b, 0, 8));
			assert_true(bench_wait(&b, 1, 8));
		}
		b.guest[2].data = GUEST_DATA;
		sent[0][0].status = bench_destroy(&b, session).status;
		bench_kick(&b, 2);
		assert_true(bench_wait(&b, 2, 1));
		if (round % 2 == 0) {
			assert_true(bench_wait(&b, 0, 8));
			assert_true(bench_wait(&b, 1, 8));
		}
		for (unsigned int i = 1; i < 8; i++) {
			uint8_t s = bench_status(&b, 1, sent[1][i]);

			assert_true(s == VIRTIO_CRYPTO_OK ||
			            (round % 2 == 0 && s == VIRTIO_CRYPTO_INVSESS));
		}
	}
	assert_int_equal(session_table_count(b.device->sessions), 0);
	for (unsigned int q = 0; q < 3; q++)
		assert_int_equal(bench_stop(&b, q), 0);
	bench_close(&b);
	resource_destroy(resources[0]);
	resource_destroy(resources[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_destroyed_session_ends_with_its_last_request),
		cmocka_unit_test(a_session_destroyed_by_message_is_not_waited_for),
		cmocka_unit_test(sessions_that_end_together_are_not_waited_for),
		cmocka_unit_test(sessions_come_and_go_under_load),
	};

	log_open("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
