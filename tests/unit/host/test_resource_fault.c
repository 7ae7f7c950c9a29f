/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type fault over a fake one: what each fault does to requests, and what it never does:
 * lose one, answer one twice, give a wrong result, write at a destination before its time.
 */
#include "fake_resource.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "host/resource/fault.h"

#define MOST 2048u
#define LENGTH 16u
#define PATIENCE_NS UINT64_C(20000000000)

struct place {
	struct vc_request *req;
	uint8_t src[LENGTH], dst[LENGTH];
	unsigned int answers;
};

struct test {
	struct fake *fake;
	struct resource *resource;
	struct resource_instance *instance;
	struct fault_settings settings;
	struct vc_request *reqs;
	struct place place[MOST + 1];
	unsigned int submitted;
};

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct resource_config config = {.name = "flaky", .type = "fault"};
	char *error = NULL;

	t->fake = fake_new("inner", 3);
	config.of = &t->fake->base;
	assert_int_equal(resource_create(&config, &t->resource, &error), 0);
	assert_int_equal(t->resource->ops->open(t->resource, 0, &t->instance), 0);
	t->settings = fault_settings_none;
	t->reqs = aligned_alloc(VC_CACHE_LINE, (MOST + 1) * sizeof(*t->reqs));
	memset(t->reqs, 0, (MOST + 1) * sizeof(*t->reqs));
	for (unsigned int i = 0; i <= MOST; i++) {
		struct place *p = &t->place[i];

		p->req = &t->reqs[i];
		memset(p->src, (int)i, LENGTH);
		p->req->src = p->src;
		p->req->dst = p->dst;
		p->req->length = LENGTH;
		p->req->kind = VC_REQUEST_CIPHER;
		p->req->status = 0xee;
	}
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct test *t = *state;

	t->resource->ops->close(t->instance);
	resource_destroy(t->resource);
	fake_free(t->fake);
	free(t->reqs);
	free(t);
	return 0;
}

static void fault(struct test *t, const char *key, const char *value)
{
	char *error = NULL;

	if (fault_settings_set(&t->settings, key, value, &error))
		fail_msg("%s", error);
	fault_set(t->resource, &t->settings);
}

static void clear(struct test *t)
{
	t->settings = fault_settings_none;
	fault_set(t->resource, &t->settings);
}

/* The next n; returns how many of them were taken. */
static unsigned int submit(struct test *t, unsigned int n)
{
	unsigned int taken = 0, now;

	do {
		struct vc_request *burst[64];
		unsigned int offered = vc_min(n - taken, 64u);

		for (unsigned int i = 0; i < offered; i++)
			burst[i] = t->place[t->submitted + i].req;
		now = t->resource->ops->submit(t->instance, burst, offered);
		t->submitted += now;
		taken += now;
	} while (now && taken < n);
	return taken;
}

static struct place *place_of(struct test *t, const struct vc_request *req)
{
	return &t->place[req - t->reqs];
}

/* Poll once; how many came. */
static unsigned int take(struct test *t, bool flush)
{
	struct vc_request *done[64];
	unsigned int n = t->resource->ops->poll(t->instance, done, 64, flush);

	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(place_of(t, done[i])->answers++, 0);
	return n;
}

static void take_all(struct test *t)
{
	uint64_t deadline = clock_now_ns() + PATIENCE_NS;

	while (t->instance->in_flight) {
		take(t, true);
		assert_true(clock_now_ns() < deadline);
	}
}

static void assert_done(struct test *t, unsigned int i)
{
	struct place *p = &t->place[i];

	assert_int_equal(p->answers, 1);
	assert_int_equal(p->req->status, VIRTIO_CRYPTO_OK);
	for (unsigned int k = 0; k < LENGTH; k++)
		assert_int_equal(p->dst[k], (uint8_t)i ^ FAKE_MASK);
}

/* Nothing was done to it. */
static void assert_untouched(struct test *t, unsigned int i)
{
	for (unsigned int k = 0; k < LENGTH; k++) {
		assert_int_equal(t->place[i].src[k], (uint8_t)i);
		assert_int_equal(t->place[i].dst[k], 0);
	}
}

static void assert_undone(struct test *t, unsigned int i)
{
	assert_int_equal(t->place[i].answers, 1);
	assert_int_equal(t->place[i].req->status, VC_STATUS_RESOURCE);
	assert_untouched(t, i);
}

static struct fault_counters counters(struct test *t)
{
	struct fault_state state;

	fault_look(t->resource, &state);
	return state.counters;
}

static void without_faults_it_is_the_other_resource(void **state)
{
	struct test *t = *state;
	struct virtio_crypto_config offer = {0}, expected = {0};
	struct session_params params = {0};
	void *handle = NULL;

	assert_int_equal(submit(t, 100), 100);
	assert_int_equal(atomic_load(&t->fake->submitted), 100);
	take_all(t);
	for (unsigned int i = 0; i < 100; i++)
		assert_done(t, i);
	t->resource->ops->offer(t->resource, &offer);
	t->fake->base.ops->offer(&t->fake->base, &expected);
	assert_memory_equal(&offer, &expected, sizeof(offer));
	assert_true(t->resource->ops->can(t->resource, &params));
	atomic_store(&t->fake->can, false);
	assert_false(t->resource->ops->can(t->resource, &params));
	assert_int_equal(t->resource->ops->realise(t->instance, &params, &handle), 0);
	t->resource->ops->drop(t->instance, handle);
	assert_int_equal(atomic_load(&t->fake->dropped), 1);
	assert_true(t->resource->may_hang);
}

static void a_full_resource_is_full(void **state)
{
	struct test *t = *state;

	atomic_store(&t->fake->capacity, 10);
	assert_int_equal(submit(t, 20), 10);
	fault(t, "delay", "fixed:0");
	assert_int_equal(submit(t, 20), 20);
	assert_int_equal(atomic_load(&t->fake->submitted), 10);
	take_all(t);
	for (unsigned int i = 0; i < 30; i++)
		assert_done(t, i);
}

static void a_late_request_is_not_begun_before_its_time(void **state)
{
	struct test *t = *state;
	uint64_t begin = clock_now_ns();

	fault(t, "delay", "fixed:20000");
	assert_int_equal(submit(t, 50), 50);
	while (!take(t, true)) {
		/* Whoever is not scheduled for long sees them done at once. */
		if (clock_now_ns() - begin < 20000000)
			assert_int_equal(atomic_load(&t->fake->submitted), 0);
	}
	assert_true(clock_now_ns() - begin >= 20000000);
	take_all(t);
	for (unsigned int i = 0; i < 50; i++)
		assert_done(t, i);
	assert_int_equal(counters(t).delayed, 50);
}

static void what_is_cleared_waits_no_longer(void **state)
{
	struct test *t = *state;
	uint64_t begin = clock_now_ns();

	fault(t, "delay", "fixed:10000000");
	assert_int_equal(submit(t, 50), 50);
	assert_int_equal(take(t, true), 0);
	clear(t);
	take_all(t);
	assert_true(clock_now_ns() - begin < 9000000000);
	for (unsigned int i = 0; i < 50; i++)
		assert_done(t, i);
}

static void errors_come_with_the_source_as_it_was(void **state)
{
	struct test *t = *state;
	unsigned int undone = 0;

	fault(t, "error-rate", "0.3");
	assert_int_equal(submit(t, 1000), 1000);
	take_all(t);
	for (unsigned int i = 0; i < 1000; i++) {
		if (t->place[i].req->status == VC_STATUS_RESOURCE) {
			assert_undone(t, i);
			undone++;
		} else {
			assert_done(t, i);
		}
	}
	assert_in_range(undone, 230, 370);
	assert_int_equal(counters(t).errors, undone);
	assert_int_equal(atomic_load(&t->fake->submitted), 1000 - undone);
}

static void refusal_takes_nothing(void **state)
{
	struct test *t = *state;

	fault(t, "refuse", "yes");
	assert_int_equal(submit(t, 5), 0);
	assert_int_equal(t->instance->in_flight, 0);
	assert_int_equal(counters(t).refused, 1);
	clear(t);
	assert_int_equal(submit(t, 5), 5);
	take_all(t);
}

static void sessions_are_refused_for_as_long_as_told(void **state)
{
	struct test *t = *state;
	struct session_params params = {0};
	void *handle = NULL;

	fault(t, "refuse-sessions", "yes");
	/* Not for good: this error alone may be asked again. */
	assert_int_equal(t->resource->ops->realise(t->instance, &params, &handle), -ENOMEM);
	assert_null(handle);
	assert_int_equal(counters(t).sessions_refused, 1);
	clear(t);
	assert_int_equal(t->resource->ops->realise(t->instance, &params, &handle), 0);
	t->resource->ops->drop(t->instance, handle);
}

static void completions_are_shuffled_in_the_window(void **state)
{
	struct test *t = *state;
	unsigned int overtaken = 0, place = 1;

	/* One for which the others can wait. */
	fault(t, "delay", "fixed:10000000");
	assert_int_equal(submit(t, 1), 1);
	fault(t, "delay", "none");
	fault(t, "reorder", "8");
	for (unsigned int i = 1; i <= 500; i++) {
		struct vc_request *done[64];
		unsigned int n;

		assert_int_equal(submit(t, 1), 1);
		n = t->resource->ops->poll(t->instance, done, 64, false);
		assert_int_equal(n, i > 8);
		for (unsigned int k = 0; k < n; k++, place++) {
			unsigned int index = (unsigned int)(place_of(t, done[k]) - t->place);

			place_of(t, done[k])->answers++;
			overtaken += index > place;
			/* Nobody overtakes more than a window. */
			assert_true(index <= place + 8);
		}
	}
	assert_true(overtaken > 250);
	clear(t);
	take_all(t);
	for (unsigned int i = 0; i <= 500; i++)
		assert_done(t, i);
}

static void completions_overtake_each_other(void **state)
{
	struct test *t = *state;
	unsigned int overtaken = 0, place = 0;
	struct vc_request *done[64];

	fault(t, "reorder", "8");
	for (unsigned int round = 0; round < 100; round++) {
		unsigned int n;

		assert_int_equal(submit(t, 8), 8);
		n = t->resource->ops->poll(t->instance, done, 64, true);
		assert_int_equal(n, 8);
		for (unsigned int k = 0; k < n; k++, place++) {
			unsigned int index = (unsigned int)(place_of(t, done[k]) - t->place);

			place_of(t, done[k])->answers++;
			/* The fake one gives back the last one first. */
			overtaken += index != 8 * round + 7 - k;
		}
	}
	for (unsigned int i = 0; i < 800; i++)
		assert_done(t, i);
	assert_true(overtaken > 400);
}

static void what_hangs_comes_late(void **state)
{
	struct test *t = *state;

	atomic_store(&t->fake->hold, true);
	assert_int_equal(submit(t, 10), 10);
	fault(t, "hang", "yes");
	atomic_store(&t->fake->hold, false);
	assert_int_equal(submit(t, 10), 10);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(take(t, true), 0);
	/* Neither those that the other one had, nor those after them. */
	assert_int_equal(atomic_load(&t->fake->completed), 0);
	assert_int_equal(atomic_load(&t->fake->submitted), 10);
	for (unsigned int i = 0; i < 20; i++)
		assert_untouched(t, i);
	clear(t);
	take_all(t);
	for (unsigned int i = 0; i < 20; i++)
		assert_done(t, i);
}

static void in_place(struct test *t, unsigned int i)
{
	t->place[i].req->dst = t->place[i].src;
}

static void the_dead_give_everything_back_at_once(void **state)
{
	struct test *t = *state;

	atomic_store(&t->fake->hold, true);
	in_place(t, 3);
	assert_int_equal(submit(t, 10), 10);
	fault(t, "delay", "fixed:10000000");
	assert_int_equal(submit(t, 10), 10);
	fault(t, "dead", "yes");
	assert_int_equal(submit(t, 10), 10);
	/* What the other one has may still be written; it is waited for. */
	assert_int_equal(take(t, false), 20);
	for (unsigned int i = 10; i < 30; i++)
		assert_undone(t, i);
	atomic_store(&t->fake->hold, false);
	assert_int_equal(take(t, false), 10);
	for (unsigned int i = 0; i < 10; i++) {
		if (i == 3)
			continue;
		assert_int_equal(t->place[i].req->status, VC_STATUS_RESOURCE);
		assert_int_equal(t->place[i].src[0], (uint8_t)i);
	}
	/* This one could not be done again. */
	assert_int_equal(t->place[3].req->status, VIRTIO_CRYPTO_OK);
	assert_int_equal(t->place[3].src[0], 3 ^ FAKE_MASK);
	assert_int_equal(counters(t).killed, 29);
	assert_int_equal(t->instance->in_flight, 0);
}

static void the_dead_come_back_when_that_is_cleared(void **state)
{
	struct test *t = *state;
	struct session_params params = {0};
	void *handle = NULL;

	fault(t, "dead", "yes");
	assert_int_equal(t->resource->ops->realise(t->instance, &params, &handle), -ENOMEM);
	assert_int_equal(submit(t, 10), 10);
	take_all(t);
	clear(t);
	assert_int_equal(submit(t, 10), 10);
	take_all(t);
	for (unsigned int i = 0; i < 20; i++)
		if (i < 10)
			assert_undone(t, i);
		else
			assert_done(t, i);
}

static void it_begins_after_so_many(void **state)
{
	struct test *t = *state;
	struct fault_state look;

	fault(t, "after", "70");
	fault(t, "error-rate", "1");
	assert_int_equal(submit(t, 60), 60);
	take_all(t);
	fault_look(t->resource, &look);
	assert_int_equal(look.active, 0);
	assert_int_equal(submit(t, 60), 60);
	take_all(t);
	fault_look(t->resource, &look);
	assert_int_equal(look.active, 1);
	for (unsigned int i = 0; i < 120; i++)
		if (i < 70)
			assert_done(t, i);
		else
			assert_undone(t, i);
}

static void it_ends_after_its_time(void **state)
{
	struct test *t = *state;
	uint64_t begin = clock_now_ns();

	fault(t, "for-ms", "30");
	fault(t, "hang", "yes");
	assert_int_equal(submit(t, 10), 10);
	take_all(t);
	assert_true(clock_now_ns() - begin >= 30000000);
	for (unsigned int i = 0; i < 10; i++)
		assert_done(t, i);
}

static void it_has_no_more_than_it_has_room_for(void **state)
{
	struct test *t = *state;

	fault(t, "hang", "yes");
	assert_int_equal(submit(t, MOST + 1), MOST);
	clear(t);
	take_all(t);
	for (unsigned int i = 0; i < MOST; i++)
		assert_done(t, i);
}

/* Readable within some seconds? */
static bool signalled(struct test *t, int timeout_ms)
{
	struct pollfd p = {.fd = t->resource->ops->fd(t->instance), .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

/* As a worker does before and after its sleep. */
static bool sleep_until_signalled(struct test *t)
{
	bool woken = t->resource->ops->arm(t->instance) || signalled(t, 20000);

	t->resource->ops->disarm(t->instance);
	return woken;
}

static void a_sleeper_is_woken_in_time(void **state)
{
	struct test *t = *state;
	uint64_t begin = clock_now_ns();

	fault(t, "delay", "fixed:50000");
	t->resource->ops->disarm(t->instance);
	assert_int_equal(submit(t, 1), 1);
	assert_true(sleep_until_signalled(t));
	assert_true(clock_now_ns() - begin >= 50000000);
	assert_true(clock_now_ns() - begin < 10000000000);
	take_all(t);
	assert_done(t, 0);
	assert_false(signalled(t, 0));
}

static void new_settings_wake_whoever_was_refused(void **state)
{
	struct test *t = *state;

	fault(t, "refuse", "yes");
	t->resource->ops->disarm(t->instance);
	assert_int_equal(submit(t, 1), 0);
	assert_false(signalled(t, 0));
	clear(t);
	assert_true(signalled(t, 0));
	t->resource->ops->disarm(t->instance);
	assert_false(signalled(t, 0));
}

static void the_end_of_the_time_wakes(void **state)
{
	struct test *t = *state;

	fault(t, "for-ms", "20");
	fault(t, "refuse", "yes");
	t->resource->ops->disarm(t->instance);
	assert_int_equal(submit(t, 1), 0);
	assert_true(signalled(t, 20000));
	t->resource->ops->disarm(t->instance);
	assert_int_equal(submit(t, 1), 1);
	assert_false(signalled(t, 50));
	take_all(t);
}

static void the_other_one_wakes_too(void **state)
{
	struct test *t = *state;

	atomic_store(&t->fake->hold, true);
	assert_int_equal(submit(t, 1), 1);
	t->resource->ops->disarm(t->instance);
	assert_false(t->resource->ops->arm(t->instance));
	assert_false(signalled(t, 0));
	fake_release(t->fake);
	assert_true(sleep_until_signalled(t));
	take_all(t);
	assert_done(t, 0);
}

static void random_settings(struct test *t, struct fault_random *dice)
{
	static const char *const some[][2] = {
		{"delay", "uniform:0-50"},
		{"delay", "exponential:20"},
		{"delay", "none"},
		{"error-rate", "0.2"},
		{"error-rate", "0"},
		{"reorder", "5"},
		{"reorder", "0"},
		{"hang", "yes"},
		{"hang", "no"},
		{"dead", "yes"},
		{"dead", "no"},
		{"refuse", "yes"},
		{"refuse", "no"},
		{"after", "7"},
		{"after", "0"},
		{"for-ms", "1"},
		{"for-ms", "0"},
		{"seed", "3"},
	};
	const unsigned int count = vc_array_size(some);
	unsigned int i = (unsigned int)(fault_random_draw(dice) * count);

	fault(t, some[i][0], some[i][1]);
}

static void whatever_happens_each_comes_back_once(void **state)
{
	for (unsigned int seed = 0; seed < 300; seed++) {
		struct fault_random dice;
		struct test *t;

		teardown(state);
		setup(state);
		t = *state;
		fault_random_seed(&dice, seed, 0);
		atomic_store(&t->fake->capacity, 1 + (unsigned int)(fault_random_draw(&dice) * 80));
		for (unsigned int step = 0; step < 100; step++) {
			if (fault_random_draw(&dice) < 0.3)
				random_settings(t, &dice);
			atomic_store(&t->fake->hold, fault_random_draw(&dice) < 0.2);
			submit(t, (unsigned int)(fault_random_draw(&dice) * 20));
			take(t, fault_random_draw(&dice) < 0.5);
		}
		atomic_store(&t->fake->hold, false);
		clear(t);
		take_all(t);
		for (unsigned int i = 0; i < t->submitted; i++) {
			assert_int_equal(t->place[i].answers, 1);
			if (t->place[i].req->status == VC_STATUS_RESOURCE)
				assert_int_equal(t->place[i].src[0], (uint8_t)i);
			else
				assert_done(t, i);
		}
		for (unsigned int i = t->submitted; i <= MOST; i++)
			assert_int_equal(t->place[i].answers, 0);
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(without_faults_it_is_the_other_resource),
		test(a_full_resource_is_full),
		test(a_late_request_is_not_begun_before_its_time),
		test(what_is_cleared_waits_no_longer),
		test(errors_come_with_the_source_as_it_was),
		test(refusal_takes_nothing),
		test(sessions_are_refused_for_as_long_as_told),
		test(completions_are_shuffled_in_the_window),
		test(completions_overtake_each_other),
		test(what_hangs_comes_late),
		test(the_dead_give_everything_back_at_once),
		test(the_dead_come_back_when_that_is_cleared),
		test(it_begins_after_so_many),
		test(it_ends_after_its_time),
		test(it_has_no_more_than_it_has_room_for),
		test(a_sleeper_is_woken_in_time),
		test(new_settings_wake_whoever_was_refused),
		test(the_end_of_the_time_wakes),
		test(the_other_one_wakes_too),
		test(whatever_happens_each_comes_back_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
