/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines for people: to standard error, with a level prefix that systemd understands
 * (sd-daemon's <N>) when it runs under systemd, else with the time. Any thread. Not for the data
 * path. Never given keys or data.
 */
#ifndef VC_BASE_LOG_H
#define VC_BASE_LOG_H

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
/* "error", "warning", "notice", "info", "debug" (or 0-4). 0, -EINVAL. */
int log_level_parse(const char *name, enum log_level *level);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
