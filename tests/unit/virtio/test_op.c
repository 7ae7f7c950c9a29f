/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on the wire: layout of each kind of chain, and what is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "virtio/op.h"

static uint8_t data[4096] __attribute__((aligned(64)));
static struct op_slot slot;
static uint8_t status;
static struct virtq_desc table[OP_MIN_TABLE]; /* the one that was used is copied here */
static uint64_t serial;
static struct regions regions;
static struct op_context context;

static int setup(void **state)
{
	memset(&slot, 0, sizeof(slot));
	serial = 0;
	memset(&regions, 0, sizeof(regions));
	memset(&context, 0, sizeof(context));
	context.regions = &regions;
	context.max_size = 2048;
	return regions_add(&regions, data, sizeof(data));
}

static int describe_at(uint16_t base, const struct op_session *s, const struct vcrypto_op *op)
{
	struct virtq_desc long_table[OP_MIN_TABLE] = {0};
	struct op_place place = {.slot = &slot,
	                         .short_table = slot.table,
	                         .long_table = long_table,
	                         .base = base,
	                         .status = &status,
	                         .serial = &serial};
	int n = op_describe(&context, &place, s, op);

	if (n > 0)
		memcpy(table, n > OP_SHORT_TABLE ? long_table : slot.table,
		       (size_t)n * sizeof(table[0]));
	return n;
}

static int describe(const struct op_session *s, const struct vcrypto_op *op)
{
	return describe_at(0, s, op);
}

static void expect(unsigned int i, const void *address, uint32_t len, uint16_t flags)
{
	assert_ptr_equal(table[i].addr, address);
	assert_int_equal(table[i].len, len);
	assert_int_equal(table[i].flags, flags);
	assert_int_equal(table[i].next, flags & VIRTQ_DESC_F_NEXT ? i + 1 : 0);
}

#define OUT VIRTQ_DESC_F_NEXT
#define IN (VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE)
#define END VIRTQ_DESC_F_WRITE

static const struct op_session cbc = {.request = {.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                                                             .session_id = 77,
                                                             .flag = 1}},
                                      .serial = 1,
                                      .kind = OP_CIPHER,
                                      .block_mask = 15,
                                      .iv_min = 16,
                                      .iv_max = 16};

static void cipher_is_header_and_iv_source_destination_status(void **state)
{
	struct vcrypto_op op = {.src = data, .dst = data + 2048, .length = 64, .iv_len = 16};

	memset(op.iv, 0x5a, 16);
	assert_int_equal(describe(&cbc, &op), 4);
	expect(0, &slot.request, 72 + 16, OUT);
	expect(1, data, 64, OUT);
	expect(2, data + 2048, 64, IN);
	expect(3, &status, 1, END);
	assert_int_equal(slot.request.header.session_id, 77);
	assert_int_equal(slot.request.u.sym.u.cipher.iv_len, 16);
	assert_int_equal(slot.request.u.sym.u.cipher.src_len, 64);
	assert_int_equal(slot.request.u.sym.u.cipher.dst_len, 64);
	assert_memory_equal(slot.iv, op.iv, 16);
	/* The IV follows the request at once. */
	assert_ptr_equal(slot.iv, (uint8_t *)&slot.request + 72);
}

static void a_slot_used_again_is_right_again(void **state)
{
	struct vcrypto_op op = {.src = data, .dst = data + 2048, .length = 64, .iv_len = 16};
	struct op_session other = cbc;

	assert_int_equal(describe(&cbc, &op), 4);
	other.request.header.session_id = 78;
	other.serial = 2;
	op.src = data + 128;
	op.dst = data + 128;
	op.length = 32;
	assert_int_equal(describe(&other, &op), 4);
	expect(1, data + 128, 32, OUT);
	expect(2, data + 128, 32, IN);
	assert_int_equal(slot.request.header.session_id, 78);
	assert_int_equal(slot.request.u.sym.u.cipher.src_len, 32);
}

static void nothing_has_no_descriptor(void **state)
{
	struct vcrypto_op op = {.iv_len = 16};

	assert_int_equal(describe(&cbc, &op), 2);
	expect(0, &slot.request, 88, OUT);
	expect(1, &status, 1, END);
}

static void direct_chains_link_from_their_base(void **state)
{
	struct vcrypto_op op = {.src = data, .dst = data, .length = 16, .iv_len = 16};

	assert_int_equal(describe_at(40, &cbc, &op), 4);
	assert_int_equal(table[0].next, 41);
	assert_int_equal(table[2].next, 43);
	assert_int_equal(table[3].flags, VIRTQ_DESC_F_WRITE);
}

static void wrong_ciphers_are_refused(void **state)
{
	struct vcrypto_op good = {.src = data, .dst = data, .length = 64, .iv_len = 16}, op;

	op = good, op.length = 63;
	assert_int_equal(describe(&cbc, &op), -EINVAL);
	op = good, op.iv_len = 12;
	assert_int_equal(describe(&cbc, &op), -EINVAL);
	op = good, op.length = 2048 + 16;
	assert_int_equal(describe(&cbc, &op), -EINVAL);
	op = good, op.src = data + sizeof(data) - 63;
	assert_int_equal(describe(&cbc, &op), -EINVAL);
	op = good, op.dst = data + sizeof(data) - 63;
	assert_int_equal(describe(&cbc, &op), -EINVAL);
	op = good, op.dst = NULL;
	assert_int_equal(describe(&cbc, &op), -EINVAL);
	op = good, op.src = &op;
	assert_int_equal(describe(&cbc, &op), -EINVAL);
	assert_int_equal(describe(&cbc, &good), 4);
}

static const struct op_session gcm = {.request = {.header = {.opcode = VIRTIO_CRYPTO_AEAD_ENCRYPT}},
                                      .serial = 1,
                                      .kind = OP_AEAD,
                                      .iv_min = 1,
                                      .iv_max = 16,
                                      .tag_len = 16};

static void aead_tag_after_the_data_is_one_piece_with_it(void **state)
{
	struct op_session s = gcm;
	struct vcrypto_op op = {
		.src = data, .dst = data + 1024, .length = 100, .iv_len = 12, .tag = data + 1124};

	assert_int_equal(describe(&s, &op), 4);
	expect(0, &slot.request, 72 + 12, OUT);
	expect(1, data, 100, OUT);
	expect(2, data + 1024, 116, IN);
	assert_int_equal(slot.request.u.aead.src_len, 100);
	assert_int_equal(slot.request.u.aead.dst_len, 116);
	s.decrypt = true;
	op.tag = data + 100;
	assert_int_equal(describe(&s, &op), 4);
	expect(1, data, 116, OUT);
	expect(2, data + 1024, 100, IN);
	assert_int_equal(slot.request.u.aead.src_len, 116);
	assert_int_equal(slot.request.u.aead.dst_len, 100);
	assert_int_equal(slot.request.u.aead.tag_len, 16);
}

static void aead_tag_and_aad_elsewhere(void **state)
{
	struct op_session s = gcm;
	struct vcrypto_op op = {.src = data,
	                        .dst = data + 1024,
	                        .length = 100,
	                        .iv_len = 12,
	                        .tag = data + 3000,
	                        .aad = data + 2000,
	                        .aad_len = 13};

	assert_int_equal(describe(&s, &op), 6);
	expect(1, data, 100, OUT);
	expect(2, data + 2000, 13, OUT);
	expect(3, data + 1024, 100, IN);
	expect(4, data + 3000, 16, IN);
	expect(5, &status, 1, END);
	assert_int_equal(slot.request.u.aead.aad_len, 13);
	s.decrypt = true;
	assert_int_equal(describe(&s, &op), 6);
	expect(1, data, 100, OUT);
	expect(2, data + 3000, 16, OUT);
	expect(3, data + 2000, 13, OUT);
	expect(4, data + 1024, 100, IN);
	expect(5, &status, 1, END);
}

static void pieces_of_two_regions_are_not_joined(void **state)
{
	struct op_session s = gcm;
	struct vcrypto_op op = {
		.src = data, .dst = data, .length = 2048, .iv_len = 12, .tag = data + 2048};

	regions_remove(&regions, data);
	assert_int_equal(regions_add(&regions, data, 2048), 0);
	assert_int_equal(regions_add(&regions, data + 2048, 2048), 0);
	assert_int_equal(describe(&s, &op), 5);
	expect(2, data, 2048, IN);
	expect(3, data + 2048, 16, IN);
	op.length = 2047;
	op.src = data + 2;
	assert_int_equal(describe(&s, &op), -EINVAL);
}

static void wrong_aeads_are_refused(void **state)
{
	struct vcrypto_op good = {.src = data,
	                          .dst = data,
	                          .length = 64,
	                          .iv_len = 12,
	                          .tag = data + 64,
	                          .aad = data + 100,
	                          .aad_len = 5},
			  op;

	assert_int_equal(describe(&gcm, &good), 5);
	op = good, op.tag = NULL;
	assert_int_equal(describe(&gcm, &op), -EINVAL);
	op = good, op.tag = data + sizeof(data) - 15;
	assert_int_equal(describe(&gcm, &op), -EINVAL);
	op = good, op.aad_len = 5000;
	assert_int_equal(describe(&gcm, &op), -EINVAL);
	op = good, op.iv_len = 0;
	assert_int_equal(describe(&gcm, &op), -EINVAL);
	op = good, op.iv_len = 17;
	assert_int_equal(describe(&gcm, &op), -EINVAL);
}

static const struct op_session chain = {
	.serial = 1, .kind = OP_CHAIN, .block_mask = 15, .iv_min = 16, .iv_max = 16, .tag_len = 20};

static void chain_has_digest_after_destination(void **state)
{
	struct vcrypto_op op = {.src = data,
	                        .dst = data + 1024,
	                        .length = 100,
	                        .iv_len = 16,
	                        .cipher_offset = 16,
	                        .cipher_len = 64,
	                        .hash_offset = 3,
	                        .hash_len = 97,
	                        .tag = data + 2000};

	assert_int_equal(describe(&chain, &op), 5);
	expect(1, data, 100, OUT);
	expect(2, data + 1024, 100, IN);
	expect(3, data + 2000, 20, IN);
	expect(4, &status, 1, END);
	assert_int_equal(slot.request.u.sym.u.chain.cipher_start_src_offset, 16);
	assert_int_equal(slot.request.u.sym.u.chain.len_to_cipher, 64);
	assert_int_equal(slot.request.u.sym.u.chain.hash_start_src_offset, 3);
	assert_int_equal(slot.request.u.sym.u.chain.len_to_hash, 97);
	assert_int_equal(slot.request.u.sym.u.chain.hash_result_len, 20);
	op.hash_len = 98;
	assert_int_equal(describe(&chain, &op), -EINVAL);
	op.hash_len = 97, op.cipher_len = 63;
	assert_int_equal(describe(&chain, &op), -EINVAL);
	op.cipher_len = 96;
	assert_int_equal(describe(&chain, &op), -EINVAL);
	op.cipher_len = 64, op.hash_offset = UINT32_MAX;
	assert_int_equal(describe(&chain, &op), -EINVAL);
}

static void akcipher_opcode_follows_the_operation(void **state)
{
	struct op_session s = {.serial = 1, .kind = OP_AKCIPHER, .private_key = true};
	struct vcrypto_op op = {.src = data, .dst = data + 1024, .length = 256, .dst_len = 512};

	op.akcipher_op = VCRYPTO_AKCIPHER_SIGN;
	assert_int_equal(describe(&s, &op), 4);
	expect(0, &slot.request, 72, OUT);
	expect(1, data, 256, OUT);
	expect(2, data + 1024, 512, IN);
	assert_int_equal(slot.request.header.opcode, 0x402);
	assert_int_equal(slot.request.u.akcipher.src_len, 256);
	assert_int_equal(slot.request.u.akcipher.dst_len, 512);
	s.private_key = false;
	assert_int_equal(describe(&s, &op), -EINVAL);

	op.akcipher_op = VCRYPTO_AKCIPHER_VERIFY;
	assert_int_equal(describe(&s, &op), -EINVAL);
	op.tag = data + 2000;
	op.tag_len = 32;
	assert_int_equal(describe(&s, &op), 4);
	expect(1, data, 256, OUT);
	expect(2, data + 2000, 32, OUT);
	expect(3, &status, 1, END);
	assert_int_equal(slot.request.header.opcode, 0x403);
	assert_int_equal(slot.request.u.akcipher.dst_len, 32);
}

static void status_bytes_become_errors(void **state)
{
	struct op_session ak = {.serial = 1, .kind = OP_AKCIPHER};
	struct vcrypto_op op = {.akcipher_op = VCRYPTO_AKCIPHER_VERIFY};

	assert_int_equal(op_status(&cbc, &op, VIRTIO_CRYPTO_OK), 0);
	assert_int_equal(op_status(&cbc, &op, VIRTIO_CRYPTO_BADMSG), -EINVAL);
	assert_int_equal(op_status(&gcm, &op, VIRTIO_CRYPTO_BADMSG), -EBADMSG);
	assert_int_equal(op_status(&ak, &op, VIRTIO_CRYPTO_KEY_REJECTED), -EBADMSG);
	assert_int_equal(op_status(&cbc, &op, VIRTIO_CRYPTO_INVSESS), -ENOKEY);
	assert_int_equal(op_status(&cbc, &op, 0xff), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(cipher_is_header_and_iv_source_destination_status, setup),
		cmocka_unit_test_setup(a_slot_used_again_is_right_again, setup),
		cmocka_unit_test_setup(nothing_has_no_descriptor, setup),
		cmocka_unit_test_setup(direct_chains_link_from_their_base, setup),
		cmocka_unit_test_setup(wrong_ciphers_are_refused, setup),
		cmocka_unit_test_setup(aead_tag_after_the_data_is_one_piece_with_it, setup),
		cmocka_unit_test_setup(aead_tag_and_aad_elsewhere, setup),
		cmocka_unit_test_setup(pieces_of_two_regions_are_not_joined, setup),
		cmocka_unit_test_setup(wrong_aeads_are_refused, setup),
		cmocka_unit_test_setup(chain_has_digest_after_destination, setup),
		cmocka_unit_test_setup(akcipher_opcode_follows_the_operation, setup),
		cmocka_unit_test_setup(status_bytes_become_errors, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
