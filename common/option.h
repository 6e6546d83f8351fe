/* option.h - one table of options feeds the command line, the environment, the
 * config file, --help and --show-config.
 *
 * Precedence: command line, then environment (INVERTING_PROXY_<NAME>, upper
 * case, '-' as '_'; an empty one counts as not set), then config file ("name =
 * value" lines, '#' comments), then the default.  Every program has --help,
 * --version, --config FILE (INVERTING_PROXY_CONFIG) and --show-config without
 * listing them in its table.
 *
 * A list is comma separated in the environment and in the config file, where
 * an item (and any value in the config file) may be in double quotes, with \"
 * and \\ inside.  On the command line each value is one item, as it is.  Items
 * replace those of a weaker source.  An empty value sets a string to NULL. */
#ifndef COMMON_OPTION_H
#define COMMON_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum option_type {
	OPTION_STRING,		/* char *, heap or NULL */
	OPTION_BOOL,		/* bool; --name, --name=no, --no-name */
	OPTION_INTEGER,		/* long; with optional k, m, g (1024) suffix */
	OPTION_DURATION_MS,	/* long ms; written 250ms, 10s, 5m, 2h; a bare
				 * number is seconds */
	OPTION_LIST,		/* struct option_list; may be repeated */
};

struct option_list {
	char **item;
	size_t count;
};

struct option {
	const char *name;	/* long name without dashes */
	char letter;		/* short form or 0 */
	enum option_type type;
	size_t offset;		/* of the value in the settings struct */
	const char *fallback;	/* default as text, or NULL */
	long min, max;		/* for INTEGER and DURATION_MS; max 0: none */
	const char *value_name;	/* "FILE", "HOST:PORT": shown by --help;
				 * numbers of "BYTES" show as 64k */
	const char *group;	/* heading in --help; NULL: the previous one */
	const char *help;	/* one or more sentences */
};

struct option_program {
	const char *name;
	const char *usage;	/* the line after "Usage: name" */
	const char *summary;	/* what it does, one paragraph */
	const char *epilogue;	/* examples; may be NULL */
	const struct option *options;	/* ends with a NULL name */
	const char *environment_prefix;	/* "INVERTING_PROXY_" */
	const char *default_config;	/* read when it exists; may be NULL */
};

enum option_result {
	OPTION_RUN,		/* settings are complete */
	OPTION_EXIT_OK,		/* --help, --version, --show-config were done */
	OPTION_EXIT_USAGE,	/* an error was printed to standard error,
				 * naming the option or the file and line:
				 * exit 2 */
};

/* Fills *settings (zeroed by the caller), which holds nothing to clear unless
 * the answer is OPTION_RUN.  Operands (arguments that are not options, and all
 * after "--") are left to the caller as (*argv)[1] to (*argv)[*argc - 1],
 * behind the program name; a NULL argc means that operands are an error.
 * "--show-config" prints name = value lines that can be read again as a config
 * file; a value whose option name ends in "password", "token" or "header" is
 * shown as "(set)" in a comment. */
enum option_result option_parse(const struct option_program *program,
    int *argc, char ***argv, void *settings);

/* Frees strings and lists. */
void option_clear(const struct option_program *program, void *settings);

void option_print_help(const struct option_program *program, FILE *out);

#endif
