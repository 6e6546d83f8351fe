/* option_value.c - the value of an option: from text into the settings, and
 * numbers back to text.  Pure. */
#include "config.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/option_private.h"

bool
option_is_secret(const struct option *o)
{
	/* A field line may be an Authorization. */
	static const char *const ending[] = { "password", "token", "header" };
	size_t len = strlen(o->name);

	for (size_t i = 0; i < sizeof(ending) / sizeof(*ending); i++) {
		size_t n = strlen(ending[i]);

		if (len >= n && strcmp(o->name + len - n, ending[i]) == 0)
			return true;
	}
	return false;
}

void *
option_value_at(const struct option *o, const void *settings)
{
	return (void *)((uintptr_t)settings + o->offset);
}

char *
option_strdup(struct span s)
{
	char *copy = span_strdup(s);

	if (copy == NULL)
		fatal("out of memory");
	return copy;
}

void
option_list_clear(struct option_list *list)
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

void
option_put_number(const struct option *o, long value, FILE *out)
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

void
option_put_range(const struct option *o, FILE *out)
{
	fputs("from ", out);
	option_put_number(o, o->min, out);
	if (range_max(o) != LONG_MAX) {
		fputs(" to ", out);
		option_put_number(o, o->max, out);
	}
}

FILE *
option_text_begin(struct option_text *text)
{
	FILE *out;

	text->string = NULL;
	if ((out = open_memstream(&text->string, &text->len)) == NULL)
		fatal("out of memory");
	return out;
}

char *
option_text_end(struct option_text *text, FILE *out)
{
	const bool failed = ferror(out) != 0;

	/* glibc closes well where there was no memory for the string. */
	if (fclose(out) != 0 || failed || text->string == NULL)
		fatal("out of memory");
	return text->string;
}

static char *
set_number(const struct option *o, struct span text, long *value)
{
	struct option_text error;
	FILE *out;
	long n;

	if (number_parse(text, units_of(o), &n) && n >= o->min &&
	    n <= range_max(o)) {
		*value = n;
		return NULL;
	}
	out = option_text_begin(&error);
	fprintf(out, "not a %s ", o->type == OPTION_DURATION_MS ?
	    "time (like 250ms, 10s, 5m, 2h)" : "number");
	option_put_range(o, out);
	return option_text_end(&error, out);
}

static char *
set_bool(struct span text, bool *value)
{
	static const char *const word[] = { "no", "yes", "false", "true",
		"off", "on", "0", "1" };

	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
		if (span_is_nocase(text, span_str(word[i]))) {
			*value = i % 2 == 1;
			return NULL;
		}
	}
	return option_strdup(span_str("neither yes nor no"));
}

static bool
is_clean(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

char *
option_value_set(const struct option *o, void *settings, struct span text)
{
	void *at = option_value_at(o, settings);
	char **string = at;

	if ((o->type == OPTION_STRING || o->type == OPTION_LIST) &&
	    !is_clean(text))
		return option_strdup(span_str("holds a control byte"));
	switch (o->type) {
	case OPTION_STRING:
		free(*string);
		*string = text.len == 0 ? NULL : option_strdup(text);
		return NULL;
	case OPTION_BOOL:
		return set_bool(text, at);
	case OPTION_INTEGER:
	case OPTION_DURATION_MS:
		return set_number(o, text, at);
	case OPTION_LIST:
		if (text.len > 0)
			list_add_take(at, option_strdup(text));
		return NULL;
	}
	assert(false);
	return NULL;
}
