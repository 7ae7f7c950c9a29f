/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control socket tells: the commands of vcryptoctl. Main thread. Counters belong to the
 * workers and are read while they write them: each figure is right by itself.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "host/drain.h"
#include "host/fault_command.h"
#include "host/host.h"
#include "host/host_pool.h"
#include "host/iotlb.h"
#include "host/limit_command.h"
#include "host/resource/fault.h"
#include "host/status_health.h"
#include "host/worker.h"

/* More sessions than this are counted, not listed. */
#define MAX_LISTED 1000

static json_int_t figure(const uint64_t *counter)
{
	return (json_int_t)__atomic_load_n(counter, __ATOMIC_RELAXED);
}

#if STAGE_TIMER
/* Nanoseconds by stage. */
static json_t *stages_json(const struct worker_counters *counters)
{
	static const char *const names[] = {"idle", "pop",    "parse",  "submit",
	                                    "poll", "finish", "publish"};
	json_t *stages = json_object();

	static_assert(vc_array_size(names) == STAGE_COUNT, "a name each");
	for (unsigned int s = 0; s < STAGE_COUNT; s++)
		json_object_set_new(stages, names[s],
		                    json_integer(figure(&counters->stage_ticks[s]) * 1000 /
		                                 (json_int_t)clock_ticks_per_us()));
	return stages;
}
#endif

static json_t *workers_json(const struct host *host)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < host->worker_count; i++) {
		const struct worker_counters *c = worker_counters(host->worker[i]);
		int cpu = worker_cpu(host->worker[i]);
		json_t *worker = json_pack("{s:i, s:o, s:I, s:I, s:I}", "index", (int)i, "cpu",
		                           cpu < 0 ? json_null() : json_integer(cpu), "rounds",
		                           figure(&c->rounds), "sleeps", figure(&c->sleeps),
		                           "requests", figure(&c->requests));

#if STAGE_TIMER
		json_object_set_new(worker, "stage_ns", stages_json(c));
#endif
		json_array_append_new(list, worker);
	}
	return list;
}

/* A resource's counters, over all workers. */
static json_t *resource_json(const struct host *host, const struct resource *resource)
{
	json_int_t submitted = 0, completed = 0, failed = 0, bytes = 0, bursts = 0;

	for (unsigned int i = 0; i < host->worker_count; i++) {
		const struct resource_counters *c =
			worker_resource_counters(host->worker[i], resource);

		if (!c)
			continue;
		/* Completed first: it never overtakes submitted then. */
		completed += figure(&c->completed);
		submitted += figure(&c->submitted);
		failed += figure(&c->failed);
		bytes += figure(&c->bytes);
		bursts += figure(&c->bursts);
	}
	json_t *json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "name", resource->name,
	                         "type", resource->ops->type, "submitted", submitted, "completed",
	                         completed, "failed", failed, "bytes", bytes, "bursts", bursts,
	                         "in_flight", submitted > completed ? submitted - completed : 0);

	json_object_set_new(json, "state", json_string(host_resource_state(host, resource->name)));
	json_object_set_new(json, "health", health_json(host, resource));
	if (resource->ops->parts)
		json_object_set_new(json, resource->ops->parts, json_integer(resource->parts));
	if (fault_is(resource)) {
		json_object_set_new(json, "of", json_string(fault_inner(resource)->name));
		json_object_set_new(json, "faults", fault_json(resource));
	}
	return json;
}

static json_t *resources_json(const struct host *host)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < host->pool->resource_count; i++)
		json_array_append_new(list, resource_json(host, host->pool->resource[i]));
	return list;
}

static json_t *names_json(const struct group *group, unsigned int from, unsigned int to)
{
	json_t *list = json_array();

	for (unsigned int i = from; i < to; i++)
		json_array_append_new(list, json_string(group->resource[i]->name));
	return list;
}

static json_t *pins_json(const struct group *group)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < group->pins; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "algorithm",
		                                      group->pin[i].algorithm, "resource",
		                                      group->resource[group->pin[i].at]->name));
	return list;
}

static json_t *group_json(const struct group *group)
{
	json_t *json = json_pack(
		"{s:s, s:s, s:o, s:o, s:o, s:o}", "name", group->name, "policy",
		sched_policies[group->policy]->name, "primary",
		names_json(group, 0, group->primary), "secondary",
		names_json(group, group->primary, group->count), "pins", pins_json(group),
		"deadline_ms", group->deadline_ms ? json_integer(group->deadline_ms) : json_null());

	if (group->policy == SCHED_SIZE)
		json_object_set_new(json, "size_threshold", json_integer(group->size_threshold));
	return json;
}

static json_t *groups_json(const struct host *host)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < host->pool->group_count; i++)
		json_array_append_new(list, group_json(host->pool->group[i]));
	return list;
}

static json_t *queue_json(const struct host_queue *queue)
{
	static const char *const names[] = {NULL,      "err",   "badmsg",      "notsupp",
	                                    "invsess", "nospc", "key_rejected"};
	const struct queue_counters *c = &queue->counters;
	const char *broken = atomic_load(&queue->broken);
	json_t *errors = json_object();

	for (unsigned int i = 1; i < vc_array_size(names); i++)
		json_object_set_new(errors, names[i], json_integer(figure(&c->errors[i])));
	return json_pack("{s:i, s:s, s:b, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "index",
	                 (int)queue->index, "kind", queue->control ? "control" : "data", "started",
	                 queue->started, "broken", broken, "requests", figure(&c->requests),
	                 "bytes", figure(&c->bytes), "kicks", figure(&c->kicks), "calls",
	                 figure(&c->calls), "bad_chains", figure(&c->bad_chains), "resubmitted",
	                 figure(&c->resubmitted), "errors", errors);
}

/* Keys of stateless requests, over all workers. */
static json_t *stateless_json(const struct device *device)
{
	json_int_t keys = 0, hits = 0, misses = 0, evicted = 0, waits = 0;

	for (unsigned int w = 0; w < HOST_MAX_WORKERS; w++) {
		const struct stateless_counters *c = &device->share[w].stateless;

		keys += figure(&c->count);
		hits += figure(&c->hits);
		misses += figure(&c->misses);
		evicted += figure(&c->evicted);
		waits += figure(&c->waits);
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "keys", keys, "hits", hits, "misses", misses,
	                 "evicted", evicted, "waits", waits);
}

static json_t *device_json(const struct host *host, unsigned int i)
{
	const struct device *device = host->device[i];
	const struct memtable *regions = device_regions(device);
	json_t *queues = json_array();
	json_t *peer = json_null();
	char features[24];
	uid_t uid;
	pid_t pid;
	bool connected = vhost_socket_peer(host->socket[i], &pid, &uid);

	if (connected)
		peer = json_pack("{s:i, s:i}", "pid", (int)pid, "uid", (int)uid);
	for (unsigned int q = 0; q <= device->data_queues; q++)
		json_array_append_new(queues, queue_json(&device->queue[q]));
	snprintf(features, sizeof(features), "0x%" PRIx64, device->features);
	/* null without an IOMMU in the guest. */
	json_t *iommu =
		device->iotlb ? json_pack("{s:i, s:I}", "entries", (int)iotlb_count(device->iotlb),
	                                  "asked", (json_int_t)device->iotlb_asked)
			      : json_null();

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:s, s:i, s:i, s:I, s:o, s:o, s:o, "
		"s:o, s:o}",
		"name", device->name, "socket", vhost_socket_path(host->socket[i]), "mode",
		vhost_socket_is_client(host->socket[i]) ? "client" : "server", "group",
		device->group->name, "order", device->strict ? "strict" : "relaxed", "state",
		device_state(device), "ready", !atomic_load(&device->not_ready), "connected",
		connected, "front_end", peer, "features", features, "sessions",
		(int)session_table_count(device->sessions), "memory_regions", (int)regions->count,
		"memory", (json_int_t)memtable_bytes(regions), "iommu", iommu, "limits",
		limits_json(device), "held_back", held_back_json(device), "stateless",
		stateless_json(device), "queues", queues);
}

static json_t *devices_json(const struct host *host)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < host->device_count; i++)
		json_array_append_new(list, device_json(host, i));
	return list;
}

static json_t *on_status(void *context, const json_t *request, char **error)
{
	const struct host *host = context;
	uint64_t uptime_s = (clock_now_ns() - host->started_ns) / 1000000000;

	return json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:o, s:o, s:o, s:o}", "daemon",
	                 "vcrypto-host", "version", VCRYPTO_VERSION, "pid", (int)getpid(),
	                 "uptime_s", (json_int_t)uptime_s, "config", host->config->name, "sandbox",
	                 sandbox_describe(&host->sandbox), "workers", workers_json(host),
	                 "resources", resources_json(host), "groups", groups_json(host), "devices",
	                 devices_json(host));
}

static json_t *on_devices(void *context, const json_t *request, char **error)
{
	return devices_json(context);
}

/* Sessions come and go on the workers meanwhile. */
static json_t *device_sessions_json(struct device *device)
{
	json_t *list = json_array();
	struct session_params params;
	uint32_t cursor = 0;
	uint64_t number;

	while (json_array_size(list) < MAX_LISTED &&
	       session_table_look(device->sessions, &cursor, &number, &params)) {
		char name[64], id[24];

		snprintf(id, sizeof(id), "0x%" PRIx64, number);
		json_array_append_new(list,
		                      json_pack("{s:s, s:s}", "id", id, "what",
		                                session_params_name(&params, name, sizeof(name))));
	}
	return list;
}

static json_t *on_sessions(void *context, const json_t *request, char **error)
{
	const struct host *host = context;
	json_t *list = json_array();

	for (unsigned int i = 0; i < host->device_count; i++) {
		struct device *device = host->device[i];
		json_t *sessions = device_sessions_json(device);

		json_array_append_new(list,
		                      json_pack("{s:s, s:i, s:o}", "device", device->name, "count",
		                                (int)session_table_count(device->sessions),
		                                "sessions", sessions));
	}
	return list;
}

static json_t *on_log_level(void *context, const json_t *request, char **error)
{
	const char *name = json_string_value(json_object_get(request, "level"));
	enum log_level level;

	if (!name || log_level_parse(name, &level)) {
		*error = str_format("\"level\" must be error, warning, notice, info or debug");
		return NULL;
	}
	log_set_level(level);
	log_notice("log level is now %s", name);
	return json_pack("{s:s}", "level", name);
}

/* "offline" and "online": the device by its name. */
static json_t *device_set_offline(const struct host *host, const json_t *request, bool offline,
                                  char **error)
{
	const char *name = json_string_value(json_object_get(request, "device"));

	for (unsigned int i = 0; name && i < host->device_count; i++) {
		struct device *device = host->device[i];

		if (strcmp(device->name, name) != 0)
			continue;
		device_offline(device, offline);
		log_notice("device %s: %s, by the administrator", name,
		           offline ? "offline" : "online");
		return json_pack("{s:s, s:b}", "device", name, "offline", offline);
	}
	*error = str_format("\"device\" must be the name of a device");
	return NULL;
}

static json_t *on_offline(void *context, const json_t *request, char **error)
{
	return device_set_offline(context, request, true, error);
}

static json_t *on_online(void *context, const json_t *request, char **error)
{
	return device_set_offline(context, request, false, error);
}

static json_t *on_version(void *context, const json_t *request, char **error)
{
	return json_pack("{s:s, s:s}", "daemon", "vcrypto-host", "version", VCRYPTO_VERSION);
}

const struct ctl_command host_commands[] = {
	{"status", on_status},
	{"devices", on_devices},
	{"sessions", on_sessions},
	{"log-level", on_log_level},
	{"version", on_version},
	{"offline", on_offline},
	{"online", on_online},
	{"fault", fault_command},
	{"add", admin_add},
	{"set", admin_set},
	{"drain", admin_drain},
	{"resume", admin_resume},
	{"remove", admin_remove},
	{"state", admin_state},
	{"config", admin_config},
	{"limit", limit_command},
	{NULL, NULL},
};
