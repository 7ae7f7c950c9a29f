/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The poll loop. One round: take what the device has done, move sessions on, take what clients have
 * submitted, hand it to the device. Descriptors (sockets, control, timers) are looked at every so
 * often while there is work, and slept on when there is none.
 */
#include "engined/engined.h"

#include <errno.h>

#include "base/log.h"
#include "base/util.h"

/* How often to look at descriptors under load. */
#define LOOK_US 200

void loop_stop(struct engined *e)
{
	e->stop = true;
}

static void sleeping_set(struct engined *e, uint32_t sleeping)
{
	struct client *client;

	for (client = e->clients; client; client = client->next) {
		if (client->state == CLIENT_LIVE)
			__atomic_store_n(&region_header(&client->region)->sleeping, sleeping,
			                 __ATOMIC_RELAXED);
	}
}

static bool clients_ready(struct engined *e)
{
	struct client *client;

	for (client = e->clients; client; client = client->next) {
		if (client->state == CLIENT_LIVE && request_ready(client)) {
			look_soon(client);
			return true;
		}
	}
	return false;
}

static void loop_sleep(struct engined *e)
{
	int timeout = -1;

	sleeping_set(e, 1);
	/*
	 * Full fence: partner of the one between a client's store of its tail and its load of
	 * sleeping. Either the client sees that we sleep and rings, or we see its tail below:
	 * every client's, however rarely look.c has us look at it otherwise.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (clients_ready(e) || device_arm(e))
		timeout = 0;
	else if (e->making)
		timeout = 1; /* the control queue has no descriptor of its own */
	else
		timeout = device_stalled(e);
	(void)evloop_once(e->loop, timeout);
	sleeping_set(e, 0);
	device_disarm(e);
}

static bool loop_round(struct engined *e)
{
	unsigned int worked;

	worked = device_poll(e);
	worked += session_poll(e);
	worked += look_take(e);
	device_flush(e);
	wake_flush(e->wake);
	worked += device_check(e);
	if (vc_unlikely(e->dying))
		client_reap(e);
	e->rounds++;
	return worked != 0;
}

/* Whether all that is in flight takes long. */
static bool slow_only(const struct engined *e)
{
	return e->pool.used && e->pool.slow == e->pool.used;
}

int loop_run(struct engined *e)
{
	uint64_t look = LOOK_US * clock_ticks_per_us(), last = clock_ticks(), now;
	bool worked;

	poller_init(&e->poller, e->config.polling.spin_us, e->config.polling.idle_us);
	while (!e->stop) {
		worked = loop_round(e);
		if (poller_idle(&e->poller, worked) ||
		    (!worked && slow_only(e) && poller_enough(&e->poller))) {
			loop_sleep(e);
			last = clock_ticks();
			continue;
		}
		now = clock_ticks();
		if (now - last > look) {
			(void)evloop_once(e->loop, 0);
			(void)device_stalled(e);
			last = now;
		}
	}
	return 0;
}
