/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two contexts that must behave alike. See pair.h.
 */
#include "pair.h"

#include <stdlib.h>
#include <string.h>

#define BARE 4096u

/* The ENGINE's, by the older interface. */
static EVP_CIPHER_CTX *open_engine_ctx(const struct env *env, const char *name, int encrypt,
                                       const uint8_t *key, const uint8_t *iv)
{
	const EVP_CIPHER *cipher = EVP_get_cipherbyname(name);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (cipher && EVP_CipherInit_ex(ctx, cipher, env->engine, key, iv, encrypt) == 1 &&
	    !EVP_CIPHER_get0_provider(EVP_CIPHER_CTX_get0_cipher(ctx)))
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

EVP_CIPHER_CTX *open_cipher_ctx(const struct env *env, const char *name, const char *whose,
                                int encrypt, const uint8_t *key, const uint8_t *iv)
{
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx;

	if (env->engine && !strcmp(whose, OURS))
		return open_engine_ctx(env, name, encrypt, key, iv);
	cipher = EVP_CIPHER_fetch(env->libctx, name, whose);
	ctx = EVP_CIPHER_CTX_new();
	if (!cipher || EVP_CipherInit_ex2(ctx, cipher, key, iv, encrypt, NULL) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	EVP_CIPHER_free(cipher);
	return ctx;
}

bool pair_open(const struct env *env, const char *name, struct pair *pair, int encrypt,
               const uint8_t *key, const uint8_t *iv)
{
	pair->ours = open_cipher_ctx(env, name, OURS, encrypt, key, iv);
	pair->theirs = open_cipher_ctx(env, name, THEIRS, encrypt, key, iv);
	CHECK(pair->ours && pair->theirs);
	return true;
}

void pair_close(struct pair *pair)
{
	EVP_CIPHER_CTX_free(pair->ours);
	EVP_CIPHER_CTX_free(pair->theirs);
}

bool pair_update(struct pair *pair, uint8_t *a, uint8_t *b, int *n, const uint8_t *in, size_t size)
{
	int na = -1, nb = -1;
	int ra = EVP_CipherUpdate(pair->ours, a, &na, in, (int)size);
	int rb = EVP_CipherUpdate(pair->theirs, b, &nb, in, (int)size);

	CHECK(ra == rb);
	CHECK(ra != 1 || (na == nb && (!a || !memcmp(a, b, (size_t)na))));
	*n = na;
	return true;
}

bool pair_final(struct pair *pair, uint8_t *a, uint8_t *b, int *n, int *result)
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

/* The one that was given, and the one that the next block is chained to. */
static bool get_ivs(EVP_CIPHER_CTX *ctx, uint8_t iv[2][16])
{
	if (EVP_CIPHER_get0_provider(EVP_CIPHER_CTX_get0_cipher(ctx))) {
		CHECK(EVP_CIPHER_CTX_get_original_iv(ctx, iv[0], 16));
		CHECK(EVP_CIPHER_CTX_get_updated_iv(ctx, iv[1], 16));
		return true;
	}
	memcpy(iv[0], EVP_CIPHER_CTX_original_iv(ctx), 16);
	memcpy(iv[1], EVP_CIPHER_CTX_iv(ctx), 16);
	return true;
}

bool pair_same_ivs(struct pair *pair)
{
	uint8_t a[2][16] = {{0}}, b[2][16] = {{1}};

	CHECK(get_ivs(pair->ours, a) && get_ivs(pair->theirs, b));
	CHECK(!memcmp(a[0], b[0], sizeof(a[0])));
	CHECK(!memcmp(a[1], b[1], sizeof(a[1])));
	return true;
}

bool pair_bare_cipher(const struct env *env, const char *name, size_t least,
                      bool (*same)(struct pair *))
{
	uint8_t key[32], iv[16], a[BARE], b[BARE], in[BARE];
	struct pair pair;

	test_fill(key, sizeof(key));
	test_fill(iv, sizeof(iv));
	test_fill(in, sizeof(in));
	CHECK(pair_open(env, name, &pair, 1, key, iv));
	for (unsigned int size = (unsigned int)least; size <= BARE; size *= 4) {
		int ours = EVP_Cipher(pair.ours, a, in, size);
		int theirs = EVP_Cipher(pair.theirs, b, in, size);

		/* The older interface says no more than that it is done. */
		CHECK(ours == (env->engine ? 1 : theirs));
		CHECK(!memcmp(a, b, size) && same(&pair));
	}
	pair_close(&pair);
	return true;
}

bool buffers_open(struct buffers *m, size_t size)
{
	m->in = malloc(size + 64);
	m->a = malloc(size + 64);
	m->b = malloc(size + 64);
	CHECK(m->in && m->a && m->b);
	test_fill(m->in, size);
	return true;
}

void buffers_close(struct buffers *m)
{
	free(m->in);
	free(m->a);
	free(m->b);
}

bool pair_copy(struct pair *pair)
{
	struct pair copy = {EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_new()};

	CHECK(EVP_CIPHER_CTX_copy(copy.ours, pair->ours));
	CHECK(EVP_CIPHER_CTX_copy(copy.theirs, pair->theirs));
	pair_close(pair);
	*pair = copy;
	return true;
}
