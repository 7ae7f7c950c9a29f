/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crypto-mb resource against the libcrypto resource: the same requests, right and wrong, in
 * random company; and what is particular to lanes.
 */
#include "resource_fixture.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "host/der.h"
#include "keys.h"

#define MAX_BYTES 512 /* of an RSA-4096 block */
#define ROUNDS 25
#define MOST 40 /* requests of a round */

static struct fixture lanes, reference;

static int open_both(void **state)
{
	fixture_open(&lanes, "crypto-mb", 2);
	fixture_open(&reference, "libcrypto", 1);
	return 0;
}

static int close_both(void **state)
{
	fixture_close(&lanes);
	fixture_close(&reference);
	return 0;
}

/* One key, seen by both resources. */
struct subject {
	struct session_params params;
	unsigned int size; /* bytes of a block, or of the curve's order */
	void *in_lanes, *in_reference;
};

static const struct {
	uint8_t padding, hash;
	uint16_t digest; /* bytes; 0: any */
} paddings[] = {
	{VIRTIO_CRYPTO_RSA_RAW_PADDING, VIRTIO_CRYPTO_RSA_NO_HASH, 0},
	{VIRTIO_CRYPTO_RSA_PKCS1_PADDING, VIRTIO_CRYPTO_RSA_NO_HASH, 0},
	{VIRTIO_CRYPTO_RSA_PKCS1_PADDING, VIRTIO_CRYPTO_RSA_SHA256, 32},
	{VIRTIO_CRYPTO_RSA_PKCS1_PADDING, VIRTIO_CRYPTO_RSA_SHA512, 64},
};
static const uint8_t curves[] = {VIRTIO_CRYPTO_CURVE_NIST_P256, VIRTIO_CRYPTO_CURVE_NIST_P384};

/* Each kind of session twice: private first, then public. */
#define RSA_SUBJECTS (2 * 4 * vc_array_size(paddings))
#define SUBJECTS (RSA_SUBJECTS + 2 * vc_array_size(curves))
static struct subject subjects[SUBJECTS];

static void subject_open(struct subject *s)
{
	assert_true(lanes.resource->ops->can(lanes.resource, &s->params));
	assert_int_equal(lanes.resource->ops->realise(lanes.instance, &s->params, &s->in_lanes), 0);
	assert_int_equal(
		reference.resource->ops->realise(reference.instance, &s->params, &s->in_reference),
		0);
}

static void subject_close(struct subject *s)
{
	lanes.resource->ops->drop(lanes.instance, s->in_lanes);
	reference.resource->ops->drop(reference.instance, s->in_reference);
}

static struct session_params rsa_params(unsigned int bits, bool private, size_t padding)
{
	struct test_key key = private ? test_rsa_private(bits) : test_rsa_public(bits);

	return (struct session_params){
		.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		.akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
		.private_key = private,
		.rsa_padding = paddings[padding].padding,
		.rsa_hash = paddings[padding].hash,
		.key_bits = (uint16_t)bits,
		.key = key.der,
		.key_len = (uint32_t)key.len,
	};
}

static struct session_params ec_params(uint8_t curve, bool private)
{
	struct test_key key = private ? test_ec_private(curve) : test_ec_public(curve);

	return (struct session_params){
		.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
		.akcipher = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
		.private_key = private,
		.curve = curve,
		.key_bits = (uint16_t)der_ec_bits(curve),
		.key = key.der,
		.key_len = (uint32_t)key.len,
	};
}

static void subjects_open(void)
{
	for (size_t i = 0; i < SUBJECTS; i++) {
		struct subject *s = &subjects[i];
		bool private = i % 2 == 0;

		if (i < RSA_SUBJECTS) {
			unsigned int bits = 1024 * (unsigned int)(i / 2 % 4 + 1);

			s->params = rsa_params(bits, private, i / 8);
			s->size = bits / 8;
		} else {
			uint8_t curve = curves[(i - RSA_SUBJECTS) / 2];

			s->params = ec_params(curve, private);
			s->size = der_ec_bits(curve) / 8;
		}
		subject_open(s);
	}
}

static void subjects_close(void)
{
	for (size_t i = 0; i < SUBJECTS; i++)
		subject_close(&subjects[i]);
}

/* One request and its memory. */
struct exchange {
	struct subject *subject;
	uint8_t in[MAX_BYTES], tag[REQUEST_MAX_DIGEST + MAX_BYTES], out[MAX_BYTES];
	uint32_t length;
	uint16_t tag_len;
	uint8_t kind;
	uint8_t status;
	uint32_t result_len;
};

static void fill(struct vc_request *req, struct exchange *x, void *handle)
{
	memset(x->out, 0, sizeof(x->out));
	req->handle = handle;
	req->kind = x->kind;
	req->src = x->in;
	req->length = x->length;
	req->tag = x->tag;
	req->tag_len = x->tag_len;
	req->dst = x->out;
	req->dst_len = sizeof(x->out);
}

/* Alone, in the reference. */
static void run_reference(struct exchange *x, struct subject *subject)
{
	struct vc_request *req = requests_new(1);

	fill(req, x, subject->in_reference);
	fixture_run(&reference, req, 1, 1);
	x->status = req->status;
	x->result_len = req->result_len;
	free(req);
}

static bool is_rsa(const struct subject *s)
{
	return s->params.akcipher == VIRTIO_CRYPTO_AKCIPHER_RSA;
}

/* A digest of a length that fits, mostly. */
static uint16_t digest_len(const struct subject *s)
{
	size_t padding = is_rsa(s) ? (size_t)(s - subjects) / 8 : 0;

	if (test_random() % 16 == 0)
		return (uint16_t)(1 + test_random() % 64);
	if (is_rsa(s) && paddings[padding].digest)
		return paddings[padding].digest;
	return (uint16_t)(is_rsa(s) ? 1 + test_random() % (s->size - 11) : 20 + test_random() % 45);
}

/* A signature, right in three cases of four. */
static void make_verification(struct exchange *x)
{
	struct subject *signer = &subjects[(size_t)(x->subject - subjects) & ~1ul];
	struct exchange s = {.kind = VC_REQUEST_AK_SIGN, .length = digest_len(signer)};

	random_fill(s.in, s.length);
	run_reference(&s, signer);
	x->length = s.status == VIRTIO_CRYPTO_OK ? s.result_len : x->subject->size;
	memcpy(x->in, s.out, x->length);
	x->tag_len = (uint16_t)s.length;
	memcpy(x->tag, s.in, s.length);
	switch (test_random() % 16) {
	case 0:
		x->in[test_random() % x->length] ^= (uint8_t)(1u << test_random() % 8);
		break;
	case 1:
		x->tag[test_random() % x->tag_len] ^= (uint8_t)(1u << test_random() % 8);
		break;
	case 2:
		x->length--;
		break;
	case 3:
		memset(x->in, 0xff, x->length);
		break;
	}
}

static void make(struct exchange *x)
{
	struct subject *s = &subjects[test_random() % SUBJECTS];
	static const uint8_t kinds[] = {VC_REQUEST_AK_ENCRYPT, VC_REQUEST_AK_VERIFY,
	                                VC_REQUEST_AK_SIGN, VC_REQUEST_AK_DECRYPT};
	unsigned int some = is_rsa(s) ? (s->params.private_key ? 4 : 2) : 1;

	memset(x, 0, sizeof(*x));
	x->subject = s;
	x->kind = kinds[test_random() % some];
	if (!is_rsa(s))
		x->kind = s->params.private_key ? VC_REQUEST_AK_SIGN : VC_REQUEST_AK_VERIFY;
	if (x->kind == VC_REQUEST_AK_VERIFY) {
		make_verification(x);
		return;
	}
	x->length = digest_len(s);
	if (is_rsa(s) && s->params.rsa_padding == VIRTIO_CRYPTO_RSA_RAW_PADDING)
		x->length = test_random() % 4 ? s->size : 1 + test_random() % s->size;
	random_fill(x->in, x->length);
	/* Below the modulus, mostly. */
	if (test_random() % 8)
		x->in[0] &= 0x3f;
}

/* What came out of the lanes, against what libcrypto says. */
static void check(struct exchange *x, const struct vc_request *req)
{
	struct exchange expected = *x;
	struct subject *public = &subjects[(size_t)(x->subject - subjects) | 1];

	run_reference(&expected, x->subject);
	assert_int_equal(req->status, expected.status);
	if (req->status != VIRTIO_CRYPTO_OK || x->kind == VC_REQUEST_AK_VERIFY)
		return;
	if (!is_rsa(x->subject)) {
		/* Another signature each time, and a good one. */
		struct exchange verify = {.kind = VC_REQUEST_AK_VERIFY,
		                          .length = req->result_len,
		                          .tag_len = (uint16_t)x->length};

		memcpy(verify.in, x->out, req->result_len);
		memcpy(verify.tag, x->in, x->length);
		run_reference(&verify, public);
		assert_int_equal(verify.status, VIRTIO_CRYPTO_OK);
		return;
	}
	assert_int_equal(req->result_len, expected.result_len);
	if (x->kind == VC_REQUEST_AK_ENCRYPT &&
	    x->subject->params.rsa_padding == VIRTIO_CRYPTO_RSA_PKCS1_PADDING) {
		struct exchange decrypt = {.kind = VC_REQUEST_AK_DECRYPT,
		                           .length = req->result_len};

		memcpy(decrypt.in, x->out, req->result_len);
		run_reference(&decrypt, public - 1);
		assert_int_equal(decrypt.status, VIRTIO_CRYPTO_OK);
		assert_int_equal(decrypt.result_len, x->length);
		assert_memory_equal(decrypt.out, x->in, x->length);
		return;
	}
	assert_memory_equal(x->out, expected.out, expected.result_len);
}

static void test_random_company_agrees_with_libcrypto(void **state)
{
	static struct exchange exchange[MOST];
	struct vc_request *reqs = requests_new(MOST);
	unsigned int good = 0;

	subjects_open();
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int n = 1 + test_random() % MOST;

		memset(reqs, 0, MOST * sizeof(*reqs));
		for (unsigned int i = 0; i < n; i++) {
			make(&exchange[i]);
			fill(&reqs[i], &exchange[i], exchange[i].subject->in_lanes);
		}
		fixture_run(&lanes, reqs, n, 1 + test_random() % MOST);
		for (unsigned int i = 0; i < n; i++) {
			check(&exchange[i], &reqs[i]);
			good += reqs[i].status == VIRTIO_CRYPTO_OK;
		}
	}
	/* Most of it is no rubbish. */
	assert_true(good > ROUNDS * MOST / 4);
	subjects_close();
	free(reqs);
}

/* Eight of one kind, with a wrong one in each of the lanes in turn. */
static void test_a_wrong_lane_harms_no_other(void **state)
{
	struct subject s = {.params = rsa_params(2048, true, 0), .size = 256};
	static struct exchange exchange[8];
	struct vc_request *reqs = requests_new(8);

	subject_open(&s);
	for (unsigned int wrong = 0; wrong < 8; wrong++) {
		for (unsigned int i = 0; i < 8; i++) {
			exchange[i] =
				(struct exchange){.kind = VC_REQUEST_AK_DECRYPT, .length = 256};
			random_fill(exchange[i].in, 256);
			exchange[i].in[0] = i == wrong ? 0xff : 0;
			memset(exchange[i].in + 1, i == wrong ? 0xff : 0x11, 8);
			fill(&reqs[i], &exchange[i], s.in_lanes);
		}
		fixture_run(&lanes, reqs, 8, 8);
		for (unsigned int i = 0; i < 8; i++) {
			struct exchange expected = exchange[i];

			run_reference(&expected, &s);
			assert_int_equal(reqs[i].status, expected.status);
			assert_int_equal(reqs[i].status,
			                 i == wrong ? VIRTIO_CRYPTO_ERR : VIRTIO_CRYPTO_OK);
			assert_memory_equal(exchange[i].out, expected.out, 256);
		}
	}
	subject_close(&s);
	free(reqs);
}

/* A key whose parts do not belong together would give itself away by a wrong result of the CRT.
 * What is given out is libcrypto's, which does without it. */
static void test_a_faulty_key_gives_no_wrong_result(void **state)
{
	struct subject good = {.params = rsa_params(2048, true, 0), .size = 256};
	struct session_params faulty = good.params;
	uint8_t *der = malloc(faulty.key_len);
	struct vc_request *reqs = requests_new(8);
	static struct exchange exchange[8];
	struct der_rsa_private numbers;
	void *handle;

	subject_open(&good);
	faulty.key = der;
	for (int part = DER_RSA_EXPONENT1; part < DER_RSA_NUMBERS; part++) {
		memcpy(der, good.params.key, faulty.key_len);
		assert_int_equal(der_rsa_private_numbers(der, faulty.key_len, &numbers), 0);
		((uint8_t *)numbers.number[part])[40] ^= 4;
		assert_int_equal(lanes.resource->ops->realise(lanes.instance, &faulty, &handle), 0);
		for (unsigned int i = 0; i < 8; i++) {
			exchange[i].kind = VC_REQUEST_AK_DECRYPT;
			exchange[i].length = 255;
			random_fill(exchange[i].in, 255);
			fill(&reqs[i], &exchange[i], handle);
		}
		fixture_run(&lanes, reqs, 8, 8);
		for (unsigned int i = 0; i < 8; i++) {
			struct exchange expected = exchange[i];

			run_reference(&expected, &good);
			assert_int_equal(reqs[i].status, VIRTIO_CRYPTO_OK);
			assert_memory_equal(exchange[i].out, expected.out, 256);
		}
		lanes.resource->ops->drop(lanes.instance, handle);
	}
	subject_close(&good);
	free(reqs);
	free(der);
}

static void test_what_is_not_for_lanes(void **state)
{
	struct session_params params = rsa_params(512, true, 0);

	assert_false(lanes.resource->ops->can(lanes.resource, &params));
	params = ec_params(VIRTIO_CRYPTO_CURVE_NIST_P521, true);
	assert_false(lanes.resource->ops->can(lanes.resource, &params));
	params = (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER};
	assert_false(lanes.resource->ops->can(lanes.resource, &params));
}

static void test_a_point_that_is_not_on_the_curve(void **state)
{
	struct session_params params = ec_params(VIRTIO_CRYPTO_CURVE_NIST_P256, false);
	uint8_t point[65];
	void *handle;

	assert_int_equal(params.key_len, sizeof(point));
	memcpy(point, params.key, sizeof(point));
	point[64] ^= 1;
	params.key = point;
	assert_int_equal(lanes.resource->ops->realise(lanes.instance, &params, &handle),
	                 -EKEYREJECTED);
}

/* The configuration's longest wait does not hold up eight, and holds fewer up no longer. */
static void test_eight_wait_for_nobody(void **state)
{
	unsigned int wait_us = 200000;
	struct resource_config config = {.name = "mb", .type = "crypto-mb", .wait_us = &wait_us};
	struct session_params params = rsa_params(1024, true, 0);
	static struct exchange exchange[9];
	struct vc_request *reqs = requests_new(9);
	uint64_t begin, full = UINT64_MAX;
	struct fixture slow;
	char *error = NULL;
	void *handle;

	assert_int_equal(resource_create(&config, &slow.resource, &error), 0);
	assert_int_equal(slow.resource->ops->open(slow.resource, 0, &slow.instance), 0);
	assert_int_equal(slow.resource->ops->realise(slow.instance, &params, &handle), 0);
	for (int round = 0; round < 40; round++) {
		for (unsigned int i = 0; i < 9; i++) {
			exchange[i] =
				(struct exchange){.kind = VC_REQUEST_AK_DECRYPT, .length = 128};
			exchange[i].in[127] = (uint8_t)(2 + i);
			fill(&reqs[i], &exchange[i], handle);
		}
		begin = clock_now_ns();
		fixture_run(&slow, reqs, 8, 8);
		full = vc_min(full, clock_now_ns() - begin);
	}
	assert_true(full < 200000000);
	/* After so many, the ninth has company to hope for, and hopes for as long as it may. */
	begin = clock_now_ns();
	fixture_run(&slow, &reqs[8], 1, 1);
	assert_true(clock_now_ns() - begin >= 190000000);
	assert_int_equal(reqs[8].status, VIRTIO_CRYPTO_OK);
	slow.resource->ops->drop(slow.instance, handle);
	fixture_close(&slow);
	free(reqs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_company_agrees_with_libcrypto),
		cmocka_unit_test(test_a_wrong_lane_harms_no_other),
		cmocka_unit_test(test_a_faulty_key_gives_no_wrong_result),
		cmocka_unit_test(test_what_is_not_for_lanes),
		cmocka_unit_test(test_a_point_that_is_not_on_the_curve),
		cmocka_unit_test(test_eight_wait_for_nobody),
	};
	unsigned int a, b, c, d;

	/* AVX-512 IFMA: the library does nothing without it. */
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b >> 21 & 1)) {
		print_message("this CPU has no AVX-512 IFMA\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, open_both, close_both);
}
