/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type dpdk: loads the module that has it (dpdk_module.h), when a configuration asks.
 *
 * Main thread. The module comes from where only the administrator can put it: beside this program
 * in the build directory, or below the directory of libraries where both are installed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "host/resource/dpdk_module.h"

static void log_line(enum log_level level, const char *line)
{
	static struct log_limit limit;

	if (level < LOG_LEVEL_DEBUG)
		log_limited(&limit, level, "%s", line);
	else
		log_write(level, "%s", line);
}

static const struct dpdk_host host = {.log = log_line, .reference = &resource_libcrypto};

/* The directory that this program is in. */
static int own_directory(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (n <= 0)
		return -ENOENT;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	return 0;
}

static int module_path(char *path, size_t size)
{
	const char *directory = secure_getenv("VCRYPTO_MODULE_DIR");
	char own[384];

	if (directory) {
		snprintf(path, size, "%s/" DPDK_MODULE_NAME, directory);
		return 0;
	}
	if (own_directory(own, sizeof(own)) == 0) {
		snprintf(path, size, "%s/" DPDK_MODULE_NAME, own);
		if (access(path, R_OK) == 0)
			return 0;
	}
	snprintf(path, size, VC_MODULE_DIR "/" DPDK_MODULE_NAME);
	return 0;
}

/* Loaded once, for good: DPDK's libraries cannot be unloaded. */
static int load(const struct resource_ops **ops, char **error)
{
	dpdk_module_fn *entry;
	char path[512];
	void *module;

	module_path(path, sizeof(path));
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!module) {
		*error = str_format("type dpdk is not there: %s", dlerror());
		return -ENOENT;
	}
	*(void **)&entry = dlsym(module, DPDK_MODULE_ENTRY);
	*ops = entry ? entry(&host, DPDK_BUILD) : NULL;
	if (*ops)
		return 0;
	*error = str_format("%s is not of this build of vcrypto-host (" DPDK_BUILD ")", path);
	return -ENOEXEC;
}

static int loader_create(const struct resource_config *config, struct resource **resource,
                         char **error)
{
	static const struct resource_ops *ops;
	int err = ops ? 0 : load(&ops, error);

	if (!err)
		err = ops->create(config, resource, error);
	if (!err)
		(*resource)->ops = ops;
	return err;
}

/* Only to make resources: these have the module's functions. */
const struct resource_ops resource_dpdk = {
	.type = "dpdk",
	.at_start = true,
	.create = loader_create,
};
