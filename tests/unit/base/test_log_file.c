/* SPDX-License-Identifier: Apache-2.0 */
/* The log file: what may be one, and what becomes of it when its descriptor is taken away. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log_file.h"

static char directory[] = "/tmp/vc-log-XXXXXX";
static int checks;
static char log_path[64], other_path[64];

static int setup(void **state)
{
	strcpy(directory, "/tmp/vc-log-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(log_path, sizeof(log_path), "%s/log", directory);
	snprintf(other_path, sizeof(other_path), "%s/other", directory);
	return 0;
}

static int teardown(void **state)
{
	unlink(log_path);
	unlink(other_path);
	return rmdir(directory);
}

/* A process has one log file for good: each story happens in one of its own. It ends with 0, or the
 * number of the check that failed. */
static void in_a_child(int (*story)(void))
{
	pid_t pid = fork();
	int status;

	assert_int_not_equal(pid, -1);
	if (!pid)
		_exit(story());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status))
		fail_msg("check %d", WEXITSTATUS(status));
}

#define CHECK(what)                                                                                \
	do {                                                                                       \
		checks++;                                                                          \
		if (!(what))                                                                       \
			return checks;                                                             \
	} while (0)

static bool say(const char *line)
{
	return log_file_write(line, strlen(line));
}

static bool holds(const char *path, const char *wanted)
{
	char text[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool same = fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0 && !strcmp(text, wanted);

	close(fd);
	return same;
}

static void close_all(void)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
}

static int nothing_without_a_file(void)
{
	CHECK(!say("a\n"));
	return 0;
}

static int lines_are_appended(void)
{
	struct stat st;
	int fd = open(log_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

	CHECK(fd >= 0 && write(fd, "before\n", 7) == 7);
	CHECK(!log_file_open(log_path));
	CHECK(say("a\n"));
	CHECK(lseek(fd, 0, SEEK_END) == 9 && write(fd, "theirs\n", 7) == 7);
	CHECK(say("b\n"));
	CHECK(holds(log_path, "before\na\ntheirs\nb\n"));
	/* The mode of one that is there is its owner's business. */
	CHECK(!fstat(fd, &st) && (st.st_mode & 0777) == 0640);
	return 0;
}

static int new_ones_are_their_owners_only(void)
{
	struct stat st;

	umask(0);
	CHECK(!log_file_open(log_path));
	CHECK(!stat(log_path, &st) && (st.st_mode & 0777) == 0600);
	return 0;
}

static int only_files_are_files(void)
{
	CHECK(!symlink("other", log_path));
	CHECK(log_file_open(log_path) == -ELOOP);
	CHECK(access(other_path, F_OK));
	CHECK(!unlink(log_path) && !mkfifo(log_path, 0600));
	/* Nobody reads: to wait for somebody would be for ever. */
	CHECK(log_file_open(log_path) == -ENXIO);
	CHECK(open(log_path, O_RDONLY | O_NONBLOCK) >= 0);
	CHECK(log_file_open(log_path) == -EINVAL);
	CHECK(log_file_open(directory) == -EISDIR);
	CHECK(log_file_open("/nowhere/log") == -ENOENT);
	CHECK(!say("a\n"));
	return 0;
}

/* Whoever has no standard input must not read the log, nor print into it. */
static int standard_descriptors_are_left_free(void)
{
	close_all();
	CHECK(!log_file_open(log_path));
	CHECK(open("/dev/null", O_RDWR) == 0);
	CHECK(open("/dev/null", O_RDWR) == 1);
	CHECK(open("/dev/null", O_RDWR) == 2);
	CHECK(say("a\n") && holds(log_path, "a\n"));
	return 0;
}

static int programs_are_not_given_it(void)
{
	close_all();
	CHECK(!log_file_open(log_path));
	CHECK(fcntl(3, F_GETFD) == FD_CLOEXEC);
	CHECK((fcntl(3, F_GETFL) & O_APPEND) && (fcntl(3, F_GETFL) & O_ACCMODE) == O_WRONLY);
	return 0;
}

static int closed_ones_are_opened_again(void)
{
	CHECK(!log_file_open(log_path));
	CHECK(say("a\n"));
	close_all();
	CHECK(say("b\n") && holds(log_path, "a\nb\n"));
	return 0;
}

static int others_are_not_written_to(void)
{
	close_all();
	CHECK(!log_file_open(log_path));
	close_all();
	/* Every number that it can have had. */
	for (int fd = 0; fd < 16; fd++)
		CHECK(open(other_path, O_CREAT | O_RDWR | O_CLOEXEC, 0600) == fd);
	CHECK(say("a\n") && holds(log_path, "a\n") && holds(other_path, ""));
	for (int fd = 0; fd < 16; fd++)
		CHECK(!fcntl(fd, F_GETFD) || fcntl(fd, F_GETFD) == FD_CLOEXEC);
	return 0;
}

/* Neither made anew, nor taken for the same because of its name, nor tried again and again. */
static int lost_ones_are_given_up(void)
{
	CHECK(!log_file_open(log_path));
	CHECK(!rename(log_path, other_path));
	CHECK(say("a\n") && holds(other_path, "a\n"));
	close_all();
	CHECK(say("b\n") && access(log_path, F_OK) && holds(other_path, "a\n"));
	CHECK(!rename(other_path, log_path));
	CHECK(say("c\n") && holds(log_path, "a\n"));
	return 0;
}

#define STORY(name)                                                                                \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		in_a_child(name);                                                                  \
	}
STORY(nothing_without_a_file)
STORY(lines_are_appended)
STORY(new_ones_are_their_owners_only)
STORY(only_files_are_files)
STORY(standard_descriptors_are_left_free)
STORY(programs_are_not_given_it)
STORY(closed_ones_are_opened_again)
STORY(others_are_not_written_to)
STORY(lost_ones_are_given_up)

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_without_a_file),
		TEST(lines_are_appended),
		TEST(new_ones_are_their_owners_only),
		TEST(only_files_are_files),
		TEST(standard_descriptors_are_left_free),
		TEST(programs_are_not_given_it),
		TEST(closed_ones_are_opened_again),
		TEST(others_are_not_written_to),
		TEST(lost_ones_are_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
