/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of the split ring, against a device side played by the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/ring_split.h"

#define SIZE 8

struct fixture {
	struct ring_split ring;
	void *memory;
	uint16_t seen; /* device: avail entries taken */
};

static void setup_ring(struct fixture *f, bool event_idx)
{
	size_t bytes = ring_split_bytes(SIZE);

	f->memory = aligned_alloc(64, bytes);
	assert_non_null(f->memory);
	memset(f->memory, 0, bytes);
	f->seen = 0;
	ring_split_init(&f->ring, f->memory, SIZE, event_idx);
}

static int device_take(struct fixture *f)
{
	if (f->seen == f->ring.avail->idx)
		return -1;
	return f->ring.avail->ring[f->seen++ % SIZE];
}

static void device_give(struct fixture *f, uint32_t id, uint32_t len)
{
	f->ring.used->ring[f->ring.used->idx % SIZE] = (struct virtq_used_elem){id, len};
	f->ring.used->idx++;
}

static void parts_do_not_overlap_and_are_aligned(void **state)
{
	struct fixture f;

	setup_ring(&f, true);
	uint8_t *base = f.memory;

	assert_ptr_equal(f.ring.desc, base);
	assert_true((uint8_t *)f.ring.avail >= base + 16 * SIZE);
	assert_int_equal((uintptr_t)f.ring.used % 64, 0);
	assert_true((uint8_t *)f.ring.used >= (uint8_t *)(f.ring.used_event + 1));
	assert_true((uint8_t *)(f.ring.avail_event + 1) <= base + ring_split_bytes(SIZE));
	free(f.memory);
}

static void heads_are_seen_only_after_publish(void **state)
{
	struct fixture f;

	setup_ring(&f, false);
	ring_split_push(&f.ring, 5);
	ring_split_push(&f.ring, 2);
	assert_int_equal(device_take(&f), -1);
	assert_true(ring_split_publish(&f.ring));
	assert_int_equal(device_take(&f), 5);
	assert_int_equal(device_take(&f), 2);
	assert_int_equal(device_take(&f), -1);
	free(f.memory);
}

static void no_kick_when_the_device_polls(void **state)
{
	struct fixture f;

	setup_ring(&f, false);
	f.ring.used->flags = VIRTQ_USED_F_NO_NOTIFY;
	ring_split_push(&f.ring, 0);
	assert_false(ring_split_publish(&f.ring));
	free(f.memory);
}

static void event_idx_kicks_when_the_event_is_passed(void **state)
{
	struct fixture f;

	setup_ring(&f, true);
	/* Event 2: the kick comes with the publish that makes entry 2 visible, and not again. */
	*(uint16_t *)(uintptr_t)f.ring.avail_event = 2;
	ring_split_push(&f.ring, 0);
	ring_split_push(&f.ring, 1);
	assert_false(ring_split_publish(&f.ring));
	ring_split_push(&f.ring, 2);
	ring_split_push(&f.ring, 3);
	assert_true(ring_split_publish(&f.ring));
	ring_split_push(&f.ring, 4);
	assert_false(ring_split_publish(&f.ring));
	free(f.memory);
}

static void used_elements_come_in_order_across_the_wrap(void **state)
{
	struct fixture f;
	uint32_t next = 0;

	setup_ring(&f, true);
	/* Past 65536 so that both indices wrap. */
	for (unsigned int round = 0; round < 30000; round++) {
		for (unsigned int i = 0; i < 3; i++)
			device_give(&f, (next + i) % SIZE, next + i);
		assert_int_equal(ring_split_pending(&f.ring), 3);
		for (unsigned int i = 0; i < 3; i++, next++) {
			struct virtq_used_elem e = ring_split_take(&f.ring);

			assert_int_equal(e.id, next % SIZE);
			assert_int_equal(e.len, next);
		}
		assert_int_equal(ring_split_pending(&f.ring), 0);
		/* While polling, the device is never asked for a call by chance. */
		uint16_t distance = (uint16_t)(*f.ring.used_event - f.ring.used->idx);

		assert_true(distance >= 0x4000);
	}
	free(f.memory);
}

static void arm_asks_for_the_next_and_tells_what_is_there(void **state)
{
	struct fixture f;

	setup_ring(&f, true);
	assert_false(ring_split_arm(&f.ring));
	assert_int_equal(*f.ring.used_event, f.ring.used->idx);
	device_give(&f, 1, 1);
	assert_true(ring_split_arm(&f.ring));
	ring_split_disarm(&f.ring);
	assert_true((uint16_t)(*f.ring.used_event - f.ring.used->idx) >= 0x4000);
	free(f.memory);

	setup_ring(&f, false);
	assert_int_equal(f.ring.avail->flags, VIRTQ_AVAIL_F_NO_INTERRUPT);
	assert_false(ring_split_arm(&f.ring));
	assert_int_equal(f.ring.avail->flags, 0);
	ring_split_disarm(&f.ring);
	assert_int_equal(f.ring.avail->flags, VIRTQ_AVAIL_F_NO_INTERRUPT);
	free(f.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_do_not_overlap_and_are_aligned),
		cmocka_unit_test(heads_are_seen_only_after_publish),
		cmocka_unit_test(no_kick_when_the_device_polls),
		cmocka_unit_test(event_idx_kicks_when_the_event_is_passed),
		cmocka_unit_test(used_elements_come_in_order_across_the_wrap),
		cmocka_unit_test(arm_asks_for_the_next_and_tells_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
