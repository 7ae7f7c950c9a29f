/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA encryption (the delegate's) and decryption: the private operation at the device, what it
 * leaves unpadded here, in constant time. The delegate keeps all parameters.
 *
 * After a transport failure the delegate decrypts; whether that happens has nothing to do with the
 * content. A wrong padding is final, whoever did the private operation.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/proverr.h>
#include <openssl/rsa.h>

#include "openssl/provider/rsa_key.h"
#include "openssl/provider/rsa_padding.h"

/* From OpenSSL 3.2 on. */
#define PARAM_IMPLICIT_REJECTION "implicit-rejection"

struct decrypt_ctx {
	struct provider *provider;
	const struct asym_delegate *delegate;
	void *inner;
	struct key *key;
};

struct decrypt_settings {
	int padding;
	bool implicit_rejection;
	char digest[64];      /* of OAEP; "" for the default */
	char mgf1[64];        /* "" for the same */
	unsigned char *label; /* the delegate's */
	size_t label_len;
	unsigned int version, other_version;
};

/* --------------------------------------------------------------------------- life, settings */

static void decrypt_freectx(void *vctx)
{
	struct decrypt_ctx *c = vctx;

	if (!c)
		return;
	if (c->inner)
		c->delegate->freectx(c->inner);
	key_free(c->key);
	OPENSSL_free(c);
}

static void *decrypt_newctx(void *provctx)
{
	struct decrypt_ctx *c = OPENSSL_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->provider = provctx;
	c->delegate = &c->provider->asym;
	c->inner = c->delegate->newctx(c->provider->delegate_ctx);
	if (!c->inner) {
		decrypt_freectx(c);
		return NULL;
	}
	return c;
}

static void *decrypt_dupctx(void *vctx)
{
	const struct decrypt_ctx *c = vctx;
	struct decrypt_ctx *copy = OPENSSL_memdup(c, sizeof(*c));

	if (!copy)
		return NULL;
	copy->key = c->key ? key_ref(c->key) : NULL;
	copy->inner = c->delegate->dupctx(c->inner);
	if (!copy->inner) {
		decrypt_freectx(copy);
		return NULL;
	}
	return copy;
}

static void *use_key(struct decrypt_ctx *c, struct key *key)
{
	if (!key)
		return NULL;
	key_ref(key);
	key_free(c->key);
	c->key = key;
	return key->inner;
}

static int decrypt_get_ctx_params(void *vctx, OSSL_PARAM *params)
{
	struct decrypt_ctx *c = vctx;

	return c->delegate->get_ctx_params(c->inner, params);
}

static int decrypt_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct decrypt_ctx *c = vctx;

	return c->delegate->set_ctx_params(c->inner, params);
}

static const OSSL_PARAM *decrypt_gettable_ctx_params(void *vctx, void *provctx)
{
	const struct decrypt_ctx *c = vctx;
	const struct provider *p = provctx;

	return p->asym.gettable_ctx_params(c ? c->inner : NULL, p->delegate_ctx);
}

static const OSSL_PARAM *decrypt_settable_ctx_params(void *vctx, void *provctx)
{
	const struct decrypt_ctx *c = vctx;
	const struct provider *p = provctx;

	return p->asym.settable_ctx_params(c ? c->inner : NULL, p->delegate_ctx);
}

static int read_settings(struct decrypt_ctx *c, struct decrypt_settings *s)
{
	unsigned int implicit = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, &s->padding),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, s->digest,
	                                         sizeof(s->digest)),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, s->mgf1,
	                                         sizeof(s->mgf1)),
		OSSL_PARAM_construct_octet_ptr(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL,
	                                       (void **)&s->label, 0),
		OSSL_PARAM_construct_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, &s->version),
		OSSL_PARAM_construct_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION,
	                                  &s->other_version),
		OSSL_PARAM_construct_uint(PARAM_IMPLICIT_REJECTION, &implicit),
		OSSL_PARAM_construct_end(),
	};

	memset(s, 0, sizeof(*s));
	s->padding = -1;
	if (!c->delegate->get_ctx_params(c->inner, params))
		return 0;
	if (s->label && params[3].return_size != OSSL_PARAM_UNMODIFIED)
		s->label_len = params[3].return_size;
	s->implicit_rejection = implicit != 0;
	return 1;
}

/* ---------------------------------------------------------------------------------- unpadding */

static int unpad_oaep(struct decrypt_ctx *c, const struct decrypt_settings *s, const uint8_t *block,
                      int size, uint8_t *out, size_t outsize)
{
	EVP_MD *md = EVP_MD_fetch(c->provider->libctx, s->digest[0] ? s->digest : "SHA1", NULL);
	EVP_MD *mgf1 = s->mgf1[0] ? EVP_MD_fetch(c->provider->libctx, s->mgf1, NULL) : NULL;
	int rc = -1;

	if (md && (mgf1 || !s->mgf1[0]))
		rc = RSA_padding_check_PKCS1_OAEP_mgf1(out, (int)outsize, block, size, size,
		                                       s->label, (int)s->label_len, md,
		                                       mgf1 ? mgf1 : md);
	EVP_MD_free(md);
	EVP_MD_free(mgf1);
	return rc;
}

/* Bytes at out, or negative; in is the ciphertext and block what it was decrypted to. */
static int unpad(struct decrypt_ctx *c, const struct decrypt_settings *s, RSA *rsa,
                 const uint8_t *in, const uint8_t *block, uint8_t *out, size_t outsize)
{
	int size = (int)rsa_key_size(c->key);

	switch (s->padding) {
	case RSA_PKCS1_OAEP_PADDING:
		return unpad_oaep(c, s, block, size, out, outsize);
	case RSA_PKCS1_WITH_TLS_PADDING:
		return rsa_padding_tls(block, (size_t)size, s->version, s->other_version, out);
	case RSA_PKCS1_PADDING:
		if (s->implicit_rejection)
			return rsa_padding_decrypt(c->provider->libctx, rsa, RSA_PKCS1_PADDING, in,
			                           (size_t)size, block, out);
		return RSA_padding_check_PKCS1_type_2(out, size, block, size, size);
	default: /* RSA_NO_PADDING */
		memcpy(out, block, (size_t)size);
		return size;
	}
}

/* ------------------------------------------------------------------------------------- decrypt */

/* Whether we do this one, apart from policy; what is wrong with it is for the delegate to say. */
static bool ours(struct decrypt_ctx *c, const struct decrypt_settings *s, size_t inlen,
                 size_t outsize)
{
	size_t size = rsa_key_size(c->key);

	switch (s->padding) {
	case RSA_PKCS1_WITH_TLS_PADDING:
		return inlen == size && outsize >= TLS_PREMASTER && s->version;
	case RSA_PKCS1_OAEP_PADDING:
	case RSA_PKCS1_PADDING:
	case RSA_NO_PADDING:
		return inlen == size && outsize >= size;
	default:
		return false;
	}
}

/* 1 done, 0 failed, -1 to be done in software. */
static int offload(struct decrypt_ctx *c, uint8_t *out, size_t *outlen, size_t outsize,
                   const uint8_t *in, size_t inlen)
{
	RSA *rsa = c->key ? rsa_key_object(c->key) : NULL;
	uint8_t block[RSA_KEY_MAX_BYTES];
	struct decrypt_settings s;
	enum policy_choice choice;
	uint32_t bad;
	int rc;

	if (!rsa || !read_settings(c, &s) || !ours(c, &s, inlen, outsize) ||
	    !rsa_padding_below(rsa, in, inlen))
		return -1;
	choice = policy_private(&c->provider->policy, POLICY_RSA);
	if (choice == POLICY_SOFTWARE)
		return -1;
	if (choice == POLICY_FAIL || rsa_key_private(c->key, in, block, VCE_CLASS_RSA_DECRYPT)) {
		if (c->provider->policy.fallback)
			return -1;
		ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_TO_DECRYPT);
		return 0;
	}
	rc = unpad(c, &s, rsa, in, block, out, outsize);
	OPENSSL_cleanse(block, sizeof(block));
	/* Whether rc is negative is a secret until the caller makes it known. */
	bad = rsa_padding_negative(rc);
	*outlen = (size_t)(((uint32_t)*outlen & bad) | ((uint32_t)rc & ~bad));
	return (int)(1 & ~bad);
}

static int decrypt_decrypt(void *vctx, unsigned char *out, size_t *outlen, size_t outsize,
                           const unsigned char *in, size_t inlen)
{
	struct decrypt_ctx *c = vctx;
	int rc = out ? offload(c, out, outlen, outsize, in, inlen) : -1;

	return rc < 0 ? c->delegate->decrypt(c->inner, out, outlen, outsize, in, inlen) : rc;
}

static int decrypt_decrypt_init(void *vctx, void *key, const OSSL_PARAM params[])
{
	struct decrypt_ctx *c = vctx;

	return c->delegate->decrypt_init(c->inner, use_key(c, key), params);
}

static int decrypt_encrypt_init(void *vctx, void *key, const OSSL_PARAM params[])
{
	struct decrypt_ctx *c = vctx;

	return c->delegate->encrypt_init(c->inner, use_key(c, key), params);
}

static int decrypt_encrypt(void *vctx, unsigned char *out, size_t *outlen, size_t outsize,
                           const unsigned char *in, size_t inlen)
{
	struct decrypt_ctx *c = vctx;

	return c->delegate->encrypt(c->inner, out, outlen, outsize, in, inlen);
}

#define ENTRY(NAME, name)                                                                          \
	{                                                                                          \
		OSSL_FUNC_ASYM_CIPHER_##NAME, (void (*)(void))decrypt_##name                       \
	}

const OSSL_DISPATCH rsa_asym_dispatch[] = {
	ENTRY(NEWCTX, newctx),
	ENTRY(FREECTX, freectx),
	ENTRY(DUPCTX, dupctx),
	ENTRY(ENCRYPT_INIT, encrypt_init),
	ENTRY(ENCRYPT, encrypt),
	ENTRY(DECRYPT_INIT, decrypt_init),
	ENTRY(DECRYPT, decrypt),
	ENTRY(GET_CTX_PARAMS, get_ctx_params),
	ENTRY(GETTABLE_CTX_PARAMS, gettable_ctx_params),
	ENTRY(SET_CTX_PARAMS, set_ctx_params),
	ENTRY(SETTABLE_CTX_PARAMS, settable_ctx_params),
	{0, NULL},
};
