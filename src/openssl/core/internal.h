/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the client share.
 *
 *   process.c     the process: options, the connection of now, threads, counters, fork
 *   debug.c       VCRYPTO_DEBUG
 *   connection.c  one connection to the daemon: set-up, wakers' registration, end
 *   channel.c     a channel: taking, submitting and giving back slots
 *   waker.c       wait contexts of ASYNC jobs and their descriptors
 *   alarm.c       timers that resume jobs when nobody else does
 *   descriptor.c  telling our descriptors from those of the application
 *   breaker.c     when to leave a daemon alone that does not answer (pure)
 *   key.c         keys and the daemon's handles for them
 *   layout.c      where an operation's data lies in a slot's buffer (pure)
 *   rest.c        descriptors that rest readable between operations
 *   wait.c        waiting for a slot
 *   run.c         operations: submit, harvest
 *
 * Locks: connection.socket_lock (WAKERS only), process.lock (set-up only; may be taken under the
 * former), channel.lock (a few instructions, never around a system call), channel.rest_lock (at
 * times around a read that does not block), alarm.lock (around the setting of a timer). None is
 * held while a job is paused, and none survives a fork: a child makes a new struct process and
 * never touches the parent's.
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

/* ---- descriptor.c ---- */

struct descriptor {
	int fd;   /* -1: none */
	int mark; /* 0: could not be marked */
};

/* Take over a descriptor that was just made (negative: it was not). 0 or -errno. */
int descriptor_keep(struct descriptor *descriptor, int fd);
/* Whether it is open, and not another that has come to its number. */
bool descriptor_is_ours(const struct descriptor *descriptor);
/* Close it if it is ours. */
void descriptor_close(struct descriptor *descriptor);

/* ---- breaker.c ---- */

/* Deadlines that pass in a row until it opens. */
#define BREAKER_SILENCES 3u

struct breaker {
	atomic_uint silences;      /* since the last answer */
	atomic_uint pause_ms;      /* the last one */
	_Atomic uint64_t until_ns; /* 0: closed. Open until then; from then on a probe may pass */
};

enum { BREAKER_CLOSED, BREAKER_PROBE, BREAKER_OPEN };

static inline bool breaker_closed(const struct breaker *breaker)
{
	return !atomic_load_explicit(&breaker->until_ns, memory_order_relaxed);
}

/* Whether an operation need not be tried now. */
bool breaker_refuses(const struct breaker *breaker, uint64_t now_ns);
/*
 * Whether an operation may pass: BREAKER_CLOSED, yes; BREAKER_PROBE, yes, and its outcome decides
 * (when it has none, another one may pass after probe_ns); BREAKER_OPEN, no.
 */
int breaker_pass(struct breaker *breaker, uint64_t now_ns, uint64_t probe_ns);
/* An operation was answered. */
void breaker_answered(struct breaker *breaker);
/* A deadline has passed. True: and that opened it, for a pause. */
bool breaker_silence(struct breaker *breaker, uint64_t now_ns, bool probe);

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
/* How many operations that were left to themselves have been answered since it was last looked. */
unsigned int channel_late_answers(struct channel *channel);
/* Leave all slots of a waker whose job will never run again. */
void channel_orphan(struct channel *channel, const struct waker *waker);

/* ---- connection.c ---- */

struct connection {
	atomic_uint refs;
	atomic_bool dead;
	uint32_t id; /* differs from that of every connection before, of our ancestors too */
	struct process *process;
	struct descriptor socket;
	dev_t socket_dev; /* to know it again: applications close descriptors that are not theirs */
	ino_t socket_ino;
	struct descriptor doorbell;
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
/* Whether the daemon has answered, since it was last asked, what nobody waits for any more. */
bool connection_late_answers(struct connection *connection);
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
	struct breaker breaker;
	struct waker *wakers; /* unused ones; lock */
	unsigned int wakers_unused;
	struct waker *hollow;                /* those without descriptors; lock */
	_Atomic(struct waker *) every_waker; /* all that were ever made; changed under lock */
	struct alarm *alarm;                 /* the one that has room; lock */
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
unsigned int process_spin_us(void); /* 0: as it turns out best */
/* How long the daemon may take to answer a message: it does so at once, and somebody may be waiting
 * for it in an event loop. */
unsigned int process_answer_ms(void);
/* How long a probe may take (breaker.c). */
uint64_t process_probe_ns(void);
void process_count_fallback(struct process *process, struct connection *connection,
                            enum vce_fallback reason);
void process_count_offload(struct process *process, struct connection *connection,
                           enum vce_class class);

/* ---- alarm.c ---- */

struct alarm {
	struct descriptor timer;
	unsigned int wakers;    /* in whose epoll it is; process.lock */
	atomic_uint waiting;    /* jobs that are paused on one of them */
	_Atomic uint64_t at_ns; /* 0: never */
	pthread_mutex_t lock;
};

/* For another waker; give it back with alarm_put(). NULL: no memory or descriptor. Under
 * process->lock, both. */
struct alarm *alarm_get(struct process *process);
void alarm_put(struct process *process, struct alarm *alarm);
/* A job waits; each time it may fire at the latest then; the job waits no longer. */
void alarm_begin(struct alarm *alarm);
void alarm_set(struct alarm *alarm, uint64_t now_ns, uint64_t at_ns);
void alarm_end(struct alarm *alarm);

/* ---- waker.c ---- */

struct waker {
	struct waker *next;  /* among the unused ones, or the hollow ones */
	struct waker *every; /* among all; never changes */
	struct process *process;
	struct connection *connection; /* a reference; where it is registered */
	struct descriptor epoll;       /* what the application waits on: event and alarm */
	struct descriptor event;
	struct alarm *alarm;
	struct channel *rests_in; /* where it rests, or rested when its job last looked */
	unsigned int rests_at;
	uint32_t number;     /* at the daemon */
	atomic_uint busy;    /* runs that use it */
	atomic_bool waiting; /* its job is paused */
	bool tied;           /* to a wait context, which then owns it */
};

/*
 * The waker of the wait context of the job that runs now, on this connection; it is held until
 * waker_put(). NULL: not in a job, or the job must be waited for synchronously.
 */
struct waker *waker_get(struct process *process, struct connection *connection);
void waker_put(struct waker *waker);
/* Pause the job, until this time or so. 0: it was resumed, for whatever reason; -ENOTSUP: it cannot
 * be paused; -ECHILD: resumed in a forked child. */
int waker_pause(struct waker *waker, uint64_t deadline_ns);
/* Take the signals from its descriptor. True: there were some. */
bool waker_clear(struct waker *waker);
/* Have all jobs that wait look for themselves. */
void wakers_signal(struct process *process);
/* In a child, right after a fork: see that jobs that were paused are resumed. */
void wakers_forked(struct process *process);
/* Close the unused ones. Under process->lock. */
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
	bool probe;           /* tried while the daemon does not answer */
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
