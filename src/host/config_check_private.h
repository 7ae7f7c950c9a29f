/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the checks of host.yaml: config_check.c, config_check_fault.c, config_check_share.c.
 */
#ifndef VC_HOST_CONFIG_CHECK_PRIVATE_H
#define VC_HOST_CONFIG_CHECK_PRIVATE_H

#include "host/config_private.h"

struct check {
	const struct host_config *config;
	/* What is looked at begins with these, the first ones of the text; NULL: the file that the
	 * configuration is of. */
	struct host_config_counts first;
	const struct host_config_text *text;
	char **error;
};

/* A place in the file: section[index].key[item]. Later parts may be absent (-1, NULL, -1). */
struct config_place {
	const char *section;
	int index;
	const char *key;
	int item;
};

/* Say what is wrong at a place. Always -EINVAL. */
int config_check_fail(struct check *check, const struct config_place *place, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));
#define fail(check, place, ...) config_check_fail(check, place, __VA_ARGS__)

/* Whether the resource is in one of the group's lists. */
bool config_check_member(const struct host_config_group *group, const char *resource);
/* Resource i: what it wraps, and its faults. */
int config_check_fault(struct check *check, unsigned int i);
/* Resource i: what is for type dpdk alone; and DPDK's own section (config_dpdk.c). */
int config_check_dpdk(struct check *check, unsigned int i);
int config_check_dpdk_section(struct check *check);
/* What groups have for themselves; resources and the lists of groups are good. */
int config_check_shares(struct check *check);

#endif
