/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workloads of vcrypto-perf. See workload.h. Any thread, once it is initialised.
 */
#include "perf/workload.h"

#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct algorithm {
	const char *name;
	enum workload_kind kind;
	unsigned int bits;
	unsigned int algorithm;
	const EVP_CIPHER *(*cipher)(void);
	const EVP_MD *(*md)(void);
	unsigned int mac;
} algorithms[] = {
	{"aes-128-cbc", WORKLOAD_CIPHER, 128, VCRYPTO_CIPHER_AES_CBC, EVP_aes_128_cbc, NULL, 0},
	{"aes-192-cbc", WORKLOAD_CIPHER, 192, VCRYPTO_CIPHER_AES_CBC, EVP_aes_192_cbc, NULL, 0},
	{"aes-256-cbc", WORKLOAD_CIPHER, 256, VCRYPTO_CIPHER_AES_CBC, EVP_aes_256_cbc, NULL, 0},
	{"aes-128-ctr", WORKLOAD_CIPHER, 128, VCRYPTO_CIPHER_AES_CTR, EVP_aes_128_ctr, NULL, 0},
	{"aes-192-ctr", WORKLOAD_CIPHER, 192, VCRYPTO_CIPHER_AES_CTR, EVP_aes_192_ctr, NULL, 0},
	{"aes-256-ctr", WORKLOAD_CIPHER, 256, VCRYPTO_CIPHER_AES_CTR, EVP_aes_256_ctr, NULL, 0},
	{"aes-128-gcm", WORKLOAD_AEAD, 128, VCRYPTO_AEAD_GCM, EVP_aes_128_gcm, NULL, 0},
	{"aes-192-gcm", WORKLOAD_AEAD, 192, VCRYPTO_AEAD_GCM, EVP_aes_192_gcm, NULL, 0},
	{"aes-256-gcm", WORKLOAD_AEAD, 256, VCRYPTO_AEAD_GCM, EVP_aes_256_gcm, NULL, 0},
	{"aes-128-ecb", WORKLOAD_CIPHER, 128, VCRYPTO_CIPHER_AES_ECB, EVP_aes_128_ecb, NULL, 0},
	{"aes-256-ecb", WORKLOAD_CIPHER, 256, VCRYPTO_CIPHER_AES_ECB, EVP_aes_256_ecb, NULL, 0},
	/* Two keys in one. */
	{"aes-128-xts", WORKLOAD_CIPHER, 256, VCRYPTO_CIPHER_AES_XTS, EVP_aes_128_xts, NULL, 0},
	{"aes-256-xts", WORKLOAD_CIPHER, 512, VCRYPTO_CIPHER_AES_XTS, EVP_aes_256_xts, NULL, 0},
	{"3des-cbc", WORKLOAD_CIPHER, 192, VCRYPTO_CIPHER_3DES_CBC, EVP_des_ede3_cbc, NULL, 0},
	{"aes-128-ccm", WORKLOAD_AEAD, 128, VCRYPTO_AEAD_CCM, EVP_aes_128_ccm, NULL, 0},
	{"aes-256-ccm", WORKLOAD_AEAD, 256, VCRYPTO_AEAD_CCM, EVP_aes_256_ccm, NULL, 0},
	{"chacha20-poly1305", WORKLOAD_AEAD, 256, VCRYPTO_AEAD_CHACHA20_POLY1305,
         EVP_chacha20_poly1305, NULL, 0},
	{"aes-128-cbc-hmac-sha1", WORKLOAD_CHAIN, 128, VCRYPTO_CIPHER_AES_CBC, EVP_aes_128_cbc,
         EVP_sha1, VCRYPTO_MAC_HMAC_SHA1},
	{"aes-256-cbc-hmac-sha1", WORKLOAD_CHAIN, 256, VCRYPTO_CIPHER_AES_CBC, EVP_aes_256_cbc,
         EVP_sha1, VCRYPTO_MAC_HMAC_SHA1},
	{"aes-128-cbc-hmac-sha256", WORKLOAD_CHAIN, 128, VCRYPTO_CIPHER_AES_CBC, EVP_aes_128_cbc,
         EVP_sha256, VCRYPTO_MAC_HMAC_SHA256},
	{"aes-256-cbc-hmac-sha256", WORKLOAD_CHAIN, 256, VCRYPTO_CIPHER_AES_CBC, EVP_aes_256_cbc,
         EVP_sha256, VCRYPTO_MAC_HMAC_SHA256},
	{"sha1", WORKLOAD_HASH, 0, VCRYPTO_HASH_SHA1, NULL, EVP_sha1, 0},
	{"sha256", WORKLOAD_HASH, 0, VCRYPTO_HASH_SHA256, NULL, EVP_sha256, 0},
	{"sha512", WORKLOAD_HASH, 0, VCRYPTO_HASH_SHA512, NULL, EVP_sha512, 0},
	{"sha3-256", WORKLOAD_HASH, 0, VCRYPTO_HASH_SHA3_256, NULL, EVP_sha3_256, 0},
	{"hmac-sha1", WORKLOAD_MAC, 0, VCRYPTO_MAC_HMAC_SHA1, NULL, EVP_sha1, 0},
	{"hmac-sha256", WORKLOAD_MAC, 0, VCRYPTO_MAC_HMAC_SHA256, NULL, EVP_sha256, 0},
	{"hmac-sha512", WORKLOAD_MAC, 0, VCRYPTO_MAC_HMAC_SHA512, NULL, EVP_sha512, 0},
	{"rsa2048", WORKLOAD_RSA, 2048, VCRYPTO_AKCIPHER_RSA, NULL, NULL, 0},
	{"rsa3072", WORKLOAD_RSA, 3072, VCRYPTO_AKCIPHER_RSA, NULL, NULL, 0},
	{"rsa4096", WORKLOAD_RSA, 4096, VCRYPTO_AKCIPHER_RSA, NULL, NULL, 0},
};

static bool is_digest(enum workload_kind kind)
{
	return kind == WORKLOAD_HASH || kind == WORKLOAD_MAC;
}

/* What the other direction of an algorithm is called, behind its name. */
static const char *other_suffix(enum workload_kind kind)
{
	if (is_digest(kind))
		return NULL;
	return kind == WORKLOAD_RSA ? "-pub" : "-dec";
}

const char *workload_names(void)
{
	static char names[2048];

	if (names[0])
		return names;
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		const char *suffix = other_suffix(algorithms[i].kind), *name = algorithms[i].name;
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%s%s%s%s%s", used ? " " : "", name,
		         suffix ? " " : "", suffix ? name : "", suffix ? suffix : "");
	}
	return names;
}

static const struct algorithm *algorithm_find(const char *name, bool *second)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		const struct algorithm *a = &algorithms[i];
		const char *suffix = other_suffix(a->kind);
		size_t length = strlen(a->name);

		if (strncmp(name, a->name, length))
			continue;
		*second = suffix && !strcmp(name + length, suffix);
		if (!name[length] || *second)
			return a;
	}
	return NULL;
}

static int rsa_raw(EVP_PKEY *key, bool public, const uint8_t *in, uint8_t *out, size_t size)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
	int ok = context &&
	         (public ? EVP_PKEY_encrypt_init(context) : EVP_PKEY_decrypt_init(context)) > 0;

	ok = ok && EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) > 0;
	ok = ok && (public ? EVP_PKEY_encrypt(context, out, &size, in, size)
	                   : EVP_PKEY_decrypt(context, out, &size, in, size)) > 0;
	EVP_PKEY_CTX_free(context);
	return ok ? 0 : -EIO;
}

static int rsa_init(struct workload *w)
{
	EVP_PKEY *key = EVP_RSA_gen(w->bits);
	int error = -EIO, length;

	if (!key)
		return -EIO;
	length = w->decrypt ? i2d_PublicKey(key, &w->der) : i2d_PrivateKey(key, &w->der);
	if (length <= 0)
		goto out;
	w->der_len = (size_t)length;
	for (unsigned int i = 0; i < WORKLOAD_RSA_INPUTS; i++) {
		if (RAND_bytes(w->rsa_in[i], (int)w->bits / 8) != 1)
			goto out;
		/* Less than the modulus, whose highest bit is set. */
		w->rsa_in[i][0] &= 0x7f;
		error = rsa_raw(key, w->decrypt, w->rsa_in[i], w->rsa_out[i], w->bits / 8);
		if (error)
			goto out;
	}
	w->params = (struct vcrypto_session_params){.service = VCRYPTO_SERVICE_AKCIPHER,
	                                            .algorithm = VCRYPTO_AKCIPHER_RSA,
	                                            .key = w->der,
	                                            .key_len = w->der_len,
	                                            .private_key = !w->decrypt,
	                                            .rsa_padding = VCRYPTO_RSA_RAW};
	error = 0;
out:
	EVP_PKEY_free(key);
	return error;
}

static void chain_init(struct workload *w, const struct algorithm *a)
{
	/* The MAC is over what is encrypted, so it is done after, and before decryption. */
	w->params.chain =
		w->decrypt ? VCRYPTO_CHAIN_HASH_THEN_CIPHER : VCRYPTO_CHAIN_CIPHER_THEN_HASH;
	w->params.mac = a->mac;
	w->md = a->md();
	w->tag_len = w->auth_key_len = (uint16_t)EVP_MD_get_size(w->md);
	w->params.auth_key = w->auth_key;
	w->params.auth_key_len = w->auth_key_len;
}

static void digest_init(struct workload *w, const struct algorithm *a)
{
	bool mac = w->kind == WORKLOAD_MAC;

	w->md = a->md();
	w->tag_len = (uint16_t)EVP_MD_get_size(w->md);
	w->auth_key_len = mac ? w->tag_len : 0;
	w->params = (struct vcrypto_session_params){.service = mac ? VCRYPTO_SERVICE_MAC
	                                                           : VCRYPTO_SERVICE_HASH,
	                                            .algorithm = a->algorithm,
	                                            .auth_key = mac ? w->auth_key : NULL,
	                                            .auth_key_len = w->auth_key_len};
}

int workload_init(struct workload *w, const char *name)
{
	bool second = false;
	const struct algorithm *a = algorithm_find(name, &second);

	if (!a)
		return -EINVAL;
	*w = (struct workload){.kind = a->kind, .decrypt = second, .bits = a->bits};
	snprintf(w->name, sizeof(w->name), "%s", name);
	if (w->kind == WORKLOAD_RSA)
		return rsa_init(w);
	if (RAND_bytes(w->key, sizeof(w->key)) != 1 ||
	    RAND_bytes(w->auth_key, sizeof(w->auth_key)) != 1)
		return -EIO;
	if (is_digest(w->kind)) {
		digest_init(w, a);
		return 0;
	}
	w->cipher = a->cipher();
	w->iv_len = (uint8_t)(w->kind == WORKLOAD_AEAD ? 12 : EVP_CIPHER_get_iv_length(w->cipher));
	w->params = (struct vcrypto_session_params){
		.service = w->kind == WORKLOAD_AEAD ? VCRYPTO_SERVICE_AEAD : VCRYPTO_SERVICE_CIPHER,
		.algorithm = a->algorithm,
		.direction = w->decrypt ? VCRYPTO_DECRYPT : VCRYPTO_ENCRYPT,
		.key = w->key,
		.key_len = w->bits / 8};
	if (w->kind == WORKLOAD_AEAD) {
		w->tag_len = 16;
		w->params.tag_len = 16;
		w->params.aad_len = WORKLOAD_AAD;
	}
	if (w->kind == WORKLOAD_CHAIN)
		chain_init(w, a);
	return 0;
}

void workload_fini(struct workload *w)
{
	OPENSSL_clear_free(w->der, w->der_len);
	OPENSSL_cleanse(w, sizeof(*w));
}

/* What has to be said ahead of the data of an AEAD. */
static bool crypt_authenticated(const struct workload *w, bool encrypt, const struct vcrypto_op *op,
                                uint8_t *tag, EVP_CIPHER_CTX *context)
{
	bool ccm = EVP_CIPHER_get_mode(w->cipher) == EVP_CIPH_CCM_MODE;
	int n;

	if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, w->iv_len, NULL) != 1)
		return false;
	/* CCM has the lengths of tag and data in its first block. */
	if ((ccm || !encrypt) && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, w->tag_len,
	                                             encrypt ? NULL : tag) != 1)
		return false;
	if (EVP_CipherInit_ex(context, NULL, NULL, w->key, op->iv, encrypt) != 1)
		return false;
	return (!ccm || EVP_CipherUpdate(context, NULL, &n, NULL, (int)op->length) == 1) &&
	       EVP_CipherUpdate(context, NULL, &n, op->aad, (int)op->aad_len) == 1;
}

/* One call of libcrypto, in either direction. tag: written when encrypting, given otherwise. */
static bool crypt(const struct workload *w, bool encrypt, const struct vcrypto_op *op,
                  const uint8_t *in, uint8_t *out, uint8_t *tag, EVP_CIPHER_CTX *context)
{
	bool aead = w->kind == WORKLOAD_AEAD;
	int n = 0, last = 0;

	if (EVP_CipherInit_ex(context, w->cipher, NULL, aead ? NULL : w->key, op->iv, encrypt) !=
	            1 ||
	    EVP_CIPHER_CTX_set_padding(context, 0) != 1)
		return false;
	if (aead && !crypt_authenticated(w, encrypt, op, tag, context))
		return false;
	if (op->length && EVP_CipherUpdate(context, out, &n, in, (int)op->length) != 1)
		return false;
	if (EVP_CIPHER_get_mode(w->cipher) != EVP_CIPH_CCM_MODE &&
	    EVP_CipherFinal_ex(context, out + n, &last) != 1)
		return false;
	return !aead || !encrypt ||
	       EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, w->tag_len, tag) == 1;
}

/* Ciphertext and tag that authenticate, as input of a decryption. */
static int prepare_sealed(const struct workload *w, struct vcrypto_op *op)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t *src = (uint8_t *)(uintptr_t)op->src;
	bool ok = context && crypt(w, true, op, src, src, op->tag, context);

	EVP_CIPHER_CTX_free(context);
	return ok ? 0 : -EIO;
}

int workload_prepare(const struct workload *w, struct vcrypto_op *op, unsigned int index)
{
	uint8_t *src = (uint8_t *)(uintptr_t)op->src;

	if (w->kind == WORKLOAD_RSA) {
		memcpy(src, w->rsa_in[index % WORKLOAD_RSA_INPUTS], w->bits / 8);
		op->dst_len = op->length = w->bits / 8;
		op->akcipher_op = w->decrypt ? VCRYPTO_AKCIPHER_ENCRYPT : VCRYPTO_AKCIPHER_DECRYPT;
		return 0;
	}
	if ((op->length && RAND_bytes(src, (int)op->length) != 1) ||
	    RAND_bytes(op->iv, sizeof(op->iv)) != 1)
		return -EIO;
	op->iv_len = w->iv_len;
	op->tag_len = w->tag_len;
	if (w->kind == WORKLOAD_CHAIN)
		op->cipher_len = op->hash_len = op->length;
	if (w->kind != WORKLOAD_AEAD)
		return 0;
	op->aad_len = WORKLOAD_AAD;
	if (RAND_bytes((uint8_t *)(uintptr_t)op->aad, WORKLOAD_AAD) != 1)
		return -EIO;
	return w->decrypt ? prepare_sealed(w, op) : 0;
}

bool workload_agrees(const struct workload *w, const struct vcrypto_op *op, const uint8_t *source,
                     uint8_t *scratch, EVP_CIPHER_CTX *context)
{
	uint8_t tag[EVP_MAX_MD_SIZE];
	unsigned int tag_len = 0;

	if (w->kind == WORKLOAD_RSA) {
		for (unsigned int i = 0; i < WORKLOAD_RSA_INPUTS; i++)
			if (!memcmp(w->rsa_in[i], source, w->bits / 8))
				return op->result_len == w->bits / 8 &&
				       !memcmp(w->rsa_out[i], op->dst, w->bits / 8);
		return false;
	}
	if (is_digest(w->kind))
		return (w->kind == WORKLOAD_MAC ? HMAC(w->md, w->auth_key, w->auth_key_len, source,
		                                       op->length, tag, &tag_len) != NULL
		                                : EVP_Digest(source, op->length, tag, &tag_len,
		                                             w->md, NULL) == 1) &&
		       !memcmp(tag, op->tag, w->tag_len);
	if (w->kind == WORKLOAD_AEAD && w->decrypt)
		memcpy(tag, op->tag, w->tag_len);
	if (!crypt(w, !w->decrypt, op, source, scratch, tag, context) ||
	    (op->length && memcmp(scratch, op->dst, op->length)))
		return false;
	if (w->kind == WORKLOAD_AEAD)
		return !memcmp(tag, op->tag, w->tag_len);
	if (w->kind != WORKLOAD_CHAIN)
		return true;
	/* What was encrypted: the source of a decryption. */
	return HMAC(w->md, w->auth_key, w->auth_key_len, w->decrypt ? source : scratch, op->length,
	            tag, &tag_len) &&
	       !memcmp(tag, op->tag, w->tag_len);
}
