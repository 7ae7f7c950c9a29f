/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control requests: sessions made and destroyed as the specification lays them out, and requests
 * that lie.
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
#include "host/request.h"
#include "keys.h"

struct fixture {
	struct guest guest;
	struct session_table *table;
	struct session *removed;
	bool deny;
	uint32_t features;
};

static int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	guest_open(&f->guest, 64, 0, false);
	f->table = session_table_new(4);
	*state = f;
	return 0;
}

static int fixture_close(void **state)
{
	struct fixture *f = *state;

	session_table_free(f->table);
	guest_close(&f->guest);
	free(f);
	return 0;
}

static bool can(void *context, const struct session_params *params)
{
	return !((struct fixture *)context)->deny;
}

/* One request through the ring; OUT cut into pieces of at most `most`. Returns where IN begins. */
static uint8_t *control(struct fixture *f, const void *out, uint32_t out_len, uint32_t in_len,
                        uint32_t most, uint32_t wanted_written)
{
	static struct vring_chain chain;
	struct virtq_desc d[64];
	struct virtq_used_elem elem;
	unsigned int n = 0;
	uint32_t in, at = 0;

	f->guest.data = GUEST_DATA;
	while (at < out_len) {
		uint32_t part = vc_min(most, out_len - at);
		uint32_t offset = guest_alloc(&f->guest, part + 16);

		memcpy(guest_at(&f->guest, offset), (const uint8_t *)out + at, part);
		d[n++] = OUT_DESC(offset, part);
		at += part;
	}
	in = guest_alloc(&f->guest, in_len + 1);
	memset(guest_at(&f->guest, in), 0xee, in_len);
	d[n++] = IN_DESC(in, in_len);
	guest_offer(&f->guest, guest_chain(&f->guest, d, n));
	assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
	uint32_t written = control_handle(&chain, f->features, f->table, can, f, &f->removed);

	assert_int_equal(written, wanted_written);
	vring_push(&f->guest.ring, chain.head, written);
	vring_publish(&f->guest.ring);
	assert_true(guest_used(&f->guest, &elem));
	return guest_at(&f->guest, in);
}

struct create_request {
	struct virtio_crypto_op_ctrl_req req;
	uint8_t keys[2048];
};

static struct create_request cbc(void)
{
	return (struct create_request){
		.req = {.header = {.opcode = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION,
	                           .algo = VIRTIO_CRYPTO_CIPHER_AES_CBC},
	                .u.sym = {.u.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16,
	                                       VIRTIO_CRYPTO_OP_ENCRYPT, 0},
	                          .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}},
		.keys = "the cipher's key",
	};
}

/* Create; returns the status, and the id if it went well. */
static uint32_t create(struct fixture *f, const struct create_request *request, uint32_t keys_len,
                       uint32_t most, uint64_t *id)
{
	struct virtio_crypto_session_input input;

	memcpy(&input, control(f, request, 72 + keys_len, 16, most, 16), 16);
	assert_null(f->removed);
	assert_int_equal(input.padding, 0);
	if (input.status)
		assert_int_equal(input.session_id, 0);
	*id = input.session_id;
	return input.status;
}

static uint8_t destroy(struct fixture *f, uint32_t opcode, uint64_t id)
{
	struct virtio_crypto_op_ctrl_req req = {.header.opcode = opcode,
	                                        .u.destroy.session_id = id};

	return *control(f, &req, 72, 1, 72, 1);
}

static void test_cipher_session_lives_and_dies(void **state)
{
	struct fixture *f = *state;
	struct create_request request = cbc();
	struct session *session;
	uint64_t id;

	assert_int_equal(create(f, &request, 16, 72, &id), VIRTIO_CRYPTO_OK);
	session = session_get(f->table, id);
	assert_non_null(session);
	assert_int_equal(session->params.cipher, VIRTIO_CRYPTO_CIPHER_AES_CBC);
	assert_int_equal(session->params.encrypt, 1);
	assert_memory_equal(session->params.key, "the cipher's key", 16);
	assert_int_equal(destroy(f, VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION, id), VIRTIO_CRYPTO_OK);
	assert_ptr_equal(f->removed, session);
	session_release(f->removed);
	assert_int_equal(destroy(f, VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION, id),
	                 VIRTIO_CRYPTO_INVSESS);
	assert_null(f->removed);
}

static void test_request_may_be_cut_anywhere(void **state)
{
	struct fixture *f = *state;
	struct create_request request = cbc();
	uint64_t id;

	for (uint32_t most = 2; most < 90; most++) {
		assert_int_equal(create(f, &request, 16, most, &id), VIRTIO_CRYPTO_OK);
		assert_memory_equal(session_get(f->table, id)->params.key, request.keys, 16);
		session_release(session_remove(f->table, id));
	}
}

static void test_every_service(void **state)
{
	struct fixture *f = *state;
	struct test_key rsa = test_rsa_private(1024);
	struct create_request request = {.req.header.opcode = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION};
	uint64_t id;

	request.req.u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
	request.req.u.sym.u.chain = (struct virtio_crypto_alg_chain_session_para){
		.alg_chain_order = VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH,
		.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH,
		.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 32, VIRTIO_CRYPTO_OP_DECRYPT, 0},
		.u.mac = {VIRTIO_CRYPTO_MAC_HMAC_SHA_256, 16, 20, 0},
	};
	memset(request.keys, 1, 32);
	memset(request.keys + 32, 2, 20);
	assert_int_equal(create(f, &request, 52, 72, &id), VIRTIO_CRYPTO_OK);
	const struct session_params *p = &session_get(f->table, id)->params;

	assert_int_equal(p->key_len, 32);
	assert_int_equal(p->auth_key_len, 20);
	assert_int_equal(p->key[31], 1);
	assert_int_equal(p->auth_key[0], 2);
	assert_int_equal(p->tag_len, 16);

	request.req = (struct virtio_crypto_op_ctrl_req){
		.header.opcode = VIRTIO_CRYPTO_AEAD_CREATE_SESSION,
		.u.aead = {VIRTIO_CRYPTO_AEAD_GCM, 16, 12, 0, VIRTIO_CRYPTO_OP_ENCRYPT, 0}};
	assert_int_equal(create(f, &request, 16, 72, &id), VIRTIO_CRYPTO_OK);
	assert_int_equal(session_get(f->table, id)->params.tag_len, 12);

	request.req = (struct virtio_crypto_op_ctrl_req){
		.header.opcode = VIRTIO_CRYPTO_MAC_CREATE_SESSION,
		.u.mac = {VIRTIO_CRYPTO_MAC_HMAC_SHA1, 0, 20, 0}};
	assert_int_equal(create(f, &request, 20, 72, &id), VIRTIO_CRYPTO_OK);
	/* The service of the opcode must be the session's. */
	assert_int_equal(destroy(f, VIRTIO_CRYPTO_HASH_DESTROY_SESSION, id), VIRTIO_CRYPTO_INVSESS);
	assert_int_equal(destroy(f, VIRTIO_CRYPTO_MAC_DESTROY_SESSION, id), VIRTIO_CRYPTO_OK);
	session_release(f->removed);

	request.req = (struct virtio_crypto_op_ctrl_req){
		.header.opcode = VIRTIO_CRYPTO_HASH_CREATE_SESSION,
		.u.hash = {VIRTIO_CRYPTO_HASH_SHA_256, 0, {0}}};
	assert_int_equal(create(f, &request, 0, 72, &id), VIRTIO_CRYPTO_OK);

	request.req = (struct virtio_crypto_op_ctrl_req){
		.header.opcode = VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION,
		.u.akcipher = {.algo = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                       .key_type = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE,
	                       .key_len = (uint32_t)rsa.len}};
	memcpy(request.keys, rsa.der, (size_t)rsa.len);
	assert_int_equal(create(f, &request, (uint32_t)rsa.len, 100, &id), VIRTIO_CRYPTO_OK);
	assert_int_equal(session_get(f->table, id)->params.key_bits, 1024);
	/* The table of four is full now. */
	assert_int_equal(create(f, &request, (uint32_t)rsa.len, 100, &id), VIRTIO_CRYPTO_NOSPC);
}

static void test_what_is_refused(void **state)
{
	struct fixture *f = *state;
	struct create_request request = cbc();
	uint64_t id;

	f->deny = true;
	assert_int_equal(create(f, &request, 16, 72, &id), VIRTIO_CRYPTO_NOTSUPP);
	f->deny = false;
	/* Less key than is said; lengths that wrap when added. */
	assert_int_equal(create(f, &request, 15, 72, &id), VIRTIO_CRYPTO_ERR);
	request.req.u.sym.u.cipher.key_len = UINT32_MAX;
	assert_int_equal(create(f, &request, 16, 72, &id), VIRTIO_CRYPTO_ERR);
	request.req.u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
	request.req.u.sym.u.chain = (struct virtio_crypto_alg_chain_session_para){
		.alg_chain_order = 1,
		.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH,
		.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, UINT32_MAX - 15, 1, 0},
		.u.mac = {VIRTIO_CRYPTO_MAC_HMAC_SHA1, 0, 32, 0},
	};
	assert_int_equal(create(f, &request, 16, 72, &id), VIRTIO_CRYPTO_ERR);
	request = cbc();
	request.req.u.sym.u.cipher.key_len = 17;
	assert_int_equal(create(f, &request, 17, 72, &id), VIRTIO_CRYPTO_KEY_REJECTED);
	request = cbc();
	request.req.u.sym.u.cipher.op = 0;
	assert_int_equal(create(f, &request, 16, 72, &id), VIRTIO_CRYPTO_ERR);
	request = cbc();
	request.req.u.sym.op_type = 0;
	assert_int_equal(create(f, &request, 16, 72, &id), VIRTIO_CRYPTO_NOTSUPP);
	request = cbc();
	request.req.u.sym.u.cipher.algo = 0x10003;
	assert_int_equal(create(f, &request, 16, 72, &id), VIRTIO_CRYPTO_NOTSUPP);
	request = cbc();
	request.req.header.opcode = 0x999;
	assert_int_equal(create(f, &request, 16, 72, &id), VIRTIO_CRYPTO_NOTSUPP);
	assert_int_equal(session_table_count(f->table), 0);
}

/* No answer that has no room, no session that could not be told. */
static void test_answers_without_room(void **state)
{
	struct fixture *f = *state;
	struct create_request request = cbc();
	struct virtio_crypto_op_ctrl_req req = {.header.opcode =
	                                                VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION};
	uint8_t *in;

	for (uint32_t n = 1; n < 16; n++) {
		in = control(f, &request, 88, n, 72, 1);
		assert_int_equal(in[0], VIRTIO_CRYPTO_ERR);
		assert_int_equal(n > 1 ? in[1] : 0xee, 0xee);
	}
	/* IN of no bytes, a header cut short, a destruction with much room. */
	control(f, &request, 88, 0, 72, 0);
	for (uint32_t n = 1; n < 72; n++)
		assert_int_equal(*control(f, &request, n, 1, 72, 1), VIRTIO_CRYPTO_ERR);
	in = control(f, &request, 71, 16, 72, 16);
	assert_int_equal(in[8], VIRTIO_CRYPTO_ERR);
	in = control(f, &req, 72, 100, 72, 1);
	assert_int_equal(in[0], VIRTIO_CRYPTO_INVSESS);
	assert_int_equal(session_table_count(f->table), 0);
}

static void test_random_requests_do_no_harm(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 11;
	struct create_request request;
	unsigned int made = 0;

	for (int i = 0; i < 50000; i++) {
		uint32_t *words = (uint32_t *)&request.req;
		uint32_t keys_len = guest_random(&seed) % 100;

		request = cbc();
		for (int k = 0; k < 2; k++)
			words[guest_random(&seed) % 18] = guest_random(&seed) % 2
			                                          ? guest_random(&seed) % 40
			                                          : guest_random(&seed);
		uint32_t in = 16;
		static struct vring_chain chain;
		struct virtq_desc d[2];
		uint64_t id;

		f->guest.data = GUEST_DATA;
		d[0] = OUT_DESC(guest_alloc(&f->guest, 72 + keys_len), 72 + keys_len);
		d[1] = IN_DESC(guest_alloc(&f->guest, in), in);
		memcpy(guest_at(&f->guest, GUEST_DATA), &request, 72 + keys_len);
		guest_offer(&f->guest, guest_chain(&f->guest, d, 2));
		assert_int_equal(vring_pop(&f->guest.ring, &chain), 1);
		uint32_t written =
			control_handle(&chain, f->features, f->table, can, f, &f->removed);

		assert_true(written == 16 || written == 1);
		assert_null(f->removed);
		memcpy(&id, chain.segment[chain.out].base, 8);
		if (written == 16 && id) {
			made++;
			session_release(session_remove(f->table, id));
		}
		struct virtq_used_elem elem;

		vring_push(&f->guest.ring, chain.head, written);
		vring_publish(&f->guest.ring);
		assert_true(guest_used(&f->guest, &elem));
	}
	assert_true(made > 100);
}

/* ---- VIRTIO_CRYPTO_F_REVISION_1: parameters are not padded, statuses are the specification's ----
 */

struct revision_case {
	uint32_t opcode;
	uint32_t size; /* of the fixed parameters */
	uint32_t words[14];
	uint32_t keys;
};

static const struct revision_case revision_cases[] = {
	{VIRTIO_CRYPTO_CIPHER_CREATE_SESSION,
         56,
         {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 1, 0, [12] = VIRTIO_CRYPTO_SYM_OP_CIPHER},
         16},
	{VIRTIO_CRYPTO_HASH_CREATE_SESSION, 8, {VIRTIO_CRYPTO_HASH_SHA_256, 32}, 0},
	{VIRTIO_CRYPTO_MAC_CREATE_SESSION, 16, {VIRTIO_CRYPTO_MAC_HMAC_SHA1, 20, 30, 0}, 30},
	{VIRTIO_CRYPTO_AEAD_CREATE_SESSION, 24, {VIRTIO_CRYPTO_AEAD_GCM, 32, 16, 0, 2, 0}, 32},
};

/* Header, parameters, keys whose bytes count up. Returns how many. */
static uint32_t revision_request(const struct revision_case *c, uint8_t *out)
{
	memset(out, 0, 16);
	memcpy(out, &c->opcode, 4);
	memcpy(out + 16, c->words, c->size);
	for (uint32_t i = 0; i < c->keys; i++)
		out[16 + c->size + i] = (uint8_t)(i + 1);
	return 16 + c->size + c->keys;
}

static uint32_t revision_create(struct fixture *f, const uint8_t *out, uint32_t n, uint32_t most,
                                uint64_t *id)
{
	struct virtio_crypto_session_input input;

	memcpy(&input, control(f, out, n, 16, most, 16), 16);
	*id = input.session_id;
	return input.status;
}

static void test_revision_1_does_not_pad(void **state)
{
	struct fixture *f = *state;
	uint8_t out[256];
	uint64_t id;

	f->features = 1;
	for (size_t i = 0; i < vc_array_size(revision_cases); i++) {
		const struct revision_case *c = &revision_cases[i];
		uint32_t n = revision_request(c, out);
		const uint32_t destroy_opcode = c->opcode + 1;

		assert_int_equal(revision_create(f, out, n, 7, &id), VIRTIO_CRYPTO_OK);
		const struct session_params *p = &session_get(f->table, id)->params;

		assert_int_equal(p->service, i);
		assert_int_equal(p->key_len + p->auth_key_len, c->keys);
		for (uint32_t k = 0; k < c->keys; k++)
			assert_int_equal(p->key[k], k + 1);
		if (c->keys)
			assert_int_equal(revision_create(f, out, n - 1, 256, &id),
			                 VIRTIO_CRYPTO_ERR);
		for (uint32_t k = 1; k < 16 + c->size; k++)
			assert_int_equal(*control(f, out, k, 1, 256, 1), VIRTIO_CRYPTO_ERR);
		/* The destruction is 24 bytes. */
		assert_int_equal(session_table_count(f->table), 1);
		uint32_t cursor = 0;

		id = session_table_next(f->table, &cursor)->id;
		memset(out, 0, 24);
		memcpy(out, &destroy_opcode, 4);
		memcpy(out + 16, &id, 8);
		assert_int_equal(*control(f, out, 23, 1, 256, 1), VIRTIO_CRYPTO_ERR);
		assert_int_equal(*control(f, out, 24, 1, 5, 1), VIRTIO_CRYPTO_OK);
		session_release(f->removed);
		assert_int_equal(*control(f, out, 24, 1, 256, 1), VIRTIO_CRYPTO_ERR);
		assert_int_equal(session_table_count(f->table), 0);
	}
}

static void test_revision_1_has_fewer_statuses(void **state)
{
	struct fixture *f = *state;
	uint8_t out[256];
	const uint32_t bad_key = 17, unknown = 0x999;
	uint64_t id;
	uint32_t n;

	f->features = 1;
	n = revision_request(&revision_cases[0], out);
	memcpy(out + 20, &bad_key, 4);
	assert_int_equal(revision_create(f, out, n + 1, 256, &id), VIRTIO_CRYPTO_ERR);
	f->deny = true;
	n = revision_request(&revision_cases[0], out);
	assert_int_equal(revision_create(f, out, n, 256, &id), VIRTIO_CRYPTO_NOTSUPP);
	f->deny = false;
	for (int i = 0; i < 4; i++)
		assert_int_equal(revision_create(f, out, n, 256, &id), VIRTIO_CRYPTO_OK);
	assert_int_equal(revision_create(f, out, n, 256, &id), VIRTIO_CRYPTO_NOSPC);
	memcpy(out, &unknown, 4);
	assert_int_equal(revision_create(f, out, n, 256, &id), VIRTIO_CRYPTO_NOTSUPP);
}

#define control_test(t) cmocka_unit_test_setup_teardown(t, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		control_test(test_cipher_session_lives_and_dies),
		control_test(test_request_may_be_cut_anywhere),
		control_test(test_every_service),
		control_test(test_what_is_refused),
		control_test(test_answers_without_room),
		control_test(test_random_requests_do_no_harm),
		control_test(test_revision_1_does_not_pad),
		control_test(test_revision_1_has_fewer_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
