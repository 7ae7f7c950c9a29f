/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paddings, widths and results of asymmetric requests; see akcipher.h. Inputs are private copies,
 * with lengths that request.c has checked against the modulus.
 */
#include "host/resource/akcipher.h"

#include <string.h>
#include <sys/random.h>

#include "wire/virtio_crypto.h"

#define RSA_HASHES (VIRTIO_CRYPTO_RSA_SHA224 + 1)
/* 00, kind, padding of 8 bytes at least, 00 (RFC 8017, 7.2.1 and 9.2) */
#define PKCS1_OVERHEAD 11u

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
static const struct rsa_hash rsa_hashes[RSA_HASHES] = {
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

bool rsa_padding_can(const struct session_params *params)
{
	if (params->rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING)
		return true;
	return params->rsa_padding == VIRTIO_CRYPTO_RSA_PKCS1_PADDING &&
	       params->rsa_hash < RSA_HASHES &&
	       (params->rsa_hash == VIRTIO_CRYPTO_RSA_NO_HASH || rsa_hashes[params->rsa_hash].size);
}

bool rsa_widen(uint8_t *block, size_t size, const uint8_t *data, size_t length)
{
	if (length > size)
		return false;
	memset(block, 0, size - length);
	if (length)
		memcpy(block + size - length, data, length);
	return true;
}

uint8_t akcipher_result(struct vc_request *req, const uint8_t *data, size_t length)
{
	if (length > req->dst_len)
		return VIRTIO_CRYPTO_NOSPC;
	if (length)
		memcpy(req->dst, data, length);
	req->result_len = (uint32_t)length;
	return VIRTIO_CRYPTO_OK;
}

size_t rsa_digest_info(const struct session_params *params, uint8_t *block, const uint8_t *data,
                       size_t length)
{
	const struct rsa_hash *hash = hash_of(params);
	size_t prefix = hash ? hash->prefix_len : 0;

	if (length > AKCIPHER_RSA_MAX_BITS / 8 - MAX_PREFIX || (hash && length != hash->size))
		return 0;
	if (hash)
		memcpy(block, hash->prefix, prefix);
	memcpy(block + prefix, data, length);
	return prefix + length;
}

/* EMSA-PKCS1-v1_5 (RFC 8017, 9.2). */
static bool pad_signature(const struct session_params *params, uint8_t *block, size_t size,
                          const uint8_t *digest, size_t length)
{
	uint8_t info[AKCIPHER_RSA_MAX_BITS / 8];
	size_t len = rsa_digest_info(params, info, digest, length);

	if (!len || len > size - PKCS1_OVERHEAD)
		return false;
	block[0] = 0;
	block[1] = 1;
	memset(block + 2, 0xff, size - len - 3);
	block[size - len - 1] = 0;
	memcpy(block + size - len, info, len);
	return true;
}

static bool random_bytes(uint8_t *bytes, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = getrandom(bytes + got, n - got, 0);

		if (r <= 0)
			return false;
		got += (size_t)r;
	}
	return true;
}

/* RSAES-PKCS1-v1_5 (RFC 8017, 7.2.1): padding of random bytes, none of them 0. */
static bool pad_message(uint8_t *block, size_t size, const uint8_t *message, size_t length)
{
	size_t end = size - length - 1;

	if (length > size - PKCS1_OVERHEAD || !random_bytes(block, end))
		return false;
	block[0] = 0;
	block[1] = 2;
	for (size_t i = 2; i < end; i++)
		while (!block[i])
			if (!random_bytes(&block[i], 1))
				return false;
	block[end] = 0;
	memcpy(block + end + 1, message, length);
	return true;
}

bool rsa_block_make(const struct session_params *params, const struct vc_request *req,
                    uint8_t *block, size_t size)
{
	bool raw = params->rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING;

	if (!raw && req->kind == VC_REQUEST_AK_SIGN)
		return pad_signature(params, block, size, req->src, req->length);
	if (!raw && req->kind == VC_REQUEST_AK_ENCRYPT)
		return pad_message(block, size, req->src, req->length);
	/* A signature with padding is as long as the modulus (8.2.2). */
	if (!raw && req->kind == VC_REQUEST_AK_VERIFY && req->length != size)
		return false;
	return rsa_widen(block, size, req->src, req->length);
}

bool rsa_verified(const struct session_params *params, const struct vc_request *req,
                  const uint8_t *block, size_t size)
{
	uint8_t expected[AKCIPHER_RSA_MAX_BITS / 8];
	bool made;

	if (params->rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING)
		made = rsa_widen(expected, size, req->tag, req->tag_len);
	else
		made = pad_signature(params, expected, size, req->tag, req->tag_len);
	return made && memcmp(expected, block, size) == 0;
}
