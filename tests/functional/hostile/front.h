/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A front end of vcrypto-host with no scruples: vhost-user messages, guest memory and rings,
 * written from the specifications and not from our driver; nothing is checked before it is sent.
 */
#ifndef VC_TEST_HOSTILE_FRONT_H
#define VC_TEST_HOSTILE_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/vhost_user.h"
#include "wire/virtio_ring.h"

#define FRONT_QUEUES 3
#define FRONT_MEMORIES 3
#define FRONT_WAIT_MS 20000
/* Bytes at the end of the first memory that no ring uses. */
#define FRONT_SPARE (2u << 20)

struct memory {
	int fd;
	uint8_t *base;
	struct vhost_user_mem_region region;
	bool shared; /* the host has it */
};

/* A ring. In a split one each head owns CHAIN_DESCS descriptors that follow each other; in a packed
 * one a head is a buffer's id, and its chain one descriptor that names a table. And a cell of
 * memory for what they name. */
#define CHAIN_DESCS 8
#define HEADS_MAX 64
#define CELL_SIZE 16384u
/* In a cell: an indirect table; as long as there is room for. */
#define TABLE_AT 10240u
#define TABLE_MAX 256u

struct ring {
	unsigned int index, size; /* size: descriptors */
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	uint8_t *cells;
	uint64_t cells_guest; /* their address in descriptors */
	uint64_t desc_user, avail_user, used_user;
	int kick, call;
	uint16_t next_avail, seen_used;
	unsigned int heads, free_count;
	uint8_t free[HEADS_MAX];
	bool busy[HEADS_MAX];
	/* Packed. */
	bool packed;
	struct virtq_packed_desc *place; /* where desc is */
	struct virtq_desc own[HEADS_MAX];
	uint16_t next, used_next;
	bool next_wrap, used_wrap;
	bool started;
	bool broken; /* by us: nothing need come back */
};

struct front {
	int socket;
	uint64_t features;
	unsigned int queues; /* with the control queue, which is the last */
	struct memory memory[FRONT_MEMORIES];
	struct ring ring[FRONT_QUEUES];
};

/* Connect, agree on these features (as far as they are offered), share the first memory, start
 * every queue. 0, -errno. */
int front_open(struct front *front, const char *path, uint64_t features, unsigned int heads,
               bool seal);
/* Hang up, whatever is in flight. */
void front_close(struct front *front);

/* Send any bytes with any descriptors. 0, -errno. */
int front_send(struct front *front, const void *bytes, size_t size, const int *fds,
               unsigned int nfds);
/* A message that asks for an acknowledgement. 0: done; 1: refused; -errno: hung up. */
int front_tell(struct front *front, uint32_t request, const void *payload, uint32_t size, int fd);
/* A message with an answer of the same kind. Bytes of it, -errno. */
int front_ask(struct front *front, uint32_t request, const void *payload, uint32_t size,
              void *answer, uint32_t room);
/* Take what has been sent to us and throw it away. */
void front_drain(struct front *front);

int front_memory_add(struct front *front, unsigned int n);
int front_memory_remove(struct front *front, unsigned int n);
/* As a driver that begins anew; as it is, from that available index on. */
int front_ring_start(struct front *front, struct ring *ring);
int front_ring_resume(struct front *front, struct ring *ring, uint32_t from);
int front_ring_stop(struct front *front, struct ring *ring);

/* The descriptor with which a head's chain begins, as a split ring has it. */
static inline struct virtq_desc *ring_own(struct ring *ring, int head)
{
	return ring->packed ? &ring->own[head] : &ring->desc[head * CHAIN_DESCS];
}
/* Where a packed ring stands, as SET_VRING_BASE tells it. */
uint32_t ring_packed_base(const struct ring *ring);
/* A descriptor into a packed ring as it is, but for the flags that make it available. */
void ring_packed_put(struct ring *ring, const struct virtq_desc *desc, uint16_t id);

/* A free head, -1: none has come back. */
int ring_head(struct ring *ring);
uint8_t *ring_cell(struct ring *ring, int head, uint64_t *guest);
/* Make it available; seen by the device at ring_publish(). */
void ring_offer(struct ring *ring, int head);
void ring_publish(struct ring *ring);
/* Free the heads that came back. */
void ring_reap(struct ring *ring);
/* Until nothing is in flight. False: something did not come back in time. */
bool ring_wait(struct ring *ring);

#endif
