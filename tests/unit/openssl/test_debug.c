/* SPDX-License-Identifier: Apache-2.0 */
/* VCRYPTO_DEBUG: what its values mean, and what is then said where. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "openssl/core/debug.h"

static void means(const char *value, const char *path, enum log_level level)
{
	struct debug_options options;

	assert_int_equal(debug_parse(value, &options), 0);
	if (path)
		assert_string_equal(options.path, path);
	else
		assert_null(options.path);
	assert_int_equal(options.level, level);
	free(options.path);
}

static void values_mean_what_they_say(void **state)
{
	means("1", NULL, LOG_LEVEL_DEBUG);
	means("", NULL, LOG_LEVEL_DEBUG);
	means("level:1", NULL, LOG_LEVEL_ERROR);
	means("level:2", NULL, LOG_LEVEL_WARNING);
	means("level:3", NULL, LOG_LEVEL_INFO);
	means("level:4", NULL, LOG_LEVEL_DEBUG);
	means("file:/a/b", "/a/b", LOG_LEVEL_DEBUG);
	means("file:a:b,level:2", "a:b", LOG_LEVEL_WARNING);
	means("level:2,file:/a", "/a", LOG_LEVEL_WARNING);
}

static void wrong_values_are_refused(void **state)
{
	static const char *const wrong[] = {
		"file:",    "file:,level:1",   "level:",   "level:0",   "level:5",       "level:44",
		"level:-1", "file:a,",         "file:a,1", "nothing:x", "file:a,file:b", ":",
		"file:a,b", "level:1 ,file:a",
	};
	struct debug_options options;
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(debug_parse(wrong[i], &options), -EINVAL);
}

/* ---- what is said, by a process of its own ---- */

static char path[64], said[4096], written[4096];

static void read_all(int fd, char *text)
{
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(said) - 1) : 0;

	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

static void run(const char *value)
{
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (!pid) {
		dup2(ends[1], STDERR_FILENO);
		if (value)
			setenv("VCRYPTO_DEBUG", value, 1);
		else
			unsetenv("VCRYPTO_DEBUG");
		debug_open();
		debug_open();
		log_error("an error");
		log_info("information");
		log_debug("all");
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	read_all(ends[0], said);
	read_all(open(path, O_RDONLY | O_CLOEXEC), written);
	unlink(path);
}

static unsigned int lines(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static int setup(void **state)
{
	snprintf(path, sizeof(path), "/tmp/vc-debug-%d", (int)getpid());
	return 0;
}

static void unset_is_quiet(void **state)
{
	run(NULL);
	assert_int_equal(lines(said), 1);
	assert_non_null(strstr(said, " vcrypto: error: an error\n"));
}

static void standard_error_is_the_default(void **state)
{
	run("1");
	assert_int_equal(lines(said), 3);
	run("level:3");
	assert_int_equal(lines(said), 2);
	assert_non_null(strstr(said, "information\n"));
}

static void a_file_instead(void **state)
{
	char value[128];
	int year, month, day, hour, minute, second, ms, pid, thread;

	snprintf(value, sizeof(value), "file:%s,level:3", path);
	run(value);
	assert_string_equal(said, "");
	assert_int_equal(lines(written), 2);
	assert_int_equal(sscanf(written,
	                        "%4d-%2d-%2d %2d:%2d:%2d.%3d vcrypto[%d/%d]: error: an error\n",
	                        &year, &month, &day, &hour, &minute, &second, &ms, &pid, &thread),
	                 9);
	assert_int_not_equal(pid, getpid());
	assert_int_equal(pid, thread);
}

static void what_cannot_be_is_said_once(void **state)
{
	run("file:/nowhere/log");
	/* That, and the error. */
	assert_int_equal(lines(said), 2);
	assert_non_null(strstr(said, "VCRYPTO_DEBUG: /nowhere/log: No such file or directory\n"));
	run("level:9");
	assert_int_equal(lines(said), 2);
	assert_non_null(strstr(said, "VCRYPTO_DEBUG: neither"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_mean_what_they_say),
		cmocka_unit_test(wrong_values_are_refused),
		cmocka_unit_test(unset_is_quiet),
		cmocka_unit_test(standard_error_is_the_default),
		cmocka_unit_test(a_file_instead),
		cmocka_unit_test(what_cannot_be_is_said_once),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
