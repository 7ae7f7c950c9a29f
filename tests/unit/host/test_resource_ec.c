/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA of the libcrypto resource, against libcrypto used directly: every curve, digests of every
 * length, keys in all their forms, and keys that are none.
 */
#include "akcipher_fixture.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static const struct {
	const char *name;
	uint8_t curve;
	uint16_t order; /* bytes */
} curves[] = {
	{"P-192", VIRTIO_CRYPTO_CURVE_NIST_P192, 24}, {"P-224", VIRTIO_CRYPTO_CURVE_NIST_P224, 28},
	{"P-256", VIRTIO_CRYPTO_CURVE_NIST_P256, 32}, {"P-384", VIRTIO_CRYPTO_CURVE_NIST_P384, 48},
	{"P-521", VIRTIO_CRYPTO_CURVE_NIST_P521, 66},
};

static const uint16_t digests[] = {1, 20, 28, 32, 48, 64, 100};

/* A key pair, as libcrypto has it and as sessions take it. */
struct pair {
	EVP_PKEY *pkey;
	unsigned char *der; /* ECPrivateKey */
	size_t der_len;
	uint8_t point[140];
	size_t point_len;
};

static void pair_make(struct pair *p, const char *curve)
{
	OSSL_ENCODER_CTX *encoder;

	memset(p, 0, sizeof(*p));
	p->pkey = EVP_EC_gen(curve);
	assert_non_null(p->pkey);
	encoder = OSSL_ENCODER_CTX_new_for_pkey(p->pkey, EVP_PKEY_KEYPAIR, "DER", "type-specific",
	                                        NULL);
	assert_int_equal(OSSL_ENCODER_to_data(encoder, &p->der, &p->der_len), 1);
	OSSL_ENCODER_CTX_free(encoder);
	assert_int_equal(EVP_PKEY_get_octet_string_param(p->pkey, OSSL_PKEY_PARAM_PUB_KEY, p->point,
	                                                 sizeof(p->point), &p->point_len),
	                 1);
}

static void pair_free(struct pair *p)
{
	EVP_PKEY_free(p->pkey);
	OPENSSL_free(p->der);
}

static void ec_session_open(struct fixture *f, struct akcipher_session *s, uint8_t curve,
                            bool private, const uint8_t *key, size_t key_len)
{
	s->params = (struct session_params){
		.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		.akcipher = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
		.private_key = private,
		.curve = curve,
		.key = key,
		.key_len = (uint32_t)key_len,
	};
	session_realise(f, s);
}

static uint8_t sign(struct fixture *f, const struct akcipher_session *s, const uint8_t *digest,
                    size_t digest_len, uint8_t *out, uint32_t *out_len)
{
	return operate(f, s, VC_REQUEST_AK_SIGN, digest, digest_len, NULL, 0, out, out_len);
}

static uint8_t verify(struct fixture *f, const struct akcipher_session *s, const uint8_t *signature,
                      size_t length, const uint8_t *digest, size_t digest_len)
{
	return operate(f, s, VC_REQUEST_AK_VERIFY, signature, length, digest, digest_len, NULL,
	               NULL);
}

static void signatures_are_libcryptos(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < vc_array_size(curves) * vc_array_size(digests); i++) {
		unsigned int c = i / vc_array_size(digests);
		uint16_t size = digests[i % vc_array_size(digests)];
		struct akcipher_session private, public;
		uint8_t digest[128], out[160];
		uint32_t n = sizeof(out);
		EVP_PKEY_CTX *checker;
		struct pair p;

		pair_make(&p, curves[c].name);
		checker = reference(p.pkey, EVP_PKEY_verify_init, 0, NULL);
		ec_session_open(f, &private, curves[c].curve, true, p.der, p.der_len);
		ec_session_open(f, &public, curves[c].curve, false, p.point, p.point_len);
		random_fill(digest, sizeof(digest));
		assert_int_equal(sign(f, &private, digest, size, out, &n), VIRTIO_CRYPTO_OK);
		assert_int_equal(EVP_PKEY_verify(checker, out, n, digest, size), 1);
		assert_int_equal(verify(f, &public, out, n, digest, size), VIRTIO_CRYPTO_OK);
		assert_int_equal(verify(f, &private, out, n, digest, size), VIRTIO_CRYPTO_OK);
		digest[0] ^= 0x40;
		assert_int_equal(verify(f, &public, out, n, digest, size),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		digest[0] ^= 0x40;
		out[n - 1] ^= 1;
		assert_int_equal(verify(f, &public, out, n, digest, size),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		assert_int_equal(verify(f, &public, out, n - 1, digest, size),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		session_close(f, &private);
		session_close(f, &public);
		EVP_PKEY_CTX_free(checker);
		pair_free(&p);
	}
}

static void libcryptos_signatures_verify(void **state)
{
	struct fixture *f = *state;

	for (unsigned int c = 0; c < vc_array_size(curves); c++) {
		uint8_t digest[32], out[160];
		size_t n = sizeof(out);
		struct akcipher_session public;
		EVP_PKEY_CTX *signer;
		struct pair p;

		pair_make(&p, curves[c].name);
		signer = reference(p.pkey, EVP_PKEY_sign_init, 0, NULL);
		random_fill(digest, sizeof(digest));
		assert_int_equal(EVP_PKEY_sign(signer, out, &n, digest, sizeof(digest)), 1);
		ec_session_open(f, &public, curves[c].curve, false, p.point, p.point_len);
		assert_int_equal(verify(f, &public, out, n, digest, sizeof(digest)),
		                 VIRTIO_CRYPTO_OK);
		session_close(f, &public);
		EVP_PKEY_CTX_free(signer);
		pair_free(&p);
	}
}

/* An ECPrivateKey of the number alone: what follows it is optional. */
static size_t bare_key(uint8_t *der, const uint8_t *number, size_t size)
{
	const uint8_t head[] = {0x30, (uint8_t)(size + 5), 2, 1, 1, 4, (uint8_t)size};

	memcpy(der, head, sizeof(head));
	memcpy(der + sizeof(head), number, size);
	return sizeof(head) + size;
}

static void keys_need_no_optional_parts(void **state)
{
	struct fixture *f = *state;

	for (unsigned int c = 0; c < vc_array_size(curves); c++) {
		uint8_t number[66], der[80], digest[32] = {7}, out[160];
		struct akcipher_session private, public;
		uint32_t n = sizeof(out);
		BIGNUM *d = NULL;
		struct pair p;

		pair_make(&p, curves[c].name);
		assert_int_equal(EVP_PKEY_get_bn_param(p.pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d), 1);
		assert_true(BN_bn2binpad(d, number, curves[c].order) == curves[c].order);
		ec_session_open(f, &private, curves[c].curve, true, der,
		                bare_key(der, number, curves[c].order));
		ec_session_open(f, &public, curves[c].curve, false, p.point, p.point_len);
		assert_int_equal(sign(f, &private, digest, sizeof(digest), out, &n),
		                 VIRTIO_CRYPTO_OK);
		assert_int_equal(verify(f, &public, out, n, digest, sizeof(digest)),
		                 VIRTIO_CRYPTO_OK);
		session_close(f, &private);
		session_close(f, &public);
		BN_free(d);
		pair_free(&p);
	}
}

static void rejected(struct fixture *f, uint8_t curve, bool private, const uint8_t *key,
                     size_t key_len)
{
	uint8_t digest[32] = {1}, out[160] = {0x30, 6, 2, 1, 1, 2, 1, 1};
	struct akcipher_session s;

	ec_session_open(f, &s, curve, private, key, key_len);
	for (unsigned int again = 0; again < 3; again++) {
		uint32_t n = sizeof(out);

		if (private)
			assert_int_equal(sign(f, &s, digest, sizeof(digest), out, &n),
			                 VIRTIO_CRYPTO_KEY_REJECTED);
		else
			assert_int_equal(verify(f, &s, out, 8, digest, sizeof(digest)),
			                 VIRTIO_CRYPTO_KEY_REJECTED);
	}
	session_close(f, &s);
}

static void numbers_out_of_range_are_rejected(void **state)
{
	uint8_t number[67], der[90];

	memset(number, 0, sizeof(number));
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, true, der, bare_key(der, number, 32));
	memset(number, 0xff, sizeof(number));
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, true, der, bare_key(der, number, 32));
	memset(number, 1, sizeof(number));
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, true, der, bare_key(der, number, 33));
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P521, true, der, bare_key(der, number, 67));
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, true, der, bare_key(der, number, 0));
}

static void broken_der_is_rejected(void **state)
{
	struct pair p;
	uint8_t *copy;

	pair_make(&p, "P-256");
	for (size_t cut = 1; cut < p.der_len; cut += 7) {
		/* Exactly so long, for the sanitizer to see who reads on. */
		copy = malloc(cut);
		memcpy(copy, p.der, cut);
		rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, true, copy, cut);
		free(copy);
	}
	copy = malloc(p.der_len + 1);
	memcpy(copy, p.der, p.der_len);
	copy[p.der_len] = 0;
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, true, copy, p.der_len + 1);
	copy[1] = 0x80; /* indefinite length */
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, true, copy, p.der_len);
	memcpy(copy, p.der, p.der_len);
	copy[4] = 2; /* version */
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, true, copy, p.der_len);
	copy[4] = 1;
	copy[5] = 0x24; /* a constructed octet string */
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, true, copy, p.der_len);
	free(copy);
	pair_free(&p);
}

static void points_off_the_curve_are_rejected(void **state)
{
	struct pair p;

	pair_make(&p, "P-384");
	/* Of another curve, too short, at infinity, and beside the curve. */
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P256, false, p.point, p.point_len);
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P384, false, p.point, p.point_len - 1);
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P384, false, (uint8_t *)"\0", 1);
	p.point[50] ^= 1;
	rejected(*state, VIRTIO_CRYPTO_CURVE_NIST_P384, false, p.point, p.point_len);
	pair_free(&p);
}

static void only_signing_and_verifying(void **state)
{
	struct fixture *f = *state;
	struct akcipher_session private, public;
	uint8_t in[32] = {1}, out[160];
	uint32_t n = sizeof(out);
	struct pair p;

	pair_make(&p, "P-256");
	ec_session_open(f, &private, VIRTIO_CRYPTO_CURVE_NIST_P256, true, p.der, p.der_len);
	ec_session_open(f, &public, VIRTIO_CRYPTO_CURVE_NIST_P256, false, p.point, p.point_len);
	assert_int_equal(operate(f, &private, VC_REQUEST_AK_ENCRYPT, in, 32, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_NOTSUPP);
	n = sizeof(out);
	assert_int_equal(operate(f, &private, VC_REQUEST_AK_DECRYPT, in, 32, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_NOTSUPP);
	n = sizeof(out);
	assert_int_equal(sign(f, &public, in, 32, out, &n), VIRTIO_CRYPTO_KEY_REJECTED);
	/* No room for the signature. */
	n = 8;
	assert_int_equal(sign(f, &private, in, 32, out, &n), VIRTIO_CRYPTO_NOSPC);
	assert_int_equal(n, 0);
	session_close(f, &private);
	session_close(f, &public);
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		akcipher_test(signatures_are_libcryptos),
		akcipher_test(libcryptos_signatures_verify),
		akcipher_test(keys_need_no_optional_parts),
		akcipher_test(numbers_out_of_range_are_rejected),
		akcipher_test(broken_der_is_rejected),
		akcipher_test(points_off_the_curve_are_rejected),
		akcipher_test(only_signing_and_verifying),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
