/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EC_KEY objects with the ENGINE's method: OpenSSL's own verifies what they sign. See
 * cases_engine.h.
 */
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "cases_engine.h"

#define MAX_SIGNATURE 160

/* Those that are offloaded first. */
static const int curves[] = {NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1, NID_secp224r1,
                             NID_secp256k1};
#define CURVES ((int)(sizeof(curves) / sizeof(curves[0])))

static EC_KEY *make_key(const struct env *env, int nid)
{
	EC_KEY *key = EC_KEY_new_method(env->engine);
	EC_GROUP *group = EC_GROUP_new_by_curve_name(nid);

	if (!key || !group || !EC_KEY_set_group(key, group) || !EC_KEY_generate_key(key)) {
		EC_KEY_free(key);
		key = NULL;
	}
	EC_GROUP_free(group);
	return key;
}

/* The same public key with OpenSSL's own method. */
static EC_KEY *public_of(const EC_KEY *key)
{
	EC_KEY *public = EC_KEY_new();

	if (public && (!EC_KEY_set_method(public, EC_KEY_OpenSSL()) ||
	               !EC_KEY_set_group(public, EC_KEY_get0_group(key)) ||
	               !EC_KEY_set_public_key(public, EC_KEY_get0_public_key(key)))) {
		EC_KEY_free(public);
		return NULL;
	}
	return public;
}

static bool sign_once(EC_KEY *key, const uint8_t *digest, int size)
{
	uint8_t sig[MAX_SIGNATURE], spoilt[64];
	EC_KEY *public = public_of(key);
	unsigned int n = sizeof(sig);
	ECDSA_SIG *numbers;

	CHECK(public && ECDSA_size(key) <= MAX_SIGNATURE);
	CHECK(ECDSA_sign(0, digest, size, sig, &n, key) == 1 && n <= (unsigned int)ECDSA_size(key));
	CHECK(ECDSA_verify(0, digest, size, sig, (int)n, public) == 1);
	CHECK(ECDSA_verify(0, digest, size, sig, (int)n, key) == 1);
	numbers = ECDSA_do_sign(digest, size, key);
	CHECK(numbers && ECDSA_do_verify(digest, size, numbers, public) == 1);
	memcpy(spoilt, digest, (size_t)size);
	spoilt[0] ^= 1;
	CHECK(ECDSA_do_verify(spoilt, size, numbers, public) != 1);
	ECDSA_SIG_free(numbers);
	EC_KEY_free(public);
	return true;
}

static bool sign(const struct env *env)
{
	static const int sizes[] = {20, 28, 32, 48, 64, 1};
	uint8_t digest[64];

	for (int i = 0; i < CURVES; i++) {
		EC_KEY *key = make_key(env, curves[i]);

		CHECK(key);
		for (int k = 0; k < 6; k++) {
			test_fill(digest, sizeof(digest));
			CHECK(sign_once(key, digest, sizes[k]));
		}
		EC_KEY_free(key);
	}
	return true;
}

/* The caller's own nonce is used, and so the signature is known beforehand in part. */
static bool given_nonces(const struct env *env)
{
	uint8_t digest[32], sig[MAX_SIGNATURE];
	const unsigned char *p = sig;

	for (int i = 0; i < 3; i++) {
		EC_KEY *key = make_key(env, curves[i]);
		BIGNUM *kinv = NULL, *r = NULL;
		unsigned int n = sizeof(sig);
		ECDSA_SIG *numbers;

		test_fill(digest, sizeof(digest));
		CHECK(key && ECDSA_sign_setup(key, NULL, &kinv, &r) == 1);
		CHECK(ECDSA_sign_ex(0, digest, 32, sig, &n, kinv, r, key) == 1);
		p = sig;
		numbers = d2i_ECDSA_SIG(NULL, &p, (long)n);
		CHECK(numbers && !BN_cmp(ECDSA_SIG_get0_r(numbers), r));
		CHECK(ECDSA_do_verify(digest, 32, numbers, key) == 1);
		ECDSA_SIG_free(numbers);
		BN_free(kinv);
		BN_free(r);
		EC_KEY_free(key);
	}
	return true;
}

/* Copies, other numbers, and other curves in one object, each time after it has signed. */
static bool changed_keys(const struct env *env)
{
	EC_KEY *key = make_key(env, NID_secp384r1), *other = make_key(env, NID_secp384r1), *copy;
	uint8_t digest[48];

	test_fill(digest, sizeof(digest));
	CHECK(key && other && sign_once(key, digest, 48) && sign_once(other, digest, 48));
	copy = EC_KEY_dup(key);
	CHECK(copy && EC_KEY_get_method(copy) == ENGINE_get_EC(env->engine));
	CHECK(sign_once(copy, digest, 48));
	/* Into one that was OpenSSL's, and into one that has signed. */
	EC_KEY_free(copy);
	copy = EC_KEY_new();
	CHECK(copy && EC_KEY_set_method(copy, EC_KEY_OpenSSL()) && EC_KEY_copy(copy, key));
	CHECK(sign_once(copy, digest, 48));
	CHECK(EC_KEY_copy(copy, other) && sign_once(copy, digest, 48));
	CHECK(!EC_POINT_cmp(EC_KEY_get0_group(copy), EC_KEY_get0_public_key(copy),
	                    EC_KEY_get0_public_key(other), NULL));
	CHECK(EC_KEY_set_private_key(key, EC_KEY_get0_private_key(other)));
	CHECK(EC_KEY_set_public_key(key, EC_KEY_get0_public_key(other)));
	CHECK(sign_once(key, digest, 48));
	CHECK(EC_KEY_generate_key(key) && sign_once(key, digest, 48));
	EC_KEY_free(other);
	CHECK(sign_once(key, digest, 48) && sign_once(copy, digest, 48));
	EC_KEY_free(key);
	EC_KEY_free(copy);
	return true;
}

/* ECDH on the same objects is OpenSSL's. */
static bool ecdh(const struct env *env)
{
	for (int i = 0; i < CURVES; i++) {
		EC_KEY *a = make_key(env, curves[i]), *b = make_key(env, curves[i]);
		uint8_t first[66], second[66];
		int n;

		CHECK(a && b);
		n = ECDH_compute_key(first, sizeof(first), EC_KEY_get0_public_key(b), a, NULL);
		CHECK(n > 0 && ECDH_compute_key(second, sizeof(second), EC_KEY_get0_public_key(a),
		                                b, NULL) == n);
		CHECK(!memcmp(first, second, (size_t)n));
		EC_KEY_free(a);
		EC_KEY_free(b);
	}
	return true;
}

const struct test_case engine_ec_cases[] = {
	{"ec: signatures", sign},
	{"ec: nonces of the caller", given_nonces},
	{"ec: keys that change", changed_keys},
	{"ec: ECDH", ecdh},
	{NULL, NULL},
};
