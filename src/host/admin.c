/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the control socket that change what there is: add, set, drain, resume, remove. Main
 * thread.
 *
 * Who asks is root or our own user, and may still be wrong: each refusal is a sentence that names
 * the thing. Nothing here waits for requests; how far it is, "state" tells.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "host/drain.h"
#include "host/host.h"
#include "host/host_pool.h"

/* ---- which one ---- */

enum kind { DEVICE, RESOURCE, GROUP };

static const char *const kinds[] = {"device", "resource", "group"};

struct target {
	enum kind kind;
	const char *name;
	unsigned int index; /* in the configuration's list */
};

static int find(const struct host *host, enum kind kind, const char *name)
{
	switch (kind) {
	case DEVICE:
		return host_device_find(host, name);
	case RESOURCE:
		return host_config_resource_find(host->config, name);
	case GROUP:
		return host_config_group_find(host->config, name);
	}
	return -1;
}

/* Which kind the request names, up to the most that the command is for. 0; -1 with *error. */
static int target_named(const json_t *request, enum kind most, struct target *target, char **error)
{
	for (unsigned int kind = DEVICE; kind <= most; kind++) {
		target->kind = (enum kind)kind;
		target->name = json_string_value(json_object_get(request, kinds[kind]));
		if (target->name)
			return 0;
	}
	*error = str_format("\"device\"%s must be the name of one",
	                    most == GROUP ? ", \"resource\" or \"group\"" : " or \"resource\"");
	return -1;
}

/* The same of one that there is. */
static int target_find(const struct host *host, const json_t *request, enum kind most,
                       struct target *target, char **error)
{
	int found;

	if (target_named(request, most, target, error))
		return -1;
	found = find(host, target->kind, target->name);
	if (found < 0)
		*error = str_format("there is no %s \"%.64s\"", kinds[target->kind], target->name);
	else if (target->kind == DEVICE && host->device[found]->leaves)
		*error = str_format("device \"%s\" is being removed", target->name);
	target->index = (unsigned int)found;
	return *error ? -1 : 0;
}

/* ---- state ---- */

static json_t *target_answer(const struct host *host, const struct target *target)
{
	int found = find(host, target->kind, target->name);
	const char *state = found < 0 ? "absent" : "running";
	unsigned int in_flight = 0;

	if (found >= 0 && target->kind == DEVICE) {
		state = device_state(host->device[found]);
		in_flight = device_in_flight(host->device[found]);
	} else if (found >= 0 && target->kind == RESOURCE) {
		state = host_resource_state(host, target->name);
		in_flight = host_resource_in_flight(host, target->name);
	}
	return json_pack("{s:s, s:s, s:i}", kinds[target->kind], target->name, "state", state,
	                 "in_flight", (int)in_flight);
}

json_t *admin_state(void *context, const json_t *request, char **error)
{
	struct target target;

	return target_named(request, GROUP, &target, error) ? NULL
	                                                    : target_answer(context, &target);
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

/* ---- add, set ---- */

/* 0; -1 with *error. */
static int text_of(const json_t *request, struct host_config_text *text, char **error)
{
	text->text = json_string_value(json_object_get(request, "yaml"));
	text->name = json_string_value(json_object_get(request, "name"));
	if (text->text && text->name) {
		text->length = strlen(text->text);
		return 0;
	}
	*error = str_format("\"yaml\" must be what it is to be, \"name\" where that is from");
	return -1;
}

/* NULL: what has been refused after the text itself was good. */
static json_t *refusal(const char *name, int err, char **error)
{
	char *why = *error;

	*error = str_format("%s: %s", name, why ? why : strerror(-err));
	free(why);
	return NULL;
}

static json_t *added_json(const struct host *host, const struct host_config_counts *before)
{
	const struct host_config *config = host->config;
	json_t *resources = json_array(), *groups = json_array(), *devices = json_array();

	for (unsigned int i = before->resources; i < config->resources_count; i++) {
		json_array_append_new(resources, json_string(config->resources[i].name));
		log_notice("resource %s: added, by the administrator", config->resources[i].name);
	}
	for (unsigned int i = before->groups; i < config->groups_count; i++) {
		json_array_append_new(groups, json_string(config->groups[i].name));
		log_notice("group %s: added, by the administrator", config->groups[i].name);
	}
	for (unsigned int i = before->devices; i < config->devices_count; i++)
		json_array_append_new(devices, json_string(config->devices[i].name));
	return json_pack("{s:o, s:o, s:o}", "resources", resources, "groups", groups, "devices",
	                 devices);
}

/* What the configuration has got: all of it, or nothing. */
static int add_all(struct host *host, const struct host_config_counts *before, char **error)
{
	unsigned int resources = host->pool->resource_count;
	int err = host_resources_add(host, before->resources, error);

	if (!err)
		err = host_groups_add(host, before->groups, error);
	while (!err && host->device_count < host->config->devices_count)
		err = host_device_add(host, error);
	if (!err)
		return 0;
	while (host->device_count > before->devices)
		host_device_remove(host, host->device_count - 1);
	host_groups_undo(host, before->groups);
	host_resources_undo(host, resources);
	host_config_truncate(host->config, before);
	return err;
}

json_t *admin_add(void *context, const json_t *request, char **error)
{
	struct host *host = context;
	struct host_config_counts before;
	struct host_config_text text;
	int err;

	if (text_of(request, &text, error) || host_config_add(host->config, &text, &before, error))
		return NULL;
	err = add_all(host, &before, error);
	return err ? refusal(text.name, err, error) : added_json(host, &before);
}

json_t *admin_set(void *context, const json_t *request, char **error)
{
	struct host *host = context;
	struct target target = {.kind = GROUP};
	struct host_config_text text;
	struct host_config *was;
	int err;

	if (text_of(request, &text, error) ||
	    host_config_group_set(host->config, &text, &target.index, &was, error))
		return NULL;
	err = host_groups_change(host, error);
	if (err) {
		host_config_group_put_back(host->config, target.index, was);
		return refusal(text.name, err, error);
	}
	host_config_free(was);
	target.name = host->config->groups[target.index].name;
	log_notice("group %s: changed, by the administrator", target.name);
	return target_answer(host, &target);
}

/* ---- drain, resume, remove ---- */

static bool is_forced(const json_t *request)
{
	return json_is_true(json_object_get(request, "force"));
}

json_t *admin_drain(void *context, const json_t *request, char **error)
{
	struct host *host = context;
	struct target target;
	int err;

	if (target_find(host, request, RESOURCE, &target, error))
		return NULL;
	err = target.kind == DEVICE
	              ? device_drain(host->loop, host->device[target.index])
	              : host_resource_drain(host, target.name, is_forced(request), error);
	if (err)
		return NULL;
	log_notice("%s %s: draining, by the administrator", kinds[target.kind], target.name);
	return target_answer(host, &target);
}

json_t *admin_resume(void *context, const json_t *request, char **error)
{
	struct host *host = context;
	struct target target;

	if (target_find(host, request, RESOURCE, &target, error))
		return NULL;
	if (target.kind == DEVICE) {
		if (device_drains(host->device[target.index]))
			device_undrain(host->device[target.index]);
		else
			*error = str_format("device \"%s\" is in service", target.name);
	} else if (host_resource_resume(host, target.name, error)) {
		return NULL;
	}
	if (*error)
		return NULL;
	log_notice("%s %s: in service again, by the administrator", kinds[target.kind],
	           target.name);
	return target_answer(host, &target);
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

/* 0, -errno, perhaps with *error. */
static int target_remove(struct host *host, const struct target *target, bool force, char **error)
{
	switch (target->kind) {
	case DEVICE:
		if (!force && device_in_use(host, target->index, error))
			return -EBUSY;
		log_notice("device %s: to be removed, by the administrator", target->name);
		host_device_remove(host, target->index);
		return 0;
	case RESOURCE:
		return host_resource_remove(host, target->name, error);
	case GROUP:
		return host_group_remove(host, target->index, error);
	}
	return -EINVAL;
}

json_t *admin_remove(void *context, const json_t *request, char **error)
{
	struct host *host = context;
	struct target target;

	if (target_find(host, request, GROUP, &target, error) ||
	    target_remove(host, &target, is_forced(request), error))
		return NULL;
	return target_answer(host, &target);
}
