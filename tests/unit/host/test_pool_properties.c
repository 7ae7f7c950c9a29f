/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds whatever the pool, the policies and the faults are: each request is answered once, in
 * order where that was wanted, with libcrypto's result if anyone could do it, and the guest's
 * memory is left alone afterwards.
 *
 * Each run makes groups, resources and their faults, sessions, requests and times of a seed. The
 * worker has no thread, and time is ours. VCRYPTO_SEED=N repeats run N alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/worker_private.h"
#include "script_resource.h"
#include "worker_fixture.h"

/* Sanitizers have their own findings, and are slow. */
#if defined(__SANITIZE_THREAD__)
#define RUNS 600u
#elif defined(__SANITIZE_ADDRESS__)
#define RUNS 2000u
#else
#define RUNS 12000u
#endif

#define MS UINT64_C(1000000)
#define QUEUES 2 /* one for each of two devices */
#define RING 64
#define REAL 2 /* ipsec-mb and libcrypto, and then the scripts */
#define SCRIPTS 4
#define RESOURCES (REAL + SCRIPTS)
#define SESSIONS 4
#define REQUESTS 160 /* in a run at the most */
#define DONE 0x5c    /* what the test fills buffers with that came back */

struct key {
	uint64_t id; /* 0: destroyed */
	uint8_t key[32];
	uint32_t len;
	unsigned int device;
};

struct request {
	unsigned int queue;
	struct key *key;
	uint32_t length, src, dst, dst_room, status, iv;
	uint16_t head;
	bool done;
	bool must; /* some resource always can, so it has to succeed */
	uint8_t expected[SCRIPT_LENGTH];
};

static struct {
	uint64_t seed, random, now;
	bool calm; /* no faults in this run */
	struct worker *worker;
	struct script script[SCRIPTS];
	struct resource *resource[RESOURCES];
	struct group group[QUEUES];
	struct device *device[QUEUES];
	struct order *order[QUEUES];
	struct guest guest[QUEUES];
	struct key key[SESSIONS];
	struct request request[REQUESTS];
	unsigned int count;
	struct request *in_flight[QUEUES][RING]; /* by head */
	unsigned int waiting[QUEUES];            /* of in_flight */
	unsigned int next[QUEUES];               /* strict: whose turn it is, by number */
	/* Over all runs: that the faults did happen. */
	uint64_t ok, failed, timeouts, held, opened, probes;
} w;

#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("seed %llu: %s", (unsigned long long)w.seed, #condition);         \
	} while (0)

static uint64_t test_clock(void)
{
	return w.now;
}

static unsigned int below(unsigned int n)
{
	return guest_random(&w.random) % n;
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

/* ---- a run's world ---- */

static void script_make(struct script *s)
{
	s->can = 1u << 2 | below(2) << 3 | below(2) << 4;
	if (one_in(4))
		s->can = below(8) << 2;
	s->refuses = 0;
	s->base.circuit = (struct circuit_options){below(6), 1 + below(10), 40};
	script_heal(s);
	s->reorders = one_in(2);
	if (w.calm)
		return;
	s->refuses = one_in(4) ? guest_random(&w.random) : 0;
	s->capacity = one_in(3) ? below(20) : SCRIPT_MOST;
	s->delay = one_in(2) ? 0 : below(8) * MS;
	s->failed = one_in(3) ? below(101) : 0;
	s->refused = one_in(4) ? below(101) : 0;
	s->no_memory = one_in(6) ? below(101) : 0;
	s->hangs = s->base.may_hang && !one_in(3) ? below(101) : 0;
}

/* Something becomes worse or better. */
static void script_change(struct script *s)
{
	switch (below(6)) {
	case 0:
		s->capacity = 0;
		break;
	case 1:
		s->failed = 100;
		break;
	case 2:
		s->hangs = s->base.may_hang ? 100 : 0;
		break;
	case 3:
		s->hangs = s->base.may_hang ? below(50) : 0;
		break;
	case 4:
		script_heal(s);
		break;
	default:
		script_make(s);
		break;
	}
}

static void group_make(struct group *g, unsigned int index)
{
	unsigned int order[RESOURCES], n = 1 + below(RESOURCES);

	for (unsigned int i = 0; i < RESOURCES; i++)
		order[i] = i;
	for (unsigned int i = RESOURCES; i > 1; i--) {
		unsigned int j = below(i), was = order[j];

		/* Who always does well comes last as a rule. */
		if (was < REAL && !one_in(4))
			continue;
		order[j] = order[i - 1];
		order[i - 1] = was;
	}
	for (unsigned int i = 0; !one_in(3) && i < RESOURCES / 2; i++) {
		unsigned int was = order[i];

		order[i] = order[RESOURCES - 1 - i];
		order[RESOURCES - 1 - i] = was;
	}
	memset(g, 0, sizeof(*g));
	g->index = index;
	g->policy = below(SCHED_POLICIES);
	g->size_threshold = 1 + below(SCRIPT_LENGTH);
	g->deadline_ms = one_in(3) ? 0 : 1 + below(20);
	for (unsigned int i = 0; i < n; i++)
		g->resource[g->count++] = w.resource[order[i]];
	g->primary = 1 + below(n);
	while (one_in(3) && g->pins < 4) {
		static const char *const names[] = {"aes", "aes-128-cbc", "aes-256", "rsa"};
		struct group_pin *pin = &g->pin[g->pins++];

		strcpy(pin->algorithm, names[below(4)]);
		pin->at = (uint8_t)below(g->count);
	}
}

static void key_make(struct key *key)
{
	struct session_params params = {.service = VIRTIO_CRYPTO_SERVICE_CIPHER,
	                                .cipher = VIRTIO_CRYPTO_CIPHER_AES_CBC,
	                                .encrypt = 1,
	                                .key = key->key};

	key->len = 16 + 8 * below(3);
	for (unsigned int i = 0; i < key->len; i++)
		key->key[i] = (uint8_t)guest_random(&w.random);
	params.key_len = key->len;
	key->device = below(QUEUES);
	check(session_create(w.device[key->device]->sessions, &params, NULL, NULL, &key->id) == 0);
}

static void run_begin(void)
{
	for (unsigned int i = 0; i < SCRIPTS; i++) {
		unsigned int r = REAL + i;

		script_make(&w.script[i]);
		check(w.script[i].count == 0);
		health_init(&w.worker->sched.health[r], &w.script[i].base.circuit);
		w.worker->sched.health[r].most_late = 1 + below(24);
	}
	w.worker->sched.avoid = w.worker->sched.due = w.worker->sched.trouble = 0;
	w.worker->late_most = 1 + below(48);
	sched_changed(&w.worker->sched);
	w.count = 0;
	for (unsigned int q = 0; q < QUEUES; q++) {
		struct host_queue *queue = &w.device[q]->queue[0];

		group_make(&w.group[q], q);
		queue->order = one_in(2) ? w.order[q] : NULL;
		w.guest[q].data = GUEST_DATA;
		w.next[q] = 0;
	}
	for (unsigned int k = 0; k < SESSIONS; k++)
		key_make(&w.key[k]);
}

/* ---- requests ---- */

/* Whether some resource of the group does it in any case. */
static bool sure(const struct key *key)
{
	const struct group *g = &w.group[key->device];

	for (unsigned int i = 0; i < g->count; i++) {
		unsigned int r = g->resource[i]->index;

		if (r < REAL || (w.calm && w.script[r - REAL].can >> key->len / 8 & 1))
			return true;
	}
	return false;
}

/* The data is one piece, or two. */
static unsigned int pieces(struct virtq_desc *descs, uint32_t at, uint32_t length, uint16_t flags)
{
	uint32_t first = one_in(3) ? 1 + below(length) : length;

	descs[0] = (struct virtq_desc){.addr = guest_addr(at), .len = first, .flags = flags};
	if (first == length)
		return 1;
	descs[1] = (struct virtq_desc){
		.addr = guest_addr(at + first), .len = length - first, .flags = flags};
	return 2;
}

static void send(struct key *key)
{
	struct guest *g = &w.guest[key->device];
	struct request *req = &w.request[w.count++];
	struct virtio_crypto_op_data_req header = {
		.header = {.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT, .session_id = key->id},
		.u.sym.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
	};
	struct virtq_desc descs[8];
	unsigned int n = 1;
	uint32_t out = guest_alloc(g, 72 + 16);

	req->queue = key->device;
	req->key = key;
	req->length = 16 * (1 + below(one_in(4) ? SCRIPT_LENGTH / 16 : 8));
	req->src = guest_alloc(g, req->length);
	req->dst = one_in(2) ? req->src : guest_alloc(g, req->length);
	req->status = guest_alloc(g, 1);
	req->done = false;
	req->must = sure(key);
	header.u.sym.u.cipher = (struct virtio_crypto_cipher_para){16, req->length, req->length, 0};
	memcpy(guest_at(g, out), &header, 72);
	for (unsigned int i = 0; i < 16; i++)
		guest_at(g, out)[72 + i] = (uint8_t)guest_random(&w.random);
	for (uint32_t i = 0; i < req->length; i += 4) {
		uint32_t word = guest_random(&w.random);

		memcpy(guest_at(g, req->src + i), &word, 4);
	}
	*guest_at(g, req->status) = 0xee;
	script_encrypt(key->key, key->len, guest_at(g, out) + 72, guest_at(g, req->src),
	               req->expected, req->length);
	descs[0] = OUT_DESC(out, 72 + 16);
	n += pieces(&descs[n], req->src, req->length, 0);
	n += pieces(&descs[n], req->dst, req->length, VIRTQ_DESC_F_WRITE);
	descs[n++] = IN_DESC(req->status, 1);
	req->head = guest_chain(g, descs, n);
	guest_offer(g, req->head);
	w.in_flight[req->queue][req->head] = req;
	w.waiting[req->queue]++;
}

/* Our buffers again: whoever writes there now is too late. */
static void fill(const struct request *req, uint8_t with)
{
	struct guest *g = &w.guest[req->queue];

	memset(guest_at(g, req->src), with, req->length);
	memset(guest_at(g, req->dst), with, req->length);
	*guest_at(g, req->status) = with;
}

static bool filled(const struct request *req, uint8_t with)
{
	struct guest *g = &w.guest[req->queue];

	for (uint32_t i = 0; i < req->length; i++)
		if (*guest_at(g, req->src + i) != with || *guest_at(g, req->dst + i) != with)
			return false;
	return *guest_at(g, req->status) == with;
}

static void answered(unsigned int q, const struct virtq_used_elem *elem)
{
	struct guest *g = &w.guest[q];
	struct request *req;
	uint8_t status;

	check(elem->id < RING);
	req = w.in_flight[q][elem->id];
	check(req && !req->done);
	w.in_flight[q][elem->id] = NULL;
	w.waiting[q]--;
	req->done = true;
	if (w.device[q]->queue[0].order) {
		while (w.request[w.next[q]].queue != q)
			w.next[q]++;
		check(req == &w.request[w.next[q]]);
		w.next[q]++;
	}
	status = *guest_at(g, req->status);
	if (status == VIRTIO_CRYPTO_OK) {
		check(elem->len == req->length + 1);
		check(!memcmp(guest_at(g, req->dst), req->expected, req->length));
		w.ok++;
	} else {
		check(status == VIRTIO_CRYPTO_ERR || status == VIRTIO_CRYPTO_NOTSUPP);
		check(!req->must);
		w.failed++;
	}
	fill(req, DONE);
}

static void rounds(unsigned int n)
{
	struct virtq_used_elem elem;

	while (n--) {
		worker_round(w.worker);
		for (unsigned int q = 0; q < QUEUES; q++)
			while (guest_used(&w.guest[q], &elem))
				answered(q, &elem);
	}
}

static bool all_taken(unsigned int q)
{
	return w.device[q]->queue[0].ring.last_avail == w.guest[q].avail_idx;
}

static void key_destroy(struct key *key)
{
	struct session *session = session_remove(w.device[key->device]->sessions, key->id);

	check(session);
	key->id = 0;
	session_destroyed(w.worker, session);
	rounds(1);
}

/* ---- a run ---- */

static void go(void)
{
	unsigned int turns = 4 + below(20);

	while (turns--) {
		unsigned int n = below(16);

		while (n-- && w.count < REQUESTS) {
			struct key *key = &w.key[below(SESSIONS)];

			/* Five descriptors at the most. */
			if (key->id && w.guest[key->device].free_count >= 6)
				send(key);
		}
		if (!w.calm && one_in(6))
			script_change(&w.script[below(SCRIPTS)]);
		for (unsigned int i = 2; i < SCRIPTS; i++)
			script_scribble(&w.script[i]);
		rounds(1 + below(3));
		w.now += one_in(3) ? below(6000000) : below(300000);
		/* What is in flight goes on; only new requests would find none. */
		if (one_in(30)) {
			struct key *key = &w.key[below(SESSIONS)];

			rounds(2);
			if (key->id && all_taken(key->device))
				key_destroy(key);
		}
	}
}

/* With deadlines, everything comes back though nothing is healed. */
static bool ends_by_itself(void)
{
	for (unsigned int q = 0; q < QUEUES; q++) {
		if (w.group[q].deadline_ms)
			continue;
		for (unsigned int i = 0; i < w.group[q].count; i++)
			if (w.group[q].resource[i]->index >= REAL)
				return false;
	}
	for (unsigned int i = 0; i < 2; i++)
		if (!w.script[i].capacity)
			return false;
	return true;
}

static void run_end(void)
{
	bool alone = ends_by_itself();

	for (unsigned int i = 0; i < 400 && (w.waiting[0] || w.waiting[1]); i++) {
		if (i >= 200 || !alone)
			for (unsigned int s = 0; s < SCRIPTS; s++)
				script_heal(&w.script[s]);
		check(i < 200 || !alone);
		w.now += 2 * MS;
		rounds(1);
	}
	check(!w.waiting[0] && !w.waiting[1]);
	for (unsigned int r = 0; r < RESOURCES; r++)
		w.held += w.worker->sched.health[r].report.unanswered;
	/* And what nobody waits for. */
	for (unsigned int s = 0; s < SCRIPTS; s++)
		script_heal(&w.script[s]);
	rounds(20);
	for (unsigned int i = 0; i < w.count; i++)
		check(w.request[i].done && filled(&w.request[i], DONE));
	for (unsigned int k = 0; k < SESSIONS; k++)
		if (w.key[k].id)
			key_destroy(&w.key[k]);
	check(!w.worker->views);
	for (unsigned int q = 0; q < QUEUES; q++) {
		check(!w.device[q]->queue[0].in_flight && !w.device[q]->queue[0].waiting);
		check(!w.device[q]->share[0].in_flight && !w.device[q]->share[0].inflight_bytes);
	}
	check(!w.worker->waiting_count && !w.worker->timed);
	for (unsigned int r = 0; r < RESOURCES; r++) {
		const struct health_report *report = &w.worker->sched.health[r].report;

		check(!w.worker->instance[r]->in_flight && !w.worker->copies[r]);
		check(!report->unanswered);
		w.timeouts += report->timeouts;
		w.opened += report->opened;
	}
	for (unsigned int s = 0; s < SCRIPTS; s++)
		check(w.script[s].realised == w.script[s].dropped);
}

static void run(uint64_t seed)
{
	unsigned int hidden;

	w.seed = seed;
	w.random = seed * 0x9e3779b97f4a7c15u + 1;
	w.calm = one_in(5);
	run_begin();
	/* Sometimes places are scarce. */
	hidden = one_in(3) ? WORKER_SLAB - 8 - below(60) : 0;
	w.worker->free_count -= hidden;
	go();
	run_end();
	w.worker->free_count += hidden;
	check(w.worker->free_count == WORKER_SLAB && w.worker->spare_count == WORKER_SPARE);
}

static void nothing_is_lost_doubled_or_wrong(void **state)
{
	const char *seed = getenv("VCRYPTO_SEED");

	if (seed) {
		run(strtoull(seed, NULL, 0));
		return;
	}
	for (uint64_t i = 0; i < RUNS; i++)
		run(i);
	printf("%u runs: %llu requests done, %llu failed, %llu time-outs, circuits opened %llu "
	       "times, %llu answers too late for the run\n",
	       RUNS, (unsigned long long)w.ok, (unsigned long long)w.failed,
	       (unsigned long long)w.timeouts, (unsigned long long)w.opened,
	       (unsigned long long)w.held);
	assert_true(w.ok > 20 * RUNS && w.failed > RUNS / 2);
	assert_true(w.timeouts > RUNS && w.opened > RUNS / 4 && w.held > RUNS / 2);
}

/* ---- once ---- */

static int setup(void **state)
{
	static const char *const types[REAL] = {"ipsec-mb", "libcrypto"};
	struct worker_options options = {.cpu = -1,
	                                 .resources = w.resource,
	                                 .resource_count = RESOURCES,
	                                 .max_size = 1u << 16};

	w.now = 1;
	for (unsigned int i = 0; i < REAL; i++) {
		struct resource_config config = {.name = types[i], .type = types[i]};
		char *error = NULL;

		assert_int_equal(resource_create(&config, &w.resource[i], &error), 0);
		w.resource[i]->index = i;
	}
	for (unsigned int i = 0; i < SCRIPTS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "script%u", i);
		script_init(&w.script[i], name, REAL + i, &w.random, &w.now);
		/* Two of them may hang. */
		w.script[i].base.may_hang = i >= 2;
		w.resource[REAL + i] = &w.script[i].base;
	}
	w.worker = worker_new(&options);
	assert_non_null(w.worker);
	w.worker->sched.clock = test_clock;
	assert_int_equal(worker_begin(w.worker), 0);
	workers_add(w.worker);
	for (unsigned int q = 0; q < QUEUES; q++) {
		struct device_options device = {.name = "test",
		                                .index = q,
		                                .group = &w.group[q],
		                                .data_queues = 1,
		                                .limits = {64, 1u << 20, 1u << 30},
		                                .max_size = 1u << 16,
		                                .workers = &w.worker,
		                                .worker_count = 1};

		assert_int_equal(device_create(&device, &w.device[q]), 0);
		w.device[q]->share_bytes = device.limits.inflight_bytes;
		w.order[q] = order_new(RING);
		assert_non_null(w.order[q]);
		queue_begin(w.worker, &w.device[q]->queue[0], &w.guest[q], RING);
	}
	return 0;
}

static int teardown(void **state)
{
	worker_end(w.worker);
	worker_free(w.worker);
	for (unsigned int q = 0; q < QUEUES; q++) {
		w.device[q]->queue[0].order = NULL;
		device_destroy(w.device[q]);
		guest_close(&w.guest[q]);
		free(w.order[q]);
	}
	for (unsigned int i = 0; i < SCRIPTS; i++)
		script_free(&w.script[i]);
	for (unsigned int i = 0; i < REAL; i++)
		resource_destroy(w.resource[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_doubled_or_wrong),
	};

	log_open("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, setup, teardown);
}
