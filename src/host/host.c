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
#include "host/worker.h"

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
	}
	return 0;
}

/* This thread off the CPUs on which workers poll, if that leaves it any: a front end that sends
 * messages all the time takes nothing from them. */
static void leave_worker_cpus(const struct host_config *config)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return;
	for (unsigned int i = 0; i < config->workers_count; i++)
		CPU_CLR((size_t)config->workers[i], &cpus);
	if (CPU_COUNT(&cpus))
		sched_setaffinity(0, sizeof(cpus), &cpus);
}

static int device_start(struct host *host, unsigned int i, unsigned int first_worker, char **error)
{
	const struct host_config_device *from = &host->config->devices[i];
	int group = host_config_group_find(host->config, from->group);
	struct device_options options = {
		.name = from->name,
		.index = i,
		.group = &host->pool->group[group],
		.data_queues = host_config_queues(from),
		.strict = from->order == HOST_ORDER_STRICT,
		.max_size = HOST_MAX_SIZE,
		.workers = host->worker,
		.worker_count = host->worker_count,
		.first_worker = first_worker,
	};
	bool client = from->mode == HOST_MODE_CLIENT;
	char path[108] = "";
	int err = host_config_socket(from, path, sizeof(path));

	if (!err)
		err = host_config_limits(from, &options.limits);
	if (!err)
		err = device_create(&options, &host->device[i]);
	if (err)
		return err;
	host->device_count = i + 1;
	err = vhost_socket_create(host->loop, host->device[i], path, client, &host->socket[i]);
	if (err)
		*error = str_format("device \"%s\": socket %s: %s", from->name, path,
		                    strerror(-err));
	else
		log_info("device %s: %s %s", from->name, client ? "connecting to" : "listening on",
		         path);
	return err;
}

static int devices_start(struct host *host, char **error)
{
	unsigned int n = host->config->devices_count;
	unsigned int queues = 0;

	host->device = calloc(n, sizeof(struct device *));
	host->socket = calloc(n, sizeof(struct vhost_socket *));
	if (!host->device || !host->socket)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++) {
		int err = device_start(host, i, queues % host->worker_count, error);

		if (err)
			return err;
		queues += host->device[i]->data_queues;
	}
	return 0;
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

int host_start(struct evloop *loop, const struct host_config *config, struct host **host,
               char **error)
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
	err = workers_start(h, error);
	if (err)
		goto out;
	leave_worker_cpus(config);
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
	for (unsigned int i = 0; i < host->device_count; i++)
		vhost_socket_destroy(host->socket[i]);
	for (unsigned int i = 0; i < host->worker_count; i++)
		worker_stop(host->worker[i]);
	for (unsigned int i = 0; i < host->device_count; i++)
		device_destroy(host->device[i]);
	pool_destroy(host->pool);
	free(host->socket);
	free(host->device);
	free(host);
}
