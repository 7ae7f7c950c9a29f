/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers: one thread for each configured CPU. Each polls the queues given to it, owns its own
 * instance of every resource, and sleeps on eventfds when there is nothing to do.
 *
 * All functions here are the main thread's; each posts a command and waits until the worker has
 * done it, which is a matter of microseconds where nothing is in flight. Who cannot know that
 * begins with one of those that do not wait (..._begin()).
 *
 * Those that wait for requests in flight return 0, or -ETIMEDOUT when a resource has not brought
 * them back in time (wait_ms). The queue is then stopped all the same, and the late requests will
 * touch no ring; but they may still use guest memory and the session: the caller must keep (leak)
 * the memory table, the device and the session.
 */
#ifndef VC_HOST_WORKER_H
#define VC_HOST_WORKER_H

#include "host/device.h"
#include "host/stage.h"

struct worker;

#define WORKER_WAIT_MS 10000

struct worker_options {
	unsigned int index;
	int cpu;              /* -1: not pinned */
	unsigned int spin_us; /* see poller.h */
	unsigned int idle_us;
	struct resource *const *resources;
	unsigned int resource_count;
	uint32_t max_size;    /* bytes of a request's data, over all devices */
	unsigned int wait_ms; /* for requests in flight; 0: WORKER_WAIT_MS */
};

/* Written by the worker alone. */
struct worker_counters {
	uint64_t rounds, sleeps, requests;
	uint64_t stage_ticks[STAGE_COUNT]; /* where STAGE_TIMER */
};

/* Start the thread and open an instance of every resource. 0, -errno with *error (to be freed). */
int worker_start(const struct worker_options *options, struct worker **worker, char **error);
/* No queue may be left, in any worker. Joins the thread. */
void worker_stop(struct worker *worker);

/* Begin to poll the queue; its ring is set up from queue->config and device->memory by the caller.
 * Both control and data queues. */
void worker_queue_start(struct worker *worker, struct host_queue *queue);
/* Stop taking, bring back what is in flight, give it to the driver, let go of the queue. */
int worker_queue_stop(struct worker *worker, struct host_queue *queue);
/* Have a queue use another call or error descriptor (a member of it), between two rounds. Nothing
 * in flight is waited for; the old one is the caller's to close. */
void worker_queue_set_fd(struct worker *worker, int *member, int fd);
/* Bring back everything of a device that is in flight and stop polling it, until resumed; between
 * the two the main thread may change its descriptors. */
int worker_device_pause(struct worker *worker, struct device *device);
void worker_device_resume(struct worker *worker, struct device *device);
/*
 * Take requests with another table from now on, which has the queues' rings, and wait until no
 * request points into the regions of gone (NULL: none) any more; all others go on meanwhile. What
 * is in flight keeps its pointers, so these regions must stay mapped until this returns.
 */
int worker_device_remap(struct worker *worker, struct device *device, const struct memtable *memory,
                        const struct memtable *gone);
/* The same two without waiting, and the first of a single queue: the worker calls answered, once,
 * with what they would have returned. 0; -ENOMEM, and it is never called. */
typedef void worker_answered_fn(void *context, int result);
int worker_queue_pause_begin(struct worker *worker, struct host_queue *queue,
                             worker_answered_fn *answered, void *context);
int worker_device_pause_begin(struct worker *worker, struct device *device,
                              worker_answered_fn *answered, void *context);
int worker_device_remap_begin(struct worker *worker, struct device *device,
                              const struct memtable *memory, const struct memtable *gone,
                              worker_answered_fn *answered, void *context);
/* The same again: until the driver gives no more and the rings of the device's queues here are
 * empty; or until that takes too long. Always 0 in the end. */
int worker_device_empty_begin(struct worker *worker, struct device *device,
                              worker_answered_fn *answered, void *context);
/* Requests of the device that it has now. */
unsigned int worker_device_in_flight(struct worker *worker, struct device *device);
/* Open and close an instance of a resource, between two rounds. To be closed, it must have been
 * drained. 0, -errno of the resource. */
int worker_resource_open(struct worker *worker, struct resource *resource);
void worker_resource_close(struct worker *worker, struct resource *resource);
/* No group has it any more: until nothing of it is in flight; then its realisations of sessions are
 * dropped. Answers 0, however late that is; -ECANCELED after worker_resource_resume(). 0, -ENOMEM.
 */
int worker_resource_drain_begin(struct worker *worker, struct resource *resource,
                                worker_answered_fn *answered, void *context);
void worker_resource_resume(struct worker *worker, struct resource *resource);
/* Another group in the place of one: afterwards the worker knows nothing of that any more. */
void worker_group_replace(struct worker *worker, const struct group *was,
                          const struct group *group);
/* Have the worker look again at what it may take of the device (device->limits). */
void worker_device_limit(struct worker *worker, struct device *device);
/* Have every worker let go of sessions that session_remove() took out (the first; ended_next leads
 * to the others), without waiting: the last worker releases each. */
void worker_sessions_leave(struct session *first);

const struct worker_counters *worker_counters(const struct worker *worker);
int worker_cpu(const struct worker *worker);
/* Memory of the worker's in which there is data of requests, piece by piece (n from 0 on); false:
 * there are no more. Each stays as long as the worker, or its instance of a resource, does. */
bool worker_memory(const struct worker *worker, unsigned int n, void **base, size_t *length);
/* NULL when the resource has no instance here. */
const struct resource_counters *worker_resource_counters(const struct worker *worker,
                                                         const struct resource *resource);
/* For anyone to read: each figure is right by itself. */
const struct health_report *worker_health(const struct worker *worker,
                                          const struct resource *resource);

#endif
