/* log.c - one event, one line, one write(2): lines of several processes that
 * share a file do not mix.  The only global state of common/. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

/* Kept free at the end of a line for what closes it: the quote, the mark that
 * it was cut, the brace, the newline. */
enum { LINE_TAIL = 24 };

static struct {
	const char *program;
	char *path;		/* NULL: standard error */
	int fd;
	enum log_level level;
	bool json;
} sink = { .program = "", .fd = STDERR_FILENO, .level = LOG_LEVEL_INFO };

static const char *const level_name[] = { "error", "warn", "info", "debug" };

int
log_level_from_name(const char *name)
{
	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
		if (strcmp(name, level_name[i]) == 0)
			return i;
	return -1;
}

static int
open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
	    0640);
}

/* The new descriptor instead of the one in use. */
static void
use_fd(int fd)
{
	if (sink.fd != STDERR_FILENO)
		close(sink.fd);
	sink.fd = fd;
}

int
log_open(const char *program, const char *path, enum log_level level,
    bool json)
{
	char *copy = NULL;
	int fd = STDERR_FILENO;

	if (path != NULL && strcmp(path, "-") != 0) {
		copy = strdup(path);
		if (copy == NULL)
			return -1;
		fd = open_file(path);
		if (fd < 0) {
			int saved = errno;

			free(copy);
			errno = saved;
			return -1;
		}
	}
	use_fd(fd);
	free(sink.path);
	sink.path = copy;
	sink.program = program;
	sink.level = level;
	sink.json = json;
	return 0;
}

int
log_reopen(void)
{
	int fd;

	if (sink.path == NULL)
		return 0;
	fd = open_file(sink.path);
	if (fd < 0)
		return -1;
	use_fd(fd);
	return 0;
}

bool
log_wants(enum log_level level)
{
	return level <= sink.level;
}

/*
 * Appending to a line.  What does not fit any more is left out, and the line
 * is marked as cut.
 */

static bool
has_room(struct log_line *line, size_t len)
{
	if (!line->cut && line->len + len <= sizeof(line->text) - LINE_TAIL)
		return true;
	line->cut = true;
	return false;
}

static void
put(struct log_line *line, const char *text, size_t len)
{
	if (!has_room(line, len))
		return;
	memcpy(line->text + line->len, text, len);
	line->len += len;
}

static void
put_str(struct log_line *line, const char *text)
{
	put(line, text, strlen(text));
}

/* For what closes a line: always fits. */
static void
put_tail(struct log_line *line, const char *text)
{
	size_t len = strlen(text);

	memcpy(line->text + line->len, text, len);
	line->len += len;
}

/* Length of the UTF-8 character at the front that may be shown as it is, 0
 * when it is not UTF-8 (RFC 3629), a control character or an end of line. */
static size_t
utf8_len(struct span s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)s.data[0];
	uint32_t c;
	size_t len;

	if (first < 0x80)
		return first >= 0x20 && first != 0x7f;
	if (first >= 0xc0 && first < 0xe0)
		len = 2;
	else if (first >= 0xe0 && first < 0xf0)
		len = 3;
	else if (first >= 0xf0 && first < 0xf8)
		len = 4;
	else
		return 0;
	if (len > s.len)
		return 0;
	c = first & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		unsigned char next = (unsigned char)s.data[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (next & 0x3fu);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ||
	    c < 0xa0)
		return 0;
	/* LINE SEPARATOR and PARAGRAPH SEPARATOR. */
	if (c == 0x2028 || c == 0x2029)
		return 0;
	return len;
}

static void
put_escaped_byte(struct log_line *line, unsigned char byte)
{
	static const char digit[] = "0123456789abcdef";
	const char *prefix = sink.json ? "\\u00" : "\\x";
	char text[6];
	size_t len = strlen(prefix);

	memcpy(text, prefix, len);
	text[len++] = digit[byte >> 4];
	text[len++] = digit[byte & 15];
	put(line, text, len);
}

/* The bytes with control bytes and what is not UTF-8 escaped; in quotes also
 * the quote and the backslash. */
static void
put_escaped(struct log_line *line, struct span s, bool quoted)
{
	while (s.len > 0 && !line->cut) {
		size_t len = utf8_len(s);

		if (len == 0) {
			put_escaped_byte(line, (unsigned char)s.data[0]);
			len = 1;
		} else if (quoted && (s.data[0] == '"' || s.data[0] == '\\')) {
			put(line, s.data[0] == '"' ? "\\\"" : "\\\\", 2);
		} else {
			put(line, s.data, len);
		}
		s = span_of(s.data + len, s.len - len);
	}
}

/* In quotes, which are closed also where the line is cut. */
static void
put_quoted(struct log_line *line, struct span s)
{
	if (!has_room(line, 1))
		return;
	put(line, "\"", 1);
	put_escaped(line, s, true);
	put_tail(line, line->cut ? "...\"" : "\"");
}

static bool
needs_quotes(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c <= 0x20 || c == '"' || c == '\\' || c == '=' ||
		    c >= 0x7f)
			return true;
	}
	return s.len == 0;
}

/* `,"key":` or ` key=`, when at least some of the value has room too. */
static bool
put_key(struct log_line *line, const char *key)
{
	if (!has_room(line, strlen(key) + 8))
		return false;
	put_str(line, sink.json ? ",\"" : " ");
	put_str(line, key);
	put_str(line, sink.json ? "\":" : "=");
	return true;
}

static void
put_number(struct log_line *line, long long value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%lld", value);

	put(line, text, (size_t)len);
}

/* RFC 3339, UTC, milliseconds.  The calendar is asked once a second. */
static void
put_time(struct log_line *line)
{
	static time_t second = -1;
	static char text[32];
	struct timespec now;
	char ms[8];

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != second) {
		struct tm tm;

		if (gmtime_r(&now.tv_sec, &tm) == NULL ||
		    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
			return;
		second = now.tv_sec;
	}
	put_str(line, text);
	snprintf(ms, sizeof(ms), ".%03dZ",
	    (int)(now.tv_nsec / 1000000) % 1000);
	put_str(line, ms);
}

static void
begin_text(struct log_line *line, enum log_level level, const char *exchange,
    struct span message)
{
	put_time(line);
	put_str(line, " ");
	put_str(line, level_name[level]);
	put_str(line, " ");
	put_str(line, sink.program);
	put_str(line, "[");
	put_number(line, getpid());
	put_str(line, "] ");
	if (exchange != NULL) {
		put_str(line, "[");
		put_escaped(line, span_str(exchange), false);
		put_str(line, "] ");
	}
	put_escaped(line, message, false);
	if (line->cut)
		put_tail(line, "...");
}

static void
begin_json(struct log_line *line, enum log_level level, const char *exchange,
    struct span message)
{
	put_str(line, "{\"time\":\"");
	put_time(line);
	put_str(line, "\",\"level\":\"");
	put_str(line, level_name[level]);
	put_str(line, "\"");
	if (put_key(line, "program"))
		put_quoted(line, span_str(sink.program));
	if (put_key(line, "pid"))
		put_number(line, getpid());
	if (exchange != NULL && put_key(line, "exchange"))
		put_quoted(line, span_str(exchange));
	if (put_key(line, "message"))
		put_quoted(line, message);
}

static void
begin(struct log_line *line, enum log_level level, const char *exchange,
    struct span message)
{
	line->wanted = log_wants(level);
	line->cut = false;
	line->len = 0;
	if (!line->wanted)
		return;
	if (sink.json)
		begin_json(line, level, exchange, message);
	else
		begin_text(line, level, exchange, message);
}

static void
end_on(struct log_line *line, int fd)
{
	int saved = errno;

	if (!line->wanted)
		return;
	if (sink.json)
		put_tail(line, line->cut ? ",\"cut\":true}" : "}");
	else if (line->cut && (line->len < 3 ||
	    memcmp(line->text + line->len - 3, "...", 3) != 0))
		put_tail(line, " ...");
	put_tail(line, "\n");
	/* There is nobody to tell when the log itself can't be written. */
	while (write(fd, line->text, line->len) < 0 && errno == EINTR)
		;
	line->wanted = false;
	errno = saved;
}

void
log_line_begin(struct log_line *line, enum log_level level,
    const char *exchange, const char *message)
{
	begin(line, level, exchange, span_str(message));
}

void
log_line_span(struct log_line *line, const char *key, struct span value)
{
	if (!line->wanted || !put_key(line, key))
		return;
	if (sink.json || needs_quotes(value)) {
		put_quoted(line, value);
		return;
	}
	put_escaped(line, value, false);
	if (line->cut)
		put_tail(line, "...");
}

void
log_line_number(struct log_line *line, const char *key, long long value)
{
	if (!line->wanted || !has_room(line, strlen(key) + 32) ||
	    !put_key(line, key))
		return;
	put_number(line, value);
}

void
log_line_end(struct log_line *line)
{
	end_on(line, sink.fd);
}

/* The formatted message as a line; one too long shows as cut. */
static void __attribute__((format(printf, 4, 0)))
begin_formatted(struct log_line *line, enum log_level level,
    const char *exchange, const char *format, va_list args)
{
	char text[sizeof(line->text) + 1];
	int len = vsnprintf(text, sizeof(text), format, args);

	if (len < 0)
		len = 0;
	if ((size_t)len >= sizeof(text))
		len = (int)sizeof(text) - 1;
	begin(line, level, exchange, span_of(text, (size_t)len));
}

void
log_event(enum log_level level, const char *exchange, const char *format, ...)
{
	struct log_line line;
	va_list args;

	if (!log_wants(level))
		return;
	va_start(args, format);
	begin_formatted(&line, level, exchange, format, args);
	va_end(args);
	end_on(&line, sink.fd);
}

void
fatal(const char *format, ...)
{
	struct log_line line;
	va_list args;

	va_start(args, format);
	begin_formatted(&line, LOG_LEVEL_ERROR, NULL, format, args);
	va_end(args);
	/* Who started it looks at standard error, not into the file. */
	if (sink.fd != STDERR_FILENO) {
		struct log_line copy = line;

		end_on(&copy, STDERR_FILENO);
	}
	end_on(&line, sink.fd);
	exit(EXIT_FAILURE);
}
