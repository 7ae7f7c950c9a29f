/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider on live daemons, as OPENSSL_CONF loads it into this program:
 *
 *   test-provider-cases cases sync|jobs [LARGE]      every case once; largest message in bytes
 *   test-provider-cases load PROCESSES THREADS       some cases, everywhere at once
 *   test-provider-cases until-eof sync|jobs          again and again until standard input ends;
 *                                                    a line for each round
 *   test-provider-cases abandon N                    jobs that are left while they wait
 *   test-provider-cases reload N                     library contexts that come and go
 *
 * Exit status 0: all is as with OpenSSL's own; 1: not.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/async.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include "openssl/cases.h"

static bool run_one(const struct test_case *one, const struct env *env, bool jobs)
{
	bool ok;

	ERR_clear_error();
	ok = jobs ? run_in_job(one->run, env, NULL) : one->run(env);
	if (!ok) {
		fprintf(stderr, "failed: %s\n", one->name);
		ERR_print_errors_fp(stderr);
	}
	return ok;
}

static bool run_cases(const struct test_case *cases, const struct env *env, bool jobs)
{
	for (; cases->name; cases++) {
		if (!run_one(cases, env, jobs))
			return false;
	}
	return true;
}

static bool run_all(const struct env *env, bool jobs)
{
	return run_cases(cipher_cases, env, jobs) && run_cases(ctr_cases, env, jobs) &&
	       run_cases(xts_cases, env, jobs) && run_cases(stitched_cases, env, jobs) &&
	       run_cases(gcm_cases, env, jobs) && run_cases(ccm_cases, env, jobs) &&
	       run_cases(chacha_cases, env, jobs) && run_cases(aead_tls_cases, env, jobs) &&
	       run_cases(pipeline_cases, env, jobs) && run_cases(rsa_cases, env, jobs) &&
	       run_cases(ecdsa_cases, env, jobs) && run_cases(agreement_cases, env, jobs);
}

/* --------------------------------------------------------------------------------------- load */

static int all_well;

/* arg: not NULL for jobs. Gives &all_well back if it is. */
static void *load_thread(void *arg)
{
	struct env env = {.large = 1 << 16};
	bool jobs = arg != NULL, ok;

	ok = run_cases(gcm_cases, &env, jobs) && run_one(&cipher_cases[1], &env, jobs) &&
	     run_one(&rsa_cases[0], &env, jobs) && run_one(&rsa_cases[3], &env, jobs) &&
	     run_one(&ecdsa_cases[0], &env, jobs) && run_one(&agreement_cases[0], &env, jobs);
	ASYNC_cleanup_thread();
	return ok ? &all_well : NULL;
}

static bool load_process(unsigned int threads)
{
	pthread_t thread[64];
	static int jobs_wanted;
	bool ok = true;

	for (unsigned int i = 0; i < threads && i < 64; i++) {
		if (pthread_create(&thread[i], NULL, load_thread, i % 2 ? &jobs_wanted : NULL))
			return false;
	}
	for (unsigned int i = 0; i < threads && i < 64; i++) {
		void *result;

		pthread_join(thread[i], &result);
		ok &= result == &all_well;
	}
	return ok;
}

/* The parent has used the provider before it forks: children must find their own way. */
static bool load(unsigned int processes, unsigned int threads)
{
	struct env env = {.large = 1 << 16};
	bool ok = run_cases(rsa_cases, &env, false);

	for (unsigned int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid == 0)
			exit(load_process(threads) ? 0 : 1);
		ok &= pid > 0;
	}
	for (unsigned int i = 0; i < processes; i++) {
		int status = -1;

		ok &= wait(&status) > 0 && status == 0;
	}
	return ok;
}

static bool until_eof(bool jobs)
{
	struct env env = {.large = 1 << 16};
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	for (unsigned int round = 1; poll(&input, 1, 0) == 0; round++) {
		if (!run_cases(cipher_cases, &env, jobs) || !run_cases(gcm_cases, &env, jobs) ||
		    !run_one(&rsa_cases[1], &env, jobs) || !run_one(&rsa_cases[3], &env, jobs) ||
		    !run_one(&ecdsa_cases[0], &env, jobs) ||
		    !run_one(&agreement_cases[0], &env, jobs))
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
static bool abandon_one(unsigned int i, unsigned int *paused)
{
	const char *name = i % 2 ? "AES-128-GCM" : "AES-256-CBC";
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, OURS);
	struct abandoned a = {EVP_CIPHER_CTX_new(), malloc(PIECE)};
	ASYNC_WAIT_CTX *wait = ASYNC_WAIT_CTX_new();
	ASYNC_JOB *job = NULL;
	int result, state;

	CHECK(cipher && a.ctx && a.data && wait);
	test_fill(a.data, PIECE);
	CHECK(EVP_CipherInit_ex2(a.ctx, cipher, a.data, a.data, 1, NULL) == 1);
	state = ASYNC_start_job(&job, wait, &result, abandoned_job, &a, sizeof(a));
	CHECK(state == ASYNC_PAUSE || state == ASYNC_FINISH);
	*paused += state == ASYNC_PAUSE;
	EVP_CIPHER_CTX_free(a.ctx);
	ASYNC_WAIT_CTX_free(wait);
	free(a.data);
	EVP_CIPHER_free(cipher);
	return true;
}

static bool abandon(unsigned int n)
{
	struct env env = {.large = 1 << 16};
	unsigned int paused = 0;

	for (unsigned int i = 0; i < n; i++)
		CHECK(abandon_one(i, &paused));
	CHECK(paused > n / 2);
	/* And all goes on. */
	return run_cases(gcm_cases, &env, true);
}

static unsigned int open_files(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static bool reload_one(void)
{
	OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
	struct env env = {.libctx = libctx, .large = 1 << 16};

	CHECK(libctx && OSSL_LIB_CTX_load_config(libctx, getenv("OPENSSL_CONF")));
	CHECK(OSSL_PROVIDER_available(libctx, "vcrypto"));
	CHECK(run_one(&cipher_cases[2], &env, false) && run_one(&cipher_cases[2], &env, true));
	OSSL_LIB_CTX_free(libctx);
	return true;
}

static bool reload(unsigned int n)
{
	unsigned int files;

	CHECK(reload_one());
	files = open_files();
	for (unsigned int i = 0; i < n; i++)
		CHECK(reload_one());
	CHECK(open_files() <= files);
	return true;
}

int main(int argc, char **argv)
{
	struct env env = {.large = 1 << 20};
	bool jobs = argc > 2 && !strcmp(argv[2], "jobs");
	bool ok = false;

	if (!OSSL_PROVIDER_available(NULL, "vcrypto")) {
		ERR_print_errors_fp(stderr);
		fprintf(stderr, "the provider is not loaded\n");
		return 1;
	}
	if (argc > 3 && !strcmp(argv[1], "cases"))
		env.large = strtoul(argv[3], NULL, 10);
	if (argc > 2 && !strcmp(argv[1], "cases"))
		ok = run_all(&env, jobs);
	else if (argc > 3 && !strcmp(argv[1], "load"))
		ok = load((unsigned int)atoi(argv[2]), (unsigned int)atoi(argv[3]));
	else if (argc > 2 && !strcmp(argv[1], "until-eof"))
		ok = until_eof(jobs);
	else if (argc > 2 && !strcmp(argv[1], "abandon"))
		ok = abandon((unsigned int)atoi(argv[2]));
	else if (argc > 2 && !strcmp(argv[1], "reload"))
		ok = reload((unsigned int)atoi(argv[2]));
	rsa_cases_forget_keys();
	return ok ? 0 : 1;
}
