/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Using libvcrypto against a live vcrypto-host with two data queues: threads, memory of one's own,
 * sleeping, sessions by the thousand, and wrong uses.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "live.h"

static struct live live;

static struct vcrypto_session *cbc_session(const uint8_t key[16])
{
	return live_session(&live,
	                    &(struct vcrypto_session_params){.algorithm = VCRYPTO_CIPHER_AES_CBC,
	                                                     .direction = VCRYPTO_ENCRYPT,
	                                                     .key = key,
	                                                     .key_len = 16});
}

static void check_cbc(const uint8_t key[16], const struct vcrypto_op *op)
{
	static _Thread_local uint8_t expected[65536];

	assert_true(op->length <= sizeof(expected));
	assert_true(reference_crypt("aes-128-cbc", true, key, op->iv, NULL, 0, op->src, op->length,
	                            expected, NULL, 0));
	assert_memory_equal(op->dst, expected, op->length);
}

static void capabilities_are_those_of_the_pool(void **state)
{
	struct vcrypto_capabilities caps;

	assert_int_equal(vcrypto_device_capabilities(live.device, &caps), 0);
	assert_true(caps.ready);
	assert_int_equal(caps.max_queues, 2);
	assert_int_equal(vcrypto_device_queues(live.device), 2);
	assert_null(vcrypto_device_queue(live.device, 2));
	assert_true(caps.services & 1u << VCRYPTO_SERVICE_CIPHER);
	assert_true(caps.services & 1u << VCRYPTO_SERVICE_AEAD);
	assert_true(caps.services & 1u << VCRYPTO_SERVICE_AKCIPHER);
	assert_true(caps.ciphers & 1u << VCRYPTO_CIPHER_AES_CBC);
	assert_true(caps.ciphers & 1u << VCRYPTO_CIPHER_AES_CTR);
	assert_true(caps.aeads & 1u << VCRYPTO_AEAD_GCM);
	assert_true(caps.macs & 1u << VCRYPTO_MAC_HMAC_SHA256);
	assert_true(caps.akciphers & 1u << VCRYPTO_AKCIPHER_RSA);
	assert_true(caps.max_size >= LIVE_MAX);
	assert_true(vcrypto_device_alive(live.device));
}

struct worker {
	pthread_t thread;
	unsigned int index;
	uint8_t key[16];
};

/* Each thread its own queue, sessions and memory; all of the device at once. */
static void *worker_main(void *context)
{
	enum { OPS = 64, ROUNDS = 60 };
	struct worker *w = context;
	struct vcrypto_queue *queue = vcrypto_device_queue(live.device, w->index);
	struct vcrypto_op ops[OPS], *list[OPS];

	for (unsigned int round = 0; round < ROUNDS; round++) {
		live_fill(w->key, 16, w->index * 1000 + round);
		struct vcrypto_session *session = cbc_session(w->key);
		uint8_t *memory = vcrypto_memory_alloc(live.device, OPS * 512);

		assert_non_null(memory);
		for (unsigned int i = 0; i < OPS; i++) {
			ops[i] = (struct vcrypto_op){.session = session,
			                             .src = memory + 512 * i,
			                             .dst = memory + 512 * i + 256,
			                             .length = 16 + i % 16 * 16,
			                             .iv_len = 16};
			live_fill(memory + 512 * i, 256, i + round);
			live_fill(ops[i].iv, 16, round * 100 + i);
			list[i] = &ops[i];
		}
		assert_int_equal(vcrypto_queue_submit(queue, list, OPS), OPS);
		live_wait(queue, OPS);
		for (unsigned int i = 0; i < OPS; i++) {
			assert_int_equal(ops[i].status, 0);
			check_cbc(w->key, &ops[i]);
		}
		vcrypto_session_destroy(session);
		vcrypto_memory_free(live.device, memory);
	}
	return NULL;
}

static void two_threads_use_two_queues(void **state)
{
	struct worker workers[2];

	for (unsigned int i = 0; i < 2; i++) {
		workers[i].index = i;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]),
		                 0);
	}
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(workers[i].thread, NULL);
}

static int sealed_memfd(size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void memory_of_ones_own_is_used_where_it_lies(void **state)
{
	enum { SIZE = 1 << 20, OFFSET = 65536 };
	uint8_t key[16] = {1};
	struct vcrypto_session *session = cbc_session(key);

	/* More often than there can be regions, so that places are used again. */
	for (unsigned int round = 0; round < 40; round++) {
		int fd = sealed_memfd(OFFSET + SIZE);
		uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, OFFSET);
		struct vcrypto_op op = {.session = session,
		                        .src = p,
		                        .dst = p + SIZE - 4096,
		                        .length = 4096,
		                        .iv_len = 16};

		assert_ptr_not_equal(p, MAP_FAILED);
		assert_int_equal(live_run(&live, &op), -EINVAL);
		assert_int_equal(vcrypto_memory_register(live.device, p, SIZE, fd, OFFSET), 0);
		close(fd);
		assert_int_equal(vcrypto_memory_register(live.device, p, SIZE, 0, 0), -EINVAL);
		live_fill(p, 4096, round);
		assert_int_equal(live_run(&live, &op), 0);
		check_cbc(key, &op);
		op.dst = p + SIZE - 4095;
		assert_int_equal(live_run(&live, &op), -EINVAL);
		op.dst = p;
		assert_int_equal(vcrypto_memory_unregister(live.device, p), 0);
		assert_int_equal(vcrypto_memory_unregister(live.device, p), -ENOENT);
		assert_int_equal(live_run(&live, &op), -EINVAL);
		munmap(p, SIZE);
	}
	vcrypto_session_destroy(session);
}

static void many_regions_can_be_registered(void **state)
{
	enum { REGIONS = 300 };
	uint8_t key[16] = {2}, *p[REGIONS];
	struct vcrypto_session *session = cbc_session(key);

	for (unsigned int i = 0; i < REGIONS; i++) {
		int fd = sealed_memfd(8192);

		p[i] = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_ptr_not_equal(p[i], MAP_FAILED);
		assert_int_equal(vcrypto_memory_register(live.device, p[i], 8192, fd, 0), 0);
		close(fd);
	}
	for (unsigned int i = 0; i < REGIONS; i++) {
		struct vcrypto_op op = {.session = session,
		                        .src = p[i],
		                        .dst = p[REGIONS - 1 - i] + 4096,
		                        .length = 4096,
		                        .iv_len = 16};

		live_fill(p[i], 4096, i);
		assert_int_equal(live_run(&live, &op), 0);
		check_cbc(key, &op);
	}
	for (unsigned int i = 0; i < REGIONS; i++) {
		assert_int_equal(vcrypto_memory_unregister(live.device, p[i]), 0);
		munmap(p[i], 8192);
	}
	vcrypto_session_destroy(session);
}

static void bad_memory_is_not_registered(void **state)
{
	int fd = sealed_memfd(8192);
	uint8_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_int_equal(vcrypto_memory_register(live.device, p + 1, 4096, fd, 0), -EINVAL);
	assert_int_equal(vcrypto_memory_register(live.device, p, 100, fd, 0), -EINVAL);
	assert_int_equal(vcrypto_memory_register(live.device, p, 0, fd, 0), -EINVAL);
	assert_int_equal(vcrypto_memory_register(live.device, p, 4096, fd, 7), -EINVAL);
	assert_int_equal(vcrypto_memory_unregister(live.device, p), -ENOENT);
	assert_true(vcrypto_device_error(live.device)[0]);
	munmap(p, 8192);
	close(fd);
	assert_true(vcrypto_device_alive(live.device));
}

/* Sleeps on the descriptor until the operation is done; returns how often it slept. */
static unsigned int sleep_until_done(struct vcrypto_queue *queue, struct vcrypto_op **done)
{
	unsigned int sleeps = 0;

	while (!vcrypto_queue_poll(queue, done, 1)) {
		struct pollfd p = {.fd = vcrypto_queue_fd(queue), .events = POLLIN};

		if (!vcrypto_queue_arm(queue)) {
			sleeps++;
			assert_int_equal(poll(&p, 1, 10000), 1);
		}
		vcrypto_queue_disarm(queue);
	}
	return sleeps;
}

static void an_idle_device_is_woken_and_wakes(void **state)
{
	uint8_t key[16] = {3};
	struct vcrypto_session *session = cbc_session(key);
	struct vcrypto_queue_stats before, after;
	unsigned int sleeps = 0;

	vcrypto_queue_stats(live.queue, &before);
	for (unsigned int i = 0; i < 40; i++) {
		struct vcrypto_op op = {.session = session,
		                        .src = live.src,
		                        .dst = live.dst,
		                        .length = 1024,
		                        .iv_len = 16,
		                        .iv = {(uint8_t)i}},
				  *list = &op, *done;

		/* Long enough for the host to go to sleep, most times. */
		usleep(i % 4 ? 20000 : 0);
		assert_int_equal(vcrypto_queue_submit(live.queue, &list, 1), 1);
		sleeps += sleep_until_done(live.queue, &done);
		assert_ptr_equal(done, &op);
		assert_int_equal(op.status, 0);
		check_cbc(key, &op);
	}
	vcrypto_queue_stats(live.queue, &after);
	assert_true(after.kicks - before.kicks >= 10);
	assert_true(after.calls - before.calls <= sleeps);
	assert_int_equal(after.submitted - before.submitted, 40);
	vcrypto_session_destroy(session);
}

static void a_busy_queue_needs_no_kicks_and_calls(void **state)
{
	enum { OPS = 64, ROUNDS = 2000 };
	uint8_t key[16] = {4};
	struct vcrypto_session *session = cbc_session(key);
	struct vcrypto_op ops[OPS], *list[OPS];
	struct vcrypto_queue_stats before, after;

	vcrypto_queue_stats(live.queue, &before);
	for (unsigned int i = 0; i < OPS; i++) {
		ops[i] = (struct vcrypto_op){.session = session,
		                             .src = live.src + i * 64,
		                             .dst = live.dst + i * 64,
		                             .length = 64,
		                             .iv_len = 16};
		list[i] = &ops[i];
	}
	for (unsigned int i = 0; i < ROUNDS; i++) {
		assert_int_equal(vcrypto_queue_submit(live.queue, list, OPS), OPS);
		live_wait(live.queue, OPS);
	}
	vcrypto_queue_disarm(live.queue);
	vcrypto_queue_stats(live.queue, &after);
	assert_int_equal(after.completed - before.completed, OPS * ROUNDS);
	/* Under one in a hundred, though the machine may take the CPU from the host now and then.
	 */
	assert_true(after.kicks - before.kicks < OPS * ROUNDS / 100);
	assert_true(after.calls - before.calls < OPS * ROUNDS / 100);
	vcrypto_session_destroy(session);
}

static void sessions_come_and_go_by_the_thousand(void **state)
{
	enum { LIVE = 1000 };
	static struct vcrypto_session *sessions[LIVE];
	uint8_t key[16];

	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < LIVE; i++) {
			live_fill(key, 16, i);
			sessions[i] = cbc_session(key);
			/* In stateless mode the device knows of none. */
			if (live_sessions() == VCRYPTO_SESSIONS_STATELESS)
				assert_int_equal(vcrypto_session_id(sessions[i]), 0);
			else
				assert_true(!i || vcrypto_session_id(sessions[i]) !=
				                          vcrypto_session_id(sessions[i - 1]));
		}
		for (unsigned int i = 0; i < LIVE; i += 97) {
			struct vcrypto_op op = {.session = sessions[i],
			                        .src = live.src,
			                        .dst = live.dst,
			                        .length = 64,
			                        .iv_len = 16};

			live_fill(key, 16, i);
			assert_int_equal(live_run(&live, &op), 0);
			check_cbc(key, &op);
		}
		for (unsigned int i = 0; i < LIVE; i++)
			vcrypto_session_destroy(sessions[i]);
	}
}

static void sessions_are_made_without_waiting(void **state)
{
	enum { MANY = 400 };
	struct vcrypto_session *sessions[MANY];
	uint8_t key[16] = {5};
	struct vcrypto_session_params params = {.algorithm = VCRYPTO_CIPHER_AES_CBC,
	                                        .direction = VCRYPTO_ENCRYPT,
	                                        .key = key,
	                                        .key_len = 16};
	uint64_t end_ns = clock_now_ns() + 10000000000ull;

	for (unsigned int n = 0; n < MANY;) {
		int error = vcrypto_session_create_begin(live.device, &params, &sessions[n]);

		assert_true(!error || error == -EAGAIN);
		assert_true(clock_now_ns() < end_ns);
		n += !error;
	}
	for (unsigned int i = 0; i < MANY; i++) {
		int now = vcrypto_session_state(sessions[i]);

		/* Every third is given up, be it there or not. */
		while (i % 3 && now == -EINPROGRESS) {
			assert_true(clock_now_ns() < end_ns);
			now = vcrypto_session_state(sessions[i]);
		}
		assert_true(!now || (i % 3 == 0 && now == -EINPROGRESS));
		vcrypto_session_destroy(sessions[i]);
	}
}

static void wrong_sessions_are_refused(void **state)
{
	uint8_t key[64] = {0};
	const struct vcrypto_session_params good = {.algorithm = VCRYPTO_CIPHER_AES_CBC,
	                                            .direction = VCRYPTO_ENCRYPT,
	                                            .key = key,
	                                            .key_len = 16};
	struct vcrypto_session_params p;
	struct vcrypto_session *session = NULL;

	p = good, p.key = NULL;
	assert_int_equal(vcrypto_session_create(live.device, &p, &session), -EINVAL);
	p = good, p.direction = 0;
	assert_int_equal(vcrypto_session_create(live.device, &p, &session), -EINVAL);
	p = good, p.service = 9;
	assert_int_equal(vcrypto_session_create(live.device, &p, &session), -EINVAL);
	p = good, p.auth_key = key, p.auth_key_len = 20;
	assert_int_equal(vcrypto_session_create(live.device, &p, &session), -EINVAL);
	p = good, p.key_len = 1u << 20;
	assert_int_equal(vcrypto_session_create(live.device, &p, &session), -EINVAL);
	/* What only the device can know. */
	p = good, p.algorithm = 14;
	assert_int_equal(vcrypto_session_create(live.device, &p, &session), -ENOTSUP);
	p = good, p.key_len = 17;
	assert_true(live_refused(&live, &p));
	p = good, p.service = VCRYPTO_SERVICE_AEAD, p.algorithm = VCRYPTO_AEAD_GCM, p.tag_len = 3;
	assert_true(live_refused(&live, &p));
	assert_null(session);
	assert_int_equal(vcrypto_session_create(live.device, &good, &session), 0);
	vcrypto_session_destroy(session);
	vcrypto_session_destroy(NULL);
}

static void wrong_options_are_refused(void **state)
{
	struct vcrypto_device_options o = {.socket = live_socket()};
	struct vcrypto_device *device = NULL;
	char *error = NULL;

	o.depth = 1000;
	assert_int_equal(vcrypto_device_open(&o, &device, &error), -EINVAL);
	assert_non_null(strstr(error, "power of two"));
	free(error);
	o.depth = 0, o.socket = "/nowhere/at/all";
	assert_int_equal(vcrypto_device_open(&o, &device, &error), -ENOENT);
	assert_non_null(strstr(error, "/nowhere/at/all"));
	free(error);
	o.socket = NULL;
	assert_int_equal(vcrypto_device_open(&o, &device, NULL), -EINVAL);
	assert_null(device);
}

static int setup(void **state)
{
	live_open(&live, 0, 2);
	live_fill(live.src, LIVE_MAX, 1);
	return 0;
}

static int teardown(void **state)
{
	live_close(&live);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities_are_those_of_the_pool),
		cmocka_unit_test(two_threads_use_two_queues),
		cmocka_unit_test(memory_of_ones_own_is_used_where_it_lies),
		cmocka_unit_test(many_regions_can_be_registered),
		cmocka_unit_test(bad_memory_is_not_registered),
		cmocka_unit_test(an_idle_device_is_woken_and_wakes),
		cmocka_unit_test(a_busy_queue_needs_no_kicks_and_calls),
		cmocka_unit_test(sessions_come_and_go_by_the_thousand),
		cmocka_unit_test(sessions_are_made_without_waiting),
		cmocka_unit_test(wrong_sessions_are_refused),
		cmocka_unit_test(wrong_options_are_refused),
	};

	live_socket();
	return cmocka_run_group_tests(tests, setup, teardown);
}
