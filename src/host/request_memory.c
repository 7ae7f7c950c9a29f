/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which guest memory a request in flight still points into, for when some of it is to go. Runs in
 * the worker, rarely. A pointer that struct vc_request or its bounce buffer gets must be added
 * here.
 */
#include "host/bounce.h"
#include "host/request.h"

static bool bounce_points_into(const struct bounce *bounce, const struct memtable *memory)
{
	const struct vring_segment *segment = (const struct vring_segment *)bounce->space;

	for (unsigned int i = 0; i < bounce->segments; i++)
		if (memtable_holds(memory, segment[i].base, segment[i].len))
			return true;
	return false;
}

bool request_points_into(const struct vc_request *req, const struct memtable *memory)
{
	if (memtable_holds(memory, req->status_byte, 1))
		return true;
	if (req->src && memtable_holds(memory, req->src, req->length))
		return true;
	/* AKCIPHER: private, whatever its length. */
	if (req->dst && memtable_holds(memory, req->dst, req->length))
		return true;
	if (req->aad && memtable_holds(memory, req->aad, req->aad_len))
		return true;
	if (req->tag_out && memtable_holds(memory, req->tag_out, req->tag_len))
		return true;
	return req->bounce && bounce_points_into(req->bounce, memory);
}
