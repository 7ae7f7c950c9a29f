/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See resource_fixture.h. The reference is OpenSSL's EVP and HMAC in their simplest use,
 * independent of the resource code.
 */
#include "resource_fixture.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define GUARD 64
#define GUARD_BYTE 0x5c

static void open_as(struct fixture *f, const struct resource_config *config)
{
	char *error = NULL;

	if (resource_create(config, &f->resource, &error) < 0)
		fail_msg("%s", error);
	assert_string_equal(f->resource->name, config->name);
	assert_int_equal(f->resource->ops->open(f->resource, 0, &f->instance), 0);
}

void fixture_open(struct fixture *f, const char *type, unsigned int threads)
{
	open_as(f, &(struct resource_config){.name = type, .type = type, .threads = threads});
}

void fixture_open_vdev(struct fixture *f, const char *vdev)
{
	open_as(f, &(struct resource_config){.name = "device", .type = "dpdk", .vdev = vdev});
}

void fixture_close(struct fixture *f)
{
	assert_int_equal(f->instance->in_flight, 0);
	f->resource->ops->close(f->instance);
	resource_destroy(f->resource);
}

struct vc_request *requests_new(unsigned int n)
{
	struct vc_request *reqs = aligned_alloc(VC_CACHE_LINE, n * sizeof(*reqs));

	assert_non_null(reqs);
	memset(reqs, 0, n * sizeof(*reqs));
	for (unsigned int i = 0; i < n; i++)
		reqs[i].tag = reqs[i].tag_buffer;
	return reqs;
}

void fixture_run(struct fixture *f, struct vc_request *reqs, unsigned int n, unsigned int burst)
{
	const struct resource_ops *ops = f->resource->ops;
	struct vc_request *ptr[64], *done[16];
	unsigned int sent = 0, back = 0;
	uint64_t deadline = clock_now_ns() + 60000000000ull;

	burst = vc_min(burst, (unsigned int)vc_array_size(ptr));
	while (back < n) {
		unsigned int m = vc_min(burst, n - sent), got;

		for (unsigned int i = 0; i < m; i++)
			ptr[i] = &reqs[sent + i];
		if (m)
			m = ops->submit(f->instance, ptr, m);
		sent += m;
		got = ops->poll(f->instance, done, vc_array_size(done), m == 0);
		for (unsigned int i = 0; i < got; i++)
			assert_true(done[i] >= reqs && done[i] < reqs + n);
		back += got;
		assert_true(clock_now_ns() < deadline);
	}
	assert_int_equal(f->instance->in_flight, 0);
	assert_int_equal(ops->poll(f->instance, done, vc_array_size(done), true), 0);
}

static uint64_t random_state = 0x9e3779b97f4a7c15ull;

uint32_t test_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

void random_fill(void *data, size_t size)
{
	uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)test_random();
}

static EVP_CIPHER *reference_cipher(const struct session_params *p)
{
	static const char *const modes[] = {
		[VIRTIO_CRYPTO_CIPHER_AES_ECB] = "ECB",
		[VIRTIO_CRYPTO_CIPHER_AES_CBC] = "CBC",
		[VIRTIO_CRYPTO_CIPHER_AES_CTR] = "CTR",
		[VIRTIO_CRYPTO_CIPHER_AES_XTS] = "XTS",
	};
	const char *mode;
	char name[32];

	if (p->service == VIRTIO_CRYPTO_SERVICE_AEAD) {
		if (p->aead == VIRTIO_CRYPTO_AEAD_CHACHA20_POLY1305)
			return EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
		mode = p->aead == VIRTIO_CRYPTO_AEAD_CCM ? "CCM" : "GCM";
	} else {
		if (p->cipher == VIRTIO_CRYPTO_CIPHER_3DES_CBC)
			return EVP_CIPHER_fetch(NULL, "DES-EDE3-CBC", NULL);
		mode = modes[p->cipher];
	}
	snprintf(name, sizeof(name), "AES-%u-%s",
	         p->key_len * (p->cipher == VIRTIO_CRYPTO_CIPHER_AES_XTS ? 4 : 8), mode);
	return EVP_CIPHER_fetch(NULL, name, NULL);
}

static const EVP_MD *reference_md(uint8_t number)
{
	switch (number) {
	case VIRTIO_CRYPTO_MAC_HMAC_SHA1:
		return EVP_sha1();
	case VIRTIO_CRYPTO_MAC_HMAC_SHA_224:
		return EVP_sha224();
	case VIRTIO_CRYPTO_MAC_HMAC_SHA_256:
		return EVP_sha256();
	case VIRTIO_CRYPTO_MAC_HMAC_SHA_384:
		return EVP_sha384();
	case VIRTIO_CRYPTO_MAC_HMAC_SHA_512:
		return EVP_sha512();
	case VIRTIO_CRYPTO_HASH_SHA3_224:
		return EVP_sha3_224();
	case VIRTIO_CRYPTO_HASH_SHA3_256:
		return EVP_sha3_256();
	case VIRTIO_CRYPTO_HASH_SHA3_384:
		return EVP_sha3_384();
	case VIRTIO_CRYPTO_HASH_SHA3_512:
		return EVP_sha3_512();
	default:
		fail();
		return NULL;
	}
}

/* Sealing an AEAD message: what a job that opens one starts from, too. */
static void reference_seal(EVP_CIPHER_CTX *c, const struct session_params *p,
                           const struct vc_request *req, const uint8_t *in, uint8_t *out,
                           uint32_t length, uint8_t *tag)
{
	bool ccm = p->aead == VIRTIO_CRYPTO_AEAD_CCM;
	uint8_t none[16];
	int n = 0;

	EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, req->iv_len, NULL);
	if (ccm)
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, req->tag_len, NULL);
	assert_int_equal(EVP_EncryptInit_ex(c, NULL, NULL, p->key, req->iv), 1);
	if (ccm)
		assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, NULL, (int)length), 1);
	if (req->aad_len)
		EVP_EncryptUpdate(c, NULL, &n, req->aad, (int)req->aad_len);
	if (length || ccm)
		assert_int_equal(EVP_EncryptUpdate(c, out, &n, in, (int)length), 1);
	assert_int_equal(EVP_EncryptFinal_ex(c, none, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, req->tag_len, tag), 1);
}

static void reference_crypt(const struct session_params *p, const struct vc_request *req,
                            const uint8_t *in, uint8_t *out, uint32_t length, uint8_t *tag)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	EVP_CIPHER *cipher = reference_cipher(p);
	int n = 0, rest = 0;

	assert_non_null(cipher);
	EVP_CipherInit_ex(c, cipher, NULL, NULL, NULL, p->encrypt);
	if (p->service == VIRTIO_CRYPTO_SERVICE_AEAD) {
		reference_seal(c, p, req, in, out, length, tag);
	} else if (length) {
		EVP_CipherInit_ex(c, NULL, NULL, p->key, req->iv, p->encrypt);
		EVP_CIPHER_CTX_set_padding(c, 0);
		assert_int_equal(EVP_CipherUpdate(c, out, &n, in, (int)length), 1);
		assert_int_equal(EVP_CipherFinal_ex(c, out + n, &rest), 1);
	}
	EVP_CIPHER_free(cipher);
	EVP_CIPHER_CTX_free(c);
}

static void reference_mac(const struct session_params *p, const uint8_t *data, uint32_t length,
                          uint8_t *tag)
{
	char cipher[16];

	if (p->mac == VIRTIO_CRYPTO_MAC_CMAC_AES) {
		snprintf(cipher, sizeof(cipher), "AES-%u-CBC", p->auth_key_len * 8);
		assert_non_null(EVP_Q_mac(NULL, "CMAC", NULL, cipher, NULL, p->auth_key,
		                          p->auth_key_len, data, length, tag, 16, NULL));
		return;
	}
	assert_non_null(HMAC(reference_md(p->mac), p->auth_key, (int)p->auth_key_len, data, length,
	                     tag, NULL));
}

static void reference_chain(struct job *job, struct vc_request *req)
{
	const struct session_params *p = &job->params;
	bool hash_first = p->chain == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER;

	memcpy(job->expected, job->source, job->length);
	reference_crypt(p, req, job->source + req->cipher_offset,
	                job->expected + req->cipher_offset, req->cipher_len, NULL);
	const uint8_t *hashed = (hash_first ? job->source : job->expected) + req->hash_offset;

	if (p->mac)
		reference_mac(p, hashed, req->hash_len, job->expected_tag);
	else
		EVP_Digest(hashed, req->hash_len, job->expected_tag, NULL, reference_md(p->hash),
		           NULL);
}

/* Nothing but whole blocks, and for XTS one at least; nothing at all is always possible. */
static uint32_t cipher_fit(uint8_t cipher, uint32_t length)
{
	switch (cipher) {
	case VIRTIO_CRYPTO_CIPHER_AES_CTR:
		return length;
	case VIRTIO_CRYPTO_CIPHER_AES_XTS:
		return length < 16 ? 0 : length;
	case VIRTIO_CRYPTO_CIPHER_3DES_CBC:
		return length & ~7u;
	default:
		return length & ~15u;
	}
}

static void chain_ranges(struct vc_request *req, uint8_t cipher, uint32_t length)
{
	req->cipher_offset = length > 16 ? test_random() % 16 : 0;
	req->cipher_len = cipher_fit(cipher, length - req->cipher_offset);
	req->hash_offset = length > 16 ? test_random() % 8 : 0;
	req->hash_len = length - req->hash_offset;
}

static void job_params(struct job *job, const struct job_kind *kind)
{
	struct session_params *p = &job->params;

	*p = (struct session_params){
		.service = kind->service,
		.chain = kind->chain,
		.encrypt = kind->encrypt,
		.tag_len = kind->tag_len,
		.mac = kind->mac,
		.key = job->key,
		.key_len = kind->key_len,
		.auth_key = job->auth_key,
		.auth_key_len = kind->mac ? test_random() % sizeof(job->auth_key) : 0,
	};
	if (kind->mac == VIRTIO_CRYPTO_MAC_CMAC_AES)
		p->auth_key_len = kind->chain ? 16 : kind->key_len;
	random_fill(job->key, sizeof(job->key));
	random_fill(job->auth_key, sizeof(job->auth_key));
	if (kind->service == VIRTIO_CRYPTO_SERVICE_AEAD)
		p->aead = kind->algorithm;
	else if (kind->service == VIRTIO_CRYPTO_SERVICE_HASH)
		p->hash = kind->algorithm;
	else if (kind->service == VIRTIO_CRYPTO_SERVICE_CIPHER)
		p->cipher = kind->algorithm;
	if (kind->chain)
		p->hash = kind->hash;
}

bool kind_can(const struct fixture *f, const struct job_kind *kind)
{
	struct job job;

	memset(&job, 0, sizeof(job));
	job_params(&job, kind);
	return f->resource->ops->can(f->resource, &job.params);
}

static void job_expect(struct job *job, struct vc_request *req, const struct job_kind *kind)
{
	uint8_t *decrypted;

	switch (kind->service) {
	case VIRTIO_CRYPTO_SERVICE_HASH:
		EVP_Digest(job->source, job->length, job->expected_tag, NULL,
		           reference_md(kind->algorithm), NULL);
		break;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		reference_mac(&job->params, job->source, job->length, job->expected_tag);
		break;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		/* Encrypt; if the job decrypts, exchange the two. */
		job->params.encrypt = 1;
		reference_crypt(&job->params, req, job->source, job->expected, job->length,
		                job->expected_tag);
		job->params.encrypt = kind->encrypt;
		if (!kind->encrypt) {
			memcpy(req->tag, job->expected_tag, req->tag_len);
			decrypted = job->source;
			job->source = job->expected;
			job->expected = decrypted;
		}
		break;
	default:
		if (kind->chain)
			reference_chain(job, req);
		else
			reference_crypt(&job->params, req, job->source, job->expected, job->length,
			                NULL);
	}
}

static uint8_t request_kind(const struct job_kind *kind)
{
	switch (kind->service) {
	case VIRTIO_CRYPTO_SERVICE_HASH:
		return VC_REQUEST_HASH;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return VC_REQUEST_MAC;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return VC_REQUEST_AEAD;
	default:
		return kind->chain ? VC_REQUEST_CHAIN : VC_REQUEST_CIPHER;
	}
}

void job_make(struct fixture *f, struct job *job, struct vc_request *req,
              const struct job_kind *kind, uint32_t length, bool in_place)
{
	unsigned int shift = test_random() % 32;

	memset(job, 0, sizeof(*job));
	if (kind->service == VIRTIO_CRYPTO_SERVICE_CIPHER && !kind->chain)
		length = cipher_fit(kind->algorithm, length);
	job->length = length;
	job->source = malloc(length + 1);
	job->expected = malloc(length + 17);
	job->buffer = malloc(length + 32 + GUARD);
	job_params(job, kind);
	random_fill(job->source, vc_min(length, 4096u));
	for (uint32_t i = 4096; i < length; i++)
		job->source[i] = job->source[i - 4096] ^ (uint8_t)(i >> 12);
	random_fill(job->aad, sizeof(job->aad));

	req->kind = request_kind(kind);
	req->encrypt = kind->encrypt;
	req->length = length;
	req->iv_len = kind->iv_len;
	req->tag_len = kind->tag_len;
	req->status = 0x77;
	random_fill(req->iv, sizeof(req->iv));
	/* Now and then a counter that is about to wrap. */
	if (kind->service == VIRTIO_CRYPTO_SERVICE_CIPHER &&
	    kind->algorithm == VIRTIO_CRYPTO_CIPHER_AES_CTR && test_random() % 4 == 0)
		memset(req->iv + test_random() % 13, 0xff, 3);
	if (kind->service == VIRTIO_CRYPTO_SERVICE_AEAD) {
		req->aad_len = test_random() % (test_random() % 2 ? 40 : sizeof(job->aad));
		req->aad = req->aad_len ? job->aad : NULL;
	}
	if (kind->chain)
		chain_ranges(req, kind->algorithm, length);
	job_expect(job, req, kind);

	req->dst = job->buffer + shift;
	memset(job->buffer, GUARD_BYTE, length + 32 + GUARD);
	req->src = job->source;
	if (in_place) {
		memcpy(req->dst, job->source, length);
		req->src = req->dst;
	}
	assert_true(f->resource->ops->can(f->resource, &job->params));
	assert_int_equal(f->resource->ops->realise(f->instance, &job->params, &job->handle), 0);
	assert_non_null(job->handle);
	req->handle = job->handle;
}

void job_check_guards(const struct job *job, const struct vc_request *req)
{
	size_t before = (size_t)(req->dst - job->buffer);

	for (size_t i = 0; i < before; i++)
		assert_int_equal(job->buffer[i], GUARD_BYTE);
	for (size_t i = before + job->length; i < job->length + 32 + GUARD; i++)
		assert_int_equal(job->buffer[i], GUARD_BYTE);
}

void job_check(const struct job *job, const struct vc_request *req, uint8_t status)
{
	assert_int_equal(req->status, status);
	job_check_guards(job, req);
	if (status != VIRTIO_CRYPTO_OK)
		return;
	if (req->kind != VC_REQUEST_MAC && req->kind != VC_REQUEST_HASH)
		assert_memory_equal(req->dst, job->expected, job->length);
	if (req->tag_len)
		assert_memory_equal(req->tag, job->expected_tag, req->tag_len);
}

void job_free(struct fixture *f, struct job *job)
{
	f->resource->ops->drop(f->instance, job->handle);
	free(job->source);
	free(job->expected);
	free(job->buffer);
}
