/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML configuration through libcyaml, with errors that name file, line and thing.
 */
#ifndef VC_BASE_CONFIG_H
#define VC_BASE_CONFIG_H

#include <cyaml/cyaml.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Load a file by schema. On failure *error is a sentence with "FILE:LINE: " in front (to be
 * freed); -ENOENT, -EACCES, -EINVAL. Free *data with config_free().
 */
int config_load(const char *path, const cyaml_schema_value_t *schema, void **data, char **error);
/* The same from memory; name stands for the file in errors. */
int config_load_text(const char *name, const char *text, size_t length,
                     const cyaml_schema_value_t *schema, void **data, char **error);
/* data may be NULL. */
void config_free(const cyaml_schema_value_t *schema, void *data);

/* The line of an item of the file ("devices[0].group"), for errors that only show when the parts
 * are put together; 0 if it is not there. */
unsigned int config_line(const char *path, const char *item);
unsigned int config_line_text(const char *text, size_t length, const char *item);

/* "4GiB", "64 KiB", "1000", "10k" (10^3): KiB MiB GiB TiB are binary, k M G T decimal. -EINVAL. */
int config_size_parse(const char *text, uint64_t *value);

#endif
