/* option_private.h - what option.c, option_value.c and option_help.c share. */
#ifndef COMMON_OPTION_PRIVATE_H
#define COMMON_OPTION_PRIVATE_H

#include <stdbool.h>
#include <stdio.h>

#include "common/option.h"
#include "common/span.h"
#include "common/wire_error.h"

/* The options that every program has, and where their values go. */
struct option_general {
	char *config;
	bool show_config;
	bool help;
	bool version;
};
extern const struct option option_general_table[];
bool option_is_general(const struct option *o);

/* Must its value not be shown? */
bool option_is_secret(const struct option *o);

void *option_value_at(const struct option *o, const void *settings);

/* Takes one value as it is meant; a list grows by it, an empty string becomes
 * NULL.  NULL, or what is wrong with it (heap); then nothing has changed. */
char *option_value_set(const struct option *o, void *settings,
    struct span text) WIRE_MUSTCHECK;
void option_list_clear(struct option_list *list);

/* The shortest form that is exact, and "from MIN to MAX". */
void option_put_number(const struct option *o, long value, FILE *out);
void option_put_range(const struct option *o, FILE *out);

/* The name of its environment variable. */
void option_put_variable(const struct option_program *program,
    const char *name, FILE *out);

void option_print_settings(const struct option_program *program,
    const void *settings, FILE *out);

/* A heap string written like a file.  Ends the process without memory. */
struct option_text {
	char *string;
	size_t len;
};
FILE *option_text_begin(struct option_text *text);
char *option_text_end(struct option_text *text, FILE *out);
char *option_strdup(struct span s);

static inline bool
option_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

#endif
