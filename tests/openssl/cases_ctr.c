/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CTR through EVP. See cases.h.
 */
#include "cases.h"

#include <string.h>

#include <openssl/rand.h>

#include "pair.h"

static const char *const names[] = {"AES-128-CTR", "AES-192-CTR", "AES-256-CTR"};

/* A counter that wraps within the message, over as many bytes as by chance. */
static void fill_iv(uint8_t iv[16])
{
	uint32_t wraps = test_random(17);

	test_fill(iv, 16);
	memset(iv + 16 - wraps, 0xff, wraps);
	if (wraps)
		iv[15] = (uint8_t)(0xff - test_random(200));
}

static bool one_message(const struct env *env, const char *name, size_t size, struct buffers *m)
{
	uint8_t key[32], iv[16];
	struct pair pair;
	int n = 0, last = 0, result = 0;

	test_fill(key, sizeof(key));
	fill_iv(iv);
	CHECK(pair_open(env, name, &pair, 1, key, iv));
	CHECK(pair_update(&pair, m->a, m->b, &n, m->in, size) && n == (int)size);
	CHECK(pair_final(&pair, m->a + n, m->b + n, &last, &result) && result == 1 && !last);
	CHECK(pair_same_ivs(&pair));
	pair_close(&pair);

	/* Back, in place for ours. */
	CHECK(pair_open(env, name, &pair, 0, key, iv));
	CHECK(EVP_CipherUpdate(pair.ours, m->a, &n, m->a, n) == 1);
	CHECK((size_t)n == size && !memcmp(m->a, m->in, size));
	pair_close(&pair);
	return true;
}

static bool sizes(const struct env *env)
{
	static const size_t list[] = {0,     1,     15,    16,    17,    31,    32,    2047,   2048,
	                              16384, 16385, 16895, 16896, 16897, 33792, 65537, 1 << 20};
	struct buffers m;

	CHECK(buffers_open(&m, env->large > 1 << 20 ? env->large : 1 << 20));
	for (size_t c = 0; c < 3; c++) {
		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
			CHECK(one_message(env, names[c], list[i], &m));
	}
	CHECK(one_message(env, names[2], env->large, &m));
	buffers_close(&m);
	return true;
}

static bool same_nums(const struct pair *pair)
{
	CHECK(EVP_CIPHER_CTX_get_num(pair->ours) == EVP_CIPHER_CTX_get_num(pair->theirs));
	return true;
}

/* What may come between two pieces. */
static bool interlude(struct pair *pair, int encrypt)
{
	uint8_t iv[16];
	int num;

	switch (test_random(12)) {
	case 0:
		return pair_copy(pair);
	case 1:
		return pair_same_ivs(pair) && same_nums(pair);
	case 2: /* without an IV the message goes on, with a new block */
		CHECK(EVP_CipherInit_ex2(pair->ours, NULL, NULL, NULL, encrypt, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(pair->theirs, NULL, NULL, NULL, encrypt, NULL) == 1);
		break;
	case 3:
		fill_iv(iv);
		CHECK(EVP_CipherInit_ex2(pair->ours, NULL, NULL, iv, encrypt, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(pair->theirs, NULL, NULL, iv, encrypt, NULL) == 1);
		break;
	case 4:
		num = (EVP_CIPHER_CTX_get_num(pair->theirs) + 5) % 16;
		/* Which OpenSSL 3.5.9 refuses. */
		CHECK(EVP_CIPHER_CTX_get_num(pair->theirs) == 0 ||
		      EVP_CIPHER_CTX_set_num(pair->ours, num) ==
		              EVP_CIPHER_CTX_set_num(pair->theirs, num));
		break;
	default:
		break;
	}
	return true;
}

/* A message in pieces of any size: the key stream of a block that was begun goes on. */
static bool pieces_once(const struct env *env, struct buffers *m, size_t size)
{
	int encrypt = (int)test_random(2), n = 0;
	uint32_t most = 1u << test_random(17);
	uint8_t key[32], iv[16];
	struct pair pair;
	size_t done = 0;

	if (size / most > 300)
		most = (uint32_t)size / 100;
	test_fill(key, sizeof(key));
	fill_iv(iv);
	CHECK(pair_open(env, names[test_random(3)], &pair, encrypt, key, iv));
	while (done < size) {
		size_t piece = test_random(most + 1);

		if (piece > size - done)
			piece = size - done;
		CHECK(pair_update(&pair, m->a + done, m->b + done, &n, m->in + done, piece));
		done += piece;
		CHECK(interlude(&pair, encrypt));
	}
	pair_close(&pair);
	return true;
}

static bool pieces(const struct env *env)
{
	struct buffers m;

	CHECK(buffers_open(&m, 100000));
	for (int i = 0; i < 200; i++)
		CHECK(pieces_once(env, &m, test_random(i % 4 ? 90000 : 5000)));
	buffers_close(&m);
	return true;
}

static bool same_ivs_and_nums(struct pair *pair)
{
	return pair_same_ivs(pair) && same_nums(pair);
}

static bool bare_cipher(const struct env *env)
{
	return pair_bare_cipher(env, names[1], 5, same_ivs_and_nums);
}

/* Key and IV in two calls, as random number generators have it. */
static bool key_apart(const struct env *env)
{
	uint8_t key[32], iv[16];
	struct buffers m;
	struct pair pair;
	int n;

	CHECK(buffers_open(&m, 20000));
	memset(m.in, 0, 20000);
	test_fill(key, sizeof(key));
	CHECK(pair_open(env, names[2], &pair, 1, NULL, NULL));
	for (int i = 0; i < 20; i++) {
		fill_iv(iv);
		CHECK(EVP_CipherInit_ex2(pair.ours, NULL, key, NULL, -1, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, key, NULL, -1, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(pair.ours, NULL, NULL, iv, -1, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, NULL, iv, -1, NULL) == 1);
		CHECK(pair_update(&pair, m.a, m.b, &n, m.in, 32 + test_random(19000)));
		CHECK(pair_same_ivs(&pair) && pair_copy(&pair));
		memcpy(key, m.a, sizeof(key));
	}
	pair_close(&pair);
	buffers_close(&m);
	return true;
}

static bool random_numbers(const struct env *env)
{
	uint8_t one[1 << 12], two[1 << 12];

	for (int i = 0; i < 30; i++) {
		CHECK(RAND_bytes_ex(env->libctx, one, sizeof(one), 0) == 1);
		CHECK(RAND_priv_bytes_ex(env->libctx, two, sizeof(two), 0) == 1);
		CHECK(memcmp(one, two, sizeof(one)) != 0);
	}
	return true;
}

const struct test_case ctr_cases[] = {
	{"ctr: sizes", sizes},
	{"ctr: pieces", pieces},
	{"ctr: bare cipher", bare_cipher},
	{"ctr: key apart from IV", key_apart},
	{"ctr: random numbers", random_numbers},
	{NULL, NULL},
};
