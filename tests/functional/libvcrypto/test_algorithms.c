/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every algorithm that libvcrypto has a name for, through a live vcrypto-host with its built-in
 * configuration, against libcrypto: both directions, in place and not, at lengths around its
 * blocks. What the built-in pool must be able to do is listed; a capability that goes missing
 * fails.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/util.h"
#include "live.h"

#define KEY_MAX 64
#define AAD_LEN 20u

static const uint32_t lengths[] = {1, 8, 16, 17, 24, 48, 100, 1024, 4096, 16384, 65536 + 16};

static struct live live;
static uint8_t plain[LIVE_BUFFER], expected[LIVE_BUFFER];

/* Not in the built-in pool: virtio has no place for GMAC's IV. */
static bool may_be_missing(const char *name)
{
	return !strcmp(name, "gmac-aes");
}

/* libcrypto's name for ours. */
static const char *reference_name(const char *name)
{
	static const char *const other[][2] = {
		{"3des-cbc", "DES-EDE3-CBC"}, {"sha224", "SHA2-224"},  {"sha256", "SHA2-256"},
		{"sha384", "SHA2-384"},       {"sha512", "SHA2-512"},  {"ecdsa-p192", "P-192"},
		{"ecdsa-p224", "P-224"},      {"ecdsa-p256", "P-256"}, {"ecdsa-p384", "P-384"},
		{"ecdsa-p521", "P-521"},
	};

	for (size_t i = 0; i < vc_array_size(other); i++)
		if (!strcmp(name, other[i][0]))
			return other[i][1];
	return name;
}

struct work {
	char name[48];
	struct vcrypto_session_params params;
	struct vcrypto_session *session[2]; /* encrypts, decrypts */
	uint8_t key[KEY_MAX], auth_key[KEY_MAX];
	const char *cipher, *mac;
	bool ccm;
	uint8_t iv_len;
	uint16_t tag_len;
};

static uint8_t iv_len_of(const struct vcrypto_session_params *p)
{
	if (p->service == VCRYPTO_SERVICE_AEAD)
		return 12;
	if (p->algorithm == VCRYPTO_CIPHER_AES_ECB)
		return 0;
	return p->algorithm == VCRYPTO_CIPHER_3DES_CBC ? 8 : 16;
}

static bool length_fits(const struct vcrypto_session_params *p, uint32_t length)
{
	if (p->service != VCRYPTO_SERVICE_CIPHER)
		return true;
	switch (p->algorithm) {
	case VCRYPTO_CIPHER_AES_CTR:
		return true;
	case VCRYPTO_CIPHER_AES_XTS:
		return length >= 16;
	case VCRYPTO_CIPHER_3DES_CBC:
		return length % 8 == 0;
	default:
		return length % 16 == 0;
	}
}

/* One call of libcrypto; with an AEAD tag is written or compared. */
static bool reference(const struct work *w, bool encrypt, const struct vcrypto_op *op,
                      const uint8_t *in, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, w->cipher, NULL);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	bool aead = w->params.service == VCRYPTO_SERVICE_AEAD;
	int n = 0, last = 0;
	bool ok;

	assert_non_null(cipher);
	assert_int_equal(EVP_CipherInit_ex2(c, cipher, NULL, NULL, encrypt, NULL), 1);
	EVP_CIPHER_CTX_set_padding(c, 0);
	if (aead)
		assert_true(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, w->iv_len, NULL) > 0);
	if (aead && (w->ccm || !encrypt))
		assert_true(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, w->tag_len,
		                                encrypt ? NULL : tag) > 0);
	assert_int_equal(
		EVP_CipherInit_ex2(c, NULL, w->key, w->iv_len ? op->iv : NULL, encrypt, NULL), 1);
	if (w->ccm)
		assert_true(EVP_CipherUpdate(c, NULL, &n, NULL, (int)op->length) > 0);
	if (aead)
		assert_true(EVP_CipherUpdate(c, NULL, &n, op->aad, (int)op->aad_len) > 0);
	ok = EVP_CipherUpdate(c, out, &n, in, (int)op->length) > 0;
	ok = ok && (w->ccm || EVP_CipherFinal_ex(c, out + n, &last) > 0);
	if (ok && aead && encrypt)
		assert_true(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, w->tag_len, tag) > 0);
	EVP_CIPHER_CTX_free(c);
	EVP_CIPHER_free(cipher);
	return ok;
}

/* Digest or MAC of n bytes. */
static void reference_digest(const struct work *w, const uint8_t *in, size_t n, uint8_t *out)
{
	bool hmac = !strncmp(w->mac, "hmac-", 5), cmac = !strcmp(w->mac, "cmac-aes");
	const char *md = reference_name(w->mac + (hmac ? 5 : 0));
	size_t length = 0;

	if (!hmac && !cmac)
		assert_int_equal(EVP_Q_digest(NULL, md, NULL, in, n, out, &length), 1);
	else
		assert_non_null(EVP_Q_mac(NULL, cmac ? "CMAC" : "HMAC", NULL,
		                          cmac ? "AES-256-CBC" : md, NULL, w->auth_key,
		                          w->params.auth_key_len, in, n, out, 64, &length));
}

static void op_fill(const struct work *w, struct vcrypto_op *op, uint32_t length, bool in_place)
{
	*op = (struct vcrypto_op){.src = live.src,
	                          .dst = in_place ? live.src : live.dst,
	                          .length = length,
	                          .iv_len = w->iv_len};
	live_fill(op->iv, w->iv_len, length + 5);
	if (w->params.service == VCRYPTO_SERVICE_AEAD) {
		op->aad = live.src + LIVE_BUFFER - 256;
		op->aad_len = AAD_LEN;
		live_fill(live.src + LIVE_BUFFER - 256, AAD_LEN, length + 6);
	}
	if (w->params.service == VCRYPTO_SERVICE_AEAD || w->params.chain)
		op->tag = live.dst + LIVE_BUFFER - 256;
	if (w->params.chain)
		op->cipher_len = op->hash_len = length;
}

static void crypt_round(const struct work *w, uint32_t length, bool in_place)
{
	bool aead = w->params.service == VCRYPTO_SERVICE_AEAD;
	struct vcrypto_op op;
	uint8_t tag[64];

	op_fill(w, &op, length, in_place);
	live_fill(plain, length, length + 7);
	assert_true(reference(w, true, &op, plain, expected, tag));
	if (w->params.chain)
		reference_digest(w, expected, length, tag);
	for (int direction = 0; direction < 2; direction++) {
		op.session = w->session[direction];
		memcpy(live.src, direction ? expected : plain, length);
		if (op.tag && !(direction && aead))
			memset(op.tag, 0, 64);
		else if (op.tag)
			memcpy(op.tag, tag, w->tag_len);
		memset(live.dst, 0x33, length + 16);
		assert_int_equal(live_run(&live, &op), 0);
		assert_memory_equal(op.dst, direction ? plain : expected, length);
		if (op.tag)
			assert_memory_equal(op.tag, tag, w->tag_len);
		for (unsigned int i = 0; !in_place && i < 16; i++)
			assert_int_equal(live.dst[length + i], 0x33);
	}
	if (!aead)
		return;
	/* A wrong tag is found out. */
	memcpy(live.src, expected, length);
	((uint8_t *)op.tag)[w->tag_len - 1] ^= 1;
	assert_int_equal(live_run(&live, &op), -EBADMSG);
}

static void run_cipher(struct work *w)
{
	struct vcrypto_session_params *p = &w->params;

	w->iv_len = iv_len_of(p);
	w->ccm = p->service == VCRYPTO_SERVICE_AEAD && p->algorithm == VCRYPTO_AEAD_CCM;
	for (int i = 0; i < 2; i++) {
		p->direction = i ? VCRYPTO_DECRYPT : VCRYPTO_ENCRYPT;
		if (p->chain)
			p->chain =
				i ? VCRYPTO_CHAIN_HASH_THEN_CIPHER : VCRYPTO_CHAIN_CIPHER_THEN_HASH;
		w->session[i] = live_session(&live, p);
	}
	for (size_t i = 0; i < vc_array_size(lengths); i++) {
		if (!length_fits(p, lengths[i]))
			continue;
		crypt_round(w, lengths[i], false);
		crypt_round(w, lengths[i], true);
	}
	vcrypto_session_destroy(w->session[0]);
	vcrypto_session_destroy(w->session[1]);
}

/* HASH, MAC: whole digests, and a cut one. */
static void run_digest(struct work *w)
{
	uint16_t full = w->tag_len;

	for (unsigned int cut = 0; cut < 2; cut++) {
		w->params.tag_len = cut ? full - 4u : 0;
		w->session[0] = live_session(&live, &w->params);
		for (size_t i = 0; i < vc_array_size(lengths); i++) {
			struct vcrypto_op op = {.session = w->session[0],
			                        .src = live.src,
			                        .length = lengths[i],
			                        .tag = live.dst};
			uint8_t tag[64];

			live_fill(live.src, lengths[i], lengths[i] + 8);
			memset(live.dst, 0x33, 80);
			reference_digest(w, live.src, lengths[i], tag);
			assert_int_equal(live_run(&live, &op), 0);
			assert_memory_equal(live.dst, tag, full - (cut ? 4 : 0));
			assert_int_equal(live.dst[full - (cut ? 4 : 0)], 0x33);
		}
		vcrypto_session_destroy(w->session[0]);
	}
}

static struct vcrypto_session *ecdsa_session(struct work *w, EVP_PKEY *key, bool private)
{
	struct vcrypto_session *session;
	unsigned char *der = NULL;
	uint8_t point[140];
	size_t point_len;
	int n = i2d_PrivateKey(key, &der);

	assert_true(n > 0);
	assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point,
	                                                 sizeof(point), &point_len),
	                 1);
	w->params.private_key = private;
	w->params.key = private ? der : point;
	w->params.key_len = private ? (size_t)n : point_len;
	session = live_session(&live, &w->params);
	OPENSSL_free(der);
	return session;
}

/* Each side verifies what the other one signed. */
static void run_ecdsa(struct work *w)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", w->cipher);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	struct vcrypto_session *signer = ecdsa_session(w, key, true);
	struct vcrypto_session *verifier = ecdsa_session(w, key, false);
	size_t room = 200;
	struct vcrypto_op op = {.session = signer,
	                        .src = live.src,
	                        .length = 32,
	                        .dst = live.dst,
	                        .dst_len = 200,
	                        .akcipher_op = VCRYPTO_AKCIPHER_SIGN};

	live_fill(live.src, 32, 99);
	assert_int_equal(live_run(&live, &op), 0);
	assert_true(EVP_PKEY_verify_init(c) > 0);
	assert_int_equal(EVP_PKEY_verify(c, live.dst, op.result_len, live.src, 32), 1);

	memcpy(live.dst, live.src, 32);
	assert_true(EVP_PKEY_sign_init(c) > 0);
	assert_int_equal(EVP_PKEY_sign(c, live.src, &room, live.dst, 32), 1);
	op = (struct vcrypto_op){.session = verifier,
	                         .src = live.src,
	                         .length = (uint32_t)room,
	                         .tag = live.dst,
	                         .tag_len = 32,
	                         .akcipher_op = VCRYPTO_AKCIPHER_VERIFY};
	assert_int_equal(live_run(&live, &op), 0);
	live.dst[0] ^= 1;
	assert_int_equal(live_run(&live, &op), -EBADMSG);
	/* The public half signs nothing. */
	op.akcipher_op = VCRYPTO_AKCIPHER_SIGN;
	assert_int_equal(live_run(&live, &op), -EINVAL);
	vcrypto_session_destroy(signer);
	vcrypto_session_destroy(verifier);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(key);
}

static uint16_t digest_len(const char *name)
{
	const char *bits = name + strlen(name) - 3;

	if (strstr(name, "aes"))
		return 16;
	return strstr(name, "sha1") ? 20 : (uint16_t)(atoi(bits) / 8);
}

/* False: the device cannot. */
static bool run_name(const char *name)
{
	struct work w = {.cipher = NULL};
	const char *plus = strchr(name, '+');
	static char cipher[48];
	int can;

	assert_int_equal(vcrypto_params_parse(name, &w.params), 0);
	can = vcrypto_device_can(live.device, &w.params);
	/* Key agreement is only there where it was asked for, and has a program of its own. */
	if (can == -ENOTSUP &&
	    (may_be_missing(name) || (w.params.service == VCRYPTO_SERVICE_AKCIPHER &&
	                              w.params.algorithm == VCRYPTO_AKCIPHER_AGREE)))
		return false;
	if (can)
		fail_msg("%s: the built-in pool should do it: %s", name, vcrypto_error_text(can));
	live_fill(w.key, sizeof(w.key), (uint32_t)strlen(name));
	live_fill(w.auth_key, sizeof(w.auth_key), 7);
	w.params.key = w.params.key_len ? w.key : NULL;
	snprintf(cipher, sizeof(cipher), "%.*s", plus ? (int)(plus - name) : 47, name);
	w.cipher = reference_name(cipher);
	w.mac = plus ? plus + 1 : name;
	w.tag_len = 16;
	if (w.params.service == VCRYPTO_SERVICE_MAC || w.params.mac) {
		w.params.auth_key = w.auth_key;
		w.params.auth_key_len = 32;
	}
	if (w.params.service == VCRYPTO_SERVICE_MAC || w.params.service == VCRYPTO_SERVICE_HASH ||
	    plus)
		w.tag_len = digest_len(w.mac);
	switch (w.params.service) {
	case VCRYPTO_SERVICE_CIPHER:
	case VCRYPTO_SERVICE_AEAD:
		run_cipher(&w);
		break;
	case VCRYPTO_SERVICE_AKCIPHER:
		/* RSA has a program of its own. */
		if (w.params.algorithm == VCRYPTO_AKCIPHER_ECDSA)
			run_ecdsa(&w);
		break;
	default:
		run_digest(&w);
		break;
	}
	return true;
}

static void every_algorithm_matches_libcrypto(void **state)
{
	unsigned int done = 0, i;
	const char *name;

	for (i = 0; (name = vcrypto_params_name_at(i)); i++) {
		print_message("%s%s\n", name, run_name(name) ? "" : ": not in the pool");
		done++;
	}
	assert_true(done > 40);
}

static void every_chain_matches_libcrypto(void **state)
{
	static const char *const ciphers[] = {"aes-128-cbc", "aes-192-cbc", "aes-256-cbc",
	                                      "aes-128-ctr", "3des-cbc"};
	const char *mac;

	for (unsigned int i = 0; (mac = vcrypto_params_name_at(i)); i++) {
		if (strncmp(mac, "hmac-", 5) && strncmp(mac, "sha", 3))
			continue;
		for (size_t k = 0; k < vc_array_size(ciphers); k++) {
			char name[64];

			snprintf(name, sizeof(name), "%s+%s", ciphers[k], mac);
			assert_true(run_name(name));
		}
	}
}

static void names_and_parameters_are_each_others(void **state)
{
	static const char *const wrong[] = {"",
	                                    "aes",
	                                    "aes-128-cbc+",
	                                    "+hmac-sha1",
	                                    "sha256+hmac-sha1",
	                                    "aes-128-cbc+aes-128-cbc",
	                                    "aes-128-cbcx",
	                                    "aes-128-gcm+hmac-sha1",
	                                    "aes-128-cb"};
	struct vcrypto_session_params p;
	char buffer[64], chain[64];
	const char *name;

	for (unsigned int i = 0; (name = vcrypto_params_name_at(i)); i++) {
		assert_int_equal(vcrypto_params_parse(name, &p), 0);
		assert_string_equal(vcrypto_params_name(&p, buffer, sizeof(buffer)), name);
		if (p.service != VCRYPTO_SERVICE_MAC && p.service != VCRYPTO_SERVICE_HASH)
			continue;
		snprintf(chain, sizeof(chain), "aes-192-cbc+%s", name);
		assert_int_equal(vcrypto_params_parse(chain, &p), 0);
		assert_string_equal(vcrypto_params_name(&p, buffer, sizeof(buffer)), chain);
	}
	for (size_t i = 0; i < vc_array_size(wrong); i++)
		assert_int_equal(vcrypto_params_parse(wrong[i], &p), -EINVAL);
	p = (struct vcrypto_session_params){.service = VCRYPTO_SERVICE_CIPHER, .algorithm = 60};
	assert_string_equal(vcrypto_params_name(&p, buffer, sizeof(buffer)), "unknown");
	assert_int_equal(vcrypto_device_can(live.device, &p), -ENOTSUP);
	p = (struct vcrypto_session_params){.service = (enum vcrypto_service)9};
	assert_int_equal(vcrypto_device_can(live.device, &p), -EINVAL);
	vcrypto_params_parse("aes-128-cbc", &p);
	p.key_len = 1000;
	assert_int_equal(vcrypto_device_can(live.device, &p), -EKEYREJECTED);
}

static void an_rsa_key_of_8192_bits_fits(void **state)
{
	struct vcrypto_session_params p = {.service = VCRYPTO_SERVICE_AKCIPHER,
	                                   .algorithm = VCRYPTO_AKCIPHER_RSA,
	                                   .private_key = true};
	struct vcrypto_session *session = NULL;
	uint8_t key_of_8192[4700] = {0x30, 0x82, 0x12, 0x58};

	/* Rubbish of that length: the device refuses it, not we. */
	p.key = key_of_8192;
	p.key_len = sizeof(key_of_8192);
	assert_true(live_refused(&live, &p));
	/* With REVISION_1 the device does not tell why (5.9.7.1). */
	if (live_sessions() != VCRYPTO_SESSIONS_STATELESS)
		assert_int_equal(vcrypto_session_create(live.device, &p, &session), -EKEYREJECTED);
}

static int setup(void **state)
{
	live_open(&live, 0, 1);
	return 0;
}

static int teardown(void **state)
{
	live_close(&live);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_algorithm_matches_libcrypto),
		cmocka_unit_test(every_chain_matches_libcrypto),
		cmocka_unit_test(names_and_parameters_are_each_others),
		cmocka_unit_test(an_rsa_key_of_8192_bits_fits),
	};

	live_socket();
	return cmocka_run_group_tests_name("every algorithm", tests, setup, teardown);
}
