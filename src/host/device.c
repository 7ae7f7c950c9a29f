/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual device: which worker has which queue, and the order in which things go away.
 *
 * Main thread. Nothing that a worker can reach is changed or freed before that worker has let go of
 * it: queues are stopped first, then sessions, then memory. The functions here that stop a queue
 * wait for what it has in flight; so what can be in flight is brought back first, and nobody waits
 * (device_change.c). What a request that never came back may
 * still touch is kept (leaked) and the device stays down, because the other way is a wild write.
 */
#include "host/device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "host/device_private.h"
#include "host/drain.h"
#include "host/worker.h"

static struct worker *queue_worker(const struct device *device, unsigned int index)
{
	/* The control queue is hardly used: with data queue 0. */
	unsigned int n = index == device->data_queues ? 0 : index;

	return device->workers[(device->first_worker + n) % device->worker_count];
}

void device_ready_changed(struct device *device)
{
	bool not_ready = device->stuck || device->offline || device_drains(device);

	if (atomic_exchange(&device->not_ready, not_ready) != not_ready &&
	    device->on_config_changed)
		device->on_config_changed(device->config_context);
}

void device_set_group(struct device *device, const struct group *group)
{
	struct virtio_crypto_config was, is;

	device_config(device, device->group, &was);
	device_config(device, group, &is);
	device->group = group;
	if (memcmp(&was, &is, sizeof(was)) && device->on_config_changed)
		device->on_config_changed(device->config_context);
}

void device_offline(struct device *device, bool offline)
{
	device->offline = offline;
	device_ready_changed(device);
}

void device_mark_stuck(struct device *device)
{
	if (!device->stuck)
		log_error("device %s: requests did not come back from a resource; the device is "
		          "down until the daemon is restarted",
		          device->name);
	device->stuck = true;
	device_ready_changed(device);
}

static void limits_take(struct device *device, const struct device_limits *limits)
{
	unsigned int workers = vc_min(device->data_queues, device->worker_count);

	device->limits = *limits;
	__atomic_store_n(&device->share_bytes, limits->inflight_bytes / workers, __ATOMIC_RELAXED);
}

void device_limit(struct device *device, const struct device_limits *limits)
{
	uint64_t set = device_workers(device);

	limits_take(device, limits);
	for (unsigned int w = 0; w < device->worker_count; w++)
		if (set >> w & 1)
			worker_device_limit(device->workers[w], device);
}

int device_create(const struct device_options *options, struct device **device)
{
	struct device *d = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*d), VC_CACHE_LINE));

	if (!d)
		return -ENOMEM;
	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", options->name);
	d->index = options->index;
	d->group = options->group;
	d->max_size = options->max_size;
	d->data_queues = options->data_queues;
	d->strict = options->strict;
	d->workers = options->workers;
	d->worker_count = options->worker_count;
	d->first_worker = options->first_worker;
	limits_take(d, &options->limits);
	d->sessions = session_table_new(d->limits.sessions);
	d->memory = memtable_new();
	d->miss_fd = -1;
	for (unsigned int i = 0; i < DEVICE_MAX_QUEUES; i++) {
		struct host_queue *queue = &d->queue[i];

		queue->device = d;
		queue->index = i;
		queue->control = i == d->data_queues;
		queue->kick_fd = queue->call_fd = queue->err_fd = -1;
	}
	if (!d->sessions || !d->memory) {
		device_destroy(d);
		return -ENOMEM;
	}
	*device = d;
	return 0;
}

void device_destroy(struct device *device)
{
	if (!device || device->stuck)
		return;
	if (device->sessions)
		session_table_free(device->sessions);
	memtable_free(device->memory);
	free(device);
}

int device_queue_start(struct device *device, unsigned int index)
{
	struct host_queue *queue = &device->queue[index];
	int err;

	if (queue->started)
		return -EALREADY;
	if (device->stuck)
		return -EIO;
	err = device_ring_setup(device, queue);
	if (err)
		return err;
	if (device->strict && !queue->control) {
		queue->order = order_new(queue->config.size);
		if (!queue->order) {
			device_ring_forget(queue);
			return -ENOMEM;
		}
	}
	err = inflight_begin(&queue->inflight, &device->inflight, index, &queue->ring);
	if (err) {
		free(queue->order);
		queue->order = NULL;
		device_ring_forget(queue);
		return err;
	}
	/* No worker has the queue now. */
	queue->counters.resubmitted += queue->inflight.again_count;
	if (queue->inflight.again_count)
		log_notice("device %s: queue %u: %u requests were in flight: done again",
		           device->name, index, queue->inflight.again_count);
	queue->in_flight = 0;
	queue->waiting = 0;
	queue->paused = 0;
	queue->dirty = false;
	atomic_store(&queue->broken, NULL);
	atomic_store(&queue->misses, false);
	atomic_store(&queue->miss_over, false);
	/* Without VERSION_1 the features are another's (QEMU's crypto back end tells none). */
	queue->crypto_features = device->features >> VIRTIO_F_VERSION_1 & 1
	                                 ? (uint32_t)device->features & VIRTIO_CRYPTO_FEATURES
	                                 : 0;
	queue->worker = queue_worker(device, index);
	queue->started = true;
	worker_queue_start(queue->worker, queue);
	return 0;
}

void device_queue_stop(struct device *device, unsigned int index)
{
	struct host_queue *queue = &device->queue[index];

	if (!queue->started)
		return;
	if (worker_queue_stop(queue->worker, queue))
		device_mark_stuck(device);
	queue->started = false;
	queue->worker = NULL;
	queue->config.base = vring_base(&queue->ring);
	free(queue->order);
	queue->order = NULL;
	inflight_end(&queue->inflight, &queue->ring);
	device_ring_forget(queue);
}

uint64_t device_workers(const struct device *device)
{
	uint64_t set = 0;

	for (unsigned int i = 0; i < device_queue_count(device); i++) {
		for (unsigned int w = 0; w < device->worker_count; w++) {
			if (device->queue[i].started &&
			    device->queue[i].worker == device->workers[w])
				set |= UINT64_C(1) << w;
		}
	}
	return set;
}

void device_resume(struct device *device)
{
	uint64_t set = device_workers(device);

	/* Who waits for the device to be quiet wants it to stay so. */
	device->resume_due = device->pauses;
	if (device->held || device->resume_due)
		return;
	for (unsigned int w = 0; w < device->worker_count; w++) {
		if (set >> w & 1)
			worker_device_resume(device->workers[w], device);
	}
}

unsigned int device_in_flight(struct device *device)
{
	uint64_t set = device_workers(device);
	unsigned int n = 0;

	for (unsigned int w = 0; w < device->worker_count; w++) {
		if (set >> w & 1)
			n += worker_device_in_flight(device->workers[w], device);
	}
	return n;
}

void device_queue_set_fd(struct device *device, unsigned int index, int *member, int fd)
{
	struct host_queue *queue = &device->queue[index];
	int old = *member;

	if (queue->started)
		worker_queue_set_fd(queue->worker, member, fd);
	else
		*member = fd;
	if (old >= 0)
		close(old);
}

bool device_running(const struct device *device)
{
	return device_workers(device) != 0;
}

int device_inflight_set(struct device *device, const struct inflight_area *area)
{
	if (device_running(device))
		return -EBUSY;
	inflight_area_close(&device->inflight);
	device->inflight = *area;
	return 0;
}

int device_session_create(struct device *device, const struct session_params *params, uint64_t *id)
{
	return session_create(device->sessions, params, group_can, (void *)(uintptr_t)device->group,
	                      id);
}

int device_session_destroy(struct device *device, uint64_t id)
{
	struct session *session = session_remove(device->sessions, id);

	if (!session)
		return -ENOENT;
	session->ended_next = NULL;
	worker_sessions_leave(session);
	return 0;
}

/* All sessions of a device whose queues are stopped. */
static void sessions_end(struct device *device)
{
	struct session *session, *first = NULL;
	uint32_t cursor = 0;

	while ((session = session_table_next(device->sessions, &cursor))) {
		if (!session_remove(device->sessions, session->id))
			continue;
		session->ended_next = first;
		first = session;
	}
	worker_sessions_leave(first);
}

void device_restart(struct device *device)
{
	for (unsigned int i = 0; i < device_queue_count(device); i++)
		device_queue_stop(device, i);
	sessions_end(device);
	for (unsigned int i = 0; i < device_queue_count(device); i++) {
		struct host_queue *queue = &device->queue[i];

		device_queue_set_fd(device, i, &queue->kick_fd, -1);
		memset(&queue->config, 0, sizeof(queue->config));
		atomic_store(&queue->broken, NULL);
	}
	device->features = 0;
}

bool device_broken(struct device *device)
{
	bool broken = device->stuck;

	for (unsigned int i = 0; i < device_queue_count(device); i++)
		broken |= !!atomic_load(&device->queue[i].broken);
	return broken;
}

void device_reset(struct device *device)
{
	struct memtable *empty;

	device_restart(device);
	for (unsigned int i = 0; i < device_queue_count(device); i++) {
		struct host_queue *queue = &device->queue[i];

		device_queue_set_fd(device, i, &queue->call_fd, -1);
		device_queue_set_fd(device, i, &queue->err_fd, -1);
	}
	if (!device->stuck)
		inflight_area_close(&device->inflight);
	device_iommu(device, false);
	empty = memtable_new();
	if (empty)
		memtable_free(device_table_replace(device, empty));
	else
		log_error("device %s: no memory to let go of guest memory", device->name);
}
