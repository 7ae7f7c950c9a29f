/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many ASYNC jobs of one thread, as an event loop runs them: one descriptor each, and poll().
 */
#include "work.h"

#include <openssl/async.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>

struct job {
	ASYNC_JOB *job;
	ASYNC_WAIT_CTX *context;
	bool done;
};

struct job_argument {
	int (*fn)(void *argument);
	void *argument;
};

static int job_main(void *argument)
{
	struct job_argument *a = argument;

	return a->fn(a->argument);
}

static int job_step(struct job *job, struct job_argument *argument)
{
	int result = 0;

	switch (ASYNC_start_job(&job->job, job->context, &result, job_main, argument,
	                        sizeof(*argument))) {
	case ASYNC_FINISH:
		job->done = true;
		return result;
	case ASYNC_PAUSE:
		return 0;
	default:
		die("ASYNC_start_job");
	}
}

/* Wait until a descriptor of any job is readable, exactly one each. */
static void jobs_wait(const struct job *jobs, unsigned int n, struct pollfd *fds)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		OSSL_ASYNC_FD fd = -1;
		size_t count = 0;

		fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
		if (jobs[i].done)
			continue;
		if (!ASYNC_WAIT_CTX_get_all_fds(jobs[i].context, NULL, &count) || count != 1 ||
		    !ASYNC_WAIT_CTX_get_all_fds(jobs[i].context, &fd, &count))
			die("a paused job has %zu descriptors", count);
		fds[i].fd = fd;
	}
	if (poll(fds, n, 10000) <= 0)
		die("no job goes on within 10 s");
}

int work_in_jobs(int (*fn)(void *argument), void *argument, unsigned int n)
{
	struct job_argument a = {fn, argument};
	struct job *jobs = calloc(n, sizeof(*jobs));
	struct pollfd *fds = calloc(n, sizeof(*fds));
	unsigned int i, left = n;
	int sum = 0;

	if (!jobs || !fds || !ASYNC_init_thread(n, n))
		die("ASYNC_init_thread");
	for (i = 0; i < n; i++) {
		jobs[i].context = ASYNC_WAIT_CTX_new();
		fds[i].revents = POLLIN;
	}
	while (left) {
		for (i = 0; i < n; i++) {
			if (jobs[i].done || !fds[i].revents)
				continue;
			sum += job_step(&jobs[i], &a);
			left -= jobs[i].done;
		}
		if (left)
			jobs_wait(jobs, n, fds);
	}
	for (i = 0; i < n; i++)
		ASYNC_WAIT_CTX_free(jobs[i].context);
	ASYNC_cleanup_thread();
	free(jobs);
	free(fds);
	return sum;
}
