/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: from a client's slot to the device's queue and back. The data path: no allocation, no
 * lock, no log line but for a client that is thrown out.
 */
#include "engined/engined.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"

/* A client gets at most so many in one round, so that none keeps the others waiting. */
#define ROUND_QUOTA 64
/* And has at least so many in flight before its share matters. */
#define SHARE_MIN 32

int request_pool_init(struct engined *e)
{
	struct request_pool *pool = &e->pool;
	unsigned int i;

	/* As many as the device takes, and some that wait for sessions. */
	pool->size = e->config.depth * e->config.queues + 256;
	pool->slab = aligned_alloc(VC_CACHE_LINE,
	                           vc_round_up(pool->size * sizeof(struct request), VC_CACHE_LINE));
	if (!pool->slab)
		return -ENOMEM;
	for (i = 0; i < pool->size; i++) {
		pool->slab[i].state = REQUEST_FREE;
		pool->slab[i].next = i + 1 < pool->size ? &pool->slab[i + 1] : NULL;
	}
	pool->free = pool->slab;
	return 0;
}

void request_pool_free(struct engined *e)
{
	free(e->pool.slab);
	e->pool.slab = NULL;
	e->pool.free = NULL;
}

static void complete(struct client *client, struct vce_slot *slot, uint32_t generation,
                     unsigned int waker, const struct channel_result *result)
{
	if (client->state != CLIENT_LIVE)
		return;
	if (!channel_complete(slot, generation, result))
		return;
	if (waker && waker <= client->wakers_count)
		wake_event(client->engined->wake, client->wakers[waker - 1], client->trusted);
	else
		wake_futex(&slot->state);
}

void request_finish(struct request *request, const struct channel_result *result)
{
	struct client *client = request->client;
	struct engined *e = client->engined;

	if (result->result)
		client->counters.errors++;
	complete(client, request->slot, request->generation, request->waker, result);
	e->clients_flying -= !--client->in_flight;
	e->pool.slow -= request->slow;
	session_put(e, request->entry);
	request->state = REQUEST_FREE;
	request->next = e->pool.free;
	e->pool.free = request;
	e->pool.used--;
}

void request_pend(struct request *request)
{
	struct device_queue *queue =
		&request->client->engined->device.queue[request->client->queue];

	request->state = REQUEST_PENDING;
	request->next = NULL;
	*queue->pending_end = request;
	queue->pending_end = &request->next;
	queue->pending_count++;
}

struct request *request_new(struct client *client, const struct channel_entry *entry)
{
	struct engined *e = client->engined;
	struct request *request = e->pool.free;

	e->pool.free = request->next;
	e->pool.used++;
	e->clients_flying += !client->in_flight++;
	request->client = client;
	request->slot = entry->slot;
	request->generation = entry->generation;
	request->waker = entry->line.waker;
	request->opcode = (uint8_t)entry->line.opcode;
	request->repeated = false;
	request->slow = false;
	request->entry = NULL;
	return request;
}

/* CRYPT. 0: on its way; else -errno, to be told to the client. */
static int crypt_start(struct client *client, const struct channel_entry *entry)
{
	struct engined *e = client->engined;
	struct request *request;
	struct cache_entry *session;
	int ret;

	session = session_lookup(client, entry->line.session);
	if (!session)
		return -ENOKEY;
	if (!e->device.handle || !client->registered)
		return -EIO;
	/* Into the request that is to be taken, if all is well. */
	ret = channel_check_crypt(&client->region, &entry->line, &session->params,
	                          &e->pool.free->op);
	if (ret)
		return ret;

	request = request_new(client, entry);
	request->entry = session;
	request->slow = session->params.service == VCRYPTO_SERVICE_AKCIPHER;
	e->pool.slow += request->slow;
	cache_ref(e->cache, session);
	client->counters.bytes += entry->line.length;
	if (vc_likely(session->state == CACHE_READY)) {
		request->op.session = session->session;
		request_pend(request);
	} else {
		session_wait(e, request);
	}
	return 0;
}

static void entry_start(struct client *client, const struct channel_entry *entry)
{
	struct channel_result result = {0};

	switch (entry->line.opcode) {
	case VCE_OP_CRYPT:
		client->counters.requests++;
		result.result = crypt_start(client, entry);
		if (!result.result)
			return;
		client->counters.errors++;
		break;
	case VCE_OP_SESSION_OPEN:
		session_open(client, entry);
		return;
	case VCE_OP_SESSION_CLOSE:
		result.result = session_close(client, entry->line.session);
		break;
	case VCE_OP_NOP:
		break;
	default:
		result.result = -EINVAL;
	}
	complete(client, entry->slot, entry->generation, entry->line.waker, &result);
}

/* How many more a client may have in flight now. */
static unsigned int client_share(const struct client *client)
{
	const struct engined *e = client->engined;
	unsigned int share = vc_max(SHARE_MIN, e->pool.size / (e->clients_active + 1));
	unsigned int left = e->pool.size - e->pool.used;

	if (client->in_flight >= share)
		return 0;
	left = vc_min(left, share - client->in_flight);
	if (e->device.handle)
		left = vc_min(left, device_room(e, client->queue));
	return vc_min(left, ROUND_QUOTA);
}

static unsigned int client_channels(const struct client *client)
{
	uint32_t used =
		__atomic_load_n(&region_header(&client->region)->channels_used, __ATOMIC_RELAXED);

	return vc_min(used, client->region.layout.channels);
}

static unsigned int channel_drain(struct client *client, struct channel *channel,
                                  unsigned int quota)
{
	struct channel_entry entry;
	unsigned int taken = 0;
	int n = channel_pending(channel);

	if (n < 0) {
		client_break(client, "its ring overflows");
		return 0;
	}
	while (taken < (unsigned int)n && taken < quota) {
		if (channel_take(channel, &entry)) {
			client_break(client, "its ring names a slot that was not submitted");
			break;
		}
		entry_start(client, &entry);
		taken++;
	}
	if (taken)
		channel_publish(channel);
	return taken;
}

unsigned int request_take(struct client *client)
{
	unsigned int used = client_channels(client), quota = client_share(client);
	unsigned int i, taken = 0;

	if (!used)
		return 0;
	/* Another channel first each time: a busy one does not hold the others up. */
	if (++client->first_channel >= used)
		client->first_channel = 0;
	for (i = 0; i < used && taken < quota && client->state == CLIENT_LIVE; i++) {
		unsigned int c = client->first_channel + i;

		if (c >= used)
			c -= used;
		taken += channel_drain(client, &client->channels[c], quota - taken);
	}
	return taken;
}

bool request_waits(const struct client *client)
{
	unsigned int i, used = client_channels(client);

	for (i = 0; i < used; i++) {
		if (channel_pending(&client->channels[i]) != 0)
			return true;
	}
	return false;
}

bool request_ready(const struct client *client)
{
	return client_share(client) && request_waits(client);
}

/* ---- when the device is lost ---- */

static void request_lost(struct request *request)
{
	const struct channel_result result = {.result = -EIO};

	request_finish(request, &result);
}

/*
 * A request may be done twice as long as its input is there: the result takes another place, or
 * memory that the lost device could not write to. What was in place may be half done. (A result
 * that was written twice is the same, or, of a signature or a key that is made, as good.)
 */
static bool request_repeatable(const struct request *request)
{
	const struct vcrypto_op *op = &request->op;

	if (request->client->state != CLIENT_LIVE || request->repeated)
		return false;
	return request->state != REQUEST_DEVICE || request->client->copied || !op->length ||
	       op->dst != op->src;
}

void request_keep_all(struct engined *e)
{
	unsigned int i;

	for (i = 0; i < e->pool.size; i++) {
		struct request *request = &e->pool.slab[i];

		if (request->state == REQUEST_FREE || request->state == REQUEST_KEPT)
			continue;
		if (request_repeatable(request)) {
			request->state = REQUEST_KEPT;
			request->repeated = true;
		} else {
			request_lost(request);
		}
	}
	for (i = 0; i < ENGINED_MAX_QUEUES; i++) {
		e->device.queue[i].pending = NULL;
		e->device.queue[i].pending_end = &e->device.queue[i].pending;
		e->device.queue[i].pending_count = 0;
	}
}

void request_resume_all(struct engined *e)
{
	unsigned int i;

	for (i = 0; i < e->pool.size; i++) {
		struct request *request = &e->pool.slab[i];

		if (request->state != REQUEST_KEPT)
			continue;
		if (request->client->state == CLIENT_LIVE && request->client->registered) {
			e->device.repeated++;
			session_resume(e, request);
		} else {
			request_lost(request);
		}
	}
}

void request_fail_kept(struct engined *e)
{
	unsigned int i;

	for (i = 0; i < e->pool.size; i++)
		if (e->pool.slab[i].state == REQUEST_KEPT)
			request_lost(&e->pool.slab[i]);
}
