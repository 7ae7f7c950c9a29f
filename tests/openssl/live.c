/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cases on live daemons; see live.h.
 */
#include "live.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/async.h>
#include <openssl/err.h>

#define MOST_THREADS 64

const struct live_front_end *live_front_end;

bool live_one(const struct test_case *one, const struct env *env, bool jobs)
{
	bool ok;

	if (live_front_end->leave_out && live_front_end->leave_out(one))
		return true;
	ERR_clear_error();
	ok = jobs ? run_in_job(one->run, env, NULL) : one->run(env);
	if (!ok) {
		fprintf(stderr, "failed: %s\n", one->name);
		ERR_print_errors_fp(stderr);
	}
	return ok;
}

bool live_cases(const struct test_case *cases, const struct env *env, bool jobs)
{
	for (; cases->name; cases++) {
		if (!live_one(cases, env, jobs))
			return false;
	}
	return true;
}

/* --------------------------------------------------------------------------------------- load */

struct thread {
	pthread_t id;
	const struct env *env;
	bool jobs, ok;
};

static void *load_thread(void *arg)
{
	struct thread *thread = arg;

	thread->ok = live_front_end->some(thread->env, thread->jobs);
	ASYNC_cleanup_thread();
	return NULL;
}

static bool load_process(const struct env *env, unsigned int threads)
{
	static struct thread thread[MOST_THREADS];
	bool ok = threads <= MOST_THREADS;

	for (unsigned int i = 0; ok && i < threads; i++) {
		thread[i] = (struct thread){.env = env, .jobs = i % 2};
		if (pthread_create(&thread[i].id, NULL, load_thread, &thread[i]))
			return false;
	}
	for (unsigned int i = 0; ok && i < threads; i++)
		pthread_join(thread[i].id, NULL);
	for (unsigned int i = 0; ok && i < threads; i++)
		ok = thread[i].ok;
	return ok;
}

/* The parent has used it before it forks: children must find their own way. */
static bool load(const struct env *env, unsigned int processes, unsigned int threads)
{
	bool ok = live_front_end->before_fork(env);

	for (unsigned int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid == 0)
			exit(load_process(env, threads) ? 0 : 1);
		ok &= pid > 0;
	}
	for (unsigned int i = 0; i < processes; i++) {
		int status = -1;

		ok &= wait(&status) > 0 && status == 0;
	}
	return ok;
}

static bool until_eof(const struct env *env, bool jobs)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	for (unsigned int round = 1; poll(&input, 1, 0) == 0; round++) {
		if (!live_front_end->again(env, jobs))
			return false;
		printf("%u\n", round);
		fflush(stdout);
	}
	return true;
}

/* ------------------------------------------------------------------------- comings and goings */

#define PIECE 16384

struct abandoned {
	EVP_CIPHER_CTX *ctx;
	uint8_t *data;
};

static int abandoned_job(void *arg)
{
	const struct abandoned *a = arg;
	int n;

	return EVP_CipherUpdate(a->ctx, a->data, &n, a->data, PIECE);
}

/*
 * What SSL_free() does to a connection whose job waits: context and wait context go, the job is
 * never resumed. What completes then must hit nothing that is gone.
 */
static bool abandon_one(const struct env *env, unsigned int i, unsigned int *paused)
{
	struct abandoned a = {EVP_CIPHER_CTX_new(), malloc(PIECE)};
	ASYNC_WAIT_CTX *wait_ctx = ASYNC_WAIT_CTX_new();
	ASYNC_JOB *job = NULL;
	int result, state;

	CHECK(a.ctx && a.data && wait_ctx);
	test_fill(a.data, PIECE);
	CHECK(live_front_end->encrypts(env, i, a.ctx, a.data));
	state = ASYNC_start_job(&job, wait_ctx, &result, abandoned_job, &a, sizeof(a));
	CHECK(state == ASYNC_PAUSE || state == ASYNC_FINISH);
	*paused += state == ASYNC_PAUSE;
	EVP_CIPHER_CTX_free(a.ctx);
	ASYNC_WAIT_CTX_free(wait_ctx);
	free(a.data);
	return true;
}

static bool abandon(const struct env *env, unsigned int n)
{
	unsigned int paused = 0;

	for (unsigned int i = 0; i < n; i++)
		CHECK(abandon_one(env, i, &paused));
	CHECK(paused > n / 2);
	/* And all goes on. */
	return live_front_end->afterwards(env);
}

static unsigned int open_files(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

bool live_reload(unsigned int n)
{
	unsigned int files;

	CHECK(live_front_end->reload());
	files = open_files();
	for (unsigned int i = 0; i < n; i++)
		CHECK(live_front_end->reload());
	CHECK(open_files() <= files);
	return true;
}

bool live_run(int argc, char **argv, struct env *env)
{
	const char *command = argc > 2 ? argv[1] : "";
	bool jobs = argc > 2 && !strcmp(argv[2], "jobs");

	if (!strcmp(command, "cases")) {
		env->large = argc > 3 ? strtoul(argv[3], NULL, 10) : 1 << 20;
		return live_front_end->all(env, jobs);
	}
	env->large = 1 << 16;
	if (!strcmp(command, "until-eof"))
		return until_eof(env, jobs);
	if (!strcmp(command, "abandon"))
		return abandon(env, (unsigned int)atoi(argv[2]));
	return !strcmp(command, "load") && argc > 3 &&
	       load(env, (unsigned int)atoi(argv[2]), (unsigned int)atoi(argv[3]));
}
