/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log file inside somebody else's program, which may close every descriptor that it does not
 * know, and open others with the same numbers. Any thread; no lock, so that a fork may come at any
 * time.
 */
#ifndef VC_BASE_LOG_FILE_H
#define VC_BASE_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Log lines go to the end of this file from now on, which is made if need be, and readable by its
 * owner only. Once in a process. 0; -errno, and nothing has changed: -ELOOP when it is a symbolic
 * link, -EINVAL when it is no regular file. */
int log_file_open(const char *path);
/* False: there is no log file. A line that cannot be written is lost. */
bool log_file_write(const char *line, size_t length);

#endif
