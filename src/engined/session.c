/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: clients' handles, and making the device's sessions without ever waiting for them.
 *
 * A handle is a client's own: 16 bits of generation above 16 bits of index + 1. It refers to a
 * cache entry, which survives the device: the device's session is made again when next needed.
 */
#include "engined/engined.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secmem.h"
#include "base/util.h"

/* The device answers on its control queue within this time, or is taken for dead. */
#define CONTROL_DEADLINE_NS 2000000000ull
#define HANDLES_FIRST 16u

/* ---- handles ---- */

static int handles_grow(struct client *client)
{
	unsigned int i, size = client->handles_size ? client->handles_size * 2 : HANDLES_FIRST;
	struct handle *handles;

	size = vc_min(size, client->engined->config.limits.sessions);
	if (size == client->handles_size)
		return -ENOSPC;
	handles = realloc(client->handles, size * sizeof(*handles));
	if (!handles)
		return -ENOMEM;
	for (i = client->handles_size; i < size; i++) {
		handles[i] = (struct handle){.generation = 1, .next_free = client->handles_free};
		client->handles_free = (uint16_t)(i + 1);
	}
	client->handles = handles;
	client->handles_size = size;
	return 0;
}

static int handle_new(struct client *client, struct cache_entry *entry, uint32_t *number)
{
	struct handle *handle;
	unsigned int index;
	int ret;

	if (!client->handles_free) {
		ret = handles_grow(client);
		if (ret)
			return ret;
	}
	index = client->handles_free - 1u;
	handle = &client->handles[index];
	client->handles_free = handle->next_free;
	client->handles_used++;
	handle->entry = entry;
	cache_ref(client->engined->cache, entry);
	*number = (uint32_t)handle->generation << 16 | (index + 1);
	return 0;
}

static struct handle *handle_find(struct client *client, uint32_t number)
{
	unsigned int index = (number & 0xffff) - 1u;
	struct handle *handle;

	if (index >= client->handles_size)
		return NULL;
	handle = &client->handles[index];
	return handle->entry && handle->generation == number >> 16 ? handle : NULL;
}

static void handle_drop(struct client *client, struct handle *handle)
{
	session_put(client->engined, handle->entry);
	handle->entry = NULL;
	handle->generation++;
	handle->next_free = client->handles_free;
	client->handles_free = (uint16_t)(handle - client->handles + 1);
	client->handles_used--;
}

struct cache_entry *session_lookup(struct client *client, uint32_t number)
{
	struct handle *handle = handle_find(client, number);

	return handle ? handle->entry : NULL;
}

int session_close(struct client *client, uint32_t number)
{
	struct handle *handle = handle_find(client, number);

	if (!handle)
		return -ENOKEY;
	handle_drop(client, handle);
	return 0;
}

void session_drop_client(struct client *client)
{
	unsigned int i;

	for (i = 0; i < client->handles_size; i++) {
		if (client->handles[i].entry)
			handle_drop(client, &client->handles[i]);
	}
	free(client->handles);
	client->handles = NULL;
	client->handles_size = 0;
}

/* ---- waiting for the device ---- */

void session_wait(struct engined *e, struct request *request)
{
	struct cache_entry *entry = request->entry;

	request->state = REQUEST_WAITING;
	request->next = NULL;
	*entry->waiting_end = request;
	entry->waiting_end = &request->next;
	if (entry->state != CACHE_NONE)
		return;
	entry->state = CACHE_WANTED;
	entry->deadline = clock_now_ns() + CONTROL_DEADLINE_NS;
	entry->late = false;
	entry->next_making = e->making;
	e->making = entry;
}

static void open_finish(struct request *request, int error)
{
	struct channel_result result = {.result = error};

	if (!error && request->client->state == CLIENT_LIVE)
		result.result = handle_new(request->client, request->entry, &result.handle);
	request_finish(request, &result);
}

void session_resume(struct engined *e, struct request *request)
{
	struct cache_entry *entry = request->entry;

	if (entry->state != CACHE_READY) {
		session_wait(e, request);
	} else if (request->opcode == VCE_OP_SESSION_OPEN) {
		open_finish(request, 0);
	} else {
		request->op.session = entry->session;
		request_pend(request);
	}
}

/* The entry has left the list of those being made; each waiting request has its own reference. */
static void session_settle(struct engined *e, struct cache_entry *entry, int error)
{
	struct channel_result result = {.result = error};
	struct request *request = entry->waiting, *next;

	entry->waiting = NULL;
	entry->waiting_end = &entry->waiting;
	entry->state = error ? CACHE_NONE : CACHE_READY;
	for (; request; request = next) {
		next = request->next;
		if (!error)
			session_resume(e, request);
		else if (request->opcode == VCE_OP_SESSION_OPEN)
			open_finish(request, error);
		else
			request_finish(request, &result);
	}
}

/* One step. -EINPROGRESS; else what came out. */
static int session_step(struct engined *e, struct cache_entry *entry)
{
	int ret;

	if (entry->state == CACHE_WANTED) {
		ret = vcrypto_session_create_begin(e->device.handle, &entry->params,
		                                   &entry->session);
		if (ret == -EAGAIN)
			return -EINPROGRESS;
		if (ret) {
			entry->session = NULL;
			return ret;
		}
		entry->state = CACHE_MAKING;
	}
	ret = vcrypto_session_state(entry->session);
	if (ret == 0 || ret == -EINPROGRESS)
		return ret;
	vcrypto_session_destroy(entry->session);
	entry->session = NULL;
	entry->state = CACHE_WANTED;
	/* Full: what nobody uses makes room. */
	if (ret == -ENOSPC && cache_evict(e->cache))
		return -EINPROGRESS;
	return ret;
}

/* The machine may have been suspended, so that nobody could answer in time: once more. */
static void session_late(struct cache_entry *entry, uint64_t now)
{
	entry->late = true;
	entry->deadline = now + CONTROL_DEADLINE_NS / 4;
}

unsigned int session_poll(struct engined *e)
{
	struct cache_entry **link = &e->making, *entry;
	unsigned int moved = 0;
	uint64_t now;
	int ret;

	if (!e->making || !e->device.handle)
		return 0;
	now = clock_now_ns();
	while ((entry = *link)) {
		ret = session_step(e, entry);
		if (ret == -EINPROGRESS) {
			if (now > entry->deadline && entry->late)
				device_fail(e, "it does not answer on its control queue");
			else if (now > entry->deadline)
				session_late(entry, now);
			link = &entry->next_making;
			continue;
		}
		if (ret == -EPIPE) {
			device_fail(e, "it is gone");
			break;
		}
		*link = entry->next_making;
		moved++;
		/* Its requests keep the entry; settling may drop the last of them, and it. */
		session_settle(e, entry, ret);
	}
	return moved;
}

static void entry_lost(void *context, struct cache_entry *entry)
{
	entry->session = NULL; /* went with the device */
	if (entry->state == CACHE_READY)
		entry->state = CACHE_NONE;
}

void session_device_gone(struct engined *e)
{
	struct cache_entry *entry, *next;

	cache_each(e->cache, entry_lost, NULL);
	/* Those who wait for them are the caller's to keep or fail. */
	for (entry = e->making, e->making = NULL; entry; entry = next) {
		next = entry->next_making;
		entry->waiting = NULL;
		entry->waiting_end = &entry->waiting;
		entry->state = CACHE_NONE;
	}
}

/* ---- SESSION_OPEN ---- */

/* Copy the metadata out of the region and wipe it there. NULL: wrong place, or no memory. */
static uint8_t *blob_take(const struct client *client, const struct vce_slot *line)
{
	uint8_t *blob = NULL, *place;

	if (!region_holds(&client->region.layout, line->src, line->length))
		return NULL;
	place = client->region.base + line->src;
	if (line->length >= sizeof(struct vce_session_params) && line->length <= CACHE_MAX_BLOB)
		blob = secmem_alloc(line->length);
	if (blob)
		memcpy(blob, place, line->length);
	secmem_wipe(place, line->length);
	return blob;
}

void session_open(struct client *client, const struct channel_entry *slot)
{
	struct engined *e = client->engined;
	struct request *request = request_new(client, slot);
	struct cache_entry *entry = NULL;
	uint8_t *blob;
	int ret = -EINVAL;

	blob = blob_take(client, &slot->line);
	if (blob)
		ret = cache_get(e->cache, blob, slot->line.length, &entry);
	if (!ret)
		request->entry = entry;
	if (!ret && (!e->device.handle || !client->registered))
		ret = -EIO;
	if (ret || entry->state == CACHE_READY)
		open_finish(request, ret);
	else
		session_wait(e, request);
}

/* ---- the cache ---- */

void session_put(struct engined *e, struct cache_entry *entry)
{
	if (entry)
		cache_put(e->cache, entry, entry->refs == 1 ? clock_now_ns() : 0);
}

static void entry_drop(void *context, struct cache_entry *entry)
{
	vcrypto_session_destroy(entry->session);
}

static void expire(void *context)
{
	struct engined *e = context;
	uint64_t idle_ms = e->config.session_cache.idle_seconds * 1000ull;

	cache_expire(e->cache, clock_now_ns());
	evloop_remove(e->expire_timer);
	e->expire_timer = NULL;
	/* Twice in the idle time: nobody minds a session that lives half as long again. */
	(void)evloop_timer(e->loop, (unsigned int)vc_max(1000, idle_ms / 2), expire, e,
	                   &e->expire_timer);
}

int session_init(struct engined *e)
{
	e->cache = cache_create(e->config.session_cache.max,
	                        e->config.session_cache.idle_seconds * 1000000000ull, NULL,
	                        entry_drop, e);
	if (!e->cache)
		return -ENOMEM;
	expire(e);
	return 0;
}

void session_exit(struct engined *e)
{
	evloop_remove(e->expire_timer);
	e->expire_timer = NULL;
	cache_destroy(e->cache);
	e->cache = NULL;
}
