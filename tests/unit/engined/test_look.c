/* SPDX-License-Identifier: Apache-2.0 */
/* Which clients are looked at: busy ones in every round, quiet ones in turn, nobody never. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "engined/engined.h"

#define CLIENTS 100u
/* One look at a quiet client in so many rounds. */
#define PATIENCE 16u

static struct engined e;
static struct client client[CLIENTS];

static void client_make(struct client *made)
{
	struct region_layout layout;

	*made = (struct client){.engined = &e, .state = CLIENT_LIVE};
	assert_int_equal(region_layout_init(&layout, 1, 64, 4096), 0);
	assert_int_equal(region_create(&made->region, &layout), 0);
	made->channels = calloc(1, sizeof(*made->channels));
	assert_non_null(made->channels);
	channel_init(made->channels, &made->region, 0);
	region_header(&made->region)->channels_used = 1;
	look_soon(made);
}

static int setup(void **state)
{
	unsigned int i;

	memset(&e, 0, sizeof(e));
	e.config.depth = 64;
	e.config.queues = 1;
	if (request_pool_init(&e))
		return -1;
	for (i = 0; i < CLIENTS; i++)
		client_make(&client[i]);
	return 0;
}

static void ring_is_whole(const struct look_ring *ring)
{
	const struct client *at = ring->first;
	unsigned int i;

	for (i = 0; i < ring->count; i++, at = at->look_next) {
		assert_ptr_equal(at->look_ring, ring);
		assert_ptr_equal(at->look_next->look_prev, at);
	}
	assert_ptr_equal(at, ring->first);
}

static int teardown(void **state)
{
	unsigned int i;

	ring_is_whole(&e.busy);
	ring_is_whole(&e.quiet);
	for (i = 0; i < CLIENTS; i++) {
		look_never(&client[i]);
		free(client[i].channels);
		region_destroy(&client[i].region);
	}
	assert_null(e.busy.first);
	assert_null(e.quiet.first);
	assert_int_equal(e.busy.count + e.quiet.count, 0);
	request_pool_free(&e);
	return 0;
}

/* A request that is answered as soon as it is taken. */
static void submit(struct client *who)
{
	struct vce_channel *ring = who->channels->ring;
	struct vce_slot *slot = &who->channels->slots[ring->tail & 63];

	slot->opcode = VCE_OP_NOP;
	slot->state = VCE_SLOT_STATE(1, VCE_SLOT_QUEUED);
	ring->ring[ring->tail & 63] = (uint16_t)(ring->tail & 63);
	ring->tail++;
}

static bool taken(const struct client *who)
{
	return who->channels->ring->head == who->channels->ring->tail;
}

static unsigned int rounds_until_taken(const struct client *who)
{
	unsigned int n = 0;

	while (!taken(who) && n < 1000) {
		look_take(&e);
		n++;
	}
	return n;
}

static void all_fall_silent(void)
{
	unsigned int i;

	for (i = 0; i < 100; i++)
		assert_int_equal(look_take(&e), 0);
	assert_int_equal(e.busy.count, 0);
	assert_int_equal(e.quiet.count, CLIENTS);
}

static void who_has_nothing_becomes_quiet(void **state)
{
	assert_int_equal(e.busy.count, CLIENTS);
	all_fall_silent();
}

static void who_submits_stays_busy(void **state)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		submit(&client[7]);
		look_take(&e);
		assert_true(taken(&client[7]));
	}
	assert_ptr_equal(e.busy.first, &client[7]);
	assert_int_equal(e.busy.count, 1);
	/* With pauses, too. */
	for (i = 0; i < 100; i++) {
		if (i % 8 == 0)
			submit(&client[7]);
		look_take(&e);
		assert_ptr_equal(e.busy.first, &client[7]);
	}
}

static void quiet_ones_are_looked_at_in_turn(void **state)
{
	unsigned int i, longest = 0, n;

	all_fall_silent();
	for (i = 0; i < CLIENTS; i++) {
		submit(&client[i * 37 % CLIENTS]);
		n = rounds_until_taken(&client[i * 37 % CLIENTS]);
		longest = n > longest ? n : longest;
	}
	assert_in_range(longest, 2, PATIENCE);
}

/* However often others leave and come again. */
static void quiet_ones_keep_their_turn(void **state)
{
	unsigned int i, n = 0;

	all_fall_silent();
	submit(&client[CLIENTS - 1]);
	for (i = 0; !taken(&client[CLIENTS - 1]) && n < 1000; i++) {
		struct client *other = &client[i % (CLIENTS - 1)];

		look_never(other);
		look_soon(other);
		look_take(&e);
		ring_is_whole(&e.busy);
		ring_is_whole(&e.quiet);
		n++;
	}
	assert_in_range(n, 1, PATIENCE);
}

static void a_doorbell_is_a_look_in_the_next_round(void **state)
{
	unsigned int i;

	all_fall_silent();
	for (i = 0; i < CLIENTS; i++) {
		submit(&client[i]);
		look_soon(&client[i]);
		assert_int_equal(rounds_until_taken(&client[i]), 1);
	}
}

static void who_waits_for_room_stays_busy(void **state)
{
	unsigned int i;

	all_fall_silent();
	submit(&client[3]);
	look_soon(&client[3]);
	e.pool.used = e.pool.size;
	for (i = 0; i < 100; i++)
		look_take(&e);
	assert_false(taken(&client[3]));
	assert_int_equal(e.busy.count, 1);
	e.pool.used = 0;
	assert_int_equal(look_take(&e), 1);
}

static void the_busy_take_turns(void **state)
{
	const struct client *first;
	unsigned int i;

	all_fall_silent();
	for (i = 0; i < 3; i++)
		look_soon(&client[i]);
	for (i = 0; i < 9; i++) {
		first = e.busy.first;
		assert_ptr_equal(first, &client[i % 3]);
		submit(&client[0]);
		look_take(&e);
	}
}

static void who_is_leaving_is_left_alone(void **state)
{
	all_fall_silent();
	client[5].state = CLIENT_DYING;
	submit(&client[5]);
	look_soon(&client[5]);
	assert_int_equal(e.busy.count, 0);
	assert_int_equal(rounds_until_taken(&client[5]), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_has_nothing_becomes_quiet, setup, teardown),
		cmocka_unit_test_setup_teardown(who_submits_stays_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(quiet_ones_are_looked_at_in_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(quiet_ones_keep_their_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(a_doorbell_is_a_look_in_the_next_round, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(who_waits_for_room_stays_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(the_busy_take_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_leaving_is_left_alone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
