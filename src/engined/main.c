/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcrypto-engined: the daemon beside the applications. Command line, start, end. One thread.
 */
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/daemon.h"
#include "base/log.h"
#include "base/util.h"
#include "engined/engined.h"
#include "virtio/pci_sysfs.h"

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
	"      --no-sandbox      keep capabilities, and all system calls\n"
	"      --version         print the version and exit\n"
	"      --help            print this and exit\n";

static int config_read(const struct daemon_options *options, struct engined_config *config)
{
	const char *path = options->config;
	char *error = NULL;
	int ret;

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

/* Whatever clients do, there are descriptors left for the next client. */
static void limits_raise(struct engined *e)
{
	rlim_t clients = (rlim_t)e->config.limits.clients * FDS_CLIENT + FDS_OWN;
	rlim_t files = vc_min(daemon_limits_raise(), (rlim_t)INT_MAX);

	e->wakers_max = (unsigned int)(files > 2 * clients ? files - clients : files / 2);
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
		ret = daemon_signals(e->loop, on_signal, e);
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

/* A PCI device is opened again when it has failed: physical addresses and the configuration space
 * are for the first, files of sysfs and /dev for the second. VFIO wants neither. */
static const int pci_capabilities[] = {CAP_SYS_ADMIN, CAP_DAC_OVERRIDE};

static bool needs_capabilities(const struct engined_config *config)
{
	char address[PCI_ADDRESS_SIZE];
	struct pci_info info;

	if (pci_address_parse(config->device_address, address))
		return false;
	return pci_sysfs_info(PCI_SYSFS_ROOT, address, &info) ||
	       strcmp(info.driver, PCI_DRIVER_VFIO) != 0;
}

int main(int argc, char **argv)
{
	struct daemon_options options = {.log_level = LOG_LEVEL_NOTICE};
	static struct engined e = {.listener = -1};
	int ret = daemon_options(argc, argv, "vcrypto-engined", usage, ENGINED_DEFAULT_CONFIG,
	                         &options);
	bool pci;

	if (ret >= 0)
		return ret;
	if (config_read(&options, &e.config))
		return EXIT_FAILURE;
	if (options.check) {
		engined_config_free(&e.config);
		return EXIT_SUCCESS;
	}
	log_open("vcrypto-engined", options.log_level);
	daemon_protect();
	limits_raise(&e);
	pci = e.config.device_address[0];
	if (!options.no_sandbox)
		sandbox_privileges(&e.sandbox, pci_capabilities,
		                   needs_capabilities(&e.config) ? vc_array_size(pci_capabilities)
		                                                 : 0);
	e.started_ns = clock_now_ns();

	ret = start(&e);
	if (!ret) {
		if (!options.no_sandbox)
			sandbox_seal(&e.sandbox, pci ? SANDBOX_DEVICES : 0);
		sd_notify(0, "READY=1");
		log_notice("listening at %s", e.config.listen);
		ret = loop_run(&e);
		sd_notify(0, "STOPPING=1");
	}
	stop(&e);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
