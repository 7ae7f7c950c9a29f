/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual device: what the main thread (vhost-user) and the workers share of it.
 *
 * The main thread owns every field but those marked; a worker has a queue between
 * worker_queue_start() and the return of worker_queue_stop().
 */
#ifndef VC_HOST_DEVICE_H
#define VC_HOST_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "host/memtable.h"
#include "host/order.h"
#include "host/qos.h"
#include "host/sched/sched.h"
#include "host/session.h"
#include "host/stateless.h"
#include "host/vring.h"
#include "wire/virtio_crypto.h"

/* As many as vc_request.flow has values. */
#define HOST_MAX_DEVICES 256
#define DEVICE_MAX_DATA_QUEUES 64
#define DEVICE_MAX_QUEUES (DEVICE_MAX_DATA_QUEUES + 1)

struct device;
struct iotlb;
struct ring_window;
struct worker;

/* What a device may take at the most. */
struct device_limits {
	uint32_t sessions;       /* at once */
	uint64_t inflight_bytes; /* of its requests (request_weight()); beyond it no more are taken
	                          */
	uint64_t memory;         /* bytes of guest memory that are mapped */
	struct qos_limits qos;
};

/* What one worker has of a device. The worker's alone; on a cache line of its own. */
struct device_share {
	vc_cache_aligned uint64_t inflight_bytes;
	uint32_t in_flight;        /* requests */
	const struct group *group; /* the device's, as this worker knows it */
	uint32_t queues;           /* the device's here, */
	struct host_queue *next;   /* in a ring of peers */
	struct qos_flow flow;
	struct stateless_counters stateless; /* read by anyone */
};

/* Written by the worker alone, read by anyone (each figure is right by itself). */
struct queue_counters {
	uint64_t requests, bytes, kicks, calls;
	uint64_t errors[8]; /* completed with status n of enum virtio_crypto_status */
	uint64_t bad_chains;
	uint64_t resubmitted; /* chains that were in flight when another process was killed */
};

/* Why a worker leaves a queue out: as bits. */
#define QUEUE_PAUSED 1u /* by worker_device_pause() or worker_queue_stop() */
#define QUEUE_MISSES 2u /* memory that the view does not have: until the table is another */

struct host_queue {
	struct device *device;
	unsigned int index; /* the control queue is number device->data_queues */
	bool control;
	struct worker *worker;        /* that has it; NULL when stopped */
	int kick_fd, call_fd, err_fd; /* -1: none */
	struct vring_config config;
	struct ring_window *window[3]; /* of the ring's parts, where they lie scattered; or NULL */
	uint32_t crypto_features;      /* VIRTIO_CRYPTO_F_* of the device when the queue started */
	bool started;
	/* The worker's. Keys of stateless requests: the device's in this worker; NULL when no
	 * stateless mode was negotiated. */
	struct stateless_cache *stateless;
	struct vring ring;
	struct inflight inflight;
	struct device_share *share; /* the worker's */
	struct host_queue *peer;    /* the device's next queue in this worker */
	struct order *order;        /* data queues of a strict device; else NULL */
	uint32_t in_flight;         /* requests taken and not given back */
	uint32_t waiting;           /* of them, not yet in a resource (it is full) */
	uint32_t round;             /* of the worker, in which it had its last turn by waiting */
	uint8_t paused;             /* QUEUE_PAUSED, QUEUE_MISSES */
	bool dirty;                 /* something was pushed and not yet published */
	/* What is no request costs its queue turns (worker_poll.c). */
	uint8_t refused; /* in this turn */
	uint8_t penalty; /* rounds: of the last turn with such a chain; 0: all is well */
	uint8_t rest;    /* rounds left without a turn */
	uint8_t managed; /* sessions in-band, running freely */
	/* What memory it misses, for the main thread, which takes it when misses is set. */
	_Atomic(uint64_t) miss_addr;
	atomic_bool miss_write;
	atomic_bool misses;
	atomic_bool miss_over;        /* the main thread: it will not be known */
	_Atomic(const char *) broken; /* why the worker stopped it (static text); NULL: it runs */
	vc_cache_aligned struct queue_counters counters;
};

struct device {
	char name[32];
	unsigned int index;
	const struct group *group; /* main thread; a worker has its share's */
	struct session_table *sessions;
	uint32_t max_size; /* bytes of a request's data */
	unsigned int data_queues;
	bool strict;       /* completions leave in the order of arrival, queue by queue */
	uint64_t features; /* as acknowledged */
	struct inflight_area inflight;
	atomic_bool not_ready;   /* HW_READY is off; any thread */
	struct memtable *memory; /* that queues start with; a worker uses that of its rings */
	/* Where the guest has an IOMMU: what it allows, of which memory is a view, and what the
	 * front end has shared; else NULL. */
	struct iotlb *iotlb;
	struct memtable *regions;
	uint64_t iotlb_asked; /* addresses asked of the front end, in all */
	int miss_fd; /* signalled by a worker when a queue misses memory; -1 without an IOMMU */
	/* The main thread's. */
	struct worker *const *workers;
	unsigned int worker_count;
	unsigned int first_worker; /* data queue 0 goes to this one, the next to the next */
	struct log_limit log;      /* of what its front end can cause */
	bool offline;              /* said by the administrator */
	struct drain *drain;       /* it is taken out of service (drain.h); else NULL */
	bool held;                 /* and takes no more requests: its queues are paused */
	bool leaves;               /* it is being removed */
	unsigned int pauses;       /* that are waited for (device_change.c), */
	bool resume_due;           /* and device_resume() after the last one */
	/* Told when the configuration space has changed; NULL: there is no front end. */
	void (*on_config_changed)(void *context);
	void *config_context;
	bool stuck; /* requests never came back: what they may touch is kept for ever */
	struct device_limits limits;
	/* limits.inflight_bytes, for each worker that has data queues; read by these. */
	uint64_t share_bytes;
	struct device_share share[HOST_MAX_WORKERS]; /* by worker */
	struct host_queue queue[DEVICE_MAX_QUEUES];
};

struct device_options {
	const char *name;
	unsigned int index;
	const struct group *group;
	unsigned int data_queues;
	bool strict;
	struct device_limits limits;
	uint32_t max_size;
	struct worker *const *workers; /* kept, not owned */
	unsigned int worker_count;
	unsigned int first_worker;
};

/* All functions below are the main thread's. */

/* A device that nothing is connected to: no memory, no queue started. 0, -ENOMEM. */
int device_create(const struct device_options *options, struct device **device);
/* What one of its workers has of its limits. */
static inline struct qos_limits device_worker_limits(const struct device *device)
{
	unsigned int workers = vc_min(device->data_queues, device->worker_count);

	return qos_limits_share(&device->limits.qos, vc_max(workers, 1u));
}

/* Other limits (but for that of sessions) and another weight, from now on. */
void device_limit(struct device *device, const struct device_limits *limits);

/* Every worker must have been stopped, or device_reset() called. NULL is allowed. */
void device_destroy(struct device *device);

/* Back to the state after device_create(): queues stopped, sessions destroyed, memory unmapped. As
 * device_queue_stop(), it waits. */
void device_reset(struct device *device);

/* The reset of virtio (1.3, 2.4): queues stopped (as device_queue_stop()) and forgotten, sessions
 * destroyed, no features. Memory, call and error descriptors belong to the transport and stay. */
void device_restart(struct device *device);

/* Whether a queue stopped because of the driver, or the device is stuck: only a reset helps. */
bool device_broken(struct device *device);

/*
 * Say to the driver that the device is ready or not (HW_READY in the configuration space, and a
 * change of it). Requests are done in any case; drivers that are told so give no more.
 */
void device_offline(struct device *device, bool offline);
/* Something of that has changed. */
void device_ready_changed(struct device *device);

/* The configuration space, with what the device's group can do, as the caller knows the group. Any
 * thread. */
void device_config(const struct device *device, const struct group *group,
                   struct virtio_crypto_config *config);
/* Another group, or the same with other resources: the driver is told if that changes what the
 * device can do. Workers are to be told by the caller. */
void device_set_group(struct device *device, const struct group *group);

/*
 * Give the queue to its worker. Ring, memory and descriptors must have been set. 0; -EALREADY;
 * -EINVAL, -EFAULT the ring is not in memory; -ENOMEM; -EIO the device is stuck.
 */
int device_queue_start(struct device *device, unsigned int index);
/* Take it back: nothing of it is in flight afterwards (waits for what is: device_quiet_begin()),
 * config.base is where it stands. */
void device_queue_stop(struct device *device, unsigned int index);
/* Set one of a queue's descriptors (a member of the queue), closing the old one; also while it
 * runs, but for the kick descriptor. Takes fd. */
void device_queue_set_fd(struct device *device, unsigned int index, int *member, int fd);

/* Where to note what is in flight, from the next start of a queue on (taken); none, when area->map
 * is NULL. -EBUSY: a queue runs. */
int device_inflight_set(struct device *device, const struct inflight_area *area);

/* Whether the device may have so many bytes of memory. 0; -ENOSPC, said in the log. */
int device_memory_allow(struct device *device, uint64_t bytes);

/*
 * What has to wait for requests in flight (device_change.c), and does not make the main thread
 * wait: *change NULL: it is done. Otherwise the descriptor becomes readable when the requests are
 * back, or were given up, and device_change_end() finishes it (waiting if it is called before).
 * Until then the device's front end is not to be heard: nothing else of the device may be changed.
 */
struct device_change;
/* Work with another memory table (taken): waits for requests that point into regions that it does
 * not have; all others go on. Queues whose ring is not in it are stopped and marked. 0; -ENOMEM:
 * all is as it was. */
int device_memory_begin(struct device *device, struct memtable *memory,
                        struct device_change **change);
/* What the guest's IOMMU allows has changed: the same, but queues that lose their ring only stop.
 */
int device_iotlb_changed_begin(struct device *device, struct device_change **change);
/* Pause a queue of the device, or (NULL) all of them, and bring back what is in flight there:
 * functions that stop queues do not wait afterwards. What is to go on needs device_resume(). */
void device_quiet_begin(struct device *device, struct host_queue *queue,
                        struct device_change **change);
/* Wait until the driver gives no more and the rings are empty; but not for a driver that never
 * stops. Nothing is paused or stopped. */
void device_empty_begin(struct device *device, struct device_change **change);
int device_change_fd(const struct device_change *change);
void device_change_end(struct device_change *change);
/* Have queues that are paused go on, unless the device is held; when no other pause is waited for.
 */
void device_resume(struct device *device);

/* Requests that its workers have taken and not given back. */
unsigned int device_in_flight(struct device *device);

/* What the front end has shared. */
const struct memtable *device_regions(const struct device *device);

/* Whether addresses in rings and descriptors are those of the guest's IOMMU from now on, which
 * allows nothing yet. 0; -ENOMEM, -errno of the eventfd. */
int device_iommu(struct device *device, bool on);
/* When no queue runs: forget what the IOMMU allowed. Until one runs again, nobody tells what it
 * takes away. */
void device_iotlb_flush(struct device *device);
/* Have queues that miss memory look again. */
void device_misses_retry(struct device *device);

/* Whether a queue is started. */
bool device_running(const struct device *device);

/* A session made by message. Errors as session_create(). */
int device_session_create(struct device *device, const struct session_params *params, uint64_t *id);
/* 0, -ENOENT. */
int device_session_destroy(struct device *device, uint64_t id);

#endif
