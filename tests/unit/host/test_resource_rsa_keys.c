/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys of the libcrypto resource: what is one and what is none, what a public one cannot do,
 * and how many requests there can be.
 */
#include "akcipher_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "keys.h"

static void public_keys_have_no_private_operations(void **state)
{
	struct fixture *f = *state;
	struct akcipher_session s;
	uint8_t in[256] = {0}, out[256];
	uint32_t n = 256;

	rsa_session_open(f, &s, 2048, false, RAW, 0);
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
	struct akcipher_session s;
	uint8_t in[256] = {0, 1, 2, 3}, out[2][256], der[512];
	uint32_t n = 256;

	rsa_session_open(f, &s, 2048, false, RAW, 0);
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
		struct akcipher_session s = {.params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
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
	struct akcipher_session s = {.params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                        .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                        .private_key = 1,
	                                        .key = bad,
	                                        .key_len = (uint32_t)good.len}};

	/* Bits of every part in turn: whatever happens, it ends, and what is called a result is
	 * one under the public key (a faulty CRT result would give the key away). */
	for (int at = 300; at < good.len; at += 61) {
		struct akcipher_session public;
		uint32_t n = 256;
		uint8_t back[256], status;

		memcpy(bad, good.der, (size_t)good.len);
		bad[at] ^= 0x10;
		rsa_session_open(f, &public, 2048, false, RAW, 0);
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
	struct akcipher_session s[3];

	for (unsigned int i = 0; i < 3; i++)
		rsa_session_open(f, &s[i], 1024, true, RAW, 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		akcipher_test(public_keys_have_no_private_operations),
		akcipher_test(a_modulus_without_sign_is_the_same_key),
		akcipher_test(keys_that_are_none_are_rejected),
		akcipher_test(a_key_whose_parts_do_not_fit_gives_no_result),
		akcipher_test(a_flood_is_taken_piece_by_piece),
		akcipher_test(what_it_cannot_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
