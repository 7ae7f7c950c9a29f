/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel: slots are taken, filled, submitted, and given back. Any thread: a channel belongs to
 * one thread as a rule, but an ASYNC job may end on another one, and threads beyond the number of
 * channels share. The lock is held for a few instructions only.
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* How many abandoned slots are looked at when one is taken. */
#define LIMBO_LOOK 4

uint8_t *slot_buffer(struct slot_ref ref)
{
	return ref.channel->connection->base + slot_buffer_offset(ref);
}

static void list_push(struct channel *channel, uint16_t *list, uint32_t index)
{
	channel->private[index].next = *list;
	*list = (uint16_t)(index + 1);
}

void channel_init(struct channel *channel, struct connection *connection, uint32_t index)
{
	const struct vce_region_header *header = connection->header;
	uint8_t *base = connection->base + header->channel_offset +
	                (uint64_t)index * header->channel_stride;
	uint32_t i;

	pthread_mutex_init(&channel->lock, NULL);
	pthread_mutex_init(&channel->rest_lock, NULL);
	channel->connection = connection;
	channel->ring = (struct vce_channel *)(void *)base;
	channel->slots = (struct vce_slot *)(void *)(base + header->slot_offset);
	channel->mask = connection->slots - 1;
	channel->buffer_stride = header->buffer_stride;
	channel->buffer_offset =
		(uint32_t)(header->buffer_offset +
	                   (uint64_t)index * connection->slots * header->buffer_stride);
	for (i = connection->slots; i-- > 0;)
		list_push(channel, &channel->free, i);
}

void channel_exit(struct channel *channel)
{
	pthread_mutex_destroy(&channel->lock);
	pthread_mutex_destroy(&channel->rest_lock);
}

bool channel_done(struct slot_ref ref)
{
	uint32_t generation = ref.channel->private[ref.index].generation;

	/* Acquire: partner of the daemon's release of DONE, after result and data. */
	return __atomic_load_n(&slot_of(ref)->state, __ATOMIC_ACQUIRE) ==
	       VCE_SLOT_STATE(generation, VCE_SLOT_DONE);
}

static void slot_free(struct channel *channel, uint32_t index)
{
	channel->private[index].use = SLOT_FREE;
	channel->private[index].waker = NULL;
	list_push(channel, &channel->free, index);
}

/* Take back what nobody waits for and the daemon is done with, looking at so many at least. How
 * many were operations: the daemon's own answers come from it alone, and say nothing of its device.
 */
static unsigned int limbo_reclaim(struct channel *channel, unsigned int look)
{
	uint16_t *link = &channel->limbo;
	unsigned int looked = 0, operations = 0;

	while (*link && (looked++ < look || !channel->free)) {
		uint32_t index = *link - 1u;
		struct slot_ref ref = {channel, index};

		if (!channel_done(ref)) {
			link = &channel->private[index].next;
			continue;
		}
		*link = channel->private[index].next;
		operations += channel->slots[index].opcode == VCE_OP_CRYPT;
		slot_free(channel, index);
	}
	return operations;
}

unsigned int channel_late_answers(struct channel *channel)
{
	unsigned int n;

	pthread_mutex_lock(&channel->lock);
	n = limbo_reclaim(channel, UINT_MAX);
	pthread_mutex_unlock(&channel->lock);
	return n;
}

static bool take_from(struct channel *channel, struct slot_ref *ref)
{
	bool taken = false;

	pthread_mutex_lock(&channel->lock);
	if (channel->limbo)
		(void)limbo_reclaim(channel, LIMBO_LOOK);
	if (channel->free) {
		struct slot_private *private = &channel->private[channel->free - 1];

		ref->channel = channel;
		ref->index = channel->free - 1u;
		channel->free = private->next;
		private->use = SLOT_BUSY;
		private->generation = (private->generation + 1) & (UINT32_MAX >> 2);
		taken = true;
	}
	pthread_mutex_unlock(&channel->lock);
	return taken;
}

void channel_use(struct connection *connection, uint32_t index)
{
	unsigned int used = atomic_load(&connection->channels_used);

	while (used <= index &&
	       !atomic_compare_exchange_weak(&connection->channels_used, &used, index + 1))
		;
	/* The daemon looks at the first so many. Again as long as another raises it. */
	do {
		used = atomic_load(&connection->channels_used);
		__atomic_store_n(&connection->header->channels_used, used, __ATOMIC_RELEASE);
	} while (used != atomic_load(&connection->channels_used));
}

int channel_take(struct channel *channel, struct slot_ref *ref)
{
	struct connection *connection = channel->connection;
	uint32_t i;

	if (vc_likely(take_from(channel, ref)))
		return 0;
	/* Another's, or one that nobody uses yet: those with the lowest numbers first. */
	for (i = 0; i < connection->channels; i++) {
		if (!take_from(&connection->channel[i], ref))
			continue;
		if (i >= atomic_load_explicit(&connection->channels_used, memory_order_relaxed))
			channel_use(connection, i);
		return 0;
	}
	return -EAGAIN;
}

void channel_submit(struct slot_ref ref, struct waker *waker)
{
	struct channel *channel = ref.channel;
	struct slot_private *private = &channel->private[ref.index];

	__atomic_store_n(&slot_of(ref)->state, VCE_SLOT_STATE(private->generation, VCE_SLOT_QUEUED),
	                 __ATOMIC_RELAXED);
	pthread_mutex_lock(&channel->lock);
	private->waker = waker;
	private->flying = true;
	channel->flying++;
	channel->ring->ring[channel->tail & channel->mask] = (uint16_t)ref.index;
	channel->tail++;
	/* Release: partner of the daemon's acquire of tail; entry, slot and data before it. */
	__atomic_store_n(&channel->ring->tail, channel->tail, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&channel->lock);
}

/* Nobody waits for it any more. Whether it was the last. */
static bool slot_landed(struct channel *channel, struct slot_private *private)
{
	if (!private->flying)
		return false;
	private->flying = false;
	return !--channel->flying;
}

void channel_release(struct slot_ref ref)
{
	struct channel *channel = ref.channel;
	bool last;

	pthread_mutex_lock(&channel->lock);
	last = slot_landed(channel, &channel->private[ref.index]);
	slot_free(channel, ref.index);
	pthread_mutex_unlock(&channel->lock);
	if (last && atomic_load_explicit(&channel->rest_next, memory_order_relaxed))
		rest_end_all(channel);
}

void channel_abandon(struct slot_ref ref)
{
	struct channel *channel = ref.channel;

	pthread_mutex_lock(&channel->lock);
	slot_landed(channel, &channel->private[ref.index]);
	channel->private[ref.index].use = SLOT_LIMBO;
	channel->private[ref.index].waker = NULL;
	list_push(channel, &channel->limbo, ref.index);
	pthread_mutex_unlock(&channel->lock);
}

void channel_orphan(struct channel *channel, const struct waker *waker)
{
	uint32_t i;

	pthread_mutex_lock(&channel->lock);
	for (i = 0; i <= channel->mask; i++) {
		struct slot_private *private = &channel->private[i];

		if (private->use != SLOT_BUSY || private->waker != waker)
			continue;
		slot_landed(channel, private);
		private->use = SLOT_LIMBO;
		private->waker = NULL;
		list_push(channel, &channel->limbo, i);
	}
	pthread_mutex_unlock(&channel->lock);
}
