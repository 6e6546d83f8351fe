/* route.c - which backend serves a user and a path.
 * Pure: no Redis, no log, no clock.
 *
 * Every client request asks here, so each prefix of each backend is a row of
 * one array sorted by user, prefix and id, and a lookup is one binary search
 * for each segment of the path, longest prefix first.
 *
 * Paths are compared in a normal form, since a backend will understand "/%61"
 * as "/a" and "/a/../b" as "/b": with the raw bytes a client could choose
 * another backend than the one that the path means.  The request itself is
 * forwarded as it came.  Empty segments count: "//a" is not "/a". */
#include "config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "fcgi/route.h"

struct row {
	const char *user;
	struct span prefix;	/* normal form without '/' at the end */
	const struct backend *backend;
};

struct route_table {
	struct row *row;
	size_t count;
	size_t prefix_max;	/* the longest prefix */
	char *bytes;		/* the prefixes */
};

/* RFC 3986 2.3 */
static bool
is_unreserved(int c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	    c == '~';
}

/* Decodes the unreserved; a '%' that is no escape stays.  into may be where
 * path is. */
static size_t
normalize_escapes(struct span path, char *into)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < path.len; i++) {
		int high = -1, low = -1;

		if (path.data[i] == '%' && path.len - i > 2) {
			high = hex_digit(path.data[i + 1]);
			low = hex_digit(path.data[i + 2]);
		}
		if (high < 0 || low < 0) {
			into[n++] = path.data[i];
			continue;
		}
		i += 2;
		if (is_unreserved(high * 16 + low)) {
			into[n++] = (char)(high * 16 + low);
		} else {
			into[n++] = '%';
			into[n++] = digits[high];
			into[n++] = digits[low];
		}
	}
	return n;
}

/* Resolves "." and ".." segments in place; path begins with '/'. */
static size_t
remove_dot_segments(char *path, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; ) {
		size_t end = i + 1;	/* path[i] is '/' */

		while (end < len && path[end] != '/')
			end++;
		const size_t segment = end - i - 1;
		const bool one = segment == 1 && path[i + 1] == '.';
		const bool two = segment == 2 && path[i + 1] == '.' &&
		    path[i + 2] == '.';

		if (two)
			while (n > 0 && path[--n] != '/')
				;
		if (!one && !two) {
			memmove(path + n, path + i, end - i);
			n += end - i;
		} else if (end == len) {
			path[n++] = '/';
		}
		i = end;
	}
	return n;
}

size_t
route_normalize(struct span path, char *into)
{
	const size_t len = normalize_escapes(path, into);

	return len > 0 && into[0] == '/' ? remove_dot_segments(into, len) :
	    len;
}

static int
span_compare(struct span a, struct span b)
{
	const size_t len = a.len < b.len ? a.len : b.len;
	const int order = len == 0 ? 0 : memcmp(a.data, b.data, len);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int
row_compare(const void *va, const void *vb)
{
	const struct row *a = va, *b = vb;
	int order = strcmp(a->user, b->user);

	if (order == 0)
		order = span_compare(a->prefix, b->prefix);
	return order != 0 ? order : strcmp(a->backend->id, b->backend->id);
}

static void
route_table_fill(struct route_table *table, struct backend *const *backends,
    size_t count)
{
	char *p = table->bytes;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < backends[i]->prefix_count; k++) {
			struct row *row = &table->row[table->count++];
			size_t len = route_normalize(
			    span_str(backends[i]->prefix[k]), p);

			while (len > 0 && p[len - 1] == '/')
				len--;
			row->user = backends[i]->end_user;
			row->prefix = span_of(p, len);
			row->backend = backends[i];
			p += len;
			if (len > table->prefix_max)
				table->prefix_max = len;
		}
}

struct route_table *
route_table_new(struct backend *const *backends, size_t count)
{
	struct route_table *table = calloc(1, sizeof(*table));
	size_t rows = 0, bytes = 0;

	if (table == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < backends[i]->prefix_count; k++) {
			rows++;
			bytes += strlen(backends[i]->prefix[k]);
		}
	table->row = calloc(rows + 1, sizeof(*table->row));
	table->bytes = malloc(bytes + 1);
	if (table->row == NULL || table->bytes == NULL) {
		route_table_free(table);
		return NULL;
	}
	route_table_fill(table, backends, count);
	qsort(table->row, table->count, sizeof(*table->row), row_compare);
	return table;
}

void
route_table_free(struct route_table *table)
{
	if (table == NULL)
		return;
	free(table->row);
	free(table->bytes);
	free(table);
}

/* The first row of exactly this user and prefix. */
static const struct backend *
find_row(const struct route_table *table, const char *user,
    struct span prefix)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const struct row *row = &table->row[middle];
		int order = strcmp(row->user, user);

		if (order == 0)
			order = span_compare(row->prefix, prefix);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == table->count || strcmp(table->row[low].user, user) != 0 ||
	    !span_is(table->row[low].prefix, prefix))
		return NULL;
	return table->row[low].backend;
}

/* path: in normal form; "" has only the empty prefix. */
static const struct backend *
find_longest(const struct route_table *table, const char *user,
    struct span path)
{
	for (;;) {
		const struct backend *found = NULL;

		if (path.len <= table->prefix_max)
			found = find_row(table, user, path);
		if (found != NULL || path.len == 0)
			return found;
		do
			path.len--;
		while (path.len > 0 && path.data[path.len] != '/');
	}
}

const struct backend *
route_table_find(const struct route_table *table, const char *user,
    struct span target)
{
	char small[1024], *path = small;
	const struct backend *found = NULL;
	const char *query = target.len == 0 ? NULL :
	    memchr(target.data, '?', target.len);
	size_t len = 0;

	if (query != NULL)
		target.len = (size_t)(query - target.data);
	/* "*" (OPTIONS) has no path: whoever serves all serves it. */
	if (target.len > 0 && target.data[0] == '/') {
		if (target.len > sizeof(small) &&
		    (path = malloc(target.len)) == NULL)
			return NULL;
		len = route_normalize(target, path);
	}
	if (user != NULL && user[0] != '\0')
		found = find_longest(table, user, span_of(path, len));
	if (found == NULL)
		found = find_longest(table, USER_ALL, span_of(path, len));
	if (path != small)
		free(path);
	return found;
}
