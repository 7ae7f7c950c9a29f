/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wycheproof's test vectors through the provider, as OPENSSL_CONF loads it:
 *
 *   test-provider-wycheproof DIRECTORY sync|jobs offloaded|software
 *
 * A valid vector must work and give what it says; an invalid one must not; and in every case the
 * outcome is that of OpenSSL's own. (From OpenSSL 3.2 on, decryption of a wrong PKCS#1 v1.5 padding
 * gives a message made up from key and ciphertext: so only the comparison counts there.) Of each
 * file something must have been offloaded, or (software) fallen back. Prints how many vectors there
 * were. Exit status 77 without the files.
 */
#include "openssl/cases.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static unsigned int count;

struct bytes {
	uint8_t *data;
	size_t size;
};

static struct bytes get_bytes(const json_t *object, const char *name)
{
	const char *hex = json_string_value(json_object_get(object, name));
	struct bytes b = {NULL, hex ? strlen(hex) / 2 : 0};

	/* One more, so that no data is not no buffer. */
	b.data = calloc(1, b.size + 1);
	for (size_t i = 0; i < b.size; i++)
		sscanf(hex + 2 * i, "%2hhx", &b.data[i]);
	return b;
}

static const char *get_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static long get_number(const json_t *object, const char *name)
{
	return (long)json_integer_value(json_object_get(object, name));
}

static bool is(const json_t *test, const char *result)
{
	return !strcmp(get_text(test, "result"), result);
}

/* The vector as it is used: inputs, and both outcomes. */
struct vector {
	const json_t *root, *group, *test;
	struct bytes key, iv, aad, msg, ct, tag, sig, label;
	EVP_PKEY *pkey;
};

static void vector_open(struct vector *v, const json_t *root, const json_t *group,
                        const json_t *test, EVP_PKEY *pkey)
{
	*v = (struct vector){.root = root, .group = group, .test = test, .pkey = pkey};
	v->key = get_bytes(test, "key");
	v->iv = get_bytes(test, "iv");
	v->aad = get_bytes(test, "aad");
	v->msg = get_bytes(test, "msg");
	v->ct = get_bytes(test, "ct");
	v->tag = get_bytes(test, "tag");
	v->sig = get_bytes(test, "sig");
	v->label = get_bytes(test, "label");
}

static void vector_close(struct vector *v)
{
	free(v->key.data);
	free(v->iv.data);
	free(v->aad.data);
	free(v->msg.data);
	free(v->ct.data);
	free(v->tag.data);
	free(v->sig.data);
	free(v->label.data);
}

/* What one provider makes of a vector: whether it worked, and what came out. */
struct outcome {
	bool ok;
	size_t size;
	uint8_t data[4096];
};

typedef void apply(const struct vector *v, const char *whose, struct outcome *o);

static EVP_CIPHER_CTX *cipher_open(const struct vector *v, const char *mode, const char *whose,
                                   int encrypt)
{
	char name[32];
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool aead = strcmp(mode, "CBC") != 0;
	int ok;

	if (!strcmp(get_text(v->root, "algorithm"), "CHACHA20-POLY1305"))
		snprintf(name, sizeof(name), "ChaCha20-Poly1305");
	else
		snprintf(name, sizeof(name), "AES-%zu-%s", v->key.size * 8, mode);
	cipher = EVP_CIPHER_fetch(NULL, name, whose);
	ok = cipher && EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, encrypt, NULL) == 1 &&
	     (!aead ||
	      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)v->iv.size, NULL) == 1) &&
	     EVP_CipherInit_ex2(ctx, NULL, v->key.data, v->iv.data, encrypt, NULL) == 1;
	EVP_CIPHER_free(cipher);
	if (ok)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

static void cbc_encrypt(const struct vector *v, const char *whose, struct outcome *o)
{
	EVP_CIPHER_CTX *ctx = cipher_open(v, "CBC", whose, 1);
	int n = 0, m = 0;

	o->ok = ctx && EVP_CipherUpdate(ctx, o->data, &n, v->msg.data, (int)v->msg.size) == 1 &&
	        EVP_CipherFinal_ex(ctx, o->data + n, &m) == 1;
	o->size = (size_t)n + (size_t)m;
	EVP_CIPHER_CTX_free(ctx);
}

static void cbc_decrypt(const struct vector *v, const char *whose, struct outcome *o)
{
	EVP_CIPHER_CTX *ctx = cipher_open(v, "CBC", whose, 0);
	int n = 0, m = 0;

	o->ok = ctx && EVP_CipherUpdate(ctx, o->data, &n, v->ct.data, (int)v->ct.size) == 1 &&
	        EVP_CipherFinal_ex(ctx, o->data + n, &m) == 1;
	o->size = (size_t)n + (size_t)m;
	EVP_CIPHER_CTX_free(ctx);
}

static void aead_encrypt(const struct vector *v, const char *whose, struct outcome *o)
{
	EVP_CIPHER_CTX *ctx = cipher_open(v, "GCM", whose, 1);
	int n = 0, m = 0;

	o->ok = ctx && EVP_CipherUpdate(ctx, NULL, &m, v->aad.data, (int)v->aad.size) == 1 &&
	        EVP_CipherUpdate(ctx, o->data, &n, v->msg.data, (int)v->msg.size) == 1 &&
	        EVP_CipherFinal_ex(ctx, o->data + n, &m) == 1 &&
	        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)v->tag.size, o->data + n) == 1;
	o->size = (size_t)n + v->tag.size;
	EVP_CIPHER_CTX_free(ctx);
}

static void aead_decrypt(const struct vector *v, const char *whose, struct outcome *o)
{
	EVP_CIPHER_CTX *ctx = cipher_open(v, "GCM", whose, 0);
	int n = 0, m = 0;

	o->ok = ctx &&
	        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)v->tag.size, v->tag.data) ==
	                1 &&
	        EVP_CipherUpdate(ctx, NULL, &m, v->aad.data, (int)v->aad.size) == 1 &&
	        EVP_CipherUpdate(ctx, o->data, &n, v->ct.data, (int)v->ct.size) == 1 &&
	        EVP_CipherFinal_ex(ctx, o->data + n, &m) == 1;
	o->size = (size_t)n;
	EVP_CIPHER_CTX_free(ctx);
}

/* Lengths before the key, the message's before additional data, and data even if there is none. */
static EVP_CIPHER_CTX *ccm_open(const struct vector *v, const char *whose, int encrypt, size_t size)
{
	char name[32];
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, ok;

	snprintf(name, sizeof(name), "AES-%zu-CCM", v->key.size * 8);
	cipher = EVP_CIPHER_fetch(NULL, name, whose);
	ok = cipher && EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, encrypt, NULL) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)v->iv.size, NULL) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)v->tag.size,
	                         encrypt ? NULL : v->tag.data) == 1 &&
	     EVP_CipherInit_ex2(ctx, NULL, v->key.data, v->iv.data, encrypt, NULL) == 1 &&
	     EVP_CipherUpdate(ctx, NULL, &n, NULL, (int)size) == 1 &&
	     EVP_CipherUpdate(ctx, NULL, &n, v->aad.data, (int)v->aad.size) == 1;
	EVP_CIPHER_free(cipher);
	if (ok)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

static void ccm_encrypt(const struct vector *v, const char *whose, struct outcome *o)
{
	EVP_CIPHER_CTX *ctx = ccm_open(v, whose, 1, v->msg.size);
	int n = 0;

	o->ok = ctx && EVP_CipherUpdate(ctx, o->data, &n, v->msg.data, (int)v->msg.size) == 1 &&
	        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)v->tag.size, o->data + n) == 1;
	o->size = (size_t)n + v->tag.size;
	EVP_CIPHER_CTX_free(ctx);
}

static void ccm_decrypt(const struct vector *v, const char *whose, struct outcome *o)
{
	EVP_CIPHER_CTX *ctx = ccm_open(v, whose, 0, v->ct.size);
	int n = 0;

	o->ok = ctx && EVP_CipherUpdate(ctx, o->data, &n, v->ct.data, (int)v->ct.size) == 1;
	o->size = (size_t)n;
	EVP_CIPHER_CTX_free(ctx);
}

static void rsa_decrypt(const struct vector *v, const char *whose, struct outcome *o)
{
	bool oaep = !strcmp(get_text(v->group, "type"), "RsaesOaepDecrypt");
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, v->pkey, whose);

	o->size = sizeof(o->data);
	o->ok = ctx && EVP_PKEY_decrypt_init(ctx) == 1;
	if (o->ok && oaep)
		o->ok = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
		        EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, get_text(v->group, "sha"), NULL) ==
		                1 &&
		        EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, get_text(v->group, "mgfSha"),
		                                          NULL) == 1;
	if (o->ok && oaep && v->label.size)
		o->ok = EVP_PKEY_CTX_set0_rsa_oaep_label(
				ctx, OPENSSL_memdup(v->label.data, v->label.size),
				(int)v->label.size) == 1;
	o->ok = o->ok && EVP_PKEY_decrypt(ctx, o->data, &o->size, v->ct.data, v->ct.size) == 1;
	EVP_PKEY_CTX_free(ctx);
}

static bool pss(EVP_PKEY_CTX *ctx, const json_t *group)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, get_text(group, "mgfSha"), NULL) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)get_number(group, "sLen")) == 1;
}

static void verify(const struct vector *v, const char *whose, struct outcome *o)
{
	bool is_pss = !strcmp(get_text(v->group, "type"), "RsassaPssVerify");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;

	o->ok = EVP_DigestVerifyInit_ex(ctx, &pctx, get_text(v->group, "sha"), NULL, whose, v->pkey,
	                                NULL) == 1 &&
	        (!is_pss || pss(pctx, v->group)) &&
	        EVP_DigestVerify(ctx, v->sig.data, v->sig.size, v->msg.data, v->msg.size) == 1;
	EVP_MD_CTX_free(ctx);
}

static void rsa_sign(const struct vector *v, const char *whose, struct outcome *o)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	o->size = sizeof(o->data);
	o->ok = EVP_DigestSignInit_ex(ctx, NULL, get_text(v->group, "sha"), NULL, whose, v->pkey,
	                              NULL) == 1 &&
	        EVP_DigestSign(ctx, o->data, &o->size, v->msg.data, v->msg.size) == 1;
	EVP_MD_CTX_free(ctx);
}

/* For signatures of which no two are alike the messages of the vectors, whose digests are of all
 * kinds, are signed with a key of ours, as theirs are not told, and verified by OpenSSL. */
static void sign_own(const struct vector *v, const char *whose, struct outcome *o)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *check = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	const char *md = get_text(v->group, "sha");
	size_t size = sizeof(o->data);
	bool is_pss = EVP_PKEY_is_a(v->pkey, "RSA");

	o->ok = EVP_DigestSignInit_ex(ctx, &pctx, md, NULL, whose, v->pkey, NULL) == 1 &&
	        (!is_pss || pss(pctx, v->group)) &&
	        EVP_DigestSign(ctx, o->data, &size, v->msg.data, v->msg.size) == 1 &&
	        EVP_DigestVerifyInit_ex(check, &pctx, md, NULL, THEIRS, v->pkey, NULL) == 1 &&
	        (!is_pss || pss(pctx, v->group)) &&
	        EVP_DigestVerify(check, o->data, size, v->msg.data, v->msg.size) == 1;
	o->size = 0;
	EVP_MD_CTX_free(ctx);
	EVP_MD_CTX_free(check);
}

/* -------------------------------------------------------------------------------------- files */

struct file {
	const char *name;
	apply *functions[2];
	const char *counter;     /* of what is offloaded; NULL: it is verified, by software */
	const char *expected[2]; /* what the outcome of a valid vector is */
	const char *appended;    /* comes after it */
	const char *key;         /* DER, in the group */
	const char *own;         /* a key of ours instead: RSA, or a curve */
	bool private_key;
	bool only_compare; /* invalid vectors need not fail */
	bool may_lack;
};

#define CIPHER(file, encrypt, decrypt, kind, more)                                                 \
	{                                                                                          \
		.name = (file), .functions = {encrypt, decrypt}, .counter = (kind),                \
		.expected = {"ct", "msg"}, .appended = (more)                                      \
	}
#define PRIVATE(file, function, kind, outcome, compare)                                            \
	{                                                                                          \
		.name = (file), .functions = {function}, .counter = (kind), .expected = {outcome}, \
		.key = "privateKeyPkcs8", .private_key = true, .only_compare = (compare)           \
	}
#define VERIFY(file, lack)                                                                         \
	{                                                                                          \
		.name = (file), .functions = {verify}, .key = "publicKeyDer", .may_lack = (lack)   \
	}
#define SIGN(file, name_of_key, kind)                                                              \
	{                                                                                          \
		.name = (file), .functions = {sign_own}, .counter = (kind), .own = (name_of_key),  \
		.only_compare = true                                                               \
	}

static const struct file files[] = {
	CIPHER("aes_cbc_pkcs5_test.json", cbc_encrypt, cbc_decrypt, "cipher", NULL),
	CIPHER("aes_ccm_test.json", ccm_encrypt, ccm_decrypt, "aead", "tag"),
	CIPHER("aes_gcm_test.json", aead_encrypt, aead_decrypt, "aead", "tag"),
	{.name = "chacha20_poly1305_test.json",
         .functions = {aead_encrypt, aead_decrypt},
         .counter = "aead",
         .expected = {"ct", "msg"},
         .appended = "tag",
         .may_lack = true},
	PRIVATE("rsa_pkcs1_2048_test.json", rsa_decrypt, "rsa-decrypt", "msg", true),
	PRIVATE("rsa_oaep_2048_sha256_mgf1sha256_test.json", rsa_decrypt, "rsa-decrypt", "msg",
                false),
	PRIVATE("rsa_pkcs1_2048_sig_gen_test.json", rsa_sign, "rsa-sign", "sig", false),
	VERIFY("rsa_signature_2048_sha256_test.json", false),
	VERIFY("rsa_pss_2048_sha256_mgf1_32_test.json", false),
	VERIFY("ecdsa_secp256r1_sha256_test.json", false),
	VERIFY("ecdsa_secp384r1_sha384_test.json", true),
	VERIFY("ecdsa_secp521r1_sha512_test.json", true),
	SIGN("rsa_pss_2048_sha256_mgf1_32_test.json", "RSA", "rsa-sign"),
	SIGN("ecdsa_secp256r1_sha256_test.json", "P-256", "ecdsa-sign"),
	SIGN("ecdsa_secp256r1_sha256_test.json", "P-384", "ecdsa-sign"),
	SIGN("ecdsa_secp256r1_sha256_test.json", "P-521", "ecdsa-sign"),
};

static bool expected(const struct file *file, int which, const json_t *test,
                     const struct outcome *o)
{
	struct bytes first, second = {NULL, 0};
	bool same;

	if (!file->expected[which])
		return true;
	first = get_bytes(test, file->expected[which]);
	if (file->appended && which == 0)
		second = get_bytes(test, file->appended);
	same = o->size == first.size + second.size && !memcmp(o->data, first.data, first.size) &&
	       (!second.size || !memcmp(o->data + first.size, second.data, second.size));
	free(first.data);
	free(second.data);
	return same;
}

static bool run_vector(const struct file *file, int which, const struct vector *v)
{
	struct outcome *o = calloc(2, sizeof(*o));
	bool fails_if_invalid = !file->only_compare && (which == 1 || !file->functions[1]);

	CHECK(o);
	file->functions[which](v, OURS, &o[0]);
	file->functions[which](v, THEIRS, &o[1]);
	ERR_clear_error();
	CHECK(o[0].ok == o[1].ok);
	CHECK(!o[0].ok || (o[0].size == o[1].size && !memcmp(o[0].data, o[1].data, o[0].size)));
	/* OpenSSL takes IVs of GCM up to 128 bytes. */
	CHECK(!is(v->test, "valid") || v->iv.size > 128 ||
	      (o[0].ok && expected(file, which, v->test, &o[0])));
	CHECK(!is(v->test, "invalid") || !fails_if_invalid || !o[0].ok);
	free(o);
	count++;
	return true;
}

static EVP_PKEY *get_key(const struct file *file, const json_t *group)
{
	struct bytes der;
	const unsigned char *p;
	EVP_PKEY *key;

	if (file->own && !strcmp(file->own, "RSA"))
		return EVP_PKEY_Q_keygen(NULL, THEIRS, "RSA", (size_t)2048);
	if (file->own)
		return EVP_PKEY_Q_keygen(NULL, THEIRS, "EC", file->own);
	der = get_bytes(group, file->key);
	p = der.data;
	if (!der.size && file->private_key) {
		free(der.data);
		der = get_bytes(group, "keyDer");
		p = der.data;
	}
	if (!der.size) {
		free(der.data);
		der = get_bytes(group, "publicKeyAsn");
		p = der.data;
	}
	key = file->private_key ? d2i_AutoPrivateKey_ex(NULL, &p, (long)der.size, NULL, THEIRS)
	                        : d2i_PUBKEY_ex(NULL, &p, (long)der.size, NULL, THEIRS);
	free(der.data);
	return key;
}

static bool run_file(const struct file *file, json_t *root)
{
	json_t *groups = json_object_get(root, "testGroups"), *group, *test;
	size_t i, j;

	json_array_foreach (groups, i, group) {
		bool wanted = file->key || file->own;
		EVP_PKEY *key = wanted ? get_key(file, group) : NULL;

		CHECK(key || !wanted);
		json_array_foreach (json_object_get(group, "tests"), j, test) {
			struct vector v;
			bool ok = true;

			vector_open(&v, root, group, test, key);
			for (int which = 0; ok && which < 2 && file->functions[which]; which++)
				ok = run_vector(file, which, &v);
			vector_close(&v);
			if (!ok)
				fprintf(stderr, "%s: test %ld\n", file->name,
				        get_number(test, "tcId"));
			CHECK(ok);
		}
		EVP_PKEY_free(key);
	}
	return true;
}

static const char *directory;
static bool offloaded; /* is what is wanted; else fallen back */

static uint64_t provider_count(const char *name)
{
	OSSL_PROVIDER *provider = OSSL_PROVIDER_load(NULL, "vcrypto");
	uint64_t value = 0;
	OSSL_PARAM params[] = {OSSL_PARAM_construct_uint64(name, &value), OSSL_PARAM_END};

	if (!provider || !OSSL_PROVIDER_get_params(provider, params))
		fprintf(stderr, "the provider does not tell %s\n", name);
	OSSL_PROVIDER_unload(provider);
	return value;
}

static uint64_t count_of(const struct file *file)
{
	char name[64];

	snprintf(name, sizeof(name), "vcrypto-offloaded-%s", file->counter);
	return provider_count(offloaded ? name : "vcrypto-fallback-no-daemon");
}

/* Something of this file's kind, and none of the other outcome, ever. */
static bool counted(const struct file *file, uint64_t before)
{
	CHECK(count_of(file) > before);
	CHECK(provider_count(offloaded ? "vcrypto-fallback" : "vcrypto-offloaded") == 0);
	return true;
}

static bool run_files(const struct env *env)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		uint64_t before = files[i].counter ? count_of(&files[i]) : 0;
		unsigned int tried = count;
		char path[512];
		json_t *root;

		snprintf(path, sizeof(path), "%s/%s", directory, files[i].name);
		if (files[i].may_lack && access(path, R_OK))
			continue;
		root = json_load_file(path, 0, NULL);
		if (!root) {
			fprintf(stderr, "%s cannot be read\n", path);
			return false;
		}
		CHECK(run_file(&files[i], root));
		CHECK(count > tried);
		if (files[i].counter && !counted(&files[i], before)) {
			fprintf(stderr, "%s: counted otherwise\n", files[i].name);
			return false;
		}
		json_decref(root);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct env env = {0};
	bool jobs = argc > 2 && !strcmp(argv[2], "jobs"), ok;

	if (argc < 4 || !argv[1][0]) {
		fprintf(stderr, "WYCHEPROOF_DIR does not name a directory\n");
		return 77;
	}
	directory = argv[1];
	offloaded = !strcmp(argv[3], "offloaded");
	ok = jobs ? run_in_job(run_files, &env, NULL) : run_files(&env);
	printf("%u\n", count);
	return ok ? 0 : 1;
}
