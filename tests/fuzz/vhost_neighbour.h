/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A well-behaved device beside the one of the target vhost, in the same worker: whatever that one
 * does, each of its requests is done, and done right. With it the worker counts what devices cost,
 * and gives them turns.
 */
#ifndef VC_FUZZ_VHOST_NEIGHBOUR_H
#define VC_FUZZ_VHOST_NEIGHBOUR_H

#include "host/worker.h"

/* Of the group, in the worker. */
void neighbour_begin(const struct group *group, struct worker *const *worker);
/* Offer requests while there is room for them, and look at those that are done, which all are done
 * right unless every resource may have failed. Without a neighbour: nothing, as all below. */
void neighbour_go_on(bool may_fail);
/* Whether nothing of it is on its way. */
bool neighbour_idle(void);
/* Look a last time, and stop it; nothing may be on its way. */
void neighbour_end(bool may_fail);

#endif
