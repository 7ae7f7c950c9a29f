/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the provider (and the ENGINE) must do, told by comparing it with OpenSSL's own: each case
 * does the same with both and wants the same at every step. Run by the unit tests on a client that
 * computes by itself (and fails on command), and by the functional tests on live daemons, each
 * outside and inside an ASYNC job.
 */
#ifndef VC_TESTS_OPENSSL_CASES_H
#define VC_TESTS_OPENSSL_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <openssl/evp.h>

/* No longjmp: cases run on the stacks of ASYNC jobs. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__,   \
			        #condition);                                                       \
			return false;                                                              \
		}                                                                                  \
	} while (0)

struct env {
	OSSL_LIB_CTX *libctx; /* with the providers vcrypto and default */
	ENGINE *engine;       /* not NULL: ours are the ciphers of this one, not the provider's */
	size_t large;         /* size of the largest messages */
};

typedef bool case_function(const struct env *env);

struct test_case {
	const char *name;
	case_function *run;
};

extern const struct test_case cipher_cases[]; /* each ends with a NULL name */
extern const struct test_case ctr_cases[];
extern const struct test_case xts_cases[];
extern const struct test_case stitched_cases[];
extern const struct test_case gcm_cases[];
extern const struct test_case ccm_cases[];
extern const struct test_case chacha_cases[];
extern const struct test_case aead_tls_cases[];
extern const struct test_case pipeline_cases[];
extern const struct test_case rsa_cases[];
extern const struct test_case ecdsa_cases[];
extern const struct test_case agreement_cases[];

/* Before a library context goes that the RSA cases have run in. */
void rsa_cases_forget_keys(void);

/* Properties to fetch by. */
#define OURS "provider=vcrypto"
#define THEIRS "provider=default"

/* The same pseudo-random numbers in each run. */
uint32_t test_random(uint32_t below);
void test_fill(void *memory, size_t size);

/* A context for a key, of the provider whose properties these are, and begun; NULL: refused. */
EVP_PKEY_CTX *open_pkey_ctx(const struct env *env, EVP_PKEY *key, const char *whose,
                            int (*init)(EVP_PKEY_CTX *));

/* Run in an ASYNC job; false also when the job fails. *pauses counts its pauses; may be NULL. */
bool run_in_job(case_function *run, const struct env *env, unsigned int *pauses);

#endif
