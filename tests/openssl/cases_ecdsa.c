/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EC keys, ECDSA and ECDH through EVP. See cases.h.
 */
#include "cases.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#define MAX_SIGNATURE 160

/* Those that are offloaded first. */
static const char *const curves[] = {"P-256",     "P-384",     "P-521",
                                     "secp224r1", "secp256k1", "brainpoolP256r1"};
#define CURVES (sizeof(curves) / sizeof(curves[0]))

/* The default provider holds it, as all keys that were read from files. NULL: no such curve. */
static EVP_PKEY *make_key(const struct env *env, const char *curve)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(env->libctx, THEIRS, "EC", curve);

	if (!key)
		ERR_clear_error();
	return key;
}

static bool digest_sign(const struct env *env, EVP_PKEY *key, const char *md, const char *whose,
                        const uint8_t *in, size_t size, uint8_t *sig, size_t *sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *copy = EVP_MD_CTX_new();
	size_t half = size / 2, room = 0, again = MAX_SIGNATURE;
	uint8_t second[MAX_SIGNATURE];

	CHECK(ctx && copy);
	CHECK(EVP_DigestSignInit_ex(ctx, NULL, md, env->libctx, whose, key, NULL) == 1);
	CHECK(EVP_DigestSignUpdate(ctx, in, half) == 1);
	CHECK(EVP_MD_CTX_copy_ex(copy, ctx) == 1);
	CHECK(EVP_DigestSignUpdate(ctx, in + half, size - half) == 1);
	CHECK(EVP_DigestSignFinal(ctx, NULL, &room) == 1);
	CHECK(room == (size_t)EVP_PKEY_get_size(key));
	*sig_len = room;
	CHECK(EVP_DigestSignFinal(ctx, sig, sig_len) == 1 && *sig_len <= room);
	/* The copy goes its own way; nonces differ. */
	CHECK(EVP_DigestSignUpdate(copy, in + half, size - half) == 1);
	CHECK(EVP_DigestSignFinal(copy, second, &again) == 1);
	CHECK(again != *sig_len || memcmp(second, sig, again) != 0);
	EVP_MD_CTX_free(ctx);
	EVP_MD_CTX_free(copy);
	return true;
}

static bool digest_verify(const struct env *env, EVP_PKEY *key, const char *md, const char *whose,
                          const uint8_t *in, size_t size, const uint8_t *sig, size_t sig_len,
                          bool good)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	CHECK(EVP_DigestVerifyInit_ex(ctx, NULL, md, env->libctx, whose, key, NULL) == 1);
	CHECK((EVP_DigestVerify(ctx, sig, sig_len, in, size) == 1) == good);
	EVP_MD_CTX_free(ctx);
	return true;
}

static bool sign_and_verify(const struct env *env, EVP_PKEY *key, const char *md)
{
	uint8_t in[777], sig[MAX_SIGNATURE], their[MAX_SIGNATURE];
	size_t sig_len, their_len;

	test_fill(in, sizeof(in));
	CHECK(digest_sign(env, key, md, OURS, in, sizeof(in), sig, &sig_len));
	CHECK(digest_sign(env, key, md, THEIRS, in, sizeof(in), their, &their_len));
	CHECK(digest_verify(env, key, md, THEIRS, in, sizeof(in), sig, sig_len, true));
	CHECK(digest_verify(env, key, md, OURS, in, sizeof(in), their, their_len, true));
	in[17] ^= 1;
	CHECK(digest_verify(env, key, md, OURS, in, sizeof(in), their, their_len, false));
	return true;
}

static bool sign(const struct env *env)
{
	static const char *const mds[] = {"SHA256", "SHA384",   "SHA512",  "SHA1",
	                                  "SHA224", "SHA3-256", "SHA3-512"};

	for (size_t i = 0; i < CURVES; i++) {
		EVP_PKEY *key = make_key(env, curves[i]);

		CHECK(key || i >= 3);
		for (size_t j = 0; key && j < sizeof(mds) / sizeof(mds[0]); j++)
			CHECK(sign_and_verify(env, key, mds[j]));
		EVP_PKEY_free(key);
	}
	return true;
}

static bool sign_bare_one(const struct env *env, EVP_PKEY *key, const char *md, size_t size)
{
	uint8_t in[300], sig[2][MAX_SIGNATURE];
	size_t n[2] = {MAX_SIGNATURE, MAX_SIGNATURE};
	int result[2];

	test_fill(in, sizeof(in));
	for (int whose = 0; whose < 2; whose++) {
		EVP_PKEY_CTX *ctx =
			open_pkey_ctx(env, key, whose ? THEIRS : OURS, EVP_PKEY_sign_init);

		CHECK(ctx);
		if (md) {
			EVP_MD *fetched = EVP_MD_fetch(env->libctx, md, THEIRS);

			CHECK(EVP_PKEY_CTX_set_signature_md(ctx, fetched) == 1);
			EVP_MD_free(fetched);
		}
		result[whose] = EVP_PKEY_sign(ctx, sig[whose], &n[whose], in, size);
		EVP_PKEY_CTX_free(ctx);
	}
	CHECK(result[0] == result[1]);
	for (int whose = 0; whose < 2 && result[0] == 1; whose++) {
		EVP_PKEY_CTX *ctx =
			open_pkey_ctx(env, key, whose ? OURS : THEIRS, EVP_PKEY_verify_init);

		CHECK(ctx && EVP_PKEY_verify(ctx, sig[whose], n[whose], in, size) == 1);
		EVP_PKEY_CTX_free(ctx);
	}
	return true;
}

/* EVP_PKEY_sign: anything at all, cut to the order. Both must agree, also on what they refuse. */
static bool sign_bare(const struct env *env)
{
	static const size_t sizes[] = {0, 1, 20, 31, 32, 33, 47, 48, 49, 64, 65, 66, 67, 128, 300};

	for (size_t i = 0; i < 4; i++) {
		EVP_PKEY *key = make_key(env, curves[i]);

		CHECK(key);
		for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++)
			CHECK(sign_bare_one(env, key, NULL, sizes[j]));
		for (size_t size = 31; size <= 33; size++)
			CHECK(sign_bare_one(env, key, "SHA256", size));
		EVP_PKEY_free(key);
	}
	ERR_clear_error();
	return true;
}

/* ---------------------------------------------------------------------------------------- ECDH */

static bool derive(const struct env *env, EVP_PKEY *key, EVP_PKEY *peer, const char *whose,
                   bool kdf, uint8_t *secret, size_t *size)
{
	EVP_PKEY_CTX *ctx = open_pkey_ctx(env, key, whose, EVP_PKEY_derive_init);
	char kind[] = OSSL_KDF_NAME_X963KDF, md[] = "SHA256";
	size_t length = 48;
	int cofactor = 1;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, &cofactor),
		OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, kind, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, md, 0),
		OSSL_PARAM_construct_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, &length),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *copy;

	CHECK(ctx && EVP_PKEY_derive_set_peer(ctx, peer) == 1);
	CHECK(!kdf || EVP_PKEY_CTX_set_params(ctx, params) == 1);
	copy = EVP_PKEY_CTX_dup(ctx);
	CHECK(copy);
	EVP_PKEY_CTX_free(ctx);
	CHECK(EVP_PKEY_derive(copy, secret, size) == 1);
	EVP_PKEY_CTX_free(copy);
	return true;
}

/* Whoever makes the key, whoever derives. */
static bool ecdh(const struct env *env)
{
	for (size_t i = 0; i < 4; i++) {
		EVP_PKEY *a = EVP_PKEY_Q_keygen(env->libctx, OURS, "EC", curves[i]);
		EVP_PKEY *b = make_key(env, curves[i]), *other = make_key(env, curves[(i + 1) % 4]);
		EVP_PKEY_CTX *ctx;

		CHECK(a && b && other);
		for (int kdf = 0; kdf < 2; kdf++) {
			uint8_t secret[4][80];
			size_t n[4] = {80, 80, 80, 80};

			CHECK(derive(env, a, b, OURS, kdf, secret[0], &n[0]));
			CHECK(derive(env, b, a, OURS, kdf, secret[1], &n[1]));
			CHECK(derive(env, a, b, THEIRS, kdf, secret[2], &n[2]));
			CHECK(derive(env, b, a, "?" OURS, kdf, secret[3], &n[3]));
			for (int j = 1; j < 4; j++)
				CHECK(n[j] == n[0] && !memcmp(secret[j], secret[0], n[0]));
		}
		ctx = open_pkey_ctx(env, a, OURS, EVP_PKEY_derive_init);
		CHECK(ctx && EVP_PKEY_derive_set_peer(ctx, other) != 1);
		EVP_PKEY_CTX_free(ctx);
		EVP_PKEY_free(a);
		EVP_PKEY_free(b);
		EVP_PKEY_free(other);
	}
	ERR_clear_error();
	return true;
}

/* As libssl does it: an ephemeral key, its parameters for the peer's, points on the wire. */
static bool ecdhe(const struct env *env)
{
	EVP_PKEY *mine = EVP_PKEY_Q_keygen(env->libctx, OURS, "EC", "P-256");
	EVP_PKEY *theirs = make_key(env, "P-256"), *peer = EVP_PKEY_new();
	uint8_t *point = NULL, secret[2][32];
	size_t n[2] = {32, 32}, size;

	CHECK(mine && theirs && peer);
	size = EVP_PKEY_get1_encoded_public_key(theirs, &point);
	CHECK(size == 65 && EVP_PKEY_copy_parameters(peer, mine) == 1);
	CHECK(EVP_PKEY_set1_encoded_public_key(peer, point, size) == 1);
	CHECK(EVP_PKEY_eq(peer, theirs) == 1);
	CHECK(derive(env, mine, peer, "?" OURS, false, secret[0], &n[0]));
	CHECK(derive(env, theirs, mine, THEIRS, false, secret[1], &n[1]));
	CHECK(n[0] == n[1] && !memcmp(secret[0], secret[1], n[0]));
	point[40] ^= 1; /* not on the curve any more */
	CHECK(EVP_PKEY_set1_encoded_public_key(peer, point, size) != 1);
	OPENSSL_free(point);
	EVP_PKEY_free(mine);
	EVP_PKEY_free(theirs);
	EVP_PKEY_free(peer);
	ERR_clear_error();
	return true;
}

/* --------------------------------------------------------------------------------------- keys */

static EVP_PKEY *from_template(const struct env *env, const char *curve)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(env->libctx, "EC", OURS);
	EVP_PKEY *params = NULL, *key = NULL;

	if (ctx && EVP_PKEY_paramgen_init(ctx) == 1 && EVP_PKEY_CTX_set_group_name(ctx, curve) == 1)
		EVP_PKEY_paramgen(ctx, &params);
	EVP_PKEY_CTX_free(ctx);
	ctx = params ? EVP_PKEY_CTX_new_from_pkey(env->libctx, params, OURS) : NULL;
	if (ctx && EVP_PKEY_keygen_init(ctx) == 1)
		EVP_PKEY_keygen(ctx, &key);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(params);
	return key;
}

/* A key that we made is a key for everyone. */
static bool keys(const struct env *env)
{
	for (size_t i = 0; i < 4; i++) {
		EVP_PKEY *key = from_template(env, curves[i]), *copy, *read = NULL;
		BIO *bio = BIO_new(BIO_s_mem());
		EVP_PKEY_CTX *ctx;

		CHECK(key);
		CHECK(!strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "vcrypto"));
		CHECK(sign_and_verify(env, key, "SHA256"));
		copy = EVP_PKEY_dup(key);
		CHECK(copy && EVP_PKEY_eq(copy, key) == 1);
		CHECK(PEM_write_bio_PrivateKey_ex(bio, key, NULL, NULL, 0, NULL, NULL, env->libctx,
		                                  NULL));
		CHECK(PEM_read_bio_PrivateKey_ex(bio, &read, NULL, NULL, env->libctx, NULL));
		CHECK(EVP_PKEY_eq(read, key) == 1);
		EVP_PKEY_free(key);
		CHECK(sign_and_verify(env, copy, "SHA384"));
		CHECK(sign_and_verify(env, read, "SHA256"));
		ctx = EVP_PKEY_CTX_new_from_pkey(env->libctx, copy, OURS);
		CHECK(EVP_PKEY_check(ctx) == 1 && EVP_PKEY_public_check(ctx) == 1 &&
		      EVP_PKEY_param_check(ctx) == 1);
		EVP_PKEY_CTX_free(ctx);
		EVP_PKEY_free(copy);
		EVP_PKEY_free(read);
		BIO_free(bio);
	}
	return true;
}

static EVP_PKEY *with_encoding(const struct env *env, const char *whose, const char *encoding,
                               const char *format)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(env->libctx, "EC", whose);
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"P-256", 0),
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, (char *)encoding, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
	                                         (char *)format, 0),
		OSSL_PARAM_construct_end(),
	};

	if (ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_params(ctx, params) == 1)
		EVP_PKEY_generate(ctx, &key);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* Explicit parameters and compressed points stay what they are, in keys and on paper. */
static bool encodings(const struct env *env)
{
	static const char *const list[][2] = {{"named_curve", "compressed"},
	                                      {"explicit", "uncompressed"},
	                                      {"explicit", "hybrid"}};

	for (size_t i = 0; i < 3; i++) {
		EVP_PKEY *key = with_encoding(env, OURS, list[i][0], list[i][1]), *back;
		EVP_PKEY *their = with_encoding(env, THEIRS, list[i][0], list[i][1]);
		unsigned char *der = NULL, *their_der = NULL;
		const unsigned char *p;
		int n, m;

		CHECK(key && their);
		CHECK(sign_and_verify(env, key, "SHA256"));
		CHECK(sign_and_verify(env, their, "SHA256"));
		n = i2d_PUBKEY(key, &der);
		m = i2d_PUBKEY(their, &their_der);
		CHECK(n > 0 && m > 0);
		/* All but the point is alike. (A key that was made with compressed points is
		 * written with such only when it has moved from one provider to another.) */
		CHECK(i == 0 || (n == m && !memcmp(der, their_der, (size_t)n - 66)));
		p = der;
		back = d2i_PUBKEY_ex(NULL, &p, n, env->libctx, "?" OURS);
		CHECK(back && EVP_PKEY_eq(back, key) == 1);
		EVP_PKEY_free(back);
		OPENSSL_free(der);
		OPENSSL_free(their_der);
		EVP_PKEY_free(key);
		EVP_PKEY_free(their);
	}
	return true;
}

/* -------------------------------------------------------------------------------------- rules */

/* In DigestSign the digest is fixed, and its size; without room or key there is nothing. */
static bool rules(const struct env *env)
{
	EVP_PKEY *key = make_key(env, "P-384");
	EVP_MD *md = EVP_MD_fetch(env->libctx, "SHA512", THEIRS);
	uint8_t sig[MAX_SIGNATURE];
	size_t n = 16, wrong = 20;
	int shake[2];
	OSSL_PARAM size[] = {
		OSSL_PARAM_construct_size_t(OSSL_SIGNATURE_PARAM_DIGEST_SIZE, &wrong),
		OSSL_PARAM_construct_end(),
	};

	for (int whose = 0; whose < 2; whose++) {
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY_CTX *pctx = NULL;

		CHECK(EVP_DigestSignInit_ex(ctx, &pctx, "SHA256", env->libctx,
		                            whose ? THEIRS : OURS, key, NULL) == 1);
		CHECK(EVP_PKEY_CTX_set_signature_md(pctx, md) != 1);
		CHECK(EVP_PKEY_CTX_set_params(pctx, size) != 1);
		CHECK(EVP_DigestSignUpdate(ctx, "x", 1) == 1);
		CHECK(EVP_DigestSignFinal(ctx, sig, &n) != 1);
		EVP_MD_CTX_free(ctx);
		/* Whether that may be depends on the version. */
		ctx = EVP_MD_CTX_new();
		shake[whose] = EVP_DigestSignInit_ex(ctx, NULL, "SHAKE128", env->libctx,
		                                     whose ? THEIRS : OURS, key, NULL);
		EVP_MD_CTX_free(ctx);
	}
	CHECK(shake[0] == shake[1]);
	EVP_MD_free(md);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return true;
}

static bool sign_with_nonce(const struct env *env, EVP_PKEY *key, const char *whose,
                            unsigned int kind, uint8_t *sig, size_t *n, bool *known)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint("nonce-type", &kind),
		OSSL_PARAM_construct_end(),
	};

	*n = MAX_SIGNATURE;
	CHECK(EVP_DigestSignInit_ex(ctx, &pctx, "SHA256", env->libctx, whose, key, NULL) == 1);
	*known = OSSL_PARAM_locate_const(EVP_PKEY_CTX_settable_params(pctx), "nonce-type") != NULL;
	if (*known)
		CHECK(EVP_PKEY_CTX_set_params(pctx, params) == 1);
	CHECK(EVP_DigestSign(ctx, sig, n, (const uint8_t *)"text", 4) == 1);
	EVP_MD_CTX_free(ctx);
	return true;
}

/* From OpenSSL 3.2 on a nonce may be wanted that follows from key and digest. */
static bool nonces(const struct env *env)
{
	EVP_PKEY *key = make_key(env, "P-256");
	uint8_t sig[2][MAX_SIGNATURE];
	bool known[2];
	size_t n[2];

	for (unsigned int kind = 0; kind < 2; kind++) {
		bool same;

		CHECK(sign_with_nonce(env, key, OURS, kind, sig[0], &n[0], &known[0]));
		CHECK(sign_with_nonce(env, key, THEIRS, kind, sig[1], &n[1], &known[1]));
		CHECK(known[0] == known[1]);
		same = n[0] == n[1] && !memcmp(sig[0], sig[1], n[0]);
		CHECK(same == (known[0] && kind == 1));
	}
	EVP_PKEY_free(key);
	return true;
}

/* The identifier that goes into certificates. */
static bool identifiers(const struct env *env)
{
	EVP_PKEY *key = make_key(env, "P-256");
	uint8_t aid[2][64];
	size_t n[2];

	for (int whose = 0; whose < 2; whose++) {
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY_CTX *pctx = NULL;
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID,
		                                          aid[whose], sizeof(aid[whose])),
			OSSL_PARAM_construct_end(),
		};

		CHECK(EVP_DigestSignInit_ex(ctx, &pctx, "SHA384", env->libctx,
		                            whose ? THEIRS : OURS, key, NULL) == 1);
		CHECK(EVP_PKEY_CTX_get_params(pctx, params) == 1);
		n[whose] = params[0].return_size;
		EVP_MD_CTX_free(ctx);
	}
	CHECK(n[0] > 4 && n[0] == n[1] && !memcmp(aid[0], aid[1], n[0]));
	EVP_PKEY_free(key);
	return true;
}

const struct test_case ecdsa_cases[] = {
	{"ecdsa: signatures", sign},
	{"ecdsa: bare signatures", sign_bare},
	{"ecdsa: keys", keys},
	{"ecdsa: encodings of keys", encodings},
	{"ecdsa: rules of DigestSign", rules},
	{"ecdsa: nonces", nonces},
	{"ecdsa: identifiers", identifiers},
	{"ecdh: secrets", ecdh},
	{"ecdh: keys of TLS", ecdhe},
	{NULL, NULL},
};
