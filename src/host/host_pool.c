/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources and groups that come and go; see host_pool.h. Main thread.
 *
 * Workers read a group without a lock: so it is never changed, but another is put in its place, in
 * each worker between two rounds, and the old one is freed when all have done so.
 */
#include "host/host_pool.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "host/worker.h"

/* ---- groups ---- */

/* Every device and worker uses the one in place of the other, which nobody knows afterwards. */
static void group_swap(struct host *host, struct group **place, struct group *group)
{
	struct group *was = *place;

	*place = group;
	for (unsigned int i = 0; i < host->device_count; i++)
		if (host->device[i]->group == was)
			device_set_group(host->device[i], group);
	for (unsigned int w = 0; w < host->worker_count; w++)
		worker_group_replace(host->worker[w], was, group);
	free(was);
}

/* Whether it makes no difference which one is used. */
static bool group_same(const struct group *a, const struct group *b)
{
	if (a->policy != b->policy || a->primary != b->primary || a->count != b->count ||
	    a->size_threshold != b->size_threshold || a->deadline_ms != b->deadline_ms ||
	    a->pins != b->pins)
		return false;
	for (unsigned int i = 0; i < a->count; i++)
		if (a->resource[i] != b->resource[i])
			return false;
	for (unsigned int i = 0; i < a->pins; i++)
		if (a->pin[i].at != b->pin[i].at ||
		    strcmp(a->pin[i].algorithm, b->pin[i].algorithm) != 0)
			return false;
	return true;
}

int host_groups_change(struct host *host, char **error)
{
	struct pool *pool = host->pool;
	struct group *fresh[HOST_MAX_GROUPS];
	unsigned int n = 0;
	int err = 0;

	while (n < pool->group_count && !err) {
		err = pool_group_new(pool, &host->config->groups[n], &fresh[n], error);
		if (!err) {
			fresh[n]->index = pool->group[n]->index;
			n++;
		}
	}
	for (unsigned int i = 0; i < n; i++) {
		if (err || group_same(fresh[i], pool->group[i]))
			free(fresh[i]);
		else
			group_swap(host, &pool->group[i], fresh[i]);
	}
	return err;
}

int host_groups_add(struct host *host, unsigned int first, char **error)
{
	return pool_groups_add(host->pool, host->config, first, error);
}

void host_groups_undo(struct host *host, unsigned int count)
{
	while (host->pool->group_count > count)
		pool_group_remove(host->pool, host->pool->group_count - 1);
}

int host_group_remove(struct host *host, unsigned int index, char **error)
{
	const struct host_config_group *from = &host->config->groups[index];

	for (unsigned int i = 0; i < host->device_count; i++) {
		if (host->device[i]->group != host->pool->group[index])
			continue;
		*error = str_format("group \"%s\": device \"%s\" uses it", from->name,
		                    host->device[i]->name);
		return -EBUSY;
	}
	if (from->share_count) {
		*error =
			str_format("group \"%s\" has a share of resource \"%s\": remove that first",
		                   from->name, from->share[0].resource);
		return -EBUSY;
	}
	log_notice("group %s: removed", from->name);
	pool_group_remove(host->pool, index);
	host_config_group_remove(host->config, index);
	return 0;
}

/* ---- resources ---- */

static void close_some(struct host *host, struct resource *resource, unsigned int workers)
{
	for (unsigned int w = 0; w < workers; w++)
		worker_resource_close(host->worker[w], resource);
}

void host_pool_remove(struct host *host, unsigned int place)
{
	close_some(host, host->pool->resource[place], host->worker_count);
	pool_resource_remove(host->pool, place);
}

static int open_everywhere(struct host *host, struct resource *resource, char **error)
{
	for (unsigned int w = 0; w < host->worker_count; w++) {
		int err = worker_resource_open(host->worker[w], resource);

		if (!err)
			continue;
		*error = str_format("resource \"%s\": worker %u: %s", resource->name, w,
		                    strerror(-err));
		close_some(host, resource, w);
		return err;
	}
	return 0;
}

void host_resources_undo(struct host *host, unsigned int count)
{
	struct pool *pool = host->pool;

	while (pool->resource_count > count) {
		unsigned int last = pool->resource_count - 1;

		host_pool_remove(host, last);
	}
}

/* Its threads run where those of the others do; this one keeps off workers' CPUs. */
static int resources_make(struct host *host, unsigned int first, char **error)
{
	cpu_set_t cpus;
	bool known = sched_getaffinity(0, sizeof(cpus), &cpus) == 0;
	int err;

	if (known)
		sched_setaffinity(0, sizeof(host->cpus), &host->cpus);
	err = pool_resources_add(host->pool, host->config, first, error);
	if (known)
		sched_setaffinity(0, sizeof(cpus), &cpus);
	return err;
}

int host_resources_add(struct host *host, unsigned int first, char **error)
{
	struct pool *pool = host->pool;
	unsigned int had = pool->resource_count;
	int err = resources_make(host, first, error);

	for (unsigned int i = had; i < pool->resource_count && !err; i++) {
		err = open_everywhere(host, pool->resource[i], error);
		if (!err)
			continue;
		while (pool->resource_count > i)
			pool_resource_remove(pool, pool->resource_count - 1);
		host_resources_undo(host, had);
	}
	return err;
}
