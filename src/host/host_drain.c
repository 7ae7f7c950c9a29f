/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resource that is taken out of service, put back, and removed; see host_pool.h. Main thread;
 * workers only count down.
 *
 * Once no group has it, each worker is asked, and answers when nothing of it is in flight there,
 * however late that is; the last answer signals an eventfd.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "host/host_pool.h"
#include "host/worker.h"

/* All that the pool has of one resource of the configuration. */
struct resource_drain {
	struct resource_drain *next, **link; /* the host's */
	char name[32];
	atomic_uint left; /* workers that have not answered, for each resource; and we who ask */
	atomic_bool failed;
	int fd; /* an eventfd: none is left */
	struct host *host;
	struct evwatch *watch;
	bool done;
	bool cancelled; /* in service again; it goes when none is left */
	bool leaves;    /* removed when it is done */
};

static struct resource_drain *drain_find(const struct host *host, const char *name)
{
	struct resource_drain *drain = host->drains;

	while (drain && (drain->cancelled || strcmp(drain->name, name) != 0))
		drain = drain->next;
	return drain;
}

static void drain_free(struct resource_drain *drain)
{
	*drain->link = drain->next;
	if (drain->next)
		drain->next->link = drain->link;
	evloop_remove(drain->watch);
	close(drain->fd);
	free(drain);
}

/* Runs in a worker; in the main thread for those that could not be asked. */
static void answered(void *context, int result)
{
	struct resource_drain *drain = context;
	int fd = drain->fd;

	if (result)
		atomic_store(&drain->failed, true);
	/* Acquire and release: who hears of it sees what the workers did. The main thread frees it
	 * only once the descriptor has been signalled. */
	if (atomic_fetch_sub(&drain->left, 1) == 1)
		event_signal(fd);
}

static void resource_gone(struct host *host, const char *name)
{
	struct pool *pool = host->pool;
	char *error = NULL;

	/* From the end: a fault stands behind what it wraps. */
	for (unsigned int i = pool->resource_count; i-- > 0;) {
		if (!pool_resource_is(pool->resource[i], name))
			continue;
		host_pool_remove(host, i);
	}
	log_notice("resource %s: removed", name);
	host_config_resource_forget(host->config, name);
	host_config_resource_remove(host->config,
	                            (unsigned int)host_config_resource_find(host->config, name));
	/* As it was out of service, they do the same as before. */
	if (host_groups_change(host, &error))
		log_error("groups: %s", error ? error : "no memory");
	free(error);
}

static void on_drained(void *context, int fd, uint32_t events)
{
	struct resource_drain *drain = context;
	struct host *host = drain->host;

	/* Read, and not only waited for: it is what orders the workers' last looks before this. */
	if (!event_clear(drain->fd))
		return;
	evloop_remove(drain->watch);
	drain->watch = NULL;
	drain->done = true;
	if (drain->cancelled) {
		drain_free(drain);
		return;
	}
	if (atomic_load(&drain->failed)) {
		log_error("resource %s: no memory to wait for it: resume and drain it again",
		          drain->name);
		drain->done = false;
		return;
	}
	log_notice("resource %s: drained", drain->name);
	if (drain->leaves) {
		resource_gone(host, drain->name);
		drain_free(drain);
	}
}

static struct resource_drain *drain_new(struct host *host, const char *name)
{
	struct resource_drain *drain = calloc(1, sizeof(*drain));

	if (!drain)
		return NULL;
	snprintf(drain->name, sizeof(drain->name), "%s", name);
	drain->host = host;
	drain->fd = event_create();
	atomic_init(&drain->left, 1);
	if (drain->fd < 0 ||
	    evloop_add(host->loop, drain->fd, EPOLLIN, on_drained, drain, &drain->watch)) {
		if (drain->fd >= 0)
			close(drain->fd);
		free(drain);
		return NULL;
	}
	drain->next = host->drains;
	drain->link = &host->drains;
	if (drain->next)
		drain->next->link = &drain->next;
	host->drains = drain;
	return drain;
}

/* Out of service, or in it. How many there are. */
static unsigned int set_out(const struct host *host, const char *name, bool out)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < host->pool->resource_count; i++) {
		if (!pool_resource_is(host->pool->resource[i], name))
			continue;
		host->pool->resource[i]->out = out;
		n++;
	}
	return n;
}

/* What a group could do, and can then do no more: a word for it; NULL: nothing. */
static const char *loses(const struct group *was, const struct group *is)
{
	struct virtio_crypto_config before = {0}, after = {0};

	group_offer(was, &before);
	group_offer(is, &after);
	if (before.akcipher_algo & ~after.akcipher_algo)
		return "asymmetric";
	if (before.aead_algo & ~after.aead_algo)
		return "AEAD";
	if ((before.cipher_algo_l & ~after.cipher_algo_l) |
	    (before.cipher_algo_h & ~after.cipher_algo_h))
		return "cipher";
	if (before.hash_algo & ~after.hash_algo)
		return "hash";
	if ((before.mac_algo_l & ~after.mac_algo_l) | (before.mac_algo_h & ~after.mac_algo_h))
		return "MAC";
	return NULL;
}

/* Whether all groups can do without what is out of service. 0, -EBUSY, -ENOMEM. */
static int groups_can(struct host *host, const char *name, bool force, char **error)
{
	const struct pool *pool = host->pool;
	int err = 0;

	for (unsigned int i = 0; i < pool->group_count && !err; i++) {
		const char *lost;
		struct group *group;

		err = pool_group_new(pool, &host->config->groups[i], &group, error);
		if (err) {
			free(*error);
			*error = err == -ENOMEM ? NULL
			                        : str_format("resource \"%s\" is the last one of "
			                                     "group \"%s\" that can do anything",
			                                     name, pool->group[i]->name);
			return err == -ENOMEM ? err : -EBUSY;
		}
		lost = force ? NULL : loses(pool->group[i], group);
		free(group);
		if (lost) {
			*error =
				str_format("only resource \"%s\" does some %s algorithms for group "
			                   "\"%s\": give it another one first, or use --force",
			                   name, lost, pool->group[i]->name);
			err = -EBUSY;
		}
	}
	return err;
}

int host_resource_drain(struct host *host, const char *name, bool force, char **error)
{
	struct resource_drain *drain;
	int err;

	if (drain_find(host, name))
		return 0;
	set_out(host, name, true);
	err = groups_can(host, name, force, error);
	drain = err ? NULL : drain_new(host, name);
	if (!err)
		err = drain ? host_groups_change(host, error) : -ENOMEM;
	if (err) {
		if (drain)
			drain_free(drain);
		set_out(host, name, false);
		return err;
	}
	for (unsigned int i = 0; i < host->pool->resource_count; i++) {
		struct resource *resource = host->pool->resource[i];

		for (unsigned int w = 0; w < host->worker_count; w++) {
			if (!pool_resource_is(resource, name))
				continue;
			atomic_fetch_add(&drain->left, 1);
			err = worker_resource_drain_begin(host->worker[w], resource, answered,
			                                  drain);
			if (err)
				answered(drain, err);
		}
	}
	answered(drain, 0);
	return 0;
}

/* Workers wait for it no more, and answer. */
static void workers_let_go(const struct host *host, const struct resource_drain *drain)
{
	for (unsigned int i = 0; i < host->pool->resource_count; i++)
		for (unsigned int w = 0; w < host->worker_count; w++)
			if (pool_resource_is(host->pool->resource[i], drain->name))
				worker_resource_resume(host->worker[w], host->pool->resource[i]);
}

int host_resource_resume(struct host *host, const char *name, char **error)
{
	struct resource_drain *drain = drain_find(host, name);
	int err;

	if (!drain) {
		*error = str_format("resource \"%s\" is in service", name);
		return -ENOENT;
	}
	set_out(host, name, false);
	err = host_groups_change(host, error);
	if (err) {
		set_out(host, name, true);
		return err;
	}
	/* The last answer lets go of it, if it is waited for. */
	drain->cancelled = true;
	if (drain->watch)
		workers_let_go(host, drain);
	else
		drain_free(drain);
	return 0;
}

const char *host_resource_state(const struct host *host, const char *name)
{
	const struct resource_drain *drain;
	char whole[32]; /* of a share */

	snprintf(whole, sizeof(whole), "%.*s", (int)strcspn(name, "/"), name);
	drain = drain_find(host, whole);
	if (!drain)
		return host_config_resource_find(host->config, whole) < 0 ? "absent" : "running";
	if (drain->leaves)
		return "leaving";
	return drain->done ? "drained" : "draining";
}

unsigned int host_resource_in_flight(const struct host *host, const char *name)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < host->pool->resource_count; i++) {
		const struct resource *resource = host->pool->resource[i];

		for (unsigned int w = 0; w < host->worker_count; w++) {
			const struct resource_counters *c;

			if (!pool_resource_is(resource, name))
				continue;
			c = worker_resource_counters(host->worker[w], resource);
			/* Completed first: it never overtakes submitted then. */
			uint64_t completed = __atomic_load_n(&c->completed, __ATOMIC_RELAXED);

			n += __atomic_load_n(&c->submitted, __ATOMIC_RELAXED) - completed;
		}
	}
	return (unsigned int)n;
}

/* Why a group, or another resource, would not let it go. 0, -EBUSY. */
static int needed(const struct host *host, const char *name, char **error)
{
	const struct host_config *config = host->config;
	bool drained = drain_find(host, name);

	for (unsigned int i = 0; i < config->resources_count && !*error; i++)
		if (config->resources[i].of && !strcmp(config->resources[i].of, name))
			*error = str_format("resource \"%s\": resource \"%s\" wraps it", name,
			                    config->resources[i].name);
	for (unsigned int g = 0; g < config->groups_count && !*error; g++) {
		const struct host_config_group *group = &config->groups[g];
		bool primary = host_config_group_names(group, name, true);

		if (!primary && !host_config_group_names(group, name, false))
			continue;
		if (!drained)
			*error = str_format("resource \"%s\": group \"%s\" uses it: drain it first",
			                    name, group->name);
		else if (primary && group->policy == SCHED_SIZE && group->primary_count == 2)
			*error = str_format("resource \"%s\": group \"%s\": policy: size needs two "
			                    "primary resources: change that first",
			                    name, group->name);
	}
	return *error ? -EBUSY : 0;
}

int host_resource_remove(struct host *host, const char *name, char **error)
{
	struct resource_drain *drain = drain_find(host, name);
	int err = needed(host, name, error);

	if (err)
		return err;
	if (!drain) {
		/* No group has it; but sessions may have been there. */
		err = host_resource_drain(host, name, true, error);
		drain = drain_find(host, name);
	} else if (drain->done) {
		resource_gone(host, name);
		drain_free(drain);
		return 0;
	} else if (!drain->leaves) {
		*error = str_format("resource \"%s\" is still draining, with %u requests in flight",
		                    name, host_resource_in_flight(host, name));
		return -EBUSY;
	}
	if (!err)
		drain->leaves = true;
	return err;
}

void host_pool_stop(struct host *host)
{
	struct resource_drain *next;

	for (struct resource_drain *drain = host->drains; drain; drain = next) {
		struct pollfd fd = {.fd = drain->fd, .events = POLLIN};

		next = drain->next;
		if (drain->watch && !drain->cancelled)
			workers_let_go(host, drain);
		while (drain->watch && !event_clear(fd.fd))
			poll(&fd, 1, -1);
		drain_free(drain);
	}
}
