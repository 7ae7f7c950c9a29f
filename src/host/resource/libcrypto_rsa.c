/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcrypto: RSA, raw and with PKCS#1 v1.5 padding.
 *
 * The threads of an instance. Each decodes the key for itself at its first request of a session, so
 * that threads never meet in one key's blinding lock. libcrypto blinds private operations and
 * checks results made with the CRT against the public exponent before it gives them out (a faulty
 * one would give the key away).
 *
 * Keys are a guest's and hostile: size and form are checked, the rest costs the guest its own
 * results only. Inputs and outputs are private copies: intermediate values, such as a padded block,
 * never appear in guest memory.
 *
 * Decryption with PKCS#1 padding tells the guest whether the padding was right: that is what the
 * request asks. Whoever decrypts for strangers (TLS) must not pass that on; the vcrypto provider
 * therefore asks for the raw operation only and does the padding itself, in constant time.
 */
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/secmem.h"
#include "host/der.h"
#include "host/resource/libcrypto.h"

/*
 * DigestInfo of a hash up to the digest itself (RFC 8017, 9.2): the same 19 bytes but for lengths
 * and object identifier. Written out, because libcrypto has not all of them any more.
 */
#define MAX_PREFIX 19
struct rsa_hash {
	uint8_t size;       /* of the digest; 0: not here */
	uint8_t prefix_len; /* of what comes before it */
	uint8_t prefix[MAX_PREFIX];
};

/* rsadsi digestAlgorithm(2).n */
#define RSADSI(n)                                                                                  \
	{                                                                                          \
		16, 18,                                                                            \
		{                                                                                  \
			0x30, 0x20, 0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,    \
				0x02, n, 0x05, 0x00, 0x04, 0x10                                    \
		}                                                                                  \
	}
/* nistAlgorithm(4) hashAlgs(2).n */
#define NIST(size, n)                                                                              \
	{                                                                                          \
		size, 19,                                                                          \
		{                                                                                  \
			0x30, 0x11 + (size), 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, \
				0x03, 0x04, 0x02, n, 0x05, 0x00, 0x04, size                        \
		}                                                                                  \
	}

/* MD3 was never published, and has neither an identifier nor an implementation. */
static const struct rsa_hash rsa_hashes[LC_RSA_HASHES] = {
	[VIRTIO_CRYPTO_RSA_MD2] = RSADSI(2),
	[VIRTIO_CRYPTO_RSA_MD4] = RSADSI(4),
	[VIRTIO_CRYPTO_RSA_MD5] = RSADSI(5),
	[VIRTIO_CRYPTO_RSA_SHA1] = {20,
                                    15,
                                    {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02,
                                     0x1a, 0x05, 0x00, 0x04, 0x14}},
	[VIRTIO_CRYPTO_RSA_SHA224] = NIST(28, 4),
	[VIRTIO_CRYPTO_RSA_SHA256] = NIST(32, 1),
	[VIRTIO_CRYPTO_RSA_SHA384] = NIST(48, 2),
	[VIRTIO_CRYPTO_RSA_SHA512] = NIST(64, 3),
};

/* The hash of a session whose signatures say it; NULL: they do not. */
static const struct rsa_hash *hash_of(const struct session_params *params)
{
	if (params->rsa_padding != VIRTIO_CRYPTO_RSA_PKCS1_PADDING ||
	    params->rsa_hash == VIRTIO_CRYPTO_RSA_NO_HASH)
		return NULL;
	return &rsa_hashes[params->rsa_hash];
}

bool lc_rsa_can(const struct session_params *params)
{
	if (params->akcipher != VIRTIO_CRYPTO_AKCIPHER_RSA)
		return false;
	if (!params->key_len || params->key_len > LC_RSA_MAX_DER)
		return false;
	if (params->key_bits &&
	    (params->key_bits < LC_RSA_MIN_BITS || params->key_bits > LC_RSA_MAX_BITS))
		return false;
	if (params->rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING)
		return true;
	return params->rsa_padding == VIRTIO_CRYPTO_RSA_PKCS1_PADDING &&
	       params->rsa_hash < LC_RSA_HASHES &&
	       (params->rsa_hash == VIRTIO_CRYPTO_RSA_NO_HASH || rsa_hashes[params->rsa_hash].size);
}

/* RSAPrivateKey (RFC 8017, A.1.2), the whole of it and nothing more. */
static EVP_PKEY *private_key(OSSL_LIB_CTX *library, const struct session_params *params)
{
	EVP_PKEY *key = NULL;
	const unsigned char *der = params->key;
	size_t left = params->key_len;
	OSSL_DECODER_CTX *decoder = OSSL_DECODER_CTX_new_for_pkey(
		&key, "DER", "type-specific", "RSA", EVP_PKEY_KEYPAIR, library, NULL);

	if (!decoder)
		return NULL;
	if (!OSSL_DECODER_from_data(decoder, &der, &left) || left) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	OSSL_DECODER_CTX_free(decoder);
	return key;
}

/* A number as libcrypto's parameters want it: in the order of this machine, which is x86's. */
static OSSL_PARAM number(const char *name, uint8_t *copy, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		copy[i] = from[len - 1 - i];
	return OSSL_PARAM_construct_BN(name, copy, len);
}

/* RSAPublicKey (A.1.1). By our own reader: libcrypto's takes a modulus without sign for negative.
 */
static EVP_PKEY *public_key(OSSL_LIB_CTX *library, const struct session_params *params)
{
	uint8_t modulus[LC_RSA_MAX_BITS / 8], exponent[LC_RSA_MAX_BITS / 8];
	EVP_PKEY_CTX *c = NULL;
	EVP_PKEY *key = NULL;
	OSSL_PARAM part[3];
	struct der_rsa in;

	if (der_rsa_public_numbers(params->key, params->key_len, &in) < 0 ||
	    in.modulus_len > sizeof(modulus) || in.exponent_len > sizeof(exponent))
		return NULL;
	part[0] = number(OSSL_PKEY_PARAM_RSA_N, modulus, in.modulus, in.modulus_len);
	part[1] = number(OSSL_PKEY_PARAM_RSA_E, exponent, in.exponent, in.exponent_len);
	part[2] = OSSL_PARAM_construct_end();
	c = EVP_PKEY_CTX_new_from_name(library, "RSA", NULL);
	if (!c || EVP_PKEY_fromdata_init(c) <= 0 ||
	    EVP_PKEY_fromdata(c, &key, EVP_PKEY_PUBLIC_KEY, part) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(c);
	return key;
}

static EVP_PKEY *decode_key(OSSL_LIB_CTX *library, const struct session_params *params)
{
	EVP_PKEY *key =
		params->private_key ? private_key(library, params) : public_key(library, params);

	if (key && (EVP_PKEY_get_bits(key) < LC_RSA_MIN_BITS ||
	            EVP_PKEY_get_bits(key) > LC_RSA_MAX_BITS)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

int lc_operation_begin(EVP_PKEY_CTX *c, unsigned int kind)
{
	switch (kind) {
	case VC_REQUEST_AK_ENCRYPT:
		return EVP_PKEY_encrypt_init(c);
	case VC_REQUEST_AK_DECRYPT:
		return EVP_PKEY_decrypt_init(c);
	case VC_REQUEST_AK_SIGN:
		return EVP_PKEY_sign_init(c);
	default:
		return EVP_PKEY_verify_init(c);
	}
}

/* The context of this thread for one kind of operation of the session; NULL: not possible. */
static EVP_PKEY_CTX *prepare(struct lc_thread *thread, const struct session_params *params,
                             struct lc_local *local, unsigned int kind)
{
	bool raw = params->rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING;
	EVP_PKEY_CTX **slot = &local->operation[kind - VC_REQUEST_AK_ENCRYPT];
	EVP_PKEY_CTX *c = *slot;

	if (c)
		return c;
	if (!local->key)
		local->key = decode_key(thread->instance->library, params);
	if (!local->key) {
		local->bad = true;
		return NULL;
	}
	c = EVP_PKEY_CTX_new_from_pkey(thread->instance->library, local->key, NULL);
	if (!c || lc_operation_begin(c, kind) <= 0 ||
	    EVP_PKEY_CTX_set_rsa_padding(c, raw ? RSA_NO_PADDING : RSA_PKCS1_PADDING) <= 0) {
		EVP_PKEY_CTX_free(c);
		return NULL;
	}
	*slot = c;
	return c;
}

/* Raw operations want as many bytes as the modulus has; a shorter number gets zeros in front. */
static bool widen(uint8_t *block, size_t size, const uint8_t *data, size_t length)
{
	if (length > size)
		return false;
	memset(block, 0, size - length);
	if (length)
		memcpy(block + size - length, data, length);
	return true;
}

uint8_t lc_result(struct vc_request *req, const uint8_t *data, size_t length)
{
	if (length > req->dst_len)
		return VIRTIO_CRYPTO_NOSPC;
	if (length)
		memcpy(req->dst, data, length);
	req->result_len = (uint32_t)length;
	return VIRTIO_CRYPTO_OK;
}

/* What is signed: the digest behind its DigestInfo, or just what there is. 0: of a wrong size. */
static size_t encode(const struct session_params *params, uint8_t *block, const uint8_t *data,
                     size_t length)
{
	const struct rsa_hash *hash = hash_of(params);
	size_t prefix = hash ? hash->prefix_len : 0;

	if (length > LC_RSA_MAX_BITS / 8 - MAX_PREFIX || (hash && length != hash->size))
		return 0;
	if (hash)
		memcpy(block, hash->prefix, prefix);
	memcpy(block + prefix, data, length);
	return prefix + length;
}

/* Encrypt, decrypt, sign: something in, something out. */
static uint8_t transform(struct lc_thread *thread, struct vc_request *req,
                         const struct session_params *params, struct lc_local *local)
{
	bool raw = params->rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING;
	/* Without padding, signing is the same private operation as decrypting. */
	unsigned int kind =
		raw && req->kind == VC_REQUEST_AK_SIGN ? VC_REQUEST_AK_DECRYPT : req->kind;
	EVP_PKEY_CTX *c = prepare(thread, params, local, kind);
	uint8_t in[LC_RSA_MAX_BITS / 8], out[LC_RSA_MAX_BITS / 8];
	size_t length = sizeof(out), in_len = req->length;
	const uint8_t *data = req->src;
	uint8_t status = VIRTIO_CRYPTO_ERR;
	int r;

	if (!c)
		return VIRTIO_CRYPTO_KEY_REJECTED;
	if (raw) {
		in_len = (size_t)EVP_PKEY_get_size(local->key);
		if (!widen(in, in_len, req->src, req->length))
			return VIRTIO_CRYPTO_ERR;
		data = in;
	} else if (kind == VC_REQUEST_AK_SIGN) {
		in_len = encode(params, in, req->src, req->length);
		if (!in_len)
			return VIRTIO_CRYPTO_ERR;
		data = in;
	}
	if (kind == VC_REQUEST_AK_ENCRYPT)
		r = EVP_PKEY_encrypt(c, out, &length, data, in_len);
	else if (kind == VC_REQUEST_AK_DECRYPT)
		r = EVP_PKEY_decrypt(c, out, &length, data, in_len);
	else
		r = EVP_PKEY_sign(c, out, &length, data, in_len);
	if (r > 0)
		status = lc_result(req, out, length);
	secmem_wipe(in, sizeof(in));
	secmem_wipe(out, sizeof(out));
	return status;
}

/* src is the signature, tag the digest. Nothing here is secret. */
static uint8_t verify(struct lc_thread *thread, struct vc_request *req,
                      const struct session_params *params, struct lc_local *local)
{
	bool raw = params->rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING;
	uint8_t in[LC_RSA_MAX_BITS / 8], out[LC_RSA_MAX_BITS / 8], expected[LC_RSA_MAX_BITS / 8];
	EVP_PKEY_CTX *c =
		prepare(thread, params, local, raw ? VC_REQUEST_AK_ENCRYPT : VC_REQUEST_AK_VERIFY);
	size_t size, length = sizeof(out);
	bool ok;

	if (!c)
		return VIRTIO_CRYPTO_KEY_REJECTED;
	size = (size_t)EVP_PKEY_get_size(local->key);
	if (!raw) {
		length = encode(params, expected, req->tag, req->tag_len);
		ok = length && EVP_PKEY_verify(c, req->src, req->length, expected, length) == 1;
	} else {
		ok = widen(in, size, req->src, req->length) &&
		     widen(expected, size, req->tag, req->tag_len) &&
		     EVP_PKEY_encrypt(c, out, &length, in, size) > 0 && length == size &&
		     memcmp(out, expected, size) == 0;
	}
	/* The specification's word for a signature that does not fit. */
	return ok ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_KEY_REJECTED;
}

uint8_t lc_rsa(struct lc_thread *thread, struct vc_request *req, const struct lc_session *session,
               struct lc_local *local)
{
	const struct session_params *params = session->params;
	uint8_t status;

	req->result_len = 0;
	if (params->service != VIRTIO_CRYPTO_SERVICE_AKCIPHER)
		return VIRTIO_CRYPTO_ERR;
	if (local->bad)
		return VIRTIO_CRYPTO_KEY_REJECTED;
	if (!params->private_key &&
	    (req->kind == VC_REQUEST_AK_DECRYPT || req->kind == VC_REQUEST_AK_SIGN))
		return VIRTIO_CRYPTO_KEY_REJECTED;
	if (req->kind == VC_REQUEST_AK_VERIFY)
		status = verify(thread, req, params, local);
	else
		status = transform(thread, req, params, local);
	if (status != VIRTIO_CRYPTO_OK)
		ERR_clear_error();
	return status;
}
