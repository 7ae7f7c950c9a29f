/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device on its way out: its driver is given time to stop, and then its queues stay unread,
 * also those that start only now. A resource on its way out: what it has comes back, nothing new
 * goes there, and sessions forget it.
 */
#include <errno.h>
#include <stdatomic.h>

#include "base/util.h"
#include "worker_fixture.h"

static void note_answer(void *context, int result)
{
	atomic_int *answer = context;

	atomic_store(answer, result ? result : 1);
}

static bool answered(atomic_int *answer, unsigned int ms)
{
	for (unsigned int i = 0; i < ms && !atomic_load(answer); i++)
		sleep_ms(1);
	return atomic_load(answer) == 1;
}

static void check_sent(struct bench *b, unsigned int queue, struct sent sent)
{
	assert_true(bench_wait(b, queue, 1));
	assert_int_equal(bench_status(b, queue, sent), 0);
}

static void a_driver_that_goes_on_is_waited_for(void **state)
{
	atomic_int answer = 0;
	struct fakes f;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	bench_start(&f.b, 0, 0);
	assert_int_equal(worker_device_empty_begin(f.b.worker[0], f.b.device, note_answer, &answer),
	                 0);
	for (unsigned int i = 0; i < 20; i++) {
		struct sent sent = bench_send(&f.b, 0, session, 64);

		bench_kick(&f.b, 0);
		check_sent(&f.b, 0, sent);
		assert_int_equal(atomic_load(&answer), 0);
		sleep_ms(15);
	}
	assert_true(answered(&answer, 5000));
	/* It only waited: the queue is read. */
	struct sent sent = bench_send(&f.b, 0, session, 64);

	bench_kick(&f.b, 0);
	check_sent(&f.b, 0, sent);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

static void what_waits_in_the_ring_is_waited_for(void **state)
{
	atomic_int answer = 0;
	struct sent sent[2];
	struct fakes f;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	f.b.device->share_bytes = 64;
	bench_start(&f.b, 0, 0);
	atomic_store(&f.fake[0]->hold, true);
	for (unsigned int i = 0; i < 2; i++)
		sent[i] = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	while (atomic_load(&f.fake[0]->submitted) < 1)
		sleep_ms(1);
	assert_int_equal(worker_device_in_flight(f.b.worker[0], f.b.device), 1);
	assert_int_equal(worker_device_empty_begin(f.b.worker[0], f.b.device, note_answer, &answer),
	                 0);
	assert_false(answered(&answer, 300));
	atomic_store(&f.fake[0]->hold, false);
	fake_release(f.fake[0]);
	for (unsigned int i = 0; i < 2; i++)
		check_sent(&f.b, 0, sent[i]);
	assert_true(answered(&answer, 5000));
	assert_int_equal(worker_device_in_flight(f.b.worker[0], f.b.device), 0);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

static void a_device_without_queues_is_empty_at_once(void **state)
{
	atomic_int answer = 0;
	struct fakes f;

	fakes_open(&f, 1);
	assert_int_equal(worker_device_empty_begin(f.b.worker[0], f.b.device, note_answer, &answer),
	                 0);
	assert_true(answered(&answer, 1000));
	fakes_close(&f);
}

static void a_queue_of_a_held_device_is_not_read(void **state)
{
	struct fakes f;
	struct sent sent;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	f.b.device->held = true;
	bench_start(&f.b, 0, 0);
	sent = bench_send(&f.b, 0, session, 64);
	event_signal(f.b.device->queue[0].kick_fd);
	sleep_ms(50);
	assert_int_equal(bench_status(&f.b, 0, sent), 0xee);
	f.b.device->held = false;
	worker_device_resume(f.b.worker[0], f.b.device);
	check_sent(&f.b, 0, sent);
	/* And sleeps as any other. */
	sleep_ms(50);
	sent = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	check_sent(&f.b, 0, sent);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

/* The bench's group with only some of its resources. */
static struct group only(const struct bench *b, unsigned int first, unsigned int count)
{
	struct group group = b->group;

	for (unsigned int i = 0; i < count; i++)
		group.resource[i] = b->group.resource[first + i];
	group.count = count;
	group.primary = 1;
	return group;
}

static void change_group(struct bench *b, const struct group *group)
{
	const struct group *was = b->device->group;

	b->device->group = group;
	worker_group_replace(b->worker[0], was, group);
}

static void done_by(struct fakes *f, unsigned int which, uint64_t session)
{
	uint64_t before[2] = {atomic_load(&f->fake[0]->submitted),
	                      atomic_load(&f->fake[1]->submitted)};
	struct sent sent = bench_send(&f->b, 0, session, 64);

	bench_kick(&f->b, 0);
	check_sent(&f->b, 0, sent);
	assert_int_equal(atomic_load(&f->fake[which]->submitted), before[which] + 1);
	assert_int_equal(atomic_load(&f->fake[!which]->submitted), before[!which]);
}

static void a_resource_is_left_drained_and_used_again(void **state)
{
	struct group without, with;
	atomic_int answer = 0;
	struct sent sent;
	struct fakes f;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	bench_start(&f.b, 0, 0);
	done_by(&f, 0, session);
	atomic_store(&f.fake[0]->hold, true);
	sent = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	while (atomic_load(&f.fake[0]->submitted) < 2)
		sleep_ms(1);
	without = only(&f.b, 1, 1);
	change_group(&f.b, &without);
	assert_int_equal(
		worker_resource_drain_begin(f.b.worker[0], f.b.resource[0], note_answer, &answer),
		0);
	/* Others go on, elsewhere, and longer than anything else is waited for. */
	assert_false(answered(&answer, 50));
	atomic_store(&f.fake[0]->hold, false);
	fake_release(f.fake[0]);
	check_sent(&f.b, 0, sent);
	assert_true(answered(&answer, 5000));
	assert_int_equal(atomic_load(&f.fake[0]->realised), atomic_load(&f.fake[0]->dropped));
	done_by(&f, 1, session);
	with = f.b.group;
	change_group(&f.b, &with);
	done_by(&f, 0, session);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

static void a_drain_that_is_taken_back_forgets_nothing(void **state)
{
	atomic_int answer = 0;
	struct sent sent;
	struct fakes f;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	bench_start(&f.b, 0, 0);
	atomic_store(&f.fake[0]->hold, true);
	sent = bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	while (atomic_load(&f.fake[0]->submitted) < 1)
		sleep_ms(1);
	assert_int_equal(
		worker_resource_drain_begin(f.b.worker[0], f.b.resource[0], note_answer, &answer),
		0);
	worker_resource_resume(f.b.worker[0], f.b.resource[0]);
	for (unsigned int i = 0; !atomic_load(&answer) && i < 5000; i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(&answer), -ECANCELED);
	atomic_store(&f.fake[0]->hold, false);
	fake_release(f.fake[0]);
	check_sent(&f.b, 0, sent);
	assert_int_equal(atomic_load(&f.fake[0]->dropped), 0);
	done_by(&f, 0, session);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

static void an_instance_is_closed_and_opened_between_rounds(void **state)
{
	atomic_int answer = 0;
	struct group without, with;
	struct fakes f;
	uint64_t session;

	fakes_open(&f, 1);
	session = bench_session(&f.b);
	bench_start(&f.b, 0, 0);
	done_by(&f, 0, session);
	without = only(&f.b, 1, 1);
	change_group(&f.b, &without);
	assert_int_equal(
		worker_resource_drain_begin(f.b.worker[0], f.b.resource[0], note_answer, &answer),
		0);
	assert_true(answered(&answer, 5000));
	worker_resource_close(f.b.worker[0], f.b.resource[0]);
	assert_null(worker_resource_counters(f.b.worker[0], f.b.resource[0]));
	done_by(&f, 1, session);
	assert_int_equal(worker_resource_open(f.b.worker[0], f.b.resource[0]), 0);
	done_by(&f, 1, session);
	with = f.b.group;
	change_group(&f.b, &with);
	done_by(&f, 0, session);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_driver_that_goes_on_is_waited_for),
		cmocka_unit_test(what_waits_in_the_ring_is_waited_for),
		cmocka_unit_test(a_device_without_queues_is_empty_at_once),
		cmocka_unit_test(a_queue_of_a_held_device_is_not_read),
		cmocka_unit_test(a_resource_is_left_drained_and_used_again),
		cmocka_unit_test(a_drain_that_is_taken_back_forgets_nothing),
		cmocka_unit_test(an_instance_is_closed_and_opened_between_rounds),
	};

	return cmocka_run_group_tests_name("worker_drain", tests, NULL, NULL);
}
