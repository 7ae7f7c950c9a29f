/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See ceiling.h: a transport for libvcrypto whose other end is its kick. The device asks to be
 * kicked for every request, so that each submit runs it.
 */
#include "perf/ceiling.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/driver.h"

#define QUEUES_MAX 64u

struct transport {
	char nothing;
};

static int ceiling_connect(const char *address, unsigned int timeout_ms,
                           struct transport **transport, uint64_t *features,
                           struct transport_error *error)
{
	*features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_INDIRECT_DESC |
	            1ull << VIRTIO_F_RING_EVENT_IDX;
	*transport = calloc(1, sizeof(**transport));
	return *transport ? 0 : -ENOMEM;
}

static void ceiling_close(struct transport *transport)
{
	free(transport);
}

static int ceiling_features_set(struct transport *transport, uint64_t features,
                                struct transport_error *error)
{
	return 0;
}

static unsigned int ceiling_queues_max(struct transport *transport)
{
	return QUEUES_MAX + 1;
}

/* Whatever is asked for can be "done". */
static int ceiling_config_read(struct transport *transport, void *config, size_t size,
                               struct transport_error *error)
{
	struct virtio_crypto_config c;

	memset(&c, 0xff, sizeof(c));
	c.status = VIRTIO_CRYPTO_S_HW_READY;
	c.max_dataqueues = QUEUES_MAX;
	c.max_size = UINT32_MAX;
	memcpy(config, &c, vc_min(size, sizeof(c)));
	return 0;
}

static int ceiling_memory_add(struct transport *transport, void *address, size_t size, int fd,
                              uint64_t offset, struct transport_error *error)
{
	return 0;
}

static int ceiling_memory_remove(struct transport *transport, void *address, size_t size,
                                 struct transport_error *error)
{
	return 0;
}

static int ceiling_queue_start(struct transport *transport, struct transport_queue *queue,
                               struct transport_error *error)
{
	queue->call_fd = event_create();
	return queue->call_fd < 0 ? queue->call_fd : 0;
}

/* The IN part, the last descriptor: a status byte of 0, or a session. Returns its length. */
static uint32_t answer(const struct virtq_desc *last)
{
	void *in = (void *)(uintptr_t)last->addr;
	struct virtio_crypto_session_input input = {.session_id = VCRYPTO_SESSION_ID(0, 1)};

	if (last->len == sizeof(input))
		memcpy(in, &input, sizeof(input));
	else
		*(uint8_t *)in = VIRTIO_CRYPTO_OK;
	return last->len;
}

static void ceiling_kick(const struct transport_queue *queue)
{
	const struct ring_split *ring = &queue->ring->split;
	struct virtq_used *used = ring->used;
	uint16_t now = ring->avail->idx, at = used->idx;

	for (; at != now; at++) {
		uint16_t head = ring->avail->ring[at & ring->mask];
		const struct virtq_desc *desc = &ring->desc[head];
		const struct virtq_desc *table = (struct virtq_desc *)(uintptr_t)desc->addr;

		used->ring[at & ring->mask] = (struct virtq_used_elem){
			head, answer(&table[desc->len / sizeof(*table) - 1])};
	}
	used->idx = now;
	/* The next one is to kick as well. */
	*(uint16_t *)(uintptr_t)ring->avail_event = now;
}

static bool ceiling_alive(struct transport *transport)
{
	return true;
}

static int ceiling_fd(const struct transport *transport)
{
	return -1;
}

static const struct transport_ops transport_ceiling = {
	.open = ceiling_connect,
	.close = ceiling_close,
	.features_set = ceiling_features_set,
	.queues_max = ceiling_queues_max,
	.config_read = ceiling_config_read,
	.memory_add = ceiling_memory_add,
	.memory_remove = ceiling_memory_remove,
	.queue_start = ceiling_queue_start,
	.kick = ceiling_kick,
	.alive = ceiling_alive,
	.fd = ceiling_fd,
};

int ceiling_open(const struct vcrypto_device_options *options, struct vcrypto_device **device,
                 char **error)
{
	struct vcrypto_device_options here = *options;

	here.sessions = VCRYPTO_SESSIONS_CONTROL_QUEUE;
	return device_open_over(&transport_ceiling, &here, 0, device, error);
}
