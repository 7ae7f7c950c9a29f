/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VCRYPTO_DEBUG: see debug.h.
 */
#include "openssl/core/debug.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_file.h"

#define VARIABLE "VCRYPTO_DEBUG"

/* By the number that follows "level:", from 1. */
static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO,
                                        LOG_LEVEL_DEBUG};

/* What follows name in a part of so many characters; NULL: it is another part. */
static const char *part_value(const char *part, size_t length, const char *name, size_t *rest)
{
	size_t n = strlen(name);

	if (length < n || strncmp(part, name, n) != 0)
		return NULL;
	*rest = length - n;
	return part + n;
}

static int part_parse(const char *part, size_t length, struct debug_options *options)
{
	const char *value;
	size_t n;

	value = part_value(part, length, "file:", &n);
	if (value) {
		if (!n || options->path)
			return -EINVAL;
		options->path = strndup(value, n);
		return options->path ? 0 : -ENOMEM;
	}
	value = part_value(part, length, "level:", &n);
	if (!value || n != 1 || *value < '1' || *value > '4')
		return -EINVAL;
	options->level = levels[*value - '1'];
	return 0;
}

int debug_parse(const char *value, struct debug_options *options)
{
	size_t length;
	int ret;

	*options = (struct debug_options){.level = LOG_LEVEL_DEBUG};
	if (!strchr(value, ':'))
		return 0;
	for (;; value += length + 1) {
		length = strcspn(value, ",");
		ret = part_parse(value, length, options);
		if (ret)
			break;
		if (!value[length])
			return 0;
	}
	free(options->path);
	options->path = NULL;
	return ret;
}

static void open_once(void)
{
	const char *value = secure_getenv(VARIABLE);
	struct debug_options options;
	int ret;

	/* A library is quiet: what went wrong is counted, and software did the work. */
	log_open("vcrypto", LOG_LEVEL_ERROR);
	if (!value)
		return;
	if (debug_parse(value, &options)) {
		log_error(VARIABLE ": neither file:PATH nor level:1 to level:4, nor both with a "
		                   "comma between");
		return;
	}
	ret = options.path ? log_file_open(options.path) : 0;
	if (ret) {
		/* What was meant for a file is not wanted on an application's standard error. */
		log_error(VARIABLE ": %s: %s", options.path, strerror(-ret));
	} else {
		log_show_origin();
		log_set_level(options.level);
	}
	free(options.path);
}

void debug_open(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, open_once);
}
