/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages of one front end: the table that dispatches them, and the handlers of those
 * that are about the device as a whole (vhost_memory.c and vhost_queue.c have the others).
 *
 * Main thread. The front end is hostile: sizes and numbers of descriptors are checked by the table
 * before a handler runs, everything else by the handler. See QEMU's docs/interop/vhost-user.rst.
 *
 * A handler returns 0 or -errno. A front end that asked for acknowledgements learns of a failure by
 * one; any other is disconnected, since it would go on as if all were well.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "host/vhost_handlers.h"

#define FEATURES                                                                                   \
	((UINT64_C(1) << VIRTIO_F_VERSION_1) | (UINT64_C(1) << VIRTIO_F_RING_INDIRECT_DESC) |      \
	 (UINT64_C(1) << VIRTIO_F_RING_EVENT_IDX) | (UINT64_C(1) << VIRTIO_F_RING_PACKED) |        \
	 (UINT64_C(1) << VIRTIO_F_RING_RESET) | (UINT64_C(1) << VIRTIO_F_ACCESS_PLATFORM) |        \
	 (UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES) | VIRTIO_CRYPTO_FEATURES)

#define PROTOCOL_FEATURES                                                                          \
	((UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ) |                                               \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK) |                                        \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_BACKEND_REQ) |                                      \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_CRYPTO_SESSION) |                                   \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIG) |                                           \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |                                   \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_RESET_DEVICE) |                                     \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |                              \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_STATUS))

static bool has(const struct front_end *front_end, unsigned int protocol_feature)
{
	return front_end->protocol_features >> protocol_feature & 1;
}

/* ---- handlers: features and configuration ---- */

static uint64_t features_offered(const struct device *device)
{
	return FEATURES | (device->strict ? UINT64_C(1) << VIRTIO_F_IN_ORDER : 0);
}

static int on_get_features(struct front_end *front_end, struct message *message)
{
	return answer_u64(message, features_offered(front_end->device));
}

/* Applies to queues that start later. QEMU repeats it for each queue. */
static int on_set_features(struct front_end *front_end, struct message *message)
{
	uint64_t features = payload_u64(message);

	if (features & ~features_offered(front_end->device))
		return -EINVAL;
	/* virtio 1.3, 5.9.3.1 */
	if (features & VIRTIO_CRYPTO_FEATURES_STATELESS &&
	    !(features >> VIRTIO_CRYPTO_F_REVISION_1 & 1))
		return -EINVAL;
	front_end->device->features = features;
	return front_end_iommu(front_end, features >> VIRTIO_F_ACCESS_PLATFORM & 1);
}

static int on_nothing(struct front_end *front_end, struct message *message)
{
	return 0;
}

static int on_get_protocol_features(struct front_end *front_end, struct message *message)
{
	return answer_u64(message, PROTOCOL_FEATURES);
}

static int on_set_protocol_features(struct front_end *front_end, struct message *message)
{
	uint64_t features = payload_u64(message);

	if (features & ~PROTOCOL_FEATURES)
		return -EINVAL;
	front_end->protocol_features = features;
	return 0;
}

/* Data queues and the control queue. */
static int on_get_queue_num(struct front_end *front_end, struct message *message)
{
	return answer_u64(message, front_end->device->data_queues + 1);
}

/* Payload: header and room for the bytes. An empty answer says that the request was wrong. */
static int on_get_config(struct front_end *front_end, struct message *message)
{
	struct vhost_user_config_header header;
	struct virtio_crypto_config config;
	uint8_t space[VHOST_USER_CONFIG_MAX] = {0};

	memcpy(&header, message->payload, sizeof(header));
	if (header.offset > sizeof(space) || header.size > sizeof(space) - header.offset ||
	    message->header.size > sizeof(header) + header.size) {
		message->header.size = 0;
		return 0;
	}
	device_config(front_end->device, front_end->device->group, &config);
	memcpy(space, &config, sizeof(config));
	memcpy(message->payload + sizeof(header), space + header.offset, header.size);
	message->header.size = (uint32_t)sizeof(header) + header.size;
	return 0;
}

/* The configuration space of a crypto device is read-only. */
static int on_set_config(struct front_end *front_end, struct message *message)
{
	return -EOPNOTSUPP;
}

/* ---- messages of our own ---- */

static void backend_close(struct front_end *front_end)
{
	if (front_end->backend_fd >= 0)
		close(front_end->backend_fd);
	front_end->backend_fd = -1;
}

int front_end_send(struct front_end *front_end, uint32_t request, const void *payload,
                   uint32_t size)
{
	struct {
		struct vhost_user_header header;
		uint8_t payload[sizeof(struct vhost_user_iotlb)];
	} wire = {.header = {request, VHOST_USER_VERSION, size}};
	size_t length = VHOST_USER_HEADER_SIZE + size;
	long n;

	if (front_end->backend_fd < 0)
		return -ENOTCONN;
	if (size)
		memcpy(wire.payload, payload, size);
	n = unix_send_fds(front_end->backend_fd, &wire, length, NULL, 0, MSG_DONTWAIT);
	if (n == (long)length)
		return 0;
	/* Full; anything else, and a part of a message, is the end of the channel. */
	if (n != -EAGAIN)
		backend_close(front_end);
	return n < 0 ? (int)n : -EPIPE;
}

/* It may be any descriptor: only a socket is asked not to wait by each send. */
static int on_set_backend_req_fd(struct front_end *front_end, struct message *message)
{
	int domain = 0, type = 0;
	socklen_t size = sizeof(int);

	if (!has(front_end, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		return -EPROTO;
	if (getsockopt(message->fds[0], SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
	    getsockopt(message->fds[0], SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -errno;
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return -EINVAL;
	backend_close(front_end);
	front_end->backend_fd = message_take_fd(message, 0);
	return 0;
}

/* The front end is to read the configuration again. When the channel is full, there is such a
 * message in it that has not been read, or many other ones: then it hears nothing anyhow. */
static void config_changed(void *context)
{
	front_end_send(context, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0);
}

/* ---- handlers: status ---- */

/* As after the front end connected, but for what is the transport's: memory, call and error
 * descriptors, what was agreed about the protocol. QEMU sends the latter two only once. */
static int reset(struct front_end *front_end)
{
	device_restart(front_end->device);
	device_iotlb_flush(front_end->device);
	for (unsigned int i = 0; i <= front_end->device->data_queues; i++)
		inflight_area_forget(&front_end->device->inflight, i);
	front_end_queues_forget(front_end);
	front_end->status = 0;
	return 0;
}

static int on_reset_device(struct front_end *front_end, struct message *message)
{
	return reset(front_end);
}

/* The driver's own words (virtio 1.3, 2.1); only 0 asks for something. */
static int on_set_status(struct front_end *front_end, struct message *message)
{
	uint64_t status = payload_u64(message);

	if (status > UINT8_MAX)
		return -EINVAL;
	if (!status)
		return reset(front_end);
	/* Ours to say, and written back by front ends that set one bit more. */
	front_end->status = (uint8_t)(status & ~(uint64_t)VIRTIO_CONFIG_S_NEEDS_RESET);
	return 0;
}

/* NEEDS_RESET: something of it stopped for good (virtio 1.3, 2.1.2). */
static int on_get_status(struct front_end *front_end, struct message *message)
{
	uint64_t status = front_end->status;

	if (device_broken(front_end->device))
		status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	return answer_u64(message, status);
}

/* ---- handlers: sessions ---- */

/* QEMU's main loop waits for the answer, which tells the session's id, or -1. */
static int on_create_session(struct front_end *front_end, struct message *message)
{
	vhost_session_create(front_end->device, message->payload, message->header.size);
	return 0;
}

static int on_close_session(struct front_end *front_end, struct message *message)
{
	return device_session_destroy(front_end->device, payload_u64(message));
}

/* ---- dispatch ---- */

struct handler {
	const char *name;
	uint16_t min_size, max_size; /* bytes of payload */
	uint8_t min_fds, max_fds;
	bool answers; /* the payload becomes the answer */
	bool soft;    /* its failure is no reason to disconnect */
	int (*handle)(struct front_end *front_end, struct message *message);
};

#define STATE sizeof(struct vhost_user_vring_state)
#define ADDR sizeof(struct vhost_user_vring_addr)
#define REGION sizeof(struct vhost_user_mem_reg_msg)
#define CONFIG sizeof(struct vhost_user_config_header)
#define INFLIGHT sizeof(struct vhost_user_inflight)
#define SESSION_632 sizeof(struct vhost_user_crypto_session_632)
#define SESSION_1072 sizeof(struct vhost_user_crypto_session_1072)

/* clang-format off */
static const struct handler handlers[] = {
	[VHOST_USER_GET_FEATURES] = {"GET_FEATURES", 0, 0, 0, 0, true, false, on_get_features},
	[VHOST_USER_SET_FEATURES] = {"SET_FEATURES", 8, 8, 0, 0, false, false, on_set_features},
	[VHOST_USER_SET_OWNER] = {"SET_OWNER", 0, 0, 0, 0, false, false, on_nothing},
	/* "No longer used; should be ignored." */
	[VHOST_USER_RESET_OWNER] = {"RESET_OWNER", 0, 0, 0, 0, false, false, on_nothing},
	[VHOST_USER_SET_MEM_TABLE] = {"SET_MEM_TABLE", 8, sizeof(struct vhost_user_mem_table), 0,
	                              VHOST_USER_MAX_BASE_REGIONS, false, false, on_set_mem_table},
	[VHOST_USER_SET_VRING_NUM] = {"SET_VRING_NUM", STATE, STATE, 0, 0, false, false,
	                              on_set_vring_num},
	[VHOST_USER_SET_VRING_ADDR] = {"SET_VRING_ADDR", ADDR, ADDR, 0, 0, false, false,
	                               on_set_vring_addr},
	[VHOST_USER_SET_VRING_BASE] = {"SET_VRING_BASE", STATE, STATE, 0, 0, false, false,
	                               on_set_vring_base},
	[VHOST_USER_GET_VRING_BASE] = {"GET_VRING_BASE", STATE, STATE, 0, 0, true, false,
	                               on_get_vring_base},
	[VHOST_USER_SET_VRING_KICK] = {"SET_VRING_KICK", 8, 8, 0, 1, false, false,
	                               on_set_vring_kick},
	[VHOST_USER_SET_VRING_CALL] = {"SET_VRING_CALL", 8, 8, 0, 1, false, false,
	                               on_set_vring_call},
	[VHOST_USER_SET_VRING_ERR] = {"SET_VRING_ERR", 8, 8, 0, 1, false, false, on_set_vring_err},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", 0, 0, 0, 0, true, false,
	                                      on_get_protocol_features},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", 8, 8, 0, 0, false, false,
	                                      on_set_protocol_features},
	[VHOST_USER_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", 0, 0, 0, 0, true, false, on_get_queue_num},
	[VHOST_USER_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", STATE, STATE, 0, 0, false, false,
	                                 on_set_vring_enable},
	[VHOST_USER_SET_BACKEND_REQ_FD] = {"SET_BACKEND_REQ_FD", 0, 0, 1, 1, false, false,
	                                   on_set_backend_req_fd},
	[VHOST_USER_IOTLB_MSG] = {"IOTLB_MSG", VHOST_USER_IOTLB_MIN, sizeof(struct vhost_user_iotlb), 0,
	                          0, false, false, on_iotlb_msg},
	[VHOST_USER_GET_CONFIG] = {"GET_CONFIG", CONFIG, CONFIG + VHOST_USER_CONFIG_MAX, 0, 0, true,
	                           false, on_get_config},
	[VHOST_USER_SET_CONFIG] = {"SET_CONFIG", CONFIG, CONFIG + VHOST_USER_CONFIG_MAX, 0, 0,
	                           false, true, on_set_config},
	[VHOST_USER_CREATE_CRYPTO_SESSION] = {"CREATE_CRYPTO_SESSION", SESSION_632, SESSION_1072, 0,
	                                      0, true, false, on_create_session},
	[VHOST_USER_CLOSE_CRYPTO_SESSION] = {"CLOSE_CRYPTO_SESSION", 8, 8, 0, 0, false, true,
	                                     on_close_session},
	[VHOST_USER_GET_INFLIGHT_FD] = {"GET_INFLIGHT_FD", VHOST_USER_INFLIGHT_MIN, INFLIGHT, 0, 0,
	                                true, false, on_get_inflight_fd},
	[VHOST_USER_SET_INFLIGHT_FD] = {"SET_INFLIGHT_FD", VHOST_USER_INFLIGHT_MIN, INFLIGHT, 0, 1,
	                                false, false, on_set_inflight_fd},
	[VHOST_USER_RESET_DEVICE] = {"RESET_DEVICE", 0, 0, 0, 0, false, false, on_reset_device},
	[VHOST_USER_SET_STATUS] = {"SET_STATUS", 8, 8, 0, 0, false, false, on_set_status},
	[VHOST_USER_GET_STATUS] = {"GET_STATUS", 0, 0, 0, 0, true, false, on_get_status},
	[VHOST_USER_GET_MAX_MEM_SLOTS] = {"GET_MAX_MEM_SLOTS", 0, 0, 0, 0, true, false,
	                                  on_get_max_mem_slots},
	[VHOST_USER_ADD_MEM_REG] = {"ADD_MEM_REG", REGION, REGION, 1, 1, false, false,
	                            on_add_mem_reg},
	[VHOST_USER_REM_MEM_REG] = {"REM_MEM_REG", REGION, REGION, 0, 1, false, false,
	                            on_rem_mem_reg},
};
/* clang-format on */

static const struct handler *handler_find(uint32_t request)
{
	if (request >= vc_array_size(handlers) || !handlers[request].handle)
		return NULL;
	return &handlers[request];
}

void front_end_init(struct front_end *front_end, struct device *device, int socket,
                    struct evloop *loop)
{
	memset(front_end, 0, sizeof(*front_end));
	front_end->device = device;
	front_end->socket = socket;
	front_end->loop = loop;
	front_end->answer_fd = -1;
	front_end->backend_fd = -1;
	device->on_config_changed = config_changed;
	device->config_context = front_end;
}

void front_end_fini(struct front_end *front_end)
{
	front_end->device->on_config_changed = NULL;
	front_end_iommu_end(front_end);
	backend_close(front_end);
	if (front_end->change)
		device_change_end(front_end->change);
	front_end->change = NULL;
}

bool front_end_size_ok(const struct vhost_user_header *header)
{
	const struct handler *handler = handler_find(header->request);

	if (!handler)
		return true;
	/* Only these two: anything between is no layout that ever was. */
	if (header->request == VHOST_USER_CREATE_CRYPTO_SESSION)
		return header->size == SESSION_632 || header->size == SESSION_1072;
	return header->size >= handler->min_size && header->size <= handler->max_size;
}

/* A message that we do not know: say so once, and to the front end if it wants to hear. */
static int unknown_message(struct front_end *front_end, const struct message *message)
{
	uint64_t bit = UINT64_C(1) << vc_min(message->header.request, 63u);

	if (!(front_end->unknown & bit))
		log_limited(&front_end->device->log, LOG_LEVEL_NOTICE,
		            "device %s: vhost-user message %u is not supported: ignored",
		            front_end->device->name, message->header.request);
	front_end->unknown |= bit;
	return -EOPNOTSUPP;
}

static int answer(struct front_end *front_end, const struct message *message)
{
	int err = message_reply(front_end->socket, message->header.request, message->payload,
	                        message->header.size, front_end->answer_fd);

	if (front_end->answer_fd >= 0)
		close(front_end->answer_fd);
	front_end->answer_fd = -1;
	return err;
}

static int acknowledge(struct front_end *front_end, uint32_t request, int err)
{
	uint64_t failed = err ? 1 : 0;

	return message_reply(front_end->socket, request, &failed, sizeof(failed), -1);
}

/* ---- messages that wait for requests in flight ---- */

/* Whether the message stops queues that run: all of the device, or (not NULL) that one. */
static bool stops_queues(const struct front_end *front_end, const struct message *message,
                         struct host_queue **queue)
{
	const struct vhost_user_vring_state *state = (void *)message->payload;
	const struct device *device = front_end->device;

	*queue = NULL;
	switch (message->header.request) {
	case VHOST_USER_GET_VRING_BASE:
		*queue = queue_find(front_end, state->index);
		return *queue;
	case VHOST_USER_SET_VRING_ENABLE:
		*queue = queue_find(front_end, state->index);
		return *queue && !state->num;
	case VHOST_USER_SET_VRING_KICK:
		*queue = queue_find(front_end, payload_u64(message) & VHOST_USER_VRING_INDEX_MASK);
		return *queue;
	case VHOST_USER_RESET_DEVICE:
		return true;
	case VHOST_USER_SET_STATUS:
		return !payload_u64(message);
	/* An IOMMU: nothing is where it was. */
	case VHOST_USER_SET_FEATURES:
		return !device->iotlb && payload_u64(message) >> VIRTIO_F_ACCESS_PLATFORM & 1;
	case VHOST_USER_IOTLB_MSG:
		return !device->iotlb;
	default:
		return false;
	}
}

/* The handler has run: say so to whom it may concern. */
static int handled(struct front_end *front_end, const struct handler *handler,
                   const struct message *message, int err)
{
	if (handler && handler->answers)
		return err ? err : answer(front_end, message);
	if (has(front_end, VHOST_USER_PROTOCOL_F_REPLY_ACK) &&
	    message->header.flags & VHOST_USER_FLAG_NEED_REPLY)
		return acknowledge(front_end, message->header.request, err);
	return handler && !handler->soft ? err : 0;
}

static int handle(struct front_end *front_end, const struct handler *handler,
                  struct message *message)
{
	int err = handler->handle(front_end, message);

	return front_end->change ? 1 : handled(front_end, handler, message, err);
}

int front_end_handle(struct front_end *front_end, struct message *message, const char **why)
{
	const struct handler *handler = handler_find(message->header.request);
	struct host_queue *queue;

	*why = handler ? handler->name : "unknown message";
	if (!handler)
		return handled(front_end, NULL, message, unknown_message(front_end, message));
	if (message->nfds < handler->min_fds || message->nfds > handler->max_fds)
		return -EPROTO;
	if (stops_queues(front_end, message, &queue))
		device_quiet_begin(front_end->device, queue, &front_end->change);
	front_end->quiet_first = front_end->change;
	return front_end->change ? 1 : handle(front_end, handler, message);
}

int front_end_fd(const struct front_end *front_end)
{
	return device_change_fd(front_end->change);
}

int front_end_finish(struct front_end *front_end, struct message *message, const char **why)
{
	const struct handler *handler = handler_find(message->header.request);
	void (*then)(struct front_end *) = front_end->then;
	int err;

	*why = handler->name;
	device_change_end(front_end->change);
	front_end->change = NULL;
	front_end->then = NULL;
	if (front_end->quiet_first) {
		front_end->quiet_first = false;
		err = handle(front_end, handler, message);
		/* It may have been refused, or be about a queue that was not meant to stay so. */
		device_resume(front_end->device);
		return err;
	}
	if (then)
		then(front_end);
	return handled(front_end, handler, message, 0);
}
