/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk: what the device makes of each kind of session, against libcrypto.
 *
 * Main thread, once for each resource, through the resource's own functions. Drivers offer what
 * they do not do right: an algorithm in parallel (ipsec-mb 2.0.0, 3DES with AVX-512), a combination
 * of two, data in pieces. So of each kind some requests with keys of their own run together, in
 * place and not, and what does not come out as libcrypto's is not used: it goes to another
 * resource. A wrong tag must be found wrong.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <rte_malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "host/resource/dpdk.h"

/* One more than multi-buffer libraries have lanes. */
#define TRIES 17u
#define LARGE_TRIES 2u
#define LARGE_LENGTH (DPDK_PIECE * 2 + 4800)
#define ARENA ((size_t)LARGE_TRIES * 3 * (LARGE_LENGTH + 64))
#define ANSWER_NS UINT64_C(5000000000)
#define RSA_BITS 1024
/* Lines of the log for what comes out wrong. */
#define COMPLAINTS 8u

struct
try {
	struct vc_request req; /* to the device */
	struct vc_request reference;
	struct session_params params;
	uint8_t key[64], auth_key[64], aad[16];
	uint8_t *source, *dst, *expected;
	uint8_t expected_tag[REQUEST_MAX_TAG], status;
	void *handle;
};

struct check {
	struct dpdk_instance *in;
	const struct resource_ops *ops; /* libcrypto's */
	struct resource *resource;
	struct resource_instance *instance;
	struct try *tries;
	uint8_t *arena; /* the device's memory */
	unsigned int wrong;
	int error;
};

/* ---- requests ---- */

static bool by_blocks(const struct session_params *params)
{
	return params->service == VIRTIO_CRYPTO_SERVICE_CIPHER &&
	       params->cipher != VIRTIO_CRYPTO_CIPHER_AES_CTR;
}

static uint8_t request_kind(const struct session_params *params)
{
	switch (params->service) {
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return VC_REQUEST_HASH;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return VC_REQUEST_MAC;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return VC_REQUEST_AEAD;
	default:
		return params->chain ? VC_REQUEST_CHAIN : VC_REQUEST_CIPHER;
	}
}

static uint8_t iv_len_of(const struct session_params *params)
{
	if (params->service == VIRTIO_CRYPTO_SERVICE_AEAD)
		return 12;
	return params->service == VIRTIO_CRYPTO_SERVICE_CIPHER
	               ? (uint8_t)algorithm_cipher_iv(params->cipher)
	               : 0;
}

static void request_fill(const struct check *c, struct try *t, unsigned int n)
{
	const struct session_params *params = &t->params;
	struct vc_request *req = &t->req;

	memset(req, 0, sizeof(*req));
	req->kind = request_kind(params);
	req->encrypt = params->encrypt;
	req->iv_len = iv_len_of(params);
	req->tag_len = params->tag_len;
	req->tag = req->tag_buffer;
	/* A counter that does not wrap. */
	memset(req->iv, 0x20 + (int)n, sizeof(req->iv));
	req->src = t->source;
	req->dst = t->dst;
	if (params->service == VIRTIO_CRYPTO_SERVICE_AEAD) {
		req->aad = t->aad;
		req->aad_len = dpdk_range_has(&c->in->dpdk->caps.aead[params->aead].aad, 13)
		                       ? 13
		                       : c->in->dpdk->caps.aead[params->aead].aad.min;
		req->aad_len = vc_min(req->aad_len, (uint32_t)sizeof(t->aad));
		t->params.aad_len = req->aad_len;
	}
}

static void request_size(struct vc_request *req, const struct session_params *params,
                         uint32_t length, unsigned int n)
{
	req->length = by_blocks(params) ? length & ~15u : length;
	if (!params->chain)
		return;
	req->cipher_offset = 16 * (n % 2);
	req->cipher_len = by_blocks(params) ? (req->length - req->cipher_offset) & ~15u
	                                    : req->length - req->cipher_offset;
	req->hash_offset = 8 * (n % 3);
	req->hash_len = req->length - req->hash_offset;
}

/* ---- libcrypto's answer ---- */

static bool reference_run(const struct check *c, struct try *t)
{
	struct vc_request *req = &t->reference, *back;
	struct session_params params = t->params;
	void *handle = NULL;
	uint64_t end = clock_now_ns() + ANSWER_NS;
	unsigned int got = 0;

	/* What AEAD is to open must have been sealed. */
	if (params.service == VIRTIO_CRYPTO_SERVICE_AEAD)
		params.encrypt = 1;
	*req = t->req;
	req->encrypt = params.encrypt;
	req->dst = t->expected;
	req->tag = req->tag_buffer;
	req->status = VIRTIO_CRYPTO_ERR;
	if (c->ops->realise(c->instance, &params, &handle) < 0)
		return false;
	req->handle = handle;
	back = req;
	if (c->ops->submit(c->instance, &back, 1) == 1)
		while (!got && clock_now_ns() < end)
			got = c->ops->poll(c->instance, &back, 1, true);
	/* One that never came back keeps its session. */
	if (got)
		c->ops->drop(c->instance, handle);
	return got && req->status == VIRTIO_CRYPTO_OK;
}

static void expect(struct try *t, bool spoil)
{
	uint8_t *sealed = t->expected;

	t->status = VIRTIO_CRYPTO_OK;
	memcpy(t->expected_tag, t->reference.tag, sizeof(t->expected_tag));
	if (t->req.kind != VC_REQUEST_AEAD || t->req.encrypt)
		return;
	t->expected = t->source;
	t->source = sealed;
	t->req.src = sealed;
	memcpy(t->req.tag, t->expected_tag, t->req.tag_len);
	if (spoil) {
		t->req.tag[0] ^= 1;
		t->status = VIRTIO_CRYPTO_BADMSG;
	}
}

/* ---- the device's ---- */

static bool submit_all(struct check *c, unsigned int n)
{
	struct resource_instance *instance = &c->in->base;
	uint64_t end = clock_now_ns() + ANSWER_NS;
	struct vc_request *reqs[TRIES], *back[TRIES];
	unsigned int sent = 0, got = 0;

	for (unsigned int i = 0; i < n; i++)
		reqs[i] = &c->tries[i].req;
	while (got < n && clock_now_ns() < end) {
		if (sent < n)
			sent += dpdk_submit(instance, reqs + sent, n - sent);
		got += dpdk_poll(instance, back, TRIES, sent == n);
	}
	if (got < n)
		c->error = -ETIMEDOUT;
	return got == n;
}

static bool came_out(const struct try *t)
{
	const struct vc_request *req = &t->req;
	bool data = req->kind != VC_REQUEST_HASH && req->kind != VC_REQUEST_MAC;

	if (req->status != t->status)
		return false;
	if (t->status != VIRTIO_CRYPTO_OK)
		return true;
	if (data && memcmp(req->dst, t->expected, req->length) != 0)
		return false;
	return !req->tag_len || memcmp(req->tag, t->expected_tag, req->tag_len) == 0;
}

/* ---- kinds ---- */

enum outcome { RIGHT, WRONG, REFUSED };

static bool try_make(struct check *c, struct try *t, unsigned int n, unsigned int of,
                     uint32_t length)
{
	size_t room = ARENA / of / 3 & ~(size_t)63;
	uint8_t *at = c->arena + (size_t)n * 3 * room;

	t->source = at;
	t->dst = at + room;
	t->expected = at + 2 * room;
	for (uint32_t i = 0; i < length; i++)
		at[i] = (uint8_t)(i * 7 + n * 29 + (i >> 8));
	for (unsigned int i = 0; i < sizeof(t->key); i++)
		t->key[i] = (uint8_t)(i * 11 + n * 17 + 1);
	memcpy(t->auth_key, t->key, sizeof(t->auth_key));
	memset(t->aad, 0x60 + (int)n, sizeof(t->aad));
	t->params.key = t->key;
	t->params.auth_key = t->auth_key;
	request_fill(c, t, n);
	request_size(&t->req, &t->params, length, n);
	if (!reference_run(c, t)) {
		c->error = -EIO;
		return false;
	}
	expect(t, n == of - 1 && of == TRIES);
	/* Every other one in place. */
	if (n % 2) {
		memcpy(t->dst, t->source, t->req.length);
		t->req.src = t->dst;
	}
	return true;
}

static enum outcome kind_run(struct check *c, const struct session_params *params, unsigned int of,
                             uint32_t length)
{
	enum outcome outcome = RIGHT;
	unsigned int n = 0;

	for (; n < of && outcome == RIGHT; n++) {
		struct try *t = &c->tries[n];
		int err;

		t->params = *params;
		t->handle = NULL;
		/* No two have the same length. */
		if (!try_make(c, t, n, of, length + (of == TRIES ? n * 9 : n * 16))) {
			outcome = WRONG;
			break;
		}
		err = dpdk_realise(&c->in->base, &t->params, &t->handle);
		if (err) {
			c->error = err == -ENOMEM ? err : c->error;
			outcome = REFUSED;
		}
		t->req.handle = t->handle;
	}
	if (outcome == RIGHT && !submit_all(c, of))
		return WRONG;
	for (unsigned int i = 0; i < of && outcome == RIGHT; i++)
		outcome = came_out(&c->tries[i]) ? RIGHT : WRONG;
	for (unsigned int i = 0; i < n; i++)
		if (c->tries[i].handle)
			dpdk_drop(&c->in->base, c->tries[i].handle);
	return outcome;
}

static void complain(struct check *c, const struct session_params *params)
{
	const struct dpdk_resource *dpdk = c->in->dpdk;
	char name[64];

	if (++c->wrong <= COMPLAINTS)
		dpdk_log(LOG_LEVEL_WARNING,
		         "resource %s: %s gets %s wrong: left to other resources", dpdk->base.name,
		         dpdk->device, session_params_name(params, name, sizeof(name)));
}

static void kind_check(struct check *c, unsigned int kind)
{
	struct dpdk_resource *dpdk = c->in->dpdk;
	struct session_params params;
	enum outcome outcome;

	if (!dpdk_kind_params(kind, &params) || !dpdk_caps_can(&dpdk->caps, &params))
		return;
	dpdk_bit_set(dpdk->works, kind, true);
	outcome = kind_run(c, &params, TRIES, 48);
	/* Many do only what protocols do: a hash that is checked goes before decryption. */
	if (outcome != RIGHT && !c->error && params.chain) {
		dpdk_bit_set(dpdk->split, kind, true);
		outcome = kind_run(c, &params, TRIES, 48);
	}
	dpdk_bit_set(dpdk->works, kind, outcome == RIGHT);
	if (outcome == WRONG && !c->error)
		complain(c, &params);
	/* Pieces: what is chained, or counts in 16 bits, is left as it is. */
	if (outcome != RIGHT || kind >= DPDK_KIND_CHAIN || !dpdk->caps.pieces || dpdk->multi_buffer)
		return;
	dpdk_bit_set(dpdk->large, kind, true);
	outcome = kind_run(c, &params, LARGE_TRIES, LARGE_LENGTH - 64);
	dpdk_bit_set(dpdk->large, kind, outcome == RIGHT);
}

/* ---- RSA ---- */

static bool rsa_run(struct check *c, const struct session_params *params, uint8_t kind)
{
	struct try *t = &c->tries[0];
	bool right;

	memset(&t->req, 0, sizeof(t->req));
	t->params = *params;
	t->source = c->arena;
	t->dst = c->arena + DPDK_RSA_MAX_BYTES;
	t->expected = t->dst + DPDK_RSA_MAX_BYTES;
	/* Below any modulus of so many bits. */
	for (unsigned int i = 0; i < RSA_BITS / 8; i++)
		t->source[i] = (uint8_t)(i * 13);
	t->req.kind = kind;
	t->req.tag = t->req.tag_buffer;
	t->req.src = t->source;
	t->req.dst = t->dst;
	t->req.length = t->req.dst_len = RSA_BITS / 8;
	if (!reference_run(c, t)) {
		c->error = -EIO;
		return false;
	}
	if (dpdk_realise(&c->in->base, &t->params, &t->handle) < 0)
		return false;
	t->req.handle = t->handle;
	right = submit_all(c, 1);
	if (!right)
		return false;
	dpdk_drop(&c->in->base, t->handle);
	return t->req.status == VIRTIO_CRYPTO_OK && t->req.result_len == RSA_BITS / 8 &&
	       memcmp(t->dst, t->expected, RSA_BITS / 8) == 0;
}

static void rsa_check(struct check *c)
{
	struct dpdk_resource *dpdk = c->in->dpdk;
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                .rsa_padding = VIRTIO_CRYPTO_RSA_RAW_PADDING,
	                                .private_key = 1,
	                                .key_bits = RSA_BITS};
	EVP_PKEY *key = EVP_RSA_gen(RSA_BITS);
	uint8_t *der = NULL;
	int length = key ? i2d_PrivateKey(key, &der) : -1;
	bool right = false;

	if (length > 0) {
		params.key = der;
		params.key_len = (uint32_t)length;
		/* In five numbers it is three times as fast; some driver only says that it can. */
		right = rsa_run(c, &params, VC_REQUEST_AK_DECRYPT);
		if (!right && !c->error && dpdk->crt && dpdk->caps.rsa_exponent) {
			dpdk->crt = false;
			right = rsa_run(c, &params, VC_REQUEST_AK_DECRYPT);
		}
		right = right && rsa_run(c, &params, VC_REQUEST_AK_ENCRYPT);
	}
	if (!right)
		dpdk->caps.rsa = false;
	if (!right && !c->error)
		complain(c, &params);
	OPENSSL_clear_free(der, length > 0 ? (size_t)length : 0);
	EVP_PKEY_free(key);
}

/* ---- all of it ---- */

static int begin(struct check *c, struct dpdk_resource *dpdk)
{
	const struct resource_config config = {.name = "reference", .type = "libcrypto"};
	struct resource_instance *instance;
	char *error = NULL;
	int err = dpdk_open(&dpdk->base, 0, &instance);

	if (err)
		return err;
	c->in = (struct dpdk_instance *)instance;
	err = c->ops->create(&config, &c->resource, &error);
	free(error);
	if (err)
		return err;
	c->resource->ops = c->ops;
	err = c->ops->open(c->resource, 0, &c->instance);
	if (err)
		return err;
	c->tries = aligned_alloc(VC_CACHE_LINE, vc_round_up(TRIES * sizeof(*c->tries), 64));
	c->arena = rte_zmalloc("vc_check", ARENA + 64, VC_CACHE_LINE);
	return c->tries && c->arena ? 0 : -ENOMEM;
}

static void end(struct check *c)
{
	/* What never came back may still be written to. */
	if (c->in && !c->in->base.in_flight) {
		dpdk_close(&c->in->base);
		rte_free(c->arena);
	}
	if (c->instance)
		c->ops->close(c->instance);
	if (c->resource)
		c->ops->destroy(c->resource);
	free(c->tries);
}

int dpdk_check(struct dpdk_resource *dpdk, const struct resource_ops *reference)
{
	struct check check = {.ops = reference};
	int err = begin(&check, dpdk);

	/* Drivers say in many words what they refuse. */
	dpdk_eal_quiet(true);
	for (unsigned int kind = 0; kind < DPDK_KINDS && !err && !check.error; kind++)
		kind_check(&check, kind);
	if (dpdk->caps.rsa && !err && !check.error)
		rsa_check(&check);
	dpdk_eal_quiet(false);
	if (check.wrong > COMPLAINTS)
		dpdk_log(LOG_LEVEL_WARNING, "resource %s: %s gets %u more kinds of session wrong",
		         dpdk->base.name, dpdk->device, check.wrong - COMPLAINTS);
	end(&check);
	return err ? err : check.error;
}
