/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-XTS through EVP. See cases.h.
 */
#include "cases.h"

#include <string.h>

#include "pair.h"

/* As many blocks as a data unit may have. */
#define MAX_UNIT ((size_t)16 << 20)

static const char *const names[] = {"AES-128-XTS", "AES-256-XTS"};

/* One context, data units of all sizes: each begins with the same tweak until there is a new one.
 */
static bool sizes(const struct env *env)
{
	static const size_t list[] = {16,   17,   31,    32,    33,    512,   2048,  4095,   4096,
	                              4097, 8192, 16384, 16896, 16897, 65536, 65543, 1 << 20};
	uint8_t key[64], iv[16];
	struct buffers m;
	struct pair pair;
	int n = 0;

	CHECK(buffers_open(&m, 1 << 20));
	for (int i = 0; i < 4; i++) {
		test_fill(key, sizeof(key));
		test_fill(iv, sizeof(iv));
		CHECK(pair_open(env, names[i / 2], &pair, i % 2, key, iv));
		for (size_t s = 0; s < sizeof(list) / sizeof(list[0]); s++) {
			CHECK(pair_update(&pair, m.a, m.b, &n, m.in, list[s]));
			CHECK(n == (int)list[s] && pair_same_ivs(&pair));
			if (s % 3 == 0) {
				iv[s % 16]++;
				CHECK(EVP_CipherInit_ex2(pair.ours, NULL, NULL, iv, -1, NULL) == 1);
				CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, NULL, iv, -1, NULL) ==
				      1);
			}
			if (s % 5 == 0)
				CHECK(pair_copy(&pair));
		}
		pair_close(&pair);
	}
	buffers_close(&m);
	return true;
}

/* Sectors of a disk, in place, and back. */
static bool sectors(const struct env *env)
{
	uint8_t key[64], iv[16] = {0};
	EVP_CIPHER_CTX *back;
	struct buffers m;
	struct pair pair;
	int n;

	test_fill(key, sizeof(key));
	CHECK(buffers_open(&m, 1 << 16));
	CHECK(pair_open(env, names[1], &pair, 1, key, NULL));
	for (size_t at = 0; at < 1 << 16; at += 4096, iv[0]++) {
		memcpy(m.a + at, m.in + at, 4096);
		CHECK(EVP_CipherInit_ex2(pair.ours, NULL, NULL, iv, -1, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, NULL, iv, -1, NULL) == 1);
		CHECK(EVP_CipherUpdate(pair.ours, m.a + at, &n, m.a + at, 4096) == 1 && n == 4096);
		CHECK(EVP_CipherUpdate(pair.theirs, m.b + at, &n, m.in + at, 4096) == 1);
	}
	CHECK(!memcmp(m.a, m.b, 1 << 16));
	/* The same key the other way. */
	back = pair.ours;
	for (size_t at = 1 << 16; at > 0; at -= 4096) {
		iv[0]--;
		CHECK(EVP_CipherInit_ex2(back, NULL, key, iv, 0, NULL) == 1);
		CHECK(EVP_CipherUpdate(back, m.a + at - 4096, &n, m.a + at - 4096, 4096) == 1);
	}
	CHECK(!memcmp(m.a, m.in, 1 << 16));
	pair_close(&pair);
	buffers_close(&m);
	return true;
}

/* What is refused, and that it does no harm; the largest data unit that there is. */
static bool limits(const struct env *env)
{
	static const size_t list[] = {0, 1, 15, 16, MAX_UNIT, MAX_UNIT + 1, 4096};
	uint8_t key[64], iv[16];
	struct buffers m;
	struct pair pair;
	int n = 0, result = 0;

	CHECK(buffers_open(&m, MAX_UNIT + 1));
	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	CHECK(pair_open(env, names[0], &pair, 1, NULL, NULL));
	CHECK(pair_update(&pair, m.a, m.b, &n, m.in, 4096));
	CHECK(EVP_CipherInit_ex2(pair.ours, NULL, key, NULL, -1, NULL) == 1);
	CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, key, NULL, -1, NULL) == 1);
	CHECK(pair_update(&pair, m.a, m.b, &n, m.in, 4096));
	CHECK(EVP_CipherInit_ex2(pair.ours, NULL, NULL, iv, -1, NULL) == 1);
	CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, NULL, iv, -1, NULL) == 1);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		CHECK(pair_update(&pair, m.a, m.b, &n, m.in, list[i]));
	CHECK(pair_final(&pair, m.a, m.b, &n, &result) && result == 1);
	CHECK(EVP_Cipher(pair.ours, m.a, m.in, 15) == EVP_Cipher(pair.theirs, m.b, m.in, 15));
	CHECK(EVP_Cipher(pair.ours, m.a, m.in, 999) == EVP_Cipher(pair.theirs, m.b, m.in, 999));
	CHECK(!memcmp(m.a, m.b, 999));
	pair_close(&pair);
	buffers_close(&m);
	return true;
}

/* A key of two equal halves: refused for encryption, and as OpenSSL has it for decryption. */
static bool equal_halves(const struct env *env)
{
	uint8_t key[64], iv[16], in[4096], a[4096], b[4096];
	struct pair pair;
	int n;

	test_fill(key, 32);
	memcpy(key + 32, key, 32);
	test_fill(iv, sizeof(iv));
	test_fill(in, sizeof(in));
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		CHECK(pair_open(env, names[1], &pair, encrypt, NULL, NULL));
		CHECK(EVP_CipherInit_ex2(pair.ours, NULL, key, iv, -1, NULL) ==
		      EVP_CipherInit_ex2(pair.theirs, NULL, key, iv, -1, NULL));
		CHECK(pair_update(&pair, a, b, &n, in, sizeof(in)));
		/* And a good one after it. */
		key[0]++;
		CHECK(EVP_CipherInit_ex2(pair.ours, NULL, key, iv, -1, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, key, iv, -1, NULL) == 1);
		CHECK(pair_update(&pair, a, b, &n, in, sizeof(in)) && n == sizeof(in));
		key[0]--;
		pair_close(&pair);
	}
	return true;
}

/* Direction without a key: OpenSSL goes on with the key as it was made. */
static bool turned_round(const struct env *env)
{
	uint8_t key[64], iv[16], in[4096], a[4096], b[4096];
	struct pair pair;
	int n;

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	test_fill(in, sizeof(in));
	CHECK(pair_open(env, names[0], &pair, 1, key, iv));
	for (int i = 0; i < 4; i++) {
		CHECK(EVP_CipherInit_ex2(pair.ours, NULL, NULL, NULL, i % 2, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, NULL, NULL, i % 2, NULL) == 1);
		CHECK(pair_update(&pair, a, b, &n, in, sizeof(in)));
	}
	pair_close(&pair);
	return true;
}

const struct test_case xts_cases[] = {
	{"xts: sizes", sizes},
	{"xts: sectors", sectors},
	{"xts: limits", limits},
	{"xts: equal halves of a key", equal_halves},
	{"xts: direction without a key", turned_round},
	{NULL, NULL},
};
