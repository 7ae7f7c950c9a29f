/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of requests in flight (GET_INFLIGHT_FD, SET_INFLIGHT_FD) that lies: queues start with it,
 * and it changes while they work.
 */
#include "attack_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"

#define AREA_SIZE (256u << 10)

/* What could be there, of a queue that was left with requests in flight, but not quite. */
static void area_fill(struct attacker *a, uint8_t *area, unsigned int queues, unsigned int size)
{
	uint64_t stride =
		sizeof(struct vhost_inflight_split) + size * sizeof(struct vhost_inflight_desc);

	stride = vc_round_up(stride, 64);
	for (unsigned int q = 0; q < queues; q++) {
		struct vhost_inflight_split *split =
			(struct vhost_inflight_split *)(area + q * stride);
		struct vhost_inflight_desc *desc = (struct vhost_inflight_desc *)(split + 1);

		*split = (struct vhost_inflight_split){
			.version = below(a, 8) ? 1 : (uint16_t)odd_number(a),
			.desc_num = (uint16_t)(below(a, 8) ? size : odd_number(a)),
			.last_batch_head = (uint16_t)(below(a, 2) ? below(a, size) : odd_number(a)),
			.used_idx = (uint16_t)(below(a, 2) ? below(a, 4) : odd_number(a)),
		};
		for (unsigned int i = 0; i < size; i++)
			desc[i] = (struct vhost_inflight_desc){
				.inflight =
					!below(a, 4) ? (uint8_t)odd_number(a) : below(a, 4) == 0,
				.next = (uint16_t)(below(a, 2) ? below(a, size) : odd_number(a)),
				.counter =
					below(a, 2) ? below(a, 8) : (uint64_t)odd_number(a) << 32,
			};
	}
	/* Or none of it. */
	for (unsigned int n = below(a, 4) ? 0 : 4096; n; n--)
		area[below(a, AREA_SIZE)] = (uint8_t)attack_random(a);
}

/* Stop all queues, and begin again where they are with what the area says. */
static int area_use(struct attacker *a, int fd, unsigned int size)
{
	struct front *front = &a->front;
	struct vhost_user_inflight wire = {
		.mmap_size = below(a, 8) ? AREA_SIZE : odd_number(a),
		.mmap_offset = below(a, 8) ? 0 : odd_number(a),
		.num_queues = (uint16_t)(below(a, 8) ? front->queues : odd_number(a)),
		.queue_size = (uint16_t)(below(a, 8) ? size : odd_number(a)),
	};
	uint32_t from;
	int rc = 0;

	for (unsigned int n = 0; n < front->queues && rc >= 0; n++)
		rc = front_ring_stop(front, &front->ring[n]);
	/* It may be refused. */
	if (rc >= 0)
		rc = front_tell(front, VHOST_USER_SET_INFLIGHT_FD, &wire, sizeof(wire), fd);
	for (unsigned int n = 0; n < front->queues && rc >= 0; n++) {
		struct ring *ring = &front->ring[n];

		ring->broken = true;
		from = ring->packed ? ring_packed_base(ring) : ring->next_avail;
		rc = front_ring_resume(front, ring, below(a, 4) ? from : odd_number(a));
	}
	return rc;
}

int attack_inflight(struct attacker *a)
{
	struct front *front = &a->front;
	unsigned int size = front->ring[0].size;
	int fd = memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc = 1;
	uint8_t *area;

	if (fd < 0 || ftruncate(fd, AREA_SIZE) < 0)
		return -errno;
	area = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED) {
		close(fd);
		return -errno;
	}
	if (below(a, 2))
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	for (unsigned int round = 0; round < 4 && rc >= 0; round++) {
		/* Chains that it can name. */
		for (unsigned int n = 0; n < front->queues; n++)
			burst(a, &front->ring[n], ATTACK_SOUND);
		area_fill(a, area, front->queues, size);
		rc = area_use(a, fd, size);
		for (unsigned int n = 0; n < 256 && rc >= 0; n++) {
			area[below(a, 8192)] = (uint8_t)attack_random(a);
			if (n % 16 == 0)
				burst(a, data_ring(a), below(a, ATTACK_LONG + 1));
		}
	}
	munmap(area, AREA_SIZE);
	/* Cut short below the host's feet, unless it is sealed. */
	if (below(a, 2) && ftruncate(fd, 0) == 0 && rc >= 0)
		for (unsigned int n = 0; n < 4; n++)
			burst(a, data_ring(a), ATTACK_SOUND);
	close(fd);
	/* Nobody knows what is in flight now. */
	return rc < 0 && rc != -EPIPE && rc != -ECONNRESET ? rc : 1;
}
