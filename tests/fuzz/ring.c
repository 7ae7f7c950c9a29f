/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings, split and packed, and chains (vring.c, vring_packed.c, memtable.c): the input is the
 * guest's memory, and how it changes while we look. Guest memory is on the heap, each region by
 * itself, so that AddressSanitizer sees every byte beside one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "fuzz.h"
#include "host/vring.h"

/* The first holds the rings; the second follows it in guest addresses, but not in memory; the third
 * ends where addresses end. */
#define REGIONS 3
static const struct memregion layout[REGIONS] = {
	{.guest_addr = 0, .size = 4096, .user_addr = 0x700000000000},
	{.guest_addr = 4096, .size = 512, .user_addr = 0x600000000000},
	{.guest_addr = UINT64_MAX - 255, .size = 256, .user_addr = 0x500000000000},
};

#define STEPS 64

struct target {
	struct memtable *table;
	struct vring_config config;
	struct vring ring;
	struct vring_chain chain;
	unsigned int in_flight;
	uint32_t head[VIRTQ_MAX_SIZE], room[VIRTQ_MAX_SIZE];
};

static struct target target;

static void memory_make(struct input *in)
{
	struct memtable *table = memtable_new();

	fuzz_check(table);
	target.table = table;
	/* Of a guest with an IOMMU: what is not there may come, and never does. */
	table->view = input_u8(in) & 1;
	table->count = REGIONS;
	for (unsigned int i = 0; i < REGIONS; i++) {
		table->region[i] = layout[i];
		table->region[i].host = malloc(layout[i].size);
		fuzz_check(table->region[i].host);
	}
	/* The small ones first: what is left goes to the first. */
	for (unsigned int i = REGIONS; i-- > 0;)
		input_bytes(in, table->region[i].host,
		            i ? vc_min(in->left / 4, layout[i].size) : layout[i].size);
}

static void memory_free(void)
{
	for (unsigned int i = 0; i < REGIONS; i++)
		free(target.table->region[i].host);
	/* There are no mappings to let go of. */
	target.table->count = 0;
	memtable_free(target.table);
}

#define SIZE_SHIFT 7u
#define EVENT_IDX 8u
#define UNTOLD 16u
#define NEAR_WRAP 32u /* of the index */
#define ANYWHERE 64u  /* the parts of the ring, each where the input says */
#define ANY_SIZE 128u /* as the input says */
#define PACKED 1u     /* from here on: of the second byte */
#define IN_ORDER 2u

static void config_make(struct input *in)
{
	struct vring_config *config = &target.config;
	uint8_t flags = input_u8(in), more = input_u8(in);
	uint16_t size = (uint16_t)(1u << (flags & SIZE_SHIFT));

	*config = (struct vring_config){
		.size = size,
		.base = input_u8(in),
		.event_idx = flags & EVENT_IDX,
		.untold = flags & UNTOLD,
		.packed = more & PACKED,
		.in_order = more & IN_ORDER,
		.desc = layout[0].user_addr,
	};
	if (config->packed)
		config->base |= 0x8000; /* the first lap */
	else if (flags & NEAR_WRAP)
		config->base |= 0xff00;
	config->avail = config->desc + size * 16u;
	config->used = config->avail + (config->packed ? 4 : vc_round_up(size * 2u + 6u, 4));
	if (flags & ANYWHERE) {
		config->base = input_u32(in);
		config->desc += input_u16(in);
		config->avail = layout[input_u8(in) % REGIONS].user_addr + input_u16(in);
		config->used = layout[input_u8(in) % REGIONS].user_addr + input_u16(in);
		/* vhost_user.c lets nothing longer through. */
		if (!config->packed)
			config->base &= 0xffff;
	}
	if (flags & ANY_SIZE)
		config->size = input_u16(in);
}

/* What the chain says must be there, end to end; all between is in one region then. */
static void chain_touch(const struct vring_chain *chain)
{
	uint64_t out = 0, in = 0;

	fuzz_check(chain->out + chain->in <= VRING_MAX_SEGMENTS);
	for (unsigned int i = 0; i < (unsigned int)chain->out + chain->in; i++) {
		const struct vring_segment *s = &chain->segment[i];

		fuzz_check(s->len);
		if (i < chain->out) {
			out += s->len;
			fuzz_touch_read(s->base, 1);
			fuzz_touch_read(s->base + s->len - 1, 1);
		} else {
			in += s->len;
			fuzz_touch_write(s->base, 1);
			fuzz_touch_write(s->base + s->len - 1, 1);
		}
	}
	fuzz_check(out == chain->out_len && in == chain->in_len);
}

/* 0: go on; else the queue is broken. */
static int take(void)
{
	struct vring_chain *chain = &target.chain;
	int rc = vring_pop(&target.ring, chain);

	if (rc == -EAGAIN) {
		fuzz_check(target.table->view);
		vring_miss_give_up(&target.ring);
		rc = vring_pop(&target.ring, chain);
		/* The driver may have put another chain there. */
		if (rc == -EAGAIN)
			return 0;
	}
	fuzz_check(rc == 1 || rc == 0 || rc == -EBADMSG || rc == -EPROTO);
	if (rc == -EPROTO)
		return rc;
	if (rc == 0)
		return 0;
	fuzz_check(target.config.packed || chain->head < target.config.size);
	fuzz_check(rc == 1 || (!chain->out && chain->in <= 1 && chain->in_len == chain->in));
	chain_touch(chain);
	/* Never more in flight than there are descriptors: the used ring would overflow. */
	fuzz_check(target.in_flight < target.config.size);
	target.head[target.in_flight] = chain->head;
	target.room[target.in_flight++] = chain->in_len;
	return 0;
}

/* No room for it now: it is for later. */
static void untake(void)
{
	if (vring_pop(&target.ring, &target.chain) == 1)
		vring_unpop(&target.ring, &target.chain);
}

static void forget(unsigned int which)
{
	target.in_flight--;
	for (unsigned int i = which; i < target.in_flight; i++) {
		target.head[i] = target.head[i + 1];
		target.room[i] = target.room[i + 1];
	}
}

static void give(unsigned int which)
{
	if (!target.in_flight)
		return;
	if (target.config.in_order) {
		vring_push_in_order(&target.ring, target.head[0],
		                    which & 1 ? target.room[0] : which, target.room[0]);
		forget(0);
	} else {
		which %= target.in_flight;
		vring_push(&target.ring, target.head[which], which);
		forget(which);
	}
}

/* The driver at work: bytes anywhere, or one more chain. */
static void driver(struct input *in)
{
	uint16_t offset = input_u16(in);
	uint8_t *base = target.table->region[0].host;

	if (offset & 0x8000) {
		if (!target.config.packed && (uintptr_t)target.ring.avail % 2 == 0)
			target.ring.avail->idx++;
		return;
	}
	input_bytes(in, base + offset % (layout[0].size - 8), 8);
}

static void run(struct input *in)
{
	for (unsigned int step = 0; step < STEPS && in->left; step++) {
		uint8_t op = input_u8(in);

		switch (op % 8) {
		case 0:
		case 1:
			if (take())
				return;
			break;
		case 2:
			untake();
			break;
		case 3:
			give(op / 8);
			break;
		case 4:
			vring_publish(&target.ring);
			break;
		case 5:
			if (op & 8)
				vring_notify_on(&target.ring);
			else
				vring_notify_off(&target.ring);
			break;
		case 6:
			driver(in);
			break;
		default:
			(void)vring_base(&target.ring);
			fuzz_check(!vring_remap(&target.ring, target.table, &target.config));
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size}, steps;
	size_t steps_size;

	config_make(&in);
	/* As many steps as the input says, then the memory. */
	steps_size = input_u8(&in);
	steps_size = vc_min(steps_size, in.left);
	steps = (struct input){in.at, steps_size};
	in.at += steps_size;
	in.left -= steps_size;
	changes_begin(&in);
	memory_make(&in);
	target.in_flight = 0;
	if (!vring_setup(&target.ring, target.table, &target.config)) {
		for (unsigned int i = 0; i < REGIONS; i++)
			change_memory(target.table->region[i].host, layout[i].size);
		run(&steps);
	}
	changes_end();
	memory_free();
	return 0;
}

/* ---- seeds ---- */

struct seed_chain {
	const char *name;
	unsigned int flags; /* of config_make() */
	unsigned int n;
	struct virtq_desc desc[8];
	struct virtq_desc table[4]; /* at 2048 */
};

#define W VIRTQ_DESC_F_WRITE
#define N VIRTQ_DESC_F_NEXT
#define I VIRTQ_DESC_F_INDIRECT

/* clang-format off */
static const struct seed_chain chains[] = {
	{"direct", 3, 3, {{1024, 72, N, 1}, {1100, 64, N, 2}, {1200, 65, W, 0}}, {{0}}},
	{"event", 3 | EVENT_IDX, 2, {{1024, 72, N, 1}, {1200, 1, W, 0}}, {{0}}},
	{"untold", 2 | UNTOLD, 2, {{1024, 72, N, 1}, {1200, 1, W, 0}}, {{0}}},
	{"wrap", 3 | NEAR_WRAP, 1, {{1200, 1, W, 0}}, {{0}}},
	{"indirect", 3, 1, {{2048, 48, I, 0}}, {{1024, 72, N, 1}, {4000, 96, N, 2}, {4096, 9, W, 0}}},
	{"nested", 3, 1, {{2048, 32, I, 0}}, {{1024, 72, N, 1}, {2048, 16, I, 0}}},
	{"loop", 3, 2, {{1024, 72, N, 1}, {1200, 1, N | W, 0}}, {{0}}},
	{"mixed", 3, 3, {{1024, 72, N, 1}, {1100, 64, N | W, 2}, {1200, 65, 0, 0}}, {{0}}},
	{"cross", 3, 2, {{4090, 12, N, 1}, {UINT64_MAX - 255, 256, W, 0}}, {{0}}},
	{"outside", 3, 2, {{1024, 72, N, 1}, {8192, 64, W, 0}}, {{0}}},
	{"huge", 3, 2, {{16, UINT32_MAX, N, 1}, {1200, 64, W, 0}}, {{0}}},
	{"far", 3, 1, {{4088, 48, I, 0}}, {{0}}},
	{"last", 3, 8, {{1, 1, N, 1}, {2, 2, N, 2}, {3, 3, N, 3}, {4, 4, N, 4}, {5, 5, N, 5},
	                {6, 6, N, 6}, {7, 7, N, 7}, {8, 8, W, 0}}, {{0}}},
};
/* clang-format on */

/* The same as packed descriptors: the id is 5, and they are available on the first lap. */
static void packed_put(struct virtq_desc *desc, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct virtq_packed_desc packed = {
			desc[i].addr, desc[i].len, 5,
			(uint16_t)(desc[i].flags | VIRTQ_PACKED_F_AVAIL)};

		memcpy(&desc[i], &packed, sizeof(packed));
	}
}

static void chain_save(const struct seed_chain *c, bool packed, bool moving)
{
	/* Take, put back, publish, notify, go on. */
	static const uint8_t steps[] = {5, 2, 0, 0, 3, 4, 13, 6, 0, 0x80, 0, 11, 4, 7, 0, 3, 4};
	/* None, or the second half of the second thing that is read. */
	static const uint8_t still[] = {0}, changes[] = {2, 1, 1, 1, 0, 0xff, 3, 1, 2, 0, 0x10};
	static struct virtq_desc memory[4096 / sizeof(struct virtq_desc)];
	unsigned int size = 1u << (c->flags & SIZE_SHIFT), wrap = c->flags & NEAR_WRAP;
	uint8_t *bytes = (uint8_t *)memory;
	struct seed seed = {0};
	char name[40];

	memset(memory, 0, sizeof(memory));
	memcpy(memory, c->desc, c->n * sizeof(c->desc[0]));
	memcpy(bytes + 2048, c->table, sizeof(c->table));
	if (packed) {
		packed_put(memory, c->n);
		packed_put(memory + 128, 4);
	} else {
		/* Available: two times the first chain. */
		bytes[size * 16 + 2] = wrap ? 0xfe : 2;
		bytes[size * 16 + 3] = wrap ? 0xff : 0;
	}
	seed_u8(&seed, c->flags);
	seed_u8(&seed, (packed ? PACKED : 0) | (moving ? IN_ORDER : 0));
	seed_u8(&seed, wrap && !packed ? 0xfc : 0);
	seed_u8(&seed, sizeof(steps));
	seed_bytes(&seed, steps, sizeof(steps));
	if (moving)
		seed_bytes(&seed, changes, sizeof(changes));
	else
		seed_bytes(&seed, still, sizeof(still));
	/* The third and the second region take a quarter of what is left each. */
	seed_u8(&seed, c->flags & 1);
	seed_bytes(&seed, bytes + 3000, layout[2].size);
	seed_bytes(&seed, bytes + 3000, layout[1].size);
	seed_bytes(&seed, bytes, 2304);
	snprintf(name, sizeof(name), "%s-%s-%s", c->name, packed ? "packed" : "split",
	         moving ? "moving" : "still");
	seed_save(name, seed.bytes, seed.size);
}

void fuzz_seeds(void)
{
	for (size_t i = 0; i < 4 * vc_array_size(chains); i++)
		chain_save(&chains[i / 4], i & 1, i & 2);
}
