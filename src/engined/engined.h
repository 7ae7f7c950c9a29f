/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of vcrypto-engined share. All of it belongs to the daemon's one thread.
 *
 *   main.c     command line, start and end
 *   config.c   engined.yaml
 *   loop.c     the poll loop: when to look, when to sleep
 *   look.c     which clients are looked at in a round
 *   client.c   connections: HELLO, wakers, death
 *   region.c   a client's memory
 *   channel.c  its rings and slots (pure)
 *   request.c  from a slot to the device and back
 *   session.c  sessions: open, make on the device, close
 *   cache.c    which key is which session (pure)
 *   device.c   the virtio-crypto device: open, lose, open again, bursts
 *   wake.c     waking clients
 *   status.c   the control socket
 */
#ifndef VC_ENGINED_ENGINED_H
#define VC_ENGINED_ENGINED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ctl.h"
#include "base/evloop.h"
#include "base/poller.h"
#include "base/sandbox.h"
#include "engined/cache.h"
#include "engined/channel.h"
#include "engined/config.h"
#include "engined/region.h"
#include "engined/wake.h"
#include "vcrypto/vcrypto.h"
#include "wire/engine.h"

#define ENGINED_MAX_QUEUES 64
/* Operations handed to or taken from the device at once. */
#define ENGINED_BURST 64

struct engined;
struct client;

enum request_state {
	REQUEST_FREE = 0,
	REQUEST_WAITING, /* for its session to be made */
	REQUEST_PENDING, /* for its queue */
	REQUEST_DEVICE,  /* in flight */
	REQUEST_KEPT,    /* for the device to come back */
};

/* One request between the slot and the device; from a slab, in memory of the daemon's own. */
struct request {
	struct vcrypto_op op; /* first: op and request have one address */
	struct request *next;
	struct client *client;
	struct cache_entry *entry; /* a reference */
	struct vce_slot *slot;
	uint32_t generation;
	uint16_t waker;
	uint8_t opcode;
	uint8_t state;
	bool slow;     /* takes long: a wake-up beside it counts for little */
	bool repeated; /* has been kept once: what brings a device down is not given it again */
};

/* ---- client.c ---- */

enum client_state {
	CLIENT_NEW, /* has not said HELLO */
	CLIENT_LIVE,
	CLIENT_DYING, /* waits for what is in flight, then goes */
};

/* What a handle of a client stands for. */
struct handle {
	struct cache_entry *entry; /* a reference; NULL: free */
	uint16_t generation;
	uint16_t next_free; /* index + 1 */
};

struct client_counters {
	uint64_t requests, bytes, errors;
	struct vce_client_stats word; /* the client's own word */
};

struct client {
	struct client *next, *prev;
	struct engined *engined;
	/* See look.c. */
	struct client *look_next, *look_prev;
	struct look_ring *look_ring; /* that it is in; NULL: none */
	unsigned int looks;          /* in vain, since something was there */

	enum client_state state;
	int socket;
	struct evwatch *watch;
	int pidfd; /* -1 where the kernel has none */
	struct evwatch *pid_watch;
	struct evwatch *hello_timer;
	pid_t pid;
	uid_t uid;
	gid_t gid;
	bool trusted; /* root or our own user: could stop us anyway */
	char name[65];

	struct region region;
	bool registered; /* the device of today can reach the region */
	bool copied;     /* by copies only: it writes nothing there by itself */
	int doorbell;
	struct evwatch *doorbell_watch;
	int *wakers;
	unsigned int wakers_count;
	struct channel *channels;
	unsigned int first_channel; /* where to look first in the next round */

	struct handle *handles;
	unsigned int handles_size, handles_used;
	uint16_t handles_free; /* index + 1, 0: none */

	unsigned int queue; /* of the device */
	unsigned int in_flight;
	struct client_counters counters;
};

int client_listen(struct engined *e);
void client_unlisten(struct engined *e);
/* The client broke the rules or is gone. Frees nothing yet. */
void client_break(struct client *client, const char *reason);
/* Free clients that are dying and have nothing in flight. */
void client_reap(struct engined *e);
/* Drop all, whatever is in flight. */
void client_drop_all(struct engined *e);
/* Let the device reach the client's region. 0 or -errno. */
int client_register(struct client *client);
/* Counters of a client with its own word as of now. */
void client_counters_get(const struct client *client, struct client_counters *counters);
void client_counters_add(struct client_counters *sum, const struct client_counters *counters);

/* ---- request.c ---- */

struct request_pool {
	struct request *slab;
	struct request *free;
	unsigned int size, used;
	unsigned int slow; /* of those used */
};

int request_pool_init(struct engined *e);
void request_pool_free(struct engined *e);
/* Take what a client has submitted, within its share. How many were taken. */
unsigned int request_take(struct client *client);
/* Whether request_take() would find something. */
bool request_ready(const struct client *client);
/* Whether there is something, even if it has to wait for room. */
bool request_waits(const struct client *client);
/* Take a request from the slab for the client. There is room: request_take() has seen to that. */
struct request *request_new(struct client *client, const struct channel_entry *entry);
/* Give the result to the client and the request back to the slab. */
void request_finish(struct request *request, const struct channel_result *result);
/* A request whose session is ready. */
void request_pend(struct request *request);
/* The device is gone: keep what can be done again, from slot to device; the rest fails with -EIO.
 */
void request_keep_all(struct engined *e);
/* The device is there: do again what was kept. */
void request_resume_all(struct engined *e);
/* It did not come back in time: what was kept fails. */
void request_fail_kept(struct engined *e);

/* ---- session.c ---- */

/* SESSION_OPEN and SESSION_CLOSE. */
void session_open(struct client *client, const struct channel_entry *entry);
int session_close(struct client *client, uint32_t handle);
/* The entry behind a handle, NULL for a wrong one. */
struct cache_entry *session_lookup(struct client *client, uint32_t handle);
/* Back to the device with a request that was kept. */
void session_resume(struct engined *e, struct request *request);
/* Park a request until its session is there. */
void session_wait(struct engined *e, struct request *request);
/* Drop all handles of a client. */
void session_drop_client(struct client *client);
/* Make sessions that are wanted; finish those that are made. How many moved. */
unsigned int session_poll(struct engined *e);
/* The device is gone, and all its sessions with it. */
void session_device_gone(struct engined *e);
void session_put(struct engined *e, struct cache_entry *entry);
int session_init(struct engined *e);
void session_exit(struct engined *e);

/* ---- device.c ---- */

struct device_queue {
	struct vcrypto_queue *queue;
	struct evwatch *watch;
	struct request *pending, **pending_end;
	unsigned int pending_count;
	struct vcrypto_queue_stats past; /* of devices that are gone */
	/* See device_stalled(). */
	uint64_t moved;    /* operations done when it was last looked */
	uint64_t still_ns; /* that they have been as many */
};

struct device {
	struct vcrypto_device *handle; /* NULL: down */
	const char *failed; /* why it is to be closed; set anywhere, acted on in the loop */
	struct evwatch *watch, *timer;
	unsigned int backoff_ms;
	unsigned int queues;
	struct device_queue queue[ENGINED_MAX_QUEUES];
	struct vcrypto_capabilities caps;
	char error[200];    /* why it is down; "" */
	uint64_t looked_ns; /* device_stalled() */
	uint64_t opened;    /* times */
	uint64_t repeated;  /* requests that were given to a device again */
	struct evwatch *keep_timer;
	uint64_t opened_ns;
};

void device_init(struct engined *e);
/* Its address or its socket. */
const char *device_name(const struct engined *e);
/* Look whether it has stopped answering. How long until it is to be asked again, in ms; -1: not
 * before something happens. */
int device_stalled(struct engined *e);
/* Try to open; sets the timer for another try when it fails. */
void device_try_open(struct engined *e);
/* Note that it has failed; device_check() closes it. The text is static. */
void device_fail(struct engined *e, const char *why);
/* Close what has failed and begin to reopen. True if so. */
bool device_check(struct engined *e);
/* For good: whatever is under way fails. */
void device_close(struct engined *e);
unsigned int device_poll(struct engined *e);
void device_flush(struct engined *e);
/* Requests that queue index still takes. */
unsigned int device_room(const struct engined *e, unsigned int index);
/* Before and after sleeping. True: something is there already. */
bool device_arm(struct engined *e);
void device_disarm(struct engined *e);
/* Write what the device offers, and whether it is there, into a client's header. */
void device_announce(const struct engined *e, struct client *client);
void device_queue_stats(const struct engined *e, unsigned int index,
                        struct vcrypto_queue_stats *stats);

/* ---- look.c ---- */

/* Clients, the one to be looked at first. */
struct look_ring {
	struct client *first;
	unsigned int count;
};

/* Take what clients have submitted: one round. How many requests were taken. */
unsigned int look_take(struct engined *e);
/* Look at this one in each of the next rounds: it is new, or says that it has something. */
void look_soon(struct client *client);
/* Before it is freed. */
void look_never(struct client *client);

/* ---- loop.c ---- */

int loop_run(struct engined *e);
/* Everything goes to sleep for good; called from callbacks. */
void loop_stop(struct engined *e);

/* ---- status.c ---- */

int status_open(struct engined *e, const char *path);
void status_close(struct engined *e);

/* ---- the daemon ---- */

struct engined {
	struct engined_config config;
	struct evloop *loop;
	struct wake *wake;
	struct cache *cache;
	struct cache_entry *making; /* wanted or being made */
	struct evwatch *expire_timer;
	struct ctl_server *ctl;
	struct device device;
	struct request_pool pool;
	struct client *clients;
	unsigned int clients_count;
	struct look_ring busy, quiet; /* those that are served: look.c */
	unsigned int clients_flying;  /* with something in flight */
	unsigned int clients_active;  /* the same after the last round */
	unsigned int dying;
	int listener;
	struct evwatch *listen_watch, *listen_timer;
	unsigned int wakers_total, wakers_max; /* descriptors of all clients */
	struct poller poller;
	bool stop;
	uint64_t rounds;
	uint64_t started_ns;
	struct sandbox sandbox;
	uint64_t clients_ever;
	struct client_counters past; /* of clients that are gone */
};

#endif
