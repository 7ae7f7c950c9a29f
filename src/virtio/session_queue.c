/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control requests over the control queue (virtio 1.3, 5.9.7.1). Any thread, under the device's
 * lock.
 *
 * Slot i is descriptor i with an indirect table, or descriptors 2 i and 2 i + 1.
 */
#include <poll.h>

#include "virtio/driver.h"

#define CHAIN 2 /* descriptors */

unsigned int control_queue_chain(bool indirect)
{
	return indirect ? 1 : CHAIN;
}

size_t control_queue_bytes(bool indirect, bool packed)
{
	return ring_bytes(CONTROL_SLOTS * control_queue_chain(indirect), packed);
}

void control_queue_init(struct control *control, void *memory, bool indirect, struct ring_kind kind)
{
	control->indirect = indirect;
	ring_init(&control->ring, memory, control->count * control_queue_chain(indirect),
	          control_queue_chain(indirect), kind);
}

static void queue_send(struct vcrypto_device *device, unsigned int i, uint32_t out, uint32_t in)
{
	struct control *control = &device->control;
	struct control_slot *slot = &control->slots[i];
	struct virtq_desc chain[CHAIN] = {
		{(uintptr_t)&slot->request, out, VIRTQ_DESC_F_NEXT, 1},
		{(uintptr_t)&slot->input, in, VIRTQ_DESC_F_WRITE, 0},
	};

	if (control->indirect) {
		struct virtq_desc one = {(uintptr_t)slot->table, sizeof(chain),
		                         VIRTQ_DESC_F_INDIRECT, 0};

		slot->table[0] = chain[0];
		slot->table[1] = chain[1];
		if (control->ring.packed) {
			/* Flags where a split table says which is the next one (2.8.7). */
			slot->table[0].flags = slot->table[0].next = 0;
			slot->table[1].flags = 0;
			slot->table[1].next = VIRTQ_DESC_F_WRITE;
		}
		ring_push(&control->ring, (uint16_t)i, &one, 1);
	} else {
		ring_push(&control->ring, (uint16_t)(CHAIN * i), chain, CHAIN);
	}
	if (ring_publish(&control->ring))
		device->ops->kick(&control->transport);
}

static void queue_broken(struct vcrypto_device *device, const char *how)
{
	transport_error_set(&device->error, "the back end %s", how);
	device_lost(device);
}

static void queue_reap(struct vcrypto_device *device)
{
	struct control *control = &device->control;
	struct ring_used used;
	int taken;

	while ((taken = ring_take(&control->ring, &used)) > 0) {
		unsigned int i = used.id / control->ring.each;

		if (used.id >= ring_size(&control->ring) || !control->busy[i]) {
			queue_broken(device, "gave back a control request twice");
			return;
		}
		control_answered(device, i);
	}
	if (taken < 0)
		queue_broken(device, "broke the control queue");
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
	ready = ring_arm(&control->ring);
	pthread_mutex_unlock(&device->lock);
	if (!ready)
		poll(fds, 2, 1);
	pthread_mutex_lock(&device->lock);
	ring_disarm(&control->ring);
	(void)queue_calls(device, &control->transport);
	pthread_mutex_unlock(&device->lock);
	if (fds[1].revents)
		vcrypto_device_alive(device);
}

const struct control_way control_way_queue = {
	.send = queue_send,
	.reap = queue_reap,
	.wait = queue_wait,
};
