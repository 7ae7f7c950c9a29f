/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeds of the target vhost: devices that are set up, with sessions and requests of each kind.
 */
#include <stdio.h>
#include <string.h>

#include <vcrypto/inband.h>

#include "fuzz.h"
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
	uint32_t at = INFLIGHT_AT;

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

/* What a seed's device is like. */
struct setting {
	unsigned int how;      /* the first byte */
	unsigned int features; /* see front_known() */
	bool inflight;
	bool iommu;
	unsigned int crosses; /* queues, as bits */
};

#define EVENT_IDX 0x200u
#define VERSION_1 0x400u
#define PACKED 0x800u
#define IN_ORDER 0x1000u
#define RESET 0x2000u
#define PLATFORM 0x4000u
#define FEATURE_INDIRECT 0x100u
#define STATELESS 0x3fu /* with REVISION_1 */

static void known_add(struct seed *seed, unsigned int what, unsigned int argument)
{
	seed_u8(seed, KNOWN);
	seed_u8(seed, known(what, argument));
}

/* From the beginning of a memory; how: see iotlb_message(). */
static void iotlb_add(struct seed *seed, unsigned int how)
{
	known_add(seed, IOTLB, 0);
	seed_u8(seed, how);
	seed_u16(seed, 0);
}

static void outside_add(struct seed *seed, unsigned int how)
{
	seed_u8(seed, OUTSIDE);
	seed_u8(seed, how);
}

/* The queue is the byte modulo QUEUES, whatever bits it has. */
static unsigned int queue_byte(unsigned int index, unsigned int bits)
{
	while (bits % QUEUES != index)
		bits++;
	return bits;
}

static void set_up(struct seed *seed, const struct setting *setting)
{
	seed_u8(seed, setting->how);
	known_add(seed, SET_FEATURES, 0);
	seed_u16(seed, setting->features);
	for (unsigned int i = 0; i < MEMORIES; i++)
		known_add(seed, ADD_MEM_REG, i);
	if (setting->inflight) {
		inflight_add(seed, setting->features & PACKED);
		known_add(seed, SET_INFLIGHT_FD, 0);
		seed_u16(seed, 4096);
	}
	/* All of both memories, by both kinds of addresses. */
	for (unsigned int i = 0; setting->iommu && i < 4; i++) {
		iotlb_add(seed, i);
	}
	for (unsigned int i = 0; i < QUEUES; i++) {
		known_add(seed, QUEUE, 0);
		seed_u8(seed, queue_byte(i, setting->crosses >> i & 1 ? QUEUE_CROSSES : 0));
	}
}

static void round_add(struct seed *seed, unsigned int ms)
{
	seed_u8(seed, ROUND | ms << 3);
}

static void resources_add(struct seed *seed, unsigned int how)
{
	seed_u8(seed, RESOURCES);
	seed_u8(seed, how);
}

/* kind: see session_message(). */
static void session_add(struct seed *seed, unsigned int kind)
{
	known_add(seed, CREATE_SESSION, 0);
	seed_u8(seed, kind);
	seed_u16(seed, 900);
	seed_u8(seed, 0);
}

struct chain {
	unsigned int queue, slot, how;
	unsigned int out, in; /* bytes; the status byte is not of them */
};

static void chain_add(struct seed *seed, const struct chain *chain, const void *bytes,
                      unsigned int n)
{
	static const uint8_t rest[512];

	seed_u8(seed, CHAIN);
	seed_u8(seed, chain->queue);
	seed_u8(seed, chain->slot);
	seed_u8(seed, chain->how);
	seed_u16(seed, chain->out);
	seed_u16(seed, chain->in);
	seed_bytes(seed, bytes, n);
	seed_bytes(seed, rest, chain->out - n);
}

/* ---- requests ---- */

static const struct virtio_crypto_op_data_req cbc = {
	.header.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT,
	.header.flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE,
	.u.sym = {.u.cipher = {16, 64, 64, 0}, .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}};
static const struct virtio_crypto_op_ctrl_req destroy = {
	.header.opcode = VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION};
static const struct virtio_crypto_op_ctrl_req create = {
	.header.opcode = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION,
	.u.sym = {.u.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 1, 0},
                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}};

static void cbc_add(struct seed *seed, unsigned int queue, unsigned int slot, unsigned int how)
{
	chain_add(seed, &(struct chain){queue, slot, LIVE | how, 152, 64}, &cbc, sizeof(cbc));
}

static void rsa_add(struct seed *seed, unsigned int slot)
{
	const struct virtio_crypto_op_data_req rsa = {
		.header.opcode = VIRTIO_CRYPTO_AKCIPHER_ENCRYPT,
		.header.algo = VIRTIO_CRYPTO_AKCIPHER_RSA,
		.header.flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE,
		.u.akcipher = {100, 128}};

	chain_add(seed, &(struct chain){0, slot, LIVE, 172, 128}, &rsa, sizeof(rsa));
}

static void inband_add(struct seed *seed, unsigned int slot, uint32_t opcode,
                       const struct virtio_crypto_op_ctrl_req *control)
{
	struct {
		struct virtio_crypto_op_data_req envelope;
		struct virtio_crypto_op_ctrl_req control;
	} bytes = {.envelope.header.opcode = opcode};
	unsigned int out = sizeof(bytes.envelope), in = 72;

	if (control) {
		bytes.control = *control;
		out = sizeof(bytes) + 16;
		in = control == &destroy ? 0 : 16;
	}
	chain_add(seed, &(struct chain){0, slot, LIVE * (in == 0) | IN_BAND, out, in}, &bytes,
	          control ? sizeof(bytes) : out);
}

static void stateless_add(struct seed *seed, unsigned int slot)
{
	struct {
		struct virtio_crypto_op_header header;
		uint8_t fixed[sizeof(union virtio_crypto_data_stateless)];
	} bytes = {.header.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT};
	const union virtio_crypto_data_stateless fixed = {
		.sym = {.u.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 1, 16, 64, 64},
	                .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}};

	memcpy(bytes.fixed, &fixed, sizeof(fixed));
	chain_add(seed, &(struct chain){0, slot, 0, sizeof(bytes) + 96, 64}, &bytes, sizeof(bytes));
}

/* ---- seeds ---- */

static void save(const struct seed *seed, const char *what, unsigned int i)
{
	char name[48];

	snprintf(name, sizeof(name), "%s-%u", what, i);
	seed_save(name, seed->bytes, seed->size);
}

static void devices_save(void)
{
	static const uint16_t features[] = {FEATURE_INDIRECT | EVENT_IDX | VERSION_1,
	                                    VERSION_1,
	                                    0,
	                                    FEATURE_INDIRECT | EVENT_IDX | VERSION_1 | PACKED,
	                                    FEATURE_INDIRECT | EVENT_IDX | VERSION_1 | IN_ORDER,
	                                    STATELESS | RESET | IN_ORDER | PACKED | EVENT_IDX |
	                                            VERSION_1 | FEATURE_INDIRECT};

	for (unsigned int i = 0; i < 8 * vc_array_size(features); i++) {
		struct seed seed = {0};
		bool hold = i & 1, cut = i & 2, by_message = i & 4;

		set_up(&seed, &(struct setting){.how = features[i / 8] & IN_ORDER ? STRICT : 0,
		                                .features = features[i / 8],
		                                .inflight = cut,
		                                .iommu = by_message && hold});
		if (by_message)
			session_add(&seed, 1);
		else
			chain_add(&seed, &(struct chain){QUEUES - 1, 0, 0, 88, 16}, &create,
			          sizeof(create));
		round_add(&seed, 0);
		resources_add(&seed, hold ? 0x21 : 0x60);
		cbc_add(&seed, 0, 0, 0);
		cbc_add(&seed, 0, 1, ELSEWHERE);
		cbc_add(&seed, 1, 2, ELSEWHERE | ELSEWHERE_IN);
		round_add(&seed, 0);
		chain_add(&seed, &(struct chain){QUEUES - 1, 3, LIVE, 72, 1}, &destroy,
		          sizeof(destroy));
		round_add(&seed, 0);
		if (cut) {
			outside_add(&seed, 0xf4 | CUT_ALL);
		} else {
			known_add(&seed, REM_MEM_REG, 1);
		}
		round_add(&seed, 0);
		round_add(&seed, 0);
		save(&seed, "device", i);
	}
}

static const struct virtio_crypto_op_ctrl_req gcm = {
	.header.opcode = VIRTIO_CRYPTO_AEAD_CREATE_SESSION,
	.u.aead = {VIRTIO_CRYPTO_AEAD_GCM, 16, 16, 13, VIRTIO_CRYPTO_OP_DECRYPT, 0}};

static void gcm_add(struct seed *seed, unsigned int slot)
{
	const struct virtio_crypto_op_data_req request = {
		.header.opcode = VIRTIO_CRYPTO_AEAD_DECRYPT,
		.header.flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE,
		.u.aead = {12, 13, 80, 64, 16, 0}};

	chain_add(seed, &(struct chain){0, slot, LIVE, 72 + 12 + 13 + 80, 64}, &request,
	          sizeof(request));
}

/* A resource that has a request and keeps it until nobody waits any more. */
static void deadlines_save(void)
{
	for (unsigned int i = 0; i < 12; i++) {
		struct seed seed = {0};
		unsigned int service = i / 4;
		bool gone = i & 2;

		set_up(&seed, &(struct setting){.how = DEADLINE | (i & 1 ? STRICT : 0),
		                                .features = VERSION_1});
		if (service < 2)
			session_add(&seed, 1 + service);
		else
			chain_add(&seed, &(struct chain){QUEUES - 1, 0, 0, 88, 16}, &gcm,
			          sizeof(gcm));
		round_add(&seed, 0);
		resources_add(&seed, 0x41);
		for (unsigned int slot = 0; slot < 4; slot++) {
			if (service == 0)
				cbc_add(&seed, 0, slot, ELSEWHERE);
			else if (service == 1)
				rsa_add(&seed, slot);
			else
				gcm_add(&seed, slot);
		}
		for (unsigned int n = 0; n < 4; n++)
			round_add(&seed, 4);
		if (gone)
			known_add(&seed, REM_MEM_REG, 1);
		resources_add(&seed, 0x60);
		cbc_add(&seed, 0, 0, 0);
		round_add(&seed, 20);
		round_add(&seed, 20);
		save(&seed, "deadline", i);
	}
}

static void extensions_save(void)
{
	struct seed seed = {0};

	set_up(&seed, &(struct setting){.features = VERSION_1 | FEATURE_INDIRECT});
	inband_add(&seed, 0, VCRYPTO_INBAND_HELLO, NULL);
	inband_add(&seed, 1, VCRYPTO_INBAND_CREATE, &create);
	round_add(&seed, 0);
	cbc_add(&seed, 1, 0, INDIRECT);
	round_add(&seed, 0);
	resources_add(&seed, 0x61);
	cbc_add(&seed, 1, 1, INDIRECT);
	round_add(&seed, 0);
	inband_add(&seed, 2, VCRYPTO_INBAND_DESTROY, &destroy);
	round_add(&seed, 0);
	cbc_add(&seed, 1, 2, 0);
	resources_add(&seed, 0x60);
	round_add(&seed, 0);
	save(&seed, "in-band", 0);

	for (unsigned int i = 0; i < 2; i++) {
		seed.size = 0;
		set_up(&seed, &(struct setting){.how = i ? DEADLINE : 0,
		                                .features = VERSION_1 | STATELESS});
		resources_add(&seed, 0x60 | i);
		for (unsigned int slot = 0; slot < 4; slot++)
			stateless_add(&seed, slot);
		round_add(&seed, 0);
		round_add(&seed, 8);
		save(&seed, "stateless", i);
	}
}

/* A ring that lies in two memories, and what is known of them goes. */
static void crossings_save(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct seed seed = {0};
		unsigned int queue = i / 2;

		set_up(&seed, &(struct setting){.features = VERSION_1 | PLATFORM |
		                                            (i & 1 ? PACKED | EVENT_IDX : 0),
		                                .iommu = true,
		                                .crosses = 1u << queue});
		session_add(&seed, 1);
		cbc_add(&seed, queue, 0, 0);
		cbc_add(&seed, queue, 1, 0);
		round_add(&seed, 0);
		iotlb_add(&seed, 8); /* what is at guest addresses of the first memory goes */
		cbc_add(&seed, queue, 2, 0);
		round_add(&seed, 0);
		iotlb_add(&seed, 0);
		round_add(&seed, 0);
		save(&seed, "crossing", i);
	}
}

static void neighbours_save(void)
{
	for (unsigned int i = 0; i < 8; i++) {
		struct seed seed = {0};

		set_up(&seed, &(struct setting){.how = NEIGHBOUR | (i & 1 ? DEADLINE : 0) |
		                                       (i & 2 ? LIMITED : 0),
		                                .features = VERSION_1 | EVENT_IDX});
		session_add(&seed, 1);
		/* All but nothing fits into the first resource, which keeps it for a while. */
		resources_add(&seed, i & 4 ? 0x03 : 0x60);
		for (unsigned int n = 0; n < 12; n++) {
			cbc_add(&seed, n & 1, n % 4, n & 2 ? ELSEWHERE : 0);
			round_add(&seed, n & 3);
		}
		known_add(&seed, GET_VRING_BASE, 0);
		round_add(&seed, 1);
		resources_add(&seed, 0x60);
		round_add(&seed, 1);
		round_add(&seed, 1);
		save(&seed, "neighbour", i);
	}
}

static void others_save(void)
{
	struct seed seed = {0};

	set_up(&seed, &(struct setting){.how = LIMITED, .features = VERSION_1});
	session_add(&seed, 1);
	for (unsigned int i = 0; i < 4; i++)
		cbc_add(&seed, i & 1, i, 0);
	round_add(&seed, 0);
	round_add(&seed, 0);
	outside_add(&seed, LIMITS);
	cbc_add(&seed, 0, 0, 0);
	round_add(&seed, 0);
	save(&seed, "limited", 0);

	seed.size = 0;
	set_up(&seed, &(struct setting){.features = VERSION_1});
	for (unsigned int i = 0; i < 8; i++) {
		known_add(&seed, ASK, i);
		if (i == 7) {
			seed_u16(&seed, 0);
			seed_u8(&seed, 56);
		}
	}
	outside_add(&seed, OFFLINE | 4);
	known_add(&seed, SET_STATUS, 0);
	seed_u8(&seed, 15);
	known_add(&seed, RESET_DEVICE, 0);
	save(&seed, "messages", 0);
}

void fuzz_seeds(void)
{
	devices_save();
	deadlines_save();
	extensions_save();
	crossings_save();
	neighbours_save();
	others_save();
}
