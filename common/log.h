/* log.h - one event, one line: time, level, exchange id, what, why.
 * Text
 *	2026-01-02T03:04:05.678Z info program[pid] [ID] message key=value ...
 * or JSON, one object a line with time, level, program, pid, exchange, message
 * and the keys.
 * Control bytes are escaped, so that a line can't be forged. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdarg.h>
#include <stdbool.h>

#include "common/span.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG };

/* program: the name in each line (borrowed).  path NULL or "-": standard
 * error.  0, or -1 with errno. */
int log_open(const char *program, const char *path, enum log_level level,
    bool json);

/* Opens the same path again (after rotation); on failure the old stays. */
int log_reopen(void);
bool log_wants(enum log_level level);

/* "error", "warn", "info", "debug"; -1 for another word. */
int log_level_from_name(const char *name);

/* One line.  exchange: its id as text, or NULL. */
void log_event(enum log_level level, const char *exchange,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_event(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A line with named values: build it, then log_line_end writes it.
 *	struct log_line line;
 *	log_line_begin(&line, LOG_LEVEL_INFO, id, "exchange");
 *	log_line_span(&line, "method", method);
 *	log_line_number(&line, "status", 200);
 *	log_line_end(&line);
 * Too long a line is cut, marked with "...". */
struct log_line {
	bool wanted;
	bool cut;
	size_t len;
	char text[2048];
};

void log_line_begin(struct log_line *line, enum log_level level,
    const char *exchange, const char *message);
void log_line_span(struct log_line *line, const char *key, struct span value);
void log_line_number(struct log_line *line, const char *key, long long value);
void log_line_end(struct log_line *line);

/* Says the message as a line of level error and ends the process with
 * EXIT_FAILURE: start-up failures and out of memory. */
void fatal(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

#endif
