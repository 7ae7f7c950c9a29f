/* SPDX-License-Identifier: Apache-2.0 */
/* Waking clients: eventfds of strangers never block the daemon. */
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "engined/wake.h"

static void eventfds_are_known(void **state)
{
	int fd = eventfd(0, 0), pipes[2];

	assert_true(wake_is_eventfd(fd));
	assert_int_equal(pipe(pipes), 0);
	assert_false(wake_is_eventfd(pipes[1]));
	assert_false(wake_is_eventfd(12345));
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

static void both_ways_signal(void **state)
{
	struct wake *wake = wake_create();
	int i, fd[100];

	assert_non_null(wake);
	for (i = 0; i < 100; i++) {
		fd[i] = event_create();
		wake_event(wake, fd[i], i & 1);
	}
	wake_flush(wake);
	for (i = 0; i < 100; i++) {
		assert_true(event_clear(fd[i]));
		assert_false(event_clear(fd[i]));
		close(fd[i]);
	}
	wake_destroy(wake);
}

/* However many there are between two flushes, and whoever comes first. */
static void each_round_signals_all_of_it(void **state)
{
	static const char *const rounds[] = {"t", "s", "tt", "ts", "st", "ttt", "sts", "", "t"};
	struct wake *wake = wake_create();
	int fd[3];

	assert_non_null(wake);
	for (unsigned int r = 0; r < vc_array_size(rounds); r++) {
		size_t n = strlen(rounds[r]);

		for (size_t i = 0; i < n; i++) {
			fd[i] = event_create();
			wake_event(wake, fd[i], rounds[r][i] == 't');
		}
		wake_flush(wake);
		for (size_t i = 0; i < n; i++) {
			assert_true(event_clear(fd[i]));
			close(fd[i]);
		}
	}
	wake_destroy(wake);
}

/* A counter that is full, and a descriptor that would wait: write(2) would sleep here for ever. */
static void full_counters_do_not_block(void **state)
{
	struct wake *wake = wake_create();
	uint64_t full = UINT64_MAX - 1;
	int fd = eventfd(0, 0), other = event_create();

	if (!wake_strangers(wake)) {
		wake_destroy(wake);
		skip();
	}
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	wake_event(wake, fd, false);
	wake_event(wake, other, false);
	wake_flush(wake);
	assert_true(event_clear(other));
	close(fd);
	close(other);
	wake_destroy(wake);
}

/* One that cannot be signalled does not keep the others from it. */
static void bad_descriptors_are_left_out(void **state)
{
	struct wake *wake = wake_create();
	int a = event_create(), b = event_create();

	wake_event(wake, a, false);
	wake_event(wake, STDIN_FILENO, false);
	wake_event(wake, 12345, false);
	wake_event(wake, b, false);
	wake_flush(wake);
	if (wake_strangers(wake)) {
		assert_true(event_clear(a));
		assert_true(event_clear(b));
	}
	close(a);
	close(b);
	wake_destroy(wake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eventfds_are_known),
		cmocka_unit_test(both_ways_signal),
		cmocka_unit_test(each_round_signals_all_of_it),
		cmocka_unit_test(full_counters_do_not_block),
		cmocka_unit_test(bad_descriptors_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
