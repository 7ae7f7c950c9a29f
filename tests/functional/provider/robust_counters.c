/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios of test-provider-robust: what the provider says that it has done. See robust_main.c.
 */
#include "robust.h"

#include <string.h>

#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

/* So many of each, in this order. */
static const struct {
	const char *name;
	uint64_t number;
} work[] = {
	{"vcrypto-offloaded-cipher", 4},
	{"vcrypto-offloaded-aead", 3},
	{"vcrypto-offloaded-rsa-sign", 2},
	{"vcrypto-offloaded-rsa-decrypt", 1},
	{"vcrypto-offloaded-ecdsa-sign", 2},
	{"vcrypto-offloaded", 12},
	{"vcrypto-fallback-no-daemon", 0},
	{"vcrypto-fallback-full", 0},
	{"vcrypto-fallback-deadline", 0},
	{"vcrypto-fallback-notsupp", 0},
	{"vcrypto-fallback-device", 0},
	{"vcrypto-fallback-silent", 0},
	{"vcrypto-fallback", 0},
	{"vcrypto-small", 0},
};

static bool gettable(const char *name)
{
	OSSL_PROVIDER *provider = OSSL_PROVIDER_load(NULL, "vcrypto");
	const OSSL_PARAM *p =
		OSSL_PARAM_locate_const(OSSL_PROVIDER_gettable_params(provider), name);

	CHECK(p && p->data_type == OSSL_PARAM_UNSIGNED_INTEGER && p->data_size == 8);
	return OSSL_PROVIDER_unload(provider);
}

static bool seal(void)
{
	static const uint8_t key[16];
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", OURS);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t data[256] = {0};
	int n;

	CHECK(EVP_CipherInit_ex2(ctx, cipher, key, key, 1, NULL) == 1 &&
	      EVP_CipherUpdate(ctx, data, &n, data, sizeof(data)) == 1 &&
	      EVP_CipherFinal_ex(ctx, data, &n) == 1);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return true;
}

static bool sign(EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[512];
	size_t size = sizeof(signature);
	int ok = EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, OURS, key, NULL) == 1 &&
	         EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"text", 4) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool decrypt(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, OURS);
	uint8_t secret[256], text[256];
	size_t n = sizeof(secret), m = sizeof(text);
	bool ok = EVP_PKEY_encrypt_init(ctx) == 1 &&
	          EVP_PKEY_encrypt(ctx, secret, &n, (const uint8_t *)"text", 4) == 1 &&
	          EVP_PKEY_decrypt_init(ctx) == 1 &&
	          EVP_PKEY_decrypt(ctx, text, &m, secret, n) == 1 && m == 4;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

bool counters(char **arguments)
{
	EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, THEIRS, "RSA", (size_t)2048);
	EVP_PKEY *ec = EVP_PKEY_Q_keygen(NULL, THEIRS, "EC", "P-384");

	for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++)
		CHECK(gettable(work[i].name) && provider_count(work[i].name) == 0);
	CHECK(piece_sync() && piece_sync() && piece_in_job() && piece_in_job());
	CHECK(seal() && seal() && seal());
	CHECK(sign(rsa) && sign(rsa) && decrypt(rsa));
	CHECK(sign(ec) && sign(ec));
	for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++) {
		if (provider_count(work[i].name) != work[i].number)
			fprintf(stderr, "%s is %lu\n", work[i].name,
			        (unsigned long)provider_count(work[i].name));
		CHECK(provider_count(work[i].name) == work[i].number);
	}
	/* The daemons are stopped meanwhile. */
	CHECK(ask("counted"));
	for (unsigned int i = 0; i < 5; i++)
		CHECK(piece_sync());
	CHECK(provider_count("vcrypto-fallback-no-daemon") == 5);
	CHECK(provider_count("vcrypto-fallback") == 5 && provider_count("vcrypto-offloaded") == 12);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
	return true;
}

bool fall_back(char **arguments)
{
	for (unsigned int i = 0; i < 3; i++)
		CHECK(piece_sync());
	CHECK(provider_count("vcrypto-fallback-device") == 3);
	return ask("fallen back");
}
