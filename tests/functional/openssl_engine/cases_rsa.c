/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA objects with the ENGINE's method, and the same numbers with OpenSSL's own: the same results,
 * and the same refusals. See cases_engine.h.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include "cases_engine.h"
#include "rsa_key.h"

#define MAX_SIZE 640
#define SIZES 5
#define MULTI 5 /* of three primes */

static unsigned char *encoded[SIZES + 1];
static int encoded_len[SIZES + 1];

void engine_rsa_cases_forget_keys(void)
{
	for (int i = 0; i <= SIZES; i++) {
		OPENSSL_free(encoded[i]);
		encoded[i] = NULL;
	}
}

static bool encode(unsigned int i, unsigned int bits, unsigned int primes)
{
	EVP_PKEY *key = test_rsa_key(NULL, bits, primes);

	CHECK(key);
	encoded_len[i] = i2d_PrivateKey(key, &encoded[i]);
	EVP_PKEY_free(key);
	CHECK(encoded_len[i] > 0);
	return true;
}

struct rsa_pair {
	RSA *ours, *theirs;
	int size;
};

/* i: bits / 1024, or MULTI. */
static bool open_pair(const struct env *env, unsigned int i, struct rsa_pair *pair)
{
	const unsigned char *p;

	if (!encoded[i])
		CHECK(encode(i, i == MULTI ? 2048 : i * 1024, i == MULTI ? 3 : 2));
	p = encoded[i];
	pair->theirs = d2i_RSAPrivateKey(NULL, &p, encoded_len[i]);
	p = encoded[i];
	pair->ours = d2i_RSAPrivateKey(NULL, &p, encoded_len[i]);
	CHECK(pair->ours && pair->theirs);
	CHECK(ENGINE_init(env->engine));
	CHECK(RSA_set_method(pair->ours, ENGINE_get_RSA(env->engine)));
	CHECK(RSA_set_method(pair->theirs, RSA_PKCS1_OpenSSL()));
	pair->size = RSA_size(pair->ours);
	return true;
}

static void close_pair(const struct env *env, struct rsa_pair *pair)
{
	RSA_free(pair->ours);
	RSA_free(pair->theirs);
	ENGINE_finish(env->engine);
}

/* ------------------------------------------------------------------------------------- signing */

static bool sign_alike(const struct rsa_pair *pair, int padding, const uint8_t *in, int size)
{
	uint8_t a[MAX_SIZE] = {0}, b[MAX_SIZE] = {1}, c[MAX_SIZE];
	int na = RSA_private_encrypt(size, in, a, pair->ours, padding);
	int nb = RSA_private_encrypt(size, in, b, pair->theirs, padding);

	CHECK(na == nb && (na < 0 || (na == pair->size && !memcmp(a, b, (size_t)na))));
	if (na < 0)
		return true;
	CHECK(RSA_public_decrypt(na, a, c, pair->theirs, padding) == size &&
	      !memcmp(c, in, (size_t)size));
	/* In place. */
	memcpy(c, in, (size_t)size);
	CHECK(RSA_private_encrypt(size, c, c, pair->ours, padding) == na);
	CHECK(!memcmp(a, c, (size_t)na));
	return true;
}

static bool sign_paddings(const struct env *env)
{
	uint8_t in[MAX_SIZE];

	for (unsigned int i = 1; i <= MULTI; i++) {
		struct rsa_pair pair;

		CHECK(open_pair(env, i, &pair));
		test_fill(in, sizeof(in));
		in[0] = 0;
		CHECK(sign_alike(&pair, RSA_PKCS1_PADDING, in, 36));
		CHECK(sign_alike(&pair, RSA_PKCS1_PADDING, in, 0));
		CHECK(sign_alike(&pair, RSA_PKCS1_PADDING, in, pair.size - 11));
		CHECK(sign_alike(&pair, RSA_PKCS1_PADDING, in, pair.size - 10));
		CHECK(sign_alike(&pair, RSA_NO_PADDING, in, pair.size));
		CHECK(sign_alike(&pair, RSA_NO_PADDING, in, pair.size - 1));
		for (int k = 1; k < 20; k++)
			CHECK(sign_alike(&pair, RSA_X931_PADDING, in + k, 33 + k));
		CHECK(sign_alike(&pair, RSA_X931_PADDING, in, pair.size));
		CHECK(sign_alike(&pair, RSA_PKCS1_OAEP_PADDING, in, 20));
		in[0] = 0xff;
		memset(in + 1, 0xff, 20); /* above the modulus */
		CHECK(sign_alike(&pair, RSA_NO_PADDING, in, pair.size));
		ERR_clear_error();
		close_pair(env, &pair);
	}
	return true;
}

static bool sign_digests(const struct env *env)
{
	static const int mds[] = {NID_md5_sha1, NID_sha1,   NID_sha256,
	                          NID_sha384,   NID_sha512, NID_sha3_256};
	static const int sizes[] = {36, 20, 32, 48, 64, 32};
	struct rsa_pair pair;
	uint8_t in[64], a[MAX_SIZE], b[MAX_SIZE];
	unsigned int na, nb;

	CHECK(open_pair(env, 2, &pair));
	for (int i = 0; i < 6; i++) {
		unsigned int size = (unsigned int)sizes[i];

		test_fill(in, sizeof(in));
		na = nb = 0;
		CHECK(RSA_sign(mds[i], in, size, a, &na, pair.ours) == 1);
		CHECK(RSA_sign(mds[i], in, size, b, &nb, pair.theirs) == 1);
		CHECK(na == nb && !memcmp(a, b, na));
		CHECK(RSA_verify(mds[i], in, size, a, na, pair.ours) == 1);
		a[100] ^= 1;
		CHECK(RSA_verify(mds[i], in, size, a, na, pair.ours) != 1);
	}
	ERR_clear_error();
	close_pair(env, &pair);
	return true;
}

static bool sign_pss(const struct env *env)
{
	const EVP_MD *md = EVP_sha256();
	struct rsa_pair pair;
	uint8_t in[32], block[MAX_SIZE], sig[MAX_SIZE];

	CHECK(open_pair(env, 3, &pair));
	for (int salt = 0; salt < 40; salt += 8) {
		test_fill(in, sizeof(in));
		CHECK(RSA_padding_add_PKCS1_PSS(pair.ours, block, in, md, salt) == 1);
		CHECK(RSA_private_encrypt(pair.size, block, sig, pair.ours, RSA_NO_PADDING) ==
		      pair.size);
		CHECK(RSA_public_decrypt(pair.size, sig, block, pair.theirs, RSA_NO_PADDING) ==
		      pair.size);
		CHECK(RSA_verify_PKCS1_PSS(pair.theirs, in, md, block, salt) == 1);
	}
	close_pair(env, &pair);
	return true;
}

/* ---------------------------------------------------------------------------------- decryption */

static bool decrypt_alike(const struct rsa_pair *pair, int padding, const uint8_t *in, int size,
                          const uint8_t *plain, int plain_len)
{
	uint8_t a[MAX_SIZE] = {0}, b[MAX_SIZE] = {0};
	int na = RSA_private_decrypt(size, in, a, pair->ours, padding);
	int nb = RSA_private_decrypt(size, in, b, pair->theirs, padding);

	CHECK(na == nb && (na < 0 || !memcmp(a, b, (size_t)na)));
	CHECK(!plain || (na == plain_len && !memcmp(a, plain, (size_t)na)));
	return true;
}

static bool decrypt(const struct env *env)
{
	static const int paddings[] = {RSA_PKCS1_PADDING, RSA_PKCS1_OAEP_PADDING, RSA_NO_PADDING,
	                               RSA_X931_PADDING};

	for (unsigned int i = 1; i <= MULTI; i++) {
		struct rsa_pair pair;

		CHECK(open_pair(env, i, &pair));
		for (int k = 0; k < 4; k++) {
			uint8_t in[MAX_SIZE], out[MAX_SIZE];
			int padding = paddings[k];
			int size = padding == RSA_NO_PADDING ? pair.size : (int)test_random(60);

			test_fill(in, sizeof(in));
			in[0] = 0;
			if (padding == RSA_X931_PADDING)
				memcpy(out, in, sizeof(out));
			else
				CHECK(RSA_public_encrypt(size, in, out, pair.ours, padding) ==
				      pair.size);
			CHECK(decrypt_alike(&pair, padding, out, pair.size,
			                    padding == RSA_X931_PADDING ? NULL : in, size));
			/* Spoilt, cut short, larger than the modulus. */
			out[pair.size / 2] ^= 1;
			CHECK(decrypt_alike(&pair, padding, out, pair.size, NULL, 0));
			CHECK(decrypt_alike(&pair, padding, out, pair.size - 1, NULL, 0));
			memset(out, 0xff, (size_t)pair.size);
			CHECK(decrypt_alike(&pair, padding, out, pair.size, NULL, 0));
		}
		ERR_clear_error();
		close_pair(env, &pair);
	}
	return true;
}

/* ---------------------------------------------------------------------------------------- keys */

static bool replace_numbers(RSA *to, const RSA *from)
{
	return RSA_set0_key(to, BN_dup(RSA_get0_n(from)), BN_dup(RSA_get0_e(from)),
	                    BN_dup(RSA_get0_d(from))) &&
	       RSA_set0_factors(to, BN_dup(RSA_get0_p(from)), BN_dup(RSA_get0_q(from))) &&
	       RSA_set0_crt_params(to, BN_dup(RSA_get0_dmp1(from)), BN_dup(RSA_get0_dmq1(from)),
	                           BN_dup(RSA_get0_iqmp(from)));
}

/* Other numbers in an object that has signed: it must not go on with the old ones. (OpenSSL's own
 * does in part, in its caches.) */
static bool changed_numbers(const struct env *env)
{
	struct rsa_pair old, new;
	uint8_t in[36], out[MAX_SIZE];

	test_fill(in, sizeof(in));
	CHECK(open_pair(env, 2, &old) && open_pair(env, 3, &new));
	CHECK(sign_alike(&old, RSA_PKCS1_PADDING, in, 36));
	CHECK(replace_numbers(old.ours, new.theirs));
	CHECK(RSA_private_encrypt(36, in, out, old.ours, RSA_PKCS1_PADDING) != old.size);
	ERR_clear_error();
	close_pair(env, &old);
	close_pair(env, &new);
	return true;
}

/* Public keys, and objects without any numbers, come and go. */
static bool other_keys(const struct env *env)
{
	struct rsa_pair pair;
	uint8_t in[36], out[MAX_SIZE];
	RSA *rsa;

	test_fill(in, sizeof(in));
	CHECK(open_pair(env, 2, &pair));
	rsa = RSA_new_method(env->engine);
	CHECK(rsa && RSA_get_method(rsa) == ENGINE_get_RSA(env->engine));
	RSA_free(rsa);
	rsa = RSA_new_method(env->engine);
	CHECK(RSA_set0_key(rsa, BN_dup(RSA_get0_n(pair.ours)), BN_dup(RSA_get0_e(pair.ours)),
	                   NULL));
	CHECK(RSA_public_encrypt(36, in, out, rsa, RSA_PKCS1_PADDING) == 256);
	CHECK(decrypt_alike(&pair, RSA_PKCS1_PADDING, out, 256, in, 36));
	CHECK(RSA_private_encrypt(36, in, out, rsa, RSA_PKCS1_PADDING) < 0);
	/* Without the factors: software. */
	CHECK(RSA_set0_key(rsa, NULL, NULL, BN_dup(RSA_get0_d(pair.ours))));
	RSA_free(pair.ours);
	pair.ours = rsa;
	CHECK(sign_alike(&pair, RSA_PKCS1_PADDING, in, 36));
	ERR_clear_error();
	close_pair(env, &pair);
	return true;
}

/* OpenSSL copies no objects of a method like ours, but makes copies that have it. */
static bool copies(const struct env *env)
{
	EVP_PKEY *key = EVP_PKEY_new(), *copy;
	struct rsa_pair pair;
	uint8_t in[36];

	test_fill(in, sizeof(in));
	CHECK(open_pair(env, 2, &pair));
	CHECK(sign_alike(&pair, RSA_PKCS1_PADDING, in, 36));
	CHECK(key && EVP_PKEY_set1_RSA(key, pair.theirs));
	CHECK(ENGINE_set_default_RSA(env->engine));
	copy = EVP_PKEY_dup(key);
	ENGINE_unregister_RSA(env->engine);
	CHECK(copy);
	RSA_free(pair.ours);
	EVP_PKEY_free(key);
	pair.ours = EVP_PKEY_get1_RSA(copy);
	CHECK(RSA_get_method(pair.ours) == ENGINE_get_RSA(env->engine));
	CHECK(sign_alike(&pair, RSA_PKCS1_PADDING, in, 36));
	EVP_PKEY_free(copy);
	CHECK(sign_alike(&pair, RSA_PKCS1_PADDING, in, 36));
	close_pair(env, &pair);
	return true;
}

const struct test_case engine_rsa_cases[] = {
	{"rsa: signatures, every padding", sign_paddings},
	{"rsa: signatures of digests", sign_digests},
	{"rsa: PSS signatures", sign_pss},
	{"rsa: decryption, every padding", decrypt},
	{"rsa: numbers that change", changed_numbers},
	{"rsa: keys without everything", other_keys},
	{"rsa: copies", copies},
	{NULL, NULL},
};
