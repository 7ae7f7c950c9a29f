/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the worker: worker.c (thread), worker_command.c (mailbox), worker_poll.c (data path),
 * worker_sleep.c, worker_session.c (views of sessions). All of it but the mailbox is the worker
 * thread's own.
 */
#ifndef VC_HOST_WORKER_PRIVATE_H
#define VC_HOST_WORKER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/notifier.h"
#include "base/poller.h"
#include "base/util.h"
#include "host/resource/resource.h"
#include "host/sched/sched.h"
#include "host/worker.h"

#define WORKER_CONTROL_BURST 8u
/* Requests after which no other queue has its turn in a round: so what is taken in one is still in
 * the second cache when it is worked on and given back, and what is done is not kept from its
 * driver for longer than these take. */
#define WORKER_ROUND 512u
/* Places of the slab that stand in for those that a resource does not give back. */
#define WORKER_SPARE (WORKER_SLAB / 2)
#define WORKER_PLACES (WORKER_SLAB + WORKER_SPARE)

enum message_type {
	MESSAGE_QUEUE_START,
	MESSAGE_QUEUE_STOP,
	MESSAGE_QUEUE_PAUSE,
	MESSAGE_QUEUE_FD,
	MESSAGE_DEVICE_PAUSE,
	MESSAGE_DEVICE_RESUME,
	MESSAGE_DEVICE_REMAP,
	MESSAGE_DEVICE_EMPTY,
	MESSAGE_DEVICE_COUNT,
	MESSAGE_RESOURCE_OPEN,
	MESSAGE_RESOURCE_CLOSE,
	MESSAGE_RESOURCE_DRAIN,
	MESSAGE_RESOURCE_RESUME,
	MESSAGE_GROUP,
	MESSAGE_DEVICE_LIMIT,
	MESSAGE_SESSION_LEAVE, /* nobody waits: the last one releases it */
	MESSAGE_STOP,
};

struct message {
	struct message *next;
	enum message_type type;
	struct host_queue *queue;
	struct device *device;
	const struct memtable *memory, *gone;
	unsigned int looked; /* requests of the slab that do not point into gone */
	struct emptying {
		uint64_t given, given_ns; /* by the driver, and when that last changed; 0: never */
		uint64_t taken, taken_ns;
	} emptying;
	unsigned int count; /* the answer */
	struct session *session;
	struct resource *resource;
	const struct group *group, *was;
	bool cancelled;
	int *member, fd; /* a queue's descriptor, and the next one */
	bool waited_for; /* on the sender's stack; else from malloc, and ours to free */
	/* Of those that are not waited for: the worker calls it with the result. May be NULL. */
	worker_answered_fn *answered;
	void *context;
	bool done; /* under the mailbox's lock */
	int result;
	uint64_t deadline; /* ns; when what is in flight is given up */
};

/* This worker's view of a session, with what session_local has no place for. */
struct view {
	struct session_local local; /* first: a pointer to it is a pointer to the view */
	struct session *session;
	struct view *next, **link; /* all views of the worker */
};

/* What belongs to a place of the slab while a resource that may hang has it (worker_deadline.c). */
struct late {
	struct bounce *copy; /* what it works on; NULL: on what is the guest's */
	uint64_t deadline;   /* ns */
	uint16_t next, prev; /* of its list */
	uint8_t group;
	bool timed; /* is in the list */
	bool held;  /* somebody else has taken its work over */
};
#define LATE_NONE UINT16_MAX
struct late_list {
	uint16_t first, last; /* places of the slab */
};

/* Address space for bounce buffers; used only as far as it is touched. */
#define WORKER_BOUNCE_MIN ((size_t)64 << 20)

struct worker {
	/* Data path. */
	struct host_queue **queue;
	unsigned int queue_count, queue_capacity;
	unsigned int first_queue; /* that is looked at first; moves on each round */
	struct vc_request **free;
	unsigned int free_count;
	struct resource_instance *instance[HOST_MAX_RESOURCES];
	struct waiting_list *waiting[HOST_MAX_RESOURCES];
	unsigned int waiting_count; /* in all lists */
	bool again;                 /* some were moved: they are submitted in the same round */
	uint16_t may_hang;          /* resources, as bits */
	uint16_t was_full;          /* sched.full of the last round */
	uint64_t timed;             /* groups, as bits, that have requests whose deadline runs */
	struct sched sched;
	struct bounce_pool *bounces;
	struct request_context finish; /* with nothing but them */
	struct qos_turn turn;          /* of the queue that is read */
	uint32_t round;                /* runs freely */
	bool hurry; /* a round of light devices: nothing of it is to wait for company */
	struct poller poller;
	struct notifier *notifier; /* for the front ends' eventfds */
	struct stage_timer stages;
	_Atomic(bool) mail;                   /* there are messages */
	uint8_t resource[HOST_MAX_RESOURCES]; /* those that there are, in the order in which they */
	unsigned int resource_count;          /* came */
	vc_cache_aligned struct worker_counters counters;
	/* Rest of the worker's own. */
	struct qos qos;
	struct vring_chain chain;
	struct vc_request *slab;
	struct late *late; /* by place of the slab */
	struct vc_request **spare;
	unsigned int spare_count;
	struct late_list late_list[HOST_MAX_GROUPS];
	struct bounce_pool *copy_pool[HOST_MAX_RESOURCES]; /* of those that may hang */
	unsigned int copies[HOST_MAX_RESOURCES];           /* requests with copies, */
	unsigned int copies_all;                           /* and in all */
	unsigned int late_most;                            /* of them at the most, for each */
	uint64_t full_since[HOST_MAX_RESOURCES]; /* ns; has taken nothing since, if it is full */
	struct message *unfinished;              /* commands that wait for requests in flight */
	struct view *views;
	struct session *ended; /* in this round */
	int epoll;
	bool stopping;
	bool stuck; /* stopped with requests in flight: nothing may be freed */
	/* Constant. */
	struct worker_options options;
	pthread_t thread;
	/* The mailbox, under its lock. */
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct message *first, **last;
	int mail_fd;
	int started; /* 1, or -errno of the start; 0 not yet */
	char *error;
};

/* Written by its owner alone, read by anyone. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* The request waits for the resource from now on. */
static inline void request_wait(struct worker *worker, unsigned int resource,
                                struct vc_request *req)
{
	struct waiting_list *list = worker->waiting[resource];

	req->resource = (uint8_t)resource;
	req->handle = req->local->handle[resource];
	list->entry[list->tail++ % WORKER_SLAB] = req;
	worker->waiting_count++;
	req->queue->waiting++;
}

/* worker_deadline.c */
/* Before a burst is submitted to a resource that may hang: copies, where there is a deadline. For
 * how many of them (from the front) there were buffers. */
unsigned int late_prepare(struct worker *worker, unsigned int resource,
                          struct vc_request *const *reqs, unsigned int n);
/* They have been taken. */
void late_start(struct worker *worker, struct vc_request *const *reqs, unsigned int n);
/* One has come back from a resource that may hang. False: nobody waits for it, and it is gone. */
bool late_back(struct worker *worker, struct vc_request *req);
/* It goes elsewhere without ever having been submitted. */
void late_drop(struct worker *worker, struct vc_request *req);
/* Its queue is given up. False: it has no copies, and all is as it would be without deadlines. */
bool late_abandon(struct worker *worker, struct vc_request *req);
/* See request_points_into(): of what it does not work on now, and will be given back. */
bool late_points_into(const struct worker *worker, const struct vc_request *req,
                      const struct memtable *memory);
/* Whose deadline has passed? Before others get places of the slab in this round. */
void late_check(struct worker *worker);
/* A resource is full, and has taken some (progress) or none in this round. */
void late_full(struct worker *worker, unsigned int resource, bool progress);
/* How long to sleep at the most, if less than *timeout (ms; -1: for ever). */
void late_timeout(struct worker *worker, int *timeout);
/* The worker begins: 0, -ENOMEM. Each resource, when it has an instance here (its health, too). */
int late_new(struct worker *worker);
void late_free(struct worker *worker);
int late_open(struct worker *worker, unsigned int resource);
void late_close(struct worker *worker, unsigned int resource);

/* It does not any more. */
static inline void waiting_out(struct worker *worker, struct vc_request *req)
{
	if (vc_unlikely(worker->may_hang >> req->resource & 1))
		late_drop(worker, req);
	worker->waiting_count--;
	req->queue->waiting--;
}

/* worker_waiting.c */
/* Look at all that wait for a resource. leave: true: it is none of them any more (waiting_out()),
 * and was put elsewhere. */
typedef bool waiting_leave_fn(struct worker *worker, struct vc_request *req, void *context);
void waiting_sift(struct worker *worker, unsigned int resource, waiting_leave_fn *leave,
                  void *context);
/* The resource has not taken all that it was offered, but some (progress), or none. */
void waiting_full(struct worker *worker, unsigned int resource, bool progress);

/* worker_poll.c */
/* One round over queues and resources. True: something was done. */
bool worker_round(struct worker *worker);
/* The request is done, well or not: answer it and forget it. */
void request_done(struct worker *worker, struct vc_request *req);
/* A resource has not done it: to the next candidate, in this round; or answer it with an error. */
void request_go_on(struct worker *worker, struct vc_request *req);
/* Let the driver see what was pushed to the queue, and call it (at the next flush of the notifier)
 * if it wants. */
void queue_publish(struct worker *worker, struct host_queue *queue);
/* Give up what is in flight of the queue: it comes back later and touches no ring. */
void queue_abandon(struct worker *worker, struct host_queue *queue);

/* A burst of the queue at the most, while its turn is open. How many chains. */
unsigned int queue_take(struct worker *worker, struct host_queue *queue);

/* worker_turn.c */
/* From all queues that may be read now. How many chains. */
unsigned int take_all(struct worker *worker);
/* A turn that is metered: the request, parsed and not yet begun, is taken. */
void turn_charge(struct worker *worker, const struct host_queue *queue,
                 const struct vc_request *req);
/* A queue comes or goes; the device has other limits. */
void turn_join(struct worker *worker, struct host_queue *queue);
void turn_leave(struct worker *worker, struct host_queue *queue);
void turn_limit(struct worker *worker, struct device *device);

/* worker_sleep.c */
int sleep_watch_queue(struct worker *worker, struct host_queue *queue);
void sleep_unwatch_queue(struct worker *worker, struct host_queue *queue);
int sleep_watch_mail(struct worker *worker);
int sleep_watch_resource(struct worker *worker, unsigned int resource);
void sleep_unwatch_resource(struct worker *worker, unsigned int resource);
/* Until a kick, a completion or a message; returns at once when there already is something. */
void worker_sleep(struct worker *worker);

/* worker_session.c */
/* This worker's view, made if need be. NULL without memory. */
struct session_local *view_get(struct worker *worker, struct session *session);
/* A request of it has come back for good. */
void view_put(struct worker *worker, struct session_local *local);
/* The worker ends. */
void views_free(struct worker *worker);
/* The queue starts, or goes: the keys of stateless requests of its device in this worker, which all
 * its queues here share. */
void stateless_join(struct worker *worker, struct host_queue *queue);
void stateless_leave(struct worker *worker, struct host_queue *queue);
/* Nothing of the resource is in flight: no session has a realisation there any more, nor knows
 * whether it could. */
void views_forget(struct worker *worker, unsigned int resource);
/* A session that was destroyed on one of this worker's queues: everyone is told at the end of the
 * round. */
void session_destroyed(struct worker *worker, struct session *session);
/* End of a round: tell everyone of worker->ended. */
void sessions_end(struct worker *worker);
/* Sessions of a list are out of their table: let go of each as soon as nothing of it is in flight.
 * The last of session->views workers releases it. */
void views_close(struct worker *worker, struct session *first);

/* worker_resource.c */
/* Open an instance. 0, -errno: nothing is left. */
int resource_open(struct worker *worker, struct resource *resource);
/* Nothing of it is in flight, and no session knows it. */
void resource_close(struct worker *worker, unsigned int resource);
/* Whether nothing of it waits or is in flight. */
bool resource_quiet(const struct worker *worker, unsigned int resource);
/* It is done with, for now. */
void resource_forget(struct worker *worker, unsigned int resource);
/* Queues of that group have this one from now on. */
void group_replace(struct worker *worker, const struct group *was, const struct group *group);

/* worker_command.c */
void worker_post(struct worker *worker, struct message *message);
/* Main thread: post it and wait for the answer. */
int worker_call(struct worker *worker, struct message *message);
/* Worker: new messages, and commands that wait. */
void messages_handle(struct worker *worker);
/* A request has moved to another place of the slab. */
void command_look_again(struct worker *worker);

/* worker.c: what a worker consists of, its thread apart. */
/* NULL without memory or descriptors. */
struct worker *worker_new(const struct worker_options *options);
/* In the worker's thread, before its first round (0; -errno, worker->error may say why) and after
 * its last. */
int worker_begin(struct worker *worker);
void worker_end(struct worker *worker);
void worker_free(struct worker *worker);
/* One more. */
void workers_add(struct worker *worker);
/* All workers of the process, counted (and locked) while they are told of a session. */
unsigned int workers_lock(struct worker *const **workers);
void workers_unlock(void);

#endif
