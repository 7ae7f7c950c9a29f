/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider on live daemons, as OPENSSL_CONF loads it into this program:
 *
 *   test-provider-cases cases sync|jobs [LARGE]      every case once; largest message in bytes
 *   test-provider-cases load PROCESSES THREADS       some cases, everywhere at once
 *   test-provider-cases until-eof sync|jobs          again and again until standard input ends;
 *                                                    a line for each round
 *
 * Exit status 0: all is as with OpenSSL's own; 1: not.
 */
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
	return run_cases(cipher_cases, env, jobs) && run_cases(gcm_cases, env, jobs) &&
	       run_cases(rsa_cases, env, jobs);
}

/* --------------------------------------------------------------------------------------- load */

static void *load_thread(void *arg)
{
	struct env env = {.large = 1 << 16};
	bool jobs = arg != NULL, ok;

	ok = run_cases(gcm_cases, &env, jobs) && run_one(&cipher_cases[1], &env, jobs) &&
	     run_one(&rsa_cases[0], &env, jobs) && run_one(&rsa_cases[3], &env, jobs);
	ASYNC_cleanup_thread();
	return ok ? arg : &load_thread;
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
		ok &= result == (i % 2 ? &jobs_wanted : NULL);
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
		    !run_one(&rsa_cases[1], &env, jobs) || !run_one(&rsa_cases[3], &env, jobs))
			return false;
		printf("%u\n", round);
		fflush(stdout);
	}
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
	rsa_cases_forget_keys();
	return ok ? 0 : 1;
}
