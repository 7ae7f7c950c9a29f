/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much longer a first request takes after everything has gone to sleep.
 *
 * Sends one AES-128-CBC operation of 1 KiB after a pause in which all pollers have given up, and
 * more right behind it; does so some times and prints the medians as JSON. With --device through
 * libvcrypto alone, with --engined through the client of vcrypto-engined. With --raw, for
 * comparison: how long a thread on another CPU takes to wake from an eventfd. Otherwise one thread.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "openssl/core/core.h"
#include "vcrypto/vcrypto.h"

#define ROUNDS 41
#define FOLLOWERS 16
#define PAUSE_US 100000
#define SIZE 1024

struct bench {
	struct vcrypto_device *device;
	struct vcrypto_queue *queue;
	struct vcrypto_op op;
	struct core_op core_op;
	uint8_t *buffer;
};

static const uint8_t key[16] = "wake and measure";

static const struct vcrypto_session_params params = {
	.service = VCRYPTO_SERVICE_CIPHER,
	.algorithm = VCRYPTO_CIPHER_AES_CBC,
	.direction = VCRYPTO_ENCRYPT,
	.key = key,
	.key_len = sizeof(key),
};

static int device_open(struct bench *bench, const char *socket)
{
	struct vcrypto_device_options options = {.socket = socket};
	struct vcrypto_session *session;
	char *error = NULL;
	int err = vcrypto_device_open(&options, &bench->device, &error);

	if (err) {
		fprintf(stderr, "bench-wake: %s\n", error ? error : strerror(-err));
		free(error);
		return err;
	}
	bench->queue = vcrypto_device_queue(bench->device, 0);
	bench->buffer = vcrypto_memory_alloc(bench->device, SIZE);
	if (!bench->buffer)
		return -ENOMEM;
	err = vcrypto_session_create(bench->device, &params, &session);
	if (err)
		return err;
	bench->op = (struct vcrypto_op){
		.session = session,
		.src = bench->buffer,
		.dst = bench->buffer,
		.length = SIZE,
		.iv_len = 16,
	};
	return 0;
}

static int device_run(struct bench *bench)
{
	struct vcrypto_op *op = &bench->op;
	int n = vcrypto_queue_submit(bench->queue, &op, 1);

	if (n != 1)
		return n < 0 ? n : -EAGAIN;
	do {
		n = vcrypto_queue_poll(bench->queue, &op, 1);
	} while (!n);
	return n < 0 ? n : op->status;
}

static int engined_open(struct bench *bench, const char *socket)
{
	struct core_options options = {0};
	struct core_key *core_key;
	int err = core_key_new(&params, &core_key);

	if (err)
		return err;
	snprintf(options.socket, sizeof(options.socket), "%s", socket);
	core_configure(&options);
	bench->buffer = calloc(1, SIZE);
	if (!bench->buffer)
		return -ENOMEM;
	bench->core_op = (struct core_op){
		.key = core_key,
		.src = bench->buffer,
		.dst = bench->buffer,
		.length = SIZE,
		.iv_len = 16,
	};
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double median_us(uint64_t *ns, size_t n)
{
	size_t middle = n / 2;

	qsort(ns, n, sizeof(*ns), by_value);
	return (double)ns[middle] / 1000;
}

static int timed(struct bench *bench, uint64_t *ns)
{
	uint64_t start = clock_now_ns();
	int err = bench->device ? device_run(bench) : core_run(&bench->core_op, 1);

	*ns = clock_now_ns() - start;
	return err;
}

/* ---- what the machine itself takes ---- */

struct sleeper {
	int cpu;
	int fd;
	atomic_bool woken, stop;
};

static void *sleeper_run(void *context)
{
	struct sleeper *s = context;

	thread_pin(s->cpu);
	while (!atomic_load(&s->stop)) {
		struct pollfd wait = {.fd = s->fd, .events = POLLIN};

		poll(&wait, 1, -1);
		event_clear(s->fd);
		atomic_store(&s->woken, true);
	}
	return NULL;
}

static int measure_raw(int cpu)
{
	static uint64_t took[ROUNDS];
	struct sleeper s = {.cpu = cpu, .fd = event_create()};
	pthread_t thread;

	if (s.fd < 0)
		return s.fd;
	if (pthread_create(&thread, NULL, sleeper_run, &s))
		return -EAGAIN;
	for (size_t i = 0; i < ROUNDS; i++) {
		usleep(PAUSE_US);
		atomic_store(&s.woken, false);
		took[i] = clock_now_ns();
		event_signal(s.fd);
		while (!atomic_load(&s.woken))
			cpu_relax();
		took[i] = clock_now_ns() - took[i];
	}
	atomic_store(&s.stop, true);
	event_signal(s.fd);
	pthread_join(thread, NULL);
	close(s.fd);
	printf("{\"first_us\": %.1f, \"next_us\": 0}\n", median_us(took, ROUNDS));
	return 0;
}

static int measure(struct bench *bench)
{
	static uint64_t first[ROUNDS], next[ROUNDS * FOLLOWERS];
	uint64_t warm;
	int err = timed(bench, &warm); /* connects, makes the session */

	for (size_t i = 0; !err && i < ROUNDS; i++) {
		usleep(PAUSE_US);
		err = timed(bench, &first[i]);
		for (size_t j = 0; !err && j < FOLLOWERS; j++)
			err = timed(bench, &next[i * FOLLOWERS + j]);
	}
	if (err)
		return err;
	printf("{\"first_us\": %.1f, \"next_us\": %.1f}\n", median_us(first, ROUNDS),
	       median_us(next, ROUNDS * FOLLOWERS));
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc == 3 ? argv[1] : "";
	struct bench bench = {0};
	int err;

	if (!strcmp(what, "--raw")) {
		err = measure_raw((int)strtol(argv[2], NULL, 10));
	} else if (!strcmp(what, "--device")) {
		err = device_open(&bench, argv[2]);
	} else if (!strcmp(what, "--engined")) {
		err = engined_open(&bench, argv[2]);
	} else {
		fprintf(stderr,
		        "usage: bench-wake --device SOCKET | --engined SOCKET | --raw CPU\n");
		return 2;
	}
	if (!err && strcmp(what, "--raw") != 0)
		err = measure(&bench);
	if (err)
		fprintf(stderr, "bench-wake: %s\n", strerror(-err));
	vcrypto_device_close(bench.device);
	return err ? 1 : 0;
}
