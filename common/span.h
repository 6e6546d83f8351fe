/* span.h - a borrowed view of bytes: pointer and length, never "a string".
 * A span lives no longer than the buffer it looks into. */
#ifndef COMMON_SPAN_H
#define COMMON_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
	const char *data;
	size_t len;
};

static inline struct span
span_of(const void *data, size_t len)
{
	return (struct span){ data, len };
}

/* The bytes of a C string without its NUL; a NULL string is empty. */
static inline struct span
span_str(const char *string)
{
	return (struct span){ string, string == NULL ? 0 : strlen(string) };
}

static inline bool
span_is(struct span a, struct span b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Of `len` bytes each. */
bool span_bytes_are_nocase(const char *a, const char *b, size_t len);

/* ASCII case-insensitive comparison (field names, codings).  Most names are
 * told apart by their lengths. */
static inline bool
span_is_nocase(struct span a, struct span b)
{
	return a.len == b.len && span_bytes_are_nocase(a.data, b.data, a.len);
}

/* Is it, case-insensitively, one of these?  An empty span ends the list. */
bool span_is_one_of(struct span s, const struct span *list);

/* An element of a constant list, with its length. */
#define SPAN(literal) { (literal), sizeof(literal) - 1 }

/* Removes leading and trailing SP and HTAB (RFC 9110 5.6.3, OWS). */
struct span span_trim(struct span s);

/* Decimal digits only, no sign, no space; false when empty, not digits, or
 * over UINT64_MAX. */
bool span_to_u64(struct span s, unsigned long long *value);

/* A NUL-terminated heap copy the caller frees, or NULL without memory. */
char *span_strdup(struct span s);

#endif
