/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources and groups that come and go while workers use them. Main thread.
 *
 * A resource goes out of service first: groups do without it, so that nothing new is sent there.
 * When nothing of it is in flight it is drained, and may be removed.
 */
#ifndef VC_HOST_HOST_POOL_H
#define VC_HOST_HOST_POOL_H

#include "host/host.h"

/* *error is a sentence (to be freed), or NULL: strerror() will do. */

/* host_pool.c */
/* Those of the configuration from that place on: made, and resources opened in every worker. On
 * failure none is. 0, -errno. */
int host_resources_add(struct host *host, unsigned int first, char **error);
int host_groups_add(struct host *host, unsigned int first, char **error);
/* Nobody has used them: back to so many of the pool. */
void host_resources_undo(struct host *host, unsigned int count);
void host_groups_undo(struct host *host, unsigned int count);

/* host_drain.c */
/* Begin to take it out of service. Refused, where a group would lose its last resource, or (unless
 * told) algorithms that only this one can do. 0, -EBUSY, -ENOMEM. */
int host_resource_drain(struct host *host, const char *name, bool force, char **error);
/* Into service again. 0, -ENOENT: it is. */
int host_resource_resume(struct host *host, const char *name, char **error);
/* Remove one that is drained, or that no group has. -EBUSY: it is neither, or needed. */
int host_resource_remove(struct host *host, const char *name, char **error);
/* "running", "draining", "drained", "leaving", "absent". */
const char *host_resource_state(const struct host *host, const char *name);
/* Requests that it has now, about. */
unsigned int host_resource_in_flight(const struct host *host, const char *name);

/* host_pool.c */
/* Have the pool's groups as the configuration and what is in service make them: workers and drivers
 * are told. Nothing is changed when one of them could do nothing. 0, -EINVAL, -ENOMEM. */
int host_groups_change(struct host *host, char **error);
/* -EBUSY: a device is in it, or it has a share. */
int host_group_remove(struct host *host, unsigned int index, char **error);

/* Close it in every worker, and destroy it: nothing of it is in flight, and no session knows it. */
void host_pool_remove(struct host *host, unsigned int place);
/* Before the workers stop: nobody waits for anything any more. */
void host_pool_stop(struct host *host);

#endif
