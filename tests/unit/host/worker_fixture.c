/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See worker_fixture.h.
 */
#include "worker_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "host/worker_private.h"

#define PATIENCE_NS 20000000000ull

static struct device *device_by_hand(const struct group *group, struct memtable *memory)
{
	struct device *d = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*d), VC_CACHE_LINE));

	assert_non_null(d);
	memset(d, 0, sizeof(*d));
	d->share_bytes = UINT64_MAX;
	strcpy(d->name, "test");
	d->group = group;
	d->max_size = 1u << 20;
	d->data_queues = BENCH_QUEUES - 1;
	d->sessions = session_table_new(1024);
	d->memory = memory;
	assert_non_null(d->sessions);
	for (unsigned int i = 0; i < BENCH_QUEUES; i++) {
		struct host_queue *queue = &d->queue[i];

		queue->device = d;
		queue->index = i;
		queue->control = i == d->data_queues;
		queue->kick_fd = event_create();
		queue->call_fd = event_create();
		queue->err_fd = event_create();
	}
	return d;
}

void bench_open(struct bench *b, unsigned int workers, struct resource *const *resources,
                unsigned int count)
{
	memset(b, 0, sizeof(*b));
	for (unsigned int i = 0; i < count; i++) {
		b->resource[i] = resources[i];
		b->resource[i]->index = i;
		b->group.resource[i] = resources[i];
	}
	b->resource_count = count;
	b->group.count = count;
	b->group.primary = 1;
	b->workers = workers;
	for (unsigned int i = 0; i < workers; i++) {
		struct worker_options options = {
			.index = i,
			.cpu = -1,
			.spin_us = 20,
			.idle_us = 200,
			.resources = b->resource,
			.resource_count = count,
			.max_size = 1u << 20,
			.wait_ms = 1500,
		};
		char *error = NULL;

		assert_int_equal(worker_start(&options, &b->worker[i], &error), 0);
	}
	for (unsigned int i = 0; i < BENCH_QUEUES; i++)
		guest_open(&b->guest[i], BENCH_RING, 0, false);
	b->device = device_by_hand(&b->group, b->guest[0].table);
}

void bench_close(struct bench *b)
{
	for (unsigned int i = 0; i < b->workers; i++)
		worker_stop(b->worker[i]);
	session_table_free(b->device->sessions);
	for (unsigned int i = 0; i < BENCH_QUEUES; i++) {
		close(b->device->queue[i].kick_fd);
		close(b->device->queue[i].call_fd);
		close(b->device->queue[i].err_fd);
		guest_close(&b->guest[i]);
	}
	free(b->device);
}

void bench_start(struct bench *b, unsigned int queue, unsigned int worker)
{
	struct host_queue *q = &b->device->queue[queue];

	q->config = b->guest[queue].config;
	q->config.base = b->guest[queue].avail_idx;
	assert_int_equal(vring_setup(&q->ring, b->guest[queue].table, &q->config), 0);
	q->worker = b->worker[worker];
	q->started = true;
	worker_queue_start(q->worker, q);
}

int bench_stop(struct bench *b, unsigned int queue)
{
	struct host_queue *q = &b->device->queue[queue];
	int r = worker_queue_stop(q->worker, q);

	q->started = false;
	return r;
}

void queue_begin(struct worker *worker, struct host_queue *queue, struct guest *guest,
                 uint16_t ring)
{
	struct message *message = calloc(1, sizeof(*message));

	assert_non_null(message);
	guest_open(guest, ring, 0, false);
	queue->config = guest->config;
	assert_int_equal(vring_setup(&queue->ring, guest->table, &queue->config), 0);
	message->type = MESSAGE_QUEUE_START;
	message->queue = queue;
	worker_post(worker, message);
	messages_handle(worker);
}

uint64_t bench_session(struct bench *b)
{
	uint8_t key[16] = "0123456789abcdef";
	struct session_params params = {
		.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
		.cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
		.encrypt = 1,
		.key = key,
		.key_len = sizeof(key),
	};
	uint64_t id = 0;

	assert_int_equal(session_create(b->device->sessions, &params, NULL, NULL, &id), 0);
	return id;
}

static void offer(struct guest *g, const struct virtq_desc *descs, unsigned int n, uint16_t *head)
{
	*head = guest_chain(g, descs, n);
	guest_offer(g, *head);
}

struct sent bench_send(struct bench *b, unsigned int queue, uint64_t session, uint32_t length)
{
	return bench_send_to(b, queue, session, length,
	                     guest_addr(guest_alloc(&b->guest[queue], length)));
}

struct sent bench_send_to(struct bench *b, unsigned int queue, uint64_t session, uint32_t length,
                          uint64_t dst)
{
	struct guest *g = &b->guest[queue];
	uint32_t out = guest_alloc(g, 72 + 16);
	struct sent sent = {.src = guest_alloc(g, length),
	                    .dst = (uint32_t)(dst - GUEST_ADDR),
	                    .status = guest_alloc(g, 1),
	                    .length = length};
	struct virtio_crypto_op_data_req req = {
		.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT, .session_id = session},
		.u.sym = {.u.cipher = {.iv_len = 16, .src_len = length, .dst_len = length},
	                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER},
	};
	struct virtq_desc descs[] = {OUT_DESC(out, 72 + 16),
	                             OUT_DESC(sent.src, length),
	                             {.addr = dst, .len = length, .flags = VIRTQ_DESC_F_WRITE},
	                             IN_DESC(sent.status, 1)};

	memcpy(guest_at(g, out), &req, sizeof(req));
	for (uint32_t i = 0; i < length; i++)
		guest_at(g, sent.src)[i] = (uint8_t)(i * 7 + sent.src);
	*guest_at(g, sent.status) = 0xee;
	offer(g, descs, 4, &sent.head);
	return sent;
}

struct sent bench_destroy(struct bench *b, uint64_t session)
{
	struct guest *g = &b->guest[BENCH_QUEUES - 1];
	struct virtio_crypto_op_ctrl_req req = {
		.header.opcode = VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION,
		.u.destroy.session_id = session,
	};
	struct sent sent = {.src = guest_alloc(g, sizeof(req)), .status = guest_alloc(g, 1)};
	struct virtq_desc descs[] = {OUT_DESC(sent.src, sizeof(req)), IN_DESC(sent.status, 1)};

	memcpy(guest_at(g, sent.src), &req, sizeof(req));
	*guest_at(g, sent.status) = 0xee;
	offer(g, descs, 2, &sent.head);
	return sent;
}

void bench_kick(struct bench *b, unsigned int queue)
{
	/* As the specification has it: our index must be out before we look. TSan does not know
	 * fences; an exchange that changes nothing is one. */
	__atomic_fetch_add(&b->guest[queue].avail->idx, 0, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&b->guest[queue].used->flags, __ATOMIC_RELAXED) &
	    VIRTQ_USED_F_NO_NOTIFY)
		return;
	event_signal(b->device->queue[queue].kick_fd);
}

void sleep_ms(unsigned int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

bool bench_wait(struct bench *b, unsigned int queue, unsigned int n)
{
	uint64_t deadline = clock_now_ns() + PATIENCE_NS;
	struct virtq_used_elem elem;

	while (n) {
		if (guest_used(&b->guest[queue], &elem))
			n--;
		else if (clock_now_ns() > deadline)
			return false;
		else
			sleep_ms(0);
	}
	return true;
}

bool bench_wait_counter(const uint64_t *counter, uint64_t n)
{
	uint64_t deadline = clock_now_ns() + PATIENCE_NS;

	while (__atomic_load_n(counter, __ATOMIC_RELAXED) < n) {
		if (clock_now_ns() > deadline)
			return false;
		sleep_ms(1);
	}
	return true;
}

uint8_t bench_status(struct bench *b, unsigned int queue, struct sent sent)
{
	return __atomic_load_n(guest_at(&b->guest[queue], sent.status), __ATOMIC_RELAXED);
}

struct resource *make_resource(const char *type)
{
	struct resource_config config = {.name = type, .type = type};
	struct resource *resource = NULL;
	char *error = NULL;

	assert_int_equal(resource_create(&config, &resource, &error), 0);
	return resource;
}

static void open_fakes(struct fakes *f, unsigned int workers, bool may_hang)
{
	struct resource *resources[2];

	for (unsigned int i = 0; i < 2; i++) {
		f->fake[i] = fake_new(i ? "second" : "first", i);
		f->fake[i]->base.may_hang = may_hang;
		resources[i] = &f->fake[i]->base;
	}
	bench_open(&f->b, workers, resources, 2);
}

void fakes_open(struct fakes *f, unsigned int workers)
{
	open_fakes(f, workers, false);
}

void fakes_open_hanging(struct fakes *f, unsigned int workers)
{
	open_fakes(f, workers, true);
}

void fakes_close(struct fakes *f)
{
	bench_close(&f->b);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(atomic_load(&f->fake[i]->realised),
		                 atomic_load(&f->fake[i]->dropped));
		fake_free(f->fake[i]);
	}
}

void *release_soon(void *fake)
{
	sleep_ms(50);
	fake_release(fake);
	return NULL;
}
