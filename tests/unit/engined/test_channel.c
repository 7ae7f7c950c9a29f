/* SPDX-License-Identifier: Apache-2.0 */
/* Channels and regions: layout, consumption of the ring, hostile slots of all kinds. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <setjmp.h>
#include <unistd.h>

#include <cmocka.h>

#include "engined/channel.h"

#define SLOTS 8u

static struct region region;
static struct channel channel;
static uint32_t buffers, end; /* of the region's buffers */

static int setup(void **state)
{
	struct region_layout layout;

	assert_int_equal(region_layout_init(&layout, 2, SLOTS, 16384), 0);
	assert_int_equal(region_create(&region, &layout), 0);
	channel_init(&channel, &region, 1);
	buffers = (uint32_t)layout.buffer_offset;
	end = (uint32_t)layout.buffer_end;
	return 0;
}

static int teardown(void **state)
{
	region_destroy(&region);
	return 0;
}

static void submit(uint16_t slot, uint32_t generation)
{
	channel.slots[slot & (SLOTS - 1)].state = VCE_SLOT_STATE(generation, VCE_SLOT_QUEUED);
	channel.ring->ring[channel.ring->tail & (SLOTS - 1)] = slot;
	channel.ring->tail++;
}

/* ---- layout ---- */

static void layouts_do_not_overlap(void **state)
{
	const uint32_t channels[] = {1, 3, 32, 256}, slots[] = {2, 64, 128};
	struct region_layout l;
	size_t i, j;

	for (i = 0; i < 4; i++) {
		for (j = 0; j < 3; j++) {
			assert_int_equal(region_layout_init(&l, channels[i], slots[j], 16896), 0);
			assert_true(l.channel_offset >= sizeof(struct vce_region_header));
			assert_true(l.slot_offset >= sizeof(struct vce_channel) + 2 * slots[j]);
			assert_int_equal(l.slot_offset % 64, 0);
			assert_true(l.channel_stride >=
			            l.slot_offset + slots[j] * sizeof(struct vce_slot));
			assert_int_equal(l.channel_stride % 64, 0);
			assert_true(l.buffer_offset >=
			            l.channel_offset + (uint64_t)channels[i] * l.channel_stride);
			assert_true(l.buffer_stride >= l.buffer_size);
			assert_true(l.size >= l.buffer_end);
			assert_int_equal(l.size % 4096, 0);
		}
	}
}

static void impossible_layouts_are_refused(void **state)
{
	struct region_layout l;

	assert_int_equal(region_layout_init(&l, 0, 64, 16384), -EINVAL);
	assert_int_equal(region_layout_init(&l, 257, 64, 16384), -EINVAL);
	assert_int_equal(region_layout_init(&l, 1, 1, 16384), -EINVAL);
	assert_int_equal(region_layout_init(&l, 1, 96, 16384), -EINVAL);
	assert_int_equal(region_layout_init(&l, 1, 2048, 16384), -EINVAL);
	assert_int_equal(region_layout_init(&l, 1, 64, 100), -EINVAL);
	/* More than slots can name. */
	assert_int_equal(region_layout_init(&l, 256, 1024, 1024 * 1024), -EINVAL);
}

static void regions_cannot_be_cut_short(void **state)
{
	assert_int_equal(ftruncate(region.fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(region.fd, (off_t)region.layout.size * 2), -1);
	assert_int_equal(fcntl(region.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void header_tells_the_layout(void **state)
{
	const struct vce_region_header *header = region_header(&region);

	assert_int_equal(header->magic, VCE_MAGIC);
	assert_int_equal(header->channels, 2);
	assert_int_equal(header->slots, SLOTS);
	assert_int_equal(header->buffer_offset, region.layout.buffer_offset);
	assert_int_equal(header->offline, 1);
}

/* ---- ring ---- */

static void entries_come_in_order(void **state)
{
	struct channel_entry entry;

	assert_int_equal(channel_pending(&channel), 0);
	submit(3, 7);
	submit(0, 8);
	channel.slots[3].opcode = VCE_OP_NOP;
	channel.slots[0].opcode = VCE_OP_CRYPT;
	assert_int_equal(channel_pending(&channel), 2);
	assert_int_equal(channel_take(&channel, &entry), 0);
	assert_int_equal(entry.generation, 7);
	assert_ptr_equal(entry.slot, &channel.slots[3]);
	assert_int_equal(channel_take(&channel, &entry), 0);
	assert_int_equal(entry.line.opcode, VCE_OP_CRYPT);
	assert_int_equal(channel_pending(&channel), 0);
	channel_publish(&channel);
	assert_int_equal(channel.ring->head, 2);
}

static void indices_wrap(void **state)
{
	struct channel_entry entry;
	uint32_t i;

	channel.ring->tail = UINT32_MAX - 3;
	channel.head = UINT32_MAX - 3;
	for (i = 0; i < SLOTS; i++)
		submit((uint16_t)i, 1);
	assert_int_equal(channel_pending(&channel), SLOTS);
	for (i = 0; i < SLOTS; i++) {
		assert_int_equal(channel_take(&channel, &entry), 0);
		assert_ptr_equal(entry.slot, &channel.slots[i]);
	}
	assert_int_equal(channel_pending(&channel), 0);
}

static void a_tail_too_far_is_noticed(void **state)
{
	channel.ring->tail = SLOTS;
	assert_int_equal(channel_pending(&channel), SLOTS);
	channel.ring->tail = SLOTS + 1;
	assert_int_equal(channel_pending(&channel), -EPROTO);
	channel.ring->tail = (uint32_t)-1; /* backwards */
	assert_int_equal(channel_pending(&channel), -EPROTO);
	/* The head in the region is not believed. */
	channel.ring->tail = 0;
	channel.ring->head = 12345;
	assert_int_equal(channel_pending(&channel), 0);
}

static void wrong_entries_are_noticed(void **state)
{
	const uint16_t wrong[] = {SLOTS, SLOTS + 1, 0x7fff, 0xffff};
	struct channel_entry entry;
	size_t i;

	for (i = 0; i < 4; i++) {
		submit(wrong[i], 1);
		assert_int_equal(channel_take(&channel, &entry), -EPROTO);
	}
}

static void slots_that_were_not_submitted_are_noticed(void **state)
{
	struct channel_entry entry;

	submit(1, 1);
	channel.slots[1].state = VCE_SLOT_STATE(1, VCE_SLOT_FREE);
	assert_int_equal(channel_take(&channel, &entry), -EPROTO);
	submit(1, 1);
	channel.slots[1].state = VCE_SLOT_STATE(1, VCE_SLOT_DONE);
	assert_int_equal(channel_take(&channel, &entry), -EPROTO);
}

static void completion_keeps_the_generation(void **state)
{
	const struct channel_result result = {.result = -EBADMSG, .result_len = 5, .handle = 9};
	struct channel_entry entry;

	submit(2, 0x3fffffff);
	assert_int_equal(channel_take(&channel, &entry), 0);
	assert_false(channel_complete(entry.slot, entry.generation, &result));
	assert_int_equal(channel.slots[2].state, VCE_SLOT_STATE(0x3fffffff, VCE_SLOT_DONE));
	assert_int_equal(channel.slots[2].result, -EBADMSG);
	assert_int_equal(channel.slots[2].result_len, 5);
	assert_int_equal(channel.slots[2].handle, 9);

	submit(2, 1);
	channel.slots[2].state = VCE_SLOT_STATE(1, VCE_SLOT_WAITING);
	assert_int_equal(channel_take(&channel, &entry), 0);
	assert_true(channel_complete(entry.slot, entry.generation, &result));
}

/* ---- requests ---- */

static const struct vcrypto_session_params cipher = {.service = VCRYPTO_SERVICE_CIPHER};
static const struct vcrypto_session_params chain = {.service = VCRYPTO_SERVICE_CIPHER,
                                                    .chain = VCRYPTO_CHAIN_HASH_THEN_CIPHER};
static const struct vcrypto_session_params aead = {.service = VCRYPTO_SERVICE_AEAD};
static const struct vcrypto_session_params mac = {.service = VCRYPTO_SERVICE_MAC};
static const struct vcrypto_session_params rsa = {.service = VCRYPTO_SERVICE_AKCIPHER,
                                                  .private_key = true};
static const struct vcrypto_session_params agree = {.service = VCRYPTO_SERVICE_AKCIPHER,
                                                    .algorithm = VCRYPTO_AKCIPHER_AGREE};
static const struct vcrypto_session_params rsa_public = {.service = VCRYPTO_SERVICE_AKCIPHER};

static int check(const struct vce_slot *line, const struct vcrypto_session_params *params)
{
	struct vcrypto_op op;

	return channel_check_crypt(&region, line, params, &op);
}

static struct vce_slot good(void)
{
	return (struct vce_slot){
		.opcode = VCE_OP_CRYPT,
		.iv_len = 16,
		.src = buffers,
		.dst = buffers,
		.length = 4096,
		.dst_len = 512,
		.aad = buffers + 8192,
		.aad_len = 13,
		.tag = buffers + 4096,
		.tag_len = 16,
	};
}

static void good_requests_pass(void **state)
{
	struct vce_slot line = good();
	struct vcrypto_op op;

	assert_int_equal(channel_check_crypt(&region, &line, &aead, &op), 0);
	assert_ptr_equal(op.src, region.base + buffers);
	assert_ptr_equal(op.dst, region.base + buffers);
	assert_ptr_equal(op.aad, region.base + buffers + 8192);
	assert_ptr_equal(op.tag, region.base + buffers + 4096);
	assert_int_equal(op.tag_len, 16);
	assert_int_equal(check(&line, &cipher), 0);
	assert_int_equal(check(&line, &mac), 0);
	line.cipher_offset = 16;
	line.hash_len = 4096;
	assert_int_equal(channel_check_crypt(&region, &line, &chain, &op), 0);
	assert_int_equal(op.cipher_len, 512);
	line.dst_len = 0;
	assert_int_equal(channel_check_crypt(&region, &line, &chain, &op), 0);
	assert_int_equal(op.cipher_len, 4080);
	line.dst_len = 512;
	line.dst = buffers + 8192;
	assert_int_equal(check(&line, &rsa), 0);
	/* All of the buffers, and nothing at their very end. */
	line = good();
	line.length = end - buffers;
	assert_int_equal(check(&line, &cipher), 0);
	line.src = line.dst = end;
	line.length = 0;
	assert_int_equal(check(&line, &cipher), 0);
}

/* Places that are not in the buffers, as offset and length. */
static void each_wrong_place(void (*set)(struct vce_slot *, uint32_t, uint32_t),
                             const struct vcrypto_session_params *params, bool with_length)
{
	const struct {
		uint32_t offset, length;
	} wrong[] = {
		{0, 16},
		{buffers - 1, 16},
		{end - 15, 16},
		{end + 1, 16},
		{UINT32_MAX, 16},
		{UINT32_MAX - 15, 16},
		{buffers, end - buffers + 1},
		{buffers, UINT32_MAX},
		{end - 4096, UINT32_MAX - 100}, /* the sum wraps in 32 bits */
	};
	struct vce_slot line;
	size_t i;

	for (i = 0; i < (with_length ? 9 : 6); i++) {
		line = good();
		set(&line, wrong[i].offset, wrong[i].length);
		assert_int_equal(check(&line, params), -EINVAL);
	}
}

static void set_src(struct vce_slot *line, uint32_t offset, uint32_t length)
{
	line->src = offset;
	line->length = length;
}

static void set_dst(struct vce_slot *line, uint32_t offset, uint32_t length)
{
	line->dst = offset;
	line->length = length;
}

static void set_dst_len(struct vce_slot *line, uint32_t offset, uint32_t length)
{
	line->src = buffers + 65536;
	line->length = 256;
	line->dst = offset;
	line->dst_len = length;
}

static void set_aad(struct vce_slot *line, uint32_t offset, uint32_t length)
{
	line->aad = offset;
	line->aad_len = length;
}

static void set_tag(struct vce_slot *line, uint32_t offset, uint32_t length)
{
	line->tag = offset;
	line->tag_len = 16;
}

static void wrong_places_are_refused(void **state)
{
	each_wrong_place(set_src, &cipher, true);
	each_wrong_place(set_src, &chain, true);
	each_wrong_place(set_src, &aead, true);
	each_wrong_place(set_src, &mac, true);
	each_wrong_place(set_src, &rsa, true);
	each_wrong_place(set_dst, &cipher, true);
	each_wrong_place(set_dst, &aead, true);
	each_wrong_place(set_dst_len, &rsa, true);
	each_wrong_place(set_aad, &aead, true);
	each_wrong_place(set_tag, &aead, false);
	each_wrong_place(set_tag, &chain, false);
	each_wrong_place(set_tag, &mac, false);
}

static void overlaps_are_refused(void **state)
{
	struct vce_slot line = good();

	line.dst = line.src + 16;
	assert_int_equal(check(&line, &cipher), -EINVAL);
	line.dst = line.src + 4095;
	assert_int_equal(check(&line, &cipher), -EINVAL);
	line.dst = line.src + 4096;
	assert_int_equal(check(&line, &cipher), 0);
	line.src = line.dst + 1;
	assert_int_equal(check(&line, &cipher), -EINVAL);
}

static void wrong_numbers_are_refused(void **state)
{
	struct vce_slot line = good();

	line.iv_len = 17;
	assert_int_equal(check(&line, &cipher), -EINVAL);
	line = good();
	line.tag_len = 17;
	assert_int_equal(check(&line, &aead), -EINVAL);
	line.tag_len = 65;
	assert_int_equal(check(&line, &mac), -EINVAL);
	line = good();
	line.length = 100;
	line.dst_len = 0;
	line.cipher_offset = 101;
	assert_int_equal(check(&line, &chain), -EINVAL);
	line.cipher_offset = 50;
	line.dst_len = 51;
	assert_int_equal(check(&line, &chain), -EINVAL);
	line.dst_len = UINT32_MAX - 10; /* the sum wraps */
	assert_int_equal(check(&line, &chain), -EINVAL);
	line.dst_len = 0;
	line.cipher_offset = 0;
	line.hash_offset = 50;
	line.hash_len = 51;
	assert_int_equal(check(&line, &chain), -EINVAL);
	line.hash_len = UINT32_MAX - 10; /* the sum wraps */
	assert_int_equal(check(&line, &chain), -EINVAL);
}

static void wrong_akcipher_requests_are_refused(void **state)
{
	struct vce_slot line = good();

	line.dst = buffers + 8192;
	line.akcipher_op = VCRYPTO_AKCIPHER_SIGN;
	assert_int_equal(check(&line, &rsa), 0);
	assert_int_equal(check(&line, &rsa_public), -EINVAL);
	line.akcipher_op = VCRYPTO_AKCIPHER_VERIFY;
	assert_int_equal(check(&line, &rsa_public), 0);
	line.tag_len = 0;
	assert_int_equal(check(&line, &rsa_public), -EINVAL);
	line.akcipher_op = VCRYPTO_AKCIPHER_DERIVE;
	assert_int_equal(check(&line, &rsa), -EINVAL);
	assert_int_equal(check(&line, &agree), 0);
	line.akcipher_op = VCRYPTO_AKCIPHER_GENERATE;
	assert_int_equal(check(&line, &agree), 0);
	line.akcipher_op = VCRYPTO_AKCIPHER_SIGN;
	assert_int_equal(check(&line, &agree), -EINVAL);
	line.akcipher_op = VCRYPTO_AKCIPHER_ENCRYPT;
	assert_int_equal(check(&line, &agree), -EINVAL);
	line.akcipher_op = VCRYPTO_AKCIPHER_GENERATE + 1;
	assert_int_equal(check(&line, &rsa), -EINVAL);
	assert_int_equal(check(&line, &agree), -EINVAL);
	line.akcipher_op = VCRYPTO_AKCIPHER_ENCRYPT;
	line.dst_len = 0;
	assert_int_equal(check(&line, &rsa), -EINVAL);
}

/* Whatever a slot holds, what passes names only the region's buffers. */
static void random_slots_stay_inside(void **state)
{
	const struct vcrypto_session_params *params[] = {&cipher, &chain, &aead,
	                                                 &mac,    &rsa,   &agree};
	const uint8_t *from = region.base + buffers, *to = region.base + end;
	struct vcrypto_op op;
	struct vce_slot line;
	unsigned int i, j, passed = 0;

	srand(1);
	for (i = 0; i < 500000; i++) {
		uint8_t *bytes = (uint8_t *)&line;

		for (j = 0; j < 64; j++)
			bytes[j] = (uint8_t)(rand() >> 8);
		/* Mostly near the edges, or nothing would pass. */
		if (i & 1)
			line.src = line.dst = buffers + (uint32_t)(rand() % 64) - 8;
		if (i & 2)
			line.dst = end - (uint32_t)(rand() % 4096);
		line.length %= 300000;
		line.iv_len &= 31;
		line.tag_len &= 31;
		line.tag = buffers + line.tag % (end - buffers + 100);
		line.aad = buffers + line.aad % (end - buffers + 100);
		line.aad_len &= 127;
		line.akcipher_op &= 7;
		line.dst_len &= 4095;
		if (channel_check_crypt(&region, &line, params[i % 6], &op))
			continue;
		passed++;
		assert_true((const uint8_t *)op.src >= from);
		assert_true((const uint8_t *)op.src + op.length <= to);
		if (op.dst) {
			uint32_t n = params[i % 6]->service == VCRYPTO_SERVICE_AKCIPHER ? op.dst_len
			                                                                : op.length;

			assert_true((uint8_t *)op.dst >= from && (uint8_t *)op.dst + n <= to);
		}
		if (op.tag)
			assert_true((uint8_t *)op.tag >= from &&
			            (uint8_t *)op.tag + op.tag_len <= to);
		if (op.aad)
			assert_true((const uint8_t *)op.aad >= from &&
			            (const uint8_t *)op.aad + op.aad_len <= to);
	}
	assert_true(passed > 1000);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(layouts_do_not_overlap),
		TEST(impossible_layouts_are_refused),
		TEST(regions_cannot_be_cut_short),
		TEST(header_tells_the_layout),
		TEST(entries_come_in_order),
		TEST(indices_wrap),
		TEST(a_tail_too_far_is_noticed),
		TEST(wrong_entries_are_noticed),
		TEST(slots_that_were_not_submitted_are_noticed),
		TEST(completion_keeps_the_generation),
		TEST(good_requests_pass),
		TEST(wrong_places_are_refused),
		TEST(overlaps_are_refused),
		TEST(wrong_numbers_are_refused),
		TEST(wrong_akcipher_requests_are_refused),
		TEST(random_slots_stay_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
