/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private copies of a request's data, for a resource that may hang: it gets nothing of the guest's
 * memory, and nothing that anybody else still needs. So an answer that comes too late, or in the
 * middle, does no harm; and whoever does the request instead finds its source as it was, even if
 * the guest wants the result in the same place. One thread.
 */
#ifndef VC_HOST_REQUEST_COPY_H
#define VC_HOST_REQUEST_COPY_H

#include "host/bounce.h"
#include "host/request.h"

/* Make the request work on copies, which lie in one buffer. NULL: none is free now. */
struct bounce *request_copy_make(struct vc_request *req, struct bounce_pool *pool);

/* It has come back: its result, if there is one, to where it belongs. */
void request_copy_result(const struct vc_request *req, const struct bounce *copy);
/* What it works on is again where it was. The buffer is the caller's to put back. */
void request_copy_end(struct vc_request *req, const struct bounce *copy);

/* Another request in place of this one, which a resource still has and may change: the same, with
 * its own data, as it was before. Everything that has to be given back (the chain, a bounce buffer)
 * is the new one's from then on. */
void request_copy_renew(struct vc_request *renewed, struct vc_request *req,
                        const struct bounce *copy);

/* request_points_into() of what the request had before. */
bool request_copy_points_into(const struct vc_request *req, const struct bounce *copy,
                              const struct memtable *memory);

#endif
