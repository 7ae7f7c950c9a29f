/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker with queues in strict order, and one without: who waits for a slow resource.
 */
#include "worker_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "fake_resource.h"

/* Queue 0 has an order (if strict) and queue 1 never; `slow` is a session of a resource that holds
 * its requests, `quick` one of a resource that does them at once. */
struct order_bench {
	struct bench b;
	struct fake *fake[2];
	uint64_t slow, quick;
};

static void start(struct order_bench *o, bool strict, bool in_order)
{
	struct resource *resources[2];
	struct sent first;

	for (unsigned int i = 0; i < 2; i++) {
		o->fake[i] = fake_new(i ? "quick" : "slow", i);
		resources[i] = &o->fake[i]->base;
	}
	bench_open(&o->b, 1, resources, 2);
	o->slow = bench_session(&o->b);
	o->quick = bench_session(&o->b);
	if (strict) {
		o->b.device->queue[0].order = order_new(BENCH_RING);
		assert_non_null(o->b.device->queue[0].order);
	}
	o->b.guest[0].config.in_order = in_order;
	bench_start(&o->b, 0, 0);
	bench_start(&o->b, 1, 0);
	/* Realised in the first resource, which then takes no other session. */
	first = bench_send(&o->b, 0, o->slow, 64);
	bench_kick(&o->b, 0);
	assert_true(bench_wait(&o->b, 0, 1));
	assert_int_equal(bench_status(&o->b, 0, first), VIRTIO_CRYPTO_OK);
	atomic_store(&o->fake[0]->realise_error, -ENOTSUP);
	atomic_store(&o->fake[0]->hold, true);
}

static void finish(struct order_bench *o)
{
	assert_int_equal(bench_stop(&o->b, 0), 0);
	assert_int_equal(bench_stop(&o->b, 1), 0);
	free(o->b.device->queue[0].order);
	bench_close(&o->b);
	fake_free(o->fake[0]);
	fake_free(o->fake[1]);
}

static void wait_done(struct order_bench *o, unsigned int fake, unsigned int n)
{
	for (unsigned int i = 0; i < 5000 && atomic_load(&o->fake[fake]->completed) < n; i++)
		sleep_ms(1);
	assert_true(atomic_load(&o->fake[fake]->completed) >= n);
	/* A round more of the worker. */
	sleep_ms(5);
}

static void expect_used(struct order_bench *o, unsigned int queue, uint16_t head)
{
	struct virtq_used_elem elem;

	assert_true(guest_used(&o->b.guest[queue], &elem));
	assert_int_equal(elem.id, head);
}

static void relaxed_queue_gives_back_what_is_done(void **state)
{
	struct order_bench o;
	struct sent slow, quick;

	start(&o, false, false);
	slow = bench_send(&o.b, 0, o.slow, 64);
	quick = bench_send(&o.b, 0, o.quick, 64);
	bench_kick(&o.b, 0);
	wait_done(&o, 1, 1);
	expect_used(&o, 0, quick.head);
	fake_release(o.fake[0]);
	assert_int_equal(bench_stop(&o.b, 0), 0);
	expect_used(&o, 0, slow.head);
	bench_start(&o.b, 0, 0);
	finish(&o);
}

static void strict_queue_waits_for_its_oldest_and_no_other_queue_does(void **state)
{
	struct virtq_used_elem elem;
	struct order_bench o;
	struct sent slow, quick[60], other;

	start(&o, true, false);
	slow = bench_send(&o.b, 0, o.slow, 64);
	for (unsigned int i = 0; i < 60; i++)
		quick[i] = bench_send(&o.b, 0, o.quick, 64);
	bench_kick(&o.b, 0);
	wait_done(&o, 1, 60);
	assert_false(guest_used(&o.b.guest[0], &elem));
	assert_int_equal(bench_status(&o.b, 0, quick[59]), VIRTIO_CRYPTO_OK);
	other = bench_send(&o.b, 1, o.quick, 64);
	bench_kick(&o.b, 1);
	assert_true(bench_wait(&o.b, 1, 1));
	assert_int_equal(bench_status(&o.b, 1, other), VIRTIO_CRYPTO_OK);

	fake_release(o.fake[0]);
	assert_int_equal(bench_stop(&o.b, 0), 0);
	expect_used(&o, 0, slow.head);
	for (unsigned int i = 0; i < 60; i++)
		expect_used(&o, 0, quick[i].head);
	bench_start(&o.b, 0, 0);
	finish(&o);
}

/* No session, and a chain that is not sound: done at once, but not before their turn. */
static void errors_wait_for_their_turn_too(void **state)
{
	const struct virtq_desc unsound[] = {IN_DESC(GUEST_DATA, 16), OUT_DESC(GUEST_DATA, 16)};
	struct virtq_used_elem elem;
	struct order_bench o;
	struct sent slow, none;
	uint16_t bad;

	start(&o, true, false);
	slow = bench_send(&o.b, 0, o.slow, 64);
	none = bench_send(&o.b, 0, 0x1234, 64);
	bad = guest_chain(&o.b.guest[0], unsound, 2);
	guest_offer(&o.b.guest[0], bad);
	bench_kick(&o.b, 0);
	assert_true(bench_wait_counter(&o.b.device->queue[0].counters.bad_chains, 1));
	sleep_ms(5);
	assert_false(guest_used(&o.b.guest[0], &elem));
	assert_int_equal(bench_status(&o.b, 0, none), VIRTIO_CRYPTO_INVSESS);
	fake_release(o.fake[0]);
	assert_int_equal(bench_stop(&o.b, 0), 0);
	expect_used(&o, 0, slow.head);
	expect_used(&o, 0, none.head);
	expect_used(&o, 0, bad);
	bench_start(&o.b, 0, 0);
	finish(&o);
}

static void in_order_batch_has_one_used_entry(void **state)
{
	struct order_bench o;
	struct sent sent[8];
	struct guest *g = &o.b.guest[0];
	uint16_t from;

	start(&o, true, true);
	from = g->used_idx;
	sent[0] = bench_send(&o.b, 0, o.slow, 64);
	for (unsigned int i = 1; i < 8; i++)
		sent[i] = bench_send(&o.b, 0, i == 5 ? 0x1234 : o.quick, 64);
	bench_kick(&o.b, 0);
	wait_done(&o, 1, 6);
	fake_release(o.fake[0]);
	assert_int_equal(bench_stop(&o.b, 0), 0);
	assert_int_equal(g->used->idx, (uint16_t)(from + 8));
	/* The one that failed wrote less than there was room for, and ends a batch. */
	assert_int_equal(g->used->ring[from % BENCH_RING].id, sent[5].head);
	assert_int_equal(g->used->ring[from % BENCH_RING].len, 1);
	assert_int_equal(g->used->ring[(from + 6) % BENCH_RING].id, sent[7].head);
	assert_int_equal(g->used->ring[(from + 6) % BENCH_RING].len, 65);
	bench_start(&o.b, 0, 0);
	finish(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relaxed_queue_gives_back_what_is_done),
		cmocka_unit_test(strict_queue_waits_for_its_oldest_and_no_other_queue_does),
		cmocka_unit_test(errors_wait_for_their_turn_too),
		cmocka_unit_test(in_order_batch_has_one_used_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
