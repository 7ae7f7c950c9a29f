/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipelines of OpenSSL 3.5 and later: many messages through one context, each compared with a
 * message of its own through OpenSSL's cipher. Before 3.5 there are none, and no cases. See
 * cases.h.
 */
#include "cases.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#if OPENSSL_VERSION_PREREQ(3, 5)

#define PIPES 32
#define MAX_SIZE 40000
#define ROOM (MAX_SIZE + 32)
#define TAG 16

/* Pointers, as the interface wants them. */
struct side {
	unsigned char *out[PIPES];
	const unsigned char *in[PIPES];
	size_t done[PIPES], given[PIPES];
};

struct messages {
	const char *name;
	bool aead, pad, in_place, encrypt;
	size_t count, size[PIPES], aad_size[PIPES];
	unsigned char key[32], iv[PIPES][16], aad[PIPES][64], tag[PIPES][TAG];
	unsigned char *plain[PIPES], *cipher[PIPES], *result[PIPES];
	size_t cipher_size[PIPES];
};

static const struct {
	const char *name;
	bool aead;
} ciphers[] = {{"AES-128-CBC", false}, {"AES-192-CBC", false}, {"AES-256-CBC", false},
               {"AES-128-GCM", true},  {"AES-192-GCM", true},  {"AES-256-GCM", true}};

/* One message through OpenSSL's own. */
static bool encrypt_theirs(const struct env *env, struct messages *m, size_t i)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(env->libctx, m->name, THEIRS);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, last = 0;

	CHECK(cipher && EVP_EncryptInit_ex2(ctx, cipher, m->key, m->iv[i], NULL) == 1);
	CHECK(EVP_CIPHER_CTX_set_padding(ctx, m->pad) == 1);
	if (m->aead && m->aad_size[i])
		CHECK(EVP_EncryptUpdate(ctx, NULL, &n, m->aad[i], (int)m->aad_size[i]) == 1);
	n = 0;
	CHECK(EVP_EncryptUpdate(ctx, m->cipher[i], &n, m->plain[i], (int)m->size[i]) == 1);
	CHECK(EVP_EncryptFinal_ex(ctx, m->cipher[i] + n, &last) == 1);
	if (m->aead)
		CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, m->tag[i]) == 1);
	m->cipher_size[i] = (size_t)n + (size_t)last;
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return true;
}

static bool messages_make(const struct env *env, struct messages *m, unsigned int which,
                          uint32_t most)
{
	*m = (struct messages){.name = ciphers[which].name,
	                       .aead = ciphers[which].aead,
	                       .pad = test_random(2),
	                       .in_place = test_random(2),
	                       .count = 1 + test_random(PIPES)};
	test_fill(m->key, sizeof(m->key));
	test_fill(m->iv, sizeof(m->iv));
	test_fill(m->aad, sizeof(m->aad));
	for (size_t i = 0; i < m->count; i++) {
		m->size[i] = test_random(most);
		if (!m->aead && !m->pad)
			m->size[i] &= ~(size_t)15;
		m->aad_size[i] = m->aead ? test_random(sizeof(m->aad[i])) : 0;
		m->plain[i] = malloc(ROOM);
		m->cipher[i] = malloc(ROOM);
		m->result[i] = malloc(ROOM);
		CHECK(m->plain[i] && m->cipher[i] && m->result[i]);
		test_fill(m->plain[i], m->size[i]);
		CHECK(encrypt_theirs(env, m, i));
	}
	return true;
}

static void messages_free(struct messages *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->plain[i]);
		free(m->cipher[i]);
		free(m->result[i]);
	}
}

static EVP_CIPHER_CTX *begin(const struct env *env, struct messages *m)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(env->libctx, m->name, OURS);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const unsigned char *iv[PIPES];
	size_t key_size, iv_size;
	int ok = 0;

	for (size_t i = 0; i < m->count; i++)
		iv[i] = m->iv[i];
	if (!cipher || !EVP_CIPHER_can_pipeline(cipher, m->encrypt))
		goto out;
	key_size = (size_t)EVP_CIPHER_get_key_length(cipher);
	iv_size = (size_t)EVP_CIPHER_get_iv_length(cipher);
	ok = m->encrypt ? EVP_CipherPipelineEncryptInit(ctx, cipher, m->key, key_size, m->count, iv,
	                                                iv_size)
	                : EVP_CipherPipelineDecryptInit(ctx, cipher, m->key, key_size, m->count, iv,
	                                                iv_size);
	/* After the beginning it is of all messages. */
	if (ok && !m->aead)
		ok = EVP_CIPHER_CTX_set_padding(ctx, m->pad);
out:
	EVP_CIPHER_free(cipher);
	if (ok)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

static bool tags(EVP_CIPHER_CTX *ctx, struct messages *m, unsigned char tag[PIPES][TAG])
{
	unsigned char *each[PIPES];
	void *all = each;
	OSSL_PARAM params[2] = {
		OSSL_PARAM_construct_octet_ptr(OSSL_CIPHER_PARAM_PIPELINE_AEAD_TAG, &all, TAG),
		OSSL_PARAM_construct_end()};

	for (size_t i = 0; i < m->count; i++)
		each[i] = tag[i];
	return m->encrypt ? EVP_CIPHER_CTX_get_params(ctx, params)
	                  : EVP_CIPHER_CTX_set_params(ctx, params);
}

static bool additional_data(EVP_CIPHER_CTX *ctx, struct messages *m)
{
	const unsigned char *in[PIPES];
	size_t n[PIPES];

	for (size_t i = 0; i < m->count; i++)
		in[i] = m->aad[i];
	CHECK(EVP_CipherPipelineUpdate(ctx, NULL, n, NULL, in, m->aad_size) == 1);
	return true;
}

/* All data in updates of at most so many bytes for each message (0: all at once). */
static bool data(EVP_CIPHER_CTX **ctx, struct messages *m, struct side *s, uint32_t most)
{
	size_t room[PIPES], n[PIPES], out[PIPES], left;

	do {
		unsigned char *to[PIPES];
		const unsigned char *from[PIPES];

		left = 0;
		for (size_t i = 0; i < m->count; i++) {
			size_t size = m->encrypt ? m->size[i] : m->cipher_size[i];

			n[i] = size - s->given[i];
			if (most && n[i] > most)
				n[i] = test_random(most + 1);
			from[i] = s->in[i] + s->given[i];
			to[i] = s->out[i] + s->done[i];
			room[i] = ROOM - s->done[i];
			s->given[i] += n[i];
			left += size - s->given[i];
		}
		CHECK(EVP_CipherPipelineUpdate(*ctx, to, out, room, from, n) == 1);
		for (size_t i = 0; i < m->count; i++)
			s->done[i] += out[i];
		if (most && test_random(6) == 0) {
			EVP_CIPHER_CTX *copy = EVP_CIPHER_CTX_new();

			CHECK(EVP_CIPHER_CTX_copy(copy, *ctx));
			EVP_CIPHER_CTX_free(*ctx);
			*ctx = copy;
		}
	} while (left);
	return true;
}

static bool end(EVP_CIPHER_CTX *ctx, struct messages *m, struct side *s)
{
	unsigned char *to[PIPES];
	size_t room[PIPES], out[PIPES];

	for (size_t i = 0; i < m->count; i++) {
		to[i] = s->out[i] + s->done[i];
		room[i] = ROOM - s->done[i];
	}
	if (EVP_CipherPipelineFinal(ctx, to, out, room) != 1)
		return false;
	for (size_t i = 0; i < m->count; i++)
		s->done[i] += out[i];
	return true;
}

/* All of them through a pipeline; damaged: one has a wrong tag. In place only as a whole, for a
 * stream's output would overtake its input otherwise. */
static bool one_way(const struct env *env, struct messages *m, uint32_t most, bool damaged)
{
	struct side s = {.done = {0}};
	EVP_CIPHER_CTX *ctx = begin(env, m);
	unsigned char tag[PIPES][TAG];

	CHECK(ctx);
	for (size_t i = 0; i < m->count; i++) {
		unsigned char *in = m->encrypt ? m->plain[i] : m->cipher[i];

		s.out[i] = m->result[i];
		s.in[i] = in;
		if (m->in_place && !most) {
			memcpy(m->result[i], in, m->encrypt ? m->size[i] : m->cipher_size[i]);
			s.in[i] = m->result[i];
		}
	}
	memcpy(tag, m->tag, sizeof(tag));
	if (damaged)
		tag[test_random((uint32_t)m->count)][test_random(TAG)] ^= 1;
	if (m->aead) {
		CHECK(m->encrypt || tags(ctx, m, tag));
		CHECK(additional_data(ctx, m));
	}
	CHECK(data(&ctx, m, &s, most));
	CHECK(end(ctx, m, &s) == !damaged);
	if (!damaged && m->aead && m->encrypt) {
		memset(tag, 0, sizeof(tag));
		CHECK(tags(ctx, m, tag));
		for (size_t i = 0; i < m->count; i++)
			CHECK(!memcmp(tag[i], m->tag[i], TAG));
	}
	for (size_t i = 0; !damaged && i < m->count; i++) {
		const unsigned char *right = m->encrypt ? m->cipher[i] : m->plain[i];
		size_t size = m->encrypt ? m->cipher_size[i] : m->size[i];

		CHECK(s.done[i] == size && !memcmp(m->result[i], right, size));
	}
	EVP_CIPHER_CTX_free(ctx);
	return true;
}

static bool both_ways(const struct env *env, uint32_t size, uint32_t most)
{
	for (unsigned int which = 0; which < sizeof(ciphers) / sizeof(ciphers[0]); which++) {
		struct messages *m = malloc(sizeof(*m));

		CHECK(m && messages_make(env, m, which, size));
		m->encrypt = true;
		CHECK(one_way(env, m, most, false));
		m->encrypt = false;
		CHECK(one_way(env, m, most, false));
		CHECK(!m->aead || one_way(env, m, most, true));
		messages_free(m);
		free(m);
	}
	return true;
}

static bool whole_messages(const struct env *env)
{
	return both_ways(env, 200, 0) && both_ways(env, 2000, 0) && both_ways(env, 16384, 0);
}

static bool longer_messages(const struct env *env)
{
	return both_ways(env, MAX_SIZE, 0);
}

static bool messages_in_pieces(const struct env *env)
{
	return both_ways(env, 1000, 50) && both_ways(env, MAX_SIZE, 20000);
}

/* A context serves for one message after it was a pipeline, and the other way round. */
static bool contexts_serve_for_both(const struct env *env)
{
	struct messages *m = malloc(sizeof(*m));
	EVP_CIPHER_CTX *ctx;
	unsigned char *out;
	int n = 0, last = 0;

	CHECK(m && messages_make(env, m, 0, 500));
	m->encrypt = true;
	ctx = begin(env, m);
	out = malloc(ROOM);
	CHECK(ctx && out);
	CHECK(EVP_EncryptInit_ex2(ctx, NULL, m->key, m->iv[0], NULL) == 1);
	CHECK(EVP_CIPHER_CTX_set_padding(ctx, m->pad) == 1);
	CHECK(EVP_EncryptUpdate(ctx, out, &n, m->plain[0], (int)m->size[0]) == 1);
	CHECK(EVP_EncryptFinal_ex(ctx, out + n, &last) == 1);
	CHECK((size_t)(n + last) == m->cipher_size[0]);
	CHECK(!memcmp(out, m->cipher[0], m->cipher_size[0]));
	EVP_CIPHER_CTX_free(ctx);
	free(out);
	messages_free(m);
	free(m);
	return true;
}

const struct test_case pipeline_cases[] = {
	{"pipeline: whole messages", whole_messages},
	{"pipeline: longer messages", longer_messages},
	{"pipeline: messages in pieces", messages_in_pieces},
	{"pipeline: a context for both", contexts_serve_for_both},
	{NULL, NULL},
};

#else

const struct test_case pipeline_cases[] = {{NULL, NULL}};

#endif
