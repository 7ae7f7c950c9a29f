/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start and stop of the parts of vcrypto-host, in the one order that is right. Main thread.
 *
 * Start: resources, workers, devices, sockets. Stop, the other way round: no message can come any
 * more, then queues, sessions and guest memory go, then workers, then what they worked with.
 */
#include "host/host.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "host/fault_command.h"
#include "host/host_pool.h"
#include "host/worker.h"

/* ---- memory that resources must be told of ---- */

static int on_memory_added(void *context, void *base, size_t length)
{
	return pool_memory_add(context, base, length);
}

static void on_memory_removed(void *context, void *base, size_t length)
{
	pool_memory_remove(context, base, length);
}

/* Of a worker; it stays to the end of the process. */
static int worker_memory_add(struct host *host, const struct worker *worker, char **error)
{
	size_t length;
	void *base;
	int err = 0;

	for (unsigned int n = 0; !err && worker_memory(worker, n, &base, &length); n++)
		err = pool_memory_add(host->pool, base, length);
	if (err)
		*error = str_format("the memory of a worker cannot be mapped for a device: %s",
		                    strerror(-err));
	return err;
}

static int workers_start(struct host *host, char **error)
{
	const struct host_config *config = host->config;
	unsigned int n = config->workers_count ? config->workers_count : 1;

	for (unsigned int i = 0; i < n; i++) {
		struct worker_options options = {
			.index = i,
			.cpu = config->workers_count ? config->workers[i] : -1,
			.spin_us = host_config_spin_us(config),
			.idle_us = host_config_idle_us(config),
			.resources = host->pool->resource,
			.resource_count = host->pool->resource_count,
			.max_size = HOST_MAX_SIZE,
		};
		int err = worker_start(&options, &host->worker[i], error);

		if (err)
			return err;
		host->worker_count = i + 1;
		err = worker_memory_add(host, host->worker[i], error);
		if (err)
			return err;
	}
	return 0;
}

/* This thread off the CPUs on which workers poll, if that leaves it any: a front end that sends
 * messages all the time takes nothing from them. */
static void leave_worker_cpus(struct host *host)
{
	const struct host_config *config = host->config;
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return;
	host->cpus = cpus;
	for (unsigned int i = 0; i < config->workers_count; i++)
		CPU_CLR((size_t)config->workers[i], &cpus);
	if (CPU_COUNT(&cpus))
		sched_setaffinity(0, sizeof(cpus), &cpus);
}

static int devices_start(struct host *host, char **error)
{
	int err = 0;

	while (host->device_count < host->config->devices_count && !err)
		err = host_device_add(host, error);
	return err;
}

static int control_start(struct host *host, char **error)
{
	char path[108] = "";
	int err = runtime_path("host.ctl", path, sizeof(path));

	if (!err)
		err = ctl_server_create(host->loop, path, host_commands, host, &host->control);
	if (err)
		*error =
			str_format("control socket %s: %s%s", path, strerror(-err),
		                   err == -EADDRINUSE ? " (is another vcrypto-host running?)" : "");
	return err;
}

int host_start(struct evloop *loop, struct host_config *config, struct host **host, char **error)
{
	struct host *h = calloc(1, sizeof(*h));
	int err;

	*error = NULL;
	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->config = config;
	h->started_ns = clock_now_ns();
	err = runtime_dir_make();
	if (err) {
		*error = str_format("runtime directory %s: %s", runtime_dir(), strerror(-err));
		goto out;
	}
	err = pool_create(config, &h->pool, error);
	if (err)
		goto out;
	h->observer = (struct memmap_observer){h->pool, on_memory_added, on_memory_removed};
	memmap_observe(&h->observer);
	err = workers_start(h, error);
	if (err)
		goto out;
	leave_worker_cpus(h);
	err = devices_start(h, error);
	if (err)
		goto out;
	err = control_start(h, error);
	if (!err)
		*host = h;
out:
	if (err) {
		if (!*error)
			*error = str_format("%s", strerror(-err));
		host_stop(h);
	}
	return err;
}

void host_stop(struct host *host)
{
	if (!host)
		return;
	ctl_server_destroy(host->control);
	fault_clear_all(host->pool);
	host_devices_disconnect(host);
	host_pool_stop(host);
	for (unsigned int i = 0; i < host->worker_count; i++)
		worker_stop(host->worker[i]);
	host_devices_destroy(host);
	memmap_observe(NULL);
	pool_destroy(host->pool);
	free(host);
}
