/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be a session: algorithms, key and tag lengths; from control requests and from QEMU's
 * messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "host/der.h"
#include "host/session.h"
#include "keys.h"

/* ---- key and tag lengths ---- */

/* Which key lengths from 0 to 1024 are taken, as a count, and that each of `good` is. */
static void expect_key_lengths(struct session_params params, bool auth, const uint32_t *good,
                               unsigned int n)
{
	static const uint8_t key[1024];
	unsigned int taken = 0;

	params.key = params.auth_key = key;
	for (uint32_t len = 0; len <= sizeof(key); len++) {
		struct session_params p = params;
		unsigned int is_good = 0;

		*(auth ? &p.auth_key_len : &p.key_len) = len;
		int rc = session_params_check(&p);

		for (unsigned int i = 0; i < n; i++)
			is_good |= good[i] == len;
		assert_int_equal(rc, is_good ? 0 : -EKEYREJECTED);
		taken += !rc;
	}
	assert_int_equal(taken, n);
}

static struct session_params cipher(uint8_t algorithm)
{
	return (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                               .cipher = algorithm};
}

static struct session_params aead(uint8_t algorithm)
{
	return (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AEAD, .aead = algorithm};
}

static void test_key_lengths(void **state)
{
	const uint32_t aes[] = {16, 24, 32}, xts[] = {32, 64}, des[] = {24}, chacha[] = {32};
	struct session_params cmac = {.service = VIRTIO_CRYPTO_SERVICE_MAC,
	                              .mac = VIRTIO_CRYPTO_MAC_CMAC_AES};

	expect_key_lengths(cipher(VIRTIO_CRYPTO_CIPHER_AES_ECB), false, aes, 3);
	expect_key_lengths(cipher(VIRTIO_CRYPTO_CIPHER_AES_CBC), false, aes, 3);
	expect_key_lengths(cipher(VIRTIO_CRYPTO_CIPHER_AES_CTR), false, aes, 3);
	expect_key_lengths(cipher(VIRTIO_CRYPTO_CIPHER_AES_XTS), false, xts, 2);
	expect_key_lengths(cipher(VIRTIO_CRYPTO_CIPHER_3DES_CBC), false, des, 1);
	expect_key_lengths(aead(VIRTIO_CRYPTO_AEAD_GCM), false, aes, 3);
	expect_key_lengths(aead(VIRTIO_CRYPTO_AEAD_CCM), false, aes, 3);
	expect_key_lengths(aead(VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305), false, chacha, 1);
	expect_key_lengths(cmac, true, aes, 3);
}

static void test_hmac_key_lengths(void **state)
{
	uint32_t any[512];
	struct session_params hmac = {.service = VIRTIO_CRYPTO_SERVICE_MAC,
	                              .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA1};

	for (uint32_t i = 0; i < 512; i++)
		any[i] = i + 1;
	expect_key_lengths(hmac, true, any, 512);
}

/* Tag lengths that are taken, as bits; 0 must resolve to `full`. */
static void expect_tag_lengths(struct session_params params, uint16_t full, uint64_t good)
{
	static const uint8_t key[64];

	params.key = params.auth_key = key;
	for (uint16_t len = 1; len < 70; len++) {
		params.tag_len = len;
		assert_int_equal(session_params_check(&params),
		                 len <= 64 && good >> (len - 1) & 1 ? 0 : -EINVAL);
		assert_int_equal(params.tag_len, len);
	}
	params.tag_len = 0;
	assert_int_equal(session_params_check(&params), 0);
	assert_int_equal(params.tag_len, full);
}

#define TAG(n) (1ull << ((n)-1))
#define TAGS_TO(n) (UINT64_MAX >> (64 - (n)))

static void test_tag_lengths(void **state)
{
	struct session_params p = aead(VIRTIO_CRYPTO_AEAD_GCM);

	p.key_len = 16;
	expect_tag_lengths(p, 16,
	                   TAG(4) | TAG(8) | TAG(12) | TAG(13) | TAG(14) | TAG(15) | TAG(16));
	p.aead = VIRTIO_CRYPTO_AEAD_CCM;
	expect_tag_lengths(p, 16, TAG(4) | TAG(6) | TAG(8) | TAG(10) | TAG(12) | TAG(14) | TAG(16));
	p.aead = VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305;
	p.key_len = 32;
	expect_tag_lengths(p, 16, TAG(16));
	p = (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_HASH};
	p.hash = VIRTIO_CRYPTO_HASH_SHA1;
	expect_tag_lengths(p, 20, TAGS_TO(20));
	p.hash = VIRTIO_CRYPTO_HASH_SHA3_512;
	expect_tag_lengths(p, 64, TAGS_TO(64));
	p = (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_MAC, .auth_key_len = 32};
	p.mac = VIRTIO_CRYPTO_MAC_HMAC_SHA_256;
	expect_tag_lengths(p, 32, TAGS_TO(32));
	p.mac = VIRTIO_CRYPTO_MAC_CMAC_AES;
	expect_tag_lengths(p, 16, TAGS_TO(16));
}

static void test_unknown_algorithms(void **state)
{
	static const uint8_t key[64];
	unsigned int known[5] = {0};

	for (unsigned int service = 0; service < 256; service++) {
		for (unsigned int algorithm = 0; algorithm < 256; algorithm++) {
			uint8_t a = (uint8_t)algorithm;
			struct session_params p = {.service = (uint8_t)service,
			                           .cipher = a,
			                           .hash = a,
			                           .mac = a,
			                           .aead = a,
			                           .akcipher = a,
			                           .key = key,
			                           .auth_key = key,
			                           .key_len = 32,
			                           .auth_key_len = 32};
			int rc = session_params_check(&p);

			if (service < 4 && rc != -ENOTSUP)
				known[service]++;
			if (service > 4)
				assert_int_equal(rc, -ENOTSUP);
			else if (service == 4)
				assert_int_equal(rc, algorithm == 1 ? -EKEYREJECTED : -ENOTSUP);
		}
	}
	assert_int_equal(known[VIRTIO_CRYPTO_SERVICE_CIPHER], 5);
	assert_int_equal(known[VIRTIO_CRYPTO_SERVICE_HASH], 9);
	assert_int_equal(known[VIRTIO_CRYPTO_SERVICE_MAC], 6);
	assert_int_equal(known[VIRTIO_CRYPTO_SERVICE_AEAD], 3);
}

/* ---- asymmetric sessions ---- */

/* A public key with a modulus of so many bits, every bit set. */
static size_t large_rsa_key(uint8_t *der, unsigned int bits)
{
	unsigned int bytes = (bits + 7) / 8;
	const uint8_t head[] = {0x30, 0x82, (uint8_t)((bytes + 10) >> 8), (uint8_t)(bytes + 10),
	                        2,    0x82, (uint8_t)((bytes + 1) >> 8),  (uint8_t)(bytes + 1),
	                        0};
	const uint8_t exponent[] = {2, 3, 1, 0, 1};

	memcpy(der, head, sizeof(head));
	memset(der + sizeof(head), 0xff, bytes);
	memcpy(der + sizeof(head) + bytes, exponent, sizeof(exponent));
	return sizeof(head) + bytes + sizeof(exponent);
}

static void test_large_rsa_keys(void **state)
{
	uint8_t der[2048];
	struct session_params p = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                           .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                           .key = der};

	p.key_len = (uint32_t)large_rsa_key(der, 8192);
	assert_int_equal(session_params_check(&p), 0);
	assert_int_equal(p.key_bits, 8192);
	p.key_len = (uint32_t)large_rsa_key(der, 8200);
	assert_int_equal(session_params_check(&p), -ENOTSUP);
}

static void test_rsa_sessions(void **state)
{
	struct test_key private = test_rsa_private(1024), small = test_rsa_private(512);
	struct session_params p = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                           .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                           .private_key = 1,
	                           .key = private.der,
	                           .key_len = (uint32_t) private.len};

	assert_int_equal(session_params_check(&p), 0);
	assert_int_equal(p.key_bits, 1024);
	p.private_key = 0;
	assert_int_equal(session_params_check(&p), -EKEYREJECTED);
	p.private_key = 1;
	p.rsa_padding = 2;
	assert_int_equal(session_params_check(&p), -ENOTSUP);
	p.rsa_padding = VIRTIO_CRYPTO_RSA_PKCS1_PADDING;
	p.rsa_hash = 10;
	assert_int_equal(session_params_check(&p), -ENOTSUP);
	p.rsa_hash = VIRTIO_CRYPTO_RSA_SHA256;
	p.key_len--;
	assert_int_equal(session_params_check(&p), -EKEYREJECTED);
	p.key_len = 0;
	assert_int_equal(session_params_check(&p), -EKEYREJECTED);
	p.key = small.der;
	p.key_len = (uint32_t)small.len;
	assert_int_equal(session_params_check(&p), 0);
	assert_int_equal(p.key_bits, 512);
}

static void test_ecdsa_sessions(void **state)
{
	for (uint8_t c = VIRTIO_CRYPTO_CURVE_NIST_P192; c <= VIRTIO_CRYPTO_CURVE_NIST_P521; c++) {
		struct test_key private = test_ec_private(c), public = test_ec_public(c);
		struct session_params p = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		                           .akcipher = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
		                           .private_key = 1,
		                           .curve = c,
		                           .key = private.der,
		                           .key_len = (uint32_t) private.len};

		assert_int_equal(session_params_check(&p), 0);
		assert_int_equal(p.key_bits, der_ec_bits(c));
		p.private_key = 0;
		assert_int_equal(session_params_check(&p), -EKEYREJECTED);
		p.key = public.der;
		p.key_len = (uint32_t) public.len;
		assert_int_equal(session_params_check(&p), 0);
		p.key_len--;
		assert_int_equal(session_params_check(&p), -EKEYREJECTED);
		p.key_len = 0;
		assert_int_equal(session_params_check(&p), -EKEYREJECTED);
		p.curve = VIRTIO_CRYPTO_CURVE_UNKNOWN;
		assert_int_equal(session_params_check(&p), -ENOTSUP);
	}
}

/* Both numbers that ECDSA has: the specification's, and the one of Linux's header. */
static void test_ecdsa_from_the_control_queue(void **state)
{
	struct test_key key = test_ec_private(VIRTIO_CRYPTO_CURVE_NIST_P384);
	struct virtio_crypto_op_ctrl_req req = {
		.header.opcode = VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION,
		.u.akcipher = {.key_type = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE,
	                       .key_len = (uint32_t)key.len,
	                       .u.ecdsa.curve_id = VIRTIO_CRYPTO_CURVE_NIST_P384}};
	struct session_params p;

	for (uint32_t algo = 2; algo <= 3; algo++) {
		req.u.akcipher.algo = algo;
		assert_int_equal(session_params_from_ctrl(&req, key.der, (size_t)key.len, &p), 0);
		assert_int_equal(p.akcipher, VIRTIO_CRYPTO_AKCIPHER_ECDSA);
		assert_int_equal(p.curve, VIRTIO_CRYPTO_CURVE_NIST_P384);
		assert_int_equal(session_params_check(&p), 0);
	}
	req.u.akcipher.algo = 4;
	assert_int_equal(session_params_from_ctrl(&req, key.der, (size_t)key.len, &p), -ENOTSUP);
	req.u.akcipher.algo = 2;
	req.u.akcipher.u.ecdsa.curve_id = 0x104;
	assert_int_equal(session_params_from_ctrl(&req, key.der, (size_t)key.len, &p), -ENOTSUP);
}

/* ---- chains ---- */

static void test_chain_hash_modes(void **state)
{
	static const uint8_t keys[64];
	struct virtio_crypto_op_ctrl_req req = {
		.header.opcode = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION,
		.u.sym = {.u.chain = {.alg_chain_order = 1,
	                              .hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN,
	                              .cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16,
	                                         VIRTIO_CRYPTO_OP_ENCRYPT, 0},
	                              .u.mac = {VIRTIO_CRYPTO_HASH_SHA3_256, 0, 0, 0}},
	                  .op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING},
	};
	struct session_params p;

	assert_int_equal(session_params_from_ctrl(&req, keys, 64, &p), 0);
	assert_int_equal(session_params_check(&p), 0);
	assert_int_equal(p.hash, VIRTIO_CRYPTO_HASH_SHA3_256);
	assert_int_equal(p.mac, 0);
	assert_int_equal(p.tag_len, 32);
	/* What a plain hash has where a MAC has the length of its key is ignored. */
	req.u.sym.u.chain.u.mac.auth_key_len = 1000;
	assert_int_equal(session_params_from_ctrl(&req, keys, 16, &p), 0);
	assert_int_equal(p.auth_key_len, 0);
	req.u.sym.u.chain.u.mac.algo = 11;
	assert_int_equal(session_params_from_ctrl(&req, keys, 64, &p), 0);
	assert_int_equal(session_params_check(&p), -ENOTSUP);
	req.u.sym.u.chain.u.mac.algo = 0;
	assert_int_equal(session_params_from_ctrl(&req, keys, 64, &p), -ENOTSUP);
	req.u.sym.u.chain.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_NESTED;
	req.u.sym.u.chain.u.mac.algo = VIRTIO_CRYPTO_HASH_SHA_256;
	assert_int_equal(session_params_from_ctrl(&req, keys, 64, &p), -ENOTSUP);
	req.u.sym.u.chain.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH;
	req.u.sym.u.chain.u.mac.auth_key_len = 20;
	assert_int_equal(session_params_from_ctrl(&req, keys, 64, &p), 0);
	assert_int_equal(p.hash, 0);
	assert_int_equal(session_params_check(&p), 0);
	req.u.sym.u.chain.aad_len = 8;
	assert_int_equal(session_params_from_ctrl(&req, keys, 64, &p), 0);
	assert_int_equal(session_params_check(&p), -ENOTSUP);
}

/* ---- QEMU's messages ---- */

static struct vhost_user_crypto_sym sym_message(void)
{
	struct vhost_user_crypto_sym sym = {
		.cipher_alg = VIRTIO_CRYPTO_CIPHER_AES_CBC,
		.key_len = 16,
		.hash_alg = VIRTIO_CRYPTO_MAC_HMAC_SHA1,
		.auth_key_len = 20,
		.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
		.direction = VIRTIO_CRYPTO_OP_DECRYPT,
		.cipher_key_ptr = 0xdeadbeef,
		.key = "0123456789abcde",
		.auth_key = "abcdefghijklmnopqrs",
	};

	return sym;
}

static void test_qemu_cipher_message(void **state)
{
	struct vhost_user_crypto_sym sym = sym_message();
	struct session_params p;

	assert_int_equal(session_params_from_sym(&sym, &p), 0);
	assert_int_equal(session_params_check(&p), 0);
	assert_int_equal(p.service, VIRTIO_CRYPTO_SERVICE_CIPHER);
	assert_int_equal(p.cipher, VIRTIO_CRYPTO_CIPHER_AES_CBC);
	assert_int_equal(p.encrypt, 0);
	assert_int_equal(p.chain, 0);
	assert_int_equal(p.auth_key_len, 0);
	assert_ptr_equal(p.key, sym.key);
	sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
	sym.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH;
	sym.alg_chain_order = VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER;
	assert_int_equal(session_params_from_sym(&sym, &p), 0);
	assert_int_equal(session_params_check(&p), 0);
	assert_int_equal(p.chain, VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER);
	assert_int_equal(p.mac, VIRTIO_CRYPTO_MAC_HMAC_SHA1);
	assert_int_equal(p.tag_len, 20);
	assert_ptr_equal(p.auth_key, sym.auth_key);
}

static void test_qemu_messages_that_lie(void **state)
{
	struct vhost_user_crypto_sym sym = sym_message();
	struct vhost_user_crypto_asym asym = {.algo = 1, .key_type = 1, .key_len = 1025};
	struct session_params p;

	sym.key_len = 65;
	assert_int_equal(session_params_from_sym(&sym, &p), -EKEYREJECTED);
	sym.key_len = UINT32_MAX;
	assert_int_equal(session_params_from_sym(&sym, &p), -EKEYREJECTED);
	sym = sym_message();
	sym.auth_key_len = 513;
	assert_int_equal(session_params_from_sym(&sym, &p), -EKEYREJECTED);
	sym = sym_message();
	sym.direction = 0;
	assert_int_equal(session_params_from_sym(&sym, &p), -EINVAL);
	sym = sym_message();
	sym.cipher_alg = 0x103; /* not 3 */
	assert_int_equal(session_params_from_sym(&sym, &p), -ENOTSUP);
	sym = sym_message();
	sym.op_type = 0;
	assert_int_equal(session_params_from_sym(&sym, &p), -ENOTSUP);
	sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
	sym.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_NESTED;
	assert_int_equal(session_params_from_sym(&sym, &p), -ENOTSUP);
	sym.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH;
	assert_int_equal(session_params_from_sym(&sym, &p), -EINVAL);
	sym.alg_chain_order = 3;
	assert_int_equal(session_params_from_sym(&sym, &p), 0);
	assert_int_equal(session_params_check(&p), -EINVAL);
	assert_int_equal(session_params_from_asym(&asym, &p), -EKEYREJECTED);
	asym.key_len = 1024;
	asym.key_type = 3;
	assert_int_equal(session_params_from_asym(&asym, &p), -EINVAL);
	asym.key_type = 2;
	asym.algo = 0x101;
	assert_int_equal(session_params_from_asym(&asym, &p), -ENOTSUP);
}

static void test_qemu_rsa_message(void **state)
{
	struct test_key key = test_rsa_private(1024);
	struct vhost_user_crypto_asym asym = {.algo = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                      .key_type = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE,
	                                      .key_len = (uint32_t)key.len,
	                                      .padding_algo = VIRTIO_CRYPTO_RSA_PKCS1_PADDING,
	                                      .hash_algo = VIRTIO_CRYPTO_RSA_SHA256};
	struct session_params p;

	memcpy(asym.key, key.der, (size_t)key.len);
	assert_int_equal(session_params_from_asym(&asym, &p), 0);
	assert_int_equal(session_params_check(&p), 0);
	assert_int_equal(p.key_bits, 1024);
	assert_int_equal(p.private_key, 1);
	assert_int_equal(p.rsa_hash, VIRTIO_CRYPTO_RSA_SHA256);
	asym.padding_algo = VIRTIO_CRYPTO_RSA_RAW_PADDING;
	assert_int_equal(session_params_from_asym(&asym, &p), 0);
	assert_int_equal(p.rsa_hash, VIRTIO_CRYPTO_RSA_NO_HASH);
}

/* ---- names and statuses ---- */

static void expect_name(struct session_params params, const char *wanted)
{
	char name[64];

	assert_string_equal(session_params_name(&params, name, sizeof(name)), wanted);
}

static void test_names(void **state)
{
	struct session_params p = cipher(VIRTIO_CRYPTO_CIPHER_AES_CBC);
	char tiny[4];

	p.key_len = 16;
	expect_name(p, "aes-128-cbc");
	p.chain = 1;
	p.mac = VIRTIO_CRYPTO_MAC_HMAC_SHA1;
	expect_name(p, "aes-128-cbc+hmac-sha1");
	session_params_name(&p, tiny, sizeof(tiny));
	assert_string_equal(tiny, "aes");
	p = cipher(VIRTIO_CRYPTO_CIPHER_AES_XTS);
	p.key_len = 64;
	expect_name(p, "aes-256-xts");
	p = cipher(VIRTIO_CRYPTO_CIPHER_3DES_CBC);
	p.key_len = 24;
	expect_name(p, "3des-cbc");
	p = aead(VIRTIO_CRYPTO_AEAD_GCM);
	p.key_len = 32;
	expect_name(p, "aes-256-gcm");
	p = aead(VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305);
	p.key_len = 32;
	expect_name(p, "chacha20-poly1305");
	expect_name((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_HASH,
	                                    .hash = VIRTIO_CRYPTO_HASH_SHA3_256},
	            "sha3-256");
	expect_name((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_MAC,
	                                    .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA_384},
	            "hmac-sha384");
	expect_name((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                    .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                    .key_bits = 2048},
	            "rsa-2048");
	expect_name((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                    .akcipher = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
	                                    .key_bits = 521},
	            "ecdsa-p521");
	p = cipher(VIRTIO_CRYPTO_CIPHER_AES_CTR);
	p.key_len = 16;
	p.chain = 2;
	p.hash = VIRTIO_CRYPTO_HASH_SHA_256;
	expect_name(p, "aes-128-ctr+sha256");
}

static void test_statuses(void **state)
{
	assert_int_equal(session_status(0), VIRTIO_CRYPTO_OK);
	assert_int_equal(session_status(-EINVAL), VIRTIO_CRYPTO_ERR);
	assert_int_equal(session_status(-ENOTSUP), VIRTIO_CRYPTO_NOTSUPP);
	assert_int_equal(session_status(-EKEYREJECTED), VIRTIO_CRYPTO_KEY_REJECTED);
	assert_int_equal(session_status(-ENOSPC), VIRTIO_CRYPTO_NOSPC);
	assert_int_equal(session_status(-EIO), VIRTIO_CRYPTO_ERR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_lengths),
		cmocka_unit_test(test_hmac_key_lengths),
		cmocka_unit_test(test_tag_lengths),
		cmocka_unit_test(test_unknown_algorithms),
		cmocka_unit_test(test_large_rsa_keys),
		cmocka_unit_test(test_rsa_sessions),
		cmocka_unit_test(test_ecdsa_sessions),
		cmocka_unit_test(test_ecdsa_from_the_control_queue),
		cmocka_unit_test(test_chain_hash_modes),
		cmocka_unit_test(test_qemu_cipher_message),
		cmocka_unit_test(test_qemu_messages_that_lie),
		cmocka_unit_test(test_qemu_rsa_message),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
