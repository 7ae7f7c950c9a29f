/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk: bursts to the device and back.
 *
 * The worker's thread. DPDK's software devices do their work when they are given it or asked for
 * it, in this thread: so they get no more at once than does not hold the worker up, and after a
 * poll with flush nothing is in flight. Hardware answers later, and has no descriptor to wait on: a
 * worker that would sleep meanwhile is woken by a timer to look again.
 */
#include <sys/timerfd.h>
#include <unistd.h>

#include "host/resource/dpdk.h"

/* What a software device gets in one go, in bytes of AES; one request it always gets. */
#define SOFTWARE_COST ((uint64_t)1 << 20)
#define REQUEST_COST 512u
/* Between two looks of a worker that sleeps; twice as long each time in vain. */
#define TIMER_MIN_US 50u
#define TIMER_MAX_US 1000u

static void finish(struct dpdk_instance *in, struct vc_request *req)
{
	in->done[in->done_tail++ % vc_array_size(in->done)] = req;
}

/* ---- submit ---- */

/* Of a burst: what becomes of each request. */
struct made {
	struct rte_crypto_op *op[DPDK_BURST]; /* NULL: it is done already */
	unsigned int n;
};

static enum dpdk_verdict make_one(struct dpdk_instance *in, struct vc_request *req,
                                  struct rte_crypto_op **op)
{
	const struct dpdk_session *s = req->handle;
	enum dpdk_verdict verdict;
	struct dpdk_sym *sym;
	struct dpdk_rsa *rsa;

	*op = NULL;
	if (vc_unlikely(s->class == DPDK_RSA)) {
		verdict = dpdk_rsa_make(in, req, &rsa);
		if (verdict == DPDK_RUN)
			*op = &rsa->op;
	} else {
		verdict = dpdk_sym_make(in, req, &sym);
		if (verdict == DPDK_RUN)
			*op = &sym->op;
	}
	return verdict;
}

/* Does it go into this burst? A software device takes RSA by ones. */
static bool affordable(const struct dpdk_instance *in, const struct vc_request *req, uint64_t *cost,
                       unsigned int taken)
{
	const struct dpdk_session *s = req->handle;

	if (in->dpdk->hardware)
		return true;
	if (s->class == DPDK_RSA)
		*cost += SOFTWARE_COST + 1;
	else
		*cost += REQUEST_COST + (uint64_t)req->length * s->weight;
	return !taken || *cost <= SOFTWARE_COST;
}

static void make_all(struct dpdk_instance *in, struct vc_request *const *reqs, unsigned int n,
                     struct made *made)
{
	uint64_t cost = 0;

	made->n = 0;
	while (made->n < n && affordable(in, reqs[made->n], &cost, made->n) &&
	       make_one(in, reqs[made->n], &made->op[made->n]) != DPDK_FULL)
		made->n++;
}

static void put(struct dpdk_instance *in, struct rte_crypto_op *op)
{
	if (op->type == RTE_CRYPTO_OP_TYPE_SYMMETRIC)
		dpdk_sym_put(in, (struct dpdk_sym *)op);
	else
		dpdk_rsa_put(in, (struct dpdk_rsa *)op);
}

static uint8_t device_of(const struct dpdk_instance *in, const struct rte_crypto_op *op)
{
	return (uint8_t)(op->type == RTE_CRYPTO_OP_TYPE_SYMMETRIC ? in->dpdk->sym : in->dpdk->asym);
}

/* Give operations of one device to it, from the first of the burst that is not done. How many of
 * the requests are settled by that; 0: it is full. */
static unsigned int give(struct dpdk_instance *in, const struct made *made, unsigned int from)
{
	struct rte_crypto_op *ops[DPDK_BURST];
	unsigned int n = 0, at = from, taken;
	uint8_t device = 0;

	for (; at < made->n; at++) {
		if (!made->op[at])
			continue;
		if (!n)
			device = device_of(in, made->op[at]);
		else if (device_of(in, made->op[at]) != device)
			break;
		ops[n++] = made->op[at];
	}
	taken = n ? rte_cryptodev_enqueue_burst(device, in->queue, ops, (uint16_t)n) : 0;
	in->device_flight += taken;
	if (taken == n)
		return at - from;
	/* Up to the one that was not taken. */
	for (at = from; at < made->n && (!made->op[at] || taken--);)
		at++;
	return at - from;
}

unsigned int dpdk_submit(struct resource_instance *instance, struct vc_request *const *reqs,
                         unsigned int n)
{
	struct dpdk_instance *in = (struct dpdk_instance *)instance;
	unsigned int settled = 0, more = 1;
	struct made made;

	n = vc_min(n, DPDK_BURST);
	/* There is room for all that are in flight to be done. */
	n = vc_min(n, (unsigned int)vc_array_size(in->done) - instance->in_flight);
	make_all(in, reqs, n, &made);
	for (; settled < made.n && more; settled += more)
		more = give(in, &made, settled);
	/* A device that has nothing and takes nothing does not want this one. */
	if (vc_unlikely(settled < made.n && made.op[settled] && !in->device_flight)) {
		put(in, made.op[settled]);
		made.op[settled] = NULL;
		reqs[settled++]->status = VC_STATUS_RESOURCE;
	}
	for (unsigned int i = 0; i < made.n; i++) {
		if (i < settled && !made.op[i])
			finish(in, reqs[i]);
		else if (i >= settled && made.op[i])
			put(in, made.op[i]);
	}
	instance->in_flight += settled;
	return settled;
}

/* ---- poll ---- */

/* A second operation: of a chain, or the public one on a result. */
static void give_again(struct dpdk_instance *in, struct rte_crypto_op *op)
{
	if (rte_cryptodev_enqueue_burst(device_of(in, op), in->queue, &op, 1) != 1)
		in->again[in->again_count++] = op;
}

static void give_all_again(struct dpdk_instance *in)
{
	unsigned int n = in->again_count;

	in->again_count = 0;
	for (unsigned int i = 0; i < n; i++)
		give_again(in, in->again[i]);
}

static void back(struct dpdk_instance *in, struct rte_crypto_op *raw)
{
	bool sym = raw->type == RTE_CRYPTO_OP_TYPE_SYMMETRIC;
	struct vc_request *req =
		sym ? ((struct dpdk_sym *)raw)->req : ((struct dpdk_rsa *)raw)->req;

	if (vc_unlikely(!(sym ? dpdk_sym_end((struct dpdk_sym *)raw)
	                      : dpdk_rsa_end((struct dpdk_rsa *)raw)))) {
		give_again(in, raw);
		return;
	}
	put(in, raw);
	in->device_flight--;
	finish(in, req);
}

static unsigned int look_at(struct dpdk_instance *in, int device, unsigned int n)
{
	struct rte_crypto_op *ops[DPDK_BURST];
	unsigned int got;

	got = rte_cryptodev_dequeue_burst((uint8_t)device, in->queue, ops,
	                                  (uint16_t)vc_min(n, DPDK_BURST));
	for (unsigned int i = 0; i < got; i++)
		back(in, ops[i]);
	return got;
}

/* What is done now; n at the most of each device. */
static unsigned int look(struct dpdk_instance *in, unsigned int n)
{
	const struct dpdk_resource *dpdk = in->dpdk;
	unsigned int got = 0;

	if (vc_unlikely(in->again_count))
		give_all_again(in);
	if (dpdk->sym >= 0)
		got = look_at(in, dpdk->sym, n);
	if (dpdk->asym >= 0 && dpdk->asym != dpdk->sym)
		got += look_at(in, dpdk->asym, n);
	return got;
}

unsigned int dpdk_poll(struct resource_instance *instance, struct vc_request **reqs, unsigned int n,
                       bool flush)
{
	struct dpdk_instance *in = (struct dpdk_instance *)instance;
	unsigned int taken = 0;

	/* Until the device has no more of it: lanes of software fill by and by. */
	while (in->device_flight && in->done_tail - in->done_head < n)
		if (!look(in, n) || !(flush && !in->dpdk->hardware))
			break;
	while (taken < n && in->done_head != in->done_tail)
		reqs[taken++] = in->done[in->done_head++ % vc_array_size(in->done)];
	instance->in_flight -= taken;
	if (in->timer_us != TIMER_MIN_US && taken)
		in->timer_us = TIMER_MIN_US;
	return taken;
}

/* ---- sleep ---- */

int dpdk_fd(struct resource_instance *instance)
{
	return ((struct dpdk_instance *)instance)->timer;
}

bool dpdk_arm(struct resource_instance *instance)
{
	struct dpdk_instance *in = (struct dpdk_instance *)instance;
	struct itimerspec when = {0};

	if (in->timer < 0 || in->done_head != in->done_tail)
		return instance->in_flight != 0;
	when.it_value.tv_nsec = (long)in->timer_us * 1000;
	if (timerfd_settime(in->timer, 0, &when, NULL) < 0)
		return true;
	in->timer_us = vc_min(in->timer_us * 2, TIMER_MAX_US);
	in->timer_set = true;
	return false;
}

void dpdk_disarm(struct resource_instance *instance)
{
	struct dpdk_instance *in = (struct dpdk_instance *)instance;
	const struct itimerspec never = {0};

	/* This also takes a signal back that was given. */
	if (in->timer_set)
		(void)timerfd_settime(in->timer, 0, &never, NULL);
	in->timer_set = false;
}
