/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program for tests of the provider, or of the ENGINE, on live daemons: the cases of cases.h, by
 * the arguments of the program,
 *
 *   cases sync|jobs [LARGE]      every case once; largest message in bytes
 *   load PROCESSES THREADS       some cases, everywhere at once
 *   until-eof sync|jobs          again and again until standard input ends; a line for each round
 *   abandon N                    jobs that are left while they wait
 *   reload N                     what the front end is loaded with comes and goes
 */
#ifndef VC_TEST_LIVE_H
#define VC_TEST_LIVE_H

#include "cases.h"

struct live_front_end {
	/* Of lists of cases: one that is not for this front end. NULL: all are. */
	bool (*leave_out)(const struct test_case *one);
	/* Each with live_one() and live_cases(): every case; before a process forks; what a thread
	 * of many does; what is done again and again; after jobs were abandoned. */
	bool (*all)(const struct env *env, bool jobs);
	bool (*before_fork)(const struct env *env);
	bool (*some)(const struct env *env, bool jobs);
	bool (*again)(const struct env *env, bool jobs);
	bool (*afterwards)(const struct env *env);
	/* The i-th of many: a cipher of this front end that encrypts, and goes to it. */
	bool (*encrypts)(const struct env *env, unsigned int i, EVP_CIPHER_CTX *ctx,
	                 const uint8_t *key);
	/* Load it, use it and unload it. */
	bool (*reload)(void);
};

/* Set once, before anything else here. */
extern const struct live_front_end *live_front_end;

/* What failed is said on standard error. */
bool live_one(const struct test_case *one, const struct env *env, bool jobs);
bool live_cases(const struct test_case *cases, const struct env *env, bool jobs);

/* The last command. */
bool live_reload(unsigned int n);
/* The others; sets env->large. False: it failed, or there is no such command. */
bool live_run(int argc, char **argv, struct env *env);

#endif
