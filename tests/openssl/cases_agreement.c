/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X25519 and ECDH through EVP, as libssl and others do it: the numbers of RFC 7748, agreement
 * between both providers, keys in all their ways, and peers that mean no good. See cases.h.
 */
#include "cases.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>

#define MAX_SECRET 66

/* Those that are offloaded first. */
static const char *const kinds[] = {"X25519", "P-256", "P-384", "P-521", "secp224r1"};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static EVP_PKEY *make_key(const struct env *env, const char *kind, const char *whose)
{
	EVP_PKEY *key = strcmp(kind, "X25519") != 0
	                        ? EVP_PKEY_Q_keygen(env->libctx, whose, "EC", kind)
	                        : EVP_PKEY_Q_keygen(env->libctx, whose, "X25519");

	if (!key)
		ERR_clear_error();
	return key;
}

/* 1, or what OpenSSL says; *reason: of its error. */
static int derive(const struct env *env, EVP_PKEY *key, EVP_PKEY *peer, const char *whose,
                  uint8_t *secret, size_t *size, int *reason)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(env->libctx, key, whose);
	int rc = -1;

	ERR_clear_error();
	if (ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1)
		rc = EVP_PKEY_derive(ctx, secret, size);
	*reason = ERR_GET_REASON(ERR_peek_error());
	ERR_clear_error();
	EVP_PKEY_CTX_free(ctx);
	return rc;
}

static bool both_say(const struct env *env, EVP_PKEY *key, EVP_PKEY *peer, int wanted)
{
	uint8_t secret[2][MAX_SECRET];
	size_t n[2] = {MAX_SECRET, MAX_SECRET};
	int reason[2], rc[2];

	rc[0] = derive(env, key, peer, OURS, secret[0], &n[0], &reason[0]);
	rc[1] = derive(env, key, peer, THEIRS, secret[1], &n[1], &reason[1]);
	CHECK(rc[0] == rc[1] && rc[0] == wanted && reason[0] == reason[1]);
	CHECK(wanted != 1 || (n[0] == n[1] && !memcmp(secret[0], secret[1], n[0])));
	return true;
}

static void from_hex(const char *hex, uint8_t *out)
{
	for (; *hex; hex += 2)
		sscanf(hex, "%2hhx", out++);
}

static EVP_PKEY *x25519_private(const struct env *env, const char *hex, const char *whose)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(env->libctx, "X25519", whose);
	EVP_PKEY *key = NULL;
	uint8_t number[32];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, number, sizeof(number)),
		OSSL_PARAM_construct_end(),
	};

	from_hex(hex, number);
	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* RFC 7748, 6.1. */
static bool known(const struct env *env)
{
	static const char *const numbers[2] = {
		"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"};
	static const char *const points[2] = {
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"};
	EVP_PKEY *key[2];
	uint8_t wanted[32], got[32];
	size_t n;
	int reason;

	for (int i = 0; i < 2; i++) {
		key[i] = x25519_private(env, numbers[i], OURS);
		CHECK(key[i] && EVP_PKEY_get_raw_public_key(key[i], got, (n = 32, &n)) == 1);
		from_hex(points[i], wanted);
		CHECK(!memcmp(got, wanted, 32));
	}
	from_hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", wanted);
	for (int i = 0; i < 2; i++) {
		n = 32;
		CHECK(derive(env, key[i], key[!i], OURS, got, &n, &reason) == 1 && n == 32);
		CHECK(!memcmp(got, wanted, 32));
	}
	EVP_PKEY_free(key[0]);
	EVP_PKEY_free(key[1]);
	return true;
}

static bool agree(const struct env *env)
{
	for (size_t i = 0; i < KINDS; i++) {
		EVP_PKEY *a = make_key(env, kinds[i], OURS), *b = make_key(env, kinds[i], THEIRS);

		CHECK(a && b);
		CHECK(both_say(env, a, b, 1));
		CHECK(both_say(env, b, a, 1));
		CHECK(both_say(env, a, a, 1));
		EVP_PKEY_free(a);
		EVP_PKEY_free(b);
	}
	return true;
}

/* As libssl does it: an ephemeral key, its parameters for the peer's, points on the wire. */
static bool ephemeral(const struct env *env)
{
	for (size_t i = 0; i < KINDS; i++) {
		EVP_PKEY *mine = make_key(env, kinds[i], OURS);
		EVP_PKEY *theirs = make_key(env, kinds[i], THEIRS), *peer = EVP_PKEY_new();
		uint8_t *point = NULL, *mine_point = NULL;
		size_t size;

		CHECK(mine && theirs && peer);
		size = EVP_PKEY_get1_encoded_public_key(theirs, &point);
		CHECK(size && EVP_PKEY_copy_parameters(peer, mine) == 1);
		CHECK(EVP_PKEY_set1_encoded_public_key(peer, point, size) == 1);
		CHECK(EVP_PKEY_eq(peer, theirs) == 1);
		CHECK(both_say(env, mine, peer, 1));
		/* Not of that length. */
		CHECK(EVP_PKEY_set1_encoded_public_key(peer, point, size - 1) != 1);
		CHECK(EVP_PKEY_get1_encoded_public_key(mine, &mine_point) == size);
		OPENSSL_free(mine_point);
		OPENSSL_free(point);
		EVP_PKEY_free(mine);
		EVP_PKEY_free(theirs);
		EVP_PKEY_free(peer);
		ERR_clear_error();
	}
	return true;
}

/* Points of small order: what comes out would be zero (RFC 7748, section 6.1). */
static bool zero(const struct env *env)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"};
	EVP_PKEY *key = make_key(env, "X25519", OURS);

	CHECK(key);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		uint8_t point[32];
		EVP_PKEY *peer;

		from_hex(points[i], point);
		peer = EVP_PKEY_new_raw_public_key_ex(env->libctx, "X25519", "?" OURS, point, 32);
		CHECK(peer && both_say(env, key, peer, 0));
		EVP_PKEY_free(peer);
	}
	EVP_PKEY_free(key);
	return true;
}

/* Peers of another curve or kind, and keys without a private half. */
static bool strangers(const struct env *env)
{
	EVP_PKEY *p256 = make_key(env, "P-256", OURS), *p384 = make_key(env, "P-384", OURS);
	EVP_PKEY *x = make_key(env, "X25519", OURS), *public;
	EVP_PKEY *rsa = EVP_PKEY_Q_keygen(env->libctx, THEIRS, "RSA", (size_t)1024);
	uint8_t point[32];
	size_t n = sizeof(point);

	CHECK(p256 && p384 && x && rsa);
	CHECK(both_say(env, p256, p384, -1));
	CHECK(both_say(env, p256, x, -1));
	CHECK(both_say(env, x, p256, -1));
	CHECK(both_say(env, x, rsa, -1));
	CHECK(EVP_PKEY_get_raw_public_key(x, point, &n) == 1);
	public = EVP_PKEY_new_raw_public_key_ex(env->libctx, "X25519", "?" OURS, point, n);
	CHECK(public && both_say(env, public, x, 0));
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(x);
	EVP_PKEY_free(public);
	EVP_PKEY_free(rsa);
	ERR_clear_error();
	return true;
}

/* How long the secret is, and no room for it. */
static bool room(const struct env *env)
{
	for (size_t i = 0; i < KINDS; i++) {
		EVP_PKEY *a = make_key(env, kinds[i], OURS), *b = make_key(env, kinds[i], THEIRS);
		size_t n[2] = {0, 0}, small[2];
		uint8_t secret[2][MAX_SECRET];
		int rc[2], reason;

		CHECK(a && b);
		for (int whose = 0; whose < 2; whose++) {
			const char *by = whose ? THEIRS : OURS;

			CHECK(derive(env, a, b, by, NULL, &n[whose], &reason) == 1);
			small[whose] = n[whose] - 1;
			rc[whose] = derive(env, a, b, by, secret[whose], &small[whose], &reason);
		}
		CHECK(n[0] == n[1] && rc[0] == rc[1] && (rc[0] != 1 || small[0] == small[1]));
		EVP_PKEY_free(a);
		EVP_PKEY_free(b);
	}
	return true;
}

/* X25519 keys that we made are keys for everyone; those of EC are with ECDSA's cases. */
static bool keys(const struct env *env)
{
	EVP_PKEY *key = make_key(env, "X25519", OURS), *copy, *read = NULL, *public = NULL;
	EVP_PKEY_CTX *ctx;
	BIO *bio = BIO_new(BIO_s_mem());

	CHECK(key && bio);
	CHECK(!strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "vcrypto"));
	CHECK(EVP_PKEY_get_bits(key) == 253 && EVP_PKEY_get_size(key) == 32);
	copy = EVP_PKEY_dup(key);
	CHECK(copy && EVP_PKEY_eq(copy, key) == 1);
	CHECK(PEM_write_bio_PrivateKey_ex(bio, key, NULL, NULL, 0, NULL, NULL, env->libctx, NULL));
	CHECK(PEM_read_bio_PrivateKey_ex(bio, &read, NULL, NULL, env->libctx, NULL));
	CHECK(EVP_PKEY_eq(read, key) == 1);
	CHECK(PEM_write_bio_PUBKEY_ex(bio, key, env->libctx, NULL));
	CHECK(PEM_read_bio_PUBKEY_ex(bio, &public, NULL, NULL, env->libctx, NULL));
	CHECK(EVP_PKEY_eq(public, key) == 1);
	CHECK(both_say(env, copy, public, 1));
	CHECK(both_say(env, read, copy, 1));
	ctx = EVP_PKEY_CTX_new_from_pkey(env->libctx, copy, OURS);
	CHECK(EVP_PKEY_public_check(ctx) == 1);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	EVP_PKEY_free(copy);
	EVP_PKEY_free(read);
	EVP_PKEY_free(public);
	BIO_free(bio);
	return true;
}

const struct test_case agreement_cases[] = {
	{"agreement", agree},
	{"agreement: known", known},
	{"agreement: ephemeral", ephemeral},
	{"agreement: zero", zero},
	{"agreement: strangers", strangers},
	{"agreement: room", room},
	{"agreement: keys", keys},
	{NULL, NULL},
};
