/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to wait for requests of a device in flight, and the main thread does not. Main thread;
 * workers only count down.
 *
 * Each worker that has queues of the device is asked, and answers when what is waited for is back,
 * however slow that is; the last answer signals an eventfd. Only then is anything stopped or
 * unmapped, and it need not wait any more.
 *   - Memory goes, no ring lies in it: workers take requests with the new table at once.
 *   - Memory goes, and rings with it: the device is paused, and gets the new table when it is
 * quiet.
 *   - Queues are to stop: they are paused, and whoever asked for it stops them when they are quiet.
 *   - The driver was told to give no more: the queues go on until they are empty.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/util.h"
#include "host/device_private.h"
#include "host/iotlb.h"
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
	/* Or this queue is paused, or all are, for others to stop. */
	struct host_queue *queue;
	bool all;
	/* Or nothing is done, and the queues are to be empty. */
	bool empty;
	bool pauses; /* queues, and the workers have been asked */
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
	if (change->fd < 0) {
		free(change);
		return NULL;
	}
	return change;
}

static void change_free(struct device_change *change)
{
	struct device *device = change->device;
	bool paused = change->pauses;

	memtable_free(change->gone);
	close(change->fd);
	free(change);
	if (paused && !--device->pauses && device->resume_due)
		device_resume(device);
}

static int ask_begin(struct device_change *change, struct worker *worker)
{
	if (change->empty)
		return worker_device_empty_begin(worker, change->device, answered, change);
	if (change->queue)
		return worker_queue_pause_begin(worker, change->queue, answered, change);
	if (change->all || change->wanted)
		return worker_device_pause_begin(worker, change->device, answered, change);
	return worker_device_remap_begin(worker, change->device, change->device->memory,
	                                 change->gone, answered, change);
}

/* Without memory for a message: waiting. */
static int ask_now(const struct device_change *change, struct worker *worker)
{
	if (change->empty)
		return 0;
	if (change->queue || change->all || change->wanted)
		return worker_device_pause(worker, change->device);
	return worker_device_remap(worker, change->device, change->device->memory, change->gone);
}

/* Ask a set of workers. From here on the change is theirs, too. */
static void ask(struct device_change *change, uint64_t set)
{
	struct device *device = change->device;

	change->pauses = change->queue || change->all || change->wanted;
	device->pauses += change->pauses;
	for (unsigned int w = 0; w < device->worker_count; w++) {
		if (!(set >> w & 1))
			continue;
		atomic_fetch_add(&change->left, 1);
		if (ask_begin(change, device->workers[w]))
			answered(change, ask_now(change, device->workers[w]));
	}
	answered(change, 0);
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

/* The workers' table is to be another. */
static void table_begin(struct device *device, struct memtable *table,
                        struct device_change **result)
{
	uint64_t set = device_workers(device);
	struct device_change *change = set ? change_new(device) : NULL;
	bool loses_ring = change && any_loses_ring(device, table);

	if (change)
		change->gone = memtable_minus(device->memory, table);
	/* Nobody has to be waited for, or we cannot be told. */
	if (!change || !change->gone || !(change->gone->count || loses_ring)) {
		if (change)
			change_free(change);
		memtable_free(device_table_replace(device, table));
		return;
	}
	/* A queue that stops needs all of its requests back while its ring is there. */
	if (loses_ring) {
		change->wanted = table;
	} else {
		change->old = device->memory;
		device->memory = table;
	}
	ask(change, set);
	*result = change;
}

int device_memory_begin(struct device *device, struct memtable *memory,
                        struct device_change **result)
{
	struct memtable *view = memory;

	if (device->iotlb) {
		view = iotlb_view(device->iotlb, memory);
		if (!view) {
			memtable_free(memory);
			return -ENOMEM;
		}
		/* The views have their own hold of the mappings. */
		memtable_free(device->regions);
		device->regions = memory;
	}
	table_begin(device, view, result);
	return 0;
}

int device_iotlb_changed_begin(struct device *device, struct device_change **result)
{
	struct memtable *view = iotlb_view(device->iotlb, device->regions);

	if (!view)
		return -ENOMEM;
	table_begin(device, view, result);
	return 0;
}

void device_quiet_begin(struct device *device, struct host_queue *queue,
                        struct device_change **result)
{
	uint64_t set = device_workers(device);
	struct device_change *change;

	if (!set || (queue && !queue->started))
		return;
	/* Without memory for it: the queues will be waited for when they are stopped. */
	change = change_new(device);
	if (!change)
		return;
	change->queue = queue;
	change->all = !queue;
	for (unsigned int w = 0; queue && w < device->worker_count; w++)
		if (device->workers[w] != queue->worker)
			set &= ~(UINT64_C(1) << w);
	ask(change, set);
	*result = change;
}

void device_empty_begin(struct device *device, struct device_change **result)
{
	uint64_t set = device_workers(device);
	struct device_change *change = set ? change_new(device) : NULL;

	if (!change)
		return;
	change->empty = true;
	ask(change, set);
	*result = change;
}

int device_change_fd(const struct device_change *change)
{
	return change->fd;
}

void device_change_end(struct device_change *change)
{
	struct pollfd fd = {.fd = change->fd, .events = POLLIN};
	struct device *device = change->device;

	/* Read, and not only waited for: it is what orders the workers' last looks before this. */
	while (!event_clear(change->fd))
		poll(&fd, 1, -1);
	if (atomic_load(&change->late))
		device_mark_stuck(device);
	if (change->wanted) {
		memtable_free(device_table_replace(device, change->wanted));
		device_resume(device);
	}
	/* What late requests may still touch is kept. */
	if (device->stuck)
		change->gone = NULL;
	else
		memtable_free(change->old);
	change_free(change);
}
