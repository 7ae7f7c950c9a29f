/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CBC through EVP, and what all ciphers have in common. See cases.h.
 */
#include "cases.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

static const char *const names[] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"};

/* Two contexts that must behave alike. */
struct pair {
	EVP_CIPHER_CTX *ours, *theirs;
};

static bool pair_open(const struct env *env, const char *name, struct pair *pair, int encrypt,
                      const uint8_t *key, const uint8_t *iv)
{
	EVP_CIPHER *ours = EVP_CIPHER_fetch(env->libctx, name, OURS);
	EVP_CIPHER *theirs = EVP_CIPHER_fetch(env->libctx, name, THEIRS);

	CHECK(ours && theirs);
	pair->ours = EVP_CIPHER_CTX_new();
	pair->theirs = EVP_CIPHER_CTX_new();
	CHECK(EVP_CipherInit_ex2(pair->ours, ours, key, iv, encrypt, NULL) == 1);
	CHECK(EVP_CipherInit_ex2(pair->theirs, theirs, key, iv, encrypt, NULL) == 1);
	EVP_CIPHER_free(ours);
	EVP_CIPHER_free(theirs);
	return true;
}

static void pair_close(struct pair *pair)
{
	EVP_CIPHER_CTX_free(pair->ours);
	EVP_CIPHER_CTX_free(pair->theirs);
}

/* Give both the same piece; both must give the same back, at out and beyond our own buffers. */
static bool pair_update(struct pair *pair, uint8_t *a, uint8_t *b, int *n, const uint8_t *in,
                        size_t size)
{
	int na = -1, nb = -1;
	int ra = EVP_CipherUpdate(pair->ours, a, &na, in, (int)size);
	int rb = EVP_CipherUpdate(pair->theirs, b, &nb, in, (int)size);

	CHECK(ra == rb);
	CHECK(ra != 1 || (na == nb && !memcmp(a, b, (size_t)na)));
	*n = na;
	return true;
}

static bool pair_final(struct pair *pair, uint8_t *a, uint8_t *b, int *n, int *result)
{
	int na = -1, nb = -1;
	int ra = EVP_CipherFinal_ex(pair->ours, a, &na);
	int rb = EVP_CipherFinal_ex(pair->theirs, b, &nb);

	CHECK(ra == rb);
	CHECK(ra != 1 || (na == nb && !memcmp(a, b, (size_t)na)));
	*n = ra == 1 ? na : 0;
	*result = ra;
	return true;
}

static bool pair_same_ivs(struct pair *pair)
{
	uint8_t a[16] = {0}, b[16] = {1};

	CHECK(EVP_CIPHER_CTX_get_original_iv(pair->ours, a, sizeof(a)));
	CHECK(EVP_CIPHER_CTX_get_original_iv(pair->theirs, b, sizeof(b)));
	CHECK(!memcmp(a, b, sizeof(a)));
	CHECK(EVP_CIPHER_CTX_get_updated_iv(pair->ours, a, sizeof(a)));
	CHECK(EVP_CIPHER_CTX_get_updated_iv(pair->theirs, b, sizeof(b)));
	CHECK(!memcmp(a, b, sizeof(a)));
	return true;
}

struct buffers {
	uint8_t *in, *a, *b;
};

static bool buffers_open(struct buffers *m, size_t size)
{
	m->in = malloc(size + 64);
	m->a = malloc(size + 64);
	m->b = malloc(size + 64);
	CHECK(m->in && m->a && m->b);
	test_fill(m->in, size);
	return true;
}

static void buffers_close(struct buffers *m)
{
	free(m->in);
	free(m->a);
	free(m->b);
}

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
		if (test_random(8) == 0) {
			struct pair copy = {EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_new()};

			CHECK(EVP_CIPHER_CTX_copy(copy.ours, pair.ours));
			CHECK(EVP_CIPHER_CTX_copy(copy.theirs, pair.theirs));
			pair_close(&pair);
			pair = copy;
		}
		if (test_random(8) == 0)
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
	uint8_t key[32], iv[16], a[4096], b[4096], in[4096];
	struct pair pair;

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	test_fill(in, sizeof(in));
	CHECK(pair_open(env, names[1], &pair, 1, key, iv));
	for (unsigned int size = 16; size <= 4096; size *= 4) {
		CHECK(EVP_Cipher(pair.ours, a, in, size) == EVP_Cipher(pair.theirs, b, in, size));
		CHECK(!memcmp(a, b, size) && pair_same_ivs(&pair));
	}
	pair_close(&pair);
	return true;
}

static bool no_key(const struct env *env)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(env->libctx, names[0], OURS);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t iv[16] = {0}, out[64];
	int n;

	CHECK(EVP_EncryptInit_ex2(ctx, cipher, NULL, iv, NULL) == 1);
	CHECK(EVP_EncryptUpdate(ctx, out, &n, iv, 16) != 1);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
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
