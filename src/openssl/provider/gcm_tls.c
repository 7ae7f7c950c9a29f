/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM records of TLS 1.2, as libssl asks for them: the fixed part of the IV once
 * ("tlsivfixed"), then for each record the additional data ("tlsaad"), and one update over explicit
 * IV, data and tag, in place. The counter behind the explicit IVs is the delegate's, so that a
 * record that is done in software goes on from one that was not.
 */
#include "openssl/provider/cipher_gcm.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

/* Bytes of data in the record that the additional data announces; -1 if there is no such record. */
static int data_size(const struct gcm_ctx *c)
{
	int size = c->tls_aad[TLS_AAD - 2] << 8 | c->tls_aad[TLS_AAD - 1];

	size -= TLS_EXPLICIT_IV;
	if (!c->base.encrypt)
		size -= GCM_TAG;
	return size < 0 ? -1 : size;
}

int gcm_tls_set_aad(struct gcm_ctx *c, const OSSL_PARAM *p)
{
	if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != TLS_AAD) {
		ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_AAD);
		return 0;
	}
	memcpy(c->tls_aad, p->data, TLS_AAD);
	if (data_size(c) < 0) {
		ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_AAD);
		return 0;
	}
	c->tls_pending = true;
	c->tls_used = true;
	return 1;
}

/* The delegate does the record: it gets the additional data only now. */
static int software(struct gcm_ctx *c, uint8_t *out, size_t *outl, size_t outsize,
                    const uint8_t *in, size_t size)
{
	const OSSL_PARAM aad = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD,
	                                                         c->tls_aad, TLS_AAD);

	c->phase = GCM_SOFTWARE;
	return cipher_inner_set(&c->base, &aad) &&
	       c->base.delegate->update(c->base.inner, out, outl, outsize, in, size);
}

/* Put the explicit IV where the record begins (encrypting), or take it from there. */
static int explicit_iv(struct gcm_ctx *c, uint8_t *record)
{
	OSSL_PARAM next = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN,
	                                                    record, TLS_EXPLICIT_IV);

	if (c->base.encrypt && !cipher_inner_get(&c->base, &next))
		return 0;
	memcpy(c->iv + TLS_FIXED_IV, record, TLS_EXPLICIT_IV);
	return 1;
}

/* 0 done; -EBADMSG; other < 0 for software. */
static int offload(struct gcm_ctx *c, uint8_t *record, size_t size)
{
	uint8_t aad[TLS_AAD];
	uint8_t *data = record + TLS_EXPLICIT_IV;
	size_t length = size - TLS_EXPLICIT_IV - GCM_TAG;
	int announced = data_size(c);

	if (!explicit_iv(c, record))
		return -EIO;
	/* What is authenticated has the length of the data alone. */
	memcpy(aad, c->tls_aad, TLS_AAD);
	aad[TLS_AAD - 2] = (uint8_t)(announced >> 8);
	aad[TLS_AAD - 1] = (uint8_t)announced;
	return gcm_run(c, data, data, length, aad, TLS_AAD, data + length);
}

static enum policy_choice choose(const struct gcm_ctx *c, size_t size)
{
	size_t length = size - TLS_EXPLICIT_IV - GCM_TAG;
	size_t max = core_max_size();

	if (!c->tls_iv || (max && length + TLS_AAD + GCM_TAG > max))
		return POLICY_SOFTWARE;
	return policy_cipher(&c->base.provider->policy, POLICY_GCM, length);
}

int gcm_tls_record(struct gcm_ctx *c, uint8_t *out, size_t *outl, size_t outsize, const uint8_t *in,
                   size_t size)
{
	int rc;

	c->tls_pending = false;
	if (!c->base.key_set || out != in || size < TLS_EXPLICIT_IV + GCM_TAG)
		return software(c, out, outl, outsize, in, size);
	switch (choose(c, size)) {
	case POLICY_SOFTWARE:
		return software(c, out, outl, outsize, in, size);
	case POLICY_FAIL:
		return 0;
	case POLICY_OFFLOAD:
		break;
	}
	rc = offload(c, out, size);
	if (rc == -EBADMSG) {
		OPENSSL_cleanse(out + TLS_EXPLICIT_IV, size - TLS_EXPLICIT_IV - GCM_TAG);
		c->phase = GCM_DONE;
		return 0;
	}
	if (rc)
		return c->base.provider->policy.fallback ? software(c, out, outl, outsize, in, size)
		                                         : 0;
	c->phase = GCM_DONE;
	*outl = c->base.encrypt ? size : size - TLS_EXPLICIT_IV - GCM_TAG;
	return 1;
}
