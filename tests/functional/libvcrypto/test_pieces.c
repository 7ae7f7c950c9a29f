/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on buffers in pieces, cut at random, through a live vcrypto-host: the results are
 * those of the same operation on buffers in one piece, and nothing else is written.
 */
#include <stdio.h>

#include "base/util.h"
#include "live.h"
#include "virtio/driver.h"
#include "wire/virtio_ring.h"

#define PIECES 40u
#define ROUNDS 60u
#define MAX_LENGTH 70000u
#define PAD 0x5a

static struct vcrypto_device *device;
static struct live live;
static uint64_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

/* Cut length bytes of a buffer into pieces with gaps in between; some are empty. */
static unsigned int cut(uint8_t *buffer, uint32_t length, struct iovec *piece, unsigned int most)
{
	uint8_t *at = buffer;
	unsigned int n = 0;

	while (length) {
		uint32_t part = n + 1 == most ? length : random_below(length / 2 + 2);

		part = vc_min(part, length);
		at += random_below(40);
		piece[n++] = (struct iovec){at, part};
		at += part;
		length -= part;
	}
	return n;
}

static void fill(const struct iovec *piece, unsigned int n, const uint8_t *from)
{
	for (unsigned int i = 0; i < n; i++) {
		memcpy(piece[i].iov_base, from, piece[i].iov_len);
		from += piece[i].iov_len;
	}
}

/* The pieces hold this, and all else of the buffer is as it was. */
static void check_pieces(const uint8_t *buffer, const struct iovec *piece, unsigned int n,
                         const uint8_t *wanted)
{
	const uint8_t *at = buffer;

	for (unsigned int i = 0; i < n; i++) {
		const uint8_t *start = piece[i].iov_base;

		for (; at < start; at++)
			assert_int_equal(*at, PAD);
		assert_memory_equal(start, wanted, piece[i].iov_len);
		wanted += piece[i].iov_len;
		at = start + piece[i].iov_len;
	}
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(at[i], PAD);
}

struct shape {
	const char *name;
	uint32_t block;
	uint8_t iv_len, tag_len;
	bool mac_key;
};

static void one_round(const struct shape *s, struct vcrypto_session *session, uint32_t length)
{
	static uint8_t plain[MAX_LENGTH], wanted[MAX_LENGTH], tag[64];
	struct iovec src[PIECES], dst[PIECES];
	struct vcrypto_pieces pieces = {.src = src, .dst = dst};
	bool digest = !strncmp(s->name, "hmac", 4);
	struct vcrypto_op op = {.session = session,
	                        .src = live.src,
	                        .dst = live.dst,
	                        .length = length,
	                        .iv_len = s->iv_len,
	                        .cipher_len = length,
	                        .hash_len = length,
	                        .tag = s->tag_len ? live.dst + LIVE_BUFFER - 64 : NULL};

	live_fill(plain, length, length);
	memcpy(live.src, plain, length);
	assert_int_equal(live_run(&live, &op), 0);
	memcpy(wanted, live.dst, length);
	if (s->tag_len)
		memcpy(tag, op.tag, s->tag_len);

	memset(live.src, PAD, LIVE_BUFFER);
	memset(live.dst, PAD, LIVE_BUFFER);
	pieces.src_count = cut(live.src, length, src, PIECES / 2);
	pieces.dst_count = digest ? 0 : cut(live.dst, length, dst, PIECES / 2);
	fill(src, pieces.src_count, plain);
	op.pieces = &pieces;
	op.src = NULL;
	op.dst = NULL;
	assert_int_equal(live_run(&live, &op), 0);
	check_pieces(live.src, src, pieces.src_count, plain);
	check_pieces(live.dst, dst, pieces.dst_count, wanted);
	if (s->tag_len)
		assert_memory_equal(op.tag, tag, s->tag_len);
}

static void results_are_those_of_one_piece(void **state)
{
	static const struct shape shapes[] = {
		{"aes-128-cbc", 16, 16, 0, false},
		{"aes-256-xts", 16, 16, 0, false},
		{"aes-192-ctr", 1, 16, 0, false},
		{"aes-256-gcm", 1, 12, 16, false},
		{"aes-128-cbc+hmac-sha256", 16, 16, 32, true},
		{"hmac-sha512", 1, 0, 64, true},
	};
	uint8_t key[64], auth_key[32];

	live_fill(key, sizeof(key), 1);
	live_fill(auth_key, sizeof(auth_key), 2);
	for (size_t i = 0; i < vc_array_size(shapes); i++) {
		struct vcrypto_session_params p;
		struct vcrypto_session *session;

		assert_int_equal(vcrypto_params_parse(shapes[i].name, &p), 0);
		p.key = p.key_len ? key : NULL;
		if (shapes[i].mac_key) {
			p.auth_key = auth_key;
			p.auth_key_len = sizeof(auth_key);
		}
		session = live_session(&live, &p);
		for (unsigned int k = 0; k < ROUNDS; k++) {
			uint32_t length = random_below(k % 4 ? 600 : MAX_LENGTH - 32);

			one_round(&shapes[i], session,
			          shapes[i].block * (length / shapes[i].block + 1));
		}
		vcrypto_session_destroy(session);
	}
}

/* A page of storage in 16 sectors, done where it lies. */
static void pieces_are_done_in_place(void **state)
{
	static uint8_t plain[8192];
	struct iovec sector[16];
	struct vcrypto_pieces pieces = {sector, sector, 16, 16};
	struct vcrypto_session_params p;
	struct vcrypto_session *session[2];
	uint8_t key[64];

	live_fill(key, sizeof(key), 3);
	live_fill(plain, sizeof(plain), 4);
	assert_int_equal(vcrypto_params_parse("aes-256-xts", &p), 0);
	p.key = key;
	session[0] = live_session(&live, &p);
	p.direction = VCRYPTO_DECRYPT;
	session[1] = live_session(&live, &p);
	for (unsigned int i = 0; i < 16; i++)
		sector[i] = (struct iovec){live.src + (size_t)(15 - i) * 1000, 512};
	fill(sector, 16, plain);
	struct vcrypto_op op = {
		.session = session[0], .pieces = &pieces, .length = 8192, .iv_len = 16};

	assert_int_equal(live_run(&live, &op), 0);
	assert_memory_not_equal(sector[3].iov_base, plain + 3 * 512, 512);
	op.session = session[1];
	assert_int_equal(live_run(&live, &op), 0);
	for (unsigned int i = 0; i < 16; i++)
		assert_memory_equal(sector[i].iov_base, plain + (size_t)i * 512, 512);
	vcrypto_session_destroy(session[0]);
	vcrypto_session_destroy(session[1]);
}

static void wrong_pieces_are_refused(void **state)
{
	static uint8_t elsewhere[64];
	struct vcrypto_session_params p;
	uint8_t key[16] = {0};
	struct iovec many[PIECES + 1] = {{NULL, 0}};
	struct iovec good[2] = {{live.src, 16}, {live.src + 100, 16}};
	struct iovec outside[2] = {{live.src, 16}, {elsewhere, 16}};
	struct vcrypto_pieces pieces = {good, good, 2, 2};

	assert_int_equal(vcrypto_params_parse("aes-128-cbc", &p), 0);
	p.key = key;
	struct vcrypto_op op = {
		.session = live_session(&live, &p), .pieces = &pieces, .length = 32, .iv_len = 16};

	assert_int_equal(live_run(&live, &op), 0);
	op.length = 48;
	assert_int_equal(live_run(&live, &op), -EINVAL);
	op.length = 16;
	assert_int_equal(live_run(&live, &op), -EINVAL);
	op.length = 32;
	pieces.dst_count = 1;
	assert_int_equal(live_run(&live, &op), -EINVAL);
	pieces.dst_count = 2;
	pieces.dst = outside;
	assert_int_equal(live_run(&live, &op), -EINVAL);
	pieces = (struct vcrypto_pieces){outside, good, 2, 2};
	assert_int_equal(live_run(&live, &op), -EINVAL);
	/* More than the device was opened for, though they are empty. */
	memcpy(many, good, sizeof(good));
	pieces = (struct vcrypto_pieces){many, good, PIECES - 1, 2};
	assert_int_equal(live_run(&live, &op), -EINVAL);
	pieces.src_count--;
	assert_int_equal(live_run(&live, &op), 0);
	vcrypto_session_destroy(op.session);

	/* ECDSA: not for AKCIPHER. */
	static const uint8_t number[] = {0x30, 0x25, 2, 1, 1, 4, 32, [38] = 1};

	assert_int_equal(vcrypto_params_parse("ecdsa-p256", &p), 0);
	p.key = number;
	p.key_len = sizeof(number);
	p.private_key = true;
	op = (struct vcrypto_op){.session = live_session(&live, &p),
	                         .src = live.src,
	                         .dst = live.dst,
	                         .length = 32,
	                         .dst_len = 100,
	                         .akcipher_op = VCRYPTO_AKCIPHER_SIGN};
	assert_int_equal(live_run(&live, &op), 0);
	pieces = (struct vcrypto_pieces){good, good, 2, 2};
	op.pieces = &pieces;
	assert_int_equal(live_run(&live, &op), -EINVAL);
	vcrypto_session_destroy(op.session);
}

static int setup(uint64_t without)
{
	struct vcrypto_device_options options = {
		.socket = live_socket(), .pieces = PIECES, .depth = 64};

	live_open_as(&live, &options, without);
	device = live.device;
	return 0;
}

static int setup_indirect(void **state)
{
	return setup(0);
}

static int setup_direct(void **state)
{
	return setup(1ull << VIRTIO_F_RING_INDIRECT_DESC);
}

static int teardown(void **state)
{
	vcrypto_device_close(device);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_are_those_of_one_piece),
		cmocka_unit_test(pieces_are_done_in_place),
		cmocka_unit_test(wrong_pieces_are_refused),
	};

	live_socket();
	return cmocka_run_group_tests_name("indirect", tests, setup_indirect, teardown) |
	       cmocka_run_group_tests_name("direct", tests, setup_direct, teardown);
}
