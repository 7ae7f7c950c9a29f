/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel's data path: packets come in bursts, are sealed with AES-256-GCM (as ESP does, RFC 4106:
 * a salt and a counter are the IV, the header is authenticated only), and opened and compared at
 * the "other end". Polls while packets are under way, sleeps while there are none. cc packets.c
 * $(pkg-config --cflags --libs libvcrypto) -o packets
 *   ./packets /run/vcrypto/vcrypto.sock 100000
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vcrypto/vcrypto.h>

enum { PACKETS = 256, BURST = 32, HEADER = 8, PAYLOAD = 1400, ROOM = 2048, LOOKS = 1000 };

static struct packet {
	struct vcrypto_op op; /* first, so that poll gives the packet back */
	uint8_t *bytes;       /* of the device: header, payload, tag */
	unsigned long number;
} packets[PACKETS];

static struct vcrypto_session *seal, *unseal;
static unsigned long arrived, delivered;
static uint8_t salt[4];

static void check(int result, const char *what)
{
	if (result < 0)
		errx(EXIT_FAILURE, "%s: %s", what, vcrypto_error_text(result));
}

/* A packet comes in: what it says is its number. */
static void arrive(struct packet *p)
{
	p->number = arrived++;
	memcpy(p->bytes, &p->number, HEADER);
	memset(p->bytes + HEADER, (int)p->number, PAYLOAD);
	p->op = (struct vcrypto_op){.session = seal, .length = PAYLOAD, .iv_len = 12};
	p->op.src = p->op.dst = p->bytes + HEADER;
	p->op.aad = p->bytes;
	p->op.aad_len = HEADER;
	p->op.tag = p->bytes + HEADER + PAYLOAD;
	memcpy(p->op.iv, salt, sizeof(salt));
	memcpy(p->op.iv + 4, &p->number, 8);
}

/* Sealed: send it to the other end, which is us. Opened: it must be what it was. */
static void leave(struct packet *p)
{
	check(p->op.status, p->op.session == seal ? "seal" : "open");
	if (p->op.session == seal) {
		p->op.session = unseal;
		return;
	}
	for (unsigned int i = 0; i < PAYLOAD; i++)
		if (p->bytes[HEADER + i] != (uint8_t)p->number)
			errx(EXIT_FAILURE, "packet %lu is not what it was", p->number);
	delivered++;
	arrive(p);
}

/* Nothing to do until the device has something, or is gone. */
static void rest(struct vcrypto_device *device, struct vcrypto_queue *queue)
{
	struct pollfd fds[] = {{vcrypto_queue_fd(queue), POLLIN, 0},
	                       {vcrypto_device_fd(device), POLLIN, 0}};

	if (!vcrypto_queue_arm(queue))
		poll(fds, 2, -1);
	vcrypto_queue_disarm(queue);
	check(fds[1].revents ? -EPIPE : 0, "sleep");
}

int main(int argc, char **argv)
{
	struct vcrypto_device_options options = {.socket = argc > 1 ? argv[1] : NULL};
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	unsigned int ready_count = 0, looks = 0;
	struct vcrypto_op *ready[PACKETS], *done[BURST];
	struct vcrypto_session_params params;
	struct vcrypto_device *device;
	uint8_t key[32];

	check(vcrypto_device_open(&options, &device, NULL), "device");
	check(getentropy(key, sizeof(key)) || getentropy(salt, sizeof(salt)) ? -EIO : 0, "key");
	check(vcrypto_params_parse("aes-256-gcm", &params), "name");
	params.key = key;
	check(vcrypto_session_create(device, &params, &seal), "session");
	params.direction = VCRYPTO_DECRYPT;
	check(vcrypto_session_create(device, &params, &unseal), "session");
	explicit_bzero(key, sizeof(key));
	for (; ready_count < PACKETS; ready_count++) {
		packets[ready_count].bytes = vcrypto_memory_alloc(device, ROOM);
		check(packets[ready_count].bytes ? 0 : -ENOMEM, "memory");
		arrive(&packets[ready_count]);
		ready[ready_count] = &packets[ready_count].op;
	}
	struct vcrypto_queue *queue = vcrypto_device_queue(device, 0);

	while (delivered < count) {
		int n;

		check(n = vcrypto_queue_submit(queue, ready, ready_count), "submit");
		ready_count -= (unsigned int)n;
		memmove(ready, ready + n, ready_count * sizeof(struct vcrypto_op *));
		check(n = vcrypto_queue_poll(queue, done, BURST), "poll");
		for (int i = 0; i < n; i++) {
			leave((struct packet *)done[i]);
			ready[ready_count++] = done[i];
		}
		if (!n && !ready_count && ++looks % LOOKS == 0)
			rest(device, queue);
	}
	printf("%lu packets sealed, opened and compared\n", delivered);
	vcrypto_device_close(device);
	return EXIT_SUCCESS;
}
