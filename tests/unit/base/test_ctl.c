/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl: client and server understand each other; a bad client harms itself only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ctl.h"
#include "base/util.h"

#define BIG 3000000

struct fixture {
	char *dir;
	char path[96];
	struct evloop *loop;
	struct ctl_server *server;
	pthread_t thread;
	atomic_bool stop;
};

static json_t *cmd_echo(void *context, const json_t *request, char **error)
{
	json_t *text = json_object_get(request, "text");

	if (!text)
		*error = strdup("there is no text");
	return json_incref(text);
}

static json_t *cmd_big(void *context, const json_t *request, char **error)
{
	char *text = malloc(BIG + 1);
	json_t *result;

	memset(text, 'x', BIG);
	text[BIG] = '\0';
	result = json_string(text);
	free(text);
	return result;
}

static json_t *cmd_slow(void *context, const json_t *request, char **error)
{
	usleep(200000);
	return json_true();
}

static json_t *cmd_broken(void *context, const json_t *request, char **error)
{
	return NULL; /* and no sentence */
}

static const struct ctl_command commands[] = {
	{"echo", cmd_echo}, {"big", cmd_big}, {"slow", cmd_slow}, {"broken", cmd_broken}, {NULL},
};

static void *serve(void *context)
{
	struct fixture *f = context;

	while (!atomic_load(&f->stop))
		evloop_once(f->loop, 10);
	return NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	memcpy(f->path, "/tmp/vcrypto-ctl-XXXXXX", sizeof("/tmp/vcrypto-ctl-XXXXXX"));
	if (!mkdtemp(f->path))
		return -1;
	chmod(f->path, 0755);
	f->dir = strdup(f->path);
	memcpy(f->path + strlen(f->path), "/ctl", sizeof("/ctl"));
	if (evloop_create(&f->loop) || ctl_server_create(f->loop, f->path, commands, f, &f->server))
		return -1;
	return pthread_create(&f->thread, NULL, serve, f);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->stop, true);
	pthread_join(f->thread, NULL);
	ctl_server_destroy(f->server);
	evloop_destroy(f->loop);
	if (access(f->path, F_OK) == 0 || rmdir(f->dir) != 0)
		return -1;
	free(f->dir);
	free(f);
	return 0;
}

/* Call a command; the answer's text, to be freed. */
static int call(const struct fixture *f, const char *command, const char *text, json_t **result,
                char **error)
{
	json_t *request = json_pack("{s:s, s:s*}", "command", command, "text", text);
	int err = ctl_call(f->path, request, 5000, result, error);

	json_decref(request);
	return err;
}

/* Send raw bytes and expect an answer that contains a text. */
static void assert_answer(const struct fixture *f, const char *line, const char *expected)
{
	int fd = unix_connect(f->path, SOCK_STREAM);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char answer[1024];
	ssize_t n;

	assert_true(fd >= 0);
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	assert_true(n > 0);
	answer[n] = '\0';
	assert_non_null(strstr(answer, expected));
	close(fd);
}

static void test_command_is_answered(void **state)
{
	struct fixture *f = *state;
	json_t *result;
	char *error;

	assert_int_equal(call(f, "echo", "hello", &result, &error), 0);
	assert_string_equal(json_string_value(result), "hello");
	json_decref(result);
}

static void test_errors_are_sentences(void **state)
{
	struct fixture *f = *state;
	json_t *result;
	char *error;

	assert_int_equal(call(f, "echo", NULL, &result, &error), -EREMOTEIO);
	assert_null(result);
	assert_string_equal(error, "there is no text");
	free(error);
	assert_int_equal(call(f, "nonsense", NULL, &result, &error), -EREMOTEIO);
	assert_string_equal(error,
	                    "unknown command \"nonsense\"; there are echo, big, slow, broken");
	free(error);
	assert_int_equal(call(f, "broken", NULL, &result, &error), -EREMOTEIO);
	free(error);
}

static void test_rubbish_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_answer(f, "hello\n", "not JSON");
	assert_answer(f, "\n", "not JSON");
	assert_answer(f, "[1]\n", "a request is");
	assert_answer(f, "{\"command\": 1}\n", "a request is");
	assert_answer(f, "{\"command\": \"echo\", \"command\": \"echo\"}\n", "not JSON");
}

static void test_several_lines_at_once(void **state)
{
	struct fixture *f = *state;

	assert_answer(f, "{\"command\":\"echo\",\"text\":1}\n{\"command\":\"echo\",\"text\":2}\n",
	              "{\"ok\":true,\"result\":1}\n");
}

static void test_long_answer_arrives(void **state)
{
	struct fixture *f = *state;
	json_t *result;
	char *error;

	assert_int_equal(call(f, "big", NULL, &result, &error), 0);
	assert_int_equal(json_string_length(result), BIG);
	json_decref(result);
}

static void test_endless_line_is_cut_off(void **state)
{
	struct fixture *f = *state;
	int fd = unix_connect(f->path, SOCK_STREAM);
	struct pollfd pfd = {.fd = fd, .events = POLLHUP};
	char block[4096];
	ssize_t n;

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 100; i++) {
		n = send(fd, block, sizeof(block), MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		usleep(1000);
	}
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	close(fd);
}

static void test_clients_that_do_not_read_or_speak(void **state)
{
	static const char request[] = "{\"command\":\"big\"}\n{\"command\":\"big\"}\n";
	struct fixture *f = *state;
	json_t *result;
	char *error;
	int fds[40];

	for (int i = 0; i < 40; i++) {
		fds[i] = unix_connect(f->path, SOCK_STREAM);
		if (fds[i] == -EAGAIN) {
			usleep(1000);
			i--;
			continue;
		}
		assert_true(fds[i] >= 0);
		if (i % 2)
			send(fds[i], request, strlen(request), MSG_NOSIGNAL);
	}
	assert_int_equal(call(f, "echo", "hello", &result, &error), 0);
	json_decref(result);
	for (int i = 0; i < 40; i++)
		close(fds[i]);
}

static void test_timeout(void **state)
{
	struct fixture *f = *state;
	json_t *request = json_pack("{s:s}", "command", "slow");
	json_t *result;
	char *error;

	assert_int_equal(ctl_call(f->path, request, 50, &result, &error), -ETIMEDOUT);
	assert_non_null(strstr(error, "no answer in 50 ms"));
	free(error);
	json_decref(request);
}

static void test_nobody_listens(void **state)
{
	json_t *request = json_pack("{s:s}", "command", "echo");
	json_t *result;
	char *error;

	assert_int_equal(ctl_call("/nonexistent/ctl", request, 50, &result, &error), -ENOENT);
	assert_string_equal(error, "cannot connect to /nonexistent/ctl: No such file or directory");
	free(error);
	json_decref(request);
}

static void test_live_socket_is_not_taken(void **state)
{
	struct fixture *f = *state;
	struct ctl_server *second;

	assert_int_equal(ctl_server_create(f->loop, f->path, commands, f, &second), -EADDRINUSE);
	test_command_is_answered(state);
}

static void test_socket_is_private(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_other_users_are_refused(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	chmod(f->path, 0666); /* an administrator's mistake: credentials must still decide */
	pid = fork();
	if (!pid) {
		json_t *result;
		char *error;

		if (setuid(65534) != 0)
			_exit(1);
		_exit(call(f, "echo", "hello", &result, &error) == -EREMOTEIO &&
		                      strstr(error, "only root")
		              ? 0
		              : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
#define CTL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_command_is_answered),
		CTL_TEST(test_errors_are_sentences),
		CTL_TEST(test_rubbish_is_refused),
		CTL_TEST(test_several_lines_at_once),
		CTL_TEST(test_long_answer_arrives),
		CTL_TEST(test_endless_line_is_cut_off),
		CTL_TEST(test_clients_that_do_not_read_or_speak),
		CTL_TEST(test_timeout),
		CTL_TEST(test_nobody_listens),
		CTL_TEST(test_live_socket_is_not_taken),
		CTL_TEST(test_socket_is_private),
		CTL_TEST(test_other_users_are_refused),
	};

	return cmocka_run_group_tests_name("ctl", tests, NULL, NULL);
}
