/* option.c - settings from the command line, the environment and the config
 * file, and errors about them.  Reads the config file and writes to standard
 * output and standard error, at start-up only. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/option_private.h"

enum { CONFIG_MAX = 1024 * 1024, NAME_MAX_LEN = 64 };

/* From the weakest to the strongest. */
enum source { SOURCE_NONE, SOURCE_DEFAULT, SOURCE_CONFIG, SOURCE_ENVIRONMENT,
	SOURCE_COMMAND_LINE };

struct parser {
	const struct option_program *program;
	void *settings;
	struct option_general general;
	unsigned char *source;	/* of each option in the program's table */
	enum source now;	/* what is being read ... */
	const char *file;	/* ... and where */
	unsigned line;
};

/*
 * Errors.
 */

static void
put_visible(struct span s, FILE *out)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			putc(c, out);
	}
}

static void
complain_begin(const struct parser *p)
{
	fprintf(stderr, "%s: ", p->program->name);
	if (p->now == SOURCE_CONFIG)
		fprintf(stderr, "%s:%u: ", p->file, p->line);
}

static void
complain_end(const struct parser *p)
{
	fprintf(stderr, "\nTry '%s --help' for the options.\n",
	    p->program->name);
}

/* An error that names no option of the table.  Always false. */
static bool __attribute__((format(printf, 3, 4)))
complain(const struct parser *p, struct span about, const char *format, ...)
{
	va_list args;

	complain_begin(p);
	if (about.len > 0) {
		putc('"', stderr);
		put_visible(about, stderr);
		fputs("\": ", stderr);
	}
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	complain_end(p);
	return false;
}

/* An error of an option's value, as the user spelled the option.  Always
 * false. */
static bool __attribute__((format(printf, 4, 5)))
complain_option(const struct parser *p, const struct option *o,
    const struct span *value, const char *format, ...)
{
	va_list args;

	complain_begin(p);
	if (p->now == SOURCE_COMMAND_LINE)
		fprintf(stderr, "--%s", o->name);
	else if (p->now == SOURCE_ENVIRONMENT)
		option_put_variable(p->program, o->name, stderr);
	else
		fputs(o->name, stderr);
	if (value != NULL && !option_is_secret(o)) {
		fputs(" \"", stderr);
		put_visible(*value, stderr);
		putc('"', stderr);
	}
	fputs(": ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	complain_end(p);
	return false;
}

/*
 * Names.
 */

static const struct option *
find_in(const struct option *table, struct span name)
{
	for (const struct option *o = table; o->name != NULL; o++)
		if (span_is(span_str(o->name), name))
			return o;
	return NULL;
}

static const struct option *
find_name(const struct parser *p, struct span name)
{
	const struct option *o = find_in(p->program->options, name);

	return o != NULL ? o : find_in(option_general_table, name);
}

static const struct option *
find_letter(const struct parser *p, char letter)
{
	const struct option *o;

	for (o = p->program->options; o->name != NULL; o++)
		if (o->letter == letter)
			return o;
	for (o = option_general_table; o->name != NULL; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

/* How many letters must be added, dropped or exchanged (Levenshtein). */
static size_t
name_distance(struct span a, struct span b)
{
	size_t row[NAME_MAX_LEN + 1];

	if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN)
		return NAME_MAX_LEN;
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t best = diagonal;

			if (a.data[i - 1] != b.data[j - 1]) {
				best = row[j] < best ? row[j] : best;
				best = row[j - 1] < best ? row[j - 1] : best;
				best++;
			}
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b.len];
}

static const char *
nearest_in(const struct option *table, struct span name, size_t *distance)
{
	const char *nearest = NULL;

	for (const struct option *o = table; o->name != NULL; o++) {
		size_t d = name_distance(span_str(o->name), name);

		if (d < *distance) {
			*distance = d;
			nearest = o->name;
		}
	}
	return nearest;
}

/* An unknown name.  Always false. */
static bool
complain_unknown(const struct parser *p, const char *dashes, struct span name)
{
	size_t distance = name.len / 3 + 2;
	const char *own = nearest_in(p->program->options, name, &distance);
	const char *nearest = NULL;

	/* The general options are not for the config file. */
	if (p->now == SOURCE_COMMAND_LINE)
		nearest = nearest_in(option_general_table, name, &distance);
	if (nearest == NULL)
		nearest = own;

	complain_begin(p);
	fprintf(stderr, "unknown option %s", dashes);
	put_visible(name, stderr);
	if (nearest != NULL)
		fprintf(stderr, ": did you mean %s%s?",
		    p->now == SOURCE_COMMAND_LINE ? "--" : "", nearest);
	complain_end(p);
	return false;
}

/*
 * Values, as they are written.
 */

static bool
set_value(struct parser *p, const struct option *o, struct span text)
{
	char *error = option_value_set(o, option_is_general(o) ?
	    (void *)&p->general : p->settings, text);

	if (error == NULL)
		return true;
	complain_option(p, o, &text, "%s", error);
	free(error);
	return false;
}

/* A stronger source replaces the items of the weaker ones. */
static void
begin_source(struct parser *p, const struct option *o)
{
	unsigned char *source;

	if (option_is_general(o))
		return;
	source = &p->source[o - p->program->options];
	if (*source != p->now && o->type == OPTION_LIST)
		option_list_clear(option_value_at(o, p->settings));
	*source = (unsigned char)p->now;
}

/* The text between quotes at the front of *rest, \" and \\ undone; NULL when
 * the closing quote is missing. */
static char *
take_quoted(struct span *rest)
{
	char *text = option_strdup(*rest);
	size_t len = 0;

	for (size_t i = 1; i < rest->len; i++) {
		char c = rest->data[i];

		if (c == '"') {
			text[len] = '\0';
			*rest = span_of(rest->data + i + 1, rest->len - i - 1);
			return text;
		}
		if (c == '\\' && i + 1 < rest->len)
			c = rest->data[++i];
		text[len++] = c;
	}
	free(text);
	return NULL;
}

/* One written value, up to the end, a comment (config file only) or, in a
 * list, a comma.  It may be in double quotes. */
static bool
take_written(struct parser *p, const struct option *o, struct span *rest)
{
	bool has_comments = p->now == SOURCE_CONFIG;
	bool is_list = o->type == OPTION_LIST;
	struct span plain;
	char *quoted = NULL;
	bool ok;

	*rest = span_trim(*rest);
	if (rest->len > 0 && rest->data[0] == '"') {
		quoted = take_quoted(rest);
		if (quoted == NULL)
			return complain_option(p, o, rest,
			    "the closing quote is missing");
	}
	plain = span_of(rest->data, 0);
	while (plain.len < rest->len) {
		char c = rest->data[plain.len];

		if (is_list && c == ',')
			break;
		if (has_comments && c == '#' && (plain.len == 0 ||
		    option_is_blank(rest->data[plain.len - 1])))
			break;
		plain.len++;
	}
	*rest = span_of(rest->data + plain.len, rest->len - plain.len);
	plain = span_trim(plain);
	if (quoted != NULL && plain.len > 0)
		ok = complain_option(p, o, &plain,
		    "this follows the closing quote");
	else
		ok = set_value(p, o,
		    quoted != NULL ? span_str(quoted) : plain);
	free(quoted);
	return ok;
}

/* A value as written in the config file, or a list in the environment. */
static bool
set_written(struct parser *p, const struct option *o, struct span rest)
{
	begin_source(p, o);
	for (;;) {
		if (!take_written(p, o, &rest))
			return false;
		if (rest.len == 0 || rest.data[0] != ',')
			return true;
		rest = span_of(rest.data + 1, rest.len - 1);
	}
}

/*
 * Sources.
 */

static void
set_defaults(struct parser *p)
{
	p->now = SOURCE_DEFAULT;
	for (const struct option *o = p->program->options; o->name != NULL;
	    o++) {
		bool ok = true;

		if (o->fallback != NULL && o->type == OPTION_LIST)
			ok = set_written(p, o, span_str(o->fallback));
		else if (o->fallback != NULL)
			ok = set_value(p, o, span_str(o->fallback));
		assert(ok);
		(void)ok;
	}
}

static bool
config_line(struct parser *p, struct span line)
{
	const char *equals;
	const struct option *o;
	struct span name;
	size_t at;

	if (memchr(line.data, '\0', line.len) != NULL)
		return complain(p, span_of(NULL, 0), "holds a NUL byte");
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	line = span_trim(line);
	if (line.len == 0 || line.data[0] == '#')
		return true;
	equals = memchr(line.data, '=', line.len);
	if (equals == NULL)
		return complain(p, line, "not \"name = value\"");
	at = (size_t)(equals - line.data);
	name = span_trim(span_of(line.data, at));
	o = find_in(p->program->options, name);
	if (o == NULL && find_in(option_general_table, name) != NULL)
		return complain(p, name, "only for the command line");
	if (o == NULL)
		return complain_unknown(p, "", name);
	return set_written(p, o, span_of(equals + 1, line.len - at - 1));
}

static bool
config_text(struct parser *p, struct span text)
{
	/* Some editors put a byte order mark in front. */
	if (text.len >= 3 && text.data[0] == '\xef' &&
	    text.data[1] == '\xbb' && text.data[2] == '\xbf')
		text = span_of(text.data + 3, text.len - 3);
	for (p->line = 1; text.len > 0; p->line++) {
		const char *newline = memchr(text.data, '\n', text.len);
		size_t len = newline == NULL ? text.len :
		    (size_t)(newline - text.data);

		if (!config_line(p, span_of(text.data, len)))
			return false;
		if (newline != NULL)
			len++;
		text = span_of(text.data + len, text.len - len);
	}
	return true;
}

/* The whole file into *text.  0 or an errno; EFBIG over CONFIG_MAX. */
static int
read_file(int fd, struct buf *text)
{
	enum { PIECE = 16 * 1024 };

	for (;;) {
		char piece[PIECE];
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (buf_append(text, piece, (size_t)n) != WIRE_OK)
			return EFBIG;
	}
}

static bool
read_config(struct parser *p)
{
	const char *path = p->general.config != NULL ? p->general.config :
	    p->program->default_config;
	struct buf text;
	bool ok;
	int error;
	int fd;

	if (path == NULL)
		return true;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && p->general.config == NULL)
		return true;
	buf_init(&text, CONFIG_MAX);
	error = fd < 0 ? errno : read_file(fd, &text);
	if (error != 0) {
		ok = complain(p, span_of(NULL, 0),
		    "can't read the config file %s: %s", path,
		    strerror(error));
	} else {
		p->now = SOURCE_CONFIG;
		p->file = path;
		ok = config_text(p, buf_span(&text));
	}
	buf_clear(&text);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* The variable of this option; an empty one counts as not set. */
static const char *
environment_value(const struct parser *p, const char *name)
{
	struct option_text text;
	FILE *out = option_text_begin(&text);
	char *variable;
	const char *value;

	option_put_variable(p->program, name, out);
	variable = option_text_end(&text, out);
	value = getenv(variable);
	free(variable);
	return value == NULL || *value == '\0' ? NULL : value;
}

static bool
read_environment(struct parser *p)
{
	p->now = SOURCE_ENVIRONMENT;
	for (const struct option *o = p->program->options; o->name != NULL;
	    o++) {
		const char *value = environment_value(p, o->name);

		if (value == NULL)
			continue;
		if (o->type == OPTION_LIST) {
			if (!set_written(p, o, span_str(value)))
				return false;
			continue;
		}
		begin_source(p, o);
		if (!set_value(p, o, span_str(value)))
			return false;
	}
	return true;
}

/*
 * The command line is gone through twice: first for the general options (the
 * config file must be known before anything is set), then for the program's.
 */
struct arguments {
	char **argv;
	size_t at;		/* the one being read */
	bool want_general;	/* which pass it is */
};

static bool
set_argument(struct parser *p, const struct arguments *a,
    const struct option *o, struct span value)
{
	if (option_is_general(o) != a->want_general)
		return true;
	begin_source(p, o);
	return set_value(p, o, value);
}

/* The argument after this one is the value. */
static bool
set_from_next(struct parser *p, struct arguments *a, const struct option *o)
{
	if (a->argv[a->at + 1] == NULL)
		return complain_option(p, o, NULL, "needs a value: %s",
		    o->value_name == NULL ? "VALUE" : o->value_name);
	a->at++;
	return set_argument(p, a, o, span_str(a->argv[a->at]));
}

/* --name, --name=value, --name value, --no-name */
static bool
read_long(struct parser *p, struct arguments *a)
{
	const char *text = a->argv[a->at] + 2;
	const char *equals = strchr(text, '=');
	struct span name = equals == NULL ? span_str(text) :
	    span_of(text, (size_t)(equals - text));
	const struct option *o = find_name(p, name);

	if (o == NULL && name.len > 3 && memcmp(text, "no-", 3) == 0) {
		o = find_name(p, span_of(text + 3, name.len - 3));
		if (o != NULL && o->type == OPTION_BOOL && equals != NULL)
			return complain(p, name, "takes no value");
		if (o != NULL && o->type == OPTION_BOOL)
			return set_argument(p, a, o, span_str("no"));
		o = NULL;
	}
	if (o == NULL)
		return complain_unknown(p, "--", name);
	if (equals != NULL)
		return set_argument(p, a, o, span_str(equals + 1));
	if (o->type == OPTION_BOOL)
		return set_argument(p, a, o, span_str("yes"));
	return set_from_next(p, a, o);
}

/* -x, -xvalue, -x value; several that take none together: -xyz */
static bool
read_letters(struct parser *p, struct arguments *a)
{
	for (const char *c = a->argv[a->at] + 1; *c != '\0'; c++) {
		const struct option *o = find_letter(p, *c);

		if (o == NULL)
			return complain_unknown(p, "-", span_of(c, 1));
		if (o->type != OPTION_BOOL && c[1] == '\0')
			return set_from_next(p, a, o);
		if (o->type != OPTION_BOOL)
			return set_argument(p, a, o, span_str(c + 1));
		if (!set_argument(p, a, o, span_str("yes")))
			return false;
	}
	return true;
}

/* One pass.  Operands go to the front of argv when this is the second. */
static bool
read_arguments(struct parser *p, struct arguments *a, int *argc)
{
	bool options_ended = false;
	size_t kept = 1;

	p->now = SOURCE_COMMAND_LINE;
	if (a->argv[0] == NULL)
		return true;
	for (a->at = 1; a->argv[a->at] != NULL; a->at++) {
		char *arg = a->argv[a->at];

		if (!options_ended && strcmp(arg, "--") == 0) {
			options_ended = true;
		} else if (options_ended || arg[0] != '-' || arg[1] == '\0') {
			if (argc == NULL)
				return complain(p, span_str(arg),
				    "not an option");
			if (!a->want_general)
				a->argv[kept++] = arg;
		} else if (arg[1] == '-') {
			if (!read_long(p, a))
				return false;
		} else if (!read_letters(p, a)) {
			return false;
		}
	}
	if (!a->want_general && argc != NULL) {
		a->argv[kept] = NULL;
		*argc = (int)kept;
	}
	return true;
}

/*
 * All together.
 */

static enum option_result
parse_all(struct parser *p, int *argc, char **argv)
{
	struct arguments arguments = { .argv = argv, .want_general = true };
	const char *config;

	if (!read_arguments(p, &arguments, argc))
		return OPTION_EXIT_USAGE;
	if (p->general.help) {
		option_print_help(p->program, stdout);
		return OPTION_EXIT_OK;
	}
	if (p->general.version) {
		printf("%s %s\n", p->program->name, PACKAGE_VERSION);
		return OPTION_EXIT_OK;
	}
	config = environment_value(p, "config");
	if (p->general.config == NULL && config != NULL)
		p->general.config = option_strdup(span_str(config));

	set_defaults(p);
	arguments.want_general = false;
	if (!read_config(p) || !read_environment(p) ||
	    !read_arguments(p, &arguments, argc))
		return OPTION_EXIT_USAGE;
	if (p->general.show_config) {
		option_print_settings(p->program, p->settings, stdout);
		return OPTION_EXIT_OK;
	}
	return OPTION_RUN;
}

enum option_result
option_parse(const struct option_program *program, int *argc, char ***argv,
    void *settings)
{
	struct parser p = { .program = program, .settings = settings };
	enum option_result result;
	size_t count = 1;

	while (program->options[count - 1].name != NULL)
		count++;
	p.source = calloc(count, sizeof(*p.source));
	if (p.source == NULL)
		fatal("out of memory");
	result = parse_all(&p, argc, *argv);
	if (result != OPTION_RUN)
		option_clear(program, settings);
	free(p.general.config);
	free(p.source);
	return result;
}

void
option_clear(const struct option_program *program, void *settings)
{
	for (const struct option *o = program->options; o->name != NULL;
	    o++) {
		char **string = option_value_at(o, settings);

		if (o->type == OPTION_LIST) {
			option_list_clear(option_value_at(o, settings));
		} else if (o->type == OPTION_STRING) {
			free(*string);
			*string = NULL;
		}
	}
}
