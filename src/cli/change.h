/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that change what vcrypto-host has: their words.
 */
#ifndef VC_CLI_CHANGE_H
#define VC_CLI_CHANGE_H

#include <jansson.h>

/* Put into the request what the words behind the verb say. 0; -1 and *error says what is wrong with
 * them (to be freed). */
typedef int change_fn(json_t *request, unsigned int count, char *const *words, char **error);
change_fn change_fault;

#endif
