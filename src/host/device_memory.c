/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual device's memory: which table its workers use, and how another takes its place while
 * requests are in flight. Main thread.
 *
 * Where the guest has an IOMMU, the workers' table is a view: the front end's memory under the
 * addresses that the IOMMU gave it. Each entry that comes or goes makes a new view.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "host/device_private.h"
#include "host/iotlb.h"
#include "host/ring_window.h"
#include "host/worker.h"

int device_memory_allow(struct device *device, uint64_t bytes)
{
	if (bytes <= device->limits.memory)
		return 0;
	log_limited(&device->log, LOG_LEVEL_NOTICE,
	            "device %s: %" PRIu64 " bytes of memory refused: its limit is %" PRIu64,
	            device->name, bytes, device->limits.memory);
	return -ENOSPC;
}

/* Tell every worker of the table, and wait until none points into what is gone (NULL: nothing). */
static void tell_workers(struct device *device, const struct memtable *memory,
                         const struct memtable *gone)
{
	uint64_t set = device_workers(device);

	for (unsigned int w = 0; w < device->worker_count; w++) {
		if ((set >> w & 1) && worker_device_remap(device->workers[w], device, memory, gone))
			device_mark_stuck(device);
	}
}

/* ---- rings ---- */

void device_ring_forget(struct host_queue *queue)
{
	for (unsigned int part = 0; part < 3; part++) {
		ring_window_free(queue->window[part]);
		queue->window[part] = NULL;
		queue->config.found[part] = NULL;
	}
}

int device_ring_setup(struct device *device, struct host_queue *queue)
{
	const uint64_t addr[3] = {queue->config.desc, queue->config.avail, queue->config.used};
	int err = vring_setup(&queue->ring, device->memory, &queue->config);
	uint64_t size[3];

	if (err != -EFAULT || !device->iotlb)
		return err;
	vring_sizes(&queue->config, size);
	err = 0;
	for (unsigned int part = 0; part < 3 && !err; part++) {
		err = ring_window_new(device->memory, addr[part], size[part], &queue->window[part]);
		if (!err)
			queue->config.found[part] = ring_window_at(queue->window[part]);
	}
	if (!err)
		err = vring_setup(&queue->ring, device->memory, &queue->config);
	if (err)
		device_ring_forget(queue);
	return err;
}

bool device_ring_stays(const struct host_queue *queue, const struct memtable *memory)
{
	struct vring probe;

	for (unsigned int part = 0; part < 3; part++)
		if (queue->window[part] && !ring_window_holds(queue->window[part], memory))
			return false;
	return !vring_setup(&probe, memory, &queue->config);
}

/* Stop queues whose rings are not in a table. Where there is an IOMMU, they may be in the next. */
static void rings_check(struct device *device, const struct memtable *memory)
{
	for (unsigned int i = 0; i < device_queue_count(device); i++) {
		struct host_queue *queue = &device->queue[i];

		if (!queue->started || device_ring_stays(queue, memory))
			continue;
		device_queue_stop(device, i);
		if (device->iotlb)
			continue;
		log_limited(&device->log, LOG_LEVEL_NOTICE,
		            "device %s: queue %u: its ring is no longer in shared memory: stopped",
		            device->name, i);
		atomic_store(&queue->broken, "its ring is no longer in shared memory");
	}
}

struct memtable *device_table_replace(struct device *device, struct memtable *memory)
{
	struct memtable *old = device->memory, *gone;

	rings_check(device, memory);
	gone = memtable_minus(old, memory);
	/* Without memory for the difference, nothing may point into any of the old regions. */
	if (!gone)
		tell_workers(device, memory, old);
	else
		tell_workers(device, memory, gone->count ? gone : NULL);
	device->memory = memory;
	/* The mappings that go are the old table's and those of the difference. */
	if (device->stuck)
		return NULL;
	memtable_free(gone);
	return old;
}

const struct memtable *device_regions(const struct device *device)
{
	return device->iotlb ? device->regions : device->memory;
}

/* ---- the guest's IOMMU ---- */

static int iommu_on(struct device *device)
{
	struct memtable *view = memtable_view_new(0);
	struct iotlb *iotlb = iotlb_new();
	int fd = view && iotlb ? event_create() : -ENOMEM;

	if (fd < 0) {
		memtable_free(view);
		iotlb_free(iotlb);
		return fd;
	}
	device->iotlb = iotlb;
	device->miss_fd = fd;
	device->regions = device->memory;
	device_table_replace(device, view);
	return 0;
}

static void iommu_off(struct device *device)
{
	memtable_free(device_table_replace(device, device->regions));
	device->regions = NULL;
	iotlb_free(device->iotlb);
	device->iotlb = NULL;
	/* Workers signal before they answer a command, and no queue has missed anything since. */
	close(device->miss_fd);
	device->miss_fd = -1;
}

int device_iommu(struct device *device, bool on)
{
	if (on == !!device->iotlb)
		return 0;
	if (on)
		return iommu_on(device);
	iommu_off(device);
	return 0;
}

void device_iotlb_flush(struct device *device)
{
	struct memtable *view;

	if (!device->iotlb || !iotlb_count(device->iotlb) || device_running(device))
		return;
	iotlb_clear(device->iotlb);
	view = memtable_view_new(0);
	if (view)
		memtable_free(device_table_replace(device, view));
	else
		log_error("device %s: no memory to forget what its IOMMU allowed", device->name);
}

void device_misses_retry(struct device *device)
{
	tell_workers(device, device->memory, NULL);
}
