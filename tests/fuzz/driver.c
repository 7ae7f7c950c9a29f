/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvcrypto's data queues and a device that answers what it likes: used elements, indices, flags,
 * status bytes, descriptors written over. The device is trusted with keys and data, but it must not
 * bring the driver's process down. All that is shared is one block on the heap.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "fuzz.h"
#include "input.h"
#include "virtio/driver.h"

#define DEPTH 4
#define DATA 4096u
#define OPS 8

static struct vcrypto_device device;
static struct vcrypto_queue *queue;
static struct vcrypto_session session;
static uint8_t *shared, *data;
static size_t shared_size;
static struct vcrypto_op op[OPS];
static bool busy[OPS];

static void fake_kick(const struct transport_queue *kicked)
{
}

static bool fake_alive(struct transport *transport)
{
	return true;
}

static const struct transport_ops fake_ops = {.kick = fake_kick, .alive = fake_alive};

/* What an operation is; and all of its buffers in data. */
static void session_make(uint8_t how)
{
	static const struct op_session kinds[] = {
		{.kind = OP_CIPHER, .block_mask = 15, .iv_min = 16, .iv_max = 16},
		{.kind = OP_CHAIN, .block_mask = 15, .iv_min = 16, .iv_max = 16, .tag_len = 20},
		{.kind = OP_HASH, .tag_len = 32},
		{.kind = OP_MAC, .tag_len = 20},
		{.kind = OP_AEAD, .iv_min = 12, .iv_max = 12, .tag_len = 16},
		{.kind = OP_AKCIPHER, .private_key = true},
	};

	memset(&session, 0, sizeof(session));
	session.op = kinds[how % vc_array_size(kinds)];
	session.op.serial = 1;
	session.op.decrypt = how & 0x40;
	session.device = &device;
}

static void begin(uint8_t how)
{
	struct ring_kind kind = {.packed = how & 1, .event_idx = how & 2, .in_order = how & 4};
	bool indirect = how & 8;

	shared_size = queue_bytes(DEPTH, 0, indirect, kind.packed);
	shared = aligned_alloc(64, vc_round_up(shared_size, 64));
	data = aligned_alloc(64, DATA);
	queue = aligned_alloc(64, vc_round_up(sizeof(*queue), 64));
	fuzz_check(shared && data && queue);
	memset(shared, 0, shared_size);
	memset(data, 0, DATA);
	memset(queue, 0, sizeof(*queue));
	memset(&device, 0, sizeof(device));
	memset(busy, 0, sizeof(busy));
	device.ops = &fake_ops;
	device.config.max_size = DATA;
	fuzz_check(!regions_add(&device.regions, data, DATA));
	queue->transport.call_fd = event_create();
	fuzz_check(!queue_init(queue, &device, shared, DEPTH, 0, indirect, kind));
	session_make(how / 16);
	change_memory(shared, shared_size);
}

static void end(void)
{
	changes_end();
	close(queue->transport.call_fd);
	queue_fini(queue);
	free(queue);
	free(shared);
	free(data);
}

static void submit(struct input *in)
{
	struct vcrypto_op *list[OPS];
	uint16_t length = (uint16_t)(input_u16(in) & 0x3f0);
	unsigned int n = 0, wanted = 1 + input_u8(in) % OPS;
	int taken;

	for (unsigned int i = 0; i < OPS && n < wanted; i++) {
		if (busy[i])
			continue;
		op[i] = (struct vcrypto_op){.session = &session,
		                            .src = data,
		                            .dst = data + 1024,
		                            .length = length,
		                            .dst_len = 256,
		                            .aad = data + 2048,
		                            .aad_len = session.op.kind == OP_AEAD ? 13 : 0,
		                            .cipher_len = length,
		                            .hash_len = length,
		                            .tag = data + 3072,
		                            .iv_len = session.op.iv_max,
		                            .user = &busy[i]};
		list[n++] = &op[i];
	}
	taken = vcrypto_queue_submit(queue, list, n);
	fuzz_check(taken == -EPIPE || taken == -EINVAL || (taken >= 0 && (unsigned int)taken <= n));
	for (int i = 0; i < taken; i++)
		*(bool *)list[i]->user = true;
}

static void poll(uint8_t how)
{
	struct vcrypto_op *done[OPS];
	int n = vcrypto_queue_poll(queue, done, 1 + how % OPS);

	fuzz_check(n == -EPROTO || n == -EPIPE || n >= 0);
	for (int i = 0; i < n; i++) {
		/* Each comes back once, and is one of ours. */
		fuzz_check(done[i] >= op && done[i] < op + OPS && *(bool *)done[i]->user);
		*(bool *)done[i]->user = false;
		fuzz_check(done[i]->result_len <= done[i]->dst_len);
	}
	fuzz_check(vcrypto_queue_in_flight(queue) <= DEPTH);
}

/* The device: a used element as it should be, perhaps; of a packed ring a used descriptor. */
static void answer(struct input *in)
{
	uint16_t id = input_u8(in), place = input_u8(in);
	uint32_t written = input_u8(in);
	struct ring *ring = &queue->ring;

	if (ring->packed) {
		struct virtq_packed_desc *desc =
			(struct virtq_packed_desc *)ring->pack.desc + place % ring->pack.size;

		desc->id = id;
		desc->len = written;
		desc->flags ^= place & 0x80 ? VIRTQ_PACKED_F_USED
		                            : VIRTQ_PACKED_F_USED | VIRTQ_PACKED_F_AVAIL;
		return;
	}
	ring->split.used->ring[ring->split.used->idx & ring->split.mask] =
		(struct virtq_used_elem){id, written};
	ring->split.used->idx++;
}

static void scribble(struct input *in)
{
	size_t at = input_u16(in) % shared_size, n = input_u8(in) % 17;

	input_bytes(in, shared + at, vc_min(n, shared_size - at));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input in = {bytes, size};

	begin(input_u8(&in));
	while (in.left) {
		uint8_t what = input_u8(&in);

		switch (what % 8) {
		case 0:
		case 1:
			submit(&in);
			break;
		case 2:
		case 3:
			poll(what / 8);
			break;
		case 4:
			answer(&in);
			break;
		case 5:
			scribble(&in);
			break;
		case 6:
			if (what & 8)
				vcrypto_queue_arm(queue);
			else
				vcrypto_queue_disarm(queue);
			break;
		default:
			changes_begin(&in);
			break;
		}
	}
	end();
	return 0;
}

void fuzz_seeds(void)
{
	for (unsigned int how = 0; how < 96; how++) {
		struct seed seed = {0};
		char name[16];
		/* Two operations; one is answered, rightly, and one is not. */
		const uint8_t steps[] = {
			0, 64, 0, 1, 6,    14,  4, 0,    0, 65,
			2, 7,  1, 4, 1,    2,   0, 0xff, 4, (uint8_t)(how & 8 ? 1 : 8),
			1, 65, 2, 0, 16,   0,   3, 5,    0, 1,
			2, 3,  4, 2, 0x3a, 0x0a};

		seed_u8(&seed, how);
		seed_bytes(&seed, steps, sizeof(steps));
		snprintf(name, sizeof(name), "queue-%u", how);
		seed_save(name, seed.bytes, seed.size);
	}
}
