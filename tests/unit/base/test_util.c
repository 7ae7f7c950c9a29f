/* SPDX-License-Identifier: Apache-2.0 */
/*
 * util, poller, log: clocks, sockets and descriptors over them, the runtime directory, when to
 * sleep, what a log line looks like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/poller.h"
#include "base/util.h"

static char dir[] = "/tmp/vcrypto-util-XXXXXX";

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

static unsigned int open_fds(void)
{
	DIR *fds = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(fds))
		n++;
	closedir(fds);
	return n;
}

static void test_tick_rate_agrees_with_the_clock(void **state)
{
	uint64_t per_us = clock_ticks_per_us();
	uint64_t us = 0, ns = 0;

	/* On a loaded machine a thread may lose its CPU between reading one and the other. */
	for (unsigned int i = 0; i < 50; i++) {
		ns = clock_now_ns();
		us = clock_ticks();
		usleep(20000);
		us = (clock_ticks() - us) / per_us;
		ns = clock_now_ns() - ns;
		if (us >= ns / 1000 * 9 / 10 && us <= ns / 1000 * 11 / 10)
			return;
	}
	assert_in_range(us, ns / 1000 * 9 / 10, ns / 1000 * 11 / 10);
}

static void test_runtime_directory(void **state)
{
	mode_t mask = umask(077);
	char expected[128];
	char path[128];
	struct stat st;

	unsetenv("VCRYPTO_RUNTIME_DIR");
	assert_string_equal(runtime_dir(), "/run/vcrypto");
	snprintf(expected, sizeof(expected), "%s/run", dir);
	setenv("VCRYPTO_RUNTIME_DIR", expected, 1);
	assert_string_equal(runtime_dir(), expected);
	assert_int_equal(runtime_dir_make(), 0);
	umask(mask);
	assert_int_equal(stat(expected, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(runtime_dir_make(), 0);
	assert_int_equal(runtime_path("host.ctl", path, sizeof(path)), 0);
	assert_string_equal(path + strlen(expected), "/host.ctl");
	assert_int_equal(runtime_path("host.ctl", path, strlen(expected) + 9), -ENAMETOOLONG);
	rmdir(expected);
	close(creat(expected, 0600));
	assert_int_equal(runtime_dir_make(), -ENOTDIR);
	unlink(expected);
	setenv("VCRYPTO_RUNTIME_DIR", "/nonexistent/run", 1);
	assert_int_equal(runtime_dir_make(), -ENOENT);
	unsetenv("VCRYPTO_RUNTIME_DIR");
}

static void test_stale_socket_is_replaced_and_live_one_not(void **state)
{
	struct stat st;
	char path[128];
	int first;
	int second;

	snprintf(path, sizeof(path), "%s/sock", dir);
	first = unix_listen(path, SOCK_SEQPACKET, 0640, 4);
	assert_true(first >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(unix_listen(path, SOCK_SEQPACKET, 0600, 4), -EADDRINUSE);
	/* Of the other type, and still live. */
	assert_int_equal(unix_listen(path, SOCK_STREAM, 0600, 4), -EADDRINUSE);
	close(first);
	assert_int_equal(unix_connect(path, SOCK_SEQPACKET), -ECONNREFUSED);
	second = unix_listen(path, SOCK_SEQPACKET, 0600, 4);
	assert_true(second >= 0);
	first = unix_connect(path, SOCK_SEQPACKET);
	assert_true(first >= 0);
	assert_true(fcntl(first, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
	close(first);
	close(second);
	unlink(path);
}

static void test_what_is_no_socket_is_left_alone(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/file", dir);
	close(creat(path, 0600));
	assert_int_equal(unix_listen(path, SOCK_STREAM, 0600, 4), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(unix_listen(path, SOCK_STREAM, 0600, 4), -ENAMETOOLONG);
	assert_int_equal(unix_connect("", SOCK_STREAM), -EINVAL);
}

static void test_descriptors_are_passed(void **state)
{
	unsigned int n = 4;
	char data[16];
	int fds[4];
	int pair[2];
	int event = event_create();

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(unix_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), -EAGAIN);
	assert_int_equal(unix_send_fds(pair[0], "hello", 5, (int[]){event, event}, 2, 0), 5);
	n = 4;
	assert_int_equal(unix_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), 5);
	assert_int_equal(n, 2);
	assert_memory_equal(data, "hello", 5);
	assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
	event_signal(fds[0]);
	assert_true(event_clear(event));
	assert_false(event_clear(event));
	close(fds[0]);
	close(fds[1]);

	assert_int_equal(unix_send_fds(pair[0], "x", 1, NULL, 0, 0), 1);
	assert_int_equal(unix_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), 1);
	assert_int_equal(n, 0);
	close(pair[0]);
	assert_int_equal(unix_recv_fds(pair[1], data, sizeof(data), NULL, NULL, 0), 0);
	assert_int_equal(unix_send_fds(pair[1], "x", 1, NULL, 0, 0), -EPIPE);
	close(pair[1]);
	close(event);
}

static void test_unwanted_descriptors_are_closed(void **state)
{
	unsigned int before;
	unsigned int n = 1;
	char data[16];
	int many[253];
	int fds[1];
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	before = open_fds();
	for (int i = 0; i < 253; i++)
		many[i] = pair[0];
	assert_int_equal(unix_send_fds(pair[0], "hello", 5, many, 2, 0), 5);
	assert_int_equal(unix_recv_fds(pair[1], data, sizeof(data), fds, &n, 0), -EPROTO);
	assert_int_equal(n, 0);
	assert_int_equal(unix_send_fds(pair[0], "hello", 5, many, 253, 0), 5);
	assert_int_equal(unix_recv_fds(pair[1], data, sizeof(data), NULL, NULL, 0), -EPROTO);
	assert_int_equal(unix_send_fds(pair[0], "hello", 5, many, 254, 0), -EINVAL);
	/* Too long for the room that there is. */
	n = 1;
	assert_int_equal(unix_send_fds(pair[0], "hello", 5, many, 1, 0), 5);
	assert_int_equal(unix_recv_fds(pair[1], data, 4, fds, &n, 0), -EMSGSIZE);
	assert_int_equal(open_fds(), before);
	close(pair[0]);
	close(pair[1]);
}

static void test_poller_spins_yields_sleeps(void **state)
{
	struct poller poller;
	uint64_t start = clock_now_ns();
	bool sleep;

	poller_init(&poller, 1000, 5000);
	assert_false(poller_idle(&poller, true));
	do
		sleep = poller_idle(&poller, false);
	while (!sleep);
	assert_in_range(clock_now_ns() - start, 4500000, 500000000);
	assert_true(poller.yields > 0);
	assert_int_equal(poller.sleeps, 1);
	/* Woken for nothing: another budget before the next sleep. */
	assert_false(poller_idle(&poller, false));
	assert_int_equal(poller.wakeups, 0);
	while (!poller_idle(&poller, false))
		;
	assert_false(poller_idle(&poller, true));
	assert_int_equal(poller.sleeps, 2);
	assert_int_equal(poller.wakeups, 1);
}

static void test_poller_without_budget_sleeps_at_once(void **state)
{
	struct poller poller;

	poller_init(&poller, 0, 0);
	assert_false(poller_idle(&poller, true));
	assert_true(poller_idle(&poller, false));
	assert_true(poller_idle(&poller, false));
}

static void *yield_until_told(void *stop)
{
	thread_pin(sched_getcpu());
	while (!atomic_load((atomic_bool *)stop))
		sched_yield();
	return NULL;
}

/* Another thread on this CPU has its turn between any two looks. */
static void test_poller_notices_company(void **state)
{
	uint64_t end = clock_now_ns() + 20000000000u;
	atomic_bool stop = false;
	struct poller poller;
	cpu_set_t before, one;
	pthread_t thread;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	poller_init(&poller, 0, 1000000);
	assert_false(poller_idle(&poller, true));
	assert_false(poller_patient(&poller));
	assert_int_equal(pthread_create(&thread, NULL, yield_until_told, &stop), 0);
	while (!poller.company && clock_now_ns() < end)
		poller_idle(&poller, false);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	assert_true(poller.company);
	/* Not again before the next work. */
	assert_false(poller_patient(&poller));
	assert_false(poller_idle(&poller, true));
	assert_true(poller_patient(&poller));
	poller_leave(&poller);
	assert_false(poller_patient(&poller));
}

static void test_poller_with_company_has_enough_sooner(void **state)
{
	struct poller poller;

	poller_init(&poller, 0, 1000000);
	poller_idle(&poller, true);
	for (unsigned int i = 0; i < 100; i++) {
		assert_false(poller_enough(&poller));
		assert_false(poller_idle(&poller, false));
		poller.company = poller.crowded = 0;
	}
	assert_true(poller.looks == 100);
	poller.company = 1;
	assert_true(poller_enough(&poller));
	assert_int_equal(poller.sleeps, 1);
	poller_idle(&poller, true);
	assert_int_equal(poller.wakeups, 1);
	assert_false(poller_enough(&poller));
	/* Somebody computes here: at once. */
	poller.crowded = 1;
	assert_true(poller_enough(&poller));
	assert_false(poller_enough(&poller));
}

static void test_thread_pin_refuses_bad_cpus(void **state)
{
	assert_int_equal(thread_pin(-1), -EINVAL);
	assert_int_equal(thread_pin(1 << 20), -EINVAL);
	assert_int_equal(thread_pin(1000), -EINVAL);
}

/* What a call logs, read back through a pipe in place of standard error. */
static void log_capture(char *text, size_t size, enum log_level level, const char *message,
                        bool journal)
{
	int saved = dup(STDERR_FILENO);
	int ends[2];
	ssize_t n;

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	if (journal) {
		struct stat st;
		char stream[64];

		assert_int_equal(fstat(ends[1], &st), 0);
		snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev,
		         (unsigned long)st.st_ino);
		setenv("JOURNAL_STREAM", stream, 1);
	}
	log_open("test", LOG_LEVEL_NOTICE);
	log_write(level, "%s", message);
	dup2(saved, STDERR_FILENO);
	n = read(ends[0], text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

static void test_log_lines(void **state)
{
	enum log_level level;
	char text[4096];
	char longest[4000];

	log_capture(text, sizeof(text), LOG_LEVEL_NOTICE, "hello", false);
	assert_non_null(strstr(text, " test: hello\n"));
	log_capture(text, sizeof(text), LOG_LEVEL_ERROR, "a\nb\x1b[m", false);
	assert_non_null(strstr(text, " test: error: a?b?[m\n"));
	log_capture(text, sizeof(text), LOG_LEVEL_INFO, "dropped", false);
	assert_string_equal(text, "");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	log_capture(text, sizeof(text), LOG_LEVEL_NOTICE, longest, false);
	assert_in_range(strlen(text), 1000, 2048);
	assert_int_equal(text[strlen(text) - 1], '\n');

	/* As systemd wants it. */
	log_capture(text, sizeof(text), LOG_LEVEL_WARNING, "hello", true);
	assert_string_equal(text, "<4>hello\n");
	log_capture(text, sizeof(text), LOG_LEVEL_WARNING, "hello", false);
	assert_non_null(strstr(text, " test: warning: hello\n"));

	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("1", &level), 0);
	assert_int_equal(level, LOG_LEVEL_WARNING);
	assert_int_equal(log_level_parse("5", &level), -EINVAL);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
}

static void test_a_flood_is_counted_not_logged(void **state)
{
	struct log_limit limit = {0}, other = {0};
	unsigned int left_out;

	for (unsigned int i = 0; i < 1000; i++) {
		assert_int_equal(log_limit_pass(&limit, &left_out), i < LOG_LIMIT_LINES);
		assert_int_equal(left_out, 0);
	}
	assert_true(log_limit_pass(&other, &left_out));
	/* As if so many seconds had passed. */
	atomic_store(&limit.begin, clock_now_ns() - (LOG_LIMIT_SECONDS + 1) * 1000000000ull);
	assert_true(log_limit_pass(&limit, &left_out));
	assert_int_equal(left_out, 1000 - LOG_LIMIT_LINES);
	assert_true(log_limit_pass(&limit, &left_out));
	assert_int_equal(left_out, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tick_rate_agrees_with_the_clock),
		cmocka_unit_test(test_runtime_directory),
		cmocka_unit_test(test_stale_socket_is_replaced_and_live_one_not),
		cmocka_unit_test(test_what_is_no_socket_is_left_alone),
		cmocka_unit_test(test_descriptors_are_passed),
		cmocka_unit_test(test_unwanted_descriptors_are_closed),
		cmocka_unit_test(test_poller_spins_yields_sleeps),
		cmocka_unit_test(test_poller_without_budget_sleeps_at_once),
		cmocka_unit_test(test_poller_notices_company),
		cmocka_unit_test(test_poller_with_company_has_enough_sooner),
		cmocka_unit_test(test_thread_pin_refuses_bad_cpus),
		cmocka_unit_test(test_log_lines),
		cmocka_unit_test(test_a_flood_is_counted_not_logged),
	};

	return cmocka_run_group_tests_name("util", tests, make_dir, remove_dir);
}
