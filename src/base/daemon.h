/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both daemons do at their start: command line, protection of the process, limits, signals.
 * Main thread, before any other.
 */
#ifndef VC_BASE_DAEMON_H
#define VC_BASE_DAEMON_H

#include <stdbool.h>

#include <sys/resource.h>

#include "base/evloop.h"
#include "base/log.h"

struct daemon_options {
	const char
		*config; /* the file to use; NULL: none was given, and the default is not there */
	enum log_level log_level;
	bool check;      /* only check the configuration */
	bool no_sandbox; /* give nothing up (sandbox.h) */
};

/*
 * --config, --check-config, --foreground, --log-level, --no-sandbox, --version, --help. usage is
 * what --help prints, default_config the file to use if it is there; log_level is set beforehand.
 * -1: go on; else the exit code, and the reason has been printed.
 */
int daemon_options(int argc, char **argv, const char *name, const char *usage,
                   const char *default_config, struct daemon_options *options);

/* Nobody may look into the process (ptrace, /proc/PID/mem, core dumps): it has keys in it. Files
 * that it makes are its own user's. */
void daemon_protect(void);

/* As much as we may have of descriptors, which peers bring, and of locked memory, for keys. How
 * many descriptors that is; RLIM_INFINITY also when it cannot be learnt. */
rlim_t daemon_limits_raise(void);

/* SIGTERM, SIGINT, SIGHUP (the terminal is gone) call stop; SIGPIPE is ignored. Before the first
 * thread, so that all inherit the mask. 0, -errno. */
int daemon_signals(struct evloop *loop, void (*stop)(void *context, int signal), void *context);

#endif
