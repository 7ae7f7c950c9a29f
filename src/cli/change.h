/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that change what vcrypto-host has: their words, and waiting until it is so.
 */
#ifndef VC_CLI_CHANGE_H
#define VC_CLI_CHANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Put into the request what the words behind the verb say. 0; -1 and *error says what is wrong with
 * them (to be freed). */
typedef int change_fn(json_t *request, unsigned int count, char *const *words, char **error);
change_fn change_add, change_set, change_drain, change_remove, change_fault, change_limit;

/* "KEY=VALUE" into settings. 0; -1 with *error (to be freed). */
int change_pair(json_t *settings, const char *word, char **error);

/* Ask again and again until what the request has begun is over, and have *result say so. 0;
 * -ETIME at until_ns, with *error (to be freed); -errno of ctl_call(). */
int change_wait(const char *path, const json_t *request, uint64_t until_ns, json_t **result,
                char **error);

#endif
