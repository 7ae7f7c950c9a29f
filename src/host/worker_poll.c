/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's round: chains are taken from the queues and become requests, requests go to resources
 * in bursts, what is done goes back to the drivers.
 *
 * The worker's thread. Guest memory is touched through vring, request and control only, which check
 * what they read there. No locks and no log; memory is only allocated when a session is new here.
 *
 * Fairness: each queue has its turns (worker_turn.c), of a burst at the most. What is no request
 * ends the turn, so that a turn of rubbish is short; and a queue whose turns begin with rubbish is
 * left out for some rounds, twice as many each time. A driver that makes no mistakes never notices.
 *
 * Back pressure: a queue whose requests a resource would not take (it is full) is not read until
 * they are taken; so one device's flood of slow requests waits in its own ring. The places for
 * requests are shared so that no device has more of them than are left: however many take all they
 * can, there are some for the next one.
 */
#include <errno.h>

#include <vcrypto/inband.h>

#include "base/log.h"
#include "host/inband.h"
#include "host/stateless.h"
#include "host/worker_private.h"

static struct request_context context_of(const struct worker *worker,
                                         const struct host_queue *queue)
{
	return (struct request_context){
		.sessions = queue->device->sessions,
		.bounces = worker->bounces,
		.max_size = queue->device->max_size,
		.features = queue->crypto_features,
		.stateless = queue->stateless,
	};
}

/* Of a queue in strict order: give back what is done and whose turn it is. */
static __attribute__((noinline)) void queue_release(struct host_queue *queue)
{
	struct order_entry entry;

	while (order_next(queue->order, &entry)) {
		vring_push_in_order(&queue->ring, entry.head, entry.written, entry.room);
		queue->dirty = true;
	}
}

static inline void request_push_in_order(struct host_queue *queue, const struct vc_request *req)
{
	uint32_t room;

	if (!order_turn(queue->order, req->ticket, &room)) {
		order_done(queue->order, req->ticket, req->written);
		return;
	}
	vring_push_in_order(&queue->ring, req->head, req->written, room);
	queue->dirty = true;
	if (order_ready(queue->order))
		queue_release(queue);
}

static void request_push(struct host_queue *queue, const struct vc_request *req)
{
	if (vc_unlikely(queue->order)) {
		request_push_in_order(queue, req);
		return;
	}
	vring_push(&queue->ring, req->head, req->written);
	queue->dirty = true;
}

/* A chain that is done without ever having been a request. */
static void chain_push(struct host_queue *queue, const struct vring_chain *chain, uint32_t written)
{
	if (queue->order) {
		/* No length is all that there is room for: it gets a used entry of its own. */
		order_done(queue->order, order_enter(queue->order, chain->head, UINT32_MAX),
		           written);
		queue_release(queue);
		return;
	}
	vring_push(&queue->ring, chain->head, written);
	queue->dirty = true;
}

void queue_publish(struct worker *worker, struct host_queue *queue)
{
	queue->dirty = false;
	if (!vring_publish(&queue->ring))
		return;
	if (queue->call_fd >= 0) {
		notifier_signal(worker->notifier, queue->call_fd);
		counter_add(&queue->counters.calls, 1);
	}
}

/* Stop reading the queue for good; what is in flight still comes back. */
static void queue_break(struct worker *worker, struct host_queue *queue, const char *why)
{
	atomic_store(&queue->broken, why);
	sleep_unwatch_queue(worker, queue);
	if (queue->err_fd >= 0)
		notifier_signal(worker->notifier, queue->err_fd);
	log_limited(&queue->device->log, LOG_LEVEL_WARNING, "device %s: queue %u stopped: %s",
	            queue->device->name, queue->index, why);
}

/* Turns without a mistake so long are no rubbish; rounds without a turn at the most. */
#define TURN_GOOD 8u
#define REST_MAX 31u
/* Sessions managed in-band in one turn, as on a control queue, and new keys of stateless requests.
 */
#define TURN_MANAGED WORKER_CONTROL_BURST

/* ---- requests in and out ---- */

static void count_result(struct host_queue *queue, uint8_t status)
{
	if (vc_unlikely(status))
		counter_add(&queue->counters.errors[status % 8], 1);
}

void request_done(struct worker *worker, struct vc_request *req)
{
	struct host_queue *queue = req->queue;

	/* It also gives bounce buffers back, for a queue that has been given up as well. */
	request_finish(req, &worker->finish);
	if (vc_likely(queue)) {
		request_push(queue, req);
		queue->in_flight--;
		queue->share->inflight_bytes -= request_weight(req);
		queue->share->in_flight--;
		count_result(queue, req->status);
		req->queue = NULL;
	}
	view_put(worker, req->local);
	worker->free[worker->free_count++] = req;
}

/* The source is as it was: who does not do a request leaves it alone (resource.h), or had a copy.
 */
void request_go_on(struct worker *worker, struct vc_request *req)
{
	int next = -ENOTSUP;

	if (req->queue) {
		req->tried |= (uint16_t)(1u << req->resource);
		next = sched_pick(&worker->sched, req->queue->share->group, req, req->tried);
	}
	if (next < 0) {
		req->status = VIRTIO_CRYPTO_ERR;
		request_done(worker, req);
		return;
	}
	request_wait(worker, (unsigned int)next, req);
	worker->again = true;
}

static void request_begin(struct worker *worker, struct host_queue *queue, struct vc_request *req)
{
	int resource;

	req->queue = queue;
	req->tried = 0;
	req->private = NULL;
	req->arrived = 0;
	req->flow = (uint8_t)queue->device->index;
	req->weight = (uint16_t)queue->share->flow.weight;
	if (vc_unlikely(queue->order))
		req->ticket = order_enter(queue->order, req->head, worker->chain.in_len);
	queue->in_flight++;
	queue->share->inflight_bytes += request_weight(req);
	queue->share->in_flight++;
	req->local->in_flight++;
	counter_add(&queue->counters.requests, 1);
	counter_add(&queue->counters.bytes, req->length);
	resource = sched_pick(&worker->sched, queue->share->group, req, 0);
	if (vc_likely(resource >= 0)) {
		request_wait(worker, (unsigned int)resource, req);
	} else {
		req->status = VIRTIO_CRYPTO_NOTSUPP;
		request_done(worker, req);
	}
}

/* ---- queues ---- */

/* A chain that is not a request: answer it as far as it goes. */
static void chain_fail(struct host_queue *queue, const struct vring_chain *chain, uint8_t status)
{
	chain_push(queue, chain, request_fail_chain(chain, status));
	count_result(queue, status);
	queue->refused = 1;
}

/* After a turn in which so many chains were sound. How many were taken in all. */
static __attribute__((cold, noinline)) unsigned int
turn_judge(struct worker *worker, struct host_queue *queue, unsigned int sound)
{
	unsigned int taken = sound + queue->refused;

	if (queue->refused && worker->turn.metered) {
		qos_charge(&worker->qos, &worker->turn, COST_REFUSED, 0);
		qos_blame(&worker->qos, &queue->share->flow);
	}
	if (!taken)
		return 0;
	if (!queue->refused || sound >= TURN_GOOD)
		queue->penalty = 0;
	else
		queue->penalty = (uint8_t)vc_min(2u * queue->penalty + 1, REST_MAX);
	queue->rest = queue->penalty;
	queue->refused = 0;
	return taken;
}

/* The next chain is in memory that the guest's IOMMU may have, and we do not know: the main thread
 * is to ask. What is in flight goes on; the queue is not read until the table is another. */
static __attribute__((cold, noinline)) void queue_miss(struct worker *worker,
                                                       struct host_queue *queue)
{
	queue->paused |= QUEUE_MISSES;
	/* The main thread may still be reading those of the last time, if the table has changed
	 * since: it is told of these as well. */
	atomic_store_explicit(&queue->miss_addr, queue->ring.miss.addr, memory_order_relaxed);
	atomic_store_explicit(&queue->miss_write, queue->ring.miss.write, memory_order_relaxed);
	/* Release: pairs with the main thread's exchange, which then reads the two above. */
	atomic_store_explicit(&queue->misses, true, memory_order_release);
	notifier_signal(worker->notifier, queue->device->miss_fd);
}

/* Take the next chain. False: stop taking from this queue for now. */
static bool queue_pop(struct worker *worker, struct host_queue *queue, bool *sound)
{
	int r = vring_pop(&queue->ring, &worker->chain);

	*sound = r == 1;
	if (vc_unlikely(r == -EBADMSG)) {
		counter_add(&queue->counters.bad_chains, 1);
		chain_fail(queue, &worker->chain, VIRTIO_CRYPTO_ERR);
		return false;
	}
	if (vc_unlikely(r == -EAGAIN)) {
		queue_miss(worker, queue);
		return false;
	}
	/* When the guest's memory has just gone, the index is a zero of the guard's, and no fault
	 * of the driver's: the end of this round says so of the whole device. */
	if (vc_unlikely(r < 0) && !memtable_broken(queue->ring.memory))
		queue_break(worker, queue,
		            queue->ring.packed ? "the driver's ring has more than it can hold"
		                               : "the driver's ring index makes no sense");
	return *sound;
}

/* A chain that is no standard request, and for which status was meant: one of our extension? False:
 * the turn ends. */
static __attribute__((noinline)) bool other_chain(struct worker *worker, struct host_queue *queue,
                                                  uint8_t status)
{
	const struct vring_chain *chain = &worker->chain;
	const struct device *device = queue->device;
	uint32_t opcode = inband_opcode(chain), answered;
	struct session *removed;

	counter_add(&queue->counters.requests, 1);
	if (worker->turn.metered)
		qos_charge(&worker->qos, &worker->turn, COST_MANAGED, 0);
	if (!opcode) {
		chain_fail(queue, chain, status);
		return false;
	}
	struct inband_context context = {.sessions = device->sessions,
	                                 .can = group_can,
	                                 .can_context = (void *)(uintptr_t)queue->share->group};

	if (opcode == VCRYPTO_INBAND_HELLO)
		device_config(device, queue->share->group, &context.config);
	status = inband_handle(opcode, chain, &context, &answered, &removed);
	chain_push(queue, chain, answered + request_fail_chain(chain, status));
	count_result(queue, status);
	if (removed)
		session_destroyed(worker, removed);
	return ++queue->managed % TURN_MANAGED != 0;
}

/* Make a request of the chain just taken. False: the turn ends, perhaps because there is no room
 * for it now. */
static bool data_chain(struct worker *worker, struct host_queue *queue,
                       const struct request_context *context)
{
	struct vc_request *req = worker->free[worker->free_count - 1];
	int r = request_parse(req, &worker->chain, context);

	if (vc_unlikely(r == -EAGAIN)) {
		vring_unpop(&queue->ring, &worker->chain);
		return false;
	}
	if (vc_unlikely(r < 0)) {
		counter_add(&queue->counters.bad_chains, 1);
		chain_fail(queue, &worker->chain, VIRTIO_CRYPTO_ERR);
		return false;
	}
	if (vc_unlikely(r))
		return other_chain(worker, queue, (uint8_t)r);
	req->local = view_get(worker, req->session);
	if (vc_unlikely(!req->local)) {
		/* No memory for a session that is new here: the request takes no part. */
		struct request_context finish = *context;

		req->status = VIRTIO_CRYPTO_ERR;
		request_finish(req, &finish);
		chain_push(queue, &worker->chain, req->written);
		count_result(queue, req->status);
		return true;
	}
	worker->free_count--;
	if (vc_unlikely(worker->turn.metered))
		turn_charge(worker, queue, req);
	request_begin(worker, queue, req);
	return true;
}

static unsigned int data_take(struct worker *worker, struct host_queue *queue)
{
	struct request_context context = context_of(worker, queue);
	uint64_t most = __atomic_load_n(&queue->device->share_bytes, __ATOMIC_RELAXED);
	unsigned int taken = 0;
	bool sound;

	if (vc_unlikely(queue->stateless))
		stateless_turn(queue->stateless, TURN_MANAGED);
	/* The last one may go beyond the limit: so a request of any size can be done. */
	while (taken < WORKER_BURST && vc_likely(worker->turn.open) &&
	       queue->share->in_flight < worker->free_count &&
	       vc_likely(queue->share->inflight_bytes < most) && queue_pop(worker, queue, &sound)) {
		stage_mark(&worker->stages, STAGE_POP);
		if (sound && !data_chain(worker, queue, &context))
			break;
		stage_mark(&worker->stages, STAGE_PARSE);
		taken++;
	}
	vring_taken(&queue->ring);
	vring_expect(&queue->ring, queue->in_flight, taken);
	stage_mark(&worker->stages, STAGE_POP);
	return vc_unlikely(queue->refused | queue->penalty) ? turn_judge(worker, queue, taken)
	                                                    : taken;
}

static unsigned int control_take(struct worker *worker, struct host_queue *queue)
{
	const struct device *device = queue->device;
	unsigned int taken = 0;
	bool sound;

	while (taken < WORKER_CONTROL_BURST && worker->turn.open &&
	       queue_pop(worker, queue, &sound)) {
		struct session *removed = NULL;

		taken++;
		if (worker->turn.metered)
			qos_charge(&worker->qos, &worker->turn, COST_MANAGED, 0);
		counter_add(&queue->counters.requests, 1);
		chain_push(queue, &worker->chain,
		           control_handle(&worker->chain, queue->crypto_features, device->sessions,
		                          group_can, (void *)(uintptr_t)queue->share->group,
		                          &removed));
		if (removed)
			session_destroyed(worker, removed);
	}
	vring_taken(&queue->ring);
	return vc_unlikely(queue->refused | queue->penalty) ? turn_judge(worker, queue, taken)
	                                                    : taken;
}

unsigned int queue_take(struct worker *worker, struct host_queue *queue)
{
	return queue->control ? control_take(worker, queue) : data_take(worker, queue);
}

/* ---- resources ---- */

/* Offer up to a burst of what waits. Returns how many were taken, *full when not all. */
static unsigned int submit_burst(struct worker *worker, unsigned int r, bool *full)
{
	struct resource_instance *instance = worker->instance[r];
	struct waiting_list *list = worker->waiting[r];
	uint32_t at = list->head % WORKER_SLAB;
	unsigned int n = vc_min(list->tail - list->head, WORKER_SLAB - at), taken, all;
	uint64_t bytes = 0;

	all = n = vc_min(n, WORKER_BURST);
	if (vc_unlikely(worker->may_hang >> r & 1))
		n = late_prepare(worker, r, &list->entry[at], n);
	/* Before they are the resource's. */
	for (unsigned int i = 0; i < n; i++) {
		bytes += list->entry[at + i]->length;
		list->entry[at + i]->queue->waiting--;
	}
	taken = instance->resource->ops->submit(instance, &list->entry[at], n);
	for (unsigned int i = taken; i < n; i++) {
		bytes -= list->entry[at + i]->length;
		list->entry[at + i]->queue->waiting++;
	}
	if (vc_unlikely(worker->may_hang >> r & 1))
		late_start(worker, &list->entry[at], taken);
	list->head += taken;
	*full = taken < all;
	if (taken) {
		counter_add(&instance->counters.submitted, taken);
		counter_add(&instance->counters.bytes, bytes);
		counter_add(&instance->counters.bursts, 1);
	}
	return taken;
}

static void submit_all(struct worker *worker)
{
	for (unsigned int r = 0; worker->waiting_count && r < HOST_MAX_RESOURCES; r++) {
		const struct waiting_list *list = worker->waiting[r];
		unsigned int before = worker->waiting_count;
		bool full = false;

		while (list && list->head != list->tail && !full)
			worker->waiting_count -= submit_burst(worker, r, &full);
		if (vc_unlikely(full)) {
			waiting_full(worker, r, worker->waiting_count < before);
			qos_scarce(&worker->qos);
		}
	}
}

/* One that was not done well, or comes back while something is wrong with its resource. */
static __attribute__((noinline)) void request_judge(struct worker *worker, unsigned int r,
                                                    struct vc_request *req)
{
	uint8_t status = req->status;

	if (worker->may_hang >> r & 1 && !late_back(worker, req))
		return;
	if (status < VC_STATUS_REFUSED) {
		if (worker->sched.trouble >> r & 1)
			sched_done(&worker->sched, r);
		request_done(worker, req);
		return;
	}
	counter_add(&worker->instance[r]->counters.failed, 1);
	if (status == VC_STATUS_RESOURCE)
		sched_failed(&worker->sched, r, HEALTH_FAILED);
	request_go_on(worker, req);
}

static unsigned int poll_one(struct worker *worker, struct resource_instance *instance, bool flush)
{
	struct vc_request *done[WORKER_BURST];
	unsigned int n = instance->resource->ops->poll(instance, done, WORKER_BURST, flush);
	unsigned int r = instance->resource->index;
	bool judge = (worker->may_hang | worker->sched.trouble) >> r & 1;

	stage_mark(&worker->stages, STAGE_POLL);
	for (unsigned int i = 0; i < n; i++) {
		if (vc_unlikely(done[i]->status >= VC_STATUS_REFUSED) || vc_unlikely(judge)) {
			request_judge(worker, r, done[i]);
			judge = (worker->may_hang | worker->sched.trouble) >> r & 1;
		} else {
			request_done(worker, done[i]);
		}
	}
	if (n)
		counter_add(&instance->counters.completed, n);
	stage_mark(&worker->stages, STAGE_FINISH);
	return n;
}

static unsigned int poll_all(struct worker *worker, bool flush)
{
	unsigned int done = 0, n;

	for (unsigned int i = 0; i < worker->resource_count; i++) {
		struct resource_instance *instance = worker->instance[worker->resource[i]];

		while (instance->in_flight) {
			n = poll_one(worker, instance, flush);
			done += n;
			if (n < WORKER_BURST)
				break;
		}
	}
	return done;
}

/* ---- the round ---- */

/* The guest's memory was cut short: every queue of it here is stopped, the others go on. */
static void device_break(struct worker *worker, const struct device *device)
{
	for (unsigned int i = 0; i < worker->queue_count; i++) {
		struct host_queue *queue = worker->queue[i];

		if (queue->device == device && !atomic_load(&queue->broken))
			queue_break(worker, queue, "guest memory is gone");
	}
}

static void publish_all(struct worker *worker)
{
	for (unsigned int i = 0; i < worker->queue_count; i++) {
		struct host_queue *queue = worker->queue[i];

		/* The main thread may be changing memory and ring. */
		if (queue->paused & QUEUE_PAUSED && !queue->in_flight && !queue->dirty)
			continue;
		if (queue->dirty)
			queue_publish(worker, queue);
		if (vc_unlikely(memtable_broken(queue->ring.memory)))
			device_break(worker, queue->device);
	}
	notifier_flush(worker->notifier);
}

static __attribute__((cold, noinline)) void trouble_check(struct worker *worker)
{
	if (worker->sched.trouble)
		sched_wait(&worker->sched);
	if (worker->timed)
		late_check(worker);
}

/* Whether what waits in a resource for company is to be done now: nothing more comes at once. */
static bool flush_now(const struct worker *worker, unsigned int taken)
{
	return worker->hurry || (!taken && !poller_patient(&worker->poller));
}

bool worker_round(struct worker *worker)
{
	unsigned int taken, done;
	bool flush;

	worker->sched.now = 0;
	if (vc_unlikely(worker->timed | worker->sched.trouble))
		trouble_check(worker);
	taken = take_all(worker);
	worker->was_full = worker->sched.full;
	worker->sched.full = 0;
	submit_all(worker);
	stage_mark(&worker->stages, STAGE_SUBMIT);
	flush = flush_now(worker, taken);
	done = poll_all(worker, flush);
	/* Each time fewer candidates are left. */
	while (vc_unlikely(worker->again)) {
		worker->again = false;
		submit_all(worker);
		done += poll_all(worker, flush);
	}
	publish_all(worker);
	if (vc_unlikely(worker->ended))
		sessions_end(worker);
	stage_mark(&worker->stages, STAGE_PUBLISH);
	stage_round(&worker->stages, worker->counters.stage_ticks, taken || done);
	counter_add(&worker->counters.rounds, 1);
	worker->sched.round++;
	return taken || done;
}

/* ---- giving up ---- */

/* What no resource has yet is simply answered. */
static bool waiting_fail(struct worker *worker, struct vc_request *req, void *queue)
{
	if (req->queue != queue)
		return false;
	waiting_out(worker, req);
	req->status = VIRTIO_CRYPTO_ERR;
	request_done(worker, req);
	return true;
}

void queue_abandon(struct worker *worker, struct host_queue *queue)
{
	for (unsigned int r = 0; r < HOST_MAX_RESOURCES; r++)
		if (worker->waiting[r])
			waiting_sift(worker, r, waiting_fail, queue);
	for (unsigned int i = 0; i < WORKER_PLACES; i++) {
		struct vc_request *req = &worker->slab[i];

		if (req->queue == queue && !late_abandon(worker, req))
			req->queue = NULL;
	}
	queue->in_flight = 0;
	if (queue->dirty)
		queue_publish(worker, queue);
	/* The descriptors may be closed as soon as the command has been answered. */
	notifier_flush(worker->notifier);
}
