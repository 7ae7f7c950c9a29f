/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.yaml: what groups have of resources for themselves. Main thread.
 */
#include <string.h>

#include "host/config_check_private.h"

static bool group_shares(const struct host_config_group *group, const char *resource)
{
	for (unsigned int i = 0; i < group->share_count; i++)
		if (!strcmp(group->share[i].resource, resource))
			return true;
	return false;
}

static int share_check(struct check *check, unsigned int g, unsigned int i, unsigned int others)
{
	const struct host_config *config = check->config;
	const struct host_config_group *group = &config->groups[g];
	const struct host_config_share *share = &group->share[i];
	struct config_place place = {"groups", (int)g, "share", (int)i};
	const struct host_config_resource *resource;
	const char *word;

	if (!config_check_member(group, share->resource))
		return fail(check, &place,
		            "group \"%s\" has a share of \"%s\", which is not in its lists",
		            group->name, share->resource);
	for (unsigned int j = 0; j < i; j++)
		if (!strcmp(group->share[j].resource, share->resource))
			return fail(check, &place, "group \"%s\" has two shares of \"%s\"",
			            group->name, share->resource);
	resource = &config->resources[host_config_resource_find(config, share->resource)];
	word = resource_type_find(resource->type)->parts;
	if (check->text && resource < config->resources + check->first.resources)
		return fail(check, &place,
		            "group \"%s\": a share of \"%s\", which is there already: it is dealt "
		            "out when it is made",
		            group->name, share->resource);
	if (!word)
		return fail(check, &place,
		            "group \"%s\": there are no shares of \"%s\": the type %s has no "
		            "threads of its own",
		            group->name, share->resource, resource->type);
	if (!share->threads || share->threads > host_config_parts(resource) - others)
		return fail(check, &place,
		            "group \"%s\": a share of %u %s of \"%s\", which has %u, of which %u "
		            "are shares already",
		            group->name, share->threads, word, share->resource,
		            host_config_parts(resource), others);
	return 0;
}

/* Nobody may need what is left when nothing is. */
static int rest_check(struct check *check, unsigned int r)
{
	const struct host_config *config = check->config;
	const char *name = config->resources[r].name;

	if (host_config_shared(config, name) < host_config_parts(&config->resources[r]))
		return 0;
	for (unsigned int g = 0; g < config->groups_count; g++) {
		const struct host_config_group *group = &config->groups[g];
		struct config_place place = {"groups", (int)g, "name", -1};

		if (config_check_member(group, name) && !group_shares(group, name))
			return fail(check, &place,
			            "group \"%s\": nothing is left of \"%s\": shares of other "
			            "groups are all of it",
			            group->name, name);
	}
	for (unsigned int i = 0; i < config->resources_count; i++) {
		struct config_place place = {"resources", (int)i, "of", -1};

		if (config->resources[i].of && !strcmp(config->resources[i].of, name))
			return fail(check, &place,
			            "resource \"%s\": nothing is left of \"%s\": shares of groups "
			            "are all of it",
			            config->resources[i].name, name);
	}
	return 0;
}

int config_check_shares(struct check *check)
{
	const struct host_config *config = check->config;
	unsigned int taken[HOST_MAX_RESOURCES] = {0}, count = config->resources_count;
	int err = 0;

	for (unsigned int g = 0; g < config->groups_count; g++) {
		for (unsigned int i = 0; i < config->groups[g].share_count; i++) {
			const struct host_config_share *share = &config->groups[g].share[i];
			struct config_place place = {"groups", (int)g, "share", (int)i};
			int r = host_config_resource_find(config, share->resource);

			if (r < 0)
				return fail(check, &place,
				            "group \"%s\": there is no resource \"%s\"",
				            config->groups[g].name, share->resource);
			if (g >= check->first.groups)
				err = share_check(check, g, i, taken[r]);
			if (!err && ++count > HOST_MAX_RESOURCES)
				err = fail(check, &place, "resources and shares are more than %d",
				           HOST_MAX_RESOURCES);
			if (err)
				return err;
			taken[r] += share->threads;
		}
	}
	for (unsigned int r = 0; r < config->resources_count && !err; r++)
		if (taken[r])
			err = rest_check(check, r);
	return err;
}
