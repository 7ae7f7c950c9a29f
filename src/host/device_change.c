/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's memory changes, and the main thread does not wait for it. Main thread; workers only
 * count down.
 *
 * What goes is unmapped when no request points into it any more, which may take as long as requests
 * take. The main thread is told by an eventfd, and serves other devices meanwhile.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/util.h"
#include "host/device_private.h"
#include "host/worker.h"

struct device_change {
	struct device *device;
	int fd;           /* an eventfd of ours: none is left */
	atomic_uint left; /* workers that have not answered, and we while we ask them */
	atomic_bool late; /* requests did not come back to one of them */
	/* The new table is in use: these two go when nothing points into the second. */
	struct memtable *old, *gone;
	/* Or the device is paused, and gets this table when nothing is in flight. */
	struct memtable *wanted;
};

/* Runs in a worker; in the main thread for those that could not be asked. */
static void answered(void *context, int result)
{
	struct device_change *change = context;
	int fd = change->fd;

	if (result)
		atomic_store(&change->late, true);
	/* Acquire and release: whoever hears of it sees what the workers did. The main thread may
	 * free it from here on, but closes the descriptor only once it has been signalled. */
	if (atomic_fetch_sub(&change->left, 1) == 1)
		event_signal(fd);
}

static struct device_change *change_new(struct device *device)
{
	struct device_change *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->device = device;
	change->fd = event_create();
	atomic_init(&change->left, 1);
	if (change->fd >= 0)
		return change;
	free(change);
	return NULL;
}

static void change_free(struct device_change *change)
{
	memtable_free(change->gone);
	close(change->fd);
	free(change);
}

/* As worker_device_*_begin(), or without memory, waiting. */
static void ask(struct device_change *change, struct worker *worker, struct memtable *memory)
{
	struct device *device = change->device;
	int err;

	atomic_fetch_add(&change->left, 1);
	if (change->wanted)
		err = worker_device_pause_begin(worker, device, answered, change);
	else
		err = worker_device_remap_begin(worker, device, memory, change->gone, answered,
		                                change);
	if (!err)
		return;
	err = change->wanted ? worker_device_pause(worker, device)
	                     : worker_device_remap(worker, device, memory, change->gone);
	answered(change, err);
}

static bool any_loses_ring(const struct device *device, const struct memtable *memory)
{
	for (unsigned int i = 0; i < device_queue_count(device); i++) {
		const struct host_queue *queue = &device->queue[i];

		if (queue->started && !device_ring_stays(queue, memory))
			return true;
	}
	return false;
}

int device_memory_begin(struct device *device, struct memtable *memory,
                        struct device_change **result)
{
	uint64_t set = device->iotlb ? 0 : device_workers(device);
	struct device_change *change = set ? change_new(device) : NULL;

	if (change)
		change->gone = memtable_minus(device->memory, memory);
	/* Nobody has to be waited for, or we cannot be told. */
	if (!change || !change->gone || !change->gone->count) {
		if (change)
			change_free(change);
		return device_memory_set(device, memory);
	}
	/* A queue that stops needs all of its requests back while its ring is there. */
	if (any_loses_ring(device, memory)) {
		change->wanted = memory;
	} else {
		change->old = device->memory;
		device->memory = memory;
	}
	for (unsigned int w = 0; w < device->worker_count; w++)
		if (set >> w & 1)
			ask(change, device->workers[w], memory);
	answered(change, 0);
	*result = change;
	return 0;
}

int device_change_fd(const struct device_change *change)
{
	return change->fd;
}

void device_memory_end(struct device_change *change)
{
	struct pollfd fd = {.fd = change->fd, .events = POLLIN};
	struct device *device = change->device;

	/* Read, and not only waited for: it is what orders the workers' last looks before this. */
	while (!event_clear(change->fd))
		poll(&fd, 1, -1);
	if (atomic_load(&change->late))
		device_mark_stuck(device);
	if (change->wanted) {
		device_memory_set(device, change->wanted);
		device_resume(device);
	}
	/* What late requests may still touch is kept. */
	if (device->stuck)
		change->gone = NULL;
	else
		memtable_free(change->old);
	change_free(change);
}
