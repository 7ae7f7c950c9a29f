/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See drain.h. Main thread; both waits are changes of the device (device_change.c), for which
 * nobody else waits.
 */
#include "host/drain.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "host/device.h"

struct drain {
	struct device *device;
	struct evloop *loop;
	struct device_change *change; /* that is waited for; NULL: the device is drained */
	struct evwatch *watch;
	bool cancelled;
};

bool device_drains(const struct device *device)
{
	return device->drain && !device->drain->cancelled;
}

bool device_drained(const struct device *device)
{
	return device->drain && !device->drain->change;
}

const char *device_state(const struct device *device)
{
	if (device->leaves)
		return "leaving";
	if (device_drains(device))
		return device_drained(device) ? "drained" : "draining";
	return "running";
}

static void drain_free(struct drain *drain)
{
	drain->device->drain = NULL;
	drain->device->held = false;
	free(drain);
}

/* Wait for the change, if there is any. */
static void await(struct drain *drain, evloop_fd_fn *then)
{
	if (drain->change && !evloop_add(drain->loop, device_change_fd(drain->change), EPOLLIN,
	                                 then, drain, &drain->watch))
		return;
	then(drain, -1, 0);
}

static void change_over(struct drain *drain)
{
	evloop_remove(drain->watch);
	drain->watch = NULL;
	if (drain->change)
		device_change_end(drain->change);
	drain->change = NULL;
}

static void cancel(struct drain *drain)
{
	struct device *device = drain->device;

	drain_free(drain);
	device_resume(device);
}

static void on_quiet(void *context, int fd, uint32_t events)
{
	struct drain *drain = context;

	change_over(drain);
	if (drain->cancelled)
		cancel(drain);
	else
		log_notice("device %s: drained", drain->device->name);
}

static void on_empty(void *context, int fd, uint32_t events)
{
	struct drain *drain = context;

	change_over(drain);
	if (drain->cancelled) {
		cancel(drain);
		return;
	}
	/* Queues that start from now on are paused as well. */
	drain->device->held = true;
	device_quiet_begin(drain->device, NULL, &drain->change);
	await(drain, on_quiet);
}

int device_drain(struct evloop *loop, struct device *device)
{
	struct drain *drain = device->drain;

	if (drain) {
		drain->cancelled = false;
		device_ready_changed(device);
		return 0;
	}
	drain = calloc(1, sizeof(*drain));
	if (!drain)
		return -ENOMEM;
	drain->device = device;
	drain->loop = loop;
	device->drain = drain;
	device_ready_changed(device);
	device_empty_begin(device, &drain->change);
	await(drain, on_empty);
	return 0;
}

void device_undrain(struct device *device)
{
	struct drain *drain = device->drain;

	if (!drain)
		return;
	drain->cancelled = true;
	device_ready_changed(device);
	if (!drain->change)
		cancel(drain);
}

void device_drain_forget(struct device *device)
{
	if (!device->drain)
		return;
	change_over(device->drain);
	drain_free(device->drain);
}
