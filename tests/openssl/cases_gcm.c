/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM through EVP, as programs and as libssl use it. See cases.h.
 */
#include "cases.h"
#include "pair.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#define MAX_SIZE 70000
#define TAG 16

static const char *const names[] = {"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"};

/* Feed size bytes in pieces of at most this many (0: all at once); out NULL for additional data. */
static bool feed(EVP_CIPHER_CTX **ctx, uint8_t *out, const uint8_t *in, size_t size, uint32_t most)
{
	size_t done = 0;
	int n;

	while (done < size) {
		size_t piece = most ? 1 + test_random(most) : size;

		if (piece > size - done)
			piece = size - done;
		CHECK(EVP_CipherUpdate(*ctx, out ? out + done : NULL, &n, in + done, (int)piece) ==
		      1);
		CHECK(n == (int)piece);
		done += piece;
		if (most && test_random(6) == 0) {
			EVP_CIPHER_CTX *copy = EVP_CIPHER_CTX_new();

			CHECK(EVP_CIPHER_CTX_copy(copy, *ctx));
			EVP_CIPHER_CTX_free(*ctx);
			*ctx = copy;
		}
	}
	return true;
}

struct message {
	const char *name;
	uint8_t key[32], iv[16], aad[600], tag[TAG];
	size_t aad_size, size;
	uint32_t aad_most, most;
	uint8_t *plain, *cipher, *again;
};

static bool encrypt(const struct env *env, struct message *m, const char *whose, uint8_t *out,
                    uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = open_cipher_ctx(env, m->name, whose, 1, m->key, m->iv);
	int n = -1;

	CHECK(ctx);
	CHECK(feed(&ctx, NULL, m->aad, m->aad_size, m->aad_most));
	CHECK(feed(&ctx, out, m->plain, m->size, m->most));
	CHECK(EVP_CipherFinal_ex(ctx, out, &n) == 1 && n == 0);
	CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1);
	/* An IV must not be used twice. */
	CHECK(EVP_CipherUpdate(ctx, out, &n, m->plain, 16) != 1);
	EVP_CIPHER_CTX_free(ctx);
	return true;
}

/* tag_first: as TLS does; else the tag is given after the data. good: what must come out. */
static bool decrypt(const struct env *env, struct message *m, bool tag_first, bool good)
{
	EVP_CIPHER_CTX *ctx = open_cipher_ctx(env, m->name, OURS, 0, m->key, m->iv);
	int n = -1;

	CHECK(ctx);
	if (tag_first)
		CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, m->tag) == 1);
	CHECK(feed(&ctx, NULL, m->aad, m->aad_size, m->aad_most));
	CHECK(feed(&ctx, m->again, m->cipher, m->size, m->most));
	if (!tag_first)
		CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, m->tag) == 1);
	CHECK((EVP_CipherFinal_ex(ctx, m->again, &n) == 1) == good);
	CHECK(!good || !memcmp(m->plain, m->again, m->size));
	EVP_CIPHER_CTX_free(ctx);
	return true;
}

static bool message_open(struct message *m)
{
	memset(m, 0, sizeof(*m));
	m->plain = malloc(MAX_SIZE);
	m->cipher = malloc(MAX_SIZE);
	m->again = malloc(MAX_SIZE);
	CHECK(m->plain && m->cipher && m->again);
	test_fill(m->plain, MAX_SIZE);
	return true;
}

static void message_close(struct message *m)
{
	free(m->plain);
	free(m->cipher);
	free(m->again);
}

static bool both_ways(const struct env *env, struct message *m)
{
	uint8_t tag[TAG];

	test_fill(m->key, sizeof(m->key));
	test_fill(m->iv, sizeof(m->iv));
	test_fill(m->aad, sizeof(m->aad));
	CHECK(encrypt(env, m, OURS, m->cipher, m->tag));
	CHECK(encrypt(env, m, THEIRS, m->again, tag));
	CHECK(!memcmp(m->cipher, m->again, m->size) && !memcmp(tag, m->tag, TAG));
	CHECK(decrypt(env, m, true, true));
	CHECK(decrypt(env, m, false, true));
	m->tag[test_random(TAG)] ^= 1;
	CHECK(decrypt(env, m, true, false));
	CHECK(decrypt(env, m, false, false));
	return true;
}

static bool sizes(const struct env *env)
{
	static const size_t list[] = {0,    1,    15,   16,    17,    31,    32,    2047, 2048,
	                              2049, 4096, 8192, 16384, 16385, 16640, 16641, 65536};
	struct message m;

	CHECK(message_open(&m));
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		m.name = names[i % 3];
		m.size = list[i];
		m.aad_size = i % 4 ? 13 : 0;
		CHECK(both_ways(env, &m));
	}
	message_close(&m);
	return true;
}

static bool pieces(const struct env *env)
{
	struct message m;

	CHECK(message_open(&m));
	for (int i = 0; i < 100; i++) {
		m.name = names[i % 3];
		m.size = test_random(i % 10 ? 9000 : MAX_SIZE);
		m.aad_size = test_random(test_random(2) ? 20 : sizeof(m.aad));
		m.most = test_random(4) ? 1u << test_random(16) : 0;
		m.aad_most = test_random(2) ? 1u << test_random(9) : 0;
		CHECK(both_ways(env, &m));
	}
	message_close(&m);
	return true;
}

/* Other lengths of IV and tag. */
static bool lengths(const struct env *env)
{
	uint8_t key[16], iv[16], in[4000], a[4000], b[4000], tag[TAG];

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	test_fill(in, sizeof(in));
	for (int iv_size = 1; iv_size <= 16; iv_size++) {
		int n, tag_size = iv_size < 4 ? 4 : iv_size;
		EVP_CIPHER_CTX *ours = open_cipher_ctx(env, names[0], OURS, 1, NULL, NULL);
		EVP_CIPHER_CTX *theirs = open_cipher_ctx(env, names[0], THEIRS, 0, NULL, NULL);

		CHECK(EVP_CIPHER_CTX_ctrl(ours, EVP_CTRL_AEAD_SET_IVLEN, iv_size, NULL) == 1);
		CHECK(EVP_CIPHER_CTX_ctrl(theirs, EVP_CTRL_AEAD_SET_IVLEN, iv_size, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(ours, NULL, key, iv, 1, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(theirs, NULL, key, iv, 0, NULL) == 1);
		CHECK(EVP_CipherUpdate(ours, a, &n, in, sizeof(in)) == 1);
		CHECK(EVP_CipherFinal_ex(ours, a, &n) == 1);
		CHECK(EVP_CIPHER_CTX_ctrl(ours, EVP_CTRL_AEAD_GET_TAG, tag_size, tag) == 1);
		CHECK(EVP_CIPHER_CTX_ctrl(theirs, EVP_CTRL_AEAD_SET_TAG, tag_size, tag) == 1);
		CHECK(EVP_CipherUpdate(theirs, b, &n, a, sizeof(in)) == 1);
		CHECK(EVP_CipherFinal_ex(theirs, b, &n) == 1 && !memcmp(in, b, sizeof(in)));
		/* And back through ours. */
		CHECK(EVP_CipherInit_ex2(ours, NULL, NULL, iv, 0, NULL) == 1);
		CHECK(EVP_CIPHER_CTX_ctrl(ours, EVP_CTRL_AEAD_SET_TAG, tag_size, tag) == 1);
		CHECK(EVP_CipherUpdate(ours, b, &n, a, sizeof(in)) == 1);
		CHECK(EVP_CipherFinal_ex(ours, b, &n) == 1 && !memcmp(in, b, sizeof(in)));
		EVP_CIPHER_CTX_free(ours);
		EVP_CIPHER_CTX_free(theirs);
	}
	return true;
}

/* TLS 1.3: a new IV for each record, additional data, data, end; the tag first when reading. */
static bool tls13_records(const struct env *env)
{
	uint8_t key[32], iv[12], header[5], in[8192], record[8192], tag[TAG];
	EVP_CIPHER_CTX *writer[2], *reader[2];
	int n;

	test_fill(key, sizeof(key));
	for (int i = 0; i < 2; i++) {
		writer[i] = open_cipher_ctx(env, names[2], i ? THEIRS : OURS, 1, key, NULL);
		reader[i] = open_cipher_ctx(env, names[2], i ? THEIRS : OURS, 0, key, NULL);
		CHECK(writer[i] && reader[i]);
	}
	for (int i = 0; i < 60; i++) {
		EVP_CIPHER_CTX *w = writer[i & 1], *r = reader[i >> 1 & 1];
		int size = 1 + (int)test_random(sizeof(in)), forged = i % 7 == 6;

		test_fill(iv, sizeof(iv));
		test_fill(header, sizeof(header));
		test_fill(in, (size_t)size);
		memcpy(record, in, (size_t)size);
		CHECK(EVP_CipherInit_ex2(w, NULL, NULL, iv, 1, NULL) == 1);
		CHECK(EVP_CipherUpdate(w, NULL, &n, header, 5) == 1);
		CHECK(EVP_CipherUpdate(w, record, &n, record, size) == 1 && n == size);
		CHECK(EVP_CipherFinal_ex(w, record + size, &n) == 1 && n == 0);
		CHECK(EVP_CIPHER_CTX_ctrl(w, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1);
		tag[3] ^= (uint8_t)forged;
		CHECK(EVP_CipherInit_ex2(r, NULL, NULL, iv, 0, NULL) == 1);
		CHECK(EVP_CIPHER_CTX_ctrl(r, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1);
		CHECK(EVP_CipherUpdate(r, NULL, &n, header, 5) == 1);
		CHECK(EVP_CipherUpdate(r, record, &n, record, size) == 1 && n == size);
		CHECK((EVP_CipherFinal_ex(r, record + size, &n) == 1) == !forged);
		CHECK(forged || !memcmp(record, in, (size_t)size));
	}
	for (int i = 0; i < 2; i++) {
		EVP_CIPHER_CTX_free(writer[i]);
		EVP_CIPHER_CTX_free(reader[i]);
	}
	return true;
}

static bool tls12_aad(EVP_CIPHER_CTX *ctx, uint64_t sequence, int size)
{
	uint8_t aad[13];

	for (int i = 0; i < 8; i++)
		aad[i] = (uint8_t)(sequence >> (56 - 8 * i));
	memcpy(aad + 8, "\x17\x03\x03", 3);
	aad[11] = (uint8_t)(size >> 8);
	aad[12] = (uint8_t)size;
	CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, sizeof(aad), aad) == TAG);
	return true;
}

/* TLS 1.2: explicit IV, data and tag in one update. */
static bool tls12_records(const struct env *env)
{
	uint8_t key[16], fixed[4], in[8192], record[8192 + 24], ivs[2][8] = {{0}};
	EVP_CIPHER_CTX *writer[2], *reader[2];
	uint64_t sequence[2] = {0};
	unsigned int version = 0x303;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_TLS_VERSION, &version),
		OSSL_PARAM_construct_end(),
	};
	int n;

	test_fill(key, sizeof(key));
	test_fill(fixed, sizeof(fixed));
	for (int i = 0; i < 2; i++) {
		writer[i] = open_cipher_ctx(env, names[0], i ? THEIRS : OURS, 1, key, NULL);
		reader[i] = open_cipher_ctx(env, names[0], i ? THEIRS : OURS, 0, key, NULL);
		CHECK(EVP_CIPHER_CTX_ctrl(writer[i], EVP_CTRL_GCM_SET_IV_FIXED, 4, fixed) == 1);
		CHECK(EVP_CIPHER_CTX_ctrl(reader[i], EVP_CTRL_GCM_SET_IV_FIXED, 4, fixed) == 1);
		/* As libssl does with every cipher of a provider. */
		if (env->engine && !i)
			continue;
		CHECK(EVP_CIPHER_CTX_set_params(writer[i], params));
		CHECK(EVP_CIPHER_CTX_set_params(reader[i], params));
	}
	for (int i = 0; i < 60; i++) {
		EVP_CIPHER_CTX *w = writer[i & 1], *r = reader[i >> 1 & 1];
		int size = (int)test_random(sizeof(in) + 1), forged = i % 7 == 6;

		test_fill(in, (size_t)size);
		memcpy(record + 8, in, (size_t)size);
		CHECK(tls12_aad(w, sequence[i & 1], size + 8));
		CHECK(EVP_CipherUpdate(w, record, &n, record, size + 24) == 1 && n == size + 24);
		/* Never twice; one that a failed try took is left out. */
		CHECK(i < 2 || memcmp(ivs[i & 1], record, 8));
		memcpy(ivs[i & 1], record, 8);
		record[8 + test_random((uint32_t)size + TAG)] ^= (uint8_t)forged;
		CHECK(tls12_aad(r, sequence[i & 1]++, size + 24));
		CHECK((EVP_CipherUpdate(r, record, &n, record, size + 24) == 1) == !forged);
		CHECK(forged || (n == size && !memcmp(record + 8, in, (size_t)size)));
	}
	for (int i = 0; i < 2; i++) {
		EVP_CIPHER_CTX_free(writer[i]);
		EVP_CIPHER_CTX_free(reader[i]);
	}
	return true;
}

/* Key and IV may come in any order; a key alone begins no message. */
static bool init_orders(const struct env *env)
{
	uint8_t key[16], iv[12], in[3000], out[4][3000];
	EVP_CIPHER_CTX *ctx;
	int n;

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	test_fill(in, sizeof(in));
	for (int i = 0; i < 4; i++) {
		ctx = open_cipher_ctx(env, names[0], i < 3 ? OURS : THEIRS, 1, i == 1 ? key : NULL,
		                      i == 0 ? iv : NULL);
		CHECK(ctx && EVP_CipherInit_ex2(ctx, NULL, i == 1 ? NULL : key, i == 0 ? NULL : iv,
		                                1, NULL) == 1);
		CHECK(EVP_CipherUpdate(ctx, out[i], &n, in, sizeof(in)) == 1);
		CHECK(EVP_CipherFinal_ex(ctx, out[i], &n) == 1);
		CHECK(EVP_CipherInit_ex2(ctx, NULL, key, NULL, 1, NULL) == 1);
		CHECK(EVP_CipherUpdate(ctx, out[i], &n, in, sizeof(in)) != 1);
		EVP_CIPHER_CTX_free(ctx);
		CHECK(!memcmp(out[i], out[0], sizeof(in)));
	}
	return true;
}

/* Names and object identifiers that programs use. */
static bool other_names(const struct env *env)
{
	static const char *const others[] = {
		"aes-128-gcm", "id-aes128-GCM", "2.16.840.1.101.3.4.1.6", "id-aes256-GCM", "AES128",
		"aes-256-cbc", "AES256",        "2.16.840.1.101.3.4.1.42"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		EVP_CIPHER *cipher = EVP_CIPHER_fetch(env->libctx, others[i], OURS);

		CHECK(cipher);
		EVP_CIPHER_free(cipher);
	}
	return true;
}

const struct test_case gcm_cases[] = {
	{"gcm: sizes", sizes},
	{"gcm: pieces", pieces},
	{"gcm: lengths of IV and tag", lengths},
	{"gcm: TLS 1.3 records", tls13_records},
	{"gcm: TLS 1.2 records", tls12_records},
	{"gcm: key and IV in any order", init_orders},
	{"ciphers: other names", other_names},
	{NULL, NULL},
};
