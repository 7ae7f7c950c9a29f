/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemons' answers as text for people.
 */
#ifndef VC_CLI_SHOW_H
#define VC_CLI_SHOW_H

#include <jansson.h>

typedef void show_fn(const json_t *result);

show_fn show_version, show_log_level; /* of both daemons */
show_fn show_host_status, show_host_devices, show_host_sessions;
show_fn show_engined_status, show_engined_devices, show_engined_clients, show_engined_sessions;

/* First line of a status: name, version, process, how long it runs. */
void show_daemon(const json_t *status);
/* The named counters of an object that are not 0, as "badmsg 3, nospc 1"; "-" if all are. The
 * string is to be freed. */
char *nonzero_text(const json_t *counters);

#endif
