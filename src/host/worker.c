/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers: the threads, how they start and end, and what the main thread may ask of them
 * (worker_command.c carries it out).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "host/worker_private.h"

/* For held requests, at the end. */
#define LATE_MS 250
#define SLAB_SIZE (WORKER_PLACES * sizeof(struct vc_request))

/* All workers, so that one can tell the others of a session's end. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct worker *all[HOST_MAX_WORKERS];
static unsigned int all_count;

unsigned int workers_lock(struct worker *const **workers)
{
	pthread_mutex_lock(&all_lock);
	*workers = all;
	return all_count;
}

void workers_unlock(void)
{
	pthread_mutex_unlock(&all_lock);
}

void workers_add(struct worker *worker)
{
	pthread_mutex_lock(&all_lock);
	all[all_count++] = worker;
	pthread_mutex_unlock(&all_lock);
}

/* After this no other worker sends it anything. */
static void workers_remove(struct worker *worker)
{
	pthread_mutex_lock(&all_lock);
	for (unsigned int i = 0; i < all_count; i++)
		if (all[i] == worker)
			all[i] = all[all_count - 1];
	all_count--;
	pthread_mutex_unlock(&all_lock);
}

/* ---- the thread ---- */

static int resources_open(struct worker *worker)
{
	int err = sleep_watch_mail(worker);

	for (unsigned int i = 0; i < worker->options.resource_count && !err; i++) {
		struct resource *resource = worker->options.resources[i];

		err = resource_open(worker, resource);
		if (err < 0)
			worker->error =
				str_format("worker %u: resource '%s': %s", worker->options.index,
			                   resource->name, strerror(-err));
	}
	return err;
}

static bool in_flight(const struct worker *worker)
{
	for (unsigned int r = 0; r < HOST_MAX_RESOURCES; r++)
		if (worker->instance[r] && worker->instance[r]->in_flight)
			return true;
	return false;
}

static int slab_new(struct worker *worker)
{
	/* Zeroes. What is not used, as the spare places of most, takes no memory. */
	void *slab =
		mmap(NULL, SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (slab == MAP_FAILED)
		return -ENOMEM;
	worker->slab = slab;
	worker->free = calloc(WORKER_SLAB, sizeof(struct vc_request *));
	worker->bounces =
		bounce_pool_new(worker->options.max_size,
	                        vc_max(WORKER_BOUNCE_MIN, 4 * (size_t)worker->options.max_size));
	worker->finish.bounces = worker->bounces;
	if (!worker->free || !worker->bounces || late_new(worker) < 0)
		return -ENOMEM;
	while (worker->free_count < WORKER_SLAB) {
		worker->free[worker->free_count] =
			&worker->slab[WORKER_SLAB - 1 - worker->free_count];
		worker->free_count++;
	}
	return 0;
}

int worker_begin(struct worker *worker)
{
	char name[16];
	int err;

	snprintf(name, sizeof(name), "vc-worker/%u", worker->options.index % 1000);
	thread_name(name);
	if (worker->options.cpu >= 0) {
		err = thread_pin(worker->options.cpu);
		if (err < 0) {
			worker->error = str_format("worker %u: CPU %d: %s", worker->options.index,
			                           worker->options.cpu, strerror(-err));
			return err;
		}
	}
	err = notifier_create(&worker->notifier);
	if (err < 0) {
		worker->error =
			str_format("worker %u: asynchronous I/O: %s%s", worker->options.index,
		                   strerror(-err), err == -EAGAIN ? " (raise fs.aio-max-nr)" : "");
		return err;
	}
	poller_init(&worker->poller, worker->options.spin_us, worker->options.idle_us);
	/* Here, so that memory is on the worker's NUMA node. */
	err = slab_new(worker);
	return err < 0 ? err : resources_open(worker);
}

/* What nobody waits for any more may come back yet, so that all can be taken down. */
static void wait_for_late(struct worker *worker)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	bool held = false;

	poller_leave(&worker->poller);
	for (unsigned int r = 0; r < HOST_MAX_RESOURCES; r++)
		held |= worker->copies[r] != 0;
	for (unsigned int i = 0; held && in_flight(worker) && i < LATE_MS; i++) {
		worker_round(worker);
		nanosleep(&ms, NULL);
	}
}

void worker_end(struct worker *worker)
{
	wait_for_late(worker);
	if (in_flight(worker)) {
		/* Given up before; a resource may still come back to them. */
		worker->stuck = true;
		return;
	}
	views_free(worker);
	while (worker->resource_count)
		resource_close(worker, worker->resource[worker->resource_count - 1]);
}

/* Whether all that is to come is from threads behind resources, which take long and wake us. */
static bool helpers_only(struct worker *worker)
{
	bool any = false;

	for (unsigned int r = 0; r < HOST_MAX_RESOURCES; r++) {
		struct resource_instance *instance = worker->instance[r];

		if (!instance || !instance->in_flight)
			continue;
		if (instance->resource->ops->fd(instance) < 0)
			return false;
		any = true;
	}
	return any && poller_enough(&worker->poller);
}

static void *thread_run(void *argument)
{
	struct worker *worker = argument;
	int started = worker_begin(worker);

	pthread_mutex_lock(&worker->lock);
	worker->started = started < 0 ? started : 1;
	pthread_cond_broadcast(&worker->done);
	pthread_mutex_unlock(&worker->lock);
	while (started == 0 && !worker->stopping) {
		bool worked = worker_round(worker);

		if (vc_unlikely(worker->unfinished ||
		                atomic_load_explicit(&worker->mail, memory_order_relaxed))) {
			messages_handle(worker);
		}
		/* Who has just been told to stop is told nothing more. */
		if ((poller_idle(&worker->poller, worked) ||
		     (!worked && (qos_all_throttled(&worker->qos) || helpers_only(worker)))) &&
		    !worker->stopping)
			worker_sleep(worker);
	}
	worker_end(worker);
	return NULL;
}

/* ---- the main thread ---- */

void worker_free(struct worker *worker)
{
	if (worker->epoll >= 0)
		close(worker->epoll);
	if (worker->mail_fd >= 0)
		close(worker->mail_fd);
	pthread_cond_destroy(&worker->done);
	pthread_mutex_destroy(&worker->lock);
	bounce_pool_free(worker->bounces);
	notifier_destroy(worker->notifier);
	if (worker->slab)
		munmap(worker->slab, SLAB_SIZE);
	late_free(worker);
	free(worker->free);
	free(worker->queue);
	free(worker);
}

struct worker *worker_new(const struct worker_options *options)
{
	struct worker *worker = aligned_alloc(VC_CACHE_LINE, vc_round_up(sizeof(*worker), 64));

	if (!worker)
		return NULL;
	memset(worker, 0, sizeof(*worker));
	worker->options = *options;
	if (!worker->options.wait_ms)
		worker->options.wait_ms = WORKER_WAIT_MS;
	worker->last = &worker->first;
	sched_init(&worker->sched, worker->instance, worker->waiting);
	worker->sched.worker = options->index;
	qos_init(&worker->qos, clock_ticks_per_us());
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->done, NULL);
	worker->mail_fd = event_create();
	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (worker->mail_fd >= 0 && worker->epoll >= 0)
		return worker;
	worker_free(worker);
	return NULL;
}

int worker_start(const struct worker_options *options, struct worker **result, char **error)
{
	struct worker *worker = NULL;
	int err = -ENOMEM;

	*error = NULL;
	if (options->index >= HOST_MAX_WORKERS)
		return -EINVAL;
	worker = worker_new(options);
	if (!worker)
		goto out;
	err = -pthread_create(&worker->thread, NULL, thread_run, worker);
	if (err < 0)
		goto out;
	pthread_mutex_lock(&worker->lock);
	while (!worker->started)
		pthread_cond_wait(&worker->done, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
	if (worker->started < 0) {
		err = worker->started;
		pthread_join(worker->thread, NULL);
		*error = worker->error;
		goto out;
	}
	workers_add(worker);
	*result = worker;
	return 0;
out:
	if (worker)
		worker_free(worker);
	if (!*error)
		*error = str_format("worker %u: %s", options->index, strerror(-err));
	return err;
}

void worker_stop(struct worker *worker)
{
	struct message message = {.type = MESSAGE_STOP};

	workers_remove(worker);
	worker_call(worker, &message);
	pthread_join(worker->thread, NULL);
	if (worker->stuck)
		log_error("worker %u: its memory is kept: a resource still uses it",
		          worker->options.index);
	else
		worker_free(worker);
}

void worker_queue_start(struct worker *worker, struct host_queue *queue)
{
	worker_call(worker, &(struct message){.type = MESSAGE_QUEUE_START, .queue = queue});
}

int worker_queue_stop(struct worker *worker, struct host_queue *queue)
{
	return worker_call(worker, &(struct message){.type = MESSAGE_QUEUE_STOP, .queue = queue});
}

void worker_queue_set_fd(struct worker *worker, int *member, int fd)
{
	worker_call(worker,
	            &(struct message){.type = MESSAGE_QUEUE_FD, .member = member, .fd = fd});
}

int worker_device_pause(struct worker *worker, struct device *device)
{
	return worker_call(worker,
	                   &(struct message){.type = MESSAGE_DEVICE_PAUSE, .device = device});
}

void worker_device_resume(struct worker *worker, struct device *device)
{
	worker_call(worker, &(struct message){.type = MESSAGE_DEVICE_RESUME, .device = device});
}

int worker_device_remap(struct worker *worker, struct device *device, const struct memtable *memory,
                        const struct memtable *gone)
{
	return worker_call(worker, &(struct message){.type = MESSAGE_DEVICE_REMAP,
	                                             .device = device,
	                                             .memory = memory,
	                                             .gone = gone});
}

void worker_device_limit(struct worker *worker, struct device *device)
{
	worker_call(worker, &(struct message){.type = MESSAGE_DEVICE_LIMIT, .device = device});
}

static int post_copy(struct worker *worker, const struct message *message)
{
	struct message *copy = malloc(sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	*copy = *message;
	worker_post(worker, copy);
	return 0;
}

int worker_queue_pause_begin(struct worker *worker, struct host_queue *queue,
                             worker_answered_fn *answered, void *context)
{
	return post_copy(worker, &(struct message){.type = MESSAGE_QUEUE_PAUSE,
	                                           .queue = queue,
	                                           .answered = answered,
	                                           .context = context});
}

int worker_device_pause_begin(struct worker *worker, struct device *device,
                              worker_answered_fn *answered, void *context)
{
	return post_copy(worker, &(struct message){.type = MESSAGE_DEVICE_PAUSE,
	                                           .device = device,
	                                           .answered = answered,
	                                           .context = context});
}

int worker_device_remap_begin(struct worker *worker, struct device *device,
                              const struct memtable *memory, const struct memtable *gone,
                              worker_answered_fn *answered, void *context)
{
	return post_copy(worker, &(struct message){.type = MESSAGE_DEVICE_REMAP,
	                                           .device = device,
	                                           .memory = memory,
	                                           .gone = gone,
	                                           .answered = answered,
	                                           .context = context});
}

int worker_device_empty_begin(struct worker *worker, struct device *device,
                              worker_answered_fn *answered, void *context)
{
	return post_copy(worker, &(struct message){.type = MESSAGE_DEVICE_EMPTY,
	                                           .device = device,
	                                           .answered = answered,
	                                           .context = context});
}

int worker_resource_open(struct worker *worker, struct resource *resource)
{
	return worker_call(worker,
	                   &(struct message){.type = MESSAGE_RESOURCE_OPEN, .resource = resource});
}

void worker_resource_close(struct worker *worker, struct resource *resource)
{
	worker_call(worker,
	            &(struct message){.type = MESSAGE_RESOURCE_CLOSE, .resource = resource});
}

int worker_resource_drain_begin(struct worker *worker, struct resource *resource,
                                worker_answered_fn *answered, void *context)
{
	return post_copy(worker, &(struct message){.type = MESSAGE_RESOURCE_DRAIN,
	                                           .resource = resource,
	                                           .answered = answered,
	                                           .context = context});
}

void worker_resource_resume(struct worker *worker, struct resource *resource)
{
	worker_call(worker,
	            &(struct message){.type = MESSAGE_RESOURCE_RESUME, .resource = resource});
}

void worker_group_replace(struct worker *worker, const struct group *was, const struct group *group)
{
	worker_call(worker, &(struct message){.type = MESSAGE_GROUP, .was = was, .group = group});
}

unsigned int worker_device_in_flight(struct worker *worker, struct device *device)
{
	struct message message = {.type = MESSAGE_DEVICE_COUNT, .device = device};

	worker_call(worker, &message);
	return message.count;
}

const struct worker_counters *worker_counters(const struct worker *worker)
{
	return &worker->counters;
}

bool worker_memory(const struct worker *worker, unsigned int n, void **base, size_t *length)
{
	const struct bounce_pool *pool = worker->bounces;

	for (unsigned int r = 0; n && r < HOST_MAX_RESOURCES; r++)
		if (worker->copy_pool[r] && !--n)
			pool = worker->copy_pool[r];
	if (n)
		return false;
	bounce_pool_memory(pool, base, length);
	return true;
}

int worker_cpu(const struct worker *worker)
{
	return worker->options.cpu;
}

const struct resource_counters *worker_resource_counters(const struct worker *worker,
                                                         const struct resource *resource)
{
	const struct resource_instance *instance = worker->instance[resource->index];

	return instance ? &instance->counters : NULL;
}

const struct health_report *worker_health(const struct worker *worker,
                                          const struct resource *resource)
{
	return &worker->sched.health[resource->index].report;
}
