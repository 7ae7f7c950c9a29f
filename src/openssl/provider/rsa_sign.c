/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA signatures: what sign.c leaves to each kind. Offloaded: PKCS#1 v1.5 and PSS with every
 * digest, and bare PKCS#1 v1.5 or unpadded input.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "openssl/provider/rsa_key.h"
#include "openssl/provider/sign.h"

/* What the delegate's context says that matters for signing. */
struct settings {
	int padding;
	int salt_len;
	char digest[SIGN_NAME]; /* "" for none */
	char mgf1[SIGN_NAME];
};

static int read_settings(struct sign_ctx *c, struct settings *s)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &s->padding),
		OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &s->salt_len),
		OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, s->digest,
	                                         sizeof(s->digest)),
		OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, s->mgf1,
	                                         sizeof(s->mgf1)),
		OSSL_PARAM_construct_end(),
	};

	memset(s, 0, sizeof(*s));
	s->padding = -1;
	return c->delegate->get_ctx_params(c->inner, params);
}

static bool pad_pss(struct sign_ctx *c, const struct settings *s, RSA *rsa, const EVP_MD *md,
                    const uint8_t *digest, uint8_t *block)
{
	EVP_MD *mgf1 = NULL;
	bool ok;

	if (s->mgf1[0] && !EVP_MD_is_a(md, s->mgf1)) {
		mgf1 = EVP_MD_fetch(c->provider->libctx, s->mgf1, NULL);
		if (!mgf1)
			return false;
	}
	ok = RSA_padding_add_PKCS1_PSS_mgf1(rsa, block, digest, md, mgf1 ? mgf1 : md, s->salt_len);
	EVP_MD_free(mgf1);
	return ok;
}

/*
 * The block that goes into the private operation. false: leave it, and every complaint, to the
 * delegate.
 */
static bool pad(struct sign_ctx *c, RSA *rsa, const uint8_t *tbs, size_t tbslen, uint8_t *block)
{
	int size = RSA_size(rsa);
	struct settings s;
	const EVP_MD *md;
	unsigned int n = 0;
	int nid;

	if (!read_settings(c, &s))
		return false;
	if (!s.digest[0]) {
		if (s.padding != RSA_PKCS1_PADDING && s.padding != RSA_NO_PADDING)
			return false;
		return tbslen <= (size_t)size &&
		       RSA_private_encrypt((int)tbslen, tbs, block, rsa, s.padding) == size;
	}
	md = sign_md(c, s.digest);
	if (!md || tbslen != (size_t)EVP_MD_get_size(md))
		return false;
	nid = EVP_MD_get_type(md);
	if (s.padding == RSA_PKCS1_PSS_PADDING)
		return pad_pss(c, &s, rsa, md, tbs, block);
	/* MDC-2 has an encoding of its own. */
	return s.padding == RSA_PKCS1_PADDING && nid != NID_undef && nid != NID_mdc2 &&
	       RSA_sign(nid, tbs, (unsigned int)tbslen, block, &n, rsa) && n == (unsigned int)size;
}

static bool pad_quietly(struct sign_ctx *c, RSA *rsa, const uint8_t *tbs, size_t tbslen,
                        uint8_t *block)
{
	bool ok;

	/* What fails here fails again in the delegate, which says why. */
	ERR_set_mark();
	ok = pad(c, rsa, tbs, tbslen, block);
	if (ok)
		ERR_clear_last_mark();
	else
		ERR_pop_to_mark();
	return ok;
}

static int rsa_sign(struct sign_ctx *c, uint8_t *sig, size_t *siglen, size_t sigsize,
                    const uint8_t *tbs, size_t tbslen)
{
	RSA *rsa = rsa_key_object(c->key);
	uint8_t block[RSA_KEY_MAX_BYTES];
	enum policy_choice choice;

	if (!rsa || sigsize < rsa_key_size(c->key) || !pad_quietly(c, rsa, tbs, tbslen, block))
		return -1;
	choice = policy_private(&c->provider->policy, POLICY_RSA);
	if (choice == POLICY_SOFTWARE)
		return -1;
	if (choice == POLICY_FAIL || rsa_key_private(c->key, block, sig, VCE_CLASS_RSA_SIGN))
		return c->provider->policy.fallback ? -1 : 0;
	*siglen = rsa_key_size(c->key);
	return 1;
}

const struct sign_class rsa_sign_class = {.sign = rsa_sign};
