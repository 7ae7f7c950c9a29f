/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of work for the engine's tests. Any thread: keys are made once and shared.
 */
#include "work.h"
#include "rsa_key.h"
#include "work_agree.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_AT_ONCE 80

enum shape { CBC, CTR, GCM, CHAIN, HMAC_ALONE, RSA_RAW, RSA_PKCS1, ECDSA, AGREE };

struct kind {
	const char *name;
	enum shape shape;
	unsigned int key_len;             /* RSA, ECDSA, AGREE: bits */
	enum vcrypto_direction direction; /* RSA: the operation, below */
	unsigned int mac;
	int order;
	/* Made by work_init(). */
	struct core_key *key;
	uint8_t raw[32], mac_key[20];
	EVP_PKEY *pkey;
};

#define SYMMETRIC(name, shape)                                                                     \
	{name "-128", shape, 16, VCRYPTO_ENCRYPT}, {name "-128-dec", shape, 16, VCRYPTO_DECRYPT},  \
		{name "-192", shape, 24, VCRYPTO_ENCRYPT},                                         \
		{name "-256", shape, 32, VCRYPTO_ENCRYPT},                                         \
	{                                                                                          \
		name "-256-dec", shape, 32, VCRYPTO_DECRYPT                                        \
	}

static struct kind kinds[] = {
	SYMMETRIC("aes-cbc", CBC),
	SYMMETRIC("aes-ctr", CTR),
	SYMMETRIC("aes-gcm", GCM),
	{"cbc-sha1", CHAIN, 16, VCRYPTO_ENCRYPT, VCRYPTO_MAC_HMAC_SHA1,
         VCRYPTO_CHAIN_CIPHER_THEN_HASH},
	{"cbc-sha256", CHAIN, 32, VCRYPTO_ENCRYPT, VCRYPTO_MAC_HMAC_SHA256,
         VCRYPTO_CHAIN_CIPHER_THEN_HASH},
	{"sha1-cbc", CHAIN, 16, VCRYPTO_ENCRYPT, VCRYPTO_MAC_HMAC_SHA1,
         VCRYPTO_CHAIN_HASH_THEN_CIPHER},
	{"sha256-cbc-dec", CHAIN, 16, VCRYPTO_DECRYPT, VCRYPTO_MAC_HMAC_SHA256,
         VCRYPTO_CHAIN_HASH_THEN_CIPHER},
	{"cbc-dec-sha1", CHAIN, 32, VCRYPTO_DECRYPT, VCRYPTO_MAC_HMAC_SHA1,
         VCRYPTO_CHAIN_CIPHER_THEN_HASH},
	{"rsa2048-raw", RSA_RAW, 2048},
	{"rsa3072-raw", RSA_RAW, 3072},
	{"rsa4096-raw", RSA_RAW, 4096},
	{"rsa2048-pkcs1", RSA_PKCS1, 2048},
	{"ecdsa-p256", ECDSA, 256},
	{"ecdsa-p384", ECDSA, 384},
	{"ecdsa-p521", ECDSA, 521},
	{"x25519", AGREE, 255},
	{"ecdh-p256", AGREE, 256},
	{"ecdh-p384", AGREE, 384},
	{"ecdh-p521", AGREE, 521},
};

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static const EVP_MD *mac_md(const struct kind *kind)
{
	return kind->mac == VCRYPTO_MAC_HMAC_SHA1 ? EVP_sha1() : EVP_sha256();
}

static const char *cipher_name(const struct kind *kind)
{
	static const char *const names[3][3] = {
		{"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"},
		{"AES-128-CTR", "AES-192-CTR", "AES-256-CTR"},
		{"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"},
	};

	return names[kind->shape == CHAIN ? CBC : kind->shape][(kind->key_len - 16) / 8];
}

/* ---- keys ---- */

/* kind->key of kind->pkey. */
static void private_init(struct kind *kind, struct vcrypto_session_params *params)
{
	uint8_t *der = NULL;
	int n = kind->pkey ? i2d_PrivateKey(kind->pkey, &der) : -1;

	if (n <= 0)
		die("%s: no key", kind->name);
	params->key = der;
	params->key_len = (size_t)n;
	if (core_key_new(params, &kind->key))
		die("%s: core_key_new", kind->name);
	OPENSSL_free(der);
}

static void rsa_init(struct kind *kind)
{
	struct vcrypto_session_params params = {
		.service = VCRYPTO_SERVICE_AKCIPHER,
		.algorithm = VCRYPTO_AKCIPHER_RSA,
		.private_key = true,
		.rsa_padding = kind->shape == RSA_PKCS1 ? VCRYPTO_RSA_PKCS1 : VCRYPTO_RSA_RAW,
		.rsa_hash = kind->shape == RSA_PKCS1 ? VCRYPTO_RSA_SHA256 : VCRYPTO_RSA_NO_HASH,
	};

	kind->pkey = test_rsa_key(NULL, kind->key_len, 2);
	private_init(kind, &params);
}

static void ecdsa_init(struct kind *kind)
{
	struct vcrypto_session_params params = {
		.service = VCRYPTO_SERVICE_AKCIPHER,
		.algorithm = VCRYPTO_AKCIPHER_ECDSA,
		.private_key = true,
		.curve = kind->key_len == 256   ? 3
	                 : kind->key_len == 384 ? 4
	                                        : 5,
	};
	char name[8];

	snprintf(name, sizeof(name), "P-%u", kind->key_len);
	kind->pkey = EVP_EC_gen(name);
	private_init(kind, &params);
}

static void symmetric_init(struct kind *kind)
{
	struct vcrypto_session_params params = {
		.service = kind->shape == GCM ? VCRYPTO_SERVICE_AEAD : VCRYPTO_SERVICE_CIPHER,
		.algorithm = kind->shape == GCM   ? VCRYPTO_AEAD_GCM
	                     : kind->shape == CTR ? (unsigned int)VCRYPTO_CIPHER_AES_CTR
	                                          : (unsigned int)VCRYPTO_CIPHER_AES_CBC,
		.direction = kind->direction,
		.key = kind->raw,
		.key_len = kind->key_len,
		.tag_len = kind->shape == GCM ? 16 : 0,
	};

	RAND_bytes(kind->raw, sizeof(kind->raw));
	RAND_bytes(kind->mac_key, sizeof(kind->mac_key));
	if (kind->shape == CHAIN) {
		params.chain = (enum vcrypto_chain)kind->order;
		params.mac = kind->mac;
		params.auth_key = kind->mac_key;
		params.auth_key_len = sizeof(kind->mac_key);
		params.tag_len = (unsigned int)EVP_MD_get_size(mac_md(kind));
	}
	if (core_key_new(&params, &kind->key))
		die("%s: core_key_new", kind->name);
}

void work_init(void)
{
	size_t i;

	for (i = 0; i < work_count(); i++) {
		if (kinds[i].shape == RSA_RAW || kinds[i].shape == RSA_PKCS1)
			rsa_init(&kinds[i]);
		else if (kinds[i].shape == ECDSA)
			ecdsa_init(&kinds[i]);
		else if (kinds[i].shape == AGREE)
			agree_init(kinds[i].name, kinds[i].key_len, &kinds[i].pkey, &kinds[i].key);
		else
			symmetric_init(&kinds[i]);
	}
}

void work_exit(void)
{
	size_t i;

	for (i = 0; i < work_count(); i++) {
		core_key_free(kinds[i].key);
		EVP_PKEY_free(kinds[i].pkey);
	}
}

size_t work_count(void)
{
	return sizeof(kinds) / sizeof(kinds[0]);
}

const char *work_name(size_t kind)
{
	return kinds[kind].name;
}

enum vcrypto_service work_service(size_t kind)
{
	switch (kinds[kind].shape) {
	case GCM:
		return VCRYPTO_SERVICE_AEAD;
	case RSA_RAW:
	case RSA_PKCS1:
	case ECDSA:
	case AGREE:
		return VCRYPTO_SERVICE_AKCIPHER;
	default:
		return VCRYPTO_SERVICE_CIPHER;
	}
}

/* ---- what libcrypto says ---- */

/* Always in the direction of encryption: both texts are then known. */
static void reference(const struct kind *kind, const uint8_t *iv, const uint8_t *aad,
                      size_t aad_len, const uint8_t *plain, uint8_t *crypt, size_t length,
                      uint8_t *tag)
{
	/* The order is that of the operation: decryption of what was encrypted first hashes first.
	 */
	bool mac_of_crypt = (kind->direction == VCRYPTO_ENCRYPT) ==
	                    (kind->order == VCRYPTO_CHAIN_CIPHER_THEN_HASH);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, cipher_name(kind), "provider=default");
	int n = 0, rest = 0, ok;

	ok = ctx && cipher && EVP_EncryptInit_ex(ctx, cipher, NULL, kind->raw, iv) &&
	     EVP_CIPHER_CTX_set_padding(ctx, 0);
	if (ok && aad_len)
		ok = EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len);
	if (ok && length)
		ok = EVP_EncryptUpdate(ctx, crypt, &n, plain, (int)length);
	if (ok)
		ok = EVP_EncryptFinal_ex(ctx, crypt + (length ? n : 0), &rest);
	if (ok && kind->shape == GCM)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag);
	if (!ok)
		die("libcrypto fails");
	EVP_CIPHER_free(cipher);
	EVP_CIPHER_CTX_free(ctx);
	if (kind->shape == CHAIN)
		HMAC(mac_md(kind), kind->mac_key, sizeof(kind->mac_key),
		     mac_of_crypt ? crypt : plain, length, tag, NULL);
}

/* ---- symmetric work ---- */

struct piece {
	uint8_t *plain, *crypt, *got;
	uint8_t tag[64], got_tag[64], aad[21];
	uint8_t iv[16];
};

static void piece_make(const struct kind *kind, struct piece *p, size_t length)
{
	p->plain = malloc(length + 16);
	p->crypt = malloc(length + 16);
	p->got = malloc(length + 16);
	if (!p->plain || !p->crypt || !p->got)
		die("no memory");
	RAND_bytes(p->plain, (int)length);
	RAND_bytes(p->iv, sizeof(p->iv));
	RAND_bytes(p->aad, sizeof(p->aad));
	memset(p->tag, 0, sizeof(p->tag));
	memset(p->got, 0xa5, length + 16);
	reference(kind, p->iv, p->aad, kind->shape == GCM ? sizeof(p->aad) : 0, p->plain, p->crypt,
	          length, p->tag);
	memcpy(p->got_tag, p->tag, sizeof(p->tag));
	if (kind->shape != GCM || kind->direction == VCRYPTO_ENCRYPT)
		memset(p->got_tag, 0, sizeof(p->got_tag));
}

static void piece_free(struct piece *p)
{
	free(p->plain);
	free(p->crypt);
	free(p->got);
}

static void piece_op(const struct kind *kind, struct piece *p, size_t length, struct core_op *op)
{
	*op = (struct core_op){
		.key = kind->key,
		.src = kind->direction == VCRYPTO_ENCRYPT ? p->plain : p->crypt,
		.dst = p->got,
		.length = (uint32_t)length,
		.iv_len = kind->shape == GCM ? 12 : 16,
		.class = kind->shape == GCM ? VCE_CLASS_AEAD : VCE_CLASS_CIPHER,
	};
	memcpy(op->iv, p->iv, sizeof(op->iv));
	if (kind->shape == GCM) {
		op->aad = p->aad;
		op->aad_len = sizeof(p->aad);
	}
	if (kind->shape == GCM || kind->shape == CHAIN) {
		op->tag = p->got_tag;
		op->tag_len = kind->shape == GCM ? 16 : (uint16_t)EVP_MD_get_size(mac_md(kind));
	}
	if (kind->shape == CHAIN)
		op->cipher_len = (uint32_t)length;
}

static void piece_compare(const struct kind *kind, const struct piece *p, size_t length)
{
	const uint8_t *expected = kind->direction == VCRYPTO_ENCRYPT ? p->crypt : p->plain;

	if (memcmp(p->got, expected, length) != 0)
		die("%s, %zu bytes: wrong data", kind->name, length);
	if ((kind->shape == GCM && kind->direction == VCRYPTO_ENCRYPT) || kind->shape == CHAIN) {
		if (memcmp(p->got_tag, p->tag, sizeof(p->tag)) != 0)
			die("%s, %zu bytes: wrong tag", kind->name, length);
	}
}

static int symmetric_do(const struct kind *kind, size_t length, size_t n, int bad)
{
	struct piece *pieces = calloc(n, sizeof(*pieces));
	struct core_op *ops = calloc(n, sizeof(*ops));
	size_t i;
	int ret;

	if (kind->shape == CBC || kind->shape == CHAIN)
		length -= length % 16;
	/* The device takes no operation on nothing but for AEAD. */
	if (!length && kind->shape != GCM)
		length = 16;
	if (!pieces || !ops)
		die("no memory");
	for (i = 0; i < n; i++) {
		piece_make(kind, &pieces[i], length);
		if (bad)
			pieces[i].got_tag[15] ^= 1;
		piece_op(kind, &pieces[i], length, &ops[i]);
	}
	ret = core_run(ops, n);
	for (i = 0; i < n; i++) {
		if (!ops[i].result)
			piece_compare(kind, &pieces[i], length);
		else if (pieces[i].got[0] != 0xa5 && length)
			die("%s: data released although the result is %d", kind->name,
			    ops[i].result);
		piece_free(&pieces[i]);
	}
	free(pieces);
	free(ops);
	return ret;
}

int work_repeat(size_t index, size_t length, const atomic_bool *stop)
{
	const struct kind *kind = &kinds[index];
	struct piece piece;
	struct core_op op;
	int ret = 0;

	piece_make(kind, &piece, length);
	while (!atomic_load(stop) && !ret) {
		piece_op(kind, &piece, length, &op);
		ret = core_run(&op, 1);
		if (!ret)
			piece_compare(kind, &piece, length);
	}
	piece_free(&piece);
	return ret;
}

/* ---- RSA ---- */

static int rsa_raw_do(const struct kind *kind)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, kind->pkey, "provider=default");
	uint8_t in[512], out[512] = {0}, expected[512];
	size_t size = kind->key_len / 8, n = sizeof(expected);
	struct core_op op = {
		.key = kind->key,
		.src = in,
		.dst = out,
		.length = (uint32_t)size,
		.dst_len = (uint32_t)size,
		.akcipher_op = VCRYPTO_AKCIPHER_DECRYPT,
		.class = VCE_CLASS_RSA_DECRYPT,
	};
	int ret;

	RAND_bytes(in, sizeof(in));
	in[0] = 0;
	ret = core_run(&op, 1);
	if (!ret) {
		if (!ctx || EVP_PKEY_decrypt_init(ctx) <= 0 ||
		    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) <= 0 ||
		    EVP_PKEY_decrypt(ctx, expected, &n, in, size) <= 0)
			die("libcrypto fails");
		if (op.result_len != n || memcmp(out, expected, n) != 0)
			die("%s: wrong result", kind->name);
	}
	EVP_PKEY_CTX_free(ctx);
	return ret;
}

/* Sign a digest, then let the device verify it; bad: with another digest. */
static int rsa_pkcs1_do(const struct kind *kind, int bad)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, kind->pkey, "provider=default");
	uint8_t digest[32], signature[512] = {0}, expected[512];
	size_t n = sizeof(expected);
	struct core_op op = {
		.key = kind->key,
		.src = digest,
		.dst = signature,
		.length = sizeof(digest),
		.dst_len = kind->key_len / 8,
		.akcipher_op = VCRYPTO_AKCIPHER_SIGN,
		.class = VCE_CLASS_RSA_SIGN,
	};
	struct core_op verify = {
		.key = kind->key,
		.src = signature,
		.length = kind->key_len / 8,
		.tag = digest,
		.tag_len = sizeof(digest),
		.akcipher_op = VCRYPTO_AKCIPHER_VERIFY,
		.class = VCE_CLASS_RSA_PUBLIC,
	};
	int ret;

	RAND_bytes(digest, sizeof(digest));
	ret = core_run(&op, 1);
	if (!ret) {
		if (!ctx || EVP_PKEY_sign_init(ctx) <= 0 ||
		    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) <= 0 ||
		    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) <= 0 ||
		    EVP_PKEY_sign(ctx, expected, &n, digest, sizeof(digest)) <= 0)
			die("libcrypto fails");
		if (op.result_len != n || memcmp(signature, expected, n) != 0)
			die("%s: wrong signature", kind->name);
		if (bad)
			digest[7] ^= 1;
		ret = core_run(&verify, 1);
	}
	EVP_PKEY_CTX_free(ctx);
	return ret;
}

/* ---- ECDSA ---- */

/* Sign a digest, of any length, let libcrypto and the device verify it; bad: another digest. */
static int ecdsa_do(const struct kind *kind, int bad)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, kind->pkey, "provider=default");
	uint8_t digest[64], signature[160] = {0};
	struct core_op sign = {
		.key = kind->key,
		.src = digest,
		.dst = signature,
		.dst_len = (uint32_t)EVP_PKEY_get_size(kind->pkey),
		.akcipher_op = VCRYPTO_AKCIPHER_SIGN,
		.class = VCE_CLASS_ECDSA_SIGN,
	};
	struct core_op verify = {
		.key = kind->key,
		.src = signature,
		.tag = digest,
		.akcipher_op = VCRYPTO_AKCIPHER_VERIFY,
		.class = VCE_CLASS_ECDSA_VERIFY,
	};
	int ret;

	RAND_bytes(digest, sizeof(digest));
	sign.length = 20 + digest[0] % 45;
	ret = core_run(&sign, 1);
	if (!ret) {
		if (!ctx || EVP_PKEY_verify_init(ctx) <= 0 ||
		    EVP_PKEY_verify(ctx, signature, sign.result_len, digest, sign.length) != 1)
			die("%s: wrong signature", kind->name);
		/* A byte that no curve cuts off. */
		if (bad)
			digest[7] ^= 1;
		verify.length = sign.result_len;
		verify.tag_len = (uint16_t)sign.length;
		ret = core_run(&verify, 1);
	}
	EVP_PKEY_CTX_free(ctx);
	return ret;
}

int work_do(size_t index, size_t length, size_t n)
{
	const struct kind *kind = &kinds[index];

	if (n > MAX_AT_ONCE)
		die("too many at once");
	switch (kind->shape) {
	case RSA_RAW:
		return rsa_raw_do(kind);
	case RSA_PKCS1:
		return rsa_pkcs1_do(kind, 0);
	case ECDSA:
		return ecdsa_do(kind, 0);
	case AGREE:
		return agree_do(kind->name, kind->key_len, kind->pkey, kind->key);
	default:
		return symmetric_do(kind, length, n, 0);
	}
}

int work_do_bad(size_t index, size_t length)
{
	const struct kind *kind = &kinds[index];
	int ret;

	if (kind->shape == RSA_PKCS1)
		ret = rsa_pkcs1_do(kind, 1);
	else if (kind->shape == ECDSA)
		ret = ecdsa_do(kind, 1);
	else if (kind->shape == GCM && kind->direction == VCRYPTO_DECRYPT)
		ret = symmetric_do(kind, length, 1, 1);
	else
		return 0;
	if (ret != -EBADMSG)
		die("%s: a wrong tag or signature gives %d", kind->name, ret);
	return 0;
}
