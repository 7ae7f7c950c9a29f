/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios of test-provider-robust: fork and exec at any moment. See robust_main.c.
 */
#include "robust.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLYING 8
#define CHILDREN 30
#define WORKERS 4
#define REPLACED 56

static bool both_ways(void)
{
	return piece_sync() && piece_in_job();
}

/* Before anybody has used anything. */
bool fork_first(char **arguments)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(both_ways() ? 0 : 1);
	return both_ways() && child_well(pid) && both_ways();
}

/* Parent and child both go on with what was in flight: each gets its own result. */
bool fork_in_flight(char **arguments)
{
	struct piece pieces[FLYING];
	pid_t pid;

	/* So that the descriptors are of jobs that have been there before, too. */
	CHECK(piece_in_job());
	for (unsigned int round = 0; round < 5; round++) {
		CHECK(pieces_start(pieces, FLYING));
		pid = fork();
		if (pid == 0) {
			/* In every other round the parent is through before the child looks. */
			usleep(round % 2 ? 600000 : 0);
			_exit(pieces_finish(pieces, FLYING) && both_ways() ? 0 : 1);
		}
		CHECK(pieces_finish(pieces, FLYING));
		CHECK(child_well(pid));
	}
	return both_ways();
}

/* Daemons do: the child in between uses nothing. */
bool fork_twice(char **arguments)
{
	struct piece pieces[FLYING];
	pid_t pid;

	CHECK(pieces_start(pieces, FLYING));
	pid = fork();
	if (pid == 0) {
		pid_t inner = fork();

		if (inner == 0)
			_exit(both_ways() && pieces_finish(pieces, FLYING) && both_ways() ? 0 : 1);
		_exit(child_well(inner) ? 0 : 1);
	}
	CHECK(pieces_finish(pieces, FLYING));
	CHECK(child_well(pid));
	return both_ways();
}

static atomic_bool stop;
static int all_well;

static void *busy_thread(void *arg)
{
	bool ok = true;

	while (ok && !atomic_load(&stop))
		ok = both_ways();
	ASYNC_cleanup_thread();
	return ok ? &all_well : NULL;
}

/* Nothing is fetched here but before: OpenSSL's own locks may be held when a thread forks. */
bool fork_threads(char **arguments)
{
	pthread_t threads[WORKERS];
	bool ok = true;

	CHECK(both_ways());
	for (unsigned int i = 0; i < WORKERS; i++)
		CHECK(!pthread_create(&threads[i], NULL, busy_thread, NULL));
	for (unsigned int i = 0; ok && i < CHILDREN; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(both_ways() ? 0 : 1);
		ok = child_well(pid);
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < WORKERS; i++) {
		void *result = NULL;

		pthread_join(threads[i], &result);
		ok &= result == &all_well;
	}
	return ok;
}

bool exec_in_flight(char **arguments)
{
	struct piece pieces[FLYING];
	char name[] = "test-provider-robust", next[] = "exec-after";
	char *again[] = {name, next, NULL};

	CHECK(pieces_start(pieces, FLYING));
	execv("/proc/self/exe", again);
	return false;
}

/* Nothing is open that was not for everybody, and a new life begins. */
bool exec_after(char **arguments)
{
	for (int fd = 3; fd < 1024; fd++)
		CHECK(fcntl(fd, F_GETFD) < 0);
	return both_ways();
}

/* at_work: set with its first results, for the parent to see. */
static pid_t worker(atomic_bool *at_work)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (;;) {
		struct piece pieces[FLYING];

		for (unsigned int i = 0; i < FLYING; i++)
			if (!piece_start(&pieces[i]))
				_exit(1);
		if (!pieces_finish(pieces, FLYING) || !piece_sync())
			_exit(1);
		atomic_store(at_work, true);
	}
}

static bool comes_true(atomic_bool *what)
{
	for (unsigned int ms = 0; ms < 20000 && !atomic_load(what); ms++)
		usleep(1000);
	return atomic_load(what);
}

/* A server whose workers die at any moment, and are replaced: every fourth one as soon as that, the
 * others when they have done something. */
bool prefork(char **arguments)
{
	size_t size = sizeof(atomic_bool) * (REPLACED + WORKERS);
	atomic_bool *at_work =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t workers[WORKERS];
	int status;

	CHECK(at_work != MAP_FAILED && both_ways());
	for (unsigned int i = 0; i < WORKERS; i++)
		workers[i] = worker(&at_work[i]);
	for (unsigned int i = 0; i < REPLACED + WORKERS; i++) {
		pid_t *one = &workers[i % WORKERS];

		usleep(i % 8 * 4000);
		CHECK(i / WORKERS % 4 == 3 || comes_true(&at_work[i]));
		CHECK(*one > 0 && waitpid(*one, &status, WNOHANG) == 0);
		kill(*one, SIGKILL);
		CHECK(waitpid(*one, &status, 0) == *one);
		if (i < REPLACED)
			*one = worker(&at_work[i + WORKERS]);
	}
	CHECK(!munmap(at_work, size));
	return both_ways() && ask("workers are gone");
}
