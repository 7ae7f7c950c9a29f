/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scheduler and the order layer cost a request, in cycles of the time stamp counter.
 *
 * A worker without its thread takes bursts of 64 requests from a ring, and resources that do
 * nothing give them back: whole rounds are measured, with each policy and order in turn. What there
 * is to choose from one policy is that against the next; against no scheduler at all, choosing and
 * queueing are measured by themselves, over requests that lie as they do in the worker.
 *
 * Prints JSON: {"sched": {POLICY: cycles}, "round": {POLICY: cycles}, "order": {...}}. Medians.
 *
 * Usage: bench-scheduler [CPU]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/worker_private.h"

#define RING 256u
#define BURST WORKER_BURST
#define RESOURCES 2
#define SESSIONS 16
#define LENGTH 64u
#define MEMORY (1u << 20)
#define AVAIL 0x4000u
#define USED 0x8000u
#define SLOTS 0x10000u
#define SLOT 512u
/* Variants are measured in turn, so many rounds each time. */
#define BLOCK 400u
#define BLOCKS 60u
#define SAMPLES (BLOCK * BLOCKS)

enum variant { FAILOVER, ROUND_ROBIN, LEAST_INFLIGHT, SIZE, STRICT, STRICT_MIXED, VARIANTS };
static const char *const names[] = {"failover", "round-robin", "least-inflight", "size"};

/* ---- a resource that does nothing ---- */

struct nothing {
	struct resource_instance base;
	struct vc_request *held[RING];
};

static bool mixed; /* give back in another order */

static bool can(const struct resource *resource, const struct session_params *params)
{
	return true;
}

static int open_instance(struct resource *resource, unsigned int worker,
                         struct resource_instance **instance)
{
	struct nothing *nothing = calloc(1, sizeof(*nothing));

	if (!nothing)
		abort();
	nothing->base.resource = resource;
	*instance = &nothing->base;
	return 0;
}

static void close_instance(struct resource_instance *instance)
{
	free(instance);
}

static int realise(struct resource_instance *instance, const struct session_params *params,
                   void **handle)
{
	*handle = instance;
	return 0;
}

static void drop(struct resource_instance *instance, void *handle)
{
}

static unsigned int submit(struct resource_instance *instance, struct vc_request *const *reqs,
                           unsigned int n)
{
	struct nothing *nothing = (struct nothing *)instance;

	memcpy(&nothing->held[instance->in_flight], reqs, n * sizeof(struct vc_request *));
	instance->in_flight += n;
	return n;
}

static unsigned int poll(struct resource_instance *instance, struct vc_request **reqs,
                         unsigned int n, bool flush)
{
	struct nothing *nothing = (struct nothing *)instance;
	unsigned int have = instance->in_flight;

	if (have > n)
		abort();
	/* 37 has no divisor in common with what a burst can be divided into. */
	for (unsigned int i = 0; i < have; i++)
		reqs[i] = nothing->held[mixed && have == BURST ? i * 37 % BURST : i];
	instance->in_flight = 0;
	return have;
}

static int no_fd(struct resource_instance *instance)
{
	return -1;
}

static const struct resource_ops nothing_ops = {
	.type = "nothing",
	.can = can,
	.open = open_instance,
	.close = close_instance,
	.realise = realise,
	.drop = drop,
	.submit = submit,
	.poll = poll,
	.fd = no_fd,
};

/* ---- the world ---- */

static struct {
	struct resource resource[RESOURCES], *resources[RESOURCES];
	struct group group;
	struct device *device;
	struct worker *worker;
	struct memtable *table;
	uint8_t *memory;
	struct order *order;
	uint64_t session[SESSIONS];
} w;

static void sessions_make(void)
{
	static const uint8_t key[16];
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
	                                .encrypt = 1,
	                                .key = key,
	                                .key_len = sizeof(key)};

	w.device->sessions = session_table_new(SESSIONS);
	for (unsigned int i = 0; i < SESSIONS; i++)
		if (session_create(w.device->sessions, &params, NULL, NULL, &w.session[i]) < 0)
			abort();
}

/* 64 requests, offered again and again: the available ring names them four times over. */
static void ring_fill(void)
{
	struct virtq_desc *table = (struct virtq_desc *)w.memory;
	struct virtq_avail *avail = (struct virtq_avail *)(w.memory + AVAIL);

	for (unsigned int i = 0; i < BURST; i++) {
		uint32_t slot = SLOTS + i * SLOT;
		struct virtio_crypto_op_data_req header = {
			.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT,
		                   .session_id = w.session[i % SESSIONS]},
			.u.sym = {.u.cipher = {16, LENGTH, LENGTH, 0},
		                  .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER}};
		const struct virtq_desc chain[] = {
			{slot, 72 + 16, VIRTQ_DESC_F_NEXT, (uint16_t)(4 * i + 1)},
			{slot + 128, LENGTH, VIRTQ_DESC_F_NEXT, (uint16_t)(4 * i + 2)},
			{slot + 256, LENGTH, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE,
		         (uint16_t)(4 * i + 3)},
			{slot + 384, 1, VIRTQ_DESC_F_WRITE, 0},
		};

		memcpy(w.memory + slot, &header, sizeof(header));
		memcpy(&table[4 * i], chain, sizeof(chain));
	}
	for (unsigned int i = 0; i < RING; i++)
		avail->ring[i] = (uint16_t)(4 * (i % BURST));
	avail->flags = VIRTQ_AVAIL_F_NO_INTERRUPT;
}

static void memory_make(void)
{
	struct vhost_user_mem_region region = {.size = MEMORY};
	struct memtable *empty = memtable_new();
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (!empty || fd < 0 || ftruncate(fd, MEMORY) < 0 ||
	    memtable_with(empty, &region, fd, &w.table) < 0)
		abort();
	memtable_free(empty);
	close(fd);
	w.memory = w.table->region[0].host;
	memset(w.memory, 0, MEMORY);
}

static void device_make(void)
{
	struct host_queue *queue;
	struct message *message = calloc(1, sizeof(*message));

	w.device = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*w.device), VC_CACHE_LINE));
	if (!w.device || !message)
		abort();
	memset(w.device, 0, sizeof(*w.device));
	w.device->group = &w.group;
	w.device->share_bytes = UINT64_MAX;
	w.device->max_size = 1u << 16;
	w.device->data_queues = 1;
	sessions_make();
	ring_fill();
	queue = &w.device->queue[0];
	queue->device = w.device;
	queue->kick_fd = queue->call_fd = queue->err_fd = -1;
	queue->config = (struct vring_config){.size = RING, .avail = AVAIL, .used = USED};
	if (vring_setup(&queue->ring, w.table, &queue->config) < 0)
		abort();
	message->type = MESSAGE_QUEUE_START;
	message->queue = queue;
	worker_post(w.worker, message);
	messages_handle(w.worker);
}

static void world_make(void)
{
	struct worker_options options = {.cpu = -1,
	                                 .resources = w.resources,
	                                 .resource_count = RESOURCES,
	                                 .max_size = 1u << 16};

	for (unsigned int i = 0; i < RESOURCES; i++) {
		w.resource[i] = (struct resource){.ops = &nothing_ops, .index = i};
		w.resources[i] = w.group.resource[i] = &w.resource[i];
	}
	w.group.primary = w.group.count = RESOURCES;
	w.group.size_threshold = 4096;
	w.order = order_new(RING);
	w.worker = worker_new(&options);
	if (!w.worker || !w.order || worker_begin(w.worker) < 0)
		abort();
	memory_make();
	device_make();
}

/* ---- measuring ---- */

static double samples[VARIANTS][SAMPLES];

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, SAMPLES, sizeof(values[0]), by_value);
	return values[SAMPLES / 2];
}

static void variant_set(enum variant variant)
{
	w.group.policy = variant < STRICT ? (enum sched_policy_id)variant : SCHED_FAILOVER;
	w.device->queue[0].order = variant >= STRICT ? w.order : NULL;
	mixed = variant == STRICT_MIXED;
	sched_changed(&w.worker->sched);
}

static double round_measure(void)
{
	struct virtq_avail *avail = (struct virtq_avail *)(w.memory + AVAIL);
	uint64_t begin, before = w.worker->counters.requests;

	avail->idx = (uint16_t)(avail->idx + BURST);
	begin = clock_ticks();
	worker_round(w.worker);
	begin = clock_ticks() - begin;
	if (w.worker->counters.requests - before != BURST || w.device->queue[0].in_flight)
		abort();
	return (double)begin / BURST;
}

static void rounds_measure(void)
{
	for (unsigned int block = 0; block < BLOCKS; block++)
		for (int v = 0; v < VARIANTS; v++) {
			variant_set((enum variant)v);
			for (unsigned int i = 0; i < 20; i++)
				round_measure();
			for (unsigned int i = 0; i < BLOCK; i++)
				samples[v][block * BLOCK + i] = round_measure();
		}
}

/* Choosing and queueing alone, or (NULL) nothing but handing the burst on. */
static double pick_measure(struct vc_request *const *reqs, const struct group *group)
{
	static struct vc_request *burst[BURST];
	struct worker *worker = w.worker;
	uint64_t ticks = clock_ticks();

	for (unsigned int i = 0; i < BURST; i++) {
		struct vc_request *req = reqs[i];

		if (group) {
			request_wait(worker,
			             (unsigned int)sched_pick(&worker->sched, group, req, 0), req);
		} else {
			req->handle = req->local->handle[0];
			burst[i] = req;
		}
	}
	__asm__ volatile("" ::"r"(burst) : "memory");
	ticks = clock_ticks() - ticks;
	for (unsigned int r = 0; r < RESOURCES; r++)
		worker->waiting[r]->head = worker->waiting[r]->tail;
	worker->waiting_count = 0;
	w.device->queue[0].waiting = 0;
	worker->sched.round++;
	return (double)ticks / BURST;
}

static void picks_measure(void)
{
	struct vc_request *reqs[BURST];

	for (unsigned int i = 0; i < BURST; i++) {
		struct session *session = session_get(w.device->sessions, w.session[i % SESSIONS]);

		reqs[i] = w.worker->free[w.worker->free_count - 1 - i];
		reqs[i]->queue = &w.device->queue[0];
		reqs[i]->session = session;
		reqs[i]->local = view_get(w.worker, session);
		reqs[i]->length = LENGTH;
	}
	for (unsigned int block = 0; block < BLOCKS; block++)
		for (int v = 0; v <= SCHED_POLICIES; v++) {
			const struct group *group = v < SCHED_POLICIES ? &w.group : NULL;

			variant_set(v < SCHED_POLICIES ? (enum variant)v : FAILOVER);
			for (unsigned int i = 0; i < 20; i++)
				pick_measure(reqs, group);
			for (unsigned int i = 0; i < BLOCK; i++)
				samples[v][block * BLOCK + i] = pick_measure(reqs, group);
		}
	for (unsigned int i = 0; i < BURST; i++)
		reqs[i]->queue = NULL;
}

int main(int argc, char **argv)
{
	double none, relaxed;

	thread_pin(argc > 1 ? atoi(argv[1]) : 1);
	world_make();
	rounds_measure();
	printf("{\"round\": {");
	for (int v = 0; v < SCHED_POLICIES; v++)
		printf("%s\"%s\": %.1f", v ? ", " : "", names[v], median(samples[v]));
	relaxed = samples[FAILOVER][SAMPLES / 2];
	printf("}, \"order\": {\"relaxed\": %.1f, \"strict\": %.1f, \"strict-mixed\": %.1f}",
	       relaxed, median(samples[STRICT]), median(samples[STRICT_MIXED]));
	picks_measure();
	none = median(samples[SCHED_POLICIES]);
	printf(", \"sched\": {\"none\": %.1f", none);
	for (int v = 0; v < SCHED_POLICIES; v++)
		printf(", \"%s\": %.1f", names[v], median(samples[v]));
	printf("}}\n");
	return 0;
}
