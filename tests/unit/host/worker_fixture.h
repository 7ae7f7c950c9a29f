/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of workers: real worker threads, a device made by hand, and a guest for each queue, so
 * that the test is the driver.
 */
#ifndef VC_TEST_WORKER_FIXTURE_H
#define VC_TEST_WORKER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_resource.h"
#include "guest.h"
#include "host/device.h"
#include "host/worker.h"

#define BENCH_QUEUES 3
#define BENCH_WORKERS 2
#define BENCH_RING 256

struct bench {
	struct resource *resource[4];
	unsigned int resource_count;
	struct group group;
	struct worker *worker[BENCH_WORKERS];
	unsigned int workers;
	struct device *device;
	struct guest guest[BENCH_QUEUES]; /* of data queues 0, 1, and of the control queue */
};

/* Workers and a device with two data queues and a control queue (number 2); no queue started. */
void bench_open(struct bench *b, unsigned int workers, struct resource *const *resources,
                unsigned int count);
void bench_close(struct bench *b);
/* A guest for the queue, and the queue to a worker. */
void bench_start(struct bench *b, unsigned int queue, unsigned int worker);
int bench_stop(struct bench *b, unsigned int queue);

/* AES-128-CBC encryption, made behind the scenes. */
uint64_t bench_session(struct bench *b);

/* A cipher request of length bytes; returns where its IN bytes (dst, status) are. */
struct sent {
	uint32_t src, dst, status, length;
	uint16_t head;
};
struct sent bench_send(struct bench *b, unsigned int queue, uint64_t session, uint32_t length);
/* The same with the destination at an address of the guest's. */
struct sent bench_send_to(struct bench *b, unsigned int queue, uint64_t session, uint32_t length,
                          uint64_t dst);
/* A destroy request on the control queue. */
struct sent bench_destroy(struct bench *b, uint64_t session);
/* If the device wants it. */
void bench_kick(struct bench *b, unsigned int queue);

/* Take n used elements within some seconds; false if they do not come. */
bool bench_wait(struct bench *b, unsigned int queue, unsigned int n);
/* Until *counter is at least n, or some seconds. */
bool bench_wait_counter(const uint64_t *counter, uint64_t n);
uint8_t bench_status(struct bench *b, unsigned int queue, struct sent sent);
void sleep_ms(unsigned int ms);

/* Of a worker without its thread: a guest with rings of so many entries for the queue, which the
 * worker then has. */
void queue_begin(struct worker *worker, struct host_queue *queue, struct guest *guest,
                 uint16_t ring);

/* A real resource, named as its type. */
struct resource *make_resource(const char *type);

/* A bench on two fakes. */
struct fakes {
	struct bench b;
	struct fake *fake[2];
};

void fakes_open(struct fakes *f, unsigned int workers);
/* That may hang: they get copies, where the group has a deadline. */
void fakes_open_hanging(struct fakes *f, unsigned int workers);
/* They have dropped what they had realised. */
void fakes_close(struct fakes *f);
/* Thread: fake_release() of a struct fake in a moment. */
void *release_soon(void *fake);

#endif
