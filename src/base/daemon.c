/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of a daemon. See daemon.h.
 */
#include "base/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

#define EXIT_USAGE 2

static int usage_hint(const char *name)
{
	fprintf(stderr, "Try %s --help.\n", name);
	return EXIT_USAGE;
}

int daemon_options(int argc, char **argv, const char *name, const char *usage,
                   const char *default_config, struct daemon_options *options)
{
	enum { CHECK = 256, FOREGROUND, LOG_LEVEL, NO_SANDBOX, VERSION, HELP };
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, CHECK},
		{"foreground", no_argument, NULL, FOREGROUND},
		{"log-level", required_argument, NULL, LOG_LEVEL},
		{"no-sandbox", no_argument, NULL, NO_SANDBOX},
		{"version", no_argument, NULL, VERSION},
		{"help", no_argument, NULL, HELP},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case CHECK:
			options->check = true;
			break;
		case FOREGROUND:
			break;
		case LOG_LEVEL:
			if (!log_level_parse(optarg, &options->log_level))
				break;
			fprintf(stderr,
			        "%s: --log-level \"%s\": not error, warning, notice, info or "
			        "debug\n",
			        name, optarg);
			return EXIT_USAGE;
		case NO_SANDBOX:
			options->no_sandbox = true;
			break;
		case VERSION:
			printf("%s %s\n", name, VCRYPTO_VERSION);
			return EXIT_SUCCESS;
		case HELP:
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			return usage_hint(name);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unexpected argument \"%s\"\n", name, argv[optind]);
		return usage_hint(name);
	}
	if (!options->config && access(default_config, F_OK) == 0)
		options->config = default_config;
	return -1;
}

void daemon_protect(void)
{
	static const struct rlimit none = {0, 0};

	umask(077);
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}

rlim_t daemon_limits_raise(void)
{
	static const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit limit;

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0 && !getrlimit(RLIMIT_MEMLOCK, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return RLIM_INFINITY;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

int daemon_signals(struct evloop *loop, void (*stop)(void *context, int signal), void *context)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGHUP};
	int err = 0;

	for (size_t i = 0; i < vc_array_size(ends) && !err; i++)
		err = evloop_signal(loop, ends[i], stop, context);
	if (!err && signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		err = -errno;
	return err;
}
