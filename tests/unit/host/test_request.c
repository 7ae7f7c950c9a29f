/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data requests of every kind: parsed as they are meant however they are cut into descriptors,
 * refused when a length lies, delivered where they belong.
 *
 * A case is the OUT bytes, the number of IN bytes, and what a resource has to see. A model resource
 * (not cryptography: each output byte is a function of its input and place) does the work, so that
 * every byte of the result is known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "host/bounce.h"
#include "host/request.h"
#include "keys.h"

#define MAX_SIZE (64u << 10)
#define MAX_OUT 8192u
#define MAX_IN 4096u

struct fixture {
	struct guest guest;
	struct request_context context;
	uint64_t session[16];
};

/* Sessions of the fixture. */
enum {
	S_CBC_ENC,
	S_CBC_DEC,
	S_CTR,
	S_GCM_ENC,
	S_GCM_DEC,
	S_CHAIN_ENC,
	S_CHAIN_DEC,
	S_HASH,
	S_MAC,
	S_RSA,
	S_RSA_PUBLIC,
	S_GCM_SHORT_TAG,
};

static uint64_t add(struct fixture *f, struct session_params params)
{
	static const uint8_t key[64] = {1, 2, 3};
	uint64_t id;

	if (!params.key)
		params.key = key;
	params.auth_key = key;
	assert_int_equal(session_create(f->context.sessions, &params, NULL, NULL, &id), 0);
	return id;
}

#define CIPHER_SESSION(alg, enc)                                                                   \
	((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,                          \
	                         .cipher = (alg),                                                  \
	                         .encrypt = (enc),                                                 \
	                         .key_len = 16})
#define CHAIN_SESSION(order, enc)                                                                  \
	((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_CIPHER,                          \
	                         .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,                           \
	                         .chain = (order),                                                 \
	                         .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA1,                               \
	                         .encrypt = (enc),                                                 \
	                         .key_len = 16,                                                    \
	                         .auth_key_len = 20})
#define GCM_SESSION(enc, tag)                                                                      \
	((struct session_params){.service = VIRTIO_CRYPTO_SERVICE_AEAD,                            \
	                         .aead = VIRTIO_CRYPTO_AEAD_GCM,                                   \
	                         .encrypt = (enc),                                                 \
	                         .tag_len = (tag),                                                 \
	                         .key_len = 16})

static void add_sessions(struct fixture *f)
{
	struct test_key private = test_rsa_private(1024), public = test_rsa_public(1024);
	struct session_params rsa = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                             .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                             .private_key = 1,
	                             .key = private.der,
	                             .key_len = (uint32_t) private.len};

	f->session[S_CBC_ENC] = add(f, CIPHER_SESSION(VIRTIO_CRYPTO_CIPHER_AES_CBC, 1));
	f->session[S_CBC_DEC] = add(f, CIPHER_SESSION(VIRTIO_CRYPTO_CIPHER_AES_CBC, 0));
	f->session[S_CTR] = add(f, CIPHER_SESSION(VIRTIO_CRYPTO_CIPHER_AES_CTR, 1));
	f->session[S_GCM_ENC] = add(f, GCM_SESSION(1, 16));
	f->session[S_GCM_DEC] = add(f, GCM_SESSION(0, 16));
	f->session[S_GCM_SHORT_TAG] = add(f, GCM_SESSION(1, 12));
	f->session[S_CHAIN_ENC] =
		add(f, CHAIN_SESSION(VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH, 1));
	f->session[S_CHAIN_DEC] =
		add(f, CHAIN_SESSION(VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER, 0));
	f->session[S_HASH] = add(f, (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_HASH,
	                                                    .hash = VIRTIO_CRYPTO_HASH_SHA_256});
	f->session[S_MAC] = add(f, (struct session_params){.service = VIRTIO_CRYPTO_SERVICE_MAC,
	                                                   .mac = VIRTIO_CRYPTO_MAC_HMAC_SHA_512,
	                                                   .auth_key_len = 64});
	f->session[S_RSA] = add(f, rsa);
	rsa.private_key = 0;
	rsa.key = public.der;
	rsa.key_len = (uint32_t) public.len;
	f->session[S_RSA_PUBLIC] = add(f, rsa);
}

static int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	guest_open(&f->guest, 256, 0, false);
	f->context.sessions = session_table_new(100);
	f->context.bounces = bounce_pool_new(MAX_SIZE, 8u << 20);
	f->context.max_size = MAX_SIZE;
	assert_non_null(f->context.sessions);
	assert_non_null(f->context.bounces);
	add_sessions(f);
	*state = f;
	return 0;
}

static int fixture_close(void **state)
{
	struct fixture *f = *state;

	session_table_free(f->context.sessions);
	bounce_pool_free(f->context.bounces);
	guest_close(&f->guest);
	free(f);
	return 0;
}

/* ---- cases ---- */

struct test_case {
	const char *name;
	struct virtio_crypto_op_data_req header;
	int session;
	uint8_t kind;
	uint32_t iv, src, tag_in, aad; /* OUT, after the header */
	uint32_t in;                   /* IN without the status byte */
	uint32_t length;               /* what the resource is to see */
	uint32_t tag_at, tag_out;      /* what it makes besides */
	uint32_t result_len;           /* AKCIPHER */
};

#define CIPHER_CASE(label, s, op, iv_len, len, room)                                               \
	{                                                                                          \
		.name = (label), .session = (s), .kind = VC_REQUEST_CIPHER, .iv = (iv_len),        \
		.src = (len), .in = (room), .length = (len),                                       \
		.header = {                                                                        \
			.header.opcode = (op),                                                     \
			.u.sym = {.u.cipher = {(iv_len), (len), (room), 0},                        \
		                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER},                         \
		},                                                                                 \
	}
#define CHAIN_CASE(label, s, op, len, c_off, c_len, h_off, h_len)                                  \
	{                                                                                          \
		.name = (label), .session = (s), .kind = VC_REQUEST_CHAIN, .iv = 16, .src = (len), \
		.in = (len) + 20, .length = (len), .tag_at = (len), .tag_out = 20,                 \
		.header = {                                                                        \
			.header.opcode = (op),                                                     \
			.u.sym = {.u.chain = {16, (len), (len), (c_off), (c_len), (h_off),         \
		                              (h_len), 0, 20, 0},                                  \
		                  .op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING},             \
		},                                                                                 \
	}
#define AEAD_ENC_CASE(label, s, len, aad_bytes, tag)                                               \
	{                                                                                          \
		.name = (label), .session = (s), .kind = VC_REQUEST_AEAD, .iv = 12, .src = (len),  \
		.aad = (aad_bytes), .in = (len) + (tag), .length = (len), .tag_at = (len),         \
		.tag_out = (tag),                                                                  \
		.header = {                                                                        \
			.header.opcode = VIRTIO_CRYPTO_AEAD_ENCRYPT,                               \
			.u.aead = {12, (aad_bytes), (len), (len) + (tag), (tag), 0},               \
		},                                                                                 \
	}
#define AEAD_DEC_CASE(label, s, len, aad_bytes, tag)                                               \
	{                                                                                          \
		.name = (label), .session = (s), .kind = VC_REQUEST_AEAD, .iv = 12, .src = (len),  \
		.tag_in = (tag), .aad = (aad_bytes), .in = (len), .length = (len),                 \
		.header = {                                                                        \
			.header.opcode = VIRTIO_CRYPTO_AEAD_DECRYPT,                               \
			.u.aead = {12, (aad_bytes), (len) + (tag), (len), (tag), 0},               \
		},                                                                                 \
	}
#define DIGEST_CASE(label, s, op, what, len, tag)                                                  \
	{                                                                                          \
		.name = (label), .session = (s), .kind = (what), .src = (len), .in = (tag),        \
		.length = (len), .tag_out = (tag),                                                 \
		.header = {.header.opcode = (op), .u.hash = {(len), (tag)}},                       \
	}
#define AK_CASE(label, s, op, what, len, room, result)                                             \
	{                                                                                          \
		.name = (label), .session = (s), .kind = (what), .src = (len), .in = (room),       \
		.length = (len), .result_len = (result),                                           \
		.header = {.header.opcode = (op), .u.akcipher = {(len), (room)}},                  \
	}

static const struct test_case cases[] = {
	CIPHER_CASE("cbc 16", S_CBC_ENC, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 16, 16),
	CIPHER_CASE("cbc 1 KiB", S_CBC_ENC, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 1024, 1024),
	CIPHER_CASE("cbc, more room", S_CBC_DEC, VIRTIO_CRYPTO_CIPHER_DECRYPT, 16, 64, 100),
	CIPHER_CASE("ctr 1", S_CTR, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 1, 1),
	CIPHER_CASE("ctr 333", S_CTR, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 16, 333, 333),
	AEAD_ENC_CASE("gcm", S_GCM_ENC, 100, 13, 16),
	AEAD_ENC_CASE("gcm, no aad", S_GCM_ENC, 100, 0, 16),
	AEAD_ENC_CASE("gcm, only aad", S_GCM_ENC, 0, 40, 16),
	AEAD_ENC_CASE("gcm, nothing", S_GCM_ENC, 0, 0, 16),
	AEAD_ENC_CASE("gcm, short tag", S_GCM_SHORT_TAG, 50, 20, 12),
	AEAD_DEC_CASE("gcm back", S_GCM_DEC, 100, 13, 16),
	AEAD_DEC_CASE("gcm back, no aad", S_GCM_DEC, 100, 0, 16),
	AEAD_DEC_CASE("gcm back, nothing", S_GCM_DEC, 0, 0, 16),
	CHAIN_CASE("chain", S_CHAIN_ENC, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 96, 0, 96, 0, 96),
	CHAIN_CASE("chain, esp", S_CHAIN_ENC, VIRTIO_CRYPTO_CIPHER_ENCRYPT, 88, 24, 64, 0, 88),
	CHAIN_CASE("chain back", S_CHAIN_DEC, VIRTIO_CRYPTO_CIPHER_DECRYPT, 88, 24, 64, 16, 72),
	CHAIN_CASE("chain, no hash", S_CHAIN_DEC, VIRTIO_CRYPTO_CIPHER_DECRYPT, 88, 24, 64, 88, 0),
	DIGEST_CASE("hash", S_HASH, VIRTIO_CRYPTO_HASH, VC_REQUEST_HASH, 300, 32),
	DIGEST_CASE("hash of nothing", S_HASH, VIRTIO_CRYPTO_HASH, VC_REQUEST_HASH, 0, 32),
	DIGEST_CASE("mac", S_MAC, VIRTIO_CRYPTO_MAC, VC_REQUEST_MAC, 77, 64),
	AK_CASE("rsa encrypt", S_RSA_PUBLIC, VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, VC_REQUEST_AK_ENCRYPT,
                100, 128, 128),
	AK_CASE("rsa sign", S_RSA, VIRTIO_CRYPTO_AKCIPHER_SIGN, VC_REQUEST_AK_SIGN, 32, 128, 128),
	AK_CASE("rsa decrypt", S_RSA, VIRTIO_CRYPTO_AKCIPHER_DECRYPT, VC_REQUEST_AK_DECRYPT, 128,
                128, 48),
	AK_CASE("rsa decrypt, little room", S_RSA, VIRTIO_CRYPTO_AKCIPHER_DECRYPT,
                VC_REQUEST_AK_DECRYPT, 128, 48, 48),
	{.name = "rsa verify",
         .session = S_RSA_PUBLIC,
         .kind = VC_REQUEST_AK_VERIFY,
         .src = 128,
         .tag_in = 32,
         .length = 128,
         .header = {.header.opcode = VIRTIO_CRYPTO_AKCIPHER_VERIFY, .u.akcipher = {128, 32}}},
};

static uint32_t case_out(const struct test_case *c)
{
	return 72 + c->iv + c->src + c->tag_in + c->aad;
}

/* The bytes after the header: each tells its place. */
static uint8_t out_byte(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) + 1);
}

/* What the model makes of an input byte, and its tag. */
static uint8_t done_byte(uint8_t byte)
{
	return byte ^ 0xa5;
}
static uint8_t tag_byte(uint32_t i)
{
	return (uint8_t)(0xc0 + i);
}

/* ---- the guest's side ---- */

struct offer {
	uint32_t out[MAX_OUT], in[MAX_IN]; /* where each byte is */
	uint32_t out_len, in_len;
	uint16_t head;
};

/* Cut n bytes into pieces of at most `most` bytes at scattered places. */
static unsigned int cut(struct guest *g, uint64_t *seed, uint32_t n, uint32_t most, uint16_t flags,
                        struct virtq_desc *descs, uint32_t *where)
{
	unsigned int count = 0;

	while (n) {
		uint32_t part = most ? 1 + guest_random(seed) % most : n;
		uint32_t offset;

		part = vc_min(part, n);
		/* A gap of 0 lets pieces touch now and then. */
		offset = guest_alloc(g, part + guest_random(seed) % 2 * 16);
		descs[count++] = (struct virtq_desc){
			.addr = guest_addr(offset), .len = part, .flags = flags};
		for (uint32_t i = 0; i < part; i++)
			*where++ = offset + i;
		n -= part;
	}
	return count;
}

/* Offer a request whose OUT bytes are given, cut at random (most = 0: OUT and IN in one each). */
static void offer(struct fixture *f, uint64_t *seed, const uint8_t *out, uint32_t out_len,
                  uint32_t in_len, uint32_t most, struct offer *o)
{
	static struct virtq_desc descs[VRING_MAX_SEGMENTS];
	struct guest *g = &f->guest;
	unsigned int n;

	g->data = GUEST_DATA;
	o->out_len = out_len;
	o->in_len = in_len;
	n = cut(g, seed, out_len, most, 0, descs, o->out);
	n += cut(g, seed, in_len, most, VIRTQ_DESC_F_WRITE, descs + n, o->in);
	for (uint32_t i = 0; i < out_len; i++)
		g->memory[o->out[i]] = out[i];
	for (uint32_t i = 0; i < in_len; i++)
		g->memory[o->in[i]] = 0xee;
	if (n)
		guest_offer(g, o->head = guest_indirect(g, descs, n));
}

static uint32_t case_bytes(const struct fixture *f, const struct test_case *c, uint8_t *out)
{
	struct virtio_crypto_op_data_req header = c->header;

	header.header.session_id = f->session[c->session];
	memcpy(out, &header, sizeof(header));
	for (uint32_t i = 72; i < case_out(c); i++)
		out[i] = out_byte(i);
	return case_out(c);
}

static void give_back(struct fixture *f, const struct vring_chain *chain, uint32_t written)
{
	struct virtq_used_elem elem;

	vring_push(&f->guest.ring, chain->head, written);
	vring_publish(&f->guest.ring);
	assert_true(guest_used(&f->guest, &elem));
	assert_int_equal(elem.len, written);
}

/* ---- what the resource sees and does ---- */

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

/* The model: bytes of the destination, and the tag. */
static void work(const struct test_case *c, struct vc_request *req)
{
	uint32_t n = req->kind >= VC_REQUEST_AK_ENCRYPT ? c->result_len : req->length;

	if (req->kind == VC_REQUEST_HASH || req->kind == VC_REQUEST_MAC)
		n = 0;
	if (n)
		assert_true(req->kind < VC_REQUEST_AK_ENCRYPT || req->dst_len >= n);
	for (uint32_t i = 0; i < n; i++)
		req->dst[i] = done_byte(req->src[i % req->length]);
	for (uint32_t i = 0; i < c->tag_out; i++)
		req->tag[i] = tag_byte(i);
	req->result_len = c->result_len;
	req->status = VIRTIO_CRYPTO_OK;
}

static void expect_result(const struct fixture *f, const struct test_case *c, const struct offer *o)
{
	const uint8_t *memory = f->guest.memory;
	uint32_t data = c->kind >= VC_REQUEST_AK_ENCRYPT ? c->result_len : c->length;

	if (c->kind == VC_REQUEST_HASH || c->kind == VC_REQUEST_MAC)
		data = 0;
	for (uint32_t i = 0; i < o->in_len - 1; i++) {
		uint8_t byte = memory[o->in[i]];

		if (i < data)
			assert_int_equal(byte, done_byte(out_byte(72 + c->iv + i % c->length)));
		else if (i >= c->tag_at && i < c->tag_at + c->tag_out)
			assert_int_equal(byte, tag_byte(i - c->tag_at));
		else
			assert_int_equal(byte, 0xee);
	}
	assert_int_equal(memory[o->in[o->in_len - 1]], VIRTIO_CRYPTO_OK);
}

static void run_case(struct fixture *f, const struct test_case *c, uint64_t *seed, uint32_t most)
{
	static struct vring_chain chain;
	static struct offer o;
	static uint8_t out[MAX_OUT];
	struct vc_request req;

	memset(&req, 0x77, sizeof(req));
	offer(f, seed, out, case_bytes(f, c, out), c->in + 1, most, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(&req, &chain, &f->context), 0);
	/* What comes after the parse changes nothing of what was copied. */
	memset(&chain.segment, 0xff, sizeof(chain.segment));
	expect_request(c, &req);
	if (!most && c->kind < VC_REQUEST_AK_ENCRYPT)
		assert_null(req.bounce);
	work(c, &req);
	request_finish(&req, &f->context);
	expect_result(f, c, &o);
	assert_null(req.bounce);
	assert_int_equal(req.written,
	                 c->kind >= VC_REQUEST_AK_ENCRYPT ? c->result_len + 1 : c->in + 1);
	give_back(f, &chain, req.written);
}

static void test_every_kind_in_one_piece_each_way(void **state)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < vc_array_size(cases); i++)
		run_case(*state, &cases[i], &seed, 0);
}

static void test_every_kind_cut_at_random(void **state)
{
	uint64_t seed = 2;

	for (size_t i = 0; i < vc_array_size(cases); i++) {
		const struct test_case *c = &cases[i];
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
	const struct test_case *c = &cases[1];
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
	work(c, &req);
	request_finish(&req, &f->context);
	for (int i = 0; i < 1024; i++)
		assert_int_equal(f->guest.memory[GUEST_DATA + 0x200 + i], done_byte(out[88 + i]));
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

	memcpy(guest_at(&f->guest, GUEST_DATA), out, case_bytes(f, &cases[1], out));
	guest_offer(&f->guest, guest_chain(&f->guest, d, 5));
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(&req, &chain, &f->context), 0);
	assert_null(req.bounce);
	assert_ptr_equal(req.dst, chain.segment[3].base);
}

/* ---- lies ---- */

#define ANY_REFUSAL 1000

/* The status of a request that must not be taken. */
static void expect_status(struct fixture *f, const uint8_t *out, uint32_t out_len, uint32_t in_len,
                          int wanted)
{
	static struct vring_chain chain;
	static struct offer o;
	struct vc_request req;
	uint64_t seed = 3;

	offer(f, &seed, out, out_len, in_len, 0, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	int rc = request_parse(&req, &chain, &f->context);

	if (!rc) {
		req.status = VIRTIO_CRYPTO_ERR;
		request_finish(&req, &f->context);
	}
	if (wanted == ANY_REFUSAL)
		assert_true(rc > 0);
	else
		assert_int_equal(rc, wanted);
	if (rc > 0) {
		assert_int_equal(request_fail_chain(&chain, (uint8_t)rc), 1);
		assert_int_equal(f->guest.memory[o.in[in_len - 1]], rc);
	}
	give_back(f, &chain, 1);
}

/* Chains that are too short by one byte, and every length of the header one more than there is and
 * at the far end of what it can say. */
static void test_every_length_that_lies(void **state)
{
	struct fixture *f = *state;
	uint8_t out[MAX_OUT];

	for (size_t i = 0; i < vc_array_size(cases); i++) {
		const struct test_case *c = &cases[i];
		uint32_t n = case_bytes(f, c, out);

		/* Too few bytes, either way. */
		expect_status(f, out, n - 1, c->in + 1, VIRTIO_CRYPTO_ERR);
		if (c->in)
			expect_status(f, out, n, c->in, VIRTIO_CRYPTO_ERR);
		for (uint32_t word = 6; word < 18; word++) {
			uint32_t was, is;

			memcpy(&was, out + word * 4, 4);
			const uint32_t wrong[] = {was + 1, UINT32_MAX, UINT32_MAX - 71, 0x80000000u,
			                          UINT32_MAX - n + 1};

			/* Padding and the reserved words mean nothing; op_type is no length. */
			if (!was)
				continue;
			for (size_t k = 0; k < vc_array_size(wrong); k++) {
				is = wrong[k];
				memcpy(out + word * 4, &is, 4);
				expect_status(f, out, n, c->in + 1, ANY_REFUSAL);
			}
			memcpy(out + word * 4, &was, 4);
		}
	}
}

static void test_headers_cut_short(void **state)
{
	struct fixture *f = *state;
	uint8_t out[MAX_OUT];

	case_bytes(f, &cases[0], out);
	for (uint32_t n = 0; n < 72; n++)
		expect_status(f, out, n, 17, VIRTIO_CRYPTO_ERR);
}

static void test_no_status_byte(void **state)
{
	struct fixture *f = *state;
	static struct vring_chain chain;
	static struct offer o;
	struct vc_request req;
	uint8_t out[MAX_OUT];
	uint64_t seed = 4;

	offer(f, &seed, out, case_bytes(f, &cases[0], out), 0, 0, &o);
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	assert_int_equal(request_parse(&req, &chain, &f->context), -EBADMSG);
	assert_int_equal(request_fail_chain(&chain, VIRTIO_CRYPTO_ERR), 0);
}

static void change_header(struct fixture *f, int wanted, size_t i,
                          void (*change)(struct virtio_crypto_op_data_req *header))
{
	struct virtio_crypto_op_data_req header;
	uint8_t out[MAX_OUT];
	uint32_t n = case_bytes(f, &cases[i], out);

	memcpy(&header, out, sizeof(header));
	change(&header);
	memcpy(out, &header, sizeof(header));
	/* More than enough bytes, so that lengths are not what is wrong. */
	memset(out + n, 0, 512);
	expect_status(f, out, n + 512, cases[i].in + 513, wanted);
}

static void set_flag(struct virtio_crypto_op_data_req *h)
{
	h->header.flag = VIRTIO_CRYPTO_FLAG_SESSION_MODE;
}
static void set_bad_flag(struct virtio_crypto_op_data_req *h)
{
	h->header.flag = 2;
}
static void set_algo(struct virtio_crypto_op_data_req *h)
{
	h->header.algo = VIRTIO_CRYPTO_CIPHER_AES_CBC;
}
static void set_bad_algo(struct virtio_crypto_op_data_req *h)
{
	h->header.algo = VIRTIO_CRYPTO_CIPHER_AES_CTR;
}
static void set_session_next(struct virtio_crypto_op_data_req *h)
{
	h->header.session_id += 1 << 24;
}
static void set_session_untagged(struct virtio_crypto_op_data_req *h)
{
	h->header.session_id &= 0xffffffffffffull;
}
static void set_session_far(struct virtio_crypto_op_data_req *h)
{
	h->header.session_id |= 0xffffff;
}
static void set_other_way(struct virtio_crypto_op_data_req *h)
{
	h->header.opcode ^= 1;
}
static void set_other_service(struct virtio_crypto_op_data_req *h)
{
	h->header.opcode += 0x300;
}
static void set_chaining(struct virtio_crypto_op_data_req *h)
{
	h->u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
}
static void set_odd_length(struct virtio_crypto_op_data_req *h)
{
	h->u.sym.u.cipher.src_len = h->u.sym.u.cipher.dst_len = 17;
}
static void set_no_length(struct virtio_crypto_op_data_req *h)
{
	h->u.sym.u.cipher.src_len = h->u.sym.u.cipher.dst_len = 0;
}
static void set_short_iv(struct virtio_crypto_op_data_req *h)
{
	h->u.sym.u.cipher.iv_len = 12;
}
static void set_small_dst(struct virtio_crypto_op_data_req *h)
{
	h->u.sym.u.cipher.dst_len = h->u.sym.u.cipher.src_len - 1;
}
static void set_long_gcm_iv(struct virtio_crypto_op_data_req *h)
{
	h->u.aead.iv_len = 16;
}
static void set_gcm_iv_17(struct virtio_crypto_op_data_req *h)
{
	h->u.aead.iv_len = 17;
}
static void set_gcm_tag_12(struct virtio_crypto_op_data_req *h)
{
	h->u.aead.tag_len = 12;
}
static void set_gcm_less_than_tag(struct virtio_crypto_op_data_req *h)
{
	h->u.aead.src_len = 15;
}
static void set_chain_aad(struct virtio_crypto_op_data_req *h)
{
	h->u.sym.u.chain.aad_len = 8;
}
static void set_digest_12(struct virtio_crypto_op_data_req *h)
{
	h->u.hash.hash_result_len = 12;
}
static void set_too_large(struct virtio_crypto_op_data_req *h)
{
	h->u.hash.src_len = MAX_SIZE + 1;
}
static void set_ak_small_dst(struct virtio_crypto_op_data_req *h)
{
	h->u.akcipher.dst_len = 127;
}
static void set_ak_long_src(struct virtio_crypto_op_data_req *h)
{
	h->u.akcipher.src_len = 129;
}
static void set_ak_no_src(struct virtio_crypto_op_data_req *h)
{
	h->u.akcipher.src_len = 0;
}
static void set_ak_sign(struct virtio_crypto_op_data_req *h)
{
	h->header.opcode = VIRTIO_CRYPTO_AKCIPHER_SIGN;
}
static void set_ak_decrypt(struct virtio_crypto_op_data_req *h)
{
	h->header.opcode = VIRTIO_CRYPTO_AKCIPHER_DECRYPT;
}
static void set_ak_unknown(struct virtio_crypto_op_data_req *h)
{
	h->header.opcode = 0x404;
}
static void set_ak_long_digest(struct virtio_crypto_op_data_req *h)
{
	h->u.akcipher.dst_len = 129;
}

/* Which case above is the first of its session. */
static size_t case_of(const char *name)
{
	for (size_t i = 0; i < vc_array_size(cases); i++)
		if (!strcmp(cases[i].name, name))
			return i;
	fail();
	return 0;
}

static void test_header_and_session_must_agree(void **state)
{
	struct fixture *f = *state;
	const size_t cbc = case_of("cbc 16"), gcm = case_of("gcm"), back = case_of("gcm back");
	const size_t encrypt = case_of("rsa encrypt"), sign = case_of("rsa sign");

	/* Linux leaves these 0; who sets them sets them right. */
	change_header(f, VIRTIO_CRYPTO_OK, cbc, set_flag);
	change_header(f, VIRTIO_CRYPTO_OK, cbc, set_algo);
	change_header(f, VIRTIO_CRYPTO_ERR, cbc, set_bad_flag);
	change_header(f, VIRTIO_CRYPTO_ERR, cbc, set_bad_algo);
	change_header(f, VIRTIO_CRYPTO_INVSESS, cbc, set_session_next);
	change_header(f, VIRTIO_CRYPTO_INVSESS, cbc, set_session_untagged);
	change_header(f, VIRTIO_CRYPTO_INVSESS, cbc, set_session_far);
	change_header(f, VIRTIO_CRYPTO_ERR, cbc, set_other_way);
	change_header(f, VIRTIO_CRYPTO_ERR, cbc, set_other_service);
	change_header(f, VIRTIO_CRYPTO_ERR, cbc, set_chaining);
	change_header(f, VIRTIO_CRYPTO_ERR, gcm, set_other_way);
	change_header(f, VIRTIO_CRYPTO_ERR, back, set_other_way);
	change_header(f, VIRTIO_CRYPTO_ERR, case_of("hash"), set_other_service);
	/* A public key does not sign or decrypt; operations that are not there. */
	change_header(f, VIRTIO_CRYPTO_ERR, encrypt, set_ak_sign);
	change_header(f, VIRTIO_CRYPTO_ERR, encrypt, set_ak_decrypt);
	change_header(f, VIRTIO_CRYPTO_ERR, sign, set_ak_unknown);
}

static void test_lengths_must_fit_the_algorithm(void **state)
{
	struct fixture *f = *state;
	const size_t cbc = case_of("cbc 16"), gcm = case_of("gcm"), back = case_of("gcm back");
	const size_t encrypt = case_of("rsa encrypt"), sign = case_of("rsa sign");

	change_header(f, VIRTIO_CRYPTO_ERR, cbc, set_odd_length);
	change_header(f, VIRTIO_CRYPTO_ERR, cbc, set_no_length);
	change_header(f, VIRTIO_CRYPTO_ERR, cbc, set_short_iv);
	change_header(f, VIRTIO_CRYPTO_ERR, cbc, set_small_dst);
	change_header(f, VIRTIO_CRYPTO_NOTSUPP, gcm, set_long_gcm_iv);
	change_header(f, VIRTIO_CRYPTO_ERR, gcm, set_gcm_iv_17);
	change_header(f, VIRTIO_CRYPTO_ERR, gcm, set_gcm_tag_12);
	change_header(f, VIRTIO_CRYPTO_ERR, back, set_gcm_tag_12);
	change_header(f, VIRTIO_CRYPTO_ERR, back, set_gcm_less_than_tag);
	change_header(f, VIRTIO_CRYPTO_NOTSUPP, case_of("chain"), set_chain_aad);
	change_header(f, VIRTIO_CRYPTO_ERR, case_of("hash"), set_digest_12);
	change_header(f, VIRTIO_CRYPTO_ERR, case_of("hash"), set_too_large);
	change_header(f, VIRTIO_CRYPTO_ERR, encrypt, set_ak_small_dst);
	change_header(f, VIRTIO_CRYPTO_ERR, sign, set_ak_small_dst);
	change_header(f, VIRTIO_CRYPTO_ERR, sign, set_ak_long_src);
	change_header(f, VIRTIO_CRYPTO_ERR, sign, set_ak_no_src);
	change_header(f, VIRTIO_CRYPTO_ERR, case_of("rsa verify"), set_ak_long_digest);
}

/* ---- results ---- */

/* Parse a case in one piece or in pieces, for a test that finishes it in its own way. */
static void begin(struct fixture *f, const char *name, uint32_t most, struct vc_request *req,
                  struct offer *o)
{
	static struct vring_chain chain;
	static uint8_t out[MAX_OUT];
	const struct test_case *c = &cases[case_of(name)];
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

static void test_bounce_buffers_run_out_and_come_back(void **state)
{
	struct fixture *f = *state;
	struct bounce_pool *small = bounce_pool_new(MAX_SIZE, 0), *own = f->context.bounces;
	const struct test_case *c = &cases[case_of("cbc 1 KiB")];
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
	work(c, &req[0]);
	request_finish(&req[0], &f->context);
	assert_int_equal(request_parse(&req[0], &chain, &f->context), 0);
	for (unsigned int i = 0; i < n; i++) {
		work(c, &req[i]);
		request_finish(&req[i], &f->context);
	}
	expect_result(f, c, &o);
	f->context.bounces = own;
	bounce_pool_free(small);
}

#define request_test(t) cmocka_unit_test_setup_teardown(t, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		request_test(test_every_kind_in_one_piece_each_way),
		request_test(test_every_kind_cut_at_random),
		request_test(test_in_place),
		request_test(test_touching_pieces_are_not_copied),
		request_test(test_every_length_that_lies),
		request_test(test_headers_cut_short),
		request_test(test_no_status_byte),
		request_test(test_header_and_session_must_agree),
		request_test(test_lengths_must_fit_the_algorithm),
		request_test(test_what_is_not_authentic_is_wiped),
		request_test(test_failures_give_a_status_and_nothing_else),
		request_test(test_bounce_buffers_run_out_and_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
