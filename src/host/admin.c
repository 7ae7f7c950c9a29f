/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the control socket that change what there is: add, drain, resume, remove. Main
 * thread.
 *
 * Who asks is root or our own user, and may still be wrong: each refusal is a sentence that names
 * the thing. Nothing here waits; how far it is, "state" tells.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "host/drain.h"
#include "host/host.h"

/* ---- which one ---- */

/* NULL, with *error: it is none. */
static struct device *device_named(const struct host *host, const char *name, unsigned int *index,
                                   char **error)
{
	int found = host_device_find(host, name);

	if (found < 0) {
		*error = str_format("there is no device \"%.64s\"", name);
		return NULL;
	}
	*index = (unsigned int)found;
	if (host->device[found]->leaves) {
		*error = str_format("device \"%s\" is being removed", name);
		return NULL;
	}
	return host->device[found];
}

/* ---- state ---- */

static json_t *device_answer(struct device *device)
{
	return json_pack("{s:s, s:s, s:i}", "device", device->name, "state", device_state(device),
	                 "in_flight", (int)device_in_flight(device));
}

json_t *admin_state(void *context, const json_t *request, char **error)
{
	const struct host *host = context;
	const char *name = json_string_value(json_object_get(request, "device"));
	int found = name ? host_device_find(host, name) : -1;

	if (!name) {
		*error = str_format("\"device\" must be the name of a device");
		return NULL;
	}
	if (found < 0)
		return json_pack("{s:s, s:s, s:i}", "device", name, "state", "absent", "in_flight",
		                 0);
	return device_answer(host->device[found]);
}

json_t *admin_config(void *context, const json_t *request, char **error)
{
	const struct host *host = context;
	json_t *result;
	char *text;

	if (host_config_print(host->config, &text))
		return NULL;
	result = json_pack("{s:s}", "yaml", text);
	free(text);
	return result;
}

/* ---- add ---- */

static json_t *added_json(const struct host *host, const struct host_config_counts *before)
{
	const struct host_config *config = host->config;
	json_t *devices = json_array();

	for (unsigned int i = before->devices; i < config->devices_count; i++)
		json_array_append_new(devices, json_string(config->devices[i].name));
	return json_pack("{s:o}", "devices", devices);
}

static int add_all(struct host *host, const struct host_config_counts *before, char **error)
{
	int err = 0;

	while (!err && host->device_count < host->config->devices_count)
		err = host_device_add(host, error);
	while (err && host->device_count > before->devices)
		host_device_remove(host, host->device_count - 1);
	return err;
}

json_t *admin_add(void *context, const json_t *request, char **error)
{
	struct host *host = context;
	const char *yaml = json_string_value(json_object_get(request, "yaml"));
	const char *name = json_string_value(json_object_get(request, "name"));
	struct host_config_counts before;
	int err;

	if (!yaml || !name) {
		*error = str_format(
			"\"yaml\" must be what is to be added, \"name\" where it is from");
		return NULL;
	}
	struct host_config_text text = {.name = name, .text = yaml, .length = strlen(yaml)};

	err = host_config_add(host->config, &text, &before, error);
	if (!err) {
		err = add_all(host, &before, error);
		if (err)
			host_config_truncate(host->config, &before);
	}
	if (!err)
		return added_json(host, &before);
	if (!*error)
		*error = str_format("%s: %s", name, strerror(-err));
	return NULL;
}

/* ---- drain, resume, remove ---- */

static const char *target_name(const json_t *request, char **error)
{
	const char *name = json_string_value(json_object_get(request, "device"));

	if (!name)
		*error = str_format("\"device\" must be the name of a device");
	return name;
}

json_t *admin_drain(void *context, const json_t *request, char **error)
{
	struct host *host = context;
	const char *name = target_name(request, error);
	struct device *device;
	unsigned int index;

	if (!name)
		return NULL;
	device = device_named(host, name, &index, error);
	if (!device || device_drain(host->loop, device))
		return NULL;
	log_notice("device %s: draining, by the administrator", name);
	return device_answer(device);
}

json_t *admin_resume(void *context, const json_t *request, char **error)
{
	struct host *host = context;
	const char *name = target_name(request, error);
	struct device *device;
	unsigned int index;

	if (!name)
		return NULL;
	device = device_named(host, name, &index, error);
	if (!device)
		return NULL;
	if (!device_drains(device)) {
		*error = str_format("device \"%s\" is in service", name);
		return NULL;
	}
	device_undrain(device);
	log_notice("device %s: in service again, by the administrator", name);
	return device_answer(device);
}

/* Whether somebody would miss it. */
static bool device_in_use(const struct host *host, unsigned int index, char **error)
{
	struct device *device = host->device[index];
	pid_t pid;
	uid_t uid;

	if (!vhost_socket_peer(host->socket[index], &pid, &uid) ||
	    (device_drains(device) && device_drained(device)))
		return false;
	if (device_drains(device))
		*error = str_format("device \"%s\" is still draining, with %u requests in flight: "
		                    "wait, or use --force",
		                    device->name, device_in_flight(device));
	else
		*error = str_format("device \"%s\" is used by process %d of user %u: drain it "
		                    "first, or use --force",
		                    device->name, (int)pid, (unsigned int)uid);
	return true;
}

json_t *admin_remove(void *context, const json_t *request, char **error)
{
	struct host *host = context;
	const char *name = target_name(request, error);
	struct device *device;
	unsigned int index;

	if (!name)
		return NULL;
	device = device_named(host, name, &index, error);
	if (!device)
		return NULL;
	if (!json_is_true(json_object_get(request, "force")) && device_in_use(host, index, error))
		return NULL;
	log_notice("device %s: to be removed, by the administrator", name);
	host_device_remove(host, index);
	return admin_state(context, request, error);
}
