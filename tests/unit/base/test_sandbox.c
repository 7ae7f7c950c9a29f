/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process can still do, and what ends it, once it has given up what the daemons give up.
 * Each attempt is a process of its own, because there is no way back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/notifier.h"
#include "base/sandbox.h"
#include "base/util.h"

#define CANNOT 99 /* the library is not there, or a sanitizer is */

/* 0, or an errno, or another number below CANNOT. */
typedef int attempt_fn(void);

static int confined(unsigned int needs, attempt_fn *attempt)
{
	struct sandbox sandbox;
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		sandbox_privileges(&sandbox, NULL, 0);
		if (sandbox_seal(&sandbox, needs))
			_exit(CANNOT);
		_exit(attempt());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
		print_message("no filter of system calls in this build\n");
		skip();
	}
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Of a system call as it is, without libc's detours. */
static int result(long value)
{
	return value < 0 ? errno : 0;
}

static int try_open(void)
{
	return result(syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY));
}

static int try_create(void)
{
	return result(syscall(SYS_open, "/tmp/vcrypto-sandbox", O_CREAT | O_EXCL | O_WRONLY, 0600));
}

static int try_exec(void)
{
	char *const argv[] = {(char *)"true", NULL};

	return result(execv("/bin/true", argv));
}

static int try_fork(void)
{
	return result(fork());
}

static void *nothing(void *argument)
{
	return argument;
}

static int try_thread(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, nothing, NULL);
}

static int try_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int try_to_make_data_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	return result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int try_internet(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_to_listen(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	return s < 0 ? errno : result(listen(s, 1));
}

static int try_trace(void)
{
	return result(syscall(SYS_ptrace, 0, 0, 0, 0));
}

static int try_ioctl(void)
{
	return result(syscall(SYS_ioctl, 0, 0x5401, NULL));
}

static void files_are_not_opened(void **state)
{
	assert_int_equal(confined(0, try_open), EPERM);
	assert_int_equal(confined(0, try_create), EPERM);
	assert_int_equal(confined(0, try_ioctl), EPERM);
}

static void what_only_an_attacker_does_is_the_end(void **state)
{
	attempt_fn *const attempts[] = {
		try_exec,     try_fork,      try_thread, try_code, try_to_make_data_code,
		try_internet, try_to_listen, try_trace};

	for (size_t i = 0; i < vc_array_size(attempts); i++) {
		assert_int_equal(confined(0, attempts[i]), -SIGSYS);
		assert_int_equal(confined(SANDBOX_DEVICES, attempts[i]), -SIGSYS);
	}
}

static int try_to_serve_more(void)
{
	char path[64];
	struct stat st;
	int err, fd;

	snprintf(path, sizeof(path), "/tmp/vcrypto-sandbox-%d.sock", (int)getpid());
	fd = unix_listen(path, SOCK_STREAM, 0660, 1);
	if (fd < 0)
		return -fd;
	err = stat(path, &st) ? errno : (st.st_mode & 0777) != 0660;
	if (unlink(path))
		err = errno;
	return err;
}

/* As a resource makes its threads. */
static int try_pinned_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	cpu_set_t cpus;
	int err;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return errno;
	pthread_attr_init(&attributes);
	pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
	err = pthread_create(&thread, &attributes, nothing, NULL);
	pthread_attr_destroy(&attributes);
	return err ? err : pthread_join(thread, NULL);
}

static int try_clone3(void)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};

	return result(syscall(SYS_clone3, &args, sizeof(args)));
}

static int try_namespace(void)
{
	return result(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
}

static void what_grows_makes_sockets_and_threads(void **state)
{
	assert_int_equal(confined(SANDBOX_GROWTH, try_to_serve_more), 0);
	assert_int_equal(confined(SANDBOX_GROWTH, try_thread), 0);
	assert_int_equal(confined(SANDBOX_GROWTH, try_pinned_thread), 0);
}

static void and_no_processes(void **state)
{
	attempt_fn *const attempts[] = {try_exec,     try_fork,  try_namespace,        try_code,
	                                try_internet, try_trace, try_to_make_data_code};

	for (size_t i = 0; i < vc_array_size(attempts); i++)
		assert_int_equal(confined(SANDBOX_GROWTH, attempts[i]), -SIGSYS);
	assert_int_equal(confined(SANDBOX_GROWTH, try_clone3), ENOSYS);
	assert_int_equal(confined(SANDBOX_GROWTH, try_open), EPERM);
}

static void a_device_may_be_opened_again_where_that_is_needed(void **state)
{
	assert_int_equal(confined(SANDBOX_DEVICES, try_open), 0);
	assert_int_not_equal(confined(SANDBOX_DEVICES, try_ioctl), EPERM);
}

/* Another process's message with a descriptor, memory, keys, eventfds. */
static int serve(void)
{
	int pair[2], memory = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING), got;
	unsigned int n = 1;
	uint8_t *map, byte = 7;

	if (memory < 0 || ftruncate(memory, 8192) < 0 ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		return 1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return 2;
	if (unix_send_fds(pair[0], &byte, 1, &memory, 1, 0) != 1 ||
	    unix_recv_fds(pair[1], &byte, 1, &got, &n, 0) != 1 || n != 1)
		return 3;
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, got, 0);
	if (map == MAP_FAILED || (mlock(map, 4096) < 0 && errno != ENOMEM))
		return 4;
	map[0] = byte;
	free(malloc(8u << 20));
	return munmap(map, 8192) || close(got) ? 5 : notifier_is_eventfd(event_create()) ? 0 : 6;
}

static struct notifier *notifier;
static int signalled;

static int notify(void)
{
	notifier_signal(notifier, signalled);
	notifier_flush(notifier);
	return event_clear(signalled) ? 0 : 1;
}

static void what_a_daemon_does_all_day_still_works(void **state)
{
	assert_int_equal(confined(0, serve), 0);
	assert_int_equal(confined(SANDBOX_DEVICES, serve), 0);
}

static int make_and_seal(void)
{
	struct sandbox sandbox;

	signalled = event_create();
	if (notifier_create(&notifier))
		return 1;
	return sandbox_seal(&sandbox, 0) ? CANNOT : notify();
}

/* The notifier is there before, as in the host. */
static void an_eventfd_is_signalled_by_asynchronous_io(void **state)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(make_and_seal());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int go[2], said[2];

static void *thread_tries(void *argument)
{
	char byte = 0;
	int got;

	if (read(go[0], &byte, 1) != 1)
		return argument;
	/* Its own name, and its place behind others, even now. */
	got = prctl(PR_SET_NAME, "late") ? 50 : try_open();
	(void)!write(said[1], &got, sizeof(got));
	return argument;
}

static int thread_before(void)
{
	struct sandbox sandbox;
	pthread_t thread;
	int got = 1;

	if (pipe(go) || pipe(said) || pthread_create(&thread, NULL, thread_tries, NULL))
		return 1;
	if (sandbox_seal(&sandbox, 0))
		return CANNOT;
	if (write(go[1], "", 1) != 1 || read(said[0], &got, sizeof(got)) != sizeof(got))
		return 2;
	return pthread_join(thread, NULL) ? 3 : got;
}

static void threads_that_are_there_already_are_sealed_as_well(void **state)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(thread_before());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		skip();
	assert_int_equal(WEXITSTATUS(status), EPERM);
}

/* 0 when exactly these are effective and permitted, and nothing is gained any more. */
static int capabilities_are(uint64_t expected)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data))
		return 1;
	if ((data[0].effective | (uint64_t)data[1].effective << 32) != expected ||
	    (data[0].permitted | (uint64_t)data[1].permitted << 32) != expected)
		return 2;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 3;
}

static void capabilities_go_but_those_that_are_kept(void **state)
{
	static const int keep[] = {CAP_SYS_RAWIO, CAP_SYS_ADMIN};
	uint64_t kept = UINT64_C(1) << CAP_SYS_RAWIO | UINT64_C(1) << CAP_SYS_ADMIN;

	for (unsigned int n = 0; n <= vc_array_size(keep); n += 2) {
		struct sandbox sandbox;
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0) {
			int err = sandbox_privileges(&sandbox, keep, n);

			_exit(err == -ENOSYS || (err && n) ? CANNOT
			      : err                        ? 4
			                                   : capabilities_are(n ? kept : 0));
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		/* Not built with libcap-ng; or not ours to keep. */
		if (WEXITSTATUS(status) == CANNOT)
			skip();
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static void it_says_how_far_it_went(void **state)
{
	assert_string_equal(sandbox_describe(&(struct sandbox){false, false}), "none");
	assert_string_equal(sandbox_describe(&(struct sandbox){true, false}), "capabilities");
	assert_string_equal(sandbox_describe(&(struct sandbox){false, true}), "calls");
	assert_string_equal(sandbox_describe(&(struct sandbox){true, true}), "full");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_not_opened),
		cmocka_unit_test(what_only_an_attacker_does_is_the_end),
		cmocka_unit_test(what_grows_makes_sockets_and_threads),
		cmocka_unit_test(and_no_processes),
		cmocka_unit_test(a_device_may_be_opened_again_where_that_is_needed),
		cmocka_unit_test(what_a_daemon_does_all_day_still_works),
		cmocka_unit_test(an_eventfd_is_signalled_by_asynchronous_io),
		cmocka_unit_test(threads_that_are_there_already_are_sealed_as_well),
		cmocka_unit_test(capabilities_go_but_those_that_are_kept),
		cmocka_unit_test(it_says_how_far_it_went),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
