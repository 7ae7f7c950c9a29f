/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a front end (the target vhost, see vhost.c).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/evloop.h"
#include "fuzz.h"
#include "host/device.h"
#include "keys.h"
#include "vhost.h"
#include "wire/vhost_user.h"

/* Nobody reads them. */
static void answers_drop(int fd)
{
	uint8_t bytes[8192];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
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
	unix_send_fds(world.front, bytes, sizeof(header) + size, fds, nfds, MSG_NOSIGNAL);
}

static void u64_send(uint32_t request, uint64_t value)
{
	message_send(request, &value, sizeof(value), NULL, 0);
}

static void settle(void)
{
	evloop_once(world.loop, 0);
	answers_drop(world.front);
	answers_drop(world.channel[0]);
}

static struct vhost_user_mem_region region(unsigned int i)
{
	return (struct vhost_user_mem_region){i * MEMORY_SIZE, MEMORY_SIZE,
	                                      USER_BASE + i * 2 * MEMORY_SIZE, 0};
}

static void features_set(struct input *in)
{
	uint64_t bits = input_u16(in);
	uint64_t features =
		UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES | (bits & 0x3f) |
		(bits >> 8 & 1) << VIRTIO_F_RING_INDIRECT_DESC |
		(bits >> 9 & 1) << VIRTIO_F_RING_EVENT_IDX |
		(bits >> 10 & 1) << VIRTIO_F_VERSION_1 | (bits >> 11 & 1) << VIRTIO_F_RING_PACKED |
		(bits >> 12 & 1) << VIRTIO_F_IN_ORDER | (bits >> 13 & 1) << VIRTIO_F_RING_RESET |
		(bits >> 14 & 1) << VIRTIO_F_ACCESS_PLATFORM;

	/* All that is offered: without acknowledgements none of the rest is known to fail. */
	u64_send(VHOST_USER_SET_PROTOCOL_FEATURES,
	         UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ |
	                 UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK |
	                 UINT64_C(1) << VHOST_USER_PROTOCOL_F_BACKEND_REQ |
	                 UINT64_C(1) << VHOST_USER_PROTOCOL_F_CRYPTO_SESSION |
	                 UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIG |
	                 UINT64_C(1) << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD |
	                 UINT64_C(1) << VHOST_USER_PROTOCOL_F_RESET_DEVICE |
	                 UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS |
	                 UINT64_C(1) << VHOST_USER_PROTOCOL_F_STATUS);
	u64_send(VHOST_USER_SET_FEATURES, features);
}

static void memory_table_set(struct input *in)
{
	struct vhost_user_mem_table table = {.nregions = input_u8(in) % (MEMORIES + 1)};
	int fds[MEMORIES];

	for (unsigned int i = 0; i < table.nregions; i++) {
		table.regions[i] = region(i);
		fds[i] = world.memory[i].fd;
	}
	message_send(VHOST_USER_SET_MEM_TABLE, &table,
	             8 + table.nregions * (uint32_t)sizeof(table.regions[0]), fds, table.nregions);
}

static void queue_set(struct input *in)
{
	/* Where the second memory begins: after a descriptor, in the available ring, the used. */
	static const uint32_t crosses[QUEUES] = {16, AVAIL_AT + 4, USED_AT + 12};
	uint8_t how = input_u8(in);
	uint32_t index = how % QUEUES;
	uint64_t at = USER_BASE + RING_AT(index), number = index;
	struct vhost_user_vring_state size = {index, RING_SIZE}, base = {index, 0},
				      enable = {index, !(how & QUEUE_DISABLED)};
	struct vhost_user_vring_addr addr = {.index = index};

	world.ring[index] = RING_AT(index);
	if (how & QUEUE_CROSSES)
		at = world.ring[index] = MEMORY_SIZE - crosses[index];
	addr.desc = at;
	addr.avail = at + AVAIL_AT;
	addr.used = at + USED_AT;
	if (how & QUEUE_BASE)
		base.num = input_u32(in);
	if (world.device->features >> VIRTIO_F_RING_PACKED & 1 && !base.num)
		base.num = 0x8000;
	message_send(VHOST_USER_SET_VRING_NUM, &size, sizeof(size), NULL, 0);
	message_send(VHOST_USER_SET_VRING_BASE, &base, sizeof(base), NULL, 0);
	message_send(VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	message_send(VHOST_USER_SET_VRING_CALL, &number, 8, &world.events, 1);
	message_send(VHOST_USER_SET_VRING_KICK, &number, 8, &world.events, 1);
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

/* QEMU's, of AES-CBC or RSA; the input changes a byte. */
static void session_message(struct input *in)
{
	struct vhost_user_crypto_session_632 old = {
		.sym = {.cipher_alg = 3, .key_len = 16, .op_type = 1, .direction = 1}};
	struct vhost_user_crypto_session_1072 new = {.op_code = 2, .u.sym = old.sym};
	uint8_t kind = input_u8(in) % 3, *bytes = kind ? (uint8_t *)&new : (uint8_t *)&old;
	uint32_t size = kind ? sizeof(new) : sizeof(old), at;
	uint8_t key[FUZZ_KEY_MAX];

	if (kind == 2) {
		new = (struct vhost_user_crypto_session_1072){
			.op_code = VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION,
			.u.asym = {.algo = VIRTIO_CRYPTO_AKCIPHER_RSA,
		                   .key_type = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC}};
		new.u.asym.key_len = (uint32_t)fuzz_rsa_public(key, 1024);
		memcpy(new.u.asym.key, key, new.u.asym.key_len);
	}
	at = input_u16(in) % size;
	bytes[at] ^= input_u8(in);
	message_send(VHOST_USER_CREATE_CRYPTO_SESSION, bytes, size, NULL, 0);
}

static void session_close(unsigned int argument)
{
	const struct session *session;
	uint32_t cursor = 0;

	session = session_table_next(world.device->sessions, &cursor);
	u64_send(VHOST_USER_CLOSE_CRYPTO_SESSION, session ? session->id ^ argument % 4 : argument);
}

static void inflight_set(struct input *in)
{
	/* In the guest's memory, where the input writes. */
	struct vhost_user_inflight inflight = {.mmap_size = input_u16(in),
	                                       .mmap_offset = INFLIGHT_AT,
	                                       .num_queues = QUEUES,
	                                       .queue_size = RING_SIZE};

	message_send(VHOST_USER_SET_INFLIGHT_FD, &inflight, sizeof(inflight), &world.memory[0].fd,
	             1);
}

static void config_get(struct input *in)
{
	struct {
		struct vhost_user_config_header header;
		uint8_t room[64];
	} wire = {.header = {.offset = input_u16(in), .size = input_u8(in)}};

	message_send(VHOST_USER_GET_CONFIG, &wire,
	             (uint32_t)sizeof(wire.header) + vc_min(wire.header.size, 64u), NULL, 0);
}

static void ask(struct input *in, unsigned int argument)
{
	static const uint8_t questions[] = {
		VHOST_USER_GET_FEATURES,      VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_GET_QUEUE_NUM,     VHOST_USER_GET_MAX_MEM_SLOTS,
		VHOST_USER_GET_STATUS,        VHOST_USER_SET_OWNER,
		VHOST_USER_SET_BACKEND_REQ_FD};

	if (argument >= vc_array_size(questions))
		config_get(in);
	else
		message_send(questions[argument], NULL, 0, &world.channel[1],
		             questions[argument] == VHOST_USER_SET_BACKEND_REQ_FD);
}

void front_known(struct input *in)
{
	uint8_t kind = input_u8(in);
	unsigned int argument = kind >> 4;
	struct vhost_user_vring_state state = {argument % QUEUES, 0};
	struct vhost_user_mem_reg_msg one = {.region = region(argument % MEMORIES)};
	struct vhost_user_inflight inflight = {.num_queues = QUEUES, .queue_size = RING_SIZE};
	uint64_t queue = argument % QUEUES;

	switch (kind % 16) {
	case SET_FEATURES:
		features_set(in);
		break;
	case ADD_MEM_REG:
		message_send(VHOST_USER_ADD_MEM_REG, &one, sizeof(one),
		             &world.memory[argument % MEMORIES].fd, 1);
		break;
	case REM_MEM_REG:
		message_send(VHOST_USER_REM_MEM_REG, &one, sizeof(one), NULL, 0);
		break;
	case SET_MEM_TABLE:
		memory_table_set(in);
		break;
	case QUEUE:
		queue_set(in);
		break;
	case GET_VRING_BASE:
		message_send(VHOST_USER_GET_VRING_BASE, &state, sizeof(state), NULL, 0);
		break;
	case CREATE_SESSION:
		session_message(in);
		break;
	case CLOSE_SESSION:
		session_close(argument);
		break;
	case RESET_DEVICE:
		message_send(VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0);
		break;
	case SET_STATUS:
		u64_send(VHOST_USER_SET_STATUS, input_u8(in));
		break;
	case SET_VRING_ENABLE:
		state.num = argument / QUEUES & 1;
		message_send(VHOST_USER_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0);
		break;
	case SET_VRING_FD:
		message_send(VHOST_USER_SET_VRING_KICK + argument / QUEUES % 3, &queue, 8,
		             &world.events, 1);
		break;
	case GET_INFLIGHT_FD:
		message_send(VHOST_USER_GET_INFLIGHT_FD, &inflight, sizeof(inflight), NULL, 0);
		break;
	case SET_INFLIGHT_FD:
		inflight_set(in);
		break;
	case IOTLB:
		iotlb_message(in);
		break;
	default:
		ask(in, argument);
		break;
	}
	settle();
}

void front_any(struct input *in)
{
	uint8_t request = input_u8(in), with = input_u8(in), payload[1100];
	uint32_t size = input_u16(in) % sizeof(payload);
	int fds[4] = {world.memory[0].fd, world.events, STDERR_FILENO, world.memory[1].fd};

	input_bytes(in, payload, size);
	message_send(request, payload, size, fds + with % 4, vc_min(with / 4 % 4, 4 - with % 4));
	settle();
}

void front_bytes(struct input *in)
{
	uint8_t bytes[64];
	size_t n = input_u8(in) % sizeof(bytes);

	input_bytes(in, bytes, n);
	if (n)
		unix_send_fds(world.front, bytes, n, &world.events, n & 1, MSG_NOSIGNAL);
	settle();
}
