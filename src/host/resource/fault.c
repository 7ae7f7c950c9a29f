/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource type fault: its life, and how settings come from the main thread to the workers.
 *
 * create, destroy, fault_*(): main thread; open, close, realise, drop: the worker. What it can do
 * and its sessions are the inner resource's. Requests: fault_run.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "host/resource/fault_private.h"

static_assert(sizeof(struct fault_settings) % sizeof(uint64_t) == 0, "it is copied as words");

bool fault_is(const struct resource *resource)
{
	return resource->ops == &resource_fault;
}

const struct resource *fault_inner(const struct resource *resource)
{
	return ((const struct fault_resource *)resource)->inner;
}

/* ---- settings and counters ---- */

void fault_get(const struct resource *resource, struct fault_settings *settings)
{
	*settings = ((const struct fault_resource *)resource)->settings;
}

void fault_set(struct resource *resource, const struct fault_settings *settings)
{
	struct fault_resource *fault = (struct fault_resource *)resource;
	uint64_t version = atomic_load_explicit(&fault->version, memory_order_relaxed);
	uint64_t word[FAULT_WORDS];

	fault->settings = *settings;
	memcpy(word, settings, sizeof(word));
	atomic_store_explicit(&fault->version, version + 1, memory_order_relaxed);
	/* Release: pairs with the acquire in settings_read(): who sees one of these words sees the
	 * odd version, or a later one. */
	for (size_t i = 0; i < FAULT_WORDS; i++)
		atomic_store_explicit(&fault->word[i], word[i], memory_order_release);
	/* Release: who sees this version sees all of the words. */
	atomic_store_explicit(&fault->version, version + 2, memory_order_release);
	pthread_mutex_lock(&fault->lock);
	for (struct fault_instance *in = fault->first; in; in = in->next)
		event_signal(in->changed);
	pthread_mutex_unlock(&fault->lock);
}

static uint64_t figure(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void fault_look(struct resource *resource, struct fault_state *state)
{
	struct fault_resource *fault = (struct fault_resource *)resource;

	memset(state, 0, sizeof(*state));
	pthread_mutex_lock(&fault->lock);
	for (const struct fault_instance *in = fault->first; in; in = in->next) {
		const struct fault_counters *from = &in->counters;
		struct fault_counters *to = &state->counters;

		state->workers++;
		state->active += __atomic_load_n(&in->active, __ATOMIC_RELAXED);
		to->delayed += figure(&from->delayed);
		to->errors += figure(&from->errors);
		to->refused += figure(&from->refused);
		to->sessions_refused += figure(&from->sessions_refused);
		to->killed += figure(&from->killed);
	}
	pthread_mutex_unlock(&fault->lock);
}

/* ---- the resource ---- */

static int fault_create(const struct resource_config *config, struct resource **resource,
                        char **error)
{
	struct fault_resource *fault;

	if (!config->of || fault_is(config->of)) {
		*error = str_format("a fault is of another resource, which is none itself");
		return -EINVAL;
	}
	fault = aligned_alloc(VC_CACHE_LINE, sizeof(*fault));
	if (!fault)
		return -ENOMEM;
	memset(fault, 0, sizeof(*fault));
	fault->base.ops = &resource_fault;
	fault->base.may_hang = true;
	fault->inner = config->of;
	pthread_mutex_init(&fault->lock, NULL);
	fault_set(&fault->base, config->faults ? config->faults : &fault_settings_none);
	*resource = &fault->base;
	return 0;
}

static void fault_destroy(struct resource *resource)
{
	struct fault_resource *fault = (struct fault_resource *)resource;

	pthread_mutex_destroy(&fault->lock);
	free(fault);
}

static bool fault_can(const struct resource *resource, const struct session_params *params)
{
	const struct resource *inner = fault_inner(resource);

	return inner->ops->can(inner, params);
}

static void fault_offer(const struct resource *resource, struct virtio_crypto_config *config)
{
	const struct resource *inner = fault_inner(resource);

	inner->ops->offer(inner, config);
}

/* ---- the instance ---- */

static void instance_free(struct fault_instance *in)
{
	if (in->inner)
		in->inner->resource->ops->close(in->inner);
	if (in->changed >= 0)
		close(in->changed);
	if (in->timer >= 0)
		close(in->timer);
	if (in->epoll >= 0)
		close(in->epoll);
	free(in->heap.entry);
	free(in->done);
	free(in);
}

static int watch(const struct fault_instance *in, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (fd < 0)
		return 0;
	return epoll_ctl(in->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* One descriptor for all that the worker may have to wake for. */
static int instance_watch(struct fault_instance *in)
{
	int err;

	in->epoll = epoll_create1(EPOLL_CLOEXEC);
	in->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (in->epoll < 0 || in->timer < 0)
		return -errno;
	in->changed = event_create();
	if (in->changed < 0)
		return in->changed;
	err = watch(in, in->changed);
	if (!err)
		err = watch(in, in->timer);
	return err ? err : watch(in, in->inner->resource->ops->fd(in->inner));
}

static int fault_open(struct resource *resource, unsigned int worker,
                      struct resource_instance **instance)
{
	struct fault_resource *fault = (struct fault_resource *)resource;
	struct fault_instance *in = calloc(1, sizeof(*in));
	int err = -ENOMEM;

	if (!in)
		return -ENOMEM;
	in->base.resource = resource;
	in->worker = worker;
	in->epoll = in->timer = in->changed = -1;
	in->heap.entry = calloc(FAULT_MOST, sizeof(*in->heap.entry));
	in->done = calloc(FAULT_MOST, sizeof(struct vc_request *));
	if (in->heap.entry && in->done)
		err = fault->inner->ops->open(fault->inner, worker, &in->inner);
	if (!err)
		err = instance_watch(in);
	if (err) {
		instance_free(in);
		return err;
	}
	fault_refresh(in);
	pthread_mutex_lock(&fault->lock);
	in->next = fault->first;
	fault->first = in;
	pthread_mutex_unlock(&fault->lock);
	*instance = &in->base;
	return 0;
}

static void fault_close(struct resource_instance *instance)
{
	struct fault_instance *in = (struct fault_instance *)instance, **link;
	struct fault_resource *fault = (struct fault_resource *)instance->resource;

	pthread_mutex_lock(&fault->lock);
	for (link = &fault->first; *link != in; link = &(*link)->next)
		;
	*link = in->next;
	pthread_mutex_unlock(&fault->lock);
	instance_free(in);
}

static int fault_realise(struct resource_instance *instance, const struct session_params *params,
                         void **handle)
{
	struct fault_instance *in = (struct fault_instance *)instance;

	fault_refresh(in);
	if (fault_acts(in, refuse_sessions) || fault_acts(in, dead)) {
		fault_count(&in->counters.sessions_refused, 1);
		/* Not for good: it may be asked again. */
		return -ENOMEM;
	}
	return in->inner->resource->ops->realise(in->inner, params, handle);
}

static void fault_drop(struct resource_instance *instance, void *handle)
{
	struct fault_instance *in = (struct fault_instance *)instance;

	in->inner->resource->ops->drop(in->inner, handle);
}

const struct resource_ops resource_fault = {
	.type = "fault",
	.create = fault_create,
	.destroy = fault_destroy,
	.can = fault_can,
	.offer = fault_offer,
	.open = fault_open,
	.close = fault_close,
	.realise = fault_realise,
	.drop = fault_drop,
	.submit = fault_submit,
	.poll = fault_poll,
	.fd = fault_fd,
	.arm = fault_arm,
	.disarm = fault_disarm,
};
