/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole device, from the socket to the resource and back: vhost-user messages, rings in shared
 * memory, sessions by all three ways, memory that goes, requests that are held up. One thread: the
 * worker's rounds are made when the input says, and when the main thread waits for the worker.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/evloop.h"
#include "fuzz.h"
#include "host/memtable.h"
#include "host/vhost_connection.h"
#include "host/worker_private.h"
#include "input.h"
#include "touch.h"
#include "vhost.h"
#include "wire/vhost_user.h"

#define PATIENCE 100000

static struct touch primary, secondary;
static struct group group;
static struct worker *worker;
static struct evloop *loop;

/* One input's. */
static struct device *device;
static struct connection *connection;
static int front;  /* our end */
static int events; /* an eventfd */
static struct {
	int fd;
	uint8_t *base;
	bool cut;
} memory[MEMORIES];

int __wrap_worker_call(struct worker *to, struct message *message);

/* Instead of waiting for the worker's thread. */
int __wrap_worker_call(struct worker *to, struct message *message)
{
	message->waited_for = true;
	worker_post(to, message);
	for (unsigned int i = 0; !message->done; i++) {
		fuzz_check(i < PATIENCE);
		worker_round(to);
		messages_handle(to);
		/* What is waited for comes back some time. */
		if (i == 8)
			primary.hold = secondary.hold = false;
	}
	return message->result;
}

static void prepare(void)
{
	static struct resource *resources[2];
	struct worker_options options = {.cpu = -1,
	                                 .resources = resources,
	                                 .resource_count = 2,
	                                 .max_size = MEMORY_SIZE,
	                                 .wait_ms = 600000};

	if (worker)
		return;
	touch_init(&primary, "primary", 0);
	touch_init(&secondary, "secondary", 1);
	resources[0] = &primary.base;
	resources[1] = &secondary.base;
	group = (struct group){.name = "group", .primary = 1, .count = 2};
	memcpy(group.resource, resources, sizeof(resources));
	fuzz_check(!memtable_guard_install());
	fuzz_check(!evloop_create(&loop));
	worker = worker_new(&options);
	fuzz_check(worker && !worker_begin(worker));
	workers_add(worker);
}

static void on_end(void *context)
{
	connection = NULL;
}

static void memory_make(unsigned int i)
{
	memory[i].fd = memfd_create("guest", MFD_CLOEXEC);
	fuzz_check(memory[i].fd >= 0 && !ftruncate(memory[i].fd, MEMORY_SIZE));
	memory[i].base =
		mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory[i].fd, 0);
	fuzz_check(memory[i].base != MAP_FAILED);
	memory[i].cut = false;
}

static void begin(bool strict)
{
	struct device_options options = {
		.name = "fuzz",
		.group = &group,
		.data_queues = QUEUES - 1,
		.strict = strict,
		.limits = {.sessions = 4, .inflight_bytes = 1u << 16, .memory = 1u << 20},
		.max_size = 16384,
		.workers = &worker,
		.worker_count = 1,
	};
	struct connection_options how = {.loop = loop, .quiet = true, .on_end = on_end};
	int pair[2];

	fuzz_check(!device_create(&options, &device));
	fuzz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	front = pair[0];
	how.device = device;
	how.fd = pair[1];
	fuzz_check(!connection_create(&how, &connection));
	events = event_create();
	for (unsigned int i = 0; i < MEMORIES; i++)
		memory_make(i);
	primary.hold = secondary.hold = primary.fail = secondary.fail = primary.refuse = false;
}

static void end(void)
{
	close(front);
	/* It may be waiting for requests. */
	primary.hold = secondary.hold = false;
	for (unsigned int i = 0; connection && i < PATIENCE; i++) {
		worker_round(worker);
		messages_handle(worker);
		evloop_once(loop, 0);
	}
	fuzz_check(!connection && !device->stuck);
	/* Nobody waits for sessions to be let go of. */
	for (unsigned int i = 0; i < 4; i++) {
		worker_round(worker);
		messages_handle(worker);
	}
	fuzz_check(!session_table_count(device->sessions) && !device->memory->count);
	fuzz_check(!worker->queue_count);
	fuzz_check(!worker->views);
	fuzz_check(worker->free_count == WORKER_SLAB && !worker->waiting_count);
	device_destroy(device);
	close(events);
	for (unsigned int i = 0; i < MEMORIES; i++) {
		munmap(memory[i].base, MEMORY_SIZE);
		close(memory[i].fd);
	}
}

/* ---- messages ---- */

static void answers_drop(void)
{
	uint8_t bytes[8192];

	while (recv(front, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void message_send(uint32_t request, const void *payload, uint32_t size, const int *fds,
                         unsigned int nfds)
{
	struct vhost_user_header header = {request, VHOST_USER_VERSION | VHOST_USER_FLAG_NEED_REPLY,
	                                   size};
	uint8_t bytes[VHOST_USER_HEADER_SIZE + 2048];

	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	unix_send_fds(front, bytes, sizeof(header) + size, fds, nfds, MSG_NOSIGNAL);
}

static void settle(void)
{
	evloop_once(loop, 0);
	answers_drop();
}

static struct vhost_user_mem_region region(unsigned int i)
{
	/* Beside each other in guest addresses, at different places in ours. */
	return (struct vhost_user_mem_region){i * MEMORY_SIZE, MEMORY_SIZE,
	                                      USER_BASE + i * 2 * MEMORY_SIZE, 0};
}

static void features_set(struct input *in)
{
	uint64_t protocol = UINT64_MAX, bits = input_u16(in);
	uint64_t features =
		UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES | (bits & 0x3f) |
		(bits >> 8 & 1) << VIRTIO_F_RING_INDIRECT_DESC |
		(bits >> 9 & 1) << VIRTIO_F_RING_EVENT_IDX |
		(bits >> 10 & 1) << VIRTIO_F_VERSION_1 | (bits >> 11 & 1) << VIRTIO_F_RING_PACKED |
		(bits >> 12 & 1) << VIRTIO_F_IN_ORDER | (bits >> 13 & 1) << VIRTIO_F_RING_RESET;

	/* All that is offered, and without acknowledgements none of the rest is known to fail. */
	protocol = UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ |
	           UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK |
	           UINT64_C(1) << VHOST_USER_PROTOCOL_F_CRYPTO_SESSION |
	           UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIG |
	           UINT64_C(1) << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD |
	           UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS;
	message_send(VHOST_USER_SET_PROTOCOL_FEATURES, &protocol, 8, NULL, 0);
	message_send(VHOST_USER_SET_FEATURES, &features, 8, NULL, 0);
}

static void memory_table_set(struct input *in)
{
	struct vhost_user_mem_table table = {.nregions = input_u8(in) % (MEMORIES + 1)};
	int fds[MEMORIES];

	for (unsigned int i = 0; i < table.nregions; i++) {
		table.regions[i] = region(i);
		fds[i] = memory[i].fd;
	}
	message_send(VHOST_USER_SET_MEM_TABLE, &table,
	             8 + table.nregions * (uint32_t)sizeof(table.regions[0]), fds, table.nregions);
}

static void queue_set(struct input *in)
{
	uint8_t how = input_u8(in);
	uint32_t index = how % QUEUES;
	uint64_t at = USER_BASE + RING_AT(index), number = index;
	struct vhost_user_vring_state size = {index, RING_SIZE}, base = {index, 0},
				      enable = {index, !(how & 0x20)};
	struct vhost_user_vring_addr addr = {
		.index = index, .desc = at, .avail = at + 512, .used = at + 768};

	if (how & 0x10)
		base.num = input_u32(in);
	if (device->features >> VIRTIO_F_RING_PACKED & 1 && !base.num)
		base.num = 0x8000;
	message_send(VHOST_USER_SET_VRING_NUM, &size, sizeof(size), NULL, 0);
	message_send(VHOST_USER_SET_VRING_BASE, &base, sizeof(base), NULL, 0);
	message_send(VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	message_send(VHOST_USER_SET_VRING_CALL, &number, 8, &events, 1);
	message_send(VHOST_USER_SET_VRING_KICK, &number, 8, &events, 1);
	message_send(VHOST_USER_SET_VRING_ENABLE, &enable, sizeof(enable), NULL, 0);
}

/* An IOMMU that changes no address, which is how rings and chains still mean something. */
static void iotlb_message(struct input *in)
{
	uint8_t how = input_u8(in);
	struct vhost_user_mem_region memory_region = region(how % MEMORIES);
	uint64_t offset = input_u16(in), size = how & 0x10 ? input_u16(in) : MEMORY_SIZE;
	struct vhost_user_iotlb wire = {
		.iova = (how & 2 ? memory_region.user_addr : memory_region.guest_addr) + offset,
		.size = size,
		.user_addr = memory_region.user_addr + offset,
		.perm = how & 4 ? VHOST_USER_IOTLB_RO : VHOST_USER_IOTLB_RW,
		.type = how & 8 ? VHOST_USER_IOTLB_INVALIDATE : VHOST_USER_IOTLB_UPDATE,
	};

	message_send(VHOST_USER_IOTLB_MSG, &wire, sizeof(wire), NULL, 0);
}

/* QEMU's, of AES-CBC; the input changes a byte. */
static void session_message(struct input *in)
{
	struct vhost_user_crypto_session_632 old = {
		.sym = {.cipher_alg = 3, .key_len = 16, .op_type = 1, .direction = 1}};
	struct vhost_user_crypto_session_1072 new = {.op_code = 2, .u.sym = old.sym};
	uint8_t kind = input_u8(in), *bytes = kind & 1 ? (uint8_t *)&new : (uint8_t *)&old;
	uint32_t size = kind & 1 ? sizeof(new) : sizeof(old), at;

	at = input_u16(in) % size;
	bytes[at] ^= input_u8(in);
	message_send(VHOST_USER_CREATE_CRYPTO_SESSION, bytes, size, NULL, 0);
}

static void known_message(struct input *in)
{
	uint8_t kind = input_u8(in);
	struct vhost_user_vring_state state = {kind / 16 % QUEUES, 0};
	struct vhost_user_mem_reg_msg one = {.region = region(kind / 16 % MEMORIES)};
	struct vhost_user_inflight inflight = {.num_queues = QUEUES, .queue_size = RING_SIZE};
	const struct session *session;
	uint32_t cursor = 0;
	uint64_t id;

	switch (kind % 14) {
	case 0:
		features_set(in);
		break;
	case 1:
		message_send(VHOST_USER_ADD_MEM_REG, &one, sizeof(one),
		             &memory[kind / 16 % MEMORIES].fd, 1);
		break;
	case 2:
		message_send(VHOST_USER_REM_MEM_REG, &one, sizeof(one), NULL, 0);
		break;
	case 3:
		memory_table_set(in);
		break;
	case 4:
		queue_set(in);
		break;
	case 5:
		message_send(VHOST_USER_GET_VRING_BASE, &state, sizeof(state), NULL, 0);
		break;
	case 6:
		session_message(in);
		break;
	case 7:
		session = session_table_next(device->sessions, &cursor);
		id = session ? session->id ^ (kind / 16 % 4) : kind;
		message_send(VHOST_USER_CLOSE_CRYPTO_SESSION, &id, 8, NULL, 0);
		break;
	case 8:
		message_send(VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0);
		break;
	case 9:
		id = input_u8(in);
		message_send(VHOST_USER_SET_STATUS, &id, 8, NULL, 0);
		break;
	case 10:
		state.num = 1;
		message_send(VHOST_USER_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0);
		break;
	case 11:
		if (kind & 0x80) {
			iotlb_message(in);
			break;
		}
		id = kind / 16 % QUEUES;
		message_send(VHOST_USER_SET_VRING_ERR, &id, 8, &events, 1);
		break;
	case 12:
		message_send(VHOST_USER_GET_INFLIGHT_FD, &inflight, sizeof(inflight), NULL, 0);
		break;
	default:
		/* In the guest's memory, where the input writes. */
		inflight.mmap_size = input_u16(in);
		inflight.mmap_offset = MEMORY_SIZE / 2;
		message_send(VHOST_USER_SET_INFLIGHT_FD, &inflight, sizeof(inflight), &memory[0].fd,
		             1);
		break;
	}
	settle();
}

/* Any message, with descriptors of any kind. */
static void any_message(struct input *in)
{
	uint8_t request = input_u8(in), with = input_u8(in), payload[1100];
	uint32_t size = input_u16(in) % sizeof(payload);
	int fds[4] = {memory[0].fd, events, STDERR_FILENO, memory[1].fd};

	input_bytes(in, payload, size);
	message_send(request, payload, size, fds + with % 4, vc_min(with / 4 % 4, 4 - with % 4));
	settle();
}

/* Not even messages. */
static void any_bytes(struct input *in)
{
	uint8_t bytes[64];
	size_t n = input_u8(in) % sizeof(bytes);

	input_bytes(in, bytes, n);
	if (n)
		unix_send_fds(front, bytes, n, &events, n & 1, MSG_NOSIGNAL);
	settle();
}

/* ---- memory ---- */

static void memory_write(struct input *in)
{
	uint16_t at = input_u16(in);
	uint8_t n = input_u8(in) % 73;

	if (!memory[0].cut)
		input_bytes(in, memory[0].base + vc_min(at, MEMORY_SIZE - 80), n);
}

static void put_u16(uint32_t at, uint16_t value)
{
	memcpy(memory[0].base + at, &value, 2);
}

/* A live session's id where a request has it, since nobody guesses one. */
static void id_set(uint32_t at, uint8_t queue)
{
	const struct session *session;
	uint32_t cursor = 0;

	session = session_table_next(device->sessions, &cursor);
	if (session)
		memcpy(memory[0].base + at + (queue == QUEUES - 1 ? 16 : 8), &session->id, 8);
}

/* A chain of three descriptors: OUT, IN, the last byte of IN; and it is made available. */
static void chain_offer(struct input *in)
{
	uint8_t queue = input_u8(in) % QUEUES, slot = input_u8(in) % 4, how = input_u8(in);
	uint16_t out = input_u16(in) % 512, back = input_u16(in) % 480;
	uint32_t at = CHAINS_AT + slot * CHAIN_SIZE, ring = RING_AT(queue), first = slot * 3u;
	struct virtq_desc descs[3] = {
		{at, out, VIRTQ_DESC_F_NEXT, (uint16_t)(first + 1)},
		{at + 512, back, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, (uint16_t)(first + 2)},
		{at + CHAIN_SIZE - 1, 1, VIRTQ_DESC_F_WRITE, 0},
	};
	uint16_t index;

	if (memory[0].cut)
		return;
	input_bytes(in, memory[0].base + at, out);
	if (how & LIVE)
		id_set(at, queue);
	/* In the second memory: it may go. */
	if (how & 1)
		descs[how / 2 % 2].addr += MEMORY_SIZE;
	if (device->features >> VIRTIO_F_RING_PACKED & 1) {
		for (unsigned int i = 0; i < 3; i++) {
			struct virtq_packed_desc packed = {
				descs[i].addr, descs[i].len, slot,
				(uint16_t)(descs[i].flags | VIRTQ_PACKED_F_AVAIL)};

			memcpy(memory[0].base + ring + 16 * (first + i), &packed, sizeof(packed));
		}
		return;
	}
	memcpy(memory[0].base + ring + 16 * first, descs, sizeof(descs));
	memcpy(&index, memory[0].base + ring + 512 + 2, 2);
	put_u16(ring + 512 + 4 + 2 * (index % RING_SIZE), (uint16_t)first);
	put_u16(ring + 512 + 2, (uint16_t)(index + 1));
}

static void resources_set(struct input *in)
{
	uint8_t how = input_u8(in);

	primary.hold = how & 1;
	secondary.hold = how & 2;
	primary.fail = how & 4;
	secondary.fail = how & 8;
	primary.refuse = how & 16;
	primary.capacity = 1 + how / 32u;
}

static void memory_cut(struct input *in)
{
	uint8_t how = input_u8(in);
	unsigned int i = how % MEMORIES;

	/* Rarely: from here on there is not much to see. */
	if (how < 0xf0)
		return;
	memory[i].cut = true;
	fuzz_check(!ftruncate(memory[i].fd, how & 2 ? 4096 : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	int first;

	prepare();
	first = dup(STDERR_FILENO);
	close(first);
	begin(input_u8(&in) & 1);
	while (in.left && connection) {
		uint8_t op = input_u8(&in);

		switch (op % 8) {
		case KNOWN:
			known_message(&in);
			break;
		case ANY_MESSAGE:
			any_message(&in);
			break;
		case ANY_BYTES:
			any_bytes(&in);
			break;
		case WRITE:
			memory_write(&in);
			break;
		case CHAIN:
			chain_offer(&in);
			break;
		case RESOURCES:
			resources_set(&in);
			break;
		case CUT:
			memory_cut(&in);
			break;
		default:
			worker_round(worker);
			messages_handle(worker);
			break;
		}
	}
	end();
	/* No descriptor is left open: the lowest free one is what it was. */
	fuzz_check(dup(STDERR_FILENO) == first);
	close(first);
	return 0;
}
