/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines to standard error or a file. Any thread: one write(2) a line, so that lines never mix.
 * What is logged may hold names that strangers chose, so control characters are replaced.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log_file.h"
#include "base/util.h"

#define LOG_LINE_MAX 2048

static const struct {
	const char *name;
	int syslog; /* sd-daemon's <N> */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},   [LOG_LEVEL_WARNING] = {"warning", 4},
	[LOG_LEVEL_NOTICE] = {"notice", 5}, [LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

#define LEVELS (sizeof(levels) / sizeof(levels[0]))

static _Atomic(const char *) log_program = "vcrypto";
static atomic_int log_threshold = LOG_LEVEL_NOTICE;
static atomic_bool log_to_journal;
static atomic_bool log_origin;

/* systemd names the journal's stream in the environment; a redirected stderr is not it. */
static bool stderr_is_journal(void)
{
	const char *stream = secure_getenv("JOURNAL_STREAM");
	unsigned long long device;
	unsigned long long inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *program, enum log_level level)
{
	atomic_store(&log_program, program);
	atomic_store(&log_to_journal, stderr_is_journal());
	log_set_level(level);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_threshold, (int)level, memory_order_relaxed);
}

void log_show_origin(void)
{
	atomic_store(&log_origin, true);
}

int log_level_parse(const char *name, enum log_level *level)
{
	for (unsigned int i = 0; i < LEVELS; i++) {
		const char digit[2] = {(char)('0' + i), '\0'};

		if (strcmp(name, levels[i].name) == 0 || strcmp(name, digit) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int write_prefix(char *line, size_t size, enum log_level level)
{
	const char *program = atomic_load(&log_program);
	char date[16] = "", origin[32] = "";
	struct timespec now;
	struct tm tm;

	if (atomic_load(&log_to_journal))
		return snprintf(line, size, "<%d>", levels[level].syslog);
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	if (atomic_load(&log_origin)) {
		(void)strftime(date, sizeof(date), "%Y-%m-%d ", &tm);
		snprintf(origin, sizeof(origin), "[%d/%d]", getpid(), gettid());
	}
	return snprintf(line, size, "%s%02d:%02d:%02d.%03ld %s%s: %s%s", date, tm.tm_hour,
	                tm.tm_min, tm.tm_sec, now.tv_nsec / 1000000, program, origin,
	                level <= LOG_LEVEL_WARNING ? levels[level].name : "",
	                level <= LOG_LEVEL_WARNING ? ": " : "");
}

static bool wanted(enum log_level level)
{
	return (unsigned int)level < LEVELS &&
	       (int)level <= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

__attribute__((format(printf, 2, 0))) static void write_line(enum log_level level,
                                                             const char *format, va_list args)
{
	char line[LOG_LINE_MAX];
	int saved = errno;
	size_t length;
	int n;

	length = (size_t)write_prefix(line, sizeof(line), level);
	errno = saved; /* for %m */
	n = vsnprintf(line + length, sizeof(line) - length, format, args);
	if (n > 0)
		length += (size_t)n;
	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[length++] = '\n';
	/* A lost log line is nobody's error. */
	if (!log_file_write(line, length))
		(void)!write(STDERR_FILENO, line, length);
	errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list args;

	if (!wanted(level))
		return;
	va_start(args, format);
	write_line(level, format, args);
	va_end(args);
}

bool log_limit_pass(struct log_limit *limit, unsigned int *left_out)
{
	uint64_t now = clock_now_ns();
	uint64_t begin = atomic_load(&limit->begin);

	*left_out = 0;
	/* Of several threads one begins anew; a line more or less does not matter. */
	if ((!begin || now - begin > LOG_LIMIT_SECONDS * UINT64_C(1000000000)) &&
	    atomic_compare_exchange_strong(&limit->begin, &begin, now))
		atomic_store(&limit->lines, 0);
	if (atomic_fetch_add(&limit->lines, 1) >= LOG_LIMIT_LINES) {
		atomic_fetch_add(&limit->left_out, 1);
		return false;
	}
	*left_out = atomic_exchange(&limit->left_out, 0);
	return true;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	unsigned int left_out;
	va_list args;

	if (!wanted(level) || !log_limit_pass(limit, &left_out))
		return;
	if (left_out)
		log_write(level, "(%u more lines like the next were left out)", left_out);
	va_start(args, format);
	write_line(level, format, args);
	va_end(args);
}
