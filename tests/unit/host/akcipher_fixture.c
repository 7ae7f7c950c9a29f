/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See akcipher_fixture.h.
 */
#include "akcipher_fixture.h"

#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"

static struct fixture fixture;

int akcipher_open(void **state)
{
	fixture_open(&fixture, "libcrypto", 2);
	*state = &fixture;
	return 0;
}

int akcipher_close(void **state)
{
	fixture_close(*state);
	return 0;
}

void session_realise(struct fixture *f, struct akcipher_session *s)
{
	assert_true(f->resource->ops->can(f->resource, &s->params));
	assert_int_equal(f->resource->ops->realise(f->instance, &s->params, &s->handle), 0);
}

void rsa_session_open(struct fixture *f, struct akcipher_session *s, unsigned int bits,
                      bool private, uint8_t padding, uint8_t hash)
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
	session_realise(f, s);
}

void session_close(struct fixture *f, struct akcipher_session *s)
{
	f->resource->ops->drop(f->instance, s->handle);
}

uint8_t operate(struct fixture *f, const struct akcipher_session *s, uint8_t kind,
                const uint8_t *in, uint32_t in_len, const uint8_t *digest, uint16_t digest_len,
                uint8_t *out, uint32_t *out_len)
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
	req->dst_len = out_len ? *out_len : 0;
	if (digest_len)
		memcpy(tag, digest, digest_len);
	req->tag = tag;
	req->tag_len = digest_len;
	fixture_run(f, req, 1, 1);
	if (out_len)
		*out_len = req->result_len;
	result = req->status;
	free(req);
	return result;
}

EVP_PKEY *reference_key(unsigned int bits)
{
	struct test_key key = test_rsa_private(bits);
	const unsigned char *p = key.der;
	EVP_PKEY *pkey = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &p, key.len);

	assert_non_null(pkey);
	return pkey;
}

EVP_PKEY_CTX *reference(EVP_PKEY *key, int (*init)(EVP_PKEY_CTX *), int padding, const EVP_MD *md)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);

	assert_int_equal(init(c), 1);
	if (padding)
		assert_true(EVP_PKEY_CTX_set_rsa_padding(c, padding) > 0);
	if (md)
		assert_true(EVP_PKEY_CTX_set_signature_md(c, md) > 0);
	return c;
}

void rsa_raw_agrees(struct fixture *f, unsigned int bits, struct akcipher_session *private,
                    struct akcipher_session *public, uint8_t *in, uint8_t *out)
{
	uint8_t back[512], expected[512];
	uint32_t size = bits / 8, n = size;
	EVP_PKEY *key = reference_key(bits);
	EVP_PKEY_CTX *c = reference(key, EVP_PKEY_decrypt_init, RSA_NO_PADDING, NULL);
	size_t m = sizeof(expected);

	assert_true(size <= sizeof(back));
	rsa_session_open(f, private, bits, true, RAW, 0);
	rsa_session_open(f, public, bits, false, RAW, 0);
	random_fill(in, size);
	in[0] = 0;
	assert_int_equal(EVP_PKEY_decrypt(c, expected, &m, in, size), 1);
	assert_int_equal(operate(f, private, VC_REQUEST_AK_DECRYPT, in, size, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_OK);
	assert_int_equal(n, size);
	assert_memory_equal(out, expected, size);
	assert_int_equal(operate(f, public, VC_REQUEST_AK_ENCRYPT, out, size, NULL, 0, back, &n),
	                 VIRTIO_CRYPTO_OK);
	assert_memory_equal(back, in, size);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(key);
}
