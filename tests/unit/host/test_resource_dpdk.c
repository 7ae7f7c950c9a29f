/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type dpdk, with DPDK's software devices: what it leaves of the process as it was, queue
 * pairs, sessions, RSA. Its symmetric results are looked at in test_resource_symmetric.c.
 */
#include "akcipher_fixture.h"

#include <errno.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "keys.h"

#define OPENSSL "crypto_openssl0"
#define MULTI_BUFFER "crypto_aesni_mb0"
#define CIPHER VIRTIO_CRYPTO_SERVICE_CIPHER
#define CBC VIRTIO_CRYPTO_CIPHER_AES_CBC

static struct fixture fixture;

static int open_openssl(void **state)
{
	fixture_open_vdev(&fixture, OPENSSL);
	*state = &fixture;
	return 0;
}

static int open_multi_buffer(void **state)
{
	fixture_open_vdev(&fixture, MULTI_BUFFER);
	*state = &fixture;
	return 0;
}

static int close_it(void **state)
{
	fixture_close(*state);
	return 0;
}

/* It must not be made, and the sentence must have the part in it. */
static void refused(const struct resource_config *config, const char *part)
{
	struct resource *resource = NULL;
	char *error = NULL;

	assert_true(resource_create(config, &resource, &error) < 0);
	assert_non_null(error);
	if (!strstr(error, part))
		fail_msg("\"%s\" is not in: %s", part, error);
	free(error);
}

/* ---- the process ---- */

static char directory[] = "/tmp/vcrypto-dpdk-XXXXXX";

/* The first test: DPDK's environment begins with it. */
static void the_process_is_left_as_it_was(void **state)
{
	struct sigaction before[32], after;
	sigset_t mask, later;
	cpu_set_t cpus, now;

	(void)state;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (int i = 1; i < 32; i++)
		sigaction(i, NULL, &before[i]);
	fixture_open_vdev(&fixture, "crypto_null0");
	sched_getaffinity(0, sizeof(now), &now);
	assert_true(CPU_EQUAL(&cpus, &now));
	pthread_sigmask(SIG_SETMASK, NULL, &later);
	for (int i = 1; i < 32; i++) {
		assert_int_equal(sigismember(&mask, i), sigismember(&later, i));
		sigaction(i, NULL, &after);
		assert_ptr_equal(after.sa_handler, before[i].sa_handler);
	}
	assert_null(getenv("RUNTIME_DIRECTORY"));
	/* Nothing is left in the runtime directory: it can be removed. */
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(access("/var/run/dpdk/vcrypto-host", F_OK), -1);
	fixture_close(&fixture);
}

static void a_null_device_offers_nothing(void **state)
{
	struct virtio_crypto_config config = {0};

	(void)state;
	fixture_open_vdev(&fixture, "crypto_null0");
	fixture.resource->ops->offer(fixture.resource, &config);
	assert_int_equal(config.crypto_services, 0);
	fixture_close(&fixture);
}

static void software_does_not_hang(void **state)
{
	struct fixture *f = *state;

	assert_false(f->resource->may_hang);
	assert_int_equal(f->resource->ops->fd(f->instance), -1);
	assert_int_equal(f->resource->ops->memory_add(f->resource, directory, 4096), 0);
}

/* ---- devices ---- */

static void an_unknown_vdev_is_said(void **state)
{
	(void)state;
	refused(&(struct resource_config){.name = "x", .type = "dpdk", .vdev = "crypto_nosuch0"},
	        "DPDK cannot make the vdev 'crypto_nosuch0'");
}

static void a_vdev_that_does_no_cryptography_is_said(void **state)
{
	(void)state;
	refused(&(struct resource_config){.name = "x", .type = "dpdk", .vdev = "net_null0"},
	        "the vdev 'net_null0' is no crypto device");
}

static void a_device_that_is_not_there_is_said(void **state)
{
	(void)state;
	refused(&(struct resource_config){.name = "x", .type = "dpdk", .device = "0000:3d:01.0"},
	        "DPDK has no crypto device '0000:3d:01.0'");
}

static void too_few_queue_pairs_are_said(void **state)
{
	(void)state;
	refused(&(struct resource_config){.name = "x",
	                                  .type = "dpdk",
	                                  .vdev = OPENSSL ",max_nb_queue_pairs=2",
	                                  .workers = 4},
	        "has 2 queue pairs, and there are 4 workers");
	/* What could not be used is gone: the name can be used again. */
	fixture_open_vdev(&fixture, OPENSSL);
	fixture_close(&fixture);
}

static void each_instance_has_queues_of_its_own(void **state)
{
	const struct resource_config config = {
		.name = "x", .type = "dpdk", .vdev = OPENSSL, .workers = 2};
	struct resource_instance *instance[3];
	struct resource *resource;
	char *error = NULL;

	(void)state;
	assert_int_equal(resource_create(&config, &resource, &error), 0);
	for (unsigned int round = 0; round < 2; round++) {
		assert_int_equal(resource->ops->open(resource, 0, &instance[0]), 0);
		assert_int_equal(resource->ops->open(resource, 1, &instance[1]), 0);
		assert_int_equal(resource->ops->open(resource, 0, &instance[2]), -ENOSPC);
		resource->ops->close(instance[0]);
		assert_int_equal(resource->ops->open(resource, 0, &instance[0]), 0);
		resource->ops->close(instance[0]);
		resource->ops->close(instance[1]);
	}
	resource_destroy(resource);
}

/* ---- symmetric ---- */

/* More than the device has room for: the rest is taken later, and none is lost. */
static void a_full_device_takes_the_rest_later(void **state)
{
	struct job_kind kind = {CIPHER, CBC, 0, 0, 1, 16, 0, 16};
	struct fixture *f = *state;
	unsigned int n = 3000, sent = 0, back = 0, got;
	struct vc_request *reqs = requests_new(n), *ptr[64], *done[64];
	struct job *jobs = calloc(n, sizeof(*jobs));

	for (unsigned int i = 0; i < n; i++)
		job_make(f, &jobs[i], &reqs[i], &kind, 16, i % 2);
	/* Until it takes no more. */
	do {
		got = vc_min(n - sent, 64u);
		for (unsigned int i = 0; i < got; i++)
			ptr[i] = &reqs[sent + i];
		got = f->resource->ops->submit(f->instance, ptr, got);
		sent += got;
	} while (got);
	assert_true(sent >= 512 && sent < n);
	assert_int_equal(f->instance->in_flight, sent);
	while (back < sent)
		back += f->resource->ops->poll(f->instance, done, 64, true);
	assert_int_equal(back, sent);
	fixture_run(f, reqs + sent, n - sent, 64);
	for (unsigned int i = 0; i < n; i++) {
		job_check(&jobs[i], &reqs[i], VIRTIO_CRYPTO_OK);
		job_free(f, &jobs[i]);
	}
	free(jobs);
	free(reqs);
}

/* Sessions are limited by memory that was set aside: then another resource has them, for now. */
static void sessions_run_out_and_come_back(void **state)
{
	static const unsigned int most = 8;
	const struct resource_config config = {
		.name = "x", .type = "dpdk", .vdev = MULTI_BUFFER, .sessions = &most};
	struct session_params p = {.service = CIPHER, .cipher = CBC, .key_len = 16};
	struct resource_instance *in;
	uint8_t key[16] = {1};
	struct resource *r;
	char *error = NULL;
	void *handle[9];

	(void)state;
	p.key = key;
	/* As many as are made at once to try the device out. */
	assert_int_equal(resource_create(&config, &r, &error), -ENOMEM);
	assert_non_null(strstr(error, "not enough"));
	free(error);
	assert_int_equal(resource_create(&(struct resource_config){.name = "x",
	                                                           .type = "dpdk",
	                                                           .vdev = MULTI_BUFFER,
	                                                           .sessions = &(unsigned int){64}},
	                                 &r, &error),
	                 0);
	assert_int_equal(r->ops->open(r, 0, &in), 0);
	for (unsigned int round = 0; round < 3; round++) {
		unsigned int made = 0;
		void *all[128];

		while (made < 128 && r->ops->realise(in, &p, &all[made]) == 0)
			made++;
		assert_int_equal(made, 64);
		assert_int_equal(r->ops->realise(in, &p, handle), -ENOMEM);
		while (made)
			r->ops->drop(in, all[--made]);
	}
	r->ops->close(in);
	resource_destroy(r);
}

/* DPDK's sessions have one length of additional data: ours take some, and refuse the rest. */
static void additional_data_has_some_lengths(void **state)
{
	struct job_kind kind = {
		VIRTIO_CRYPTO_SERVICE_AEAD, VIRTIO_CRYPTO_AEAD_GCM, 0, 0, 1, 16, 16, 12};
	struct fixture *f = *state;
	struct vc_request *req = requests_new(1);
	unsigned int right = 0;
	struct job job;

	job_make(f, &job, req, &kind, 100, false);
	for (unsigned int round = 0; round < 2; round++)
		for (uint32_t length = 1; length <= 12; length++) {
			req->aad = job.aad;
			req->aad_len = length;
			fixture_run(f, req, 1, 1);
			right += req->status == VIRTIO_CRYPTO_OK;
			assert_true(req->status == VIRTIO_CRYPTO_OK ||
			            req->status == VC_STATUS_REFUSED);
		}
	/* Of twelve lengths the same three or four each time. */
	assert_true(right == 6 || right == 8);
	job_free(f, &job);
	free(req);
}

/* ---- RSA ---- */

static void rsa_agrees_with_libcrypto(void **state)
{
	static const unsigned int sizes[] = {1024, 2048, 3072, 4096};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < vc_array_size(sizes); i++) {
		uint8_t in[512], out[512], back[512];
		uint32_t size = sizes[i] / 8, n = size;
		struct akcipher_session private, public;

		rsa_raw_agrees(f, sizes[i], &private, &public, in, out);
		assert_int_equal(operate(f, &public, VC_REQUEST_AK_VERIFY, out, size, in,
		                         (uint16_t)size, back, NULL),
		                 VIRTIO_CRYPTO_OK);
		in[size - 1] ^= 1;
		assert_int_equal(operate(f, &public, VC_REQUEST_AK_VERIFY, out, size, in,
		                         (uint16_t)size, back, NULL),
		                 VIRTIO_CRYPTO_KEY_REJECTED);
		assert_int_equal(
			operate(f, &public, VC_REQUEST_AK_DECRYPT, in, size, NULL, 0, out, &n),
			VIRTIO_CRYPTO_KEY_REJECTED);
		session_close(f, &private);
		session_close(f, &public);
	}
}

static void rsa_signatures_agree(void **state)
{
	struct fixture *f = *state;
	EVP_PKEY *key = reference_key(2048);
	EVP_PKEY_CTX *c = reference(key, EVP_PKEY_sign_init, RSA_PKCS1_PADDING, EVP_sha256());
	uint8_t digest[32], out[256], expected[256];
	struct akcipher_session s;
	size_t m = sizeof(expected);
	uint32_t n = 256;

	rsa_session_open(f, &s, 2048, true, PKCS1, VIRTIO_CRYPTO_RSA_SHA256);
	random_fill(digest, sizeof(digest));
	assert_int_equal(EVP_PKEY_sign(c, expected, &m, digest, sizeof(digest)), 1);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_SIGN, digest, 32, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_OK);
	assert_int_equal(n, 256);
	assert_memory_equal(out, expected, 256);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_VERIFY, out, 256, digest, 32, NULL, NULL),
	                 VIRTIO_CRYPTO_OK);
	digest[0] ^= 1;
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_VERIFY, out, 256, digest, 32, NULL, NULL),
	                 VIRTIO_CRYPTO_KEY_REJECTED);
	/* Of what is above the modulus, nothing is made. */
	memset(out, 0xff, sizeof(out));
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_VERIFY, out, 256, digest, 32, NULL, NULL),
	                 VIRTIO_CRYPTO_KEY_REJECTED);
	session_close(f, &s);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(key);
}

static void rsa_decryption_with_padding_is_left(void **state)
{
	struct fixture *f = *state;
	struct akcipher_session s;
	uint8_t in[256] = {0, 2}, out[256];
	uint32_t n = 256;

	rsa_session_open(f, &s, 2048, true, PKCS1, 0);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_DECRYPT, in, 256, NULL, 0, out, &n),
	                 VC_STATUS_REFUSED);
	session_close(f, &s);
}

/* A key whose numbers do not belong together would give itself away by a result made with it. */
static void a_wrong_result_does_not_get_out(void **state)
{
	struct fixture *f = *state;
	struct test_key key = test_rsa_private(1024);
	uint8_t *der = malloc(key.len), in[128], out[128], before[128];
	struct akcipher_session s = {.params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                        .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                        .private_key = 1,
	                                        .rsa_padding = RAW,
	                                        .key_bits = 1024,
	                                        .key_len = (uint32_t)key.len}};
	uint32_t n = 128;

	random_fill(in, sizeof(in));
	in[0] = 0;
	memset(out, 0x3c, sizeof(out));
	memcpy(before, out, sizeof(out));
	for (unsigned int at = 1; at < 500; at += 70) {
		/* Somewhere in the numbers, from the private exponent to the coefficient. */
		memcpy(der, key.der, key.len);
		der[key.len - at] ^= 2;
		s.params.key = der;
		if (f->resource->ops->realise(f->instance, &s.params, &s.handle) < 0)
			continue;
		if (operate(f, &s, VC_REQUEST_AK_DECRYPT, in, 128, NULL, 0, out, &n) !=
		    VIRTIO_CRYPTO_OK)
			assert_memory_equal(out, before, sizeof(out));
		memcpy(out, before, sizeof(out));
		session_close(f, &s);
	}
	free(der);
}

/* Also those that fail, of which DPDK forgets to take back the memory. */
static void rsa_sessions_are_given_back(void **state)
{
	struct fixture *f = *state;
	struct akcipher_session s;
	struct session_params bad;
	uint8_t in[128] = {0, 1}, out[128];
	uint32_t n = 128;
	void *handle;

	for (unsigned int i = 0; i < 2000; i++) {
		rsa_session_open(f, &s, 1024, i % 2, RAW, 0);
		bad = s.params;
		bad.key_len--;
		assert_true(f->resource->ops->realise(f->instance, &bad, &handle) < 0);
		session_close(f, &s);
	}
	rsa_session_open(f, &s, 1024, true, RAW, 0);
	assert_int_equal(operate(f, &s, VC_REQUEST_AK_DECRYPT, in, 128, NULL, 0, out, &n),
	                 VIRTIO_CRYPTO_OK);
	session_close(f, &s);
}

/* DPDK's driver leaks with each: a guest must not be able to go on for ever. */
static void rsa_sessions_of_openssl_end(void **state)
{
	struct fixture *f = *state;
	struct akcipher_session s;
	unsigned int made = 0;
	int err = 0;
	void *handle;

	rsa_session_open(f, &s, 512, false, RAW, 0);
	while (!err && made < 20000) {
		err = f->resource->ops->realise(f->instance, &s.params, &handle);
		if (!err)
			f->resource->ops->drop(f->instance, handle);
		made += !err;
	}
	assert_int_equal(err, -ENOTSUP);
	assert_true(made > 16000);
	session_close(f, &s);
}

/* One at a time, so that a worker is not held up; the others are taken later. */
static void software_does_rsa_one_by_one(void **state)
{
	struct fixture *f = *state;
	struct vc_request *reqs = requests_new(8), *ptr[8];
	uint8_t in[128] = {0, 1}, out[8][128];
	struct akcipher_session s;

	rsa_session_open(f, &s, 1024, true, RAW, 0);
	for (unsigned int i = 0; i < 8; i++) {
		reqs[i].handle = s.handle;
		reqs[i].kind = VC_REQUEST_AK_DECRYPT;
		reqs[i].src = in;
		reqs[i].length = 128;
		reqs[i].dst = out[i];
		reqs[i].dst_len = 128;
		ptr[i] = &reqs[i];
	}
	assert_int_equal(f->resource->ops->submit(f->instance, ptr, 8), 1);
	while (f->instance->in_flight) {
		struct vc_request *done;

		f->resource->ops->poll(f->instance, &done, 1, true);
	}
	fixture_run(f, reqs + 1, 7, 7);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(reqs[i].status, VIRTIO_CRYPTO_OK);
		assert_memory_equal(out[i], out[0], 128);
	}
	session_close(f, &s);
	free(reqs);
}

#define with(open, t) cmocka_unit_test_setup_teardown(t, open, close_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_process_is_left_as_it_was),
		cmocka_unit_test(a_null_device_offers_nothing),
		cmocka_unit_test(an_unknown_vdev_is_said),
		cmocka_unit_test(a_vdev_that_does_no_cryptography_is_said),
		cmocka_unit_test(a_device_that_is_not_there_is_said),
		cmocka_unit_test(too_few_queue_pairs_are_said),
		cmocka_unit_test(each_instance_has_queues_of_its_own),
		cmocka_unit_test(sessions_run_out_and_come_back),
		with(open_multi_buffer, software_does_not_hang),
		with(open_multi_buffer, a_full_device_takes_the_rest_later),
		with(open_multi_buffer, additional_data_has_some_lengths),
		with(open_openssl, additional_data_has_some_lengths),
		with(open_openssl, rsa_agrees_with_libcrypto),
		with(open_openssl, rsa_signatures_agree),
		with(open_openssl, rsa_decryption_with_padding_is_left),
		with(open_openssl, a_wrong_result_does_not_get_out),
		with(open_openssl, rsa_sessions_are_given_back),
		with(open_openssl, rsa_sessions_of_openssl_end),
		with(open_openssl, software_does_rsa_one_by_one),
	};

	if (!mkdtemp(directory))
		return 1;
	setenv("VCRYPTO_RUNTIME_DIR", directory, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
