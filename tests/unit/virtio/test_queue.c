/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submit and poll over rings of each kind, against a device that the test plays: it walks the
 * chains as a device does, answers in any order, and misbehaves.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/driver.h"

#define DEPTH 8

struct fixture {
	struct vcrypto_device device;
	struct vcrypto_queue *queue;
	struct vcrypto_session session;
	uint8_t *memory;
	uint8_t data[4096];
	unsigned int kicks;
	bool alive;
	uint16_t seen; /* the device's index */
};

static struct fixture *fixture;

static void fake_kick(const struct transport_queue *queue)
{
	fixture->kicks++;
}

static bool fake_alive(struct transport *transport)
{
	return fixture->alive;
}

static const struct transport_ops fake_ops = {.kick = fake_kick, .alive = fake_alive};

static int setup_with(void **state, bool indirect, bool event_idx)
{
	size_t bytes = queue_bytes(DEPTH, 0, indirect, false);
	struct fixture *f = calloc(1, sizeof(*f));

	fixture = f;
	f->memory = aligned_alloc(64, vc_round_up(bytes, 64));
	memset(f->memory, 0, bytes);
	f->queue = aligned_alloc(64, sizeof(*f->queue));
	memset(f->queue, 0, sizeof(*f->queue));
	f->queue->transport.call_fd = event_create();
	f->alive = true;
	f->device.ops = &fake_ops;
	f->device.config.max_size = sizeof(f->data);
	f->session.op = (struct op_session){
		.serial = 1, .kind = OP_CIPHER, .block_mask = 15, .iv_min = 16, .iv_max = 16};
	*state = f;
	regions_add(&f->device.regions, f->data, sizeof(f->data));
	return queue_init(f->queue, &f->device, f->memory, DEPTH, 0, indirect,
	                  (struct ring_kind){.event_idx = event_idx});
}

static int setup_indirect(void **state)
{
	return setup_with(state, true, true);
}

static int setup_direct(void **state)
{
	return setup_with(state, false, false);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	queue_fini(f->queue);
	free(f->queue);
	free(f->memory);
	free(f);
	return 0;
}

static void ops_make(struct fixture *f, struct vcrypto_op *ops, struct vcrypto_op **list,
                     unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		ops[i] = (struct vcrypto_op){.session = &f->session,
		                             .src = f->data + i * 16,
		                             .dst = f->data + 2048 + i * 16,
		                             .length = 16,
		                             .iv_len = 16,
		                             .user = &ops[i]};
		list[i] = &ops[i];
	}
}

/* The device: take the next head; -1 if there is none. */
static int device_take(struct fixture *f)
{
	struct ring_split *r = &f->queue->ring.split;

	return f->seen == r->avail->idx ? -1 : r->avail->ring[f->seen++ & r->mask];
}

/* Walk the chain: source is copied to destination, status written. */
static void device_work(struct fixture *f, unsigned int head, uint8_t status)
{
	struct virtq_desc *d = &f->queue->ring.split.desc[head], *table = f->queue->ring.split.desc;
	uint8_t *src, *dst;

	if (d->flags & VIRTQ_DESC_F_INDIRECT) {
		table = (struct virtq_desc *)(uintptr_t)d->addr;
		assert_int_equal(d->len, 4 * sizeof(*d));
		d = table;
	}
	assert_int_equal(d->len, 88);
	d = &table[d->next];
	src = (uint8_t *)(uintptr_t)d->addr;
	d = &table[d->next];
	dst = (uint8_t *)(uintptr_t)d->addr;
	memcpy(dst, src, d->len);
	d = &table[d->next];
	assert_int_equal(d->flags, VIRTQ_DESC_F_WRITE);
	*(uint8_t *)(uintptr_t)d->addr = status;
}

static void device_give(struct fixture *f, uint32_t id, uint32_t len)
{
	struct ring_split *r = &f->queue->ring.split;

	r->used->ring[r->used->idx & r->mask] = (struct virtq_used_elem){id, len};
	r->used->idx++;
}

static void operations_go_out_and_come_back(void **state)
{
	struct fixture *f = *state;
	struct vcrypto_op ops[DEPTH + 2], *list[DEPTH + 2], *done[DEPTH + 2];
	int heads[DEPTH];

	ops_make(f, ops, list, DEPTH + 2);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 2048; i++)
			f->data[i] = (uint8_t)(i * 7 + round);
		assert_int_equal(vcrypto_queue_room(f->queue), DEPTH);
		assert_int_equal(vcrypto_queue_submit(f->queue, list, DEPTH + 2), DEPTH);
		assert_int_equal(vcrypto_queue_submit(f->queue, list + DEPTH, 1), 0);
		assert_int_equal(vcrypto_queue_in_flight(f->queue), DEPTH);
		assert_int_equal(vcrypto_queue_poll(f->queue, done, DEPTH), 0);
		for (unsigned int i = 0; i < DEPTH; i++)
			heads[i] = device_take(f);
		assert_int_equal(device_take(f), -1);
		/* Last in, first out, and one at a time. */
		for (unsigned int i = DEPTH; i--;) {
			device_work(f, (unsigned int)heads[i], i == 3 ? VIRTIO_CRYPTO_BADMSG : 0);
			device_give(f, (uint32_t)heads[i], 17);
			assert_int_equal(vcrypto_queue_poll(f->queue, done, 2), 1);
			assert_ptr_equal(done[0]->user, &ops[i]);
			assert_int_equal(done[0]->status, i == 3 ? -EINVAL : 0);
			assert_memory_equal(done[0]->src, done[0]->dst, 16);
		}
	}
	struct vcrypto_queue_stats stats;

	vcrypto_queue_stats(f->queue, &stats);
	assert_int_equal(stats.submitted, 20 * DEPTH);
	assert_int_equal(stats.completed, 20 * DEPTH);
	assert_int_equal(stats.failed, 20);
	assert_int_equal(stats.kicks, f->kicks);
}

static void a_wrong_operation_stops_the_burst(void **state)
{
	struct fixture *f = *state;
	struct vcrypto_op ops[3], *list[3];

	ops_make(f, ops, list, 3);
	ops[1].length = 15;
	assert_int_equal(vcrypto_queue_submit(f->queue, list, 3), 1);
	assert_int_equal(vcrypto_queue_submit(f->queue, list + 1, 2), -EINVAL);
	assert_int_equal(vcrypto_queue_submit(f->queue, list + 2, 1), 1);
	ops[1].length = 16;
	f->session.state = -EINPROGRESS;
	assert_int_equal(vcrypto_queue_submit(f->queue, list + 1, 1), -EINVAL);
	ops[1].session = NULL;
	assert_int_equal(vcrypto_queue_submit(f->queue, list + 1, 1), -EINVAL);
	assert_int_equal(vcrypto_queue_in_flight(f->queue), 2);
}

static void a_status_that_is_never_written_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct vcrypto_op op, *list, *done;

	ops_make(f, &op, &list, 1);
	for (unsigned int i = 0; i < 2 * DEPTH; i++) {
		bool forget = i % 2;

		assert_int_equal(vcrypto_queue_submit(f->queue, &list, 1), 1);
		unsigned int head = (unsigned int)device_take(f);

		if (!forget)
			device_work(f, head, 0);
		device_give(f, head, 17);
		assert_int_equal(vcrypto_queue_poll(f->queue, &done, 1), 1);
		assert_int_equal(done->status, forget ? -EIO : 0);
	}
}

static void rubbish_in_the_used_ring_kills_the_queue(void **state)
{
	static const struct {
		uint32_t id;
		unsigned int times;
	} bad[] = {{DEPTH * OP_MIN_TABLE, 1}, {UINT32_MAX, 1}, {0, 2}};

	for (size_t i = 0; i < vc_array_size(bad); i++) {
		struct fixture *f;
		struct vcrypto_op ops[3], *list[3], *done[3];

		assert_int_equal(setup_with(state, i % 2, i % 2), 0);
		f = *state;
		ops_make(f, ops, list, 3);
		assert_int_equal(vcrypto_queue_submit(f->queue, list, 3), 3);
		for (unsigned int k = 0; k < bad[i].times; k++)
			device_give(f, bad[i].id, 17);
		if (bad[i].times == 2)
			assert_int_equal(vcrypto_queue_poll(f->queue, done, 3), 1);
		assert_int_equal(vcrypto_queue_poll(f->queue, done, 3), -EPROTO);
		assert_int_equal(vcrypto_queue_submit(f->queue, list, 1), -EPIPE);
		teardown(state);
	}
}

static void a_used_index_that_jumps_kills_the_queue(void **state)
{
	struct fixture *f = *state;
	struct vcrypto_op op, *list, *done;

	ops_make(f, &op, &list, 1);
	assert_int_equal(vcrypto_queue_submit(f->queue, &list, 1), 1);
	f->queue->ring.split.used->idx += 2;
	assert_int_equal(vcrypto_queue_poll(f->queue, &done, 1), -EPROTO);
}

static void the_result_length_is_never_more_than_there_is_room(void **state)
{
	struct fixture *f = *state;
	struct vcrypto_op op, *list, *done;

	ops_make(f, &op, &list, 1);
	f->session.op = (struct op_session){.serial = 2, .kind = OP_AKCIPHER, .private_key = true};
	op.iv_len = 0;
	op.dst_len = 100;
	op.akcipher_op = VCRYPTO_AKCIPHER_DECRYPT;
	for (uint32_t len = 0; len < 200; len += 50) {
		assert_int_equal(vcrypto_queue_submit(f->queue, &list, 1), 1);
		device_give(f, (uint32_t)device_take(f), len);
		assert_int_equal(vcrypto_queue_poll(f->queue, &done, 1), 1);
		assert_int_equal(done->result_len, len ? vc_min(len - 1, 100) : 0);
	}
}

static void a_back_end_that_has_gone_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct vcrypto_op op, *list, *done;
	int n = 0;

	ops_make(f, &op, &list, 1);
	assert_int_equal(vcrypto_queue_submit(f->queue, &list, 1), 1);
	f->alive = false;
	for (unsigned int i = 0; i < 100000 && !n; i++)
		n = vcrypto_queue_poll(f->queue, &done, 1);
	assert_int_equal(n, -EPIPE);
	assert_int_equal(vcrypto_queue_submit(f->queue, &list, 1), -EPIPE);
	assert_false(vcrypto_device_alive(&f->device));
}

static void arm_and_disarm(void **state)
{
	struct fixture *f = *state;
	struct vcrypto_op op, *list, *done;
	struct vcrypto_queue_stats stats;

	ops_make(f, &op, &list, 1);
	assert_int_equal(vcrypto_queue_submit(f->queue, &list, 1), 1);
	assert_false(vcrypto_queue_arm(f->queue));
	unsigned int head = (unsigned int)device_take(f);

	device_work(f, head, 0);
	device_give(f, head, 17);
	event_signal(vcrypto_queue_fd(f->queue));
	assert_true(vcrypto_queue_arm(f->queue));
	vcrypto_queue_disarm(f->queue);
	vcrypto_queue_disarm(f->queue);
	vcrypto_queue_stats(f->queue, &stats);
	assert_int_equal(stats.calls, 1);
	assert_int_equal(vcrypto_queue_poll(f->queue, &done, 1), 1);
}

int main(void)
{
#define EACH_RING(test)                                                                            \
	{"indirect: " #test, test, setup_indirect, teardown, NULL},                                \
	{                                                                                          \
		"direct: " #test, test, setup_direct, teardown, NULL                               \
	}
	const struct CMUnitTest tests[] = {
		EACH_RING(operations_go_out_and_come_back),
		EACH_RING(a_wrong_operation_stops_the_burst),
		EACH_RING(a_status_that_is_never_written_is_an_error),
		cmocka_unit_test(rubbish_in_the_used_ring_kills_the_queue),
		EACH_RING(a_used_index_that_jumps_kills_the_queue),
		EACH_RING(the_result_length_is_never_more_than_there_is_room),
		EACH_RING(a_back_end_that_has_gone_is_noticed),
		EACH_RING(arm_and_disarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
