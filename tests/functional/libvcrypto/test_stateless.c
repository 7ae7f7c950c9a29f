/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that come with each operation: as many as there is memory for, and nothing of them is
 * left behind. (That every algorithm works so, the other programs show.)
 */
#include <string.h>

#include "live.h"
#include "virtio/driver.h"

#define MANY 100000u
#define BLOCK 64u

static const struct vcrypto_session_params good = {
	.algorithm = VCRYPTO_CIPHER_AES_CBC,
	.direction = VCRYPTO_ENCRYPT,
	.key = "0123456789abcdef",
	.key_len = 16,
};

static void open_device(struct live *live, size_t key_memory)
{
	struct vcrypto_device_options options = {.socket = live_socket(),
	                                         .sessions = VCRYPTO_SESSIONS_STATELESS,
	                                         .key_memory = key_memory};

	assert_int_equal(vcrypto_device_open(&options, &live->device, NULL), 0);
	live->queue = vcrypto_device_queue(live->device, 0);
	live->src = vcrypto_memory_alloc(live->device, LIVE_BUFFER);
	live->dst = vcrypto_memory_alloc(live->device, LIVE_BUFFER);
}

/* Encrypt a block with a key of its own, and compare. */
static void use_once(struct live *live, uint32_t number)
{
	struct vcrypto_op op = {.src = live->src, .dst = live->dst, .length = BLOCK, .iv_len = 16};
	struct vcrypto_session_params params = good;
	uint8_t key[16] = "a key of its own", wanted[BLOCK];
	uint64_t id;

	memcpy(key, &number, sizeof(number));
	params.key = key;
	op.session = live_session(live, &params);
	id = vcrypto_session_id(op.session);
	assert_int_equal(id, 0);
	assert_int_equal(live_run(live, &op), 0);
	reference_crypt("aes-128-cbc", true, key, op.iv, NULL, 0, live->src, BLOCK, wanted, NULL,
	                0);
	assert_memory_equal(live->dst, wanted, BLOCK);
	vcrypto_session_destroy(op.session);
}

static void keys_that_are_used_once(void **state)
{
	struct live live;

	open_device(&live, 0);
	live_fill(live.src, BLOCK, 1);
	for (uint32_t i = 0; i < 2000; i++)
		use_once(&live, i);
	live_close(&live);
}

/* Which is not even asked. */
static void many_sessions_cost_the_device_nothing(void **state)
{
	struct vcrypto_session **sessions = test_calloc(MANY, sizeof(struct vcrypto_session *));
	struct live live;

	open_device(&live, (size_t)MANY * 80);
	for (unsigned int i = 0; i < MANY; i++)
		sessions[i] = live_session(&live, &good);
	for (unsigned int i = 0; i < MANY; i++)
		vcrypto_session_destroy(sessions[i]);
	test_free(sessions);
	live_close(&live);
}

static void keys_have_room_and_are_wiped(void **state)
{
	enum { BYTES = 65536 };
	struct vcrypto_session *sessions[BYTES / 64 + 1];
	unsigned int n = 0;
	const uint8_t *key;
	struct live live;
	int err;

	open_device(&live, BYTES);
	while (!(err = vcrypto_session_create(live.device, &good, &sessions[n])))
		n++;
	assert_int_equal(err, -ENOSPC);
	assert_true(n > BYTES / 128);
	key = sessions[7]->brought.key;
	assert_memory_equal(key, good.key, good.key_len);
	vcrypto_session_destroy(sessions[7]);
	for (unsigned int i = 0; i < good.key_len; i++)
		assert_int_equal(key[i], 0);
	sessions[7] = live_session(&live, &good);
	/* The others are left to the end of the device. */
	live_close(&live);
}

static void what_is_wrong_is_told_by_each_operation(void **state)
{
	struct vcrypto_session_params params = good;
	struct vcrypto_op op = {.length = BLOCK, .iv_len = 16};
	struct live live;

	open_device(&live, 0);
	op.src = live.src;
	op.dst = live.dst;
	params.key_len = 15;
	op.session = live_session(&live, &params);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(live_run(&live, &op), -EIO);
	op.session = live_session(&live, &good);
	assert_int_equal(live_run(&live, &op), 0);
	live_close(&live);
}

static void a_device_without_it_is_not_opened(void **state)
{
	struct vcrypto_device_options options = {.socket = live_socket(),
	                                         .sessions = VCRYPTO_SESSIONS_STATELESS};
	struct vcrypto_device *device = NULL;
	char *error = NULL;

	/* No REVISION_1; no stateless mode of any service. */
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t without = i ? VIRTIO_CRYPTO_FEATURES_STATELESS : 1;

		assert_int_equal(device_open_without(&options, without, &device, &error), -EPROTO);
		assert_non_null(strstr(error, "stateless"));
		assert_null(device);
		free(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_that_are_used_once),
		cmocka_unit_test(many_sessions_cost_the_device_nothing),
		cmocka_unit_test(keys_have_room_and_are_wiped),
		cmocka_unit_test(what_is_wrong_is_told_by_each_operation),
		cmocka_unit_test(a_device_without_it_is_not_opened),
	};

	live_socket();
	return cmocka_run_group_tests_name("stateless", tests, NULL, NULL);
}
