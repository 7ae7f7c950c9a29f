/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-crypto device under the daemon: opened through libvcrypto, given the memory of every
 * client, fed and emptied in bursts; lost and opened again. Runs in the daemon's one thread;
 * trusts the device's answers, not that it is there.
 */
#include "engined/engined.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/util.h"

#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 2000u
#define STABLE_NS 5000000000ull
/* Opening blocks the loop: short, since nobody can be served meanwhile but the sockets. */
#define OPEN_TIMEOUT_MS 1000u
#define DEVICE_MEMORY ((size_t)64 << 10)
/* A device on the PCI bus cannot say that its back end is gone: then nothing comes back. */
#define STALL_NS 1000000000ull
#define STALL_LOOK_MS 100

void device_init(struct engined *e)
{
	unsigned int i;

	for (i = 0; i < ENGINED_MAX_QUEUES; i++)
		e->device.queue[i].pending_end = &e->device.queue[i].pending;
	e->device.backoff_ms = BACKOFF_MIN_MS;
}

void device_announce(const struct engined *e, struct client *client)
{
	struct vce_region_header *header = region_header(&client->region);
	const struct vcrypto_capabilities *caps = &e->device.caps;
	uint32_t offline = !e->device.handle || !client->registered || !caps->ready;

	if (!offline) {
		header->services = caps->services;
		header->cipher_algo_l = (uint32_t)caps->ciphers;
		header->aead_algo = caps->aeads;
		header->akcipher_algo = caps->akciphers;
		header->mac_algo_l = (uint32_t)caps->macs;
		header->hash_algo = caps->hashes;
		header->agree_curves = caps->agree_curves;
	}
	/* Release: partner of the client's acquire in looking whether it is offline. */
	__atomic_store_n(&header->offline, offline, __ATOMIC_RELEASE);
}

const char *device_name(const struct engined *e)
{
	return e->config.device_address[0] ? e->config.device_address : e->config.device_socket;
}

/* ---- open ---- */

static void retry(void *context)
{
	device_try_open(context);
}

static void queue_call(void *context, int fd, uint32_t events)
{
	/* Only to end the sleep: device_disarm() empties it, device_poll() takes what is there. */
}

/* Ready no more, or again: applications go on in software, or do not any more. What is under way is
 * done. */
static void device_changed(struct engined *e)
{
	struct client *client;

	if (vcrypto_device_capabilities(e->device.handle, &e->device.caps)) {
		device_fail(e, "the back end is gone");
		return;
	}
	for (client = e->clients; client; client = client->next) {
		if (client->state == CLIENT_LIVE)
			device_announce(e, client);
	}
	log_notice("device %s: %s", device_name(e),
	           e->device.caps.ready ? "ready" : "not ready, says the host");
}

static void device_event(void *context, int fd, uint32_t events)
{
	struct engined *e = context;

	if ((events & (EPOLLHUP | EPOLLERR)) || !vcrypto_device_alive(e->device.handle))
		device_fail(e, "the back end is gone");
	else if (vcrypto_device_changed(e->device.handle))
		device_changed(e);
}

static int device_watch(struct engined *e)
{
	struct device *d = &e->device;
	unsigned int i;
	int ret, fd = vcrypto_device_fd(d->handle);

	if (fd >= 0) {
		ret = evloop_add(e->loop, fd, EPOLLIN | EPOLLRDHUP, device_event, e, &d->watch);
		if (ret)
			return ret;
	}
	for (i = 0; i < d->queues; i++) {
		d->queue[i].queue = vcrypto_device_queue(d->handle, i);
		fd = vcrypto_queue_fd(d->queue[i].queue);
		ret = evloop_add(e->loop, fd, EPOLLIN, queue_call, e, &d->queue[i].watch);
		if (ret)
			return ret;
	}
	return 0;
}

static void device_open_failed(struct engined *e, const char *why)
{
	struct device *d = &e->device;

	if (strcmp(d->error, why) != 0)
		log_warning("device %s: %s; trying again", device_name(e), why);
	snprintf(d->error, sizeof(d->error), "%s", why);
	evloop_remove(d->timer);
	d->timer = NULL;
	if (evloop_timer(e->loop, d->backoff_ms, retry, e, &d->timer))
		log_error("no memory for a timer: the device stays down");
	d->backoff_ms = vc_min(d->backoff_ms * 2, BACKOFF_MAX_MS);
}

/* ---- what was in flight ---- */

static void keep_end(void *context)
{
	struct engined *e = context;

	evloop_remove(e->device.keep_timer);
	e->device.keep_timer = NULL;
	request_fail_kept(e);
}

/* Not for long: an application that waits could have gone on in software. */
static void keep_begin(struct engined *e)
{
	if (e->device.keep_timer)
		return;
	if (!e->config.resubmit_ms ||
	    evloop_timer(e->loop, e->config.resubmit_ms, keep_end, e, &e->device.keep_timer))
		request_fail_kept(e);
}

static void keep_resume(struct engined *e)
{
	evloop_remove(e->device.keep_timer);
	e->device.keep_timer = NULL;
	request_resume_all(e);
}

static void device_up(struct engined *e)
{
	struct device *d = &e->device;
	struct client *client;
	unsigned int n = 0;

	d->error[0] = '\0';
	d->opened++;
	d->opened_ns = clock_now_ns();
	for (client = e->clients; client; client = client->next) {
		if (client->state != CLIENT_LIVE)
			continue;
		/* Fewer queues than before, perhaps. */
		client->queue = n++ % d->queues;
		(void)client_register(client);
		device_announce(e, client);
	}
	keep_resume(e);
	log_notice("device %s: up, %u data queue%s, services 0x%x", device_name(e), d->queues,
	           d->queues == 1 ? "" : "s", d->caps.services);
}

void device_try_open(struct engined *e)
{
	const struct vcrypto_device_options options = {
		.socket = e->config.device_socket,
		.pci = e->config.device_address[0] ? e->config.device_address : NULL,
		/* All data lies in memory of the clients. */
		.memory = DEVICE_MEMORY,
		.queues = e->config.queues,
		.depth = e->config.depth,
		.timeout_ms = OPEN_TIMEOUT_MS,
		.agreement = true,
	};
	struct device *d = &e->device;
	char *error = NULL;
	int ret;

	ret = vcrypto_device_open(&options, &d->handle, &error);
	if (ret) {
		d->handle = NULL;
		device_open_failed(e, error ? error : strerror(-ret));
		free(error);
		return;
	}
	d->queues = vc_min(vcrypto_device_queues(d->handle), ENGINED_MAX_QUEUES);
	ret = vcrypto_device_capabilities(d->handle, &d->caps);
	if (!ret && !d->caps.ready)
		ret = -EAGAIN;
	if (!ret)
		ret = device_watch(e);
	if (ret) {
		device_fail(e, ret == -EAGAIN ? "it is not ready" : "it cannot be used");
		device_check(e);
		return;
	}
	device_up(e);
}

/* ---- lose ---- */

/* True: it has operations, and has finished none for too long. */
static bool queue_stalled(struct device_queue *queue, uint64_t now, uint64_t away_ns)
{
	struct vcrypto_queue_stats stats;

	vcrypto_queue_stats(queue->queue, &stats);
	if (stats.completed != queue->moved || stats.submitted == stats.completed) {
		queue->moved = stats.completed;
		queue->still_ns = now;
		return false;
	}
	/* The machine may have been suspended. */
	queue->still_ns += away_ns;
	return now - queue->still_ns > STALL_NS;
}

int device_stalled(struct engined *e)
{
	struct device *d = &e->device;
	uint64_t now, away_ns = 0;
	unsigned int i;

	if (!e->config.device_address[0] || !d->handle || !e->pool.used)
		return -1;
	now = clock_now_ns();
	if (now - d->looked_ns > STALL_LOOK_MS * 2000000ull)
		away_ns = now - d->looked_ns;
	d->looked_ns = now;
	for (i = 0; i < d->queues; i++) {
		if (queue_stalled(&d->queue[i], now, away_ns))
			device_fail(e, "it does not answer");
	}
	return STALL_LOOK_MS;
}

void device_fail(struct engined *e, const char *why)
{
	if (e->device.handle && !e->device.failed)
		e->device.failed = why;
}

static void stats_add(struct vcrypto_queue_stats *sum, const struct vcrypto_queue_stats *more)
{
	sum->submitted += more->submitted;
	sum->completed += more->completed;
	sum->failed += more->failed;
	sum->kicks += more->kicks;
	sum->calls += more->calls;
}

void device_queue_stats(const struct engined *e, unsigned int index,
                        struct vcrypto_queue_stats *stats)
{
	const struct device_queue *queue = &e->device.queue[index];
	struct vcrypto_queue_stats now = {0};

	if (queue->queue)
		vcrypto_queue_stats(queue->queue, &now);
	*stats = queue->past;
	stats_add(stats, &now);
}

/* Requests that can be done again are kept. */
static void device_drop(struct engined *e)
{
	struct device *d = &e->device;
	struct vcrypto_queue_stats stats;
	struct client *client;
	unsigned int i;

	evloop_remove(d->watch);
	d->watch = NULL;
	for (i = 0; i < d->queues; i++) {
		evloop_remove(d->queue[i].watch);
		d->queue[i].watch = NULL;
		if (!d->queue[i].queue)
			continue;
		vcrypto_queue_stats(d->queue[i].queue, &stats);
		stats_add(&d->queue[i].past, &stats);
		d->queue[i].queue = NULL;
	}
	vcrypto_device_close(d->handle);
	d->handle = NULL;
	d->failed = NULL;
	/* Offline first: who sees a request fail must not find the device still there. */
	for (client = e->clients; client; client = client->next) {
		client->registered = false;
		if (client->state == CLIENT_LIVE)
			device_announce(e, client);
	}
	session_device_gone(e);
	request_keep_all(e);
}

void device_close(struct engined *e)
{
	evloop_remove(e->device.timer);
	e->device.timer = NULL;
	if (e->device.handle)
		device_drop(e);
	keep_end(e);
}

bool device_check(struct engined *e)
{
	const char *why = e->device.failed;

	if (!why)
		return false;
	/* One that dies as soon as it is opened is not tried again and again without a pause. */
	if (clock_now_ns() - e->device.opened_ns > STABLE_NS)
		e->device.backoff_ms = BACKOFF_MIN_MS;
	device_drop(e);
	keep_begin(e);
	device_open_failed(e, why);
	return true;
}

/* ---- bursts ---- */

unsigned int device_room(const struct engined *e, unsigned int index)
{
	const struct device_queue *queue = &e->device.queue[index];
	unsigned int room = vcrypto_queue_room(queue->queue);

	return room > queue->pending_count ? room - queue->pending_count : 0;
}

static void queue_flush(struct engined *e, struct device_queue *queue)
{
	struct channel_result wrong = {.result = -EINVAL};
	struct vcrypto_op *ops[ENGINED_BURST];
	struct request *request;
	unsigned int n;
	int i, taken;

	while (queue->pending) {
		n = 0;
		for (request = queue->pending; request && n < ENGINED_BURST;
		     request = request->next)
			ops[n++] = &request->op;
		taken = vcrypto_queue_submit(queue->queue, ops, n);
		if (taken == -EINVAL) {
			/* The first is not what its session wants: the client's mistake. */
			request = queue->pending;
			queue->pending = request->next;
			queue->pending_count--;
			request_finish(request, &wrong);
			continue;
		}
		/* Not ready: they wait for the configuration to change again. */
		if (taken == -EAGAIN)
			break;
		if (taken < 0) {
			device_fail(e, "the back end is gone");
			break;
		}
		for (i = 0; i < taken; i++) {
			request = queue->pending;
			queue->pending = request->next;
			request->state = REQUEST_DEVICE;
		}
		queue->pending_count -= (unsigned int)taken;
		if ((unsigned int)taken < n)
			break;
	}
	if (!queue->pending)
		queue->pending_end = &queue->pending;
}

void device_flush(struct engined *e)
{
	unsigned int i;

	if (!e->device.handle)
		return;
	for (i = 0; i < e->device.queues; i++) {
		if (e->device.queue[i].pending)
			queue_flush(e, &e->device.queue[i]);
	}
}

static unsigned int queue_poll(struct engined *e, struct vcrypto_queue *queue)
{
	struct vcrypto_op *ops[ENGINED_BURST];
	struct channel_result result = {0};
	int i, n;

	n = vcrypto_queue_poll(queue, ops, ENGINED_BURST);
	if (n < 0) {
		device_fail(e, n == -EPIPE ? "the back end is gone" : "it broke its ring");
		return 0;
	}
	for (i = 0; i < n; i++) {
		struct request *request = (struct request *)(void *)ops[i];

		result.result = ops[i]->status;
		result.result_len = ops[i]->result_len;
		request_finish(request, &result);
	}
	return (unsigned int)n;
}

unsigned int device_poll(struct engined *e)
{
	unsigned int i, n = 0;

	if (!e->device.handle)
		return 0;
	for (i = 0; i < e->device.queues; i++)
		n += queue_poll(e, e->device.queue[i].queue);
	return n;
}

bool device_arm(struct engined *e)
{
	bool ready = false;
	unsigned int i;

	for (i = 0; e->device.handle && i < e->device.queues; i++)
		ready |= vcrypto_queue_arm(e->device.queue[i].queue);
	return ready;
}

void device_disarm(struct engined *e)
{
	unsigned int i;

	for (i = 0; e->device.handle && i < e->device.queues; i++)
		vcrypto_queue_disarm(e->device.queue[i].queue);
}
