/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that keeps a queue busy until the host is killed under it, says "ready" when it is
 * time, and ends well if the library then says so everywhere, and in bounded time.
 */
#include <stdio.h>

#include "base/util.h"
#include "live.h"

#define OPS 64
#define PATIENCE_NS 20000000000ull

static void until_gone(struct live *live, struct vcrypto_op **list)
{
	uint64_t end_ns = clock_now_ns() + PATIENCE_NS;
	struct vcrypto_op *done[OPS];
	unsigned int ready = OPS, rounds = 0;
	int n = 0;

	while (n >= 0) {
		if (ready)
			n = vcrypto_queue_submit(live->queue, list, ready);
		if (n > 0)
			ready -= (unsigned int)n;
		if (n >= 0)
			n = vcrypto_queue_poll(live->queue, done, OPS);
		for (int i = 0; i < n; i++)
			list[ready++] = done[i];
		if (++rounds == 1000) {
			puts("ready");
			fflush(stdout);
		}
		if (clock_now_ns() > end_ns) {
			puts("nobody noticed");
			exit(1);
		}
	}
	if (n != -EPIPE) {
		printf("submit or poll: %s\n", strerror(-n));
		exit(1);
	}
}

static void expect(bool condition, const char *what)
{
	if (condition)
		return;
	printf("not so: %s\n", what);
	exit(1);
}

int main(void)
{
	struct vcrypto_device_options options = {.socket = live_socket()};
	struct live live = {0};
	struct vcrypto_session_params params = {.algorithm = VCRYPTO_CIPHER_AES_CBC,
	                                        .direction = VCRYPTO_ENCRYPT,
	                                        .key = "0123456789abcdef",
	                                        .key_len = 16};
	struct vcrypto_session *session, *other = NULL;
	struct vcrypto_op ops[OPS], *list[OPS];
	struct vcrypto_capabilities caps;

	expect(!vcrypto_device_open(&options, &live.device, NULL), "the device opens");
	live.queue = vcrypto_device_queue(live.device, 0);
	live.src = vcrypto_memory_alloc(live.device, LIVE_BUFFER);
	expect(!vcrypto_session_create(live.device, &params, &session), "a session is made");
	for (unsigned int i = 0; i < OPS; i++) {
		ops[i] = (struct vcrypto_op){.session = session,
		                             .src = live.src + i * 4096,
		                             .dst = live.src + i * 4096,
		                             .length = 4096,
		                             .iv_len = 16};
		list[i] = &ops[i];
	}
	until_gone(&live, list);
	expect(!vcrypto_device_alive(live.device), "the device is not alive");
	expect(vcrypto_session_create(live.device, &params, &other) == -EPIPE,
	       "no session is made");
	expect(vcrypto_device_capabilities(live.device, &caps) < 0, "no capabilities are read");
	vcrypto_session_destroy(session);
	expect(vcrypto_queue_submit(live.queue, list, 1) == -EPIPE, "nothing is submitted");
	vcrypto_device_close(live.device);
	expect(vcrypto_device_open(&options, &live.device, NULL) == -ECONNREFUSED,
	       "nobody listens any more");
	return 0;
}
