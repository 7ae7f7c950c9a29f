/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: status, clients, sessions, log-level, version. Runs in the daemon's one
 * thread between rounds; each answer is one JSON value, which vcryptoctl shows.
 */
#include "engined/engined.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static const char *const class_names[] = {
	[VCE_CLASS_CIPHER] = "cipher",
	[VCE_CLASS_AEAD] = "aead",
	[VCE_CLASS_RSA_SIGN] = "rsa_sign",
	[VCE_CLASS_RSA_DECRYPT] = "rsa_decrypt",
	[VCE_CLASS_RSA_PUBLIC] = "rsa_public",
	[VCE_CLASS_ECDSA_SIGN] = "ecdsa_sign",
	[VCE_CLASS_ECDSA_VERIFY] = "ecdsa_verify",
	[VCE_CLASS_DERIVE] = "derive",
	[VCE_CLASS_GENERATE] = "generate",
};

static const char *const fallback_names[] = {
	[VCE_FALLBACK_NO_DAEMON] = "no_daemon", [VCE_FALLBACK_FULL] = "full",
	[VCE_FALLBACK_DEADLINE] = "deadline",   [VCE_FALLBACK_NOTSUPP] = "notsupp",
	[VCE_FALLBACK_DEVICE] = "device",       [VCE_FALLBACK_SILENT] = "silent",
};

static json_t *numbers(const char *const *names, size_t n, const uint64_t *values)
{
	json_t *object = json_object();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_set_new(object, names[i], number(values[i]));
	return object;
}

static json_t *offloaded(const struct vce_client_stats *word)
{
	json_t *object = numbers(class_names, VCE_CLASSES_FIRST, word->offloaded);

	for (unsigned int i = VCE_CLASSES_FIRST; i < VCE_CLASSES; i++)
		json_object_set_new(object, class_names[i],
		                    number(word->offloaded_more[i - VCE_CLASSES_FIRST]));
	return object;
}

static void counters_set(json_t *object, const struct client_counters *c)
{
	json_object_set_new(object, "requests", number(c->requests));
	json_object_set_new(object, "bytes", number(c->bytes));
	json_object_set_new(object, "errors", number(c->errors));
	json_object_set_new(object, "offloaded", offloaded(&c->word));
	json_object_set_new(
		object, "fallback",
		numbers(fallback_names, vc_array_size(fallback_names), c->word.fallback));
	json_object_set_new(object, "small", number(c->word.small));
}

static json_t *client_json(const struct client *client)
{
	json_t *object = json_object();
	struct client_counters counters;
	unsigned int channels = 0;

	client_counters_get(client, &counters);
	if (client->region.base)
		channels = vc_min(region_header(&client->region)->channels_used,
		                  client->region.layout.channels);
	json_object_set_new(object, "pid", json_integer(client->pid));
	json_object_set_new(object, "uid", number(client->uid));
	/* Printable ASCII only, made so in HELLO. */
	json_object_set_new(object, "name", json_string(client->name));
	json_object_set_new(object, "channels", number(channels));
	json_object_set_new(object, "in_flight", number(client->in_flight));
	json_object_set_new(object, "sessions", number(client->handles_used));
	json_object_set_new(object, "wakers", number(client->wakers_count));
	counters_set(object, &counters);
	return object;
}

static json_t *clients_json(const struct engined *e, struct client_counters *sum)
{
	json_t *array = json_array();
	struct client_counters counters;
	struct client *client;

	*sum = e->past;
	for (client = e->clients; client; client = client->next) {
		client_counters_get(client, &counters);
		client_counters_add(sum, &counters);
		json_array_append_new(array, client_json(client));
	}
	return array;
}

static json_t *device_json(const struct engined *e)
{
	const struct device *d = &e->device;
	json_t *object = json_object(), *queues = json_array();
	struct vcrypto_queue_stats stats;
	unsigned int i, n = vc_max(d->queues, 1u);
	bool pci = e->config.device_address[0];

	for (i = 0; i < n; i++) {
		json_t *queue = json_object();

		device_queue_stats(e, i, &stats);
		json_object_set_new(queue, "index", number(i));
		json_object_set_new(queue, "submitted", number(stats.submitted));
		json_object_set_new(queue, "completed", number(stats.completed));
		json_object_set_new(queue, "failed", number(stats.failed));
		json_object_set_new(queue, "kicks", number(stats.kicks));
		json_object_set_new(queue, "calls", number(stats.calls));
		json_array_append_new(queues, queue);
	}
	json_object_set_new(object, "transport", json_string(pci ? "pci" : "vhost-user"));
	json_object_set_new(object, pci ? "address" : "socket", json_string(device_name(e)));
	json_object_set_new(object, "state", json_string(d->handle ? "up" : "down"));
	json_object_set_new(object, "error", d->error[0] ? json_string(d->error) : json_null());
	json_object_set_new(object, "reconnects", number(d->opened ? d->opened - 1 : 0));
	json_object_set_new(object, "resubmitted", number(d->repeated));
	json_object_set_new(object, "queues", queues);
	return object;
}

static json_t *sessions_json(const struct engined *e)
{
	json_t *object = json_object();
	struct cache_stats stats;

	cache_stats_get(e->cache, &stats);
	json_object_set_new(object, "device", number(stats.entries));
	json_object_set_new(object, "in_use", number(stats.entries - stats.unused));
	json_object_set_new(object, "idle", number(stats.unused));
	json_object_set_new(object, "hits", number(stats.hits));
	json_object_set_new(object, "misses", number(stats.misses));
	json_object_set_new(object, "evicted", number(stats.evicted));
	return object;
}

static json_t *command_status(void *context, const json_t *request, char **error)
{
	const struct engined *e = context;
	json_t *object = json_object(), *polling = json_object(), *totals = json_object();
	json_t *clients;
	struct client_counters sum;

	clients = clients_json(e, &sum);
	counters_set(totals, &sum);
	json_object_set_new(totals, "clients_ever", number(e->clients_ever));
	json_object_set_new(polling, "rounds", number(e->rounds));
	json_object_set_new(polling, "sleeps", number(e->poller.sleeps));
	json_object_set_new(polling, "yields", number(e->poller.yields));

	json_object_set_new(object, "daemon", json_string("vcrypto-engined"));
	json_object_set_new(object, "version", json_string(VCRYPTO_VERSION));
	json_object_set_new(object, "pid", json_integer(getpid()));
	json_object_set_new(object, "uptime_s",
	                    number((clock_now_ns() - e->started_ns) / 1000000000u));
	json_object_set_new(object, "sandbox", json_string(sandbox_describe(&e->sandbox)));
	json_object_set_new(object, "device", device_json(e));
	json_object_set_new(object, "polling", polling);
	json_object_set_new(object, "sessions", sessions_json(e));
	json_object_set_new(object, "clients", clients);
	json_object_set_new(object, "totals", totals);
	return object;
}

static json_t *command_clients(void *context, const json_t *request, char **error)
{
	struct client_counters sum;

	return clients_json(context, &sum);
}

static json_t *command_devices(void *context, const json_t *request, char **error)
{
	return json_pack("[o]", device_json(context));
}

static json_t *command_sessions(void *context, const json_t *request, char **error)
{
	return sessions_json(context);
}

static json_t *command_log_level(void *context, const json_t *request, char **error)
{
	const char *name = json_string_value(json_object_get(request, "level"));
	enum log_level level;

	if (!name || log_level_parse(name, &level)) {
		*error = str_format("level: error, warning, notice, info or debug");
		return NULL;
	}
	log_set_level(level);
	return json_pack("{s:s}", "level", name);
}

static json_t *command_version(void *context, const json_t *request, char **error)
{
	return json_pack("{s:s, s:s}", "daemon", "vcrypto-engined", "version", VCRYPTO_VERSION);
}

static const struct ctl_command commands[] = {
	{"status", command_status},
	{"clients", command_clients},
	{"devices", command_devices},
	{"sessions", command_sessions},
	{"log-level", command_log_level},
	{"version", command_version},
	{NULL, NULL},
};

int status_open(struct engined *e, const char *path)
{
	return ctl_server_create(e->loop, path, commands, e, &e->ctl);
}

void status_close(struct engined *e)
{
	ctl_server_destroy(e->ctl);
	e->ctl = NULL;
}
