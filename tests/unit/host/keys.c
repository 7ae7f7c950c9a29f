/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA and EC keys for tests; see keys.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "keys.h"
#include "rsa_key.h"
#include "wire/virtio_crypto.h"

#define MAX_KEYS 16

static struct {
	unsigned int bits;
	struct test_key private, public;
} keys[MAX_KEYS];

static struct test_key encode(EVP_PKEY *pkey, int selection)
{
	OSSL_ENCODER_CTX *encoder =
		OSSL_ENCODER_CTX_new_for_pkey(pkey, selection, "DER", "type-specific", NULL);
	struct test_key key = {NULL, 0};
	unsigned char *der = NULL;
	size_t len = 0;

	assert_non_null(encoder);
	assert_int_equal(OSSL_ENCODER_to_data(encoder, &der, &len), 1);
	OSSL_ENCODER_CTX_free(encoder);
	key.der = der;
	key.len = (int)len;
	return key;
}

static unsigned int find(unsigned int bits)
{
	unsigned int i = 0;

	while (keys[i].bits && keys[i].bits != bits)
		i++;
	assert_true(i < MAX_KEYS - 1);
	if (!keys[i].bits) {
		EVP_PKEY *pkey = test_rsa_key(NULL, bits, 2);

		assert_non_null(pkey);
		keys[i].bits = bits;
		keys[i].private = encode(pkey, EVP_PKEY_KEYPAIR);
		keys[i].public = encode(pkey, EVP_PKEY_PUBLIC_KEY);
		EVP_PKEY_free(pkey);
	}
	return i;
}

struct test_key test_rsa_private(unsigned int bits)
{
	return keys[find(bits)].private;
}

struct test_key test_rsa_public(unsigned int bits)
{
	return keys[find(bits)].public;
}

#define CURVES (VIRTIO_CRYPTO_CURVE_NIST_P521 + 1)

static struct {
	struct test_key private, public;
} ec_keys[CURVES];

static const char *const curve_names[CURVES] = {
	[VIRTIO_CRYPTO_CURVE_NIST_P192] = "P-192", [VIRTIO_CRYPTO_CURVE_NIST_P224] = "P-224",
	[VIRTIO_CRYPTO_CURVE_NIST_P256] = "P-256", [VIRTIO_CRYPTO_CURVE_NIST_P384] = "P-384",
	[VIRTIO_CRYPTO_CURVE_NIST_P521] = "P-521",
};

static void ec_make(unsigned int curve)
{
	static uint8_t point[CURVES][133];
	EVP_PKEY *pkey;
	size_t len = 0;

	assert_true(curve && curve < CURVES);
	if (ec_keys[curve].private.der)
		return;
	pkey = EVP_EC_gen(curve_names[curve]);
	assert_non_null(pkey);
	ec_keys[curve].private = encode(pkey, EVP_PKEY_KEYPAIR);
	assert_int_equal(EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY,
	                                                 point[curve], sizeof(point[curve]), &len),
	                 1);
	ec_keys[curve].public = (struct test_key){point[curve], (int)len};
	EVP_PKEY_free(pkey);
}

struct test_key test_ec_private(unsigned int curve)
{
	ec_make(curve);
	return ec_keys[curve].private;
}

struct test_key test_ec_public(unsigned int curve)
{
	ec_make(curve);
	return ec_keys[curve].public;
}
