/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA through libvcrypto and a live vcrypto-host: encrypt, decrypt, sign and verify, raw and with
 * PKCS#1 v1.5, at 2048 to 4096 bits, compared with libcrypto.
 */
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "live.h"
#include "rsa_key.h"

struct key {
	EVP_PKEY *pkey;
	size_t size; /* of the modulus in bytes */
	unsigned char *private_der, *public_der;
	int private_len, public_len;
};

static struct live live;
static struct key keys[3];
static const unsigned int key_bits[3] = {2048, 3072, 4096};

static struct vcrypto_session *session_make(const struct key *key, bool private,
                                            enum vcrypto_rsa_padding padding,
                                            enum vcrypto_rsa_hash hash)
{
	return live_session(
		&live, &(struct vcrypto_session_params){
			       .service = VCRYPTO_SERVICE_AKCIPHER,
			       .algorithm = VCRYPTO_AKCIPHER_RSA,
			       .key = private ? key->private_der : key->public_der,
			       .key_len = (size_t)(private ? key->private_len : key->public_len),
			       .private_key = private,
			       .rsa_padding = padding,
			       .rsa_hash = hash});
}

static int operate(struct vcrypto_session *session, enum vcrypto_akcipher_op what, const void *in,
                   size_t in_len, size_t room, uint8_t *out, size_t *out_len)
{
	struct vcrypto_op op = {.session = session,
	                        .src = live.src,
	                        .dst = live.dst,
	                        .length = (uint32_t)in_len,
	                        .dst_len = (uint32_t)room,
	                        .akcipher_op = what};
	int status;

	memcpy(live.src, in, in_len);
	memset(live.dst, 0xee, 1024);
	status = live_run(&live, &op);
	assert_true(op.result_len <= room);
	/* Nothing behind the room was touched. */
	for (size_t i = room; i < 1024; i++)
		assert_int_equal(live.dst[i], 0xee);
	memcpy(out, live.dst, op.result_len);
	*out_len = op.result_len;
	return status;
}

static int verify(struct vcrypto_session *session, const uint8_t *signature, size_t length,
                  const uint8_t *digest, size_t digest_len)
{
	struct vcrypto_op op = {.session = session,
	                        .src = live.src,
	                        .length = (uint32_t)length,
	                        .tag = live.dst,
	                        .tag_len = (uint16_t)digest_len,
	                        .akcipher_op = VCRYPTO_AKCIPHER_VERIFY};

	memcpy(live.src, signature, length);
	memcpy(live.dst, digest, digest_len);
	return live_run(&live, &op);
}

static size_t reference(EVP_PKEY *pkey, bool encrypt, int padding, const uint8_t *in, size_t in_len,
                        uint8_t *out)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(pkey, NULL);
	size_t out_len = 512;

	assert_int_equal(encrypt ? EVP_PKEY_encrypt_init(c) : EVP_PKEY_decrypt_init(c), 1);
	assert_true(EVP_PKEY_CTX_set_rsa_padding(c, padding) > 0);
	assert_int_equal(encrypt ? EVP_PKEY_encrypt(c, out, &out_len, in, in_len)
	                         : EVP_PKEY_decrypt(c, out, &out_len, in, in_len),
	                 1);
	EVP_PKEY_CTX_free(c);
	return out_len;
}

static void raw_operations_match_libcrypto(void **state)
{
	for (unsigned int k = 0; k < 3; k++) {
		const struct key *key = &keys[k];
		struct vcrypto_session *private = session_make(key, true, VCRYPTO_RSA_RAW, 0);
		struct vcrypto_session *public = session_make(key, false, VCRYPTO_RSA_RAW, 0);
		uint8_t in[512], out[512], expected[512];
		size_t length;

		for (unsigned int round = 0; round < 3; round++) {
			live_fill(in, key->size, k * 10 + round);
			in[0] &= 0x3f;
			assert_int_equal(operate(private, VCRYPTO_AKCIPHER_DECRYPT, in, key->size,
			                         key->size, out, &length),
			                 0);
			assert_int_equal(length, key->size);
			reference(key->pkey, false, RSA_NO_PADDING, in, key->size, expected);
			assert_memory_equal(out, expected, key->size);

			assert_int_equal(operate(private, VCRYPTO_AKCIPHER_SIGN, in, key->size,
			                         key->size, out, &length),
			                 0);
			assert_memory_equal(out, expected, key->size);

			assert_int_equal(operate(public, VCRYPTO_AKCIPHER_ENCRYPT, expected,
			                         key->size, 512, out, &length),
			                 0);
			assert_int_equal(length, key->size);
			assert_memory_equal(out, in, key->size);
		}
		/* Not below the modulus. */
		memset(in, 0xff, sizeof(in));
		assert_true(operate(private, VCRYPTO_AKCIPHER_DECRYPT, in, key->size, key->size,
		                    out, &length) < 0);
		vcrypto_session_destroy(private);
		vcrypto_session_destroy(public);
	}
}

static void pkcs1_encryption_comes_back(void **state)
{
	for (unsigned int k = 0; k < 3; k++) {
		const struct key *key = &keys[k];
		struct vcrypto_session *private = session_make(key, true, VCRYPTO_RSA_PKCS1, 0);
		struct vcrypto_session *public = session_make(key, false, VCRYPTO_RSA_PKCS1, 0);
		static const size_t lengths[] = {1, 48, 117};
		uint8_t in[512], sealed[512], out[512];
		size_t sealed_len, length;

		for (unsigned int i = 0; i < 3; i++) {
			live_fill(in, lengths[i], i);
			assert_int_equal(operate(public, VCRYPTO_AKCIPHER_ENCRYPT, in, lengths[i],
			                         key->size, sealed, &sealed_len),
			                 0);
			assert_int_equal(sealed_len, key->size);
			/* libcrypto reads ours, we read libcrypto's. */
			assert_int_equal(reference(key->pkey, false, RSA_PKCS1_PADDING, sealed,
			                           sealed_len, out),
			                 lengths[i]);
			assert_memory_equal(out, in, lengths[i]);
			sealed_len = reference(key->pkey, true, RSA_PKCS1_PADDING, in, lengths[i],
			                       sealed);
			assert_int_equal(operate(private, VCRYPTO_AKCIPHER_DECRYPT, sealed,
			                         sealed_len, key->size, out, &length),
			                 0);
			assert_int_equal(length, lengths[i]);
			assert_memory_equal(out, in, lengths[i]);
		}
		/* Too long for the padding. */
		assert_true(operate(public, VCRYPTO_AKCIPHER_ENCRYPT, in, key->size - 10, key->size,
		                    out, &length) < 0);
		vcrypto_session_destroy(private);
		vcrypto_session_destroy(public);
	}
}

static void pkcs1_signatures_verify(void **state)
{
	static const struct {
		enum vcrypto_rsa_hash hash;
		const char *md;
		size_t size;
	} hashes[] = {{VCRYPTO_RSA_SHA1, "SHA1", 20},
	              {VCRYPTO_RSA_SHA224, "SHA224", 28},
	              {VCRYPTO_RSA_SHA256, "SHA256", 32},
	              {VCRYPTO_RSA_SHA384, "SHA384", 48},
	              {VCRYPTO_RSA_SHA512, "SHA512", 64}};

	for (unsigned int k = 0; k < 3; k++)
		for (unsigned int h = 0; h < 5; h++) {
			const struct key *key = &keys[k];
			struct vcrypto_session *private =
				session_make(key, true, VCRYPTO_RSA_PKCS1, hashes[h].hash);
			struct vcrypto_session *public =
				session_make(key, false, VCRYPTO_RSA_PKCS1, hashes[h].hash);
			uint8_t digest[64], signature[512];
			size_t length;
			EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key->pkey, NULL);

			live_fill(digest, 64, h);
			assert_int_equal(operate(private, VCRYPTO_AKCIPHER_SIGN, digest,
			                         hashes[h].size, key->size, signature, &length),
			                 0);
			assert_int_equal(length, key->size);
			assert_int_equal(EVP_PKEY_verify_init(c), 1);
			assert_true(EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) > 0);
			assert_true(EVP_PKEY_CTX_set_signature_md(
					    c, EVP_get_digestbyname(hashes[h].md)) > 0);
			assert_int_equal(
				EVP_PKEY_verify(c, signature, length, digest, hashes[h].size), 1);
			assert_int_equal(verify(public, signature, length, digest, hashes[h].size),
			                 0);
			digest[3] ^= 1;
			assert_int_equal(verify(public, signature, length, digest, hashes[h].size),
			                 -EBADMSG);
			digest[3] ^= 1;
			signature[100] ^= 1;
			assert_int_equal(verify(public, signature, length, digest, hashes[h].size),
			                 -EBADMSG);
			EVP_PKEY_CTX_free(c);
			vcrypto_session_destroy(private);
			vcrypto_session_destroy(public);
		}
}

static void a_public_key_signs_nothing(void **state)
{
	struct vcrypto_session *public = session_make(&keys[0], false, VCRYPTO_RSA_RAW, 0);
	uint8_t in[256] = {0}, out[512];
	size_t length;

	assert_int_equal(operate(public, VCRYPTO_AKCIPHER_SIGN, in, 256, 256, out, &length),
	                 -EINVAL);
	assert_int_equal(operate(public, VCRYPTO_AKCIPHER_DECRYPT, in, 256, 256, out, &length),
	                 -EINVAL);
	vcrypto_session_destroy(public);
}

static void keys_that_are_none_are_refused(void **state)
{
	struct vcrypto_session_params params = {.service = VCRYPTO_SERVICE_AKCIPHER,
	                                        .algorithm = VCRYPTO_AKCIPHER_RSA,
	                                        .private_key = true};
	uint8_t rubbish[1200];

	live_fill(rubbish, sizeof(rubbish), 1);
	params.key = rubbish;
	params.key_len = sizeof(rubbish);
	assert_true(live_refused(&live, &params));
	/* A public key where a private one should be; a key that is cut short. */
	params.key = keys[0].public_der;
	params.key_len = (size_t)keys[0].public_len;
	assert_true(live_refused(&live, &params));
	params.key = keys[0].private_der;
	params.key_len = (size_t)keys[0].private_len / 2;
	assert_true(live_refused(&live, &params));
}

static int setup(void **state)
{
	live_open(&live, 0, 1);
	for (unsigned int i = 0; i < 3; i++) {
		keys[i].pkey = test_rsa_key(NULL, key_bits[i], 2);
		if (!keys[i].pkey)
			return -1;
		keys[i].size = key_bits[i] / 8;
		keys[i].private_len = i2d_PrivateKey(keys[i].pkey, &keys[i].private_der);
		keys[i].public_len = i2d_PublicKey(keys[i].pkey, &keys[i].public_der);
	}
	return 0;
}

static int teardown(void **state)
{
	for (unsigned int i = 0; i < 3; i++) {
		EVP_PKEY_free(keys[i].pkey);
		OPENSSL_free(keys[i].private_der);
		OPENSSL_free(keys[i].public_der);
	}
	live_close(&live);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_operations_match_libcrypto),
		cmocka_unit_test(pkcs1_encryption_comes_back),
		cmocka_unit_test(pkcs1_signatures_verify),
		cmocka_unit_test(a_public_key_signs_nothing),
		cmocka_unit_test(keys_that_are_none_are_refused),
	};

	live_socket();
	return cmocka_run_group_tests(tests, setup, teardown);
}
