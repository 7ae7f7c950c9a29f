/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with an IOMMU (vhost-user, "IOMMU support"): the front end says what the IOMMU allows,
 * and is asked about what a ring or a chain names and nobody has said yet. Main thread.
 *
 * A worker that misses memory leaves the queue alone and signals device->miss_fd. We ask; the
 * answer comes as an update, which makes a new view, with which the worker tries again. An address
 * of which nothing is heard in time is none: its chain fails. So a driver that names addresses at
 * random holds up its own queue.
 *
 * QEMU's crypto back end does not tell features: there the first message about the IOMMU says that
 * there is one.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/util.h"
#include "host/iotlb.h"
#include "host/vhost_handlers.h"

/* How long an answer is waited for. */
#define ANSWER_MS 1000u

/* ---- asking ---- */

/* Ask where addr is, unless that has been asked and may yet be answered. A full channel: then
 * later, when the time for an answer has passed. */
static void ask(struct front_end *front_end, unsigned int index, uint64_t addr, uint8_t perm)
{
	const struct vhost_user_iotlb wire = {
		.iova = addr,
		.perm = perm,
		.type = VHOST_USER_IOTLB_MISS,
	};

	if (front_end->queue[index].asked_until && front_end->queue[index].asked_addr == addr)
		return;
	front_end->queue[index].asked_addr = addr;
	front_end->queue[index].asked_write = perm & VHOST_USER_IOTLB_WO;
	front_end->queue[index].asked_until = clock_now_ns() + ANSWER_MS * UINT64_C(1000000);
	front_end->device->iotlb_asked++;
	front_end_send(front_end, VHOST_USER_BACKEND_IOTLB_MSG, &wire, sizeof(wire));
}

static void on_answer_late(void *context);

static void timer_set(struct front_end *front_end)
{
	if (front_end->miss_timer)
		return;
	if (evloop_timer(front_end->loop, ANSWER_MS, on_answer_late, front_end,
	                 &front_end->miss_timer) < 0)
		front_end->miss_timer = NULL;
}

/* No answer: what the queue wanted is nowhere. Unless a message waits for requests in flight: the
 * answer may be behind it, and has its time when it can be read. */
static void on_answer_late(void *context)
{
	struct front_end *front_end = context;
	struct device *device = front_end->device;
	uint64_t now = clock_now_ns();
	bool retry = false, waiting = false;

	evloop_remove(front_end->miss_timer);
	front_end->miss_timer = NULL;
	for (unsigned int i = 0; i <= device->data_queues; i++) {
		uint64_t *until = &front_end->queue[i].asked_until;

		if (!*until)
			continue;
		if (front_end->change)
			*until = now + ANSWER_MS * UINT64_C(1000000);
		if (now < *until) {
			waiting = true;
			continue;
		}
		front_end->queue[i].asked_until = 0;
		if (!device->queue[i].started)
			continue;
		log_limited(&device->log, LOG_LEVEL_NOTICE,
		            "device %s: queue %u: address 0x%" PRIx64
		            " is not known to the guest's IOMMU",
		            device->name, i, front_end->queue[i].asked_addr);
		atomic_store(&device->queue[i].miss_over, true);
		retry = true;
	}
	if (retry)
		device_misses_retry(device);
	if (waiting)
		timer_set(front_end);
}

/* Workers have queues that miss memory. */
static void on_miss(void *context, int fd, uint32_t events)
{
	struct front_end *front_end = context;
	struct device *device = front_end->device;
	bool known = false;

	event_clear(fd);
	for (unsigned int i = 0; i <= device->data_queues; i++) {
		struct host_queue *queue = &device->queue[i];
		uint64_t gap, addr;
		bool write;

		/* Acquire: pairs with queue_miss(). */
		if (!atomic_exchange_explicit(&queue->misses, false, memory_order_acquire))
			continue;
		/* It may have come in the meantime. */
		addr = atomic_load_explicit(&queue->miss_addr, memory_order_relaxed);
		write = atomic_load_explicit(&queue->miss_write, memory_order_relaxed);
		if (!memtable_gap(device->memory, addr, 1, write, &gap))
			known = true;
		else
			ask(front_end, i, addr, write ? VHOST_USER_IOTLB_WO : VHOST_USER_IOTLB_RO);
	}
	timer_set(front_end);
	if (known)
		device_misses_retry(device);
}

bool front_end_ring_awaited(struct front_end *front_end, struct host_queue *queue)
{
	struct device *device = front_end->device;
	uint64_t gap;

	if (!vring_gap(device->memory, &queue->config, &gap))
		return false;
	if (device->iotlb) {
		ask(front_end, queue->index, gap, VHOST_USER_IOTLB_RW);
		timer_set(front_end);
		return true;
	}
	/* Told no features: the addresses may be those of an IOMMU of which we are to hear. */
	if (!queue->config.untold || front_end->backend_fd < 0)
		return false;
	log_debug("device %s: queue %u: its ring is not in shared memory: waits for the IOMMU",
	          device->name, queue->index);
	return true;
}

/* ---- hearing ---- */

int front_end_iommu(struct front_end *front_end, bool on)
{
	struct device *device = front_end->device;
	int err;

	/* QEMU's crypto back end repeats SET_FEATURES, and never says that there is one. */
	if (on == !!device->iotlb || (!on && device_running(device)))
		return 0;
	if (on && !front_end->loop)
		return -EOPNOTSUPP;
	front_end_iommu_end(front_end);
	err = device_iommu(device, on);
	if (err || !on)
		return err;
	err = evloop_add(front_end->loop, device->miss_fd, EPOLLIN, on_miss, front_end,
	                 &front_end->miss_watch);
	/* Nobody would hear of what is missed. */
	if (err)
		device_iommu(device, false);
	return err;
}

void front_end_iommu_end(struct front_end *front_end)
{
	evloop_remove(front_end->miss_timer);
	evloop_remove(front_end->miss_watch);
	front_end->miss_timer = front_end->miss_watch = NULL;
}

static int iotlb_apply(struct device *device, const struct vhost_user_iotlb *wire)
{
	switch (wire->type) {
	case VHOST_USER_IOTLB_UPDATE:
		if (!wire->perm || wire->perm > VHOST_USER_IOTLB_RW)
			return -EINVAL;
		/* One region, as it was told. */
		if (!memtable_user(device->regions, wire->user_addr, wire->size))
			return -EFAULT;
		/* What may only be written may be read as well: a page of a CPU's is no other. */
		return iotlb_update(device->iotlb, wire->iova, wire->size, wire->user_addr,
		                    wire->perm & VHOST_USER_IOTLB_WO);
	case VHOST_USER_IOTLB_INVALIDATE:
		iotlb_invalidate(device->iotlb, wire->iova, wire->size);
		return 0;
	default:
		return -EINVAL;
	}
}

/* The view is another: what was missed may be there. */
static void iotlb_changed(struct front_end *front_end)
{
	struct device *device = front_end->device;

	for (unsigned int i = 0; i <= device->data_queues; i++) {
		uint64_t gap;

		if (front_end->queue[i].asked_until &&
		    !memtable_gap(device->memory, front_end->queue[i].asked_addr, 1,
		                  front_end->queue[i].asked_write, &gap))
			front_end->queue[i].asked_until = 0;
		queue_start_if_ready(front_end, &device->queue[i]);
	}
}

/* Answered when no request points any more into what was taken away. */
int on_iotlb_msg(struct front_end *front_end, struct message *message)
{
	struct device *device = front_end->device;
	struct vhost_user_iotlb wire = {0};
	int err = front_end_iommu(front_end, true);

	if (err)
		return err;
	memcpy(&wire, message->payload, vc_min(message->header.size, sizeof(wire)));
	err = iotlb_apply(device, &wire);
	if (err)
		return err;
	err = device_iotlb_changed_begin(device, &front_end->change);
	if (err)
		return err;
	if (front_end->change)
		front_end->then = iotlb_changed;
	else
		iotlb_changed(front_end);
	return 0;
}
