/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads, strings, the runtime directory, eventfds. Any thread.
 */
#include "base/util.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUNTIME_DIR_DEFAULT "/run/vcrypto"

int thread_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return -pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

void thread_name(const char *name)
{
	char kept[16]; /* all that the kernel takes */

	snprintf(kept, sizeof(kept), "%s", name);
	pthread_setname_np(pthread_self(), kept);
}

char *str_format(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return text;
}

const char *runtime_dir(void)
{
	/* Not from the environment of whoever calls a set-user-id program. */
	const char *dir = secure_getenv("VCRYPTO_RUNTIME_DIR");

	return dir && *dir ? dir : RUNTIME_DIR_DEFAULT;
}

int runtime_path(const char *name, char *path, size_t size)
{
	int n = snprintf(path, size, "%s/%s", runtime_dir(), name);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int runtime_dir_make(void)
{
	struct stat st;

	/* chmod: whatever the umask is. */
	if (mkdir(runtime_dir(), 0755) == 0)
		return chmod(runtime_dir(), 0755) < 0 ? -errno : 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(runtime_dir(), &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int event_create(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void event_signal(int fd)
{
	const uint64_t one = 1;

	/* EAGAIN: it is signalled, many times over. Nothing else can be done about an error. */
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

bool event_clear(int fd)
{
	uint64_t count;
	ssize_t n;

	do
		n = read(fd, &count, sizeof(count));
	while (n < 0 && errno == EINTR);
	return n == sizeof(count);
}
