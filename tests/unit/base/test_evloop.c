/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evloop: descriptors, timers and signals arrive; watches may go at any time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/evloop.h"
#include "base/util.h"

struct fixture {
	struct evloop *loop;
	int events[2];
	struct evwatch *watches[2];
	int count[2];
	int signal;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	*state = &f;
	if (evloop_create(&f.loop))
		return -1;
	for (int i = 0; i < 2; i++)
		f.events[i] = event_create();
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	evloop_destroy(f->loop);
	close(f->events[0]);
	close(f->events[1]);
	return 0;
}

static void count_event(void *context, int fd, uint32_t events)
{
	struct fixture *f = context;

	assert_true(events & EPOLLIN);
	event_clear(fd);
	f->count[fd == f->events[1]]++;
}

static void test_descriptor_is_watched(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(evloop_add(f->loop, f->events[0], EPOLLIN, count_event, f, &f->watches[0]),
	                 0);
	assert_int_equal(evloop_add(f->loop, f->events[0], EPOLLIN, count_event, f, NULL), -EEXIST);
	assert_int_equal(evloop_once(f->loop, 0), 0);
	event_signal(f->events[0]);
	assert_int_equal(evloop_once(f->loop, 1000), 1);
	assert_int_equal(f->count[0], 1);

	assert_int_equal(evloop_modify(f->watches[0], 0), 0);
	event_signal(f->events[0]);
	assert_int_equal(evloop_once(f->loop, 0), 0);
	assert_int_equal(evloop_modify(f->watches[0], EPOLLIN), 0);
	assert_int_equal(evloop_once(f->loop, 0), 1);
	assert_int_equal(f->count[0], 2);
}

/* Whichever of the two is called first takes away both, and closes and reuses a descriptor. */
static void remove_both(void *context, int fd, uint32_t events)
{
	struct fixture *f = context;

	f->count[0]++;
	evloop_remove(f->watches[0]);
	evloop_remove(f->watches[1]);
	close(f->events[1]);
	f->events[1] = event_create();
	event_signal(f->events[1]);
}

static void test_callback_removes_watches(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			evloop_add(f->loop, f->events[i], EPOLLIN, remove_both, f, &f->watches[i]),
			0);
		event_signal(f->events[i]);
	}
	assert_int_equal(evloop_once(f->loop, 1000), 2);
	assert_int_equal(f->count[0], 1);
	assert_int_equal(evloop_once(f->loop, 0), 0);
	evloop_remove(NULL);
}

static void count_timer(void *context)
{
	struct fixture *f = context;

	f->count[0]++;
}

static void stop_loop(void *context)
{
	struct fixture *f = context;

	f->count[1]++;
	evloop_remove(f->watches[1]);
	evloop_stop(f->loop);
}

static void test_timers_fire_once(void **state)
{
	struct fixture *f = *state;
	struct evwatch *cancelled;
	uint64_t start = clock_now_ns();

	assert_int_equal(evloop_timer(f->loop, 0, count_timer, f, &f->watches[0]), 0);
	assert_int_equal(evloop_timer(f->loop, 5, count_timer, f, &cancelled), 0);
	assert_int_equal(evloop_timer(f->loop, 30, stop_loop, f, &f->watches[1]), 0);
	evloop_remove(cancelled);
	assert_int_equal(evloop_run(f->loop), 0);
	assert_true(clock_now_ns() - start >= 30000000);
	assert_int_equal(f->count[0], 1);
	assert_int_equal(f->count[1], 1);
	evloop_remove(f->watches[0]);
}

static void test_stop_before_run_counts(void **state)
{
	struct fixture *f = *state;

	evloop_stop(f->loop);
	assert_int_equal(evloop_run(f->loop), 0);
}

static void take_signal(void *context, int signal)
{
	struct fixture *f = context;

	f->signal = signal;
}

static void test_signals_arrive_in_the_loop(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(evloop_signal(f->loop, SIGUSR1, take_signal, f), 0);
	assert_int_equal(evloop_signal(f->loop, SIGUSR2, take_signal, f), 0);
	assert_int_equal(evloop_signal(f->loop, 0, take_signal, f), -EINVAL);
	kill(getpid(), SIGUSR1);
	assert_int_equal(f->signal, 0);
	assert_int_equal(evloop_once(f->loop, 1000), 1);
	assert_int_equal(f->signal, SIGUSR1);
	kill(getpid(), SIGUSR2);
	assert_int_equal(evloop_once(f->loop, 1000), 1);
	assert_int_equal(f->signal, SIGUSR2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_descriptor_is_watched, setup, teardown),
		cmocka_unit_test_setup_teardown(test_callback_removes_watches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers_fire_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_before_run_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals_arrive_in_the_loop, setup, teardown),
	};

	return cmocka_run_group_tests_name("evloop", tests, NULL, NULL);
}
