/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of the hostile front end: by control queue and in-band, made and destroyed at the worst
 * time, stale, of the wrong kind.
 */
#include "attack_private.h"

#include <errno.h>
#include <string.h>

#include <vcrypto/inband.h>

#include "base/util.h"
#include "request.h"

/* ---- by the control queue ---- */

/* Ask and wait. The status; -ETIMEDOUT. */
static int control(struct attacker *a, uint32_t out, uint32_t in, int head, uint8_t *cell,
                   uint64_t guest)
{
	struct virtq_desc descs[2] = {
		{.addr = guest, .len = out},
		{.addr = guest + 8192, .len = in, .flags = VIRTQ_DESC_F_WRITE}};
	struct ring *ring = control_ring(a);

	memset(cell + 8192, 0xee, 16);
	place(a, ring, head, descs, 2);
	ring_offer(ring, head);
	ring_publish(ring);
	a->requests++;
	if (!ring_wait(ring))
		return -ETIMEDOUT;
	return in == 16 ? cell[8192 + 8] : cell[8192];
}

static int session_make(struct attacker *a, unsigned int i, enum session_kind kind)
{
	uint64_t guest;
	int head = ring_head(control_ring(a)), status;
	uint8_t *cell;

	if (head < 0)
		return -ETIMEDOUT;
	cell = ring_cell(control_ring(a), head, &guest);
	status = control(a, request_create(cell, kind), 16, head, cell, guest);
	if (status < 0)
		return status;
	memcpy(&a->session[i], cell + 8192, 8);
	a->kind[i] = (uint8_t)kind;
	/* Rubbish may have made sessions that nobody knows of. */
	return status == VIRTIO_CRYPTO_NOSPC ? -ENOSPC : status ? -EIO : 0;
}

int attack_sessions_make(struct attacker *a)
{
	int rc = 0;

	for (unsigned int i = 0; i < SESSIONS && !rc; i++) {
		rc = session_make(a, i, i % KINDS);
		if (a->foreign && rc == -EIO)
			rc = 0;
	}
	return rc;
}

static int session_end(struct attacker *a, unsigned int i)
{
	uint64_t guest;
	int head = ring_head(control_ring(a));
	uint8_t *cell;

	if (head < 0)
		return -ETIMEDOUT;
	cell = ring_cell(control_ring(a), head, &guest);
	/* Twice, perhaps, or by an opcode of another service: refused then. */
	return control(
		a,
		request_destroy(cell, below(a, 16) ? a->kind[i] : below(a, KINDS), a->session[i]),
		1, head, cell, guest);
}

/* Creations that lie, one ring full of them. */
static int control_rubbish(struct attacker *a)
{
	struct ring *ring = control_ring(a);
	struct virtq_desc descs[2], *chain;
	uint64_t guest;
	uint8_t *cell;
	int head;

	while ((head = ring_head(ring)) >= 0) {
		uint32_t len;

		cell = ring_cell(ring, head, &guest);
		len = request_create(cell, below(a, KINDS));
		descs[0] = (struct virtq_desc){.addr = guest, .len = len};
		descs[1] = (struct virtq_desc){
			.addr = guest + 8192, .len = 16, .flags = VIRTQ_DESC_F_WRITE};
		chain = place(a, ring, head, descs, 2);
		if (below(a, 4))
			spoil_header(a, cell);
		else
			cell[below(a, len)] ^= (uint8_t)attack_random(a);
		if (!below(a, 4))
			chain[below(a, 2)].len = odd_number(a);
		ring_offer(ring, head);
		a->requests++;
	}
	ring_publish(ring);
	return ring_wait(ring) ? 0 : -ETIMEDOUT;
}

/* Sessions go while requests of theirs are in flight, by both ways; others take their slots. */
int attack_sessions(struct attacker *a)
{
	unsigned int i = below(a, SESSIONS);
	uint64_t id;
	int rc;

	for (unsigned int n = 0; n < 4; n++) {
		burst(a, data_ring(a), ATTACK_SOUND);
		i = below(a, SESSIONS);
		if (below(a, 2)) {
			rc = session_end(a, i);
		} else {
			id = a->session[i];
			rc = front_tell(&a->front, VHOST_USER_CLOSE_CRYPTO_SESSION, &id, 8, -1);
		}
		if (rc < 0)
			return rc;
		/* Stale for a while, or for good. */
		if (below(a, 4)) {
			rc = session_make(a, i, below(a, KINDS));
			if (rc == -ETIMEDOUT)
				return rc;
		} else if (below(a, 2)) {
			a->session[i] ^= UINT64_C(1) << below(a, 64);
		}
	}
	return below(a, 8) ? 0 : control_rubbish(a);
}

/* ---- in-band ---- */

/* In a cell: where the answer and its status are. */
#define ANSWER_AT 8192u
#define STATUS_AT (CELL_SIZE - 1)

/* What is in flight, by head. */
struct inband {
	uint8_t kind[HEADS_MAX];
	bool made[HEADS_MAX]; /* a sound CREATE of that kind */
	uint64_t dying;       /* a session that was replaced; 0: none */
	uint8_t dying_kind;
};

/* An in-band request in the cell: bytes of OUT; *in: of the answer. */
static uint32_t inband_make(struct attacker *a, struct inband *in, int head, uint8_t *cell,
                            uint32_t *answer)
{
	static const uint32_t header = sizeof(struct virtio_crypto_op_data_req);
	uint32_t opcode = VCRYPTO_INBAND_CREATE, len = header;

	memset(cell, 0, header);
	in->kind[head] = (uint8_t)below(a, KINDS);
	in->made[head] = false;
	*answer = 16;
	if (in->dying) {
		opcode = VCRYPTO_INBAND_DESTROY;
		*answer = 0;
		len += request_destroy(cell + header, in->dying_kind, in->dying);
		in->dying = 0;
	} else if (!below(a, 8)) {
		opcode = below(a, 2) ? VCRYPTO_INBAND_HELLO : VCRYPTO_INBAND_HELLO + below(a, 16);
		*answer = below(a, 128);
	} else if (!below(a, 4)) {
		opcode = VCRYPTO_INBAND_DESTROY;
		*answer = 0;
		len += request_destroy(cell + header, in->kind[head],
		                       a->session[below(a, SESSIONS)] ^ below(a, 4));
	} else {
		len += request_create(cell + header, in->kind[head]);
		in->made[head] = true;
	}
	memcpy(cell, &opcode, sizeof(opcode));
	return len;
}

static bool inband_offer(struct attacker *a, struct ring *ring, struct inband *in)
{
	struct virtq_desc descs[3], *chain;
	int head = ring_head(ring);
	uint32_t answer, len;
	uint64_t guest;
	uint8_t *cell;

	if (head < 0)
		return false;
	cell = ring_cell(ring, head, &guest);
	len = inband_make(a, in, head, cell, &answer);
	memset(cell + ANSWER_AT, 0xee, 16);
	cell[STATUS_AT] = 0xee;
	descs[0] = (struct virtq_desc){.addr = guest, .len = len};
	descs[1] = (struct virtq_desc){
		.addr = guest + ANSWER_AT, .len = answer, .flags = VIRTQ_DESC_F_WRITE};
	descs[2] = (struct virtq_desc){
		.addr = guest + STATUS_AT, .len = 1, .flags = VIRTQ_DESC_F_WRITE};
	chain = place(a, ring, head, descs, 3);
	if (!below(a, 3)) {
		in->made[head] = false;
		if (below(a, 2))
			cell[below(a, len)] ^= (uint8_t)(1u << below(a, 8));
		else
			chain[below(a, 3)].len = odd_number(a);
	}
	ring_offer(ring, head);
	a->requests++;
	return true;
}

/* Sessions of the answers take the places of others, which then end in-band. */
static void inband_harvest(struct attacker *a, struct ring *ring, struct inband *in)
{
	for (unsigned int head = 0; head < ring->heads; head++) {
		unsigned int i = below(a, SESSIONS);
		uint64_t guest, id;
		uint8_t *cell = ring_cell(ring, (int)head, &guest);

		if (!in->made[head] || cell[STATUS_AT] != VIRTIO_CRYPTO_OK)
			continue;
		in->made[head] = false;
		a->inband++;
		memcpy(&id, cell + ANSWER_AT, sizeof(id));
		/* One at a time: what finds no place is destroyed itself. */
		if (!in->dying) {
			in->dying = a->session[i];
			in->dying_kind = a->kind[i];
			a->session[i] = id;
			a->kind[i] = in->kind[head];
		} else {
			front_tell(&a->front, VHOST_USER_CLOSE_CRYPTO_SESSION, &id, 8, -1);
		}
	}
}

int attack_inband(struct attacker *a)
{
	struct ring *ring = data_ring(a);
	struct inband in = {.dying = 0};

	for (unsigned int n = 0; n < 8; n++) {
		unsigned int most = 1 + below(a, ring->heads);

		ring_reap(ring);
		while (most-- && inband_offer(a, ring, &in))
			;
		ring_publish(ring);
		/* Others are at work with the sessions that go. */
		burst(a, data_ring(a), ATTACK_SOUND);
		if (!ring_wait(ring))
			return -ETIMEDOUT;
		inband_harvest(a, ring, &in);
	}
	return 0;
}

/* ---- is it still itself? ---- */

/* NIST SP 800-38A, F.2.1. */
int attack_sanity(struct attacker *a)
{
	static const uint8_t iv[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	static const uint8_t plain[16] = {0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96,
	                                  0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a};
	static const uint8_t expected[16] = {0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46,
	                                     0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9, 0x19, 0x7d};
	struct ring *ring = &a->front.ring[0];
	struct virtq_desc descs[CHAIN_DESCS];
	uint64_t guest;
	uint8_t *cell;
	int head, rc;

	rc = session_make(a, 0, KIND_CBC);
	if (rc)
		return rc;
	head = ring_head(ring);
	if (head < 0)
		return -ETIMEDOUT;
	cell = ring_cell(ring, head, &guest);
	place(a, ring, head, descs, request_data(cell, guest, KIND_CBC, a->session[0], 16, descs));
	memcpy(cell + (descs[1].addr - guest), iv, 16);
	memcpy(cell + (descs[1].addr - guest) + 16, plain, 16);
	ring_offer(ring, head);
	ring_publish(ring);
	if (!ring_wait(ring))
		return -ETIMEDOUT;
	return cell[CELL_SIZE - 1] || memcmp(cell + (descs[2].addr - guest), expected, 16) != 0
	               ? -EBADMSG
	               : 0;
}
