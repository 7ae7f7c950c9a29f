/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the vhost-user back end: the handlers of messages, one each. The table in vhost_user.c
 * has checked the size of the payload and the number of descriptors before it calls one.
 *
 * A handler returns 0 or -errno. Those of requests that have an answer of their own turn the
 * payload into it.
 */
#ifndef VC_HOST_VHOST_HANDLERS_H
#define VC_HOST_VHOST_HANDLERS_H

#include <string.h>

#include "host/vhost_user.h"

static inline uint64_t payload_u64(const struct message *message)
{
	uint64_t value;

	memcpy(&value, message->payload, sizeof(value));
	return value;
}

static inline int answer_u64(struct message *message, uint64_t value)
{
	memcpy(message->payload, &value, sizeof(value));
	message->header.size = sizeof(value);
	return 0;
}

/* vhost_memory.c */
int on_set_mem_table(struct front_end *front_end, struct message *message);
int on_get_max_mem_slots(struct front_end *front_end, struct message *message);
int on_add_mem_reg(struct front_end *front_end, struct message *message);
int on_rem_mem_reg(struct front_end *front_end, struct message *message);

int on_get_inflight_fd(struct front_end *front_end, struct message *message);
int on_set_inflight_fd(struct front_end *front_end, struct message *message);

/* vhost_iotlb.c */
int on_iotlb_msg(struct front_end *front_end, struct message *message);
/* Whether the guest has an IOMMU, as SET_FEATURES says it. */
int front_end_iommu(struct front_end *front_end, bool on);
/* A queue that cannot start with its rings at unknown addresses: true, and the front end is asked
 * for what is missing; its answer starts the queue. */
bool front_end_ring_awaited(struct front_end *front_end, struct host_queue *queue);
/* Let go of the event loop. */
void front_end_iommu_end(struct front_end *front_end);

/* vhost_user.c: send a message of our own. 0; -ENOTCONN there is no channel, -EAGAIN it is full,
 * -errno it is closed now. */
int front_end_send(struct front_end *front_end, uint32_t request, const void *payload,
                   uint32_t size);

/* vhost_queue.c */
/* The queue that a message is about, NULL: there is none. */
struct host_queue *queue_find(const struct front_end *front_end, uint64_t index);
/* Start a queue that has all it needs for that. 0, -errno. */
int queue_start_if_ready(struct front_end *front_end, struct host_queue *queue);
int on_set_vring_num(struct front_end *front_end, struct message *message);
int on_set_vring_addr(struct front_end *front_end, struct message *message);
int on_set_vring_base(struct front_end *front_end, struct message *message);
int on_get_vring_base(struct front_end *front_end, struct message *message);
int on_set_vring_kick(struct front_end *front_end, struct message *message);
int on_set_vring_call(struct front_end *front_end, struct message *message);
int on_set_vring_err(struct front_end *front_end, struct message *message);
int on_set_vring_enable(struct front_end *front_end, struct message *message);
/* After a reset of the device: no queue has been kicked. */
void front_end_queues_forget(struct front_end *front_end);

#endif
