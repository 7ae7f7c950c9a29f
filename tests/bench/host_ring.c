/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request costs the host's core without any cryptography: rings, parsing, completion. One
 * thread plays a driver, another takes requests as a worker does; every cache line of a request
 * crosses between the two. Prints the median over bursts, in cycles of the time stamp counter.
 *
 * Usage: bench-host-ring [DRIVER-CPU HOST-CPU]
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "host/request.h"

#define RING 1024u
#define DEPTH 256u
#define BURST 32u
#define BURSTS 40000u
#define SLOT 2048u
#define MEMORY (4u << 20)
#define SLOTS_AT (1u << 20)
#define DATA_AT (2u << 20)

enum layout { INDIRECT, DIRECT, PACKED, LAYOUTS };
static const char *const layouts[] = {"indirect", "direct", "packed"};

static struct {
	uint8_t *memory;
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	/* Of a packed ring, which is indirect: where the driver stands. */
	struct virtq_packed_desc *packed;
	uint16_t next, seen;
	bool next_wrap, seen_wrap;
	struct virtio_crypto_op_data_req header;
	uint32_t length;
	enum layout layout;
	atomic_bool stop;
} guest;

/* ---- the driver ---- */

static uint64_t address(const void *p)
{
	return (uint64_t)((const uint8_t *)p - guest.memory);
}

/* Request in slot i: header with iv, source, destination, status. Descriptors of a direct chain are
 * number 4i and on, the table of an indirect one is in the slot. */
static void driver_fill(unsigned int i)
{
	uint8_t *slot = guest.memory + SLOTS_AT + (size_t)i * 256;
	uint8_t *data = guest.memory + DATA_AT + (size_t)i * SLOT;
	struct virtq_desc *table = (struct virtq_desc *)slot;
	uint16_t base = guest.layout == DIRECT ? (uint16_t)(4 * i) : 0;

	if (guest.layout == DIRECT)
		table = guest.desc + base;
	else if (guest.layout == INDIRECT)
		guest.desc[i] = (struct virtq_desc){address(table), 64, VIRTQ_DESC_F_INDIRECT, 0};
	table[0] = (struct virtq_desc){address(slot + 64), 88, VIRTQ_DESC_F_NEXT,
	                               (uint16_t)(base + 1)};
	table[1] = (struct virtq_desc){address(data), guest.length, VIRTQ_DESC_F_NEXT,
	                               (uint16_t)(base + 2)};
	table[2] =
		(struct virtq_desc){address(data), guest.length,
	                            VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, (uint16_t)(base + 3)};
	table[3] = (struct virtq_desc){address(slot + 192), 1, VIRTQ_DESC_F_WRITE, 0};
	if (guest.layout == PACKED) {
		/* Flags are where a split table names the next one. */
		for (unsigned int d = 0; d < 4; d++)
			table[d].next = table[d].flags & VIRTQ_DESC_F_WRITE;
	}
	memcpy(slot + 64, &guest.header, sizeof(guest.header));
	slot[192] = 0xff;
}

static void packed_step(uint16_t *at, bool *wrap)
{
	if (++*at == RING) {
		*at = 0;
		*wrap = !*wrap;
	}
}

/* Take what came back; returns how many slots are free then. */
static unsigned int packed_reap(uint16_t *slots, unsigned int free_count)
{
	for (;;) {
		struct virtq_packed_desc *desc = &guest.packed[guest.seen];
		uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);
		bool avail = flags & VIRTQ_PACKED_F_AVAIL, used = flags & VIRTQ_PACKED_F_USED;

		if (avail != used || used != guest.seen_wrap)
			return free_count;
		slots[free_count++] = desc->id;
		packed_step(&guest.seen, &guest.seen_wrap);
	}
}

/* A burst, its first flags last. */
static void packed_send(const uint16_t *slots)
{
	uint16_t first = guest.next, first_flags = 0;

	for (unsigned int n = 0; n < BURST; n++) {
		struct virtq_packed_desc *desc = &guest.packed[guest.next];
		uint16_t flags = VIRTQ_DESC_F_INDIRECT;

		flags |= guest.next_wrap ? VIRTQ_PACKED_F_AVAIL : VIRTQ_PACKED_F_USED;
		driver_fill(slots[n]);
		desc->addr = SLOTS_AT + slots[n] * 256u;
		desc->len = 64;
		desc->id = slots[n];
		if (n)
			desc->flags = flags;
		else
			first_flags = flags;
		packed_step(&guest.next, &guest.next_wrap);
	}
	__atomic_store_n(&guest.packed[first].flags, first_flags, __ATOMIC_RELEASE);
}

static void *packed_driver(void *cpu)
{
	uint16_t slots[DEPTH];
	unsigned int free_count = 0;

	thread_pin(*(int *)cpu);
	while (free_count < DEPTH) {
		slots[free_count] = (uint16_t)free_count;
		free_count++;
	}
	while (!atomic_load_explicit(&guest.stop, memory_order_relaxed)) {
		free_count = packed_reap(slots, free_count);
		if (free_count < BURST)
			continue;
		free_count -= BURST;
		packed_send(slots + free_count);
	}
	return NULL;
}

static void *driver(void *cpu)
{
	uint16_t heads[DEPTH], idx = 0, seen = 0;
	unsigned int free_count = 0;

	thread_pin(*(int *)cpu);
	while (free_count < DEPTH) {
		heads[free_count] = (uint16_t)free_count;
		free_count++;
	}
	while (!atomic_load_explicit(&guest.stop, memory_order_relaxed)) {
		uint16_t used = __atomic_load_n(&guest.used->idx, __ATOMIC_ACQUIRE);

		for (; seen != used; seen++) {
			uint32_t id = guest.used->ring[seen % RING].id;

			heads[free_count++] = (uint16_t)(guest.layout == DIRECT ? id / 4 : id);
		}
		if (free_count < BURST)
			continue;
		/* Last freed, first used. */
		for (unsigned int n = 0; n < BURST; n++) {
			uint16_t i = heads[--free_count];

			driver_fill(i);
			guest.avail->ring[idx++ % RING] =
				(uint16_t)(guest.layout == DIRECT ? 4 * i : i);
		}
		__atomic_store_n(&guest.avail->idx, idx, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* ---- the host ---- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void serve(struct vring *ring, const struct request_context *context, uint64_t *ticks)
{
	static struct vring_chain chain;
	static struct vc_request req[BURST];

	for (unsigned int burst = 0; burst < BURSTS;) {
		int waiting = vring_available(ring);

		/* A packed ring says only that there are some: the driver sends whole bursts. */
		if (waiting < (ring->packed ? 1 : (int)BURST))
			continue;
		uint64_t begin = clock_ticks();

		for (unsigned int i = 0; i < BURST; i++)
			if (vring_pop(ring, &chain) != 1 || request_parse(&req[i], &chain, context))
				abort();
		for (unsigned int i = 0; i < BURST; i++) {
			request_finish(&req[i], context);
			vring_push(ring, req[i].head, req[i].written);
		}
		vring_publish(ring);
		ticks[burst++] = clock_ticks() - begin;
	}
}

static struct memtable *guest_make(void)
{
	struct vhost_user_mem_region region = {.size = MEMORY};
	struct memtable *empty = memtable_new(), *table;
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (!empty || fd < 0 || ftruncate(fd, MEMORY) < 0 ||
	    memtable_with(empty, &region, fd, &table) < 0)
		abort();
	memtable_free(empty);
	close(fd);
	guest.memory = table->region[0].host;
	memset(guest.memory, 0, MEMORY);
	return table;
}

static uint64_t session_make(struct session_table *sessions)
{
	static const uint8_t key[16];
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
	                                .encrypt = 1,
	                                .key_len = sizeof(key),
	                                .key = key};
	uint64_t id;

	if (session_create(sessions, &params, NULL, NULL, &id) < 0)
		abort();
	return id;
}

static void run(enum layout layout, uint32_t length, int driver_cpu, int host_cpu)
{
	static uint64_t ticks[BURSTS];
	struct memtable *table = guest_make();
	struct request_context context = {.sessions = session_table_new(16),
	                                  .bounces = bounce_pool_new(65536, 1 << 20),
	                                  .max_size = 65536};
	struct vring_config config = {.size = RING, .avail = 0x10000, .used = 0x20000};
	bool packed = layout == PACKED;
	struct vring ring;
	pthread_t thread;

	config.packed = packed;
	config.base = packed ? 0x8000 : 0;
	guest.packed = (struct virtq_packed_desc *)guest.memory;
	guest.next = guest.seen = 0;
	guest.next_wrap = guest.seen_wrap = true;
	guest.layout = layout;
	guest.length = length;
	guest.desc = (struct virtq_desc *)guest.memory;
	guest.avail = (struct virtq_avail *)(guest.memory + config.avail);
	guest.used = (struct virtq_used *)(guest.memory + config.used);
	guest.header = (struct virtio_crypto_op_data_req){
		.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT,
	                   .session_id = session_make(context.sessions)},
		.u.sym = {.u.cipher = {16, length, length, 0},
	                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}};
	if (vring_setup(&ring, table, &config) < 0)
		abort();
	vring_notify_off(&ring);
	guest.avail->flags = VIRTQ_AVAIL_F_NO_INTERRUPT;
	if (packed)
		ring.driver_event->flags = VIRTQ_PACKED_EVENT_DISABLE;
	guest.stop = false;
	if (pthread_create(&thread, NULL, packed ? packed_driver : driver, &driver_cpu))
		abort();
	thread_pin(host_cpu);
	serve(&ring, &context, ticks);
	guest.stop = true;
	pthread_join(thread, NULL);
	qsort(ticks, BURSTS, sizeof(ticks[0]), by_value);
	printf("%-9s %5u bytes: %4.0f cycles a request (p10 %.0f, p90 %.0f)\n", layouts[layout],
	       length, (double)ticks[(size_t)(BURSTS * 0.5)] / BURST,
	       (double)ticks[(size_t)(BURSTS * 0.1)] / BURST,
	       (double)ticks[(size_t)(BURSTS * 0.9)] / BURST);
	session_table_free(context.sessions);
	bounce_pool_free(context.bounces);
	memtable_free(table);
}

int main(int argc, char **argv)
{
	int driver_cpu = argc > 2 ? atoi(argv[1]) : 0;
	int host_cpu = argc > 2 ? atoi(argv[2]) : 1;

	for (int layout = 0; layout < LAYOUTS; layout++)
		run((enum layout)layout, 64, driver_cpu, host_cpu);
	return 0;
}
