/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages about queues: where a ring lies, its descriptors, start and stop. Main
 * thread.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notifier.h"
#include "host/vhost_handlers.h"

struct host_queue *queue_find(const struct front_end *front_end, uint64_t index)
{
	if (index > front_end->device->data_queues)
		return NULL;
	return &front_end->device->queue[index];
}

/* Packed rings have other sizes and bases. A front end agrees on features before it sets up. */
static bool is_packed(const struct front_end *front_end)
{
	return front_end->device->features >> VIRTIO_F_RING_PACKED & 1;
}

/*
 * Rings start disabled by the specification once protocol features are agreed, but QEMU's crypto
 * never enables one: a kick descriptor is the start, unless ENABLE has said no.
 */
int queue_start_if_ready(struct front_end *front_end, struct host_queue *queue)
{
	uint64_t features = front_end->device->features;
	unsigned int i = queue->index;
	int err;

	if (queue->started || !front_end->queue[i].kicked || front_end->queue[i].disabled)
		return 0;
	/* Without VERSION_1 we were not told the features (QEMU's crypto back end). */
	queue->config.untold = !(features >> VIRTIO_F_VERSION_1 & 1);
	queue->config.event_idx = features >> VIRTIO_F_RING_EVENT_IDX & 1;
	queue->config.packed = is_packed(front_end);
	queue->config.in_order = features >> VIRTIO_F_IN_ORDER & 1;
	if (front_end_ring_awaited(front_end, queue))
		return 0;
	err = device_queue_start(front_end->device, i);
	if (err)
		log_limited(&front_end->device->log, LOG_LEVEL_NOTICE,
		            "device %s: queue %u cannot start: %s", front_end->device->name, i,
		            strerror(-err));
	else
		log_debug("device %s: queue %u started, %u entries", front_end->device->name, i,
		          queue->config.size);
	return err;
}

int on_set_vring_num(struct front_end *front_end, struct message *message)
{
	const struct vhost_user_vring_state *state = (void *)message->payload;
	struct host_queue *queue = queue_find(front_end, state->index);

	if (!queue || !state->num || state->num > VIRTQ_MAX_SIZE ||
	    !(is_packed(front_end) || vc_is_power_of_two(state->num)))
		return -EINVAL;
	if (queue->started)
		return state->num == queue->config.size ? 0 : -EBUSY;
	queue->config.size = (uint16_t)state->num;
	return 0;
}

int on_set_vring_addr(struct front_end *front_end, struct message *message)
{
	const struct vhost_user_vring_addr *addr = (void *)message->payload;
	struct host_queue *queue = queue_find(front_end, addr->index);

	if (!queue)
		return -EINVAL;
	if (queue->started)
		return addr->desc == queue->config.desc && addr->avail == queue->config.avail &&
		                       addr->used == queue->config.used
		               ? 0
		               : -EBUSY;
	queue->config.desc = addr->desc;
	queue->config.avail = addr->avail;
	queue->config.used = addr->used;
	return 0;
}

int on_set_vring_base(struct front_end *front_end, struct message *message)
{
	const struct vhost_user_vring_state *state = (void *)message->payload;
	struct host_queue *queue = queue_find(front_end, state->index);

	if (!queue || (state->num > UINT16_MAX && !is_packed(front_end)))
		return -EINVAL;
	if (queue->started)
		return -EBUSY;
	queue->config.base = state->num;
	return 0;
}

/* Stops the queue; tells where it stopped. */
int on_get_vring_base(struct front_end *front_end, struct message *message)
{
	struct vhost_user_vring_state *state = (void *)message->payload;
	struct host_queue *queue = queue_find(front_end, state->index);

	if (!queue)
		return -EINVAL;
	device_queue_stop(front_end->device, queue->index);
	device_iotlb_flush(front_end->device);
	/* Nothing is in flight now, and where to go on is the front end's to say. */
	inflight_area_forget(&front_end->device->inflight, queue->index);
	device_queue_set_fd(front_end->device, queue->index, &queue->kick_fd, -1);
	front_end->queue[queue->index].kicked = false;
	state->num = queue->config.base;
	message->header.size = sizeof(*state);
	return 0;
}

/* The three messages that bring a descriptor of a queue, or say that there is none. */
static int vring_fd(struct front_end *front_end, struct message *message, struct host_queue **queue,
                    int *fd)
{
	uint64_t value = payload_u64(message);
	bool none = value & VHOST_USER_VRING_NOFD;

	if (value & ~(uint64_t)(VHOST_USER_VRING_INDEX_MASK | VHOST_USER_VRING_NOFD))
		return -EINVAL;
	if (message->nfds != (none ? 0 : 1))
		return -EPROTO;
	*queue = queue_find(front_end, value & VHOST_USER_VRING_INDEX_MASK);
	if (!*queue)
		return -EINVAL;
	*fd = -1;
	if (none)
		return 0;
	/* Reading, writing or watching anything else could block a worker. */
	if (!notifier_is_eventfd(message->fds[0]))
		return -EINVAL;
	*fd = message_take_fd(message, 0);
	return 0;
}

/* Starts the queue; without a descriptor the worker polls it and never sleeps. */
int on_set_vring_kick(struct front_end *front_end, struct message *message)
{
	struct host_queue *queue;
	int fd;
	int err = vring_fd(front_end, message, &queue, &fd);

	if (err)
		return err;
	/* The worker waits on the descriptor that it has: let it begin again with the new one. */
	device_queue_stop(front_end->device, queue->index);
	device_queue_set_fd(front_end->device, queue->index, &queue->kick_fd, fd);
	front_end->queue[queue->index].kicked = true;
	return queue_start_if_ready(front_end, queue);
}

int on_set_vring_call(struct front_end *front_end, struct message *message)
{
	struct host_queue *queue;
	int fd;
	int err = vring_fd(front_end, message, &queue, &fd);

	if (err)
		return err;
	device_queue_set_fd(front_end->device, queue->index, &queue->call_fd, fd);
	return 0;
}

int on_set_vring_err(struct front_end *front_end, struct message *message)
{
	struct host_queue *queue;
	int fd;
	int err = vring_fd(front_end, message, &queue, &fd);

	if (err)
		return err;
	device_queue_set_fd(front_end->device, queue->index, &queue->err_fd, fd);
	return 0;
}

int on_set_vring_enable(struct front_end *front_end, struct message *message)
{
	const struct vhost_user_vring_state *state = (void *)message->payload;
	struct host_queue *queue = queue_find(front_end, state->index);

	if (!queue || state->num > 1)
		return -EINVAL;
	front_end->queue[queue->index].disabled = !state->num;
	if (state->num)
		return queue_start_if_ready(front_end, queue);
	device_queue_stop(front_end->device, queue->index);
	return 0;
}

void front_end_queues_forget(struct front_end *front_end)
{
	memset(front_end->queue, 0, sizeof(front_end->queue));
}
