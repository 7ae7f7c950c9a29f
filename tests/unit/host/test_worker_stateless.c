/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stateless requests through real workers: keys come with the requests, are realised once and kept
 * within bounds, and go when their queues go, in flight or not.
 */
#include "worker_fixture.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "fake_resource.h"

#define KEPT 256u /* sessions that a worker keeps of a device */
#define LENGTH 64u

static void start(struct bench *b, unsigned int queue, unsigned int worker)
{
	b->device->queue[queue].crypto_features = VIRTIO_CRYPTO_FEATURES;
	bench_start(b, queue, worker);
}

/* AES-128-CBC encryption of LENGTH bytes under a key that is a number, in an indirect chain. */
static struct sent send(struct bench *b, unsigned int queue, uint32_t key)
{
	struct guest *g = &b->guest[queue];
	struct {
		struct virtio_crypto_op_header header;
		union virtio_crypto_data_stateless wire;
		uint32_t key[4];
		uint8_t iv[16];
	} __attribute__((packed)) out = {
		.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT},
		.wire.sym = {.u.cipher = {VIRTIO_CRYPTO_CIPHER_AES_CBC, 16,
	                                  VIRTIO_CRYPTO_OP_ENCRYPT, 16, LENGTH, LENGTH},
	                     .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER},
		.key = {key, 1, 2, 3},
	};
	uint32_t at = guest_alloc(g, sizeof(out));
	struct sent sent = {.src = guest_alloc(g, LENGTH),
	                    .dst = guest_alloc(g, LENGTH),
	                    .status = guest_alloc(g, 1),
	                    .length = LENGTH};
	struct virtq_desc descs[] = {OUT_DESC(at, sizeof(out)), OUT_DESC(sent.src, LENGTH),
	                             IN_DESC(sent.dst, LENGTH), IN_DESC(sent.status, 1)};

	memcpy(guest_at(g, at), &out, sizeof(out));
	for (uint32_t i = 0; i < LENGTH; i++)
		guest_at(g, sent.src)[i] = (uint8_t)(i * 7 + key);
	*guest_at(g, sent.status) = 0xee;
	sent.head = guest_indirect(g, descs, 4);
	guest_offer(g, sent.head);
	return sent;
}

static void check_aes(struct bench *b, unsigned int queue, struct sent sent, uint32_t key)
{
	const uint32_t words[4] = {key, 1, 2, 3};
	const uint8_t iv[16] = {0};
	uint8_t expected[LENGTH];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0;

	EVP_EncryptInit_ex(c, EVP_aes_128_cbc(), NULL, (const uint8_t *)words, iv);
	EVP_EncryptUpdate(c, expected, &n, guest_at(&b->guest[queue], sent.src), LENGTH);
	EVP_CIPHER_CTX_free(c);
	assert_int_equal(bench_status(b, queue, sent), VIRTIO_CRYPTO_OK);
	assert_memory_equal(guest_at(&b->guest[queue], sent.dst), expected, LENGTH);
}

/* More keys than are kept, each used again and again. */
static void each_request_is_done_with_its_own_key(void **state)
{
	struct resource_config config = {.name = "mb", .type = "ipsec-mb"};
	struct resource *mb = NULL;
	struct sent sent[120];
	uint32_t key[120];
	struct bench b;
	uint64_t seed = 5;
	char *error = NULL;

	assert_int_equal(resource_create(&config, &mb, &error), 0);
	bench_open(&b, 1, &mb, 1);
	start(&b, 0, 0);
	for (unsigned int round = 0; round < 50; round++) {
		b.guest[0].data = GUEST_DATA;
		for (unsigned int i = 0; i < vc_array_size(sent); i++) {
			key[i] = guest_random(&seed) % (round % 2 ? 2 * KEPT : 20);
			sent[i] = send(&b, 0, key[i]);
		}
		bench_kick(&b, 0);
		assert_true(bench_wait(&b, 0, vc_array_size(sent)));
		for (unsigned int i = 0; i < vc_array_size(sent); i++)
			check_aes(&b, 0, sent[i], key[i]);
	}
	assert_int_equal(bench_stop(&b, 0), 0);
	bench_close(&b);
	resource_destroy(mb);
}

static unsigned int kept(const struct fake *fake)
{
	return atomic_load(&fake->realised) - atomic_load(&fake->dropped);
}

static void expect_done(struct bench *b, unsigned int queue, struct sent sent)
{
	assert_int_equal(bench_status(b, queue, sent), VIRTIO_CRYPTO_OK);
	for (uint32_t i = 0; i < sent.length; i++)
		assert_int_equal(guest_at(&b->guest[queue], sent.dst)[i],
		                 guest_at(&b->guest[queue], sent.src)[i] ^ FAKE_MASK);
}

static void keys_are_kept_and_shared_by_the_queues_of_a_device(void **state)
{
	struct fake *fake = fake_new("fake", 0);
	struct resource *resource = &fake->base;
	struct bench b;

	bench_open(&b, 1, &resource, 1);
	start(&b, 0, 0);
	start(&b, 1, 0);
	for (unsigned int queue = 0; queue < 2; queue++) {
		for (uint32_t i = 0; i < 200; i++)
			send(&b, queue, i % 10);
		bench_kick(&b, queue);
		assert_true(bench_wait(&b, queue, 200));
	}
	assert_int_equal(atomic_load(&fake->realised), 10);
	/* One queue goes: the other's keys stay. */
	assert_int_equal(bench_stop(&b, 0), 0);
	send(&b, 1, 3);
	bench_kick(&b, 1);
	assert_true(bench_wait(&b, 1, 1));
	assert_int_equal(atomic_load(&fake->realised), 10);
	assert_int_equal(atomic_load(&fake->dropped), 0);
	assert_int_equal(bench_stop(&b, 1), 0);
	assert_int_equal(kept(fake), 0);
	bench_close(&b);
	fake_free(fake);
}

static void keys_are_kept_within_bounds(void **state)
{
	struct fake *fake = fake_new("fake", 0);
	struct resource *resource = &fake->base;
	struct bench b;
	uint32_t key = 0;

	bench_open(&b, 1, &resource, 1);
	start(&b, 0, 0);
	for (unsigned int round = 0; round < 5; round++) {
		for (uint32_t i = 0; i < 200; i++)
			send(&b, 0, key++);
		bench_kick(&b, 0);
		assert_true(bench_wait(&b, 0, 200));
	}
	assert_int_equal(atomic_load(&fake->realised), 1000);
	assert_int_equal(kept(fake), KEPT);
	assert_int_equal(bench_stop(&b, 0), 0);
	assert_int_equal(kept(fake), 0);
	bench_close(&b);
	fake_free(fake);
}

/* When all keys are in use the next one waits in its ring, and comes when one is done. */
static void a_key_waits_while_all_others_are_in_use(void **state)
{
	struct fake *fake = fake_new("fake", 0);
	struct resource *resource = &fake->base;
	struct sent sent[2][200];
	struct bench b;

	bench_open(&b, 1, &resource, 1);
	atomic_store(&fake->hold, true);
	start(&b, 0, 0);
	start(&b, 1, 0);
	for (unsigned int queue = 0; queue < 2; queue++) {
		for (uint32_t i = 0; i < 200; i++)
			sent[queue][i] = send(&b, queue, 1000 * queue + i);
		bench_kick(&b, queue);
	}
	while (atomic_load(&fake->submitted) < KEPT)
		sleep_ms(1);
	sleep_ms(20);
	assert_int_equal(atomic_load(&fake->submitted), KEPT);
	assert_int_equal(atomic_load(&fake->realised), KEPT);
	fake_release(fake);
	for (unsigned int queue = 0; queue < 2; queue++) {
		assert_true(bench_wait(&b, queue, 200));
		for (uint32_t i = 0; i < 200; i++)
			expect_done(&b, queue, sent[queue][i]);
	}
	assert_int_equal(atomic_load(&fake->realised), 400);
	assert_int_equal(bench_stop(&b, 0), 0);
	assert_int_equal(bench_stop(&b, 1), 0);
	assert_int_equal(kept(fake), 0);
	bench_close(&b);
	fake_free(fake);
}

/* The queue is given up; the last request to come back takes its key along (under ASan: once). */
static void keys_outlive_a_queue_that_was_given_up(void **state)
{
	struct fake *fake = fake_new("fake", 0);
	struct resource *resource = &fake->base;
	struct bench b;

	bench_open(&b, 1, &resource, 1);
	atomic_store(&fake->hold, true);
	start(&b, 0, 0);
	for (uint32_t i = 0; i < 10; i++)
		send(&b, 0, i % 5);
	bench_kick(&b, 0);
	while (atomic_load(&fake->submitted) < 10)
		sleep_ms(1);
	assert_int_equal(bench_stop(&b, 0), -ETIMEDOUT);
	assert_int_equal(kept(fake), 5);
	fake_release(fake);
	for (unsigned int i = 0; kept(fake) && i < 5000; i++)
		sleep_ms(1);
	assert_int_equal(kept(fake), 0);
	bench_close(&b);
	fake_free(fake);
}

/* Both modes in one queue; and a queue without the features next to one with them. */
static void sessions_and_stateless_requests_live_together(void **state)
{
	struct fake *fake = fake_new("fake", 0);
	struct resource *resource = &fake->base;
	struct sent sent, plain;
	struct bench b;
	uint64_t session;

	bench_open(&b, 1, &resource, 1);
	session = bench_session(&b);
	start(&b, 0, 0);
	bench_start(&b, 1, 0);
	for (uint32_t i = 0; i < 50; i++) {
		sent = send(&b, 0, i);
		plain = bench_send(&b, 1, session, 64);
		bench_kick(&b, 0);
		bench_kick(&b, 1);
		assert_true(bench_wait(&b, 0, 1));
		assert_true(bench_wait(&b, 1, 1));
		expect_done(&b, 0, sent);
		expect_done(&b, 1, plain);
	}
	assert_int_equal(atomic_load(&fake->realised), 51);
	/* Without the features a stateless request is a session's that does not exist. */
	sent = send(&b, 1, 1);
	bench_kick(&b, 1);
	assert_true(bench_wait(&b, 1, 1));
	assert_int_equal(bench_status(&b, 1, sent), VIRTIO_CRYPTO_INVSESS);
	assert_int_equal(bench_stop(&b, 0), 0);
	assert_int_equal(bench_stop(&b, 1), 0);
	assert_int_equal(kept(fake), 1);
	bench_close(&b);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_is_done_with_its_own_key),
		cmocka_unit_test(keys_are_kept_and_shared_by_the_queues_of_a_device),
		cmocka_unit_test(keys_are_kept_within_bounds),
		cmocka_unit_test(a_key_waits_while_all_others_are_in_use),
		cmocka_unit_test(keys_outlive_a_queue_that_was_given_up),
		cmocka_unit_test(sessions_and_stateless_requests_live_together),
	};

	log_open("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
