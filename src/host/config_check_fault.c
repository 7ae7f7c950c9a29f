/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.yaml: resources of type fault. Main thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config_check_private.h"

static int values_check(struct check *check, unsigned int i)
{
	const struct host_config_resource *resource = &check->config->resources[i];
	struct config_place place = {"resources", (int)i, NULL, -1};
	struct fault_settings settings;
	const char *key = "";
	char *why = NULL, where[40];
	int err = host_config_faults(resource, &settings, &key, &why);

	if (!err)
		return 0;
	snprintf(where, sizeof(where), "faults.%s", key);
	place.key = where;
	err = fail(check, &place, "resource \"%s\": %s", resource->name, why ? why : key);
	free(why);
	return err;
}

int config_check_fault(struct check *check, unsigned int i)
{
	const struct host_config *config = check->config;
	const struct host_config_resource *resource = &config->resources[i];
	struct config_place place = {"resources", (int)i, "type", -1};
	int of;

	if (strcmp(resource->type, "fault") != 0) {
		if (!resource->of && !resource->faults)
			return 0;
		place.key = resource->of ? "of" : "faults";
		return fail(check, &place, "resource \"%s\": only the type fault has \"%s\"",
		            resource->name, place.key);
	}
	if (resource->threads || resource->wait_us) {
		place.key = resource->threads ? "threads" : "wait-us";
		return fail(check, &place, "resource \"%s\": the type fault has no \"%s\"",
		            resource->name, place.key);
	}
	if (!resource->of)
		return fail(check, &place,
		            "resource \"%s\": \"of\" is missing: the resource that it wraps",
		            resource->name);
	place.key = "of";
	of = host_config_resource_find(config, resource->of);
	if (of < 0 || (unsigned int)of >= i)
		return fail(check, &place,
		            "resource \"%s\": no resource \"%s\" stands before it in the list",
		            resource->name, resource->of);
	if (!strcmp(config->resources[of].type, "fault"))
		return fail(check, &place, "resource \"%s\": \"%s\" is a fault itself",
		            resource->name, resource->of);
	return values_check(check, i);
}
