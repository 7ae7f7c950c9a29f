/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of a resource, for tests of data requests; see request_model.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "request_model.h"

uint8_t model_byte(uint8_t byte)
{
	return byte ^ 0xa5;
}

/* Of a request whose data begin there; without data (what is generated) there is nothing to change.
 */
static uint8_t result_byte(uint32_t at, uint32_t length, uint32_t i)
{
	return model_byte(length ? out_byte(at + i % length) : (uint8_t)i);
}

static uint8_t tag_byte(uint32_t i)
{
	return (uint8_t)(0xc0 + i);
}
static void expect_bytes(const uint8_t *p, uint32_t at, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(p[i], out_byte(at + i));
}

static void expect_request(const struct test_case *c, const struct vc_request *req)
{
	uint32_t at = 72;

	assert_int_equal(req->kind, c->kind);
	assert_int_equal(req->iv_len, c->iv);
	expect_bytes(req->iv, at, c->iv);
	at += c->iv;
	assert_int_equal(req->length, c->length);
	expect_bytes(req->src, at, c->length);
	at += c->src;
	if (c->tag_in)
		expect_bytes(req->tag, at, c->tag_in);
	at += c->tag_in;
	assert_int_equal(req->aad_len, c->aad);
	if (c->aad)
		expect_bytes(req->aad, at, c->aad);
	assert_int_equal(req->tag_len, c->tag_in | c->tag_out);
	if (c->kind == VC_REQUEST_CHAIN) {
		const struct virtio_crypto_alg_chain_para *p = &c->header.u.sym.u.chain;

		assert_int_equal(req->cipher_offset, p->cipher_start_src_offset);
		assert_int_equal(req->cipher_len, p->len_to_cipher);
		assert_int_equal(req->hash_offset, p->hash_start_src_offset);
		assert_int_equal(req->hash_len, p->len_to_hash);
	}
}

void model_work(const struct test_case *c, struct vc_request *req)
{
	uint32_t n = req->kind >= VC_REQUEST_AK_ENCRYPT ? c->result_len : req->length;

	if (req->kind == VC_REQUEST_HASH || req->kind == VC_REQUEST_MAC)
		n = 0;
	if (n)
		assert_true(req->kind < VC_REQUEST_AK_ENCRYPT || req->dst_len >= n);
	for (uint32_t i = 0; i < n; i++)
		req->dst[i] = model_byte(req->length ? req->src[i % req->length] : (uint8_t)i);
	for (uint32_t i = 0; i < c->tag_out; i++)
		req->tag[i] = tag_byte(i);
	req->result_len = c->result_len;
	req->status = VIRTIO_CRYPTO_OK;
}

void model_expect(const struct fixture *f, const struct test_case *c, const struct offer *o)
{
	const uint8_t *memory = f->guest.memory;
	uint32_t data = c->kind >= VC_REQUEST_AK_ENCRYPT ? c->result_len : c->length;

	if (c->kind == VC_REQUEST_HASH || c->kind == VC_REQUEST_MAC)
		data = 0;
	for (uint32_t i = 0; i < o->in_len - 1; i++) {
		uint8_t byte = memory[o->in[i]];

		if (i < data)
			assert_int_equal(byte, result_byte(72 + c->iv, c->length, i));
		else if (i >= c->tag_at && i < c->tag_at + c->tag_out)
			assert_int_equal(byte, tag_byte(i - c->tag_at));
		else
			assert_int_equal(byte, 0xee);
	}
	assert_int_equal(memory[o->in[o->in_len - 1]], VIRTIO_CRYPTO_OK);
}

void model_run(struct fixture *f, const struct test_case *c, const uint8_t *out, uint32_t out_len,
               uint64_t *seed, uint32_t most)
{
	static struct vring_chain chain;
	static struct offer o;
	struct vc_request req;

	memset(&req, 0x77, sizeof(req));
	offer(f, seed, out, out_len, c->in + 1, most, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(&req, &chain, &f->context), 0);
	/* What comes after the parse changes nothing of what was copied. */
	memset(&chain.segment, 0xff, sizeof(chain.segment));
	expect_request(c, &req);
	if (!most && c->kind < VC_REQUEST_AK_ENCRYPT)
		assert_null(req.bounce);
	model_work(c, &req);
	request_finish(&req, &f->context);
	model_expect(f, c, &o);
	assert_null(req.bounce);
	assert_int_equal(req.written,
	                 c->kind >= VC_REQUEST_AK_ENCRYPT ? c->result_len + 1 : c->in + 1);
	give_back(f, &chain, req.written);
}
