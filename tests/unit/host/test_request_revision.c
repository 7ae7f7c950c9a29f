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
#include "request_model.h"

#define REVISION_1 (1u << VIRTIO_CRYPTO_F_REVISION_1)
#define SESSION 0x100 /* a session, in the layout of stateless mode */

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

static const struct session_params *params_of(const struct fixture *f, const struct test_case *c)
{
	return &session_get(f->context.sessions, f->session[c->session])->params;
}

/* ---- layouts, from the specification and not from our structures ---- */

struct writer {
	uint8_t *at;
};

static void put(struct writer *w, uint32_t value)
{
	memcpy(w->at, &value, sizeof(value));
	w->at += sizeof(value);
}

static void put_words(struct writer *w, const void *words, unsigned int n)
{
	memcpy(w->at, words, n * sizeof(uint32_t));
	w->at += n * sizeof(uint32_t);
}

static void put_bytes(struct writer *w, const uint8_t *bytes, uint32_t n)
{
	if (n)
		memcpy(w->at, bytes, n);
	w->at += n;
}

/* struct virtio_crypto_sym_data_flf_stateless: 72 bytes, then op_type. */
static void put_sym(struct writer *w, const struct virtio_crypto_op_data_req *r,
                    const struct session_params *p)
{
	uint8_t *begin = w->at;
	uint32_t op = p->encrypt ? 1 : 2;

	memset(begin, 0xdd, 72);
	if (p->chain) {
		put(w, p->chain);
		put(w, 0); /* aad_len */
		put(w, p->cipher);
		put(w, p->key_len);
		put(w, op);
		put(w, p->mac ? p->mac : p->hash);
		put(w, p->auth_key_len);
		put(w, p->mac ? 2 : 1);
		put_words(w, &r->u.sym.u.chain, 10);
	} else {
		put(w, p->cipher);
		put(w, p->key_len);
		put(w, op);
		put(w, r->u.sym.u.cipher.iv_len);
		put(w, r->u.sym.u.cipher.src_len);
		put(w, r->u.sym.u.cipher.dst_len);
	}
	w->at = begin + 72;
	put(w, r->u.sym.op_type);
}

static void put_akcipher(struct writer *w, const struct virtio_crypto_op_data_req *r,
                         const struct session_params *p)
{
	bool rsa = p->akcipher == VIRTIO_CRYPTO_AKCIPHER_RSA;

	put(w, p->akcipher);
	put(w, p->private_key ? 2 : 1);
	put(w, p->key_len);
	put(w, rsa ? p->rsa_padding : p->curve);
	put(w, rsa ? p->rsa_hash : 0xdddddddd);
	put_words(w, &r->u.akcipher, 2);
}

/* Header and fixed parameters of stateless mode. key_len and auth_key_len of p are announced. */
static void put_stateless(struct writer *w, const struct virtio_crypto_op_data_req *r,
                          const struct session_params *p)
{
	put_words(w, &r->header, 6);
	switch (p->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		put_sym(w, r, p);
		break;
	case VIRTIO_CRYPTO_SERVICE_HASH:
		put(w, p->hash);
		put_words(w, &r->u.hash, 2);
		put(w, 0xdddddddd);
		break;
	case VIRTIO_CRYPTO_SERVICE_MAC:
		put(w, p->mac);
		put(w, p->auth_key_len);
		put_words(w, &r->u.mac, 2);
		break;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		put(w, p->aead);
		put(w, p->key_len);
		put(w, p->encrypt ? 1 : 2);
		put(w, r->u.aead.iv_len);
		put(w, r->u.aead.tag_len);
		put(w, r->u.aead.aad_len);
		put(w, r->u.aead.src_len);
		put(w, r->u.aead.dst_len);
		break;
	default:
		put_akcipher(w, r, p);
		break;
	}
}

/* The OUT bytes of a case, with keys in front of what follows the parameters (service's own when
 * flags has no SESSION). Returns how many. */
static uint32_t stateless_bytes(const struct fixture *f, const struct test_case *c,
                                const struct session_params *p, unsigned int mode, uint8_t *out)
{
	static uint8_t legacy[MAX_OUT];
	struct virtio_crypto_op_data_req header;
	struct session_params announce = *p;
	uint32_t n = case_bytes(f, c, legacy);
	struct writer w = {out};

	memcpy(&header, legacy, sizeof(header));
	if (mode == SESSION) {
		header.header.flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE;
		announce.key_len = announce.auth_key_len = 0;
	} else {
		header.header.flag = 0;
		header.header.session_id = UINT64_MAX;
	}
	put_stateless(&w, &header, &announce);
	if (mode != SESSION) {
		put_bytes(&w, p->key, p->key_len);
		put_bytes(&w, p->auth_key, p->auth_key_len);
	}
	put_bytes(&w, legacy + 72, n - 72);
	return (uint32_t)(w.at - out);
}

/* Session mode, parameters not padded. */
static uint32_t revision_bytes(const struct fixture *f, const struct test_case *c, uint8_t *out)
{
	static const uint8_t sizes[] = {48, 8, 8, 24, 8};
	static uint8_t legacy[MAX_OUT];
	uint32_t n = case_bytes(f, c, legacy), size = 24u + sizes[params_of(f, c)->service];
	const uint32_t flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE;

	memcpy(out, legacy, size);
	memcpy(out + 16, &flag, sizeof(flag));
	memcpy(out + size, legacy + 72, n - 72);
	return size + n - 72;
}

/* ---- every kind of request ---- */

enum layout { NOT_PADDED, OF_STATELESS, STATELESS };

static uint32_t bytes_of(struct fixture *f, const struct test_case *c, enum layout layout,
                         uint8_t *out)
{
	if (layout == NOT_PADDED)
		return revision_bytes(f, c, out);
	return stateless_bytes(f, c, params_of(f, c), layout == OF_STATELESS ? SESSION : 0, out);
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
			bool is = params_of(f, c)->service == service;

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

	offer(f, &seed, out, stateless_bytes(f, c, p, 0, out), c->in + 1, 0, &o);
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
	struct session_params p = *params_of(f, c);
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
	p = *params_of(f, c);
	p.auth_key = auth_key;
	assert_ptr_not_equal(session_of(f, c, &p), first);
	p = *params_of(f, c);
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
		uint32_t n = revision_bytes(f, c, out);

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
	uint32_t n = revision_bytes(f, c, out);

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
		uint32_t n = stateless_bytes(f, c, params_of(f, c), 0, out);

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

	stateless_bytes(f, c, params_of(f, c), 0, out);
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
		const struct session_params *p = params_of(f, c);
		uint32_t n = stateless_bytes(f, c, p, 0, out);

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
