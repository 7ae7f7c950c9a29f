/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See attack.h.
 */
#include "attack_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"
#include "request.h"

#define MAX_DATA 2048u

const char *const attack_names[ATTACK_KINDS] = {
	[ATTACK_SOUND] = "sound",       [ATTACK_HEADERS] = "headers",
	[ATTACK_SESSIONS] = "sessions", [ATTACK_DESCRIPTORS] = "descriptors",
	[ATTACK_LONG] = "long",         [ATTACK_RINGS] = "rings",
	[ATTACK_MEMORY] = "memory",     [ATTACK_RESETS] = "resets",
	[ATTACK_INBAND] = "inband",     [ATTACK_RSA] = "rsa",
	[ATTACK_MESSAGES] = "messages", [ATTACK_INFLIGHT] = "inflight",
	[ATTACK_SIGBUS] = "sigbus",
};

uint32_t attack_random(struct attacker *a)
{
	uint64_t z = a->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)(z ^ z >> 31);
}

uint32_t below(struct attacker *a, uint32_t n)
{
	return attack_random(a) % n;
}

struct ring *data_ring(struct attacker *a)
{
	return &a->front.ring[below(a, a->front.queues - 1)];
}

struct ring *control_ring(struct attacker *a)
{
	return &a->front.ring[a->front.queues - 1];
}

/* Numbers at which somebody may have forgotten something. */
uint32_t odd_number(struct attacker *a)
{
	static const uint32_t numbers[] = {0,      1,          2,          15,         16,
	                                   17,     64,         72,         4095,       4096,
	                                   65535,  1u << 20,   0x101000,   0x7fffffff, 0x80000000,
	                                   0xffff, 0xfffffff0, 0xffffffff, 0xfffff000, 0x100000};
	uint32_t i = below(a, 2 * vc_array_size(numbers));

	return i < vc_array_size(numbers) ? numbers[i] : attack_random(a);
}

static uint64_t odd_address(struct attacker *a)
{
	const struct vhost_user_mem_region *r = &a->front.memory[below(a, FRONT_MEMORIES)].region;

	switch (below(a, 6)) {
	case 0:
		return r->guest_addr + r->size - below(a, 64);
	case 1:
		return r->guest_addr - 1 - below(a, 64);
	case 2:
		return UINT64_MAX - below(a, 64);
	case 3:
		return (uint64_t)attack_random(a) << 32 | attack_random(a);
	case 4:
		return below(a, 64);
	default:
		/* Where no ring is: a result that is written over a ring breaks it. */
		r = &a->front.memory[0].region;
		return r->guest_addr + r->size - 1 - below(a, FRONT_SPARE);
	}
}

/* ---- chains ---- */

static void link_descs(struct virtq_desc *descs, unsigned int n, unsigned int first)
{
	for (unsigned int i = 0; i + 1 < n; i++) {
		descs[i].flags |= VIRTQ_DESC_F_NEXT;
		descs[i].next = (uint16_t)(first + i + 1);
	}
}

/* Put the chain where its head is, or into an indirect table in its cell. */
struct virtq_desc *place(struct attacker *a, struct ring *ring, int head, struct virtq_desc *descs,
                         unsigned int n)
{
	struct virtq_desc *own = ring_own(ring, head), *table;
	uint64_t guest;
	uint8_t *cell = ring_cell(ring, head, &guest);

	if (ring->packed || (a->front.features >> VIRTIO_F_RING_INDIRECT_DESC & 1 && below(a, 2))) {
		link_descs(descs, n, 0);
		table = (struct virtq_desc *)(cell + TABLE_AT);
		memcpy(table, descs, n * sizeof(*descs));
		*own = (struct virtq_desc){guest + TABLE_AT, n * (uint32_t)sizeof(*descs),
		                           VIRTQ_DESC_F_INDIRECT, 0};
		return table;
	}
	link_descs(descs, n, (unsigned int)head * CHAIN_DESCS);
	memcpy(own, descs, n * sizeof(*descs));
	return own;
}

/* The next one with a key of RSA, if there is any. */
static unsigned int rsa_session(const struct attacker *a, unsigned int which)
{
	for (unsigned int n = 0; n < SESSIONS; n++, which = (which + 1) % SESSIONS)
		if (a->kind[which] == KIND_RSA)
			break;
	return which;
}

/* A sound request of a random session on a free head: NULL if there is none. */
static struct virtq_desc *sound(struct attacker *a, struct ring *ring, enum attack kind, int *head,
                                uint8_t **cell)
{
	struct virtq_desc descs[CHAIN_DESCS];
	unsigned int which = below(a, SESSIONS), n;
	uint64_t guest;

	*head = ring_head(ring);
	if (*head < 0)
		return NULL;
	/* What is asymmetric takes a hundred times as long as all the rest: now and then will do,
	 * but where it is the attack. */
	if (kind == ATTACK_RSA)
		which = rsa_session(a, which);
	else if (a->kind[which] >= KIND_RSA && below(a, 16))
		which = (which + 2) % SESSIONS;
	*cell = ring_cell(ring, *head, &guest);
	n = request_data(*cell, guest, a->kind[which], a->session[which],
	                 16 * (1 + below(a, MAX_DATA / 16)), descs);
	return place(a, ring, *head, descs, n);
}

void spoil_header(struct attacker *a, uint8_t *cell)
{
	uint32_t word = odd_number(a), at = below(a, 18) * 4;

	if (below(a, 8))
		memcpy(cell + at, &word, sizeof(word));
	else
		for (unsigned int i = 0; i < 72; i++)
			cell[i] = (uint8_t)attack_random(a);
}

/* One thing about the chain is wrong. */
static void spoil_chain(struct attacker *a, struct ring *ring, int head, struct virtq_desc *chain)
{
	struct virtq_desc *one = &chain[below(a, 4)];

	switch (below(a, 9)) {
	case 0:
		one->len = odd_number(a);
		break;
	case 1:
		one->addr = odd_address(a);
		break;
	case 2:
		one->flags = (uint16_t)below(a, 8);
		break;
	case 3:
		one->next = (uint16_t)odd_number(a);
		break;
	case 4: /* a loop */
		chain[3].flags |= VIRTQ_DESC_F_NEXT;
		chain[3].next = chain[0].next - 1;
		break;
	case 5: /* a table in a table */
		one->flags |= VIRTQ_DESC_F_INDIRECT;
		break;
	case 6: /* a table of no or of a strange length */
		ring_own(ring, head)->flags = VIRTQ_DESC_F_INDIRECT;
		ring_own(ring, head)->len = odd_number(a);
		break;
	case 7: /* no room for a status */
		chain[2].flags &= (uint16_t)~VIRTQ_DESC_F_WRITE;
		chain[3].flags &= (uint16_t)~VIRTQ_DESC_F_WRITE;
		break;
	default:
		one->len = 0;
		one->addr = odd_address(a);
		break;
	}
}

/* As many pieces as a table in a cell holds; they overlap, which is the guest's own affair. */
static void lengthen(struct attacker *a, struct ring *ring, int head)
{
	uint64_t guest;
	uint8_t *cell = ring_cell(ring, head, &guest);
	struct virtq_desc *table = (struct virtq_desc *)(cell + TABLE_AT);
	unsigned int n = TABLE_MAX - below(a, 3), out = 1 + below(a, n - 1);

	for (unsigned int i = 0; i < n; i++)
		table[i] = (struct virtq_desc){guest + below(a, 512), 1 + below(a, 128),
		                               i < out ? 0 : VIRTQ_DESC_F_WRITE, 0};
	table[0] = (struct virtq_desc){guest, 72, 0, 0};
	link_descs(table, n, 0);
	switch (below(a, 4)) {
	case 0:
		table[n - 1].flags |= VIRTQ_DESC_F_NEXT; /* for ever */
		table[n - 1].next = 0;
		break;
	case 1:
		table[n - 1].flags &= (uint16_t)~VIRTQ_DESC_F_WRITE;
		break;
	default:
		break;
	}
	*ring_own(ring, head) =
		(struct virtq_desc){guest + TABLE_AT, n * 16, VIRTQ_DESC_F_INDIRECT, 0};
}

/* Up to as many requests as there are heads, spoilt as the kind has it. */
void burst(struct attacker *a, struct ring *ring, enum attack kind)
{
	unsigned int n = 1 + below(a, ring->heads);
	struct virtq_desc *chain;
	uint8_t *cell;
	int head;

	ring_reap(ring);
	while (n-- && (chain = sound(a, ring, kind, &head, &cell))) {
		if (kind == ATTACK_HEADERS)
			spoil_header(a, cell);
		else if (kind == ATTACK_DESCRIPTORS && below(a, 8))
			spoil_chain(a, ring, head, chain);
		else if (kind == ATTACK_LONG)
			lengthen(a, ring, head);
		ring_offer(ring, head);
		a->requests++;
	}
	/* What the driver says of its wish to be called, at random; a packed ring's event is in the
	 * same place. */
	ring->avail->flags = (uint16_t)(ring->packed ? attack_random(a) : below(a, 2));
	if (ring->packed)
		ring->avail->idx = (uint16_t)below(a, 4);
	else
		ring->avail->ring[ring->size] = (uint16_t)attack_random(a);
	ring_publish(ring);
}

/* ---- rings ---- */

static void split_break(struct attacker *a, struct ring *ring)
{
	switch (below(a, 4)) {
	case 0:
		ring->next_avail = (uint16_t)attack_random(a);
		break;
	case 1:
		ring->next_avail = (uint16_t)(ring->next_avail + ring->size + 1 + below(a, 100));
		break;
	case 2:
		ring->avail->ring[ring->next_avail++ % ring->size] =
			(uint16_t)(ring->size + below(a, 1000));
		break;
	default: /* the same head again and again */
		for (unsigned int i = 0; i < ring->size; i++)
			ring->avail->ring[ring->next_avail++ % ring->size] = 0;
		break;
	}
}

static void packed_break(struct attacker *a, struct ring *ring)
{
	struct virtq_desc desc = {.len = 16, .flags = VIRTQ_DESC_F_NEXT};
	unsigned int n = 1 + below(a, 2 * ring->size);

	switch (below(a, 3)) {
	case 0: /* a list without end */
		while (n--)
			ring_packed_put(ring, &desc, (uint16_t)attack_random(a));
		break;
	case 1: /* more than there can be, and from anywhere */
		ring->next = (uint16_t)below(a, ring->size);
		while (n--) {
			desc = *ring_own(ring, (int)below(a, ring->heads));
			desc.flags ^= (uint16_t)(1u << below(a, 16));
			ring_packed_put(ring, &desc, (uint16_t)odd_number(a));
		}
		break;
	default: /* all flags at once */
		for (unsigned int i = 0; i < ring->size; i++)
			ring->place[i].flags = (uint16_t)attack_random(a);
		break;
	}
}

/* Its queue stops, and no other; then the driver begins again. */
static int rings_round(struct attacker *a)
{
	struct ring *ring = data_ring(a);
	int rc;

	burst(a, ring, ATTACK_SOUND);
	ring->broken = true;
	if (ring->packed)
		packed_break(a, ring);
	else
		split_break(a, ring);
	ring_publish(ring);
	a->broken_rings++;
	/* Another one goes on. */
	burst(a, control_ring(a), ATTACK_HEADERS);
	if (!ring_wait(control_ring(a)))
		return -ETIMEDOUT;
	rc = front_ring_stop(&a->front, ring);
	return rc < 0 ? rc : front_ring_start(&a->front, ring);
}

/* What was sound in its ring comes back, whatever it was. */
int rings_wait(struct attacker *a)
{
	for (unsigned int i = 0; i < a->front.queues; i++)
		if (!a->front.ring[i].broken && !ring_wait(&a->front.ring[i]))
			return -ETIMEDOUT;
	return 0;
}

/* ---- memory ---- */

/* Requests with their data in a region that is taken away at that moment. */
static int memory_round(struct attacker *a)
{
	struct front *front = &a->front;
	unsigned int n = 1 + below(a, FRONT_MEMORIES - 1);
	struct memory *memory = &front->memory[n];
	struct ring *ring = data_ring(a);
	struct virtq_desc *chain;
	uint8_t *cell;
	int head, rc = 0;

	if (!memory->shared)
		rc = front_memory_add(front, n);
	ring_reap(ring);
	while (rc >= 0 && (chain = sound(a, ring, ATTACK_MEMORY, &head, &cell))) {
		chain[1 + below(a, 2)].addr =
			memory->region.guest_addr + below(a, (uint32_t)memory->region.size);
		ring_offer(ring, head);
		a->requests++;
	}
	ring_publish(ring);
	if (rc >= 0 && below(a, 4))
		rc = front_memory_remove(front, n);
	/* Twice; refused. */
	if (rc >= 0 && !below(a, 4))
		rc = front_memory_remove(front, n);
	return vc_min(rc, 0);
}

static int sigbus_round(struct attacker *a)
{
	struct ring *ring = data_ring(a);
	unsigned int n = below(a, FRONT_MEMORIES);
	int rc = n ? front_memory_add(&a->front, n) : 0;

	if (rc < 0)
		return rc;
	burst(a, ring, ATTACK_SOUND);
	/* Sealed: not possible, and nothing happens. From here on our own view may not be touched
	 * either. */
	return ftruncate(a->front.memory[n].fd, 0) ? rings_wait(a) : 1;
}

/* ---- resets ---- */

static int reset_once(struct attacker *a)
{
	uint64_t status = 0;

	return below(a, 2) ? front_tell(&a->front, VHOST_USER_RESET_DEVICE, NULL, 0, -1)
	                   : front_tell(&a->front, VHOST_USER_SET_STATUS, &status, 8, -1);
}

/* With requests, sound and not, taken and not yet taken. Some of the resets come in a row. */
static int resets_round(struct attacker *a)
{
	struct front *front = &a->front;
	int rc = 0;

	for (unsigned int round = 0; round < 4 && !rc; round++) {
		for (unsigned int n = 0; n < front->queues; n++)
			burst(a, &front->ring[n], below(a, ATTACK_LONG + 1));
		rc = reset_once(a);
		while (!rc && !below(a, 3))
			rc = reset_once(a);
		if (!rc)
			rc = front_tell(front, VHOST_USER_SET_FEATURES, &front->features, 8, -1);
		for (unsigned int n = 0; n < front->queues && !rc; n++)
			rc = front_ring_start(front, &front->ring[n]);
	}
	if (!rc)
		rc = attack_sessions_make(a);
	/* Nothing of it may be refused. */
	return rc > 0 ? -EPROTO : rc;
}

/* ---- messages ---- */

static uint32_t message_make(struct attacker *a, uint8_t *bytes, int *fd, unsigned int *nfds)
{
	struct vhost_user_header header = {.request = below(a, 42),
	                                   .flags = VHOST_USER_VERSION |
	                                            (below(a, 8) ? VHOST_USER_FLAG_NEED_REPLY : 0)};
	static const uint16_t sizes[] = {0, 8, 12, 40, 632, 1072};
	struct vhost_user_mem_reg_msg region;
	uint32_t word;

	header.size = below(a, 4) ? sizes[below(a, vc_array_size(sizes))] : below(a, 2100);
	for (uint32_t i = 0; i < header.size; i += 4) {
		word = below(a, 2) ? below(a, a->front.queues + 1) : odd_number(a);
		memcpy(bytes + VHOST_USER_HEADER_SIZE + i, &word, sizeof(word));
	}
	if (header.size == 40 && below(a, 2)) {
		region = (struct vhost_user_mem_reg_msg){
			.region = a->front.memory[below(a, FRONT_MEMORIES)].region};
		memcpy(bytes + VHOST_USER_HEADER_SIZE, &region, sizeof(region));
	}
	*nfds = below(a, 2);
	*fd = below(a, 2) ? a->front.ring[0].call : a->front.memory[0].fd;
	if (!below(a, 64))
		header.flags = attack_random(a);
	memcpy(bytes, &header, sizeof(header));
	return VHOST_USER_HEADER_SIZE + header.size;
}

/* Most end the connection. */
static int messages_round(struct attacker *a)
{
	uint8_t bytes[4096];
	unsigned int nfds;
	int fd;

	for (unsigned int n = 0; n < 16; n++) {
		uint32_t size = message_make(a, bytes, &fd, &nfds);

		burst(a, data_ring(a), below(a, ATTACK_LONG + 1));
		if (!below(a, 32))
			size = below(a, size);
		if (front_send(&a->front, bytes, size, &fd, nfds))
			return 1;
		front_drain(&a->front);
	}
	return 1; /* nobody knows what has been agreed now */
}

/* ---- all ---- */

int attack_round(struct attacker *a, enum attack kind)
{
	int rc = 0;

	switch (kind) {
	case ATTACK_SESSIONS:
		rc = attack_sessions(a);
		break;
	case ATTACK_RINGS:
		rc = rings_round(a);
		break;
	case ATTACK_MEMORY:
		rc = memory_round(a);
		break;
	case ATTACK_RESETS:
		rc = resets_round(a);
		break;
	case ATTACK_INBAND:
		rc = attack_inband(a);
		break;
	case ATTACK_RSA:
		burst(a, data_ring(a), kind);
		break;
	case ATTACK_INFLIGHT:
		return attack_inflight(a);
	case ATTACK_MESSAGES:
		return messages_round(a);
	case ATTACK_SIGBUS:
		return sigbus_round(a);
	default:
		for (unsigned int i = 0; i < 24; i++)
			burst(a, data_ring(a), kind);
		break;
	}
	return rc < 0 ? rc : rings_wait(a);
}
