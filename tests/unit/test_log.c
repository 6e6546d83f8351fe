/* test_log.c - what a log line looks like, whatever is put into it. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"

static char directory[] = "/tmp/test_log.XXXXXX";
static char path[64];
static char moved[64];
static char text[64 * 1024];

static void
set_up(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/log", directory);
	snprintf(moved, sizeof(moved), "%s/log.1", directory);
}

static void
tear_down(void)
{
	log_open("", NULL, LOG_LEVEL_INFO, false);
	unlink(path);
	unlink(moved);
	rmdir(directory);
}

TestSuite(log, .init = set_up, .fini = tear_down);

static void
open_log(enum log_level level, bool json)
{
	cr_assert_eq(log_open("prog", path, level, json), 0);
}

static const char *
read_text(const char *from)
{
	FILE *in = fopen(from, "r");
	size_t len;

	cr_assert_not_null(in);
	len = fread(text, 1, sizeof(text) - 1, in);
	text[len] = '\0';
	fclose(in);
	return text;
}

static void
assert_matches(const char *pattern)
{
	regex_t regex;

	read_text(path);
	cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	cr_assert_eq(regexec(&regex, text, 0, NULL, 0), 0, "%s", text);
	regfree(&regex);
}

/* What follows the process id. */
static void
assert_rest(const char *wanted)
{
	const char *bracket = strstr(read_text(path), "] ");

	cr_assert_not_null(bracket);
	cr_assert_str_eq(bracket + 2, wanted);
}

/* What follows `"message":`. */
static void
assert_json_message(const char *wanted)
{
	const char *message = strstr(read_text(path), "\"message\":");

	cr_assert_not_null(message);
	cr_assert_str_eq(message + strlen("\"message\":"), wanted);
}

Test(log, writes_time_level_program_and_process)
{
	open_log(LOG_LEVEL_INFO, false);
	log_warn(NULL, "count %d", 7);
	assert_matches("^20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:"
	    "[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z warn prog\\[[0-9]+\\] "
	    "count 7\n$");
}

Test(log, writes_json)
{
	open_log(LOG_LEVEL_INFO, true);
	log_error("abc", "it's %s", "so");
	assert_matches("^\\{\"time\":\"20[0-9-]+T[0-9:]+\\.[0-9]{3}Z\","
	    "\"level\":\"error\",\"program\":\"prog\",\"pid\":[0-9]+,"
	    "\"exchange\":\"abc\",\"message\":\"it's so\"\\}\n$");
}

Test(log, writes_named_values)
{
	struct log_line line;

	open_log(LOG_LEVEL_INFO, false);
	log_line_begin(&line, LOG_LEVEL_INFO, "0a1b", "exchange");
	log_line_span(&line, "method", span_str("GET"));
	log_line_span(&line, "target", span_str("/a b"));
	log_line_span(&line, "empty", span_of(NULL, 0));
	log_line_span(&line, "equals", span_str("a=b"));
	log_line_span(&line, "quote", span_str("a\"\\"));
	log_line_number(&line, "status", -200);
	log_line_end(&line);
	assert_rest("[0a1b] exchange method=GET target=\"/a b\" empty=\"\" "
	    "equals=\"a=b\" quote=\"a\\\"\\\\\" status=-200\n");
}

Test(log, writes_named_values_as_json)
{
	struct log_line line;

	open_log(LOG_LEVEL_INFO, true);
	log_line_begin(&line, LOG_LEVEL_INFO, NULL, "exchange");
	log_line_span(&line, "target", span_str("/a\"\\"));
	log_line_number(&line, "status", 200);
	log_line_end(&line);
	assert_json_message("\"exchange\",\"target\":\"/a\\\"\\\\\","
	    "\"status\":200}\n");
}

Test(log, escapes_control_bytes_so_that_no_line_is_forged)
{
	open_log(LOG_LEVEL_INFO, false);
	log_info("a\nb", "one\ntwo\r\033[1m\177%s", "\302\205");
	assert_rest("[a\\x0ab] one\\x0atwo\\x0d\\x1b[1m\\x7f\\xc2\\x85\n");
}

Test(log, escapes_other_ends_of_line)
{
	open_log(LOG_LEVEL_INFO, false);
	log_info("a", "one\342\200\250two\342\200\251");
	assert_rest("[a] one\\xe2\\x80\\xa8two\\xe2\\x80\\xa9\n");
}

Test(log, escapes_control_bytes_in_json)
{
	struct log_line line;

	open_log(LOG_LEVEL_INFO, true);
	log_line_begin(&line, LOG_LEVEL_INFO, NULL, "one\ntwo\r\t");
	log_line_span(&line, "nul", span_of("a\0b", 3));
	log_line_end(&line);
	assert_json_message("\"one\\u000atwo\\u000d\\u0009\","
	    "\"nul\":\"a\\u0000b\"}\n");
}

Test(log, passes_utf_8_and_escapes_what_is_not)
{
	static const struct { const char *raw; const char *json; } rows[] = {
		{ "\303\251 \342\202\254 \360\237\230\200",
		    "\303\251 \342\202\254 \360\237\230\200" },
		{ "\200", "\\u0080" },
		{ "\303", "\\u00c3" },
		{ "\342\202", "\\u00e2\\u0082" },
		{ "\303(", "\\u00c3(" },
		{ "\300\257", "\\u00c0\\u00af" },	/* overlong */
		{ "\340\200\257", "\\u00e0\\u0080\\u00af" },
		{ "\355\240\200", "\\u00ed\\u00a0\\u0080" },	/* surrogate */
		{ "\364\220\200\200", "\\u00f4\\u0090\\u0080\\u0080" },
		{ "\377", "\\u00ff" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char wanted[128];

		unlink(path);
		open_log(LOG_LEVEL_INFO, true);
		log_info(NULL, "%s", rows[i].raw);
		snprintf(wanted, sizeof(wanted), "\"%s\"}\n", rows[i].json);
		assert_json_message(wanted);
	}
}

Test(log, is_silent_below_its_level)
{
	struct log_line line;

	open_log(LOG_LEVEL_WARN, false);
	cr_assert(log_wants(LOG_LEVEL_ERROR));
	cr_assert(log_wants(LOG_LEVEL_WARN));
	cr_assert_not(log_wants(LOG_LEVEL_INFO));
	log_info(NULL, "no");
	log_line_begin(&line, LOG_LEVEL_DEBUG, NULL, "no");
	log_line_span(&line, "key", span_str("value"));
	log_line_number(&line, "key", 1);
	log_line_end(&line);
	cr_assert_str_eq(read_text(path), "");
}

Test(log, keeps_errno_and_understands_percent_m)
{
	open_log(LOG_LEVEL_INFO, false);
	errno = ENOENT;
	log_info(NULL, "open: %m");
	cr_assert_eq(errno, ENOENT);
	assert_rest("open: No such file or directory\n");
}

/* Lines that are too long by any number of bytes end well. */
Test(log, cuts_long_lines_and_marks_them)
{
	static char value[4096];

	memset(value, 'v', sizeof(value));
	for (int json = 0; json < 2; json++) {
		unlink(path);
		open_log(LOG_LEVEL_INFO, json == 1);
		for (size_t len = 1800; len < 2100; len++) {
			struct log_line line;
			size_t text_len;

			log_line_begin(&line, LOG_LEVEL_INFO, "id", "m");
			log_line_span(&line, "a", span_of(value, len));
			log_line_span(&line, "b", span_str("x y"));
			log_line_number(&line, "c", 12345678);
			log_line_end(&line);
			cr_assert_leq(line.len, sizeof(line.text));
			read_text(path);
			text_len = strlen(text);
			cr_assert_eq(text[text_len - 1], '\n');
			cr_assert_eq(strchr(text, '\n'), text + text_len - 1);
			if (json == 0 && !line.cut)
				cr_assert_not_null(strstr(text,
				    " b=\"x y\" c=12345678\n"));
			if (json == 0 && line.cut)
				cr_assert_not_null(strstr(text, "...\n"));
			if (json == 1 && !line.cut)
				cr_assert_not_null(strstr(text,
				    ",\"b\":\"x y\",\"c\":12345678}\n"));
			if (json == 1 && line.cut)
				cr_assert_not_null(strstr(text,
				    ",\"cut\":true}\n"));
			cr_assert_eq(truncate(path, 0), 0);
		}
	}
}

Test(log, cuts_long_messages)
{
	static char value[5000];

	memset(value, '\n', sizeof(value) - 1);
	for (int json = 0; json < 2; json++) {
		open_log(LOG_LEVEL_INFO, json == 1);
		log_info(value, "%s", value);
		read_text(path);
		cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1);
		cr_assert_not_null(strstr(text, json == 0 ? "...\n" :
		    ",\"cut\":true}\n"));
		cr_assert_eq(truncate(path, 0), 0);
	}
}

Test(log, opens_the_path_again_after_rotation)
{
	open_log(LOG_LEVEL_INFO, false);
	log_info(NULL, "before");
	cr_assert_eq(rename(path, moved), 0);
	log_info(NULL, "between");
	cr_assert_eq(log_reopen(), 0);
	log_info(NULL, "after");
	assert_rest("after\n");
	cr_assert_not_null(strstr(read_text(moved), "between\n"));
}

Test(log, stays_with_the_old_file_when_the_new_one_fails)
{
	open_log(LOG_LEVEL_INFO, false);
	cr_assert_eq(rename(path, moved), 0);
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_assert_eq(log_reopen(), -1);
	cr_assert_eq(errno, EISDIR);
	cr_assert_eq(log_open("other", path, LOG_LEVEL_INFO, true), -1);
	log_info(NULL, "still here");
	cr_assert_eq(rmdir(path), 0);
	cr_assert_not_null(strstr(read_text(moved), "] still here\n"));
}

Test(log, fails_to_open_where_there_is_no_directory)
{
	cr_assert_eq(log_open("prog", "/nonexistent/log", LOG_LEVEL_INFO,
	    false), -1);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(log_reopen(), 0);
}

Test(log, knows_its_levels_by_name)
{
	cr_assert_eq(log_level_from_name("error"), LOG_LEVEL_ERROR);
	cr_assert_eq(log_level_from_name("warn"), LOG_LEVEL_WARN);
	cr_assert_eq(log_level_from_name("info"), LOG_LEVEL_INFO);
	cr_assert_eq(log_level_from_name("debug"), LOG_LEVEL_DEBUG);
	cr_assert_eq(log_level_from_name("Info"), -1);
	cr_assert_eq(log_level_from_name(""), -1);
}

Test(log, says_what_is_fatal_in_the_log_and_on_standard_error)
{
	int status;
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (child == 0) {
		int fd = open(moved, O_WRONLY | O_CREAT, 0600);

		dup2(fd, STDERR_FILENO);
		if (log_open("prog", path, LOG_LEVEL_ERROR, false) != 0)
			_exit(99);
		fatal("can't go on: %s", "why");
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), EXIT_FAILURE);
	assert_matches(" error prog\\[[0-9]+\\] can't go on: why\n$");
	cr_assert_not_null(strstr(read_text(moved), "can't go on: why\n"));
}
