/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that come and go while others are at work. Main thread.
 *
 * A device's index names it among the requests of a worker (vc_request.flow); it is used again when
 * nothing of the device is in flight. Its place in the lists changes when one before it goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "host/drain.h"
#include "host/host.h"

/* For data queue 0 of the next one: the worker with the fewest data queues. */
static unsigned int worker_choose(const struct host *host)
{
	unsigned int queues[HOST_MAX_WORKERS] = {0}, least = 0;

	for (unsigned int i = 0; i < host->device_count; i++) {
		const struct device *device = host->device[i];

		for (unsigned int q = 0; q < device->data_queues; q++)
			queues[(device->first_worker + q) % host->worker_count]++;
	}
	for (unsigned int w = 1; w < host->worker_count; w++) {
		if (queues[w] < queues[least])
			least = w;
	}
	return least;
}

static unsigned int index_choose(const struct host *host)
{
	unsigned int index = 0;

	while (index < HOST_MAX_DEVICES && host->index_used[index])
		index++;
	return index;
}

static int device_make(struct host *host, const struct host_config_device *from,
                       struct device **device)
{
	int group = host_config_group_find(host->config, from->group);
	struct device_options options = {
		.name = from->name,
		.index = index_choose(host),
		.group = host->pool->group[group],
		.data_queues = host_config_queues(from),
		.strict = from->order == HOST_ORDER_STRICT,
		.max_size = HOST_MAX_SIZE,
		.workers = host->worker,
		.worker_count = host->worker_count,
		.first_worker = worker_choose(host),
	};
	int err = host_config_limits(from, &options.limits);

	/* Devices that are stuck keep theirs. */
	if (!err && options.index == HOST_MAX_DEVICES)
		err = -ENOSPC;
	return err ? err : device_create(&options, device);
}

int host_device_add(struct host *host, char **error)
{
	unsigned int i = host->device_count;
	const struct host_config_device *from = &host->config->devices[i];
	bool client = from->mode == HOST_MODE_CLIENT;
	char path[108] = "";
	int err = host_config_socket(from, path, sizeof(path));

	if (!err)
		err = device_make(host, from, &host->device[i]);
	if (err)
		return err;
	err = vhost_socket_create(host->loop, host->device[i], path, client, &host->socket[i]);
	if (err) {
		*error = str_format("device \"%s\": socket %s: %s", from->name, path,
		                    strerror(-err));
		device_destroy(host->device[i]);
		return err;
	}
	host->index_used[host->device[i]->index] = true;
	host->device_count = i + 1;
	log_info("device %s: %s %s", from->name, client ? "connecting to" : "listening on", path);
	return 0;
}

/* ---- removal ---- */

static void list_cut(struct host *host, unsigned int index)
{
	size_t behind = --host->device_count - index;

	memmove(&host->device[index], &host->device[index + 1], behind * sizeof(struct device *));
	memmove(&host->socket[index], &host->socket[index + 1],
	        behind * sizeof(struct vhost_socket *));
	host_config_device_remove(host->config, index);
}

static void on_gone(void *context, struct device *device)
{
	struct host *host = context;
	unsigned int index = 0;

	while (host->device[index] != device)
		index++;
	log_notice("device %s: removed%s", device->name,
	           device->stuck ? "; what its late requests may touch is kept" : "");
	vhost_socket_destroy(host->socket[index]);
	/* Its queues are stopped: this waits for nothing. */
	device_drain_forget(device);
	host->index_used[device->index] = device->stuck;
	device_destroy(device);
	list_cut(host, index);
}

void host_device_remove(struct host *host, unsigned int index)
{
	host->device[index]->leaves = true;
	vhost_socket_end(host->socket[index], on_gone, host);
}

int host_device_find(const struct host *host, const char *name)
{
	for (unsigned int i = 0; i < host->device_count; i++) {
		if (!strcmp(host->device[i]->name, name))
			return (int)i;
	}
	return -1;
}

/* ---- the end of all ---- */

void host_devices_disconnect(struct host *host)
{
	for (unsigned int i = 0; i < host->device_count; i++) {
		vhost_socket_destroy(host->socket[i]);
		device_drain_forget(host->device[i]);
	}
}

void host_devices_destroy(struct host *host)
{
	for (unsigned int i = 0; i < host->device_count; i++)
		device_destroy(host->device[i]);
}
