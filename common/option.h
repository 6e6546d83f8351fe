/* option.h - one table of options feeds the command line, the environment, the
 * config file, --help and --show-config.
 *
 * Precedence: command line, then environment (INVERTING_PROXY_<NAME>, upper
 * case, '-' as '_'), then config file ("name = value" lines, '#' comments),
 * then the default.  Every program has --help, --version, --config FILE and
 * --show-config without listing them in its table. */
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
	long min, max;		/* for INTEGER and DURATION_MS */
	const char *value_name;	/* "FILE", "HOST:PORT": shown by --help */
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
	OPTION_EXIT_USAGE,	/* an error was printed to standard error, naming
				 * the option or the file and line: exit 2 */
};

/* Fills *settings (zeroed by the caller).  Operands (arguments that are not
 * options) are left to the caller in *argc and *argv, which are rearranged; a
 * NULL argc means that operands are an error.  "--show-config" prints
 * name = value lines that can be read again as a config file; a value whose
 * option name ends in "password" or "token" is shown as "(set)". */
enum option_result option_parse(const struct option_program *program,
    int *argc, char ***argv, void *settings);

/* Frees strings and lists. */
void option_clear(const struct option_program *program, void *settings);

void option_print_help(const struct option_program *program, FILE *out);

#endif
