/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that rest readable.
 *
 * To empty an eventfd takes a system call, and the next signal another. Where a job's next
 * operation follows at once, its descriptor is left as the last signal made it: see wait.c for what
 * that saves. Nobody may take a descriptor that rests for news, though, and keep looking at it: few
 * rest at a time, and none once the channel has nothing in flight any more.
 *
 * Any thread. A descriptor that rests is in the list of one channel, of its waker's connection;
 * whoever takes it out, under rest_lock, is the one who may empty it or count on it.
 */
#include "openssl/core/internal.h"

static void rest_end(struct channel *channel, unsigned int at)
{
	waker_clear(channel->rested[at]);
	channel->rested[at] = NULL;
}

void rest_put(struct waker *waker, struct channel *channel)
{
	unsigned int at;

	pthread_mutex_lock(&channel->rest_lock);
	at = channel->rest_next++ % REST_MAX;
	if (channel->rested[at])
		rest_end(channel, at);
	channel->rested[at] = waker;
	waker->rests_in = channel;
	waker->rests_at = at;
	pthread_mutex_unlock(&channel->rest_lock);
}

bool rest_claim(struct waker *waker)
{
	struct channel *channel = waker->rests_in;
	bool rests;

	if (!channel)
		return false;
	waker->rests_in = NULL;
	pthread_mutex_lock(&channel->rest_lock);
	rests = channel->rested[waker->rests_at] == waker;
	if (rests)
		channel->rested[waker->rests_at] = NULL;
	pthread_mutex_unlock(&channel->rest_lock);
	return rests;
}

void rest_end_all(struct channel *channel)
{
	pthread_mutex_lock(&channel->rest_lock);
	for (unsigned int i = 0; i < vc_min(channel->rest_next, REST_MAX); i++)
		if (channel->rested[i])
			rest_end(channel, i);
	channel->rest_next = 0;
	pthread_mutex_unlock(&channel->rest_lock);
}
