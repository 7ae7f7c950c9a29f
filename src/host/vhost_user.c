/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user messages of one front end: a handler each, and the table that dispatches them.
 *
 * Main thread. The front end is hostile: sizes and numbers of descriptors are checked by the table
 * before a handler runs, everything else by the handler. See QEMU's docs/interop/vhost-user.rst.
 *
 * A handler returns 0 or -errno. A front end that asked for acknowledgements learns of a failure by
 * one; any other is disconnected, since it would go on as if all were well.
 */
#include "host/vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"

#define FEATURES                                                                                   \
	((UINT64_C(1) << VIRTIO_F_VERSION_1) | (UINT64_C(1) << VIRTIO_F_RING_INDIRECT_DESC) |      \
	 (UINT64_C(1) << VIRTIO_F_RING_EVENT_IDX) |                                                \
	 (UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES))

#define PROTOCOL_FEATURES                                                                          \
	((UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ) |                                               \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK) |                                        \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_CRYPTO_SESSION) |                                   \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIG) |                                           \
	 (UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

/* ---- helpers ---- */

static uint64_t payload_u64(const struct message *message)
{
	uint64_t value;

	memcpy(&value, message->payload, sizeof(value));
	return value;
}

static int answer_u64(struct message *message, uint64_t value)
{
	memcpy(message->payload, &value, sizeof(value));
	message->header.size = sizeof(value);
	return 0;
}

/* The queue that a message is about, NULL: there is none. */
static struct host_queue *queue_find(const struct front_end *front_end, uint64_t index)
{
	if (index > front_end->device->data_queues)
		return NULL;
	return &front_end->device->queue[index];
}

static bool has(const struct front_end *front_end, unsigned int protocol_feature)
{
	return front_end->protocol_features >> protocol_feature & 1;
}

/*
 * Rings start disabled by the specification once protocol features are agreed, but QEMU's crypto
 * never enables one: a kick descriptor is the start, unless ENABLE has said no.
 */
static int queue_start_if_ready(struct front_end *front_end, struct host_queue *queue)
{
	uint64_t features = front_end->device->features;
	unsigned int i = queue->index;
	int err;

	if (queue->started || !front_end->queue[i].kicked || front_end->queue[i].disabled)
		return 0;
	/* Without VERSION_1 we were not told the features (QEMU's crypto back end): call always. */
	queue->config.always_call = !(features >> VIRTIO_F_VERSION_1 & 1);
	queue->config.event_idx = features >> VIRTIO_F_RING_EVENT_IDX & 1;
	err = device_queue_start(front_end->device, i);
	if (err)
		log_notice("device %s: queue %u cannot start: %s", front_end->device->name, i,
		           strerror(-err));
	else
		log_debug("device %s: queue %u started, %u entries", front_end->device->name, i,
		          queue->config.size);
	return err;
}

/* Kicks and calls must be eventfds: reading or writing anything else could block a worker. */
static int event_fd_check(int fd)
{
	char link[32], target[32];
	ssize_t n;
	int flags;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (strcmp(target, "anon_inode:[eventfd]") != 0)
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* Memory must be kept by the kernel itself: a page fault in a file of FUSE or NFS could be held up
 * for ever by whoever serves it. */
static int memory_fd_check(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC)
		return -EINVAL;
	return 0;
}

/* ---- handlers: features and configuration ---- */

static int on_get_features(struct front_end *front_end, struct message *message)
{
	return answer_u64(message, FEATURES);
}

/* Applies to queues that start later. QEMU repeats it for each queue. */
static int on_set_features(struct front_end *front_end, struct message *message)
{
	uint64_t features = payload_u64(message);

	if (features & ~FEATURES)
		return -EINVAL;
	front_end->device->features = features;
	return 0;
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
	device_config(front_end->device, &config);
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

/* ---- handlers: memory ---- */

static int memory_add(struct memtable **table, const struct vhost_user_mem_region *region, int fd)
{
	struct memtable *larger;
	int err = memory_fd_check(fd);

	if (!err)
		err = memtable_with(*table, region, fd, &larger);
	if (err)
		return err;
	memtable_free(*table);
	*table = larger;
	return 0;
}

/* The whole table at once; replaces what was there. */
static int on_set_mem_table(struct front_end *front_end, struct message *message)
{
	struct vhost_user_mem_table wire = {0};
	struct memtable *table;
	int err = 0;

	memcpy(&wire, message->payload, vc_min(message->header.size, sizeof(wire)));
	if (wire.nregions > VHOST_USER_MAX_BASE_REGIONS || wire.nregions != message->nfds ||
	    message->header.size != offsetof(struct vhost_user_mem_table, regions) +
	                                    wire.nregions * sizeof(wire.regions[0]))
		return -EPROTO;
	table = memtable_new();
	if (!table)
		return -ENOMEM;
	for (uint32_t i = 0; i < wire.nregions && !err; i++)
		err = memory_add(&table, &wire.regions[i], message->fds[i]);
	if (err) {
		memtable_free(table);
		return err;
	}
	device_memory_set(front_end->device, table);
	return 0;
}

static int on_get_max_mem_slots(struct front_end *front_end, struct message *message)
{
	return answer_u64(message, MEMTABLE_MAX_REGIONS);
}

/* Comes with each new process in the guest: nothing in flight has to wait. */
static int on_add_mem_reg(struct front_end *front_end, struct message *message)
{
	struct vhost_user_mem_reg_msg wire;
	struct memtable *table;
	int err = memory_fd_check(message->fds[0]);

	memcpy(&wire, message->payload, sizeof(wire));
	if (!err)
		err = memtable_with(front_end->device->memory, &wire.region, message->fds[0],
		                    &table);
	if (err)
		return err;
	device_memory_extend(front_end->device, table);
	return 0;
}

/* A descriptor that comes with it is of no use, and closed. */
static int on_rem_mem_reg(struct front_end *front_end, struct message *message)
{
	struct vhost_user_mem_reg_msg wire;
	struct memtable *table;
	int err;

	memcpy(&wire, message->payload, sizeof(wire));
	err = memtable_without(front_end->device->memory, &wire.region, &table);
	if (err)
		return err;
	device_memory_set(front_end->device, table);
	return 0;
}

/* ---- handlers: queues ---- */

static int on_set_vring_num(struct front_end *front_end, struct message *message)
{
	const struct vhost_user_vring_state *state = (void *)message->payload;
	struct host_queue *queue = queue_find(front_end, state->index);

	if (!queue || state->num > VIRTQ_MAX_SIZE || !vc_is_power_of_two(state->num))
		return -EINVAL;
	if (queue->started)
		return state->num == queue->config.size ? 0 : -EBUSY;
	queue->config.size = (uint16_t)state->num;
	return 0;
}

static int on_set_vring_addr(struct front_end *front_end, struct message *message)
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

static int on_set_vring_base(struct front_end *front_end, struct message *message)
{
	const struct vhost_user_vring_state *state = (void *)message->payload;
	struct host_queue *queue = queue_find(front_end, state->index);

	if (!queue || state->num > UINT16_MAX)
		return -EINVAL;
	if (queue->started)
		return -EBUSY;
	queue->config.base = (uint16_t)state->num;
	return 0;
}

/* Stops the queue; tells where it stopped. */
static int on_get_vring_base(struct front_end *front_end, struct message *message)
{
	struct vhost_user_vring_state *state = (void *)message->payload;
	struct host_queue *queue = queue_find(front_end, state->index);

	if (!queue)
		return -EINVAL;
	device_queue_stop(front_end->device, queue->index);
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
	int err;

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
	err = event_fd_check(message->fds[0]);
	if (err)
		return err;
	*fd = message_take_fd(message, 0);
	return 0;
}

/* Starts the queue; without a descriptor the worker polls it and never sleeps. */
static int on_set_vring_kick(struct front_end *front_end, struct message *message)
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

static int on_set_vring_call(struct front_end *front_end, struct message *message)
{
	struct host_queue *queue;
	int fd;
	int err = vring_fd(front_end, message, &queue, &fd);

	if (err)
		return err;
	device_queue_set_fd(front_end->device, queue->index, &queue->call_fd, fd);
	return 0;
}

static int on_set_vring_err(struct front_end *front_end, struct message *message)
{
	struct host_queue *queue;
	int fd;
	int err = vring_fd(front_end, message, &queue, &fd);

	if (err)
		return err;
	device_queue_set_fd(front_end->device, queue->index, &queue->err_fd, fd);
	return 0;
}

static int on_set_vring_enable(struct front_end *front_end, struct message *message)
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
	[VHOST_USER_GET_CONFIG] = {"GET_CONFIG", CONFIG, CONFIG + VHOST_USER_CONFIG_MAX, 0, 0, true,
	                           false, on_get_config},
	[VHOST_USER_SET_CONFIG] = {"SET_CONFIG", CONFIG, CONFIG + VHOST_USER_CONFIG_MAX, 0, 0,
	                           false, true, on_set_config},
	[VHOST_USER_CREATE_CRYPTO_SESSION] = {"CREATE_CRYPTO_SESSION", SESSION_632, SESSION_1072, 0,
	                                      0, true, false, on_create_session},
	[VHOST_USER_CLOSE_CRYPTO_SESSION] = {"CLOSE_CRYPTO_SESSION", 8, 8, 0, 0, false, true,
	                                     on_close_session},
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

void front_end_init(struct front_end *front_end, struct device *device, int socket)
{
	memset(front_end, 0, sizeof(*front_end));
	front_end->device = device;
	front_end->socket = socket;
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
		log_notice("device %s: vhost-user message %u is not supported: ignored",
		           front_end->device->name, message->header.request);
	front_end->unknown |= bit;
	return -EOPNOTSUPP;
}

int front_end_handle(struct front_end *front_end, struct message *message, const char **why)
{
	const struct handler *handler = handler_find(message->header.request);
	uint32_t request = message->header.request;
	bool ack = has(front_end, VHOST_USER_PROTOCOL_F_REPLY_ACK) &&
	           (message->header.flags & VHOST_USER_FLAG_NEED_REPLY);
	uint64_t failed;
	int err;

	*why = handler ? handler->name : "unknown message";
	if (!handler)
		err = unknown_message(front_end, message);
	else if (message->nfds < handler->min_fds || message->nfds > handler->max_fds)
		return -EPROTO;
	else
		err = handler->handle(front_end, message);

	if (handler && handler->answers)
		return err ? err
		           : message_reply(front_end->socket, request, message->payload,
		                           message->header.size);
	if (ack) {
		failed = err ? 1 : 0;
		return message_reply(front_end->socket, request, &failed, sizeof(failed));
	}
	return handler && !handler->soft ? err : 0;
}
