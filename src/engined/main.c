/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcrypto-engined: the daemon beside the applications. Command line, start, end. One thread.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "engined/engined.h"

/* Descriptors that are not wakers: our own, and those of a client. */
#define FDS_OWN 256u
#define FDS_CLIENT 4u

static const char usage[] =
	"Usage: vcrypto-engined [OPTION]...\n"
	"Share one virtio-crypto device among the applications of this machine or container.\n"
	"\n"
	"  -c, --config FILE     configuration (default: " ENGINED_DEFAULT_CONFIG
	" if it is there)\n"
	"      --check-config    check the configuration and exit\n"
	"      --foreground      stay in the foreground (always so)\n"
	"      --log-level L     error, warning, notice, info or debug\n"
	"      --version         print the version and exit\n"
	"      --help            print this and exit\n";

struct options {
	const char *config;
	bool check;
	enum log_level level;
};

/* 0: go on; 1: exit with success; -EINVAL. */
static int options_parse(int argc, char **argv, struct options *options)
{
	enum { CHECK = 256, FOREGROUND, LOG_LEVEL, VERSION, HELP };
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, CHECK},
		{"foreground", no_argument, NULL, FOREGROUND},
		{"log-level", required_argument, NULL, LOG_LEVEL},
		{"version", no_argument, NULL, VERSION},
		{"help", no_argument, NULL, HELP},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case CHECK:
			options->check = true;
			break;
		case FOREGROUND:
			break;
		case LOG_LEVEL:
			if (!log_level_parse(optarg, &options->level))
				break;
			fprintf(stderr, "vcrypto-engined: no such log level: %s\n", optarg);
			return -EINVAL;
		case VERSION:
			puts("vcrypto-engined " VCRYPTO_VERSION);
			return 1;
		case HELP:
			fputs(usage, stdout);
			return 1;
		default:
			fputs("Try 'vcrypto-engined --help'.\n", stderr);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "vcrypto-engined: what is \"%s\"?\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

static int config_read(const struct options *options, struct engined_config *config)
{
	const char *path = options->config;
	char *error = NULL;
	int ret;

	if (!path && access(ENGINED_DEFAULT_CONFIG, F_OK) == 0)
		path = ENGINED_DEFAULT_CONFIG;
	if (path) {
		ret = engined_config_load(path, config, &error);
		if (ret)
			fprintf(stderr, "%s\n", error ? error : strerror(-ret));
		free(error);
		if (!ret && options->check)
			printf("%s: ok\n", path);
		return ret;
	}
	ret = engined_config_default(config);
	if (ret)
		fprintf(stderr, "vcrypto-engined: the runtime directory's path is too long\n");
	else if (options->check)
		puts("built-in defaults: ok");
	return ret;
}

static void limits_raise(struct engined *e)
{
	struct rlimit limit;
	rlim_t clients = (rlim_t)e->config.limits.clients * FDS_CLIENT + FDS_OWN;

	prctl(PR_SET_DUMPABLE, 0);
	if (!getrlimit(RLIMIT_MEMLOCK, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	/* Whatever clients do, there are descriptors left for the next client. */
	e->wakers_max = (unsigned int)(limit.rlim_cur > 2 * clients ? limit.rlim_cur - clients
	                                                            : limit.rlim_cur / 2);
}

static void on_signal(void *context, int signal)
{
	loop_stop(context);
}

static int failed(const char *what, const char *thing, int error)
{
	log_error("%s%s: %s", what, thing,
	          error == -EADDRINUSE ? "another daemon is running there" : strerror(-error));
	return error;
}

static int start(struct engined *e)
{
	char path[108];
	int ret;

	if (e->config.cpu >= 0 && (ret = thread_pin(e->config.cpu)))
		return failed("cannot run on the CPU", "", ret);
	ret = evloop_create(&e->loop);
	if (!ret)
		ret = evloop_signal(e->loop, SIGTERM, on_signal, e);
	if (!ret)
		ret = evloop_signal(e->loop, SIGINT, on_signal, e);
	if (!ret)
		ret = evloop_signal(e->loop, SIGHUP, on_signal, e);
	if (ret)
		return failed("cannot make the event loop", "", ret);
	e->wake = wake_create();
	if (!e->wake || request_pool_init(e) || session_init(e))
		return failed("cannot start", "", -ENOMEM);
	ret = runtime_dir_make();
	if (!ret)
		ret = runtime_path("engined.ctl", path, sizeof(path));
	if (ret)
		return failed("runtime directory ", runtime_dir(), ret);
	ret = status_open(e, path);
	if (ret)
		return failed("cannot listen at ", path, ret);
	device_init(e);
	device_try_open(e);
	ret = client_listen(e);
	if (ret)
		return failed("cannot listen at ", e->config.listen, ret);
	return 0;
}

static void stop(struct engined *e)
{
	client_unlisten(e);
	status_close(e);
	if (e->pool.slab)
		device_close(e);
	client_drop_all(e);
	if (e->cache)
		session_exit(e);
	request_pool_free(e);
	wake_destroy(e->wake);
	evloop_destroy(e->loop);
	engined_config_free(&e->config);
}

int main(int argc, char **argv)
{
	struct options options = {.level = LOG_LEVEL_NOTICE};
	static struct engined e = {.listener = -1};
	int ret;

	ret = options_parse(argc, argv, &options);
	if (ret)
		return ret > 0 ? EXIT_SUCCESS : 2;
	if (config_read(&options, &e.config))
		return EXIT_FAILURE;
	if (options.check) {
		engined_config_free(&e.config);
		return EXIT_SUCCESS;
	}
	log_open("vcrypto-engined", options.level);
	signal(SIGPIPE, SIG_IGN);
	limits_raise(&e);
	e.started_ns = clock_now_ns();

	ret = start(&e);
	if (!ret) {
		sd_notify(0, "READY=1");
		log_notice("listening at %s", e.config.listen);
		ret = loop_run(&e);
		sd_notify(0, "STOPPING=1");
	}
	stop(&e);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
