/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios of test-provider-robust: descriptors. What the application closes that is not its own,
 * what it opens in its place, and what a wait context's descriptor says while nothing happens. See
 * robust_main.c.
 */
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define FLYING 8
#define ROUNDS 20
#define FOREIGN 120
#define MANY 700u

static bool some_more(void)
{
	for (unsigned int i = 0; i < ROUNDS; i++)
		CHECK(piece_sync() && piece_in_job());
	return true;
}

/* As a server whose descriptors are gone: try again from time to time. */
static bool pieces_go_on_blindly(struct piece *pieces, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int tries = 0; pieces[i].paused; tries++) {
			CHECK(tries < 400);
			usleep(10000);
			CHECK(piece_go_on(&pieces[i]));
		}
		CHECK(piece_end(&pieces[i]));
	}
	return true;
}

static void close_all(void)
{
	(void)close_range(3, ~0u, 0);
}

bool closed_idle(char **arguments)
{
	CHECK(some_more());
	close_all();
	CHECK(some_more());
	close_all();
	return some_more();
}

bool closed_in_flight(char **arguments)
{
	struct piece pieces[FLYING];

	for (unsigned int i = 0; i < 3; i++) {
		CHECK(pieces_start(pieces, FLYING));
		close_all();
		CHECK(pieces_go_on_blindly(pieces, FLYING));
	}
	return some_more();
}

/* ---- descriptors of the application at the same numbers */

static int foreign_open(unsigned int i)
{
	const struct itimerspec hour = {.it_value = {.tv_sec = 3600}};
	int ends[2] = {-1, -1}, fd;

	switch (i % 6) {
	case 0:
		return eventfd(5, EFD_NONBLOCK);
	case 1:
		return memfd_create("foreign", 0);
	case 2:
		fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
		return timerfd_settime(fd, 0, &hour, NULL) ? -1 : fd;
	case 3:
		return epoll_create1(0);
	case 4:
		return pipe(ends) ? -1 : ends[0];
	default:
		return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) ? -1 : ends[0];
	}
}

struct look {
	char link[96], info[384];
	int unread;
};

/* All that tells whether somebody did something with it. */
static bool look_at(int fd, struct look *look)
{
	char path[64], *line;
	ssize_t n;
	int info;

	memset(look, 0, sizeof(*look));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, look->link, sizeof(look->link) - 1);
	CHECK(n > 0);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(info >= 0);
	n = read(info, look->info, sizeof(look->info) - 1);
	close(info);
	CHECK(n > 0);
	/* How long a timer has still to run changes by itself. */
	line = strstr(look->info, "it_value");
	if (line)
		memset(line, 0, strlen(line));
	(void)ioctl(fd, FIONREAD, &look->unread);
	return true;
}

static bool reused(struct piece *pieces, unsigned int n)
{
	static struct look before[FOREIGN], after;
	int fds[FOREIGN];

	close_all();
	for (unsigned int i = 0; i < FOREIGN; i++) {
		fds[i] = foreign_open(i);
		CHECK(fds[i] >= 0);
	}
	for (unsigned int i = 0; i < FOREIGN; i++)
		CHECK(look_at(fds[i], &before[i]));
	CHECK(pieces_go_on_blindly(pieces, n));
	CHECK(some_more());
	OPENSSL_cleanup();
	for (unsigned int i = 0; i < FOREIGN; i++) {
		CHECK(look_at(fds[i], &after));
		if (memcmp(&before[i], &after, sizeof(after)) != 0)
			fprintf(stderr, "%d was\n%s %s\nand is\n%s %s\n", fds[i], before[i].link,
			        before[i].info, after.link, after.info);
		CHECK(!memcmp(&before[i], &after, sizeof(after)));
	}
	return true;
}

bool reused_idle(char **arguments)
{
	struct piece pieces[FLYING];

	/* Some descriptors for jobs, of which none is in flight. */
	CHECK(pieces_start(pieces, FLYING) && pieces_finish(pieces, FLYING));
	return reused(NULL, 0);
}

bool reused_in_flight(char **arguments)
{
	struct piece pieces[FLYING];

	CHECK(pieces_start(pieces, FLYING));
	return reused(pieces, FLYING);
}

/* ---- nothing happens */

/* How often a server would have been woken in so long. */
static unsigned int wakeups(int epoll, unsigned int ms)
{
	unsigned int end = now_ms() + ms, n = 0, now;
	struct epoll_event event;

	while ((now = now_ms()) < end)
		n += epoll_wait(epoll, &event, 1, (int)(end - now)) > 0;
	return n;
}

static bool quiet(int epoll)
{
	unsigned int cpu = cpu_ms(), woken = wakeups(epoll, 2500);

	cpu = cpu_ms() - cpu;
	if (woken > 3 || cpu > 200)
		fprintf(stderr, "woken %u times, %u ms of processor time\n", woken, cpu);
	CHECK(woken <= 3 && cpu <= 200);
	return true;
}

/* Wait contexts live as long as their connections, and servers keep watching their descriptors. */
bool idle_descriptors(char **arguments)
{
	struct piece pieces[FLYING];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};

	CHECK(pieces_start(pieces, FLYING));
	for (unsigned int i = 0; i < FLYING; i++)
		CHECK(!epoll_ctl(epoll, EPOLL_CTL_ADD, piece_fd(&pieces[i]), &event));
	for (unsigned int i = 0; i < FLYING; i++)
		CHECK(piece_wait(&pieces[i]));
	CHECK(quiet(epoll));
	CHECK(!kill(daemon_pid("VCRYPTO_ENGINED_PID"), SIGKILL));
	CHECK(quiet(epoll));
	return pieces_finish(pieces, FLYING);
}

/* More than the kernel lets one descriptor be watched by. */
bool one_epoll(char **arguments)
{
	struct rlimit files = {8192, 8192};
	struct piece *pieces = calloc(MANY, sizeof(*pieces));
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	unsigned int paused = 0, end = now_ms() + 30000;

	if (setrlimit(RLIMIT_NOFILE, &files)) {
		fprintf(stderr, "no more than 8192 descriptors: %s\n", strerror(errno));
		exit(77);
	}
	CHECK(pieces);
	for (unsigned int i = 0; i < MANY; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

		CHECK(piece_start_paused(&pieces[i]));
		CHECK(!epoll_ctl(epoll, EPOLL_CTL_ADD, piece_fd(&pieces[i]), &event));
		paused++;
	}
	while (paused) {
		struct epoll_event event;

		CHECK(now_ms() < end && epoll_wait(epoll, &event, 1, 20000) == 1);
		if (!pieces[event.data.u32].paused)
			continue;
		CHECK(piece_go_on(&pieces[event.data.u32]));
		paused -= !pieces[event.data.u32].paused;
	}
	for (unsigned int i = 0; i < MANY; i++)
		CHECK(piece_end(&pieces[i]));
	free(pieces);
	return true;
}

/* Whatever such a program prints must not come to the daemon. */
bool no_standard_streams(char **arguments)
{
	int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);

	for (int fd = 0; fd < 3; fd++)
		close(fd);
	CHECK(some_more());
	for (int fd = 0; fd < 3; fd++)
		CHECK(fcntl(fd, F_GETFD) < 0);
	return dup2(out, STDOUT_FILENO) == STDOUT_FILENO;
}
