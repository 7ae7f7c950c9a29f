/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-band requests on a data queue: sessions made and destroyed, what the device tells of itself,
 * and envelopes that lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <vcrypto/inband.h>

#include "guest.h"
#include "host/inband.h"

#define UNTOUCHED 0xee
#define ENVELOPE 72u
#define CONTROL 72u

struct fixture {
	struct guest guest;
	struct inband_context context;
	struct vring_chain chain;
	struct session *removed;
	uint32_t answered;
};

/* Envelope, control request and key. */
struct request {
	struct virtio_crypto_op_data_req data;
	struct virtio_crypto_op_ctrl_req control;
	uint8_t key[16];
};

static int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	guest_open(&f->guest, 64, 0, false);
	f->context.sessions = session_table_new(4);
	f->context.config = (struct virtio_crypto_config){
		.status = 1, .crypto_services = 0x1f, .max_size = 12345};
	*state = f;
	return 0;
}

static int fixture_close(void **state)
{
	struct fixture *f = *state;

	session_table_free(f->context.sessions);
	guest_close(&f->guest);
	free(f);
	return 0;
}

static struct request create_request(void)
{
	return (struct request){
		.data.header.opcode = VCRYPTO_INBAND_CREATE,
		.control = {.header = {.opcode = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION,
	                               .algo = VIRTIO_CRYPTO_CIPHER_AES_CBC},
	                    .u.sym = {.u.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16,
	                                           VIRTIO_CRYPTO_OP_ENCRYPT, 0},
	                              .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}},
		.key = "sixteen bytes k"};
}

static struct request destroy_request(uint64_t id)
{
	return (struct request){.data.header.opcode = VCRYPTO_INBAND_DESTROY,
	                        .control = {.header.opcode = VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION,
	                                    .u.destroy.session_id = id}};
}

/* Through the ring, OUT cut into pieces of at most `most`. Returns where IN begins. */
static uint8_t *offer(struct fixture *f, const void *out, uint32_t out_len, uint32_t in_len,
                      uint32_t most)
{
	struct virtq_desc d[200];
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
	memset(guest_at(&f->guest, in), UNTOUCHED, in_len + 1);
	d[n++] = IN_DESC(in, in_len);
	guest_offer(&f->guest, guest_indirect(&f->guest, d, n));
	assert_int_equal(vring_pop(&f->guest.ring, &f->chain), 1);
	vring_push(&f->guest.ring, f->chain.head, 0);
	vring_publish(&f->guest.ring);
	assert_true(guest_used(&f->guest, &elem));
	return guest_at(&f->guest, in);
}

/* Offer it and have it done; the status. *in: where the answer is. */
static uint8_t run(struct fixture *f, const void *out, uint32_t out_len, uint32_t in_len,
                   uint32_t most, uint8_t **in)
{
	uint32_t opcode;

	*in = offer(f, out, out_len, in_len, most);
	opcode = inband_opcode(&f->chain);
	assert_int_equal(opcode >> 16, VCRYPTO_INBAND_PREFIX);
	return inband_handle(opcode, &f->chain, &f->context, &f->answered, &f->removed);
}

static struct virtio_crypto_session_input input_at(const uint8_t *in)
{
	struct virtio_crypto_session_input input;

	memcpy(&input, in, sizeof(input));
	return input;
}

static void a_session_is_made_and_destroyed(void **state)
{
	static const uint32_t pieces[] = {1000, 72, 7, 1};
	struct fixture *f = *state;
	uint8_t *in;

	for (size_t i = 0; i < vc_array_size(pieces); i++) {
		struct request r = create_request();

		assert_int_equal(run(f, &r, sizeof(r), 17, pieces[i], &in), VIRTIO_CRYPTO_OK);
		assert_int_equal(f->answered, 16);
		struct virtio_crypto_session_input input = input_at(in);

		assert_int_equal(input.status, VIRTIO_CRYPTO_OK);
		assert_int_equal(input.session_id >> VCRYPTO_SESSION_ID_TAG_SHIFT,
		                 VCRYPTO_SESSION_ID_TAG);
		/* The status byte is the caller's to write. */
		assert_int_equal(in[16], UNTOUCHED);
		struct session *session = session_get(f->context.sessions, input.session_id);

		assert_non_null(session);
		assert_memory_equal(session->params.key, "sixteen bytes k", 16);

		r = destroy_request(input.session_id);
		assert_int_equal(run(f, &r, ENVELOPE + CONTROL, 1, pieces[i], &in),
		                 VIRTIO_CRYPTO_OK);
		assert_int_equal(f->answered, 0);
		assert_ptr_equal(f->removed, session);
		session_release(session);
		assert_int_equal(run(f, &r, ENVELOPE + CONTROL, 1, 1000, &in),
		                 VIRTIO_CRYPTO_INVSESS);
		assert_null(f->removed);
	}
	assert_int_equal(session_table_count(f->context.sessions), 0);
}

static void a_refusal_is_told_in_both_places(void **state)
{
	struct fixture *f = *state;
	struct request r = create_request();
	uint8_t *in;

	r.control.u.sym.u.cipher.algo = VIRTIO_CRYPTO_CIPHER_ARC4;
	assert_int_equal(run(f, &r, sizeof(r), 17, 1000, &in), VIRTIO_CRYPTO_NOTSUPP);
	assert_int_equal(f->answered, 16);
	assert_int_equal(input_at(in).status, VIRTIO_CRYPTO_NOTSUPP);
	assert_int_equal(input_at(in).session_id, 0);

	r = create_request();
	r.control.u.sym.u.cipher.key_len = 15;
	assert_int_equal(run(f, &r, sizeof(r), 17, 1000, &in), VIRTIO_CRYPTO_KEY_REJECTED);
	/* A key that is not there. */
	r = create_request();
	assert_int_equal(run(f, &r, sizeof(r) - 1, 17, 1000, &in), VIRTIO_CRYPTO_ERR);
	assert_int_equal(session_table_count(f->context.sessions), 0);
}

static void a_session_whose_id_cannot_be_told_is_not_made(void **state)
{
	struct fixture *f = *state;
	struct request r = create_request();
	uint8_t *in;

	assert_int_equal(run(f, &r, sizeof(r), 16, 1000, &in), VIRTIO_CRYPTO_ERR);
	assert_int_equal(f->answered, 0);
	assert_int_equal(session_table_count(f->context.sessions), 0);
}

static void an_envelope_holds_what_it_says(void **state)
{
	struct fixture *f = *state;
	struct request r = create_request();
	uint8_t *in;

	/* A destruction in CREATE, a creation in DESTROY, an opcode that is neither. */
	r.control.header.opcode = VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION;
	assert_int_equal(run(f, &r, sizeof(r), 17, 1000, &in), VIRTIO_CRYPTO_ERR);
	r = create_request();
	r.data.header.opcode = VCRYPTO_INBAND_DESTROY;
	assert_int_equal(run(f, &r, sizeof(r), 17, 1000, &in), VIRTIO_CRYPTO_ERR);
	r.data.header.opcode = VCRYPTO_INBAND_GENERATE + 1;
	assert_int_equal(run(f, &r, sizeof(r), 17, 1000, &in), VIRTIO_CRYPTO_NOTSUPP);
	/* Half a control request. */
	r = create_request();
	for (uint32_t len = ENVELOPE; len < ENVELOPE + CONTROL; len++)
		assert_int_equal(run(f, &r, len, 17, 1000, &in), VIRTIO_CRYPTO_ERR);
	assert_int_equal(session_table_count(f->context.sessions), 0);
	assert_null(f->removed);
}

static void a_session_of_another_service_is_not_destroyed(void **state)
{
	struct fixture *f = *state;
	struct request r = create_request();
	uint8_t *in;

	assert_int_equal(run(f, &r, sizeof(r), 17, 1000, &in), VIRTIO_CRYPTO_OK);
	r = destroy_request(input_at(in).session_id);
	r.control.header.opcode = VIRTIO_CRYPTO_HASH_DESTROY_SESSION;
	assert_int_equal(run(f, &r, ENVELOPE + CONTROL, 1, 1000, &in), VIRTIO_CRYPTO_INVSESS);
	assert_int_equal(session_table_count(f->context.sessions), 1);
}

static void hello_tells_version_and_configuration(void **state)
{
	struct fixture *f = *state;
	struct virtio_crypto_op_data_req r = {.header.opcode = VCRYPTO_INBAND_HELLO};
	struct vcrypto_inband_hello hello;
	uint8_t *in;

	/* More room than today's answer needs, just enough, and less. */
	for (uint32_t room = 100; room >= 4; room--) {
		uint32_t told = vc_min(room, (uint32_t)sizeof(hello));

		assert_int_equal(run(f, &r, sizeof(r), room + 1, 1000, &in), VIRTIO_CRYPTO_OK);
		assert_int_equal(f->answered, told);
		memset(&hello, 0, sizeof(hello));
		memcpy(&hello, in, told);
		assert_int_equal(hello.version, VCRYPTO_INBAND_VERSION);
		if (told == sizeof(hello))
			assert_memory_equal(hello.config, &f->context.config, 56);
		for (uint32_t i = told; i <= room; i++)
			assert_int_equal(in[i], UNTOUCHED);
	}
	assert_int_equal(run(f, &r, sizeof(r), 4, 1000, &in), VIRTIO_CRYPTO_ERR);
	assert_int_equal(run(f, &r, sizeof(r), 1, 1000, &in), VIRTIO_CRYPTO_ERR);
}

/* What the group can do in these tests. */
static bool can_some(void *curve, const struct session_params *params)
{
	return params->service != VIRTIO_CRYPTO_SERVICE_AKCIPHER ||
	       (params->akcipher == VCRYPTO_INBAND_AGREE && params->curve == *(uint8_t *)curve);
}

static void hello_tells_the_curves_that_the_group_has(void **state)
{
	static uint8_t curves[] = {VCRYPTO_INBAND_X25519, VIRTIO_CRYPTO_CURVE_NIST_P256,
	                           VIRTIO_CRYPTO_CURVE_NIST_P521};
	struct fixture *f = *state;
	struct virtio_crypto_op_data_req r = {.header.opcode = VCRYPTO_INBAND_HELLO};
	struct vcrypto_inband_hello hello;
	uint8_t *in;

	for (size_t i = 0; i < vc_array_size(curves); i++) {
		f->context.can = can_some;
		f->context.can_context = &curves[i];
		assert_int_equal(run(f, &r, sizeof(r), sizeof(hello) + 1, 1000, &in),
		                 VIRTIO_CRYPTO_OK);
		assert_int_equal(f->answered, sizeof(hello));
		memcpy(&hello, in, sizeof(hello));
		assert_int_equal(hello.agree_curves, 1u << curves[i]);
		assert_int_equal(hello.reserved2, 0);
	}
}

static struct request agree_request(uint32_t curve)
{
	struct request r = {.data.header.opcode = VCRYPTO_INBAND_CREATE,
	                    .control.header.opcode = VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION};

	r.control.u.akcipher.algo = VCRYPTO_INBAND_AGREE;
	r.control.u.akcipher.u.ecdsa.curve_id = curve;
	return r;
}

static void sessions_of_key_agreement_have_a_curve_and_no_key(void **state)
{
	static uint8_t x25519 = VCRYPTO_INBAND_X25519;
	struct fixture *f = *state;
	struct request r = agree_request(x25519);
	struct session *session;
	uint8_t *in;

	f->context.can = can_some;
	f->context.can_context = &x25519;
	assert_int_equal(run(f, &r, ENVELOPE + CONTROL, 17, 1000, &in), VIRTIO_CRYPTO_OK);
	session = session_get(f->context.sessions, input_at(in).session_id);
	assert_non_null(session);
	assert_int_equal(session->params.akcipher, VCRYPTO_INBAND_AGREE);
	assert_int_equal(session->params.curve, VCRYPTO_INBAND_X25519);
	assert_int_equal(session->params.key_len, 0);

	/* With a key; on a curve that is none, or that the group does not have. */
	r.control.u.akcipher.key_len = 16;
	assert_int_equal(run(f, &r, sizeof(r), 17, 1000, &in), VIRTIO_CRYPTO_KEY_REJECTED);
	r = agree_request(VIRTIO_CRYPTO_CURVE_NIST_P192);
	assert_int_equal(run(f, &r, ENVELOPE + CONTROL, 17, 1000, &in), VIRTIO_CRYPTO_NOTSUPP);
	r = agree_request(0x100 + VCRYPTO_INBAND_X25519);
	assert_int_equal(run(f, &r, ENVELOPE + CONTROL, 17, 1000, &in), VIRTIO_CRYPTO_NOTSUPP);
	r = agree_request(VIRTIO_CRYPTO_CURVE_NIST_P256);
	assert_int_equal(run(f, &r, ENVELOPE + CONTROL, 17, 1000, &in), VIRTIO_CRYPTO_NOTSUPP);
	assert_int_equal(session_table_count(f->context.sessions), 1);
}

static void other_chains_are_not_taken_for_it(void **state)
{
	struct fixture *f = *state;
	struct request r = create_request();

	/* A header that is not whole. */
	offer(f, &r, ENVELOPE - 1, 17, 1000);
	assert_int_equal(inband_opcode(&f->chain), 0);
	r.data.header.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT;
	offer(f, &r, sizeof(r), 17, 1000);
	assert_int_equal(inband_opcode(&f->chain), 0);
	/* Data requests, of which it has been said already what is wrong. */
	r.data.header.opcode = VCRYPTO_INBAND_DERIVE;
	offer(f, &r, sizeof(r), 17, 1000);
	assert_int_equal(inband_opcode(&f->chain), 0);
	r.data.header.opcode = VCRYPTO_INBAND_GENERATE;
	offer(f, &r, sizeof(r), 17, 1000);
	assert_int_equal(inband_opcode(&f->chain), 0);
	r.data.header.opcode = 0x5643;
	offer(f, &r, sizeof(r), 17, 1000);
	assert_int_equal(inband_opcode(&f->chain), 0);
	/* No place for a status. */
	r = create_request();
	offer(f, &r, sizeof(r), 17, 1000);
	f->chain.in = 0;
	assert_int_equal(inband_opcode(&f->chain), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_session_is_made_and_destroyed, fixture_open,
	                                        fixture_close),
		cmocka_unit_test_setup_teardown(a_refusal_is_told_in_both_places, fixture_open,
	                                        fixture_close),
		cmocka_unit_test_setup_teardown(a_session_whose_id_cannot_be_told_is_not_made,
	                                        fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(an_envelope_holds_what_it_says, fixture_open,
	                                        fixture_close),
		cmocka_unit_test_setup_teardown(a_session_of_another_service_is_not_destroyed,
	                                        fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(hello_tells_version_and_configuration, fixture_open,
	                                        fixture_close),
		cmocka_unit_test_setup_teardown(hello_tells_the_curves_that_the_group_has,
	                                        fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(sessions_of_key_agreement_have_a_curve_and_no_key,
	                                        fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(other_chains_are_not_taken_for_it, fixture_open,
	                                        fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
