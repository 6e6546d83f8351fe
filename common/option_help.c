/* option_help.c - what --help and --show-config print. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/option_private.h"

enum { HELP_WIDTH = 79, HELP_INDENT = 10 };

const struct option option_general_table[] = {
	{ .name = "config", .type = OPTION_STRING,
	    .offset = offsetof(struct option_general, config),
	    .value_name = "FILE",
	    .group = "General",
	    .help = "Read options from FILE, one \"name = value\" a line; "
	    "\"#\" begins a comment." },
	{ .name = "show-config", .type = OPTION_BOOL,
	    .offset = offsetof(struct option_general, show_config),
	    .help = "Print the settings that result, as a config file, and "
	    "exit." },
	{ .name = "help", .letter = 'h', .type = OPTION_BOOL,
	    .offset = offsetof(struct option_general, help),
	    .help = "Print this and exit." },
	{ .name = "version", .letter = 'V', .type = OPTION_BOOL,
	    .offset = offsetof(struct option_general, version),
	    .help = "Print the version and exit." },
	{ .name = NULL },
};

bool
option_is_general(const struct option *o)
{
	const struct option *general = option_general_table;

	while (general->name != NULL && general != o)
		general++;
	return general->name != NULL;
}

void
option_put_variable(const struct option_program *program, const char *name,
    FILE *out)
{
	fputs(program->environment_prefix, out);
	for (; *name != '\0'; name++) {
		char c = *name == '-' ? '_' : *name;

		putc(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c, out);
	}
}

static void
print_string(const char *name, const char *text, FILE *out)
{
	size_t len = strlen(text);

	fprintf(out, "%s = ", name);
	if (!option_is_blank(text[0]) && !option_is_blank(text[len - 1]) &&
	    strpbrk(text, "\"\\#,") == NULL) {
		fprintf(out, "%s\n", text);
		return;
	}
	putc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', out);
		putc(*text, out);
	}
	fputs("\"\n", out);
}

/* Nothing is set: a comment, unless that differs from the default. */
static void
print_unset(const struct option *o, FILE *out)
{
	fprintf(out, "%s%s =\n", o->fallback == NULL ? "# " : "", o->name);
}

static void
print_setting(const struct option *o, const void *settings, FILE *out)
{
	const void *at = option_value_at(o, settings);
	const struct option_list *list = at;
	const char *string;

	switch (o->type) {
	case OPTION_STRING:
		string = *(char *const *)at;
		if (string == NULL)
			print_unset(o, out);
		else if (option_is_secret(o))
			fprintf(out, "# %s = (set)\n", o->name);
		else
			print_string(o->name, string, out);
		break;
	case OPTION_BOOL:
		fprintf(out, "%s = %s\n", o->name,
		    *(const bool *)at ? "yes" : "no");
		break;
	case OPTION_INTEGER:
	case OPTION_DURATION_MS:
		fprintf(out, "%s = ", o->name);
		option_put_number(o, *(const long *)at, out);
		putc('\n', out);
		break;
	case OPTION_LIST:
		if (list->count == 0)
			print_unset(o, out);
		else if (option_is_secret(o))
			fprintf(out, "# %s = (set)\n", o->name);
		else
			for (size_t i = 0; i < list->count; i++)
				print_string(o->name, list->item[i], out);
		break;
	}
}

void
option_print_settings(const struct option_program *program,
    const void *settings, FILE *out)
{
	for (const struct option *o = program->options; o->name != NULL; o++) {
		if (o->group != NULL)
			fprintf(out, "%s# %s\n", o == program->options ? "" :
			    "\n", o->group);
		print_setting(o, settings, out);
	}
}

/* Words with a line break where the next would pass the width. */
static void
print_wrapped(const char *text, int indent, FILE *out)
{
	int column = 0;

	while (*(text += strspn(text, " \n")) != '\0') {
		int len = (int)strcspn(text, " \n");

		if (column > 0 && column + 1 + len > HELP_WIDTH) {
			putc('\n', out);
			column = 0;
		}
		column += fprintf(out, "%*s%.*s", column == 0 ? indent : 1,
		    "", len, text);
		text += len;
	}
	putc('\n', out);
}

static void
print_default(const struct option *o, FILE *out)
{
	const char *fallback = o->fallback;
	const char *between = "";

	if (o->type == OPTION_BOOL && fallback == NULL)
		fallback = "no";
	if (o->type == OPTION_INTEGER || o->type == OPTION_DURATION_MS) {
		fputs(" (", out);
		option_put_range(o, out);
		between = "; ";
	} else if (o->type == OPTION_LIST) {
		fputs(" (may be repeated", out);
		between = "; ";
	} else if (fallback != NULL && !option_is_general(o)) {
		fputs(" (", out);
	} else {
		return;
	}
	if (fallback != NULL)
		fprintf(out, "%sdefault: %s", between, fallback);
	putc(')', out);
}

static void
print_option(const struct option *o, FILE *out)
{
	struct option_text text;
	FILE *help = option_text_begin(&text);
	char *wrapped;

	if (o->letter != 0)
		fprintf(out, "  -%c, ", o->letter);
	else
		fputs("      ", out);
	if (o->type == OPTION_BOOL)
		fprintf(out, "--%s%s\n", option_is_general(o) ? "" : "[no-]",
		    o->name);
	else
		fprintf(out, "--%s %s\n", o->name,
		    o->value_name == NULL ? "VALUE" : o->value_name);

	fputs(o->help == NULL ? "" : o->help, help);
	print_default(o, help);
	wrapped = option_text_end(&text, help);
	print_wrapped(wrapped, HELP_INDENT, out);
	free(wrapped);
}

static void
print_table(const struct option *table, FILE *out)
{
	for (const struct option *o = table; o->name != NULL; o++) {
		if (o->group != NULL)
			fprintf(out, "\n%s:\n", o->group);
		print_option(o, out);
	}
}

static void
print_other_ways(const struct option_program *program, FILE *out)
{
	const struct option *o = program->options;
	struct option_text text;
	FILE *words = option_text_begin(&text);
	char *wrapped;

	fprintf(words, "Each option is also an environment variable (--%s is ",
	    o->name);
	option_put_variable(program, o->name, words);
	fprintf(words, ") and a name in the config file (%s = ...). The "
	    "command line goes before the environment, that before the config "
	    "file. What may be repeated is a list with commas there. "
	    "TIME is 250ms, 10s, 5m or 2h; BYTES may end in k, m or g.",
	    o->name);
	if (program->default_config != NULL)
		fprintf(words, " The config file is %s unless --config names "
		    "another.", program->default_config);
	wrapped = option_text_end(&text, words);
	putc('\n', out);
	print_wrapped(wrapped, 0, out);
	free(wrapped);
}

void
option_print_help(const struct option_program *program, FILE *out)
{
	fprintf(out, "Usage: %s %s\n\n", program->name,
	    program->usage == NULL ? "[options]" : program->usage);
	if (program->summary != NULL)
		print_wrapped(program->summary, 0, out);
	print_table(program->options, out);
	print_table(option_general_table, out);
	if (program->options->name != NULL)
		print_other_ways(program, out);
	if (program->epilogue != NULL)
		fprintf(out, "\n%s", program->epilogue);
}

