/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several records in one call of the ENGINE's ciphers, as libssl makes it: the other side reads
 * them one by one with OpenSSL's own cipher, in order. See cases_engine.h.
 */
#include <stdlib.h>
#include <string.h>

#include "cases_engine.h"

#define PIPES 32
#define BLOCK 16
#define MAX_DATA 16384
#define MAX_RECORD (BLOCK + MAX_DATA + 64)
#define AAD 13

struct side {
	EVP_CIPHER_CTX *ours, *theirs;
};

struct batch {
	unsigned int n;
	size_t data[PIPES], size[PIPES]; /* the record's with its IV; and with MAC and padding */
	uint8_t *record[PIPES], *plain[PIPES], *out[PIPES];
};

static bool open_side(const struct env *env, const char *name, struct side *side, int encrypt,
                      const uint8_t *key, const uint8_t *iv)
{
	const EVP_CIPHER *cipher = EVP_get_cipherbyname(name);
	EVP_CIPHER *theirs = EVP_CIPHER_fetch(NULL, name, NULL);

	side->ours = EVP_CIPHER_CTX_new();
	side->theirs = EVP_CIPHER_CTX_new();
	CHECK(cipher && theirs && side->ours && side->theirs);
	CHECK(EVP_CipherInit_ex(side->ours, cipher, env->engine, key, iv, encrypt) == 1);
	CHECK(EVP_CipherInit_ex2(side->theirs, theirs, key, iv, encrypt, NULL) == 1);
	CHECK(EVP_CIPHER_CTX_get0_cipher(side->theirs) == theirs);
	CHECK(EVP_CIPHER_CTX_set_padding(side->ours, 0));
	CHECK(EVP_CIPHER_CTX_set_padding(side->theirs, 0));
	CHECK(EVP_CIPHER_get_flags(EVP_CIPHER_CTX_get0_cipher(side->ours)) &
	      EVP_CIPH_FLAG_PIPELINE);
	EVP_CIPHER_free(theirs);
	return true;
}

static void close_side(struct side *side)
{
	EVP_CIPHER_CTX_free(side->ours);
	EVP_CIPHER_CTX_free(side->theirs);
}

static bool batch_open(struct batch *b)
{
	memset(b, 0, sizeof(*b));
	for (int i = 0; i < PIPES; i++) {
		b->record[i] = malloc(MAX_RECORD);
		b->plain[i] = malloc(MAX_RECORD);
		b->out[i] = malloc(MAX_RECORD);
		CHECK(b->record[i] && b->plain[i] && b->out[i]);
	}
	return true;
}

static void batch_close(struct batch *b)
{
	for (int i = 0; i < PIPES; i++) {
		free(b->record[i]);
		free(b->plain[i]);
		free(b->out[i]);
	}
}

/* Records of random lengths (or the largest), with explicit IVs; whole: of whole blocks. */
static void batch_fill(struct batch *b, unsigned int n, bool largest, bool whole)
{
	b->n = n;
	for (unsigned int i = 0; i < n; i++) {
		size_t data = largest ? MAX_DATA : test_random(MAX_DATA + 1);

		if (whole)
			data = (data & ~(size_t)(BLOCK - 1)) + BLOCK;
		b->data[i] = b->size[i] = BLOCK + data;
		test_fill(b->plain[i], b->data[i]);
		memcpy(b->record[i], b->plain[i], b->data[i]);
	}
}

/* One call for all; in place, or from record to out. */
static int run_batch(EVP_CIPHER_CTX *ctx, struct batch *b, bool in_place)
{
	uint8_t **to = in_place ? b->record : b->out;
	int n = (int)b->n, done;

	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_SET_PIPELINE_OUTPUT_BUFS, n, to) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_SET_PIPELINE_INPUT_BUFS, n, b->record) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_SET_PIPELINE_INPUT_LENS, n, b->size) != 1)
		return -1;
	done = EVP_Cipher(ctx, to[0], b->record[0], (unsigned int)b->size[0]);
	for (unsigned int i = 0; !in_place && i < b->n; i++)
		memcpy(b->record[i], b->out[i], b->size[i]);
	return done;
}

/* -------------------------------------------------------------------------------------- AES-CBC */

static bool cbc_of(const struct env *env, const char *name)
{
	uint8_t key[32], iv[BLOCK];
	struct side writer, reader;
	struct batch b;

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	CHECK(batch_open(&b));
	CHECK(open_side(env, name, &writer, 1, key, iv) &&
	      open_side(env, name, &reader, 0, key, iv));
	for (int round = 0; round < 12; round++) {
		unsigned int n = round == 0 ? PIPES : 1 + test_random(PIPES);

		batch_fill(&b, n, round < 2, true);
		if (round % 3 == 2) {
			/* They write one by one, we read all at once. */
			for (unsigned int i = 0; i < n; i++)
				CHECK(EVP_Cipher(writer.theirs, b.record[i], b.record[i],
				                 (unsigned int)b.size[i]) > 0);
			CHECK(run_batch(reader.ours, &b, round % 2) == 1);
		} else {
			CHECK(run_batch(writer.ours, &b, round % 2) == 1);
			for (unsigned int i = 0; i < n; i++)
				CHECK(EVP_Cipher(reader.theirs, b.record[i], b.record[i],
				                 (unsigned int)b.size[i]) > 0);
		}
		for (unsigned int i = 0; i < n; i++)
			CHECK(!memcmp(b.record[i] + BLOCK, b.plain[i] + BLOCK, b.data[i] - BLOCK));
	}
	close_side(&writer);
	close_side(&reader);
	batch_close(&b);
	return true;
}

static bool cbc(const struct env *env)
{
	return cbc_of(env, "AES-128-CBC") && cbc_of(env, "AES-192-CBC") &&
	       cbc_of(env, "AES-256-CBC");
}

/* --------------------------------------------------------------------------------- with an HMAC */

static int announce(EVP_CIPHER_CTX *ctx, uint64_t sequence, size_t size)
{
	uint8_t aad[AAD];

	for (int i = 0; i < 8; i++)
		aad[i] = (uint8_t)(sequence >> (56 - 8 * i));
	memcpy(aad + 8, "\x17\x03\x03", 3);
	aad[11] = (uint8_t)(size >> 8);
	aad[12] = (uint8_t)size;
	return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_TLS1_AAD, AAD, aad);
}

static bool write_all(EVP_CIPHER_CTX *ctx, struct batch *b, uint64_t sequence, bool in_place)
{
	for (unsigned int i = 0; i < b->n; i++) {
		int pad = announce(ctx, sequence + i, b->data[i]);

		CHECK(pad > 0);
		b->size[i] = b->data[i] + (size_t)pad;
	}
	CHECK(run_batch(ctx, b, in_place) == 1);
	return true;
}

static bool write_each(EVP_CIPHER_CTX *ctx, struct batch *b, uint64_t sequence)
{
	for (unsigned int i = 0; i < b->n; i++) {
		int pad = announce(ctx, sequence + i, b->data[i]);

		CHECK(pad > 0);
		b->size[i] = b->data[i] + (size_t)pad;
		CHECK(EVP_Cipher(ctx, b->record[i], b->record[i], (unsigned int)b->size[i]) > 0);
	}
	return true;
}

/* What each says of its record. */
static bool read_each(EVP_CIPHER_CTX *ctx, struct batch *b, uint64_t sequence, int forged)
{
	for (unsigned int i = 0; i < b->n; i++) {
		CHECK(announce(ctx, sequence + i, b->size[i]) > 0);
		CHECK((EVP_Cipher(ctx, b->record[i], b->record[i], (unsigned int)b->size[i]) > 0) ==
		      ((int)i != forged));
	}
	return true;
}

static bool read_all(EVP_CIPHER_CTX *ctx, struct batch *b, uint64_t sequence, int forged)
{
	for (unsigned int i = 0; i < b->n; i++)
		CHECK(announce(ctx, sequence + i, b->size[i]) > 0);
	CHECK((run_batch(ctx, b, true) == 1) == (forged < 0));
	return true;
}

static bool stitched_of(const struct env *env, const char *name)
{
	uint8_t key[32], mac[32], iv[BLOCK];
	struct side writer, reader;
	uint64_t sequence = 0;
	struct batch b;

	test_fill(key, sizeof(key));
	test_fill(mac, sizeof(mac));
	test_fill(iv, sizeof(iv));
	CHECK(batch_open(&b));
	CHECK(open_side(env, name, &writer, 1, key, iv) &&
	      open_side(env, name, &reader, 0, key, iv));
	CHECK(EVP_CIPHER_CTX_ctrl(writer.ours, EVP_CTRL_AEAD_SET_MAC_KEY, 20, mac) == 1);
	CHECK(EVP_CIPHER_CTX_ctrl(writer.theirs, EVP_CTRL_AEAD_SET_MAC_KEY, 20, mac) == 1);
	CHECK(EVP_CIPHER_CTX_ctrl(reader.ours, EVP_CTRL_AEAD_SET_MAC_KEY, 20, mac) == 1);
	CHECK(EVP_CIPHER_CTX_ctrl(reader.theirs, EVP_CTRL_AEAD_SET_MAC_KEY, 20, mac) == 1);
	for (int round = 0; round < 16; round++) {
		unsigned int n = round == 0 ? PIPES : 1 + test_random(PIPES);
		bool theirs = round % 4 == 2;
		int forged = -1;

		batch_fill(&b, n, round < 2, false);
		CHECK(theirs ? write_each(writer.theirs, &b, sequence)
		             : write_all(writer.ours, &b, sequence, round % 2));
		if (round % 5 == 4) {
			/* The last byte of the padding says how long it is. */
			forged = (int)test_random(n);
			b.record[forged][b.size[forged] - 18] ^= 1;
		}
		CHECK(theirs ? read_all(reader.ours, &b, sequence, forged)
		             : read_each(reader.theirs, &b, sequence, forged));
		for (unsigned int i = 0; i < n; i++)
			CHECK((int)i == forged ||
			      !memcmp(b.record[i] + BLOCK, b.plain[i] + BLOCK, b.data[i] - BLOCK));
		sequence += n;
	}
	close_side(&writer);
	close_side(&reader);
	batch_close(&b);
	return true;
}

static bool stitched(const struct env *env)
{
	return stitched_of(env, "AES-128-CBC-HMAC-SHA1") &&
	       stitched_of(env, "AES-256-CBC-HMAC-SHA1") &&
	       stitched_of(env, "AES-128-CBC-HMAC-SHA256") &&
	       stitched_of(env, "AES-256-CBC-HMAC-SHA256");
}

/* What does not fit together is refused, and leaves nothing behind. */
static bool wrong(const struct env *env)
{
	uint8_t key[32] = {1}, iv[BLOCK] = {2}, *buffers[PIPES + 1];
	size_t sizes[PIPES + 1];
	struct side writer;
	struct batch b;

	CHECK(batch_open(&b));
	CHECK(open_side(env, "AES-128-CBC", &writer, 1, key, iv));
	for (int i = 0; i <= PIPES; i++) {
		buffers[i] = b.record[0];
		sizes[i] = BLOCK;
	}
	CHECK(EVP_CIPHER_CTX_ctrl(writer.ours, EVP_CTRL_SET_PIPELINE_OUTPUT_BUFS, PIPES + 1,
	                          buffers) != 1);
	CHECK(EVP_CIPHER_CTX_ctrl(writer.ours, EVP_CTRL_SET_PIPELINE_INPUT_BUFS, 0, buffers) != 1);
	CHECK(EVP_CIPHER_CTX_ctrl(writer.ours, EVP_CTRL_SET_PIPELINE_INPUT_LENS, 2, sizes) == 1);
	CHECK(EVP_Cipher(writer.ours, b.record[0], b.record[0], BLOCK) != 1);
	batch_fill(&b, 2, false, true);
	b.size[1] -= 1;
	CHECK(run_batch(writer.ours, &b, true) != 1);
	CHECK(EVP_Cipher(writer.ours, b.record[0], b.plain[0], BLOCK) == 1);
	CHECK(EVP_Cipher(writer.theirs, b.out[0], b.plain[0], BLOCK) == BLOCK);
	CHECK(!memcmp(b.record[0], b.out[0], BLOCK));
	close_side(&writer);
	batch_close(&b);
	return true;
}

/* Programs may write a chaining value into the context, as ciphers of the older interface keep it
 * there; a message that begins again begins with its own. */
static bool others_iv(const struct env *env)
{
	static const char *const names[] = {"AES-128-CBC", "AES-256-CBC-HMAC-SHA1"};
	uint8_t key[32], iv[BLOCK], other[BLOCK], in[64], a[64], b[64];
	int n;

	for (int i = 0; i < 4; i++) {
		struct side side;

		test_fill(key, sizeof(key));
		test_fill(iv, sizeof(iv));
		test_fill(other, sizeof(other));
		test_fill(in, sizeof(in));
		CHECK(open_side(env, names[i / 2], &side, i % 2, key, iv));
		memcpy(EVP_CIPHER_CTX_iv_noconst(side.ours), other, BLOCK);
		CHECK(EVP_CipherUpdate(side.ours, a, &n, in, 64) == 1);
		CHECK(EVP_CipherInit_ex2(side.theirs, NULL, NULL, other, -1, NULL) == 1);
		CHECK(EVP_CipherUpdate(side.theirs, b, &n, in, 64) == 1 && !memcmp(a, b, 64));
		CHECK(EVP_CipherInit_ex2(side.ours, NULL, NULL, NULL, -1, NULL) == 1);
		CHECK(EVP_CipherUpdate(side.ours, a, &n, in, 64) == 1);
		CHECK(EVP_CipherInit_ex2(side.theirs, NULL, NULL, iv, -1, NULL) == 1);
		CHECK(EVP_CipherUpdate(side.theirs, b, &n, in, 64) == 1 && !memcmp(a, b, 64));
		close_side(&side);
	}
	return true;
}

const struct test_case engine_pipe_cases[] = {
	{"pipelines: AES-CBC", cbc},
	{"pipelines: AES-CBC with HMAC", stitched},
	{"pipelines: wrong ones", wrong},
	{"chaining values of others", others_iv},
	{NULL, NULL},
};
