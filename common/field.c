/* field.c - field lines of a head (RFC 9110 section 5): an ordered list in
 * which nothing is merged, and what an intermediary must take out of it.
 * Pure: names and values are borrowed, only the list itself is heap. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/field.h"

enum { CAP_MIN = 16 };	/* most heads fit without growing */

void
fields_init(struct fields *f)
{
	*f = (struct fields){ 0 };
}

void
fields_clear(struct fields *f)
{
	free(f->line);
	fields_init(f);
}

int
fields_add(struct fields *f, struct span name, struct span value)
{
	if (f->count == f->cap) {
		size_t cap = f->cap == 0 ? CAP_MIN : f->cap * 2;
		struct field *line;

		if (cap > SIZE_MAX / sizeof(*line))
			return WIRE_NO_MEMORY;
		line = realloc(f->line, cap * sizeof(*line));
		if (line == NULL)
			return WIRE_NO_MEMORY;
		f->line = line;
		f->cap = cap;
	}
	f->line[f->count++] = (struct field){ name, value };
	return WIRE_OK;
}

const struct field *
fields_find(const struct fields *f, const char *name)
{
	struct span wanted = span_str(name);

	for (size_t i = 0; i < f->count; i++)
		if (span_is_nocase(f->line[i].name, wanted))
			return &f->line[i];
	return NULL;
}

size_t
fields_count(const struct fields *f, const char *name)
{
	struct span wanted = span_str(name);
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++)
		if (span_is_nocase(f->line[i].name, wanted))
			n++;
	return n;
}

size_t
fields_remove(struct fields *f, const char *name)
{
	struct span unwanted = span_str(name);
	size_t kept = 0, removed;

	for (size_t i = 0; i < f->count; i++)
		if (!span_is_nocase(f->line[i].name, unwanted))
			f->line[kept++] = f->line[i];
	removed = f->count - kept;
	f->count = kept;
	return removed;
}

/* Takes the next comma separated element off *list, without the white space
 * around it (RFC 9110 5.6.1).  Empty elements are given out as well. */
static bool
next_element(struct span *list, struct span *element)
{
	const char *comma;

	if (list->len == 0)
		return false;
	comma = memchr(list->data, ',', list->len);
	if (comma == NULL) {
		*element = span_trim(*list);
		*list = span_of(NULL, 0);
		return true;
	}
	*element = span_trim(span_of(list->data,
	    (size_t)(comma - list->data)));
	list->len -= (size_t)(comma + 1 - list->data);
	list->data = comma + 1;
	return true;
}

static bool
has_element(const struct fields *f, struct span name, struct span token)
{
	for (size_t i = 0; i < f->count; i++) {
		struct span list, element;

		if (!span_is_nocase(f->line[i].name, name))
			continue;
		list = f->line[i].value;
		while (next_element(&list, &element))
			if (span_is_nocase(element, token))
				return true;
	}
	return false;
}

bool
fields_has_token(const struct fields *f, const char *name, const char *token)
{
	return has_element(f, span_str(name), span_str(token));
}

static const struct span hop_by_hop[] = {
	SPAN("Connection"), SPAN("Keep-Alive"), SPAN("Proxy-Connection"),
	SPAN("Proxy-Authenticate"), SPAN("Proxy-Authorization"), SPAN("TE"),
	SPAN("Trailer"), SPAN("Transfer-Encoding"), SPAN("Upgrade"), { 0 },
};

/* What a Connection option never takes away. */
static const struct span end_to_end[] = {
	SPAN("Host"), SPAN("Content-Length"), SPAN("Content-Type"),
	SPAN("Cookie"), SPAN("Set-Cookie"), SPAN("Authorization"), { 0 },
};

void
fields_remove_hop_by_hop(struct fields *f)
{
	const struct span connection = span_str("Connection");
	bool has_options = fields_find(f, "Connection") != NULL;
	size_t kept = 0;

	/* A line that goes is first only marked, by an empty name: while one
	 * is judged the Connection lines, before and behind, must be there. */
	for (size_t i = 0; has_options && i < f->count; i++) {
		struct span name = f->line[i].name;

		if (has_element(f, connection, name) &&
		    !span_is_one_of(name, end_to_end) &&
		    !span_is_nocase(name, connection))
			f->line[i].name.len = 0;
	}
	for (size_t i = 0; i < f->count; i++)
		if (f->line[i].name.len > 0 &&
		    !span_is_one_of(f->line[i].name, hop_by_hop))
			f->line[kept++] = f->line[i];
	f->count = kept;
}

/* RFC 9110 5.6.2: tchar. */
static const bool tchar[256] = {
	['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true,
	['\''] = true, ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true,
	['^'] = true, ['_'] = true, ['`'] = true, ['|'] = true, ['~'] = true,
	['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true,
	['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true,
	['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true,
	['F'] = true, ['G'] = true, ['H'] = true, ['I'] = true, ['J'] = true,
	['K'] = true, ['L'] = true, ['M'] = true, ['N'] = true, ['O'] = true,
	['P'] = true, ['Q'] = true, ['R'] = true, ['S'] = true, ['T'] = true,
	['U'] = true, ['V'] = true, ['W'] = true, ['X'] = true, ['Y'] = true,
	['Z'] = true,
	['a'] = true, ['b'] = true, ['c'] = true, ['d'] = true, ['e'] = true,
	['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true, ['j'] = true,
	['k'] = true, ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true,
	['p'] = true, ['q'] = true, ['r'] = true, ['s'] = true, ['t'] = true,
	['u'] = true, ['v'] = true, ['w'] = true, ['x'] = true, ['y'] = true,
	['z'] = true,
};

bool
field_name_is_valid(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!tchar[(unsigned char)name.data[i]])
			return false;
	return name.len > 0;
}

bool
field_value_is_valid(struct span value)
{
	unsigned bad = 0;

	/* No early exit: so the compiler can look at many bytes at once. */
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.data[i];

		bad |= (unsigned)(c < 0x20 && c != '\t') | (c == 0x7f);
	}
	return bad == 0 && span_trim(value).len == value.len;
}

static char *
put(char *p, struct span s)
{
	if (s.len > 0)
		memcpy(p, s.data, s.len);
	return p + s.len;
}

int
fields_encode(const struct fields *f, struct buf *out)
{
	size_t total = 0;
	char *start, *p;

	for (size_t i = 0; i < f->count; i++) {
		size_t line = f->line[i].name.len + f->line[i].value.len + 4;

		if (line > out->max - total)
			return WIRE_TOO_LARGE;
		total += line;
	}
	if (total == 0)
		return WIRE_OK;
	if (total > out->max - buf_len(out))
		return WIRE_TOO_LARGE;
	start = p = buf_reserve(out, total);
	if (p == NULL)
		return WIRE_NO_MEMORY;
	for (size_t i = 0; i < f->count; i++) {
		p = put(p, f->line[i].name);
		p = put(p, span_of(": ", 2));
		p = put(p, f->line[i].value);
		p = put(p, span_of("\r\n", 2));
	}
	buf_commit(out, (size_t)(p - start));
	return WIRE_OK;
}
