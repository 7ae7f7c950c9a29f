/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys, signatures and decryption through EVP. See cases.h.
 */
#include "cases.h"
#include "rsa_key.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

/* Numbers of each size; objects for each library context. */
static EVP_PKEY *keys_of_env[5];
static unsigned char *encoded[5];
static int encoded_len[5];

void rsa_cases_forget_keys(void)
{
	for (size_t i = 0; i < 5; i++) {
		EVP_PKEY_free(keys_of_env[i]);
		keys_of_env[i] = NULL;
	}
}

/* NULL on failure. The default provider holds them. */
static EVP_PKEY *get_key(const struct env *env, unsigned int bits)
{
	unsigned int i = bits / 1024;
	const unsigned char *p;

	if (!encoded[i]) {
		EVP_PKEY *key = test_rsa_key(env->libctx, bits, 2);

		encoded_len[i] = i2d_PrivateKey(key, &encoded[i]);
		EVP_PKEY_free(key);
	}
	p = encoded[i];
	if (!keys_of_env[i])
		keys_of_env[i] = d2i_PrivateKey_ex(EVP_PKEY_RSA, NULL, &p, encoded_len[i],
		                                   env->libctx, THEIRS);
	return keys_of_env[i];
}

struct signing {
	EVP_PKEY *key;
	const char *md; /* NULL for none */
	int padding, salt;
	const char *mgf1; /* NULL for the same */
};

static bool set_up(EVP_PKEY_CTX *ctx, const struct signing *s)
{
	CHECK(EVP_PKEY_CTX_set_rsa_padding(ctx, s->padding) == 1);
	if (s->padding == RSA_PKCS1_PSS_PADDING) {
		CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, s->salt) == 1);
		if (s->mgf1)
			CHECK(EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, s->mgf1, NULL) == 1);
	}
	return true;
}

static bool digest_sign(const struct env *env, const struct signing *s, const char *whose,
                        const uint8_t *in, size_t size, uint8_t *sig, size_t *sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	size_t half = size / 2, again = *sig_len;
	uint8_t second[512];

	CHECK(EVP_DigestSignInit_ex(ctx, &pctx, s->md, env->libctx, whose, s->key, NULL) == 1);
	CHECK(set_up(pctx, s));
	CHECK(EVP_DigestSignUpdate(ctx, in, half) == 1);
	CHECK(EVP_DigestSignUpdate(ctx, in + half, size - half) == 1);
	CHECK(EVP_DigestSignFinal(ctx, NULL, &again) == 1);
	CHECK(again == (size_t)EVP_PKEY_get_size(s->key));
	CHECK(EVP_DigestSignFinal(ctx, sig, sig_len) == 1);
	/* In streams: what was signed can be signed on. */
	CHECK(EVP_DigestSignFinal(ctx, second, &again) == 1 && again == *sig_len);
	CHECK(s->padding != RSA_PKCS1_PADDING || !memcmp(second, sig, again));
	EVP_MD_CTX_free(ctx);
	return true;
}

static bool digest_verify(const struct env *env, const struct signing *s, const char *whose,
                          const uint8_t *in, size_t size, const uint8_t *sig, size_t sig_len,
                          bool good)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;

	CHECK(EVP_DigestVerifyInit_ex(ctx, &pctx, s->md, env->libctx, whose, s->key, NULL) == 1);
	CHECK(set_up(pctx, s));
	CHECK((EVP_DigestVerify(ctx, sig, sig_len, in, size) == 1) == good);
	EVP_MD_CTX_free(ctx);
	return true;
}

static bool sign_and_verify(const struct env *env, const struct signing *s)
{
	uint8_t in[1000], sig[512], their[512];
	size_t sig_len = sizeof(sig), their_len = sizeof(their);

	test_fill(in, sizeof(in));
	CHECK(digest_sign(env, s, OURS, in, sizeof(in), sig, &sig_len));
	CHECK(digest_sign(env, s, THEIRS, in, sizeof(in), their, &their_len));
	CHECK(sig_len == their_len);
	CHECK(s->padding != RSA_PKCS1_PADDING || !memcmp(sig, their, sig_len));
	CHECK(digest_verify(env, s, THEIRS, in, sizeof(in), sig, sig_len, true));
	CHECK(digest_verify(env, s, OURS, in, sizeof(in), their, sig_len, true));
	in[17] ^= 1;
	CHECK(digest_verify(env, s, OURS, in, sizeof(in), their, sig_len, false));
	return true;
}

static bool sign_pkcs1(const struct env *env)
{
	static const char *const mds[] = {"SHA1",     "SHA224",   "SHA256",     "SHA384", "SHA512",
	                                  "SHA3-256", "SHA3-512", "SHA512-256", "MD5"};
	static const unsigned int bits[] = {1024, 2048, 3072, 4096};

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		struct signing s = {.key = get_key(env, bits[i]), .padding = RSA_PKCS1_PADDING};

		CHECK(s.key);
		for (size_t j = 0; j < (bits[i] == 2048 ? 9 : 3); j++) {
			s.md = mds[j];
			CHECK(sign_and_verify(env, &s));
		}
	}
	return true;
}

static bool sign_pss(const struct env *env)
{
	static const int salts[] = {
		RSA_PSS_SALTLEN_DIGEST, RSA_PSS_SALTLEN_AUTO, RSA_PSS_SALTLEN_MAX, 0, 1, 20, 100};
	static const char *const mds[] = {"SHA256", "SHA384", "SHA1", "SHA512"};
	struct signing s = {.padding = RSA_PKCS1_PSS_PADDING};

	for (size_t i = 0; i < sizeof(salts) / sizeof(salts[0]); i++) {
		s.key = get_key(env, i % 3 == 2 ? 3072 : 2048);
		s.salt = salts[i];
		s.md = mds[i % 4];
		s.mgf1 = i % 2 ? mds[(i + 1) % 4] : NULL;
		CHECK(sign_and_verify(env, &s));
	}
	return true;
}

/* EVP_PKEY_sign: a digest, or anything at all. Both must agree, also on what they refuse. */
static bool sign_bare(const struct env *env)
{
	static const struct {
		const char *md;
		int padding;
		size_t size;
	} list[] = {
		{"SHA256", RSA_PKCS1_PADDING, 32}, {"SHA256", RSA_PKCS1_PADDING, 31},
		{NULL, RSA_PKCS1_PADDING, 36},     {NULL, RSA_PKCS1_PADDING, 245},
		{NULL, RSA_PKCS1_PADDING, 246},    {NULL, RSA_NO_PADDING, 256},
		{NULL, RSA_NO_PADDING, 255},       {"MD5-SHA1", RSA_PKCS1_PADDING, 36},
		{"SHA256", RSA_X931_PADDING, 32},
	};
	EVP_PKEY *key = get_key(env, 2048);
	uint8_t in[256], sig[2][256];

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int result[2];

		test_fill(in, sizeof(in));
		in[0] = 0;
		for (int whose = 0; whose < 2; whose++) {
			EVP_PKEY_CTX *ctx =
				open_pkey_ctx(env, key, whose ? THEIRS : OURS, EVP_PKEY_sign_init);
			size_t n = sizeof(sig[0]);

			CHECK(ctx);
			if (list[i].md) {
				EVP_MD *md = EVP_MD_fetch(env->libctx, list[i].md, THEIRS);

				CHECK(EVP_PKEY_CTX_set_signature_md(ctx, md) == 1);
				EVP_MD_free(md);
			}
			CHECK(EVP_PKEY_CTX_set_rsa_padding(ctx, list[i].padding) == 1);
			result[whose] = EVP_PKEY_sign(ctx, sig[whose], &n, in, list[i].size);
			CHECK(result[whose] != 1 || n == 256);
			EVP_PKEY_CTX_free(ctx);
		}
		CHECK(result[0] == result[1]);
		CHECK(result[0] != 1 || !memcmp(sig[0], sig[1], 256));
	}
	ERR_clear_error();
	return true;
}

/* --------------------------------------------------------------------------------- decryption */

struct decryption {
	int padding;
	const char *md, *mgf1, *label;
};

static bool set_up_decryption(EVP_PKEY_CTX *ctx, const struct decryption *d)
{
	CHECK(EVP_PKEY_CTX_set_rsa_padding(ctx, d->padding) == 1);
	if (d->md)
		CHECK(EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, d->md, NULL) == 1);
	if (d->mgf1)
		CHECK(EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, d->mgf1, NULL) == 1);
	if (d->label)
		CHECK(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_strdup(d->label),
		                                       (int)strlen(d->label)) == 1);
	return true;
}

/* Both decrypt alike, or refuse alike. */
static bool decrypt_alike(const struct env *env, EVP_PKEY *key, const struct decryption *d,
                          const uint8_t *in, size_t in_len, const uint8_t *plain, size_t plain_len)
{
	uint8_t out[2][512];
	size_t n[2] = {sizeof(out[0]), sizeof(out[1])};
	int result[2];

	for (int whose = 0; whose < 2; whose++) {
		EVP_PKEY_CTX *ctx =
			open_pkey_ctx(env, key, whose ? THEIRS : OURS, EVP_PKEY_decrypt_init);

		CHECK(ctx && set_up_decryption(ctx, d));
		result[whose] = EVP_PKEY_decrypt(ctx, out[whose], &n[whose], in, in_len);
		EVP_PKEY_CTX_free(ctx);
	}
	CHECK(result[0] == result[1]);
	CHECK(result[0] != 1 || (n[0] == n[1] && !memcmp(out[0], out[1], n[0])));
	CHECK(!plain || (result[0] == 1 && n[0] == plain_len && !memcmp(out[0], plain, plain_len)));
	return true;
}

static bool decrypt(const struct env *env)
{
	static const struct decryption list[] = {
		{RSA_PKCS1_PADDING, NULL, NULL, NULL},
		{RSA_PKCS1_OAEP_PADDING, NULL, NULL, NULL},
		{RSA_PKCS1_OAEP_PADDING, "SHA256", NULL, NULL},
		{RSA_PKCS1_OAEP_PADDING, "SHA256", "SHA1", "a label"},
		{RSA_PKCS1_OAEP_PADDING, "SHA512", "SHA384", NULL},
		{RSA_NO_PADDING, NULL, NULL, NULL},
	};

	for (unsigned int bits = 1024; bits <= 4096; bits += 1024) {
		EVP_PKEY *key = get_key(env, bits);

		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
			uint8_t in[512], out[512];
			size_t size =
				list[i].padding == RSA_NO_PADDING ? bits / 8 : test_random(62);
			size_t n = sizeof(out);
			EVP_PKEY_CTX *ctx;

			if (bits == 1024 && i == 4)
				continue; /* too small for SHA-512 */
			test_fill(in, sizeof(in));
			in[0] = 0;
			ctx = open_pkey_ctx(env, key, OURS, EVP_PKEY_encrypt_init);
			CHECK(ctx && set_up_decryption(ctx, &list[i]));
			CHECK(EVP_PKEY_encrypt(ctx, out, &n, in, size) == 1 && n == bits / 8);
			EVP_PKEY_CTX_free(ctx);
			CHECK(decrypt_alike(env, key, &list[i], out, n, in, size));
			/* Spoilt, cut short, larger than the modulus. */
			out[n / 2] ^= 1;
			CHECK(decrypt_alike(env, key, &list[i], out, n, NULL, 0));
			CHECK(decrypt_alike(env, key, &list[i], out, n - 1, NULL, 0));
			memset(out, 0xff, n);
			CHECK(decrypt_alike(env, key, &list[i], out, n, NULL, 0));
		}
	}
	ERR_clear_error();
	return true;
}

/* The premaster secret of TLS up to 1.2: whatever is wrong gives 48 random bytes. */
static bool decrypt_tls(const struct env *env)
{
	EVP_PKEY *key = get_key(env, 2048);
	struct decryption d = {RSA_PKCS1_PADDING, NULL, NULL, NULL};
	uint8_t in[48], out[256], back[256];
	unsigned int version = 0x303, other = 0x302;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, &version),
		OSSL_PARAM_construct_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, &other),
		OSSL_PARAM_construct_end(),
	};

	for (int i = 0; i < 5; i++) {
		size_t n = sizeof(out), m = sizeof(back);
		EVP_PKEY_CTX *ctx = open_pkey_ctx(env, key, THEIRS, EVP_PKEY_encrypt_init);
		bool good = i < 2;

		test_fill(in, sizeof(in));
		in[0] = 3;
		in[1] = i == 0 ? 3 : i == 1 ? 2 : i == 2 ? 1 : 3;
		CHECK(ctx && set_up_decryption(ctx, &d));
		CHECK(EVP_PKEY_encrypt(ctx, out, &n, in, i == 3 ? 47 : 48) == 1);
		EVP_PKEY_CTX_free(ctx);
		out[100] ^= i == 4;
		ctx = open_pkey_ctx(env, key, OURS, EVP_PKEY_decrypt_init);
		CHECK(ctx && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_WITH_TLS_PADDING) == 1);
		CHECK(EVP_PKEY_CTX_set_params(ctx, params) == 1);
		CHECK(EVP_PKEY_decrypt(ctx, back, &m, out, n) == 1 && m == 48);
		CHECK(!memcmp(back, in, 48) == good);
		EVP_PKEY_CTX_free(ctx);
	}
	return true;
}

/* --------------------------------------------------------------------------------------- keys */

/* A key that we made is a key for everyone. */
static bool keys(const struct env *env)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(env->libctx, "RSA", OURS);
	EVP_PKEY *key = NULL, *copy, *read = NULL;
	struct signing s = {.md = "SHA256", .padding = RSA_PKCS1_PADDING};
	BIO *bio = BIO_new(BIO_s_mem());

	CHECK(ctx && EVP_PKEY_keygen_init(ctx) == 1);
	CHECK(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1 &&
	      EVP_PKEY_generate(ctx, &key) == 1);
	EVP_PKEY_CTX_free(ctx);
	CHECK(!strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "vcrypto"));
	CHECK(EVP_PKEY_get_bits(key) == 2048 && EVP_PKEY_get_security_bits(key) == 112);
	s.key = key;
	CHECK(sign_and_verify(env, &s));
	copy = EVP_PKEY_dup(key);
	CHECK(copy && EVP_PKEY_eq(copy, key) == 1);
	CHECK(PEM_write_bio_PrivateKey_ex(bio, key, NULL, NULL, 0, NULL, NULL, env->libctx, NULL));
	CHECK(PEM_read_bio_PrivateKey_ex(bio, &read, NULL, NULL, env->libctx, NULL));
	CHECK(EVP_PKEY_eq(read, key) == 1);
	s.key = copy;
	EVP_PKEY_free(key);
	CHECK(sign_and_verify(env, &s));
	ctx = EVP_PKEY_CTX_new_from_pkey(env->libctx, copy, OURS);
	CHECK(EVP_PKEY_check(ctx) == 1);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(copy);
	EVP_PKEY_free(read);
	BIO_free(bio);
	return true;
}

/* RSA-PSS keys, free and bound to a digest and a salt. */
static bool pss_keys(const struct env *env)
{
	for (int bound = 0; bound < 2; bound++) {
		EVP_PKEY_CTX *ctx =
			EVP_PKEY_CTX_new_from_name(env->libctx, "RSA-PSS", bound ? OURS : THEIRS);
		struct signing s = {.md = "SHA256", .padding = RSA_PKCS1_PSS_PADDING, .salt = 32};
		EVP_MD_CTX *md = EVP_MD_CTX_new();
		EVP_PKEY_CTX *pctx = NULL;

		CHECK(ctx && EVP_PKEY_keygen_init(ctx) == 1);
		CHECK(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1);
		if (bound) {
			CHECK(EVP_PKEY_CTX_set_rsa_pss_keygen_md_name(ctx, "SHA256", NULL) == 1);
			CHECK(EVP_PKEY_CTX_set_rsa_pss_keygen_mgf1_md_name(ctx, "SHA256") == 1);
			CHECK(EVP_PKEY_CTX_set_rsa_pss_keygen_saltlen(ctx, 32) == 1);
		}
		CHECK(EVP_PKEY_generate(ctx, &s.key) == 1);
		EVP_PKEY_CTX_free(ctx);
		CHECK(sign_and_verify(env, &s));
		CHECK((EVP_DigestSignInit_ex(md, &pctx, "SHA384", env->libctx, OURS, s.key, NULL) ==
		       1) == !bound);
		EVP_MD_CTX_free(md);
		EVP_PKEY_free(s.key);
	}
	ERR_clear_error();
	return true;
}

/* In DigestSign the digest is fixed; without a key there is nothing. */
static bool rules(const struct env *env)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	EVP_MD *md = EVP_MD_fetch(env->libctx, "SHA512", THEIRS);
	uint8_t sig[256];
	size_t n = 16;

	CHECK(EVP_DigestSignInit_ex(ctx, &pctx, "SHA256", env->libctx, OURS, get_key(env, 2048),
	                            NULL) == 1);
	CHECK(EVP_PKEY_CTX_set_signature_md(pctx, md) != 1);
	CHECK(EVP_DigestSignUpdate(ctx, "x", 1) == 1);
	CHECK(EVP_DigestSignFinal(ctx, sig, &n) != 1); /* no room */
	EVP_MD_free(md);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return true;
}

const struct test_case rsa_cases[] = {
	{"rsa: PKCS#1 signatures", sign_pkcs1},
	{"rsa: PSS signatures", sign_pss},
	{"rsa: bare signatures", sign_bare},
	{"rsa: decryption", decrypt},
	{"rsa: TLS premaster secrets", decrypt_tls},
	{"rsa: keys", keys},
	{"rsa: RSA-PSS keys", pss_keys},
	{"rsa: rules of DigestSign", rules},
	{NULL, NULL},
};
