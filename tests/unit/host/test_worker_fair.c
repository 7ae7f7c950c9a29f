/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns of the queues of one worker: who is next, and what rubbish costs the one that sends it. The
 * worker has no thread here; its rounds are counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "host/worker_private.h"
#include "keys.h"
#include "worker_fixture.h"

#define QUEUES (WORKER_ROUND / WORKER_BURST + 2)
#define RING 256
#define LENGTH 64u

struct world {
	struct worker *worker;
	struct fake *fake;
	struct resource *resources[1];
	struct group group;
	struct device *device;
	struct guest guest[QUEUES];
	uint64_t session;
};

static int setup(void **state)
{
	static const uint8_t key[16] = "0123456789abcdef";
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
	                                .encrypt = 1,
	                                .key = key,
	                                .key_len = sizeof(key)};
	struct world *w = calloc(1, sizeof(*w));
	struct worker_options options = {.cpu = -1, .resource_count = 1, .max_size = 1u << 16};
	struct device_options device = {.name = "test",
	                                .data_queues = QUEUES,
	                                .limits = {4, 1u << 20, 1u << 30},
	                                .max_size = 1u << 16,
	                                .worker_count = 1};

	w->fake = fake_new("fake", 0);
	w->resources[0] = &w->fake->base;
	w->group = (struct group){.resource = {w->resources[0]}, .primary = 1, .count = 1};
	options.resources = w->resources;
	w->worker = worker_new(&options);
	assert_non_null(w->worker);
	assert_int_equal(worker_begin(w->worker), 0);
	device.group = &w->group;
	device.workers = &w->worker;
	assert_int_equal(device_create(&device, &w->device), 0);
	w->device->share_bytes = device.limits.inflight_bytes;
	assert_int_equal(session_create(w->device->sessions, &params, NULL, NULL, &w->session), 0);
	for (unsigned int i = 0; i < QUEUES; i++)
		queue_begin(w->worker, &w->device->queue[i], &w->guest[i], RING);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	worker_end(w->worker);
	worker_free(w->worker);
	device_destroy(w->device);
	for (unsigned int i = 0; i < QUEUES; i++)
		guest_close(&w->guest[i]);
	fake_free(w->fake);
	free(w);
	return 0;
}

/* A sound RSA signature. */
static void send_signature(struct world *w, unsigned int queue, uint64_t session, uint32_t length)
{
	struct guest *g = &w->guest[queue];
	uint32_t out = guest_alloc(g, 72 + length), in = guest_alloc(g, length + 1);
	struct virtio_crypto_op_data_req req = {
		.header = {.opcode = VIRTIO_CRYPTO_AKCIPHER_SIGN, .session_id = session},
		.u.akcipher = {.src_len = length, .dst_len = length},
	};
	struct virtq_desc descs[] = {OUT_DESC(out, 72 + length), IN_DESC(in, length + 1)};

	memcpy(guest_at(g, out), &req, sizeof(req));
	guest_offer(g, guest_chain(g, descs, 2));
}

/* A sound request; or one of a session that is none. */
static void send(struct world *w, unsigned int queue, bool sound)
{
	struct guest *g = &w->guest[queue];
	uint32_t out = guest_alloc(g, 72 + 16 + LENGTH), in = guest_alloc(g, LENGTH + 1);
	struct virtio_crypto_op_data_req req = {
		.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT,
	                   .session_id = sound ? w->session : 1},
		.u.sym = {.u.cipher = {.iv_len = 16, .src_len = LENGTH, .dst_len = LENGTH},
	                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER},
	};
	struct virtq_desc descs[] = {OUT_DESC(out, 72 + 16 + LENGTH), IN_DESC(in, LENGTH + 1)};

	memcpy(guest_at(g, out), &req, sizeof(req));
	guest_offer(g, guest_chain(g, descs, 2));
}

static void send_many(struct world *w, unsigned int queue, bool sound, unsigned int n)
{
	while (n--)
		send(w, queue, sound);
}

static void rounds(struct world *w, unsigned int n)
{
	while (n--)
		worker_round(w->worker);
}

static unsigned int came_back(struct world *w, unsigned int queue)
{
	struct virtq_used_elem elem;
	unsigned int n = 0;

	while (guest_used(&w->guest[queue], &elem))
		n++;
	return n;
}

static void sound_queues_share_equally(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 2; i++)
		send_many(w, i, true, 100);
	rounds(w, 1);
	assert_int_equal(came_back(w, 0), WORKER_BURST);
	assert_int_equal(came_back(w, 1), WORKER_BURST);
}

static void a_round_ends_and_the_next_one_goes_on_from_there(void **state)
{
	struct world *w = *state;
	unsigned int done[QUEUES], all = 0;

	for (unsigned int i = 0; i < QUEUES; i++)
		send_many(w, i, true, 2 * WORKER_BURST);
	rounds(w, 1);
	for (unsigned int i = 0; i < QUEUES; i++) {
		done[i] = came_back(w, i);
		assert_true(!done[i] || done[i] == WORKER_BURST);
		all += done[i];
	}
	assert_int_equal(all, WORKER_ROUND);
	/* Who had nothing comes first now. */
	rounds(w, 1);
	for (unsigned int i = 0; i < QUEUES; i++) {
		done[i] += came_back(w, i);
		assert_true(done[i] >= WORKER_BURST);
	}
	rounds(w, 1);
	for (unsigned int i = 0; i < QUEUES; i++)
		assert_int_equal(done[i] + came_back(w, i), 2 * WORKER_BURST);
}

static void rubbish_takes_few_turns_and_all_comes_back(void **state)
{
	struct world *w = *state;
	unsigned int done;

	send_many(w, 0, false, 100);
	send_many(w, 1, true, 100);
	/* In rounds 1, 3, 7 and 15, one each. */
	rounds(w, 2);
	assert_int_equal(came_back(w, 1), 100);
	rounds(w, 14);
	done = came_back(w, 0);
	assert_int_equal(done, 4);
	rounds(w, 100 * 32);
	assert_int_equal(done + came_back(w, 0), 100);
}

static void a_mistake_among_many_costs_nothing(void **state)
{
	struct world *w = *state;

	send_many(w, 0, true, 20);
	send(w, 0, false);
	send_many(w, 0, true, 20);
	rounds(w, 2);
	assert_int_equal(came_back(w, 0), 41);
}

static void who_does_well_again_is_forgiven(void **state)
{
	struct world *w = *state;

	send_many(w, 0, false, 4);
	send_many(w, 0, true, 100);
	/* The fifth turn, after 1 + 3 + 7 + 15 rounds of rest, is a good one. */
	rounds(w, 4 + 1 + 3 + 7 + 15 + 1);
	assert_int_equal(came_back(w, 0), 4 + WORKER_BURST);
	rounds(w, 1);
	assert_int_equal(came_back(w, 0), 100 - WORKER_BURST);
	send(w, 0, false);
	send(w, 0, false);
	rounds(w, 3);
	assert_int_equal(came_back(w, 0), 2);
}

/* However much one device asks for, there is a place for the next one. */
static void nobody_has_more_places_than_are_left(void **state)
{
	struct world *w = *state;
	unsigned int hidden = WORKER_SLAB - 100;

	w->worker->free_count -= hidden;
	atomic_store(&w->fake->hold, true);
	send_many(w, 0, true, 100);
	send_many(w, 1, true, 20);
	rounds(w, 10);
	assert_int_equal(atomic_load(&w->fake->submitted), 50);
	assert_int_equal(w->worker->free_count, 50);
	fake_release(w->fake);
	rounds(w, 10);
	assert_int_equal(came_back(w, 0), 100);
	assert_int_equal(came_back(w, 1), 20);
	assert_int_equal(w->worker->free_count, 100);
	assert_int_equal(w->device->share[0].in_flight, 0);
	w->worker->free_count += hidden;
}

/* They are short, and keep a resource busy for long. */
static void signatures_count_by_the_time_that_they_take(void **state)
{
	struct world *w = *state;
	struct test_key key = test_rsa_private(2048);
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_AKCIPHER,
	                                .akcipher = VIRTIO_CRYPTO_AKCIPHER_RSA,
	                                .private_key = 1,
	                                .key = key.der,
	                                .key_len = (uint32_t)key.len};
	uint64_t session, weight;

	assert_int_equal(session_create(w->device->sessions, &params, NULL, NULL, &session), 0);
	params.key_bits = 2048;
	weight = request_akcipher_weight(&params);
	assert_in_range(weight, 16384, 1u << 16);
	w->device->share_bytes = 3 * weight;
	atomic_store(&w->fake->hold, true);
	for (unsigned int i = 0; i < 5; i++)
		send_signature(w, 0, session, 256);
	rounds(w, 5);
	assert_int_equal(atomic_load(&w->fake->submitted), 3);
	fake_release(w->fake);
	rounds(w, 5);
	assert_int_equal(came_back(w, 0), 5);
	assert_int_equal(w->device->share[0].inflight_bytes, 0);
	/* An RSA-8192 operation takes about 64 times as long. */
	params.key_bits = 8192;
	assert_in_range(request_akcipher_weight(&params), 50 * weight, 70 * weight);
}

#define fair(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fair(sound_queues_share_equally),
		fair(a_round_ends_and_the_next_one_goes_on_from_there),
		fair(rubbish_takes_few_turns_and_all_comes_back),
		fair(a_mistake_among_many_costs_nothing),
		fair(who_does_well_again_is_forgiven),
		fair(nobody_has_more_places_than_are_left),
		fair(signatures_count_by_the_time_that_they_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
