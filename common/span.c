/* span.c - comparing, trimming and reading borrowed bytes.
 * Pure: ASCII only, no locale. */
#include "config.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/span.h"

static unsigned char
ascii_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool
span_bytes_are_nocase(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char x = (unsigned char)a[i];
		unsigned char y = (unsigned char)b[i];

		if (x != y && ascii_lower(x) != ascii_lower(y))
			return false;
	}
	return true;
}

bool
span_is_one_of(struct span s, const struct span *list)
{
	for (; list->len > 0; list++)
		if (span_is_nocase(s, *list))
			return true;
	return false;
}

static bool
is_ows(char c)
{
	return c == ' ' || c == '\t';
}

struct span
span_trim(struct span s)
{
	while (s.len > 0 && is_ows(s.data[0])) {
		s.data++;
		s.len--;
	}
	while (s.len > 0 && is_ows(s.data[s.len - 1]))
		s.len--;
	return s;
}

bool
span_to_u64(struct span s, unsigned long long *value)
{
	unsigned long long sum = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';

		if (digit > 9 || sum > (ULLONG_MAX - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return true;
}

char *
span_strdup(struct span s)
{
	char *copy = malloc(s.len + 1);

	if (copy == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}
