/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that is not ready for a while (virtio 1.3, 5.9.5.2): nothing is sent to it meanwhile.
 * test_libvcrypto.py takes it offline when this program says "working", counts what comes while it
 * says "held", and takes it online again.
 */
#include <poll.h>
#include <stdio.h>

#include "base/util.h"
#include "live.h"

#define WAIT_MS 10000

static const struct vcrypto_session_params params = {
	.algorithm = VCRYPTO_CIPHER_AES_CBC,
	.direction = VCRYPTO_ENCRYPT,
	.key = "0123456789abcdef",
	.key_len = 16,
};

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

/* As a program would: asleep until the device has something to say. */
static void wait_ready(struct live *live, bool ready)
{
	struct pollfd fd = {.fd = vcrypto_device_fd(live->device), .events = POLLIN};
	struct vcrypto_capabilities caps;

	do {
		assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
		assert_true(vcrypto_device_alive(live->device));
	} while (!vcrypto_device_changed(live->device));
	assert_int_equal(vcrypto_device_capabilities(live->device, &caps), 0);
	assert_int_equal(caps.ready, ready);
	/* What it can do stays what it is. */
	assert_true(caps.ciphers >> VCRYPTO_CIPHER_AES_CBC & 1);
}

static void what_is_not_ready_is_sent_nothing(void **state)
{
	struct vcrypto_session *session, *old, *other = NULL;
	struct vcrypto_op op = {.length = 4096, .iv_len = 16};
	struct live live;

	live_open(&live, 0, 1);
	session = live_session(&live, &params);
	old = live_session(&live, &params);
	op.session = session;
	op.src = live.src;
	op.dst = live.dst;
	assert_int_equal(live_run(&live, &op), 0);
	say("working");

	wait_ready(&live, false);
	assert_int_equal(live_run(&live, &op), -EAGAIN);
	assert_int_equal(vcrypto_session_create(live.device, &params, &other), -EAGAIN);
	/* The device hears of it later. */
	vcrypto_session_destroy(old);
	assert_int_equal(vcrypto_queue_in_flight(live.queue), 0);
	say("held");

	wait_ready(&live, true);
	assert_int_equal(live_run(&live, &op), 0);
	other = live_session(&live, &params);
	op.session = other;
	assert_int_equal(live_run(&live, &op), 0);
	vcrypto_session_destroy(other);
	/* Answers of what was destroyed are waited for by nobody else. */
	vcrypto_session_destroy(live_session(&live, &params));
	say("again");
	getchar();
	live_close(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_ready_is_sent_nothing),
	};

	return cmocka_run_group_tests_name("not ready", tests, NULL, NULL);
}
