/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CBC-HMAC through EVP, as programs and as libssl use it. See cases.h.
 */
#include "cases.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "pair.h"

#define AAD 13
#define MAX_RECORD (16 + 16384 + 64)

static const char *const names[] = {"AES-128-CBC-HMAC-SHA1", "AES-256-CBC-HMAC-SHA1",
                                    "AES-128-CBC-HMAC-SHA256", "AES-256-CBC-HMAC-SHA256"};

/* The older interface would pad. */
static bool open_bare(const struct env *env, const char *name, struct pair *pair, int encrypt,
                      const uint8_t *key, const uint8_t *iv)
{
	CHECK(pair_open(env, name, pair, encrypt, key, iv));
	CHECK(!env->engine || EVP_CIPHER_CTX_set_padding(pair->ours, 0));
	return true;
}

static bool open_one(const struct env *env, unsigned int i, struct pair *pair, int encrypt)
{
	uint8_t key[32], iv[16];

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	return open_bare(env, names[i % 4], pair, encrypt, key, iv);
}

/* Not a record: only enciphered. */
static bool messages(const struct env *env)
{
	static const size_t list[] = {0,    16,   32,    64,    2032,  2048,
	                              4096, 8192, 16384, 16400, 65536, 1 << 20};
	struct buffers m;
	struct pair pair;
	int n, result;

	CHECK(buffers_open(&m, 1 << 20));
	for (unsigned int i = 0; i < 4 * sizeof(list) / sizeof(list[0]); i++) {
		for (int encrypt = 1; encrypt >= 0; encrypt--) {
			CHECK(open_one(env, i, &pair, encrypt));
			CHECK(pair_update(&pair, m.a, m.b, &n, m.in, list[i / 4]));
			CHECK(pair_same_ivs(&pair));
			CHECK(pair_final(&pair, m.a, m.b, &n, &result));
			pair_close(&pair);
		}
	}
	buffers_close(&m);
	return true;
}

static bool pieces_once(const struct env *env, struct buffers *m, size_t size)
{
	uint32_t most = 1u << (4 + test_random(12));
	size_t done = 0;
	struct pair pair;
	int n = 0;

	if (size / most > 100)
		most = (uint32_t)size / 100;
	CHECK(open_one(env, test_random(4), &pair, (int)test_random(2)));
	while (done < size) {
		size_t piece = 16 * test_random(most / 16 + 1);

		if (piece > size - done)
			piece = size - done;
		CHECK(pair_update(&pair, m->a + done, m->b + done, &n, m->in + done, piece));
		done += piece;
		if (test_random(8) == 0)
			CHECK(pair_copy(&pair));
		if (test_random(8) == 0)
			CHECK(pair_same_ivs(&pair));
		if (!env->engine && test_random(16) == 0)
			/* Part of a block is not allowed. (The older interface keeps it.) */
			CHECK(pair_update(&pair, m->a + done, m->b + done, &n, m->in, 17));
	}
	/* Once more with the same IV and key. */
	CHECK(EVP_CipherInit_ex2(pair.ours, NULL, NULL, NULL, -1, NULL) == 1);
	CHECK(EVP_CipherInit_ex2(pair.theirs, NULL, NULL, NULL, -1, NULL) == 1);
	CHECK(pair_update(&pair, m->a, m->b, &n, m->in, size));
	pair_close(&pair);
	return true;
}

static bool pieces(const struct env *env)
{
	struct buffers m;

	CHECK(buffers_open(&m, 70000));
	for (int i = 0; i < 60; i++)
		CHECK(pieces_once(env, &m, 16 * test_random(i % 6 ? 600 : 4000)));
	buffers_close(&m);
	return true;
}

/* ------------------------------------------------------------------------------- TLS records */

struct connection {
	struct pair writer, reader;
	unsigned int version;
	uint64_t sequence;
};

static bool set_mac_key(EVP_CIPHER_CTX *ctx, const uint8_t *key, int size)
{
	CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_MAC_KEY, size, (void *)(uintptr_t)key) ==
	      1);
	return true;
}

static bool set_mac_keys(struct connection *c, int size)
{
	uint8_t key[100];

	test_fill(key, sizeof(key));
	CHECK(set_mac_key(c->writer.ours, key, size) && set_mac_key(c->writer.theirs, key, size));
	CHECK(set_mac_key(c->reader.ours, key, size) && set_mac_key(c->reader.theirs, key, size));
	return true;
}

static bool connection_open(const struct env *env, unsigned int i, unsigned int version,
                            struct connection *c)
{
	uint8_t key[32], iv[16];
	const char *name = names[i % 4];
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_TLS_VERSION, &version),
		OSSL_PARAM_construct_end(),
	};

	*c = (struct connection){.version = version};
	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	CHECK(open_bare(env, name, &c->writer, 1, key, iv));
	CHECK(open_bare(env, name, &c->reader, 0, key, iv));
	CHECK(set_mac_keys(c, strstr(name, "256") && i % 4 > 1 ? 32 : 20));
	/* As libssl does with every cipher of a provider; what it means differs by direction. */
	if (env->engine)
		return true;
	CHECK(EVP_CIPHER_CTX_set_params(c->writer.ours, params));
	CHECK(EVP_CIPHER_CTX_set_params(c->writer.theirs, params));
	CHECK(EVP_CIPHER_CTX_set_params(c->reader.ours, params));
	CHECK(EVP_CIPHER_CTX_set_params(c->reader.theirs, params));
	return true;
}

static void connection_close(struct connection *c)
{
	pair_close(&c->writer);
	pair_close(&c->reader);
}

/* What the header says; the padding and MAC that come to it. */
static int set_aad(const struct connection *c, EVP_CIPHER_CTX *ctx, int size)
{
	uint8_t aad[AAD];

	for (int i = 0; i < 8; i++)
		aad[i] = (uint8_t)(c->sequence >> (56 - 8 * i));
	aad[8] = 23;
	aad[9] = (uint8_t)(c->version >> 8);
	aad[10] = (uint8_t)c->version;
	aad[11] = (uint8_t)(size >> 8);
	aad[12] = (uint8_t)size;
	return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, AAD, aad);
}

/* size: of data and explicit IV. */
static bool write_record(struct connection *c, struct buffers *m, int size, bool in_place,
                         int *total)
{
	int pad = set_aad(c, c->writer.ours, size), n;

	CHECK(pad == set_aad(c, c->writer.theirs, size) && pad > 0);
	*total = size + pad;
	if (in_place) {
		memcpy(m->a, m->in, (size_t)size);
		CHECK(EVP_CipherUpdate(c->writer.ours, m->a, &n, m->a, *total) == 1);
	} else {
		CHECK(EVP_CipherUpdate(c->writer.ours, m->a, &n, m->in, *total) == 1);
	}
	CHECK(n == *total);
	memcpy(m->b, m->in, (size_t)size);
	CHECK(EVP_CipherUpdate(c->writer.theirs, m->b, &n, m->b, *total) == 1);
	CHECK(!memcmp(m->a, m->b, (size_t)*total));
	return pair_same_ivs(&c->writer);
}

static bool read_record(struct connection *c, struct buffers *m, int size, int total, bool good)
{
	int skip = c->version >= 0x302 ? 16 : 0, na = -1, nb = -1, ra, rb;

	CHECK(set_aad(c, c->reader.ours, total) == set_aad(c, c->reader.theirs, total));
	ra = EVP_CipherUpdate(c->reader.ours, m->a, &na, m->a, total);
	rb = EVP_CipherUpdate(c->reader.theirs, m->b, &nb, m->b, total);
	CHECK(ra == rb && (ra == 1) == good);
	CHECK(!good || (na == nb && !memcmp(m->a + skip, m->b + skip, (size_t)(size - skip))));
	CHECK(!good || !memcmp(m->a + skip, m->in + skip, (size_t)(size - skip)));
	return true;
}

static bool records_of(const struct env *env, unsigned int i, unsigned int version)
{
	int skip = version >= 0x302 ? 16 : 0, total;
	struct connection c;
	struct buffers m;

	CHECK(buffers_open(&m, MAX_RECORD));
	CHECK(connection_open(env, i, version, &c));
	for (int k = 0; k < 40; k++, c.sequence++) {
		int size = skip + (int)test_random(k % 3 ? 300 : 16384 + 1);
		bool forged = k % 9 == 8;

		if (k < 2)
			size = skip + k * 16384;
		test_fill(m.in, (size_t)size);
		CHECK(write_record(&c, &m, size, k % 4 != 0, &total));
		/* The last byte of the padding says how long it is. */
		m.a[total - 18] ^= (uint8_t)forged;
		m.b[total - 18] ^= (uint8_t)forged;
		CHECK(read_record(&c, &m, size, total, !forged));
		if (k % 8 == 5)
			CHECK(pair_copy(&c.writer));
	}
	connection_close(&c);
	buffers_close(&m);
	return true;
}

static bool records(const struct env *env)
{
	for (unsigned int i = 0; i < 4; i++) {
		for (unsigned int version = 0x301; version <= 0x303; version++)
			CHECK(records_of(env, i, version));
	}
	return true;
}

/* The key of the MAC may change, be long, come before a new key or with it. */
static bool mac_keys(const struct env *env)
{
	uint8_t key[32], iv[16];
	struct connection c;
	struct buffers m;
	int total;

	CHECK(buffers_open(&m, MAX_RECORD));
	for (unsigned int i = 0; i < 4; i++) {
		CHECK(connection_open(env, i, 0x303, &c));
		for (int size = 0; size <= 100; size += 10) {
			CHECK(set_mac_keys(&c, size));
			CHECK(write_record(&c, &m, 9000, true, &total));
		}
		test_fill(key, sizeof(key));
		test_fill(iv, sizeof(iv));
		/* Forgets the key of the MAC. */
		CHECK(EVP_CipherInit_ex2(c.writer.ours, NULL, key, iv, 1, NULL) == 1);
		CHECK(EVP_CipherInit_ex2(c.writer.theirs, NULL, key, iv, 1, NULL) == 1);
		CHECK(write_record(&c, &m, 9000, true, &total));
		connection_close(&c);
	}
	buffers_close(&m);
	return true;
}

/* Records and messages in one context, and records that are announced wrongly. */
static bool odd_records(const struct env *env)
{
	struct connection c;
	struct buffers m;
	int n, total;

	CHECK(buffers_open(&m, MAX_RECORD));
	CHECK(connection_open(env, 1, 0x302, &c));
	for (int k = 0; k < 20; k++) {
		CHECK(write_record(&c, &m, 16 + (int)test_random(12000), true, &total));
		CHECK(pair_update(&c.writer, m.a, m.b, &n, m.in, 16 * test_random(800)));
		/* Shorter than its explicit IV. */
		CHECK(set_aad(&c, c.writer.ours, 15) <= 0 && set_aad(&c, c.writer.theirs, 15) <= 0);
		/* Of another length than announced: the next one is none. */
		CHECK(set_aad(&c, c.writer.ours, 8000) == set_aad(&c, c.writer.theirs, 8000));
		CHECK(pair_update(&c.writer, m.a, m.b, &n, m.in, 9600));
		CHECK(pair_update(&c.writer, m.a, m.b, &n, m.in, 9600));
	}
	connection_close(&c);
	buffers_close(&m);
	return true;
}

/* Several records at once: theirs reads what ours makes. */
static bool multi_block(const struct env *env)
{
	enum { SIZE = 65536 };
	uint8_t aad[AAD] = {0, 0, 0, 0, 0, 0, 0, 0, 23, 3, 3, 0, 0};
	EVP_CTRL_TLS1_1_MULTIBLOCK_PARAM p = {
		.inp = aad, .len = SIZE, .interleave = 4, .out = NULL};
	struct connection c;
	struct buffers m;
	int size, at = 0, n;
	size_t got = 0;

	CHECK(buffers_open(&m, SIZE + 4096));
	CHECK(connection_open(env, 0, 0x303, &c));
	CHECK(EVP_CIPHER_CTX_get_params(c.writer.ours, NULL));
	size = EVP_CIPHER_CTX_ctrl(c.writer.ours, EVP_CTRL_TLS1_1_MULTIBLOCK_AAD, sizeof(p), &p);
	CHECK(size > SIZE && size < SIZE + 4096);
	p.out = m.a;
	p.inp = m.in;
	CHECK(EVP_CIPHER_CTX_ctrl(c.writer.ours, EVP_CTRL_TLS1_1_MULTIBLOCK_ENCRYPT, sizeof(p),
	                          &p) == size);
	for (; at < size; c.sequence++) {
		int length = m.a[at + 3] << 8 | m.a[at + 4];

		CHECK(set_aad(&c, c.reader.theirs, length) > 0);
		CHECK(EVP_CipherUpdate(c.reader.theirs, m.a + at + 5, &n, m.a + at + 5, length) ==
		      1);
		CHECK(!memcmp(m.in + got, m.a + at + 5 + 16, (size_t)n));
		got += (size_t)n;
		at += 5 + length;
	}
	CHECK(got == SIZE && c.sequence == 4);
	connection_close(&c);
	buffers_close(&m);
	return true;
}

const struct test_case stitched_cases[] = {
	{"stitched: messages", messages},
	{"stitched: pieces", pieces},
	{"stitched: TLS records", records},
	{"stitched: keys of the MAC", mac_keys},
	{"stitched: odd records", odd_records},
	{"stitched: several records at once", multi_block},
	{NULL, NULL},
};
