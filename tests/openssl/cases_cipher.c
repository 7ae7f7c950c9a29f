/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CBC through EVP. See cases.h.
 */
#include "cases.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "pair.h"

static const char *const names[] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"};

static bool one_message(const struct env *env, const char *name, size_t size, struct buffers *m)
{
	uint8_t key[32], iv[16];
	struct pair pair;
	int n = 0, last = 0, result = 0;

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	CHECK(pair_open(env, name, &pair, 1, key, iv));
	CHECK(pair_update(&pair, m->a, m->b, &n, m->in, size));
	CHECK(pair_final(&pair, m->a + n, m->b + n, &last, &result) && result == 1);
	CHECK(n + last == (int)(size / 16 + 1) * 16);
	CHECK(pair_same_ivs(&pair));
	pair_close(&pair);

	/* Back, in place for ours. */
	CHECK(pair_open(env, name, &pair, 0, key, iv));
	CHECK(EVP_CipherUpdate(pair.ours, m->a, &n, m->a, n + last) == 1);
	CHECK(EVP_CipherFinal_ex(pair.ours, m->a + n, &last) == 1);
	CHECK((size_t)(n + last) == size && !memcmp(m->a, m->in, size));
	pair_close(&pair);
	return true;
}

static bool sizes(const struct env *env)
{
	static const size_t list[] = {0,    1,    15,   16,   17,    31,    32,    2047,
	                              2048, 2049, 4096, 8192, 16384, 16385, 65537, 1 << 20};
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

/* A message in pieces of any size, encrypted or decrypted, padded or not. */
static bool pieces_once(const struct env *env, struct buffers *m, size_t size)
{
	const char *name = names[test_random(3)];
	int encrypt = (int)test_random(2), pad = (int)test_random(4) != 0;
	uint32_t most = 1u << test_random(17);
	uint8_t key[32], iv[16];
	size_t done = 0, out = 0;
	struct pair pair;
	int n = 0, result;

	/* Large messages are not for tiny pieces. */
	if (size / most > 300)
		most = (uint32_t)size / 100;
	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	CHECK(pair_open(env, name, &pair, encrypt, key, iv));
	EVP_CIPHER_CTX_set_padding(pair.ours, pad);
	EVP_CIPHER_CTX_set_padding(pair.theirs, pad);
	while (done < size) {
		size_t piece = test_random(most + 1);

		if (piece > size - done)
			piece = size - done;
		CHECK(pair_update(&pair, m->a + out, m->b + out, &n, m->in + done, piece));
		done += piece;
		out += (size_t)n;
		if (test_random(8) == 0)
			CHECK(pair_copy(&pair));
		/* The older interface holds the last block back when it has been decrypted. */
		if (test_random(8) == 0 && (!env->engine || encrypt || !pad))
			CHECK(pair_same_ivs(&pair));
	}
	CHECK(pair_final(&pair, m->a + out, m->b + out, &n, &result));
	if (test_random(2) && result == 1) {
		/* Once more with the same IV and key. */
		CHECK(EVP_CipherInit_ex2(pair.ours, NULL, NULL, NULL, encrypt, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, NULL, NULL, encrypt, NULL) == 1);
		CHECK(pair_update(&pair, m->a, m->b, &n, m->in, size));
	}
	pair_close(&pair);
	return true;
}

static bool pieces(const struct env *env)
{
	struct buffers m;

	CHECK(buffers_open(&m, 100000));
	for (int i = 0; i < 150; i++)
		CHECK(pieces_once(env, &m, 16 * test_random(6000)));
	for (int i = 0; i < 50; i++)
		CHECK(pieces_once(env, &m, test_random(9000)));
	buffers_close(&m);
	return true;
}

/* A file is encrypted by piece in place, as some programs do. */
static bool in_place(const struct env *env)
{
	uint8_t key[32], iv[16];
	struct buffers m;
	struct pair pair;
	int n = 0, out = 0;

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	CHECK(buffers_open(&m, 1 << 18));
	CHECK(pair_open(env, names[0], &pair, 1, key, iv));
	CHECK(EVP_CipherUpdate(pair.theirs, m.a, &n, m.in, 1 << 18) == 1);
	CHECK(EVP_CipherUpdate(pair.ours, m.in, &n, m.in, 1 << 18) == 1);
	CHECK(!memcmp(m.in, m.a, 1 << 18));
	pair_close(&pair);
	/* Decryption writes a block behind where it reads. */
	CHECK(pair_open(env, names[0], &pair, 0, key, iv));
	for (int i = 0; i < 1 << 18; i += 1 << 14) {
		CHECK(EVP_CipherUpdate(pair.ours, m.in + out, &n, m.in + i, 1 << 14) == 1);
		out += n;
	}
	CHECK(EVP_CipherUpdate(pair.theirs, m.b, &n, m.a, 1 << 18) == 1);
	CHECK(out == n && !memcmp(m.in, m.b, (size_t)n));
	pair_close(&pair);
	buffers_close(&m);
	return true;
}

static bool bare_cipher(const struct env *env)
{
	return pair_bare_cipher(env, names[1], 16, pair_same_ivs);
}

static bool no_key(const struct env *env)
{
	uint8_t iv[16] = {0}, out[64];
	struct pair pair;
	int n;

	CHECK(pair_open(env, names[0], &pair, 1, NULL, iv));
	CHECK(EVP_EncryptUpdate(pair.ours, out, &n, iv, 16) != 1);
	pair_close(&pair);
	return true;
}

/* What libssl does for MAC-then-encrypt: the provider pads and unpads. */
static bool tls_records(const struct env *env)
{
	uint8_t key[16], iv[16], a[4096], b[4096];
	unsigned int version = 0x303;
	size_t mac = 20;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_TLS_VERSION, &version),
		OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_TLS_MAC_SIZE, &mac),
		OSSL_PARAM_construct_end(),
	};
	struct pair out, in;
	int na, nb;

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	CHECK(pair_open(env, names[0], &out, 1, key, iv) &&
	      pair_open(env, names[0], &in, 0, key, iv));
	CHECK(EVP_CIPHER_CTX_set_params(out.ours, params) &&
	      EVP_CIPHER_CTX_set_params(out.theirs, params) &&
	      EVP_CIPHER_CTX_set_params(in.ours, params) &&
	      EVP_CIPHER_CTX_set_params(in.theirs, params));
	for (int size = 100; size < 4000; size += 300) {
		test_fill(a, (size_t)size);
		memcpy(b, a, (size_t)size);
		CHECK(EVP_CipherUpdate(out.ours, a, &na, a, size) == 1);
		CHECK(EVP_CipherUpdate(out.theirs, b, &nb, b, size) == 1);
		CHECK(na == nb && na % 16 == 0 && !memcmp(a, b, (size_t)na));
		CHECK(EVP_CipherUpdate(in.ours, a, &na, a, na) == 1);
		CHECK(EVP_CipherUpdate(in.theirs, b, &nb, b, nb) == 1);
		CHECK(na == nb && !memcmp(a, b, (size_t)na));
	}
	pair_close(&out);
	pair_close(&in);
	return true;
}

const struct test_case cipher_cases[] = {
	{"cbc: sizes", sizes},
	{"cbc: pieces", pieces},
	{"cbc: in place", in_place},
	{"cbc: bare cipher", bare_cipher},
	{"cbc: no key", no_key},
	{"cbc: TLS records", tls_records},
	{NULL, NULL},
};
