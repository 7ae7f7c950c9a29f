/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole device, from the socket to the resource and back: vhost-user messages, rings in shared
 * memory, sessions by all three ways, memory that goes, requests that are held up or given up. One
 * thread: the worker's rounds are made when the input says, and when the main thread waits for the
 * worker; time passes then, and not by itself.
 */
#include "vhost.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/evloop.h"
#include "fuzz.h"
#include "host/memtable.h"
#include "host/vhost_connection.h"
#include "host/worker_private.h"
#include "touch.h"
#include "vhost_neighbour.h"
#include "wire/vhost_user.h"

#define PATIENCE 100000
#define DEADLINE_MS 5
#define MS UINT64_C(1000000)

struct world world;

static struct touch primary, secondary;
static struct group group;
static struct worker *worker;
static bool neighbour_may_fail;
static uint64_t now_ns = 1000 * MS;

int __wrap_worker_call(struct worker *to, struct message *message);
uint64_t __wrap_clock_now_ns(void);

uint64_t __wrap_clock_now_ns(void)
{
	return now_ns;
}

static void round_make(unsigned int ms)
{
	now_ns += ms * MS;
	worker_round(worker);
	messages_handle(worker);
}

/* What is waited for comes back some time; or, where there is a deadline, somebody else does it. */
static void hold_no_more(void)
{
	secondary.hold = false;
	if (!group.deadline_ms)
		primary.hold = false;
}

/* Instead of waiting for the worker's thread. */
int __wrap_worker_call(struct worker *to, struct message *message)
{
	message->waited_for = true;
	worker_post(to, message);
	for (unsigned int i = 0; !message->done; i++) {
		fuzz_check(i < PATIENCE);
		round_make(i / 8);
		if (i == 8)
			hold_no_more();
	}
	return message->result;
}

static void prepare(void)
{
	static struct resource *resources[2];
	struct worker_options options = {.cpu = -1,
	                                 .resources = resources,
	                                 .resource_count = 2,
	                                 .max_size = MEMORY_SIZE,
	                                 .wait_ms = 600000};

	if (worker)
		return;
	touch_init(&primary, "primary", 0);
	touch_init(&secondary, "secondary", 1);
	/* One that works beside the worker, which asks it again after 3 failures and 10 ms. */
	primary.base.may_hang = true;
	primary.base.circuit = (struct circuit_options){3, 10, 20};
	resources[0] = &primary.base;
	resources[1] = &secondary.base;
	group = (struct group){.name = "group", .primary = 1, .count = 2};
	memcpy(group.resource, resources, sizeof(resources));
	fuzz_check(!memtable_guard_install());
	fuzz_check(!evloop_create(&world.loop));
	worker = worker_new(&options);
	fuzz_check(worker && !worker_begin(worker));
	workers_add(worker);
}

static void on_end(void *context)
{
	world.connection = NULL;
}

static void memory_make(struct memory *memory)
{
	memory->fd = memfd_create("guest", MFD_CLOEXEC);
	fuzz_check(memory->fd >= 0 && !ftruncate(memory->fd, MEMORY_SIZE));
	memory->base = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
	fuzz_check(memory->base != MAP_FAILED);
	memory->cut = false;
}

static struct device_limits limits_of(bool limited)
{
	struct device_limits limits = {
		.sessions = 4, .inflight_bytes = 1u << 16, .memory = 1u << 20};

	/* So many that none of the worker's rounds at the end waits for long. */
	if (limited)
		limits.qos = (struct qos_limits){1000000, 1000000000, 2, 512, 3};
	return limits;
}

static void begin(uint8_t how)
{
	struct device_options options = {
		.name = "fuzz",
		.group = &group,
		.data_queues = QUEUES - 1,
		.strict = how & STRICT,
		.limits = limits_of(how & LIMITED),
		.max_size = 16384,
		.workers = &worker,
		.worker_count = 1,
	};
	struct connection_options connection = {
		.loop = world.loop, .quiet = true, .on_end = on_end};
	int pair[2];

	group.deadline_ms = how & DEADLINE ? DEADLINE_MS : 0;
	fuzz_check(!device_create(&options, &world.device));
	fuzz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	world.front = pair[0];
	fuzz_check(
		!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, world.channel));
	connection.device = world.device;
	connection.fd = pair[1];
	fuzz_check(!connection_create(&connection, &world.connection));
	world.events = event_create();
	for (unsigned int i = 0; i < MEMORIES; i++)
		memory_make(&world.memory[i]);
	for (unsigned int i = 0; i < QUEUES; i++)
		world.ring[i] = RING_AT(i);
	primary.hold = secondary.hold = false;
	primary.fail = secondary.fail = primary.refuse = false;
	primary.capacity = secondary.capacity = 4;
	neighbour_may_fail = false;
	if (how & NEIGHBOUR)
		neighbour_begin(&group, &worker);
}

/* The front end goes, and then the device, whatever a resource still has of it. */
static void device_end(void)
{
	close(world.front);
	hold_no_more();
	for (unsigned int i = 0; world.connection || !neighbour_idle(); i++) {
		fuzz_check(i < PATIENCE);
		round_make(1);
		evloop_once(world.loop, 0);
	}
	fuzz_check(!world.device->stuck);
	fuzz_check(!session_table_count(world.device->sessions) && !world.device->memory->count);
	device_destroy(world.device);
	neighbour_end(neighbour_may_fail);
}

/* Whatever the input has done, all is as it was before it. */
static void worker_check(void)
{
	fuzz_check(!worker->queue_count);
	fuzz_check(!worker->views);
	fuzz_check(worker->free_count == WORKER_SLAB && !worker->waiting_count);
	fuzz_check(worker->spare_count == WORKER_SPARE && !worker->copies_all && !worker->timed);
	for (unsigned int i = 0; i < worker->resource_count; i++)
		fuzz_check(!worker->instance[i]->in_flight);
}

/* In the order in which a new worker has them, so that the next input finds no other. */
static void places_sort(void)
{
	for (unsigned int i = 0; i < WORKER_SLAB; i++)
		worker->free[i] = &worker->slab[WORKER_SLAB - 1 - i];
	for (unsigned int i = 0; i < WORKER_SPARE; i++)
		worker->spare[i] = &worker->slab[WORKER_PLACES - 1 - i];
}

static void resource_renew(struct resource *resource)
{
	resource_forget(worker, resource->index);
	resource_close(worker, resource->index);
	fuzz_check(!resource_open(worker, resource));
}

static void end(void)
{
	device_end();
	/* What comes back now reaches nobody. */
	primary.hold = false;
	/* Nobody waits for sessions to be let go of. */
	for (unsigned int i = 0; i < 4; i++)
		round_make(0);
	worker_check();
	places_sort();
	close(world.events);
	close(world.channel[0]);
	close(world.channel[1]);
	for (unsigned int i = 0; i < MEMORIES; i++) {
		munmap(world.memory[i].base, MEMORY_SIZE);
		close(world.memory[i].fd);
	}
	/* Who was ill is well again. */
	resource_renew(&primary.base);
	resource_renew(&secondary.base);
}

/* ---- the guest ---- */

static bool memory_is_cut(void)
{
	return world.memory[0].cut || world.memory[1].cut;
}

/* Bytes at a guest address, or from there. */
static uint8_t *guest(uint64_t at)
{
	return world.memory[at / MEMORY_SIZE % MEMORIES].base + at % MEMORY_SIZE;
}

static void put(uint64_t at, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*guest(at + i) = ((const uint8_t *)bytes)[i];
}

static uint16_t get_u16(uint64_t at)
{
	return (uint16_t)(*guest(at) | *guest(at + 1) << 8);
}

static void put_u16(uint64_t at, uint16_t value)
{
	put(at, &value, sizeof(value));
}

static void memory_write(struct input *in)
{
	uint16_t at = input_u16(in);
	uint8_t n = input_u8(in) % 73;

	if (!world.memory[0].cut)
		input_bytes(in, world.memory[0].base + vc_min(at, MEMORY_SIZE - 80), n);
}

/* A live session's id where a request has it, since nobody guesses one. */
static void id_set(uint64_t chain, uint32_t offset)
{
	const struct session *session;
	uint32_t cursor = 0;

	session = session_table_next(world.device->sessions, &cursor);
	if (session)
		put(chain + offset, &session->id, sizeof(session->id));
}

/* Make descriptors available, in a split ring or a packed one. */
static void descs_offer(uint64_t ring, uint16_t slot, const struct virtq_desc *descs,
                        unsigned int n)
{
	uint16_t first = (uint16_t)(slot * 3u), index;

	if (world.device->features >> VIRTIO_F_RING_PACKED & 1) {
		for (unsigned int i = 0; i < n; i++) {
			struct virtq_packed_desc packed = {
				descs[i].addr, descs[i].len, slot,
				(uint16_t)(descs[i].flags | VIRTQ_PACKED_F_AVAIL)};

			put(ring + 16 * (first + i), &packed, sizeof(packed));
		}
		return;
	}
	put(ring + 16 * first, descs, n * sizeof(descs[0]));
	index = get_u16(ring + AVAIL_AT + 2);
	put_u16(ring + AVAIL_AT + 4 + 2 * (index % RING_SIZE), first);
	put_u16(ring + AVAIL_AT + 2, (uint16_t)(index + 1));
}

/* A chain of three descriptors: OUT, IN, the last byte of IN; and it is made available. */
static void chain_offer(struct input *in)
{
	uint8_t queue = input_u8(in) % QUEUES, slot = input_u8(in) % 4, how = input_u8(in);
	uint16_t out = input_u16(in) % 512, back = input_u16(in) % 480;
	uint32_t at = CHAINS_AT + slot * CHAIN_SIZE, table = TABLES_AT + slot * 64u;
	uint16_t first = how & INDIRECT ? 0 : (uint16_t)(slot * 3u);
	struct virtq_desc descs[3] = {
		{at, out, VIRTQ_DESC_F_NEXT, (uint16_t)(first + 1)},
		{at + 512, back, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, (uint16_t)(first + 2)},
		{at + CHAIN_SIZE - 1, 1, VIRTQ_DESC_F_WRITE, 0},
	};
	const struct virtq_desc indirect = {table, sizeof(descs), VIRTQ_DESC_F_INDIRECT, 0};

	if (memory_is_cut())
		return;
	input_bytes(in, world.memory[0].base + at, out);
	if (how & LIVE)
		id_set(at, how & IN_BAND ? 88 : queue == QUEUES - 1 ? 16 : 8);
	/* In the second memory: it may go. */
	if (how & ELSEWHERE)
		descs[how & ELSEWHERE_IN ? 1 : 0].addr += MEMORY_SIZE;
	if (how & INDIRECT) {
		put(table, descs, sizeof(descs));
		descs_offer(world.ring[queue], slot, &indirect, 1);
	} else {
		descs_offer(world.ring[queue], slot, descs, 3);
	}
}

/* ---- the host ---- */

static void resources_set(struct input *in)
{
	uint8_t how = input_u8(in);

	primary.hold = how & 1;
	secondary.hold = how & 2;
	primary.fail = how & 4;
	secondary.fail = how & 8;
	primary.refuse = how & 16;
	primary.capacity = 1 + how / 32u;
	/* What the first one does not do, or not in time, the second does. */
	neighbour_may_fail |= secondary.fail;
}

static void memory_cut(unsigned int which, bool all)
{
	struct memory *memory = &world.memory[which];

	memory->cut = true;
	fuzz_check(!ftruncate(memory->fd, all ? 0 : 4096));
}

/* What neither guest nor front end do by messages. */
static void outside(struct input *in)
{
	uint8_t how = input_u8(in);
	struct device_limits limits = limits_of(how & 4);

	switch (how % 4) {
	case OFFLINE:
		device_offline(world.device, how & 4);
		break;
	case LIMITS:
		device_limit(world.device, &limits);
		break;
	default:
		/* Rarely: from here on there is not much to see. */
		if (how >= 0xf0)
			memory_cut(how / 4 % MEMORIES, how % 4 == CUT_ALL);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	int first;

	prepare();
	first = dup(STDERR_FILENO);
	close(first);
	begin(input_u8(&in));
	while (in.left && world.connection) {
		uint8_t op = input_u8(&in);

		switch (op % 8) {
		case KNOWN:
			front_known(&in);
			break;
		case ANY_MESSAGE:
			front_any(&in);
			break;
		case ANY_BYTES:
			front_bytes(&in);
			break;
		case WRITE:
			memory_write(&in);
			break;
		case CHAIN:
			chain_offer(&in);
			break;
		case RESOURCES:
			resources_set(&in);
			break;
		case OUTSIDE:
			outside(&in);
			break;
		default:
			round_make(op / 8);
			neighbour_go_on(neighbour_may_fail);
			break;
		}
	}
	end();
	/* No descriptor is left open: the lowest free one is what it was. */
	fuzz_check(dup(STDERR_FILENO) == first);
	close(first);
	return 0;
}
