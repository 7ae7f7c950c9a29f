/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of config: check a YAML text against a libcyaml schema, for the sake of good sentences.
 */
#ifndef VC_BASE_CONFIG_CHECK_H
#define VC_BASE_CONFIG_CHECK_H

#include <cyaml/cyaml.h>
#include <stddef.h>

/* 0, or -EINVAL with *error = "NAME:LINE: sentence" (to be freed), or -ENOMEM. */
int config_schema_check(const char *name, const char *text, size_t length,
                        const cyaml_schema_value_t *schema, char **error);

#endif
