/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symmetric algorithms of every resource, against known answers and against libcrypto.
 */
#include "resource_kinds.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define CIPHER VIRTIO_CRYPTO_SERVICE_CIPHER
#define CBC VIRTIO_CRYPTO_CIPHER_AES_CBC
#define CTR VIRTIO_CRYPTO_CIPHER_AES_CTR
#define GCM VIRTIO_CRYPTO_AEAD_GCM
#define SHA1 VIRTIO_CRYPTO_MAC_HMAC_SHA1
#define SHA256 VIRTIO_CRYPTO_MAC_HMAC_SHA_256
#define HASH_FIRST VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER
#define CIPHER_FIRST VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH

static const uint32_t sizes[] = {0,     1,     15,    16,    17,    31,   32,    33,
                                 48,    63,    64,    65,    96,    255,  256,   1000,
                                 1488,  2047,  2048,  2049,  4096,  9999, 16384, 61440,
                                 65520, 65534, 65535, 65536, 65537, 65552};
#define SIZES vc_array_size(sizes)

static struct fixture fixture;
/* What the open resource can do. */
static struct job_kind kinds[KINDS_MAX];
static unsigned int kind_count;

static int open_mb(void **state)
{
	fixture_open(&fixture, "ipsec-mb", 0);
	kind_count = kinds_of(&fixture, kinds);
	*state = &fixture;
	return 0;
}

static int open_lc(void **state)
{
	fixture_open(&fixture, "libcrypto", 2);
	kind_count = kinds_of(&fixture, kinds);
	*state = &fixture;
	return 0;
}

/* DPDK's name of a software device; NULL: the resources that are built in. */
static const char *vdev;

static int open_vdev(void **state)
{
	fixture_open_vdev(&fixture, vdev);
	kind_count = kinds_of(&fixture, kinds);
	*state = &fixture;
	return 0;
}

static int close_it(void **state)
{
	fixture_close(*state);
	return 0;
}

static bool is_mb(const struct fixture *f)
{
	return f->resource->ops == &resource_ipsec_mb;
}

/* Multi-buffer hashes are not for very much, HMAC not for nothing; CCM has its own limits. */
static bool mb_leaves(const struct vc_request *req, const struct job_kind *kind)
{
	uint32_t hashed = req->kind == VC_REQUEST_CHAIN ? req->hash_len : req->length;

	if (req->kind == VC_REQUEST_AEAD)
		return kind->algorithm == VIRTIO_CRYPTO_AEAD_CCM &&
		       (req->aad_len > 46 || req->length > 65534);
	if (req->kind == VC_REQUEST_CIPHER)
		return false;
	return hashed > 65534 ||
	       (hashed == 0 && kind->mac && kind->mac != VIRTIO_CRYPTO_MAC_CMAC_AES);
}

/* Nothing that is empty, no counter that wraps, ... */
static bool vdev_leaves(const struct vc_request *req, const struct job_kind *kind)
{
	const uint8_t *low = req->iv + 12;
	uint32_t length = req->kind == VC_REQUEST_CHAIN ? req->cipher_len : req->length;
	uint64_t left = (uint64_t)1 << 32;

	left -= (uint32_t)low[0] << 24 | (uint32_t)low[1] << 16 | (uint32_t)low[2] << 8 | low[3];
	if (kind->service == CIPHER && kind->algorithm == CTR && (length + 15) / 16 > left)
		return true;
	if (req->kind == VC_REQUEST_CIPHER)
		return false;
	return req->kind == VC_REQUEST_CHAIN ? !req->cipher_len || !req->hash_len : !req->length;
}

/* ... and of some, what only few devices take: others may have it. */
static bool vdev_may_leave(const struct vc_request *req, const struct job_kind *kind)
{
	if (req->kind == VC_REQUEST_AEAD && (kind->iv_len != 12 || req->aad_len > 46))
		return true;
	return req->length > 65534;
}

/* The status with which a sound request of the kind comes back. */
static uint8_t expected_status(const struct fixture *f, const struct vc_request *req,
                               const struct job_kind *kind)
{
	bool leaves = is_mb(f) && mb_leaves(req, kind);

	if (vdev)
		leaves = vdev_leaves(req, kind) ||
		         (vdev_may_leave(req, kind) && req->status == VC_STATUS_REFUSED);
	return leaves ? VC_STATUS_REFUSED : VIRTIO_CRYPTO_OK;
}

static void run_jobs(struct fixture *f, const struct job_kind *kind, const uint32_t *lengths,
                     unsigned int n, unsigned int burst)
{
	struct vc_request *reqs = requests_new(n);
	struct job *jobs = calloc(n, sizeof(*jobs));

	for (unsigned int i = 0; i < n; i++)
		job_make(f, &jobs[i], &reqs[i], &kind[i], lengths[i], test_random() % 2);
	fixture_run(f, reqs, n, burst);
	for (unsigned int i = 0; i < n; i++) {
		if (reqs[i].status != expected_status(f, &reqs[i], &kind[i]))
			fail_msg("status %u of %u bytes: %s", reqs[i].status, lengths[i],
			         kind_name(&kind[i]));
		job_check(&jobs[i], &reqs[i], reqs[i].status);
		job_free(f, &jobs[i]);
	}
	free(jobs);
	free(reqs);
}

static void every_kind_every_size(void **state)
{
	struct job_kind same[SIZES];

	for (unsigned int k = 0; k < kind_count; k++) {
		for (unsigned int i = 0; i < SIZES; i++)
			same[i] = kinds[k];
		run_jobs(*state, same, sizes, SIZES, 64);
	}
}

static void every_length_to_300(void **state)
{
	struct job_kind same[300];
	uint32_t lengths[300];

	for (unsigned int k = 0; k < kind_count; k += 3) {
		for (unsigned int i = 0; i < 300; i++) {
			same[i] = kinds[k];
			lengths[i] = i;
		}
		run_jobs(*state, same, lengths, 300, 7);
	}
}

static void mixed_bursts(void **state)
{
	struct job_kind mixed[200];
	uint32_t lengths[200];

	for (unsigned int round = 0; round < 10; round++) {
		for (unsigned int i = 0; i < 200; i++) {
			mixed[i] = kinds[test_random() % kind_count];
			lengths[i] = test_random() % 4 ? test_random() % 3000
			                               : sizes[test_random() % SIZES];
		}
		run_jobs(*state, mixed, lengths, 200, 1 + test_random() % 64);
	}
}

static void a_megabyte_and_more(void **state)
{
	static const uint32_t long_sizes[] = {1u << 20, (1u << 20) + 16, 122880, 122896};
	struct job_kind same[vc_array_size(long_sizes)];

	for (unsigned int k = 0; k < kind_count; k += 7) {
		for (unsigned int i = 0; i < vc_array_size(long_sizes); i++)
			same[i] = kinds[k];
		run_jobs(*state, same, long_sizes, vc_array_size(long_sizes), 64);
	}
}

static void one_request_alone(void **state)
{
	uint32_t length = 4096;

	for (unsigned int k = 0; k < kind_count; k++)
		run_jobs(*state, &kinds[k], &length, 1, 1);
}

static void ctr_carries_over_128_bits(void **state)
{
	struct fixture *f = *state;
	struct job_kind kind = {
		.service = CIPHER, .algorithm = CTR, .key_len = 16, .iv_len = 16, .encrypt = 1};

	for (unsigned int low = 0; low < 20; low++) {
		struct vc_request *req = requests_new(1);
		struct job job;
		uint8_t *out;

		/* job_make() knows the IV only when it makes it: encrypt zeros with ECB by hand. */
		job_make(f, &job, req, &kind, 333, false);
		memset(req->iv, 0xff, 16);
		req->iv[15] = (uint8_t)(0xff - low);
		fixture_run(f, req, 1, 1);
		assert_int_equal(req->status, VIRTIO_CRYPTO_OK);
		out = malloc(333);
		memcpy(out, req->dst, 333);
		/* Block by block, each with the right counter. */
		for (uint32_t at = 0; at < 333; at += 16) {
			uint32_t block = at / 16, n = vc_min(16u, 333 - at);

			if (block > low) {
				memset(req->iv, 0, 16);
				req->iv[15] = (uint8_t)(block - low - 1);
			} else {
				memset(req->iv, 0xff, 16);
				req->iv[15] = (uint8_t)(0xff - low + block);
			}
			req->src = job.source + at;
			req->length = n;
			fixture_run(f, req, 1, 1);
			assert_memory_equal(req->dst, out + at, n);
		}
		free(out);
		job_free(f, &job);
		free(req);
	}
}

/* A wrong tag, then a right one: what failed leaves nothing behind. */
static void wrong_tag_is_badmsg(void **state)
{
	struct fixture *f = *state;

	for (unsigned int k = 0; k < kind_count; k++) {
		if (kinds[k].service != VIRTIO_CRYPTO_SERVICE_AEAD || kinds[k].encrypt)
			continue;
		for (unsigned int bit = 0; bit < kinds[k].tag_len * 8u; bit += 9) {
			struct vc_request *req = requests_new(1);
			uint32_t length = bit ? 100 : 0;
			struct job job;
			uint8_t *copy = malloc(length + 1);

			job_make(f, &job, req, &kinds[k], length, true);
			memcpy(copy, req->dst, length);
			req->tag[bit / 8] ^= (uint8_t)(1u << bit % 8);
			fixture_run(f, req, 1, 1);
			if (expected_status(f, req, &kinds[k]) == VIRTIO_CRYPTO_OK)
				job_check(&job, req, VIRTIO_CRYPTO_BADMSG);
			req->tag[bit / 8] ^= (uint8_t)(1u << bit % 8);
			memcpy(req->dst, copy, length);
			fixture_run(f, req, 1, 1);
			job_check(&job, req, expected_status(f, req, &kinds[k]));
			job_free(f, &job);
			free(copy);
			free(req);
		}
	}
}

static void long_additional_data(void **state)
{
	static const uint32_t lengths[] = {257, 4095, 65535, 65536, 300000};
	static uint8_t aad[300000];
	struct fixture *f = *state;
	struct job_kind kind = {VIRTIO_CRYPTO_SERVICE_AEAD, GCM, 0, 0, 1, 16, 16, 12};

	random_fill(aad, sizeof(aad));
	for (unsigned int i = 0; i < vc_array_size(lengths); i++) {
		struct vc_request *req = requests_new(1);
		EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
		uint8_t tag[16], end[16];
		struct job job;
		int n;

		job_make(f, &job, req, &kind, 33, false);
		req->aad = aad;
		req->aad_len = lengths[i];
		EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, job.key, req->iv);
		EVP_EncryptUpdate(c, NULL, &n, aad, (int)lengths[i]);
		EVP_EncryptUpdate(c, job.expected, &n, job.source, 33);
		EVP_EncryptFinal_ex(c, end, &n);
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, tag);
		EVP_CIPHER_CTX_free(c);
		memcpy(job.expected_tag, tag, 16);
		fixture_run(f, req, 1, 1);
		/* DPDK's devices have private copies of it, and not so much room. */
		job_check(&job, req, vdev ? VC_STATUS_REFUSED : VIRTIO_CRYPTO_OK);
		job_free(f, &job);
		free(req);
	}
}

static void wrong_lengths_are_errors(void **state)
{
	struct fixture *f = *state;
	struct job_kind cbc = {CIPHER, CBC, 0, 0, 1, 16, 0, 16};
	struct job_kind chain = {CIPHER, CBC, SHA256, CIPHER_FIRST, 1, 16, 32, 16};
	struct job_kind gcm = {VIRTIO_CRYPTO_SERVICE_AEAD, GCM, 0, 0, 1, 16, 16, 12};
	struct vc_request *req = requests_new(6);
	struct job job[6];

	job_make(f, &job[0], &req[0], &cbc, 64, false);
	req[0].length = 63; /* not whole blocks */
	job_make(f, &job[1], &req[1], &cbc, 64, false);
	req[1].iv_len = 12;
	job_make(f, &job[2], &req[2], &chain, 64, false);
	req[2].cipher_offset = 0xfffffff0;
	job_make(f, &job[3], &req[3], &chain, 64, false);
	req[3].hash_offset = 1;
	req[3].hash_len = 64;
	job_make(f, &job[4], &req[4], &gcm, 64, false);
	req[4].tag_len = 17;
	job_make(f, &job[5], &req[5], &chain, 64, false);
	req[5].tag_len = 33;
	fixture_run(f, req, 6, 6);
	for (unsigned int i = 0; i < 6; i++) {
		job_check(&job[i], &req[i], VIRTIO_CRYPTO_ERR);
		job_free(f, &job[i]);
	}
	free(req);
}

/* Whatever else a request says, as long as its pointers and lengths are those of real memory: it
 * comes back, and writes nowhere else. */
static void nonsense_is_survived(void **state)
{
	static const uint32_t numbers[] = {
		0, 1, 7, 8, 15, 16, 17, 63, 64, 65535, 65536, 0x7fffffff, 0xfffffff0, 0xffffffff};
	struct fixture *f = *state;

	for (unsigned int round = 0; round < 40; round++) {
		struct vc_request *reqs = requests_new(100);
		struct job *jobs = calloc(100, sizeof(*jobs));

		for (unsigned int i = 0; i < 100; i++) {
			struct vc_request *req = &reqs[i];

			job_make(f, &jobs[i], req, &kinds[test_random() % kind_count],
			         test_random() % 500, test_random() % 2);
			if (test_random() % 2)
				req->length = test_random() % (jobs[i].length + 1);
			if (test_random() % 2)
				req->iv_len = (uint8_t)(test_random() % (REQUEST_MAX_IV + 1));
			if (test_random() % 4 == 0)
				req->tag_len = (uint16_t)(test_random() % (REQUEST_MAX_TAG + 1));
			if (test_random() % 2)
				req->cipher_offset =
					numbers[test_random() % vc_array_size(numbers)];
			if (test_random() % 2)
				req->cipher_len = numbers[test_random() % vc_array_size(numbers)];
			if (test_random() % 2)
				req->hash_offset = numbers[test_random() % vc_array_size(numbers)];
			if (test_random() % 2)
				req->hash_len = numbers[test_random() % vc_array_size(numbers)];
		}
		fixture_run(f, reqs, 100, 1 + test_random() % 64);
		for (unsigned int i = 0; i < 100; i++) {
			uint8_t status = reqs[i].status;

			assert_true(status <= VIRTIO_CRYPTO_BADMSG || status == VC_STATUS_REFUSED);
			job_check_guards(&jobs[i], &reqs[i]);
			job_free(f, &jobs[i]);
		}
		free(jobs);
		free(reqs);
	}
}

static void from_hex(const char *hex, uint8_t *out)
{
	for (; *hex; hex += 2)
		sscanf(hex, "%2hhx", out++);
}

struct known {
	struct job_kind kind;
	const char *key, *auth_key, *iv, *aad, *in, *out, *tag;
};

/* SP 800-38A F.2.1, F.2.6, F.5.5; the GCM specification's test case 4; RFC 2202 and 4231, case 2.
 */
static const struct known known[] = {
	{{CIPHER, CBC, 0, 0, 1, 16, 0, 16},
         "2b7e151628aed2a6abf7158809cf4f3c",
         "",
         "000102030405060708090a0b0c0d0e0f",
         "",
         "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
         "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
         ""},
	{{CIPHER, CBC, 0, 0, 0, 32, 0, 16},
         "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
         "",
         "000102030405060708090a0b0c0d0e0f",
         "",
         "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
         "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
         ""},
	{{CIPHER, CTR, 0, 0, 1, 32, 0, 16},
         "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
         "",
         "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
         "",
         "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
         "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
         ""},
	{{VIRTIO_CRYPTO_SERVICE_AEAD, GCM, 0, 0, 1, 16, 16, 12},
         "feffe9928665731c6d6a8f9467308308",
         "",
         "cafebabefacedbaddecaf888",
         "feedfacedeadbeeffeedfacedeadbeefabaddad2",
         "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
         "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
         "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
         "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
         "5bc94fbc3221a5db94fae95ae7121a47"},
	{{VIRTIO_CRYPTO_SERVICE_MAC, 0, SHA1, 0, 0, 0, 20, 0},
         "",
         "4a656665",
         "",
         "",
         "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "",
         "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
	{{VIRTIO_CRYPTO_SERVICE_MAC, 0, SHA256, 0, 0, 0, 32, 0},
         "",
         "4a656665",
         "",
         "",
         "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
};

static void known_answers(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < vc_array_size(known); i++) {
		const struct known *k = &known[i];
		struct vc_request *req = requests_new(1);
		struct job job;

		job_make(f, &job, req, &k->kind, (uint32_t)strlen(k->in) / 2, false);
		f->resource->ops->drop(f->instance, job.handle);
		from_hex(k->key, job.key);
		from_hex(k->auth_key, job.auth_key);
		job.params.auth_key_len = (uint32_t)strlen(k->auth_key) / 2;
		assert_int_equal(f->resource->ops->realise(f->instance, &job.params, &job.handle),
		                 0);
		req->handle = job.handle;
		from_hex(k->iv, req->iv);
		from_hex(k->aad, job.aad);
		req->aad = job.aad;
		req->aad_len = (uint32_t)strlen(k->aad) / 2;
		from_hex(k->in, job.source);
		from_hex(k->out, job.expected);
		from_hex(k->tag, job.expected_tag);
		fixture_run(f, req, 1, 1);
		job_check(&job, req, VIRTIO_CRYPTO_OK);
		job_free(f, &job);
		free(req);
	}
}

static void what_it_cannot_is_refused(void **state)
{
	struct fixture *f = *state;
	struct session_params p = {.service = CIPHER, .cipher = CBC, .key_len = 16};
	void *handle;

	assert_true(f->resource->ops->can(f->resource, &p));
	p.key_len = 20;
	assert_false(f->resource->ops->can(f->resource, &p));
	assert_int_equal(f->resource->ops->realise(f->instance, &p, &handle), -95);
	p.key_len = 16;
	p.cipher = VIRTIO_CRYPTO_CIPHER_ARC4;
	assert_false(f->resource->ops->can(f->resource, &p));
	p = (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_MAC, .mac = SHA1};
	p.tag_len = 21;
	assert_false(f->resource->ops->can(f->resource, &p));
	p.tag_len = 20;
	assert_true(f->resource->ops->can(f->resource, &p));
	p = (struct session_params){.service = 77};
	assert_false(f->resource->ops->can(f->resource, &p));
}

/* A request that waits for company is not forgotten while others keep coming. */
static void a_lone_request_waits_a_little_only(void **state)
{
	struct fixture *f = *state;
	struct job_kind kind = {CIPHER, CBC, 0, 0, 1, 16, 0, 16};
	struct vc_request *req = requests_new(1), *ptr = req, *done;
	unsigned int polls = 0;
	struct job job;

	job_make(f, &job, req, &kind, 64, false);
	assert_int_equal(f->resource->ops->submit(f->instance, &ptr, 1), 1);
	while (!f->resource->ops->poll(f->instance, &done, 1, false))
		assert_true(++polls < 5);
	assert_true(polls > 0);
	job_check(&job, done, VIRTIO_CRYPTO_OK);
	job_free(f, &job);
	free(req);
}

/* Of a CTR, whatever the device counts: right, or left to others. */
static void ctr_that_wraps_is_never_wrong(void **state)
{
	struct job_kind kind = {
		.service = CIPHER, .algorithm = CTR, .key_len = 16, .iv_len = 16, .encrypt = 1};
	struct vc_request *req = requests_new(1);
	struct fixture *f = *state;
	struct job job;

	for (unsigned int blocks = 1; blocks < 20; blocks++) {
		job_make(f, &job, req, &kind, blocks * 16, false);
		memset(req->iv + 8, 0xff, 8);
		req->iv[15] = 0xf0;
		fixture_run(f, req, 1, 1);
		assert_int_equal(req->status, blocks <= 16 ? VIRTIO_CRYPTO_OK : VC_STATUS_REFUSED);
		job_free(f, &job);
	}
	free(req);
}

#define COMMON(open)                                                                               \
	cmocka_unit_test_setup_teardown(known_answers, open, close_it),                            \
		cmocka_unit_test_setup_teardown(every_kind_every_size, open, close_it),            \
		cmocka_unit_test_setup_teardown(every_length_to_300, open, close_it),              \
		cmocka_unit_test_setup_teardown(mixed_bursts, open, close_it),                     \
		cmocka_unit_test_setup_teardown(a_megabyte_and_more, open, close_it),              \
		cmocka_unit_test_setup_teardown(one_request_alone, open, close_it),                \
		cmocka_unit_test_setup_teardown(wrong_tag_is_badmsg, open, close_it),              \
		cmocka_unit_test_setup_teardown(long_additional_data, open, close_it),             \
		cmocka_unit_test_setup_teardown(wrong_lengths_are_errors, open, close_it),         \
		cmocka_unit_test_setup_teardown(nonsense_is_survived, open, close_it),             \
		cmocka_unit_test_setup_teardown(what_it_cannot_is_refused, open, close_it)

/* An argument is the name of one of DPDK's software devices. */
int main(int argc, char **argv)
{
	const struct CMUnitTest mb[] = {
		COMMON(open_mb),
		cmocka_unit_test_setup_teardown(ctr_carries_over_128_bits, open_mb, close_it),
		cmocka_unit_test_setup_teardown(a_lone_request_waits_a_little_only, open_mb,
	                                        close_it),
	};
	const struct CMUnitTest lc[] = {
		COMMON(open_lc),
		cmocka_unit_test_setup_teardown(ctr_carries_over_128_bits, open_lc, close_it),
	};
	const struct CMUnitTest dpdk[] = {
		COMMON(open_vdev),
		cmocka_unit_test_setup_teardown(ctr_that_wraps_is_never_wrong, open_vdev, close_it),
	};

	vdev = argc > 1 ? argv[1] : NULL;
	if (vdev)
		return cmocka_run_group_tests_name(vdev, dpdk, NULL, NULL);

	int failed = cmocka_run_group_tests_name("ipsec-mb", mb, NULL, NULL);

	return failed + cmocka_run_group_tests_name("libcrypto", lc, NULL, NULL);
}
