/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CCM and ChaCha20-Poly1305 as libssl uses them for records. See cases.h.
 */
#include "cases.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "pair.h"

#define MAX_RECORD 8192

/* What a suite asks of its cipher. */
struct suite {
	const char *name;
	int key_len, tag_len, fixed_len, lead;
};

static const struct suite suites[] = {
	{"AES-128-CCM", 16, 16, 4, 8},
	{"AES-128-CCM", 16, 8, 4, 8},
	{"AES-256-CCM", 32, 16, 4, 8},
	{"ChaCha20-Poly1305", 32, 16, 12, 0},
};

/* As libssl sets a connection's direction up: [0] ours, [1] theirs. */
static bool open_side(const struct env *env, const struct suite *s, EVP_CIPHER_CTX *side[2],
                      int encrypt, const uint8_t *key, uint8_t *fixed)
{
	unsigned int version = 0x303;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_TLS_VERSION, &version),
		OSSL_PARAM_construct_end(),
	};

	for (int i = 0; i < 2; i++) {
		EVP_CIPHER *cipher = EVP_CIPHER_fetch(env->libctx, s->name, i ? THEIRS : OURS);
		EVP_CIPHER_CTX *c = side[i] = EVP_CIPHER_CTX_new();

		CHECK(EVP_CipherInit_ex2(c, cipher, NULL, NULL, encrypt, NULL) == 1);
		if (s->lead) {
			CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) == 1);
			CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, s->tag_len, NULL) == 1);
		}
		CHECK(EVP_CipherInit_ex2(c, NULL, key, NULL, -1, NULL) == 1);
		CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IV_FIXED, s->fixed_len, fixed) == 1);
		CHECK(EVP_CIPHER_CTX_set_params(c, params));
		EVP_CIPHER_free(cipher);
	}
	return true;
}

static bool announce(EVP_CIPHER_CTX *c, const struct suite *s, uint64_t sequence, int size)
{
	uint8_t aad[13];

	for (int i = 0; i < 8; i++)
		aad[i] = (uint8_t)(sequence >> (56 - 8 * i));
	memcpy(aad + 8, "\x17\x03\x03", 3);
	aad[11] = (uint8_t)(size >> 8);
	aad[12] = (uint8_t)size;
	CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_TLS1_AAD, sizeof(aad), aad) == s->tag_len);
	return true;
}

/* Written by either, read by either, some of them forged; in b is what theirs makes of it. */
static bool one_record(const struct suite *s, EVP_CIPHER_CTX *writer[2], EVP_CIPHER_CTX *reader[2],
                       int i, uint8_t *a, uint8_t *b)
{
	EVP_CIPHER_CTX *r = reader[i % 2];
	int size = (int)test_random(MAX_RECORD), around = s->lead + s->tag_len;
	int forged = i % 7 == 6, na = -1, nb = -1, result;

	test_fill(a, (size_t)size + (size_t)around);
	memcpy(b, a, (size_t)size + (size_t)around);
	CHECK(announce(writer[0], s, (uint64_t)i, size + s->lead));
	CHECK(announce(writer[1], s, (uint64_t)i, size + s->lead));
	/* libssl says where the IV comes from before it is there. */
	for (int k = 0; s->lead && k < 8; k++)
		a[k] = b[k] = (uint8_t)((uint64_t)i >> (56 - 8 * k));
	CHECK(EVP_CipherUpdate(writer[0], a, &na, a, size + around) == 1);
	CHECK(EVP_CipherUpdate(writer[1], b, &nb, b, size + around) == 1);
	CHECK(na == nb && na == size + around && !memcmp(a, b, (size_t)na));
	if (forged)
		a[s->lead + (int)test_random((uint32_t)(size + s->tag_len))] ^= 1;
	CHECK(announce(r, s, (uint64_t)i, size + around));
	result = EVP_CipherUpdate(r, a, &na, a, size + around);
	CHECK((result == 1) == !forged && (forged || na == size));
	CHECK(announce(reader[1], s, (uint64_t)i, size + around));
	CHECK(EVP_CipherUpdate(reader[1], b, &nb, b, size + around) == 1 && nb == size);
	CHECK(forged || !memcmp(a + s->lead, b + s->lead, (size_t)size));
	return true;
}

static bool same_last_iv(EVP_CIPHER_CTX *side[2])
{
	struct pair pair = {side[0], side[1]};

	return pair_same_ivs(&pair);
}

static bool tls12(const struct env *env, const struct suite *s)
{
	uint8_t key[32], fixed[12];
	EVP_CIPHER_CTX *writer[2], *reader[2];
	struct buffers m;

	test_fill(key, sizeof(key));
	test_fill(fixed, sizeof(fixed));
	CHECK(buffers_open(&m, MAX_RECORD));
	CHECK(open_side(env, s, writer, 1, key, fixed));
	CHECK(open_side(env, s, reader, 0, key, fixed));
	for (int i = 0; i < 30; i++) {
		CHECK(one_record(s, writer, reader, i, m.a, m.b));
		CHECK(!s->lead || i % 5 || same_last_iv(writer));
	}
	for (int i = 0; i < 2; i++) {
		EVP_CIPHER_CTX_free(writer[i]);
		EVP_CIPHER_CTX_free(reader[i]);
	}
	buffers_close(&m);
	return true;
}

static bool tls12_records(const struct env *env)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		CHECK(tls12(env, &suites[i]));
	return true;
}

/* Records that are none, and what goes on behind records. */
static bool odd_records(const struct env *env)
{
	uint8_t key[32], fixed[12];
	struct pair pair;
	struct buffers m;
	int n = 0, result;

	test_fill(key, sizeof(key));
	test_fill(fixed, sizeof(fixed));
	CHECK(buffers_open(&m, MAX_RECORD));
	for (int k = 0; k < 40; k++) {
		const struct suite *s = &suites[k % 4];
		int encrypt = k / 4 % 2;
		EVP_CIPHER_CTX *side[2];

		CHECK(open_side(env, s, side, encrypt, key, fixed));
		pair = (struct pair){side[0], side[1]};
		for (int i = 0; i < 12; i++) {
			int size = 30 + (int)test_random(2000);
			int said = size - (encrypt ? s->tag_len : 0) + (test_random(5) == 0);

			if (test_random(3))
				CHECK(announce(side[0], s, (uint64_t)i, said) &&
				      announce(side[1], s, (uint64_t)i, said));
			memcpy(m.a, m.in, (size_t)size);
			memcpy(m.b, m.in, (size_t)size);
			CHECK(EVP_CipherUpdate(side[0], m.a, &n, m.a, size) ==
			      EVP_CipherUpdate(side[1], m.b, &n, m.b, size));
			CHECK(!memcmp(m.a + s->lead, m.b + s->lead,
			              encrypt ? (size_t)(size - s->lead) : 0));
			if (test_random(4) == 0)
				CHECK(pair_final(&pair, m.a, m.b, &n, &result));
			if (test_random(4) == 0)
				CHECK(pair_update(&pair, NULL, NULL, &n, m.in, 13));
			if (test_random(4) == 0)
				CHECK(pair_update(&pair, m.a, m.b, &n, m.in, 500));
			if (test_random(4) == 0)
				CHECK(pair_copy(&pair));
			side[0] = pair.ours;
			side[1] = pair.theirs;
		}
		pair_close(&pair);
	}
	buffers_close(&m);
	return true;
}

const struct test_case aead_tls_cases[] = {
	{"ccm, chacha20-poly1305: TLS 1.2 records", tls12_records},
	{"ccm, chacha20-poly1305: odd records", odd_records},
	{NULL, NULL},
};
