/* buf.c - a byte buffer that grows up to a ceiling, drained from the front.
 *
 *	data        data+off            off+len         cap
 *	| drained   | readable ........ | free ........ |
 *
 * Every byte of an exchange goes through one of these, so appending is
 * amortised: drained space is used again before memory is asked for, and
 * bytes are moved only when that pays for itself. */
#include "config.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

enum {
	CAP_MIN = 256,
	KEEP_MAX = 64 * 1024,	/* what an emptied buffer may hold on to */
};

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_clear(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void
buf_wipe(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	buf_clear(b);
}

static bool
has_room(const struct buf *b, size_t extra)
{
	return extra <= b->cap - b->off - b->len && b->data != NULL;
}

/* Half of max is allowed on top, so that a buffer that stays nearly full is
 * not moved for every few bytes drained; and one byte for a NUL. */
static size_t
cap_ceiling(const struct buf *b)
{
	size_t more = b->max / 2 + 1;

	return b->max > SIZE_MAX - more ? SIZE_MAX : b->max + more;
}

static size_t
next_cap(const struct buf *b, size_t needed)
{
	size_t ceiling = cap_ceiling(b);
	size_t cap = b->cap < CAP_MIN ? CAP_MIN : b->cap;

	while (cap < needed)
		cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
	if (cap == b->cap)	/* there is space, but in front: see below */
		cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
	if (cap > ceiling)
		cap = ceiling;
	return cap < needed ? needed : cap;
}

/* Makes room behind the content.  The caller has checked the ceiling. */
static int
make_room(struct buf *b, size_t extra)
{
	size_t needed, cap;
	char *data;

	if (has_room(b, extra))
		return WIRE_OK;
	if (extra > SIZE_MAX - b->len)
		return WIRE_TOO_LARGE;
	needed = b->len + extra;

	/* At most two bytes are moved for each that was drained.  At the cap
	 * ceiling this is always so: over max/2 must have been drained. */
	if (needed <= b->cap && b->data != NULL && b->off >= b->len / 2) {
		memmove(b->data, b->data + b->off, b->len);
		b->off = 0;
		return WIRE_OK;
	}

	cap = next_cap(b, needed);
	if (b->data == NULL || b->off == 0) {
		data = realloc(b->data, cap);
		if (data == NULL)
			return WIRE_NO_MEMORY;
	} else {
		/* realloc would copy the drained bytes too */
		data = malloc(cap);
		if (data == NULL)
			return WIRE_NO_MEMORY;
		memcpy(data, b->data + b->off, b->len);
		free(b->data);
		b->off = 0;
	}
	b->data = data;
	b->cap = cap;
	return WIRE_OK;
}

int
buf_append(struct buf *b, const void *data, size_t len)
{
	int r;

	if (len == 0)
		return WIRE_OK;
	if (len > b->max - b->len)
		return WIRE_TOO_LARGE;
	if (!has_room(b, len) && (r = make_room(b, len)) != WIRE_OK)
		return r;
	memcpy(b->data + b->off + b->len, data, len);
	b->len += len;
	return WIRE_OK;
}

int
buf_append_span(struct buf *b, struct span s)
{
	return buf_append(b, s.data, s.len);
}

int
buf_append_str(struct buf *b, const char *string)
{
	return buf_append(b, string, strlen(string));
}

int
buf_printf(struct buf *b, const char *format, ...)
{
	char small[256];
	size_t len;
	va_list ap;
	int n, r;

	va_start(ap, format);
	n = vsnprintf(small, sizeof(small), format, ap);
	va_end(ap);
	if (n < 0)
		return WIRE_MALFORMED;
	len = (size_t)n;
	if (len < sizeof(small))
		return buf_append(b, small, len);

	if (len > b->max - b->len)
		return WIRE_TOO_LARGE;
	if ((r = make_room(b, len + 1)) != WIRE_OK)
		return r;
	va_start(ap, format);
	n = vsnprintf(b->data + b->off + b->len, len + 1, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n != len)
		return WIRE_MALFORMED;
	b->len += len;
	return WIRE_OK;
}

static int
append_big_endian(struct buf *b, unsigned long long value, size_t width)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < width; i++)
		bytes[i] = (unsigned char)(value >> (8 * (width - 1 - i)));
	return buf_append(b, bytes, width);
}

int
buf_append_u8(struct buf *b, unsigned value)
{
	return append_big_endian(b, value, 1);
}

int
buf_append_u16(struct buf *b, unsigned value)
{
	return append_big_endian(b, value, 2);
}

int
buf_append_u32(struct buf *b, unsigned long value)
{
	return append_big_endian(b, value, 4);
}

int
buf_append_u64(struct buf *b, unsigned long long value)
{
	return append_big_endian(b, value, 8);
}

char *
buf_reserve(struct buf *b, size_t len)
{
	if (len > b->max - b->len || make_room(b, len) != WIRE_OK)
		return NULL;
	return b->data + b->off + b->len;
}

void
buf_commit(struct buf *b, size_t len)
{
	assert(len <= b->cap - b->off - b->len);
	assert(len <= b->max - b->len);
	b->len += len;
}

void
buf_drain(struct buf *b, size_t len)
{
	assert(len <= b->len);
	b->len -= len;
	b->off += len;
	if (b->len > 0)
		return;
	if (b->cap > KEEP_MAX)
		buf_clear(b);
	else
		b->off = 0;
}

void
buf_truncate(struct buf *b, size_t len)
{
	assert(len <= b->len);
	b->len = len;
	if (len == 0)
		b->off = 0;
}

void
buf_fit(struct buf *b)
{
	char *data;

	if (b->len == 0) {
		buf_clear(b);
		return;
	}
	if (b->cap / 2 <= b->len)
		return;
	memmove(b->data, b->data + b->off, b->len);
	b->off = 0;
	data = realloc(b->data, b->len);
	if (data == NULL)
		return;		/* it stays as large as it is */
	b->data = data;
	b->cap = b->len;
}

size_t
buf_take(struct buf *b, char **data)
{
	size_t len = b->len;

	*data = NULL;
	if (len == 0)
		return 0;
	if (b->off > 0)
		memmove(b->data, b->data + b->off, len);
	*data = b->data;
	buf_init(b, b->max);
	return len;
}
