/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a daemon gives up once it needs it no more, so that whoever takes it over by a mistake in it
 * finds a process that can do little. In two stages, both of the main thread:
 *
 *   sandbox_privileges()  after the limits have been raised and before the first other thread: no
 *                         privileges are ever gained again, capabilities go. Files are still opened
 *                         and threads made, as the user alone may.
 *   sandbox_seal()        when all is open: only the system calls that the daemon needs to serve.
 *
 * Either needs a library that may not have been there when this was built; what could not be done
 * is said in the log and by sandbox_describe(), and the daemon goes on.
 */
#ifndef VC_BASE_SANDBOX_H
#define VC_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* What is needed beyond serving sockets, memory and eventfds that are there. */
enum sandbox_need {
	SANDBOX_DEVICES = 1 << 0, /* a device is opened again: files, ioctls */
	SANDBOX_GROWTH = 1 << 1,  /* more is served than at the start: UNIX sockets, threads */
	SANDBOX_IOMMU = 1 << 2,   /* memory is mapped for a device that is open: ioctls */
};

/* How far it went. */
struct sandbox {
	bool capabilities; /* all but those that were kept are gone */
	bool sealed;       /* system calls are filtered */
};

/* keep: Linux's numbers of capabilities (CAP_*). 0, -ENOSYS (built without libcap-ng,
 * or with a sanitizer, which needs more), -errno. */
int sandbox_privileges(struct sandbox *sandbox, const int *keep, size_t count);
/* All threads that there are, and those to come. needs: enum sandbox_need. 0, -ENOSYS (built
 * without libseccomp, or with a sanitizer), -errno. */
int sandbox_seal(struct sandbox *sandbox, unsigned int needs);

/* "full", "capabilities", "calls" or "none". */
const char *sandbox_describe(const struct sandbox *sandbox);

#endif
