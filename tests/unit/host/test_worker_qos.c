/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quality of service in a worker: whose rings are read, and how much of them. The worker has no
 * thread here, but in the last tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "host/worker_private.h"
#include "worker_fixture.h"

#define DEVICES 3
#define RING 1024
/* Waiting at the start of each round: more than any of them can have of it by its weight, as they
 * are not sent more in the middle of one. */
#define DEPTH 480
#define LENGTH 64u

struct world {
	struct worker *worker;
	struct fake *fake;
	struct resource *resources[1];
	struct group group;
	struct device *device[DEVICES];
	struct guest guest[DEVICES];
	uint64_t session[DEVICES];
	uint32_t out[DEVICES], in[DEVICES]; /* of all requests: nobody looks at the results */
	unsigned int pending[DEVICES], done[DEVICES];
};

static void queue_command(struct world *w, enum message_type type, unsigned int d)
{
	struct message *message = calloc(1, sizeof(*message));

	assert_non_null(message);
	message->type = type;
	message->queue = &w->device[d]->queue[0];
	message->device = w->device[d];
	worker_post(w->worker, message);
	messages_handle(w->worker);
}

static void device_begin(struct world *w, unsigned int d)
{
	static const uint8_t key[16] = "0123456789abcdef";
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                .cipher = VIRTIO_CRYPTO_CIPHER_AES_CTR,
	                                .encrypt = 1,
	                                .key = key,
	                                .key_len = sizeof(key)};
	struct device_options options = {.name = "test",
	                                 .index = d,
	                                 .data_queues = 1,
	                                 .limits = {4, 1u << 20, 1u << 30, {.weight = 1}},
	                                 .max_size = 1u << 16,
	                                 .group = &w->group,
	                                 .workers = &w->worker,
	                                 .worker_count = 1};

	assert_int_equal(device_create(&options, &w->device[d]), 0);
	assert_int_equal(
		session_create(w->device[d]->sessions, &params, NULL, NULL, &w->session[d]), 0);
	queue_begin(w->worker, &w->device[d]->queue[0], &w->guest[d], RING);
	w->out[d] = guest_alloc(&w->guest[d], 72 + 16 + LENGTH);
	w->in[d] = guest_alloc(&w->guest[d], LENGTH + 1);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct worker_options options = {.cpu = -1, .resource_count = 1, .max_size = 1u << 16};

	w->fake = fake_new("fake", 0);
	w->resources[0] = &w->fake->base;
	w->group = (struct group){.resource = {w->resources[0]}, .primary = 1, .count = 1};
	options.resources = w->resources;
	w->worker = worker_new(&options);
	assert_non_null(w->worker);
	assert_int_equal(worker_begin(w->worker), 0);
	for (unsigned int d = 0; d < DEVICES; d++)
		device_begin(w, d);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (unsigned int d = 0; d < DEVICES; d++)
		queue_command(w, MESSAGE_QUEUE_STOP, d);
	for (unsigned int i = 0; i < 1000 && w->worker->unfinished; i++) {
		worker_round(w->worker);
		messages_handle(w->worker);
	}
	assert_null(w->worker->qos.all);
	worker_end(w->worker);
	worker_free(w->worker);
	for (unsigned int d = 0; d < DEVICES; d++) {
		device_destroy(w->device[d]);
		guest_close(&w->guest[d]);
	}
	fake_free(w->fake);
	free(w);
	return 0;
}

/* A device's limits are what they are when a queue starts, or when the worker is told. */
static void limit(struct world *w, unsigned int d, struct qos_limits limits)
{
	w->device[d]->limits.qos = limits;
	queue_command(w, MESSAGE_DEVICE_LIMIT, d);
}

static void send(struct world *w, unsigned int d, unsigned int n)
{
	struct guest *g = &w->guest[d];
	struct virtio_crypto_op_data_req req = {
		.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT, .session_id = w->session[d]},
		.u.sym = {.u.cipher = {.iv_len = 16, .src_len = LENGTH, .dst_len = LENGTH},
	                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER},
	};

	struct virtq_desc descs[] = {OUT_DESC(w->out[d], 72 + 16 + LENGTH),
	                             IN_DESC(w->in[d], LENGTH + 1)};

	memcpy(guest_at(g, w->out[d]), &req, sizeof(req));
	w->pending[d] += n;
	while (n--)
		guest_offer(g, guest_chain(g, descs, 2));
}

/* What has come back since the last time. */
static unsigned int came_back(struct world *w, unsigned int d)
{
	struct virtq_used_elem elem;
	unsigned int n = 0;

	while (guest_used(&w->guest[d], &elem))
		n++;
	w->pending[d] -= n;
	w->done[d] += n;
	return n;
}

/* A round; these devices (bits) keep so many requests waiting. */
static void flood_round(struct world *w, unsigned int devices, unsigned int depth)
{
	for (unsigned int d = 0; d < DEVICES; d++)
		if (devices >> d & 1 && w->pending[d] < depth)
			send(w, d, depth - w->pending[d]);
	worker_round(w->worker);
	for (unsigned int d = 0; d < DEVICES; d++)
		came_back(w, d);
}

static void flood(struct world *w, unsigned int devices, unsigned int requests)
{
	memset(w->done, 0, sizeof(w->done));
	while (w->done[0] + w->done[1] + w->done[2] < requests)
		flood_round(w, devices, DEPTH);
}

static void one_device_alone_has_full_bursts_and_is_not_counted(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 10; i++) {
		memset(w->done, 0, sizeof(w->done));
		flood_round(w, 1, DEPTH);
		assert_int_equal(w->done[0], WORKER_BURST);
	}
	assert_false(w->worker->qos.watch);
	assert_int_equal(w->device[0]->share[0].flow.counters.cost, 0);
}

static void devices_share_a_worker_by_weight(void **state)
{
	struct world *w = *state;

	limit(w, 0, (struct qos_limits){.weight = 1});
	limit(w, 1, (struct qos_limits){.weight = 2});
	limit(w, 2, (struct qos_limits){.weight = 4});
	/* Long enough to know what requests cost here. */
	flood(w, 7, 500000);
	flood(w, 7, 70000);
	/* All ask for the same, so they cost the same. */
	assert_in_range(w->done[0], 9300, 10700);
	assert_in_range(w->done[1], 18600, 21400);
	assert_in_range(w->done[2], 37200, 42800);
	assert_true(w->device[2]->share[0].flow.counters.cost >
	            3 * w->device[0]->share[0].flow.counters.cost);
}

static void who_has_little_to_do_goes_first_and_alone(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 20; i++) {
		/* Long enough for what it asked for not to be much. */
		flood(w, 3, 5000);
		while (!w->worker->qos.first)
			flood_round(w, 3, DEPTH);
		send(w, 2, 1);
		worker_round(w->worker);
		assert_int_equal(came_back(w, 2), 1);
		assert_int_equal(came_back(w, 0) + came_back(w, 1), 0);
	}
}

/* Of loops that wait for something. */
#define MOST_ROUNDS 5000

static void a_limit_of_operations_holds_one_device_back_only(void **state)
{
	struct world *w = *state;

	/* One a day would be the next. */
	limit(w, 0, (struct qos_limits){.ops = 1, .ops_burst = 10});
	/* A round is as long as time allows, which may be few requests. */
	for (unsigned int i = 0; i < 20 || (i < MOST_ROUNDS && w->done[1] <= 100); i++)
		flood_round(w, 3, DEPTH);
	assert_in_range(w->done[0], 10, 11);
	assert_true(w->done[1] > 100);
	assert_int_equal(w->device[0]->share[0].flow.counters.throttles, w->done[0] - 9);
	assert_true(w->device[0]->share[0].flow.throttled);
	/* And goes on at once, when it is taken away. */
	limit(w, 0, (struct qos_limits){0});
	memset(w->done, 0, sizeof(w->done));
	for (unsigned int i = 0; i < MOST_ROUNDS && w->done[0] <= 100; i++)
		flood_round(w, 3, DEPTH);
	assert_true(w->done[0] > 100);
}

static void a_limit_of_bytes_counts_the_data(void **state)
{
	struct world *w = *state;

	limit(w, 0, (struct qos_limits){.bytes = 1, .bytes_burst = 10 * LENGTH + 1});
	for (unsigned int i = 0; i < 20; i++)
		flood_round(w, 1, DEPTH);
	/* The last one takes what is not there. */
	assert_int_equal(w->done[0], 11);
}

static void a_queue_that_stops_while_it_waits_is_forgotten(void **state)
{
	struct world *w = *state;
	struct qos_flow *flow = &w->device[1]->share[0].flow;

	for (unsigned int i = 0; i < 20000 && !flow->backlogged; i++)
		flood_round(w, 7, DEPTH);
	assert_true(flow->backlogged);
	queue_command(w, MESSAGE_QUEUE_STOP, 1);
	assert_false(flow->backlogged);
	for (unsigned int i = 0; i < 100; i++)
		flood_round(w, 5, DEPTH);
	assert_int_equal(vring_setup(&w->device[1]->queue[0].ring, w->guest[1].table,
	                             &w->device[1]->queue[0].config),
	                 0);
	queue_command(w, MESSAGE_QUEUE_START, 1);
}

/* A full resource: what waits there may not be counted as a device's idleness, nor be taken again.
 */
static void weights_hold_where_a_resource_is_what_is_scarce(void **state)
{
	struct world *w = *state;

	limit(w, 0, (struct qos_limits){.weight = 1});
	limit(w, 1, (struct qos_limits){.weight = 3});
	atomic_store(&w->fake->capacity, 8);
	flood(w, 3, 20000);
	flood(w, 3, 40000);
	/* 1 to 3, and not 1 to 1, which would be 20,000 each; what a busy machine takes out of a
	 * round is anybody's. */
	assert_in_range(w->done[0], 7000, 17500);
	assert_in_range(w->done[1], 22500, 33000);
}

/* ---- with its thread ---- */

static void a_worker_sleeps_while_all_are_throttled(void **state)
{
	struct fakes f;
	const struct worker_counters *c;
	uint64_t session, rounds;

	fakes_open(&f, 1);
	c = worker_counters(f.b.worker[0]);
	session = bench_session(&f.b);
	f.b.device->limits.qos = (struct qos_limits){.ops = 100, .ops_burst = 1};
	bench_start(&f.b, 0, 0);
	for (unsigned int i = 0; i < 20; i++)
		bench_send(&f.b, 0, session, 64);
	bench_kick(&f.b, 0);
	rounds = clock_now_ns();
	assert_true(bench_wait(&f.b, 0, 20));
	/* 19 intervals of 10 ms, without looking in between. */
	assert_true(clock_now_ns() - rounds >= 185000000);
	rounds = __atomic_load_n(&c->rounds, __ATOMIC_RELAXED);
	assert_true(__atomic_load_n(&c->sleeps, __ATOMIC_RELAXED) >= 10);
	/* Before the first request it looked for 200 us. */
	assert_true(rounds < 20000);
	assert_int_equal(bench_stop(&f.b, 0), 0);
	fakes_close(&f);
}

#define qos_test(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		qos_test(one_device_alone_has_full_bursts_and_is_not_counted),
		qos_test(devices_share_a_worker_by_weight),
		qos_test(who_has_little_to_do_goes_first_and_alone),
		qos_test(a_limit_of_operations_holds_one_device_back_only),
		qos_test(a_limit_of_bytes_counts_the_data),
		qos_test(a_queue_that_stops_while_it_waits_is_forgotten),
		qos_test(weights_hold_where_a_resource_is_what_is_scarce),
		cmocka_unit_test(a_worker_sleeps_while_all_are_throttled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
