/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that an application may have closed, and replaced by others: descriptor.c, on those
 * of the kernel.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "openssl/core/internal.h"

#define KINDS 3

static int kind_open(unsigned int kind)
{
	switch (kind) {
	case 0:
		return eventfd(0, EFD_CLOEXEC);
	case 1:
		return epoll_create1(EPOLL_CLOEXEC);
	default:
		return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	}
}

static void what_is_kept_is_ours(void **state)
{
	(void)state;
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		struct descriptor d;
		int fd = kind_open(kind);

		assert_int_equal(descriptor_keep(&d, fd), 0);
		assert_int_equal(d.fd, fd);
		assert_true(descriptor_is_ours(&d));
		descriptor_close(&d);
		assert_false(descriptor_is_ours(&d));
		assert_int_equal(fcntl(fd, F_GETFD), -1);
	}
}

/* One of the application's, and one of ours from another time. */
static void another_at_the_same_number_is_not(void **state)
{
	(void)state;
	for (unsigned int kind = 0; kind < KINDS * KINDS; kind++) {
		struct descriptor old, d;
		int fd = kind_open(kind % KINDS);

		assert_int_equal(descriptor_keep(&old, fd), 0);
		close(fd);
		assert_false(descriptor_is_ours(&old));
		assert_int_equal(kind_open(kind / KINDS), fd);
		assert_false(descriptor_is_ours(&old));
		assert_int_equal(descriptor_keep(&d, fd), 0);
		assert_false(descriptor_is_ours(&old));
		descriptor_close(&old);
		assert_true(descriptor_is_ours(&d));
		descriptor_close(&d);
	}
}

static void not_among_the_standard_streams(void **state)
{
	int input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	struct descriptor d;

	(void)state;
	close(STDIN_FILENO);
	assert_int_equal(descriptor_keep(&d, eventfd(0, EFD_CLOEXEC)), 0);
	assert_true(d.fd > STDERR_FILENO);
	assert_true(descriptor_is_ours(&d));
	assert_int_equal(fcntl(d.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
	descriptor_close(&d);
	if (input >= 0) {
		dup2(input, STDIN_FILENO);
		close(input);
	}
}

static void what_was_not_opened_is_nothing(void **state)
{
	struct descriptor d;

	(void)state;
	assert_int_equal(descriptor_keep(&d, -24), -24);
	assert_false(descriptor_is_ours(&d));
	descriptor_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept_is_ours),
		cmocka_unit_test(another_at_the_same_number_is_not),
		cmocka_unit_test(not_among_the_standard_streams),
		cmocka_unit_test(what_was_not_opened_is_nothing),
	};

	return cmocka_run_group_tests_name("core-descriptor", tests, NULL, NULL);
}
