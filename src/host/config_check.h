/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of config.c: what the schema cannot say.
 */
#ifndef VC_HOST_CONFIG_CHECK_H
#define VC_HOST_CONFIG_CHECK_H

#include "host/config.h"

/* Check that the parts fit together and exist. 0, -EINVAL with *error (to be freed). */
int host_config_check(const struct host_config *config, char **error);

#endif
