/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In-band sessions, the driver's side: who is asked at all, and how control requests and the
 * queue's own thread share data queue 0. The device is in this process, at the other end of the
 * kick.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <vcrypto/inband.h>

#include "virtio/inband.h"

#define DEPTH 8u
#define CONTROL_INDEX 1u
#define OPCODES 4u

/* The device. */
static struct {
	uint64_t tag;
	uint32_t version;
	uint32_t curves;   /* of key agreement; */
	size_t hello_size; /* an older one writes less */
	bool hold;         /* requests that are no control requests do not come back yet */
	uint16_t held[DEPTH];
	unsigned int held_count;
	uint16_t taken[2];          /* of each ring */
	unsigned int seen[OPCODES]; /* HELLO, CREATE, DESTROY, others */
	uint64_t sessions;
	const struct ring_split *data_ring;
	uint32_t algorithm; /* of the last session */
	uint8_t key[16];    /* the same */
	const uint8_t *key_at;
	char transport;
} device_end;

static struct vcrypto_device *device;
static struct vcrypto_queue *queue;

static int fake_open(const char *address, unsigned int timeout_ms, struct transport **transport,
                     uint64_t *features, struct transport_error *error)
{
	*features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_INDIRECT_DESC |
	            1ull << VIRTIO_F_RING_EVENT_IDX;
	*transport = (struct transport *)&device_end.transport;
	return 0;
}

static void fake_close(struct transport *transport)
{
}

static int fake_features_set(struct transport *transport, uint64_t features,
                             struct transport_error *error)
{
	return 0;
}

static unsigned int fake_queues_max(struct transport *transport)
{
	return 2;
}

static int fake_config_read(struct transport *transport, void *config, size_t size,
                            struct transport_error *error)
{
	const struct virtio_crypto_config c = {.status = VIRTIO_CRYPTO_S_HW_READY,
	                                       .max_dataqueues = 1,
	                                       .crypto_services = 0x11,
	                                       .cipher_algo_l = 1u << VCRYPTO_CIPHER_AES_CBC,
	                                       .max_cipher_key_len = 64,
	                                       .max_size = 65536};

	memcpy(config, &c, sizeof(c));
	return 0;
}

static int fake_memory_add(struct transport *transport, void *address, size_t size, int fd,
                           uint64_t offset, struct transport_error *error)
{
	return 0;
}

static int fake_queue_start(struct transport *transport, struct transport_queue *q,
                            struct transport_error *error)
{
	q->call_fd = event_create();
	if (q->index != CONTROL_INDEX)
		device_end.data_ring = &q->ring->split;
	return q->call_fd < 0 ? q->call_fd : 0;
}

static void *at(const struct virtq_desc *desc)
{
	return (void *)(uintptr_t)desc->addr;
}

static void give_back(const struct ring_split *ring, uint16_t head, uint32_t written)
{
	struct virtq_used *used = ring->used;

	used->ring[used->idx & ring->mask] = (struct virtq_used_elem){head, written};
	__atomic_store_n(&used->idx, (uint16_t)(used->idx + 1), __ATOMIC_RELEASE);
}

/* A control request in a descriptor, and where the answer goes, if there is one to give. */
static void control(const struct virtq_desc *out, const struct virtq_desc *in)
{
	const struct virtio_crypto_op_ctrl_req *req = at(out);
	struct virtio_crypto_session_input input = {0};

	if (req->header.opcode != VIRTIO_CRYPTO_CIPHER_CREATE_SESSION &&
	    req->header.opcode != VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION)
		return;
	device_end.algorithm = req->header.algo;
	input.session_id = device_end.tag << 48 | ++device_end.sessions;
	device_end.key_at = (const uint8_t *)(req + 1);
	memcpy(device_end.key, device_end.key_at, sizeof(device_end.key));
	assert_int_equal(in->len, sizeof(input));
	memcpy(at(in), &input, sizeof(input));
}

static void hello(const struct virtq_desc *in)
{
	struct vcrypto_inband_hello answer = {.version = device_end.version,
	                                      .agree_curves = device_end.curves};
	const struct virtio_crypto_config config = {
		.max_dataqueues = 1, .crypto_services = 0x1f, .aead_algo = 2, .max_size = 65536};

	memcpy(answer.config, &config, sizeof(config));
	assert_int_equal(in->len, sizeof(answer));
	memcpy(at(in), &answer, device_end.hello_size);
}

static void data(const struct ring_split *ring, uint16_t head)
{
	const struct virtq_desc *table = at(&ring->desc[head]);
	unsigned int last = ring->desc[head].len / (unsigned int)sizeof(*table) - 1;
	const struct virtio_crypto_op_data_req *req = at(&table[0]);
	uint32_t opcode = req->header.opcode;

	device_end.seen[opcode >> 16 ? opcode & 3 : 3]++;
	if (opcode == VCRYPTO_INBAND_HELLO)
		hello(&table[1]);
	else if (opcode == VCRYPTO_INBAND_CREATE)
		control(&table[1], &table[2]);
	else if (!(opcode >> 16) && device_end.hold) {
		device_end.held[device_end.held_count++] = head;
		return;
	}
	*(uint8_t *)at(&table[last]) = VIRTIO_CRYPTO_OK;
	give_back(ring, head, 1);
}

static void fake_kick(const struct transport_queue *q)
{
	const struct ring_split *ring = &q->ring->split;
	uint16_t *taken = &device_end.taken[q->index];

	for (; *taken != ring->avail->idx; ++*taken) {
		uint16_t head = ring->avail->ring[*taken & ring->mask];

		if (q->index == CONTROL_INDEX) {
			const struct virtq_desc *table = at(&ring->desc[head]);

			control(&table[0], &table[1]);
			give_back(ring, head, 16);
		} else {
			data(ring, head);
		}
	}
	/* Kick me for the next one, too. */
	*(uint16_t *)(uintptr_t)ring->avail_event = *taken;
}

static bool fake_alive(struct transport *transport)
{
	return true;
}

static int fake_fd(const struct transport *transport)
{
	return -1;
}

static const struct transport_ops fake_ops = {
	.open = fake_open,
	.close = fake_close,
	.features_set = fake_features_set,
	.queues_max = fake_queues_max,
	.config_read = fake_config_read,
	.memory_add = fake_memory_add,
	.queue_start = fake_queue_start,
	.kick = fake_kick,
	.alive = fake_alive,
	.fd = fake_fd,
};

/* What is held comes back, the last one first. */
static void release(void)
{
	while (device_end.held_count) {
		uint16_t head = device_end.held[--device_end.held_count];
		const struct virtq_desc *table = at(&device_end.data_ring->desc[head]);
		unsigned int n =
			device_end.data_ring->desc[head].len / (unsigned int)sizeof(*table);

		*(uint8_t *)at(&table[n - 1]) = VIRTIO_CRYPTO_OK;
		give_back(device_end.data_ring, head, 17);
	}
}

static int open_options(struct vcrypto_device_options options, char **error)
{
	return device_open_over(&fake_ops, &options, 0, &device, error);
}

static void device_end_begin(uint64_t tag, uint32_t version)
{
	memset(&device_end, 0, sizeof(device_end));
	device_end.tag = tag;
	device_end.version = version;
	device_end.hello_size = sizeof(struct vcrypto_inband_hello);
}

static int open_with(uint64_t tag, uint32_t version, char **error)
{
	const struct vcrypto_device_options options = {.socket = "none",
	                                               .depth = DEPTH,
	                                               .memory = 65536,
	                                               .timeout_ms = 2000,
	                                               .hugepages = -1,
	                                               .sessions = VCRYPTO_SESSIONS_IN_BAND};

	device_end_begin(tag, version);
	return open_options(options, error);
}

static int setup(void **state)
{
	char *error = NULL;

	if (open_with(VCRYPTO_SESSION_ID_TAG, VCRYPTO_INBAND_VERSION, &error))
		fail_msg("open: %s", error);
	queue = vcrypto_device_queue(device, 0);
	return 0;
}

static int teardown(void **state)
{
	vcrypto_device_close(device);
	return 0;
}

static const struct vcrypto_session_params cbc = {.algorithm = VCRYPTO_CIPHER_AES_CBC,
                                                  .direction = VCRYPTO_ENCRYPT,
                                                  .key = "sixteen bytes k",
                                                  .key_len = 16};

static void a_back_end_without_the_tag_is_never_asked(void **state)
{
	static const uint64_t tags[] = {0, 0x5642, 0xffff};

	for (size_t i = 0; i < vc_array_size(tags); i++) {
		char *error = NULL;

		assert_int_equal(open_with(tags[i], VCRYPTO_INBAND_VERSION, &error), -EPROTO);
		assert_non_null(strstr(error, "not vcrypto-host"));
		free(error);
		assert_int_equal(device_end.sessions, 1);
		for (unsigned int k = 0; k < OPCODES; k++)
			assert_int_equal(device_end.seen[k], 0);
	}
}

static void another_version_is_left_alone(void **state)
{
	char *error = NULL;

	assert_int_equal(open_with(VCRYPTO_SESSION_ID_TAG, VCRYPTO_INBAND_VERSION + 1, &error),
	                 -EPROTO);
	assert_non_null(strstr(error, "version 2"));
	free(error);
	assert_int_equal(device_end.seen[0], 1);
	assert_int_equal(device_end.seen[1], 0);
}

static void the_device_is_what_hello_says(void **state)
{
	struct vcrypto_session_params gcm;
	struct vcrypto_capabilities caps;

	assert_int_equal(device_end.seen[0], 1);
	assert_int_equal(vcrypto_params_parse("aes-128-gcm", &gcm), 0);
	gcm.key_len = 0;
	assert_int_equal(vcrypto_device_can(device, &gcm), 0);
	assert_int_equal(vcrypto_device_capabilities(device, &caps), 0);
	assert_int_equal(caps.services, 0x1f);
	assert_int_equal(device_end.seen[0], 2);
	/* HELLO is nobody's operation. */
	assert_int_equal(vcrypto_queue_in_flight(queue), 0);
}

/* Sessions over the control queue, and agreement asked for. */
static void open_asking(bool agreement)
{
	const struct vcrypto_device_options options = {.socket = "none",
	                                               .depth = DEPTH,
	                                               .memory = 65536,
	                                               .timeout_ms = 2000,
	                                               .hugepages = -1,
	                                               .agreement = agreement};
	char *error = NULL;

	if (open_options(options, &error))
		fail_msg("open: %s", error);
	queue = vcrypto_device_queue(device, 0);
}

static const struct vcrypto_session_params x25519 = {.service = VCRYPTO_SERVICE_AKCIPHER,
                                                     .algorithm = VCRYPTO_AKCIPHER_AGREE,
                                                     .curve = VCRYPTO_CURVE_X25519};

static void expect_curves(uint32_t curves)
{
	struct vcrypto_capabilities caps;

	assert_int_equal(vcrypto_device_capabilities(device, &caps), 0);
	assert_int_equal(caps.agree_curves, curves);
	assert_int_equal(vcrypto_device_can(device, &x25519),
	                 curves >> VCRYPTO_CURVE_X25519 & 1 ? 0 : -ENOTSUP);
}

static void who_asks_for_agreement_is_told_of_its_curves(void **state)
{
	const uint32_t curves = 1u << VCRYPTO_CURVE_X25519 | 1u << VCRYPTO_CURVE_P384;
	struct vcrypto_session *session;

	device_end_begin(VCRYPTO_SESSION_ID_TAG, VCRYPTO_INBAND_VERSION);
	device_end.curves = curves;
	open_asking(true);
	expect_curves(curves);
	/* HELLO and no more: sessions go the control queue's way, and the queue is as any other. */
	assert_int_equal(vcrypto_session_create(device, &x25519, &session), 0);
	assert_int_equal(device_end.algorithm, VCRYPTO_INBAND_AGREE);
	assert_int_equal(device_end.seen[0], 1);
	assert_int_equal(device_end.seen[1], 0);
	assert_null(queue->inband);
	assert_false(queue->layered);
	vcrypto_session_destroy(session);
	vcrypto_device_close(device);
}

static void who_does_not_ask_for_agreement_has_none(void **state)
{
	device_end_begin(VCRYPTO_SESSION_ID_TAG, VCRYPTO_INBAND_VERSION);
	device_end.curves = 1u << VCRYPTO_CURVE_X25519;
	open_asking(false);
	expect_curves(0);
	assert_int_equal(device_end.sessions, 0);
	assert_int_equal(device_end.seen[0], 0);
	vcrypto_device_close(device);
}

/* Without the tag; of another version; an older one, which does not write so far. */
static void who_has_no_agreement_is_never_sent_it(void **state)
{
	struct vcrypto_session *session;

	for (unsigned int i = 0; i < 3; i++) {
		device_end_begin(i == 0 ? 0x5642 : VCRYPTO_SESSION_ID_TAG,
		                 VCRYPTO_INBAND_VERSION + (i == 1));
		device_end.curves = UINT32_MAX;
		if (i == 2)
			device_end.hello_size = 64;
		open_asking(true);
		expect_curves(0);
		device_end.algorithm = 0;
		assert_int_equal(vcrypto_session_create(device, &x25519, &session), -ENOTSUP);
		assert_int_equal(device_end.algorithm, 0);
		assert_int_equal(device_end.seen[0], i > 0);
		assert_string_equal(vcrypto_device_error(device), "");
		vcrypto_device_close(device);
	}
}

static void keys_are_wiped_when_the_session_is_there(void **state)
{
	struct vcrypto_session *session;

	assert_int_equal(vcrypto_session_create(device, &cbc, &session), 0);
	assert_memory_equal(device_end.key, "sixteen bytes k", 16);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(device_end.key_at[i], 0);
	assert_int_equal(vcrypto_session_id(session), VCRYPTO_SESSION_ID_TAG << 48 | 2);
	vcrypto_session_destroy(session);
	assert_int_equal(device_end.seen[2], 1);
}

struct work {
	struct vcrypto_op op[DEPTH], *list[DEPTH], *done[DEPTH];
};

static void work_make(struct work *w, struct vcrypto_session *session)
{
	uint8_t *memory = vcrypto_memory_alloc(device, (size_t)DEPTH * 32);

	for (unsigned int i = 0; i < DEPTH; i++) {
		w->op[i] = (struct vcrypto_op){.session = session,
		                               .src = memory + (size_t)i * 32,
		                               .dst = memory + (size_t)i * 32 + 16,
		                               .length = 16,
		                               .iv_len = 16};
		w->list[i] = &w->op[i];
	}
}

static void operations_that_somebody_else_took_are_kept(void **state)
{
	struct vcrypto_session *session, *another;
	struct work w;

	assert_int_equal(vcrypto_session_create(device, &cbc, &session), 0);
	work_make(&w, session);
	device_end.hold = true;
	assert_int_equal(vcrypto_queue_submit(queue, w.list, 5), 5);
	assert_int_equal(vcrypto_queue_in_flight(queue), 5);
	assert_false(vcrypto_queue_arm(queue));
	vcrypto_queue_disarm(queue);
	release();
	/* Finds the five in the ring, on the way to its own answer. */
	assert_int_equal(vcrypto_session_create(device, &cbc, &another), 0);
	assert_int_equal(vcrypto_queue_in_flight(queue), 5);
	assert_true(vcrypto_queue_arm(queue));
	vcrypto_queue_disarm(queue);
	/* In the order in which they came, and in two goes. */
	assert_int_equal(vcrypto_queue_poll(queue, w.done, 2), 2);
	assert_int_equal(vcrypto_queue_poll(queue, w.done + 2, DEPTH), 3);
	for (unsigned int i = 0; i < 5; i++) {
		assert_ptr_equal(w.done[i], &w.op[4 - i]);
		assert_int_equal(w.done[i]->status, 0);
	}
	assert_int_equal(vcrypto_queue_poll(queue, w.done, DEPTH), 0);
	assert_int_equal(vcrypto_queue_in_flight(queue), 0);
	assert_false(vcrypto_queue_arm(queue));
	vcrypto_queue_disarm(queue);
	vcrypto_session_destroy(session);
	vcrypto_session_destroy(another);
}

static void a_full_queue_makes_sessions_wait(void **state)
{
	struct vcrypto_session *session, *another;
	unsigned int back = 0;
	struct work w;

	assert_int_equal(vcrypto_session_create(device, &cbc, &session), 0);
	work_make(&w, session);
	device_end.hold = true;
	assert_int_equal(vcrypto_queue_submit(queue, w.list, DEPTH), DEPTH);
	assert_int_equal(vcrypto_session_create_begin(device, &cbc, &another), -EAGAIN);
	/* All kept: there is still no room, or a kept one would have no place. */
	release();
	assert_int_equal(vcrypto_session_create_begin(device, &cbc, &another), -EAGAIN);
	device_end.hold = false;
	assert_int_equal(vcrypto_queue_submit(queue, w.list, 1), 0);
	while (back < DEPTH) {
		int n = vcrypto_queue_poll(queue, w.done, 3);

		assert_true(n > 0);
		back += (unsigned int)n;
	}
	assert_int_equal(vcrypto_session_create_begin(device, &cbc, &another), 0);
	assert_int_equal(vcrypto_session_state(another), 0);
	vcrypto_session_destroy(session);
	vcrypto_session_destroy(another);
}

/* The queue's thread finds the answer, and it is not given out as an operation. */
static void an_answer_that_the_queues_thread_took_is_not_lost(void **state)
{
	struct vcrypto_session *session;
	struct vcrypto_op *done[4];

	assert_int_equal(vcrypto_session_create_begin(device, &cbc, &session), 0);
	assert_int_equal(vcrypto_queue_poll(queue, done, 4), 0);
	assert_int_equal(vcrypto_session_state(session), 0);
	vcrypto_session_destroy(session);
	assert_int_equal(vcrypto_queue_poll(queue, done, 4), 0);
	assert_int_equal(vcrypto_queue_in_flight(queue), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_back_end_without_the_tag_is_never_asked),
		cmocka_unit_test(another_version_is_left_alone),
		cmocka_unit_test_setup_teardown(the_device_is_what_hello_says, setup, teardown),
		cmocka_unit_test(who_asks_for_agreement_is_told_of_its_curves),
		cmocka_unit_test(who_does_not_ask_for_agreement_has_none),
		cmocka_unit_test(who_has_no_agreement_is_never_sent_it),
		cmocka_unit_test_setup_teardown(keys_are_wiped_when_the_session_is_there, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(operations_that_somebody_else_took_are_kept, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_full_queue_makes_sessions_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_that_the_queues_thread_took_is_not_lost,
	                                        setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
