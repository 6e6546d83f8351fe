/* buf.h - a byte buffer that grows up to a ceiling, drained from the front. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stddef.h>

#include "common/span.h"
#include "common/wire_error.h"

struct buf {
	char *data;	/* heap, NULL until the first byte */
	size_t off;	/* drained bytes in front */
	size_t len;	/* readable bytes from off */
	size_t cap;
	size_t max;	/* ceiling for len */
};

/* An empty buffer that will never hold more than max readable bytes.
 * Allocates nothing. */
void buf_init(struct buf *b, size_t max);

/* Frees the memory; the buffer is empty and usable again. */
void buf_clear(struct buf *b);

/* The same for a secret: nothing of it is left in freed memory, provided that
 * the buffer has not grown since it came in. */
void buf_wipe(struct buf *b);

/* Appends a copy.  WIRE_TOO_LARGE over the ceiling, WIRE_NO_MEMORY; then the
 * buffer is unchanged. */
int buf_append(struct buf *b, const void *data, size_t len) WIRE_MUSTCHECK;
int buf_append_span(struct buf *b, struct span s) WIRE_MUSTCHECK;
int buf_append_str(struct buf *b, const char *string) WIRE_MUSTCHECK;
int buf_printf(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3))) WIRE_MUSTCHECK;

/* Big-endian integers, for frames. */
int buf_append_u8(struct buf *b, unsigned value) WIRE_MUSTCHECK;
int buf_append_u16(struct buf *b, unsigned value) WIRE_MUSTCHECK;
int buf_append_u32(struct buf *b, unsigned long value) WIRE_MUSTCHECK;
int buf_append_u64(struct buf *b, unsigned long long value) WIRE_MUSTCHECK;

/* Room for len more bytes at the end, or NULL (ceiling or memory).  After
 * writing n <= len bytes there, call buf_commit(b, n). */
char *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

/* Removes len <= buf_len() bytes from the front.  Memory of an emptied buffer
 * is kept for reuse unless it is over 64 KiB. */
void buf_drain(struct buf *b, size_t len);

/* Shortens to the first len bytes (undoes a partly written message). */
void buf_truncate(struct buf *b, size_t len);

/* Gives back the memory that the content does not need, if that is more than
 * it has: for one that will not grow for a while. */
void buf_fit(struct buf *b);

/* Moves the whole content and its memory to the caller, who frees *data;
 * the buffer is empty.  Returns the length; *data is NULL when 0. */
size_t buf_take(struct buf *b, char **data);

static inline size_t
buf_len(const struct buf *b)
{
	return b->len;
}

static inline const char *
buf_data(const struct buf *b)
{
	return b->data == NULL ? "" : b->data + b->off;
}

/* The readable bytes; valid until the buffer is next changed. */
static inline struct span
buf_span(const struct buf *b)
{
	return span_of(buf_data(b), b->len);
}

#endif
