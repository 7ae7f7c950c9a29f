/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose queues are read in a round, and in what order: the worker's side of qos.h.
 *
 * The worker's thread. As long as one device is active each queue has a turn in each round, and
 * nothing is counted. Otherwise queues of light devices come first; when they had something and
 * others wait, that is all of the round, so that they need not wait for the others' requests to be
 * done. The others wait in the list of qos, and have their turns in rounds without light ones.
 */
#include <string.h>

#include "host/worker_private.h"

static struct device_share *share_of(struct qos_flow *flow)
{
	return (struct device_share *)((char *)flow - offsetof(struct device_share, flow));
}

/* ---- what a request costs ---- */

/* Requests of these go side by side through the lanes of ipsec-mb. */
static uint8_t company_of(const struct session_params *p)
{
	switch (p->service) {
	case VIRTIO_CRYPTO_SERVICE_CIPHER:
		return p->chain || (p->cipher == VIRTIO_CRYPTO_CIPHER_AES_CBC && p->encrypt)
		               ? QOS_COMPANY
		               : 1;
	case VIRTIO_CRYPTO_SERVICE_HASH:
	case VIRTIO_CRYPTO_SERVICE_MAC:
		return QOS_COMPANY;
	case VIRTIO_CRYPTO_SERVICE_AEAD:
		return p->aead == VIRTIO_CRYPTO_AEAD_CCM ? QOS_COMPANY : 1;
	default:
		return 1;
	}
}

/* Handing a request to a helper and back. */
#define HAND_OVER_NS 1500u

static uint8_t class_of(struct worker *worker, const struct host_queue *queue,
                        const struct session_params *p)
{
	/* What it costs depends on the group: another may do it elsewhere. */
	uintptr_t group = (uintptr_t)queue->share->group >> 4;
	struct cost_key key = {{p->service, p->chain, p->encrypt, p->private_key, p->cipher,
	                        p->hash, p->mac, p->aead, p->akcipher, p->tag_len,
	                        (uint8_t)(p->key_len / 8), (uint8_t)(p->key_bits >> 8)}};
	uint32_t low = (uint32_t)group;

	memcpy(&key.byte[12], &low, sizeof(low));
	return (uint8_t)cost_class(&worker->qos.cost, &key, company_of(p),
	                           p->service == VIRTIO_CRYPTO_SERVICE_AKCIPHER ? HAND_OVER_NS : 0);
}

void turn_charge(struct worker *worker, const struct host_queue *queue,
                 const struct vc_request *req)
{
	struct session_local *local = req->local;

	if (vc_unlikely(!local->cost_class))
		local->cost_class = class_of(worker, queue, &req->session->params);
	qos_charge(&worker->qos, &worker->turn, local->cost_class, req->length);
}

/* ---- turns ---- */

/* Whether the queue may be read. What waits may have been taken in this round, by a turn before. */
static bool queue_turn(const struct worker *worker, struct host_queue *queue)
{
	if (vc_unlikely(queue->rest)) {
		queue->rest--;
		return false;
	}
	return !queue->paused && (!queue->waiting || queue->round == worker->round) &&
	       !atomic_load_explicit(&queue->broken, memory_order_relaxed);
}

/* A turn that is counted, of one queue. */
static unsigned int metered_turn(struct worker *worker, struct host_queue *queue)
{
	struct qos_flow *flow = &queue->share->flow;
	unsigned int taken = 0, n;

	if (!qos_turn_begin(&worker->qos, flow, &worker->turn))
		return 0;
	do {
		n = queue_take(worker, queue);
		taken += n;
	} while (n == WORKER_BURST && worker->turn.open);
	qos_turn_end(&worker->qos, flow, &worker->turn, taken);
	return taken;
}

/* The turn of a device that has waited for it: its queues in this worker, in turn, a burst of each.
 */
static unsigned int waited_turn(struct worker *worker, struct qos_flow *flow)
{
	struct device_share *share = share_of(flow);
	struct host_queue *queue = share->next;
	unsigned int taken = 0, without = 0;

	if (!qos_turn_begin(&worker->qos, flow, &worker->turn))
		return 0;
	do {
		unsigned int n = 0;

		if (queue_turn(worker, queue)) {
			n = queue_take(worker, queue);
			queue->round = worker->round;
		}
		taken += n;
		without = n ? 0 : without + 1;
		queue = queue->peer;
	} while (worker->turn.open && without < share->queues);
	share->next = queue;
	qos_turn_end(&worker->qos, flow, &worker->turn, taken);
	return taken;
}

/* ---- rounds ---- */

static struct host_queue *queue_at(const struct worker *worker, unsigned int i)
{
	unsigned int at = worker->first_queue + i;

	return worker->queue[at < worker->queue_count ? at : at - worker->queue_count];
}

/* Queue i was the first to be left out of the round: it is the first of the next one. */
static void left_out(struct worker *worker, unsigned int i)
{
	if (i < worker->queue_count)
		worker->first_queue =
			(worker->first_queue + i + worker->queue_count - 1) % worker->queue_count;
}

/* Queues of devices that do not wait; those of which it is known then have to. */
static unsigned int light_take(struct worker *worker)
{
	struct qos *qos = &worker->qos;
	unsigned int taken = 0, i;

	for (i = 0; i < worker->queue_count && !qos->full; i++) {
		struct host_queue *queue = queue_at(worker, i);
		struct qos_flow *flow = &queue->share->flow;

		if (flow->backlogged || vring_idle(&queue->ring) || !queue_turn(worker, queue))
			continue;
		if (flow->light || flow->throttled)
			taken += metered_turn(worker, queue);
		else
			qos_wait(qos, flow);
	}
	left_out(worker, i);
	return taken;
}

static unsigned int metered_take(struct worker *worker)
{
	struct qos *qos = &worker->qos;
	unsigned int taken = light_take(worker);
	struct qos_flow *flow;

	worker->hurry = taken && qos->first;
	if (worker->hurry)
		return taken;
	while ((flow = qos_next(qos)))
		taken += waited_turn(worker, flow);
	return taken;
}

/* Every queue, or as many as there is work of a round in, whatever each has. */
static unsigned int plain_take(struct worker *worker)
{
	struct qos *qos = &worker->qos;
	unsigned int taken = 0, i;

	for (i = 0; i < worker->queue_count && taken < WORKER_ROUND; i++) {
		struct host_queue *queue = queue_at(worker, i);
		struct qos_flow *flow = &queue->share->flow;
		unsigned int n;

		if (vc_unlikely(!queue_turn(worker, queue)))
			continue;
		if (vc_unlikely(flow->limited)) {
			n = metered_turn(worker, queue);
			if (n && qos->only != flow)
				qos_other(qos, flow);
		} else {
			worker->turn.open = true;
			n = queue_take(worker, queue);
			if (n)
				qos_note(qos, flow);
		}
		taken += n;
	}
	left_out(worker, i);
	if (vc_unlikely(qos->second))
		qos_contend(qos, clock_ticks());
	return taken;
}

unsigned int take_all(struct worker *worker)
{
	unsigned int taken;

	if (++worker->first_queue >= worker->queue_count)
		worker->first_queue = 0;
	worker->hurry = false;
	worker->round++;
	if (vc_unlikely(worker->qos.watch))
		qos_round_begin(&worker->qos, clock_ticks());
	taken = vc_unlikely(worker->qos.metered) ? metered_take(worker) : plain_take(worker);
	counter_add(&worker->counters.requests, taken);
	return taken;
}

/* ---- devices that come and go ---- */

void turn_join(struct worker *worker, struct host_queue *queue)
{
	struct device_share *share = queue->share;
	const struct device *device = queue->device;
	struct qos_limits limits;

	worker->qos.queues++;
	share->queues++;
	if (share->next) {
		queue->peer = share->next->peer;
		share->next->peer = queue;
		return;
	}
	queue->peer = share->next = queue;
	memset(&share->flow, 0, offsetof(struct qos_flow, counters));
	limits = device_worker_limits(device);
	qos_flow_join(&worker->qos, &share->flow, &limits, clock_ticks());
}

void turn_leave(struct worker *worker, struct host_queue *queue)
{
	struct device_share *share = queue->share;
	struct host_queue *before = share->next;

	worker->qos.queues--;
	share->queues--;
	while (before->peer != queue)
		before = before->peer;
	before->peer = queue->peer;
	share->next = before == queue ? NULL : before;
	if (!share->next)
		qos_flow_leave(&worker->qos, &share->flow);
}

void turn_limit(struct worker *worker, struct device *device)
{
	struct device_share *share = &device->share[worker->options.index];
	struct qos_limits limits = device_worker_limits(device);

	if (share->next)
		qos_flow_limit(&worker->qos, &share->flow, &limits, clock_ticks());
}
