/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of config.c: what the schema cannot say, and where things stand.
 */
#ifndef VC_HOST_CONFIG_CHECK_H
#define VC_HOST_CONFIG_CHECK_H

#include "host/config.h"

/* A place in the file: section[index].key[item]. Later parts may be absent (-1, NULL, -1). */
struct config_place {
	const char *section;
	int index;
	const char *key;
	int item;
};

/* The line of that, or of as much of it as is there, from 1; 0: there is no such file. */
unsigned int config_line(const char *path, const struct config_place *place);

/* Check that the parts fit together and exist. 0, -EINVAL with *error (to be freed). */
int host_config_check(const struct host_config *config, char **error);

#endif
