/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA of the libcrypto resource, against libcrypto used directly: every operation, padding and
 * hash; wrong sizes, wrong paddings, wrong keys.
 */
#include "resource_fixture.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "keys.h"

#define RAW VIRTIO_CRYPTO_RSA_RAW_PADDING
#define PKCS1 VIRTIO_CRYPTO_RSA_PKCS1_PADDING

static struct fixture fixture;

static int open_it(void **state)
{
	fixture_open(&fixture, "libcrypto", 2);
	*state = &fixture;
	return 0;
}

static int close_it(void **state)
{
	fixture_close(*state);
	return 0;
}

struct rsa_session {
	struct session_params params;
	void *handle;
};

static void session_open(struct fixture *f, struct rsa_session *s, unsigned int bits, bool private,
                         uint8_t padding, uint8_t hash)
{
	struct test_key key = private ? test_rsa_private(bits) : test_rsa_public(bits);

	s->params = (struct session_params){
		.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		.akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
		.private_key = private,
		.rsa_padding = padding,
		.rsa_hash = hash,
		.key_bits = (uint16_t)bits,
		.key = key.der,
		.key_len = (uint32_t)key.len,
	};
	assert_true(f->resource->ops->can(f->resource, &s->params));
	assert_int_equal(f->resource->ops->realise(f->instance, &s->params, &s->handle), 0);
}

static void session_close(struct fixture *f, struct rsa_session *s)
{
	f->resource->ops->drop(f->instance, s->handle);
}

/* One operation; returns its status, and its result in out. */
static uint8_t operate(struct fixture *f, struct rsa_session *s, uint8_t kind, const uint8_t *in,
                       uint32_t in_len, const uint8_t *digest, uint16_t digest_len, uint8_t *out,
                       uint32_t *out_len)
{
	struct vc_request *req = requests_new(1);
	uint8_t copy[1024], result, tag[1024];

	assert_true(in_len <= sizeof(copy));
	memcpy(copy, in, in_len);
	req->handle = s->handle;
	req->kind = kind;
	req->src = copy;
	req->length = in_len;
	req->dst = out;
	req->dst_len = *out_len;
	if (digest_len)
		memcpy(tag, digest, digest_len);
	req->tag = tag;
	req->tag_len = digest_len;
	fixture_run(f, req, 1, 1);
	*out_len = req->result_len;
	result = req->status;
	free(req);
	return result;
}

/* libcrypto's own key of those bytes. */
static EVP_PKEY *reference_key(unsigned int bits)
{
	struct test_key key = test_rsa_private(bits);
	const unsigned char *p = key.der;
	EVP_PKEY *pkey = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &p, key.len);

	assert_non_null(pkey);
	return pkey;
}

static EVP_PKEY_CTX *reference(EVP_PKEY *key, int (*init)(EVP_PKEY_CTX *), int padding,
                               const EVP_MD *md)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);

	assert_int_equal(init(c), 1);
	assert_true(EVP_PKEY_CTX_set_rsa_padding(c, padding) > 0);
	if (md)
		assert_true(EVP_PKEY_CTX_set_signature_md(c, md) > 0);
	return c;
}

static void raw_operations_agree(void **state)
{
	static const unsigned int sizes[] = {512, 1024, 2048, 3072, 4096};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < vc_array_size(sizes); i++) {
		uint8_t in[512], out[512], back[512], expected[512];
		uint32_t size = sizes[i] / 8, n = size;
		EVP_PKEY *key = reference_key(sizes[i]);
		EVP_PKEY_CTX *c = reference(key, EVP_PKEY_decrypt_init, RSA_NO_PADDING, NULL);
		struct rsa_session private, public;
		size_t m = sizeof(expected);

		session_open(f, &private, sizes[i], true, RAW, 0);
		session_open(f, &public, sizes[i], false, RAW, 0);
		random_fill(in, size);
		in[0] = 0;
		assert_int_equal(EVP_PKEY_decrypt(c, expected, &m, in, size), 1);
		assert_int_equal(
			operate(f, &private, VC_REQUEST_AK_DECRYPT, in, size, NULL, 0, out, &n),
			VIRTIO_CRYPTO_OK);
		assert_int_equal(n, size);
		assert_memory_equal(out, expected, size);
		memset(out, 0, size);
		assert_int_equal(
			operate(f, &private, VC_REQUEST_AK_SIGN, in, size, NULL, 0, out, &n),
			VIRTIO_CRYPTO_OK);
		assert_memory_equal(out, expected, size);
		/* The way back, with either key. */
		assert_int_equal(
			operate(f, &public, VC_REQUEST_AK_ENCRYPT, out, size, NULL, 0, back, &n),
			VIRTIO_CRYPTO_OK);
		assert_memory_equal(back, in, size);
		assert_int_equal(
			operate(f, &private, VC_REQUEST_AK_ENCRYPT, out, size, NULL, 0, back, &n),
			VIRTIO_CRYPTO_OK);
		assert_memory_equal(back, in, size);
		assert_int_equal(operate(f, &public, VC_REQUEST_AK_VERIFY, out, size, in,
		                         (uint16_t)size, back, &n),
		                 VIRTIO_CRYPTO_OK);
		in[size - 1] ^= 1;
		assert_int_equal(operate(f, &public, VC_REQUEST_AK_VERIFY, out, size, in,
		                         (uint16_t)size, back, &n),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		session_close(f, &private);
		session_close(f, &public);
		EVP_PKEY_CTX_free(c);
		EVP_PKEY_free(key);
	}
}

/* A public key may be any odd number: no need to look for two primes of 4096 bits. */
static void the_largest_modulus(void **state)
{
	struct fixture *f = *state;
	BIGNUM *n = BN_new(), *e = BN_new(), *m = BN_new(), *r = BN_new();
	BN_CTX *ctx = BN_CTX_new();
	uint8_t der[1040] = {0x30, 0x82, 0x04, 0x0a, 0x02, 0x82, 0x04, 0x01}, in[1024], out[1024];
	uint8_t expected[1024];
	struct rsa_session s = {.params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                   .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                   .rsa_padding = RAW,
	                                   .key_bits = 8192,
	                                   .key = der,
	                                   .key_len = 4 + 0x40a}};
	uint32_t size = sizeof(out);

	/* RSAPublicKey: a modulus with a zero in front, 65537. */
	random_fill(der + 9, 1024);
	der[9] |= 0x80;
	der[9 + 1023] |= 1;
	memcpy(der + 9 + 1024, (uint8_t[]){0x02, 0x03, 1, 0, 1}, 5);
	random_fill(in, sizeof(in));
	in[0] = 0;
	BN_bin2bn(der + 9, 1024, n);
	BN_set_word(e, 65537);
	BN_bin2bn(in, sizeof(in), m);
	assert_int_equal(BN_mod_exp(r, m, e, n, ctx), 1);
	assert_int_equal(BN_bn2binpad(r, expected, sizeof(expected)), sizeof(expected));
	assert_true(f->resource->ops->can(f->resource, &s.params));
	assert_int_equal(f->resource->ops->realise(f->instance, &s.params, &s.handle), 0);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_ENCRYPT, in, sizeof(in), NULL, 0, out, &size),
	                 VIRTIO_CRYPTO_OK);
	assert_int_equal(size, sizeof(out));
	assert_memory_equal(out, expected, sizeof(out));
	session_close(f, &s);
	BN_free(n);
	BN_free(e);
	BN_free(m);
	BN_free(r);
	BN_CTX_free(ctx);
}

static void raw_takes_short_numbers_and_refuses_large_ones(void **state)
{
	struct fixture *f = *state;
	struct rsa_session s;
	uint8_t in[256], wide[256] = {0}, out[256], out2[256];
	uint32_t n = 256;

	session_open(f, &s, 2048, true, RAW, 0);
	random_fill(in, 7);
	memcpy(wide + 249, in, 7);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_DECRYPT, in, 7, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_OK);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_DECRYPT, wide, 256, NULL, 0, out2, &n),
	                 VIRTIO_CRYPTO_OK);
	assert_memory_equal(out, out2, 256);
	memset(in, 0xff, 256);
	n = 256;
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_DECRYPT, in, 256, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_ERR);
	assert_int_equal(n, 0);
	n = 256;
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_DECRYPT, wide, 0, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_OK);
	n = 255;
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_DECRYPT, wide, 256, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_NOSPC);
	session_close(f, &s);
}

struct hash {
	uint8_t number;
	uint16_t size;
	const EVP_MD *(*md)(void);
};

static const struct hash hashes[] = {
	{VIRTIO_CRYPTO_RSA_SHA1, 20, EVP_sha1},     {VIRTIO_CRYPTO_RSA_SHA224, 28, EVP_sha224},
	{VIRTIO_CRYPTO_RSA_SHA256, 32, EVP_sha256}, {VIRTIO_CRYPTO_RSA_SHA384, 48, EVP_sha384},
	{VIRTIO_CRYPTO_RSA_SHA512, 64, EVP_sha512}, {VIRTIO_CRYPTO_RSA_MD5, 16, EVP_md5},
	{VIRTIO_CRYPTO_RSA_NO_HASH, 51, NULL},
};

static void pkcs1_signatures_agree(void **state)
{
	struct fixture *f = *state;
	EVP_PKEY *key = reference_key(2048);

	for (unsigned int i = 0; i < vc_array_size(hashes); i++) {
		const struct hash *h = &hashes[i];
		EVP_PKEY_CTX *c = reference(key, EVP_PKEY_sign_init, RSA_PKCS1_PADDING,
		                            h->md ? h->md() : NULL);
		uint8_t digest[64], expected[256], out[256], nothing[1];
		struct rsa_session private, public;
		size_t m = sizeof(expected);
		uint32_t n = 256, none = 0;

		session_open(f, &private, 2048, true, PKCS1, h->number);
		session_open(f, &public, 2048, false, PKCS1, h->number);
		random_fill(digest, sizeof(digest));
		assert_int_equal(EVP_PKEY_sign(c, expected, &m, digest, h->size), 1);
		assert_int_equal(
			operate(f, &private, VC_REQUEST_AK_SIGN, digest, h->size, NULL, 0, out, &n),
			VIRTIO_CRYPTO_OK);
		assert_int_equal(n, 256);
		assert_memory_equal(out, expected, 256);
		assert_int_equal(operate(f, &public, VC_REQUEST_AK_VERIFY, out, 256, digest,
		                         h->size, nothing, &none),
		                 VIRTIO_CRYPTO_OK);
		digest[3] ^= 1;
		assert_int_equal(operate(f, &public, VC_REQUEST_AK_VERIFY, out, 256, digest,
		                         h->size, nothing, &none),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		digest[3] ^= 1;
		out[200] ^= 1;
		assert_int_equal(operate(f, &public, VC_REQUEST_AK_VERIFY, out, 256, digest,
		                         h->size, nothing, &none),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		assert_int_equal(operate(f, &public, VC_REQUEST_AK_VERIFY, out, 255, digest,
		                         h->size, nothing, &none),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		/* A digest of another size than the hash has. */
		n = 256;
		assert_int_equal(operate(f, &private, VC_REQUEST_AK_SIGN, digest, h->size - 1, NULL,
		                         0, out, &n),
		                 h->md ? VIRTIO_CRYPTO_ERR : VIRTIO_CRYPTO_OK);
		session_close(f, &private);
		session_close(f, &public);
		EVP_PKEY_CTX_free(c);
	}
	EVP_PKEY_free(key);
}

/* Hashes that libcrypto signs with no more: the DigestInfo that its ASN.1 makes of them. */
static void old_hashes_are_encoded_right(void **state)
{
	static const struct {
		uint8_t number;
		int nid;
	} old[] = {{VIRTIO_CRYPTO_RSA_MD2, NID_md2},
	           {VIRTIO_CRYPTO_RSA_MD4, NID_md4},
	           {VIRTIO_CRYPTO_RSA_MD5, NID_md5}};
	EVP_PKEY *key = reference_key(1024);
	struct fixture *f = *state;

	for (unsigned int i = 0; i < vc_array_size(old); i++) {
		EVP_PKEY_CTX *c =
			reference(key, EVP_PKEY_verify_recover_init, RSA_PKCS1_PADDING, NULL);
		uint8_t digest[16], out[128], recovered[128];
		size_t recovered_len = sizeof(recovered);
		X509_SIG *info = X509_SIG_new();
		unsigned char *der = NULL;
		X509_ALGOR *algorithm;
		ASN1_OCTET_STRING *string;
		struct rsa_session s;
		uint32_t n = 128;
		int length;

		random_fill(digest, sizeof(digest));
		session_open(f, &s, 1024, true, PKCS1, old[i].number);
		assert_int_equal(operate(f, &s, VC_REQUEST_AK_SIGN, digest, 16, NULL, 0, out, &n),
		                 VIRTIO_CRYPTO_OK);
		assert_int_equal(EVP_PKEY_verify_recover(c, recovered, &recovered_len, out, n), 1);
		X509_SIG_getm(info, &algorithm, &string);
		X509_ALGOR_set0(algorithm, OBJ_nid2obj(old[i].nid), V_ASN1_NULL, NULL);
		ASN1_OCTET_STRING_set(string, digest, sizeof(digest));
		length = i2d_X509_SIG(info, &der);
		assert_int_equal(recovered_len, length);
		assert_memory_equal(recovered, der, recovered_len);
		OPENSSL_free(der);
		X509_SIG_free(info);
		session_close(f, &s);
		EVP_PKEY_CTX_free(c);
	}
	EVP_PKEY_free(key);
}

static void a_key_too_short_for_the_hash_signs_nothing(void **state)
{
	struct fixture *f = *state;
	uint8_t digest[64] = {0}, out[64];
	struct rsa_session s;
	uint32_t n = sizeof(out);

	session_open(f, &s, 512, true, PKCS1, VIRTIO_CRYPTO_RSA_SHA512);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_SIGN, digest, 64, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_ERR);
	session_close(f, &s);
}

static void pkcs1_encryption_agrees(void **state)
{
	struct fixture *f = *state;
	EVP_PKEY *key = reference_key(2048);
	EVP_PKEY_CTX *c = reference(key, EVP_PKEY_decrypt_init, RSA_PKCS1_PADDING, NULL);
	struct rsa_session private, public;
	static const uint32_t lengths[] = {0, 1, 48, 244, 245};
	uint8_t in[256], out[256], back[256];

	session_open(f, &private, 2048, true, PKCS1, 0);
	session_open(f, &public, 2048, false, PKCS1, 0);
	random_fill(in, sizeof(in));
	for (unsigned int i = 0; i < vc_array_size(lengths); i++) {
		size_t m = sizeof(back);
		uint32_t n = 256;

		assert_int_equal(operate(f, &public, VC_REQUEST_AK_ENCRYPT, in, lengths[i], NULL, 0,
		                         out, &n),
		                 VIRTIO_CRYPTO_OK);
		assert_int_equal(n, 256);
		assert_int_equal(EVP_PKEY_decrypt(c, back, &m, out, 256), 1);
		assert_int_equal(m, lengths[i]);
		assert_memory_equal(back, in, m);
		memset(back, 0, sizeof(back));
		n = lengths[i];
		assert_int_equal(
			operate(f, &private, VC_REQUEST_AK_DECRYPT, out, 256, NULL, 0, back, &n),
			VIRTIO_CRYPTO_OK);
		assert_int_equal(n, lengths[i]);
		assert_memory_equal(back, in, n);
	}
	uint32_t n = 256;

	assert_int_equal(operate(f, &public, VC_REQUEST_AK_ENCRYPT, in, 246, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_ERR);
	session_close(f, &private);
	session_close(f, &public);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(key);
}

static void wrong_padding_gives_nothing_away(void **state)
{
	struct fixture *f = *state;
	struct rsa_session raw, padded;
	uint8_t block[256], cipher[256], out[256];
	uint32_t n = 256;

	session_open(f, &raw, 2048, true, RAW, 0);
	session_open(f, &padded, 2048, true, PKCS1, 0);
	memset(block, 0x33, sizeof(block));
	block[0] = 0;
	block[1] = 9; /* no block type */
	assert_int_equal(operate(f, &raw, VC_REQUEST_AK_ENCRYPT, block, 256, NULL, 0, cipher, &n),
	                 VIRTIO_CRYPTO_OK);
	memset(out, 0xee, sizeof(out));
	n = 256;
	/* An error, or (libcrypto 3.2 and later) something random that looks like a message. */
	if (operate(f, &padded, VC_REQUEST_AK_DECRYPT, cipher, 256, NULL, 0, out, &n) !=
	    VIRTIO_CRYPTO_OK) {
		assert_int_equal(n, 0);
		for (unsigned int i = 0; i < 256; i++)
			assert_int_equal(out[i], 0xee);
	} else {
		assert_true(n <= 245);
	}
	session_close(f, &raw);
	session_close(f, &padded);
}

static void public_keys_have_no_private_operations(void **state)
{
	struct fixture *f = *state;
	struct rsa_session s;
	uint8_t in[256] = {0}, out[256];
	uint32_t n = 256;

	session_open(f, &s, 2048, false, RAW, 0);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_DECRYPT, in, 256, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_KEY_REJECTED);
	n = 256;
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_SIGN, in, 256, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_KEY_REJECTED);
	session_close(f, &s);
}

/* The public key with and without the sign byte of its modulus: the same results. */
static void a_modulus_without_sign_is_the_same_key(void **state)
{
	struct fixture *f = *state;
	struct test_key key = test_rsa_public(2048);
	struct rsa_session s;
	uint8_t in[256] = {0, 1, 2, 3}, out[2][256], der[512];
	uint32_t n = 256;

	session_open(f, &s, 2048, false, RAW, 0);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_ENCRYPT, in, 256, NULL, 0, out[0], &n),
	                 VIRTIO_CRYPTO_OK);
	session_close(f, &s);

	/* 30 82 .. .. 02 82 01 01 00 MODULUS: two lengths are one less, and the zero goes. */
	assert_memory_equal(key.der + 4, "\x02\x82\x01\x01\x00", 5);
	memcpy(der, key.der, 8);
	memcpy(der + 8, key.der + 9, (size_t)key.len - 9);
	der[3]--;
	der[7]--;
	s.params.key = der;
	s.params.key_len = (uint32_t)key.len - 1;
	assert_int_equal(f->resource->ops->realise(f->instance, &s.params, &s.handle), 0);
	n = 256;
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_ENCRYPT, in, 256, NULL, 0, out[1], &n),
	                 VIRTIO_CRYPTO_OK);
	assert_memory_equal(out[0], out[1], 256);
	session_close(f, &s);
}

static void keys_that_are_none_are_rejected(void **state)
{
	struct fixture *f = *state;
	struct test_key good = test_rsa_private(2048);
	uint8_t *bad = malloc((size_t)good.len + 8);
	uint8_t in[256] = {0, 1}, out[256];

	for (unsigned int i = 0; i < 6; i++) {
		struct rsa_session s = {.params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		                                   .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
		                                   .private_key = 1,
		                                   .key = bad}};
		uint32_t n = 256;

		memcpy(bad, good.der, (size_t)good.len);
		memset(bad + good.len, 0, 8);
		s.params.key_len = (uint32_t)good.len;
		if (i == 0)
			s.params.key_len -= 3; /* cut short */
		else if (i == 1)
			s.params.key_len += 3; /* something behind it */
		else if (i == 2)
			memset(bad, 0x41, (size_t)good.len);
		else if (i == 3)
			bad[0] = 0x31; /* a SET */
		else if (i == 4)
			bad[3] = 0xff; /* longer than it is */
		else
			s.params.private_key = 0; /* not a public key's form */
		assert_int_equal(f->resource->ops->realise(f->instance, &s.params, &s.handle), 0);
		for (unsigned int again = 0; again < 3; again++) {
			n = 256;
			assert_int_equal(
				operate(f, &s, VC_REQUEST_AK_ENCRYPT, in, 256, NULL, 0, out, &n),
				VIRTIO_CRYPTO_KEY_REJECTED);
		}
		session_close(f, &s);
	}
	free(bad);
}

static void a_key_whose_parts_do_not_fit_gives_no_result(void **state)
{
	struct fixture *f = *state;
	struct test_key good = test_rsa_private(2048);
	uint8_t *bad = malloc((size_t)good.len);
	uint8_t in[256] = {0, 1}, out[256];
	struct rsa_session s = {.params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                   .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                   .private_key = 1,
	                                   .key = bad,
	                                   .key_len = (uint32_t)good.len}};

	/* Bits of every part in turn: whatever happens, it ends, and what is called a result is
	 * one under the public key (a faulty CRT result would give the key away). */
	for (int at = 300; at < good.len; at += 61) {
		struct rsa_session public;
		uint32_t n = 256;
		uint8_t back[256], status;

		memcpy(bad, good.der, (size_t)good.len);
		bad[at] ^= 0x10;
		session_open(f, &public, 2048, false, RAW, 0);
		assert_int_equal(f->resource->ops->realise(f->instance, &s.params, &s.handle), 0);
		status = operate(f, &s, VC_REQUEST_AK_DECRYPT, in, 256, NULL, 0, out, &n);
		/* d itself is used when the CRT's parts are found wrong: it lies at 270..530. */
		if (status == VIRTIO_CRYPTO_OK && at > 540) {
			assert_int_equal(operate(f, &public, VC_REQUEST_AK_ENCRYPT, out, 256, NULL,
			                         0, back, &n),
			                 VIRTIO_CRYPTO_OK);
			assert_memory_equal(back, in, 256);
		}
		session_close(f, &s);
		session_close(f, &public);
	}
	free(bad);
}

/* More than the ring holds, on both threads, keys mixed. */
static void a_flood_is_taken_piece_by_piece(void **state)
{
	struct fixture *f = *state;
	struct vc_request *reqs = requests_new(600);
	uint8_t(*out)[128] = calloc(600, 128), in[128] = {0};
	struct rsa_session s[3];

	for (unsigned int i = 0; i < 3; i++)
		session_open(f, &s[i], 1024, true, RAW, 0);
	for (unsigned int i = 0; i < 600; i++) {
		reqs[i].kind = VC_REQUEST_AK_DECRYPT;
		reqs[i].handle = s[i % 3].handle;
		reqs[i].src = in;
		reqs[i].length = 128;
		reqs[i].dst = out[i];
		reqs[i].dst_len = 128;
		reqs[i].status = 0x77;
	}
	in[100] = 77;
	fixture_run(f, reqs, 600, 64);
	for (unsigned int i = 0; i < 600; i++) {
		assert_int_equal(reqs[i].status, VIRTIO_CRYPTO_OK);
		assert_memory_equal(out[i], out[0], 128);
	}
	for (unsigned int i = 0; i < 3; i++)
		session_close(f, &s[i]);
	free(out);
	free(reqs);
}

static void what_it_cannot_is_refused(void **state)
{
	struct fixture *f = *state;
	struct session_params p = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                           .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                           .key_bits = 2048,
	                           .key_len = 1200};

	assert_true(f->resource->ops->can(f->resource, &p));
	p.key_bits = 511;
	assert_false(f->resource->ops->can(f->resource, &p));
	p.key_bits = 8200;
	assert_false(f->resource->ops->can(f->resource, &p));
	p.key_bits = 2048;
	p.rsa_padding = 2;
	assert_false(f->resource->ops->can(f->resource, &p));
	p.rsa_padding = PKCS1;
	p.rsa_hash = VIRTIO_CRYPTO_RSA_MD3;
	assert_false(f->resource->ops->can(f->resource, &p));
	p.rsa_hash = 10;
	assert_false(f->resource->ops->can(f->resource, &p));
	p.rsa_hash = VIRTIO_CRYPTO_RSA_SHA256;
	assert_true(f->resource->ops->can(f->resource, &p));
	p.akcipher = 7;
	assert_false(f->resource->ops->can(f->resource, &p));
}

#define rsa_test(t) cmocka_unit_test_setup_teardown(t, open_it, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rsa_test(raw_operations_agree),
		rsa_test(the_largest_modulus),
		rsa_test(raw_takes_short_numbers_and_refuses_large_ones),
		rsa_test(pkcs1_signatures_agree),
		rsa_test(old_hashes_are_encoded_right),
		rsa_test(a_key_too_short_for_the_hash_signs_nothing),
		rsa_test(pkcs1_encryption_agrees),
		rsa_test(wrong_padding_gives_nothing_away),
		rsa_test(public_keys_have_no_private_operations),
		rsa_test(a_modulus_without_sign_is_the_same_key),
		rsa_test(keys_that_are_none_are_rejected),
		rsa_test(a_key_whose_parts_do_not_fit_gives_no_result),
		rsa_test(a_flood_is_taken_piece_by_piece),
		rsa_test(what_it_cannot_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
