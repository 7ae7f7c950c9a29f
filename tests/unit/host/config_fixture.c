/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See config_fixture.h.
 */
#include "config_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

int config_setup(void **state)
{
	snprintf(path, sizeof(path), "/tmp/vcrypto-config-XXXXXX");

	int fd = mkstemp(path);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

int config_teardown(void **state)
{
	unlink(path);
	return 0;
}

static int load(const char *text, struct host_config **config, char **error)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
	return host_config_load(path, config, error);
}

struct host_config *load_good(const char *text)
{
	struct host_config *config = NULL;
	char *error = NULL;

	if (load(text, &config, &error))
		fail_msg("%s", error);
	assert_null(error);
	return config;
}

void assert_bad(const char *text, unsigned int line, const char *part)
{
	struct host_config *config = NULL;
	char *error = NULL;
	char where[96];

	assert_int_equal(load(text, &config, &error), -EINVAL);
	assert_non_null(error);
	snprintf(where, sizeof(where), "%s:%u: ", path, line);
	if (strncmp(error, where, strlen(where)) != 0 || !strstr(error, part))
		fail_msg("got \"%s\", expected line %u and \"%s\"", error, line, part);
	free(error);
}
