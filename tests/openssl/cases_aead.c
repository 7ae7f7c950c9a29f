/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CCM and ChaCha20-Poly1305 through EVP: messages as programs have them, and calls in any
 * order. See cases.h; records of TLS are in cases_aead_tls.c, GCM is in cases_gcm.c.
 */
#include "cases.h"

#include <string.h>

#include <openssl/core_names.h>

#include "pair.h"

#define MAX_SIZE 40000
#define MAX_TAG 16

static const char *const ccm_names[] = {"AES-128-CCM", "AES-192-CCM", "AES-256-CCM"};
static const char *const chacha_names[] = {"ChaCha20-Poly1305"};

/* A pair with one key, and what its messages have in common. */
struct channel {
	struct pair pair;
	bool ccm;
	bool forged; /* the last one: OpenSSL takes the next for a part of it, without a length */
	const char *name;
	int iv_len, tag_len;
	uint8_t key[32];
};

/* One message, and what it should come to. */
struct message {
	uint8_t iv[16], aad[400], tag[MAX_TAG];
	size_t aad_len, size;
	struct buffers *m;
};

static bool ctrl(struct pair *pair, int type, int arg, void *data)
{
	int a = EVP_CIPHER_CTX_ctrl(pair->ours, type, arg, data);
	int b = EVP_CIPHER_CTX_ctrl(pair->theirs, type, arg, data);

	CHECK(a == b);
	return true;
}

static bool init(struct pair *pair, const uint8_t *key, const uint8_t *iv, int encrypt)
{
	int a = EVP_CipherInit_ex2(pair->ours, NULL, key, iv, encrypt, NULL);
	int b = EVP_CipherInit_ex2(pair->theirs, NULL, key, iv, encrypt, NULL);

	CHECK(a == b);
	return true;
}

static bool same_tags(struct pair *pair, int size)
{
	uint8_t a[MAX_TAG] = {0}, b[MAX_TAG] = {0};
	int ra = EVP_CIPHER_CTX_ctrl(pair->ours, EVP_CTRL_AEAD_GET_TAG, size, a);
	int rb = EVP_CIPHER_CTX_ctrl(pair->theirs, EVP_CTRL_AEAD_GET_TAG, size, b);

	CHECK(ra == rb && (ra != 1 || !memcmp(a, b, sizeof(a))));
	return true;
}

static bool open_channel(const struct env *env, struct channel *c, bool ccm, int encrypt,
                         const uint8_t *iv)
{
	c->ccm = ccm;
	c->forged = false;
	c->name = ccm ? ccm_names[test_random(3)] : chacha_names[0];
	c->iv_len = ccm ? 7 + (int)test_random(7) : 12;
	c->tag_len = ccm ? 4 + 2 * (int)test_random(7) : 16;
	test_fill(c->key, sizeof(c->key));
	CHECK(pair_open(env, c->name, &c->pair, encrypt, NULL, NULL));
	if (ccm) {
		CHECK(ctrl(&c->pair, EVP_CTRL_AEAD_SET_IVLEN, c->iv_len, NULL));
		CHECK(ctrl(&c->pair, EVP_CTRL_AEAD_SET_TAG, c->tag_len, NULL));
	}
	return init(&c->pair, c->key, iv, encrypt);
}

static bool aad(struct channel *c, struct message *msg)
{
	uint8_t none[1];
	size_t done = 0;
	int n;

	if (c->ccm) {
		CHECK(!msg->aad_len ||
		      pair_update(&c->pair, NULL, NULL, &n, msg->aad, msg->aad_len));
		return true;
	}
	while (done < msg->aad_len) {
		size_t piece = 1 + test_random((uint32_t)(msg->aad_len - done));

		CHECK(pair_update(&c->pair, NULL, NULL, &n, msg->aad + done, piece));
		done += piece;
	}
	return pair_update(&c->pair, none, none, &n, msg->aad, 0);
}

static bool same(const uint8_t *a, const uint8_t *b, size_t size)
{
	return !size || !memcmp(a, b, size);
}

/* in -> a, b: in one piece as devices want it, or in several, which CCM cannot. */
static bool data(struct channel *c, struct message *msg, const uint8_t *in)
{
	struct buffers *m = msg->m;
	size_t done = 0;
	int n;

	if (c->ccm || test_random(2))
		return pair_update(&c->pair, m->a, m->b, &n, in, msg->size);
	while (done < msg->size) {
		size_t piece = 1 + test_random((uint32_t)(msg->size - done));

		CHECK(pair_update(&c->pair, m->a + done, m->b + done, &n, in + done, piece));
		done += piece;
		if (test_random(4) == 0)
			CHECK(pair_copy(&c->pair));
	}
	return true;
}

/* CCM wants it in front of additional data; else it may. */
static bool length(struct channel *c, const struct message *msg)
{
	int n;

	if (!c->ccm || (!msg->aad_len && !c->forged && test_random(2)))
		return true;
	CHECK(pair_update(&c->pair, NULL, NULL, &n, NULL, msg->size));
	return true;
}

static bool encrypt(struct channel *c, struct message *msg)
{
	struct buffers *m = msg->m;
	int n, result = 0;

	CHECK(length(c, msg) && aad(c, msg) && data(c, msg, m->in));
	if (test_random(8) == 0)
		CHECK(pair_copy(&c->pair));
	CHECK(pair_final(&c->pair, m->a, m->b, &n, &result) && result == 1);
	CHECK(EVP_CIPHER_CTX_ctrl(c->pair.theirs, EVP_CTRL_AEAD_GET_TAG, c->tag_len, msg->tag) ==
	      1);
	CHECK(EVP_CIPHER_CTX_ctrl(c->pair.ours, EVP_CTRL_AEAD_GET_TAG, c->tag_len,
	                          m->a + msg->size) == 1);
	CHECK(same(m->a, m->b, msg->size) && same(m->a + msg->size, msg->tag, (size_t)c->tag_len));
	return true;
}

/* b is the ciphertext; forged: it or the tag was changed. */
static bool decrypt(struct channel *c, struct message *msg, bool forged)
{
	struct buffers *m = msg->m;
	uint8_t *cipher = m->b + MAX_SIZE;
	int n, result = 0;

	memcpy(cipher, m->b, msg->size);
	if (forged && msg->size && test_random(2))
		cipher[test_random((uint32_t)msg->size)] ^= 1;
	else if (forged)
		msg->tag[test_random((uint32_t)c->tag_len)] ^= 1;
	CHECK(ctrl(&c->pair, EVP_CTRL_AEAD_SET_TAG, c->tag_len, msg->tag));
	CHECK(length(c, msg) && aad(c, msg) && data(c, msg, cipher));
	CHECK(pair_final(&c->pair, m->a, m->b, &n, &result));
	c->forged = forged;
	CHECK(c->ccm || (result == 1) == !forged);
	CHECK(forged || same(m->a, m->in, msg->size));
	return true;
}

static size_t some_size(void)
{
	static const size_t list[] = {0, 1, 15, 16, 17, 64, 2048, 16384, 16640, 16641};

	switch (test_random(3)) {
	case 0:
		return list[test_random(sizeof(list) / sizeof(list[0]))];
	case 1:
		return test_random(MAX_SIZE);
	default:
		return test_random(9000);
	}
}

/* Message after message on two channels: there and back. */
static bool messages(const struct env *env, bool ccm)
{
	struct channel to, from;
	struct message msg = {0};
	struct buffers m;

	CHECK(buffers_open(&m, 2 * MAX_SIZE));
	msg.m = &m;
	for (int i = 0; i < 12; i++) {
		test_fill(msg.iv, sizeof(msg.iv));
		CHECK(open_channel(env, &to, ccm, 1, NULL));
		from = to;
		CHECK(pair_open(env, to.name, &from.pair, 0, NULL, NULL));
		CHECK(ctrl(&from.pair, EVP_CTRL_AEAD_SET_IVLEN, to.iv_len, NULL));
		CHECK(!ccm || ctrl(&from.pair, EVP_CTRL_AEAD_SET_TAG, to.tag_len, NULL));
		CHECK(init(&from.pair, to.key, NULL, 0));
		for (int j = 0; j < 8; j++) {
			msg.iv[0]++;
			msg.size = some_size();
			msg.aad_len =
				test_random(4) ? test_random(20) : test_random(sizeof(msg.aad));
			CHECK(init(&to.pair, j % 3 ? NULL : to.key, msg.iv, 1));
			CHECK(encrypt(&to, &msg));
			CHECK(init(&from.pair, j % 3 ? NULL : to.key, msg.iv, 0));
			CHECK(decrypt(&from, &msg, j % 4 == 3));
		}
		pair_close(&to.pair);
		pair_close(&from.pair);
	}
	buffers_close(&m);
	return true;
}

static bool ccm_messages(const struct env *env)
{
	return messages(env, true);
}

static bool chacha_messages(const struct env *env)
{
	return messages(env, false);
}

/* One call of those that there are, by chance. */
static bool any_call(struct channel *c, struct message *msg, int encrypt)
{
	struct buffers *m = msg->m;
	/* No tag is asked for: before there is one, what comes is what lay there. */
	int n, result, tag_len = c->ccm && test_random(8) == 0 ? 8 : c->tag_len;

	switch (test_random(12)) {
	case 0:
		return init(&c->pair, NULL, msg->iv, encrypt);
	case 1:
		msg->iv[1]++;
		return init(&c->pair, test_random(3) ? NULL : c->key, msg->iv, encrypt);
	case 2:
		return init(&c->pair, test_random(3) ? NULL : c->key, NULL, encrypt);
	case 3:
	case 4:
		return pair_update(&c->pair, m->a, m->b, &n, m->in, msg->size);
	case 5:
		return !c->ccm || pair_update(&c->pair, NULL, NULL, &n, NULL, msg->size);
	case 6:
		return pair_update(&c->pair, NULL, NULL, &n, msg->aad, msg->aad_len);
	case 7:
		/* With CCM 3.5.9 has begun to make the end of a message depend on those before. */
		return (c->ccm && OPENSSL_version_minor() >= 5) ||
		       pair_final(&c->pair, m->a, m->b, &n, &result);
	case 8:
	case 9:
		return encrypt || ctrl(&c->pair, EVP_CTRL_AEAD_SET_TAG, tag_len, msg->tag);
	case 10:
		return pair_copy(&c->pair);
	default:
		return pair_update(&c->pair, m->a, m->b, &n, m->in,
		                   test_random(3) ? msg->size : test_random(100));
	}
}

static bool any_order(const struct env *env, bool ccm)
{
	struct message msg = {0};
	struct channel c;
	struct buffers m;

	CHECK(buffers_open(&m, 20000));
	msg.m = &m;
	for (int i = 0; i < 300; i++) {
		int encrypt = (int)test_random(2), n, result;

		test_fill(msg.iv, sizeof(msg.iv));
		test_fill(msg.tag, sizeof(msg.tag));
		msg.size = 1 + test_random(5000);
		msg.aad_len = test_random(30);
		CHECK(open_channel(env, &c, ccm, encrypt, test_random(2) ? msg.iv : NULL));
		for (int j = 0; j < 20; j++)
			CHECK(any_call(&c, &msg, encrypt));
		/* After all that, a message as it should be. */
		if (encrypt) {
			CHECK(init(&c.pair, c.key, msg.iv, 1));
			CHECK(!ccm || pair_update(&c.pair, NULL, NULL, &n, NULL, msg.size));
			CHECK(pair_update(&c.pair, m.a, m.b, &n, m.in, msg.size));
			CHECK(pair_final(&c.pair, m.a, m.b, &n, &result));
			CHECK(same_tags(&c.pair, c.tag_len));
		}
		pair_close(&c.pair);
	}
	buffers_close(&m);
	return true;
}

static bool ccm_any_order(const struct env *env)
{
	return any_order(env, true);
}

static bool chacha_any_order(const struct env *env)
{
	return any_order(env, false);
}

/* There and back in one context: OpenSSL compares with the tag that it has made itself. */
static bool chacha_turned_round(const struct env *env)
{
	uint8_t iv[12], forged[16] = {0};
	struct channel c;
	struct buffers m;
	int n, result = 0;

	test_fill(iv, sizeof(iv));
	CHECK(buffers_open(&m, 3000));
	for (int i = 0; i < 6; i++) {
		CHECK(open_channel(env, &c, false, i % 2, iv));
		/* A tag that was given before, or its length, or nothing. */
		if (i > 1)
			CHECK(ctrl(&c.pair, EVP_CTRL_AEAD_SET_TAG, 16, i % 2 ? NULL : forged));
		CHECK(init(&c.pair, NULL, iv, 1));
		CHECK(pair_update(&c.pair, m.a, m.b, &n, m.in, 3000) && n == 3000);
		CHECK(pair_final(&c.pair, m.a, m.b, &n, &result) && result == 1);
		memcpy(m.in, m.a, 3000);
		CHECK(init(&c.pair, NULL, iv, 0));
		CHECK(pair_update(&c.pair, m.a, m.b, &n, m.in, 3000) && n == 3000);
		CHECK(pair_final(&c.pair, m.a, m.b, &n, &result) && result == 1);
		pair_close(&c.pair);
	}
	buffers_close(&m);
	return true;
}

/* Lengths of tag and IV that come after the key, or change, or are none. */
static bool ccm_lengths(const struct env *env)
{
	uint8_t iv[16], tag[16];
	struct channel c;
	struct buffers m;
	int n;

	test_fill(iv, sizeof(iv));
	test_fill(tag, sizeof(tag));
	CHECK(buffers_open(&m, 70000));
	for (int i = 0; i < 100; i++) {
		int encrypt = i % 2;

		CHECK(open_channel(env, &c, true, encrypt, test_random(2) ? iv : NULL));
		for (int j = 0; j < 6; j++) {
			if (test_random(2))
				CHECK(ctrl(&c.pair, EVP_CTRL_AEAD_SET_TAG, (int)test_random(18),
				           encrypt ? NULL : tag));
			if (test_random(2))
				CHECK(ctrl(&c.pair, EVP_CTRL_AEAD_SET_IVLEN,
				           6 + (int)test_random(9), NULL));
			CHECK(init(&c.pair, test_random(2) ? c.key : NULL, iv, encrypt));
			CHECK(pair_update(&c.pair, m.a, m.b, &n, m.in,
			                  test_random(j == 5 ? 70000 : 3000)));
			CHECK(!encrypt || same_tags(&c.pair, 2 + (int)test_random(16)));
		}
		pair_close(&c.pair);
	}
	buffers_close(&m);
	return true;
}

/* As openssl speed has it: no tag is ever asked for. */
static bool ccm_without_tags(const struct env *env)
{
	uint8_t iv[16];
	struct channel c;
	struct buffers m;
	int n, result;

	test_fill(iv, sizeof(iv));
	CHECK(buffers_open(&m, 9000));
	CHECK(open_channel(env, &c, true, 1, iv));
	for (int i = 0; i < 40; i++) {
		size_t size = 1 + test_random(9000);

		iv[0]++;
		CHECK(init(&c.pair, NULL, iv, 1));
		CHECK(pair_update(&c.pair, NULL, NULL, &n, NULL, size));
		CHECK(pair_update(&c.pair, m.a, m.b, &n, m.in, size) && n == (int)size);
		CHECK(pair_final(&c.pair, m.a, m.b, &n, &result));
		if (i % 8 == 7)
			CHECK(same_tags(&c.pair, c.tag_len));
	}
	pair_close(&c.pair);
	buffers_close(&m);
	return true;
}

/* Messages without data, with and without an update that says so. */
static bool ccm_without_data(const struct env *env)
{
	uint8_t iv[16], aad[20];
	struct channel c;
	struct buffers m;
	int n, result;

	test_fill(iv, sizeof(iv));
	test_fill(aad, sizeof(aad));
	CHECK(buffers_open(&m, 100));
	for (int i = 0; i < 40; i++) {
		CHECK(open_channel(env, &c, true, 1, i & 1 ? iv : NULL));
		/* Now and then there was a message before. */
		if (i & 2) {
			CHECK(init(&c.pair, NULL, iv, 1));
			CHECK(pair_update(&c.pair, m.a, m.b, &n, m.in, 100) && n == 100);
			CHECK(pair_final(&c.pair, m.a, m.b, &n, &result) && result == 1);
			CHECK(same_tags(&c.pair, c.tag_len));
		}
		iv[0]++;
		CHECK(init(&c.pair, NULL, iv, 1));
		if (i & 4)
			CHECK(pair_update(&c.pair, NULL, NULL, &n, NULL, 0));
		if ((i & 12) == 12)
			CHECK(pair_update(&c.pair, NULL, NULL, &n, aad, sizeof(aad)));
		if (i & 16)
			CHECK(pair_update(&c.pair, m.a, m.b, &n, m.in, 0));
		CHECK(pair_final(&c.pair, m.a, m.b, &n, &result));
		CHECK(same_tags(&c.pair, c.tag_len));
		pair_close(&c.pair);
	}
	buffers_close(&m);
	return true;
}

const struct test_case ccm_cases[] = {
	{"ccm: messages", ccm_messages},
	{"ccm: any order of calls", ccm_any_order},
	{"ccm: lengths of IV and tag", ccm_lengths},
	{"ccm: without tags", ccm_without_tags},
	{"ccm: without data", ccm_without_data},
	{NULL, NULL},
};

const struct test_case chacha_cases[] = {
	{"chacha20-poly1305: messages", chacha_messages},
	{"chacha20-poly1305: any order of calls", chacha_any_order},
	{"chacha20-poly1305: one context both ways", chacha_turned_round},
	{NULL, NULL},
};
