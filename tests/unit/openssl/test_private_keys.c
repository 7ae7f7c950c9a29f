/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys through the provider on a client that needs no daemon: which are offloaded, and what
 * becomes of results that are wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "loaded.h"
#include "soft_core.h"

/* A P-256 key, or an RSA key. */
static EVP_PKEY *make_key(struct loaded *l, bool ec)
{
	return ec ? EVP_PKEY_Q_keygen(l->libctx, THEIRS, "EC", "P-256")
	          : EVP_PKEY_Q_keygen(l->libctx, THEIRS, "RSA", (size_t)2048);
}

static int sign(struct loaded *l, EVP_PKEY *key, uint8_t sig[256], size_t *n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int rc;

	*n = 256;
	rc = EVP_DigestSignInit_ex(ctx, NULL, "SHA256", l->libctx, OURS, key, NULL) == 1 &&
	     EVP_DigestSign(ctx, sig, n, (const uint8_t *)"text", 4) == 1;
	EVP_MD_CTX_free(ctx);
	return rc;
}

static bool verifies(struct loaded *l, EVP_PKEY *key, const uint8_t *sig, size_t n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	ok = EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", l->libctx, THEIRS, key, NULL) == 1 &&
	     EVP_DigestVerify(ctx, sig, n, (const uint8_t *)"text", 4) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

/* Without fall-back a wrong result is none, and nothing of it is left. */
static void wrong_is_none(bool ec)
{
	uint8_t sig[256] = {0};
	struct loaded l;
	EVP_PKEY *key;
	size_t n;

	assert_true(load(&l, "always", "off"));
	key = make_key(&l, ec);
	soft_core.wrong = true;
	assert_false(sign(&l, key, sig, &n));
	for (size_t i = 0; i < sizeof(sig); i++)
		assert_int_equal(sig[i], 0);
	EVP_PKEY_free(key);
	unload(&l);
}

/* A wrong result of the device would give an RSA key away. */
static void test_wrong_signature_never_leaves(void **state)
{
	uint8_t sig[256];
	struct loaded l;
	EVP_PKEY *key;
	size_t n;

	assert_true(load(&l, "always", "on"));
	key = make_key(&l, false);
	for (int i = 0; i < 3; i++) {
		soft_core.wrong = i > 0;
		assert_true(sign(&l, key, sig, &n));
		assert_true(verifies(&l, key, sig, n));
		assert_int_equal(soft_core.operations, i + 1);
	}
	EVP_PKEY_free(key);
	unload(&l);
	wrong_is_none(false);
}

/* How many signatures with ECDSA it takes until the device is not asked any more. */
static unsigned int signed_until_distrust(bool wrong, bool malformed, unsigned int after)
{
	unsigned int n = 0, operations;
	uint8_t sig[256];
	struct loaded l;
	EVP_PKEY *key;
	size_t size;

	assert_true(load(&l, "always", "on"));
	key = make_key(&l, true);
	do {
		soft_core.wrong = wrong && n >= after;
		soft_core.malformed = malformed && n >= after;
		operations = soft_core.operations;
		assert_true(sign(&l, key, sig, &size));
		/* Malformed ones are seen at once, others now and then. */
		if (n < after || malformed)
			assert_true(verifies(&l, key, sig, size));
		n++;
	} while (soft_core.operations > operations && n < 1000);
	/* Nor from then on; and software is right. */
	soft_core.wrong = soft_core.malformed = false;
	assert_true(n == 1000 || verifies(&l, key, sig, size));
	EVP_PKEY_free(key);
	unload(&l);
	return n;
}

static void test_wrong_ecdsa_signatures_are_noticed(void **state)
{
	/* The first, or the next one that is verified; then one more that is not offloaded. */
	assert_int_equal(signed_until_distrust(true, false, 0), 2);
	assert_int_equal(signed_until_distrust(true, false, 100), 256 + 2);
	assert_int_equal(signed_until_distrust(false, true, 100), 100 + 2);
	assert_int_equal(signed_until_distrust(false, false, 0), 1000);
	wrong_is_none(true);
}

/* A key that the device refuses is not offered to it again. */
static void test_refused_key(void **state)
{
	struct loaded l;
	uint8_t sig[256];
	EVP_PKEY *key;
	size_t n;

	for (int ec = 0; ec < 2; ec++) {
		assert_true(load(&l, "always", "on"));
		key = make_key(&l, ec);
		soft_core.fail_every = 1;
		soft_core.error = -EKEYREJECTED;
		for (int i = 0; i < 3; i++)
			assert_true(sign(&l, key, sig, &n));
		assert_int_equal(soft_core.operations, 1);
		EVP_PKEY_free(key);
		unload(&l);
	}
}

static bool sign_on(struct loaded *l, const char *whose, const char *curve, bool explicit)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(l->libctx, "EC", whose);
	const char *encoding =
		explicit ? OSSL_PKEY_EC_ENCODING_EXPLICIT : OSSL_PKEY_EC_ENCODING_GROUP;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, (char *)encoding, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *key = NULL;
	unsigned int before = soft_core.operations;
	uint8_t sig[256];
	size_t n;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	assert_true(sign(l, key, sig, &n));
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return soft_core.operations > before;
}

static struct loaded *for_job;

static bool job_sign(const struct env *env)
{
	CHECK(!sign_on(for_job, THEIRS, "P-256", false));
	CHECK(sign_on(for_job, THEIRS, "P-384", false));
	CHECK(sign_on(for_job, THEIRS, "P-521", false));
	return true;
}

static void test_auto_is_by_curve(void **state)
{
	struct env env = {0};
	struct loaded l;

	assert_true(load(&l, "auto", "on"));
	for_job = &l;
	assert_true(job_sign(&env));
	assert_true(run_in_job(job_sign, &env, NULL));
	unload(&l);
}

/* Known-answer tests want the delegate's own randomness: until they say otherwise. */
static void test_known_answers_are_left_alone(void **state)
{
	uint8_t digest[32] = {1}, sig[160];
	EVP_PKEY_CTX *ctx;
	struct loaded l;
	EVP_PKEY *key;

	assert_true(load(&l, "always", "off"));
	key = make_key(&l, true);
	ctx = EVP_PKEY_CTX_new_from_pkey(l.libctx, key, OURS);
	assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
	for (unsigned int known = 1; known < 2; known--) {
		size_t n = sizeof(sig);
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_uint(OSSL_SIGNATURE_PARAM_KAT, &known),
			OSSL_PARAM_construct_end(),
		};

		assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
		assert_int_equal(EVP_PKEY_sign(ctx, sig, &n, digest, sizeof(digest)), 1);
		assert_int_equal(soft_core.operations, !known);
	}
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	unload(&l);
}

/* The named ones among the three curves, whoever made the key. */
static void test_which_ec_keys_are_offloaded(void **state)
{
	static const char *const whose[] = {OURS, THEIRS};
	struct loaded l;

	assert_true(load(&l, "always", "off"));
	for (int i = 0; i < 2; i++) {
		assert_true(sign_on(&l, whose[i], "P-256", false));
		assert_true(sign_on(&l, whose[i], "P-384", false));
		assert_true(sign_on(&l, whose[i], "P-521", false));
		assert_false(sign_on(&l, whose[i], "P-256", true));
		assert_false(sign_on(&l, whose[i], "P-224", false));
		assert_false(sign_on(&l, whose[i], "secp256k1", false));
	}
	unload(&l);
}

static int count_group(const OSSL_PARAM params[], void *arg)
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, "tls-group-alg");

	*(unsigned int *)arg += p && !strcmp(p->data, "EC");
	return 1;
}

/* libssl takes groups from whom their keys are with. */
static void test_tls_groups_are_kept(void **state)
{
	unsigned int ours = 0, theirs = 0;
	struct loaded l;

	assert_true(load(&l, "always", "on"));
	assert_true(OSSL_PROVIDER_get_capabilities(l.ours, "TLS-GROUP", count_group, &ours));
	assert_true(OSSL_PROVIDER_get_capabilities(l.theirs, "TLS-GROUP", count_group, &theirs));
	assert_true(theirs > 3);
	assert_int_equal(ours, theirs);
	assert_true(OSSL_PROVIDER_get_capabilities(l.ours, "TLS-SIGALG", count_group, &ours));
	assert_int_equal(ours, theirs);
	unload(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_signature_never_leaves),
		cmocka_unit_test(test_wrong_ecdsa_signatures_are_noticed),
		cmocka_unit_test(test_refused_key),
		cmocka_unit_test(test_which_ec_keys_are_offloaded),
		cmocka_unit_test(test_auto_is_by_curve),
		cmocka_unit_test(test_known_answers_are_left_alone),
		cmocka_unit_test(test_tls_groups_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
