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

bool lc_rsa_can(const struct session_params *params)
{
	if (params->akcipher != VIRTIO_CRYPTO_AKCIPHER_RSA)
		return false;
	if (!params->key_len || params->key_len > LC_RSA_MAX_DER)
		return false;
	if (params->key_bits &&
	    (params->key_bits < LC_RSA_MIN_BITS || params->key_bits > LC_RSA_MAX_BITS))
		return false;
	return rsa_padding_can(params);
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
		local->key = decode_key(thread->library, params);
	if (!local->key) {
		local->bad = true;
		return NULL;
	}
	c = EVP_PKEY_CTX_new_from_pkey(thread->library, local->key, NULL);
	if (!c || lc_operation_begin(c, kind) <= 0 ||
	    EVP_PKEY_CTX_set_rsa_padding(c, raw ? RSA_NO_PADDING : RSA_PKCS1_PADDING) <= 0) {
		EVP_PKEY_CTX_free(c);
		return NULL;
	}
	*slot = c;
	return c;
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
		if (!rsa_widen(in, in_len, req->src, req->length))
			return VIRTIO_CRYPTO_ERR;
		data = in;
	} else if (kind == VC_REQUEST_AK_SIGN) {
		in_len = rsa_digest_info(params, in, req->src, req->length);
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
		status = akcipher_result(req, out, length);
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
		length = rsa_digest_info(params, expected, req->tag, req->tag_len);
		ok = length && EVP_PKEY_verify(c, req->src, req->length, expected, length) == 1;
	} else {
		ok = rsa_widen(in, size, req->src, req->length) &&
		     rsa_widen(expected, size, req->tag, req->tag_len) &&
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
