/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of work for the engine's tests: an operation through core.h, compared with libcrypto.
 */
#ifndef VC_TESTS_ENGINE_WORK_H
#define VC_TESTS_ENGINE_WORK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "openssl/core/core.h"

/* Make all keys; the process ends with a sentence if that fails. */
void work_init(void);
void work_exit(void);

/* How many kinds of work there are, and what each is called. */
size_t work_count(void);
const char *work_name(size_t kind);
enum vcrypto_service work_service(size_t kind);

/*
 * Do one piece: length bytes (RSA: ignored; block modes: rounded down to whole blocks), n
 * operations at once. 0: done, and right; a negative errno: not done. A wrong result ends the
 * process with a sentence.
 */
int work_do(size_t kind, size_t length, size_t n);
/* One piece again and again (symmetric kinds), calling libcrypto only before the first time. 0, or
 * the first failure. */
int work_repeat(size_t kind, size_t length, const atomic_bool *stop);
/* A piece whose tag or signature is wrong: expects -EBADMSG. Kinds that have none: 0 at once. */
int work_do_bad(size_t kind, size_t length);

/* Run fn in ASYNC jobs, as many at once, until each has returned; fn's results are added up. */
int work_in_jobs(int (*fn)(void *argument), void *argument, unsigned int jobs);

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

#endif
