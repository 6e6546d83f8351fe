/* test_option.c - options from the command line, the environment and a config
 * file, and what is said about wrong ones. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/option.h"

struct settings {
	char *listen;
	char *log_level;
	char *admin_token;
	bool via;
	bool debug;
	long workers;
	long window;
	long idle_ms;
	struct option_list header;
};

#define AT(member) offsetof(struct settings, member)

static const struct option options[] = {
	{ .name = "listen", .letter = 'l', .type = OPTION_STRING,
	    .offset = AT(listen), .value_name = "ADDRESS", .group = "Serving",
	    .help = "Where." },
	{ .name = "log-level", .type = OPTION_STRING, .offset = AT(log_level),
	    .fallback = "info", .value_name = "LEVEL",
	    .help = "A help text that is so long that it has to be wrapped, "
	    "and then once more because it goes on and on for three lines." },
	{ .name = "admin-token", .type = OPTION_STRING,
	    .offset = AT(admin_token), .help = "Secret." },
	{ .name = "via", .type = OPTION_BOOL, .offset = AT(via),
	    .fallback = "yes", .group = "Other", .help = "Via." },
	{ .name = "debug", .letter = 'd', .type = OPTION_BOOL,
	    .offset = AT(debug), .help = "Debug." },
	{ .name = "workers", .letter = 'w', .type = OPTION_INTEGER,
	    .offset = AT(workers), .fallback = "1", .min = 1, .max = 1024,
	    .value_name = "N", .help = "Workers." },
	{ .name = "window", .type = OPTION_INTEGER, .offset = AT(window),
	    .fallback = "512k", .min = 1024, .max = 16 * 1024 * 1024,
	    .value_name = "BYTES", .help = "Window." },
	{ .name = "idle-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(idle_ms), .fallback = "5m", .min = 100,
	    .max = 3600000, .value_name = "TIME", .help = "Idle." },
	{ .name = "field", .letter = 'H', .type = OPTION_LIST,
	    .offset = AT(header), .value_name = "LINE", .help = "Header." },
	{ .name = NULL },
};

static struct option_program program = {
	.name = "prog", .usage = "[options]", .summary = "It does.",
	.epilogue = "Example:\n  prog\n", .options = options,
	.environment_prefix = "TEST_OPTION_",
};

static struct settings settings;
static char *said;		/* on standard error */
static char *printed;		/* on standard output */
static char config[] = "/tmp/test_option.XXXXXX";

enum { ARGUMENTS_MAX = 16 };
static int argc;
static char *argv[ARGUMENTS_MAX + 2];

static void
set_up(void)
{
	int fd = mkstemp(config);

	cr_assert_geq(fd, 0);
	close(fd);
}

static void
tear_down(void)
{
	option_clear(&program, &settings);
	free(said);
	free(printed);
	unlink(config);
}

TestSuite(option, .init = set_up, .fini = tear_down);

/* Parses these words (cut at '|'); operands are allowed. */
static enum option_result
parse_words(char *words, bool operands)
{
	FILE *saved_err = stderr;
	FILE *saved_out = stdout;
	size_t said_len;
	size_t printed_len;
	enum option_result result;
	char **argv_at = argv;
	static char name[] = "prog";

	option_clear(&program, &settings);
	settings = (struct settings){ 0 };
	free(said);
	free(printed);
	argc = 0;
	argv[argc++] = name;
	while (words != NULL && argc <= ARGUMENTS_MAX)
		argv[argc++] = strsep(&words, "|");
	argv[argc] = NULL;
	stderr = open_memstream(&said, &said_len);
	stdout = open_memstream(&printed, &printed_len);
	result = option_parse(&program, operands ? &argc : NULL, &argv_at,
	    &settings);
	fclose(stderr);
	fclose(stdout);
	stderr = saved_err;
	stdout = saved_out;
	return result;
}

static enum option_result
parse(const char *words)
{
	static char copy[512];

	if (words == NULL)
		return parse_words(NULL, false);
	snprintf(copy, sizeof(copy), "%s", words);
	return parse_words(copy, false);
}

static void
assert_refused(const char *words, const char *saying)
{
	cr_assert_eq(parse(words), OPTION_EXIT_USAGE, "%s", words);
	cr_assert_not_null(strstr(said, saying), "said: %s", said);
	cr_assert_not_null(strstr(said, "prog --help"), "said: %s", said);
	cr_assert_eq(strncmp(said, "prog: ", 6), 0, "said: %s", said);
	cr_assert_null(settings.log_level);
	cr_assert_null(settings.header.item);
}

static void
write_config(const char *content, size_t len)
{
	FILE *out = fopen(config, "w");

	cr_assert_not_null(out);
	cr_assert_eq(fwrite(content, 1, len, out), len);
	cr_assert_eq(fclose(out), 0);
}

static enum option_result
parse_config(const char *content)
{
	char words[64];

	write_config(content, strlen(content));
	snprintf(words, sizeof(words), "--config=%s", config);
	return parse(words);
}

static void
assert_config_refused(const char *content, const char *saying)
{
	char place[64];

	cr_assert_eq(parse_config(content), OPTION_EXIT_USAGE, "%s", content);
	cr_assert_not_null(strstr(said, saying), "said: %s", said);
	snprintf(place, sizeof(place), "prog: %s:", config);
	cr_assert_eq(strncmp(said, place, strlen(place)), 0, "said: %s", said);
}

Test(option, has_defaults)
{
	cr_assert_eq(parse(NULL), OPTION_RUN);
	cr_assert_null(settings.listen);
	cr_assert_str_eq(settings.log_level, "info");
	cr_assert(settings.via);
	cr_assert_not(settings.debug);
	cr_assert_eq(settings.workers, 1);
	cr_assert_eq(settings.window, 512 * 1024);
	cr_assert_eq(settings.idle_ms, 300000);
	cr_assert_eq(settings.header.count, 0);
}

Test(option, takes_every_form_of_the_command_line)
{
	cr_assert_eq(parse("--listen|:1|--log-level=x=y|--no-via|-d|-w3|"
	    "--window=64K|-H|a: b|-Hc, d|--idle-timeout|250ms"), OPTION_RUN,
	    "%s", said);
	cr_assert_str_eq(settings.listen, ":1");
	cr_assert_str_eq(settings.log_level, "x=y");
	cr_assert_not(settings.via);
	cr_assert(settings.debug);
	cr_assert_eq(settings.workers, 3);
	cr_assert_eq(settings.window, 65536);
	cr_assert_eq(settings.idle_ms, 250);
	cr_assert_eq(settings.header.count, 2);
	cr_assert_str_eq(settings.header.item[0], "a: b");
	cr_assert_str_eq(settings.header.item[1], "c, d");

	cr_assert_eq(parse("-dw|4|--via=No|--debug=off"), OPTION_RUN);
	cr_assert_eq(settings.workers, 4);
	cr_assert_not(settings.via);
	cr_assert_not(settings.debug);
	/* A value may look like an option. */
	cr_assert_eq(parse("--listen|--debug"), OPTION_RUN);
	cr_assert_str_eq(settings.listen, "--debug");
	cr_assert_not(settings.debug);
	/* The last one holds; an empty value takes a string away. */
	cr_assert_eq(parse("-w3|-w5|--log-level="), OPTION_RUN);
	cr_assert_eq(settings.workers, 5);
	cr_assert_null(settings.log_level);
}

Test(option, reads_times_with_their_units)
{
	static const struct { const char *word; long ms; } rows[] = {
		{ "--idle-timeout=100ms", 100 }, { "--idle-timeout=2", 2000 },
		{ "--idle-timeout=10s", 10000 },
		{ "--idle-timeout=5M", 300000 },
		{ "--idle-timeout=1h", 3600000 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(parse(rows[i].word), OPTION_RUN);
		cr_assert_eq(settings.idle_ms, rows[i].ms);
	}
}

Test(option, refuses_numbers_out_of_range_or_malformed)
{
	assert_refused("--workers=0", "--workers \"0\": not a number from 1 to "
	    "1024");
	assert_refused("-w1025", "--workers \"1025\"");
	assert_refused("--workers=-1", "\"-1\"");
	assert_refused("--workers=", "--workers \"\"");
	assert_refused("--workers=1x", "\"1x\"");
	assert_refused("--workers= 1", "\" 1\"");
	assert_refused("--workers=k", "\"k\"");
	assert_refused("--workers=99999999999999999999", "from 1 to 1024");
	assert_refused("--window=9999999999999999g", "from 1k to 16m");
	assert_refused("--idle-timeout=99ms", "250ms, 10s, 5m, 2h) from 100ms "
	    "to 1h");
	assert_refused("--idle-timeout=5 m", "\"5 m\"");
	assert_refused("--via=maybe", "--via \"maybe\": neither yes nor no");
}

Test(option, suggests_the_nearest_name)
{
	assert_refused("--workrs=3", "--workrs: did you mean --workers?");
	assert_refused("--log_level=x", "did you mean --log-level?");
	assert_refused("--hlep", "did you mean --help?");
	assert_refused("--zzzzzzzzzz", "unknown option --zzzzzzzzzz\n");
	assert_refused("-z", "unknown option -z");
	assert_refused("--no-workers", "unknown option --no-workers");
	assert_refused("--no-via=yes", "takes no value");
}

Test(option, says_what_value_is_missing)
{
	assert_refused("--workers", "--workers: needs a value: N");
	assert_refused("-l", "--listen: needs a value: ADDRESS");
}

Test(option, refuses_control_bytes_and_shows_them_escaped)
{
	assert_refused("--listen=a\nb",
	    "--listen \"a\\x0ab\": holds a control byte");
	assert_refused("--field=a\r", "holds a control byte");
}

Test(option, does_not_repeat_a_secret_in_an_error)
{
	cr_assert_eq(parse("--admin-token=s3cret\n"), OPTION_EXIT_USAGE);
	cr_assert_null(strstr(said, "s3cret"));
}

Test(option, leaves_operands_behind_the_program_name)
{
	char words[] = "token|-d|add|-|--|--workers|-x";

	cr_assert_eq(parse_words(words, true), OPTION_RUN);
	cr_assert(settings.debug);
	cr_assert_eq(argc, 6);
	cr_assert_str_eq(argv[0], "prog");
	cr_assert_str_eq(argv[1], "token");
	cr_assert_str_eq(argv[2], "add");
	cr_assert_str_eq(argv[3], "-");
	cr_assert_str_eq(argv[4], "--workers");
	cr_assert_str_eq(argv[5], "-x");
	cr_assert_null(argv[6]);
	assert_refused("-d|what", "\"what\": not an option");
}

Test(option, reads_the_environment)
{
	setenv("TEST_OPTION_LOG_LEVEL", "debug", 1);
	setenv("TEST_OPTION_VIA", "0", 1);
	setenv("TEST_OPTION_FIELD", "a: 1 , \"b: 2, 3\",", 1);
	setenv("TEST_OPTION_LISTEN", "", 1);
	setenv("TEST_OPTION_UNKNOWN", "x", 1);
	cr_assert_eq(parse(NULL), OPTION_RUN, "%s", said);
	cr_assert_str_eq(settings.log_level, "debug");
	cr_assert_not(settings.via);
	cr_assert_null(settings.listen);
	cr_assert_eq(settings.header.count, 2);
	cr_assert_str_eq(settings.header.item[0], "a: 1");
	cr_assert_str_eq(settings.header.item[1], "b: 2, 3");
	setenv("TEST_OPTION_WORKERS", "many", 1);
	assert_refused(NULL, "TEST_OPTION_WORKERS \"many\": not a number");
}

Test(option, reads_a_config_file)
{
	cr_assert_eq(parse_config("\xef\xbb\xbf# comment\r\n"
	    "\n"
	    "  listen=unix:/a#b # comment\r\n"
	    "log-level = \"a # \\\"b\\\" \\\\\" # comment\n"
	    "workers\t=\t7\n"
	    "field = a, \"b, c\"\n"
	    "field = d"), OPTION_RUN, "%s", said);
	cr_assert_str_eq(settings.listen, "unix:/a#b");
	cr_assert_str_eq(settings.log_level, "a # \"b\" \\");
	cr_assert_eq(settings.workers, 7);
	cr_assert_eq(settings.header.count, 3);
	cr_assert_str_eq(settings.header.item[1], "b, c");
	cr_assert_str_eq(settings.header.item[2], "d");
	cr_assert_eq(parse_config("log-level =\nlisten = # none\n"),
	    OPTION_RUN);
	cr_assert_null(settings.log_level);
	cr_assert_null(settings.listen);
}

Test(option, names_file_and_line_of_an_error)
{
	assert_config_refused("\n\nworkers = 0\n",
	    ":3: workers \"0\": not a number from 1 to 1024");
	assert_config_refused("worker = 1\n",
	    ":1: unknown option worker: did you mean workers?");
	assert_config_refused("#\nworkers 1\n",
	    ":2: \"workers 1\": not \"name = value\"");
	assert_config_refused("help = yes\n", "only for the command line");
	assert_config_refused("config = x\n", "only for the command line");
	assert_config_refused("no-via = yes\n", "unknown option no-via");
	assert_config_refused("listen = \"a\n", "closing quote is missing");
	assert_config_refused("listen = \"a\" b\n", "follows the closing");
	assert_config_refused("listen = \x01\n", "control byte");
	assert_config_refused("workers =\n", ":1: workers \"\"");
}

Test(option, refuses_a_config_file_with_nul_bytes)
{
	char words[64];

	write_config("listen = a\0b\n", 13);
	snprintf(words, sizeof(words), "--config|%s", config);
	assert_refused(words, ":1: holds a NUL byte");
}

Test(option, reads_a_default_config_only_when_it_is_there)
{
	program.default_config = "/nonexistent/prog.conf";
	cr_assert_eq(parse(NULL), OPTION_RUN);
	program.default_config = config;
	write_config("workers = 9\n", 12);
	cr_assert_eq(parse(NULL), OPTION_RUN);
	cr_assert_eq(settings.workers, 9);
	program.default_config = "/tmp";
	assert_refused(NULL, "can't read the config file /tmp");
	program.default_config = NULL;
	assert_refused("--config=/nonexistent/x",
	    "/nonexistent/x: No such file or directory");
	setenv("TEST_OPTION_CONFIG", "/nonexistent/y", 1);
	assert_refused(NULL, "/nonexistent/y: No such file or directory");
	setenv("TEST_OPTION_CONFIG", config, 1);
	cr_assert_eq(parse(NULL), OPTION_RUN);
	cr_assert_eq(settings.workers, 9);
}

Test(option, lets_the_stronger_source_win)
{
	setenv("TEST_OPTION_WORKERS", "3", 1);
	setenv("TEST_OPTION_LOG_LEVEL", "environment", 1);
	setenv("TEST_OPTION_FIELD", "e1,e2", 1);
	setenv("TEST_OPTION_CONFIG", config, 1);
	cr_assert_eq(parse_config("workers = 2\nlog-level = file\n"
	    "listen = file\nfield = f1, f2, f3\nvia = no\n"), OPTION_RUN);
	cr_assert_eq(settings.workers, 3);
	cr_assert_str_eq(settings.log_level, "environment");
	cr_assert_str_eq(settings.listen, "file");
	cr_assert_not(settings.via);
	cr_assert_eq(settings.header.count, 2);
	cr_assert_str_eq(settings.header.item[1], "e2");

	cr_assert_eq(parse("-w4|-H|c1|--via"), OPTION_RUN);
	cr_assert_eq(settings.workers, 4);
	cr_assert(settings.via);
	cr_assert_eq(settings.header.count, 1);
	cr_assert_str_eq(settings.header.item[0], "c1");
}

Test(option, prints_help_and_version)
{
	cr_assert_eq(parse("--workers=7|--help"), OPTION_EXIT_OK);
	cr_assert_not_null(strstr(printed, "Usage: prog [options]\n"));
	cr_assert_not_null(strstr(printed, "\nServing:\n  -l, --listen "
	    "ADDRESS\n"));
	cr_assert_not_null(strstr(printed, "(from 1 to 1024; default: 1)"));
	cr_assert_not_null(strstr(printed, "      --[no-]via\n          Via. "
	    "(default: yes)\n"));
	cr_assert_not_null(strstr(printed, "TEST_OPTION_LISTEN"));
	cr_assert_not_null(strstr(printed, "--show-config\n"));
	cr_assert_not_null(strstr(printed, "Example:\n  prog\n"));
	for (const char *line = printed; *line != '\0';
	    line += strcspn(line, "\n") + 1)
		cr_assert_leq(strcspn(line, "\n"), 80);
	cr_assert_eq(parse("-V"), OPTION_EXIT_OK);
	cr_assert_str_eq(printed, "prog " PACKAGE_VERSION "\n");
	cr_assert_eq(parse("-h"), OPTION_EXIT_OK);
	cr_assert_eq(parse("-h|--bogus"), OPTION_EXIT_USAGE);
}

Test(option, shows_a_config_that_can_be_read_again)
{
	char *first;

	cr_assert_eq(parse("--show-config|--listen= a # \"b\\|-Hx, y|-Hz|"
	    "--log-level=|--no-via|--idle-timeout=90s|--window=3k|"
	    "--admin-token=s3cret"), OPTION_EXIT_OK);
	cr_assert_null(strstr(printed, "s3cret"));
	cr_assert_not_null(strstr(printed, "admin-token = (set)\n"));
	cr_assert_not_null(strstr(printed, "idle-timeout = 90s\n"));
	cr_assert_not_null(strstr(printed, "window = 3k\n"));
	cr_assert_not_null(strstr(printed, "\nlog-level =\n"));
	cr_assert_not_null(strstr(printed, "field = \"x, y\"\nfield = z\n"));

	cr_assert_eq(parse_config(printed), OPTION_RUN, "%s", said);
	cr_assert_str_eq(settings.listen, " a # \"b\\");
	cr_assert_null(settings.log_level);
	cr_assert_null(settings.admin_token);
	cr_assert_not(settings.via);
	cr_assert_eq(settings.header.count, 2);
	cr_assert_str_eq(settings.header.item[0], "x, y");

	cr_assert_eq(parse("--show-config"), OPTION_EXIT_OK);
	first = strdup(printed);
	cr_assert_not_null(first);
	cr_assert_eq(parse_config(first), OPTION_RUN);
	free(first);
}
