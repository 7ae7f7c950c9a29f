/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which clients are looked at in a round.
 *
 * To look at a client is to read a cache line of its region that no cache of ours holds. With
 * hundreds of processes of which each has a request now and then, that is all that the daemon would
 * do. So clients are in two rings. Those of the one have submitted something lately and are looked
 * at in every round; of the others a share in each round, in turn, so that each of them is looked
 * at once in QUIET_SHARE rounds. Whoever rings the doorbell goes to the first ring.
 *
 * Nobody depends on this for a wake-up: before the daemon sleeps it looks at all clients of both
 * rings (loop.c), after it has said that it will sleep.
 */
#include "engined/engined.h"

#include "base/util.h"

/* Looks in vain after which a client is quiet. */
#define BUSY_LOOKS 16u
/* Of the quiet ones a round looks at so many at least, and else at one in so many. */
#define QUIET_LEAST 16u
#define QUIET_SHARE 16u

static void ring_remove(struct client *client)
{
	struct look_ring *ring = client->look_ring;

	if (!ring)
		return;
	client->look_next->look_prev = client->look_prev;
	client->look_prev->look_next = client->look_next;
	if (ring->first == client)
		ring->first = --ring->count ? client->look_next : NULL;
	else
		ring->count--;
	client->look_ring = NULL;
}

/* At the end: where the ring begins, as seen by who goes forward. */
static void ring_add(struct look_ring *ring, struct client *client)
{
	struct client *first = ring->first;

	ring_remove(client);
	if (!first) {
		client->look_next = client;
		client->look_prev = client;
		ring->first = client;
	} else {
		client->look_next = first;
		client->look_prev = first->look_prev;
		first->look_prev->look_next = client;
		first->look_prev = client;
	}
	client->look_ring = ring;
	ring->count++;
}

void look_soon(struct client *client)
{
	client->looks = 0;
	if (client->state == CLIENT_LIVE && client->look_ring != &client->engined->busy)
		ring_add(&client->engined->busy, client);
}

void look_never(struct client *client)
{
	ring_remove(client);
}

/*
 * A quiet one that has something is busy from now on. They come before the busy ones: where room is
 * short those would leave them none.
 */
static unsigned int quiet_take(struct engined *e)
{
	struct look_ring *quiet = &e->quiet;
	unsigned int n, taken = 0;

	n = vc_max((quiet->count + QUIET_SHARE - 1) / QUIET_SHARE, QUIET_LEAST);
	for (n = vc_min(n, quiet->count); n; n--) {
		struct client *client = quiet->first;
		unsigned int got;

		quiet->first = client->look_next;
		got = request_take(client);
		if (got)
			look_soon(client);
		taken += got;
	}
	return taken;
}

static unsigned int busy_take(struct engined *e)
{
	struct client *client = e->busy.first, *next;
	unsigned int n, got, taken = 0;

	for (n = e->busy.count; n--; client = next) {
		next = client->look_next;
		got = request_take(client);
		taken += got;
		if (got)
			client->looks = 0;
		/* One that only had to wait for room stays. */
		else if (++client->looks >= BUSY_LOOKS && !request_waits(client))
			ring_add(&e->quiet, client);
	}
	/* The first goes to the end: who comes first gets the most room. */
	if (taken && e->busy.first)
		e->busy.first = e->busy.first->look_next;
	return taken;
}

unsigned int look_take(struct engined *e)
{
	unsigned int taken = quiet_take(e);

	taken += busy_take(e);
	e->clients_active = e->clients_flying;
	return taken;
}
