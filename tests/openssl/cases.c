/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cases share. See cases.h.
 */
#include "cases.h"

#include <sys/select.h>

#include <openssl/async.h>

uint32_t test_random(uint32_t below)
{
	static _Thread_local uint64_t state = 0x9e3779b97f4a7c15;

	state = state * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(state >> 33) % below;
}

void test_fill(void *memory, size_t size)
{
	uint8_t *p = memory;
	uint32_t word = 0;

	for (size_t i = 0; i < size; i++) {
		if (i % 4 == 0)
			word = test_random(UINT32_MAX);
		p[i] = (uint8_t)(word >> 8 * (i % 4));
	}
}

EVP_PKEY_CTX *open_pkey_ctx(const struct env *env, EVP_PKEY *key, const char *whose,
                            int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(env->libctx, key, whose);

	if (ctx && init(ctx) != 1) {
		EVP_PKEY_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

struct job {
	case_function *run;
	const struct env *env;
};

static int start(void *arg)
{
	const struct job *job = arg;

	return job->run(job->env);
}

/* Wait as servers do: for one of the job's descriptors. */
static bool wait_for(ASYNC_WAIT_CTX *ctx)
{
	OSSL_ASYNC_FD fds[8];
	size_t n = 0;
	struct timeval timeout = {.tv_sec = 10};
	fd_set set;
	int last = -1;

	if (!ASYNC_WAIT_CTX_get_all_fds(ctx, NULL, &n) || n > 8 ||
	    !ASYNC_WAIT_CTX_get_all_fds(ctx, fds, &n))
		return false;
	FD_ZERO(&set);
	for (size_t i = 0; i < n; i++) {
		FD_SET(fds[i], &set);
		last = fds[i] > last ? fds[i] : last;
	}
	return select(last + 1, &set, NULL, NULL, &timeout) > 0;
}

bool run_in_job(case_function *run, const struct env *env, unsigned int *pauses)
{
	struct job args = {run, env};
	ASYNC_WAIT_CTX *wait = ASYNC_WAIT_CTX_new();
	ASYNC_JOB *job = NULL;
	int result = 0, state;

	CHECK(wait);
	for (;;) {
		state = ASYNC_start_job(&job, wait, &result, start, &args, sizeof(args));
		if (state != ASYNC_PAUSE)
			break;
		if (pauses)
			(*pauses)++;
		CHECK(wait_for(wait));
	}
	ASYNC_WAIT_CTX_free(wait);
	return state == ASYNC_FINISH && result;
}
