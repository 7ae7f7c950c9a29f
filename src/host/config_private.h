/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the configuration: config.c (schema, defaults), config_check.c (what the schema cannot
 * say), config_change.c (what is added and removed while the daemon runs).
 */
#ifndef VC_HOST_CONFIG_PRIVATE_H
#define VC_HOST_CONFIG_PRIVATE_H

#include "base/config.h"
#include "host/config.h"

extern const cyaml_schema_value_t host_config_schema;
/* The sections that can be added to. */
extern const cyaml_schema_value_t host_config_pool_schema;

/* The group of devices that name none: "default", or, where none is called so, the first.
 * 0, -ENOMEM. */
int host_config_default_group(struct host_config *config);

/* Check that the parts fit together and exist. 0, -EINVAL with *error (to be freed). */
int host_config_check(const struct host_config *config, char **error);
/* The same of what has been added last, from a text of its own. */
int host_config_check_added(const struct host_config *config,
                            const struct host_config_counts *before,
                            const struct host_config_text *text, char **error);
/* The same of one group, which has been changed: the first one of the text. */
int host_config_check_group(const struct host_config *config, unsigned int group,
                            const struct host_config_text *text, char **error);

#endif
