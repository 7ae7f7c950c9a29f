/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AEAD records of TLS 1.2, as libssl asks for them: for each record the additional data ("tlsaad"),
 * and one update over explicit IV, data and tag, in place. See cipher_aead.h.
 */
#include "openssl/provider/cipher_aead.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

/* Bytes of data in the record that the additional data announces; -1 if there is no such record. */
static int data_size(const struct aead_ctx *c)
{
	int size = c->tls_aad[TLS_AAD - 2] << 8 | c->tls_aad[TLS_AAD - 1];

	size -= c->mode->tls_lead;
	if (!c->base.encrypt)
		size -= c->base.tag_len;
	return size < 0 ? -1 : size;
}

int aead_tls_set_aad(struct aead_ctx *c, const OSSL_PARAM *p)
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

int aead_tls_to_software(struct aead_ctx *c)
{
	const OSSL_PARAM aad = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD,
	                                                         c->tls_aad, TLS_AAD);

	c->tls_pending = false;
	c->phase = AEAD_SOFTWARE;
	return cipher_inner_set(&c->base, &aad);
}

/* The delegate does the record: it gets the additional data only now. */
static int software(struct aead_ctx *c, uint8_t *out, size_t *outl, size_t outsize,
                    const uint8_t *in, size_t size)
{
	return aead_tls_to_software(c) &&
	       c->base.delegate->update(c->base.inner, out, outl, outsize, in, size);
}

/* Of the data in a record of so many bytes; what is announced must be there. */
static bool fits(const struct aead_ctx *c, const uint8_t *out, const uint8_t *in, size_t size,
                 size_t *length)
{
	size_t around = c->mode->tls_lead + c->base.tag_len, max = core_max_size();

	if (!c->base.key_set || !c->tls_iv || out != in || size < around)
		return false;
	*length = size - around;
	return data_size(c) == (int)*length && (!max || *length + TLS_AAD + c->base.tag_len <= max);
}

/* 0 done; -EBADMSG; other < 0 for software. */
static int offload(struct aead_ctx *c, uint8_t *record, size_t length)
{
	uint8_t aad[TLS_AAD];
	uint8_t *data = record + c->mode->tls_lead;

	if (!c->mode->tls_iv(c, record))
		return -EIO;
	/* What is authenticated has the length of the data alone. */
	memcpy(aad, c->tls_aad, TLS_AAD);
	aad[TLS_AAD - 2] = (uint8_t)(length >> 8);
	aad[TLS_AAD - 1] = (uint8_t)length;
	return aead_run(c, data, data, length, aad, TLS_AAD, data + length);
}

int aead_tls_record(struct aead_ctx *c, uint8_t *out, size_t *outl, size_t outsize,
                    const uint8_t *in, size_t size)
{
	const struct policy *policy = &c->base.provider->policy;
	size_t length = 0;
	int rc;

	c->tls_pending = false;
	if (!fits(c, out, in, size, &length))
		return software(c, out, outl, outsize, in, size);
	switch (policy_cipher(policy, c->mode->work, length)) {
	case POLICY_SOFTWARE:
		return software(c, out, outl, outsize, in, size);
	case POLICY_FAIL:
		return 0;
	case POLICY_OFFLOAD:
		break;
	}
	rc = offload(c, out, length);
	if (rc && rc != -EBADMSG && policy->fallback)
		return software(c, out, outl, outsize, in, size);
	if (rc == -EBADMSG)
		OPENSSL_cleanse(out + c->mode->tls_lead, length);
	if (!rc || rc == -EBADMSG)
		c->phase = AEAD_DONE;
	if (!rc)
		*outl = c->base.encrypt ? size : length;
	return !rc;
}
