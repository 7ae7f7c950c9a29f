/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeds of the target vhost: devices that are set up, with sessions and requests of each kind.
 */
#include <stdio.h>

#include "fuzz.h"
#include "input.h"
#include "vhost.h"
#include "wire/vhost_user.h"
#include "wire/virtio_crypto.h"
#include "wire/virtio_ring.h"

static void write_add(struct seed *seed, uint32_t at, const void *bytes, unsigned int n)
{
	seed_u8(seed, WRITE);
	seed_u16(seed, at);
	seed_u8(seed, n);
	seed_bytes(seed, bytes, n);
}

/* Of the first queue: two chains had been taken, of packed rings one of two descriptors. */
static void inflight_add(struct seed *seed, bool packed)
{
	const struct {
		struct vhost_inflight_split queue;
		struct vhost_inflight_desc desc[2];
	} split = {{.version = 1, .desc_num = RING_SIZE}, {{.inflight = 1}, {.inflight = 1}}};
	const struct vhost_inflight_packed queue = {
		.version = 1,
		.desc_num = RING_SIZE,
		.free_head = 3,
		.old_free_head = 3,
		.progress = {2, 2, 1, 1, {0}},
	};
	uint32_t at = MEMORY_SIZE / 2;

	if (!packed) {
		write_add(seed, at, &split, sizeof(split));
		return;
	}
	write_add(seed, at, &queue, sizeof(queue));
	for (unsigned int i = 0; i < RING_SIZE; i++) {
		const struct vhost_inflight_packed_desc desc = {
			.inflight = i == 0 || i == 2,
			.next = (uint16_t)(i + 1),
			.last = 1,
			.num = i ? 1 : 2,
			.addr = CHAINS_AT + 512 * i,
			.len = 64,
			.flags = i ? VIRTQ_DESC_F_WRITE : 0,
		};

		at += (uint32_t)sizeof(desc);
		write_add(seed, at, &desc, sizeof(desc));
	}
}

static void set_up(struct seed *seed, unsigned int features, unsigned int strict)
{
	seed_u8(seed, strict);
	seed_u8(seed, KNOWN);
	seed_u8(seed, 0);
	seed_u16(seed, features);
	for (unsigned int i = 0; i < MEMORIES; i++) {
		seed_u8(seed, KNOWN);
		seed_u8(seed, i ? 29 : 1); /* ADD_MEM_REG */
	}
	if (strict & 2) {
		inflight_add(seed, features >> 11 & 1);
		seed_u8(seed, KNOWN);
		seed_u8(seed, 13); /* SET_INFLIGHT_FD */
		seed_u16(seed, 4096);
	}
	/* IOTLB_MSG: all of both memories, by both kinds of addresses. */
	for (unsigned int i = 0; strict & 4 && i < 4; i++) {
		seed_u8(seed, KNOWN);
		seed_u8(seed, 137);
		seed_u8(seed, i);
		seed_u16(seed, 0);
	}
	for (unsigned int i = 0; i < QUEUES; i++) {
		seed_u8(seed, KNOWN);
		seed_u8(seed, 4);
		seed_u8(seed, i);
	}
}

static void session_add(struct seed *seed)
{
	seed_u8(seed, KNOWN);
	seed_u8(seed, 6);
	seed_u8(seed, 1);
	seed_u16(seed, 900);
	seed_u8(seed, 0);
}

static void chain_add(struct seed *seed, unsigned int queue, unsigned int slot, unsigned int how,
                      const void *header, unsigned int out, unsigned int in)
{
	static const uint8_t rest[512];

	seed_u8(seed, CHAIN);
	seed_u8(seed, queue);
	seed_u8(seed, slot);
	seed_u8(seed, how);
	seed_u16(seed, out);
	seed_u16(seed, in);
	seed_bytes(seed, header, 72);
	seed_bytes(seed, rest, out - 72);
}

void fuzz_seeds(void)
{
	/* What is agreed: indirect, event index, version 1, packed, in order, stateless. */
	static const uint16_t features[] = {0x0700, 0x0400, 0x0000, 0x0f00, 0x1700, 0x3f3f};
	struct virtio_crypto_op_data_req cbc = {
		.header.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT,
		.header.flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE,
		.u.sym = {.u.cipher = {16, 64, 64, 0}, .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}};
	struct virtio_crypto_op_ctrl_req destroy = {.header.opcode =
	                                                    VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION};
	struct virtio_crypto_op_ctrl_req create = {
		.header.opcode = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION,
		.u.sym = {.u.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 1, 0},
	                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}};
	char name[32];

	for (unsigned int i = 0; i < 8 * vc_array_size(features); i++) {
		struct seed seed = {0};
		unsigned int hold = i & 1, cut = i & 2, by_message = i & 4;

		set_up(&seed, features[i / 8],
		       (features[i / 8] >> 12 & 1) | (cut ? 2 : 0) | (by_message && hold ? 4 : 0));
		if (by_message)
			session_add(&seed);
		else
			chain_add(&seed, QUEUES - 1, 0, 0, &create, 88, 16);
		seed_u8(&seed, ROUND);
		seed_u8(&seed, RESOURCES);
		seed_u8(&seed, hold ? 0x21 : 0x60);
		chain_add(&seed, 0, 0, LIVE, &cbc, 152, 64);
		chain_add(&seed, 0, 1, LIVE | 1, &cbc, 152, 64);
		chain_add(&seed, 1, 2, LIVE | 3, &cbc, 152, 64);
		seed_u8(&seed, ROUND);
		chain_add(&seed, QUEUES - 1, 3, LIVE, &destroy, 72, 1);
		seed_u8(&seed, ROUND);
		if (cut) {
			seed_u8(&seed, CUT);
			seed_u8(&seed, 0xf1);
		} else {
			seed_u8(&seed, KNOWN);
			seed_u8(&seed, 30); /* REM_MEM_REG of the second */
		}
		seed_u8(&seed, ROUND);
		seed_u8(&seed, ROUND);
		snprintf(name, sizeof(name), "device-%u", i);
		seed_save(name, seed.bytes, seed.size);
	}
}
