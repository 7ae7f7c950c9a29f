/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcrypto-host: command line, process set-up, signals.
 *
 * The main thread runs the event loop: device sockets, the control socket, signals. Everything that
 * lives longer than a message is in struct host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/daemon.h"
#include "base/log.h"
#include "host/host.h"

#define DEFAULT_CONFIG "/etc/vcrypto/host.yaml"

static const char usage[] =
	"usage: vcrypto-host [options]\n"
	"\n"
	"Shares this host's cryptographic resources with virtual machines, containers and\n"
	"processes, as virtio-crypto devices over vhost-user.\n"
	"\n"
	"  -c, --config FILE  configuration (default: " DEFAULT_CONFIG " if it exists,\n"
	"                     else a built-in one: device \"vcrypto\", ipsec-mb and libcrypto)\n"
	"  --check-config     check the configuration, say what is wrong, and exit\n"
	"  --foreground       do not detach (this is what it does anyway)\n"
	"  --log-level LEVEL  error, warning, notice, info (default) or debug\n"
	"  --no-sandbox       keep capabilities, and all system calls\n"
	"  --version          print the version and exit\n"
	"  --help             print this and exit\n"
	"\n"
	"Runtime directory: $VCRYPTO_RUNTIME_DIR, or /run/vcrypto.\n";

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

static void on_stop_signal(void *context, int sig)
{
	log_notice("stopping: signal %d (%s)", sig, strsignal(sig));
	evloop_stop(context);
}

static int run(struct host_config *config, bool confined)
{
	struct sandbox sandbox = {false, false};
	struct evloop *loop = NULL;
	struct host *host = NULL;
	char *error = NULL;
	int err;

	daemon_protect();
	daemon_limits_raise();
	if (confined)
		sandbox_privileges(&sandbox, NULL, 0);
	err = evloop_create(&loop);
	if (!err)
		err = daemon_signals(loop, on_stop_signal, loop);
	if (!err)
		err = memtable_guard_install();
	if (!err)
		err = host_start(loop, config, &host, &error);
	if (err) {
		log_error("cannot start: %s", error ? error : strerror(-err));
		goto out;
	}
	if (confined)
		sandbox_seal(&sandbox,
		             SANDBOX_GROWTH | (pool_maps_memory(host->pool) ? SANDBOX_IOMMU : 0));
	host->sandbox = sandbox;
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
	struct daemon_options options = {.log_level = LOG_LEVEL_INFO};
	struct host_config *config;
	char *error = NULL;
	int code = daemon_options(argc, argv, "vcrypto-host", usage, DEFAULT_CONFIG, &options);

	if (code >= 0)
		return code;
	if (host_config_load(options.config, &config, &error)) {
		fprintf(stderr, "%s\n", error ? error : "cannot read the configuration");
		free(error);
		return EXIT_FAILURE;
	}
	log_open("vcrypto-host", options.log_level);
	code = options.check ? check_config(config) : run(config, !options.no_sandbox);
	host_config_free(config);
	return code;
}
