/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control requests over the control queue (virtio 1.3, 5.9.7.1). Any thread, under the device's
 * lock.
 *
 * Slot i is descriptor i with an indirect table, or descriptors 2 i and 2 i + 1.
 */
#include <poll.h>

#include "virtio/driver.h"

static unsigned int ring_size(bool indirect)
{
	return CONTROL_SLOTS * (indirect ? 1 : 2);
}

size_t control_queue_bytes(bool indirect)
{
	return ring_split_bytes(ring_size(indirect));
}

void control_queue_init(struct control *control, void *memory, bool indirect, bool event_idx)
{
	ring_split_init(&control->ring, memory, ring_size(indirect), event_idx);
	for (unsigned int i = 0; indirect && i < CONTROL_SLOTS; i++)
		control->ring.desc[i] = (struct virtq_desc){(uintptr_t)control->slots[i].table,
		                                            2 * sizeof(struct virtq_desc),
		                                            VIRTQ_DESC_F_INDIRECT, 0};
}

static void queue_send(struct vcrypto_device *device, unsigned int i, uint32_t out, uint32_t in)
{
	struct control *control = &device->control;
	struct control_slot *slot = &control->slots[i];
	bool indirect = control->ring.size == CONTROL_SLOTS;
	uint16_t base = indirect ? 0 : (uint16_t)(2 * i);
	struct virtq_desc *table = indirect ? slot->table : &control->ring.desc[base];

	table[0] = (struct virtq_desc){(uintptr_t)&slot->request, out, VIRTQ_DESC_F_NEXT,
	                               (uint16_t)(base + 1)};
	table[1] = (struct virtq_desc){(uintptr_t)&slot->input, in, VIRTQ_DESC_F_WRITE, 0};
	ring_split_push(&control->ring, indirect ? (uint16_t)i : base);
	if (ring_split_publish(&control->ring))
		device->ops->kick(&control->transport);
}

static void queue_reap(struct vcrypto_device *device)
{
	struct control *control = &device->control;
	unsigned int n = ring_split_pending(&control->ring);

	if (n > CONTROL_SLOTS - control->free_count) {
		transport_error_set(&device->error, "the back end broke the control queue");
		device_lost(device);
		return;
	}
	while (n--) {
		struct virtq_used_elem e = ring_split_take(&control->ring);
		unsigned int i = control->ring.size == CONTROL_SLOTS ? e.id : e.id / 2;

		if (e.id >= control->ring.size || !control->busy[i]) {
			transport_error_set(&device->error,
			                    "the back end gave back a control request twice");
			device_lost(device);
			return;
		}
		control_answered(device, i);
	}
}

/* Several threads may wait: each looks again after 1 ms at the latest, for another one may have
 * emptied the descriptor. */
static void queue_wait(struct vcrypto_device *device)
{
	struct control *control = &device->control;
	struct pollfd fds[2] = {{.fd = control->transport.call_fd, .events = POLLIN},
	                        {.fd = device->ops->fd(device->transport), .events = POLLIN}};
	bool ready;

	pthread_mutex_lock(&device->lock);
	ready = ring_split_arm(&control->ring);
	pthread_mutex_unlock(&device->lock);
	if (!ready)
		poll(fds, 2, 1);
	pthread_mutex_lock(&device->lock);
	ring_split_disarm(&control->ring);
	event_clear(control->transport.call_fd);
	pthread_mutex_unlock(&device->lock);
	if (fds[1].revents)
		vcrypto_device_alive(device);
}

const struct control_way control_way_queue = {
	.send = queue_send,
	.reap = queue_reap,
	.wait = queue_wait,
};
