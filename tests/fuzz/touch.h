/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resource that takes any session, reads and writes every byte that it is told of, and brings
 * requests back when the target wants. It is no cryptography.
 */
#ifndef VC_FUZZ_TOUCH_H
#define VC_FUZZ_TOUCH_H

#include "host/resource/resource.h"

struct touch {
	struct resource base;
	bool hold;             /* keep what is in flight */
	bool fail;             /* bring it back as not done */
	bool refuse;           /* realise no session */
	unsigned int capacity; /* in flight at once, up to TOUCH_MAX */
};

#define TOUCH_MAX 64

void touch_init(struct touch *touch, const char *name, unsigned int index);
/* Read and write all that a request names (request.h). */
void touch_request(struct vc_request *req);

#endif
