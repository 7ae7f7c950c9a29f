/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the daemon for tests. See soft_core.h.
 */
#include "soft_core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "openssl/core/core.h"
#include "openssl/core/debug.h"

struct soft_core soft_core;

struct core_key {
	struct vcrypto_session_params params;
	uint8_t bytes[4096];
	unsigned int references;
};

void soft_core_reset(void)
{
	unsigned int keys = soft_core.keys;

	soft_core = (struct soft_core){.available = true, .max_size = 16384 + 512, .keys = keys};
}

void debug_open(void)
{
}

void core_configure(const struct core_options *options)
{
}

bool core_available(void)
{
	return soft_core.available;
}

bool core_offers(enum vcrypto_service service, unsigned int algorithm)
{
	return soft_core.available;
}

bool core_agrees(enum vcrypto_curve curve)
{
	return soft_core.available;
}

size_t core_max_size(void)
{
	return soft_core.max_size;
}

int core_key_new(const struct vcrypto_session_params *params, struct core_key **key)
{
	*key = calloc(1, sizeof(**key));
	if (!*key || params->key_len + params->auth_key_len > sizeof((*key)->bytes))
		return -EINVAL;
	(*key)->params = *params;
	if (params->key_len)
		memcpy((*key)->bytes, params->key, params->key_len);
	if (params->auth_key_len)
		memcpy((*key)->bytes + params->key_len, params->auth_key, params->auth_key_len);
	(*key)->references = 1;
	soft_core.keys++;
	return 0;
}

struct core_key *core_key_ref(struct core_key *key)
{
	key->references++;
	return key;
}

void core_key_free(struct core_key *key)
{
	if (key && --key->references == 0) {
		soft_core.keys--;
		free(key);
	}
}

/* What libcrypto calls the key's algorithm. */
static EVP_CIPHER *fetch(const struct vcrypto_session_params *p)
{
	static const char *const ciphers[] = {[VCRYPTO_CIPHER_AES_CBC] = "CBC",
	                                      [VCRYPTO_CIPHER_AES_CTR] = "CTR",
	                                      [VCRYPTO_CIPHER_AES_XTS] = "XTS"};
	static const char *const aeads[] = {[VCRYPTO_AEAD_GCM] = "GCM", [VCRYPTO_AEAD_CCM] = "CCM"};
	bool aead = p->service == VCRYPTO_SERVICE_AEAD;
	bool two_keys = !aead && p->algorithm == VCRYPTO_CIPHER_AES_XTS;
	char name[32];

	if (aead && p->algorithm == VCRYPTO_AEAD_CHACHA20_POLY1305)
		return EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	snprintf(name, sizeof(name), "AES-%zu-%s", p->key_len * (two_keys ? 4 : 8),
	         aead ? aeads[p->algorithm] : ciphers[p->algorithm]);
	return EVP_CIPHER_fetch(NULL, name, NULL);
}

static int run_cipher(const struct core_op *op)
{
	const struct vcrypto_session_params *p = &op->key->params;
	EVP_CIPHER *cipher = fetch(p);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, rc = -EINVAL;

	/* As devices do, and libcrypto does not when it decrypts. */
	if (p->algorithm == VCRYPTO_CIPHER_AES_XTS &&
	    !memcmp(op->key->bytes, op->key->bytes + p->key_len / 2, p->key_len / 2)) {
		rc = -EKEYREJECTED;
		goto out;
	}
	if ((op->length % 16 == 0 || p->algorithm == VCRYPTO_CIPHER_AES_XTS) && op->iv_len == 16 &&
	    EVP_CipherInit_ex(ctx, cipher, NULL, op->key->bytes, op->iv,
	                      p->direction == VCRYPTO_ENCRYPT) == 1 &&
	    EVP_CIPHER_CTX_set_padding(ctx, 0) &&
	    EVP_CipherUpdate(ctx, op->dst, &n, op->src, (int)op->length) == 1)
		rc = 0;
out:
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return rc;
}

/* Authenticated first: the key of the MAC lies behind that of the cipher. */
static int run_chain(const struct core_op *op)
{
	const struct vcrypto_session_params *p = &op->key->params;
	const EVP_MD *md = p->mac == VCRYPTO_MAC_HMAC_SHA1 ? EVP_sha1() : EVP_sha256();
	struct core_op cipher = *op;
	uint8_t mac[EVP_MAX_MD_SIZE], *message = malloc(op->aad_len + op->length + 1);
	unsigned int n = 0;
	int rc = -EINVAL;

	if (op->aad_len)
		memcpy(message, op->aad, op->aad_len);
	memcpy(message + op->aad_len, op->src, op->length);
	if (HMAC(md, op->key->bytes + p->key_len, (int)p->auth_key_len, message,
	         op->aad_len + op->length, mac, &n) &&
	    n == op->tag_len && op->cipher_len && op->cipher_len <= op->length &&
	    p->chain == VCRYPTO_CHAIN_HASH_THEN_CIPHER) {
		cipher.length = op->cipher_len;
		rc = run_cipher(&cipher);
	}
	if (!rc)
		memcpy(op->tag, mac, n);
	free(message);
	return rc;
}

static bool aead_begin(EVP_CIPHER_CTX *ctx, const struct core_op *op, int *n)
{
	const struct vcrypto_session_params *p = &op->key->params;
	bool encrypt = p->direction == VCRYPTO_ENCRYPT, ccm = p->algorithm == VCRYPTO_AEAD_CCM;
	EVP_CIPHER *cipher = fetch(p);
	bool ok;

	ok = EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, encrypt) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, op->iv_len, NULL) == 1 &&
	     ((encrypt && !ccm) || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, op->tag_len,
	                                               encrypt ? NULL : op->tag) == 1) &&
	     EVP_CipherInit_ex(ctx, NULL, NULL, op->key->bytes, op->iv, encrypt) == 1 &&
	     (!ccm || EVP_CipherUpdate(ctx, NULL, n, NULL, (int)op->length) == 1) &&
	     (!op->aad_len || EVP_CipherUpdate(ctx, NULL, n, op->aad, (int)op->aad_len) == 1);
	EVP_CIPHER_free(cipher);
	return ok;
}

/* As a device has it: the tag's length is the session's. */
static int run_aead(const struct core_op *op)
{
	const struct vcrypto_session_params *p = &op->key->params;
	bool ccm = p->algorithm == VCRYPTO_AEAD_CCM;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *out = malloc(op->length + 1);
	int n, rc = -EINVAL;

	if (op->tag_len != p->tag_len || (!ccm && (op->iv_len != 12 || op->tag_len != 16)) ||
	    !aead_begin(ctx, op, &n))
		goto out;
	rc = EVP_CipherUpdate(ctx, out, &n, op->src, (int)op->length) == 1 &&
	                     EVP_CipherFinal_ex(ctx, out, &n) == 1
	             ? 0
	             : -EBADMSG;
	if (!rc && p->direction == VCRYPTO_ENCRYPT)
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, op->tag_len, op->tag);
	if (!rc)
		memcpy(op->dst, out, op->length);
out:
	free(out);
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

static int run_rsa(struct core_op *op)
{
	const unsigned char *der = op->key->bytes;
	RSA *rsa = d2i_RSAPrivateKey(NULL, &der, (long)op->key->params.key_len);
	int n = rsa ? RSA_private_encrypt((int)op->length, op->src, op->dst, rsa, RSA_NO_PADDING)
	            : -1;

	RSA_free(rsa);
	if (n < 0)
		return -EINVAL;
	op->result_len = (uint32_t)n;
	op->dst[n / 2] ^= soft_core.wrong;
	return 0;
}

/* The key is an ECPrivateKey without optional parts. */
static int run_ecdsa(struct core_op *op)
{
	static const int nids[] = {NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1};
	static const uint8_t bad[] = {0x30, 6, 2, 1, 0, 2, 1, 1};
	const struct vcrypto_session_params *p = &op->key->params;
	EC_KEY *ec = p->curve >= 3 && p->curve <= 5 ? EC_KEY_new_by_curve_name(nids[p->curve - 3])
	                                            : NULL;
	const unsigned char *der = op->key->bytes;
	unsigned int n = 0;
	int rc = -EINVAL;

	if (ec && d2i_ECPrivateKey(&ec, &der, (long)p->key_len) && op->length &&
	    op->dst_len >= (uint32_t)ECDSA_size(ec) && op->akcipher_op == VCRYPTO_AKCIPHER_SIGN &&
	    ECDSA_sign(0, op->src, (int)op->length, op->dst, &n, ec))
		rc = 0;
	EC_KEY_free(ec);
	if (!rc)
		op->dst[n - 1] ^= soft_core.wrong;
	if (soft_core.malformed)
		memcpy(op->dst, bad, n = sizeof(bad));
	op->result_len = n;
	return rc;
}

static EVP_PKEY *agree_key(const char *group, const uint8_t *private, size_t private_len,
                           const uint8_t *point, size_t point_len)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, group ? "EC" : "X25519", NULL);
	BIGNUM *number = group && private ? BN_bin2bn(private, (int)private_len, NULL) : NULL;
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (group)
		OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	if (number)
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number);
	else if (private)
		OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PRIV_KEY, private,
		                                 private_len);
	if (point)
		OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, point_len);
	params = OSSL_PARAM_BLD_to_param(build);
	if (EVP_PKEY_fromdata_init(c) <= 0 ||
	    EVP_PKEY_fromdata(c, &key, point && !private ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR,
	                      params) <= 0)
		key = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(number);
	EVP_PKEY_CTX_free(c);
	return key;
}

static int run_generate(struct core_op *op, const char *group, uint32_t private_len,
                        uint32_t point_len)
{
	EVP_PKEY *key = group ? EVP_EC_gen(group) : EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	size_t n = private_len;
	BIGNUM *number = NULL;
	int rc = -EINVAL;

	if (op->dst_len < private_len + point_len || op->length)
		goto out;
	if (group && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number) > 0)
		BN_bn2binpad(number, op->dst, (int)private_len);
	else if (!group)
		EVP_PKEY_get_raw_private_key(key, op->dst, &n);
	EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, op->dst + private_len,
	                                point_len, &n);
	op->dst[private_len + point_len / 2] ^= soft_core.wrong;
	op->result_len = private_len + point_len;
	soft_core.generated++;
	rc = 0;
out:
	BN_free(number);
	EVP_PKEY_free(key);
	return rc;
}

static int run_agree(struct core_op *op)
{
	static const struct {
		const char *group;
		unsigned int curve;
		uint32_t private_len, point_len;
	} curves[] = {{NULL, VCRYPTO_CURVE_X25519, 32, 32},
	              {"P-256", VCRYPTO_CURVE_P256, 32, 65},
	              {"P-384", VCRYPTO_CURVE_P384, 48, 97},
	              {"P-521", VCRYPTO_CURVE_P521, 66, 133}};
	const uint8_t *point;
	EVP_PKEY *key, *peer;
	EVP_PKEY_CTX *c;
	size_t n = op->dst_len, i = 0;
	int rc = -EKEYREJECTED;

	while (i < 3 && curves[i].curve != op->key->params.curve)
		i++;
	if (op->akcipher_op == VCRYPTO_AKCIPHER_GENERATE)
		return run_generate(op, curves[i].group, curves[i].private_len,
		                    curves[i].point_len);
	if (op->akcipher_op != VCRYPTO_AKCIPHER_DERIVE || op->dst_len < curves[i].private_len ||
	    op->length != curves[i].private_len + curves[i].point_len)
		return -EINVAL;
	point = op->src + curves[i].private_len;
	/* libcrypto's EC keys are no pairs without a point; any will do. */
	key = agree_key(curves[i].group, op->src, curves[i].private_len,
	                curves[i].group ? point : NULL, curves[i].point_len);
	peer = agree_key(curves[i].group, NULL, 0, point, curves[i].point_len);
	c = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
	ERR_set_mark();
	if (c && peer && EVP_PKEY_derive_init(c) > 0 && EVP_PKEY_derive_set_peer(c, peer) > 0 &&
	    EVP_PKEY_derive(c, op->dst, &n) > 0)
		rc = 0;
	ERR_pop_to_mark();
	op->result_len = (uint32_t)n;
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(key);
	EVP_PKEY_free(peer);
	return rc;
}

static int run_akcipher(struct core_op *op)
{
	switch (op->key->params.algorithm) {
	case VCRYPTO_AKCIPHER_RSA:
		return run_rsa(op);
	case VCRYPTO_AKCIPHER_AGREE:
		return run_agree(op);
	default:
		return run_ecdsa(op);
	}
}

static int run_one(struct core_op *op)
{
	soft_core.operations++;
	if (op->length + op->aad_len + op->tag_len > soft_core.max_size)
		return -EMSGSIZE;
	if (soft_core.fail_every && soft_core.operations % soft_core.fail_every == 0) {
		soft_core.failures++;
		return soft_core.error;
	}
	switch (op->key->params.service) {
	case VCRYPTO_SERVICE_CIPHER:
		return op->key->params.chain ? run_chain(op) : run_cipher(op);
	case VCRYPTO_SERVICE_AEAD:
		return run_aead(op);
	default:
		return run_akcipher(op);
	}
}

int core_run(struct core_op *ops, size_t n)
{
	int first = 0;

	if (n > 1)
		soft_core.together += (unsigned int)n;
	if (n > soft_core.most)
		soft_core.most = (unsigned int)n;
	for (size_t i = 0; i < n; i++) {
		ops[i].result = run_one(&ops[i]);
		if (!first)
			first = ops[i].result;
	}
	return first;
}

void core_count_small(void)
{
	soft_core.small++;
}

void core_stats(struct vce_client_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->offloaded[VCE_CLASS_CIPHER] = soft_core.operations - soft_core.failures;
	stats->fallback[VCE_FALLBACK_DEVICE] = soft_core.failures;
	stats->small = soft_core.small;
}

void core_teardown(void)
{
}
