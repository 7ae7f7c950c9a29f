/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of requests that a resource fails, does not take or does not answer. The worker has
 * no thread here, and time is ours.
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

#define MS UINT64_C(1000000)
#define FAKES 3
#define RING 256
#define LENGTH 64u
#define DEADLINE 20u

struct world {
	struct worker *worker;
	struct fake *fake[FAKES];
	struct resource *resources[FAKES];
	struct group group;
	struct device *device;
	struct guest guest;
	uint64_t id;
};

static uint64_t now;

static uint64_t test_clock(void)
{
	return now;
}

/* The first two are primary; the third one never hangs. */
static int setup(void **state)
{
	static const uint8_t key[16] = "0123456789abcdef";
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
	                                .encrypt = 1,
	                                .key = key,
	                                .key_len = sizeof(key)};
	struct world *w = calloc(1, sizeof(*w));
	struct worker_options options = {.cpu = -1, .resource_count = FAKES, .max_size = 1u << 16};
	struct device_options device = {.name = "test",
	                                .data_queues = 1,
	                                .limits = {4, 1u << 20, 1u << 30},
	                                .max_size = 1u << 16,
	                                .worker_count = 1};

	now = 1;
	w->group = (struct group){.primary = 2, .count = FAKES};
	for (unsigned int i = 0; i < FAKES; i++) {
		w->fake[i] = fake_new("fake", i);
		w->fake[i]->base.may_hang = i < 2;
		w->fake[i]->base.circuit = (struct circuit_options){8, 100, 1000};
		w->resources[i] = w->group.resource[i] = &w->fake[i]->base;
	}
	options.resources = w->resources;
	w->worker = worker_new(&options);
	assert_non_null(w->worker);
	w->worker->sched.clock = test_clock;
	assert_int_equal(worker_begin(w->worker), 0);
	device.group = &w->group;
	device.workers = &w->worker;
	assert_int_equal(device_create(&device, &w->device), 0);
	w->device->share_bytes = device.limits.inflight_bytes;
	assert_int_equal(session_create(w->device->sessions, &params, NULL, NULL, &w->id), 0);
	queue_begin(w->worker, &w->device->queue[0], &w->guest, RING);
	*state = w;
	return 0;
}

static struct sent send(struct world *w, bool in_place)
{
	struct guest *g = &w->guest;
	uint32_t out = guest_alloc(g, 72 + 16);
	struct sent sent = {.src = guest_alloc(g, LENGTH)};
	struct virtio_crypto_op_data_req req = {
		.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT, .session_id = w->id},
		.u.sym = {.u.cipher = {.iv_len = 16, .src_len = LENGTH, .dst_len = LENGTH},
	                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER},
	};

	sent.dst = in_place ? sent.src : guest_alloc(g, LENGTH);
	sent.status = guest_alloc(g, 1);
	struct virtq_desc descs[] = {OUT_DESC(out, 72 + 16), OUT_DESC(sent.src, LENGTH),
	                             IN_DESC(sent.dst, LENGTH), IN_DESC(sent.status, 1)};

	memcpy(guest_at(g, out), &req, sizeof(req));
	memset(guest_at(g, sent.src), 's', LENGTH);
	*guest_at(g, sent.status) = 0xee;
	guest_offer(g, guest_chain(g, descs, 4));
	return sent;
}

static unsigned int came_back(struct world *w)
{
	struct virtq_used_elem elem;
	unsigned int n = 0;

	while (guest_used(&w->guest, &elem))
		n++;
	return n;
}

/* A round some milliseconds later. */
static unsigned int round_after(struct world *w, uint64_t ms)
{
	now += ms * MS;
	worker_round(w->worker);
	return came_back(w);
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < FAKES; i++)
		fake_release(w->fake[i]);
	round_after(w, 0);
	worker_end(w->worker);
	assert_false(w->worker->stuck);
	assert_int_equal(w->worker->free_count, WORKER_SLAB);
	assert_int_equal(w->worker->spare_count, WORKER_SPARE);
	worker_free(w->worker);
	device_destroy(w->device);
	guest_close(&w->guest);
	for (unsigned int i = 0; i < FAKES; i++) {
		assert_int_equal(atomic_load(&w->fake[i]->realised),
		                 atomic_load(&w->fake[i]->dropped));
		fake_free(w->fake[i]);
	}
	free(w);
	return 0;
}

static void assert_result(struct world *w, struct sent sent, uint8_t each, uint8_t status)
{
	assert_int_equal(*guest_at(&w->guest, sent.status), status);
	for (uint32_t i = 0; i < LENGTH; i++)
		assert_int_equal(guest_at(&w->guest, sent.dst)[i], each);
}

static void assert_done(struct world *w, struct sent sent)
{
	assert_result(w, sent, 's' ^ FAKE_MASK, VIRTIO_CRYPTO_OK);
}

static unsigned int submitted(struct world *w, unsigned int fake)
{
	return atomic_load(&w->fake[fake]->submitted);
}

static void what_fails_is_done_elsewhere_in_the_same_round(void **state)
{
	struct world *w = *state;
	struct sent sent[10];

	atomic_store(&w->fake[0]->fail, true);
	atomic_store(&w->fake[1]->fail, true);
	for (unsigned int i = 0; i < 10; i++)
		sent[i] = send(w, i % 2);
	assert_int_equal(round_after(w, 0), 10);
	for (unsigned int i = 0; i < 10; i++)
		assert_done(w, sent[i]);
	assert_int_equal(submitted(w, 2), 10);
}

static void what_is_overdue_is_done_elsewhere_in_the_same_round(void **state)
{
	struct world *w = *state;
	struct sent sent[10];

	w->group.deadline_ms = DEADLINE;
	atomic_store(&w->fake[0]->hold, true);
	for (unsigned int i = 0; i < 10; i++)
		sent[i] = send(w, i % 2);
	assert_int_equal(round_after(w, 0), 0);
	assert_int_equal(round_after(w, DEADLINE - 1), 0);
	assert_int_equal(submitted(w, 1), 0);
	assert_int_equal(round_after(w, 1), 10);
	for (unsigned int i = 0; i < 10; i++)
		assert_done(w, sent[i]);
	assert_int_equal(submitted(w, 1), 10);
}

static void a_late_answer_touches_nothing(void **state)
{
	struct world *w = *state;
	struct sent sent[6];

	w->group.deadline_ms = DEADLINE;
	atomic_store(&w->fake[0]->hold, true);
	for (unsigned int i = 0; i < 6; i++)
		sent[i] = send(w, i % 2);
	round_after(w, 0);
	assert_int_equal(round_after(w, DEADLINE), 6);
	assert_int_equal(w->worker->sched.health[0].report.unanswered, 6);
	assert_int_equal(w->worker->free_count, WORKER_SLAB);
	assert_int_equal(w->worker->spare_count, WORKER_SPARE - 6);
	memset(w->guest.memory + GUEST_DATA, 0x77, w->guest.data - GUEST_DATA);
	fake_release(w->fake[0]);
	assert_int_equal(round_after(w, 1), 0);
	assert_int_equal(atomic_load(&w->fake[0]->completed), 6);
	for (uint32_t at = GUEST_DATA; at < w->guest.data; at++)
		assert_int_equal(w->guest.memory[at], 0x77);
	assert_int_equal(w->worker->sched.health[0].report.unanswered, 0);
	assert_int_equal(w->worker->spare_count, WORKER_SPARE);
	assert_int_equal(w->worker->copies[0], 0);
	(void)sent;
}

static void each_has_the_deadline_for_itself(void **state)
{
	struct world *w = *state;
	struct sent sent;

	w->group.deadline_ms = DEADLINE;
	atomic_store(&w->fake[0]->hold, true);
	atomic_store(&w->fake[1]->hold, true);
	sent = send(w, true);
	round_after(w, 0);
	assert_int_equal(round_after(w, DEADLINE), 0);
	assert_int_equal(submitted(w, 1), 1);
	assert_int_equal(round_after(w, DEADLINE - 1), 0);
	assert_int_equal(round_after(w, 1), 1);
	assert_done(w, sent);
}

static void when_nobody_is_left_the_guest_is_told(void **state)
{
	struct world *w = *state;
	struct sent sent;

	w->group.deadline_ms = DEADLINE;
	w->group.count = 2;
	atomic_store(&w->fake[0]->hold, true);
	atomic_store(&w->fake[1]->fail, true);
	sent = send(w, true);
	round_after(w, 0);
	assert_int_equal(round_after(w, DEADLINE), 1);
	assert_result(w, sent, 's', VIRTIO_CRYPTO_ERR);
}

static void without_a_deadline_it_is_waited_for(void **state)
{
	struct world *w = *state;
	struct sent sent;

	atomic_store(&w->fake[0]->hold, true);
	sent = send(w, true);
	round_after(w, 0);
	assert_int_equal(round_after(w, 100000), 0);
	/* In guest memory: nothing is copied for nothing. */
	assert_int_equal(w->worker->copies[0], 0);
	fake_release(w->fake[0]);
	assert_int_equal(round_after(w, 0), 1);
	assert_done(w, sent);
}

static void who_cannot_hang_gets_no_copies_and_has_time(void **state)
{
	struct world *w = *state;
	struct sent sent;

	w->group.deadline_ms = DEADLINE;
	atomic_store(&w->fake[0]->can, false);
	atomic_store(&w->fake[1]->can, false);
	atomic_store(&w->fake[2]->hold, true);
	sent = send(w, true);
	round_after(w, 0);
	assert_int_equal(round_after(w, 10 * DEADLINE), 0);
	assert_int_equal(w->worker->copies[2], 0);
	fake_release(w->fake[2]);
	assert_int_equal(round_after(w, 0), 1);
	assert_done(w, sent);
}

static void time_outs_open_the_circuit_and_a_trial_closes_it(void **state)
{
	struct world *w = *state;

	w->group.deadline_ms = DEADLINE;
	atomic_store(&w->fake[0]->hold, true);
	for (unsigned int i = 0; i < 8; i++)
		send(w, false);
	round_after(w, 0);
	assert_int_equal(round_after(w, DEADLINE), 8);
	assert_int_equal(w->worker->sched.health[0].report.state, HEALTH_OPEN);
	for (unsigned int i = 0; i < 20; i++)
		send(w, false);
	assert_int_equal(round_after(w, 1), 20);
	assert_int_equal(submitted(w, 0), 8);
	/* One is tried, in vain. */
	for (unsigned int i = 0; i < 20; i++)
		send(w, false);
	assert_int_equal(round_after(w, 100), 19);
	assert_int_equal(submitted(w, 0), 9);
	assert_int_equal(round_after(w, DEADLINE), 1);
	/* The next one is done, and all others follow. */
	fake_release(w->fake[0]);
	for (unsigned int i = 0; i < 20; i++)
		send(w, false);
	assert_int_equal(round_after(w, 199), 20);
	assert_int_equal(submitted(w, 0), 9);
	for (unsigned int i = 0; i < 20; i++)
		send(w, false);
	assert_int_equal(round_after(w, 1), 20);
	assert_int_equal(submitted(w, 0), 10);
	for (unsigned int i = 0; i < 20; i++)
		send(w, false);
	assert_int_equal(round_after(w, 1), 20);
	assert_int_equal(submitted(w, 0), 30);
}

static void who_takes_nothing_for_too_long_loses_what_waits(void **state)
{
	struct world *w = *state;

	w->group.deadline_ms = DEADLINE;
	atomic_store(&w->fake[0]->capacity, 0);
	for (unsigned int i = 0; i < 10; i++)
		send(w, false);
	assert_int_equal(round_after(w, 0), 0);
	assert_int_equal(round_after(w, 1), 0);
	assert_int_equal(round_after(w, DEADLINE - 1), 10);
	assert_int_equal(submitted(w, 1), 10);
	assert_int_equal(w->worker->sched.health[0].report.state, HEALTH_OPEN);
	assert_int_equal(w->worker->copies[0], 0);
}

static void who_takes_some_now_and_then_is_waited_for(void **state)
{
	struct world *w = *state;

	w->group.deadline_ms = 1000;
	atomic_store(&w->fake[0]->hold, true);
	for (unsigned int i = 0; i < 10; i++)
		send(w, false);
	for (unsigned int i = 0; i < 10; i++) {
		atomic_store(&w->fake[0]->capacity, 1 + i);
		assert_int_equal(round_after(w, 90), 0);
	}
	assert_int_equal(submitted(w, 1), 0);
	fake_release(w->fake[0]);
	assert_int_equal(round_after(w, 1), 10);
}

static void what_a_full_one_does_not_take_goes_elsewhere_where_that_is_the_policy(void **state)
{
	struct world *w = *state;

	w->group.policy = SCHED_ROUND_ROBIN;
	atomic_store(&w->fake[0]->capacity, 4);
	atomic_store(&w->fake[0]->hold, true);
	for (unsigned int i = 0; i < 20; i++)
		send(w, false);
	round_after(w, 0);
	assert_int_equal(submitted(w, 0), 4);
	assert_int_equal(submitted(w, 1), 16);
	assert_int_equal(submitted(w, 2), 0);
}

/* Each holds half of what there are copies for, and is avoided then. */
static void held_requests_are_bounded(void **state)
{
	struct world *w = *state;
	unsigned int sent = 0, done = 0;

	w->group.deadline_ms = DEADLINE;
	w->worker->late_most = 20;
	w->worker->sched.health[0].options.failures = 0;
	w->worker->sched.health[0].most_late = 10;
	atomic_store(&w->fake[0]->hold, true);
	for (unsigned int i = 0; i < 10; i++) {
		for (unsigned int n = 0; n < 7; n++, sent++)
			send(w, false);
		done += round_after(w, DEADLINE);
	}
	done += round_after(w, DEADLINE);
	done += round_after(w, DEADLINE);
	assert_int_equal(done, sent);
	assert_in_range(w->worker->sched.health[0].report.unanswered, 10, 20);
	assert_string_equal(w->worker->sched.health[0].report.reason,
	                    "too many requests without an answer");
	w->worker->sched.health[0].options.failures = 8;
}

/* Its memory is the guest's again. */
static void a_queue_that_is_given_up_leaves_nothing_behind(void **state)
{
	struct world *w = *state;
	struct host_queue *queue = &w->device->queue[0];

	w->group.deadline_ms = 1000;
	atomic_store(&w->fake[0]->hold, true);
	for (unsigned int i = 0; i < 8; i++)
		send(w, i % 2);
	round_after(w, 0);
	queue_abandon(w->worker, queue);
	assert_int_equal(came_back(w), 0);
	memset(w->guest.memory + GUEST_DATA, 0x77, w->guest.data - GUEST_DATA);
	assert_int_equal(round_after(w, 5000), 0);
	fake_release(w->fake[0]);
	assert_int_equal(round_after(w, 0), 0);
	assert_int_equal(atomic_load(&w->fake[0]->completed), 8);
	assert_int_equal(w->worker->sched.health[0].report.unanswered, 0);
	for (uint32_t at = GUEST_DATA; at < w->guest.data; at++)
		assert_int_equal(w->guest.memory[at], 0x77);
}

static void on_answered(void *context, int result)
{
	bool *answered = context;

	assert_int_equal(result, 0);
	*answered = true;
}

/* Memory goes, and the request that points there is not where it was: the place that it has now
 * had been found free of such. */
static void memory_is_kept_for_what_has_gone_on_elsewhere(void **state)
{
	struct world *w = *state;
	bool answered = false;
	struct sent sent;

	w->group.deadline_ms = DEADLINE;
	/* A first one, so that its place is the spare one for the next. */
	atomic_store(&w->fake[0]->hold, true);
	send(w, false);
	round_after(w, 0);
	assert_int_equal(round_after(w, DEADLINE), 1);
	fake_release(w->fake[0]);
	round_after(w, 0);

	atomic_store(&w->fake[0]->hold, true);
	atomic_store(&w->fake[1]->hold, true);
	sent = send(w, false);
	round_after(w, 0);
	assert_int_equal(worker_device_remap_begin(w->worker, w->device, w->guest.table,
	                                           w->guest.table, on_answered, &answered),
	                 0);
	messages_handle(w->worker);
	round_after(w, DEADLINE);
	assert_int_equal(submitted(w, 1), 2);
	messages_handle(w->worker);
	assert_false(answered);
	fake_release(w->fake[1]);
	assert_int_equal(round_after(w, 0), 1);
	messages_handle(w->worker);
	assert_true(answered);
	assert_done(w, sent);
}

#define over(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		over(what_fails_is_done_elsewhere_in_the_same_round),
		over(what_is_overdue_is_done_elsewhere_in_the_same_round),
		over(a_late_answer_touches_nothing),
		over(each_has_the_deadline_for_itself),
		over(when_nobody_is_left_the_guest_is_told),
		over(without_a_deadline_it_is_waited_for),
		over(who_cannot_hang_gets_no_copies_and_has_time),
		over(time_outs_open_the_circuit_and_a_trial_closes_it),
		over(who_takes_nothing_for_too_long_loses_what_waits),
		over(who_takes_some_now_and_then_is_waited_for),
		over(what_a_full_one_does_not_take_goes_elsewhere_where_that_is_the_policy),
		over(held_requests_are_bounded),
		over(a_queue_that_is_given_up_leaves_nothing_behind),
		over(memory_is_kept_for_what_has_gone_on_elsewhere),
	};

	log_open("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
