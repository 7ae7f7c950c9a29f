/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load a YAML configuration: read the file once, check it (config_check.c), let libcyaml fill the
 * structures. Any thread.
 */
#include "base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config_check.h"
#include "base/util.h"

#define FILE_MAX_BYTES (1u << 20)

/* Keeps libcyaml's first line: what the check before it did not foresee. */
static void keep_first(cyaml_log_t level, void *context, const char *format, va_list args)
{
	char **first = context;

	if (*first || vasprintf(first, format, args) >= 0)
		return;
	*first = NULL;
}

int config_load_text(const char *name, const char *text, size_t length,
                     const cyaml_schema_value_t *schema, void **data, char **error)
{
	char *first = NULL;
	const cyaml_config_t config = {
		.log_fn = keep_first,
		.log_ctx = &first,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_ERROR,
	};
	cyaml_err_t failure;
	int err;

	*data = NULL;
	*error = NULL;
	err = config_schema_check(name, text, length, schema, error);
	if (err)
		return err;
	failure = cyaml_load_data((const uint8_t *)text, length, &config, schema, data, NULL);
	if (failure != CYAML_OK) {
		if (first)
			first[strcspn(first, "\n")] = '\0';
		*error = str_format("%s:1: %s", name, first ? first : cyaml_strerror(failure));
		err = failure == CYAML_ERR_OOM ? -ENOMEM : -EINVAL;
	}
	free(first);
	return err;
}

/* The whole file; the caller frees *text, also on failure. */
static int read_file(const char *path, char **text, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	int err = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	*text = malloc(FILE_MAX_BYTES);
	if (!*text) {
		err = -ENOMEM;
		goto out;
	}
	do {
		n = read(fd, *text + size, FILE_MAX_BYTES - size);
		if (n > 0)
			size += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		err = -errno;
	else if (size == FILE_MAX_BYTES)
		err = -EFBIG;
	*length = size;
out:
	close(fd);
	return err;
}

int config_load(const char *path, const cyaml_schema_value_t *schema, void **data, char **error)
{
	char *text = NULL;
	size_t length = 0;
	int err = read_file(path, &text, &length);

	if (err) {
		*data = NULL;
		*error = str_format("%s: cannot read it: %s", path, strerror(-err));
	} else {
		err = config_load_text(path, text, length, schema, data, error);
	}
	free(text);
	return err;
}

void config_free(const cyaml_schema_value_t *schema, void *data)
{
	const cyaml_config_t config = {.mem_fn = cyaml_mem};

	if (data)
		cyaml_free(&config, schema, data, 0);
}

int config_size_parse(const char *text, uint64_t *value)
{
	static const struct {
		const char *name;
		uint64_t factor;
	} units[] = {
		{"", 1},
		{"B", 1},
		{"k", 1000},
		{"K", 1000},
		{"M", 1000000},
		{"G", 1000000000},
		{"T", 1000000000000},
		{"KiB", 1ull << 10},
		{"MiB", 1ull << 20},
		{"GiB", 1ull << 30},
		{"TiB", 1ull << 40},
	};
	uint64_t number;
	char *unit;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &unit, 10);
	if (errno)
		return -EINVAL;
	while (*unit == ' ')
		unit++;
	for (size_t i = 0; i < vc_array_size(units); i++) {
		if (strcmp(unit, units[i].name) == 0)
			return __builtin_mul_overflow(number, units[i].factor, value) ? -EINVAL : 0;
	}
	return -EINVAL;
}
