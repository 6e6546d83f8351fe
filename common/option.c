/* option.c - one table of options feeds the command line, the environment, the
 * config file, --help and --show-config.  Reads the config file and writes to
 * standard output and standard error, at start-up only. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/option.h"
#include "common/span.h"

enum {
	CONFIG_MAX = 1024 * 1024,
	NAME_MAX_LEN = 64,
	HELP_WIDTH = 79,
	HELP_INDENT = 10,
};

/* From the weakest to the strongest. */
enum source { SOURCE_NONE, SOURCE_DEFAULT, SOURCE_CONFIG, SOURCE_ENVIRONMENT,
	SOURCE_COMMAND_LINE };

/* What every program has. */
struct builtin {
	char *config;
	bool show_config;
	bool help;
	bool version;
};

static const struct option builtin_options[] = {
	{ .name = "config", .type = OPTION_STRING,
	    .offset = offsetof(struct builtin, config), .value_name = "FILE",
	    .group = "General",
	    .help = "Read options from FILE, one \"name = value\" a line; "
	    "\"#\" begins a comment." },
	{ .name = "show-config", .type = OPTION_BOOL,
	    .offset = offsetof(struct builtin, show_config),
	    .help = "Print the settings that result, as a config file, and "
	    "exit." },
	{ .name = "help", .letter = 'h', .type = OPTION_BOOL,
	    .offset = offsetof(struct builtin, help),
	    .help = "Print this and exit." },
	{ .name = "version", .letter = 'V', .type = OPTION_BOOL,
	    .offset = offsetof(struct builtin, version),
	    .help = "Print the version and exit." },
	{ .name = NULL },
};

struct parser {
	const struct option_program *program;
	void *settings;
	struct builtin builtin;
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

static bool
is_secret(const struct option *o)
{
	static const char *const ending[] = { "password", "token" };
	size_t len = strlen(o->name);

	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(ending[i]);

		if (len >= n && strcmp(o->name + len - n, ending[i]) == 0)
			return true;
	}
	return false;
}

static void
put_environment_name(const struct option_program *program, const char *name,
    FILE *out)
{
	fputs(program->environment_prefix, out);
	for (; *name != '\0'; name++) {
		char c = *name == '-' ? '_' : *name;

		putc(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c, out);
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
		put_environment_name(p->program, o->name, stderr);
	else
		fputs(o->name, stderr);
	if (value != NULL && !is_secret(o)) {
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

static bool
is_builtin(const struct option *o)
{
	return o >= builtin_options && o < builtin_options +
	    sizeof(builtin_options) / sizeof(builtin_options[0]);
}

static const struct option *
find_name(const struct parser *p, struct span name)
{
	const struct option *o = find_in(p->program->options, name);

	return o != NULL ? o : find_in(builtin_options, name);
}

static const struct option *
find_letter(const struct parser *p, char letter)
{
	const struct option *o;

	for (o = p->program->options; o->name != NULL; o++)
		if (o->letter == letter)
			return o;
	for (o = builtin_options; o->name != NULL; o++)
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
		nearest = nearest_in(builtin_options, name, &distance);
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
 * Values, from text and to text.
 */

static void *
value_at(const struct option *o, const void *settings)
{
	return (void *)((uintptr_t)settings + o->offset);
}

static char *
copy_or_die(struct span s)
{
	char *copy = span_strdup(s);

	if (copy == NULL)
		fatal("out of memory");
	return copy;
}

static void
list_clear(struct option_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->item[i]);
	free(list->item);
	*list = (struct option_list){ 0 };
}

/* Takes the heap string. */
static void
list_add_take(struct option_list *list, char *item)
{
	list->item = reallocarray(list->item, list->count + 1,
	    sizeof(*list->item));
	if (list->item == NULL)
		fatal("out of memory");
	list->item[list->count++] = item;
}

struct unit {
	const char *name;
	long factor;
};

static const struct unit size_unit[] = {
	{ "", 1 }, { "k", 1024 }, { "m", 1024 * 1024 },
	{ "g", 1024 * 1024 * 1024 }, { NULL, 0 },
};
static const struct unit time_unit[] = {
	{ "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 }, { NULL, 0 },
};

static const struct unit *
units_of(const struct option *o)
{
	return o->type == OPTION_DURATION_MS ? time_unit : size_unit;
}

static bool
number_parse(struct span text, const struct unit *unit, long *value)
{
	bool negative = text.len > 0 && text.data[0] == '-';
	struct span digits;
	struct span suffix;
	unsigned long long n;

	if (negative)
		text = span_of(text.data + 1, text.len - 1);
	digits = span_of(text.data, 0);
	while (digits.len < text.len && text.data[digits.len] >= '0' &&
	    text.data[digits.len] <= '9')
		digits.len++;
	suffix = span_of(text.data + digits.len, text.len - digits.len);
	while (unit->name != NULL &&
	    !span_is_nocase(span_str(unit->name), suffix))
		unit++;
	if (unit->name == NULL || !span_to_u64(digits, &n) ||
	    n > (unsigned long long)(LONG_MAX / unit->factor))
		return false;
	*value = (long)n * unit->factor * (negative ? -1 : 1);
	return true;
}

/* The shortest form that is exact. */
static void
number_print(const struct option *o, long value, FILE *out)
{
	const struct unit *best = NULL;
	bool is_plain = o->type == OPTION_INTEGER && (o->value_name == NULL ||
	    strcmp(o->value_name, "BYTES") != 0);

	for (const struct unit *u = units_of(o); u->name != NULL; u++)
		if (value % u->factor == 0 && !is_plain && value != 0 &&
		    u->name[0] != '\0')
			if (best == NULL || u->factor > best->factor)
				best = u;
	if (best == NULL)
		fprintf(out, "%ld", value);
	else
		fprintf(out, "%ld%s", value / best->factor, best->name);
}

static long
range_max(const struct option *o)
{
	return o->max == 0 && o->min >= 0 ? LONG_MAX : o->max;
}

static void
range_print(const struct option *o, FILE *out)
{
	fputs("from ", out);
	number_print(o, o->min, out);
	if (range_max(o) != LONG_MAX) {
		fputs(" to ", out);
		number_print(o, o->max, out);
	}
}

static bool
set_number(const struct parser *p, const struct option *o, struct span text,
    long *value)
{
	char *range = NULL;
	size_t range_len;
	FILE *out;

	if (number_parse(text, units_of(o), value) && *value >= o->min &&
	    *value <= range_max(o))
		return true;

	out = open_memstream(&range, &range_len);
	if (out == NULL)
		fatal("out of memory");
	range_print(o, out);
	if (fclose(out) != 0)
		fatal("out of memory");
	complain_option(p, o, &text, "not a %s %s",
	    o->type == OPTION_DURATION_MS ?
	    "time (like 250ms, 10s, 5m, 2h)" : "number", range);
	free(range);
	return false;
}

static bool
set_bool(const struct parser *p, const struct option *o, struct span text,
    bool *value)
{
	static const char *const word[] = { "no", "yes", "false", "true",
		"off", "on", "0", "1" };

	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
		if (span_is_nocase(text, span_str(word[i]))) {
			*value = i % 2 == 1;
			return true;
		}
	}
	return complain_option(p, o, &text, "neither yes nor no");
}

static bool
text_is_clean(const struct parser *p, const struct option *o, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return complain_option(p, o, &text,
			    "holds a control byte");
	}
	return true;
}

/* One value, as it is meant.  An empty one takes a string or list away. */
static bool
set_value(struct parser *p, const struct option *o, struct span text)
{
	void *at = value_at(o, is_builtin(o) ? (void *)&p->builtin :
	    p->settings);
	struct option_list *list = at;
	char **string = at;

	switch (o->type) {
	case OPTION_STRING:
		if (!text_is_clean(p, o, text))
			return false;
		free(*string);
		*string = text.len == 0 ? NULL : copy_or_die(text);
		return true;
	case OPTION_BOOL:
		return set_bool(p, o, text, at);
	case OPTION_INTEGER:
	case OPTION_DURATION_MS:
		return set_number(p, o, text, at);
	case OPTION_LIST:
		if (!text_is_clean(p, o, text))
			return false;
		if (text.len > 0)
			list_add_take(list, copy_or_die(text));
		return true;
	}
	assert(false);
	return false;
}

/* A stronger source replaces the items of the weaker ones. */
static void
begin_source(struct parser *p, const struct option *o)
{
	unsigned char *source;

	if (is_builtin(o))
		return;
	source = &p->source[o - p->program->options];
	if (*source != p->now && o->type == OPTION_LIST)
		list_clear(value_at(o, p->settings));
	*source = (unsigned char)p->now;
}

/* The text between quotes at the front of *rest, \" and \\ undone; NULL when
 * the closing quote is missing. */
static char *
take_quoted(struct span *rest)
{
	char *text = copy_or_die(*rest);
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

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
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
		    is_blank(rest->data[plain.len - 1])))
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
	if (o == NULL && find_in(builtin_options, name) != NULL)
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
	const char *path = p->builtin.config != NULL ? p->builtin.config :
	    p->program->default_config;
	struct buf text;
	bool ok;
	int error;
	int fd;

	if (path == NULL)
		return true;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && p->builtin.config == NULL)
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
	char *variable = NULL;
	size_t len;
	FILE *out = open_memstream(&variable, &len);
	const char *value;

	if (out == NULL)
		fatal("out of memory");
	put_environment_name(p->program, name, out);
	if (fclose(out) != 0)
		fatal("out of memory");
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
	bool want_builtin;	/* which pass it is */
};

static bool
set_argument(struct parser *p, const struct arguments *a,
    const struct option *o, struct span value)
{
	if (is_builtin(o) != a->want_builtin)
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
			if (!a->want_builtin)
				a->argv[kept++] = arg;
		} else if (arg[1] == '-') {
			if (!read_long(p, a))
				return false;
		} else if (!read_letters(p, a)) {
			return false;
		}
	}
	if (!a->want_builtin && argc != NULL) {
		a->argv[kept] = NULL;
		*argc = (int)kept;
	}
	return true;
}

/*
 * Output.
 */

static void
print_string(const char *name, const char *text, FILE *out)
{
	size_t len = strlen(text);

	fprintf(out, "%s = ", name);
	if (!is_blank(text[0]) && !is_blank(text[len - 1]) &&
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
	const void *at = value_at(o, settings);
	const struct option_list *list = at;
	const char *string;

	switch (o->type) {
	case OPTION_STRING:
		string = *(char *const *)at;
		if (string == NULL)
			print_unset(o, out);
		else if (is_secret(o))
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
		number_print(o, *(const long *)at, out);
		putc('\n', out);
		break;
	case OPTION_LIST:
		if (list->count == 0)
			print_unset(o, out);
		else if (is_secret(o))
			fprintf(out, "# %s = (set)\n", o->name);
		else
			for (size_t i = 0; i < list->count; i++)
				print_string(o->name, list->item[i], out);
		break;
	}
}

static void
show_config(const struct parser *p)
{
	for (const struct option *o = p->program->options; o->name != NULL;
	    o++) {
		if (o->group != NULL)
			printf("%s# %s\n", o == p->program->options ? "" :
			    "\n", o->group);
		print_setting(o, p->settings, stdout);
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
		range_print(o, out);
		between = "; ";
	} else if (o->type == OPTION_LIST) {
		fputs(" (may be repeated", out);
		between = "; ";
	} else if (fallback != NULL && !is_builtin(o)) {
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
	char *text = NULL;
	size_t len;
	FILE *help;

	if (o->letter != 0)
		fprintf(out, "  -%c, ", o->letter);
	else
		fputs("      ", out);
	if (o->type == OPTION_BOOL)
		fprintf(out, "--%s%s\n", is_builtin(o) ? "" : "[no-]",
		    o->name);
	else
		fprintf(out, "--%s %s\n", o->name,
		    o->value_name == NULL ? "VALUE" : o->value_name);

	help = open_memstream(&text, &len);
	if (help == NULL)
		fatal("out of memory");
	fputs(o->help == NULL ? "" : o->help, help);
	print_default(o, help);
	if (fclose(help) != 0)
		fatal("out of memory");
	print_wrapped(text, HELP_INDENT, out);
	free(text);
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
	char *text = NULL;
	size_t len;
	FILE *words = open_memstream(&text, &len);

	if (words == NULL)
		fatal("out of memory");
	fprintf(words, "Each option is also an environment variable (--%s is ",
	    o->name);
	put_environment_name(program, o->name, words);
	fprintf(words, ") and a name in the config file (%s = ...). The "
	    "command line goes before the environment, that before the config "
	    "file. What may be repeated is a list with commas there. "
	    "TIME is 250ms, 10s, 5m or 2h; BYTES may end in k, m or g.",
	    o->name);
	if (program->default_config != NULL)
		fprintf(words, " The config file is %s unless --config names "
		    "another.", program->default_config);
	if (fclose(words) != 0)
		fatal("out of memory");
	putc('\n', out);
	print_wrapped(text, 0, out);
	free(text);
}

void
option_print_help(const struct option_program *program, FILE *out)
{
	fprintf(out, "Usage: %s %s\n\n", program->name,
	    program->usage == NULL ? "[options]" : program->usage);
	if (program->summary != NULL)
		print_wrapped(program->summary, 0, out);
	print_table(program->options, out);
	print_table(builtin_options, out);
	if (program->options->name != NULL)
		print_other_ways(program, out);
	if (program->epilogue != NULL)
		fprintf(out, "\n%s", program->epilogue);
}

/*
 * All together.
 */

static enum option_result
parse_all(struct parser *p, int *argc, char **argv)
{
	struct arguments arguments = { .argv = argv, .want_builtin = true };
	const char *config;

	if (!read_arguments(p, &arguments, argc))
		return OPTION_EXIT_USAGE;
	if (p->builtin.help) {
		option_print_help(p->program, stdout);
		return OPTION_EXIT_OK;
	}
	if (p->builtin.version) {
		printf("%s %s\n", p->program->name, PACKAGE_VERSION);
		return OPTION_EXIT_OK;
	}
	config = environment_value(p, "config");
	if (p->builtin.config == NULL && config != NULL)
		p->builtin.config = copy_or_die(span_str(config));

	set_defaults(p);
	arguments.want_builtin = false;
	if (!read_config(p) || !read_environment(p) ||
	    !read_arguments(p, &arguments, argc))
		return OPTION_EXIT_USAGE;
	if (p->builtin.show_config) {
		show_config(p);
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
	free(p.builtin.config);
	free(p.source);
	return result;
}

void
option_clear(const struct option_program *program, void *settings)
{
	for (const struct option *o = program->options; o->name != NULL;
	    o++) {
		char **string = value_at(o, settings);

		if (o->type == OPTION_LIST) {
			list_clear(value_at(o, settings));
		} else if (o->type == OPTION_STRING) {
			free(*string);
			*string = NULL;
		}
	}
}
