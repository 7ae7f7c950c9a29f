/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-CBC with HMAC in one pass, as TLS up to 1.2 has it without encrypt-then-MAC: authenticate
 * what is sent and its header, append the MAC and padding, encipher all of it.
 *
 * Only encryption is offloaded: what libssl decrypts must be checked in constant time, padding and
 * MAC as one, and that is the delegate's business. So is its multi-block interface, for which it
 * has code that does several records side by side.
 *
 * A record ("tlsaad" was set): [explicit IV] data MAC padding. A device authenticates one range and
 * enciphers one, and the MAC does not come to lie in what is enciphered. So it gets the header and
 * the data, and enciphers the data's whole blocks; the delegate enciphers the explicit IV before
 * that, and the end of the data, MAC and padding after it.
 *
 * Anything else is a message that is only enciphered: OpenSSL authenticates it too, and gives the
 * MAC to nobody. The device is asked for the same work, so that who compares the two (openssl
 * speed) compares like with like.
 */
#include "openssl/provider/cipher_stitched.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

#define TLS_1_1 0x302
/* Parameters that may come together; the multi-block ones do. */
#define MAX_PARAMS 16

/* ----------------------------------------------------------------------------- life, settings */

void *stitched_new(void *provctx, enum cipher_id id)
{
	struct stitched_ctx *c = OPENSSL_zalloc(sizeof(*c));

	if (c && !cipher_open(&c->base, provctx, id)) {
		stitched_freectx(c);
		return NULL;
	}
	if (c)
		c->mac_size = cipher_session(&c->base).mac == VCRYPTO_MAC_HMAC_SHA1 ? 20 : 32;
	return c;
}

void stitched_freectx(void *vctx)
{
	struct stitched_ctx *c = vctx;

	if (!c)
		return;
	cipher_close(&c->base);
	stitched_flights_free(c);
	OPENSSL_clear_free(c, sizeof(*c));
}

void *stitched_dupctx(void *vctx)
{
	const struct stitched_ctx *c = vctx;
	struct stitched_ctx *copy = OPENSSL_memdup(c, sizeof(*c));

	if (copy)
		copy->flights = NULL;
	if (copy && !cipher_copy(&copy->base, &c->base)) {
		stitched_freectx(copy);
		return NULL;
	}
	return copy;
}

int stitched_init(void *vctx, bool encrypt, const uint8_t *key, size_t key_size, const uint8_t *iv,
                  size_t iv_size, const OSSL_PARAM params[])
{
	struct stitched_ctx *c = vctx;

	if (!chain_init(&c->base, encrypt, key, key_size, iv, iv_size, true))
		return 0;
	if (key) {
		/* The delegate forgets the other one then. */
		c->mac_key_set = false;
		c->tls_pending = false;
	}
	return stitched_set_ctx_params(c, params);
}

size_t stitched_payload(const struct stitched_ctx *c)
{
	return (size_t)(c->tls_aad[STITCHED_AAD - 2] << 8 | c->tls_aad[STITCHED_AAD - 1]);
}

size_t stitched_explicit_iv(const struct stitched_ctx *c)
{
	return (c->tls_aad[STITCHED_AAD - 4] << 8 | c->tls_aad[STITCHED_AAD - 3]) >= TLS_1_1
	               ? AES_BLOCK
	               : 0;
}

/* Bytes of a record with so much data and IV. */
static size_t tls_record(const struct stitched_ctx *c, size_t payload)
{
	return (payload + c->mac_size + AES_BLOCK) & ~(AES_BLOCK - 1);
}

int stitched_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
	struct stitched_ctx *c = vctx;
	OSSL_PARAM *p;

	if (!chain_to_delegate(&c->base) ||
	    !c->base.delegate->get_ctx_params(c->base.inner, params))
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_IV);
	if (p && !chain_get_iv(&c->base, p))
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD);
	if (p && c->tls_used && c->base.encrypt)
		return OSSL_PARAM_set_size_t(p, tls_record(c, stitched_payload(c)) -
		                                        stitched_payload(c));
	return 1;
}

static int set_tls_aad(struct stitched_ctx *c, const OSSL_PARAM *p)
{
	if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != STITCHED_AAD) {
		ERR_raise(ERR_LIB_PROV, PROV_R_INVALID_AAD);
		return 0;
	}
	memcpy(c->tls_aad, p->data, STITCHED_AAD);
	c->tls_pending = c->tls_used = stitched_payload(c) >= stitched_explicit_iv(c);
	return c->tls_pending;
}

static void note_mac_key(struct stitched_ctx *c, const OSSL_PARAM *p)
{
	cipher_forget_key(&c->base);
	c->mac_key_set = p->data && p->data_size <= STITCHED_MAX_MAC_KEY;
	c->mac_key_size = c->mac_key_set ? (uint8_t)p->data_size : 0;
	if (c->mac_key_size)
		memcpy(c->mac_key, p->data, c->mac_key_size);
}

int stitched_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
	struct stitched_ctx *c = vctx;
	OSSL_PARAM theirs[MAX_PARAMS];
	const OSSL_PARAM *aad = NULL, *mac_key;
	unsigned int n = 0;

	/* Some are looked for by others, so all go together. */
	for (const OSSL_PARAM *p = params; p && p->key; p++) {
		/* The delegate gets it if it gets the record. */
		if (c->base.encrypt && !strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD))
			aad = p;
		else if (n < MAX_PARAMS - 1)
			theirs[n++] = *p;
		else
			return 0;
	}
	theirs[n] = OSSL_PARAM_construct_end();
	if (n && !c->base.delegate->set_ctx_params(c->base.inner, theirs))
		return 0;
	mac_key = OSSL_PARAM_locate_const(theirs, OSSL_CIPHER_PARAM_AEAD_MAC_KEY);
	if (mac_key)
		note_mac_key(c, mac_key);
	return !aad || set_tls_aad(c, aad);
}

/* ---------------------------------------------------------------------------------- offloading */

struct core_key *stitched_key(struct stitched_ctx *c)
{
	static const uint8_t none[STITCHED_MAX_MAC];
	struct vcrypto_session_params params;

	if (c->base.key)
		return c->base.key;
	params = cipher_session(&c->base);
	/* None, or one that makes no difference. */
	params.auth_key = c->mac_key_size ? c->mac_key : none;
	params.auth_key_len = c->mac_key_size ? c->mac_key_size : c->mac_size;
	if (core_key_new(&params, &c->base.key))
		c->base.key = NULL;
	return c->base.key;
}

void stitched_fill(struct stitched_ctx *c, struct core_op *op, uint8_t *out, const uint8_t *in,
                   size_t size, size_t length, const uint8_t *aad, uint8_t mac[STITCHED_MAX_MAC])
{
	chain_fill(&c->base, op, out, in, length, c->base.chain);
	op->cipher_len = (uint32_t)size;
	op->aad = aad;
	op->aad_len = aad ? STITCHED_AAD : 0;
	op->tag = mac;
	op->tag_len = c->mac_size;
}

static int run(struct stitched_ctx *c, uint8_t *out, const uint8_t *in, size_t size, size_t length,
               const uint8_t *aad, uint8_t mac[STITCHED_MAX_MAC])
{
	struct core_op op;

	stitched_fill(c, &op, out, in, size, length, aad, mac);
	return core_run(&op, 1);
}

/* A message that is only enciphered: piece by piece, the rest in software after a failure. */
static int offload_message(struct stitched_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	size_t done = 0, piece = chain_piece(STITCHED_MAX_MAC);
	uint8_t unused[STITCHED_MAX_MAC];

	if (!stitched_key(c))
		return chain_software(&c->base, out, in, size);
	if (!chain_to_us(&c->base))
		return 0;
	while (done < size) {
		size_t n = size - done < piece ? size - done : piece;

		if (run(c, out + done, in + done, n, n, NULL, unused))
			break;
		done += n;
		memcpy(c->base.chain, out + done - AES_BLOCK, AES_BLOCK);
		c->base.holder = CHAIN_OURS;
	}
	if (done < size && !c->base.provider->policy.fallback)
		return 0;
	return chain_software(&c->base, out + done, in + done, size - done);
}

int stitched_software_record(struct stitched_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	const OSSL_PARAM aad = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD,
	                                                         c->tls_aad, STITCHED_AAD);
	uint8_t given[STITCHED_AAD];
	int ok;

	/* It writes the length that is authenticated into what it is given. */
	memcpy(given, c->tls_aad, STITCHED_AAD);
	ok = chain_to_delegate(&c->base) && cipher_inner_set(&c->base, &aad);
	memcpy(c->tls_aad, given, STITCHED_AAD);
	c->base.holder = CHAIN_DELEGATE;
	return ok && cipher_inner_update(&c->base, out, in, size);
}

int stitched_finish_record(struct stitched_ctx *c, uint8_t *out, const uint8_t *rest, size_t n,
                           size_t size, const uint8_t mac[STITCHED_MAX_MAC])
{
	uint8_t end[AES_BLOCK + STITCHED_MAX_MAC + AES_BLOCK];
	size_t padding = size - n - c->mac_size;
	int ok;

	memcpy(end, rest, n);
	memcpy(end + n, mac, c->mac_size);
	memset(end + size - padding, (int)padding - 1, padding);
	ok = chain_software(&c->base, out, end, size);
	OPENSSL_cleanse(end, sizeof(end));
	return ok;
}

void stitched_header(const struct stitched_ctx *c, size_t length, uint8_t aad[STITCHED_AAD])
{
	memcpy(aad, c->tls_aad, STITCHED_AAD);
	aad[STITCHED_AAD - 2] = (uint8_t)(length >> 8);
	aad[STITCHED_AAD - 1] = (uint8_t)length;
}

/* 1 done, 0 failed, -1 not done: nothing has been written, and the chaining value is the old one.
 */
static int offload_record(struct stitched_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	size_t skip = stitched_explicit_iv(c), length = stitched_payload(c) - skip;
	size_t whole = length & ~(AES_BLOCK - 1);
	uint8_t aad[STITCHED_AAD], mac[STITCHED_MAX_MAC], before[AES_BLOCK], first[AES_BLOCK];
	int ok;

	if (!chain_to_us(&c->base))
		return 0;
	memcpy(before, c->base.chain, AES_BLOCK);
	if (skip) {
		if (!chain_software(&c->base, first, in, skip))
			return 0;
		memcpy(c->base.chain, first, AES_BLOCK);
		c->base.holder = CHAIN_SAME;
	}
	stitched_header(c, length, aad);
	if (run(c, out + skip, in + skip, whole, length, aad, mac)) {
		memcpy(c->base.chain, before, AES_BLOCK);
		c->base.holder = CHAIN_OURS;
		return -1;
	}
	memcpy(out, first, skip);
	memcpy(c->base.chain, out + skip + whole - AES_BLOCK, AES_BLOCK);
	c->base.holder = CHAIN_OURS;
	ok = stitched_finish_record(c, out + skip + whole, in + skip + whole, length - whole,
	                            size - skip - whole, mac);
	OPENSSL_cleanse(mac, sizeof(mac));
	return ok;
}

bool stitched_record_fits(const struct stitched_ctx *c, size_t size)
{
	size_t payload = stitched_payload(c), max = core_max_size();

	return c->mac_key_set && size == tls_record(c, payload) &&
	       payload >= stitched_explicit_iv(c) + AES_BLOCK &&
	       (!max || size + AES_BLOCK + STITCHED_MAX_MAC <= max);
}

static enum policy_choice choose(const struct stitched_ctx *c, size_t size)
{
	if (!c->base.encrypt || size % AES_BLOCK)
		return POLICY_SOFTWARE;
	return policy_cipher(&c->base.provider->policy, POLICY_CBC_HMAC, size);
}

static int encrypt_record(struct stitched_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	int done;

	c->tls_pending = false;
	switch (stitched_record_fits(c, size) ? choose(c, size) : POLICY_SOFTWARE) {
	case POLICY_FAIL:
		return 0;
	case POLICY_OFFLOAD:
		done = stitched_key(c) ? offload_record(c, out, in, size) : -1;
		if (done >= 0)
			return done;
		if (!c->base.provider->policy.fallback)
			return 0;
		break;
	case POLICY_SOFTWARE:
		break;
	}
	return stitched_software_record(c, out, in, size);
}

static int encrypt_message(struct stitched_ctx *c, uint8_t *out, const uint8_t *in, size_t size)
{
	switch (choose(c, size)) {
	case POLICY_FAIL:
		return 0;
	case POLICY_OFFLOAD:
		return offload_message(c, out, in, size);
	case POLICY_SOFTWARE:
		break;
	}
	return chain_software(&c->base, out, in, size);
}

/* --------------------------------------------------------------------------------------- stream */

int stitched_update(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
                    const unsigned char *in, size_t inl)
{
	struct stitched_ctx *c = vctx;
	int ok;

	if (!c->base.key_set)
		return cipher_no_key();
	if (!inl) {
		*outl = 0;
		return 1;
	}
	if (outsize < inl)
		return cipher_too_small();
	if (!c->base.encrypt) {
		/* It takes away padding and MAC. */
		c->base.holder = CHAIN_DELEGATE;
		return c->base.delegate->update(c->base.inner, out, outl, outsize, in, inl);
	}
	ok = c->tls_pending ? encrypt_record(c, out, in, inl) : encrypt_message(c, out, in, inl);
	*outl = ok ? inl : 0;
	return ok ? 1 : cipher_failed();
}

int stitched_final(void *vctx, unsigned char *out, size_t *outl, size_t outsize)
{
	struct stitched_ctx *c = vctx;

	return c->base.delegate->final(c->base.inner, out, outl, outsize);
}

/* EVP_Cipher(). */
int stitched_cipher(void *vctx, unsigned char *out, size_t *outl, size_t outsize,
                    const unsigned char *in, size_t inl)
{
	return stitched_update(vctx, out, outl, outsize, in, inl);
}
