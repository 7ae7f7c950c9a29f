/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data requests of every kind: parsed as they are meant however they are cut into descriptors, and
 * delivered where they belong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "host/bounce.h"
#include "request_model.h"

static void run_case(struct fixture *f, const struct test_case *c, uint64_t *seed, uint32_t most)
{
	static uint8_t out[MAX_OUT];

	model_run(f, c, out, case_bytes(f, c, out), seed, most);
}

/* Whether the request points into these bytes. */
static bool points_at(const struct vc_request *req, const uint8_t *start, uint64_t size)
{
	struct memtable *table = memtable_new();
	bool points;

	assert_non_null(table);
	table->region[0] = (struct memregion){.size = size, .host = (uint8_t *)(uintptr_t)start};
	table->count = 1;
	points = request_points_into(req, table);
	/* There is no mapping to let go of. */
	table->count = 0;
	memtable_free(table);
	return points;
}

static bool changed(const struct vring_segment *segment)
{
	for (uint32_t i = 0; i < segment->len; i++)
		if (segment->base[i] != 0xee)
			return true;
	return false;
}

static void memory_case(struct fixture *f, const struct test_case *c, uint64_t *seed, uint32_t most)
{
	static struct vring_chain chain;
	static struct offer o;
	static uint8_t out[MAX_OUT];
	static bool pointed[VRING_MAX_SEGMENTS];
	const struct vring_segment *in = &chain.segment[0];
	struct vc_request req;

	memset(&req, 0x77, sizeof(req));
	offer(f, seed, out, case_bytes(f, c, out), c->in + 1, most, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(&req, &chain, &f->context), 0);
	in = &chain.segment[chain.out];
	for (unsigned int i = 0; i < chain.in; i++)
		pointed[i] = points_at(&req, in[i].base, in[i].len);
	for (unsigned int i = 0; i < chain.out; i++) {
		const struct vring_segment *segment = &chain.segment[i];

		if (!points_at(&req, segment->base, segment->len)) {
			assert_false((uintptr_t)req.src - (uintptr_t)segment->base < segment->len);
			/* Not read again, then. */
			memset(segment->base, 0xdd, segment->len);
		}
	}
	assert_false(points_at(&req, (uint8_t *)0x1000, 0x1000));
	model_work(c, &req);
	request_finish(&req, &f->context);
	model_expect(f, c, &o);
	for (unsigned int i = 0; i < chain.in; i++)
		assert_true(pointed[i] || !changed(&in[i]));
	assert_true(pointed[chain.in - 1]);
	give_back(f, &chain, req.written);
}

static void test_all_memory_that_is_used_later_is_known(void **state)
{
	uint64_t seed = 3;

	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];
		uint32_t least = (case_out(c) + c->in) / 200 + 2;

		memory_case(*state, c, &seed, 0);
		for (int round = 0; round < 200; round++)
			memory_case(*state, c, &seed, least + guest_random(&seed) % 200);
	}
}

static void test_every_kind_in_one_piece_each_way(void **state)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < test_case_count; i++)
		run_case(*state, &test_cases[i], &seed, 0);
}

static void test_every_kind_cut_at_random(void **state)
{
	uint64_t seed = 2;

	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];
		/* Small pieces as far as a chain can have them. */
		uint32_t least = (case_out(c) + c->in) / 200 + 2;

		for (int round = 0; round < 200; round++)
			run_case(*state, c, &seed, least + guest_random(&seed) % 200);
	}
}

/* Linux: header, iv, each segment and the status in descriptors of their own, in place. */
static void test_in_place(void **state)
{
	struct fixture *f = *state;
	static struct vring_chain chain;
	const struct test_case *c = test_case("cbc 1 KiB");
	uint8_t out[2048];
	struct vc_request req;
	struct virtq_desc d[] = {
		OUT_DESC(GUEST_DATA, 72),           OUT_DESC(GUEST_DATA + 0x100, 16),
		OUT_DESC(GUEST_DATA + 0x200, 1024), IN_DESC(GUEST_DATA + 0x200, 1024),
		IN_DESC(GUEST_DATA + 0x800, 1),
	};

	case_bytes(f, c, out);
	memcpy(guest_at(&f->guest, GUEST_DATA), out, 72);
	memcpy(guest_at(&f->guest, GUEST_DATA + 0x100), out + 72, 16);
	memcpy(guest_at(&f->guest, GUEST_DATA + 0x200), out + 88, 1024);
	guest_offer(&f->guest, guest_chain(&f->guest, d, 5));
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(&req, &chain, &f->context), 0);
	assert_ptr_equal(req.src, req.dst);
	assert_null(req.bounce);
	model_work(c, &req);
	request_finish(&req, &f->context);
	for (int i = 0; i < 1024; i++)
		assert_int_equal(f->guest.memory[GUEST_DATA + 0x200 + i], model_byte(out[88 + i]));
}

/* Pieces that follow each other in memory are one: no copy. */
static void test_touching_pieces_are_not_copied(void **state)
{
	struct fixture *f = *state;
	static struct vring_chain chain;
	uint8_t out[2048];
	struct vc_request req;
	struct virtq_desc d[] = {
		OUT_DESC(GUEST_DATA, 88),           OUT_DESC(GUEST_DATA + 88, 500),
		OUT_DESC(GUEST_DATA + 588, 524),    IN_DESC(GUEST_DATA + 0x1000, 24),
		IN_DESC(GUEST_DATA + 0x1018, 1001),
	};

	uint32_t n = case_bytes(f, test_case("cbc 1 KiB"), out);

	memcpy(guest_at(&f->guest, GUEST_DATA), out, n);
	guest_offer(&f->guest, guest_chain(&f->guest, d, 5));
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(&req, &chain, &f->context), 0);
	assert_null(req.bounce);
	assert_ptr_equal(req.dst, chain.segment[3].base);
}
/* ---- as drivers lay out nearly all requests, which are read a short way ---- */

#define USUAL_MOST 5

/* Header and IV, source (and tag), additional data if any; destination (and tag), status byte.
 * Returns how many descriptors. */
static unsigned int usual_pieces(struct fixture *f, const struct test_case *c, struct virtq_desc *d,
                                 struct offer *o)
{
	static uint8_t out[MAX_OUT];
	uint32_t at = guest_alloc(&f->guest, 2 * MAX_OUT), in = at + MAX_OUT, first = 72 + c->iv;
	unsigned int n = 0;

	memcpy(guest_at(&f->guest, at), out, case_bytes(f, c, out));
	memset(guest_at(&f->guest, in), 0xee, MAX_OUT);
	d[n++] = OUT_DESC(at, first);
	d[n++] = OUT_DESC(at + first, c->src + c->tag_in);
	if (c->aad)
		d[n++] = OUT_DESC(at + first + c->src + c->tag_in, c->aad);
	d[n++] = IN_DESC(in, c->in);
	d[n++] = IN_DESC(in + c->in + 64, 1);
	o->in_len = c->in + 1;
	for (uint32_t i = 0; i < c->in; i++)
		o->in[i] = in + i;
	o->in[c->in] = in + c->in + 64;
	return n;
}

static int usual_parse(struct fixture *f, const struct virtq_desc *d, unsigned int n,
                       struct vring_chain *chain, struct vc_request *req)
{
	memset(req, 0x77, sizeof(*req));
	guest_offer(&f->guest, guest_indirect(&f->guest, d, n));
	assert_int_equal(vring_pop(&f->guest.ring, chain), 1);
	return request_parse(req, chain, &f->context);
}

/* Starts the guest's memory anew, for there are many cases. */
static bool usual_case(struct fixture *f, const struct test_case *c)
{
	f->guest.data = GUEST_DATA;
	return (c->kind == VC_REQUEST_CIPHER || c->kind == VC_REQUEST_AEAD) && c->src;
}

static void test_usual_requests_use_memory_where_it_is(void **state)
{
	static struct vring_chain chain;
	static struct offer o;
	struct fixture *f = *state;
	struct virtq_desc d[USUAL_MOST];
	struct vc_request req;
	unsigned int tried = 0;

	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];
		unsigned int n;

		if (!usual_case(f, c))
			continue;
		n = usual_pieces(f, c, d, &o);
		assert_int_equal(usual_parse(f, d, n, &chain, &req), 0);
		assert_null(req.bounce);
		assert_ptr_equal(req.src, chain.segment[1].base);
		assert_ptr_equal(req.dst, chain.segment[chain.out].base);
		if (c->aad)
			assert_ptr_equal(req.aad, chain.segment[2].base);
		/* IV and tag that came are copies: the guest may change its own. */
		memset(guest_at(&f->guest, (uint32_t)(d[0].addr - GUEST_ADDR)), 0xdd, d[0].len);
		memset(chain.segment[1].base + c->src, 0xdd, c->tag_in);
		for (uint32_t k = 0; k < c->iv; k++)
			assert_int_equal(req.iv[k], out_byte(72 + k));
		for (uint32_t k = 0; k < c->tag_in; k++)
			assert_int_equal(req.tag[k], out_byte(72 + c->iv + c->src + k));
		model_work(c, &req);
		request_finish(&req, &f->context);
		model_expect(f, c, &o);
		assert_int_equal(req.written, c->in + 1);
		give_back(f, &chain, req.written);
		tried++;
	}
	assert_true(tried > 10);
}

/* One byte less in any piece, and the chain is too short for what its header says; one more, and
 * the rest moves: never is there anything read or written that the chain does not have. */
static void test_usual_requests_with_a_piece_of_another_length(void **state)
{
	static struct vring_chain chain;
	static struct offer o;
	struct fixture *f = *state;
	struct virtq_desc d[USUAL_MOST];
	struct vc_request req;

	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];

		for (unsigned int k = 0; usual_case(f, c) && k < 3u + !!c->aad; k++) {
			unsigned int n = usual_pieces(f, c, d, &o);

			d[k].len--;
			if (d[k].len) {
				assert_int_equal(usual_parse(f, d, n, &chain, &req),
				                 VIRTIO_CRYPTO_ERR);
				give_back(f, &chain, 0);
			}
			d[k].len += 2;
			assert_int_equal(usual_parse(f, d, n, &chain, &req), 0);
			assert_int_equal(req.src[0], out_byte(72 + c->iv));
			request_finish(&req, &f->context);
			give_back(f, &chain, req.written);
		}
	}
}

static void test_usual_requests_of_no_session_or_another_algorithm(void **state)
{
	static struct vring_chain chain;
	static struct offer o;
	struct fixture *f = *state;
	struct virtq_desc d[USUAL_MOST];
	struct vc_request req;

	for (size_t i = 0; i < test_case_count; i++) {
		const struct test_case *c = &test_cases[i];
		struct virtio_crypto_op_data_req *header;
		unsigned int n;

		if (!usual_case(f, c))
			continue;
		n = usual_pieces(f, c, d, &o);
		header = (void *)guest_at(&f->guest, (uint32_t)(d[0].addr - GUEST_ADDR));
		header->header.algo = 77;
		assert_int_equal(usual_parse(f, d, n, &chain, &req), VIRTIO_CRYPTO_ERR);
		give_back(f, &chain, 0);
		header->header.algo = 0;
		header->header.session_id ^= 1u << 30;
		assert_int_equal(usual_parse(f, d, n, &chain, &req), VIRTIO_CRYPTO_INVSESS);
		give_back(f, &chain, 0);
	}
}

/* ---- results ---- */

/* Parse a case in one piece or in pieces, for a test that finishes it in its own way. */
static void begin(struct fixture *f, const char *name, uint32_t most, struct vc_request *req,
                  struct offer *o)
{
	static struct vring_chain chain;
	static uint8_t out[MAX_OUT];
	const struct test_case *c = test_case(name);
	uint64_t seed = 5;

	offer(f, &seed, out, case_bytes(f, c, out), c->in + 1, most, o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(req, &chain, &f->context), 0);
}

static void test_what_is_not_authentic_is_wiped(void **state)
{
	struct fixture *f = *state;
	static struct offer o;
	struct vc_request req;

	for (uint32_t most = 0; most < 80; most += 40) {
		begin(f, "gcm back", most, &req, &o);
		memset(req.dst, 0x11, req.length);
		req.status = VIRTIO_CRYPTO_BADMSG;
		request_finish(&req, &f->context);
		assert_int_equal(req.written, 1);
		assert_int_equal(f->guest.memory[o.in[100]], VIRTIO_CRYPTO_BADMSG);
		for (int i = 0; i < 100; i++)
			assert_int_equal(f->guest.memory[o.in[i]], most ? 0xee : 0);
	}
}

static void test_failures_give_a_status_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	static struct offer o;
	struct vc_request req;

	begin(f, "rsa decrypt", 0, &req, &o);
	memset(req.dst, 0x11, req.dst_len);
	req.result_len = 48;
	req.status = VIRTIO_CRYPTO_ERR;
	request_finish(&req, &f->context);
	assert_int_equal(req.written, 1);
	for (int i = 0; i < 128; i++)
		assert_int_equal(f->guest.memory[o.in[i]], 0xee);
	assert_int_equal(f->guest.memory[o.in[128]], VIRTIO_CRYPTO_ERR);

	/* A result that the guest has no room for. */
	begin(f, "rsa decrypt, little room", 0, &req, &o);
	req.result_len = 49;
	request_finish(&req, &f->context);
	assert_int_equal(req.status, VIRTIO_CRYPTO_ERR);
	assert_int_equal(req.written, 1);
	assert_int_equal(f->guest.memory[o.in[0]], 0xee);

	/* A resource's own failure is an error to the guest. */
	begin(f, "cbc 16", 0, &req, &o);
	req.status = VC_STATUS_RESOURCE;
	request_finish(&req, &f->context);
	assert_int_equal(f->guest.memory[o.in[16]], VIRTIO_CRYPTO_ERR);
}

/* Whatever a resource says, the guest hears what the specification has for that request. */
static void test_each_service_has_its_own_failures(void **state)
{
	const uint8_t ok = VIRTIO_CRYPTO_OK, err = VIRTIO_CRYPTO_ERR, bad = VIRTIO_CRYPTO_BADMSG;
	const uint8_t no = VIRTIO_CRYPTO_NOTSUPP, inv = VIRTIO_CRYPTO_INVSESS;
	const uint8_t rejected = VIRTIO_CRYPTO_KEY_REJECTED;
	const struct {
		const char *name;
		uint8_t told[8]; /* for each status that a resource may say */
	} cases[] = {
		{"cbc 16", {ok, err, err, no, inv, err, err, err}},
		{"chain", {ok, err, err, no, inv, err, err, err}},
		{"hash", {ok, err, err, no, inv, err, err, err}},
		{"mac", {ok, err, err, no, inv, err, err, err}},
		{"gcm back", {ok, err, bad, no, inv, err, err, err}},
		{"rsa verify", {ok, err, bad, no, inv, err, rejected, err}},
		{"ecdsa sign", {ok, err, bad, no, inv, err, rejected, err}},
		{"x25519 derive", {ok, err, bad, no, inv, err, rejected, err}},
	};
	struct fixture *f = *state;
	static struct offer o;
	struct vc_request req;

	for (size_t i = 0; i < vc_array_size(cases); i++) {
		for (uint8_t said = 0; said < 8; said++) {
			begin(f, cases[i].name, 0, &req, &o);
			req.status = said;
			request_finish(&req, &f->context);
			assert_int_equal(f->guest.memory[o.in[o.in_len - 1]], cases[i].told[said]);
			assert_int_equal(req.status, cases[i].told[said]);
		}
	}
}

/* What was decrypted or padded is not left for the next one to find. */
static void test_private_copies_of_rsa_are_wiped(void **state)
{
	struct fixture *f = *state;
	static struct offer o;
	struct vc_request req;
	const uint8_t *src, *dst;

	begin(f, "rsa decrypt", 0, &req, &o);
	src = req.src;
	dst = req.dst;
	model_work(test_case("rsa decrypt"), &req);
	request_finish(&req, &f->context);
	for (int i = 0; i < 128; i++)
		assert_int_equal(src[i] | dst[i], 0);
}

static void test_bounce_buffers_run_out_and_come_back(void **state)
{
	struct fixture *f = *state;
	struct bounce_pool *small = bounce_pool_new(MAX_SIZE, 0), *own = f->context.bounces;
	const struct test_case *c = test_case("cbc 1 KiB");
	static struct vc_request req[4096];
	static struct vring_chain chain;
	static uint8_t out[MAX_OUT];
	static struct offer o;
	unsigned int n = 0;
	uint64_t seed = 6;
	int rc;

	f->context.bounces = small;
	offer(f, &seed, out, case_bytes(f, c, out), c->in + 1, 50, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	while ((rc = request_parse(&req[n], &chain, &f->context)) == 0)
		assert_true(++n < vc_array_size(req));
	assert_int_equal(rc, -EAGAIN);
	assert_true(n > 1);
	model_work(c, &req[0]);
	request_finish(&req[0], &f->context);
	assert_int_equal(request_parse(&req[0], &chain, &f->context), 0);
	for (unsigned int i = 0; i < n; i++) {
		model_work(c, &req[i]);
		request_finish(&req[i], &f->context);
	}
	model_expect(f, c, &o);
	f->context.bounces = own;
	bounce_pool_free(small);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		request_test(test_every_kind_in_one_piece_each_way),
		request_test(test_every_kind_cut_at_random),
		request_test(test_all_memory_that_is_used_later_is_known),
		request_test(test_in_place),
		request_test(test_touching_pieces_are_not_copied),
		request_test(test_usual_requests_use_memory_where_it_is),
		request_test(test_usual_requests_with_a_piece_of_another_length),
		request_test(test_usual_requests_of_no_session_or_another_algorithm),
		request_test(test_what_is_not_authentic_is_wiped),
		request_test(test_failures_give_a_status_and_nothing_else),
		request_test(test_each_service_has_its_own_failures),
		request_test(test_private_copies_of_rsa_are_wiped),
		request_test(test_bounce_buffers_run_out_and_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
