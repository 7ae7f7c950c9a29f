/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data requests with VIRTIO_CRYPTO_F_REVISION_1 (virtio 1.3, 5.9.7.3): every kind of request with
 * parameters that are not padded, with the layout of stateless mode, and in stateless mode; and
 * requests that lie about their keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "host/stateless.h"
#include "request_layouts.h"
#include "request_model.h"

#define REVISION_1 (1u << VIRTIO_CRYPTO_F_REVISION_1)

static bool deny;

static bool can(void *context, const struct session_params *params)
{
	return !deny;
}

static void drop(void *context, struct session *session)
{
	session_release(session);
}

static int revision_open(void **state)
{
	const struct stateless_options options = {.capacity = 8, .can = can, .drop = drop};
	struct fixture *f;

	deny = false;
	fixture_open(state);
	f = *state;
	f->context.features = VIRTIO_CRYPTO_FEATURES;
	f->context.stateless = stateless_new(&options);
	assert_non_null(f->context.stateless);
	return 0;
}

static int revision_close(void **state)
{
	struct fixture *f = *state;

	stateless_free(f->context.stateless);
	return fixture_close(state);
}

#define revision_test(t) cmocka_unit_test_setup_teardown(t, revision_open, revision_close)

/* ---- every kind of request ---- */

enum layout { NOT_PADDED, OF_STATELESS, STATELESS };

static uint32_t bytes_of(struct fixture *f, const struct test_case *c, enum layout layout,
                         uint8_t *out)
{
	if (layout == NOT_PADDED)
		return layout_revision(f, c, out);
	return layout_stateless(f, c, layout_params(f, c),
	                        layout == OF_STATELESS ? LAYOUT_SESSION : 0, out);
}

static void run_all(struct fixture *f, enum layout layout)
{
	static uint8_t out[MAX_OUT];
	uint64_t seed = 21 + layout;

	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];
		uint32_t n = bytes_of(f, c, layout, out);
		uint32_t least = (n + c->in) / 200 + 2;

		model_run(f, c, out, n, &seed, 0);
		for (int round = 0; round < 50; round++)
			model_run(f, c, out, n, &seed, least + guest_random(&seed) % 200);
	}
}

static void test_parameters_are_not_padded(void **state)
{
	struct fixture *f = *state;

	f->context.features = REVISION_1;
	run_all(f, NOT_PADDED);
}

static void test_sessions_in_the_layout_of_stateless_mode(void **state)
{
	run_all(*state, OF_STATELESS);
}

static void test_stateless_requests_of_every_kind(void **state)
{
	run_all(*state, STATELESS);
}

/* Each service has its own bit. */
static void test_stateless_mode_is_negotiated_by_service(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[MAX_OUT];
	uint64_t seed = 31;

	for (unsigned int service = 0; service < 5; service++) {
		f->context.features = REVISION_1 | 2u << service;
		for (size_t i = 0; i < test_case_count; i++) {
			const struct test_case *c = &test_cases[i];
			bool is = layout_params(f, c)->service == service;

			model_run(f, c, out, bytes_of(f, c, is ? STATELESS : NOT_PADDED, out),
			          &seed, 100);
		}
	}
}

/* ---- sessions that come with the request ---- */

static struct session *session_of(struct fixture *f, const struct test_case *c,
                                  const struct session_params *p)
{
	static struct vring_chain chain;
	static uint8_t out[MAX_OUT];
	static struct offer o;
	struct vc_request req;
	struct session *session;
	uint64_t seed = 41;

	offer(f, &seed, out, layout_stateless(f, c, p, 0, out), c->in + 1, 0, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(&req, &chain, &f->context), 0);
	session = req.session;
	req.status = VIRTIO_CRYPTO_ERR;
	request_finish(&req, &f->context);
	give_back(f, &chain, 1);
	return session;
}

static void test_equal_keys_are_one_session(void **state)
{
	struct fixture *f = *state;
	const struct test_case *c = test_case("chain");
	struct session_params p = *layout_params(f, c);
	uint8_t key[16] = {9}, auth_key[20] = {9};
	struct session *first = session_of(f, c, &p);
	struct stateless_counters counters;

	assert_ptr_equal(session_of(f, c, &p), first);
	assert_memory_equal(first->params.key, p.key, p.key_len);
	assert_memory_equal(first->params.auth_key, p.auth_key, p.auth_key_len);
	assert_int_equal(first->params.chain, p.chain);
	assert_int_equal(first->params.mac, p.mac);
	p.key = key;
	assert_ptr_not_equal(session_of(f, c, &p), first);
	p = *layout_params(f, c);
	p.auth_key = auth_key;
	assert_ptr_not_equal(session_of(f, c, &p), first);
	p = *layout_params(f, c);
	p.mac = VIRTIO_CRYPTO_MAC_HMAC_SHA_256;
	assert_ptr_not_equal(session_of(f, c, &p), first);
	stateless_count(f->context.stateless, &counters);
	assert_int_equal(counters.hits, 1);
	assert_int_equal(counters.count, 4);
}

/* ---- lies ---- */

static void expect_status(struct fixture *f, const uint8_t *out, uint32_t out_len, uint32_t in_len,
                          int wanted)
{
	static struct vring_chain chain;
	static struct offer o;
	struct vc_request req;
	uint64_t seed = 51;
	int rc;

	offer(f, &seed, out, out_len, in_len, 0, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	rc = request_parse(&req, &chain, &f->context);
	if (!rc) {
		req.status = VIRTIO_CRYPTO_ERR;
		request_finish(&req, &f->context);
	}
	assert_int_equal(rc, wanted);
	give_back(f, &chain, 1);
}

/* Every kind in every layout, one byte too short either way, and with any part of its header. */
static void test_requests_cut_short(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[MAX_OUT];

	for (enum layout layout = NOT_PADDED; layout <= STATELESS; layout++) {
		f->context.features = layout == NOT_PADDED ? REVISION_1 : VIRTIO_CRYPTO_FEATURES;
		for (size_t i = 0; i < test_case_count; i++) {
			const struct test_case *c = &test_cases[i];
			uint32_t n = bytes_of(f, c, layout, out);

			expect_status(f, out, n - 1, c->in + 1, VIRTIO_CRYPTO_ERR);
			if (c->in)
				expect_status(f, out, n, c->in, VIRTIO_CRYPTO_ERR);
			for (uint32_t k = 0; k < vc_min(n, 110u); k++)
				expect_status(f, out, k, c->in + 1, VIRTIO_CRYPTO_ERR);
		}
	}
}

static void test_without_the_flag_there_is_no_session(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[MAX_OUT];
	const uint32_t flags[] = {0, 2};

	f->context.features = REVISION_1;
	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];
		uint32_t n = layout_revision(f, c, out);

		if (layout_is_ours(c))
			continue;
		for (size_t k = 0; k < vc_array_size(flags); k++) {
			memcpy(out + 16, &flags[k], 4);
			expect_status(f, out, n, c->in + 1, VIRTIO_CRYPTO_NOTSUPP);
		}
	}
	/* And where both are possible, no third is. */
	f->context.features = VIRTIO_CRYPTO_FEATURES;
	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];
		uint32_t n = bytes_of(f, c, STATELESS, out);

		if (layout_is_ours(c))
			continue;
		memcpy(out + 16, &flags[1], 4);
		expect_status(f, out, n, c->in + 1, VIRTIO_CRYPTO_ERR);
	}
}

static void test_services_and_sessions_that_are_not_there(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[MAX_OUT];
	const struct test_case *c = test_case("cbc 16");
	const uint32_t opcodes[] = {0x500, 0x56430000, UINT32_MAX};
	uint64_t id = f->session[c->session] + (1u << 24);
	uint32_t n = layout_revision(f, c, out);

	for (unsigned int i = 0; i < 2; i++) {
		f->context.features = i ? VIRTIO_CRYPTO_FEATURES : REVISION_1;
		n = bytes_of(f, c, i ? OF_STATELESS : NOT_PADDED, out);
		memcpy(out + 8, &id, sizeof(id));
		expect_status(f, out, n, c->in + 1, VIRTIO_CRYPTO_INVSESS);
		for (size_t k = 0; k < vc_array_size(opcodes); k++) {
			memcpy(out, &opcodes[k], 4);
			expect_status(f, out, n, c->in + 1, VIRTIO_CRYPTO_NOTSUPP);
		}
	}
}

/* A word of a stateless request changed. Offsets are behind the header of 24 bytes. */
struct lie {
	const char *base;
	uint32_t at, value;
	int wanted;
};

static const struct lie lies[] = {
	/* Key lengths: of no AES; more than there is; more than anybody has; sums that wrap. */
	{"cbc 16", 4, 17, VIRTIO_CRYPTO_ERR},
	{"cbc 16", 4, 0, VIRTIO_CRYPTO_ERR},
	{"cbc 16", 4, 7000, VIRTIO_CRYPTO_ERR},
	{"cbc 16", 4, 8193, VIRTIO_CRYPTO_ERR},
	{"cbc 16", 4, UINT32_MAX, VIRTIO_CRYPTO_ERR},
	{"chain", 12, UINT32_MAX - 19, VIRTIO_CRYPTO_ERR},
	{"chain", 24, UINT32_MAX - 15, VIRTIO_CRYPTO_ERR},
	{"chain", 24, 0, VIRTIO_CRYPTO_ERR},
	{"mac", 4, 0, VIRTIO_CRYPTO_ERR},
	{"mac", 4, 513, VIRTIO_CRYPTO_ERR},
	{"gcm", 4, 20, VIRTIO_CRYPTO_ERR},
	{"rsa sign", 8, 100, VIRTIO_CRYPTO_ERR},
	{"ecdsa sign", 8, 0, VIRTIO_CRYPTO_ERR},
	/* Algorithms that nobody has. */
	{"cbc 16", 0, 1, VIRTIO_CRYPTO_NOTSUPP},
	{"cbc 16", 0, 0x103, VIRTIO_CRYPTO_NOTSUPP},
	{"hash", 0, 1, VIRTIO_CRYPTO_NOTSUPP},
	{"mac", 0, 41, VIRTIO_CRYPTO_NOTSUPP},
	{"gcm", 0, 4, VIRTIO_CRYPTO_NOTSUPP},
	{"chain", 28, VIRTIO_CRYPTO_SYM_HASH_MODE_NESTED, VIRTIO_CRYPTO_NOTSUPP},
	{"chain", 20, 0, VIRTIO_CRYPTO_NOTSUPP},
	{"chain", 4, 8, VIRTIO_CRYPTO_NOTSUPP},  /* additional data of the session */
	{"chain", 60, 8, VIRTIO_CRYPTO_NOTSUPP}, /* and of the request */
	{"rsa sign", 0, 9, VIRTIO_CRYPTO_NOTSUPP},
	{"rsa sign", 12, 2, VIRTIO_CRYPTO_NOTSUPP},
	{"ecdsa sign", 12, 6, VIRTIO_CRYPTO_NOTSUPP},
	/* Another curve, the other half, neither direction, no order. */
	{"ecdsa sign", 12, VIRTIO_CRYPTO_CURVE_NIST_P384, VIRTIO_CRYPTO_ERR},
	{"ecdsa sign", 4, VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC, VIRTIO_CRYPTO_ERR},
	{"rsa sign", 4, 3, VIRTIO_CRYPTO_ERR},
	{"cbc 16", 8, 0, VIRTIO_CRYPTO_ERR},
	{"cbc 16", 8, VIRTIO_CRYPTO_OP_DECRYPT, VIRTIO_CRYPTO_ERR},
	{"gcm", 8, VIRTIO_CRYPTO_OP_DECRYPT, VIRTIO_CRYPTO_ERR},
	{"chain", 0, 0, VIRTIO_CRYPTO_ERR},
	{"chain", 0, 3, VIRTIO_CRYPTO_ERR},
	/* Results of no length, or of too much. */
	{"hash", 8, 0, VIRTIO_CRYPTO_ERR},
	{"hash", 8, 33, VIRTIO_CRYPTO_ERR},
	{"mac", 12, 0, VIRTIO_CRYPTO_ERR},
	{"mac", 12, 0x10040, VIRTIO_CRYPTO_ERR},
	{"gcm", 16, 0, VIRTIO_CRYPTO_ERR},
	{"gcm", 16, 17, VIRTIO_CRYPTO_ERR},
	{"chain", 64, 0, VIRTIO_CRYPTO_ERR},
	/* A plain hash has no key. */
	{"chain, plain hash", 24, 1, VIRTIO_CRYPTO_ERR},
	/* What session mode checks is checked. */
	{"cbc 16", 12, 12, VIRTIO_CRYPTO_ERR},
	{"cbc 16", 16, 15, VIRTIO_CRYPTO_ERR},
	{"cbc 16", 72, 0, VIRTIO_CRYPTO_NOTSUPP},
	{"gcm", 12, 16, VIRTIO_CRYPTO_NOTSUPP},
	{"hash", 4, UINT32_MAX, VIRTIO_CRYPTO_ERR},
};

static void test_stateless_requests_that_lie(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[MAX_OUT];

	for (size_t i = 0; i < vc_array_size(lies); i++) {
		const struct test_case *c = test_case(lies[i].base);
		uint32_t n = layout_stateless(f, c, layout_params(f, c), 0, out);

		memcpy(out + 24 + lies[i].at, &lies[i].value, 4);
		/* More than enough bytes, so that the chain is not what is too short. */
		memset(out + n, 0, 600);
		expect_status(f, out, n + 600, c->in + 601, lies[i].wanted);
	}
}

/* The key of a request that has not all of it is not kept. */
static void test_half_a_key_is_no_key(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[MAX_OUT];
	const struct test_case *c = test_case("cbc 16");
	struct stateless_counters counters;

	layout_stateless(f, c, layout_params(f, c), 0, out);
	expect_status(f, out, 24 + 76 + 15, c->in + 1, VIRTIO_CRYPTO_ERR);
	stateless_count(f->context.stateless, &counters);
	assert_int_equal(counters.count, 0);
	/* All of the key, and nothing else. */
	expect_status(f, out, 24 + 76 + 16, c->in + 1, VIRTIO_CRYPTO_ERR);
	stateless_count(f->context.stateless, &counters);
	assert_int_equal(counters.count, 1);
}

/* It says that it has a session, and brings a key. */
static void test_a_session_brings_no_key(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[MAX_OUT];
	const uint32_t flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE;

	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];
		const struct session_params *p = layout_params(f, c);
		uint32_t n = layout_stateless(f, c, p, 0, out);

		if (!p->key_len && !p->auth_key_len)
			continue;
		memcpy(out + 8, &f->session[c->session], 8);
		memcpy(out + 16, &flag, 4);
		expect_status(f, out, n, c->in + 1, VIRTIO_CRYPTO_ERR);
	}
}

static void test_what_no_resource_can_is_not_supported(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[MAX_OUT];
	const struct test_case *c = test_case("gcm");
	uint32_t n = bytes_of(f, c, STATELESS, out);

	deny = true;
	expect_status(f, out, n, c->in + 1, VIRTIO_CRYPTO_NOTSUPP);
	deny = false;
	expect_status(f, out, n, c->in + 1, VIRTIO_CRYPTO_OK);
	/* Without memory for a cache. */
	stateless_free(f->context.stateless);
	f->context.stateless = NULL;
	expect_status(f, out, n, c->in + 1, VIRTIO_CRYPTO_ERR);
}

/* Random words in requests of every kind: completed, and nothing out of bounds (under ASan). */
static void test_random_stateless_requests_do_no_harm(void **state)
{
	struct fixture *f = *state;
	static struct vring_chain chain;
	static uint8_t out[MAX_OUT];
	static struct offer o;
	struct vc_request req;
	uint64_t seed = 61;
	unsigned int taken = 0;

	for (int i = 0; i < 30000; i++) {
		const struct test_case *c = &test_cases[guest_random(&seed) % test_case_count];
		uint32_t n = bytes_of(f, c, i % 2 ? STATELESS : OF_STATELESS, out), value;

		for (unsigned int k = guest_random(&seed) % 3; k; k--) {
			uint32_t word = guest_random(&seed) % 25;

			value = guest_random(&seed);
			value = value % 3 ? value % 100 : value;
			if (word * 4 + 4 <= n)
				memcpy(out + word * 4, &value, 4);
		}
		offer(f, &seed, out, n, c->in + 1, 0, &o);
		assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
		int rc = request_parse(&req, &chain, &f->context);

		assert_true(rc >= 0);
		if (!rc) {
			taken++;
			if (req.length)
				(void)*(volatile const uint8_t *)(req.src + req.length - 1);
			req.status = VIRTIO_CRYPTO_ERR;
			request_finish(&req, &f->context);
		}
		give_back(f, &chain, 1);
	}
	assert_true(taken > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		revision_test(test_parameters_are_not_padded),
		revision_test(test_sessions_in_the_layout_of_stateless_mode),
		revision_test(test_stateless_requests_of_every_kind),
		revision_test(test_stateless_mode_is_negotiated_by_service),
		revision_test(test_equal_keys_are_one_session),
		revision_test(test_requests_cut_short),
		revision_test(test_without_the_flag_there_is_no_session),
		revision_test(test_services_and_sessions_that_are_not_there),
		revision_test(test_stateless_requests_that_lie),
		revision_test(test_half_a_key_is_no_key),
		revision_test(test_a_session_brings_no_key),
		revision_test(test_what_no_resource_can_is_not_supported),
		revision_test(test_random_stateless_requests_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
