/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines for people: to standard error, with a level prefix that systemd understands
 * (sd-daemon's <N>) when it runs under systemd, else with the time; or to a file (log_file.h). Any
 * thread. Not for the data path. Never given keys or data.
 */
#ifndef VC_BASE_LOG_H
#define VC_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* Program name in front of each line; level from which on lines are dropped. */
void log_open(const char *program, enum log_level level);
void log_set_level(enum log_level level);
/* Lines also say date, process and thread: for a log of several processes. */
void log_show_origin(void);
/* "error", "warning", "notice", "info", "debug" (or 0-4). 0, -EINVAL. */
int log_level_parse(const char *name, enum log_level *level);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * For what a stranger can cause as often as it likes: so many lines in so many seconds; then it is
 * only counted, and the next line that is logged says how many were not. One for each stranger,
 * zeroed at first. Any thread.
 */
#define LOG_LIMIT_LINES 10
#define LOG_LIMIT_SECONDS 10
struct log_limit {
	_Atomic(uint64_t) begin; /* ns; of the current seconds */
	atomic_uint lines;       /* since */
	atomic_uint left_out;
};
/* Whether a line may be logged now; *left_out: how many were not, since the last that was. */
bool log_limit_pass(struct log_limit *limit, unsigned int *left_out);
void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
