/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the client share.
 *
 *   process.c     the process: options, the connection of now, threads, counters, fork
 *   debug.c       VCRYPTO_DEBUG
 *   connection.c  one connection to the daemon: set-up, wakers' registration, end
 *   channel.c     a channel: taking, submitting and giving back slots
 *   waker.c       wait contexts of ASYNC jobs and their descriptors
 *   key.c         keys and the daemon's handles for them
 *   layout.c      where an operation's data lies in a slot's buffer (pure)
 *   rest.c        descriptors that rest readable between operations
 *   wait.c        waiting for a slot
 *   run.c         operations: submit, harvest
 *
 * Locks: process.lock (set-up only), connection.socket_lock (WAKERS only; may be taken under none),
 * channel.lock (a few instructions, never around a system call), channel.rest_lock (under none; at
 * times around a read that does not block). None is held while a job is
 * paused, and none survives a fork: a child makes a new struct process and never touches the
 * parent's.
 */
#ifndef VC_OPENSSL_CORE_INTERNAL_H
#define VC_OPENSSL_CORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/util.h"
#include "openssl/core/core.h"
#include "wire/engine.h"

struct connection;
struct process;
struct waker;

/* ---- channel.c ---- */

enum slot_use {
	SLOT_FREE = 0,
	SLOT_BUSY,  /* somebody waits for it */
	SLOT_LIMBO, /* nobody waits any more; free once the daemon is done with it */
};

/* What only we know of a slot. */
struct slot_private {
	uint32_t generation;
	uint16_t next; /* in a list, index + 1 */
	uint8_t use;
	bool flying;         /* submitted, and neither given back nor left to itself */
	struct waker *waker; /* whose job waits for it */
};

/* Descriptors of a channel that may rest at once. */
#define REST_MAX 256u

struct channel {
	vc_cache_aligned pthread_mutex_t lock;
	struct vce_channel *ring; /* shared */
	struct vce_slot *slots;   /* shared */
	struct slot_private *private;
	uint32_t tail; /* ours alone */
	uint32_t mask;
	uint32_t buffer_offset; /* of slot 0's buffer, from the region's start */
	uint32_t buffer_stride;
	uint16_t free;      /* list, index + 1: last in, first out, so that few buffers are warm */
	uint16_t limbo;     /* list */
	unsigned int users; /* threads; process.lock */
	unsigned int flying;
	struct connection *connection;
	/* How waiting goes here, synchronous and in jobs; guesses, so races do not matter. */
	atomic_uint spin_misses, rest_misses;
	/* rest.c */
	pthread_mutex_t rest_lock;
	struct waker *rested[REST_MAX];
	atomic_uint rest_next;
};

struct slot_ref {
	struct channel *channel;
	uint32_t index;
};

static inline struct vce_slot *slot_of(struct slot_ref ref)
{
	return &ref.channel->slots[ref.index];
}

static inline uint32_t slot_buffer_offset(struct slot_ref ref)
{
	return ref.channel->buffer_offset + ref.index * ref.channel->buffer_stride;
}

uint8_t *slot_buffer(struct slot_ref ref);

void channel_init(struct channel *channel, struct connection *connection, uint32_t index);
void channel_exit(struct channel *channel);
/* See that the daemon looks at a channel. */
void channel_use(struct connection *connection, uint32_t index);
/* A slot, of this channel or else of any of its connection. 0; -EAGAIN when all are busy. */
int channel_take(struct channel *channel, struct slot_ref *ref);
/* Hand the slot, which has been filled, to the daemon; ring its doorbell later. */
void channel_submit(struct slot_ref ref, struct waker *waker);
/* Whether the daemon is done with it; result and data may then be read. */
bool channel_done(struct slot_ref ref);
/* Give a slot back that is done, or that was never submitted. */
void channel_release(struct slot_ref ref);
/* Leave a slot that is not done to itself. */
void channel_abandon(struct slot_ref ref);
/* Leave all slots of a waker whose job will never run again. */
void channel_orphan(struct channel *channel, const struct waker *waker);

/* ---- connection.c ---- */

struct connection {
	atomic_uint refs;
	atomic_bool dead;
	uint32_t id; /* differs from that of every connection before, of our ancestors too */
	struct process *process;
	int socket;
	dev_t socket_dev; /* to know it again: applications close descriptors that are not theirs */
	ino_t socket_ino;
	int doorbell;
	uint8_t *base;
	uint64_t size;
	struct vce_region_header *header; /* shared */
	/* From the header, once. */
	uint32_t channels, slots, buffer_size;
	struct channel *channel;
	atomic_uint channels_used;
	/* Wakers. */
	pthread_mutex_t socket_lock;
	unsigned int wakers; /* registered; socket_lock */
	int timer;           /* timerfd, in every waker's epoll; -1 before the first */
	_Atomic uint64_t timer_ns;
	/* Handles to be closed when there is a slot for it. */
	pthread_mutex_t close_lock;
	uint32_t *close_list;
	atomic_uint close_count;
	unsigned int close_size;
};

/* Connect and say HELLO. 0 or -errno. */
int connection_open(struct process *process, const char *path, unsigned int timeout_ms,
                    struct connection **connection);
struct connection *connection_ref(struct connection *connection);
void connection_unref(struct connection *connection);
/* For us it is over, and the daemon may forget us; those who still use it find it dead. */
void connection_shut(struct connection *connection);
/* In a forked child: give up the parent's, as far as the child holds it. */
void connection_abandon(struct connection *connection);
/* Look at the socket (a system call or two). False: the daemon is gone. */
bool connection_alive(struct connection *connection);
/* Wake the daemon if it sleeps. True: it did. */
bool connection_ring(struct connection *connection);
/* Register eventfds; *first: number of the first. How many were taken, or -errno. */
int connection_wakers(struct connection *connection, const int *fds, unsigned int n,
                      uint32_t *first);
/* See that the timer fires at the latest at this time. */
void connection_timer(struct connection *connection, uint64_t deadline_ns);
/* Close a session of the daemon, now or later. */
void connection_close_session(struct connection *connection, struct channel *channel,
                              uint32_t handle);
/* Close what has been put off. */
void connection_close_pending(struct connection *connection, struct channel *channel);

static inline bool connection_dead(struct connection *connection)
{
	return atomic_load_explicit(&connection->dead, memory_order_relaxed);
}

/* Acquire: partner of the daemon's release, so that what the device offers is there. */
static inline bool connection_offline(const struct connection *connection)
{
	return __atomic_load_n(&connection->header->offline, __ATOMIC_ACQUIRE) != 0;
}

/* ---- process.c ---- */

/* A thread's share: freed when it ends. */
struct thread {
	struct thread *next, *prev; /* process.lock */
	struct process *process;
	struct connection *connection; /* a reference, or NULL */
	struct channel *channel;
};

struct process {
	pthread_mutex_t lock;
	const uint8_t *ours; /* a page that a fork wipes: 0 in a child */
	pid_t pid;           /* where there are no such pages */
	_Atomic(struct connection *) connection;
	struct thread *threads;
	_Atomic uint64_t retry_ns; /* connect no earlier */
	unsigned int backoff_ms;
	struct waker *wakers; /* unused ones; lock */
	unsigned int wakers_unused;
	struct process *parent; /* the abandoned one, kept so that nothing of it is reused */
	/* Counters: of the process, and what no daemon has been told yet. */
	struct vce_client_stats total, untold;
};

/* The process of now; a new one after a fork. NULL without memory. */
struct process *process_get(void);
bool process_is_ours(const struct process *process);
/* The calling thread with a live connection. 0; -ECONNREFUSED and the like; -ENOMEM. */
int process_connect(struct process *process, struct thread **thread);
/* The calling thread if it has a connection, without making one. */
struct thread *process_thread(struct process *process);
/* A reference to the live connection of the process, NULL: none. */
struct connection *process_connection(struct process *process);
unsigned int process_deadline_ms(void);
void process_count_fallback(struct process *process, struct connection *connection,
                            enum vce_fallback reason);
void process_count_offload(struct process *process, struct connection *connection,
                           enum vce_class class);

/* ---- waker.c ---- */

struct waker {
	struct waker *next; /* among the unused ones */
	struct process *process;
	struct connection *connection; /* a reference; whose socket and timer are in epoll */
	int epoll;                     /* what the application waits on: eventfd, socket, timer */
	int event;
	struct channel *rests_in; /* where it rests, or rested when its job last looked */
	unsigned int rests_at;
	uint32_t number;  /* at the daemon */
	atomic_uint busy; /* runs that use it */
	bool tied;        /* to a wait context, which then owns it */
};

/*
 * The waker of the wait context of the job that runs now, on this connection; it is held until
 * waker_put(). NULL: not in a job, or the job must be waited for synchronously.
 */
struct waker *waker_get(struct process *process, struct connection *connection);
void waker_put(struct waker *waker);
/* Before the job pauses: let the application see the descriptor. False: it cannot. */
bool waker_tie(struct waker *waker);
/* Close the unused ones. */
void waker_teardown(struct process *process);

/* ---- rest.c ---- */

/* The waker's descriptor is readable, or will be at once, and stays so. Its own job. */
void rest_put(struct waker *waker, struct channel *channel);
/* True: it rested, and is its job's again. Before it is closed, or goes to another connection. */
bool rest_claim(struct waker *waker);
/* Empty all that rest here. */
void rest_end_all(struct channel *channel);

/* ---- wait.c ---- */

struct run {
	struct process *process;
	struct connection *connection; /* held by the thread, or the waker */
	struct channel *channel;
	struct waker *waker;  /* NULL: wait synchronously */
	uint64_t deadline_ns; /* from the last progress on */
	bool late;            /* the deadline has passed, and was moved on once */
	int broken;           /* -EPIPE or -ETIMEDOUT: submit no more, wait no more */
	bool forked;          /* we are in a child: the region is the parent's */
	bool is_long;         /* longer than the way there and back */
	bool woke;            /* the daemon slept, and the work is not of the long kind */
};

/* The deadline begins now. */
void run_progress(struct run *run);
/* Until the slot is done: 0; -ETIMEDOUT, -EPIPE. */
int slot_await(struct run *run, struct slot_ref ref);

/* ---- key.c ---- */

struct core_key {
	atomic_uint refs;
	_Atomic uint64_t open; /* connection's id above the daemon's handle */
	uint32_t size;
	uint8_t *blob; /* struct vce_session_params and keys; secmem */
	const struct vce_session_params *params;
};

static inline uint64_t key_open_value(const struct connection *connection, uint32_t handle)
{
	return (uint64_t)connection->id << 32 | handle;
}

/* The handle of a key that is open on this connection, 0: not open. */
static inline uint32_t key_handle(const struct core_key *key, const struct connection *connection)
{
	uint64_t open = atomic_load_explicit(&key->open, memory_order_acquire);

	return open >> 32 == connection->id ? (uint32_t)open : 0;
}

/* ---- layout.c ---- */

/* Offsets in the slot's buffer. */
struct layout {
	uint32_t src, dst, tag, aad;
	uint32_t lead; /* chains: bytes of additional data in front of src, part of the message */
	uint32_t tag_len;
	uint32_t dst_len; /* bytes that come out */
	bool tag_in, tag_out;
};

/* 0; -EINVAL when lengths are wrong or more than size bytes are needed. */
int layout_op(const struct vce_session_params *params, const struct core_op *op, uint32_t size,
              struct layout *layout);

#endif
