/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VCRYPTO_DEBUG: what the client says, and where. Any thread; the environment of a program that
 * changes its privileges is not read.
 */
#ifndef VC_OPENSSL_CORE_DEBUG_H
#define VC_OPENSSL_CORE_DEBUG_H

#include "base/log.h"

struct debug_options {
	char *path; /* of a file, malloc()ed; NULL: standard error */
	enum log_level level;
};

/* What a value means: file:PATH and level:N (1 errors, 2 warnings, 3 information, 4 all) with a
 * comma between, either of them alone, or anything without a colon: all, on standard error. 0;
 * -EINVAL, -ENOMEM: options are then undefined, and nothing is to be freed. Pure. */
int debug_parse(const char *value, struct debug_options *options);
/* Open the log. The first call counts. */
void debug_open(void);

#endif
