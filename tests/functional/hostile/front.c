/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See front.h.
 */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "wire/virtio_crypto.h"

#define GUEST_BASE 0x100000000u
#define USER_BASE 0x7f0000000000u
/* Between one memory and the next there is a hole in guest addresses, but not after the first. */
#define MEMORY_SIZE (8u << 20)
#define RING_SHARE ((MEMORY_SIZE - FRONT_SPARE) / FRONT_QUEUES)

#define PROTOCOL                                                                                   \
	(1u << VHOST_USER_PROTOCOL_F_MQ | 1u << VHOST_USER_PROTOCOL_F_REPLY_ACK |                  \
	 1u << VHOST_USER_PROTOCOL_F_CRYPTO_SESSION | 1u << VHOST_USER_PROTOCOL_F_CONFIG |         \
	 1u << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS |                                         \
	 1u << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)

/* ---- messages ---- */

int front_send(struct front *front, const void *bytes, size_t size, const int *fds,
               unsigned int nfds)
{
	uint64_t deadline = clock_now_ns() + FRONT_WAIT_MS * UINT64_C(1000000);
	size_t done = 0;

	while (done < size) {
		long n = unix_send_fds(front->socket, (const uint8_t *)bytes + done, size - done,
		                       fds, done ? 0 : nfds, MSG_NOSIGNAL);

		if (n == -EAGAIN && clock_now_ns() < deadline) {
			poll(&(struct pollfd){front->socket, POLLOUT, 0}, 1, 100);
			continue;
		}
		if (n < 0)
			return (int)n;
		done += (size_t)n;
	}
	return 0;
}

static int receive(struct front *front, void *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = recv(front->socket, (uint8_t *)bytes + done, size - done, 0);

		if (n == 0)
			return -EPIPE;
		if (n > 0)
			done += (size_t)n;
		else if (errno != EAGAIN)
			return -errno;
		else if (poll(&(struct pollfd){front->socket, POLLIN, 0}, 1, FRONT_WAIT_MS) <= 0)
			return -ETIMEDOUT;
	}
	return 0;
}

static int send_message(struct front *front, uint32_t request, uint32_t flags, const void *payload,
                        uint32_t size, int fd)
{
	struct vhost_user_header header = {request, VHOST_USER_VERSION | flags, size};
	uint8_t bytes[VHOST_USER_HEADER_SIZE + 2048];

	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	return front_send(front, bytes, sizeof(header) + size, &fd, fd >= 0);
}

/* Answers to other messages may be before it: rubbish that we sent may have had one. */
static int receive_answer(struct front *front, uint32_t request, void *answer, uint32_t room)
{
	struct vhost_user_header header;
	uint8_t bytes[4096];
	int rc;

	do {
		rc = receive(front, &header, sizeof(header));
		if (!rc && header.size > sizeof(bytes))
			rc = -EPROTO;
		if (!rc)
			rc = receive(front, bytes, header.size);
		if (rc)
			return rc;
	} while (header.request != request);
	memcpy(answer, bytes, vc_min(header.size, room));
	return (int)header.size;
}

int front_tell(struct front *front, uint32_t request, const void *payload, uint32_t size, int fd)
{
	uint64_t failed = 1;
	int rc = send_message(front, request, VHOST_USER_FLAG_NEED_REPLY, payload, size, fd);

	if (!rc)
		rc = receive_answer(front, request, &failed, sizeof(failed));
	return rc < 0 ? rc : !!failed;
}

int front_ask(struct front *front, uint32_t request, const void *payload, uint32_t size,
              void *answer, uint32_t room)
{
	int rc = send_message(front, request, 0, payload, size, -1);

	return rc ? rc : receive_answer(front, request, answer, room);
}

void front_drain(struct front *front)
{
	uint8_t bytes[4096];

	while (recv(front->socket, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* ---- memory ---- */

static int memory_make(struct memory *memory, unsigned int n, bool seal)
{
	uint64_t gap = n > 1 ? MEMORY_SIZE : 0;

	memory->fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory->fd < 0 || ftruncate(memory->fd, MEMORY_SIZE) < 0)
		return -errno;
	if (seal && fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	memory->base = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
	if (memory->base == MAP_FAILED) {
		memory->base = NULL;
		return -errno;
	}
	memory->region.guest_addr = GUEST_BASE + (uint64_t)n * MEMORY_SIZE + gap;
	memory->region.user_addr = USER_BASE + (uint64_t)n * MEMORY_SIZE;
	memory->region.size = MEMORY_SIZE;
	memory->shared = false;
	return 0;
}

int front_memory_add(struct front *front, unsigned int n)
{
	struct vhost_user_mem_reg_msg message = {.region = front->memory[n].region};
	int rc = front_tell(front, VHOST_USER_ADD_MEM_REG, &message, sizeof(message),
	                    front->memory[n].fd);

	if (!rc)
		front->memory[n].shared = true;
	return rc;
}

int front_memory_remove(struct front *front, unsigned int n)
{
	struct vhost_user_mem_reg_msg message = {.region = front->memory[n].region};
	int rc = front_tell(front, VHOST_USER_REM_MEM_REG, &message, sizeof(message), -1);

	if (!rc)
		front->memory[n].shared = false;
	return rc;
}

/* ---- rings ---- */

static void ring_place(struct ring *ring, struct memory *memory, unsigned int index,
                       unsigned int heads, bool packed)
{
	uint32_t at = index * RING_SHARE, avail, used;

	ring->index = index;
	ring->heads = heads;
	ring->packed = packed;
	ring->size = packed ? heads : heads * CHAIN_DESCS;
	avail = at + ring->size * 16;
	used = (uint32_t)vc_round_up(avail + 6 + 2 * ring->size, 64);
	ring->desc = (struct virtq_desc *)(memory->base + at);
	ring->place = (struct virtq_packed_desc *)ring->desc;
	ring->avail = (struct virtq_avail *)(memory->base + avail);
	ring->used = (struct virtq_used *)(memory->base + used);
	ring->desc_user = memory->region.user_addr + at;
	ring->avail_user = memory->region.user_addr + avail;
	ring->used_user = memory->region.user_addr + used;
	ring->cells = memory->base + at + (64u << 10);
	ring->cells_guest = memory->region.guest_addr + at + (64u << 10);
	ring->kick = event_create();
	ring->call = event_create();
}

int front_ring_resume(struct front *front, struct ring *ring, uint32_t from)
{
	struct vhost_user_vring_state size = {ring->index, ring->size}, base = {ring->index, from};
	struct vhost_user_vring_addr addr = {.index = ring->index,
	                                     .desc = ring->desc_user,
	                                     .used = ring->used_user,
	                                     .avail = ring->avail_user};
	uint64_t index = ring->index;
	int rc = front_tell(front, VHOST_USER_SET_VRING_NUM, &size, sizeof(size), -1);

	if (!rc)
		rc = front_tell(front, VHOST_USER_SET_VRING_BASE, &base, sizeof(base), -1);
	if (!rc)
		rc = front_tell(front, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	if (!rc)
		rc = front_tell(front, VHOST_USER_SET_VRING_CALL, &index, 8, ring->call);
	if (!rc)
		rc = front_tell(front, VHOST_USER_SET_VRING_KICK, &index, 8, ring->kick);
	base.num = 1;
	if (!rc)
		rc = front_tell(front, VHOST_USER_SET_VRING_ENABLE, &base, sizeof(base), -1);
	ring->started = !rc;
	return rc;
}

int front_ring_start(struct front *front, struct ring *ring)
{
	memset(ring->desc, 0, (size_t)ring->size * sizeof(struct virtq_desc));
	memset(ring->avail, 0, 6 + 2 * (size_t)ring->size);
	memset(ring->used, 0, 6 + 8 * (size_t)ring->size);
	memset(ring->busy, 0, sizeof(ring->busy));
	ring->next_avail = ring->seen_used = ring->next = ring->used_next = 0;
	ring->next_wrap = ring->used_wrap = true;
	for (ring->free_count = 0; ring->free_count < ring->heads; ring->free_count++)
		ring->free[ring->free_count] = (uint8_t)ring->free_count;
	ring->broken = false;
	return front_ring_resume(front, ring, ring->packed ? ring_packed_base(ring) : 0);
}

int front_ring_stop(struct front *front, struct ring *ring)
{
	struct vhost_user_vring_state state = {ring->index, 0};
	int rc = front_ask(front, VHOST_USER_GET_VRING_BASE, &state, sizeof(state), &state,
	                   sizeof(state));

	ring->started = false;
	return rc < 0 ? rc : 0;
}

/* ---- connections ---- */

static int agree(struct front *front, uint64_t features)
{
	uint64_t offered = 0, protocol = 0, queues = 0;
	int rc = front_ask(front, VHOST_USER_GET_FEATURES, NULL, 0, &offered, 8);

	if (rc >= 0)
		rc = front_ask(front, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, &protocol, 8);
	protocol &= PROTOCOL;
	if (rc >= 0)
		rc = send_message(front, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &protocol, 8, -1);
	if (rc >= 0)
		rc = front_tell(front, VHOST_USER_SET_OWNER, NULL, 0, -1);
	front->features = offered & (features | UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES);
	if (rc >= 0)
		rc = front_tell(front, VHOST_USER_SET_FEATURES, &front->features, 8, -1);
	if (rc >= 0)
		rc = front_ask(front, VHOST_USER_GET_QUEUE_NUM, NULL, 0, &queues, 8);
	front->queues = (unsigned int)vc_min(queues, (uint64_t)FRONT_QUEUES);
	return rc < 0 ? rc : queues < 2 ? -EPROTO : 0;
}

int front_open(struct front *front, const char *path, uint64_t features, unsigned int heads,
               bool seal)
{
	int rc;

	memset(front, 0, sizeof(*front));
	for (unsigned int i = 0; i < FRONT_MEMORIES; i++)
		front->memory[i].fd = -1;
	for (unsigned int i = 0; i < FRONT_QUEUES; i++)
		front->ring[i].kick = front->ring[i].call = -1;
	front->socket = unix_connect(path, SOCK_STREAM);
	if (front->socket < 0)
		return front->socket;
	rc = agree(front, features);
	for (unsigned int i = 0; i < FRONT_MEMORIES && !rc; i++)
		rc = memory_make(&front->memory[i], i, seal);
	if (!rc)
		rc = front_memory_add(front, 0);
	for (unsigned int i = 0; i < front->queues && !rc; i++) {
		ring_place(&front->ring[i], &front->memory[0], i, heads,
		           front->features >> VIRTIO_F_RING_PACKED & 1);
		rc = front_ring_start(front, &front->ring[i]);
	}
	if (rc)
		front_close(front);
	return rc > 0 ? -EPROTO : rc;
}

void front_close(struct front *front)
{
	if (front->socket >= 0)
		close(front->socket);
	front->socket = -1;
	for (unsigned int i = 0; i < FRONT_MEMORIES; i++) {
		if (front->memory[i].base)
			munmap(front->memory[i].base, MEMORY_SIZE);
		if (front->memory[i].fd >= 0)
			close(front->memory[i].fd);
	}
	for (unsigned int i = 0; i < FRONT_QUEUES; i++) {
		if (front->ring[i].kick >= 0)
			close(front->ring[i].kick);
		if (front->ring[i].call >= 0)
			close(front->ring[i].call);
	}
}
