/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: JSON lines over a UNIX stream socket. A request is an object with "command";
 * the answer is one line: {"ok": true, "result": ...} or {"ok": false, "error": "sentence"}.
 * The server runs in an evloop; a client that sends rubbish, too much (64 KiB a line) or nothing
 * harms itself only. Peers with another uid than ours or root are refused (SO_PEERCRED).
 */
#ifndef VC_BASE_CTL_H
#define VC_BASE_CTL_H

#include <jansson.h>

#include "base/evloop.h"

/* Returns the result (a new reference), or NULL with *error set to a sentence (to be freed). */
typedef json_t *ctl_command_fn(void *context, const json_t *request, char **error);

struct ctl_command {
	const char *name;
	ctl_command_fn *fn;
};

struct ctl_server;

/* Listen at path (mode 0600; a stale socket of a dead process is replaced, a live one is
 * -EADDRINUSE). commands ends with a NULL name; not copied. */
int ctl_server_create(struct evloop *loop, const char *path, const struct ctl_command *commands,
                      void *context, struct ctl_server **server);
/* Also removes the socket. NULL is allowed. */
void ctl_server_destroy(struct ctl_server *server);

/* Client: send one request, wait for the answer. *result is a new reference; on failure *error is
 * a sentence (to be freed): the server's with -EREMOTEIO, ours with another -errno. */
int ctl_call(const char *path, const json_t *request, unsigned int timeout_ms, json_t **result,
             char **error);

#endif
