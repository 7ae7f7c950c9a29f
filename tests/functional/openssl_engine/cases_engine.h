/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ENGINE has that the provider has not: see openssl/cases.h for the kind of test, and for
 * the cases of ciphers that they have in common.
 */
#ifndef VC_TESTS_ENGINE_CASES_H
#define VC_TESTS_ENGINE_CASES_H

#include <openssl/engine.h>

#include "openssl/cases.h"

extern const struct test_case engine_rsa_cases[];
extern const struct test_case engine_ec_cases[];
extern const struct test_case engine_pipe_cases[];

/* Before the ENGINE goes. */
void engine_rsa_cases_forget_keys(void);

#endif
