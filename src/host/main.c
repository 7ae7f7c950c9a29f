/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcrypto-host: command line, process set-up, signals.
 *
 * The main thread runs the event loop: device sockets, the control socket, signals. Everything that
 * lives longer than a message is in struct host.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "host/host.h"

#define DEFAULT_CONFIG "/etc/vcrypto/host.yaml"

#define EXIT_USAGE 2

static const char usage[] =
	"usage: vcrypto-host [options]\n"
	"\n"
	"Shares this host's cryptographic resources with virtual machines, containers and\n"
	"processes, as virtio-crypto devices over vhost-user.\n"
	"\n"
	"  --config FILE      configuration (default: " DEFAULT_CONFIG " if it exists,\n"
	"                     else a built-in one: device \"vcrypto\", ipsec-mb and libcrypto)\n"
	"  --check-config     check the configuration, say what is wrong, and exit\n"
	"  --foreground       do not detach (this is what it does anyway)\n"
	"  --log-level LEVEL  error, warning, notice, info (default) or debug\n"
	"  --version          print the version and exit\n"
	"  --help             print this and exit\n"
	"\n"
	"Runtime directory: $VCRYPTO_RUNTIME_DIR, or /run/vcrypto.\n";

struct options {
	const char *config; /* NULL: built-in */
	enum log_level log_level;
	bool check;
};

/* -1: go on; else the exit code. */
static int options_parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, 'k'},
		{"foreground", no_argument, NULL, 'f'},
		{"log-level", required_argument, NULL, 'l'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 'k':
			options->check = true;
			break;
		case 'f':
			break;
		case 'l':
			if (!log_level_parse(optarg, &options->log_level))
				break;
			fprintf(stderr,
			        "vcrypto-host: --log-level \"%s\": not error, warning, notice, "
			        "info or debug\n",
			        optarg);
			return EXIT_USAGE;
		case 'v':
			printf("vcrypto-host %s\n", VCRYPTO_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs("Try vcrypto-host --help.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
		        "vcrypto-host: unexpected argument \"%s\"\nTry vcrypto-host --help.\n",
		        argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

/* Also make the resources, to see whether they can do anything. Exit code. */
static int check_config(const struct host_config *config)
{
	struct pool *pool = NULL;
	char *error = NULL;
	int err = pool_create(config, &pool, &error);

	if (err)
		fprintf(stderr, "%s\n", error ? error : strerror(-err));
	else
		printf("%s: ok\n", config->name);
	free(error);
	pool_destroy(pool);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* As much as we may have: front ends bring descriptors, and keys want to be locked in memory. */
static void limits_raise(void)
{
	static const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0 && !getrlimit(RLIMIT_MEMLOCK, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
}

/* Nobody may look into the process (ptrace, /proc/PID/mem, core dumps): it has keys in it. */
static void process_protect(void)
{
	static const struct rlimit none = {0, 0};

	umask(077);
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}

static void on_stop_signal(void *context, int sig)
{
	log_notice("stopping: signal %d (%s)", sig, strsignal(sig));
	evloop_stop(context);
}

/* Before the first thread, so that all inherit the mask. */
static int signals_set(struct evloop *loop)
{
	int err = evloop_signal(loop, SIGTERM, on_stop_signal, loop);

	if (!err)
		err = evloop_signal(loop, SIGINT, on_stop_signal, loop);
	/* The terminal is gone. */
	if (!err)
		err = evloop_signal(loop, SIGHUP, on_stop_signal, loop);
	if (!err && signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		err = -errno;
	return err;
}

static int run(const struct host_config *config)
{
	struct evloop *loop = NULL;
	struct host *host = NULL;
	char *error = NULL;
	int err;

	process_protect();
	limits_raise();
	err = evloop_create(&loop);
	if (!err)
		err = signals_set(loop);
	if (!err)
		err = memtable_guard_install();
	if (!err)
		err = host_start(loop, config, &host, &error);
	if (err) {
		log_error("cannot start: %s", error ? error : strerror(-err));
		goto out;
	}
	log_notice("version %s ready: %s, %u workers, %u resources, %u devices", VCRYPTO_VERSION,
	           config->name, host->worker_count, host->pool->resource_count,
	           host->device_count);
	sd_notify(0, "READY=1");
	err = evloop_run(loop);
	if (err)
		log_error("event loop: %s", strerror(-err));
	sd_notify(0, "STOPPING=1");
out:
	host_stop(host);
	evloop_destroy(loop);
	free(error);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options = {.log_level = LOG_LEVEL_INFO};
	struct host_config *config;
	char *error = NULL;
	int code = options_parse(argc, argv, &options);

	if (code >= 0)
		return code;
	if (!options.config && access(DEFAULT_CONFIG, F_OK) == 0)
		options.config = DEFAULT_CONFIG;
	if (host_config_load(options.config, &config, &error)) {
		fprintf(stderr, "%s\n", error ? error : "cannot read the configuration");
		free(error);
		return EXIT_FAILURE;
	}
	log_open("vcrypto-host", options.log_level);
	code = options.check ? check_config(config) : run(config);
	host_config_free(config);
	return code;
}
