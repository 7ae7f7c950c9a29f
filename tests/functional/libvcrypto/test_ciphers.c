/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known answers through libvcrypto and a live vcrypto-host: every symmetric algorithm of the
 * standard pool, both directions, in place and not, compared with libcrypto. Over each kind of
 * ring.
 */
#include <stdio.h>

#include "base/util.h"
#include "live.h"
#include "wire/virtio_ring.h"

static const uint32_t sizes[] = {0,    1,     15,    16,    17,    2047,    2048,
                                 2049, 16384, 16385, 65535, 65536, LIVE_MAX};

static uint8_t expected[LIVE_BUFFER], plain[LIVE_BUFFER];

static const struct live *live_of(void **state)
{
	return *state;
}

/* One cipher at one size: encrypt, compare, decrypt, compare; in place or not. */
static void cipher_round(const struct live *l, struct vcrypto_session *const session[2],
                         const char *name, const uint8_t *key, uint32_t size, bool in_place)
{
	struct vcrypto_op op = {
		.src = l->src, .dst = in_place ? l->src : l->dst, .length = size, .iv_len = 16};

	live_fill(plain, size, size + 1);
	live_fill(op.iv, 16, size + 2);
	for (int direction = 0; direction < 2; direction++) {
		const uint8_t *in = direction ? expected : plain,
			      *out = direction ? plain : expected;

		op.session = session[direction];
		if (!direction)
			assert_true(reference_crypt(name, true, key, op.iv, NULL, 0, plain, size,
			                            expected, NULL, 0));
		memset(l->dst, 0x33, size + 16u);
		memcpy(l->src, in, size);
		assert_int_equal(live_run(l, &op), 0);
		assert_memory_equal(op.dst, out, size);
		if (in_place)
			continue;
		/* Nothing before or behind it was touched. */
		assert_memory_equal(l->src, in, size);
		for (unsigned int i = 0; i < 16; i++)
			assert_int_equal(l->dst[size + i], 0x33);
	}
}

static void ciphers_match(const struct live *l, unsigned int algorithm, const char *mode,
                          uint32_t block)
{
	for (unsigned int bits = 128; bits <= 256; bits += 64) {
		struct vcrypto_session *session[2];
		uint8_t key[32];
		char name[32];

		snprintf(name, sizeof(name), "aes-%u-%s", bits, mode);
		live_fill(key, sizeof(key), bits);
		for (int i = 0; i < 2; i++)
			session[i] = live_session(
				l, &(struct vcrypto_session_params){
					   .algorithm = algorithm,
					   .direction = i ? VCRYPTO_DECRYPT : VCRYPTO_ENCRYPT,
					   .key = key,
					   .key_len = bits / 8});
		for (size_t i = 0; i < vc_array_size(sizes); i++) {
			struct vcrypto_op op = {.session = session[0],
			                        .src = l->src,
			                        .dst = l->dst,
			                        .length = sizes[i],
			                        .iv_len = 16};

			if (!sizes[i])
				continue;
			if (sizes[i] % block) {
				assert_int_equal(live_run(l, &op), -EINVAL);
				continue;
			}
			cipher_round(l, session, name, key, sizes[i], false);
			cipher_round(l, session, name, key, sizes[i], true);
		}
		vcrypto_session_destroy(session[0]);
		vcrypto_session_destroy(session[1]);
	}
}

static void aes_cbc_matches_libcrypto(void **state)
{
	ciphers_match(live_of(state), VCRYPTO_CIPHER_AES_CBC, "cbc", 16);
}

static void aes_ctr_matches_libcrypto(void **state)
{
	ciphers_match(live_of(state), VCRYPTO_CIPHER_AES_CTR, "ctr", 1);
}

struct gcm {
	const struct live *live;
	struct vcrypto_session *session[2];
	const char *name;
	uint8_t key[32];
};

/* tag_apart: the tag is not right behind the data. */
static void gcm_round(const struct gcm *g, uint32_t size, uint32_t aad_len, bool in_place,
                      bool tag_apart)
{
	const struct live *l = g->live;
	uint8_t *aad = l->src + LIVE_BUFFER - 64, *out = in_place ? l->src : l->dst;
	uint8_t *apart = l->dst + LIVE_BUFFER - 64, tag[16];
	struct vcrypto_op op = {.session = g->session[0],
	                        .src = l->src,
	                        .dst = out,
	                        .length = size,
	                        .iv_len = 12,
	                        .aad = aad,
	                        .aad_len = aad_len,
	                        .tag = tag_apart ? apart : out + size};

	live_fill(plain, size, size + 3);
	live_fill(aad, 64, size + aad_len);
	live_fill(op.iv, 12, size + 4);
	assert_true(reference_crypt(g->name, true, g->key, op.iv, aad, aad_len, plain, size,
	                            expected, tag, 16));
	memcpy(l->src, plain, size);
	assert_int_equal(live_run(g->live, &op), 0);
	assert_memory_equal(out, expected, size);
	assert_memory_equal(op.tag, tag, 16);

	op.session = g->session[1];
	op.tag = tag_apart ? apart : l->src + size;
	memcpy(l->src, expected, size);
	memcpy(op.tag, tag, 16);
	assert_int_equal(live_run(g->live, &op), 0);
	assert_memory_equal(out, plain, size);

	/* Each of these must be found out: tag, data, additional data. */
	for (int wrong = 0; wrong < 3; wrong++) {
		if ((wrong == 1 && !size) || (wrong == 2 && !aad_len))
			continue;
		memcpy(l->src, expected, size);
		memcpy(op.tag, tag, 16);
		if (wrong == 0)
			((uint8_t *)op.tag)[15] ^= 1;
		else if (wrong == 1)
			l->src[size / 2] ^= 0x80;
		else
			aad[0] ^= 1;
		assert_int_equal(live_run(g->live, &op), -EBADMSG);
		if (wrong == 2)
			aad[0] ^= 1;
	}
}

static void aes_gcm_matches_libcrypto(void **state)
{
	for (unsigned int bits = 128; bits <= 256; bits += 64) {
		struct gcm g = {.live = live_of(state)};
		char name[32];

		snprintf(name, sizeof(name), "id-aes%u-GCM", bits);
		g.name = name;
		live_fill(g.key, sizeof(g.key), bits + 1);
		for (int i = 0; i < 2; i++)
			g.session[i] = live_session(
				g.live, &(struct vcrypto_session_params){
						.service = VCRYPTO_SERVICE_AEAD,
						.algorithm = VCRYPTO_AEAD_GCM,
						.direction = i ? VCRYPTO_DECRYPT : VCRYPTO_ENCRYPT,
						.key = g.key,
						.key_len = bits / 8});
		for (size_t i = 0; i < vc_array_size(sizes); i++)
			for (unsigned int variant = 0; variant < 4; variant++)
				gcm_round(&g, sizes[i],
				          i % 3   ? 13
				          : i % 2 ? 20
				                  : 0,
				          variant & 1, variant & 2);
		vcrypto_session_destroy(g.session[0]);
		vcrypto_session_destroy(g.session[1]);
	}
}

struct chain {
	const struct live *live;
	struct vcrypto_session *session[2];
	char cipher[16];
	const char *md;
	size_t md_len;
	enum vcrypto_chain order; /* of encryption */
	uint8_t key[32], auth_key[64];
};

/* The whole of it encrypted and authenticated. */
static void chain_round(const struct chain *c, uint32_t size, bool in_place)
{
	const struct live *l = c->live;
	uint8_t tag[64];
	struct vcrypto_op op = {.src = l->src,
	                        .dst = in_place ? l->src : l->dst,
	                        .length = size,
	                        .iv_len = 16,
	                        .cipher_len = size,
	                        .hash_len = size,
	                        .tag = l->dst + LIVE_BUFFER - 64};

	live_fill(plain, size, size + 5);
	live_fill(op.iv, 16, size + 6);
	assert_true(reference_crypt(c->cipher, true, c->key, op.iv, NULL, 0, plain, size, expected,
	                            NULL, 0));
	reference_hmac(c->md, c->auth_key, c->md_len,
	               c->order == VCRYPTO_CHAIN_CIPHER_THEN_HASH ? expected : plain, size, tag);
	for (int direction = 0; direction < 2; direction++) {
		op.session = c->session[direction];
		memcpy(l->src, direction ? expected : plain, size);
		memset(op.tag, 0, 64);
		assert_int_equal(live_run(l, &op), 0);
		assert_memory_equal(op.dst, direction ? plain : expected, size);
		assert_memory_equal(op.tag, tag, c->md_len);
		assert_int_equal(((uint8_t *)op.tag)[c->md_len], 0);
	}
}

/* A record: a header that is authenticated only, then data that is both. */
static void chain_record(const struct chain *c)
{
	const struct live *l = c->live;
	uint8_t tag[64];
	struct vcrypto_op op = {.session = c->session[0],
	                        .src = l->src,
	                        .dst = l->dst,
	                        .length = 16 + 256,
	                        .iv_len = 16,
	                        .cipher_offset = 16,
	                        .cipher_len = 256,
	                        .hash_len = 16 + 256,
	                        .tag = l->dst + LIVE_BUFFER - 64};

	live_fill(plain, op.length, 7);
	live_fill(op.iv, 16, 8);
	memcpy(l->src, plain, op.length);
	memcpy(expected, plain, 16);
	assert_true(reference_crypt(c->cipher, true, c->key, op.iv, NULL, 0, plain + 16, 256,
	                            expected + 16, NULL, 0));
	reference_hmac(c->md, c->auth_key, c->md_len,
	               c->order == VCRYPTO_CHAIN_CIPHER_THEN_HASH ? expected : plain, op.length,
	               tag);
	assert_int_equal(live_run(l, &op), 0);
	assert_memory_equal(l->dst + 16, expected + 16, 256);
	assert_memory_equal(op.tag, tag, c->md_len);
}

static void chain_test(const struct live *l, unsigned int bits, unsigned int mac,
                       enum vcrypto_chain order)
{
	bool sha1 = mac == VCRYPTO_MAC_HMAC_SHA1;
	struct chain c = {.live = l,
	                  .md = sha1 ? "SHA1" : "SHA256",
	                  .md_len = sha1 ? 20 : 32,
	                  .order = order};

	snprintf(c.cipher, sizeof(c.cipher), "aes-%u-cbc", bits);
	live_fill(c.key, sizeof(c.key), bits + 2);
	live_fill(c.auth_key, sizeof(c.auth_key), bits + 3);
	for (int i = 0; i < 2; i++)
		c.session[i] = live_session(
			l, &(struct vcrypto_session_params){
				   .algorithm = VCRYPTO_CIPHER_AES_CBC,
				   .direction = i ? VCRYPTO_DECRYPT : VCRYPTO_ENCRYPT,
				   .key = c.key,
				   .key_len = bits / 8,
				   /* Decryption goes the other way round. */
				   .chain = i ? (enum vcrypto_chain)(3 - (int)order) : order,
				   .mac = mac,
				   .auth_key = c.auth_key,
				   .auth_key_len = c.md_len});
	for (size_t i = 0; i < vc_array_size(sizes); i++) {
		if (!sizes[i] || sizes[i] % 16)
			continue;
		chain_round(&c, sizes[i], false);
		chain_round(&c, sizes[i], true);
	}
	chain_record(&c);
	vcrypto_session_destroy(c.session[0]);
	vcrypto_session_destroy(c.session[1]);
}

static void aes_cbc_with_hmac_matches_libcrypto_in_both_orders(void **state)
{
	static const unsigned int macs[] = {VCRYPTO_MAC_HMAC_SHA1, VCRYPTO_MAC_HMAC_SHA256};

	for (unsigned int bits = 128; bits <= 256; bits += 128)
		for (size_t i = 0; i < 2; i++) {
			chain_test(live_of(state), bits, macs[i], VCRYPTO_CHAIN_CIPHER_THEN_HASH);
			chain_test(live_of(state), bits, macs[i], VCRYPTO_CHAIN_HASH_THEN_CIPHER);
		}
}

/* 500 operations of 61 sizes at once: each comes back once, and right. */
static void bursts_match_libcrypto(void **state)
{
	enum { OPS = 500 };
	const struct live *l = live_of(state);
	static struct vcrypto_op ops[OPS];
	struct vcrypto_op *list[OPS], *done[OPS];
	unsigned int sent = 0, back = 0;
	uint8_t key[16];

	live_fill(key, sizeof(key), 9);
	live_fill(l->src, LIVE_MAX, 10);
	struct vcrypto_session *session = live_session(
		l, &(struct vcrypto_session_params){.algorithm = VCRYPTO_CIPHER_AES_CBC,
	                                            .direction = VCRYPTO_ENCRYPT,
	                                            .key = key,
	                                            .key_len = 16});

	for (unsigned int i = 0; i < OPS; i++) {
		ops[i] = (struct vcrypto_op){.session = session,
		                             .src = l->src + i * 1024,
		                             .dst = l->dst + i * 1024,
		                             .length = 16 + 16 * (i % 61),
		                             .iv_len = 16};
		live_fill(ops[i].iv, 16, i);
		list[i] = &ops[i];
	}
	while (back < OPS) {
		int n = vcrypto_queue_submit(l->queue, list + sent, vc_min(OPS - sent, 37u));

		assert_true(n >= 0);
		sent += (unsigned int)n;
		n = vcrypto_queue_poll(l->queue, done + back, OPS - back);
		assert_true(n >= 0);
		back += (unsigned int)n;
	}
	for (unsigned int i = 0; i < OPS; i++) {
		assert_int_equal(done[i]->status, 0);
		assert_true(reference_crypt("aes-128-cbc", true, key, done[i]->iv, NULL, 0,
		                            done[i]->src, done[i]->length, expected, NULL, 0));
		assert_memory_equal(done[i]->dst, expected, done[i]->length);
		/* Once only. */
		assert_null(done[i]->user);
		done[i]->user = session;
	}
	vcrypto_session_destroy(session);
}

static struct live live;

static int setup_all(void **state)
{
	live_open(&live, 0, 1);
	*state = &live;
	return 0;
}

static int setup_direct(void **state)
{
	live_open(&live, 1ull << VIRTIO_F_RING_INDIRECT_DESC, 1);
	*state = &live;
	return 0;
}

static int setup_no_event_idx(void **state)
{
	live_open(&live, 1ull << VIRTIO_F_RING_EVENT_IDX, 1);
	*state = &live;
	return 0;
}

static int teardown(void **state)
{
	live_close(&live);
	return 0;
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(aes_cbc_matches_libcrypto),
		cmocka_unit_test(aes_ctr_matches_libcrypto),
		cmocka_unit_test(aes_gcm_matches_libcrypto),
		cmocka_unit_test(aes_cbc_with_hmac_matches_libcrypto_in_both_orders),
		cmocka_unit_test(bursts_match_libcrypto),
	};
	const struct CMUnitTest some[] = {
		cmocka_unit_test(aes_gcm_matches_libcrypto),
		cmocka_unit_test(bursts_match_libcrypto),
	};

	/* Sessions by message: what QEMU's has a place for. */
	const struct CMUnitTest by_message[] = {
		cmocka_unit_test(aes_cbc_matches_libcrypto),
		cmocka_unit_test(aes_cbc_with_hmac_matches_libcrypto_in_both_orders),
		cmocka_unit_test(bursts_match_libcrypto),
	};

	live_socket();
	if (live_sessions() >= VCRYPTO_SESSIONS_MESSAGE_70 &&
	    live_sessions() <= VCRYPTO_SESSIONS_MESSAGE_81)
		return cmocka_run_group_tests_name("by message", by_message, setup_all, teardown);
	return cmocka_run_group_tests_name("indirect, event_idx", all, setup_all, teardown) |
	       cmocka_run_group_tests_name("direct, event_idx", some, setup_direct, teardown) |
	       cmocka_run_group_tests_name("indirect, flags", some, setup_no_event_idx, teardown);
}
