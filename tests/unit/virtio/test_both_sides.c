/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides of the split ring, ours and vcrypto-host's, in two threads: nothing is lost or seen
 * half done, and nobody who sleeps is forgotten. Also run under the thread sanitizer.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/memtable.h"
#include "host/vring.h"
#include "virtio/driver.h"

#define DEPTH 64
#define OPERATIONS 30000u
#define PATIENCE_MS 20000

struct both {
	struct vcrypto_device device;
	struct vcrypto_queue *queue;
	struct shared_region region;
	struct memtable *memory;
	struct vring ring;
	uint8_t *data;
	atomic_bool stop;
	unsigned int forgotten; /* sleeps that nobody ended */
};

static void both_kick(const struct transport_queue *queue)
{
	event_signal(queue->kick_fd);
}

static bool both_alive(struct transport *transport)
{
	return true;
}

static const struct transport_ops both_ops = {.kick = both_kick, .alive = both_alive};

static void sleep_on(struct both *b, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (!poll(&p, 1, PATIENCE_MS))
		__atomic_fetch_add(&b->forgotten, 1, __ATOMIC_RELAXED);
	event_clear(fd);
}

/* Copies source to destination, inverted. */
static void device_work(const struct vring_chain *chain)
{
	assert_int_equal(chain->out, 2);
	assert_int_equal(chain->in, 2);
	for (uint32_t i = 0; i < chain->segment[1].len; i++)
		chain->segment[2].base[i] = (uint8_t)~chain->segment[1].base[i];
	*chain->segment[3].base = VIRTIO_CRYPTO_OK;
}

static void *device_main(void *context)
{
	struct both *b = context;
	struct vring_chain *chain = malloc(sizeof(*chain));
	unsigned int taken = 0;

	while (!atomic_load(&b->stop)) {
		int n = vring_pop(&b->ring, chain);

		if (n == 1) {
			device_work(chain);
			/* Some are not written in full, and end a batch (IN_ORDER). */
			vring_push_in_order(&b->ring, chain->head, ++taken % 11 ? 17 : 1, 17);
			/* Now and then a burst is told at once. */
			if (taken % 5 && vring_publish(&b->ring))
				event_signal(b->queue->transport.call_fd);
			continue;
		}
		assert_int_equal(n, 0);
		if (vring_publish(&b->ring))
			event_signal(b->queue->transport.call_fd);
		if (!vring_notify_on(&b->ring) && !atomic_load(&b->stop))
			sleep_on(b, b->queue->transport.kick_fd);
		vring_notify_off(&b->ring);
	}
	free(chain);
	return NULL;
}

static void ops_make(struct both *b, struct vcrypto_session *session, struct vcrypto_op *ops,
                     struct vcrypto_op **ready)
{
	for (unsigned int i = 0; i < DEPTH; i++) {
		ops[i] = (struct vcrypto_op){.session = session,
		                             .src = b->data + i * 32,
		                             .dst = b->data + i * 32 + 16,
		                             .length = 16,
		                             .iv_len = 16};
		ready[i] = &ops[i];
	}
}

static void driver_run(struct both *b, struct vcrypto_session *session)
{
	struct vcrypto_op ops[DEPTH], *ready[DEPTH], *done[DEPTH];
	unsigned int ready_count = DEPTH, sent = 0, back = 0;
	int n;

	ops_make(b, session, ops, ready);
	while (back < OPERATIONS && !b->forgotten) {
		unsigned int burst = vc_min(ready_count, sent % 7 + 1);

		for (unsigned int i = 0; i < burst; i++)
			memset((uint8_t *)(uintptr_t)ready[ready_count - 1 - i]->src,
			       (int)(sent + i), 16);
		if (burst && sent < OPERATIONS) {
			n = vcrypto_queue_submit(b->queue, ready + ready_count - burst, burst);
			assert_int_equal(n, burst);
			ready_count -= burst;
			sent += burst;
		}
		n = vcrypto_queue_poll(b->queue, done, DEPTH);
		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			const uint8_t *src = done[i]->src, *dst = done[i]->dst;

			assert_int_equal(done[i]->status, 0);
			for (unsigned int k = 0; k < 16; k++)
				assert_int_equal(dst[k], (uint8_t)~src[k]);
			ready[ready_count++] = done[i];
		}
		back += (unsigned int)n;
		if (n || ready_count == DEPTH || (sent < OPERATIONS && sent % 3))
			continue;
		if (!vcrypto_queue_arm(b->queue))
			sleep_on(b, b->queue->transport.call_fd);
		vcrypto_queue_disarm(b->queue);
	}
}

static void both_open(struct both *b, bool indirect, struct ring_kind kind)
{
	size_t bytes = vc_round_up(queue_bytes(DEPTH, 0, indirect, kind.packed), 4096);
	struct vring_config config = {
		.packed = kind.packed, .event_idx = kind.event_idx, .in_order = kind.in_order};

	memset(b, 0, sizeof(*b));
	assert_int_equal(shared_region_create(bytes + 4096, -1, &b->region), 0);
	b->data = b->region.base + bytes;
	b->device.ops = &both_ops;
	b->device.config.max_size = 4096;
	assert_int_equal(regions_add(&b->device.regions, b->region.base, b->region.size), 0);
	b->queue = aligned_alloc(64, sizeof(*b->queue));
	memset(b->queue, 0, sizeof(*b->queue));
	b->queue->transport.kick_fd = event_create();
	b->queue->transport.call_fd = event_create();
	assert_int_equal(queue_init(b->queue, &b->device, b->region.base, DEPTH, 0, indirect, kind),
	                 0);

	/* By hand, so that both sides have it at the same address: the thread sanitizer goes by
	 * that. */
	b->memory = memtable_new();
	b->memory->count = 1;
	b->memory->region[0] = (struct memregion){.guest_addr = (uintptr_t)b->region.base,
	                                          .user_addr = (uintptr_t)b->region.base,
	                                          .size = b->region.size,
	                                          .host = b->region.base};
	config.size = (uint16_t)ring_size(&b->queue->ring);
	config.base = ring_base(&b->queue->ring);
	ring_parts(&b->queue->ring, &config.desc, &config.avail, &config.used);
	assert_int_equal(vring_setup(&b->ring, b->memory, &config), 0);
}

static void both_close(struct both *b)
{
	close(b->queue->transport.kick_fd);
	close(b->queue->transport.call_fd);
	queue_fini(b->queue);
	free(b->queue);
	free(b->memory);
	shared_region_destroy(&b->region);
}

static void run_both(bool indirect, struct ring_kind kind)
{
	struct vcrypto_session session = {.op = {.serial = 1,
	                                         .kind = OP_CIPHER,
	                                         .block_mask = 15,
	                                         .iv_min = 16,
	                                         .iv_max = 16}};
	static struct both b;
	pthread_t thread;

	both_open(&b, indirect, kind);
	assert_int_equal(pthread_create(&thread, NULL, device_main, &b), 0);
	driver_run(&b, &session);
	atomic_store(&b.stop, true);
	event_signal(b.queue->transport.kick_fd);
	pthread_join(thread, NULL);
	assert_int_equal(b.forgotten, 0);
	/* They did sleep, or this shows nothing. */
	assert_true(b.queue->stats.kicks > 0);
	both_close(&b);
}

static void indirect_with_event_idx(void **state)
{
	run_both(true, (struct ring_kind){.event_idx = true});
}

static void indirect_with_flags(void **state)
{
	run_both(true, (struct ring_kind){0});
}

static void direct_with_event_idx(void **state)
{
	run_both(false, (struct ring_kind){.event_idx = true});
}

static void direct_with_flags(void **state)
{
	run_both(false, (struct ring_kind){0});
}

static void packed_with_event_idx(void **state)
{
	run_both(true, (struct ring_kind){.packed = true, .event_idx = true});
}

static void packed_with_flags(void **state)
{
	run_both(true, (struct ring_kind){.packed = true});
}

static void packed_and_direct(void **state)
{
	run_both(false, (struct ring_kind){.packed = true, .event_idx = true});
}

static void in_order(void **state)
{
	run_both(true, (struct ring_kind){.in_order = true, .event_idx = true});
}

static void packed_in_order(void **state)
{
	run_both(true, (struct ring_kind){.packed = true, .in_order = true, .event_idx = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(indirect_with_event_idx), cmocka_unit_test(indirect_with_flags),
		cmocka_unit_test(direct_with_event_idx),   cmocka_unit_test(direct_with_flags),
		cmocka_unit_test(packed_with_event_idx),   cmocka_unit_test(packed_with_flags),
		cmocka_unit_test(packed_and_direct),       cmocka_unit_test(in_order),
		cmocka_unit_test(packed_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
