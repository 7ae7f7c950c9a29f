/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fault_fixture.h.
 */
#include "fault_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

int fault_setup(void **state)
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

int fault_teardown(void **state)
{
	struct test *t = *state;

	t->resource->ops->close(t->instance);
	resource_destroy(t->resource);
	fake_free(t->fake);
	free(t->reqs);
	free(t);
	return 0;
}

void fault_on(struct test *t, const char *key, const char *value)
{
	char *error = NULL;

	if (fault_settings_set(&t->settings, key, value, &error))
		fail_msg("%s", error);
	fault_set(t->resource, &t->settings);
}

void fault_clear(struct test *t)
{
	t->settings = fault_settings_none;
	fault_set(t->resource, &t->settings);
}

unsigned int test_submit(struct test *t, unsigned int n)
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

struct place *fault_place(struct test *t, const struct vc_request *req)
{
	return &t->place[req - t->reqs];
}

unsigned int test_take(struct test *t, bool flush)
{
	struct vc_request *done[64];
	unsigned int n = t->resource->ops->poll(t->instance, done, 64, flush);

	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(fault_place(t, done[i])->answers++, 0);
	return n;
}

void test_take_all(struct test *t)
{
	uint64_t deadline = clock_now_ns() + PATIENCE_NS;

	while (t->instance->in_flight) {
		test_take(t, true);
		assert_true(clock_now_ns() < deadline);
	}
}

void assert_done(struct test *t, unsigned int i)
{
	struct place *p = &t->place[i];

	assert_int_equal(p->answers, 1);
	assert_int_equal(p->req->status, VIRTIO_CRYPTO_OK);
	for (unsigned int k = 0; k < LENGTH; k++)
		assert_int_equal(p->dst[k], (uint8_t)i ^ FAKE_MASK);
}

void assert_untouched(struct test *t, unsigned int i)
{
	for (unsigned int k = 0; k < LENGTH; k++) {
		assert_int_equal(t->place[i].src[k], (uint8_t)i);
		assert_int_equal(t->place[i].dst[k], 0);
	}
}

void assert_undone(struct test *t, unsigned int i)
{
	assert_int_equal(t->place[i].answers, 1);
	assert_int_equal(t->place[i].req->status, VC_STATUS_RESOURCE);
	assert_untouched(t, i);
}

struct fault_counters fault_counters_of(struct test *t)
{
	struct fault_state state;

	fault_look(t->resource, &state);
	return state.counters;
}
